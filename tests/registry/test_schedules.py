"""Conflicts and protection in every order of two callers' requests, up to two preemptions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from casreg import ObjectNotFoundError, VersionProtectedError
from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing.scheduler import Scheduler, SchedulerBackend, explore

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class World:
    """A place, a Registry for each of two actors, and what they were told."""

    place: MemoryBackend
    first: Registry
    second: Registry
    told: dict[str, object] = field(default_factory=dict)


def _world(*values: object) -> Callable[[Scheduler], World]:
    """A name with a version for each value."""

    def make(scheduler: Scheduler) -> World:
        place = MemoryBackend()
        Registry(place).save("other", 0)
        for value in values:
            Registry(place).save("thing", value)
        scheduled = SchedulerBackend(place, scheduler)
        world = World(place, Registry(scheduled), Registry(scheduled, mutable=True))
        for registry in (world.first, world.second):
            registry._repository.marker()
        return world

    return make


def _told(world: World, who: str, do: Callable[[], object]) -> None:
    try:
        world.told[who] = do()
    except (VersionProtectedError, ObjectNotFoundError) as err:
        world.told[who] = type(err)


@pytest.mark.parametrize("before", [(), (0,)], ids=["new", "there"])
def test_two_that_skip(before: tuple[int, ...]) -> None:
    """Of two saves that keep what there is, one makes the version, and both are given it."""

    def check(world: World) -> None:
        assert world.told == {"a": "2.0.0", "b": "2.0.0"}
        registry = Registry(world.place)
        assert registry.load("thing") in {1, 2}
        assert len(registry.history("thing@2.0.0")) == 1

    done = explore(
        _world(*before),
        [
            lambda world: _told(world, "a", lambda: world.first.save("thing@2", 1, on_conflict="skip")),
            lambda world: _told(world, "b", lambda: world.second.save("thing@2", 2, on_conflict="skip")),
        ],
        check,
    )
    assert done.complete
    assert done.runs > 20


@pytest.mark.parametrize("before", [(), (0,)], ids=["new", "there"])
def test_two_with_the_same_change(before: tuple[int, ...]) -> None:
    """Of two saves of one change there is one version, whose number both are given."""

    def check(world: World) -> None:
        versions = Registry(world.place).list_versions("thing")
        assert len(versions) == len(before) + 1
        assert world.told == {"a": versions[-1], "b": versions[-1]}

    done = explore(
        _world(*before),
        [
            lambda world: _told(world, "a", lambda: world.first.save("thing", 1, if_changed=True)),
            lambda world: _told(world, "b", lambda: world.second.save("thing", 1, if_changed=True)),
        ],
        check,
    )
    assert done.complete
    assert done.runs > 20


def test_protecting_and_replacing() -> None:
    """Who protects protects what is there then: it is never replaced after that, and never half."""

    def check(world: World) -> None:
        replaced = world.told["b"] != VersionProtectedError
        assert world.told["a"] == "1.0.0"
        info = Registry(world.place).info("thing")
        assert Registry(world.place).load("thing") == ("new" if replaced else "old")
        # Either the new content was protected, since it came first, or the old one, and stayed.
        assert info["protected"]

    done = explore(
        _world("old"),
        [
            lambda world: _told(world, "a", lambda: world.first.protect("thing@1.0.0")),
            lambda world: _told(world, "b", lambda: world.second.save("thing@1.0.0", "new")),
        ],
        check,
    )
    assert done.complete
    assert done.runs > 10


def test_protecting_and_deleting() -> None:
    """One of the two is told that it came too late, and the other one's word holds."""

    def check(world: World) -> None:
        registry = Registry(world.place)
        if world.told["b"] is VersionProtectedError:
            assert world.told["a"] == "1.0.0"
            assert registry.info("thing@1.0.0")["protected"]
            assert registry.list_versions("thing") == ["1.0.0", "1.0.1"]
        else:
            assert world.told == {"a": ObjectNotFoundError, "b": ["1.0.0", "1.0.1"]}
            assert registry.list_versions("thing") == []

    done = explore(
        _world(1, 2),
        [
            lambda world: _told(world, "a", lambda: world.first.protect("thing@1.0.0")),
            lambda world: _told(world, "b", lambda: world.second.delete("thing")),
        ],
        check,
    )
    assert done.complete
    assert done.runs > 5
