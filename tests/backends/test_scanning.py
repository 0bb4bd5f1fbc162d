"""A listing of refs has all that were there, also where the file system leaves out what is being replaced."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.local import FileSystem, LocalBackend
from casreg.exceptions import LockTimeoutError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEYS = [f"refs/name{number}" for number in range(40)]


class Moving(FileSystem):
    """As tmpfs and btrfs: an entry that is replaced while its folder is read goes behind the end of what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.replace_one: Callable[[str], object] | None = None
        self.scans = 0

    def scan(self, path: str) -> list[str]:
        """The names, without those that somebody else replaces meanwhile."""
        names = super().scan(path)
        if not path.endswith("refs/"):
            return names
        self.scans += 1
        if self.replace_one is None:
            return names
        moved = []
        for name in names:
            with suppress(LockTimeoutError):  # nobody replaces what we have locked
                self.replace_one(f"refs/{name}")
                moved.append(name)
        return [name for name in names if name not in moved]


@pytest.fixture
def system() -> Moving:
    """That file system."""
    return Moving()


@pytest.fixture
def place(tmp_path: Path, system: Moving) -> LocalBackend:
    """A folder there, with some refs, all of which somebody else replaces whenever they are listed."""
    other = LocalBackend(tmp_path / "place", lock_timeout=0)

    def replace_one(key: str) -> None:
        found = other.get(key)
        assert found.token is not None
        other.swap(key, found.data + b"x", found.token)

    for key in KEYS:
        other.create(key, b"")
    system.replace_one = replace_one
    return LocalBackend(tmp_path / "place", file_system=system)


def test_refs_that_are_replaced_are_listed(place: LocalBackend) -> None:
    """All of them, in a listing of refs and in one of everything, and none twice."""
    assert [info.key for info in place.list("refs/")] == sorted(KEYS)
    assert [info.key for info in place.list("")] == sorted(KEYS)
    assert [info.key for info in place.list("refs/name3")] == ["refs/name3", *KEYS[30:]]


def test_a_quiet_folder_is_read_once(place: LocalBackend, system: Moving, tmp_path: Path) -> None:
    """Where nothing changes meanwhile, a listing takes no locks and reads once."""
    system.replace_one = None
    os.utime(tmp_path / "place" / "refs", (1, 1))
    assert len(list(place.list("refs/"))) == len(KEYS)
    assert system.scans == 1


@pytest.mark.parametrize("ahead", [0, 10**18], ids=["just now", "in the future"])
def test_a_time_that_may_stand_still_is_not_trusted(
    place: LocalBackend, system: Moving, ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times move in steps: what changes within one of them shows no other time. And a time to come says nothing."""
    real, now = system.stat, time.time_ns() + ahead
    monkeypatch.setattr(time, "time_ns", lambda: now - ahead)

    def stat(path: str) -> Any:
        return SimpleNamespace(st_mtime_ns=now) if path.endswith("refs/") else real(path)

    monkeypatch.setattr(system, "stat", stat)
    assert [info.key for info in place.list("refs/")] == sorted(KEYS)


def test_a_reader_who_may_not_lock_can_list(place: LocalBackend, system: Moving, tmp_path: Path) -> None:
    """Without the right to lock, or where no locks were ever made, a listing still lists."""
    system.replace_one = None
    os.utime(tmp_path / "place" / "refs")
    for lock in (tmp_path / "place" / "locks").iterdir():
        lock.unlink()
    (tmp_path / "place" / "locks").rmdir()
    assert [info.key for info in place.list("refs/")] == sorted(KEYS)


def test_who_holds_a_lock_and_stops_is_named(tmp_path: Path, system: Moving, place: LocalBackend) -> None:
    """A listing that cannot be complete is an error, and no shorter one."""
    impatient = LocalBackend(tmp_path / "place", file_system=system, lock_timeout=0)
    with place._locks.hold(7), pytest.raises(StorageError, match="holds"):
        list(impatient.list("refs/"))
