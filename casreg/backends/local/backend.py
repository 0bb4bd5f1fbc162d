"""`LocalBackend`: a repository in a folder.

A write goes to a temporary file, is flushed, and gets its name under the lock of its shard: by `link`, which
fails if the name is taken, or by `replace` after the current bytes were compared.  Then the folder is flushed,
still under the lock, so that whoever is told `AlreadyExists` can rely on what exists.  Everything slow comes
before the lock.  Tokens are the BLAKE3 of the bytes: times tick slowly and inodes are used again at once.
"""

from __future__ import annotations

import errno
import os
import re
import warnings
from itertools import count
from typing import TYPE_CHECKING, Final

from casreg.backends.base import Object, Token
from casreg.backends.key_rules import check_key, check_range
from casreg.backends.local import temporary
from casreg.backends.local.errors import storage_error
from casreg.backends.local.filesystem import FileSystem
from casreg.backends.local.folders import Folders
from casreg.backends.local.listing import walk
from casreg.backends.local.location import root_of, uri_of
from casreg.backends.local.locks import ShardLocks, shard_of
from casreg.backends.local.scanning import settled_names
from casreg.digest import digest_of
from casreg.exceptions import AlreadyExists, Conflict, InvalidArgumentError, NotFound, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import ObjectInfo

# Immutable files: what stands there once is there for good, so a cached answer is the right one.
_DATA: Final = ("packs/", "manifests/", "segments/")

_REPLACED: Final = "refs/"  # the folder of files that are replaced, while others list it

# How file systems without hard links say so. If it was something else, the rename after it fails just as well.
_NO_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EMLINK}
)

_SWEEP_EVERY: Final = 1000
_LARGE: Final = 1 << 20
_ENDS_IN_DIGEST: Final = re.compile(r"[0-9a-f]{64}\Z")


class LocalBackend:
    """Bytes under keys in a folder, for any number of threads and processes.

    Nothing is read or made before it is needed: a folder that is missing lists as empty, and the first write
    makes it.  Locks are the kernel's and end with their process; one that is stopped while it holds a lock makes
    others wait, for at most `lock_timeout`.

    On a network file system (NFS, SMB, FUSE) what other machines wrote may be seen late.  So everything that can
    change is read under its lock there, and the first write warns, unless `shared_fs` says that this mount has
    locks that hold across machines.

    Args:
        uri: The folder: a path, or a `file://` URI. A leading `~` is the home folder.
        shared_fs: This folder is shared with other machines, over a mount whose locks hold: no warning.
        lock_timeout: Seconds to wait for a lock before `LockTimeoutError`.
        file_system: The system calls to use; for tests, and for file systems with rules of their own.

    Raises:
        InvalidArgumentError: `uri` is not a path of a folder here, or `lock_timeout` is negative.
    """

    def __init__(
        self,
        uri: str | os.PathLike[str],
        *,
        shared_fs: bool = False,
        lock_timeout: float = 30.0,
        file_system: FileSystem | None = None,
    ) -> None:
        if not lock_timeout >= 0:
            raise InvalidArgumentError(f"lock_timeout is seconds, 0 or more, not {lock_timeout!r}")
        self._root = root_of(uri)
        self._shared_fs = shared_fs
        self._lock_timeout = lock_timeout
        self._files = FileSystem() if file_system is None else file_system
        self._folders = Folders(self._files, self._root)
        self._locks = ShardLocks(self._root, lock_timeout)
        self._hard_links = True
        self._network: str | None = None
        self._network_known = False
        self._publishes = count()
        self._owed: set[str] = set()  # folders whose flush failed when something had its name there already
        self._ready_in = 0  # the process that has prepared the folder

    def __reduce__(self) -> tuple[object, ...]:
        return (_reopen, (self._root, self._shared_fs, self._lock_timeout, self._files))

    def __repr__(self) -> str:
        return f"LocalBackend({self._root!r})"

    @property
    def location(self) -> str:
        """The folder as a `file://` URI."""
        return uri_of(self._root)

    @property
    def root(self) -> str:
        """The folder, an absolute path."""
        return self._root

    @property
    def shared_fs(self) -> bool:
        """Whether the caller vouches for the locks of a shared mount."""
        return self._shared_fs

    @property
    def network(self) -> str | None:
        """The type of the network file system that the folder is on (`nfs4`, …), None for a local disk."""
        if not self._network_known:
            self._network = self._files.network(self._root)
            self._network_known = True
        return self._network

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`.

        Raises:
            NotFound: There is no such key.
            InvalidArgumentError: Not a key, or not a range.
            StorageError: The folder cannot be read.
        """
        check_key(key)
        check_range(start, stop)
        whole = start == 0 and stop is None
        try:
            if whole and self._owed:
                self._pay(key.rpartition("/")[0])
            if whole and self._is_read_locked(key):
                data = self._read_locked(key)
            else:
                data = self._read(self._path(key), start, stop)
        except StorageError:
            raise
        except OSError as err:
            raise self._read_error(err, key) from err
        if whole and held is not None and held.token is not None and held.data == data:
            return held  # no read is saved here, but a hash, and the caller sees at once that nothing changed
        return Object(data, _token_of(data) if whole else None)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """See `Backend.create`.

        With `durable=False` the folder is not flushed, so the key may be gone after a power failure, until the
        next `swap` by the same handle: that flushes it before anybody can see what it swaps. The bytes are
        flushed all the same, if there are any: otherwise the key could be there with other bytes.

        A body of a mebibyte or more under a key that ends in 64 hexadecimal characters is taken to be named by
        its own BLAKE3, as all of casreg's data is: that is the token, and nothing is hashed twice.

        Raises:
            AlreadyExists: The key exists; its bytes are unchanged.
            InvalidArgumentError: Not a key, or `data` is not contiguous.
            StorageError: Full, not allowed, not reachable, or a lock was not to be had.
        """
        check_key(key)
        body = _view(data)
        path = self._path(key)

        def publish(file: temporary.TemporaryFile) -> None:
            file.close()
            self._give_new_name(file.path, path)

        def attempt() -> None:
            if self._files.exists(path):
                with self._locks.hold(shard_of(key)):
                    # Under the lock, so that whoever wrote it has flushed the folder too.
                    if self._files.exists(path):
                        raise self._exists(path)
            self._publish(key, body, publish, durable=durable, commit=False)

        self._twice(attempt, path)
        return Token(key[-64:]) if len(body) >= _LARGE and _ENDS_IN_DIGEST.search(key) else _token_of(body)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`.

        Raises:
            Conflict: The key is in another state, or does not exist; its bytes are unchanged.
            InvalidArgumentError: Not a key, or `data` is not contiguous.
            StorageError: Full, not allowed, not reachable, or a lock was not to be had.
        """
        check_key(key)
        body = _view(data)
        path = self._path(key)

        def publish(file: temporary.TemporaryFile) -> None:
            self._check_state(path, expected)
            file.close()
            self._files.replace(file.path, path)

        def attempt() -> None:
            if not self._is_read_locked(key):
                self._check_state(path, expected)  # who has lost already need not write
            self._publish(key, body, publish, durable=True, commit=True)

        self._twice(attempt, path)
        return _token_of(body)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`. Rows have no tokens: that would take reading every file.

        Raises:
            StorageError: The folder cannot be read.
        """
        try:
            if not self._files.is_folder(self._root):
                if self._files.exists(self._root):
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
                return
            yield from walk(self._files, self._root, prefix, after, self._names)
        except OSError as err:
            raise storage_error(err, "list", f"{self._root}/{prefix}") from err

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`. Durable when it returns: every folder that lost a key is flushed, once.

        Raises:
            InvalidArgumentError: Not a key; those before it are gone.
            StorageError: Not allowed, not reachable, or a lock was not to be had; some may be gone.
        """
        touched: dict[str, None] = {}
        for key in keys:
            check_key(key)
            path = self._path(key)
            if self._files.exists(path) and not self._files.is_folder(path):
                self._twice(lambda path=path, key=key: self._unlink(path, key), path)  # type: ignore[misc]  # it has defaults
                touched[path.rpartition("/")[0]] = None
        for folder in touched:
            try:
                self._files.sync_folder(folder)
            except FileNotFoundError:
                continue  # gone with everything in it
            except OSError as err:
                raise storage_error(err, "flush", folder) from err

    def _names(self, folder: str) -> Sequence[str]:
        """The names in a folder, which is "" or ends in a slash."""
        path = self._path(folder)
        if folder != _REPLACED:
            return self._files.scan(path)  # nothing is replaced there, or it is one file
        is_shared = self._shared_fs or self.network is not None
        return settled_names(self._files, self._locks, path, is_shared=is_shared)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _twice(self, attempt: Callable[[], None], path: str) -> None:
        """Do it; if folders are missing (the first write, or somebody removed them), make them and do it again."""
        try:
            try:
                attempt()
            except FileNotFoundError:
                self._folders.forget()
                self._make_ready()
                attempt()
        except StorageError:
            raise
        except OSError as err:
            raise storage_error(err, "write", path) from err

    def _publish(
        self,
        key: str,
        body: memoryview,
        publish: Callable[[temporary.TemporaryFile], None],
        *,
        durable: bool,
        commit: bool,
    ) -> None:
        """Write `body` to a temporary file, then `publish` it under the key's lock and flush its folder.

        `commit` makes durable, before that, what was written without.
        """
        number = next(self._publishes)
        if self._ready_in != os.getpid():
            self._make_ready()
        elif number % _SWEEP_EVERY == 0:
            temporary.sweep(self._files, self._root, self._locks)
        shard = shard_of(key)
        folder = key.rpartition("/")[0]
        self._folders.make(folder)
        file = temporary.create(self._files, self._root, shard)
        try:
            file.write(body, durable=durable or bool(body))
            if durable:
                self._folders.make_durable(folder)
            flushed = self._folders.flush_postponed(but=folder) if commit else ()
            with self._locks.hold(shard):
                publish(file)
                if durable:
                    self._flush(folder)
                else:
                    # Under the lock, so that whoever is told that it exists also flushes it.
                    self._folders.postpone(folder)
        except BaseException:
            file.remove()
            raise
        self._folders.settle(flushed)

    def _flush(self, folder: str) -> None:
        try:
            self._folders.flush(folder)
        except BaseException:
            # It has its name there, and whoever reads it back would take it for durable: so reading flushes first.
            self._owed.add(folder)
            raise
        self._owed.discard(folder)

    def _pay(self, folder: str) -> None:
        if folder in self._owed:
            try:
                self._flush(folder)
            except FileNotFoundError:
                self._owed.discard(folder)  # somebody removed it, with everything in it

    def _make_ready(self) -> None:
        """What the first write of a process does: make folders, warn, clean up."""
        if self.network is not None and not self._shared_fs and not self._ready_in:
            warnings.warn(
                f"{self._root!r} is on a network file system ({self.network}), whose caches and locks may not hold "
                "between machines: write from one machine at a time, or say shared_fs=True if this mount's locks hold",
                UserWarning,
                stacklevel=2,
            )
        self._folders.prepare()
        temporary.sweep(self._files, self._root, self._locks)
        self._ready_in = os.getpid()

    def _give_new_name(self, source: str, path: str) -> None:
        """Rename `source` to `path` unless that exists. Under the lock of its shard."""
        if self._hard_links:
            try:
                self._files.link(source, path)
            except FileExistsError as err:
                raise self._exists(path) from err
            except OSError as err:
                if err.errno not in _NO_LINKS:
                    raise
            else:
                # It is done: nothing that fails from here on may look as if it had never happened.
                temporary.unlink_if_there(self._files, source)
                return
        # Every writer holds the lock of the shard here, so nobody can come in between.
        if self._files.exists(path):
            raise self._exists(path)
        self._files.replace(source, path)
        self._hard_links = False

    def _exists(self, path: str) -> StorageError:
        if self._files.is_folder(path):
            return storage_error(IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)), "write", path)
        return AlreadyExists(f"{path!r} exists")

    def _check_state(self, path: str, expected: Token) -> None:
        try:
            current = self._read(path, 0, None)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as err:
            raise Conflict(f"{path!r} does not exist") from err
        if _token_of(current) != expected:
            raise Conflict(f"{path!r} was changed by somebody else")

    def _unlink(self, path: str, key: str) -> None:
        with self._locks.hold(shard_of(key)):
            try:
                self._files.unlink(path)
            except FileNotFoundError:
                return  # somebody else removed it

    def _is_read_locked(self, key: str) -> bool:
        return not key.startswith(_DATA) and (self._shared_fs or self.network is not None)

    def _read_locked(self, key: str) -> bytes:
        path = self._path(key)
        try:
            with self._locks.hold(shard_of(key)):
                return self._read(path, 0, None)
        except StorageError:
            raise
        except FileNotFoundError:
            # No such key, or no locks: nobody has written here yet.
            return self._read(path, 0, None)
        except OSError as err:
            if err.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
                raise
            return self._read(path, 0, None)  # a reader who may not write cannot lock either

    def _read(self, path: str, start: int, stop: int | None) -> bytes:
        fd = self._files.open_read(path)
        try:
            size = self._files.size(fd)
            end = size if stop is None else min(stop, size)
            return self._files.read(fd, end - start, start) if end > start else b""
        finally:
            self._files.close(fd)

    def _read_error(self, err: OSError, key: str) -> StorageError:
        path = self._path(key)
        if isinstance(err, NotADirectoryError) and not self._files.is_folder(self._root):
            return storage_error(err, "read", self._root)
        if isinstance(err, FileNotFoundError | NotADirectoryError | IsADirectoryError):
            return NotFound(f"there is no {path!r}")
        return storage_error(err, "read", path)


def _token_of(body: Buffer) -> Token:
    return Token(digest_of(body).hex())


def _view(data: Buffer) -> memoryview:
    """The bytes of `data`, one after the other, without copying them."""
    view = memoryview(data)
    if not view.nbytes:
        return memoryview(b"")
    if not view.c_contiguous:
        raise InvalidArgumentError("the data is not contiguous in memory: pass a contiguous copy of it")
    return view.cast("B")


def _reopen(root: str, shared_fs: bool, lock_timeout: float, files: FileSystem) -> LocalBackend:
    return LocalBackend(root, shared_fs=shared_fs, lock_timeout=lock_timeout, file_system=files)
