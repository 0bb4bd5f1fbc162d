"""Everything that ever was a version of a name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from casreg import InvalidNameError, ObjectNotFoundError
from casreg.backends.memory import MemoryBackend
from casreg.refs import Record, spill
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from casreg.refs import History, Removal


def states(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Version and state of each row."""
    return [(row["version"], row["state"]) for row in rows]


def test_what_lives_and_what_did(registry: Registry, backend: Backend) -> None:
    """The highest number first; of one number what it is before what it was, the newest first."""
    for value in range(4):
        registry.save("thing", value)
    registry.delete("thing@1.0.1")
    mutable = Registry(backend, mutable=True)
    mutable.save("thing@1.0.2", "second")
    mutable.save("thing@1.0.2", "third")
    mutable.save("thing@1.0.0", "other")
    mutable.delete("thing@1.0.0")
    assert states(registry.history("thing")) == [
        ("1.0.3", "live"),
        ("1.0.2", "live"),
        ("1.0.2", "replaced"),
        ("1.0.2", "replaced"),
        ("1.0.1", "deleted"),
        ("1.0.0", "deleted"),
        ("1.0.0", "replaced"),
    ]
    digests = [row["digest"] for row in registry.history("thing@1.0.2")]
    contents: list[object] = ["third", "second", 2]
    for content in contents:
        registry.save("same", content)
    assert digests == [registry.info("same", version)["digest"] for version in registry.list_versions("same")]


def test_a_row(registry: Registry) -> None:
    """A row says of a version what `info` says of it without its manifest."""
    registry.save("thing", {"a": 1}, notes={"n": 1}, tags=["prod", "best"])
    registry.protect("thing")
    info = registry.info("thing")
    (row,) = registry.history("thing")
    shared = ("version", "created", "digest", "size", "stored", "class", "notes", "tags", "protected")
    assert row == {**{key: info[key] for key in shared}, "state": "live", "deleted": None}


def test_a_deleted_row(registry: Registry) -> None:
    """What was deleted still says what it was, and when it went; its tags are gone."""
    registry.save("thing", "text", notes={"n": 1}, tags=["prod"])
    digest = registry.info("thing")["digest"]
    registry.delete("thing")
    (row,) = registry.history("thing")
    assert (row["state"], row["digest"], row["class"]) == ("deleted", digest, "builtins.str")
    assert (row["notes"], row["tags"]) == ({"n": 1}, [])
    assert row["deleted"] >= row["created"]


def test_undeleted(registry: Registry) -> None:
    """What was brought back lives, and nothing says that it had gone."""
    registry.save("thing", 1)
    registry.delete("thing")
    registry.undelete("thing@1.0.0")
    assert states(registry.history("thing")) == [("1.0.0", "live")]


def test_retired_numbers(registry: Registry) -> None:
    """Of a number whose tombstone was collected nothing is known but that it was used."""

    def retire(removal: Removal) -> History:
        ref = removal.history.ref
        return replace(removal.history, ref=replace(ref, records=dict.fromkeys(ref.records, Record())))

    registry.save("thing", 1)
    registry.delete("thing")
    registry._repository.refs.remove("thing", retire)
    (row,) = registry.history("thing")
    assert (row["version"], row["state"], row["digest"], row["created"]) == ("1.0.0", "retired", None, None)
    assert registry.save("thing", 1) == "1.0.1"


def test_some_of_it(registry: Registry) -> None:
    """`name@…` is the history of what that means: also of a number that is deleted."""
    for value in range(4):
        registry.save("thing", value)
    registry.tag("thing", "prod", "1.0.2")
    registry.delete("thing@1.0.1")
    assert states(registry.history("thing@1.0.1")) == [("1.0.1", "deleted")]
    assert states(registry.history("thing@<1.0.2")) == [("1.0.1", "deleted"), ("1.0.0", "live")]
    assert states(registry.history("thing@prod")) == [("1.0.2", "live")]
    assert states(registry.history("thing@latest")) == [("1.0.3", "live")]


@pytest.mark.parametrize("key", ["missing", "thing@7.0.0", "thing@>7", "thing@untold"])
def test_what_never_was(registry: Registry, key: str) -> None:
    """An error that says so, for a name, a number, a range and a tag."""
    registry.save("thing", 1)
    with pytest.raises(ObjectNotFoundError, match=key.partition("@")[0]):
        registry.history(key)


def test_wrong_names(registry: Registry) -> None:
    """As in every method."""
    with pytest.raises(InvalidNameError):
        registry.history("a_b")


def test_long_histories(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """What has moved to segments is a part of it."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 5000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 3000)
    for value in range(40):
        registry.save("thing", value)
    registry.delete("thing@1.0.3")
    found = states(registry.history("thing"))
    expected = [(f"1.0.{n}", "deleted" if n == 3 else "live") for n in reversed(range(40))]
    assert found == expected


def test_what_is_read() -> None:
    """The ref, and nothing else."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    registry.save("thing", 1)
    backend.log.clear()
    registry.history("thing")
    assert [(call.method, call.key) for call in backend.calls] == [("get", "refs/thing")]
