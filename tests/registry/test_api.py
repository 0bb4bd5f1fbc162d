"""The public methods of a Registry, each promise once, in memory and in a folder."""

from __future__ import annotations

import dataclasses
import enum
import re
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pytest

from casreg.exceptions import (
    InvalidArgumentError,
    NoMaterializerError,
    ObjectNotFoundError,
    UnknownClassError,
    UntrustedError,
    VersionConflictError,
)
from casreg.registry import Registry
from registry.lab import noise, snapshot, text

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.materializers.base import InFolder, OutFolder
    from casreg.progress import Progress


# ---------------------------------------------------------------------------------------------- save and load


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"x",
        noise(16 * 1024),
        noise(16 * 1024 + 1),
        text(3_000_000),
        "grüße",
        None,
        5,
        [1, (2, {3})],
        {1: "a"},
    ],
    ids=lambda value: f"{type(value).__name__}-{len(value) if hasattr(value, '__len__') else value}",
)
def test_what_was_saved_is_loaded(registry: Registry, value: object) -> None:
    """`load` gives an object that is equal to the saved one, and of the same type."""
    assert registry.save("my:thing", value) == "1.0.0"
    found = registry.load("my:thing")
    assert found == value
    assert type(found) is type(value)


def test_an_array_comes_back(registry: Registry) -> None:
    """An array of 8 MB comes back with the same shape, type and values, and can be written to."""
    array = np.random.default_rng(1).random((1000, 1000))
    registry.save("my:array", array)
    found = registry.load("my:array")
    assert found.dtype == array.dtype
    assert np.array_equal(found, array)
    found[0, 0] = 5


def test_another_registry_finds_it(registry: Registry, backend: Backend) -> None:
    """What one Registry saved, another at the same place loads."""
    registry.save("my:thing", {"a": 1})
    assert Registry(backend).load("my:thing") == {"a": 1}


def test_the_latest_version_is_loaded(registry: Registry) -> None:
    """Without a version `load` gives the highest, whichever was saved last."""
    registry.save("thing", "two", version="2.0.0")
    registry.save("thing", "one", version="1.5.0")
    assert registry.load("thing") == "two"
    assert registry.load("thing", "latest") == "two"


def test_numbers_go_up(registry: Registry) -> None:
    """Saves without a version get 1.0.0, 1.0.1, …; `bump` raises another part of the latest."""
    versions = [registry.save("thing", number) for number in range(3)]
    versions.append(registry.save("thing", 3, bump="minor"))
    versions.append(registry.save("thing", 4))
    versions.append(registry.save("thing", 5, bump="major"))
    assert versions == ["1.0.0", "1.0.1", "1.0.2", "1.1.0", "1.1.1", "2.0.0"]
    assert registry.list_versions("thing") == versions


def test_the_same_again_is_a_new_version(registry: Registry) -> None:
    """A save without a version makes one, also of what is there already."""
    assert [registry.save("thing", "same") for _ in range(2)] == ["1.0.0", "1.0.1"]


def test_the_next_number_follows_the_latest(registry: Registry) -> None:
    """The next number comes after the highest, not after the last saved."""
    registry.save("thing", 1, version="3.1.4")
    registry.save("thing", 2, version="1.0.0")
    assert registry.save("thing", 3) == "3.1.5"


def test_a_short_version_is_the_full_one(registry: Registry) -> None:
    """`1` and `v1.0` are `1.0.0`, when saving and when loading."""
    assert registry.save("thing", "x", version="1") == "1.0.0"
    assert registry.load("thing", "v1.0") == "x"
    assert registry.load("thing@1") == "x"


def test_ranges_choose_the_highest(registry: Registry) -> None:
    """A range means the highest version within."""
    for version in ("1.0.0", "1.2.0", "1.2.7", "2.0.0"):
        registry.save("thing", version, version=version)
    assert registry.load("thing", ">=1,<2") == "1.2.7"
    assert registry.load("thing", "^1.0") == "1.2.7"
    assert registry.load("thing", "~1.0") == "1.0.0"
    assert registry.load("thing@<1.2") == "1.0.0"


def test_an_existing_version_is_not_overwritten(registry: Registry, backend: Backend) -> None:
    """Other content under an existing version is refused, and what was there stays."""
    registry.save("thing", "old", version="1.0.0")
    before = snapshot(backend)
    with pytest.raises(VersionConflictError, match=r"thing@1\.0\.0"):
        registry.save("thing", "new", version="1.0.0")
    assert registry.load("thing") == "old"
    assert snapshot(backend) == before


def test_the_same_content_under_its_version_is_fine(registry: Registry, backend: Backend) -> None:
    """Saving what a version holds already under that version writes nothing."""
    big = text(500_000)
    registry.save("thing", big, version="1.0.0")
    before = snapshot(backend)
    assert registry.save("thing", big, version="1.0.0") == "1.0.0"
    assert snapshot(backend) == before


def test_metadata_is_part_of_the_content(registry: Registry) -> None:
    """The same object with other metadata is another content, and the data's digest tells that it is the same."""
    registry.save("thing", "x", metadata={"epoch": 1})
    registry.save("thing", "x", metadata={"epoch": 2})
    first, second = registry.info("thing@1.0.0"), registry.info("thing@1.0.1")
    assert (first["metadata"], second["metadata"]) == ({"epoch": 1}, {"epoch": 2})
    assert first["digest"] != second["digest"]
    assert first["data_digest"] == second["data_digest"]
    with pytest.raises(VersionConflictError):
        registry.save("thing", "x", version="1.0.0", metadata={"epoch": 2})


def test_mutable_replaces(backend: Backend) -> None:
    """A mutable registry gives an existing version other content."""
    registry = Registry(backend, mutable=True)
    registry.save("thing", "old", version="1.0.0")
    assert registry.save("thing", "new", version="1.0.0") == "1.0.0"
    assert registry.load("thing") == "new"
    assert registry.list_versions("thing") == ["1.0.0"]


def test_mutable_is_a_matter_of_the_handle(backend: Backend) -> None:
    """Nothing of `mutable` is stored: another handle refuses."""
    Registry(backend, mutable=True).save("thing", "old", version="1.0.0")
    with pytest.raises(VersionConflictError):
        Registry(backend).save("thing", "new", version="1.0.0")


def test_tags_follow_a_version_that_is_replaced(backend: Backend) -> None:
    """A tag on a version that gets other content loads the new content."""
    registry = Registry(backend, mutable=True)
    registry.save("thing", "old", version="1.0.0", tags=["prod"])
    registry.save("thing", "new", version="1.0.0")
    assert registry.load("thing@prod") == "new"


def test_without_versions_one_is_kept(backend: Backend) -> None:
    """With `version_objects=False` a save replaces the single version, labelled 1.0.0."""
    registry = Registry(backend, version_objects=False)
    assert [registry.save("thing", number) for number in range(3)] == ["1.0.0"] * 3
    assert registry.load("thing") == 2
    assert registry.list_versions("thing") == ["1.0.0"]


def test_without_versions_the_label_may_be_given(backend: Backend) -> None:
    """With `version_objects=False` the label is `version=` where it is given, and the old one is gone."""
    registry = Registry(backend, version_objects=False)
    registry.save("thing", "a")
    registry.save("thing", "b", version="2.0.0")
    assert registry.list_versions("thing") == ["2.0.0"]
    registry.save("thing", "c")
    assert registry.list_versions("thing") == ["1.0.0"]
    assert registry.load("thing") == "c"


def test_without_versions_others_go_also_if_the_content_is_there(backend: Backend) -> None:
    """After a save with `version_objects=False` what was saved is the only version, also if its label had it."""
    versioned = Registry(backend)
    versioned.save("thing", "first")
    versioned.save("thing", "second")
    single = Registry(backend, version_objects=False)
    assert single.save("thing", "first") == "1.0.0"
    assert single.load("thing") == "first"
    assert single.list_versions("thing") == ["1.0.0"]


def test_what_was_replaced_can_be_brought_back(backend: Backend) -> None:
    """With `version_objects=False` the replaced version is a tombstone that `undelete` brings back."""
    registry = Registry(backend, version_objects=False)
    registry.save("thing", "a", version="1.0.0")
    registry.save("thing", "b", version="2.0.0")
    assert registry.undelete("thing@1.0.0") == "1.0.0"
    assert registry.load("thing@1.0.0") == "a"


def test_materializer_of_the_call(registry: Registry) -> None:
    """`materializer=` decides how an object is saved, and how a version is loaded."""
    registry.save("thing", b"abc", materializer=Reversed)
    assert registry.info("thing")["materializer"] == "test.reversed/1"
    assert registry.load("thing", materializer=Reversed()) == b"abc"


class Reversed:
    """Saves bytes from their end to their beginning."""

    id: ClassVar[str] = "test.reversed/1"
    types: tuple[type | str, ...] = ()

    def save(self, obj: object, folder: OutFolder) -> None:
        assert isinstance(obj, bytes)
        folder.add("data", obj[::-1])

    def load(self, folder: InFolder, cls: type | None) -> bytes:
        return bytes(folder.read("data"))[::-1]


def test_registered_materializers_are_found(registry: Registry) -> None:
    """A registered materializer saves the objects of its class, and loads what it saved."""
    registry.register_materializer(bytes, Reversed)
    registry.save("thing", b"abc")
    assert registry.info("thing")["materializer"] == "test.reversed/1"
    assert registry.load("thing") == b"abc"


class Odd:
    """Nothing knows how to save it."""

    def __init__(self, value: int) -> None:
        self.value = value


def test_pickle_by_consent_of_the_call(registry: Registry) -> None:
    """`allow_pickle=True` saves what nothing else can; loading needs it again."""
    registry.save("thing", Odd(5), allow_pickle=True)
    with pytest.raises(UntrustedError, match="allow_pickle=True"):
        registry.load("thing")
    assert registry.load("thing", allow_pickle=True).value == 5


def test_pickle_by_consent_of_the_registry(backend: Backend) -> None:
    """A Registry may allow pickle for all calls, and a call may forbid it."""
    registry = Registry(backend, allow_pickle=True)
    registry.save("thing", Odd(5))
    assert registry.load("thing").value == 5
    with pytest.raises(UntrustedError):
        registry.load("thing", allow_pickle=False)


# ---------------------------------------------------------------------------------------------- paths


def _tree(folder: Path) -> Path:
    (folder / "sub" / "empty").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"a" * 10)
    (folder / "sub" / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    (folder / "big.bin").write_bytes(noise(2_000_000))
    (folder / "none").write_bytes(b"")
    return folder


def _looks(folder: Path) -> dict[str, tuple[bytes | None, bool]]:
    return {
        str(path.relative_to(folder)): (
            path.read_bytes() if path.is_file() else None,
            path.is_file() and bool(path.stat().st_mode & 0o100),
        )
        for path in folder.rglob("*")
    }


def test_a_folder_comes_back(registry: Registry, tmp_path: Path) -> None:
    """A folder is loaded with its files, empty folders and executable bits, into a folder that is made."""
    tree = _tree(tmp_path / "tree")
    registry.save("my:folder", tree)
    found = registry.load("my:folder", into=tmp_path / "new" / "place")
    assert found == tmp_path / "new" / "place"
    assert _looks(found) == _looks(tree)


def test_a_file_comes_back_under_its_name(registry: Registry, tmp_path: Path) -> None:
    """A file is loaded into a folder under its own name, with its executable bit."""
    (tmp_path / "tool.sh").write_bytes(text(100_000))
    (tmp_path / "tool.sh").chmod(0o755)
    registry.save("my:file", tmp_path / "tool.sh")
    found = registry.load("my:file", into=str(tmp_path / "out"))
    assert found == tmp_path / "out" / "tool.sh"
    assert found.read_bytes() == text(100_000)
    assert found.stat().st_mode & 0o100


def test_a_path_without_into_lives_as_long_as_the_registry(registry: Registry, tmp_path: Path) -> None:
    """Without `into` a path lands in a folder of its own, which goes when the Registry goes."""
    registry.save("my:folder", _tree(tmp_path / "tree"))
    first, second = registry.load("my:folder"), registry.load("my:folder")
    assert first != second
    assert _looks(first) == _looks(second)
    (first / "a.txt").write_bytes(b"mine")
    assert (second / "a.txt").read_bytes() == b"a" * 10
    del registry
    import gc

    gc.collect()
    # The fixture holds the registry as well; a registry that nobody holds is looked at in test_handles.py.
    assert second.is_dir()


# ---------------------------------------------------------------------------------------------- questions


def test_a_new_registry_is_empty(registry: Registry, backend: Backend) -> None:
    """A place that was never written lists as empty, and asking does not make it."""
    assert registry.list_objects() == []
    assert registry.list_versions("thing") == []
    assert registry.info() == {}
    assert not registry.has_object("thing")
    assert snapshot(backend) == {}


def test_objects_are_listed_sorted(registry: Registry) -> None:
    """`list_objects` gives every name that has a version, sorted."""
    for name in ("b", "a:b", "a", "B"):
        registry.save(name, name)
    assert registry.list_objects() == ["B", "a", "a:b", "b"]


def test_versions_are_listed_ascending(registry: Registry) -> None:
    """`list_versions` is ascending by SemVer, not by text or time."""
    for version in ("1.0.10", "1.0.9", "2.0.0-rc.1", "2.0.0", "0.1.0"):
        registry.save("thing", version, version=version)
    assert registry.list_versions("thing") == ["0.1.0", "1.0.9", "1.0.10", "2.0.0-rc.1", "2.0.0"]


def test_has_object(registry: Registry) -> None:
    """`has_object` knows names, versions, tags and ranges."""
    registry.save("thing", "x", tags=["prod"])
    assert all(map(registry.has_object, ("thing", "thing@1.0.0", "thing@prod", "thing@^1", "thing@latest")))
    assert not any(map(registry.has_object, ("other", "thing@2.0.0", "thing@dev", "thing@^2")))
    assert registry.has_object("thing", "1.0.0")
    assert not registry.has_object("thing", "1.0.1")


def test_info_is_flat(registry: Registry, backend: Backend) -> None:
    """`info` tells what is known of a version."""
    registry.save("thing", {"a": 1}, metadata={"m": [1]}, notes={"n": "x"}, tags=["prod", "best"])
    info = registry.info("thing")
    place, mark, options = backend.location.partition("?")
    (manifest,) = (info.key for info in backend.list("manifests/"))
    assert info.pop("path") == f"{place.rstrip('/')}/{manifest}{mark}{options}"
    created = datetime.fromisoformat(info.pop("created"))
    assert abs(datetime.now(UTC) - created) < timedelta(minutes=5)
    assert re.fullmatch("[0-9a-f]{64}", info.pop("digest"))
    assert re.fullmatch("[0-9a-f]{64}", info.pop("data_digest"))
    stored = info.pop("stored")
    assert stored == sum(len(data) for key, data in snapshot(backend).items() if key.startswith("manifests/"))
    assert info == {
        "name": "thing",
        "version": "1.0.0",
        "class": "builtins.dict",
        "materializer": "python.json/1",
        "size": 7,
        "metadata": {"m": [1]},
        "notes": {"n": "x"},
        "tags": ["best", "prod"],
        "protected": False,
        "revision": info["revision"],
    }
    assert isinstance(info["revision"], str)


def test_info_of_all(registry: Registry) -> None:
    """`info()` has the latest version of each name."""
    registry.save("a", 1)
    registry.save("a", 2)
    registry.save("b", 3)
    assert {name: info["version"] for name, info in registry.info().items()} == {"a": "1.0.1", "b": "1.0.0"}


# ---------------------------------------------------------------------------------------------- delete


def test_delete_a_version(registry: Registry) -> None:
    """A deleted version is gone, the others stay, its tag is gone, and its number is not given again."""
    for number in range(3):
        registry.save("thing", number)
    registry.tag("thing", "prod", "1.0.2")
    assert registry.delete("thing", "1.0.2") == ["1.0.2"]
    assert registry.list_versions("thing") == ["1.0.0", "1.0.1"]
    assert registry.load("thing") == 1
    assert not registry.has_object("thing@prod")
    assert registry.save("thing", 3) == "1.0.3"


def test_delete_all(registry: Registry) -> None:
    """A name whose versions are all deleted is not listed, and numbers go on after its last."""
    registry.save("thing", 1)
    registry.save("thing", 2)
    assert registry.delete("thing") == ["1.0.0", "1.0.1"]
    assert registry.list_objects() == []
    assert registry.list_versions("thing") == []
    assert not registry.has_object("thing")
    assert registry.save("thing", 3) == "1.0.2"


def test_undelete(registry: Registry) -> None:
    """`undelete` brings a version back, content and all."""
    big = noise(300_000)
    registry.save("thing", big, metadata={"m": 1})
    registry.delete("thing")
    assert registry.undelete("thing", "1.0.0") == "1.0.0"
    assert registry.load("thing") == big
    assert registry.info("thing")["metadata"] == {"m": 1}


def test_undelete_needs_a_version(registry: Registry) -> None:
    """`undelete` of a name alone says what to write."""
    registry.save("thing", 1)
    registry.delete("thing")
    with pytest.raises(InvalidArgumentError, match=r"undelete\('thing', '1\.0\.0'\)"):
        registry.undelete("thing")


def test_undelete_of_what_lives(registry: Registry) -> None:
    """A version that lives is not brought back."""
    registry.save("thing", 1)
    with pytest.raises(VersionConflictError, match="not deleted"):
        registry.undelete("thing@1.0.0")


# ---------------------------------------------------------------------------------------------- tags and notes


def test_tags_move(registry: Registry) -> None:
    """A tag points to one version, and moves."""
    for number in range(3):
        registry.save("thing", number)
    assert registry.tag("thing", "prod", "1.0.0") == "1.0.0"
    assert registry.load("thing", "prod") == 0
    assert registry.tag("thing@^1.0", "prod") == "1.0.2"
    assert registry.load("thing@prod") == 2
    registry.untag("thing", "prod")
    with pytest.raises(ObjectNotFoundError, match="prod"):
        registry.load("thing@prod")


def test_tags_of_a_save(registry: Registry) -> None:
    """Tags given to `save` move in the same commit, also where the content is there already."""
    registry.save("thing", 1, tags=["prod"])
    registry.save("thing", 2, tags=["prod", "best"])
    assert registry.load("thing@prod") == 2
    registry.save("thing", 1, version="1.0.0", tags=["prod"])
    assert registry.load("thing@prod") == 1
    assert registry.load("thing@best") == 2


def test_untag_with_a_version(registry: Registry) -> None:
    """`untag` takes `name@version` as every method does; the tag must be on that version."""
    registry.save("thing", 1, tags=["prod"])
    registry.save("thing", 2)
    with pytest.raises(ObjectNotFoundError, match="prod"):
        registry.untag("thing@1.0.1", "prod")
    registry.untag("thing@1.0.0", "prod")
    assert not registry.has_object("thing@prod")


def test_list_versions_with_a_selector(registry: Registry) -> None:
    """`list_versions` takes `name@version` as every method does: a range lists what is in it."""
    for version in ("1.0.0", "1.1.0", "2.0.0"):
        registry.save("thing", version, version=version)
    registry.tag("thing", "prod", "1.0.0")
    assert registry.list_versions("thing@^1") == ["1.0.0", "1.1.0"]
    assert registry.list_versions("thing@1.1") == ["1.1.0"]
    assert registry.list_versions("thing@prod") == ["1.0.0"]
    assert registry.list_versions("thing@latest") == ["2.0.0"]
    assert registry.list_versions("thing@3.0.0") == []


def test_notes_change_without_the_content(registry: Registry) -> None:
    """`annotate` adds, replaces and removes notes; digests stay."""
    registry.save("thing", 1, notes={"a": 1, "b": 2})
    before = registry.info("thing")
    assert registry.annotate("thing", "1.0.0", b=None, c=[3]) == {"a": 1, "c": [3]}
    assert registry.annotate("thing@1.0.0", a=5) == {"a": 5, "c": [3]}
    assert registry.annotate("thing", name="n")["name"] == "n"
    assert "name" not in registry.annotate("thing", name=None)
    after = registry.info("thing")
    assert after["notes"] == {"a": 5, "c": [3]}
    assert after["revision"] != before["revision"]
    changed = {"notes", "revision"}
    assert {key: value for key, value in after.items() if key not in changed} == {
        key: value for key, value in before.items() if key not in changed
    }


# ---------------------------------------------------------------------------------------------- progress


@pytest.mark.parametrize("size", [0, 5, 16 * 1024, 100_000, 20_000_000])
def test_progress_ends_at_the_total(registry: Registry, size: int) -> None:
    """Reports of a save and of a load never fall, and the last has all bytes, whatever the size."""
    data = text(size)
    for phase in ("save", "load"):
        reports: list[Progress] = []
        if phase == "save":
            registry.save("thing", data, progress=reports.append)
        else:
            registry.load("thing", progress=reports.append)
        assert reports, phase
        assert {(report.phase, report.name, report.total) for report in reports} == {(phase, "thing", size)}
        for before, after in pairwise(reports):
            assert before.done <= after.done
            assert before.chunks <= after.chunks
            assert before.stored <= after.stored
            assert before.reused <= after.reused
        assert reports[-1].done == size


def test_progress_of_the_registry(backend: Backend) -> None:
    """A callback of the Registry hears of all saves and loads, unless a call brings its own."""
    general: list[Progress] = []
    own: list[Progress] = []
    registry = Registry(backend, progress=general.append)
    registry.save("a", text(100_000))
    registry.save("b", text(100_000), progress=own.append)
    registry.load("a")
    assert {report.name for report in general} == {"a"}
    assert {report.phase for report in general} == {"save", "load"}
    assert {report.name for report in own} == {"b"}


class _StopError(Exception):
    """What a callback raises to stop."""


@pytest.mark.parametrize("size", [5, 100_000, 20_000_000])
def test_a_callback_stops_a_save(registry: Registry, size: int) -> None:
    """What the callback raises reaches the caller, and nothing is committed."""

    def stop(report: Progress) -> None:
        raise _StopError

    with pytest.raises(_StopError):
        registry.save("thing", noise(size), progress=stop)
    assert registry.list_objects() == []
    assert not registry.has_object("thing")


@pytest.mark.parametrize("size", [5, 100_000, 20_000_000])
def test_a_callback_stops_a_load(registry: Registry, size: int) -> None:
    """What the callback raises reaches the caller as it is, also through a materializer."""

    def stop(report: Progress) -> None:
        raise _StopError

    registry.save("thing", noise(size))
    with pytest.raises(_StopError):
        registry.load("thing", progress=stop)


def test_a_callback_stops_a_load_of_a_path(registry: Registry, tmp_path: Path) -> None:
    """An OSError of the callback is the caller's own, and nothing is left of the destination."""

    def stop(report: Progress) -> None:
        raise BrokenPipeError("the terminal is gone")

    registry.save("thing", _tree(tmp_path / "tree"))
    (tmp_path / "out").mkdir()
    with pytest.raises(BrokenPipeError):
        registry.load("thing", into=tmp_path / "out" / "place", progress=stop)
    assert list((tmp_path / "out").iterdir()) == []


def test_reports_come_from_the_calling_thread(registry: Registry) -> None:
    """The callback is called by the thread that saves or loads, however many threads do the work."""
    threads = set()

    def note(_: Progress) -> None:
        threads.add(threading.get_ident())

    registry.save("thing", text(30_000_000), progress=note)
    registry.load("thing", progress=note)
    assert threads == {threading.get_ident()}


# ---------------------------------------------------------------------------------------------- classes


@dataclasses.dataclass
class Point:
    """A value whose class has to be known where it is loaded."""

    x: int
    y: tuple[int, ...] = ()


class Colour(enum.Enum):
    """Another."""

    RED = "red"
    BLUE = "blue"


def test_registered_classes(registry: Registry, backend: Backend) -> None:
    """Values of registered classes are saved and loaded; a Registry that does not know them says what to write."""
    registry.register_class(Point)
    registry.register_class(Colour, "colour")
    value = {"points": [Point(1), Point(2, (3, 4))], "colour": Colour.BLUE}
    registry.save("thing", value)
    assert registry.load("thing") == value
    with pytest.raises(UnknownClassError, match="register_class"):
        Registry(backend).load("thing")
    other = Registry(backend)
    other.register_class(Point)
    other.register_class(Colour, "colour")
    assert other.load("thing") == value


def test_the_class_of_the_result(registry: Registry, backend: Backend) -> None:
    """`as_=` gives the class of the result where it is not registered."""
    registry.register_class(Point)
    registry.save("thing", Point(5, (6,)))
    assert Registry(backend).load("thing", as_=Point) == Point(5, (6,))


def test_what_cannot_be_loaded_again_is_not_saved(registry: Registry, backend: Backend) -> None:
    """A value of a class that nobody registered is refused with the line to write, and nothing is stored."""
    with pytest.raises(NoMaterializerError, match="register_class"):
        registry.save("thing", Point(1))
    assert snapshot(backend) == {}


class Settings:
    """Only trusted, its attributes are stored."""

    def __init__(self, depth: int) -> None:
        self.depth = depth


@pytest.mark.parametrize("by", ["registry", "call"])
def test_trusted_types(backend: Backend, by: str) -> None:
    """A type that the caller trusts is stored by its attributes, and loaded by whoever trusts it too."""
    name = f"{Settings.__module__}.{Settings.__qualname__}"
    if by == "registry":
        registry = Registry(backend, trusted=[name])
        registry.save("thing", Settings(3))
        found = registry.load("thing")
    else:
        registry = Registry(backend)
        with pytest.raises(NoMaterializerError, match="trusted="):
            registry.save("thing", Settings(3))
        registry.save("thing", Settings(3), trusted=[name])
        found = registry.load("thing", trusted=[name])
    assert isinstance(found, Settings)
    assert found.depth == 3
    with pytest.raises(UntrustedError):
        Registry(backend).load("thing")


def test_info_while_others_delete(
    registry: Registry, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`info()` leaves out a name that is deleted between the listing and the asking."""
    registry.save("a", 1)
    registry.save("b", 2)
    names = registry.list_objects()
    monkeypatch.setattr(registry, "list_objects", lambda: names)
    Registry(backend).delete("a")
    assert set(registry.info()) == {"b"}
