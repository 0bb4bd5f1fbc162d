"""What a copy finds at the target already counts only if it is really there: a move would delete the last good one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import Registry, Store
from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache
from casreg.exceptions import CorruptError
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from pathlib import Path

DATA = noise(50_000, 1)


@pytest.mark.parametrize("cached", [False, True])
@pytest.mark.parametrize("lost", ["packs/", "manifests/"])
@pytest.mark.parametrize("data", [DATA, 5], ids=["packs", "inline"])
def test_a_move_onto_a_version_whose_files_are_lost(
    data: object, lost: str, cached: bool, tmp_path: Path
) -> None:
    """It is an error that names the version at the target, and the original stays; also if a cache has copies."""
    a, b = MemoryBackend(), MemoryBackend()
    store = Store(mounts={"a": a, "b": Registry(b, cache=Cache(tmp_path) if cached else False)})
    store.save("a/x", data)
    store.copy("a/x", "b/x")
    if cached:
        assert store.load("b/x") == data
    keys = [info.key for info in b.list(lost)]
    b.delete(keys)
    if not cached:
        store = Store(mounts={"a": a, "b": b})
    if not keys:  # nothing of it is in packs
        assert store.move("a/x", "b/x") == "1.0.0"
        return
    with pytest.raises(CorruptError, match=r"x@1\.0\.0 needs data that is not there"):
        store.move("a/x", "b/x")
    assert store.load("a/x") == data


def test_a_rename_onto_a_version_whose_files_are_lost() -> None:
    """The same within one place: the old name keeps its versions."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("new", DATA)
    before = {info.key for info in place.list("")}
    registry.save("old", DATA)  # shares the pack, and has a manifest of its own
    lost = [info.key for info in place.list("manifests/") if info.key in before]
    place.delete(lost)
    with pytest.raises(CorruptError, match=r"new@1\.0\.0 needs data that is not there"):
        Registry(place).rename("old", "new")
    assert Registry(place).load("old@1.0.0") == DATA


@pytest.mark.parametrize("lost", ["packs/", "manifests/"])
def test_a_move_into_a_copy_that_other_tools_made(lost: str) -> None:
    """Its files have the names of the original's. That they are there is seen all the same."""
    a, b = MemoryBackend(), MemoryBackend()
    original = Registry(a, cache=False)
    original.save("x", DATA)
    original.download(original, "x", "1.0.0", "y")  # one manifest under two names
    for key, data in snapshot(a).items():
        b.create(key, data)
    Registry(b, cache=False).adopt()
    b.delete([info.key for info in b.list(lost)])
    store = Store(mounts={"a": original, "b": Registry(b, cache=False)})
    with pytest.raises(CorruptError, match=r"y@1\.0\.0 needs data that is not there"):
        store.move("a/x", "b/y")
    assert store.load("a/x") == DATA
