"""Reading a bundle. What the archive claims is never believed: entries must lie within the file, and only once.

Names that are no keys are passed over, so that no path leads anywhere; nothing is inflated.
"""

from __future__ import annotations

import os
import struct
import sys
import threading
import weakref
import zipfile
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from casreg.backends.base import Object, ObjectInfo, Token
from casreg.backends.key_rules import check_key, check_range, is_key
from casreg.exceptions import (
    CorruptError,
    NotFound,
    ReadOnlyError,
    StorageError,
    StoragePermissionError,
    StorageUnavailableError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Buffer

SUFFIX: Final = ".casreg"
"""How the name of a bundle ends."""

_LOCAL_HEADER: Final = struct.Struct("<4s22xHH")
_LOCAL_MAGIC: Final = b"PK\x03\x04"
_STATE: Final = Token("bundle")  # a bundle never changes
_UNREADABLE: Final = (
    zipfile.BadZipFile,
    NotImplementedError,
    struct.error,
    ValueError,
    EOFError,
    OverflowError,
    MemoryError,
)


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where an entry is: its local header, and how many bytes it has."""

    header: int
    size: int


@dataclass(frozen=True, slots=True)
class _Contents:
    """An open archive."""

    fd: int
    size: int
    modified: float
    entries: Mapping[str, _Entry]
    keys: list[str]


class ArchiveBackend:
    """Reads a bundle; whatever would change it raises `ReadOnlyError`. Safe in many threads, forks and pickles.

    Args:
        path: The file. A leading `~` is expanded.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = os.path.abspath(os.path.expanduser(os.fsdecode(path)))
        self._lock = threading.Lock()
        self._contents: _Contents | None = None

    def __reduce__(self) -> tuple[object, ...]:
        return (ArchiveBackend, (self._path,))

    def __repr__(self) -> str:
        return f"ArchiveBackend({self._path!r})"

    @property
    def path(self) -> str:
        """The absolute path of the file."""
        return self._path

    @property
    def location(self) -> str:
        """The `file://` URI of the bundle."""
        return Path(self._path).as_uri()

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:  # noqa: ARG002 - reading is asking here
        """See `Backend.get`.

        Raises:
            NotFound: There is no such key.
            CorruptError: The archive is damaged there, or is none.
            StorageError: The file is not there, or cannot be read.
        """
        check_key(key)
        check_range(start, stop)
        contents = self._open()
        entry = contents.entries.get(key)
        if entry is None:
            raise NotFound(f"there is no {key!r} in {self._path}")
        begin = self._begin(contents, key, entry)
        end = entry.size if stop is None else min(stop, entry.size)
        size = max(end - start, 0)
        data = self._read(contents, begin + start, size) if size else b""
        if len(data) != size:
            raise self._damaged(key, "it is cut off")
        return Object(data, _STATE if start == 0 and stop is None else None)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:  # noqa: ARG002 - it cannot be
        """Never works.

        Raises:
            ReadOnlyError: Always.
        """
        raise self._read_only()

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:  # noqa: ARG002 - as above
        """Never works.

        Raises:
            ReadOnlyError: Always.
        """
        raise self._read_only()

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`. Errors as `get`."""
        contents = self._open()
        first = max(bisect_left(contents.keys, prefix), bisect_right(contents.keys, after))
        for key in contents.keys[first:]:
            if not key.startswith(prefix):
                return
            yield ObjectInfo(key, contents.entries[key].size, _STATE, contents.modified)

    def delete(self, keys: Iterable[str]) -> None:  # noqa: ARG002 - as above
        """Never works.

        Raises:
            ReadOnlyError: Always.
        """
        raise self._read_only()

    def _read_only(self) -> ReadOnlyError:
        return ReadOnlyError(
            f"{self._path} is a bundle, which can only be read. Take what it holds into a registry, and work there: "
            f"Registry(...).import_({self._path!r})"
        )

    def _open(self) -> _Contents:
        # Without a lock, which a fork could copy while it is held: two threads that open it at once do no harm.
        contents = self._contents
        if contents is None:
            contents = _open(self._path)
            weakref.finalize(self, os.close, contents.fd)
            self._contents = contents
        return contents

    def _begin(self, contents: _Contents, key: str, entry: _Entry) -> int:
        """Where the bytes of an entry begin, which its own header tells."""
        header = self._read(contents, entry.header, _LOCAL_HEADER.size)
        if len(header) < _LOCAL_HEADER.size:
            raise self._damaged(key, "it is cut off")
        magic, name_size, extra_size = _LOCAL_HEADER.unpack(header)
        begin = entry.header + _LOCAL_HEADER.size
        name = self._read(contents, begin, name_size)
        if magic != _LOCAL_MAGIC or name != key.encode():
            raise self._damaged(key, "the entry does not begin where the directory of the archive says")
        return begin + int(name_size) + int(extra_size)

    def _read(self, contents: _Contents, start: int, size: int) -> bytes:
        try:
            return self._read_all(contents.fd, start, size)
        except OSError as err:
            raise _unreadable(self._path, err) from err

    def _read_all(self, fd: int, start: int, size: int) -> bytes:
        """`size` bytes; fewer only at the end of the file. One call reads at most 2 GiB."""
        data = self._read_at(fd, size, start)
        if len(data) == size or not data:
            return data
        parts, got = [data], len(data)
        while got < size and (data := self._read_at(fd, size - got, start + got)):
            parts.append(data)
            got += len(data)
        return b"".join(parts)

    if sys.platform == "win32":

        def _read_at(self, fd: int, size: int, start: int) -> bytes:
            with self._lock:  # there is no positioned read: the position is shared, so one thread at a time
                os.lseek(fd, start, os.SEEK_SET)
                return os.read(fd, size)

    else:

        def _read_at(self, fd: int, size: int, start: int) -> bytes:
            return os.pread(fd, size, start)

    def _damaged(self, key: str, problem: str) -> CorruptError:
        return CorruptError(
            f"{self._path} is damaged at {key!r}: {problem}. Other objects are not affected; get another copy of the "
            "bundle, or export it again."
        )


def _open(path: str) -> _Contents:
    """Read the directory of an archive.

    Raises:
        CorruptError: It is not the archive that a bundle is.
        StorageError: The file is not there, or cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0))
    except OSError as err:
        raise _unreadable(path, err) from err
    try:
        stat = os.fstat(fd)
        with os.fdopen(os.dup(fd), "rb") as file, zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
        entries = _entries(path, infos, stat.st_size)
    except BaseException as err:
        os.close(fd)
        if isinstance(err, OSError):
            raise _unreadable(path, err) from err
        if isinstance(err, _UNREADABLE):
            raise CorruptError(
                f"{path} is damaged, or no bundle: {err}. Get another copy of it, or export it again."
            ) from err
        raise
    return _Contents(fd, stat.st_size, stat.st_mtime, entries, sorted(entries))


def _entries(path: str, infos: Iterable[zipfile.ZipInfo], total: int) -> dict[str, _Entry]:
    """The entries that are keys. What casreg did not name is not casreg's."""
    entries: dict[str, _Entry] = {}
    for info in infos:
        key = info.orig_filename
        if not is_key(key):
            continue
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise CorruptError(
                f"{path} holds {key!r} compressed or encrypted, and a bundle holds files as they are. Unpack it, and "
                "open the folder."
            )
        whole = info.compress_size == info.file_size
        within = 0 <= info.header_offset <= total - _LOCAL_HEADER.size - info.file_size
        if not (whole and within) or key in entries:
            problem = "it is there twice" if key in entries else "its size is not what the file can hold"
            raise CorruptError(f"{path} is damaged at {key!r}: {problem}. Get another copy of the bundle.")
        entries[key] = _Entry(info.header_offset, info.file_size)
    return entries


def _unreadable(path: str, err: OSError) -> StorageError:
    if isinstance(err, FileNotFoundError | IsADirectoryError):
        what = "there is no bundle" if isinstance(err, FileNotFoundError) else "a folder is no bundle:"
        hint = (
            f"What ends in {SUFFIX} is taken for a bundle, which `export` writes. Give a registry's folder another name, "
            "or open it with LocalRegistryBackend."
            if path.lower().endswith(SUFFIX)
            else f"`export` writes bundles. What a registry in a folder holds comes by `update(Registry({path!r}))`."
        )
        return StorageUnavailableError(f"{what} {path}. ({hint})")
    reason = os.strerror(err.errno) if err.errno else str(err)
    kind = StoragePermissionError if isinstance(err, PermissionError) else StorageUnavailableError
    return kind(f"the bundle {path} cannot be read: {reason}")
