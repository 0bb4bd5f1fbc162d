"""The way out: packs → chunks → files. Every byte is verified before it is handed out."""

from __future__ import annotations

from casreg.fetch.folder import StoredFolder
from casreg.fetch.reader import VersionReader

__all__ = ["StoredFolder", "VersionReader"]
