"""Many versions at once: `copy_all`, as `update` with a Registry uses it."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, ObjectNotFoundError, VersionConflictError, VersionProtectedError
from casreg.ingest import assembly
from casreg.keys import is_data_key, manifest_key
from casreg.refs import spill
from casreg.registry import Registry
from casreg.repository import Repository, proving
from casreg.repository.committing import Terms
from casreg.testing.recording import RecordingBackend
from casreg.transfer import Copied, Wanted, copy_all
from casreg.versions import parse_selector, parse_version
from format.golden import GOLDEN, quarters, xof
from format.test_stranger import make, trees
from registry.lab import noise, snapshot
from transfer.lab import check, entry_of, is_untouched, view

if TYPE_CHECKING:
    from casreg.progress import Progress

DATA = noise(200_000)


@pytest.fixture
def source() -> MemoryBackend:
    """Three names, one of them deleted."""
    backend = MemoryBackend()
    registry = Registry(backend)
    registry.save("a", DATA, tags=["first"], notes={"n": 1})
    registry.save("a", DATA + b"1")
    registry.save("a", DATA + b"2", version="2.0.0", tags=["prod", "best"])
    registry.save("b", {"x": 1}, metadata={"m": 1})
    registry.save("gone", 1)
    registry.delete("gone")
    registry.protect("b")
    return backend


def test_everything_comes_over(source: MemoryBackend) -> None:
    """All live versions of all names, with numbers, tags, notes and protection; what was there stays."""
    target = MemoryBackend()
    registry = Registry(target)
    registry.save("mine", 1)
    registry.update(Registry(source))
    assert {key: seen for key, seen in view(target).items() if key != "mine@1.0.0"} == view(source)
    assert registry.list_objects() == ["a", "b", "mine"]
    assert entry_of(target, "b", "1.0.0").protected
    check(target)


def test_a_golden_repository_comes_over() -> None:
    """Everything that the format has."""
    source, target = Registry(GOLDEN / "everything").backend, MemoryBackend()
    Registry(target).update(Registry(source))
    assert view(target) == view(source)
    check(target)


def test_latest_versions_only(source: MemoryBackend) -> None:
    """`sync_all_versions=False` takes the highest of each name."""
    target = MemoryBackend()
    Registry(target).update(Registry(source), sync_all_versions=False)
    assert view(target).keys() == {"a@2.0.0", "b@1.0.0"}


def test_a_range_of_each_name(source: MemoryBackend) -> None:
    """Names that have nothing in it are left out."""
    done = copy_all(Repository(source), Repository(MemoryBackend()), of_each=parse_selector(">1.0.0,<2"))
    assert done == [Copied("a", parse_version("1.0.1"), existed=False)]


def test_update_still_takes_mappings() -> None:
    """Mappings, pairs and named objects are saved; beside a Registry too."""
    target, other = Registry(MemoryBackend()), Registry(MemoryBackend())
    other["a"] = 1
    target.update({"x": 1}, y=2)
    target.update(other, z=3)
    assert dict(target) == {"a": 1, "x": 1, "y": 2, "z": 3}


def test_again_asks_each_name_once_and_writes_nothing(source: MemoryBackend) -> None:
    """A second time costs a listing of the source, and a read of each ref on both sides.

    Where a name has nothing any more, the source is looked at once more: it may have been renamed this moment.
    """
    inner = MemoryBackend()
    Registry(inner).update(Registry(source))
    reads, target = RecordingBackend(source), RecordingBackend(inner)
    done = copy_all(Repository(reads), Repository(target))
    assert all(one.existed for one in done)
    once = [("get", "refs/a"), ("get", "refs/b"), ("get", "refs/gone"), ("list", "refs/")]
    assert sorted((call.method, call.key) for call in reads.calls) == sorted(2 * once)
    assert sorted((call.method, call.key) for call in target.calls) == [("get", "refs/a"), ("get", "refs/b")]
    source.delete(["refs/gone"])
    reads = RecordingBackend(source)
    assert copy_all(Repository(reads), Repository(target)) == done
    once.remove(("get", "refs/gone"))
    assert sorted((call.method, call.key) for call in reads.calls) == once


def test_again_after_more_was_said(source: MemoryBackend) -> None:
    """Tags and notes that are new at the source come over to versions that are there."""
    target = MemoryBackend()
    Registry(target).update(Registry(source))
    Registry(source).tag("a", "prod", "1.0.0")
    Registry(source).annotate("a@1.0.1", late=True)
    Registry(target).update(Registry(source))
    assert view(target) == view(source)


def test_what_was_wanted(source: MemoryBackend) -> None:
    """A name, a version, a tag, a range; each version once, by name, ascending."""
    wanted = [
        Wanted("b"),
        Wanted("a", parse_selector("prod")),
        Wanted("a", parse_selector("<2")),
        Wanted("a", parse_selector("1.0.1")),
    ]
    done = copy_all(Repository(source), Repository(MemoryBackend()), wanted)
    versions = [("a", "1.0.0"), ("a", "1.0.1"), ("a", "2.0.0"), ("b", "1.0.0")]
    assert done == [Copied(name, parse_version(version), existed=False) for name, version in versions]


@pytest.mark.parametrize("missing", ["unknown", "gone", "a@9.0.0", "a@none", "a@>5"])
def test_what_is_wanted_has_to_be_there(source: MemoryBackend, missing: str) -> None:
    """Else nothing is copied."""
    name, _, selector = missing.partition("@")
    wanted = [Wanted("b"), Wanted(name, parse_selector(selector) if selector else None)]
    target = MemoryBackend()
    with pytest.raises(ObjectNotFoundError, match=name):
        copy_all(Repository(source), Repository(target), wanted)
    assert is_untouched(target)


def test_conflicts_are_found_before_anything_is_written(source: MemoryBackend) -> None:
    """All of them are named, and the target stays as it was."""
    target = MemoryBackend()
    registry = Registry(target)
    registry.save("a", "other", version="2.0.0")
    registry.save("b", "other")
    registry.delete("b")
    before = snapshot(target)
    with pytest.raises(VersionConflictError) as caught:
        registry.update(Registry(source))
    for part in ("2 of 4", "a@2.0.0", "b@1.0.0"):
        assert part in str(caught.value)
    assert snapshot(target) == before


def test_a_mutable_registry_takes_all_but_what_is_protected(source: MemoryBackend) -> None:
    """Other content is replaced; a protected version is an error, and nothing is written."""
    target = MemoryBackend()
    registry = Registry(target, mutable=True)
    registry.save("a", "other", version="2.0.0")
    registry.protect("a@2.0.0")
    before = snapshot(target)
    with pytest.raises(VersionProtectedError, match=r"a@2\.0\.0"):
        registry.update(Registry(source))
    assert snapshot(target) == before
    registry.unprotect("a@2.0.0")
    registry.update(Registry(source))
    assert view(target) == view(source)


def test_a_registry_of_single_versions_takes_the_highest(source: MemoryBackend) -> None:
    """And has nothing else afterwards."""
    target = MemoryBackend()
    registry = Registry(target, version_objects=False)
    registry.save("a", "other")
    terms = Terms("", single=True)
    done = copy_all(Repository(source), Repository(MemoryBackend()), terms=terms)
    assert [f"{one.name}@{one.version}" for one in done] == ["a@2.0.0", "b@1.0.0"]
    registry.update(Registry(source))
    assert registry.list_objects_and_versions() == {"a": ["2.0.0"], "b": ["1.0.0"]}


def test_one_damaged_version_does_not_keep_back_the_others(source: MemoryBackend) -> None:
    """It is named in the error, all others are there; once it is healed, doing it again completes it."""
    key = manifest_key(entry_of(source, "a", "1.0.1").manifest)
    whole = source.get(key).data
    source.delete([key])
    target = MemoryBackend()
    with pytest.raises(CorruptError, match=r"a@1\.0\.1 was not copied"):
        Registry(target).update(Registry(source))
    source.create(key, whole)
    seen = view(source)
    del seen["a@1.0.1"]
    assert view(target) == seen
    Registry(target).update(Registry(source))
    assert view(target) == view(source)


def test_versions_that_are_deleted_meanwhile_are_left_out(source: MemoryBackend) -> None:
    """Somebody deletes a version after it was listed and before its turn: the others come over."""

    def delete(report: Progress) -> None:
        if report.done and Registry(source).has_object("a@2.0.0"):
            Registry(source).delete("a@2.0.0")

    target = MemoryBackend()
    done = copy_all(Repository(source), Repository(target), progress=delete)
    assert [f"{one.name}@{one.version}" for one in done] == ["a@1.0.0", "a@1.0.1", "b@1.0.0"]


def test_progress_counts_all_versions_together(source: MemoryBackend) -> None:
    """It begins once, never falls, and ends with the bytes of all; what was stored is what the entries say."""
    reports: list[Progress] = []
    target = MemoryBackend()
    copy_all(Repository(source), Repository(target), progress=reports.append)
    total = sum(len(DATA) + more for more in (0, 1, 1)) + entry_of(source, "b", "1.0.0").size
    assert {report.total for report in reports} == {total}
    assert list(dict.fromkeys(report.name for report in reports)) == ["a", "b"]
    for number in ("done", "chunks", "stored", "reused"):
        told = [getattr(report, number) for report in reports]
        assert told == sorted(told)
    assert reports[-1].done == total
    written = [("a", "1.0.0"), ("a", "1.0.1"), ("a", "2.0.0"), ("b", "1.0.0")]
    assert reports[-1].stored == sum(entry_of(target, *one).stored for one in written)


names = st.sampled_from(["a", "B:c", "x.y"])
blobs = st.builds(
    lambda make, seed, size, tail: make(seed, size) + tail,
    st.sampled_from([xof, quarters, lambda _, size: bytes(size)]),
    st.sampled_from("ab"),
    st.integers(0, 20_000) | st.integers(16_000, 300_000),
    st.binary(max_size=3),
)
steps = st.lists(
    st.tuples(st.just("save"), names, blobs)
    | st.tuples(st.just("tree"), names, trees)
    | st.tuples(st.sampled_from(["delete", "tag", "annotate"]), names, st.integers(0, 9)),
    min_size=1,
    max_size=20,
)


def act(registry: Registry, kind: str, name: str, value: Any) -> None:
    """One step of somebody's work."""
    versions = registry.list_versions(name)
    if kind == "save":
        registry.save(name, value, metadata={"size": len(value)})
    elif kind == "tree":
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), value)
            registry.save(name, Path(folder))
    elif versions:
        version = versions[value % len(versions)]
        if kind == "delete":
            registry.delete(name, version)
        elif kind == "tag":
            registry.tag(name, f"t{value}", version)
        else:
            registry.annotate(name, version, value=value)


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(steps, steps, st.booleans(), st.booleans(), st.sampled_from([1, 3, 16]))
def test_any_history_comes_over(
    first: list[tuple[str, str, Any]],
    second: list[tuple[str, str, Any]],
    spilling: bool,
    long: bool,
    list_above: int,
) -> None:
    """Whatever is saved, tagged and deleted, in two goes: lines, digests, bytes, order, notes and tags are the same.

    Among it trees, lists for streams of a few chunks, refs that spill, placements in segments, and a target that has
    some of the chunks. The target writes no chunk twice, and each version has exactly the bytes that it counts.
    """
    with ExitStack() as stack:
        stack.enter_context(patch.object(assembly, "LIST_ABOVE", list_above))
        if spilling:
            stack.enter_context(patch.object(spill, "INLINE_LIMIT", 2000))
            stack.enter_context(patch.object(spill, "_LEAST_ROOM", 1000))
        if long:
            stack.enter_context(patch.object(proving, "PLACEMENT_LIMIT", 300))
        source, inner = MemoryBackend(), MemoryBackend()
        Registry(inner).save("own", xof("a", 100_000))
        target = RecordingBackend(inner)
        for part in (first, second):
            for step in part:
                act(Registry(source), *step)
            target.log.clear()
            done = copy_all(Repository(source), Repository(target), terms=Terms(""))
            new = [entry_of(inner, one.name, str(one.version)) for one in done if not one.existed]
            sent = [call for call in target.log.calls("create") if is_data_key(call.key)]
            history = sum(call.bytes_in for call in sent if is_history(inner, call.key))
            assert sum(call.bytes_in for call in sent) - history == sum(entry.stored for entry in new)
            there = view(inner)
            for key, seen in view(source).items():
                assert there[key]._replace(tags=()) == seen._replace(tags=())
                assert set(there[key].tags) >= set(seen.tags)
        check(inner)


def is_history(backend: MemoryBackend, key: str) -> bool:
    """Whether a file is a segment of old versions, which no version counts."""
    return key.startswith("segments/") and b" history " in backend.get(key).data[:40]
