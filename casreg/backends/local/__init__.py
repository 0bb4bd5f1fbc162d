"""A repository in a folder: atomic, durable and lock-safe on local disks, careful on network file systems."""

from __future__ import annotations

from casreg.backends.local.backend import LocalBackend
from casreg.backends.local.filesystem import FileSystem, PlatformRules

__all__ = ["FileSystem", "LocalBackend", "PlatformRules"]
