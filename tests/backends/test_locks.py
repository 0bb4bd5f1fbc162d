"""Locks: who is kept out, for how long, and what becomes of them when their holder is stopped or killed."""

from __future__ import annotations

import errno
import os
import signal
import threading
from typing import TYPE_CHECKING, Any

import portalocker
import pytest

from casreg.backends.local import FileSystem, LocalBackend
from casreg.backends.local.locks import ShardLocks, shard_of
from casreg.exceptions import LockTimeoutError, UnsafeStorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


MakeChild = Any  # the fixture in conftest.py, which cannot be imported

STOPS_INSIDE = """
import os, signal, sys
from casreg.backends.local import FileSystem, LocalBackend

class Stops(FileSystem):
    def sync_folder(self, path):
        if path.endswith("/refs") and armed:
            os.kill(os.getpid(), signal.SIGSTOP)
        super().sync_folder(path)

armed = False
backend = LocalBackend(sys.argv[1], file_system=Stops())
token = backend.create("refs/r", b"1")
print("ready", flush=True)
armed = True
backend.swap("refs/r", b"2", token)
print("done", flush=True)
"""


def stop_inside(make_child: MakeChild, place: Path) -> Any:
    """A process that is stopped (SIGSTOP) while it holds the lock of `refs/r`, in the middle of a swap."""
    child = make_child(STOPS_INSIDE, place)
    child.expect("ready")
    os.waitid(os.P_PID, child.pid, os.WSTOPPED | os.WNOWAIT)
    return child


def test_others_wait_for_a_stopped_holder_no_longer_than_the_bound(
    make_child: MakeChild, tmp_path: Path
) -> None:
    """They get an error that names its process and says what to do, and nothing is lost."""
    child = stop_inside(make_child, tmp_path)
    backend = LocalBackend(tmp_path, lock_timeout=0.2)
    token = backend.get("refs/r").token
    assert token is not None
    with pytest.raises(LockTimeoutError, match=rf"waited 0.2 s .*process {child.pid} .*SIGSTOP"):
        backend.swap("refs/r", b"3", token)
    with pytest.raises(LockTimeoutError, match=f"process {child.pid} "):
        backend.create("refs/r", b"3")
    with pytest.raises(LockTimeoutError, match=f"process {child.pid} "):
        backend.delete(["refs/r"])
    assert list((tmp_path / "tmp").iterdir()) == []
    assert backend.get("refs/r").data == b"2", "reading needs no lock"


def test_others_go_on_when_the_holder_continues(make_child: MakeChild, tmp_path: Path) -> None:
    """Who was waiting gets the lock, and sees what the holder did."""
    child = stop_inside(make_child, tmp_path)
    backend = LocalBackend(tmp_path)
    token = backend.get("refs/r").token
    assert token is not None
    threading.Timer(0.1, child.signal, [signal.SIGCONT]).start()
    backend.swap("refs/r", b"3", token)
    child.expect("done")
    assert backend.get("refs/r").data == b"3"


def test_a_lock_ends_with_its_process(make_child: MakeChild, tmp_path: Path) -> None:
    """Killed while it holds the lock: the next one has it at once."""
    child = stop_inside(make_child, tmp_path)
    child.kill()
    backend = LocalBackend(tmp_path, lock_timeout=0)
    token = backend.get("refs/r").token
    assert token is not None
    backend.swap("refs/r", b"3", token)


def test_a_stopped_holder_keeps_out_its_shard_alone(make_child: MakeChild, tmp_path: Path) -> None:
    """Keys of the 255 others are written as ever."""
    stop_inside(make_child, tmp_path)
    backend = LocalBackend(tmp_path, lock_timeout=0)
    free = [f"refs/{number}" for number in range(300) if shard_of(f"refs/{number}") != shard_of("refs/r")]
    for key in free[:20]:
        backend.create(key, b"")


@pytest.fixture
def locks(tmp_path: Path) -> ShardLocks:
    """The locks of a repository in `tmp_path`, which do not wait."""
    (tmp_path / "locks").mkdir()
    return ShardLocks(str(tmp_path), timeout=0)


def test_a_lock_keeps_out_threads_of_the_same_process(locks: ShardLocks) -> None:
    """A lock belongs to an open file, and every holder opens its own."""
    outcome: list[bool] = []

    def try_it() -> None:
        with locks.try_hold(7) as held:
            outcome.append(held)

    with locks.hold(7):
        thread = threading.Thread(target=try_it)
        thread.start()
        thread.join()
    try_it()
    assert outcome == [False, True]


def test_a_lock_is_free_after_an_error(locks: ShardLocks) -> None:
    """Whatever happens to the holder."""
    with pytest.raises(KeyError), locks.hold(7):
        raise KeyError
    with locks.try_hold(7) as held:
        assert held


def test_lock_files_are_fixed_and_stay(locks: ShardLocks, tmp_path: Path) -> None:
    """One for each shard, in two hexadecimal characters; never removed, never another file."""
    with locks.hold(0), locks.hold(255):
        before = (tmp_path / "locks" / "ff").stat().st_ino
    with locks.hold(255):
        assert (tmp_path / "locks" / "ff").stat().st_ino == before
    assert sorted(path.name for path in (tmp_path / "locks").iterdir()) == ["00", "ff"]


def test_the_holder_writes_its_name_only_when_it_changes(locks: ShardLocks, tmp_path: Path) -> None:
    """A lock that one process takes again and again dirties nothing."""
    with locks.hold(7):
        assert (tmp_path / "locks" / "07").read_text().split()[0] == str(os.getpid())
    os.utime(tmp_path / "locks" / "07", (1, 1))
    with locks.hold(7):
        assert (tmp_path / "locks" / "07").stat().st_mtime == 1


class LooksAtTheLock(FileSystem):
    """Notes for each call whether the lock of `refs/r` is held."""

    def __init__(self, locks: ShardLocks) -> None:
        super().__init__()
        self.locks = locks
        self.held: dict[str, bool] = {}

    def write(self, fd: int, data: memoryview) -> None:
        self._note("write")
        super().write(fd, data)

    def sync_file(self, fd: int) -> None:
        self._note("sync_file")
        super().sync_file(fd)

    def link(self, source: str, target: str) -> None:
        self._note("link")
        super().link(source, target)

    def replace(self, source: str, target: str) -> None:
        self._note("replace")
        super().replace(source, target)

    def sync_folder(self, path: str) -> None:
        self._note("sync_folder")
        super().sync_folder(path)

    def _note(self, call: str) -> None:
        with self.locks.try_hold(shard_of("refs/r")) as free:
            self.held[call] = not free


def test_only_names_change_under_the_lock(tmp_path: Path, locks: ShardLocks) -> None:
    """Writing and flushing the bytes comes before it; naming them, and flushing the folder, within."""
    files = LooksAtTheLock(locks)
    backend = LocalBackend(tmp_path, file_system=files)
    token = backend.create("refs/r", b"1")
    assert files.held == {"write": False, "sync_file": False, "link": True, "sync_folder": True}
    backend.swap("refs/r", b"2", token)
    assert files.held["replace"]


def test_an_existing_key_is_told_only_when_it_is_durable(tmp_path: Path, locks: ShardLocks) -> None:
    """`create` of a key whose writer has not flushed the folder yet waits for the lock before it says so."""
    waited: list[bool] = []

    class Rival(FileSystem):
        def sync_folder(self, path: str) -> None:
            if path.endswith("/refs"):
                with pytest.raises(LockTimeoutError):
                    LocalBackend(tmp_path, lock_timeout=0).create("refs/r", b"2")
                waited.append(True)
            super().sync_folder(path)

    LocalBackend(tmp_path, file_system=Rival()).create("refs/r", b"1")
    assert waited == [True]


@pytest.fixture
def child_pid() -> Iterator[list[int]]:
    """Forked children, ended when the test is over."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_does_not_keep_a_lock_of_its_parent(locks: ShardLocks, child_pid: list[int]) -> None:
    """It inherits the open file, but gives it back: the lock is its parent's alone, and free with it."""
    ready = os.pipe()
    lock = locks.hold(7)
    lock.__enter__()
    pid = os.fork()
    if not pid:  # the child waits until its parent is done with its test
        os.write(ready[1], b"x")
        signal.pause()
    child_pid.append(pid)
    os.read(ready[0], 1)
    with locks.try_hold(7) as held:
        assert not held, "the parent's hold is untouched by the fork"
    # As if the parent had died without a word: its files are closed, nothing is unlocked.
    from casreg.backends.local import locks as module

    module._close_inherited()
    with locks.try_hold(7) as held:
        assert held
    with pytest.raises(portalocker.LockException):
        lock.__exit__(None, None, None)
    for fd in ready:
        os.close(fd)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_handle_works_in_a_forked_child(tmp_path: Path) -> None:
    """On both sides, on the same keys."""
    backend = LocalBackend(tmp_path)
    token = backend.create("refs/r", b"0")
    pid = os.fork()
    if not pid:
        try:
            backend.create("refs/child", b"")
            backend.swap("refs/r", b"child", token)
        except BaseException:  # noqa: BLE001 - pytest must not go on in the child
            os._exit(1)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    backend.create("refs/parent", b"")
    assert [row.key for row in backend.list("")] == ["refs/child", "refs/parent", "refs/r"]
    assert backend.get("refs/r").data == b"child"


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written where two writers could not be kept apart."""

    def no_locks(fd: int, flags: int) -> None:
        cause = OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        raise portalocker.LockException(cause) from cause

    monkeypatch.setattr(portalocker, "lock", no_locks)
    with pytest.raises(UnsafeStorageError, match="mount it with locks"):
        LocalBackend(tmp_path).create("refs/r", b"1")
    assert list((tmp_path / "tmp").iterdir()) == []
    assert list((tmp_path / "refs").iterdir()) == []
