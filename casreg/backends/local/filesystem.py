"""Every system call by which the local backend reads or changes its folder, and nothing else.

One small class, so that `casreg.testing` can record, fail or forget each call.  Methods raise `OSError` as the
system does; `casreg.backends.local.errors` turns that into errors of casreg.  Locks are in
`casreg.backends.local.locks`: they leave nothing behind that a crash could tear.
"""

# Strings all the way: making a path object costs more than most of these calls.
from __future__ import annotations

import errno
import os
import random
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.backends.local.mounts import network_file_system

if sys.platform != "win32":
    import fcntl

if TYPE_CHECKING:
    from collections.abc import Callable

_Result = TypeVar("_Result")

# Windows opens in text mode unless it is told otherwise; elsewhere there is no such flag.
_BINARY: Final[int] = getattr(os, "O_BINARY", 0)
_READ: Final[int] = os.O_RDONLY | _BINARY
_WRITE: Final[int] = os.O_RDWR | _BINARY
_CREATE: Final[int] = os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY
_FOLDER: Final[int] = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0)

# Asked of file systems that cannot flush a folder, or cannot tell the drive to: there is nothing more to ask.
_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOTTY})

# What Windows says of a file that somebody has open, locked or mapped (ERROR_ACCESS_DENIED,
# ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION, ERROR_USER_MAPPED_FILE).
_BUSY_ON_WINDOWS: Final = frozenset({5, 32, 33, 1224})
_BUSY_SECONDS: Final = 10.0
_BUSY_SECONDS_TO_READ: Final = 1.0


@dataclass(frozen=True, slots=True)
class PlatformRules:
    """Where platforms differ.

    Attributes:
        sync_folders: A new name is durable only once its folder is flushed. Windows neither needs nor allows it.
        full_sync: `fsync` stops at the drive's cache, and `F_FULLFSYNC` goes on (macOS).
        retry_busy: A file that somebody has open can be neither replaced nor deleted for as long (Windows).
    """

    sync_folders: bool
    full_sync: bool
    retry_busy: bool


def rules_of(platform: str) -> PlatformRules:
    """The rules of a platform, named as by `sys.platform`."""
    windows = platform == "win32"
    return PlatformRules(sync_folders=not windows, full_sync=platform == "darwin", retry_busy=windows)


class FileSystem:
    """The system's own calls. Holds no state but the rules; pickles; safe in many threads.

    Args:
        rules: How this platform differs; by default those of the platform that this runs on.
    """

    def __init__(self, rules: PlatformRules | None = None) -> None:
        self.rules = rules_of(sys.platform) if rules is None else rules

    def network(self, path: str) -> str | None:
        """The type of the network file system that `path` is on (`nfs4`, …), None for a local one."""
        return network_file_system(path)

    def open_read(self, path: str) -> int:
        """A descriptor to read from."""
        return self._patiently(lambda: os.open(path, _READ), _BUSY_SECONDS_TO_READ)

    def size(self, fd: int) -> int:
        """Bytes in an open file."""
        return os.fstat(fd).st_size

    def read(self, fd: int, size: int, offset: int) -> bytes:
        """Up to `size` bytes at `offset`; fewer only at the end of the file."""
        data = _read_at(fd, size, offset)
        if len(data) == size or not data:
            return data
        # One call reads at most 2 GiB, and file systems in user space may give less than was asked for.
        parts = [data]
        got = len(data)
        while got < size and (data := _read_at(fd, size - got, offset + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    def close(self, fd: int) -> None:
        """Give a descriptor back, and with it any lock on it."""
        os.close(fd)

    def exists(self, path: str) -> bool:
        """Whether there is anything under this name, now."""
        return os.path.lexists(path)

    def is_folder(self, path: str) -> bool:
        """Whether `path` is a folder, or a link to one."""
        return os.path.isdir(path)

    def scan(self, path: str) -> list[str]:
        """The names in a folder, in no order; those of folders end with "/". Links count as files."""
        with os.scandir(path) as entries:
            return [
                entry.name + "/" if entry.is_dir(follow_symlinks=False) else entry.name for entry in entries
            ]

    def stat(self, path: str) -> os.stat_result:
        """Size and times of what `path` is, without following a link."""
        return os.stat(path, follow_symlinks=False)

    def make_folder(self, path: str) -> None:
        """Make one folder, whose parent exists."""
        os.mkdir(path)

    def create_file(self, path: str) -> int:
        """A descriptor of a new, empty file, to write to."""
        return os.open(path, _CREATE, 0o666)

    def open_write(self, path: str) -> int:
        """A descriptor of an existing file, to lock it."""
        return os.open(path, _WRITE)

    def write(self, fd: int, data: memoryview) -> None:
        """Append all of `data` (one dimension, bytes), without copying it."""
        while data:
            written = os.write(fd, data)
            if written <= 0:
                raise OSError(errno.EIO, "the system wrote nothing, and gave no reason")
            data = data[written:]

    def sync_file(self, fd: int) -> None:
        """Return when the bytes of a file are on the disk, not only in a cache."""
        self._sync(fd)

    def sync_folder(self, path: str) -> None:
        """Return when the names in a folder are on the disk."""
        if not self.rules.sync_folders:
            return
        fd = os.open(path, _FOLDER)
        try:
            self._sync(fd)
        except OSError as err:
            if err.errno not in _CANNOT_SYNC:
                raise
        finally:
            os.close(fd)

    def link(self, source: str, target: str) -> None:
        """A second name for a file; fails if `target` exists."""
        os.link(source, target)

    def replace(self, source: str, target: str) -> None:
        """Rename, over whatever `target` was, at once."""
        self._patiently(lambda: os.replace(source, target))

    def unlink(self, path: str) -> None:
        """Remove a name."""
        self._patiently(lambda: os.unlink(path))

    def unlink_idle(self, path: str) -> None:
        """Remove a name; where the system says so, fail at once if somebody has the file open."""
        os.unlink(path)

    def _sync(self, fd: int) -> None:
        if sys.platform == "darwin" and self.rules.full_sync:
            try:
                fcntl.fcntl(fd, fcntl.F_FULLFSYNC)
            except OSError as err:
                if err.errno not in _CANNOT_SYNC:
                    raise
            else:
                return
        os.fsync(fd)

    def _patiently(self, action: Callable[[], _Result], seconds: float = _BUSY_SECONDS) -> _Result:
        """Do it again while somebody has the file open, for a while: readers and virus scanners go away."""
        if not self.rules.retry_busy:
            return action()
        deadline = time.monotonic() + seconds
        pause = 0.001
        while True:
            try:
                return action()
            except OSError as err:
                if not _is_busy(err) or time.monotonic() >= deadline:
                    raise
            time.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, 0.1)


def _is_busy(err: OSError) -> bool:
    return isinstance(err, PermissionError) or getattr(err, "winerror", None) in _BUSY_ON_WINDOWS


if sys.platform == "win32":

    def _read_at(fd: int, size: int, offset: int) -> bytes:
        # No pread here. Each call of `get` has a descriptor of its own, so the position is nobody else's.
        os.lseek(fd, offset, os.SEEK_SET)
        return os.read(fd, size)

else:

    def _read_at(fd: int, size: int, offset: int) -> bytes:
        return os.pread(fd, size, offset)
