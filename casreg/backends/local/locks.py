"""Locks that the kernel frees when their process dies: 256 lock files, and a lock on every temporary file.

Each hold opens its file anew, because a lock (`flock`, by way of `portalocker`) belongs to an open file and not
to a process: so it keeps out other threads as well as other processes.  Lock files are never removed: two
holders of one name would otherwise hold two different files.
"""

from __future__ import annotations

import os
import random
import socket
import time
from contextlib import contextmanager, suppress
from functools import cache
from typing import TYPE_CHECKING, Final

from casreg.digest import digest_of
from casreg.exceptions import LockTimeoutError, UnsafeStorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

FOLDER: Final = "locks"

_OPEN: Final[int] = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
_FIRST_PAUSE: Final = 0.0005
_LONGEST_PAUSE: Final = 0.05
_HOLDER_BYTES: Final = 128


def shard_of(key: str) -> int:
    """Which of the 256 locks guards `key`: the first byte of the BLAKE3 of the key."""
    return digest_of(key.encode())[0]


class ShardLocks:
    """The 256 locks of one repository.

    Args:
        root: The repository's folder.
        timeout: Seconds to wait for a lock.
    """

    def __init__(self, root: str, timeout: float) -> None:
        self._folder = f"{root}/{FOLDER}"
        self._timeout = timeout

    @contextmanager
    def hold(self, shard: int) -> Iterator[None]:
        """Hold one lock; wait for it, in short steps that grow to 50 ms, for no longer than the timeout.

        Raises:
            LockTimeoutError: Another process (or thread) has held it all the time. Names its process id.
            UnsafeStorageError: This file system has no locks.
            OSError: The lock file cannot be opened; `FileNotFoundError` if its folder is missing.
        """
        path = self._path(shard)
        fd = os.open(path, _OPEN, 0o666)
        remember(fd)
        try:
            self._acquire(fd, path)
            _write_holder(fd)
            try:
                yield
            finally:
                _unlock(fd)
        finally:
            forget(fd)

    @contextmanager
    def try_hold(self, shard: int) -> Iterator[bool]:
        """Hold one lock if that is possible at once; gives whether it is held."""
        fd = os.open(self._path(shard), _OPEN, 0o666)
        remember(fd)
        try:
            held = try_lock(fd)
            try:
                yield held
            finally:
                if held:
                    _unlock(fd)
        finally:
            forget(fd)

    def _path(self, shard: int) -> str:
        return f"{self._folder}/{shard:02x}"

    def _acquire(self, fd: int, path: str) -> None:
        if try_lock(fd):
            return
        deadline = time.monotonic() + self._timeout
        pause = _FIRST_PAUSE
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise LockTimeoutError(_held_by(fd, path, self._timeout))
            time.sleep(min(left, pause * random.uniform(0.5, 1.0)))
            if try_lock(fd):
                return
            pause = min(2 * pause, _LONGEST_PAUSE)


def try_lock(fd: int) -> bool:
    """Take the lock of an open file if nobody has it; whether it was taken.

    Raises:
        UnsafeStorageError: This file system has no locks.
    """
    portalocker, flags = _portalocker()
    try:
        portalocker.lock(fd, flags)
    except portalocker.AlreadyLocked:
        return False
    except portalocker.LockException as err:
        raise UnsafeStorageError(
            f"this file system cannot lock files ({err}), so commits could be lost: "
            "mount it with locks, or keep the registry on another one"
        ) from err
    return True


def _unlock(fd: int) -> None:
    # Closing would do, if no other process could have inherited the open file: then the lock would stay.
    _portalocker()[0].unlock(fd)


@cache
def _portalocker() -> tuple[ModuleType, int]:
    # Loaded with the first lock and not before: it takes as long as the rest of a small program.
    import portalocker  # noqa: PLC0415 - see above

    return portalocker, portalocker.LockFlags.EXCLUSIVE | portalocker.LockFlags.NON_BLOCKING


def _write_holder(fd: int) -> None:
    """Say in the lock file who has it. Written only when it changes: most holders are the last one again."""
    # Always of one size: cutting a file off costs a file system more than the rest of taking a lock.
    holder = f"{os.getpid()} {_host()}".encode()[: _HOLDER_BYTES - 1].ljust(_HOLDER_BYTES - 1) + b"\n"
    # It only serves a message: on a full disk, `delete` has to work all the same.
    with suppress(OSError):
        if os.read(fd, _HOLDER_BYTES) != holder:
            os.lseek(fd, 0, os.SEEK_SET)
            os.write(fd, holder)


def _held_by(fd: int, path: str, timeout: float) -> str:
    try:
        os.lseek(fd, 0, os.SEEK_SET)
        pid, _, host = os.read(fd, _HOLDER_BYTES).decode("utf-8", "replace").strip().partition(" ")
    except OSError:
        pid, host = "", ""  # Windows lets nobody else read what is locked
    who = f"process {pid} on {host or 'this machine'}" if pid else "another process"
    return (
        f"waited {timeout:g} s for the lock {path!r}, which {who} holds. If that process is stopped (SIGSTOP, "
        "a debugger, a suspended job), continue or end it: the lock is free as soon as it is gone"
    )


_host_name = ""


def _host() -> str:
    global _host_name  # noqa: PLW0603 - asked once; a machine's name does not change under a process
    if not _host_name:
        _host_name = socket.gethostname()
    return _host_name


# A forked child inherits open files, and with them locks that a thread of its parent holds: if the parent died,
# the child would hold them for ever without knowing. So every open lock is known here, and a child closes them.
_open: set[int] = set()
_watching_forks = False


def remember(fd: int) -> None:
    """Take note of an open file that is, or will be, locked. Give it back with `forget`."""
    global _watching_forks  # noqa: PLW0603 - registered with the first lock: importing does nothing
    if not _watching_forks:
        _watching_forks = True
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_close_inherited)
    _open.add(fd)


def forget(fd: int) -> None:
    """Close an open file that `remember` was told of."""
    # In a forked child it is closed already, and its number may be another file's.
    if fd in _open:
        _open.discard(fd)
        os.close(fd)


def _close_inherited() -> None:
    inherited = list(_open)
    _open.clear()
    for fd in inherited:
        os.close(fd)
