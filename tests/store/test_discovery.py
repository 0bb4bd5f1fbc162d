from __future__ import annotations

import pickle
import threading
from typing import TYPE_CHECKING

import pytest

from casreg import (
    CorruptError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidVersionError,
    MemoryBackend,
    ObjectNotFoundError,
    Registry,
    StorageUnavailableError,
    Store,
    StoreAmbiguousObjectError,
    StoreMountError,
)
from casreg.store import discovery
from casreg.testing import RecordingBackend
from store.lab import dead, holding

if TYPE_CHECKING:
    from casreg.backends.base import Object


def test_the_only_mount_that_has_it() -> None:
    """A name alone is found, wherever it is; a saved None or an empty value is an object as any other."""
    store = Store(mounts={"a": holding(x=None), "b": holding(y=0), "c": holding()}, default_location="c")
    assert store.load("x") is None
    assert store.load("y") == 0
    assert store["y@1.0.0"] == 0


def test_none_has_it() -> None:
    """The error is a `KeyError` and a `ValueError`, and names the mounts that were asked."""
    store = Store(mounts={"b": holding(), "a": holding(y=1)})
    with pytest.raises(ObjectNotFoundError, match=r"there is no 'x' in 'a', 'b'") as caught:
        store.load("x")
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(ObjectNotFoundError, match="the store has no mounts"):
        Store(mounts={}).load("x")


def test_several_have_it() -> None:
    """Even the default location is not picked; the error lists what to write, and pickles with its locations."""
    store = Store(mounts={"c": holding(x=3), "a": holding(x=1), "b": holding()}, default_location="a")
    for read in (store.load, store.info, store.list_versions, store.history, store.files, store.open):
        with pytest.raises(StoreAmbiguousObjectError, match="write 'a/x' or 'c/x'") as caught:
            read("x")
        assert pickle.loads(pickle.dumps(caught.value)).locations == caught.value.locations == ("a", "c")
    assert [store.load(f"{location}/x") for location in "ac"] == [1, 3]


def test_the_version_counts() -> None:
    """A mount has `name@version` if the version, tag or range means something there."""
    first, second = holding(x=1), holding(x=2)
    first.save("x", "one", version="3.0.0", tags=["prod"])
    second.save("x", "two", version="4.0.0")
    store = Store(mounts={"a": first, "b": second})
    assert store.load("x@3.0.0") == store.load("x@prod") == store.load("x", ">=2,<4") == "one"
    assert store.load("x", version="4") == "two"
    with pytest.raises(StoreAmbiguousObjectError, match="write 'a/x@>=2' or 'b/x@>=2'"):
        store.load("x@>=2")
    with pytest.raises(ObjectNotFoundError, match="there is no 'x@best' in 'a', 'b'"):
        store.load("x@best")


def test_a_mount_that_cannot_be_asked() -> None:
    """The error names it and what was found elsewhere, whether by one other, none or several; its cause is kept."""
    for others, found in (
        ({"a": holding(x=1)}, ("a/x",)),
        ({"a": holding()}, ()),
        ({"a": holding(x=1), "b": holding(x=1)}, ("a/x", "b/x")),
    ):
        store = Store(mounts={**others, "far": dead(), "away": dead()}, default_location="a")
        with pytest.raises(StoreMountError) as caught:
            store.load("x")
        assert caught.value.locations == ("away", "far")
        assert caught.value.found == found
        assert isinstance(caught.value.__cause__, StorageUnavailableError)
        for word in ("'far' could not be asked", "'away'", *map(repr, found), "remove_mount("):
            assert word in str(caught.value)
        copied = pickle.loads(pickle.dumps(caught.value))
        assert (copied.locations, copied.found) == (("away", "far"), found)


def test_a_dead_mount_is_in_nobodys_way_who_names_another() -> None:
    """Qualified keys ask their own mount only."""
    store = Store(mounts={"a": holding(x=1), "far": dead()})
    assert store.load("a/x") == 1
    assert store.list_objects("a") == ["a/x"]
    store.save("a/y", 2)
    assert store.has_object("a/y")
    with pytest.raises(StorageUnavailableError):
        store.load("far/x")


def test_a_mount_with_a_damaged_ref_cannot_say() -> None:
    """It is named, as a dead one is: the object may be there."""
    backend = MemoryBackend()
    Registry(backend).save("x", 1)
    (key,) = (info.key for info in backend.list("refs/"))
    token = backend.get(key).token
    assert token is not None
    backend.swap(key, b"{}", token)
    store = Store(mounts={"a": holding(x=1), "b": backend})
    with pytest.raises(StoreMountError, match="'b' could not be asked") as caught:
        store.load("x")
    assert isinstance(caught.value.__cause__, CorruptError)
    assert caught.value.found == ("a/x",)


def test_whether_it_is_anywhere() -> None:
    """`has_object` of a name alone: in any mount, be it several; one that cannot be asked matters only if none has it."""
    store = Store(mounts={"a": holding(x=1, y=1), "b": holding(x=2)})
    assert (store.has_object("x"), store.has_object("y"), store.has_object("z")) == (True, True, False)
    assert (store.has_object("x", "1.0.0"), store.has_object("x@2.0.0")) == (True, False)
    assert ("x" in store, "b/x" in store, "b/y" in store) == (True, True, False)
    store.add_mount("far", dead())
    assert store.has_object("x")
    with pytest.raises(StoreMountError, match=r"'far' could not be asked .*where 'z' is cannot be said"):
        store.has_object("z")


def test_what_was_asked_wrongly_is_said() -> None:
    """A name that none takes, a version that is none, two versions: not "not found"."""
    store = Store(mounts={"a": holding(), "b": holding()})
    with pytest.raises(InvalidNameError, match="my-model"):
        store.load("my_model")
    with pytest.raises(InvalidVersionError):
        store.load("x@>=>")
    with pytest.raises(InvalidArgumentError, match="name two versions"):
        store.load("x@1.0.0", "2.0.0")


def test_a_name_that_only_one_mount_takes() -> None:
    """Is found there: to the others it is a name that they cannot have."""
    loose = Registry(MemoryBackend(), allow_underscore=True)
    loose.save("my_model", 1)
    store = Store(mounts={"a": holding(), "b": loose})
    assert store.load("my_model") == 1
    with pytest.raises(ObjectNotFoundError):
        store.load("my_other")


def test_the_last_place_is_a_hint_only() -> None:
    """An object that went elsewhere since, or is in two mounts now, is found where it is; a removed mount is forgotten."""
    a, b = holding(x=1), holding()
    store = Store(mounts={"a": a, "b": b})
    assert store.load("x") == 1
    b.save("x", 2)
    with pytest.raises(StoreAmbiguousObjectError):
        store.load("x")
    a.delete("x")
    assert store.load("x") == 2
    store.remove_mount("b")
    with pytest.raises(ObjectNotFoundError):
        store.load("x")


def test_the_order_of_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it was last comes first, then the default location, then the others as they were mounted."""
    asked: list[str] = []

    def in_order(mounts: list[object], ask: object) -> object:
        asked.extend(mount.location for mount in mounts)  # type: ignore[attr-defined]
        return real(mounts, ask)  # type: ignore[arg-type]

    real = discovery.ask_all
    monkeypatch.setattr(discovery, "ask_all", in_order)
    store = Store(mounts={"a": holding(), "b": holding(), "c": holding(x=1)}, default_location="b")
    store.load("x")
    assert asked == ["b", "a", "c"]
    asked.clear()
    store.load("x")
    assert asked == ["c", "b", "a"]


def test_hints_do_not_grow_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many names are looked for, a bounded number of places is remembered."""
    monkeypatch.setattr(discovery, "MAX_HINTS", 3)
    registry = holding(**{f"x{number}": number for number in range(8)})
    store = Store(mounts={"a": registry, "b": holding()})
    for number in range(8):
        assert store.load(f"x{number}") == number
        assert len(store._router._finder._hints) <= 3


def test_mounts_are_asked_at_the_same_time() -> None:
    """Each is asked while the others still are: three that wait for each other all answer."""
    together = threading.Barrier(3, timeout=60)

    class Waiting(RecordingBackend):
        def get(
            self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None
        ) -> Object:
            if key.startswith("refs/"):
                together.wait()
            return super().get(key, start, stop, held=held)

    store = Store(mounts={location: Waiting(MemoryBackend()) for location in "abc"})
    assert not store.has_object("x")


def test_a_listing_is_complete_or_an_error() -> None:
    """One dead mount makes every listing over all an error that names it and the others; each of those can be listed."""
    store = Store(mounts={"a": holding(x=1), "b": holding(y=1), "far": dead()})
    for listing in (
        store.list_objects,
        store.list_objects_and_versions,
        store.info,
        store.find,
        lambda: list(store),
        lambda: len(store),
        lambda: dict(store),
    ):
        with pytest.raises(
            StoreMountError, match=r"'far' could not be asked .*\('a', 'b'\).*remove_mount\('far'\)"
        ) as caught:
            listing()
        assert caught.value.locations == ("far",)
        assert isinstance(caught.value.__cause__, StorageUnavailableError)
    assert store.list_objects("a") + store.list_objects("b") == ["a/x", "b/y"]
    store.remove_mount("far")
    assert list(store) == ["a/x", "b/y"]


def test_programming_errors_are_not_taken_for_dead_mounts() -> None:
    """What is wrong with the question comes out as it is."""
    store = Store(mounts={"a": holding(x=1), "b": holding(x=1)})

    def condition(value: object) -> bool:
        raise ZeroDivisionError(value)

    store.save("a/z", 1, metadata={"k": 1})
    with pytest.raises(ZeroDivisionError):
        store.find(where={"k": condition})
