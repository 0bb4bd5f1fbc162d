"""The names in a folder whose files others replace meanwhile.

A file system may leave an entry out of a listing while it is being replaced, although one of that name is there all the
time: the new entry can stand behind the end that the listing began with.  tmpfs does so (seen on Linux 6.18; ext4 was
not seen to), and others may, for POSIX says nothing of it.  A collector that missed a ref would delete what it needs.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from casreg.backends.local.filesystem import FileSystem
    from casreg.backends.local.locks import ShardLocks

_TRIES: Final = 2
_TICK: Final = 50_000_000
"""Nanoseconds. Times of folders move in steps, of 10 ms at most."""

_SHARDS: Final = 256
_HELD: Final = 64
"""So many locks are held at once: each is an open file, of which some systems allow 256."""


def settled_names(files: FileSystem, locks: ShardLocks, path: str, *, is_shared: bool) -> list[str]:
    """The names in a folder, in no order; none is missing that was there before the call and was only replaced.

    If nothing changed while it was read, that is all. Otherwise it is read several times, each time with a part of the
    locks held that replacing takes: whatever these guard stays where it is.

    Args:
        files: The system calls.
        locks: Of the repository.
        path: The folder.
        is_shared: Other machines write here, so that the time of a folder proves nothing.

    Raises:
        OSError: The folder cannot be read.
        LockTimeoutError: A process that does not go on holds a lock. Names it.
    """
    names: list[str] = []
    for _ in range(0 if is_shared else _TRIES):
        before = files.stat(path).st_mtime_ns
        names = files.scan(path)
        if files.stat(path).st_mtime_ns == before and time.time_ns() - before > _TICK:
            return names
    found = dict.fromkeys(names)
    for first in range(0, _SHARDS, _HELD):
        with ExitStack() as held:
            try:
                # Ascending, as everybody else who takes several: nobody waits in a circle.
                for shard in range(first, first + _HELD):
                    held.enter_context(locks.hold(shard))
            except (FileNotFoundError, PermissionError):
                # Nobody has written here yet; or a reader, who may not lock, and for whom one more look has to do.
                held.close()
            found.update(dict.fromkeys(files.scan(path)))
    return list(found)
