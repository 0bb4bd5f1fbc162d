"""Copies within one repository: nothing is written but a ref, whatever handles the caller holds."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, ObjectNotFoundError
from casreg.keys import is_data_key
from casreg.packs import key_of
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.repository.committing import Terms
from casreg.repository.finding import select
from casreg.testing.recording import RecordingBackend
from casreg.transfer import copy, copying, is_same_place
from casreg.versions import Latest
from engine.test_stale import Collector
from registry.lab import noise, snapshot
from transfer.lab import check, entry_of, view

if TYPE_CHECKING:
    from pathlib import Path

DATA = noise(300_000)


@pytest.fixture
def place() -> MemoryBackend:
    """A name with a version in a pack."""
    backend = MemoryBackend()
    Registry(backend).save("thing", DATA, metadata={"m": 1}, notes={"n": 1}, tags=["prod"])
    return backend


@pytest.mark.parametrize("handles", [1, 2])
def test_only_the_ref_is_written(place: MemoryBackend, handles: int) -> None:
    """By one handle or by two on one place: the copy has the very manifest, and no file of data is written."""
    backend = RecordingBackend(place)
    source = Repository(backend)
    target = source if handles == 1 else Repository(RecordingBackend(place))
    saved = copy(source, "thing", Latest(), target, Terms("other"))
    written = [key for key in snapshot(place) if is_data_key(key)]
    assert saved.entry.manifest == entry_of(place, "thing", "1.0.0").manifest
    assert saved.entry.stored == 0
    assert len(written) == 2
    assert not backend.log.calls("create", "packs/")
    assert view(place)["other@1.0.0"] == view(place)["thing@1.0.0"]._replace(tags=())
    check(place)


def test_another_number_of_the_same_name(place: MemoryBackend) -> None:
    """A version may be there twice under one name."""
    assert Registry(place).copy("thing", "thing", target_version="2.0.0") == "2.0.0"
    assert Registry(place).list_versions("thing") == ["1.0.0", "2.0.0"]


@pytest.mark.parametrize("target", ["thing", "thing@1.0.0", "thing@1"])
def test_a_copy_onto_itself_changes_nothing(place: MemoryBackend, target: str) -> None:
    """Not one byte, nor tags, notes or protection."""
    registry = Registry(place)
    registry.protect("thing")
    before = snapshot(place)
    assert registry.copy("thing", target) == "1.0.0"
    assert registry.download(registry, "thing") == "1.0.0"
    assert registry.download(Registry(place), "thing") == "1.0.0"
    registry.update(Registry(place))
    assert snapshot(place) == before


def test_one_folder_under_two_paths(tmp_path: Path) -> None:
    """Through a link a folder looks like another place. Nothing is lost, and no chunk is written twice."""
    Registry(tmp_path / "r").save("thing", DATA)
    os.symlink(tmp_path / "r", tmp_path / "link")
    ours, theirs = Repository(LocalBackend(tmp_path / "r")), Repository(LocalBackend(tmp_path / "link"))
    assert not is_same_place(ours, theirs)
    copy(theirs, "thing", Latest(), ours, Terms("thing"))
    copy(theirs, "thing", Latest(), ours, Terms("other"))
    assert len(list(ours.backend.list("packs/"))) == 1
    check(ours.backend)


def test_a_copied_folder_is_another_place(place: MemoryBackend) -> None:
    """It has the same id, but what one of the two writes is not in the other."""
    twin = MemoryBackend()
    for key, data in snapshot(place).items():
        twin.create(key, data)
    assert Repository(twin).marker().id == Repository(place).marker().id
    assert not is_same_place(Repository(place), Repository(twin))
    Registry(place).save("new", noise(100_000, 5))
    Registry(twin).download(Registry(place), "new")
    check(twin)


def test_a_place_that_was_replaced_is_another_one() -> None:
    """The location is the same, but the repository there is not the one that the other handle means."""

    class Elsewhere(MemoryBackend):
        location = "memory://shared"

    one, two = Elsewhere(), Elsewhere()
    Registry(one).save("thing", DATA)
    Registry(two).save("other", 1)
    assert not is_same_place(Repository(one), Repository(two))
    assert not is_same_place(Repository(Elsewhere()), Repository(two))
    Registry(two).download(Registry(one), "thing")
    check(two)


def test_what_is_condemned_is_stored_again(place: MemoryBackend) -> None:
    """A collector has condemned the files of a version that lives: nobody may build on them, so the copy has its own."""
    old = {key for key in snapshot(place) if is_data_key(key)}
    collector = Collector(place)
    collector.condemn(old)
    saved = copy(Repository(place), "thing", Latest(), Repository(place), Terms("other"))
    placement = Repository(place).manifest(saved.entry.manifest).placement
    assert not old & {key_of(pack) for pack in placement.packs}
    collector.finish(collector.judge())
    assert Registry(place).load("thing") == Registry(place).load("other") == DATA
    check(place)


def test_what_is_lost_is_not_linked(place: MemoryBackend) -> None:
    """The pack of a version is gone: there is an error that names it, and no copy."""
    (pack,) = place.list("packs/")
    place.delete([pack.key])
    with pytest.raises(CorruptError, match=pack.key):
        Registry(place).copy("thing", "other")
    assert Registry(place).list_objects() == ["thing"]


def test_a_version_that_is_not_there(place: MemoryBackend) -> None:
    """Nothing is made, not even an empty ref."""
    before = snapshot(place)
    for key in ("thing@2.0.0", "unknown"):
        with pytest.raises(ObjectNotFoundError):
            Registry(place).copy(key, "other")
    assert snapshot(place) == before


def test_notes_that_change_meanwhile_stay(place: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy onto itself never writes the notes that it has read before somebody changed them."""
    registry = Registry(place)

    def select_and_annotate(*arguments: Any) -> Any:
        selected = select(*arguments)
        registry.annotate("thing", n=2)
        return selected

    monkeypatch.setattr(copying, "select", select_and_annotate)
    assert registry.copy("thing", "thing@1.0.0") == "1.0.0"
    assert registry.info("thing")["notes"] == {"n": 2}
