"""Who works at once in tests of the collector: actors whose requests a scheduler puts into every order."""

from __future__ import annotations

import random
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from casreg.exceptions import (
    CasregError,
    CommitConflictError,
    Conflict,
    CorruptError,
    NotFound,
    ObjectChangedError,
    ObjectNotFoundError,
    VersionConflictError,
)
from casreg.gc import collect as collect_garbage
from casreg.keys import PACKS
from casreg.refs import pace, spill
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing import scheduler as scheduling
from casreg.testing.faults import Fault, FaultBackend, FaultKind
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

    from casreg.backends.base import Backend
    from casreg.backends.memory import MemoryBackend

    Actor = Callable[["World"], None]

DATA = noise(20_000, 1)
KEPT, DROPPED = noise(100_000, 2), noise(200_000, 3)


@dataclass
class World:
    """A place, the same place where each request waits for its turn, and what each actor was told.

    `other` is another place, in which `thing` is whole; `late` are networks in which something may be under way;
    `begun` has the name of each save.
    """

    place: MemoryBackend
    scheduled: Backend
    other: MemoryBackend
    told: dict[str, object] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    late: list[FaultBackend] = field(default_factory=list)
    begun: list[str] = field(default_factory=list)

    def registry(self) -> Registry:
        """Somebody who works there, and has seen nothing yet."""
        return Registry(self.scheduled, cache=False)


class Scenario(NamedTuple):
    """What there is, and who does what."""

    actors: Sequence[Actor]
    deleted: bool = False  # the large version
    collected: bool = False  # and what it needed
    foreign: bool = False  # stamps, as of a clone
    ran: bool = False  # a collector, once before
    young: bool = False  # all manifests: so their packs may be condemned without them
    forgetful: bool = False  # one closed verdict is kept, and not eight
    spilling: bool = False  # versions move to segments of the history at once
    worn: bool = False  # the large version is a part of a pack that is mostly dead
    damaged: bool = False  # that pack
    broken: bool = False  # something else, by an actor who also mends it, if he does not die before


def world_of(scenario: Scenario) -> Callable[[Scheduler], World]:
    """`thing` with a large version and a small one; the large one may be deleted. Its data is one pack."""
    base = copy_of({})
    registry = Registry(base)
    if scenario.worn:
        registry.save("thing", KEPT + DROPPED, version="0.0.1")
    registry.save("thing", KEPT if scenario.worn else DATA, version="1.0.0")
    registry.save("thing", "small", tags=["prod"])
    whole = snapshot(base)
    if scenario.worn:
        registry.delete("thing@0.0.1")
    if scenario.ran:
        registry.save("else", "garbage")
        registry.delete("else")
        gc(base)
    if scenario.deleted:
        registry.delete("thing@1.0.0")
    if scenario.collected:
        gc(base)
    stray(base)
    files = snapshot(foreign_stamps(base) if scenario.foreign else base)
    if scenario.damaged:
        (pack,) = (key for key in files if key.startswith(PACKS))
        files[pack] = files[pack][:5_000] + bytes([files[pack][5_000] ^ 1]) + files[pack][5_001:]

    def make(scheduler: Scheduler) -> World:
        place = copy_of(files, young="manifests/" if scenario.young else None)
        other = copy_of(whole)
        Repository(place).marker()  # the place is another one, and was not probed
        world = World(place, SchedulerBackend(place, scheduler), other)
        if not scenario.deleted:
            world.told["thing@1.0.0"] = KEPT if scenario.worn else DATA
        return world

    return make


def save(name: str, value: object = DATA) -> Actor:
    """Saves, and notes the version."""

    def act(world: World) -> None:
        world.begun.append(name)
        world.told[f"{name}@{world.registry().save(name, value)}"] = value

    return act


def save_again(name: str, value: object = DATA) -> Actor:
    """Saves, deletes and saves again, and remembers all the while where the bytes were."""

    def act(world: World) -> None:
        registry = world.registry()
        world.begun += [name, name]
        first = registry.save(name, value)
        registry.delete(name, first)
        world.told[f"{name}@{registry.save(name, value)}"] = value

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
    except (CasregError, Killed):
        _forget(world, "thing@1.0.0")
        raise
    _forget(world, "thing@1.0.0")


def _forget(world: World, label: str) -> None:
    world.told.pop(label, None)
    world.deleted.add(label)


def delete_new(world: World) -> None:
    """Deletes the new name, if it is there."""
    try:
        world.registry().delete("new")
    except ObjectNotFoundError:
        return
    except (CasregError, Killed):
        _forget(world, "new@1.0.0")
        raise
    _forget(world, "new@1.0.0")


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
    world.told.pop("thing@1.0.0", None)
    try:
        world.registry().rename("thing", "renamed")
    except CommitConflictError:
        return
    world.told["renamed@1.0.0"] = DATA


def compact(world: World) -> None:
    """Moves what is needed out of the pack, and collects. Nothing is damaged, whatever others have moved meanwhile."""
    done = collect_garbage(Repository(world.scheduled), NOW, compacted=True)
    assert done.compaction is not None
    assert not [why for why in done.compaction.left.values() if "run `verify`" in why]


def load(world: World) -> None:
    """Loads the large version: all of it, unless it is deleted."""
    try:
        loaded = world.registry().load("thing@1.0.0")
    except ObjectNotFoundError:
        assert "thing@1.0.0" in world.deleted
    else:
        assert loaded in (DATA, KEPT)


def overwrite(world: World) -> None:
    """Saves the content of the large version once more, and gives the version other content."""
    registry = Registry(world.scheduled, mutable=True, cache=False)
    registry.save("thing@3.0.0", KEPT)
    registry.save("thing@3.0.0", "other")


def read(world: World) -> None:
    """Reads the large version piece by piece: all of it, or up to where it is told that there is another now."""
    pieces = []
    with suppress(ObjectNotFoundError, ObjectChangedError), world.registry().open("thing@1.0.0") as stream:
        while piece := stream.read(10_000):
            pieces.append(piece)
    come = b"".join(pieces)
    assert KEPT.startswith(come) or come == DATA


def replace_and_collect(world: World) -> None:
    """Gives the large version other content, and collects the old."""
    world.told.pop("thing@1.0.0", None)
    Registry(world.scheduled, mutable=True, cache=False).save("thing@1.0.0", DATA)
    gc(world.scheduled)


def sync_again(world: World) -> None:
    """Brings the large version, deletes it, and brings it again."""
    sync_here(world)
    delete(world)
    sync_here(world)
    world.told["thing@1.0.0"] = DATA


def break_ref(world: World) -> bytes:
    """Damages what is said of `thing`. Returns what it was."""
    while True:
        held = world.scheduled.get("refs/thing")
        assert held.token is not None
        with suppress(Conflict):
            world.scheduled.swap("refs/thing", b"damaged", held.token)
            return held.data


def undelete_and_break(world: World) -> None:
    """Brings the large version back; then its ref is damaged for a while."""
    undelete(world)
    before = break_ref(world)
    held = world.scheduled.get("refs/thing")
    assert held.token is not None
    world.scheduled.swap("refs/thing", before, held.token)


def collect_what_can_be_read(world: World) -> None:
    """Collects, or stops at what is damaged."""
    with suppress(CasregError):
        gc(world.scheduled)


def break_and_heal(world: World) -> None:
    """A ref is damaged, and brought back from another copy, which is older: the large version lives there."""
    break_ref(world)
    assert world.registry().heal(Registry(world.other, cache=False)).clean
    world.told["thing@1.0.0"] = DATA


def break_head_and_heal(world: World) -> None:
    """The collector's head is damaged, if there is one, and begun anew."""
    try:
        held = world.scheduled.get("gc/head")
        assert held.token is not None
        world.scheduled.swap("gc/head", b"damaged", held.token)
    except (Conflict, NotFound):
        return
    assert world.registry().heal(Registry(world.other, cache=False)).clean


def unless_damaged(actor: Actor) -> Actor:
    """The actor, who gives up where the head is damaged at that moment."""

    def act(world: World) -> None:
        with suppress(CorruptError):
            actor(world)

    return act


def heal(world: World) -> None:
    """Writes anew what is damaged."""
    assert world.registry().heal(Registry(world.other, cache=False)).clean


def sync_here(world: World) -> None:
    """Brings what the other place has."""
    assert world.registry().sync(Registry(world.other, cache=False)).clean
    if "thing@1.0.0" not in world.deleted:
        world.told["thing@1.0.0"] = DATA


def sync_away(world: World) -> None:
    """Brings what is here to a new place: all of it, or what was not deleted by then."""
    target = Registry(copy_of({}), cache=False)
    done = target.sync(world.registry())
    assert done.clean
    check(target.backend)
    found = loads(target.backend)
    assert found["thing@1.0.1"] == "small"
    assert found.get("thing@1.0.0", DATA) == DATA
    assert "thing@1.0.0" in {*found, *world.deleted}


# ------------------------------------------------------------------------------------------------ what goes wrong


class Killed(Exception):  # noqa: N818 - nothing in casreg catches it: the process is gone
    """The actor's process is killed."""


def failing(actor: Actor, fault: Fault) -> Actor:
    """The actor, with a network in which this happens. It ends there, or does what it does about it."""

    def act(world: World) -> None:
        network = FaultBackend(world.scheduled, [fault])
        world.late.append(network)
        with suppress(CasregError, Killed):
            actor(replace(world, scheduled=network))

    return act


def deliver(world: World) -> None:
    """What is under way arrives, whenever that is."""
    for _ in range(3):
        world.scheduled.list("turns/")
        for network in world.late:
            network.deliver()


def any_fault(draw: random.Random) -> Fault:
    """The process is killed at some request, before it or after it, or with it on its way; or only an answer is lost."""
    kind = draw.choice([FaultKind.BEFORE, FaultKind.AFTER, FaultKind.LATE])
    if draw.random() < 0.5:
        return Fault(draw.randint(1, 40), kind, times=1_000_000, error=Killed)
    return Fault(draw.randint(1, 20), kind, frozenset({"create", "swap", "delete"}))


def is_whole(world: World) -> None:
    """What lives is whole, and what was returned is there; another collection takes what nobody needs, and only that."""
    check(world.place)
    found = loads(world.place)
    for label, value in world.told.items():
        assert found.get(label) == value, f"{label} was saved, and is not there"
    assert "small" in found.values()
    for name in ("new", "other"):
        made = [label for label in found if label.startswith(f"{name}@")]
        assert len(made) <= world.begun.count(name), f"a save made two versions: {made}"
    gc(world.place)
    check(world.place)
    assert loads(world.place) == found
    assert head_of(world.place)["state"] == "idle"
    left = stored(world.place) - needed(world.place)
    assert all(is_a_list(world.place, key) for key in left), left


def is_whole_when_healed(world: World) -> None:
    """The same, after whoever was to heal it may have died."""
    assert Registry(world.place, cache=False).heal(Registry(world.other, cache=False)).clean
    is_whole(world)


def is_a_list(place: MemoryBackend, key: str) -> bool:
    """Whether it is a list of names that an earlier run has left."""
    return (
        key.startswith("segments/")
        and key not in lists(place)
        and place.get(key).data[:22].endswith(b" names")
    )


def delete_and_collect(world: World) -> None:
    """Deletes the large version, and collects what nobody needs then."""
    delete(world)
    gc(world.scheduled)


def save_and_delete(world: World) -> None:
    """Builds on the large version's pack, and deletes that version."""
    save("new")(world)
    delete(world)


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
    "two_saves": Scenario([save("thing"), save("thing", "other")]),
    "spill_delete": Scenario([delete, collect()], spilling=True),
    "spill_save": Scenario([save("thing"), collect()], deleted=True, spilling=True),
    "sync_here": Scenario([sync_here, collect()], deleted=True),
    "sync_away": Scenario([sync_away, delete_and_collect]),
    "compact_load": Scenario([load, compact], worn=True),
    "compact_save": Scenario([save("new", KEPT), compact], worn=True),
    "compact_gc": Scenario([compact, collect()], worn=True),
    "compact_delete": Scenario([compact, delete_and_collect], worn=True),
    "two_compact": Scenario([compact, compact], worn=True),
    "heal_save": Scenario([heal, save_and_delete], damaged=True),
    "heal_gc": Scenario([heal, collect()], damaged=True),
    "read_compact": Scenario([read, compact], worn=True),
    "read_replaced": Scenario([read, replace_and_collect], worn=True),
    "broken_ref": Scenario([collect_what_can_be_read, undelete_and_break], deleted=True, broken=True),
    "old_ref": Scenario([collect_what_can_be_read, break_and_heal], deleted=True, broken=True),
    "lost_answer": Scenario(
        [failing(save("new"), Fault(1, FaultKind.AFTER, frozenset({"swap"}), "refs/")), collect()],
        deleted=True,
    ),
    "late_answer": Scenario(
        [failing(save("new"), Fault(1, FaultKind.LATE, frozenset({"swap"}), "refs/")), deliver], deleted=True
    ),
    "save_late": Scenario([save("new"), collect(most=1)], deleted=True, forgetful=True),
}
"""Few enough orders to try them all."""

LARGE: dict[str, Scenario] = {
    "mixed": Scenario(
        [save("new"), save_again("thing"), delete, undelete, collect(2), collect(3)],
    ),
    "late": Scenario([save("new"), delete_new, collect(), collect(), save("other")], deleted=True),
    "mixed_clone": Scenario([save("new"), save("thing"), delete, collect(), collect(2)], foreign=True),
    "two_saves_gc": Scenario([save("new"), save("new", "other"), collect()], deleted=True),
    "mixed_sync": Scenario([sync_here, save("new"), delete, undelete, collect(2)]),
    "mixed_compact": Scenario(
        [compact, compact, save("new", KEPT), load, delete, undelete, overwrite, collect()], worn=True
    ),
    "late_delete": Scenario(
        [
            failing(collect(most=1), Fault(1, FaultKind.LATE, frozenset({"delete"}), "packs/")),
            save("new"),
            deliver,
        ],
        deleted=True,
        forgetful=True,
    ),
    "sent": Scenario(
        [
            failing(save("new", KEPT), Fault(1, FaultKind.AFTER, frozenset({"create"}), "packs/")),
            collect(most=1),
            collect(3, most=1),
        ],
        forgetful=True,
    ),
    "save_again": Scenario([save_again("new", KEPT), collect(most=1), collect(3, most=1)], forgetful=True),
    "sync_again": Scenario(
        [sync_again, collect(most=1), collect(3, most=1)], deleted=True, collected=True, forgetful=True
    ),
    "broken_head": Scenario(
        [unless_damaged(collect()), break_head_and_heal, unless_damaged(save("new"))],
        deleted=True,
        broken=True,
    ),
    "broken_head_again": Scenario(
        [unless_damaged(save_again("new")), unless_damaged(collect()), break_head_and_heal],
        deleted=True,
        broken=True,
    ),
    "mixed_heal": Scenario([heal, save("new"), delete, collect(2)], damaged=True),
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
        patch.setattr(pace, "PACE", replace(pace.PACE, sleep=lambda _: None))
        if scenario.spilling:
            patch.setattr(spill, "INLINE_LIMIT", 900)
            patch.setattr(spill, "_LEAST_ROOM", 400)
        if scenario.forgetful:
            patch.setattr("casreg.head.KEPT_VERDICTS", 1)
        yield


def walks(name: str, runs: int, seed: int = 0, *, faults: bool = False) -> None:
    """Orders at random. Each actor has a speed of its own, so that some sleep through whole collections.

    With `faults` some of them die on the way, or get no answer, and what they had sent may arrive later.
    """
    scenario = SCENARIOS[name]
    make = world_of(scenario)
    for run in range(runs):
        draw = random.Random(f"{name}-{seed}-{run}")
        actors = list(scenario.actors)
        if faults:
            actors = [failing(one, any_fault(draw)) if draw.random() < 0.5 else one for one in actors]
            actors.append(deliver)
        speeds = [10 ** draw.uniform(-2.5, 0) for _ in actors]

        def choose(enabled: tuple[int, ...], _: int | None, draw: Any = draw, speeds: Any = speeds) -> int:
            return int(draw.choices(enabled, [speeds[index] for index in enabled])[0])

        with _memory(scenario):
            check_it = is_whole_when_healed if faults and (scenario.damaged or scenario.broken) else is_whole
            scheduling._run_once(make, actors, check_it, choose)


ONE = "one"
"""In a script: the next request, and no more."""


def scripted(name: str, script: Sequence[tuple[int, str]]) -> None:
    """One order: each actor in its turn, up to the request that begins so, or to its end if there is none such.

    `ONE` is one request. What is left of them in the end runs to its end.
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
            if until == ONE and actor in enabled:
                left.pop(0)
                return actor
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

SENT_TWICE: Sequence[tuple[int, str]] = (
    (0, "create packs/"),
    (0, ONE),  # it is there, and the answer lost
    (1, "delete packs/"),  # has a verdict over it in hand
    (2, ""),  # carries that out, and two more, so that the verdict is not kept
    (0, ""),  # sends the pack again, and needs it
)
"""A pack that was sent, collected, and is sent again under the same name."""

HEALED_BEFORE_THE_COMMIT: Sequence[tuple[int, str]] = (
    (1, "swap refs/new"),  # has found the large version's pack, and is about to need it
    (0, ""),  # finds it damaged, says so, and looks who needs it
    (1, ""),
)
"""A save that builds on a damaged pack while that is marked."""

DELETED_AFTER_ALL: Sequence[tuple[int, str]] = (
    (0, "delete packs/"),  # has a verdict in hand
    (1, ""),  # begins a new head
    (2, ""),  # finds the pack
    (0, ""),
)
"""A collector that does not know of the new head."""

SEEN_BEFORE_THE_HEAD_WAS_LOST: Sequence[tuple[int, str]] = (
    (0, "swap refs/new"),
    (0, ONE),
    (0, "swap refs/new"),
    (0, ONE),  # has saved, and deleted that again, and knows where the pack is
    (1, ""),  # which goes
    (2, ""),  # begins a new head
    (0, ""),  # saves it again
)
"""Somebody who remembers what was under a head that is lost."""


def written_again(name: str) -> Sequence[tuple[int, str]]:
    """A name is saved, deleted, and collected by two, one of whom sleeps; and is saved again."""
    return (
        (0, f"swap refs/{name}"),
        (0, ONE),
        (0, f"swap refs/{name}"),
        (0, ONE),  # has saved, and deleted that
        (1, "delete packs/"),  # has a verdict over it in hand
        (2, ""),  # carries that out, and two more, so that the verdict is not kept
        (0, ""),
        (1, ""),
    )


HEALED_BEFORE_THE_LOOK: Sequence[tuple[int, str]] = (
    (1, "swap refs/new"),  # has found the large version's pack, and is about to need it
    (0, "create gc/head"),  # has seen all who need it, and is about to say that it is damaged
    (1, ""),
    (0, ""),
)
"""A save that is committed when others have been looked at, and before anybody is told."""

GONE_WHILE_LOOKED_FOR: Sequence[tuple[int, str]] = (
    (0, "delete packs/"),  # has a verdict over the large version's pack
    (1, "get packs/"),  # wants to heal with it, since its ref is damaged
    (1, ONE),
    (1, ONE),  # has seen that it is whole
    (0, ""),
    (1, ""),
)
"""A pack that nobody needs goes while a healing looks at it."""
