"""Syncs beside others at work on both sides: every order of the requests, up to two preemptions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from casreg import MemoryBackend, Registry, settings
from casreg.exceptions import CorruptError
from casreg.refs import Fence, Refs, Reuse
from casreg.testing.scheduler import Scheduler, SchedulerBackend, explore
from sync.lab import files_of, noise, place_with

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg import Synced
    from casreg.refs import Begun, Held

DATA = noise(1, 17_000)


@dataclass
class World:
    """Two places as they are, and handles on them for the actors."""

    source: Registry
    target: Registry
    from_: Registry
    to: Registry
    at_source: Registry
    at_target: Registry
    done: Synced | None = None


def _world() -> Callable[[Scheduler], World]:
    """A target that was synced once, and a source with a new version that has the tag."""
    source, target = (Registry(MemoryBackend(), cache=False) for _ in range(2))
    source.save("thing", 1, tags=["prod"])
    source.save("thing", 2, tags=["prod"])
    target.sync(source)
    target.save("waste", DATA)
    target.delete("waste")
    source.save("thing", DATA, tags=["prod"])
    files = files_of(source.backend), files_of(target.backend)
    (memory,) = (settings.cache_dir() / "sync").iterdir()
    known = memory.read_bytes()

    def make(scheduler: Scheduler) -> World:
        for registry, held in zip((source, target), files, strict=True):
            place_with(registry.backend, held)
        memory.write_bytes(known)
        from_, to, at_source, at_target = handles = [
            Registry(SchedulerBackend(registry.backend, scheduler), cache=False)
            for registry in (source, target, source, target)
        ]
        for handle in handles:
            handle.init()
        return World(
            Registry(source.backend, cache=False),
            Registry(target.backend, cache=False),
            from_,
            to,
            at_source,
            at_target,
        )

    return make


def _sync(world: World) -> None:
    world.done = world.to.sync(world.from_)


def _check(world: World) -> None:
    assert world.target.verify(data=True).clean
    assert world.target.load("thing@1.0.1") == 2


def test_beside_a_delete_and_a_collector_at_the_source() -> None:
    """What is deleted while it is copied came over whole, or not at all."""
    outcomes: set[bool] = set()

    def delete(world: World) -> None:
        world.at_source.delete("thing", "1.0.2")
        world.at_source.gc(min_age=0, undelete_window=0)

    def check(world: World) -> None:
        _check(world)
        assert world.done is not None
        assert world.done.clean
        there = world.target.has_object("thing@1.0.2")
        outcomes.add(there)
        assert there == (world.done.copied == ("thing@1.0.2",))
        assert not there or world.target.load("thing@1.0.2") == DATA

    done = explore(_world(), [_sync, delete], check, max_preemptions=1, limit=250)
    assert done.runs > 20
    assert outcomes == {True, False}


def test_beside_a_saver_at_the_source() -> None:
    """What is saved meanwhile comes along or with the next sync; the tag ends where the source has it."""

    def save(world: World) -> None:
        world.at_source.save("thing", 4, tags=["prod"])
        world.at_source.annotate("thing", "1.0.0", late=1)

    def check(world: World) -> None:
        _check(world)
        assert world.target.sync(world.source).clean
        assert world.target.info("thing@prod")["version"] == "1.0.3"
        assert world.target.info("thing", "1.0.0")["notes"] == {"late": 1}

    done = explore(_world(), [_sync, save], check, max_preemptions=1, limit=250)
    assert done.runs > 15


def test_beside_somebody_who_moves_the_tag_at_the_target() -> None:
    """A rollback holds, whenever it comes: no sync moves the tag after it."""

    def roll_back(world: World) -> None:
        world.at_target.tag("thing", "prod", "1.0.0")

    def check(world: World) -> None:
        _check(world)
        assert world.target.info("thing@prod")["version"] == "1.0.0"
        world.target.sync(world.source)
        assert world.target.info("thing@prod")["version"] == "1.0.0"

    done = explore(_world(), [_sync, roll_back], check, max_preemptions=2, limit=250)
    assert done.runs > 20


def test_beside_a_collector_at_the_target() -> None:
    """What the sync builds on is collected meanwhile: it is brought once more."""

    def collect(world: World) -> None:
        world.at_target.gc(min_age=0, undelete_window=0)

    def check(world: World) -> None:
        _check(world)
        assert world.done is not None
        assert world.done.copied == ("thing@1.0.2",)
        assert world.target.load("thing") == DATA

    done = explore(_world(), [_sync, collect], check, max_preemptions=2, limit=250)
    assert done.runs > 20


def _new_name_beside_a_collector(limit: int) -> int:
    """A name that the target has not comes, with bytes that the target is about to collect. How many orders were seen."""
    make = _world()

    def with_new_name(scheduler: Scheduler) -> World:
        world = make(scheduler)
        world.source.save("other", DATA)
        world.source.delete("thing", "1.0.2")
        return world

    def collect(world: World) -> None:
        world.at_target.gc(min_age=0, undelete_window=0)

    def check(world: World) -> None:
        _check(world)
        assert world.target.load("other") == DATA

    done = explore(with_new_name, [_sync, collect], check, max_preemptions=2, limit=limit)
    return done.runs


def test_a_new_name_beside_a_collector_at_the_target() -> None:
    """Its ref is created before the head is read, so that a collector who does not list it is seen."""
    assert _new_name_beside_a_collector(limit=250) > 20


@pytest.mark.parametrize("rule", ["ref first", "look again"])
def test_the_order_of_a_begun_commit_matters(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the head read before the ref is created, or believed after the ref moved on, a version is lost."""
    real = Refs.begin

    def begin(self: Refs, names: Mapping[str, Held | None]) -> dict[str, Begun]:
        early = self.fences.read()
        return {name: replace(begun, fence=early) for name, begun in real(self, names).items()}

    def reuse(self: Fence, key: str, seen: object = None) -> Reuse:
        return Reuse.YES

    if rule == "ref first":
        monkeypatch.setattr(Refs, "begin", begin)
    else:
        monkeypatch.setattr(Fence, "reuse", reuse)
    with pytest.raises((AssertionError, CorruptError)):
        _new_name_beside_a_collector(limit=900)  # all orders


@pytest.mark.parametrize("overwrite", [False, True])
def test_two_syncs_at_once(overwrite: bool) -> None:
    """Both end well, there is one of everything, and one of them says that it has brought it."""
    others: list[Synced] = []

    def one(world: World) -> None:
        world.done = world.to.sync(world.from_, overwrite=overwrite)

    def other(world: World) -> None:
        others.append(world.at_target.sync(world.at_source, overwrite=overwrite))

    def check(world: World) -> None:
        _check(world)
        assert world.done is not None
        assert world.done.copied + others[-1].copied == ("thing@1.0.2",)
        assert world.target.list_versions("thing") == ["1.0.0", "1.0.1", "1.0.2"]
        assert world.target.info("thing@prod")["version"] == "1.0.2"
        assert world.target.sync(world.source).labels == ()

    done = explore(_world(), [one, other], check, max_preemptions=1, limit=250)
    assert done.runs > 20


def test_what_others_sync_while_it_deletes_is_not_deleted() -> None:
    """What was saved at the source since it was looked at, and brought by another sync, stays."""

    def delete(world: World) -> None:
        world.done = world.to.sync(world.from_, delete=True)

    def save_and_sync(world: World) -> None:
        world.at_source.save("thing", 4)
        world.at_target.sync(world.at_source)

    def check(world: World) -> None:
        _check(world)
        assert world.target.load("thing@1.0.3") == 4

    done = explore(_world(), [delete, save_and_sync], check, max_preemptions=2, limit=150)
    assert done.runs > 20
