"""Files that did not change are not read again; whatever might have changed is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from casreg import remembered
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.ingest.assembly import Remembered
from casreg.ingest.sources import FileSource, Stat
from casreg.keys import PACKS
from casreg.manifests import decode_list
from casreg.model import Chunk
from casreg.registry import Registry
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable

SIZES = {"a": 30_000, "b": 2_000_000, "sub/c": 100, "empty": 0, "d": 9_000_000}


class Opened(list[str]):
    """The names of the files that were opened, in order."""

    def take(self) -> list[str]:
        """Them, sorted; forgets them."""
        names = sorted(self)
        self.clear()
        return names


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Notes each file that is opened to be saved."""
    names = Opened()
    real = FileSource.open

    def note(self: FileSource) -> None:
        names.append(Path(self._path).name)
        real(self)

    monkeypatch.setattr(FileSource, "open", note)
    return names


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of files that are an hour old by mtime."""
    folder = tmp_path / "tree"
    for number, (name, size) in enumerate(SIZES.items()):
        _write(folder / name, noise(size, number))
    return folder


def _write(path: Path, data: bytes, age: float = 3600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    when = time.time_ns() - int(age * 1e9)
    os.utime(path, ns=(when, when))


@pytest.fixture(autouse=True)
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves believe that it is a minute later, so that files that the test has just made are not recent."""
    monkeypatch.setattr(remembered, "clock", lambda: time.time_ns() + 60_000_000_000)


ALL = ["a", "b", "c", "d", "empty"]


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _save(registry: Registry, tree: Path, name: str = "thing") -> None:
    """Save, and see that what is loaded is what is there."""
    registry.save(name, tree)
    assert _contents(registry.load(name)) == _contents(tree)


def test_unchanged_files_are_not_opened(tree: Path, opened: Opened) -> None:
    """The second save of a folder opens none of its files, also by another Registry."""
    place = MemoryBackend()
    _save(Registry(place), tree)
    assert opened.take() == ALL
    registry = Registry(place)
    _save(registry, tree)
    _save(registry, tree)
    assert opened.take() == []
    assert registry.info("thing@1.0.0")["data_digest"] == registry.info("thing@1.0.2")["data_digest"]


def _sneak(path: Path) -> None:
    times = path.stat()
    path.write_bytes(noise(30_000, 8))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def _replace(path: Path) -> None:
    times = path.stat()
    other = path.with_name("other")
    other.write_bytes(noise(30_000, 9))
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.replace(path)


CHANGES: dict[str, Callable[[Path], object]] = {
    "size": lambda path: _write(path, noise(30_001, 7)),
    "bytes": lambda path: _write(path, noise(30_000, 7), 1800),
    "mtime": lambda path: os.utime(path, ns=(10**18, 10**18)),
    # The bytes change and mtime is set back: only ctime tells, which programs cannot set.
    "ctime": _sneak,
    "inode": _replace,
    "mode": lambda path: path.chmod(0o755),
}


@pytest.mark.parametrize("change", CHANGES)
def test_changed_files_are_read(tree: Path, opened: Opened, change: str) -> None:
    """A file whose size, mtime, ctime or inode differs is read again; all others are not."""
    registry = Registry(MemoryBackend())
    _save(registry, tree)
    opened.take()
    CHANGES[change](tree / "a")
    _save(registry, tree)
    assert opened.take() == ["a"]
    _save(registry, tree)
    assert opened.take() == []


def test_new_and_vanished_files(tree: Path, opened: Opened) -> None:
    """A file that is new is read, one that is gone is gone, one that was renamed is read."""
    registry = Registry(MemoryBackend())
    _save(registry, tree)
    opened.take()
    _write(tree / "new", noise(40_000, 20))
    (tree / "b").unlink()
    (tree / "d").rename(tree / "e")
    _save(registry, tree)
    assert opened.take() == ["e", "new"]


@pytest.mark.usefixtures("tree")
def test_recent_files_are_read_again(tree: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that was written within two seconds before its save may be written again unseen: it is read again."""
    registry = Registry(MemoryBackend())
    monkeypatch.setattr(remembered, "clock", time.time_ns)
    _save(registry, tree)
    opened.take()
    _save(registry, tree)
    # The mtimes are an hour old, but ctime says when the files were really written.
    assert opened.take() == ALL


def test_files_from_the_future_are_read_again(tree: Path, opened: Opened) -> None:
    """A file whose mtime lies ahead is never remembered."""
    registry = Registry(MemoryBackend())
    _write(tree / "a", noise(30_000, 1), age=-86_400)
    _save(registry, tree)
    opened.take()
    _save(registry, tree)
    assert opened.take() == ["a"]


def test_a_single_file_is_remembered(tree: Path, opened: Opened) -> None:
    """A file saved by its own path is not read again either."""
    registry = Registry(MemoryBackend())
    for _ in range(2):
        registry.save("thing", tree / "b")
        assert registry.load("thing").read_bytes() == (tree / "b").read_bytes()
    assert opened.take() == ["b"]


def test_names_and_registries_do_not_mix(tree: Path, opened: Opened) -> None:
    """What one registry, or one name, remembers is not used for another, which lacks the chunks."""
    first, second = Registry(MemoryBackend()), Registry(MemoryBackend())
    _save(first, tree)
    opened.take()
    _save(second, tree)
    assert opened.take() == ALL
    _save(second, tree, "other")
    assert opened.take() == ALL
    _save(first, tree)
    _save(second, tree)
    assert opened.take() == []


def test_another_folder_of_the_same_name_is_read(tree: Path, opened: Opened, tmp_path: Path) -> None:
    """Two folders with files of the same names, saved under one name in turn, are not taken for each other."""
    other = tmp_path / "elsewhere" / "tree"
    for number, (name, size) in enumerate(SIZES.items()):
        _write(other / name, noise(size, 50 + number))
    registry = Registry(MemoryBackend())
    _save(registry, tree)
    _save(registry, other)
    _save(registry, tree)
    _save(registry, other)
    assert opened.take() == sorted(ALL * 2)


def test_relative_paths_mean_where_they_lead(
    tree: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The same relative path in another working folder is another source."""
    other = tmp_path / "elsewhere" / "tree"
    _write(other / "a", noise(30_000, 60))
    registry = Registry(MemoryBackend())
    monkeypatch.chdir(tree.parent)
    registry.save("thing", Path("tree"))
    monkeypatch.chdir(other.parent)
    registry.save("thing", Path("tree"))
    assert _contents(registry.load("thing")) == _contents(other)


def test_chunks_that_are_gone_are_read_again(tree: Path, opened: Opened) -> None:
    """Files whose chunks the repository no longer has are read again, whatever is remembered."""
    place = MemoryBackend()
    _save(Registry(place), tree)
    opened.take()
    place.delete([info.key for info in place.list("")])
    # A repository with the same id and nothing in it: as after a restore of an older copy.
    registry = Registry(MemoryBackend())
    registry.save("other", 1)
    _save(registry, tree)
    assert opened.take() == ALL


def test_packs_that_are_gone_are_stored_again(tree: Path, opened: Opened) -> None:
    """If a pack vanished, the files that were in it are read and stored again."""
    place = MemoryBackend()
    _save(Registry(place), tree)
    opened.take()
    place.delete([info.key for info in place.list(PACKS)])
    registry = Registry(place)
    registry.save("thing", tree)
    assert opened.take() == ["a", "b", "c", "d"]  # nothing of the empty one is gone
    assert _contents(registry.load("thing")) == _contents(tree)


@pytest.mark.parametrize("damage", [b"", b"x", b"0" * 64 + b"\n[]", None])
def test_a_damaged_memory_is_ignored(tree: Path, opened: Opened, damage: bytes | None) -> None:
    """A memory that is damaged or cannot be read costs reading, and nothing else; it is made anew."""
    registry = Registry(MemoryBackend())
    _save(registry, tree)
    (memory,) = (Path(os.environ["CASREG_CACHE_DIR"]) / "files").iterdir()
    if damage is None:
        memory.unlink()
        memory.mkdir()
    else:
        memory.write_bytes(damage)
    opened.take()
    _save(registry, tree)
    assert opened.take() == ALL
    _save(registry, tree)
    assert opened.take() == (ALL if damage is None else [])


def test_a_flipped_bit_in_the_memory_is_seen(tree: Path, opened: Opened) -> None:
    """One flipped bit anywhere in what is remembered never leads to other bytes."""
    registry = Registry(MemoryBackend())
    _save(registry, tree)
    (memory,) = (Path(os.environ["CASREG_CACHE_DIR"]) / "files").iterdir()
    good = memory.read_bytes()
    for at in range(0, len(good), max(len(good) // 40, 1)):
        bad = bytearray(good)
        bad[at] ^= 1
        memory.write_bytes(bad)
        assert remembered.recall(memory) == {}


def test_a_read_only_cache_does_not_hinder(
    tree: Path, opened: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache that cannot be written costs reading again, and nothing else."""
    blocked = tree.parent / "blocked"
    blocked.write_bytes(b"")
    monkeypatch.setenv("CASREG_CACHE_DIR", str(blocked / "below"))
    registry = Registry(MemoryBackend())
    _save(registry, tree)
    _save(registry, tree)
    assert opened.take() == sorted(ALL * 2)


def test_huge_inodes_do_not_hinder(tmp_path: Path) -> None:
    """An inode number of 128 bits, as ReFS has, cannot be kept: the file is just not remembered."""
    chunk = Chunk(digest_of(b"x"), 1)
    remembered.remember(tmp_path / "memory", 10**19, {"a": (Stat(1, 2, 3, 2**100, 5), [chunk])})
    assert remembered.recall(tmp_path / "memory") == {}


def test_what_is_remembered_is_recalled(tmp_path: Path) -> None:
    """State and chunks come back as they were; files that were recent do not."""
    chunks = [Chunk(digest_of(b"x"), 1), Chunk(digest_of(b"y"), 70_000)]
    old, young = Stat(70_001, 10**9, 2 * 10**9, 2**63 + 5, 2**62), Stat(1, 10**18, 10**18, 7, 8)
    remembered.remember(
        tmp_path / "memory", 10**18 + 1_999_999_999, {"ä": (old, chunks), "b": (young, chunks)}
    )
    found = remembered.recall(tmp_path / "memory")
    assert list(found) == ["ä"]
    assert isinstance(found["ä"], Remembered)
    assert found["ä"].stat == old
    assert decode_list(found["ä"].chunks, "memory") == chunks


def test_nothing_of_a_failed_save_is_remembered(tree: Path, opened: Opened) -> None:
    """A save that did not commit leaves nothing that a later one would rely on."""
    registry = Registry(MemoryBackend())

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.save("thing", tree, progress=stop)
    opened.take()
    _save(registry, tree)
    assert opened.take() == ALL
