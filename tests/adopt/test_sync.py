"""A clone and its original live on and are synced with each other; what was remembered of a place before a restore is not believed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adopt.lab import copied, marker
from casreg import Registry
from collector.lab import check
from sync.lab import filled, seen
from verify.lab import files_of, noise

if TYPE_CHECKING:
    from places import Places


def test_a_clone_and_its_original(places: Places) -> None:
    """Each gets what the other has; what they had in common is not moved, and what both saved is a conflict."""
    origin = filled(places.new(), size=50_000)
    clone = Registry(copied(files_of(origin.backend), places.new()), cache=False)
    assert clone.adopt().clean
    assert marker(clone.backend)["id"] != marker(origin.backend)["id"]
    origin.save("my:text", "there", version="3.0.0")
    clone.save("my:text", "here", version="3.0.0")
    origin.save("only:there", noise(50_000, 3))
    clone.save("only:here", noise(50_000, 4))
    origin.gc(min_age=0, undelete_window=0)
    clone.delete("small")

    there = clone.sync(origin)
    back = origin.sync(clone)

    assert there.copied == (
        "only:there@1.0.0",
        "small@1.0.0",
    )  # what was deleted comes back: delete at the source
    assert back.copied == ("only:here@1.0.0",)
    assert (
        [one.about for one in there.conflicts] == [one.about for one in back.conflicts] == ["my:text@3.0.0"]
    )
    assert there.stored < 60_000
    assert clone.load("my:text", "3.0.0") == "here"
    assert origin.load("my:text", "3.0.0") == "there"
    differing = ("my:text@3.0.0",)
    assert {k: v for k, v in seen(origin).items() if k not in differing} == {
        k: v for k, v in seen(clone).items() if k not in differing
    }
    for registry in (origin, clone):
        registry.gc(min_age=0, undelete_window=0)
        check(registry.backend)
        assert registry.verify(data=True).clean


@pytest.mark.parametrize("restored", ["source", "target"])
def test_what_was_remembered_before_a_restore_is_not_believed(places: Places, restored: str) -> None:
    """An older state has taken a place, and was written to since: nobody knows who moved the tag, so it stays."""
    source, target = filled(places.new(), size=2_000), Registry(places.new(), cache=False)
    target.sync(source)
    backups = {"source": files_of(source.backend), "target": files_of(target.backend)}
    source.tag("my:data", "prod", "1.0.2")
    target.sync(source)
    assert target.info("my:data@prod")["version"] == "1.0.2"
    registry = {"source": source, "target": target}[restored]
    copied(backups[restored], registry.backend)

    registry.adopt()
    for number in range(3):  # more states than there were
        registry.annotate("my:data", "1.0.0", looked=number)
    done = target.sync(source)

    assert [one.about for one in done.conflicts] == ["my:data@prod"]
    assert target.info("my:data@prod")["version"] == {"source": "1.0.2", "target": "1.0.1"}[restored]


def test_what_is_remembered_of_others_stays(places: Places) -> None:
    """An adoption of the one registry is none of the other."""
    source, target = filled(places.new(), size=2_000), Registry(places.new(), cache=False)
    third = Registry(places.new(), cache=False)
    target.sync(source)
    third.sync(source)
    third.adopt()
    assert target.sync(source).unchanged == 3
    source.tag("my:data", "prod", "1.0.2")
    assert target.sync(source).labels == ("my:data@prod",)
