"""Where bytes come from: buffers in memory, joined; and files that change while they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import SourceChangedError, SourceError, SourceNotFoundError
from casreg.ingest import sources
from casreg.ingest.sources import FileSource, MemorySource, stat_of
from casreg.registry import Registry
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

_READ_AT: Callable[[int, memoryview, int], int] = sources._read_at


# ---------------------------------------------------------------------------------------------- memory


@given(
    buffers=st.lists(st.binary(max_size=20), max_size=8),
    cuts=st.tuples(st.integers(0, 60), st.integers(0, 60)),
)
def test_buffers_read_as_their_concatenation(buffers: list[bytes], cuts: tuple[int, int]) -> None:
    """Any range of some buffers, empty ones among them, is that range of their concatenation."""
    source = MemorySource(buffers)
    whole = b"".join(buffers)
    start, stop = sorted(min(cut, len(whole)) for cut in cuts)
    assert source.size == len(whole)
    assert bytes(source.read(start, stop, memoryview(bytearray(60)))) == whole[start:stop]


def test_what_was_read_does_not_follow_the_buffer() -> None:
    """What was read stays as it is when its owner writes to the buffer: hashed and stored are the same bytes."""
    owner = bytearray(b"before")
    read = MemorySource([owner]).read(0, 6, memoryview(bytearray(6)))
    owner[:] = b"after!"
    assert bytes(read) == b"before"


def test_buffers_of_any_type() -> None:
    """Buffers with items of several bytes, or several dimensions, are their bytes."""
    from array import array

    source = MemorySource([array("d", [1.0, 2.0]), memoryview(b"abcdef").cast("B", (2, 3))])
    assert source.size == 22
    assert bytes(source.read(16, 22, memoryview(bytearray(6)))) == b"abcdef"


# ---------------------------------------------------------------------------------------------- files


def _file(path: Path, data: bytes) -> FileSource:
    path.write_bytes(data)
    return FileSource(os.fspath(path), stat_of(path.stat()))


def test_a_file_is_read_in_ranges(tmp_path: Path) -> None:
    """Ranges of a file come from where they are, from many threads with one handle."""
    source = _file(tmp_path / "file", b"0123456789")
    source.open()
    assert bytes(source.read(3, 7, memoryview(bytearray(100)))) == b"3456"
    assert bytes(source.read(0, 2, memoryview(bytearray(2)))) == b"01"
    source.close()


def test_short_reads_are_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that gives fewer bytes than were asked for is asked again."""
    real = _READ_AT
    monkeypatch.setattr(sources, "_read_at", lambda fd, target, offset: real(fd, target[:3], offset))
    source = _file(tmp_path / "file", b"0123456789")
    source.open()
    assert bytes(source.read(0, 10, memoryview(bytearray(10)))) == b"0123456789"
    source.close()


def test_abandon_closes_at_any_time(tmp_path: Path) -> None:
    """An abandoned file is closed once, whether it was opened or not."""
    source = _file(tmp_path / "file", b"x")
    source.abandon()
    source.open()
    open_before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    source.abandon()
    source.abandon()
    if open_before:
        assert len(os.listdir("/proc/self/fd")) == open_before - 1


def test_an_unreadable_file_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the system is a `SourceError` that names the file."""

    def fail(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(sources, "_read_at", fail)
    (tmp_path / "file").write_bytes(noise(50_000))
    with pytest.raises(SourceError, match=r"file cannot be read: Input/output error"):
        Registry(MemoryBackend()).save("thing", tmp_path / "file")


def test_a_young_file_is_left_to_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was written in this tick of the clock is read only when a later write would change its time."""
    waited: list[float] = []
    now = 1_700_000_000_000_000_000
    monkeypatch.setattr("casreg.ingest.sources.time.time_ns", lambda: now)
    monkeypatch.setattr("casreg.ingest.sources.time.sleep", waited.append)
    path = tmp_path / "file"
    path.write_bytes(b"x")
    os.utime(path, ns=(now - 5_000_000, now - 5_000_000))
    source = FileSource(os.fspath(path), stat_of(path.stat()))
    source.open()
    source.close()
    os.utime(path, ns=(now - 500_000_000, now - 500_000_000))
    old = FileSource(os.fspath(path), stat_of(path.stat()))
    old.open()
    old.close()
    os.utime(path, ns=(now + 3_600_000_000_000, now + 3_600_000_000_000))
    future = FileSource(os.fspath(path), stat_of(path.stat()))
    future.open()
    future.close()
    assert waited == [0.015]  # neither for the old one nor, for an hour, for the one from the future


# ---------------------------------------------------------------------------------------------- changes while reading

CHANGES: dict[str, Callable[[Path], object]] = {
    "grows": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "shrinks": lambda path: os.truncate(path, 10),
    "rewritten": lambda path: path.write_bytes(noise(path.stat().st_size, 99)),
    "replaced": lambda path: _replace(path, noise(path.stat().st_size, 98)),
    "touched": lambda path: os.utime(path, (1, 1)),
    "emptied": lambda path: os.truncate(path, 0),
}


def _replace(path: Path, data: bytes) -> None:
    path.with_suffix(".new").write_bytes(data)
    path.with_suffix(".new").replace(path)


class Meddler:
    """Changes a file of the tree when a certain byte of it is about to be read."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, path: Path, change: Callable[[Path], object], at: int
    ) -> None:
        self.done = False
        real = _READ_AT
        inode = path.stat().st_ino

        def read_at(fd: int, target: memoryview, offset: int) -> int:
            if not self.done and os.fstat(fd).st_ino == inode and offset <= at < offset + len(target):
                self.done = True
                change(path)
            return real(fd, target, offset)

        monkeypatch.setattr(sources, "_read_at", read_at)


@pytest.mark.parametrize("change", [label for label in CHANGES if label != "replaced"])
@pytest.mark.parametrize(
    ("size", "at"),
    [(5_000, 0), (100_000, 99_999), (20_000_000, 0), (20_000_000, 10_000_000), (20_000_000, 19_999_999)],
)
def test_a_file_that_changes_while_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, size: int, at: int
) -> None:
    """A file that changes between the first and the last look at it is an error that names it; nothing is saved."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for name in ("before", "file", "later"):
        (folder / name).write_bytes(noise(size if name == "file" else 3_000))
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", 1)
    meddler = Meddler(monkeypatch, folder / "file", CHANGES[change], at)
    with pytest.raises(SourceChangedError, match=r"folder/file changed"):
        registry.save("thing", folder)
    assert meddler.done
    assert registry.list_versions("thing") == ["1.0.0"]


def test_a_file_that_is_replaced_after_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that another takes the place of while it is read is either saved as it was, or an error: no mixture."""
    path = tmp_path / "file"
    path.write_bytes(noise(20_000_000))
    Meddler(monkeypatch, path, CHANGES["replaced"], 10_000_000)
    registry = Registry(MemoryBackend())
    try:
        registry.save("thing", path)
    except SourceChangedError:
        assert registry.list_objects() == []
    else:
        assert registry.load("thing").read_bytes() == noise(20_000_000)


def _after_listing(monkeypatch: pytest.MonkeyPatch, do: Callable[[], object]) -> None:
    """Do something after the files were listed, and before the first is opened."""
    real = FileSource.open
    todo = [do]

    def opened(self: FileSource) -> None:
        while todo:
            todo.pop()()
        real(self)

    monkeypatch.setattr(FileSource, "open", opened)


@pytest.mark.parametrize("size", [1_000, 50_000, 3_000_000])
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, size: int
) -> None:
    """A file that is not as it was listed is an error, whatever its size; nothing is written but garbage."""
    path = tmp_path / "file"
    path.write_bytes(noise(size))
    place = MemoryBackend()
    _after_listing(monkeypatch, lambda: CHANGES[change](path))
    with pytest.raises(SourceChangedError, match="file changed"):
        Registry(place).save("thing", path)
    assert not [key for key in snapshot(place) if key.startswith(("refs/", "manifests/"))]


@pytest.mark.parametrize("size", [1_000, 50_000, 3_000_000])
def test_a_file_that_vanishes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """A file that is gone when it should be read is a `SourceNotFoundError`, a `FileNotFoundError`."""
    path = tmp_path / "file"
    path.write_bytes(noise(size))
    registry = Registry(MemoryBackend())
    _after_listing(monkeypatch, path.unlink)
    with pytest.raises(SourceNotFoundError, match="file was removed") as caught:
        registry.save("thing", path)
    assert isinstance(caught.value, FileNotFoundError)
    assert registry.list_objects() == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_file_that_becomes_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe in the place of a file is an error: nobody waits for somebody to write into it."""
    path = tmp_path / "file"
    path.write_bytes(noise(50_000))

    def swap() -> None:
        path.unlink()
        os.mkfifo(path)

    _after_listing(monkeypatch, swap)
    with pytest.raises(SourceChangedError):
        Registry(MemoryBackend()).save("thing", path)


def test_a_folder_in_the_place_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder where a file was is an error."""
    path = tmp_path / "file"
    path.write_bytes(noise(50_000))

    def swap() -> None:
        path.unlink()
        path.mkdir()

    _after_listing(monkeypatch, swap)
    with pytest.raises(SourceError):
        Registry(MemoryBackend()).save("thing", path)


def test_files_are_closed_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever goes wrong, no file stays open."""
    if not Path("/proc/self/fd").exists():
        pytest.skip("this system does not list open files")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}").write_bytes(noise(9_000_000, number))
    before = len(os.listdir("/proc/self/fd"))
    Meddler(monkeypatch, folder / "3", CHANGES["grows"], 5_000_000)
    with pytest.raises(SourceChangedError):
        Registry(MemoryBackend()).save("thing", folder)
    assert len(os.listdir("/proc/self/fd")) == before
