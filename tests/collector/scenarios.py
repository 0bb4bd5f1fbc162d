"""Who works at once in tests of the collector: actors whose requests a scheduler puts into every order."""

from __future__ import annotations

import random
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from casreg.exceptions import CommitConflictError, ObjectNotFoundError, VersionConflictError
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing import scheduler as scheduling
from casreg.testing.scheduler import Scheduler, SchedulerBackend, explore
from collector.lab import (
    NOW,
    check,
    copy_of,
    foreign_stamps,
    gc,
    head_of,
    lists,
    loads,
    needed,
    stored,
    stray,
)
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

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
    deleted: bool = False  # the large version
    foreign: bool = False  # stamps, as of a clone
    ran: bool = False  # a collector, once before
    young: bool = False  # all manifests: so their packs may be condemned without them
    forgetful: bool = False  # one closed verdict is kept, and not eight


def world_of(scenario: Scenario) -> Callable[[Scheduler], World]:
    """`thing` with a large version and a small one; the large one may be deleted. Its data is one pack."""
    base = copy_of({})
    registry = Registry(base)
    registry.save("thing", DATA)
    registry.save("thing", "small", tags=["prod"])
    if scenario.ran:
        registry.save("else", "garbage")
        registry.delete("else")
        gc(base)
    if scenario.deleted:
        registry.delete("thing@1.0.0")
    stray(base)
    files = snapshot(foreign_stamps(base) if scenario.foreign else base)

    def make(scheduler: Scheduler) -> World:
        place = copy_of(files, young="manifests/" if scenario.young else None)
        Repository(place).marker()  # the place is another one, and was not probed
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


def collect(times: int = 1, **terms: Any) -> Actor:
    """Collects all that can go, so many times."""

    def act(world: World) -> None:
        for _ in range(times):
            gc(world.scheduled, replace(NOW, **terms))

    return act


def delete(world: World) -> None:
    """Deletes the large version, if it lives."""
    try:
        world.registry().delete("thing@1.0.0")
    except ObjectNotFoundError:
        return
    world.told.pop("thing@1.0.0", None)
    world.deleted.add("thing@1.0.0")


def delete_new(world: World) -> None:
    """Deletes the new name, if it is there."""
    try:
        world.registry().delete("new")
    except ObjectNotFoundError:
        return
    world.told.pop("new@1.0.0", None)


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
    "clone": Scenario([save("thing"), delete, collect()], foreign=True),
    "again": Scenario([save_again("new"), collect()], deleted=True, ran=True),
    "again_late": Scenario([save_again("new"), collect(most=1)], deleted=True, ran=True, forgetful=True),
    "undelete_young": Scenario([undelete, collect(min_age=60)], deleted=True, young=True),
}
"""Few enough orders to try them all."""

LARGE: dict[str, Scenario] = {
    "mixed": Scenario(
        [save("new"), save_again("thing"), delete, undelete, collect(2), collect(3)],
    ),
    "late": Scenario([save("new"), delete_new, collect(), collect(), save("other")], deleted=True),
    "mixed_clone": Scenario([save("new"), save("thing"), delete, collect(), collect(2)], foreign=True),
}
"""For walks at random."""

SCENARIOS = SMALL | LARGE


def every_order(name: str, *, preemptions: int, limit: int = 100_000) -> scheduling.Exploration:
    """All orders of a scenario with so many preemptions."""
    scenario = SCENARIOS[name]
    with _memory(scenario):
        return explore(
            world_of(scenario), scenario.actors, is_whole, max_preemptions=preemptions, limit=limit
        )


@contextmanager
def _memory(scenario: Scenario) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        if scenario.forgetful:
            patch.setattr("casreg.head.KEPT_VERDICTS", 1)
        yield


def walks(name: str, runs: int, seed: int = 0) -> None:
    """Orders at random. Each actor has a speed of its own, so that some sleep through whole collections."""
    scenario = SCENARIOS[name]
    make = world_of(scenario)
    for run in range(runs):
        draw = random.Random(f"{name}-{seed}-{run}")
        speeds = [10 ** draw.uniform(-2.5, 0) for _ in scenario.actors]

        def choose(enabled: tuple[int, ...], _: int | None, draw: Any = draw, speeds: Any = speeds) -> int:
            return int(draw.choices(enabled, [speeds[index] for index in enabled])[0])

        with _memory(scenario):
            scheduling._run_once(make, scenario.actors, is_whole, choose)


def scripted(name: str, script: Sequence[tuple[int, str]]) -> None:
    """One order: each actor in its turn, up to the request that begins so, or to its end if there is none such.

    What is left of them in the end runs to its end.
    """
    scenario, left = SCENARIOS[name], list(script)
    running: list[Scheduler] = []
    make = world_of(scenario)

    def made(scheduler: Scheduler) -> World:
        running.append(scheduler)
        return make(scheduler)

    def choose(enabled: tuple[int, ...], _: int | None) -> int:
        while left:
            actor, until = left[0]
            if actor in enabled and not (until and running[0]._actors[actor].waits_for.startswith(until)):
                return actor
            left.pop(0)
        return enabled[0]

    with _memory(scenario):
        scheduling._run_once(made, scenario.actors, is_whole, choose)


BEGUN: Sequence[tuple[int, str]] = (
    (0, "swap refs/new"),  # found the large version's pack, which nothing needs
    (2, "create gc/head"),  # is going to condemn that
    (2, "list refs/"),
    (0, ""),  # needs it now
)

SEEN_TWICE: Sequence[tuple[int, str]] = (
    *BEGUN,
    (2, "swap gc/head"),  # has seen that, and is about to spare it
    (3, ""),
)
"""Two collectors of one run, the second of which finds all refs stamped."""

SEEN_ONCE: Sequence[tuple[int, str]] = (
    *BEGUN,
    (3, "swap gc/head"),  # has seen that, and is about to spare it
    (1, ""),  # does away with the need
    (2, "swap gc/head"),  # has not seen it any more, and is about not to spare it
    (3, ""),
    (4, ""),  # found the pack, and needs it
)
"""Two collectors of one run, who think differently of one pack: the verdict of the first counts."""
