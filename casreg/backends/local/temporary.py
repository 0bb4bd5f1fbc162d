"""Files under way: written under a name of their own, held under a lock, and cleaned up after the dead.

A temporary file is locked from just after its creation until it is published.  Whoever can take both that lock
and the lock of the shard that is named in it may delete it: its writer is dead.  (Between the last write and the
new name, the writer closes the file and so gives up the first lock, but then it holds the second; on Windows
nothing can be renamed while it is open.)
"""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING, Final

from casreg.backends.local import locks
from casreg.backends.local.folders import TEMPORARY

if TYPE_CHECKING:
    from casreg.backends.local.filesystem import FileSystem
    from casreg.backends.local.locks import ShardLocks

SWEEP_AT_MOST: Final = 1000
"""Leftovers that one sweep looks at, so that no writer pays for what thousands left behind."""

_NAME: Final = re.compile(r"([0-9a-f]{2})-[0-9a-f]{24}")
_log: Final = logging.getLogger("casreg")


class TemporaryFile:
    """One file under way, open and locked. Made by `create`; ends with `close`, then a rename or `remove`."""

    def __init__(self, files: FileSystem, path: str, fd: int) -> None:
        self._files = files
        self._fd = fd
        self._open = True
        self.path = path

    def write(self, data: memoryview, *, durable: bool) -> None:
        """Write all of `data`, and return when it is on the disk if it has to be durable."""
        self._files.write(self._fd, data)
        if durable:
            self._files.sync_file(self._fd)

    def close(self) -> None:
        """Close it and give up its lock. The caller holds the lock of its shard, or is about to remove it."""
        if self._open:
            self._open = False
            locks.forget(self._fd)

    def remove(self) -> None:
        """Close it and remove it, if it is still there."""
        try:
            self.close()
        finally:
            unlink_if_there(self._files, self.path)


def create(files: FileSystem, root: str, shard: int) -> TemporaryFile:
    """A new, empty, locked file in `tmp/`, for something that will be published under the lock of `shard`.

    Raises:
        OSError: The system refuses; `FileNotFoundError` if `tmp/` is missing.
        UnsafeStorageError: This file system has no locks.
    """
    while True:
        path = f"{root}/{TEMPORARY}/{shard:02x}-{os.urandom(12).hex()}"
        fd = files.create_file(path)
        locks.remember(fd)
        file = TemporaryFile(files, path, fd)
        try:
            # Until it was locked, somebody who cleans up could take it for a leftover: then it is, and we make
            # another one. Names are never used twice, so what is there under this name is this file.
            if locks.try_lock(fd) and files.exists(path):
                return file
        except BaseException:
            file.remove()
            raise
        file.remove()


def sweep(files: FileSystem, root: str, shards: ShardLocks) -> int:
    """Remove files that dead processes left under way, `SWEEP_AT_MOST` at a time; how many were removed.

    Never fails for a leftover that cannot be removed: the next sweep will try again.
    """
    folder = f"{root}/{TEMPORARY}"
    try:
        names = files.scan(folder)
    except OSError as err:
        _log.debug("cannot look for leftovers in %s: %s", folder, err)
        return 0
    removed = 0
    for name in names[:SWEEP_AT_MOST]:
        match = _NAME.fullmatch(name)
        if match is None:
            continue  # nothing that we made
        try:
            removed += _remove_if_dead(files, f"{folder}/{name}", int(match[1], 16), shards)
        except OSError as err:
            _log.debug("cannot remove the leftover %s: %s", name, err)
    return removed


def _remove_if_dead(files: FileSystem, path: str, shard: int, shards: ShardLocks) -> bool:
    with shards.try_hold(shard) as held:
        if not held:
            return False
        fd = files.open_write(path)
        locks.remember(fd)
        try:
            if not locks.try_lock(fd):
                return False
            if not files.rules.retry_busy:
                # While we hold its lock, so that a writer who has just made it sees that it is gone.
                unlink_if_there(files, path)
                return True
        finally:
            locks.forget(fd)
        # Here nothing can be removed that anybody has open, neither we nor that writer.
        files.unlink_idle(path)
        return True


def unlink_if_there(files: FileSystem, path: str) -> None:
    """Remove the name of a temporary file, which somebody else may have removed."""
    try:
        files.unlink(path)
    except FileNotFoundError:
        return  # published in the meantime, or cleaned up by another process, or by hand
