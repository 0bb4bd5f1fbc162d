from __future__ import annotations

import os
import pickle
import threading
from typing import TYPE_CHECKING, Any

import pytest

from casreg import (
    CasregError,
    InvalidArgumentError,
    LocalRegistryBackend,
    MemoryBackend,
    Mount,
    ReadOnlyError,
    Registry,
    Store,
    StoreLocationNotFound,
)
from casreg.testing import RecordingBackend
from store.lab import holding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import FreshPython


def test_whatever_a_registry_can_be_opened_on_can_be_mounted(tmp_path: Path) -> None:
    """Registries, paths, `Path`s, URIs and backends."""
    folder = tmp_path / "place"
    Registry(folder).save("x", 1)
    store = Store(
        mounts={
            "registry": Registry(folder),
            "text": os.fspath(folder),
            "path": folder,
            "uri": folder.as_uri(),
            "backend": LocalRegistryBackend(folder),
            "mount": Mount("mount", Registry(folder)),
        }
    )
    assert {key: store[key] for key in store} == {f"{location}/x": 1 for location in store.list_mounts()}
    assert len(store) == 6


def test_a_list_of_mounts() -> None:
    """Says locations and what is read-only without naming them twice."""
    store = Store(mounts=[Mount("a", holding(x=1)), Mount("b", holding(y=2), read_only=True)])
    assert store.list_objects() == ["a/x", "b/y"]
    assert not store.get_mount("a").read_only
    assert store.get_mount("b").read_only


def test_a_mount_stays_read_only_wherever_it_is_given() -> None:
    """As a value of a dict, and to `add_mount`, which may add to it and never take it away."""
    mount = Mount("a", holding(), read_only=True)
    store = Store(mounts={"a": mount})
    store.add_mount("b", Mount("b", holding(), read_only=True))
    store.add_mount("c", Mount("c", holding()), read_only=True)
    assert [store.get_mount(location).read_only for location in "abc"] == [True] * 3


@pytest.mark.parametrize(
    "mounts",
    [
        "a",
        5,
        ["a"],
        Registry(MemoryBackend()),
        {"a": None},
        {"a": 5},
        {"a": "nosuch://x"},
        {"a": ""},
        {"a/b": "x"},
        {1: "x"},
        {"a": Mount("b", Registry(MemoryBackend()))},
    ],
    ids=[
        "str",
        "int",
        "list",
        "registry",
        "none",
        "number",
        "scheme",
        "empty",
        "slash",
        "no location",
        "another name",
    ],
)
def test_what_cannot_be_mounted(mounts: Any) -> None:
    """Is refused when the Store is made, with what to give."""
    with pytest.raises(InvalidArgumentError):
        Store(mounts=mounts)


def test_a_mount_of_something_else() -> None:
    """Is refused with the line to write."""
    with pytest.raises(InvalidArgumentError, match=r"Mount\('a', Registry\(\.\.\.\)\)"):
        Mount("a", "some/path")  # type: ignore[arg-type]


def test_a_location_is_given_once() -> None:
    """A second mount of one location is refused, and the first one stays."""
    store = Store(mounts={"a": holding(x=1)})
    with pytest.raises(InvalidArgumentError, match=r"'a' is mounted already .*remove_mount\('a'\)"):
        store.add_mount("a", holding(x=2))
    assert store["a/x"] == 1
    with pytest.raises(InvalidArgumentError, match="mounted already"):
        Store(mounts=[Mount("a", holding()), Mount("a", holding())])


def test_mounts_come_and_go() -> None:
    """`add_mount`, `remove_mount`, `has_mount`, `list_mounts`; what a registry holds stays."""
    first, second = holding(x=1), holding(y=2)
    store = Store(mounts={"b": first})
    store.add_mount("a", second, read_only=True)
    assert store.list_mounts() == ["a", "b"]
    assert store.get_registry("a") is second
    assert store.get_mount("a") == Mount("a", second, read_only=True)
    store.remove_mount("b")
    assert (store.has_mount("b"), store.has_mount("a")) == (False, True)
    assert first.load("x") == 1
    with pytest.raises(StoreLocationNotFound):
        store.load("b/x")


def test_an_unknown_location_lists_those_there_are() -> None:
    """And the one that may be meant, in whatever case."""
    store = Store(mounts={"Scratch": holding(), "team": holding()})
    for call in (
        lambda: store.load("scrach/x"),
        lambda: store.save("scrach/x", 1),
        lambda: store.get_mount("scrach"),
        lambda: store.get_registry("scrach"),
        lambda: store.remove_mount("scrach"),
        lambda: store.set_default_location("scrach"),
        lambda: store.list_objects("scrach"),
        lambda: store.has_object("scrach/x"),
        lambda: Store(mounts={"team": holding(), "Scratch": holding()}, default_location="scrach"),
    ):
        with pytest.raises(StoreLocationNotFound) as caught:
            call()
        assert str(caught.value) == (
            "no mount has the location 'scrach': there are 'Scratch', 'team'. Did you mean 'Scratch'?"
        )
    with pytest.raises(StoreLocationNotFound, match="the store has no mounts"):
        Store(mounts={}).load("a/x")


def test_a_typo_in_a_location_writes_nowhere() -> None:
    """The peer saves `typo/x` as a name of the default mount; here nothing is written anywhere."""
    a, b = RecordingBackend(MemoryBackend()), RecordingBackend(MemoryBackend())
    store = Store(mounts={"a": a, "b": b}, default_location="a")
    with pytest.raises(StoreLocationNotFound):
        store.save("typo/x", 1)
    assert not a.calls
    assert not b.calls


def test_the_default_location_is_a_preference() -> None:
    """It is checked, may be changed, and ends with its mount; without it there is none."""
    store = Store(mounts={"a": holding(), "b": holding()}, default_location="b")
    said = [store.default_location]
    for act, location in (
        (store.set_default_location, "a"),
        (store.remove_mount, "a"),
        (store.set_default_location, "b"),
        (store.set_default_location, None),
    ):
        act(location)  # type: ignore[arg-type]  # None is for setting only
        said.append(store.default_location)
    assert said == ["b", "a", None, "b", None]


CHANGES: list[Callable[[Store], object]] = [
    lambda store: store.save("a/x", 1),
    lambda store: store.__setitem__("a/x", 1),
    lambda store: store.delete("a/x"),
    lambda store: store.__delitem__("a/x"),
    lambda store: store.undelete("a/x", "1.0.0"),
    lambda store: store.tag("a/x", "prod"),
    lambda store: store.untag("a/x", "prod"),
    lambda store: store.annotate("a/x", a=1),
    lambda store: store.protect("a/x"),
    lambda store: store.unprotect("a/x"),
    lambda store: store.rename("a/x", "a/y"),
    lambda store: store.copy("b/x", "a/y"),
    lambda store: store.move("b/x", "a/y"),
    lambda store: store.move("a/x", "b/y"),
    lambda store: store.clear("a"),
    lambda store: store.pop("a/x"),
    lambda store: store.import_("a", "no.casreg"),
    lambda store: store.update(Store(mounts={"a": holding(y=1)})),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_read_only_mount_is_not_changed(change: Callable[[Store], object]) -> None:
    """Every change is refused with `ReadOnlyError`, a `PermissionError`, before the storage is asked for anything."""
    a, b = (RecordingBackend(holding(x=1).backend) for _ in "ab")
    store = Store(mounts={"b": b})
    store.add_mount("a", a, read_only=True)
    with pytest.raises(PermissionError, match=r"'a' is mounted read-only: .* was refused") as caught:
        change(store)
    assert isinstance(caught.value, ReadOnlyError)
    assert not a.calls
    assert not b.calls


def test_a_read_only_mount_is_read() -> None:
    """Loading, listing and copying from it work."""
    store = Store(mounts=[Mount("a", holding(x=1), read_only=True), Mount("b", holding())])
    assert (store.load("a/x"), store.load("x"), store.list_objects()) == (1, 1, ["a/x"])


def test_making_a_store_asks_nothing(tmp_path: Path) -> None:
    """No storage is asked by making a Store, adding a mount, or showing it; no folder is made."""
    recorded = RecordingBackend(MemoryBackend())
    store = Store(mounts={"a": recorded, "b": tmp_path / "none"})
    store.add_mount("c", tmp_path / "neither")
    assert "none" in str(store)
    assert "none" in repr(store)
    Store()
    assert not recorded.calls
    assert list(tmp_path.iterdir()) == []


def test_one_registry_at_two_locations() -> None:
    """Is allowed; a name alone is then ambiguous, and says so."""
    registry = holding(x=1)
    store = Store(mounts={"a": registry, "b": registry})
    assert store["a/x"] == store["b/x"] == 1
    with pytest.raises(CasregError, match="write 'a/x' or 'b/x'"):
        store.load("x")


def test_what_a_store_shows() -> None:
    """`str` is a table of the mounts, `repr` one line; neither asks the storage."""
    store = Store(
        mounts=[Mount("long-name", Registry("memory://one")), Mount("b", Registry("memory://two"), True)]
    )
    store.set_default_location("b")
    assert str(store).splitlines() == [
        "location   place",
        "b          memory://two  default, read-only",
        "long-name  memory://one",
    ]
    assert repr(store) == "Store({'long-name': 'memory://one', 'b': 'memory://two'}, default_location='b')"
    assert "add_mount" in str(Store(mounts={}))


def test_a_store_is_equal_to_itself_only() -> None:
    """Equality and hash are those of an object, as two stores cannot be compared without loading them."""
    registry = holding(x=1)
    one, other = Store(mounts={"a": registry}), Store(mounts={"a": registry})
    assert one == one  # noqa: PLR0124
    assert one != other
    assert len({one, other}) == 2


def test_a_pickled_store_is_the_same_in_another_process(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Mounts, what is read-only and the default location come along."""
    store = Store(
        mounts=[Mount("a", Registry(tmp_path / "a")), Mount("b", Registry(tmp_path / "b"), read_only=True)],
        default_location="b",
    )
    store.save("a/x", 1)
    store.load("x")
    (tmp_path / "store.pickle").write_bytes(pickle.dumps(store))
    said = fresh_python(
        "import pickle, sys; store = pickle.load(open(sys.argv[1], 'rb'))\n"
        "print(store.load('x'), store.get_mount('b').read_only, store.default_location)",
        str(tmp_path / "store.pickle"),
    )
    assert said.split() == ["1", "True", "b"]


def test_many_threads() -> None:
    """Mounts come and go while other threads save and look for names; nothing is lost and nobody trips."""
    store = Store(mounts={"a": holding(), "b": holding()})
    errors: list[Exception] = []

    def work(number: int) -> None:
        try:
            for turn in range(5):
                store.add_mount(f"m{number}-{turn}", holding())
                store.save(f"a/t{number}", turn)
                assert store.load(f"t{number}") == turn
                store.remove_mount(f"m{number}-{turn}")
        except Exception as err:  # noqa: BLE001 - shown below
            errors.append(err)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert store.list_mounts() == ["a", "b"]
    assert store.list_objects_and_versions("a") == {
        f"a/t{number}": [f"1.0.{turn}" for turn in range(5)] for number in range(4)
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_uses_the_store(fresh_python: FreshPython) -> None:
    """A child of a process that has used the Store, also from threads, finds, saves and loads."""
    said = fresh_python(
        "import os, sys\n"
        "from casreg import Registry, Store\n"
        "store = Store(mounts={'a': os.environ['CASREG_STORE_DIR'] + '/a', 'b': os.environ['CASREG_STORE_DIR'] + '/b'})\n"
        "store.save('a/x', 1); store.load('x')\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    store.save('b/y', store.load('x') + 1)\n"
        "    os._exit(0 if store.load('y') == 2 else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "print(store.load('y'))\n"
    )
    assert said == "2\n"


def test_registrations_reach_all_mounts() -> None:
    """A class and a materializer registered with the Store are known at each mount, also at those that come later."""
    from dataclasses import dataclass

    @dataclass
    class Run:
        name: str

    store = Store(mounts={"a": holding(), "b": holding()})
    store.register_class(Run, "run")
    store.add_mount("c", holding())
    for location in "abc":
        store.save(f"{location}/run", Run(location))
        assert store.load(f"{location}/run") == Run(location)


def test_a_registration_that_is_refused_is_forgotten() -> None:
    """What no registry takes is not tried at later mounts."""
    store = Store(mounts={"a": holding()})
    with pytest.raises(InvalidArgumentError):
        store.register_class(int)
    store.add_mount("b", holding())
    assert store.list_mounts() == ["a", "b"]


def test_a_mount_that_does_not_take_the_registrations_is_not_mounted() -> None:
    """Its location stays free."""
    from enum import Enum

    class Red(Enum):
        ONE = 1

    class Blue(Enum):
        ONE = 1

    store = Store(mounts={})
    store.register_class(Red, "color")
    other = holding()
    other.register_class(Blue, "color")
    with pytest.raises(InvalidArgumentError):
        store.add_mount("a", other)
    assert store.list_mounts() == []


@pytest.mark.parametrize("value", ["no", "false", None, 0])
def test_read_only_is_true_or_false(value: Any) -> None:
    """A text out of a configuration makes no mount read-only, and None no other one writable."""
    with pytest.raises(InvalidArgumentError, match="read_only is True or False"):
        Store(mounts={}).add_mount("a", holding(), read_only=value)
