"""Who works at once in tests of the collector: actors whose requests a scheduler puts into every order."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from casreg.exceptions import CommitConflictError, ObjectNotFoundError, VersionConflictError
from casreg.registry import Registry
from casreg.testing import scheduler as scheduling
from casreg.testing.scheduler import Scheduler, SchedulerBackend, explore
from collector.lab import check, copy_of, foreign_stamps, gc, head_of, lists, loads, needed, stored
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casreg.backends.memory import MemoryBackend

    Actor = Callable[["World"], None]

DATA = noise(20_000, 1)


@dataclass
class World:
    """A place, the same place where each request waits for its turn, and what each actor was told."""

    place: MemoryBackend
    scheduled: SchedulerBackend
    told: dict[str, object] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def registry(self) -> Registry:
        """Somebody who works there, and has seen nothing yet."""
        return Registry(self.scheduled)


class Scenario(NamedTuple):
    """What there is, and who does what."""

    actors: Sequence[Actor]
    deleted: bool = False
    foreign: bool = False


def world_of(scenario: Scenario) -> Callable[[Scheduler], World]:
    """`thing` with a large version and a small one; the large one may be deleted. Its data is one pack."""
    base = copy_of({})
    registry = Registry(base)
    registry.save("thing", DATA)
    registry.save("thing", "small", tags=["prod"])
    if scenario.deleted:
        registry.delete("thing@1.0.0")
    files = snapshot(foreign_stamps(base) if scenario.foreign else base)

    def make(scheduler: Scheduler) -> World:
        place = copy_of(files)
        return World(place, SchedulerBackend(place, scheduler))

    return make


def save(name: str, value: object = DATA) -> Actor:
    """Saves, and notes the version."""

    def act(world: World) -> None:
        world.told[f"{name}@{world.registry().save(name, value)}"] = value

    return act


def save_again(name: str) -> Actor:
    """Saves, deletes and saves again, and remembers all the while where the bytes were."""

    def act(world: World) -> None:
        registry = world.registry()
        first = registry.save(name, DATA)
        registry.delete(name, first)
        world.told[f"{name}@{registry.save(name, DATA)}"] = DATA

    return act


def collect(times: int = 1) -> Actor:
    """Collects all that can go, so many times."""

    def act(world: World) -> None:
        for _ in range(times):
            gc(world.scheduled)

    return act


def delete(world: World) -> None:
    """Deletes the large version, if it lives."""
    try:
        world.registry().delete("thing@1.0.0")
    except ObjectNotFoundError:
        return
    world.told.pop("thing@1.0.0", None)
    world.deleted.add("thing@1.0.0")


def undelete(world: World) -> None:
    """Brings it back, if it is deleted and its data is there."""
    try:
        world.registry().undelete("thing@1.0.0")
    except (ObjectNotFoundError, VersionConflictError):
        return
    if "thing@1.0.0" not in world.deleted:
        world.told["thing@1.0.0"] = DATA


def rename(world: World) -> None:
    """Renames a name, whose data stay where they are."""
    try:
        world.registry().rename("thing", "renamed")
    except CommitConflictError:
        return


def is_whole(world: World) -> None:
    """What lives is whole, and what was returned is there; another collection takes what nobody needs, and only that."""
    check(world.place)
    found = loads(world.place)
    for label, value in world.told.items():
        assert found.get(label) == value, f"{label} was saved, and is not there"
    assert "small" in found.values()
    gc(world.place)
    check(world.place)
    assert loads(world.place) == found
    assert head_of(world.place)["state"] == "idle"
    left = stored(world.place) - needed(world.place)
    assert all(is_a_list(world.place, key) for key in left), left


def is_a_list(place: MemoryBackend, key: str) -> bool:
    """Whether it is a list of names that an earlier run has left."""
    return (
        key.startswith("segments/")
        and key not in lists(place)
        and place.get(key).data[:22].endswith(b" names")
    )


SMALL: dict[str, Scenario] = {
    "save": Scenario([save("thing"), collect()], deleted=True),
    "save_new": Scenario([save("new"), collect()], deleted=True),
    "save_delete": Scenario([save("new"), delete, collect()]),
    "two_gc": Scenario([collect(), collect()], deleted=True),
    "delete": Scenario([delete, collect()]),
    "undelete": Scenario([undelete, collect()], deleted=True),
    "delete_undelete": Scenario([delete, undelete, collect()]),
    "rename": Scenario([rename, collect()]),
    "save_two_gc": Scenario([save("new"), collect(), collect()], deleted=True),
    "clone": Scenario([save("new"), delete, collect()], foreign=True),
    "again": Scenario([save_again("new"), delete, collect(2)]),
}
"""Few enough orders to try them all."""

LARGE: dict[str, Scenario] = {
    "mixed": Scenario(
        [save("new"), save_again("thing"), delete, undelete, collect(2), collect(3)],
    ),
    "mixed_clone": Scenario([save("new"), save("thing"), delete, collect(), collect(2)], foreign=True),
}
"""For walks at random."""

SCENARIOS = SMALL | LARGE


def every_order(name: str, *, preemptions: int, limit: int = 100_000) -> scheduling.Exploration:
    """All orders of a scenario with so many preemptions."""
    scenario = SCENARIOS[name]
    return explore(world_of(scenario), scenario.actors, is_whole, max_preemptions=preemptions, limit=limit)


def walks(name: str, runs: int, seed: int = 0) -> None:
    """Orders at random. Each actor has a speed of its own, so that some sleep through whole collections."""
    scenario = SCENARIOS[name]
    make = world_of(scenario)
    for run in range(runs):
        draw = random.Random(f"{name}-{seed}-{run}")
        speeds = [10 ** draw.uniform(-2.5, 0) for _ in scenario.actors]

        def choose(enabled: tuple[int, ...], _: int | None, draw: Any = draw, speeds: Any = speeds) -> int:
            return int(draw.choices(enabled, [speeds[index] for index in enabled])[0])

        scheduling._run_once(make, scenario.actors, is_whole, choose)
