"""Savers, editors and a collector at once: every order of their requests, up to two preemptions."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import ObjectNotFoundError, VersionConflictError
from casreg.keys import is_data_key
from casreg.registry import Registry
from casreg.testing.scheduler import Scheduler, SchedulerBackend, explore, explore_at_random
from engine.test_stale import Collector, check
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = noise(20_000, 1)
OTHER = noise(20_000, 2)


@pytest.fixture(autouse=True)
def ended_actors_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gives the number of a thread that has ended to the next one: a thread of a pool is no actor."""
    real = Scheduler._live

    def live(self: Scheduler, actor: Any) -> None:
        real(self, actor)
        self._by_thread.pop(threading.get_ident(), None)

    monkeypatch.setattr(Scheduler, "_live", live)


@dataclass
class World:
    """A place, and a warm Registry for each of two actors."""

    place: MemoryBackend
    first: Registry
    second: Registry
    collector: Collector
    candidates: list[str]


def _world(*, warm: bool) -> Callable[[Scheduler], World]:
    """A name with two versions, one of them deleted, whose data nothing needs."""
    base = MemoryBackend()
    registry = Registry(base)
    registry.save("thing", DATA)
    registry.save("thing", "small", tags=["prod"])
    registry.delete("thing@1.0.0")
    files = snapshot(base)

    def make(scheduler: Scheduler) -> World:
        place = MemoryBackend()
        for key, data in files.items():
            place.create(key, data)
        scheduled = SchedulerBackend(place, scheduler)
        first, second = Registry(scheduled), Registry(scheduled)
        if warm:  # the world is made by a thread that is no actor: nothing waits here
            for one in (first, second):
                one.save("warm", 1)
        else:
            first._repository.marker()
            second._repository.marker()
        live = {info.key for info in place.list("manifests/")} - {
            key for key in files if key.startswith("manifests/")
        }
        candidates = [key for key in files if is_data_key(key) and key not in live]
        return World(place, first, second, Collector(scheduled), candidates)

    return make


def _collect(world: World) -> None:
    world.collector.collect(world.candidates)


def _loads(place: MemoryBackend) -> dict[str, object]:
    registry = Registry(place)
    return {
        f"{name}@{version}": registry.load(name, version)
        for name in registry.list_objects()
        if name != "warm"
        for version in registry.list_versions(name)
    }


@pytest.mark.parametrize("warm", [False, True], ids=["cold", "warm"])
@pytest.mark.parametrize("name", ["thing", "copy"])
def test_a_saver_and_a_collector(name: str, warm: bool) -> None:
    """While a save builds on old data, a collector collects that data: what is committed is whole, in every order."""

    def save(world: World) -> None:
        world.first.save(name, DATA)

    def check_world(world: World) -> None:
        check(world.place)
        assert DATA in _loads(world.place).values()
        assert "small" in _loads(world.place).values()

    done = explore(_world(warm=warm), [save, _collect], check_world, max_preemptions=2, limit=400)
    assert done.runs > 50


def test_an_undelete_and_a_collector() -> None:
    """While a version is brought back, its data is collected: it is back and whole, or it was not found."""

    def undelete(world: World) -> None:
        try:
            world.first.undelete("thing@1.0.0")
        except ObjectNotFoundError:
            return

    def check_world(world: World) -> None:
        check(world.place)
        assert _loads(world.place) in (
            {"thing@1.0.0": DATA, "thing@1.0.1": "small"},
            {"thing@1.0.1": "small"},
        )

    done = explore(_world(warm=False), [undelete, _collect], check_world, max_preemptions=2, limit=400)
    assert done.runs > 50


def test_two_savers_of_one_name() -> None:
    """Two saves of one name get two numbers, and both load, in every order."""

    def check_world(world: World) -> None:
        loads = _loads(world.place)
        assert set(loads) == {"thing@1.0.1", "thing@1.0.2", "thing@1.0.3"}
        assert {bytes(value) for value in loads.values() if isinstance(value, bytes)} == {DATA, OTHER}

    actors: list[Callable[[World], None]] = [
        lambda world: void(world.first.save("thing", DATA)),
        lambda world: void(world.second.save("thing", OTHER)),
    ]
    done = explore(_world(warm=False), actors, check_world, max_preemptions=2, limit=300)
    assert done.runs > 50


def void(_: object) -> None:
    """Nothing."""


def test_two_savers_of_one_version() -> None:
    """Of two saves under one version with different content one wins, and the other is told."""

    def save(registry: Registry, value: object, lost: list[object]) -> None:
        try:
            registry.save("thing", value, version="5.0.0")
        except VersionConflictError:
            lost.append(value)

    lost: list[object] = []

    def check_world(world: World) -> None:
        assert len(lost) == 1
        assert [Registry(world.place).load("thing@5.0.0"), *lost] in ([DATA, OTHER], [OTHER, DATA])
        lost.clear()

    actors: list[Callable[[World], None]] = [
        lambda world: save(world.first, DATA, lost),
        lambda world: save(world.second, OTHER, lost),
    ]
    explore(_world(warm=False), actors, check_world, max_preemptions=2, limit=300)


def test_a_reader_beside_an_overwriter() -> None:
    """A load beside an overwrite and a collector gives one of the two contents, whole."""
    seen: list[object] = []

    def make(scheduler: Scheduler) -> World:
        world = _world(warm=False)(scheduler)
        Registry(world.place).save("over", DATA, version="1.0.0")
        world.second = Registry(world.second.backend, mutable=True)
        world.candidates = [info.key for info in world.place.list("") if is_data_key(info.key)]
        return world

    def overwrite_and_collect(world: World) -> None:
        world.second.save("over", OTHER, version="1.0.0")
        _collect(world)

    def check_world(world: World) -> None:
        assert seen.pop() in (DATA, OTHER)
        check(world.place)

    actors: list[Callable[[World], None]] = [
        lambda world: seen.append(world.first.load("over")),
        overwrite_and_collect,
    ]
    explore(make, actors, check_world, max_preemptions=2, limit=300)


def test_four_at_random() -> None:
    """Two savers, an editor and a collector in random orders."""

    def edit(world: World) -> None:
        world.second.tag("thing", "best")
        world.second.annotate("thing", seen=1)
        world.second.delete("thing@1.0.1")

    def check_world(world: World) -> None:
        check(world.place)
        assert DATA in _loads(world.place).values()

    actors: list[Callable[[World], None]] = [
        lambda world: void(world.first.save("copy", DATA)),
        lambda world: void(world.second.save("thing", OTHER)),
        edit,
        _collect,
    ]
    explore_at_random(_world(warm=True), actors, check_world, runs=100)
