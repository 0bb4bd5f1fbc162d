"""What a sync brings, what it leaves alone, and what it says of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from casreg import MemoryBackend, Registry, Store, Synced
from casreg.exceptions import (
    InvalidArgumentError,
    ObjectNotFoundError,
    ReadOnlyError,
)
from casreg.keys import PACKS
from casreg.refs import Record
from casreg.repository import Repository
from sync.lab import files_of, filled, noise, seen

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.progress import Progress
    from casreg.refs import Attempt, History
    from places import Places


def new() -> Registry:
    """An empty one."""
    return Registry(MemoryBackend(), cache=False)


def conflicts(done: Synced) -> list[tuple[str, str]]:
    """What is in the way."""
    return [(one.kind, one.about) for one in done.conflicts]


def test_everything_goes_along_and_comes_back(tmp_path: Path, places: Places) -> None:
    """Local → any place → local: versions, digests, metadata, times, notes, tags and protection are equal, and load."""
    first = filled(str(tmp_path / "first"))
    second = Registry(places.new(), cache=False)
    third = Registry(tmp_path / "third")

    one, two = second.sync(first), third.sync(second)

    assert seen(first) == seen(second) == seen(third)
    assert one.copied == two.copied == tuple(seen(first))
    assert one.clean
    assert third.load("my:data") == first.load("my:data")
    assert third.verify(data=True).clean


def test_the_second_time_nothing_is_done() -> None:
    """What is equal is neither copied nor written again."""
    source, target = filled(MemoryBackend()), new()
    target.sync(source)
    before = files_of(target.backend)

    done = target.sync(source)

    assert (done.names, done.unchanged, done.copied, done.labels, done.size) == (3, 3, (), (), 0)
    assert files_of(target.backend) == before


def test_only_chunks_that_are_missing_are_written() -> None:
    """A new version of known bytes takes few bytes at the target."""
    source, target = filled(MemoryBackend(), size=5_000_000), new()
    target.sync(source)
    source.save("my:data", noise(1, 5_000_000) + noise(99, 1000))

    done = target.sync(source)

    assert done.copied == ("my:data@1.0.3",)
    assert done.size == 5_001_000
    assert 0 < done.stored < 300_000


def test_what_is_given_in_names_is_synced_and_nothing_else() -> None:
    """One name, or several."""
    source, target = filled(MemoryBackend()), new()

    assert target.sync(source, "small").copied == ("small@1.0.0",)
    assert target.sync(source, ["my:text", "small"]).copied == ("my:text@1.0.0", "my:text@2.0.0-rc.1")
    assert target.list_objects() == ["my:text", "small"]


def test_a_dry_run_says_it_all_and_changes_nothing(tmp_path: Path) -> None:
    """Versions, bytes, labels, deletions and conflicts are those of the sync that follows; no key is written."""
    source, target = filled(MemoryBackend()), filled(MemoryBackend())
    source.save("my:data", noise(2, 100_000), tags=["new"])
    source.tag("small", "best")
    target.save("own", 1)
    source.save("clash", 1)
    target.save("clash", 2)
    before = files_of(target.backend)

    foreseen = target.sync(source, dry_run=True, delete=True)

    assert files_of(target.backend) == before
    assert not (tmp_path / "default-cache" / "sync").exists()
    assert foreseen.dry_run
    assert foreseen.copied == ("my:data@1.0.3",)
    assert foreseen.size == 100_000
    assert foreseen.labels == ("my:data@new", "small@best")
    assert foreseen.deleted == ("own@1.0.0",)
    assert conflicts(foreseen) == [("content", "clash@1.0.0")]
    done = target.sync(source, delete=True)
    assert (done.copied, done.labels, done.deleted, done.conflicts) == (
        foreseen.copied,
        foreseen.labels,
        foreseen.deleted,
        foreseen.conflicts,
    )


def test_a_dry_run_makes_no_registry() -> None:
    """A place that was never written stays so."""
    target = new()

    assert len(target.sync(filled(MemoryBackend()), dry_run=True).copied) == 6
    assert files_of(target.backend) == {}


def test_other_content_stays_and_is_reported() -> None:
    """A version with other content is left alone, each time; all else is copied."""
    source, target = filled(MemoryBackend()), new()
    target.save("my:data", "mine", version="1.0.1", tags=["prod"])

    for _ in range(2):
        done = target.sync(source)
        assert not done.clean
        # A tag on it is not put on something else, nor is one that is on something else already the same.
        assert conflicts(done) == [
            ("content", "my:data@1.0.1"),
            ("tag", "my:data@prod"),
            ("tag", "my:data@t1"),
        ]
    assert target.load("my:data@1.0.1") == "mine"
    assert target.list_versions("my:data") == ["1.0.0", "1.0.1", "1.0.2"]
    assert target.has_object("small")


def test_other_content_is_overwritten_when_told() -> None:
    """With `overwrite` the target becomes what the source is; the old content can be looked up in its history."""
    source, target = filled(MemoryBackend()), new()
    target.save("my:data", "mine", version="1.0.1", tags=["prod"])

    foreseen = target.sync(source, overwrite=True, dry_run=True)
    done = target.sync(source, overwrite=True)

    assert done.clean
    assert foreseen.replaced == done.replaced == ("my:data@1.0.1",)
    assert seen(target) == seen(source)
    assert [row["state"] for row in target.history("my:data@1.0.1")] == ["live", "replaced"]


def test_what_is_protected_is_not_overwritten() -> None:
    """Not even when told: it is reported, and all else is done."""
    source, target = filled(MemoryBackend()), new()
    target.save("small", "mine")
    target.protect("small")

    done = target.sync(source, overwrite=True)

    assert conflicts(done) == [("protected", "small@1.0.0")]
    assert target.load("small") == "mine"
    assert target.has_object("my:data")


def test_a_number_that_was_given_away_is_not_used() -> None:
    """What was deleted at the target as something else stays deleted, unless told."""
    source, target = filled(MemoryBackend()), new()
    target.save("small", "mine")
    target.delete("small")

    assert conflicts(target.sync(source)) == [("number", "small@1.0.0")]
    assert not target.has_object("small")
    assert target.sync(source, overwrite=True).copied == ("small@1.0.0",)
    assert target.load("small") == 7


def test_a_number_of_which_nothing_is_left_is_not_used() -> None:
    """Nobody knows any more what it was: it is a conflict."""
    source, target = filled(MemoryBackend()), new()
    target.sync(source)
    target.delete("small")

    def retire(attempt: Attempt) -> History:
        ref = attempt.history.ref
        records = dict.fromkeys(ref.records, Record())
        return replace(attempt.history, ref=replace(ref, records=records))

    Repository(target.backend).refs.commit("small", retire)

    assert conflicts(target.sync(source)) == [("number", "small@1.0.0")]


@pytest.mark.parametrize("collected", [False, True])
def test_what_was_deleted_at_the_target_comes_back(collected: bool) -> None:
    """As the very version that it was, with its tags; also when its data are gone."""
    source, target = filled(MemoryBackend()), new()
    target.sync(source)
    target.delete("my:data", "1.0.1")
    if collected:
        assert target.gc(min_age=0, undelete_window=0).freed

    assert target.sync(source).copied == ("my:data@1.0.1",)
    assert seen(target) == seen(source)


def test_nothing_is_deleted_unless_told() -> None:
    """What the source has not stays."""
    source, target = filled(MemoryBackend()), new()
    target.sync(source)
    source.delete("my:data", "1.0.0")
    source.delete("small")
    target.save("own", 1)

    done = target.sync(source)

    assert done.deleted == ()
    assert target.has_object("my:data@1.0.0")
    assert target.has_object("small")
    assert target.has_object("own")


def test_what_the_source_has_not_is_deleted_when_told() -> None:
    """By tombstones, as by `delete`: it can be brought back. What is protected stays and is reported."""
    source, target = filled(MemoryBackend()), new()
    target.sync(source)
    target.save("own", 1)
    target.save("dear", 2)
    target.protect("dear")
    source.delete("my:data", "1.0.0")

    foreseen = target.sync(source, delete=True, dry_run=True)
    done = target.sync(source, delete=True)

    assert foreseen.deleted == done.deleted == ("my:data@1.0.0", "own@1.0.0")
    assert foreseen.kept == done.kept == ("dear@1.0.0",)
    assert done.clean
    assert target.list_objects() == ["dear", "my:data", "my:text", "small"]
    target.undelete("own", "1.0.0")
    assert target.load("own") == 1


def test_a_tag_on_what_is_deleted_goes_where_the_source_has_it() -> None:
    """It would go with its version otherwise, and the source's would be missing until the next sync."""
    source, target = filled(MemoryBackend()), new()
    target.sync(source)
    target.save("my:data", "own", version="9.0.0", tags=["prod"])
    target.sync(source)

    foreseen = target.sync(source, delete=True, dry_run=True)
    done = target.sync(source, delete=True)

    assert foreseen.labels == done.labels == ("my:data@prod",)
    assert seen(target) == seen(source)


def test_a_name_that_is_given_is_deleted_alone() -> None:
    """`delete` concerns the names that are given."""
    source, target = filled(MemoryBackend()), new()
    target.sync(source)
    source.delete("small")
    source.delete("my:text", "2.0.0-rc.1")

    assert target.sync(source, "small", delete=True).deleted == ("small@1.0.0",)
    assert target.has_object("my:text@2.0.0-rc.1")


def test_a_place_that_is_no_registry_is_no_source(tmp_path: Path) -> None:
    """With `delete` a mistyped place would delete everything."""
    target = filled(MemoryBackend())

    with pytest.raises(ObjectNotFoundError, match="there is no registry at"):
        target.sync(tmp_path / "typo", delete=True)
    assert len(seen(target)) == 6


def test_an_empty_registry_is_a_source() -> None:
    """It was made, so that there is no mistake."""
    source, target = new(), filled(MemoryBackend())
    target.unprotect("my:text", "1.0.0")
    source.init()

    assert len(target.sync(source, delete=True).deleted) == 6


def test_a_name_that_the_source_has_not() -> None:
    """It is an error, and nothing is done."""
    source, target = filled(MemoryBackend()), new()

    with pytest.raises(ObjectNotFoundError, match="no object 'nothing'"):
        target.sync(source, ["small", "nothing"])
    assert files_of(target.backend) == {}


def test_what_cannot_be_synced() -> None:
    """One place with itself, a place for one version of each name, and what is no name."""
    source = filled(MemoryBackend())

    with pytest.raises(InvalidArgumentError, match="both source and target"):
        source.sync(Registry(source.backend))
    with pytest.raises(InvalidArgumentError, match="one version"):
        Registry(MemoryBackend(), version_objects=False).sync(source)
    with pytest.raises(InvalidArgumentError, match="all versions"):
        new().sync(source, "small@1.0.0")


def test_damage_of_one_version_keeps_back_no_other() -> None:
    """What cannot be read is named; all else is copied, and the next time it is tried again."""
    source, target = filled(MemoryBackend()), new()
    source.save("big", noise(5, 200_000))
    keys = {info.key for info in source.backend.list(PACKS)}
    source.save("lost", noise(6, 200_000), tags=["prod"])
    source.backend.delete({info.key for info in source.backend.list(PACKS)} - keys)

    for _ in range(2):
        done = target.sync(source)
        assert [(one.kind, one.about) for one in done.failed] == [("unreadable", "lost@1.0.0")]
        assert not done.clean
    assert target.list_objects() == ["big", "my:data", "my:text", "small"]


def test_a_damaged_ref_keeps_back_no_other_name() -> None:
    """Its name is reported, and all others are copied."""
    source, target = filled(MemoryBackend()), new()
    (key,) = (info.key for info in source.backend.list("refs/small"))
    source.backend.delete([key])
    source.backend.create(key, b"{}")

    done = target.sync(source)

    assert [(one.kind, one.about) for one in done.failed] == [("unreadable", "small")]
    assert target.list_objects() == ["my:data", "my:text"]


def test_a_bundle_is_a_source_and_no_target(tmp_path: Path) -> None:
    """`sync` reads one; what would be written to it is refused."""
    source, target = filled(MemoryBackend()), new()
    source.export(tmp_path / "all.casreg")

    assert len(target.sync(tmp_path / "all.casreg").copied) == 6
    assert seen(target) == seen(source)
    source.save("more", 1)
    with pytest.raises(ReadOnlyError):
        Registry(tmp_path / "all.casreg").sync(source)


def test_progress_has_one_total() -> None:
    """Bytes of all versions together; the numbers never fall, and reach the total."""
    source, target = filled(MemoryBackend()), new()
    reports: list[Progress] = []

    done = target.sync(source, progress=reports.append)

    copies = [one for one in reports if one.phase == "copy"]
    assert [one.done for one in reports if one.phase == "survey"] == [1, 2, 3]
    assert {one.total for one in copies} == {done.size}
    assert copies[-1].done == done.size
    assert copies[-1].stored == done.stored
    assert [one.done for one in copies] == sorted(one.done for one in copies)


def test_mounts_of_a_store_are_synced() -> None:
    """By their locations. What is read-only is refused, but for a dry run."""
    source, target = filled(MemoryBackend()), new()
    store = Store({"a": source, "b": target})

    assert len(store.sync("a", "b", ["small"]).copied) == 1
    store.remove_mount("b")
    store.add_mount("b", target, read_only=True)
    with pytest.raises(ReadOnlyError):
        store.sync("a", "b")
    assert len(store.sync("a", "b", dry_run=True).copied) == 5


def test_what_was_compared_long_ago_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sync of hours: what was deleted at the source since then does not come, and what moved comes as it is."""
    source, target = filled(MemoryBackend()), new()

    def go_on(report: Progress) -> None:
        if report.phase == "survey" and report.done == report.total:
            source.delete("small")
            source.tag("my:data", "prod", "1.0.2")

    monkeypatch.setattr("casreg.sync.execution.FRESH", -1.0)
    done = target.sync(source, progress=go_on)

    assert not target.has_object("small")
    assert target.info("my:data@prod")["version"] == "1.0.2"
    assert done.clean
    assert seen(target) == seen(source)
