"""Tags, notes and protection: who changed them since the last time decides."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, strategies as st

from casreg import MemoryBackend, Registry
from casreg.sync.labels import Label, merge, next_base
from sync.lab import filled, place_with, seen

if TYPE_CHECKING:
    from pathlib import Path

    from casreg import Synced


@pytest.fixture
def pair() -> tuple[Registry, Registry]:
    """A source, and a target that was synced from it."""
    source, target = filled(MemoryBackend()), Registry(MemoryBackend(), cache=False)
    target.sync(source)
    return source, target


def conflicts(done: Synced) -> list[tuple[str, str]]:
    """What is in the way."""
    return [(one.kind, one.about) for one in done.conflicts]


def prod(registry: Registry) -> str:
    """The version that has the tag."""
    return str(registry.info("my:data@prod")["version"])


def test_what_the_source_changed_goes_over(pair: tuple[Registry, Registry]) -> None:
    """Moved and removed tags, changed, new and removed notes, protection and its end."""
    source, target = pair
    source.tag("my:data", "prod", "1.0.2")
    source.untag("my:data", "t0")
    source.annotate("my:data", "1.0.0", seen=True, more=[1])
    source.annotate("my:text", "1.0.0", who=None)
    source.unprotect("my:text", "1.0.0")
    source.protect("small")

    done = target.sync(source)

    assert done.clean
    assert set(done.labels) == {
        "my:data@prod",
        "my:data@t0",
        "my:data@1.0.0 seen",
        "my:data@1.0.0 more",
        "my:text@1.0.0 who",
        "my:text@1.0.0 protection",
        "small@1.0.0 protection",
    }
    assert seen(target) == seen(source)


def test_a_note_that_only_python_thinks_equal_goes_over(pair: tuple[Registry, Registry]) -> None:
    """1 and True are two notes."""
    source, target = pair
    source.annotate("my:data", "1.0.1", seen=True)
    target.sync(source)

    assert target.info("my:data", "1.0.1")["notes"]["seen"] is True


def test_what_the_target_changed_stays(pair: tuple[Registry, Registry]) -> None:
    """A source that has changed nothing undoes nothing: a rollback at the target holds."""
    source, target = pair
    target.tag("my:data", "prod", "1.0.0")
    target.untag("my:data", "t2")
    target.tag("my:data", "own", "1.0.0")
    target.annotate("my:data", "1.0.0", seen="here", own=1)
    target.unprotect("my:text", "1.0.0")
    before = seen(target)

    for _ in range(2):
        done = target.sync(source)
        assert done.clean
        assert done.labels == ()
        assert seen(target) == before


def test_what_both_changed_stays_and_is_reported(pair: tuple[Registry, Registry]) -> None:
    """Each time, until somebody decides; and what only the source has changed of the same name goes over."""
    source, target = pair
    target.tag("my:data", "prod", "1.0.0")
    target.annotate("my:data", "1.0.0", seen="here")
    source.tag("my:data", "prod", "1.0.2")
    source.annotate("my:data", "1.0.0", seen="there")
    source.tag("my:data", "t0", "1.0.2")

    assert target.sync(source).labels == ("my:data@t0",)
    done = target.sync(source)

    assert conflicts(done) == [("note", "my:data@1.0.0 seen"), ("tag", "my:data@prod")]
    assert prod(target) == "1.0.0"
    assert target.sync(source, overwrite=True).clean
    assert seen(target) == seen(source)
    source.tag("my:data", "prod", "1.0.1")
    assert target.sync(source).labels == ("my:data@prod",)


def test_a_change_of_the_target_is_not_undone_by_a_later_one_of_the_source(
    pair: tuple[Registry, Registry],
) -> None:
    """What it kept once is not forgotten when something else of the name goes over."""
    source, target = pair
    target.tag("my:data", "prod", "1.0.0")
    target.sync(source)
    source.annotate("my:data", "1.0.0", seen=5)
    assert target.sync(source).labels == ("my:data@1.0.0 seen",)
    assert prod(target) == "1.0.0"
    source.tag("my:data", "prod", "1.0.2")

    assert conflicts(target.sync(source)) == [("tag", "my:data@prod")]


def test_a_new_version_does_not_move_a_tag_that_the_target_moved(pair: tuple[Registry, Registry]) -> None:
    """The version is copied, and the tag reported."""
    source, target = pair
    target.tag("my:data", "prod", "1.0.0")
    source.save("my:data", "new", tags=["prod"])

    done = target.sync(source)

    assert done.copied == ("my:data@1.0.3",)
    assert conflicts(done) == [("tag", "my:data@prod")]
    assert prod(target) == "1.0.0"


def test_a_second_source_that_is_behind_moves_nothing_back(pair: tuple[Registry, Registry]) -> None:
    """Of two sources of one target each brings what it has changed itself."""
    source, target = pair
    behind = filled(MemoryBackend())
    target.sync(behind)
    source.tag("my:data", "prod", "1.0.2")
    target.sync(source)

    done = target.sync(behind)

    assert done.clean
    assert done.labels == ()
    assert prod(target) == "1.0.2"


def test_without_memory_nothing_is_moved(pair: tuple[Registry, Registry], tmp_path: Path) -> None:
    """What is missing is added, what the target alone has stays, and what differs is reported."""
    source, target = pair
    source.tag("my:data", "prod", "1.0.2")
    source.tag("my:data", "new", "1.0.0")
    target.tag("my:data", "own", "1.0.0")
    shutil.rmtree(tmp_path / "default-cache" / "sync")

    done = target.sync(source)

    assert done.labels == ("my:data@new",)
    assert conflicts(done) == [("tag", "my:data@prod")]
    assert prod(target) == "1.0.1"
    assert target.info("my:data@own")["version"] == "1.0.0"


def test_an_older_copy_in_place_of_the_source_moves_nothing_back() -> None:
    """A source that was restored from a backup says nothing new."""
    source, target = filled(MemoryBackend("sync-restored")), Registry(MemoryBackend(), cache=False)
    backup = {info.key: source.backend.get(info.key).data for info in source.backend.list("")}
    source.annotate("my:data", "1.0.0", more=1)
    source.tag("my:data", "prod", "1.0.2")
    target.sync(source)
    place_with(source.backend, backup)

    done = target.sync(Registry(source.backend, cache=False))

    assert conflicts(done) == [("tag", "my:data@prod")]
    assert prod(target) == "1.0.2"
    assert target.info("my:data", "1.0.0")["notes"] == {"seen": 0, "more": 1}


def test_an_older_copy_in_place_of_the_target_is_no_decision() -> None:
    """A target that was restored from a backup gets its versions again; that its labels are old is reported."""
    source, target = filled(MemoryBackend()), Registry(MemoryBackend("sync-target"), cache=False)
    target.sync(source)
    backup = {info.key: target.backend.get(info.key).data for info in target.backend.list("")}
    source.tag("my:data", "prod", "1.0.2")
    source.save("my:text", "more")
    target.sync(source)
    place_with(target.backend, backup)

    done = Registry(target.backend, cache=False).sync(source)

    assert done.copied == ("my:text@2.0.0",)
    assert conflicts(done) == [("tag", "my:data@prod")]


def test_two_ways(pair: tuple[Registry, Registry]) -> None:
    """Synced there and back, both sides have what either has changed."""
    one, two = pair
    one.sync(two)
    one.tag("my:data", "prod", "1.0.2")
    two.save("my:data", "of two", tags=["two"])
    two.annotate("small", note="two")

    two.sync(one)
    one.sync(two)

    assert seen(one) == seen(two)
    assert prod(one) == "1.0.2"
    assert one.info("my:data@two")["version"] == "1.0.3"
    assert one.sync(two).unchanged == two.sync(one).names == 3


_VALUES = st.dictionaries(st.sampled_from([Label("tag", "", key) for key in "abc"]), st.sampled_from("xyz"))


@given(_VALUES, _VALUES, _VALUES, st.booleans())
def test_the_rule_of_the_merge(
    source: dict[Label, str], target: dict[Label, str], base: dict[Label, str], overwrite: bool
) -> None:
    """Label by label, as the rule says it."""
    merged = merge(source, target, base, overwrite=overwrite)

    assert not {*merged.sets, *merged.removes} & {*merged.conflicts}
    for label in {*source, *target}:
        mine, there, before = source.get(label), target.get(label), base.get(label)
        follows = label in merged.sets or label in merged.removes
        assert (label in merged.sets) == (follows and mine is not None)
        if mine == there:
            assert not follows
            assert label not in merged.conflicts
        elif mine == before:
            assert follows == (overwrite and mine is not None)
            assert label not in merged.conflicts
            assert merged.others or follows
        elif there == before or overwrite:
            assert follows
        else:
            assert label in merged.conflicts


@given(_VALUES, _VALUES, _VALUES)
def test_after_a_merge_there_is_nothing_to_do(
    source: dict[Label, str], target: dict[Label, str], base: dict[Label, str]
) -> None:
    """The same sides merged again change nothing, and the same conflicts are found."""
    merged = merge(source, target, base)
    after = {**target, **{label: source[label] for label in merged.sets}}
    after = {label: value for label, value in after.items() if label not in merged.removes}

    again = merge(source, after, next_base(source, after, base))

    assert (again.sets, again.removes, again.conflicts) == ((), (), merged.conflicts)
