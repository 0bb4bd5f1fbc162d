"""Versions that are neither deleted nor replaced until somebody says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import ObjectNotFoundError, VersionProtectedError
from casreg.backends.memory import MemoryBackend
from casreg.refs import spill
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend
from registry.lab import Meanwhile, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend

TRIES: dict[str, Callable[[Backend], object]] = {
    "delete it": lambda place: Registry(place).delete("thing@1.0.0"),
    "delete the name": lambda place: Registry(place).delete("thing"),
    "del": lambda place: Registry(place).__delitem__("thing"),
    "pop": lambda place: Registry(place).pop("thing@1.0.0"),
    "clear": lambda place: Registry(place).clear(),
    "overwrite": lambda place: Registry(place, mutable=True).save("thing@1.0.0", "other"),
    "replace the only one": lambda place: Registry(place, version_objects=False).save("thing@3.0.0", "other"),
    "leave only another": lambda place: Registry(place, version_objects=False).save("thing@2.0.0", "second"),
}


@pytest.mark.parametrize("attempt", TRIES.values(), ids=TRIES)
def test_nothing_changes(registry: Registry, backend: Backend, attempt: Callable[[Backend], object]) -> None:
    """Whatever would delete or replace a protected version is refused whole, with the way out, and nothing changes."""
    registry.save("also", 1)
    registry.save("thing", "first", tags=["prod"])
    registry.save("thing@2.0.0", "second")
    registry.protect("thing@1.0.0")
    before = {key: data for key, data in snapshot(backend).items() if key.startswith("refs/")}
    with pytest.raises(VersionProtectedError, match=r"thing@1\.0\.0.*unprotect"):
        attempt(backend)
    assert {key: data for key, data in snapshot(backend).items() if key.startswith("refs/")} == before


def test_a_refused_overwrite_stores_nothing(registry: Registry, backend: Backend) -> None:
    """What is refused has not even left a manifest."""
    registry.save("thing", "first")
    registry.protect("thing")
    before = snapshot(backend)
    with pytest.raises(VersionProtectedError):
        Registry(backend, mutable=True).save("thing@1.0.0", "other")
    assert snapshot(backend) == before


def test_what_may_still_change(registry: Registry, backend: Backend) -> None:
    """Tags, notes, new versions, other versions, and saving the same again."""
    registry.save("thing", 1)
    registry.protect("thing")
    registry.tag("thing", "prod")
    registry.untag("thing", "prod")
    registry.annotate("thing", a=1)
    assert Registry(backend, mutable=True).save("thing@1.0.0", 1, notes={"b": 2}) == "1.0.0"
    assert registry.save("thing", 2) == "1.0.1"
    registry.delete("thing@1.0.1")
    info = registry.info("thing@1.0.0")
    assert (info["notes"], info["protected"]) == ({"a": 1, "b": 2}, True)


def test_unprotect(registry: Registry) -> None:
    """After `unprotect` a version is as any other."""
    registry.save("thing", 1)
    assert registry.protect("thing") == "1.0.0"
    assert registry.info("thing")["protected"]
    assert registry.unprotect("thing") == "1.0.0"
    assert not registry.info("thing")["protected"]
    assert registry.delete("thing") == ["1.0.0"]


def test_which_version(registry: Registry) -> None:
    """The latest by default; else a number, a tag or a range, in the key or beside it. Only that one is protected."""
    for _ in range(4):
        registry.save("thing", 1)
    registry.tag("thing", "prod", "1.0.1")
    assert registry.protect("thing") == "1.0.3"
    assert registry.protect("thing@prod") == "1.0.1"
    assert registry.protect("thing", "<1.0.1") == "1.0.0"
    protected = [row["version"] for row in registry.history("thing") if row["protected"]]
    assert protected == ["1.0.3", "1.0.1", "1.0.0"]
    assert registry.unprotect("thing", "prod") == "1.0.1"
    assert registry.delete("thing@1.0.1") == ["1.0.1"]


@pytest.mark.parametrize("word", ["protect", "unprotect"])
def test_what_is_not_there(registry: Registry, word: str) -> None:
    """No name, no version: an error, and no ref is made."""
    with pytest.raises(ObjectNotFoundError):
        getattr(registry, word)("thing")
    assert list(registry.backend.list("")) == []
    registry.save("thing", 1)
    with pytest.raises(ObjectNotFoundError, match="there are 1"):
        getattr(registry, word)("thing@2.0.0")


def test_once_is_enough() -> None:
    """Protecting what is protected writes nothing; protecting is one read and one swap."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    registry.save("thing", 1)
    for expected in (["get", "swap"], ["get"]):
        backend.log.clear()
        registry.protect("thing")
        assert [call.method for call in backend.calls] == expected


def test_a_ref_does_not_grow(registry: Registry, backend: Backend) -> None:
    """Only a protected version says something about it in the ref."""
    registry.save("thing", 1)
    assert b"protected" not in snapshot(backend)["refs/thing"]
    registry.protect("thing")
    assert b'"protected":true' in snapshot(backend)["refs/thing"]
    registry.unprotect("thing")
    assert b"protected" not in snapshot(backend)["refs/thing"]


def test_old_versions_stay_protected(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A protected version that has moved to a segment is as protected, and keeps it when it comes back."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 5000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 3000)
    registry.save("thing", 0)
    registry.protect("thing")
    for number in range(1, 40):
        registry.save("thing", number)
    history = registry._repository.refs.ask("thing", lambda history: history)
    assert history is not None
    assert str(min(history.ref.records)) != "1.0.0"
    with pytest.raises(VersionProtectedError):
        registry.delete("thing@1.0.0")
    with pytest.raises(VersionProtectedError):
        registry.delete("thing")
    registry.annotate("thing@1.0.0", a=1)
    assert registry.info("thing@1.0.0")["protected"]
    registry.unprotect("thing@1.0.0")
    assert len(registry.delete("thing")) == 40


@pytest.mark.parametrize("attempt", TRIES.values(), ids=TRIES)
def test_whoever_protects_first_wins(attempt: Callable[[Backend], object]) -> None:
    """A version that is protected while somebody is about to delete or replace it is neither."""
    place = Meanwhile()
    registry = Registry(place)
    registry.save("thing", "first")
    registry.save("thing@2.0.0", "second")
    place.others = lambda: registry.protect("thing@1.0.0")
    with pytest.raises(VersionProtectedError):
        attempt(place)
    assert registry.load("thing@1.0.0") == "first"
    assert registry.load("thing") == "second"


def test_what_is_deleted_first_is_not_protected() -> None:
    """Who protects a version that somebody deletes meanwhile is told, and protects no other."""
    place = Meanwhile()
    registry = Registry(place)
    registry.save("thing", 1)
    registry.save("thing", 2)
    place.others = lambda: registry.delete("thing@1.0.0")
    with pytest.raises(ObjectNotFoundError):
        registry.protect("thing@1.0.0")
    assert registry.delete("thing") == ["1.0.1"]


def test_clear_names_what_is_in_the_way(registry: Registry) -> None:
    """`clear` says which versions are protected, not more than a few, and deletes none."""
    for number in range(12):
        registry.save(f"n:{number:02}", 1)
        registry.protect(f"n:{number:02}")
    registry.save("free", 1)
    with pytest.raises(VersionProtectedError, match=r"n:00@1\.0\.0.*n:07@1\.0\.0 and 4 more are protected"):
        registry.clear()
    assert len(registry.list_objects()) == 13
