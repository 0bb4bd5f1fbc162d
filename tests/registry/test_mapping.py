"""A Registry is a mapping: what works with a dict works with it."""

from __future__ import annotations

from collections import UserDict
from collections.abc import Hashable, MutableMapping
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from casreg import (
    CorruptError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidVersionError,
    ObjectNotFoundError,
)
from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend


@pytest.fixture
def filled(registry: Registry) -> Registry:
    """Three names, one of them with two versions."""
    for key, value in (("b:two", 1), ("a:one", 1), ("a:one", 2), ("c", 3)):
        registry.save(key, value)
    return registry


def test_items(filled: Registry) -> None:
    """`[]` loads the latest version or the one that is named, and saves the next or the one that is named."""
    assert isinstance(filled, MutableMapping)
    assert filled["a:one"] == 2
    assert filled["a:one@1.0.0"] == filled["a:one@<1.0.1"] == 1
    filled["a:one"] = 3
    filled["a:one@4"] = 4
    assert filled.list_versions("a:one") == ["1.0.0", "1.0.1", "1.0.2", "4.0.0"]
    assert filled["a:one"] == 4


def test_delete(filled: Registry) -> None:
    """`del` deletes the version that is named, or all."""
    del filled["a:one@1.0.1"]
    assert filled["a:one"] == 1
    del filled["a:one"]
    assert list(filled) == ["b:two", "c"]


@pytest.mark.parametrize("key", ["missing", "a:one@3.0.0", "a:one@tagged", "a:one@>5"])
def test_missing_keys(filled: Registry, key: str) -> None:
    """What is not there is a `KeyError` that says so, and not `in`."""
    assert key not in filled
    assert filled.get(key) is None
    assert filled.get(key, 7) == 7
    for attempt in (filled.__getitem__, filled.pop):
        with pytest.raises(KeyError) as caught:
            attempt(key)
        assert isinstance(caught.value, ObjectNotFoundError)


def test_deleting_missing_keys(filled: Registry) -> None:
    """As in a dict a `KeyError`."""
    for key in ("missing", "a:one@3.0.0"):
        with pytest.raises(KeyError):
            del filled[key]


@pytest.mark.parametrize("key", ["under_score", "", "a/b", "a@", "a@@b", "a@1.0.0.0", "~hidden", "../up"])
def test_what_cannot_be_a_key(filled: Registry, key: str) -> None:
    """It is just not `in`, and everywhere else the same error that the methods raise: a typo is not a missing value."""
    assert key not in filled
    attempts: list[Callable[[], object]] = [
        lambda: filled[key],
        lambda: filled.get(key, 1),
        lambda: filled.pop(key, 1),
        lambda: filled.setdefault(key, 1),
    ]
    for attempt in attempts:
        with pytest.raises((InvalidNameError, InvalidVersionError)):
            attempt()


def test_keys_of_other_types(filled: Registry) -> None:
    """What is no text is not `in`, hashable or not."""
    keys: list[object] = [5, None, ["a:one"], b"a:one", ("a:one",)]
    for key in keys:
        assert key not in filled


def test_in_loads_nothing() -> None:
    """`in` reads the ref and nothing else, however large the object is; `len` and `iter` load nothing either."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    registry.save("big", bytes(1_000_000))
    backend.log.clear()
    assert "big@1.0.0" in registry
    assert [(call.method, call.key) for call in backend.calls] == [("get", "refs/big")]
    assert len(registry) == 1
    assert list(registry.keys()) == ["big"]
    assert {call.key.partition("/")[0] for call in backend.calls} == {"refs"}


def test_only_what_is_missing_has_a_default(filled: Registry, backend: Backend) -> None:
    """`get`, `pop` and `setdefault` do not take damage for absence."""
    keys = [info.key for info in backend.list("manifests/")]
    backend.delete(keys)
    fresh = Registry(backend, cache=False)  # copies in a cache would do instead
    attempts: list[Callable[[], object]] = [
        lambda: fresh.get("c", 1),
        lambda: fresh.pop("c", 1),
        lambda: fresh.setdefault("c", 1),
    ]
    for attempt in attempts:
        with pytest.raises(CorruptError):
            attempt()
    assert "c" in fresh


def test_views(filled: Registry) -> None:
    """`keys`, `values` and `items` are views, sorted by name, of the latest versions."""
    assert list(filled.keys()) == ["a:one", "b:two", "c"]
    assert list(filled.values()) == [2, 1, 3]
    assert dict(filled) == dict(filled.items()) == {"a:one": 2, "b:two": 1, "c": 3}
    assert len(filled) == len(filled.keys()) == 3
    keys = filled.keys()
    filled["d"] = 4
    assert "d" in keys


def test_values_are_loaded_one_by_one(filled: Registry) -> None:
    """Going through `items` loads each object when it comes: one that cannot be loaded harms those after it only."""
    filled.delete("b:two")
    items = iter(filled.items())
    assert next(items) == ("a:one", 2)
    filled.delete("c")
    with pytest.raises(ObjectNotFoundError):
        next(items)


def test_pop(filled: Registry) -> None:
    """`pop` gives the latest version and deletes all of the name; of `name@…` the one that it means."""
    filled.tag("a:one", "first", "1.0.0")
    assert filled.pop("a:one@first") == 1
    assert filled.list_versions("a:one") == ["1.0.1"]
    filled["a:one"] = 5
    assert filled.pop("a:one") == 5
    assert "a:one" not in filled
    assert filled.pop("a:one", None) is None


def test_pop_a_path(registry: Registry, tmp_path: Path) -> None:
    """The files of a path that was popped are still there."""
    (tmp_path / "file").write_text("text")
    registry["file"] = tmp_path / "file"
    assert registry.pop("file").read_text() == "text"


def test_popitem(filled: Registry) -> None:
    """`popitem` takes the first name, until there is none."""
    assert [filled.popitem() for _ in range(3)] == [("a:one", 2), ("b:two", 1), ("c", 3)]
    with pytest.raises(KeyError, match="there is nothing in"):
        filled.popitem()


def test_setdefault(filled: Registry) -> None:
    """`setdefault` loads what is there, and saves what is not."""
    assert filled.setdefault("c", 9) == 3
    assert filled.setdefault("new", 9) == 9
    assert filled["new"] == 9
    assert filled.setdefault("none") is None
    assert filled["none"] is None


def test_update(filled: Registry) -> None:
    """A mapping, pairs, and names: each is saved as a version, in order."""
    filled.update({"c": 4, "d@2.0.0": 5})
    filled.update([("e", 6), ("e", 7)], f=8)
    filled.update(g=9)
    filled.update({"h@2.0.0": 1, "h": 2})
    filled.update()
    assert filled.list_versions("h") == ["2.0.0", "2.0.1"]
    assert filled.list_versions("c") == ["1.0.0", "1.0.1"]
    assert [filled[key] for key in ("c", "d@2.0.0", "e@1.0.0", "e", "f", "g")] == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("wrong", [5, [1, 2], ["abc"], None])
def test_update_from_something_else(filled: Registry, wrong: Any) -> None:
    """What is neither mapping nor pairs is refused, and nothing is saved."""
    with pytest.raises(InvalidArgumentError, match="mapping, or pairs"):
        filled.update(wrong, new=1)
    assert len(filled) == 3


def test_clear(filled: Registry) -> None:
    """`clear` deletes everything; versions can be brought back, and their numbers are not given again."""
    filled.clear()
    assert list(filled) == []
    filled.clear()
    assert filled.undelete("c", "1.0.0") == "1.0.0"
    assert filled.save("b:two", 2) == "1.0.1"


def test_truth(registry: Registry) -> None:
    """As with any mapping an empty one is false."""
    assert not registry
    registry["a"] = 1
    assert registry


def test_equality_is_identity(filled: Registry, backend: Backend) -> None:
    """Nothing is compared, so a Registry can be a key itself."""
    same = Registry(backend)
    assert filled != same
    assert filled != dict(filled)
    assert filled != UserDict(filled)
    assert filled == filled  # noqa: PLR0124 - that is the promise
    assert isinstance(filled, Hashable)
    assert {filled: 1, same: 2}[filled] == 1


def test_names_that_this_handle_cannot_write(backend: Backend) -> None:
    """A name with `_` is listed, counted and cleared, though this handle refuses to load it by name."""
    Registry(backend, allow_underscore=True)["my_name"] = 1
    registry = Registry(backend)
    assert list(registry) == ["my_name"]
    assert registry.info()["my_name"]["version"] == "1.0.0"
    assert registry.list_objects_and_versions() == {"my_name": ["1.0.0"]}
    with pytest.raises(InvalidNameError, match="allow_underscore"):
        registry["my_name"]
    registry.clear()
    assert len(registry) == 0


def test_a_context_manager(registry: Registry, tmp_path: Path) -> None:
    """At the end of the block the temporary folders of loaded paths are gone, and the Registry works on."""
    (tmp_path / "file").write_text("text")
    with registry as same:
        assert same is registry
        registry["file"] = tmp_path / "file"
        first, second = registry["file"], registry["file"]
        assert first.read_text() == second.read_text() == "text"
    assert not first.exists()
    assert not second.exists()
    assert not first.parent.parent.exists()
    assert registry["file"].read_text() == "text"


KEYS = st.sampled_from(["a", "b:c", "b:d"])
VALUES = st.integers(0, 3)
ACTIONS = st.one_of(
    st.tuples(st.just("set"), KEYS, VALUES),
    st.tuples(st.sampled_from(["del", "pop", "pop or", "setdefault", "get", "in"]), KEYS, VALUES),
    st.tuples(st.sampled_from(["clear", "update"]), KEYS, VALUES),
)


def act(mapping: MutableMapping[str, Any], action: str, key: str, value: int) -> object:
    """What an action on a mapping gives, or the kind of error."""
    try:
        match action:
            case "set":
                mapping[key] = value
            case "del":
                del mapping[key]
            case "pop":
                return mapping.pop(key)
            case "pop or":
                return mapping.pop(key, value)
            case "setdefault":
                return mapping.setdefault(key, value)
            case "get":
                return mapping.get(key, value)
            case "in":
                return key in mapping
            case "clear":
                mapping.clear()
            case "update":
                mapping.update({key: value}, a=value)
    except KeyError:
        return KeyError
    return None


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=12))
def test_it_behaves_as_a_dict(actions: list[tuple[str, str, int]]) -> None:
    """After any actions, a Registry holds what a dict would hold, and each action gave the same."""
    registry, model = Registry(MemoryBackend()), dict[str, Any]()
    for action in actions:
        assert act(registry, *action) == act(model, *action)
        assert dict(registry) == model
        assert len(registry) == len(model)
