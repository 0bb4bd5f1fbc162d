"""What a Registry does, the Store does at the mount that the key means."""

from __future__ import annotations

import contextlib
import inspect
import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, get_overloads

import pytest

from casreg import (
    InvalidArgumentError,
    MemoryBackend,
    Mount,
    ObjectNotFoundError,
    ReadOnlyError,
    Registry,
    Store,
    StoreAmbiguousObjectError,
    StoreKeyFormatError,
    StoreLocationNotFound,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.testing import RecordingBackend
from store.lab import dead, holding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def registry() -> Registry:
    """A registry with two versions of `x`."""
    registry = Registry(MemoryBackend())
    registry.save("x", {"n": 1}, metadata={"score": 0.5}, notes={"by": "me"}, tags=["prod"])
    registry.save("x", {"n": 2}, metadata={"score": 0.9})
    return registry


@pytest.fixture
def store(registry: Registry) -> Store:
    """That registry beside another one, which has the same numbers of another name."""
    return Store(mounts={"a": registry, "b": holding(y=1)})


READS: list[tuple[Callable[[Store, str], Any], Callable[[Registry], Any]]] = [
    (lambda s, k: s.load(k), lambda r: r.load("x")),
    (lambda s, k: s[k], lambda r: r["x"]),
    (lambda s, k: s.get(k), lambda r: r.get("x")),
    (lambda s, k: s.load(k, "1.0.0"), lambda r: r.load("x", "1.0.0")),
    (lambda s, k: s.load(f"{k}@prod"), lambda r: r.load("x@prod")),
    (lambda s, k: s.list_versions(k), lambda r: r.list_versions("x")),
    (lambda s, k: s.list_versions(f"{k}@<1.0.1"), lambda r: r.list_versions("x@<1.0.1")),
    (lambda s, k: s.history(k), lambda r: r.history("x")),
    (lambda s, k: s.files(k), lambda r: r.files("x")),
    (lambda s, k: s.files(k, "1.0.0"), lambda r: r.files("x", "1.0.0")),
    (lambda s, k: s.open(k).read(), lambda r: r.open("x").read()),
    (lambda s, k: s.open(k, "data.json", "1.0.0").read(), lambda r: r.open("x", "data.json", "1.0.0").read()),
    (lambda s, k: s.diff(k, "1.0.0", "1.0.1"), lambda r: r.diff("x", "1.0.0", "1.0.1")),
    (lambda s, k: s.has_object(k, "1.0.1"), lambda r: r.has_object("x", "1.0.1")),
    (lambda s, k: s.has_object(k, "9"), lambda r: r.has_object("x", "9")),
]


@pytest.mark.parametrize("key", ["a/x", "x"])
@pytest.mark.parametrize(("ask", "expect"), READS)
def test_reads(
    ask: Callable[[Store, str], Any],
    expect: Callable[[Registry], Any],
    key: str,
    store: Store,
    registry: Registry,
) -> None:
    """Give what the registry gives, with the location in the key and without it."""
    assert ask(store, key) == expect(registry)


CHANGES: list[tuple[Callable[[Store, str], Any], Callable[[Registry], Any]]] = [
    (lambda s, k: s.save(k, {"n": 3}), lambda r: r.load("x@1.0.2") == {"n": 3}),
    (lambda s, k: s.save(f"{k}@2.0.0", {"n": 3}), lambda r: r.load("x@2.0.0") == {"n": 3}),
    (
        lambda s, k: s.save(k, 3, version="2.0.0", metadata={"m": 1}),
        lambda r: r.info("x@2")["metadata"] == {"m": 1},
    ),
    (lambda s, k: s.__setitem__(k, {"n": 3}), lambda r: r.load("x@1.0.2") == {"n": 3}),
    (lambda s, k: s.delete(k), lambda r: r.list_versions("x") == []),
    (lambda s, k: s.delete(k, "1.0.0"), lambda r: r.list_versions("x") == ["1.0.1"]),
    (lambda s, k: s.__delitem__(f"{k}@1.0.1"), lambda r: r.list_versions("x") == ["1.0.0"]),
    (lambda s, k: s.pop(f"{k}@prod"), lambda r: r.list_versions("x") == ["1.0.1"]),
    (lambda s, k: s.tag(k, "best"), lambda r: r.load("x@best") == {"n": 2}),
    (lambda s, k: s.tag(k, "best", "1.0.0"), lambda r: r.load("x@best") == {"n": 1}),
    (lambda s, k: s.untag(k, "prod"), lambda r: not r.has_object("x@prod")),
    (lambda s, k: s.annotate(k, "1.0.0", by="you"), lambda r: r.info("x@1.0.0")["notes"] == {"by": "you"}),
    (lambda s, k: s.protect(k, "1.0.0"), lambda r: r.info("x@1.0.0")["protected"]),
    (lambda s, k: s.rename(k, "a/z"), lambda r: r.list_objects_and_versions() == {"z": ["1.0.0", "1.0.1"]}),
]


@pytest.mark.parametrize(("change", "changed"), CHANGES)
def test_changes(
    change: Callable[[Store, str], Any], changed: Callable[[Registry], bool], store: Store, registry: Registry
) -> None:
    """Reach the registry of the location and no other; without a location nobody is asked, and nothing changes."""
    before = registry.history("x")
    with pytest.raises(StoreKeyFormatError, match=r"needs a location, and 'x.*write 'a/x"):
        change(store, "x")
    assert registry.history("x") == before
    change(store, "a/x")
    assert changed(registry)
    assert store.list_objects_and_versions("b") == {"b/y": ["1.0.0"]}


def test_a_key_without_location_asks_nobody() -> None:
    """A change that is refused for its key costs no request."""
    a = RecordingBackend(MemoryBackend())
    store = Store(mounts={"a": a})
    for change in (lambda: store.save("x", 1), lambda: store.delete("x"), lambda: store.move("x", "a/y")):
        with pytest.raises(StoreKeyFormatError, match="the mounts are 'a'"):
            change()
    likely = Store(mounts={"a": holding(), "b": holding()}, default_location="b")
    with pytest.raises(StoreKeyFormatError, match="write 'b/x'; the mounts are 'a', 'b'"):
        likely.save("x", 1)
    with pytest.raises(StoreKeyFormatError, match=r"none yet \(add_mount\)"):
        Store(mounts={}).save("x", 1)
    assert not a.calls


def test_what_is_deleted_comes_back(store: Store) -> None:
    """`undelete`, and `unprotect` before it can be deleted at all."""
    store.protect("a/x", "1.0.0")
    with pytest.raises(VersionProtectedError):
        store.delete("a/x", "1.0.0")
    assert store.unprotect("a/x", "1.0.0") == "1.0.0"
    assert store.delete("a/x@1.0.0") == ["1.0.0"]
    assert store.undelete("a/x", "1.0.0") == "1.0.0"
    assert store.load("a/x@1.0.0") == {"n": 1}


def test_renaming_stays_in_a_mount(store: Store) -> None:
    """Between two of them it says which call moves a version; nothing is changed."""
    with pytest.raises(StoreKeyFormatError, match=r"move\('a/x', 'b/x'\)"):
        store.rename("a/x", "b/x")
    assert store.list_objects() == ["a/x", "b/y"]


def test_info_says_where(store: Store, registry: Registry) -> None:
    """It has all that the registry says, the location, and the key to load it with."""
    said = store.info("x", "1.0.0")
    assert said == {"key": "a/x@1.0.0", "location": "a", **registry.info("x@1.0.0")}
    assert store.load(said["key"]) == {"n": 1}
    assert set(store.info()) == {"a/x", "b/y"}
    assert store.info()["a/x"] == store.info("a/x")
    with pytest.raises(InvalidArgumentError, match="needs a key"):
        store.info(version="1.0.0")


def test_listings_are_qualified(store: Store) -> None:
    """All mounts, or one; sorted."""
    store.save("b/a", 1)
    assert store.list_objects() == list(store) == list(store.keys()) == ["a/x", "b/a", "b/y"]
    assert store.list_objects("b") == ["b/a", "b/y"]
    store.add_mount("0", holding(z=1))
    assert store.list_objects() == ["0/z", "a/x", "b/a", "b/y"]
    store.remove_mount("0")
    assert store.list_objects_and_versions() == {
        "a/x": ["1.0.0", "1.0.1"],
        "b/a": ["1.0.0"],
        "b/y": ["1.0.0"],
    }
    assert store.list_versions("nothing") == store.list_versions("a/nothing") == []
    assert len(store) == 3


def test_finding_by_what_was_said(store: Store) -> None:
    """`find` searches all mounts or one, and its keys can be loaded."""
    store.save("b/x", {"n": 5}, metadata={"score": 0.7})

    def keys(*pattern: str, **conditions: Any) -> list[str]:
        return [row["key"] for row in store.find(*pattern, **conditions)]

    assert keys() == ["a/x@1.0.1", "b/x@1.0.0", "b/y@1.0.0"]
    assert keys("x", where={"score": lambda it: it > 0.6}) == ["a/x@1.0.1", "b/x@1.0.0"]
    assert keys("a/*") == ["a/x@1.0.1"]
    assert keys("a/x", version="*") == keys("a/x@*") == ["a/x@1.0.0", "a/x@1.0.1"]
    with pytest.raises(StoreLocationNotFound):
        store.find("c/*")
    with pytest.raises(StoreKeyFormatError):
        store.find("a/b/*")


def test_it_is_a_mapping() -> None:
    """The protocol of a dict: reading, writing, missing things, defaults, views."""
    store = Store(mounts={"a": Registry(MemoryBackend()), "b": Registry(MemoryBackend())})
    assert isinstance(store, MutableMapping)
    store["a/x"] = 1
    store.update({"b/y": 2, "b/z@2.0.0": 3})
    assert dict(store) == {"a/x": 1, "b/y": 2, "b/z": 3}
    assert list(store.items()) == [("a/x", 1), ("b/y", 2), ("b/z", 3)]
    assert list(store.values()) == [1, 2, 3]
    assert (store["y"], store.get("y"), store.get("none"), store.get("none", 5)) == (2, 2, None, 5)
    assert "a/x" in store
    no_objects: list[object] = ["a/y", "typo/x", "a/b/c", "x@@", "x@>=>", "", 5, None]
    assert [key in store for key in no_objects] == [False] * 8
    assert store.setdefault("a/x", 9) == 1
    assert store.setdefault("a/new", 9) == 9
    assert store.pop("a/new") == 9
    assert store.pop("a/new", "gone") == "gone"
    for missing in (lambda: store["none"], lambda: store.pop("a/new"), lambda: store.__delitem__("a/new")):
        with pytest.raises(KeyError) as caught:
            missing()
        assert isinstance(caught.value, ObjectNotFoundError)
    with pytest.raises(KeyError):
        store["typo/x"]
    del store["b/z@2.0.0"]
    assert list(store) == ["a/x", "b/y"]
    assert store.popitem() == ("a/x", 1)


def test_what_is_ambiguous_is_not_missing() -> None:
    """`get` and `in` do not take it for absent: the one raises, the other says True."""
    store = Store(mounts={"a": holding(x=1), "b": holding(x=2)})
    assert "x" in store
    with pytest.raises(StoreAmbiguousObjectError):
        store.get("x", 5)


def test_a_store_is_not_emptied_by_one_word() -> None:
    """`clear()` is refused; `clear(location)` empties one mount."""
    store = Store(mounts={"a": holding(x=1), "b": holding(y=2)})
    with pytest.raises(StoreKeyFormatError, match=r"clear\('location'\)"):
        store.clear()
    assert len(store) == 2
    store.clear("a")
    assert list(store) == ["b/y"]


def test_lists_of_keys_go_to_their_mounts() -> None:
    """In order, each with its version; an item that fails stops no other, whatever the reason."""
    store = Store(
        mounts=[
            Mount("a", holding()),
            Mount("b", holding()),
            Mount("r", holding(z=1), True),
            Mount("far", dead()),
        ]
    )
    keys = ["b/x", "a/x", "x", "typo/x", "r/x", "far/x", "a/x", "a/y@3.0.0"]
    saved = store.save(keys, list(range(8)))
    assert list(saved) == ["1.0.0", "1.0.0", None, None, None, None, "1.0.1", "3.0.0"]
    assert [type(error).__name__ for error in saved.errors] == [
        "StoreKeyFormatError",
        "StoreLocationNotFound",
        "ReadOnlyError",
        "StorageUnavailableError",
    ]
    assert [item.name for item in saved.items] == ["b/x", "a/x", "x", "typo/x", "r/x", "far/x", "a/x", "a/y"]
    store.remove_mount("far")
    loaded = store.load(["b/x", "x", "a/x@1.0.0", "y", "none", "z"])
    assert list(loaded) == [0, None, 1, 7, None, 1]
    assert [type(error) for error in loaded.errors] == [StoreAmbiguousObjectError, ObjectNotFoundError]
    assert [item.version for item in loaded.items] == ["1.0.0", None, "1.0.0", "3.0.0", None, "1.0.0"]
    deleted = store.delete(["a/x", "r/z", "b/x@1.0.0"])
    assert list(deleted) == [["1.0.0", "1.0.1"], None, ["1.0.0"]]
    assert isinstance(deleted.errors[0], ReadOnlyError)
    assert list(store) == ["a/y", "r/z"]


def test_a_key_that_is_there_many_times() -> None:
    """Is saved and deleted in the order of the list, so that every object has the number of its turn."""
    store = Store(mounts={"a": holding(), "b": holding()})
    count = 40
    saved = store.save(["a/x", "b/x"] * count, list(range(2 * count)))
    assert list(saved) == [f"1.0.{turn}" for turn in range(count) for _ in "ab"]
    assert store.load("a/x@1.0.7") == 14
    assert list(store.load([f"b/x@1.0.{turn}" for turn in range(count)])) == list(range(1, 2 * count, 2))


def test_lists_with_a_value_for_each() -> None:
    """Versions, metadata, notes and tags are one for all or one for each, as in a registry; what exists is skipped."""
    store = Store(mounts={"a": holding(), "b": holding()})
    store.save(
        ["a/x", "b/x"],
        [1, 2],
        version=["1.0.0", "2.0.0"],
        metadata=[{"k": 1}, {"k": 2}],
        notes={"by": "me"},
        tags=[["p"], ["q"]],
    )
    infos = [store.info("a/x"), store.info("b/x")]
    assert [info["metadata"] for info in infos] == [{"k": 1}, {"k": 2}]
    assert [info["notes"] for info in infos] == [{"by": "me"}] * 2
    assert [info["tags"] for info in infos] == [["p"], ["q"]]
    assert [info["version"] for info in infos] == ["1.0.0", "2.0.0"]
    again = store.save(["a/x", "b/x"], [9, 9], version=["1.0.0", "3.0.0"], on_conflict="skip")
    assert (again.skipped_count, again.success_count) == (1, 1)
    assert isinstance(store.save(["a/x"], [9], version="1.0.0").errors[0], VersionConflictError)


def test_lists_that_do_not_fit(tmp_path: Path) -> None:
    """Are refused as a whole, before anything is saved; so is a misspelt option, and one folder for many."""
    store = Store(mounts={"a": holding()})
    with pytest.raises(InvalidArgumentError, match="2 names and 1 objects"):
        store.save(["a/x", "a/y"], [1])
    with pytest.raises(InvalidArgumentError):
        store.save(["a/x", "a/y"], [1, 2], metadata=[{}])
    with pytest.raises(TypeError, match="metdata"):
        store.save(["a/x"], [1], metdata={})  # type: ignore[call-overload]  # that is the test
    with pytest.raises(TypeError, match="metdata"):
        store.save("a/x", 1, metdata={})  # type: ignore[call-overload]  # that is the test
    with pytest.raises(InvalidArgumentError, match="into="):
        store.load(["a/x"], into=tmp_path)  # type: ignore[call-overload]  # that is the test
    assert list(store) == []
    assert list(store.save([], [])) == []


@pytest.mark.parametrize("name", ["save", "load"])
def test_a_store_takes_what_its_registries_take(name: str) -> None:
    """Each option by its name, with the same type and default, in every form: typos are seen by tools too."""
    mine, theirs = getattr(Store, name), getattr(Registry, name)
    forms = zip([mine, *get_overloads(mine)], [theirs, *get_overloads(theirs)], strict=True)
    for one, other in forms:
        (_, key, *options), (_, _, *wanted) = (
            inspect.signature(form).parameters.values() for form in (one, other)
        )
        assert key.name == "key"
        assert options == wanted


@pytest.mark.parametrize("many", [False, True], ids=["one", "list"])
def test_every_option_reaches_the_registry(many: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it was given, for one key and for lists."""
    given: list[dict[str, Any]] = []
    key: Any = ["a/x"] if many else "a/x"

    def taken(_: Registry, *__: object, **options: Any) -> object:
        given.append(options)
        raise InvalidArgumentError("enough")

    store = Store(mounts={"a": holding(x=1)})
    asked: dict[str, dict[str, Any]] = {}
    for name, skipped in (("save", {"version", "metadata", "notes", "tags"}), ("load", {"into"})):
        parameters = inspect.signature(getattr(Registry, name)).parameters.values()
        asked[name] = {
            one.name: object()
            for one in parameters
            if one.kind is one.KEYWORD_ONLY and one.name not in skipped
        }
        monkeypatch.setattr(Registry, name, taken)
    for call in (
        lambda: store.save(key, [1] if many else 1, **asked["save"]),
        lambda: store.load(key, **asked["load"]),
    ):
        with contextlib.suppress(InvalidArgumentError):
            call()
    for options, name in zip(given, ("save", "load"), strict=True):
        assert asked[name].items() <= options.items()


def test_a_path_lives_as_long_as_the_store(tmp_path: Path) -> None:
    """A loaded file is there while the Store is, and goes when its `with` ends."""
    (tmp_path / "file.txt").write_text("hello")
    with Store(mounts={"a": holding(), "b": holding()}) as store:
        store.save("a/file", tmp_path / "file.txt")
        path = store.load("file")
        assert path.read_text() == "hello"
    assert not path.exists()


def test_what_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG: who was asked, where it was found, which mount failed."""
    store = Store(mounts={"a": holding(x=1), "b": holding()})
    with caplog.at_level(logging.DEBUG, "casreg.store"):
        store.load("x")
        assert "asked 'a', 'b' for x: found in 'a'" in caplog.messages
        store.add_mount("far", dead())
        store.has_object("x")
    assert any(message.startswith("mount far (memory://") for message in caplog.messages)


def test_bundles_go_out_of_a_mount_and_into_one(store: Store, tmp_path: Path) -> None:
    """As a registry writes and reads them; a bundle can be mounted, and is found like any other."""
    path = tmp_path / "some.casreg"
    assert store.export("a", path, "x@prod") == ["x@1.0.0"]
    assert store.import_("b", path) == ["x@1.0.0"]
    assert store.info("b/x@1.0.0")["digest"] == store.info("a/x@1.0.0")["digest"]
    assert Store(mounts={"bundle": path, "other": holding()}).load("x") == {"n": 1}
    with pytest.raises(StoreLocationNotFound):
        store.export("c", tmp_path / "other.casreg")


def test_what_a_registry_can_a_store_can() -> None:
    """Every public method of a Registry is one of the Store; what is missing is named here, with what to use instead."""
    instead_by_get_registry = {
        "adopt",
        "backend",
        "cache",
        "clear_cache",
        "download",  # copy
        "gc",  # what is done to a whole registry, or said of one, is asked of that one
        "heal",
        "init",
        "overview",
        "prune",
        "registered_materializer",
        "registered_materializers",
        "stats",
        "verify",
    }
    public = {name for name in dir(Registry) if not name.startswith("_")}
    assert public - set(dir(Store)) == instead_by_get_registry
