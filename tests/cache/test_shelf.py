"""The files of a cache: verified at each use; and whatever the disk does, no call fails of it."""

from __future__ import annotations

import errno
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from cache.lab import copies_in, noise
from casreg.cache import shelf as shelves

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg import Cache
    from casreg.cache.shelf import Shelf

NAME, OTHER = "ab" * 32 + ".0", "ac" * 32 + ".7"


@pytest.fixture
def shelf(cache: Cache) -> Shelf:
    """Empty."""
    return cache.shelf()


def test_what_is_kept_is_read(cache: Cache, shelf: Shelf) -> None:
    """Any bytes, by any handle on the folder; what was never kept is not there."""
    for number, data in enumerate((b"", b"x", bytes(range(256)) * 999)):
        shelf.write(f"{NAME[:-1]}{number}", memoryview(data))
        assert cache.shelf().read(f"{NAME[:-1]}{number}") == data
    assert shelf.read(OTHER) is None


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "one bit": _flip,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "empty": lambda path: path.write_bytes(b""),
    "its digest": lambda path: path.write_bytes(b"\0" * 32 + path.read_bytes()[32:]),
    "no digest": lambda path: path.write_bytes(path.read_bytes()[32:]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_is_dropped(damage: str, cache: Cache, shelf: Shelf) -> None:
    """It is not there, at once and later, and can be kept anew."""
    shelf.write(NAME, noise(1000))
    (path,) = copies_in(cache)
    DAMAGES[damage](path)
    assert shelf.read(NAME) is None
    assert not path.exists()
    shelf.write(NAME, noise(1000))
    assert shelf.read(NAME) == noise(1000)


def test_the_copy_of_another_name_is_as_good_as_damaged(cache: Cache, shelf: Shelf) -> None:
    """Whole and right, but put under a wrong name by somebody."""
    shelf.write(NAME, noise(1000))
    shelf.write(OTHER, noise(1000, 1))
    right, wrong = copies_in(cache)
    wrong.write_bytes(right.read_bytes())
    assert shelf.read(OTHER) is None
    assert shelf.read(NAME) == noise(1000)


def test_using_a_copy_makes_it_young(cache: Cache, shelf: Shelf) -> None:
    """Once a minute: the time of the file is the time of its last use, and not each use writes to the disk."""
    shelf.write(NAME, b"x")
    (path,) = copies_in(cache)
    os.utime(path, (1000, 1000))
    shelf.read(NAME)
    assert path.stat().st_mtime > time.time() - 600
    recent = time.time() - 30
    os.utime(path, (recent, recent))
    shelf.read(NAME)
    assert abs(path.stat().st_mtime - recent) < 1


def test_a_copy_from_the_future_ages(cache: Cache, shelf: Shelf) -> None:
    """A clock that was wrong once must not keep a copy for ever."""
    shelf.write(NAME, b"x")
    (path,) = copies_in(cache)
    os.utime(path, (time.time() + 10**6,) * 2)
    shelf.read(NAME)
    assert path.stat().st_mtime < time.time() + 600


def test_a_folder_that_is_removed_is_made_again(cache: Cache, shelf: Shelf) -> None:
    """By the next copy that is kept, while everything runs."""
    import shutil

    shelf.write(NAME, b"x")
    shutil.rmtree(cache.path)
    assert shelf.read(NAME) is None
    shelf.write(NAME, b"y")
    assert shelf.read(NAME) == b"y"


def test_what_is_in_it_is_for_the_user_alone(cache: Cache, shelf: Shelf) -> None:
    """The folder that is made cannot be entered by others, and says to backups what it is."""
    shelf.write(NAME, b"x")
    if sys.platform != "win32":
        assert cache.path.stat().st_mode & 0o77 == 0
    assert (
        (cache.path / "v1/CACHEDIR.TAG")
        .read_bytes()
        .startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    )


def test_nothing_half_written_is_left(cache: Cache, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the disk is full in the middle of a copy, what was written of it goes."""
    shelf.write(OTHER, b"x")
    monkeypatch.setattr(shelves, "open", _full_disk, raising=False)
    shelf.write(NAME, noise(100_000))
    assert [path.name for path in copies_in(cache)] == [OTHER]
    assert not list((cache.path / "v1/new").iterdir())


def _full_disk(file: Any, mode: str, buffering: int = -1) -> Any:
    opened = open(file, mode, buffering=buffering)  # noqa: SIM115 - the caller closes it
    if "w" not in mode:
        return opened

    class Full:
        def __enter__(self) -> Any:
            return self

        def __exit__(self, *_: object) -> None:
            opened.close()

        def write(self, data: memoryview) -> int:
            if len(data) > 32:
                opened.write(data[:10])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return opened.write(data) or 0

    return Full()


def _file_in_place(path: Path) -> None:
    path.write_bytes(b"not a folder")


def _file_inside(path: Path) -> None:
    path.mkdir()
    (path / "v1").write_bytes(b"not a folder")


def _folder_as_copy(path: Path) -> None:
    (path / "v1" / NAME[:2] / NAME).mkdir(parents=True)


def _folder_as_usage(path: Path) -> None:
    (path / "v1/usage").mkdir(parents=True)


def _folder_as_lock(path: Path) -> None:
    (path / "v1/lock").mkdir(parents=True)


TROUBLES = [_file_in_place, _file_inside, _folder_as_copy, _folder_as_usage, _folder_as_lock]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_stands_in_the_way_fails_no_call(
    trouble: Callable[[Path], None], cache: Cache, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    """It is said once as a warning, and later only to who looks closely."""
    trouble(cache.path)
    with caplog.at_level(logging.DEBUG, "casreg.cache"):
        for _ in range(3):
            shelf.write(NAME, b"x")
            assert shelf.read(NAME) is None
    warnings = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(warnings) == 1
    assert "going on without it" in warnings[0].getMessage()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_refuses_fails_no_call(
    number: int, cache: Cache, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read-only, not allowed, full, over quota, ill: what is there already is still used."""
    shelf.write(OTHER, b"there")

    def refuse(*_: object, **__: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    shelf.write(NAME, b"x")
    assert shelf.read(NAME) is None
    assert shelf.read(OTHER) == b"there"


def test_after_a_refusal_the_disk_is_left_alone_for_a_while(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a minute later it is tried again."""
    now, asked = 1000.0, []

    def refuse(path: str, *_: object, **__: object) -> int:
        asked.append(path)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(time, "monotonic", lambda: now)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)
        for _ in range(10):
            shelf.write(NAME, b"x")
        assert len(asked) == 1
    shelf.write(NAME, b"x")
    assert shelf.read(NAME) is None
    now += 31.0
    shelf.write(NAME, b"x")
    assert shelf.read(NAME) == b"x"


def test_a_copy_that_somebody_reads_on_windows_is_there_already(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that is open cannot be replaced there: it stays, and that is no trouble."""
    shelf.write(NAME, b"x")

    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "replace", refuse)
    shelf.write(NAME, b"x")
    assert shelf.read(NAME) == b"x"
    assert not caplog.records
