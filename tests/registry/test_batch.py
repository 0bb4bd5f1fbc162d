"""Calls for many names: each item for itself, results in order."""

from __future__ import annotations

import pickle
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import (
    BatchResult,
    InvalidArgumentError,
    InvalidMetadataError,
    InvalidNameError,
    InvalidVersionError,
    NoMaterializerError,
    ObjectNotFoundError,
    VersionConflictError,
)
from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend
from registry.lab import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend, Object


def test_save_and_load(registry: Registry) -> None:
    """Versions and objects in the order of the names, as a sequence."""
    names = [f"n:{number}" for number in range(30)]
    saved = registry.save(names, list(range(30)))
    assert isinstance(saved, BatchResult)
    assert isinstance(saved, Sequence)
    assert list(saved) == ["1.0.0"] * 30
    loaded = registry.load(names[::-1])
    assert list(loaded) == list(range(30))[::-1]
    assert (len(loaded), loaded[0], loaded[-1], loaded[1:3]) == (30, 29, 0, [28, 27])
    assert [item.name for item in loaded.items] == names[::-1]
    assert loaded.all_succeeded
    loaded.raise_errors()


def test_tuples_are_lists_too(registry: Registry) -> None:
    """A tuple of names with a tuple of objects."""
    assert list(registry.save(("a", "b"), (1, 2))) == ["1.0.0", "1.0.0"]
    assert list(registry.load(("a", "b"))) == [1, 2]
    assert list(registry.delete(("a", "b"))) == [["1.0.0"], ["1.0.0"]]


def test_failures_stop_nobody(registry: Registry) -> None:
    """Each failed item has None in the sequence and its error in the item; the others are done."""
    registry.save("there@1.0.0", 1)
    result = registry.save(
        ["a", "wrong_name", "there@1.0.0", "lambda", "b@1.x", "z"], [1, 2, 3, lambda: 4, 5, 6]
    )
    assert list(result) == ["1.0.0", None, None, None, None, "1.0.0"]
    kinds = [type(item.error) for item in result.items]
    assert kinds == [
        type(None),
        InvalidNameError,
        VersionConflictError,
        NoMaterializerError,
        InvalidVersionError,
        type(None),
    ]
    assert [item.name for item in result.failed] == ["wrong_name", "there", "lambda", "b"]
    assert [item.version for item in result.failed] == [None, "1.0.0", None, "1.x"]
    assert [item.name for item in result.succeeded] == ["a", "z"]
    assert not result.all_succeeded
    assert (result.success_count, result.skipped_count, result.failure_count) == (2, 0, 4)
    assert registry.list_objects() == ["a", "there", "z"]


def test_raise_errors(registry: Registry) -> None:
    """All errors in one group, whose message names the items."""
    registry.save("a", 1)
    result = registry.load(["a", "b", "c@2.0.0"])
    with pytest.raises(ExceptionGroup, match=r"2 of 3 failed: b, c@2\.0\.0") as caught:
        result.raise_errors()
    assert caught.value.exceptions == result.errors
    assert all(isinstance(err, ObjectNotFoundError) for err in result.errors)
    with pytest.raises(ExceptionGroup, match=r"2 of 2 failed: b@1\.0\.0, c@2"):
        registry.load(["b", "c"], version=["1.0.0", "2"]).raise_errors()


@pytest.mark.parametrize("call", ["save", "load", "delete"])
def test_nothing_to_do(registry: Registry, backend: Backend, call: str) -> None:
    """An empty list is no work, and no failure."""
    result = registry.save([], []) if call == "save" else getattr(registry, call)([])
    assert list(result) == []
    assert result.all_succeeded
    assert snapshot(backend) == {}


WRONG: dict[str, Callable[[Registry], object]] = {
    "fewer objects": lambda r: r.save(["a", "b"], [1]),
    "more objects": lambda r: r.save(["a", "b"], [1, 2, 3]),
    "one object": lambda r: r.save(["a", "b"], 1),  # type: ignore[call-overload]
    "an array of objects": lambda r: r.save(["a", "b"], np.zeros(2)),  # type: ignore[call-overload]
    "versions": lambda r: r.save(["a", "b"], [1, 2], version=["1.0.0"]),
    "metadata": lambda r: r.save(["a", "b"], [1, 2], metadata=[{}]),
    "notes": lambda r: r.save(["a", "b"], [1, 2], notes=[{}, {}, {}]),
    "tags": lambda r: r.save(["a", "b"], [1, 2], tags=[["x"]]),
    "a tag": lambda r: r.save(["a", "b"], [1, 2], tags="x"),
    "on_conflict": lambda r: r.save(["a", "b"], [1, 2], on_conflict="overwrite"),
    "load": lambda r: r.load(["a", "b"], ["1.0.0"]),
    "into": lambda r: r.load(["a", "b"], into="folder"),  # type: ignore[call-overload]
    "delete": lambda r: r.delete(["a", "b"], ["1.0.0"]),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_arguments_that_do_not_fit(
    registry: Registry, backend: Backend, wrong: Callable[[Registry], object]
) -> None:
    """Lists of different lengths, and what fits to no item, are refused before anything is done."""
    registry.save("a", 0)
    before = snapshot(backend)
    with pytest.raises(InvalidArgumentError):
        wrong(registry)
    assert snapshot(backend) == before


def test_one_for_all_or_one_for_each(registry: Registry) -> None:
    """`version`, `metadata`, `notes` and `tags` are for all items, or have one for each."""
    registry.save(["a", "b"], [1, 2], version="2.0.0", metadata={"m": 1}, notes={"n": 1}, tags=["x", "y"])
    for name in ("a", "b"):
        info = registry.info(name)
        assert (info["version"], info["metadata"], info["notes"]) == ("2.0.0", {"m": 1}, {"n": 1})
        assert info["tags"] == ["x", "y"]
    registry.save(
        ["c", "d"],
        [1, 2],
        version=["3.0.0", None],
        metadata=[{"m": 1}, None],
        notes=[None, {"n": 2}],
        tags=[["x"], []],
    )
    found = [(i["version"], i["metadata"], i["notes"], i["tags"]) for i in map(registry.info, ("c", "d"))]
    assert found == [("3.0.0", {"m": 1}, {}, ["x"]), ("1.0.0", {}, {"n": 2}, [])]
    assert list(registry.load(["a", "b"], "2.0.0")) == [1, 2]
    assert list(registry.load(["a", "c"], ["2.0.0", "^3"])) == [1, 1]


def test_wrong_metadata_is_the_items(registry: Registry) -> None:
    """Metadata of one item that cannot be stored fails that item."""
    result = registry.save(["a", "b", "c"], [1, 2, 3], metadata=[{"x": float("nan")}, {"x": 1}, "text"])  # type: ignore[list-item]
    assert list(result) == [None, "1.0.0", None]
    assert all(isinstance(err, InvalidMetadataError) for err in result.errors)


def test_one_name_twice(registry: Registry) -> None:
    """Both are saved, in the order given, each as a version of its own."""
    names = ["a", "b", "a", "a@3.0.0", "a", "b"]
    result = registry.save(names, [1, 2, 3, 4, 5, 6])
    assert list(result) == ["1.0.0", "1.0.0", "1.0.1", "3.0.0", "3.0.1", "1.0.1"]
    assert [registry.load("a", version) for version in registry.list_versions("a")] == [1, 3, 4, 5]


def test_the_version_that_was_loaded(registry: Registry) -> None:
    """Items of a load say which version it was, whatever it was called."""
    registry.save("a", 1, tags=["prod"])
    registry.save("a", 2)
    result = registry.load(["a", "a@prod", "a@<1.0.1", "a@1"])
    assert [item.version for item in result.items] == ["1.0.1", "1.0.0", "1.0.0", "1.0.0"]
    assert list(result) == [2, 1, 1, 1]


def test_delete(registry: Registry) -> None:
    """Each item gives the versions that went; a name that was deleted by an earlier item is missing."""
    registry.save(["a", "a", "b", "c"], [1, 2, 3, 4])
    result = registry.delete(["a@1.0.1", "b", "nothing", "a", "b"])
    assert list(result) == [["1.0.1"], ["1.0.0"], None, ["1.0.0"], None]
    assert [item.version for item in result.items] == ["1.0.1", None, None, None, None]
    assert all(isinstance(err, ObjectNotFoundError) for err in result.errors)
    assert registry.list_objects() == ["c"]


def test_skipped(registry: Registry) -> None:
    """What is there already is neither saved nor failed; the result has its version."""
    registry.save(["a", "b"], [1, 2])
    result = registry.save(["a@1.0.0", "b@1.0.0", "c@1.0.0"], [9, 2, 3], on_conflict="skip")
    assert list(result) == ["1.0.0"] * 3
    assert [item.name for item in result.skipped] == ["a", "b"]
    assert [item.name for item in result.succeeded] == ["c"]
    assert result.all_succeeded
    assert result.skipped_count == 2
    again = registry.save(["a", "b"], [1, 5], if_changed=True)
    assert [(item.version, item.skipped) for item in again.items] == [("1.0.0", True), ("1.0.1", False)]
    assert repr(again) == "BatchResult(1 succeeded, 1 skipped)"


def test_repr(registry: Registry) -> None:
    """What went wrong, by name; never the objects."""
    registry.save("a", "secret")
    assert repr(registry.load(["a", "b@2"])) == "BatchResult(1 succeeded, 1 failed: b@2)"


def test_many_failures(registry: Registry) -> None:
    """A message names the first of them, and has all errors."""
    result = registry.load([f"n:{number}" for number in range(100)])
    with pytest.raises(ExceptionGroup, match=r"100 of 100 failed: n:0, .*, n:7 and 92 more") as caught:
        result.raise_errors()
    assert len(caught.value.exceptions) == 100
    assert len(repr(result)) < 200


def test_what_a_batch_reads() -> None:
    """A load of many reads of each what a load of one reads: its ref and its manifest, once."""
    place = MemoryBackend()
    Registry(place).save(["a", "b"], [1, 2])
    backend = RecordingBackend(place)
    Registry(backend).load(["a", "b@^1"])
    assert sorted(call.key.partition("/")[0] for call in backend.calls) == ["manifests"] * 2 + ["refs"] * 2


def test_errors_pickle(registry: Registry) -> None:
    """A result goes to another process, errors and all."""
    registry.save("a", 1)
    result = pickle.loads(pickle.dumps(registry.load(["a", "b"])))
    assert list(result) == [1, None]
    assert isinstance(result.errors[0], ObjectNotFoundError)


def test_paths(registry: Registry, tmp_path: Path) -> None:
    """Several paths at once, each in a folder of its own, also if they have one file name."""
    sources = []
    for number in range(5):
        source = tmp_path / str(number) / "file.txt"
        source.parent.mkdir()
        source.write_text(f"text {number}")
        sources.append(source)
    names = [f"q:{number}" for number in range(5)]
    registry.save(names, sources).raise_errors()
    loaded = registry.load(names)
    assert len(set(loaded)) == 5
    assert [path.read_text() for path in loaded if path] == [f"text {number}" for number in range(5)]


class Meeting(RecordingBackend):
    """A place where readers of refs wait for each other: all are there at once, or none gets on."""

    def __init__(self, inner: Backend, parties: int) -> None:
        super().__init__(inner)
        self.barrier = threading.Barrier(parties, timeout=30)

    def get(self, key: str, *args: Any, **kwargs: Any) -> Object:
        """As that of the inner backend, once enough have come."""
        if key.startswith("refs/"):
            self.barrier.wait()
        return super().get(key, *args, **kwargs)


def test_items_go_at_once() -> None:
    """Items of different names do not wait for each other."""
    place = MemoryBackend()
    names = [f"n:{number}" for number in range(4)]
    Registry(place).save(names, [1, 2, 3, 4])
    assert list(Registry(Meeting(place, 4)).load([f"{name}@1.0.0" for name in names])) == [1, 2, 3, 4]


def test_many_callers(registry: Registry) -> None:
    """Batches of several threads on the same names: every save gets a number of its own."""
    results: list[BatchResult[str]] = []
    work = [
        threading.Thread(target=lambda: results.append(registry.save(["a", "b"] * 3, list(range(6)))))
        for _ in range(4)
    ]
    for thread in work:
        thread.start()
    for thread in work:
        thread.join()
    for name in ("a", "b"):
        given = sorted(item.version or "" for result in results for item in result.items if item.name == name)
        assert given == sorted(registry.list_versions(name))
        assert len(set(given)) == 12
