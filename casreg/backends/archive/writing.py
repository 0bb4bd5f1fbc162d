"""Writing a bundle: a backend over a file that nobody sees under its name before it is whole."""

from __future__ import annotations

import errno
import os
import secrets
import threading
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from casreg.backends.base import Object, ObjectInfo, Token
from casreg.backends.key_rules import check_key, check_range
from casreg.exceptions import AlreadyExists, Conflict, DestinationError, NotFound, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

_BEGIN: Final = (1980, 1, 1, 0, 0, 0)  # the archive tells no times: refs have those that matter
_STATE: Final = Token("bundle")  # what is immutable has one state


class ArchiveWriter:
    """A backend that makes a bundle. A context: what was not finished when it is left is gone without a trace.

    What is immutable is appended when it is created. All else stays in memory, where it can be changed, and does not
    get into the file but by `finish`, which gives the file its name: before, nobody sees it there. Safe in many threads
    of one process.

    Args:
        path: The file that is to be made.
        is_immutable: Whether a key is created once and neither changed nor deleted.
    """

    def __init__(self, path: str | os.PathLike[str], is_immutable: Callable[[str], bool]) -> None:
        self._path = os.path.abspath(os.path.expanduser(os.fsdecode(path)))
        self._is_immutable = is_immutable
        folder, name = os.path.split(self._path)
        self._partial = os.path.join(folder, f".{name}.{secrets.token_hex(8)}.partial")
        self._lock = threading.RLock()
        self._places: dict[str, tuple[int, int]] = {}
        self._loose: dict[str, tuple[bytes, Token]] = {}
        self._writes = 0
        self._file: BinaryIO | None = None
        self._zip: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        """Begin the file.

        Raises:
            DestinationError: It exists, or cannot be made.
        """
        if os.path.lexists(self._path):
            raise self._exists()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        try:
            self._file = cast("BinaryIO", os.fdopen(os.open(self._partial, flags, 0o666), "w+b"))
        except OSError as err:
            raise self._failed(err) from err
        self._zip = zipfile.ZipFile(self._file, "w", zipfile.ZIP_STORED)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is None:
            return  # finished
        if self._zip is not None:
            self._zip.fp = None  # or it would write its directory
        try:
            file.close()
        except OSError:  # what was buffered has no room
            file.close()
        finally:
            os.unlink(self._partial)

    @property
    def location(self) -> str:
        """The `file://` URI that the bundle is going to have."""
        return Path(self._path).as_uri()

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:  # noqa: ARG002 - memory has it anyway
        """See `Backend.get`.

        Raises:
            NotFound: There is no such key.
            DestinationError: The file cannot be read.
        """
        check_key(key)
        check_range(start, stop)
        with self._lock:
            if key in self._places:
                begin, size = self._places[key]
                end = size if stop is None else min(stop, size)
                data = self._read(begin + start, max(end - start, 0))
                return Object(data, _STATE if start == 0 and stop is None else None)
            if key not in self._loose:
                raise NotFound(f"there is no {key!r} in {self._path}")
            whole, token = self._loose[key]
        return Object(whole[start:stop], token if start == 0 and stop is None else None)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:  # noqa: ARG002 - `finish` makes it so
        """See `Backend.create`.

        Raises:
            AlreadyExists: The key exists.
            DestinationError: The file cannot be written.
        """
        check_key(key)
        with self._lock:
            if key in self._places or key in self._loose:
                raise AlreadyExists(f"{key!r} exists in {self._path}")
            if self._is_immutable(key):
                self._places[key] = self._append(key, data)
                return _STATE
            return self._put(key, data)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`.

        Raises:
            Conflict: The key is in another state, or does not exist.
        """
        check_key(key)
        with self._lock:
            if key not in self._loose or self._loose[key][1] != expected:
                raise Conflict(f"{key!r} in {self._path} is in another state")
            return self._put(key, data)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        with self._lock:
            sizes = {key: size for key, (_, size) in self._places.items()}
            sizes |= {key: len(data) for key, (data, _) in self._loose.items()}
        for key in sorted(sizes):
            if key.startswith(prefix) and key > after:
                yield ObjectInfo(key, sizes[key], None, 0.0)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`. What is immutable stays.

        Raises:
            ReadOnlyError: A key is immutable.
        """
        for key in keys:
            check_key(key)
            with self._lock:
                if key in self._places:
                    raise ReadOnlyError(
                        f"{key!r} is in {self._path} for good: make another bundle without it"
                    )
                self._loose.pop(key, None)

    def finish(self, loose: Mapping[str, bytes]) -> None:
        """Add what changed until now, and give the file its name. When it returns, the bundle is on the disk.

        Args:
            loose: Keys and bytes of what is not immutable.

        Raises:
            DestinationError: A file of that name was made meanwhile, or it cannot be written.
        """
        with self._lock:
            for key in sorted(loose):
                self._append(key, loose[key])
            assert self._file is not None
            assert self._zip is not None
            try:
                self._zip.filelist.sort(key=lambda info: info.filename)  # so that the directory has one order
                self._zip.close()
                self._file.flush()
                os.fsync(self._file.fileno())
                self._publish()
            except FileExistsError as err:
                raise self._exists() from err
            except OSError as err:
                raise self._failed(err) from err

    def _publish(self) -> None:
        """Rename, but never over a file that is there."""
        assert self._file is not None
        try:
            os.link(self._partial, self._path)
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            if os.path.lexists(self._path):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), self._path) from None
            self._file.close()
            os.replace(self._partial, self._path)
        else:
            self._file.close()
            os.unlink(self._partial)
        self._file = None
        if os.name != "nt":
            folder = os.open(os.path.dirname(self._path), os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _append(self, key: str, data: Buffer) -> tuple[int, int]:
        """Write one entry. Returns where its bytes begin, and how many they are."""
        assert self._file is not None
        assert self._zip is not None
        info = zipfile.ZipInfo(key, _BEGIN)
        info.create_system = 3  # Unix, on every system: the next line is in its terms
        info.external_attr = 0o100644 << 16
        body = memoryview(data).cast("B")
        try:
            self._zip.writestr(info, body)
            end = self._file.seek(0, os.SEEK_END)
        except OSError as err:
            raise self._failed(err) from err
        return end - len(body), len(body)

    def _read(self, start: int, size: int) -> bytes:
        assert self._file is not None
        try:
            self._file.seek(start)
            return self._file.read(size)
        except OSError as err:
            raise self._failed(err) from err

    def _put(self, key: str, data: Buffer) -> Token:
        self._writes += 1
        token = Token(str(self._writes))
        self._loose[key] = bytes(memoryview(data)), token
        return token

    def _exists(self) -> DestinationError:
        return DestinationError(
            f"{self._path} exists, and is not overwritten: remove it, or choose another name"
        )

    def _failed(self, err: OSError) -> DestinationError:
        reason = os.strerror(err.errno) if err.errno else str(err)
        return DestinationError(
            f"the bundle {self._path} cannot be written: {reason}. Nothing is left of it."
        )
