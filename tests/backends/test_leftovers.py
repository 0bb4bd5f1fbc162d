"""What dead processes leave in `tmp/`: it is bounded, it goes away, and nothing that lives goes with it."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path
from typing import Any

import pytest

from casreg.backends.local import FileSystem, LocalBackend, temporary
from casreg.backends.local.locks import ShardLocks, try_lock
from casreg.testing.simulated import WindowsFileSystem

MakeChild = Any  # the fixture in conftest.py, which cannot be imported

LEFT = "0a-" + "0" * 24

PUBLISHES = """
import sys
from casreg.backends.local import LocalBackend

backend = LocalBackend(sys.argv[1])
begin = int(sys.argv[2])
token = backend.get("refs/r").token
for number in range(begin, begin + 100000):
    body = b"%d " % number * 2000
    backend.create(f"packs/{number % 7:02d}/{number}", body)
    token = backend.swap("refs/r", b"%d" % number, token)
    print(number, flush=True)
"""


def leftovers(place: Path) -> list[str]:
    """What is in `tmp/`."""
    return sorted(path.name for path in (place / "tmp").iterdir())


@pytest.mark.parametrize("rounds", [12, pytest.param(200, marks=pytest.mark.soak)])
def test_killed_writers_lose_nothing_and_leave_little(
    make_child: MakeChild, tmp_path: Path, rounds: int
) -> None:
    """SIGKILL in the middle of publishing, again and again: what was promised is there, whole; the place works at
    once; each death leaves one temporary file at most, and the next writer removes it.
    """
    backend = LocalBackend(tmp_path, lock_timeout=0)
    backend.create("refs/r", b"-1")
    draw = random.Random(5)
    promised = -1
    for round_ in range(rounds):
        begin = (round_ + 1) * 1_000_000
        child = make_child(PUBLISHES, tmp_path, begin)
        child.expect(str(begin))
        promised = begin
        child.process.poll()
        threading.Event().wait(draw.uniform(0, 0.02))
        said = child.kill().split()
        promised = int(said[-1]) if said else promised
        assert len(leftovers(tmp_path)) <= 1
        for number in range(begin, promised + 1):
            assert backend.get(f"packs/{number % 7:02d}/{number}").data == b"%d " % number * 2000
        for row in backend.list("packs/"):
            number = int(row.key.rpartition("/")[2])
            assert row.size == len(b"%d " % number * 2000)
        found = backend.get("refs/r")
        assert int(found.data) in {promised, promised + 1}
        assert found.token is not None
        LocalBackend(tmp_path, lock_timeout=0).swap("refs/r", found.data, found.token)
        assert leftovers(tmp_path) == []


def test_the_first_write_of_a_handle_cleans_up(tmp_path: Path) -> None:
    """Whatever the dead left, and nothing that is not of our making."""
    LocalBackend(tmp_path).create("a", b"")
    (tmp_path / "tmp" / LEFT).write_bytes(b"half a file")
    (tmp_path / "tmp" / "somebody's").write_bytes(b"")
    (tmp_path / "tmp" / "folder").mkdir()
    LocalBackend(tmp_path).create("b", b"")
    assert leftovers(tmp_path) == ["folder", "somebody's"]


def test_a_long_lived_handle_cleans_up_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every so many writes."""
    monkeypatch.setattr("casreg.backends.local.backend._SWEEP_EVERY", 5)
    backend = LocalBackend(tmp_path)
    backend.create("a", b"")
    (tmp_path / "tmp" / LEFT).write_bytes(b"half a file")
    for number in range(5):
        backend.create(f"b/{number}", b"", durable=False)
    assert leftovers(tmp_path) == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_cleans_up(tmp_path: Path) -> None:
    """The first write of each process does, also with a handle that its parent has used."""
    backend = LocalBackend(tmp_path)
    backend.create("a", b"")
    (tmp_path / "tmp" / LEFT).write_bytes(b"half a file")
    pid = os.fork()
    if not pid:
        backend.create("b", b"")
        os._exit(0)
    os.waitpid(pid, 0)
    assert leftovers(tmp_path) == []


def test_one_writer_cleans_up_only_so_much(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody pays for what thousands left: the rest is for the next ones."""
    monkeypatch.setattr("casreg.backends.local.temporary.SWEEP_AT_MOST", 10)
    LocalBackend(tmp_path).create("a", b"")
    for number in range(25):
        (tmp_path / "tmp" / f"0a-{number:024x}").write_bytes(b"")
    LocalBackend(tmp_path).create("b", b"")
    assert len(leftovers(tmp_path)) == 15


def test_a_file_under_way_is_left_alone(tmp_path: Path) -> None:
    """As long as its writer lives, another writer that cleans up does not touch it, at any point of the write."""

    class Rival(FileSystem):
        """Another handle cleans up at each step of the write."""

        def write(self, fd: int, data: memoryview) -> None:
            clean()
            super().write(fd, data)

        def sync_file(self, fd: int) -> None:
            clean()
            super().sync_file(fd)

        def link(self, source: str, target: str) -> None:
            clean()
            super().link(source, target)

        def replace(self, source: str, target: str) -> None:
            clean()
            super().replace(source, target)

    removed: list[int] = []
    shards = ShardLocks(str(tmp_path), timeout=0)

    def clean() -> None:
        removed.append(temporary.sweep(FileSystem(), str(tmp_path), shards))

    backend = LocalBackend(tmp_path, file_system=Rival())
    backend.swap("refs/r", b"2", backend.create("refs/r", b"1"))
    assert backend.get("refs/r").data == b"2"
    assert removed == [0] * 6


@pytest.mark.parametrize("moment", ["before the lock", "while locking"])
def test_a_file_that_is_taken_for_a_leftover_is_made_again(tmp_path: Path, moment: str) -> None:
    """Between its creation and its lock a new file looks dead. Whoever cleans up then does no harm."""

    class Rival(FileSystem):
        attempts = 0
        writes = 0

        def write(self, fd: int, data: memoryview) -> None:
            self.writes += 1
            super().write(fd, data)

        def create_file(self, path: str) -> int:
            fd = super().create_file(path)
            self.attempts += 1
            if self.attempts == 1:
                if moment == "before the lock":
                    assert temporary.sweep(FileSystem(), str(tmp_path), shards) == 1
                else:
                    self.holder = os.open(path, os.O_RDWR)
                    assert try_lock(self.holder)
            return fd

    shards = ShardLocks(str(tmp_path), timeout=0)
    files = Rival()
    backend = LocalBackend(tmp_path, file_system=files)
    backend.create("refs/r", b"hello")
    assert (files.attempts, files.writes) == (2, 1), "nothing was written to the one that was lost"
    assert backend.get("refs/r").data == b"hello"
    assert leftovers(tmp_path) == []
    if moment == "while locking":
        os.close(files.holder)


def test_what_cannot_be_removed_stops_nobody(tmp_path: Path) -> None:
    """Cleaning up is a favour: when it fails, the write goes on."""

    class Stubborn(FileSystem):
        def open_write(self, path: str) -> int:
            raise PermissionError(13, "not yours", path)

    LocalBackend(tmp_path).create("a", b"")
    (tmp_path / "tmp" / LEFT).write_bytes(b"")
    backend = LocalBackend(tmp_path, file_system=Stubborn())
    backend.create("b", b"")
    assert backend.get("b").data == b""
    assert leftovers(tmp_path) == [LEFT]


def test_leftovers_go_away_where_open_files_cannot_be_removed(tmp_path: Path) -> None:
    """On Windows, whoever cleans up has to close the file before it removes it."""
    LocalBackend(tmp_path).create("a", b"")
    (tmp_path / "tmp" / LEFT).write_bytes(b"half a file")
    LocalBackend(tmp_path, file_system=WindowsFileSystem()).create("b", b"")
    assert leftovers(tmp_path) == []


def test_who_empties_tmp_by_hand_loses_nothing(tmp_path: Path) -> None:
    """Not even between the two names that a file has for a moment: the write is done, and says so."""

    class Emptied(FileSystem):
        def link(self, source: str, target: str) -> None:
            super().link(source, target)
            Path(source).unlink()

    backend = LocalBackend(tmp_path, file_system=Emptied())
    backend.create("refs/r", b"1")
    assert backend.get("refs/r").data == b"1"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """Not even when it was interrupted by the user."""

    class Interrupted(FileSystem):
        def sync_file(self, fd: int) -> None:
            raise KeyboardInterrupt

    backend = LocalBackend(tmp_path, file_system=Interrupted())
    with pytest.raises(KeyboardInterrupt):
        backend.create("refs/r", b"1")
    assert leftovers(tmp_path) == []
    assert list(backend.list("")) == []
