"""Whatever casreg writes today, a stranger reads: random objects, histories, trees, lists and placements."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.ingest import assembly
from casreg.model import Chunk, Stream
from casreg.paths import check_path
from casreg.refs import spill
from casreg.repository import proving
from casreg.versions import Version, parse_version
from format import stranger
from format.golden import block, quarters, write_repository, xof

sizes = st.integers(0, 20_000) | st.integers(16_000, 300_000)
blobs = st.builds(
    lambda make, seed, size: make(seed, size),
    st.sampled_from([xof, quarters, lambda _, size: bytes(size)]),
    st.sampled_from("abc"),
    sizes,
)
parts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=8)
files = st.binary(max_size=200) | blobs | st.none()  # None: an empty folder
trees = st.dictionaries(st.lists(parts, min_size=1, max_size=3).map("/".join), files, max_size=45)
names = st.sampled_from(["a", "B:c", "nul", "x.y-z:1", "con.d"])
steps = st.lists(
    st.tuples(st.just("save"), names, blobs)
    | st.tuples(st.just("tree"), names, trees)
    | st.tuples(st.sampled_from(["delete", "overwrite", "undelete", "tag"]), names, st.integers(0, 9)),
    min_size=1,
    max_size=25,
)


def storable(path: str) -> bool:
    """Whether casreg takes the path."""
    try:
        check_path(path)
    except ValueError:
        return False
    return True


def make(folder: Path, tree: dict[str, bytes | None]) -> dict[str, bytes | None]:
    """Write a tree to disk, as far as it is one. Gives what was written."""
    made: dict[str, bytes | None] = {}
    for path, data in tree.items():
        taken = any(
            path == other or path.startswith(f"{other}/") or other.startswith(f"{path}/") for other in made
        )
        if taken or not storable(path):
            continue
        made[path] = data
        place = folder.joinpath(*path.split("/"))
        (place if data is None else place.parent).mkdir(parents=True, exist_ok=True)
        if data is not None:
            place.write_bytes(data)
    return made


class Both:
    """A registry, and what a stranger must find in it: name → version → files."""

    def __init__(self) -> None:
        self.backend = MemoryBackend()
        self.registry = Registry(self.backend, mutable=True)
        self.live: dict[str, dict[str, dict[str, bytes | None]]] = {}
        self.dead: dict[str, dict[str, dict[str, bytes | None]]] = {}
        self.tags: dict[str, dict[str, str]] = {}

    def step(self, kind: str, name: str, value: Any) -> None:
        """Do one thing to both."""
        living, dead = self.live.setdefault(name, {}), self.dead.setdefault(name, {})
        if kind == "save":
            living[self.registry.save(name, value)] = {"data.bin": value}
        elif kind == "tree":
            with tempfile.TemporaryDirectory() as folder:
                made = make(Path(folder), value)
                living[self.registry.save(name, Path(folder))] = made
        elif kind == "undelete":
            if dead:
                version = sorted(dead)[value % len(dead)]
                self.registry.undelete(name, version)
                living[version] = dead.pop(version)
        elif living:
            version = sorted(living)[value % len(living)]
            tags = self.tags.setdefault(name, {})
            if kind == "delete":
                self.registry.delete(name, version)
                dead[version] = living.pop(version)
                self.tags[name] = {tag: to for tag, to in tags.items() if to != version}
            elif kind == "overwrite":
                self.registry.save(name, b"%d" % value, version=version)
                living[version] = {"data.bin": b"%d" % value}
            else:
                tags["now"] = self.registry.tag(name, "now", version)

    def check(self, folder: Path) -> None:
        """See that a stranger finds all of it, and nothing else."""
        write_repository(self.backend, folder)
        storage = stranger.Storage(folder)
        found = {name: ref for name, ref in storage.names().items() if ref.versions()}
        assert found.keys() == {name for name, living in self.live.items() if living}
        for name, ref in found.items():
            assert list(ref.versions()) == self.registry.list_versions(name)
            assert ref.versions().keys() == self.live[name].keys()
            assert {tag: to[0] for tag, to in ref.body["tags"].items()} == self.tags.get(name, {})
            for version, held in self.live[name].items():
                opened = ref.open(version)
                got = {
                    entry.path: None if entry.folder else b"".join(opened.read(number))
                    for number, entry in enumerate(opened.entries)
                }
                assert got == held
        stranger.verify(storage)


@pytest.mark.skipif(os.name == "nt", reason="Windows has other names of files")
@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps, st.booleans(), st.booleans(), st.sampled_from([1, 3, 16]))
def test_a_stranger_reads_what_todays_code_writes(
    todo: list[tuple[str, str, Any]], spilling: bool, long: bool, list_above: int
) -> None:
    """Any history of saves, trees, deletions and tags: same names, versions, tags, files and bytes.

    Among them short refs that spill at once, placements in segments, and lists for streams of a few chunks.
    """
    with ExitStack() as stack:
        stack.enter_context(patch.object(assembly, "LIST_ABOVE", list_above))
        if spilling:
            stack.enter_context(patch.object(spill, "INLINE_LIMIT", 2000))
            stack.enter_context(patch.object(spill, "_LEAST_ROOM", 1000))
        if long:
            stack.enter_context(patch.object(proving, "PLACEMENT_LIMIT", 300))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        both = Both()
        for kind, name, value in todo:
            both.step(kind, name, value)
        both.check(Path(folder) / "repository")


def test_a_stranger_reads_what_a_local_folder_holds(tmp_path: Path) -> None:
    """A repository in a folder has `locks/` and `tmp/` beside it, and strangers' files: all are passed over."""
    registry = Registry(tmp_path / "r")
    array = np.arange(200_000, dtype=np.float32)
    registry.save("array", array)
    (tmp_path / "r" / "refs" / "UPPER").write_bytes(b"not casreg's")
    (tmp_path / "r" / "packs" / "readme.txt").write_bytes(b"nor this")
    storage = stranger.Storage(tmp_path / "r")
    assert (tmp_path / "r" / "locks").is_dir()
    assert stranger.verify(storage)["versions"] == 1
    (entry,) = storage.names()["array"].open("1.0.0").entries
    assert entry.path == "data.npy"
    data = b"".join(storage.names()["array"].open("1.0.0").read(0))
    assert data.endswith(array.tobytes())


@pytest.mark.parametrize(
    "text",
    ["1.0.0", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
     "1.0.0-rc.1", "1.0.0-1", "1.0.0--", "0.999999999999999.0", "10.0.0", "2.0.0", "1.0.0-x-y.0"],
)  # fmt: skip
def test_a_stranger_orders_versions_as_casreg_does(text: str) -> None:
    """The precedence of SemVer, pre-releases included."""
    for other in ("1.0.0", "1.0.0-alpha.1", "1.0.0-9", "1.0.0-beta.3", "1.0.1-0", "0.0.1"):
        ours: tuple[Version, Version] = parse_version(text), parse_version(other)
        theirs = stranger.rank(text), stranger.rank(other)
        assert (ours[0] < ours[1], ours[0] == ours[1]) == (theirs[0] < theirs[1], theirs[0] == theirs[1])


def test_a_file_of_depth_two_needs_no_patch_to_be_made() -> None:
    """With the constants of format 1, 7,500 chunks of a special kind have a list of 17 chunks, which has a list."""
    backend = MemoryBackend()
    Registry(backend).save("deep", block() * 7500)
    repository = Registry(backend)._repository
    entry = repository.refs.ask("deep", lambda history: history.entry(Version(1, 0, 0)) if history else None)
    assert entry is not None
    manifest = repository.manifest(entry.manifest)
    assert manifest.content.entries is not None
    stream: Stream = manifest.content.entries[0].stream
    assert stream.counts == (7500, 17)
    assert manifest.placement.segment is not None
    chunks = repository.reader(manifest, "deep").chunks("data.bin")
    assert set(chunks) == {Chunk(chunks[0].digest, 16386)}
    assert len(chunks) == 7500
