"""The limit of a cache, for any number of processes; what goes first; and clearing."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from cache.lab import MIB, copies_in, noise
from casreg import Cache
from casreg.cache import usage
from casreg.exceptions import StoragePermissionError

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython

KIB64 = noise(64 * 1024 - 32)


def name(number: int) -> str:
    """The name of a copy."""
    return f"{number:064x}.0"[-66:]


def on_disk(cache: Cache) -> int:
    """Bytes of all files in the folder, in whole blocks of 4 KiB."""
    return sum(-(-path.stat().st_size // 4096) * 4096 for path in cache.path.rglob("*") if path.is_file())


def test_the_limit_is_kept(tmp_path: Path) -> None:
    """Whatever is written, the folder takes no more than the limit."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    shelf = cache.shelf()
    for number in range(200):
        shelf.write(name(number), KIB64)
        assert cache.size() <= 2 * MIB
    assert cache.size() > MIB
    assert on_disk(cache) <= 2 * MIB + 64 * 1024


def test_what_was_not_used_for_longest_goes_first(tmp_path: Path) -> None:
    """The time of last use counts, not that of writing."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    shelf = cache.shelf()
    for number in range(24):
        shelf.write(name(number), KIB64)
    for path in copies_in(cache):
        age = 10_000 - int(path.name[:64], 16)
        os.utime(path, (time.time() - age,) * 2)
    used = [0, 3, 7]
    for number in used:
        assert shelf.read(name(number)) is not None
    for number in range(24, 40):
        shelf.write(name(number), KIB64)
    left = {number for number in range(24) if shelf.read(name(number)) is not None}
    assert left.issuperset(used)
    assert 0 < len(left) < 24
    assert left - set(used) == set(range(24 - len(left) + len(used), 24))


def test_most_writes_count_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are counted once at first, and then once for each eighth of the limit that is written."""
    counted = 0
    files = usage.Usage._files

    def count(self: usage.Usage, *, leftovers: bool = False) -> object:
        nonlocal counted
        counted += 1
        return files(self, leftovers=leftovers)

    monkeypatch.setattr(usage.Usage, "_files", count)
    shelf = Cache(tmp_path / "cache", limit=8 * MIB).shelf()
    for number in range(100):
        shelf.write(name(number), KIB64)
    assert counted == 1
    for number in range(100, 612):  # 32 MiB
        shelf.write(name(number), KIB64)
    assert counted <= 1 + 32 + 2


def test_a_copy_that_would_fill_half_of_it_is_not_kept(tmp_path: Path) -> None:
    """It would push out everything else."""
    cache = Cache(tmp_path / "cache", limit=MIB)
    shelf = cache.shelf()
    shelf.write(name(1), KIB64)
    shelf.write(name(2), noise(600 * 1024))
    assert [path.name for path in copies_in(cache)] == [name(1)]


def test_a_limit_of_nothing_keeps_nothing(tmp_path: Path) -> None:
    """Not even a folder is made."""
    cache = Cache(tmp_path / "cache", limit=0)
    cache.shelf().write(name(1), b"x")
    assert not cache.path.exists()


def test_a_smaller_limit_holds_from_the_next_write(tmp_path: Path) -> None:
    """Processes may differ about the limit: whoever writes sees to its own."""
    large = Cache(tmp_path / "cache", limit=8 * MIB)
    for number in range(100):
        large.shelf().write(name(number), KIB64)
    small = Cache(tmp_path / "cache", limit=2 * MIB)
    small.shelf().write(name(1000), KIB64)
    assert small.size() <= 2 * MIB
    assert small.shelf().read(name(1000)) is not None


def test_what_is_full_and_does_not_know_it_is_counted(tmp_path: Path) -> None:
    """When somebody removed the file with the count, the next write counts anew."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    for number in range(30):
        cache.shelf().write(name(number), KIB64)
    (cache.path / "v1/usage").unlink()
    for number in range(30, 60):
        cache.shelf().write(name(number), KIB64)
        assert cache.size() <= 2 * MIB


def test_nobody_waits_for_who_makes_room(tmp_path: Path) -> None:
    """While another holds the lock, nothing is added, and nothing fails."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    shelf = cache.shelf()
    for number in range(31):
        shelf.write(name(number), KIB64)
    with usage._held(str(cache.path / "v1/lock")) as held:
        assert held
        for number in range(31, 60):
            shelf.write(name(number), KIB64)
        assert cache.size() <= 2 * MIB
        assert shelf.read(name(50)) is None
    shelf.write(name(61), KIB64)
    assert shelf.read(name(61)) is not None


def test_what_cannot_be_removed_is_not_counted_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where room cannot be made, writing pauses instead of looking at all files again and again."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    shelf = cache.shelf()
    for number in range(31):
        shelf.write(name(number), KIB64)
    asked: list[str] = []

    def refuse(path: str) -> None:
        asked.append(path)
        raise PermissionError("it is open")

    monkeypatch.setattr(usage, "_remove", refuse)
    for number in range(31, 60):
        shelf.write(name(number), KIB64)
    assert 0 < len(asked) <= 32
    assert len(copies_in(cache)) <= 32
    assert "cannot be removed" in caplog.text


def test_files_of_processes_that_died_go(tmp_path: Path) -> None:
    """What was being written an hour ago is removed when room is made; what is younger may still be under way."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    shelf = cache.shelf()
    shelf.write(name(0), KIB64)
    old, young = (cache.path / "v1/new" / (letter * 32) for letter in "ab")
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 4000,) * 2)
    for number in range(40):
        shelf.write(name(number), KIB64)
    assert not old.exists()
    assert young.exists()


def test_threads_keep_the_limit(tmp_path: Path) -> None:
    """Eight at once, with one handle."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    shelf = cache.shelf()

    def work(number: int) -> int:
        most = 0
        for step in range(40):
            shelf.write(name(number * 1000 + step), KIB64)
            most = max(most, cache.size())
        return most

    with ThreadPoolExecutor(8) as pool:
        most = max(pool.map(work, range(8)))
    assert MIB < most <= 2 * MIB + 8 * 64 * 1024


WRITER = """
import sys
from casreg import Cache
cache = Cache(sys.argv[1], limit=2 << 20)
shelf, most = cache.shelf(), 0
for step in range(150):
    shelf.write(f"{int(sys.argv[2]) * 1000 + step:064x}.0", bytes([step]) * (64 * 1024 - 32))
    most = max(most, cache.size())
    for other in range(4):
        copy = shelf.read(f"{other * 1000 + step:064x}.0")
        assert copy is None or copy == bytes([step]) * (64 * 1024 - 32)
print(most)
"""


def test_processes_keep_the_limit_together(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Four at once, each writing five times the limit: never more than what is being written beyond it."""
    with ThreadPoolExecutor(4) as pool:
        runs = [
            pool.submit(fresh_python, WRITER, str(tmp_path / "cache"), str(number)) for number in range(4)
        ]
        most = max(int(run.result()) for run in runs)
    assert MIB < most <= 2 * MIB + 4 * 64 * 1024


# clearing


def test_clearing_removes_all_copies(tmp_path: Path) -> None:
    """Also the files that were being written; afterwards it is used as if it were new."""
    cache = Cache(tmp_path / "cache", limit=2 * MIB)
    shelf = cache.shelf()
    for number in range(10):
        shelf.write(name(number), KIB64)
    (cache.path / "v1/new" / ("a" * 32)).write_bytes(b"half")
    cache.clear()
    assert cache.size() == 0
    assert on_disk(cache) == 0
    shelf.write(name(1), KIB64)
    assert cache.size() == 64 * 1024


def test_clearing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    """And makes nothing."""
    cache = Cache(tmp_path / "cache")
    cache.clear()
    assert cache.size() == 0
    assert not cache.path.exists()


def test_nothing_else_is_ever_removed(tmp_path: Path) -> None:
    """Who names a folder with files of their own, even in one called `v1`, keeps them."""
    mine = [
        "v1/notes.txt",
        "v1/ab/photo.jpg",
        "v1/new/draft",
        "v1/archive/" + name(1),
        "other/x",
        "v1/abc/" + name(2),
    ]
    for path in mine:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(bytes(100_000))
        os.utime(tmp_path / path, (1, 1))
    cache = Cache(tmp_path, limit=MIB)
    for number in range(40):
        cache.shelf().write(name(number), KIB64)
    cache.clear()
    assert all((tmp_path / path).is_file() for path in mine)
    assert not copies_in(cache) or {path.name for path in copies_in(cache)} == {"photo.jpg"}


def test_what_cannot_be_cleared_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks for an empty cache is told that it is not; the message names the folder."""
    cache = Cache(tmp_path / "cache")
    cache.shelf().write(name(1), b"x")

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "unlink", refuse)
    with pytest.raises(StoragePermissionError, match="cache"):
        cache.clear()
