"""How full a cache is, known to all its processes without counting; and making room.

The length of the file `usage` is the estimate: whoever adds a copy first appends one byte for each 4 KiB that it
takes.  Only when that passes the limit are the files counted, by whoever holds `lock` at that moment (nobody waits
for it), the ones that were not used for longest are removed, and `usage` is cut to what is left.  Until then others
add nothing.  So the limit is passed by no more than what is being written at one moment, and a count comes after an
eighth of the limit was written anew.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg.exceptions import StoragePermissionError

if TYPE_CHECKING:
    from collections.abc import Iterator

UNIT: Final = 4096
"""Bytes on disk that one byte of `usage` stands for: a file takes whole blocks of its file system."""

_KEEP: Final = 7 / 8
_OLD_SECONDS: Final = 3600.0
_FOLDER: Final = re.compile(r"[0-9a-f]{2}")
_COPY: Final = re.compile(r"[0-9a-f]{64}\.(?:whole|\d+)")
_TEMPORARY: Final = re.compile(r"[0-9a-f]{32}")
_TAG: Final = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n"
    b"# Copies that casreg keeps of remote data. It may be removed at any time. See https://bford.info/cachedir/\n"
)
_BINARY: Final = getattr(os, "O_BINARY", 0)

log = logging.getLogger("casreg.cache")


class _File(NamedTuple):
    used: int
    units: int
    path: str


class Usage:
    """What the files below `root` take, and which have to go."""

    def __init__(self, root: str, limit: int) -> None:
        """No I/O. `limit` is in bytes."""
        self._root = root
        self._limit = limit // UNIT

    def admit(self, size: int) -> bool:
        """Whether a file of `size` bytes may be added now. It is counted then; room is made where that is needed.

        Raises:
            OSError: The folder cannot be written, or nothing can be removed from it.
        """
        units = _units(size)
        if units > self._limit // 2:
            return False
        length = self._append(units)
        if length == units:
            return self._make_room(units)  # nobody knows how full it is: a new cache, or `usage` was removed
        return length <= self._limit or self._make_room(units)

    def size(self) -> int:
        """Bytes on disk, counted."""
        return sum(file.units for file in self._files()) * UNIT

    def clear(self) -> None:
        """Remove all that a cache has written, and nothing else.

        Raises:
            StorageError: Something cannot be removed.
        """
        try:
            for file in self._files(leftovers=True):
                _remove(file.path)
            for name in ("usage", "CACHEDIR.TAG"):
                _remove(f"{self._root}/{name}")
        except OSError as err:
            raise StoragePermissionError(
                f"the cache {self._root!r} cannot be emptied: {err.strerror or err}. Remove the folder by hand."
            ) from err

    def _append(self, units: int) -> int:
        """Count more units; how many there are now."""
        path = f"{self._root}/usage"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | _BINARY
        try:
            fd = os.open(path, flags, 0o666)
        except FileNotFoundError:
            make_root(self._root)
            fd = os.open(path, flags, 0o666)
        try:
            os.write(fd, b"\0" * units)
            return os.fstat(fd).st_size
        finally:
            os.close(fd)

    def _make_room(self, units: int) -> bool:
        """Count, and remove what was not used for longest, so that `units` fit. Whether they do."""
        with _held(f"{self._root}/lock") as held:
            if not held:
                return False  # somebody else is at it
            before = self._length()
            files = sorted(self._files())
            total = sum(file.units for file in files)
            target = min(int(self._limit * _KEEP), self._limit - units)
            removed = 0
            for file in files:
                if total <= target:
                    break
                if _try_remove(file.path):
                    total -= file.units
                    removed += 1
            # What others have added since then may have been counted or not: it counts once more.
            added = self._length() - before
            os.truncate(f"{self._root}/usage", total + added + units)
        log.debug("the cache %s holds %d bytes; %d files made room", self._root, total * UNIT, removed)
        if total > target:
            # Whoever is told so tries again after a while: otherwise each write would count all files.
            raise OSError(errno.EBUSY, "what was not used for longest cannot be removed")
        return True

    def _length(self) -> int:
        return os.stat(f"{self._root}/usage").st_size

    def _files(self, *, leftovers: bool = False) -> Iterator[_File]:
        """All copies. Files that were being written when their process ended are removed after an hour, or listed."""
        for folder in _entries(self._root):
            temporary = folder.name == "new"
            if not (temporary or _FOLDER.fullmatch(folder.name)):
                continue
            for entry in _entries(folder.path):
                if not (_TEMPORARY if temporary else _COPY).fullmatch(entry.name):
                    continue
                try:
                    stat = entry.stat(follow_symlinks=False)
                except OSError:
                    continue  # it has gone meanwhile
                if not temporary or leftovers:
                    yield _File(stat.st_mtime_ns, _units(stat.st_size), entry.path)
                elif stat.st_mtime < time.time() - _OLD_SECONDS:
                    _try_remove(entry.path)


def _units(size: int) -> int:
    return -(-size // UNIT)


def make_root(root: str) -> None:
    """Make the folder of a cache, and what has to be in it.

    Raises:
        OSError: It cannot be made.
    """
    parent = os.path.dirname(root)
    if not os.path.isdir(parent):
        # What is in it may be private, wherever the folder was asked for.
        os.makedirs(os.path.dirname(parent), exist_ok=True)
        with suppress(FileExistsError):
            os.mkdir(parent, 0o700)
    os.makedirs(f"{root}/new", exist_ok=True)
    with suppress(FileExistsError), open(f"{root}/CACHEDIR.TAG", "xb") as tag:
        tag.write(_TAG)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from entries
    except (FileNotFoundError, NotADirectoryError):
        return


def _remove(path: str) -> None:
    with suppress(FileNotFoundError):
        os.unlink(path)


def _try_remove(path: str) -> bool:
    try:
        _remove(path)
    except OSError as err:  # Windows removes no file that somebody reads
        log.debug("%s stays in the cache: %s", path, err)
        return False
    return True


@contextmanager
def _held(path: str) -> Iterator[bool]:
    """Hold the lock file if nobody else does; gives whether it is held."""
    # Loaded with the first lock and not before, as in the local backend.
    import portalocker  # noqa: PLC0415 - see above

    fd = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY, 0o666)
    try:
        try:
            portalocker.lock(fd, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING)
        except portalocker.LockException:
            yield False  # held, or a file system that has no locks: then nothing is added
            return
        try:
            yield True
        finally:
            # Closing would do, if no forked child could have inherited the open file: then the lock would stay.
            portalocker.unlock(fd)
    finally:
        os.close(fd)
