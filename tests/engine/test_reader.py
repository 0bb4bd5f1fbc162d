"""Reading a version: from inline payloads, lists of chunks at every depth, and trees; in the smallest number of reads."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import MaterializationError
from casreg.keys import PACKS
from casreg.registry import Registry
from casreg.repository.finding import select
from casreg.testing.recording import RecordingBackend
from casreg.versions import Latest
from registry.lab import noise, text

if TYPE_CHECKING:
    from casreg.backends.base import Object
    from casreg.model import Content
    from casreg.progress import Progress


class Gate:
    """A backend whose reads of packs wait while it is shut."""

    def __init__(self, inner: MemoryBackend) -> None:
        self.inner = inner
        self.shut_for: threading.Thread | None = None
        self.arrived = threading.Event()
        self.open = threading.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        if threading.current_thread() is self.shut_for and key.startswith(PACKS):
            self.arrived.set()
            assert self.open.wait(30)
        return self.inner.get(key, start, stop, held=held)


def _many_files(folder: Path, count: int = 50, size: int = 1_000) -> Path:
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:03}").write_bytes(noise(size, number))
    return folder


def content_of(registry: Registry, name: str) -> Content:
    """What the latest version of a name is."""
    repository = registry._repository
    _, entry = select(repository, name, Latest())
    return repository.manifest(entry.manifest).content


def test_one_slow_reader_does_not_hold_up_another(tmp_path: Path) -> None:
    """While one thread waits for the tree of its version, another loads a tree."""
    gate = Gate(MemoryBackend())
    registry = Registry(gate)
    registry.save("thing", _many_files(tmp_path / "tree"))
    slow = threading.Thread(target=registry.load, args=("thing",))
    gate.shut_for = slow
    slow.start()
    assert gate.arrived.wait(30)
    try:
        with ThreadPoolExecutor(1) as threads:
            found = threads.submit(registry.load, "thing").result(timeout=20)
        assert (found / "007").read_bytes() == noise(1_000, 7)
    finally:
        gate.open.set()
        slow.join()


@pytest.mark.parametrize(("files", "in_tree"), [(1, False), (32, False), (33, True), (300, True)])
def test_many_entries_move_to_a_tree(tmp_path: Path, files: int, in_tree: bool) -> None:
    """Up to 32 entries stand in the manifest, more in a tree; they come back either way."""
    registry = Registry(MemoryBackend())
    registry.save("thing", _many_files(tmp_path / "tree", files))
    content = content_of(registry, "thing")
    assert (content.tree is not None, content.count) == (in_tree, files)
    found = registry.load("thing", into=tmp_path / "out")
    assert {path.name: path.read_bytes() for path in found.iterdir()} == {
        f"{number:03}": noise(1_000, number) for number in range(files)
    }


@pytest.mark.parametrize("empty", [1, 40])
def test_empty_files_and_folders_only(tmp_path: Path, empty: int) -> None:
    """A version with entries but without a byte comes back, with and without a tree."""
    registry = Registry(MemoryBackend())
    for number in range(empty):
        (tmp_path / "tree" / f"folder-{number}").mkdir(parents=True)
        (tmp_path / "tree" / f"file-{number}").write_bytes(b"")
    registry.save("thing", tmp_path / "tree")
    found = registry.load("thing", into=tmp_path / "out")
    assert sorted(path.name for path in found.iterdir()) == sorted(
        path.name for path in (tmp_path / "tree").iterdir()
    )


def test_an_empty_folder_is_a_version(tmp_path: Path) -> None:
    """A folder without anything in it is saved, and loaded as such."""
    registry = Registry(MemoryBackend())
    (tmp_path / "nothing").mkdir()
    registry.save("thing", tmp_path / "nothing")
    found = registry.load("thing", into=tmp_path / "out")
    assert list(found.iterdir()) == []


@pytest.mark.usefixtures("tiny_chunks")
def test_lists_of_chunks_nest(tmp_path: Path) -> None:
    """Files of many chunks keep lists of them, long lists have lists in turn, and files of all depths load together."""
    (tmp_path / "tree").mkdir()
    contents = {
        "a-small": noise(100, 1),
        "b-deep": noise(250_000, 2),
        "c-listed": noise(20_000, 3),
        "d-empty": b"",
        "e-deep": noise(1_000_000, 4),
        "f-chunk": noise(1_000, 5),
    }
    for name, data in contents.items():
        (tmp_path / "tree" / name).write_bytes(data)
    registry = Registry(MemoryBackend())
    registry.save("thing", tmp_path / "tree")
    depths = {entry.path: entry.stream.depth for entry in content_of(registry, "thing").entries or ()}
    assert depths == {"a-small": 0, "b-deep": 2, "c-listed": 1, "d-empty": 0, "e-deep": 3, "f-chunk": 0}
    found = registry.load("thing", into=tmp_path / "out")
    assert all((found / name).read_bytes() == data for name, data in contents.items())
    for name, data in contents.items():
        registry.save("thing:one", tmp_path / "tree" / name)
        assert registry.load("thing:one").read_bytes() == data


@pytest.mark.usefixtures("tiny_chunks")
def test_a_tree_of_many_chunks_has_a_list(tmp_path: Path) -> None:
    """A tree that is itself long keeps lists of its chunks, beside the lists of its files."""
    registry = Registry(MemoryBackend())
    tree = _many_files(tmp_path / "tree", 300, 30)
    (tree / "big").write_bytes(text(300_000))
    registry.save("thing", tree)
    stored = content_of(registry, "thing").tree
    assert stored is not None
    assert stored.depth == 1
    found = registry.load("thing", into=tmp_path / "out")
    assert {path.name: path.read_bytes() for path in found.iterdir()} == {
        path.name: path.read_bytes() for path in tree.iterdir()
    }


class Picky:
    """Loads files in an order of its own, one of them twice, and one as a real path."""

    id: ClassVar[str] = "test.picky/1"
    types: tuple[type | str, ...] = ()

    def save(self, obj: Any, folder: Any) -> None:
        for name, data in obj.items():
            folder.add(name, data)

    def load(self, folder: Any, cls: type | None) -> dict[str, bytes]:
        paths = list(folder.paths)
        found = {path: bytes(folder.read(path)) for path in reversed(paths)}
        again = bytearray(folder.size(paths[0]))
        folder.read_into(paths[0], again)
        assert again == found[paths[0]]
        real: Path = folder / paths[-1]
        assert real.read_bytes() == found[paths[-1]]
        assert real.name == Path(paths[-1]).name
        return found


@pytest.mark.parametrize("size", [10, 200_000])
def test_files_may_be_read_in_any_order(size: int) -> None:
    """A materializer may read its files in any order, twice, into its own buffer, and as a path."""
    registry = Registry(MemoryBackend())
    value = {f"f{number}/x": noise(size + number, number) for number in range(5)} | {"zero": b""}
    registry.save("thing", value, materializer=Picky())
    assert registry.load("thing", materializer=Picky()) == value


def test_what_is_read_twice_is_reported_once() -> None:
    """However often a materializer reads its files, progress does not pass the total."""
    registry = Registry(MemoryBackend())
    registry.save("thing", {"a": noise(200_000), "b": b"x"}, materializer=Picky())
    reports: list[Progress] = []
    registry.load("thing", materializer=Picky(), progress=reports.append)
    assert max(report.done for report in reports) == reports[-1].done == reports[-1].total == 200_001


class Wrong(Picky):
    """Asks for what is not there."""

    def load(self, folder: Any, cls: type | None) -> dict[str, bytes]:
        folder.read("missing")
        return {}


class WrongBuffer(Picky):
    """Brings a buffer of another size."""

    def load(self, folder: Any, cls: type | None) -> dict[str, bytes]:
        folder.read_into("a", bytearray(3))
        return {}


@pytest.mark.parametrize("kind", [Wrong, WrongBuffer])
def test_what_a_materializer_may_not_ask(kind: type[Picky]) -> None:
    """A file that is not in the version, or a buffer of the wrong size, is a clear error."""
    registry = Registry(MemoryBackend())
    registry.save("thing", {"a": b"12345"}, materializer=Picky())
    with pytest.raises(MaterializationError, match=r"'missing'|5 bytes"):
        registry.load("thing", materializer=kind())


def test_many_small_files_take_few_reads(tmp_path: Path) -> None:
    """Files that lie side by side in a pack are read together: 500 files in a handful of requests."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    registry.save("thing", _many_files(tmp_path / "tree", 500, 2_000))
    backend.log.clear()
    registry.load("thing", into=tmp_path / "out")
    assert len(backend.log.calls("get", PACKS)) <= 4


def test_no_byte_is_read_twice() -> None:
    """A big object is loaded with reads that add up to what its packs hold of it, and not more."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    data = text(40_000_000)
    registry.save("thing", data)
    packs = sum(info.size for info in backend.inner.list(PACKS))
    backend.log.clear()
    assert registry.load("thing") == data
    reads = backend.log.calls("get", PACKS)
    assert sum(read.bytes_out for read in reads) <= packs
    assert len(reads) <= 20
