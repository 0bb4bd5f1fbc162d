"""A repository in one file: a ZIP archive whose entries are stored, not deflated, under their keys (a *bundle*).

`reading` has the backend over one, which reads ranges without the rest; `writing` makes one. ZIP is PKWARE's APPNOTE,
as in `zipfile`; `docs/format.md` says what a bundle is.
"""

from __future__ import annotations

from casreg.backends.archive.reading import SUFFIX, ArchiveBackend
from casreg.backends.archive.writing import ArchiveWriter

__all__ = ["SUFFIX", "ArchiveBackend", "ArchiveWriter"]
