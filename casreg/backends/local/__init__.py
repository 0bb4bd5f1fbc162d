"""A repository in a folder: atomic, durable and lock-safe on local disks, careful on network file systems.

`backend` has the five methods, `filesystem` every system call of theirs. `folders` makes names durable, `temporary`
has files until they have theirs, `locks` those of the kernel. `listing` gives keys in order, `scanning` the names in
a folder that others change. `location` understands paths, `mounts` knows network file systems, `errors` says what the
system said.
"""

from __future__ import annotations

from casreg.backends.local.backend import LocalBackend
from casreg.backends.local.filesystem import FileSystem, PlatformRules

__all__ = ["FileSystem", "LocalBackend", "PlatformRules"]
