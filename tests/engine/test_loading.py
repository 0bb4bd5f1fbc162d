"""Loading paths: all of it or nothing, never over something else, and clear words where it cannot be."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, DestinationError, NotFound
from casreg.fetch import sinks
from casreg.ingest import assembly
from casreg.keys import MANIFESTS, PACKS
from casreg.materializers.folders import EmptyFolder, MemoryFile
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.repository.committing import Terms
from casreg.repository.saving import Draft, save
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from casreg.backends.base import Object

TREE = {"a": noise(30_000, 1), "sub/b": noise(3_000_000, 2), "sub/deep/c": b"", "z": b"tiny"}


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry with a folder in it."""
    for name, data in TREE.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(data)
    registry = Registry(MemoryBackend())
    registry.save("tree", tmp_path / "tree")
    return registry


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def _entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("default-"))


# ---------------------------------------------------------------------------------------------- where


def test_into_an_empty_folder(registry: Registry, tmp_path: Path) -> None:
    """An empty folder is filled; its permissions stay what they were."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o710)
    assert registry.load("tree", into=out) == out
    assert _contents(out) == TREE
    assert stat.S_IMODE(out.stat().st_mode) == 0o710


def test_into_a_link_to_an_empty_folder(registry: Registry, tmp_path: Path) -> None:
    """A link to an empty folder is followed, as everywhere."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    found = registry.load("tree", into=tmp_path / "link")
    assert _contents(found) == TREE
    assert _contents(tmp_path / "real") == TREE
    assert (tmp_path / "link").is_symlink()


def test_into_a_relative_path(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path is one of the working folder, and what comes back is absolute."""
    monkeypatch.chdir(tmp_path)
    found = registry.load("tree", into="x/y")
    assert found.is_absolute()
    assert _contents(tmp_path / "x" / "y") == TREE


def test_into_a_name_of_255_bytes(registry: Registry, tmp_path: Path) -> None:
    """The longest name that a file system takes can be loaded into."""
    assert _contents(registry.load("tree", into=tmp_path / ("n" * 255))) == TREE


def test_what_is_there_is_never_touched(registry: Registry, tmp_path: Path) -> None:
    """A folder that is not empty, or a file, is refused, and stays as it is."""
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine").write_bytes(b"mine")
    with pytest.raises(DestinationError, match=r"full is not empty \(it holds 'mine'\)"):
        registry.load("tree", into=full)
    with pytest.raises(DestinationError, match="mine"):
        registry.load("tree", into=full / "mine")
    with pytest.raises(DestinationError):
        registry.load("tree", into=full / "mine" / "below")
    assert _contents(full) == {"mine": b"mine"}
    assert _entries(tmp_path) == ["full", "tree"]


def test_a_circle_of_links(registry: Registry, tmp_path: Path) -> None:
    """Links that lead to themselves are a `DestinationError`."""
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(DestinationError):
        registry.load("tree", into=tmp_path / "one")


def test_somebody_else_comes_first(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If something appears at the destination while it is loaded, that stays and the load is refused."""
    out = tmp_path / "out"
    real = sinks._write_at

    def write(*arguments: Any) -> int:
        out.mkdir(exist_ok=True)
        (out / "theirs").write_bytes(b"theirs")
        return int(real(*arguments))

    monkeypatch.setattr(sinks, "_write_at", write)
    with pytest.raises(DestinationError, match="out cannot be loaded into"):
        registry.load("tree", into=out)
    assert _contents(out) == {"theirs": b"theirs"}
    assert _entries(tmp_path) == ["out", "tree"]


# ---------------------------------------------------------------------------------------------- at once or not at all


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_full_disk(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """A disk that is full in the middle is a `DestinationError`, an `OSError`, and nothing is left behind."""
    real, count = sinks._write_at, 0

    def write(*arguments: Any) -> int:
        nonlocal count
        count += 1
        if count == 2:
            raise OSError(code, os.strerror(code))
        return int(real(*arguments))

    monkeypatch.setattr(sinks, "_write_at", write)
    with pytest.raises(DestinationError, match=os.strerror(code)) as caught:
        registry.load("tree", into=tmp_path / "out")
    assert isinstance(caught.value, OSError)
    assert _entries(tmp_path) == ["tree"]
    assert not _leftovers(registry)


def _leftovers(registry: Registry) -> list[Path]:
    held = registry._scratch._held
    return [] if held is None else list(held[1].rglob("*"))


def test_short_writes_are_completed(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system that writes fewer bytes than were given is given the rest."""
    if not hasattr(os, "pwritev"):
        pytest.skip("there is no pwritev here")
    real = os.pwritev
    monkeypatch.setattr(
        os, "pwritev", lambda fd, views, offset: real(fd, [memoryview(views[0])[:1000]], offset)
    )
    assert _contents(registry.load("tree", into=tmp_path / "out")) == TREE


@pytest.mark.parametrize("key", [PACKS, MANIFESTS])
def test_damage_leaves_nothing(registry: Registry, tmp_path: Path, key: str) -> None:
    """A load that meets damage leaves nothing at the destination, nor beside it."""
    backend = registry.backend
    for info in list(backend.list(key)):
        data = bytearray(backend.get(info.key).data)
        data[len(data) // 2] ^= 1
        backend.delete([info.key])
        backend.create(info.key, data)
    with pytest.raises(CorruptError):
        Registry(backend).load("tree", into=tmp_path / "out")
    assert _entries(tmp_path) == ["tree"]


def test_an_interrupt_leaves_nothing(registry: Registry, tmp_path: Path) -> None:
    """Control-C in the middle of a load leaves nothing, and is not swallowed."""

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.load("tree", into=tmp_path / "out", progress=stop)
    assert _entries(tmp_path) == ["tree"]


def test_a_process_that_dies_leaves_nothing_there(tmp_path: Path) -> None:
    """A process that is killed while it loads has put nothing at the destination."""
    place, out = tmp_path / "place", tmp_path / "out"
    (tmp_path / "file").write_bytes(noise(5_000_000))
    Registry(place).save("thing", tmp_path / "file")
    code = (
        "import os, sys\n"
        "from casreg import Registry\n"
        "Registry(sys.argv[1]).load('thing', into=sys.argv[2], progress=lambda report: os._exit(9))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(place), str(out)], check=False)
    assert done.returncode == 9
    assert not out.exists()
    assert Registry(place).load("thing", into=out).read_bytes() == noise(5_000_000)


# ---------------------------------------------------------------------------------------------- names that collide


def _stored(files: Sequence[MemoryFile | EmptyFolder]) -> Registry:
    """A folder that this file system need not be able to hold."""
    place = MemoryBackend()
    save(Repository(place), Draft(Terms("tree"), "path.folder/1", {}, files))
    return Registry(place)


@pytest.mark.parametrize("size", [5, 40_000])
def test_two_paths_that_are_one_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Where a file system takes two stored paths for one file, that is said, and nothing is left."""
    registry = _stored([MemoryFile(name, (noise(size),), size) for name in ("README", "readme")])
    assert set(_contents(registry.load("tree", into=tmp_path / "fine"))) == {"README", "readme"}
    real = os.open
    monkeypatch.setattr(os, "open", lambda path, *rest, **more: real(_folded(path), *rest, **more))
    with pytest.raises(DestinationError, match=r"'(readme|README)' is there already.*case"):
        registry.load("tree", into=tmp_path / "out")
    assert _entries(tmp_path) == ["fine"]


def test_two_folders_that_are_one_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders whose names fold into one are refused too: their files would be mixed."""
    registry = _stored([MemoryFile("Docs/a", (b"1",), 1), MemoryFile("docs/b", (b"2",), 1)])
    real_open, real_mkdir = os.open, os.mkdir
    monkeypatch.setattr(os, "open", lambda path, *rest, **more: real_open(_folded(path), *rest, **more))
    monkeypatch.setattr(os, "mkdir", lambda path, *rest, **more: real_mkdir(_folded(path), *rest, **more))
    with pytest.raises(DestinationError, match=r"docs"):
        registry.load("tree", into=tmp_path / "out")
    assert _entries(tmp_path) == []


def _folded(path: Any) -> Any:
    """A path as a file system sees it that ignores the case of last parts."""
    head, tail = os.path.split(os.fspath(path))
    if isinstance(path, str) and ".casreg-" in head:
        base, _, inner = path.partition("/.casreg-")
        folder, _, rest = inner.partition("/")
        return f"{base}/.casreg-{folder}/{rest.lower()}"
    return os.path.join(head, tail)


def test_names_of_every_kind(tmp_path: Path) -> None:
    """Names with spaces, dots, quotes, line feeds, and both forms of an accent come back as they were."""
    names = [
        "a b",
        ".hidden",
        "x.",
        "'q\"",
        "line\nfeed",
        "tab\t",
        "é",
        "e\u0301",
        "日本",
        "-rf",
        "~",
        "*?",
        "a" * 255,
    ]
    registry = _stored([MemoryFile(name, (name.encode(),), len(name.encode())) for name in names])
    found = registry.load("tree", into=tmp_path / "out")
    assert _contents(found) == {name: name.encode() for name in names}


# ---------------------------------------------------------------------------------------------- readers and collectors


class Vanishing:
    """A backend that says once that a file is missing, and does something before."""

    def __init__(self, inner: MemoryBackend) -> None:
        self.inner = inner
        self.todo: Any = None
        self.prefix = PACKS

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        if key.startswith(self.prefix) and self.todo is not None:
            do, self.todo = self.todo, None
            do()
            raise NotFound(f"{key} is gone")
        return self.inner.get(key, start, stop, held=held)


@pytest.mark.parametrize("prefix", [PACKS, MANIFESTS])
def test_a_version_that_was_overwritten_meanwhile(prefix: str, tmp_path: Path) -> None:
    """If data is missing since the version was overwritten, the new content is loaded, whole."""
    place = Vanishing(MemoryBackend())
    writer = Registry(place.inner, mutable=True)
    for number, name in enumerate(("value", "tree")):
        writer.save(name, noise(50_000, 1) if not number else _tree(tmp_path / "one", 1), version="1.0.0")
    reader = Registry(place)
    place.prefix = prefix
    place.todo = lambda: writer.save("value", noise(60_000, 2), version="1.0.0")
    assert reader.load("value") == noise(60_000, 2)
    place.todo = lambda: writer.save("tree", _tree(tmp_path / "two", 2), version="1.0.0")
    found = reader.load("tree", into=tmp_path / "out")
    assert _contents(found) == _contents(tmp_path / "two")


def _tree(folder: Path, seed: int) -> Path:
    folder.mkdir()
    for number in range(50):
        (folder / f"{seed}-{number}").write_bytes(noise(500, seed * 100 + number))
    return folder


def test_a_pack_that_is_really_gone() -> None:
    """If data is missing and the ref still says that it is there, that is damage: named, after one more look."""
    place = Vanishing(MemoryBackend())
    Registry(place.inner).save("value", noise(50_000))
    place.todo = lambda: None
    with pytest.raises(CorruptError, match=r"value@1\.0\.0 needs data that is not there \(packs/"):
        Registry(place).load("value")
    assert Registry(place).load("value") == noise(50_000)


def test_a_version_that_was_deleted_meanwhile() -> None:
    """If data is missing since the version was deleted, it is not found."""
    from casreg.exceptions import ObjectNotFoundError

    place = Vanishing(MemoryBackend())
    writer = Registry(place.inner)
    writer.save("value", noise(50_000))
    place.todo = lambda: writer.delete("value")
    with pytest.raises(ObjectNotFoundError):
        Registry(place).load("value")


# ---------------------------------------------------------------------------------------------- stored paths


@pytest.mark.parametrize(
    "path",
    ["../up", "/etc/passwd", "a/../../b", "a//b", ".", "..", "", "a\0b", "a\\b", "C:x", "nul", "a/con.txt"],
)
def test_a_hostile_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """A version whose paths lead elsewhere, made by somebody with another program, is not extracted anywhere."""
    real = assembly._entry
    monkeypatch.setattr(
        assembly,
        "_entry",
        lambda file, stream: _renamed(real(file, stream), path if file.path == "victim" else None),
    )
    registry = _stored([MemoryFile("victim", (b"evil",), 4)])
    before = snapshot(registry.backend)
    monkeypatch.undo()
    with pytest.raises(CorruptError, match="manifests/"):
        Registry(registry.backend).load("tree", into=tmp_path / "out")
    assert _entries(tmp_path) == []
    assert snapshot(registry.backend) == before


def _renamed(entry: Any, path: str | None) -> Any:
    from dataclasses import replace

    return entry if path is None else replace(entry, path=path)
