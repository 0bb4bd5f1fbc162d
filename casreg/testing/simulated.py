"""File systems that this machine does not have: without hard links, over a network, as on Windows, full, read-only.

Each takes the place of the local backend's `FileSystem` and pickles, so that it works in other processes too.
"""

from __future__ import annotations

import errno
import os
import threading

from casreg.backends.local import FileSystem
from casreg.backends.local.filesystem import rules_of


class NoHardLinks(FileSystem):
    """A file system such as FAT or exFAT: `link` is not permitted."""

    def link(self, source: str, target: str) -> None:
        """Never works."""
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), source, None, target)


class NetworkFileSystem(FileSystem):
    """A file system that says it is NFS. It is the local one all the same, so its caches are right."""

    def network(self, path: str) -> str | None:  # noqa: ARG002 - whatever the path
        """Always NFS 4."""
        return "nfs4"


class FullDisk(FileSystem):
    """A disk with room for a number of bytes.

    Args:
        room: Bytes that can still be written by this handle.
    """

    def __init__(self, room: int = 0) -> None:
        super().__init__()
        self.room = room

    def write(self, fd: int, data: memoryview) -> None:
        """Writes what there is room for, then fails."""
        fits = data[: self.room]
        super().write(fd, fits)
        self.room -= len(fits)
        if len(fits) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class ReadOnly(FileSystem):
    """A file system on which every change fails.

    Args:
        number: The system's error: `EROFS` for a read-only mount, `EACCES` for missing rights.
    """

    def __init__(self, number: int = errno.EROFS) -> None:
        super().__init__()
        self.number = number

    def create_file(self, path: str) -> int:
        """Never works."""
        raise self._refused(path)

    def make_folder(self, path: str) -> None:
        """Never works, not even if it is there."""
        raise self._refused(path)

    def replace(self, source: str, target: str) -> None:
        """Never works."""
        raise self._refused(target if source else source)

    def unlink(self, path: str) -> None:
        """Never works."""
        raise self._refused(path)

    def _refused(self, path: str) -> OSError:
        return OSError(self.number, os.strerror(self.number), path)


class WindowsFileSystem(FileSystem):
    """Windows' rules on this machine: nothing that this handle has open can be renamed, replaced or removed.

    Attributes:
        refused: How often something was refused because the file was open.
    """

    def __init__(self) -> None:
        super().__init__(rules_of("win32"))
        self.refused = 0
        self._opened: set[int] = set()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return (WindowsFileSystem, ())

    def open_read(self, path: str) -> int:
        """As the system, and remembered."""
        return self._remember(super().open_read(path))

    def open_write(self, path: str) -> int:
        """As the system, and remembered."""
        return self._remember(super().open_write(path))

    def create_file(self, path: str) -> int:
        """As the system, and remembered."""
        return self._remember(super().create_file(path))

    def link(self, source: str, target: str) -> None:
        """As the system."""
        super().link(source, target)

    def replace(self, source: str, target: str) -> None:
        """As the system, again and again while one of the two is open."""
        self._patiently(lambda: self._replace_idle(source, target))

    def unlink(self, path: str) -> None:
        """As the system, again and again while the file is open."""
        self._patiently(lambda: self.unlink_idle(path))

    def unlink_idle(self, path: str) -> None:
        """As the system, unless the file is open."""
        with self._lock:
            self._refuse_if_open(path)
            super().unlink_idle(path)

    def _replace_idle(self, source: str, target: str) -> None:
        with self._lock:
            self._refuse_if_open(source)
            self._refuse_if_open(target)
            os.replace(source, target)

    def _remember(self, fd: int) -> int:
        with self._lock:
            self._opened.add(fd)
        return fd

    def _refuse_if_open(self, path: str) -> None:
        try:
            there = os.stat(path)
        except FileNotFoundError:
            return
        for fd in self._opened:
            try:
                opened = os.fstat(fd)
            except OSError:
                continue  # closed in the meantime
            if os.path.samestat(there, opened):
                self.refused += 1
                raise PermissionError(errno.EACCES, "open in another place", path)
