from __future__ import annotations

import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import (
    CorruptError,
    InvalidArgumentError,
    MemoryBackend,
    Mount,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadOnlyError,
    Registry,
    StorageUnavailableError,
    Store,
    StoreAmbiguousObjectError,
    StoreError,
    StoreKeyFormatError,
    StoreLocationNotFound,
    StoreMountError,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.testing import FaultBackend, FaultKind, RecordingBackend, until_clean
from store.lab import dead, holding

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.materializers import Materializer
    from places import Places

KEPT = ("digest", "data_digest", "class", "materializer", "metadata", "notes", "created", "size")


@pytest.fixture
def store(places: Places) -> Store:
    """Mount `a` has two versions of `x`, with all that can be said of a version; `b` is empty."""
    store = Store(mounts={"a": Registry(places.new()), "b": Registry(places.new())})
    store.save("a/x", {"n": (1, {2})}, metadata={"score": 0.5}, notes={"by": "me"}, tags=["prod", "best"])
    store.save("a/x", {"n": 2})
    return store


def kept(store: Store, key: str) -> dict[str, Any]:
    """What stays the same wherever a version goes."""
    info = store.info(key)
    return {name: info[name] for name in KEPT}


@pytest.mark.parametrize("how", ["copy", "move"])
def test_everything_comes_along(how: str, store: Store) -> None:
    """Identity, class, materializer, metadata, notes, time, number and value; the peer drops metadata and type."""
    before = kept(store, "a/x@1.0.0")
    assert getattr(store, how)("a/x@1.0.0", "b/y") == "1.0.0"
    assert kept(store, "b/y@1.0.0") == before
    assert store.load("b/y") == {"n": (1, {2})}


def test_a_copy_leaves_the_original(store: Store) -> None:
    """With its tags; they are not copied."""
    store.copy("a/x", "b/", source_version="prod")
    assert store.list_objects_and_versions() == {"a/x": ["1.0.0", "1.0.1"], "b/x": ["1.0.0"]}
    assert (store.info("a/x@1.0.0")["tags"], store.info("b/x@1.0.0")["tags"]) == (["best", "prod"], [])


def test_a_move_takes_the_version_and_its_tags(store: Store) -> None:
    """And nothing else; a tag that the target has on another version stays there."""
    store.save("b/x", 0, version="0.5.0", tags=["prod"])
    assert store.move("a/x@prod", "b/") == "1.0.0"
    assert store.list_objects_and_versions() == {"a/x": ["1.0.1"], "b/x": ["0.5.0", "1.0.0"]}
    assert store.info("b/x@1.0.0")["tags"] == ["best"]
    assert store.info("b/x@0.5.0")["tags"] == ["prod"]


@pytest.mark.parametrize("how", ["copy", "move"])
def test_which_version_and_which_number(how: str, store: Store) -> None:
    """The latest by default; a version, tag or range of the source; a number of the target in either spelling."""
    act: Callable[..., str] = getattr(store, how)
    assert act("a/x", "b/latest") == "1.0.1"
    assert act("a/x", "b/tagged@7", source_version="best") == "7.0.0"
    assert store.list_versions("b/tagged") == ["7.0.0"]
    with pytest.raises(InvalidArgumentError, match="name two versions"):
        act("a/x@1.0.0", "b/x", source_version="1.0.1")
    with pytest.raises(InvalidArgumentError, match="name two versions"):
        act("a/x", "b/x@1.0.0", target_version="1.0.1")


def test_copying_a_range_and_a_number(store: Store) -> None:
    """`target_version` is that of the key."""
    assert store.copy("a/x@<1.0.1", "b/x", target_version="3") == "3.0.0"
    assert store.load("b/x@3.0.0") == {"n": (1, {2})}


@pytest.mark.parametrize("target", ["a/", "a/x", "a/x@1.0.0", "a/x@1", "same/", "same/x@1.0.0"])
@pytest.mark.parametrize("how", ["copy", "move"])
def test_onto_itself_nothing_happens(how: str, target: str, store: Store) -> None:
    """The version stays, also by way of a second mount of its place; the peer deletes it."""
    store.add_mount("same", Registry(store.get_registry("a").backend))
    before = store.get_registry("a").history("x")
    assert getattr(store, how)("a/x@1.0.0", target) == "1.0.0"
    assert store.get_registry("a").history("x") == before
    assert store.load("a/x@1.0.0") == {"n": (1, {2})}


def test_a_folder_by_two_paths(tmp_path: Path) -> None:
    """What looks like two places and is one is seen before anything is deleted: nothing is lost."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    store = Store(mounts={"a": tmp_path / "real", "b": tmp_path / "link"})
    store.save("a/x", np.arange(20_000), tags=["prod"])
    before = store.get_registry("a").history("x")
    for keys in (("a/x", "b/"), ("b/x", "a/x@1.0.0")):
        with pytest.raises(StoreError, match=r"are one stored file.*Nothing was deleted"):
            store.move(*keys)
    assert store.copy("a/x", "b/x") == "1.0.0"
    assert store.get_registry("a").history("x") == before
    assert store.move("a/x", "b/y") == "1.0.0"
    assert store.list_objects("a") == ["a/y"]
    assert (store.load("b/y@prod") == np.arange(20_000)).all()


def test_a_folder_that_was_copied_with_other_tools(tmp_path: Path) -> None:
    """Cannot be told from the same folder, so nothing is deleted; the error says how to go on. New versions move."""
    store = Store(mounts={"a": tmp_path / "one", "b": tmp_path / "two"})
    store.save("a/x", 1)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    with pytest.raises(StoreError, match=r"If they are two places, delete\('a/x@1.0.0'\) moves it"):
        store.move("a/x", "b/x")
    assert store.load("a/x") == store.load("b/x") == 1
    store.save("a/x", 2)
    store.move("a/x", "b/x")
    assert store.list_objects_and_versions() == {"a/x": ["1.0.0"], "b/x": ["1.0.0", "1.0.1"]}


def test_a_tag_of_the_target_stays_also_on_the_same_bytes(store: Store) -> None:
    """A copy within one place shares its files with the original; its tag is its own all the same."""
    store.copy("a/x@1.0.0", "a/y@0.5.0")
    store.tag("a/y@0.5.0", "prod")
    store.move("a/x@1.0.0", "a/y")
    assert store.info("a/y@0.5.0")["tags"] == ["prod"]
    assert store.info("a/y@1.0.0")["tags"] == ["best"]


def test_a_number_becomes_another(store: Store) -> None:
    """A move within a name changes the number, and the tags go with the version."""
    assert store.move("a/x@1.0.0", "a/x@5.0.0") == "5.0.0"
    assert store.list_versions("a/x") == ["1.0.1", "5.0.0"]
    assert store.info("a/x@5.0.0")["tags"] == ["best", "prod"]


def test_a_number_becomes_another_where_there_is_one(store: Store) -> None:
    """A registry that keeps one version of each name takes the old one away itself: the move is done all the same."""
    store.add_mount("single", Registry(MemoryBackend(), version_objects=False))
    store.save("single/x", 1, tags=["prod"])
    assert store.move("single/x@1.0.0", "single/x@2.0.0") == "2.0.0"
    assert store.list_versions("single/x") == ["2.0.0"]
    assert store.load("single/x@prod") == 1


def test_what_is_at_the_target_stays(store: Store) -> None:
    """Other content under the number is a conflict, and the source is kept; the same content is the same version."""
    store.save("b/x", "other", version="1.0.0")
    for act in (store.copy, store.move):
        with pytest.raises(VersionConflictError):
            act("a/x@1.0.0", "b/x")
    store.save("b/y", {"n": 2}, version="1.0.1")
    assert store.move("a/x@1.0.1", "b/y") == "1.0.1"
    assert store.list_objects_and_versions() == {"a/x": ["1.0.0"], "b/x": ["1.0.0"], "b/y": ["1.0.1"]}
    assert store.load("a/x@1.0.0") == {"n": (1, {2})}


def test_what_is_protected_or_read_only_is_not_moved_nor_copied_first(store: Store) -> None:
    """Refused before anything is written anywhere; a copy of it is fine."""
    store.protect("a/x", "1.0.0")
    with pytest.raises(VersionProtectedError, match=r"unprotect\('a/x@1.0.0'\) first, or copy it"):
        store.move("a/x@1.0.0", "b/x")
    store.add_mount("ro", store.get_registry("a"), read_only=True)
    with pytest.raises(ReadOnlyError):
        store.move("ro/x@1.0.1", "b/x")
    assert store.list_objects("b") == []
    assert store.copy("ro/x@1.0.0", "b/x") == "1.0.0"
    assert not store.info("b/x@1.0.0")["protected"]


def test_keys_of_copies(store: Store) -> None:
    """A copy may look for its source, a move may not; the target always needs a location that is mounted."""
    assert store.copy("x", "b/z") == "1.0.1"
    with pytest.raises(StoreKeyFormatError, match="move needs a location, and 'x' has none"):
        store.move("x", "b/y")
    for act in (store.copy, store.move):
        with pytest.raises(StoreKeyFormatError, match="needs a location, and 'y' has none"):
            act("a/x", "y")
        with pytest.raises(StoreLocationNotFound, match="'typo'"):
            act("a/x", "typo/")
        with pytest.raises(StoreLocationNotFound, match="'typo'"):
            act("typo/x", "b/")
        with pytest.raises(ObjectNotFoundError):
            act("a/none", "b/")
        with pytest.raises(ObjectNotFoundError):
            act("a/x@9.0.0", "b/")
    store.copy("a/x@1.0.1", "b/x")
    with pytest.raises(StoreAmbiguousObjectError):
        store.copy("x@1.0.1", "b/y")
    store.add_mount("far", dead())
    with pytest.raises(StoreMountError):
        store.copy("z", "a/z")
    assert "a/z" not in store


def test_bytes_are_moved_once_and_not_made_anew() -> None:
    """Only chunks that the target lacks are written there, and the object is never loaded: its type need not be known."""
    data = np.random.default_rng(0).normal(size=300_000)
    target = RecordingBackend(MemoryBackend())
    store = Store(mounts={"a": MemoryBackend(), "b": target})
    store.save("a/x", data)
    store.copy("a/x", "b/x")
    data[0] = 0
    store.save("a/x", data)

    def written() -> int:
        return sum(call.bytes_in for call in target.calls if call.method == "create")

    first = written()
    store.copy("a/x", "b/x")
    assert first > data.nbytes / 2
    assert written() - first < first / 4


class Stamp:
    """A value that no built-in materializer takes."""

    def __init__(self, value: int) -> None:
        self.value = value


class StampMaterializer:
    """Fails to load, as it would where its library is not installed."""

    id = "tests.stamp/1"
    types = (Stamp,)

    def save(self, obj: Any, folder: Any) -> None:
        """One file."""
        folder.add("stamp.txt", str(obj.value).encode())

    def load(self, folder: Any, cls: Any) -> Any:
        """Never."""
        raise AssertionError("a copy must not load the object")


def test_types_that_are_unknown_here_are_copied() -> None:
    """Nobody is asked how to load them."""
    store = Store(mounts={"a": MemoryBackend(), "b": MemoryBackend()})
    materializer: Materializer = StampMaterializer()
    store.save("a/x", Stamp(3), materializer=materializer)
    store.move("a/x", "b/x")
    assert store.info("b/x")["materializer"] == "tests.stamp/1"


def test_an_overwrite_during_a_move_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody puts under the number while it is copied is not deleted, and the error says so."""
    a = Registry(MemoryBackend(), mutable=True)
    store = Store(mounts={"a": a, "b": holding()})
    store.save("a/x", "old", version="1.0.0")
    real = Registry.download

    def meanwhile(self: Registry, *arguments: Any, **options: Any) -> str:
        done = real(self, *arguments, **options)
        a.save("x", "new", version="1.0.0")
        return done

    monkeypatch.setattr(Registry, "download", meanwhile)
    with pytest.raises(ObjectChangedError, match="Nothing was deleted"):
        store.move("a/x", "b/x")
    assert store.load("a/x") == "new"
    assert store.load("b/x") == "old"


def test_an_overwrite_of_the_copy_during_a_move_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If other content has taken the place of the copy when it is looked at, the original stays."""
    b = Registry(MemoryBackend(), mutable=True)
    store = Store(mounts={"a": holding(x="mine"), "b": b})
    real = Registry.download

    def meanwhile(self: Registry, *arguments: Any, **options: Any) -> str:
        done = real(self, *arguments, **options)
        b.save("x", "theirs", version=done)
        return done

    monkeypatch.setattr(Registry, "download", meanwhile)
    with pytest.raises(ObjectChangedError, match="Nothing was deleted"):
        store.move("a/x", "b/x")
    assert [store.load("a/x"), store.load("b/x")] == ["mine", "theirs"]


@pytest.mark.parametrize("say", [lambda a: a.annotate("x", late=1), lambda a: a.tag("x", "late")])
def test_what_is_said_during_a_move_is_not_lost(
    say: Callable[[Registry], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Notes and tags that come while the version is copied stop the move; the next one takes them along."""
    a = holding(x=1)
    store = Store(mounts={"a": a, "b": holding()})
    real = Registry.download

    def meanwhile(self: Registry, *arguments: Any, **options: Any) -> str:
        done = real(self, *arguments, **options)
        say(a)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(Registry, "download", meanwhile)
        with pytest.raises(ObjectChangedError, match="Nothing was deleted"):
            store.move("a/x", "b/x")
    before = store.info("a/x")
    store.move("a/x", "b/x")
    after = store.info("b/x")
    assert (after["notes"], after["tags"]) == (before["notes"], before["tags"])
    assert list(store) == ["b/x"]


def test_a_deletion_at_the_target_during_a_move_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the copy is gone again when it is looked for, the original stays."""
    b = holding()
    store = Store(mounts={"a": holding(x=1), "b": b})
    real = Registry.download

    def meanwhile(self: Registry, *arguments: Any, **options: Any) -> str:
        done = real(self, *arguments, **options)
        b.delete("x")
        return done

    monkeypatch.setattr(Registry, "download", meanwhile)
    with pytest.raises(ObjectNotFoundError):
        store.move("a/x", "b/x")
    assert store.load("a/x") == 1


def test_a_deletion_at_the_source_during_a_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is what the move wanted: it is done."""
    a = holding(x=1)
    store = Store(mounts={"a": a, "b": holding()})
    real = Registry.download

    def meanwhile(self: Registry, *arguments: Any, **options: Any) -> str:
        done = real(self, *arguments, **options)
        a.delete("x")
        return done

    monkeypatch.setattr(Registry, "download", meanwhile)
    assert store.move("a/x", "b/x") == "1.0.0"
    assert list(store) == ["b/x"]


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER, FaultKind.DOUBLED])
@pytest.mark.parametrize("broken", ["a", "b"])
def test_a_move_that_is_interrupted_loses_nothing(broken: str, kind: FaultKind) -> None:
    """Whichever request of either place fails: the version is at one place at least, and to move it again ends it."""
    value = list(range(10))

    def scenario(backend: FaultBackend) -> None:
        places: dict[str, Any] = {"a": MemoryBackend(), "b": MemoryBackend(), broken: backend.inner}
        calm = Store(mounts=places)
        calm.save("a/x", value, tags=["prod"])
        calm.save("b/other", 1)
        with suppress(StorageUnavailableError):
            Store(mounts={**places, broken: backend}).move("a/x", "b/x")
        for key in calm:
            assert calm.load(key) == (value if key.endswith("x") else 1)
        if calm.has_object("a/x"):
            calm.move("a/x", "b/x")
        assert calm.list_objects() == ["b/other", "b/x"]
        assert calm.load("b/x@prod") == value

    assert until_clean(MemoryBackend, scenario, kind) > 3


def test_damage_is_not_carried_on(tmp_path: Path) -> None:
    """A version whose bytes are damaged is neither copied nor deleted."""
    store = Store(mounts={"a": tmp_path / "a", "b": tmp_path / "b"})
    store.save("a/x", np.random.default_rng(0).bytes(100_000))
    (pack,) = (tmp_path / "a").glob("packs/*/*")
    os.chmod(pack, 0o600)
    data = bytearray(pack.read_bytes())
    data[50_000] ^= 1
    pack.write_bytes(data)
    for act in (store.copy, store.move):
        with pytest.raises(CorruptError):
            act("a/x", "b/x")
    assert store.list_objects() == ["a/x"]


def test_a_whole_store_is_taken_over() -> None:
    """`update` with a Store copies its mounts to those of the same locations, with numbers, tags and times."""
    source = Store(mounts={"a": holding(x=1), "b": holding(y=2)})
    source.save("a/x", 3, tags=["prod"], metadata={"when": "2026-01-01"})
    store = Store(mounts={"a": holding(z=0), "b": holding()})
    store.update(source)
    assert store.list_objects_and_versions() == {
        "a/x": ["1.0.0", "1.0.1"],
        "a/z": ["1.0.0"],
        "b/y": ["1.0.0"],
    }
    assert kept(store, "a/x@prod") == kept(source, "a/x@prod")
    latest = Store(mounts={"a": holding(), "b": holding()})
    latest.update(source, sync_all_versions=False)
    assert latest.list_versions("a/x") == ["1.0.1"]


def test_a_store_that_does_not_fit_is_not_taken_over() -> None:
    """An unknown location, a read-only mount, a Registry: refused before anything is copied."""
    source = Store(mounts={"a": holding(x=1), "b": holding(y=2)})
    a = holding()
    with pytest.raises(StoreLocationNotFound):
        Store(mounts={"a": a}).update(source)
    with pytest.raises(ReadOnlyError):
        Store(mounts=[Mount("a", a), Mount("b", holding(), read_only=True)]).update(source)
    with pytest.raises(InvalidArgumentError, match=r"get_registry\('location'\).update"):
        Store(mounts={"a": a}).update(holding(x=1))
    assert a.list_objects() == []
