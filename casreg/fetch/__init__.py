"""The way out: packs → chunks → files. Every byte is verified before it is handed out.

`reader` reads whole files and trees: `plan` says with which requests, `sharing` how many go out at once and how long
they are, `verified` sends one and verifies what comes, `sinks` writes files to disk meanwhile. `folder` is what a
materializer is given of that, `destination` what takes the place of a folder. `stream` reads a part of a file:
`lists` says which chunks hold it, `excerpt` gets these without the runs that they stand in.
"""

from __future__ import annotations

from casreg.fetch.folder import StoredFolder
from casreg.fetch.reader import VersionReader

__all__ = ["StoredFolder", "VersionReader"]
