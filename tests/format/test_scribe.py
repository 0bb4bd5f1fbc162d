"""What a program writes that knows docs/format.md only, casreg reads, verifies, goes on with, and collects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from format import stranger
from format.golden import block, make_tree, quarters, xof
from format.scribe import Scribe, Sections, canonical, chunks_of, entries_of, loose, zstd
from format.test_golden import view

if TYPE_CHECKING:
    from pathlib import Path

LARGE = xof("scribe", 1_500_000)
IDENT = "00112233445566778899aabbccddeeff"

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "compressed": {"packing": zstd},
    "many small packs": {"pack_chunks": 2, "run_chunks": 1},
    "placements in segments": {"segments": True, "run_chunks": 3},
    "another spelling of placements": {"unknown": {"newer": [1]}},
}


def files_in(folder: Path) -> dict[str, bytes | None]:
    """What is in a folder, as entries have it."""
    paths = [p for p in folder.rglob("*") if p.is_file() or (p.is_dir() and not any(p.iterdir()))]
    return {p.relative_to(folder).as_posix(): None if p.is_dir() else p.read_bytes() for p in paths}


def written(root: Path, tree: Path, **ways: Any) -> None:
    """A repository with a small object, a large one and a tree, all by the page alone."""
    scribe = Scribe(root, **ways)
    scribe.marker(IDENT)
    small = scribe.version("python.json/1", {"data.json": b'{"rate":0.5}'}, {"why": "first"})
    scribe.ref("my:model", versions={"1.0.0": small}, tags={"prod": ["1.0.0", small["manifest"]]})
    scribe.ref("Large", versions={"1.0.0": scribe.version("python.bytes/1", {"data.bin": LARGE})})
    files = scribe.version("path.folder/1", files_in(tree), executable=["run.sh"])
    scribe.ref("a_tree", versions={"0.1.0": files})


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder that needs a tree: empty folders, an executable file, one with a chunk list."""
    folder = tmp_path / "tree"
    folder.mkdir()
    make_tree(folder)
    return folder


@pytest.mark.parametrize("way", WAYS)
def test_casreg_goes_on_where_another_writer_was(way: str, tree: Path, tmp_path: Path) -> None:
    """It loads and verifies everything, saves beside it without storing anything twice, and collects what is deleted."""
    root = tmp_path / "r"
    written(root, tree, **WAYS[way])
    registry = Registry(root, allow_underscore=True)
    assert registry.list_objects() == ["Large", "a_tree", "my:model"]
    assert registry.load("my:model", "prod") == {"rate": 0.5}
    assert registry.info("my:model")["metadata"] == {"why": "first"}
    assert registry.load("Large") == LARGE
    assert files_in(registry.load("a_tree")) == files_in(tree)
    report = registry.verify(data=True)
    assert (report.damages, report.unreached) == ((), 0)
    stranger.verify(stranger.Storage(root))

    assert registry.save("Large", LARGE[:700_000] + b"changed" + LARGE[700_000:]) == "1.0.1"
    assert registry.info("Large")["stored"] < 400_000
    assert registry.save("my:model", {"rate": 0.7}) == "1.0.1"
    registry.delete("my:model", "1.0.0")
    registry.delete("Large")
    Scribe(root).version(
        "python.bytes/1", {"data.bin": xof("nobody's", 20_000)}
    )  # a save that died before its ref
    assert registry.gc(min_age=0, undelete_window=0).files["packs"] >= 1
    assert registry.load("my:model") == {"rate": 0.7}
    assert files_in(registry.load("a_tree")) == files_in(tree)
    assert registry.verify(data=True).damages == ()
    assert view(root).keys() == {"a_tree", "my:model"}
    stranger.verify(stranger.Storage(root))


def test_both_writers_have_one_identity_for_one_object(tree: Path, tmp_path: Path) -> None:
    """The page alone gives the digests that casreg gives: of values, of chunk lists, of trees with executables."""
    written(tmp_path / "r", tree)
    theirs = Registry(tmp_path / "r", allow_underscore=True)
    ours = Registry(MemoryBackend(), allow_underscore=True)
    ours.save("my:model", {"rate": 0.5}, metadata={"why": "first"})
    ours.save("Large", LARGE)
    ours.save("a_tree", tree)
    for name in ours.list_objects():
        assert ours.info(name)["digest"] == theirs.info(name)["digest"]


def test_another_writer_goes_on_where_casreg_was(tmp_path: Path) -> None:
    """It adds a version to a ref of casreg's, which casreg then overwrites, deletes and adds to; then it is its turn."""
    root = tmp_path / "r"
    registry = Registry(root, mutable=True)
    for number in range(3):
        registry.save("x", number, tags=[f"t{number}"])
    registry.delete("x", "1.0.1")
    scribe = Scribe(root)

    def add(version: str, value: bytes) -> None:
        versions = stranger.Storage(root).names()["x"].body["versions"]
        entry = scribe.version("python.json/1", {"data.json": value})
        scribe.ref("x", versions={**versions, version: entry})

    add("1.0.3", b"3")
    assert registry.load("x") == 3
    assert registry.save("x", 4) == "1.0.4"
    registry.save("x", 33, version="1.0.3")
    assert registry.undelete("x", "1.0.1") == "1.0.1"
    add("2.0.0", b"20")
    assert [registry.load("x", version) for version in registry.list_versions("x")] == [0, 1, 2, 33, 4, 20]
    assert stranger.Storage(root).names()["x"].body["tags"].keys() == {"t0", "t2"}
    assert registry.save("x", 21) == "2.0.1"
    assert registry.verify(data=True).damages == ()
    stranger.verify(stranger.Storage(root))


def test_a_bundle_and_a_sync_take_what_another_writer_wrote(tree: Path, tmp_path: Path) -> None:
    """Copies have the same identities and files, under names of their own."""
    written(tmp_path / "r", tree, pack_chunks=5, packing=zstd)
    registry = Registry(tmp_path / "r", allow_underscore=True)
    registry.export(tmp_path / "b.casreg")
    counted = stranger.verify(stranger.Bundle(tmp_path / "b.casreg"))
    assert counted["versions"] == 3
    other = Registry(tmp_path / "other", allow_underscore=True)
    assert other.sync(registry).clean
    assert view(tmp_path / "other") == view(tmp_path / "r")


def test_the_scribe_spells_and_cuts_as_the_page_says() -> None:
    """It is a writer of its own, and a fair one: the loose spelling is another one of the same value."""
    value = {"b": [1.0, -0.0, 1e16, 1e-07, True, None], "a/": "é\n\0😀"}
    assert canonical(value) == '{"a/":"é\\n\\u0000😀","b":[1.0,-0.0,1e+16,1e-07,true,null]}'
    assert loose(value) != canonical(value)
    assert (
        stranger.strict(loose(value).encode(), "x")
        == stranger.strict(canonical(value).encode(), "x")
        == value
    )
    data = block() * 18 + quarters("a", 200_000)
    assert b"".join(chunks_of(data)) == data
    assert [len(chunk) for chunk in chunks_of(data)][:17] == [16386] * 17
    assert entries_of({"b": None, "a-": b"", "a/c": b"x"}, [], Sections())[0]["path"] == "a-"
