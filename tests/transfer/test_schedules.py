"""Copies beside whoever changes their source or their target: every order of the requests, up to two preemptions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import ObjectNotFoundError, VersionConflictError
from casreg.keys import is_data_key
from casreg.registry import Registry
from casreg.testing.scheduler import Scheduler, SchedulerBackend, explore
from casreg.transfer import copy_all
from engine.test_stale import Collector
from registry.lab import noise, snapshot
from transfer.lab import check, view

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = noise(20_000, 1)
OTHER = noise(20_000, 2)


@dataclass
class World:
    """Two places, and a handle on each for each actor."""

    source: MemoryBackend
    target: MemoryBackend
    here: Registry
    there: Registry
    mutable: Registry
    elsewhere: Registry
    collector: Collector
    cleaner: Collector


def _files(*, waste: bool) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """A source with one version; a target that has the same data, which nothing needs any more if it is `waste`."""
    source, target = MemoryBackend(), MemoryBackend()
    Registry(source).save("thing", DATA, tags=["prod"])
    registry = Registry(target)
    registry.save("small", 1)
    registry.save("waste", DATA if waste else OTHER)
    registry.delete("waste")
    return snapshot(source), snapshot(target)


def _world(*, waste: bool = False) -> Callable[[Scheduler], World]:
    files = _files(waste=waste)

    def make(scheduler: Scheduler) -> World:
        places = MemoryBackend(), MemoryBackend()
        for place, held in zip(places, files, strict=True):
            for key, data in held.items():
                place.create(key, data)
            Registry(place)._repository.marker()
        source, target = (SchedulerBackend(place, scheduler) for place in places)
        registries = Registry(target), Registry(source), Registry(source, mutable=True), Registry(target)
        for registry in registries:
            registry._repository.marker()
        return World(*places, *registries, Collector(source), Collector(target))

    return make


def _data(place: MemoryBackend) -> list[str]:
    return [info.key for info in place.list("") if is_data_key(info.key)]


def _download(world: World) -> None:
    world.here.download(world.there, "thing")


def _check(world: World) -> None:
    check(world.target)
    assert Registry(world.target).load("small") == 1


def test_beside_a_delete_and_a_collector_at_the_source() -> None:
    """The version is deleted and its data collected while it is copied: it came over whole, or there was none."""
    outcomes: set[bool] = set()

    def download(world: World) -> None:
        try:
            _download(world)
        except ObjectNotFoundError:
            return

    def delete(world: World) -> None:
        world.mutable.delete("thing")
        world.collector.collect(_data(world.source))

    def check_world(world: World) -> None:
        _check(world)
        there = Registry(world.target).has_object("thing")
        outcomes.add(there)
        assert not there or Registry(world.target).load("thing") == DATA

    done = explore(_world(), [download, delete], check_world, max_preemptions=2, limit=400)
    assert done.runs > 50
    assert outcomes == {True, False}


def test_beside_an_overwrite_and_a_collector_at_the_source() -> None:
    """The version gets other content while it is copied: one of the two came over, whole, under its own digest."""
    outcomes: set[bytes] = set()

    def overwrite(world: World) -> None:
        world.mutable.save("thing", OTHER, version="1.0.0")
        world.collector.collect(_data(world.source))

    def check_world(world: World) -> None:
        _check(world)
        seen = view(world.target)["thing@1.0.0"].files["data.bin"]
        assert seen in (DATA, OTHER)
        outcomes.add(seen)

    done = explore(_world(), [_download, overwrite], check_world, max_preemptions=2, limit=400)
    assert done.runs > 50
    assert outcomes == {DATA, OTHER}


def test_beside_a_collector_at_the_target() -> None:
    """What the copy builds on is collected meanwhile: it is stored again, and what is committed is whole."""

    def collect(world: World) -> None:
        world.cleaner.collect([key for key in _data(world.target) if key.startswith("packs/")])

    def check_world(world: World) -> None:
        _check(world)
        assert Registry(world.target).load("thing") == DATA

    done = explore(_world(waste=True), [_download, collect], check_world, max_preemptions=2, limit=400)
    assert done.runs > 50


def test_two_copies_of_one_version() -> None:
    """Both end well, and there is one version."""

    def check_world(world: World) -> None:
        _check(world)
        assert Registry(world.target).list_versions("thing") == ["1.0.0"]
        assert Registry(world.target).load("thing") == DATA

    def other(world: World) -> None:
        world.elsewhere.download(world.mutable, "thing")

    explore(_world(), [_download, other], check_world, max_preemptions=2, limit=300)


def test_beside_a_saver_of_the_same_number() -> None:
    """Somebody saves other content under the number: one of the two wins, and the other is told."""
    lost: list[str] = []

    def download(world: World) -> None:
        try:
            _download(world)
        except VersionConflictError:
            lost.append("copy")

    def save(world: World) -> None:
        try:
            world.elsewhere.save("thing", OTHER, version="1.0.0")
        except VersionConflictError:
            lost.append("save")

    def check_world(world: World) -> None:
        _check(world)
        assert len(lost) == 1
        assert Registry(world.target).load("thing") == (OTHER if lost.pop() == "copy" else DATA)

    explore(_world(), [download, save], check_world, max_preemptions=2, limit=300)


def test_a_copy_in_one_place_beside_a_delete_and_a_collector() -> None:
    """The copy shares the files of a version that is deleted and collected: it is whole, or there was nothing to copy."""
    outcomes: set[bool] = set()

    def copy(world: World) -> None:
        try:
            world.there.copy("thing", "twin")
        except ObjectNotFoundError:
            return

    def delete(world: World) -> None:
        world.mutable.delete("thing")
        world.collector.collect(_data(world.source))

    def check_world(world: World) -> None:
        check(world.source)
        there = Registry(world.source).has_object("twin")
        outcomes.add(there)
        assert not there or Registry(world.source).load("twin") == DATA

    done = explore(_world(), [copy, delete], check_world, max_preemptions=2, limit=400)
    assert done.runs > 50
    assert outcomes == {True, False}


def test_renaming_beside_a_saver_and_a_collector() -> None:
    """Whoever saves to the old name meanwhile: each version is under the old name or the new, and is whole."""

    def rename(world: World) -> None:
        world.there.rename("thing", "new")

    def save(world: World) -> None:
        world.mutable.save("thing", OTHER)
        world.collector.collect(_data(world.source))

    def check_world(world: World) -> None:
        check(world.source)
        registry = Registry(world.source)
        held = [registry.load(n, v) for n, vs in registry.list_objects_and_versions().items() for v in vs]
        assert sorted(map(bytes, held)) == sorted((DATA, OTHER))

    done = explore(_world(), [rename, save], check_world, max_preemptions=2, limit=400)
    assert done.runs > 50


def test_two_renames_of_one_name() -> None:
    """To the same name or not: the version is somewhere, whole, and not under the old name."""
    for other in ("new", "third"):

        def first(world: World) -> None:
            try:
                world.there.rename("thing", "new")
            except ObjectNotFoundError:
                return

        def second(world: World, other: str = other) -> None:
            try:
                world.mutable.rename("thing", other)
            except ObjectNotFoundError:
                return

        def check_world(world: World, other: str = other) -> None:
            check(world.source)
            registry = Registry(world.source)
            names = set(registry.list_objects())
            assert names
            assert names <= {"new", other}
            assert all(registry.load(name) == DATA for name in names)
            assert all(registry.info(name)["tags"] == ["prod"] for name in names)

        explore(_world(), [first, second], check_world, max_preemptions=2, limit=300)


def test_everything_beside_a_saver() -> None:
    """A whole repository is copied while its name gets another version: what came over is what was there."""

    def copy(world: World) -> None:
        copy_all(world.there._repository, world.here._repository)

    def save(world: World) -> None:
        world.mutable.save("thing", OTHER)
        world.mutable.tag("thing", "prod")

    def check_world(world: World) -> None:
        _check(world)
        versions = Registry(world.target).list_versions("thing")
        assert versions in (["1.0.0"], ["1.0.0", "1.0.1"])
        assert Registry(world.target).load("thing@1.0.0") == DATA

    explore(_world(), [copy, save], check_world, max_preemptions=2, limit=300)
