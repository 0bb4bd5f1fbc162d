"""Renaming: everything of a name is under the new one, and never under none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    CasregError,
    CommitConflictError,
    InvalidArgumentError,
    InvalidNameError,
    ObjectNotFoundError,
    VersionConflictError,
)
from casreg.keys import is_data_key, manifest_key
from casreg.refs import spill
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing.faults import FaultKind, until_clean
from casreg.transfer import renaming
from engine.test_stale import Collector, used_by
from registry.lab import noise, snapshot
from transfer.lab import check, entry_of, place_of, view

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.testing.faults import FaultBackend

DATA = noise(100_000)


def make() -> MemoryBackend:
    """A name with four versions, one of them deleted, tags, notes, a protected one; and another name."""
    backend = MemoryBackend()
    registry = Registry(backend)
    registry.save("old", DATA, tags=["first"], notes={"n": 1})
    registry.save("old", {"a": 1}, metadata={"m": 2})
    registry.save("old", "gone")
    registry.save("old", DATA + b"more", version="2.0.0-rc.1", tags=["prod"])
    registry.delete("old@1.0.2")
    registry.protect("old@1.0.1")
    registry.save("other", 1)
    return backend


@pytest.fixture
def place() -> MemoryBackend:
    """See `make`."""
    return make()


def renamed(seen: dict[str, Any], old: str = "old", new: str = "new") -> dict[str, Any]:
    """What is there, with the one name for the other."""
    return {key.replace(f"{old}@", f"{new}@"): one for key, one in seen.items()}


def test_everything_of_a_name_goes_along(place: MemoryBackend) -> None:
    """Versions, digests, times, notes, tags, protection; no byte of data is written, and the old name is not listed."""
    before, files = view(place), snapshot(place)
    assert Registry(place).rename("old", "new") == ["1.0.0", "1.0.1", "2.0.0-rc.1"]
    assert view(place) == renamed(before)
    assert Registry(place).list_objects() == ["new", "other"]
    assert entry_of(place, "new", "1.0.1").protected
    history = Repository(place).refs.ask("new", lambda history: history)
    assert history is not None
    assert {entry.write for _, entry in history.live()} == {history.ref.write}
    assert {key for key in snapshot(place) if is_data_key(key)} == {key for key in files if is_data_key(key)}
    check(place)


def test_the_old_name_remembers_its_numbers(place: MemoryBackend) -> None:
    """A save to the old name gets a number that it never had; what it was can be brought back there."""
    registry = Registry(place)
    registry.rename("old", "new")
    with pytest.raises(VersionConflictError, match="was deleted"):
        registry.save("old", "something else", version="1.0.0")
    assert registry.undelete("old@1.0.2") == "1.0.2"
    assert registry.undelete("old@1.0.0") == "1.0.0"
    assert registry.save("old", "next") == "1.0.3"


def test_a_name_onto_itself(place: MemoryBackend) -> None:
    """Nothing changes."""
    before = snapshot(place)
    assert Registry(place).rename("old", "old") == ["1.0.0", "1.0.1", "2.0.0-rc.1"]
    assert snapshot(place) == before


def test_there_and_back(place: MemoryBackend) -> None:
    """The first name gets everything again."""
    before = view(place)
    Registry(place).rename("old", "new")
    Registry(place).rename("new", "old")
    assert view(place) == before


def test_a_long_history_goes_along() -> None:
    """Versions that are spilled to segments too."""
    place = MemoryBackend()
    registry = Registry(place)
    with patch.object(spill, "INLINE_LIMIT", 3000), patch.object(spill, "_LEAST_ROOM", 1500):
        for number in range(30):
            registry.save("old", number)
        before = view(place)
        assert len(registry.rename("old", "new")) == 30
    assert view(place) == renamed(before)
    check(place)


def test_into_a_name_with_other_versions(place: MemoryBackend) -> None:
    """What does not conflict is joined; what is the same stays, and has the notes of both."""
    registry = Registry(place)
    registry.save("new", {"a": 1}, version="1.0.1", metadata={"m": 2}, notes={"mine": 1})
    registry.save("new", "own", version="3.0.0", tags=["own"])
    before = view(place)
    registry.rename("old", "new")
    after = view(place)
    assert after["new@3.0.0"] == before["new@3.0.0"]
    assert after["new@1.0.1"].notes == {"mine": 1}
    assert entry_of(place, "new", "1.0.1").protected
    assert after.keys() == {"new@1.0.0", "new@1.0.1", "new@2.0.0-rc.1", "new@3.0.0", "other@1.0.0"}


@pytest.mark.parametrize("conflict", ["version", "deleted", "tag"])
def test_what_conflicts_is_refused(place: MemoryBackend, conflict: str) -> None:
    """The new name has, or had, a number with other content, or a tag elsewhere: nothing is changed."""
    registry = Registry(place)
    registry.save("new", "other content", version="9.0.0" if conflict == "tag" else "1.0.0", tags=["prod"])
    if conflict == "deleted":
        registry.delete("new@1.0.0")
    before = snapshot(place)
    with pytest.raises(VersionConflictError, match="prod" if conflict == "tag" else r"1\.0\.0"):
        registry.rename("old", "new")
    assert snapshot(place) == before


def test_what_is_no_name(place: MemoryBackend) -> None:
    """A version is not a name; an unknown name has nothing to rename. No ref is made."""
    before = snapshot(place)
    registry = Registry(place)
    with pytest.raises(InvalidArgumentError, match="all versions"):
        registry.rename("old@1.0.0", "new")
    with pytest.raises(InvalidNameError):
        registry.rename("old", "new_name")
    with pytest.raises(ObjectNotFoundError):
        registry.rename("unknown", "new")
    assert snapshot(place) == before


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name.lower())
def test_one_request_fails(kind: FaultKind) -> None:
    """Whichever request fails: all is under one of the names or under both, and renaming again completes it."""
    files = snapshot(make())
    before = view(place_of(files))
    both = {**before, **renamed(before)}

    def run(backend: FaultBackend) -> None:
        failure = None
        try:
            Registry(backend).rename("old", "new")
        except CasregError as err:
            failure = err
        backend.faults = ()
        seen = view(backend.inner)
        if failure is None:
            assert seen == renamed(before)
        else:
            assert seen in (before, both, renamed(before))
        backend.deliver()
        if "old@1.0.0" in view(backend.inner):
            Registry(backend.inner).rename("old", "new")
        assert view(backend.inner) == renamed(before)
        check(backend.inner)

    assert until_clean(lambda: place_of(files), run, kind) >= 8


@pytest.mark.parametrize("what", ["saved", "annotated", "tagged", "deleted", "overwritten"])
def test_who_changes_the_old_name_meanwhile_is_not_lost(place: MemoryBackend, what: str) -> None:
    """Between the two commits somebody else changes the old name: that goes along too."""
    registry = Registry(place, mutable=True)
    real = renaming._delete
    done: list[int] = []

    def interrupted(*arguments: Any) -> None:
        if not done:
            done.append(1)
            match what:
                case "saved":
                    registry.save("old", "late", version="5.0.0")
                case "annotated":
                    registry.annotate("old@1.0.0", late=1)
                case "tagged":
                    registry.tag("old", "prod", "1.0.0")
                case "deleted":
                    registry.delete("old@1.0.0")
                case "overwritten":
                    registry.save("old", "late", version="1.0.0")
        real(*arguments)

    with patch.object(renaming, "_delete", interrupted):
        Registry(place).rename("old", "new")
    assert "old" not in Registry(place).list_objects()
    info = Registry(place).info("new@1.0.0")
    expected: dict[str, Callable[[], bool]] = {
        "saved": lambda: registry.load("new@5.0.0") == "late",
        "annotated": lambda: info["notes"] == {"n": 1, "late": 1},
        "tagged": lambda: info["tags"] == ["first", "prod"],
        "deleted": lambda: registry.list_versions("new")[1:] == ["1.0.1", "2.0.0-rc.1"],
        "overwritten": lambda: registry.load("new@1.0.0") == "late",
    }
    assert expected[what]()
    check(place)


def test_an_old_name_that_never_rests(place: MemoryBackend) -> None:
    """Somebody saves to it each time: an error says that it is under both names."""
    registry = Registry(place)
    real = renaming._delete

    def interrupted(*arguments: Any) -> None:
        registry.save("old", {"n": len(registry.list_versions("old"))})
        real(*arguments)

    with (
        patch.object(renaming, "_delete", interrupted),
        pytest.raises(CommitConflictError, match="old and new"),
    ):
        registry.rename("old", "new")
    assert registry.list_objects() == ["new", "old", "other"]
    registry.rename("old", "new")
    assert registry.list_objects() == ["new", "other"]


def test_beside_a_collector_that_condemned_it(place: MemoryBackend) -> None:
    """Files of versions that live are condemned: the new name gets its own, and both end well."""
    before = view(place)
    collector = Collector(place)
    condemned = {key for key in snapshot(place) if is_data_key(key)}
    collector.condemn(condemned)
    Registry(place).rename("old", "new")
    assert not condemned & used_by(place, "new")
    assert not condemned & {manifest_key(entry_of(place, "new", one).manifest) for one in ("1.0.0", "1.0.1")}
    collector.finish(collector.judge())
    assert view(place) == renamed(before)
    check(place)
