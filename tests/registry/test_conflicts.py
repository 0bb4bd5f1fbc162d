"""What a save does where its version exists: `on_conflict`, `if_changed`, and the same content again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import InvalidArgumentError, VersionConflictError
from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend
from registry.lab import Meanwhile, snapshot

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from casreg.repository.conflicts import OnConflict


def test_error_is_the_default(registry: Registry) -> None:
    """Other content under a version that exists is refused, by the word or without it, and what was there stays."""
    registry.save("thing@1.0.0", 1)
    words: list[OnConflict | None] = [None, "error"]
    for word in words:
        with pytest.raises(VersionConflictError, match=r"thing@1\.0\.0 exists.*mutable=True"):
            registry.save("thing@1.0.0", 2, on_conflict=word)
    assert registry.load("thing") == 1


def test_skip_keeps_what_there_is(registry: Registry, backend: Backend) -> None:
    """A skipped save gives the version that exists, and nothing is written: no data, no notes, no tags."""
    registry.save("thing@1.0.0", 1, tags=["prod"])
    registry.save("thing@2.0.0", 2)
    before = snapshot(backend)
    assert registry.save("thing@1.0.0", 3, on_conflict="skip") == "1.0.0"
    assert snapshot(backend) == before
    assert registry.save("thing@1.0.0", 3, on_conflict="skip", tags=["new"], notes={"a": 1}) == "1.0.0"
    assert registry.load("thing@1.0.0") == 1
    assert registry.info("thing@1.0.0")["notes"] == {}
    assert registry.info("thing@1.0.0")["tags"] == ["prod"]


def test_skip_of_the_same_content(registry: Registry) -> None:
    """What is there with this very content is the version that was to be saved: it takes notes and tags."""
    registry.save("thing@1.0.0", 1)
    assert registry.save("thing@1.0.0", 1, on_conflict="skip", notes={"a": 1}) == "1.0.0"
    assert registry.save("thing@1.0.0", 1, on_conflict="skip", tags=["prod"]) == "1.0.0"
    info = registry.info("thing")
    assert (info["notes"], info["tags"]) == ({"a": 1}, ["prod"])


def test_skip_costs_one_read() -> None:
    """What is skipped is not even looked at, however large it is: one request, for the ref."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    registry.save("thing@1.0.0", 1)
    backend.log.clear()
    registry.save("thing@1.0.0", np.ones(1_000_000), on_conflict="skip")
    assert [(call.method, call.key) for call in backend.calls] == [("get", "refs/thing")]


def test_skip_saves_what_is_not_there(registry: Registry) -> None:
    """Where there is nothing to keep, `skip` saves as ever: another number, the next number, a new name."""
    assert registry.save("thing@1.0.0", 1, on_conflict="skip") == "1.0.0"
    assert registry.save("thing@2.0.0", 2, on_conflict="skip") == "2.0.0"
    assert registry.save("thing", 3, on_conflict="skip") == "2.0.1"
    assert registry.load("thing@2.0.0") == 2


def test_skip_is_decided_in_the_commit() -> None:
    """A version that somebody saves while another one is under way is kept, and not replaced."""
    place = Meanwhile()
    registry = Registry(place, mutable=True)
    place.others = lambda: Registry(place).save("thing@1.0.0", "theirs")
    assert registry.save("thing@1.0.0", "mine", on_conflict="skip") == "1.0.0"
    assert registry.load("thing") == "theirs"


def test_skip_does_not_revive_a_number(registry: Registry) -> None:
    """A number that was deleted is not given to other content by `skip` either."""
    registry.save("thing@1.0.0", 1)
    registry.delete("thing@1.0.0")
    with pytest.raises(VersionConflictError, match="was deleted"):
        registry.save("thing@1.0.0", 2, on_conflict="skip")


def test_overwrite_needs_a_mutable_registry(registry: Registry, backend: Backend) -> None:
    """`overwrite` is refused with the way out, before anything is written, and works where versions may change."""
    registry.save("thing@1.0.0", 1)
    before = snapshot(backend)
    with pytest.raises(InvalidArgumentError, match="mutable=True"):
        registry.save("thing@1.0.0", 2, on_conflict="overwrite")
    assert snapshot(backend) == before
    assert Registry(backend, mutable=True).save("thing@1.0.0", 2, on_conflict="overwrite") == "1.0.0"
    assert registry.load("thing") == 2


def test_a_mutable_registry_can_be_told_not_to_replace(backend: Backend) -> None:
    """There `overwrite` is the default, and `error` and `skip` do what they say."""
    registry = Registry(backend, mutable=True)
    registry.save("thing@1.0.0", 1)
    with pytest.raises(VersionConflictError):
        registry.save("thing@1.0.0", 2, on_conflict="error")
    assert registry.save("thing@1.0.0", 3, on_conflict="skip") == "1.0.0"
    assert registry.load("thing") == 1
    registry.save("thing@1.0.0", 4)
    assert registry.load("thing") == 4


def test_one_version_of_each_name(backend: Backend) -> None:
    """With `version_objects=False` whatever lives is in the way, also under another number."""
    registry = Registry(backend, version_objects=False)
    registry.save("thing@2.1.0", 1)
    with pytest.raises(VersionConflictError, match=r"thing@2\.1\.0 exists.*overwrite"):
        registry.save("thing", 2, on_conflict="error")
    assert registry.save("thing", 2, on_conflict="skip") == "2.1.0"
    assert registry.save("thing@3.0.0", 2, on_conflict="skip") == "2.1.0"
    assert registry.load("thing") == 1
    assert registry.save("thing", 2, on_conflict="overwrite") == "1.0.0"
    assert registry.list_versions("thing") == ["1.0.0"]


def test_a_wrong_word(registry: Registry, backend: Backend) -> None:
    """Another word than the three is refused before anything is written."""
    with pytest.raises(InvalidArgumentError, match="'error', 'skip' or 'overwrite', not 'replace'"):
        registry.save("thing", 1, on_conflict="replace")  # type: ignore[call-overload]
    assert snapshot(backend) == {}


def test_if_changed_makes_no_version_of_the_same(registry: Registry, backend: Backend) -> None:
    """The same content and metadata as the latest version's: its number, and the ref stays as it is."""
    registry.save("thing", {"a": 1}, metadata={"m": 1})
    before = snapshot(backend)["refs/thing"]
    assert registry.save("thing", {"a": 1}, metadata={"m": 1}, if_changed=True) == "1.0.0"
    assert registry.save("thing", {"a": 1}, metadata={"m": 1}, if_changed=True, bump="major") == "1.0.0"
    assert registry.save("thing@3.0.0", {"a": 1}, metadata={"m": 1}, if_changed=True) == "1.0.0"
    assert snapshot(backend)["refs/thing"] == before


def test_if_changed_makes_a_version_of_a_change(registry: Registry) -> None:
    """Other content, other metadata, and what an older version had but not the latest, are changes."""
    registry.save("thing", 1, if_changed=True)
    assert registry.save("thing", 2, if_changed=True) == "1.0.1"
    assert registry.save("thing", 2, metadata={"m": 1}, if_changed=True) == "1.0.2"
    assert registry.save("thing", 1, if_changed=True) == "1.0.3"
    registry.delete("thing@1.0.3")
    assert registry.save("thing", 1, if_changed=True) == "1.0.4"


def test_without_if_changed_the_same_is_a_new_version(registry: Registry) -> None:
    """A save without `version=` makes a version, also of the same content."""
    assert [registry.save("thing", 1) for _ in range(3)] == ["1.0.0", "1.0.1", "1.0.2"]


def test_if_changed_is_decided_in_the_commit() -> None:
    """When somebody saves the same meanwhile, theirs is the version; when something else, there is a change."""
    place = Meanwhile()
    registry = Registry(place)
    registry.save("thing", 0)
    place.others = lambda: Registry(place).save("thing", 1)
    assert registry.save("thing", 1, if_changed=True) == "1.0.1"
    place.others = lambda: Registry(place).save("thing", 2)
    assert registry.save("thing", 3, if_changed=True) == "1.0.3"
    assert [registry.load("thing", version) for version in registry.list_versions("thing")] == [0, 1, 2, 3]


@pytest.mark.parametrize("again", [{"version": "1.0.0"}, {"if_changed": True}], ids=["version", "if_changed"])
def test_the_same_again_takes_notes_and_tags(registry: Registry, again: dict[str, Any]) -> None:
    """Where a save finds its version there, the notes that it is given are set, and others stay; tags move."""
    registry.save("thing", 1, notes={"a": 1, "b": 1})
    created = registry.info("thing")["created"]
    assert registry.save("thing", 1, notes={"b": 2, "c": 3}, tags=["prod"], **again) == "1.0.0"
    info = registry.info("thing")
    assert info["notes"] == {"a": 1, "b": 2, "c": 3}
    assert info["tags"] == ["prod"]
    assert info["created"] == created
