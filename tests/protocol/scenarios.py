"""Who works beside whom in the model, and what there is at the beginning."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from protocol.collector import collect
from protocol.healers import adopt, heal, renew, restore
from protocol.rules import ALL, Rule, Rules
from protocol.search import Found, Search
from protocol.world import FIRST, Delete, Head, Put, Ref, Version, World
from protocol.writers import compact, copy_twice, delete, load, save, send_again, undelete

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from protocol.asking import Steps

Actor: TypeAlias = "Callable[[Rules], Steps[None]]"

PACK = frozenset({"pack.0"})
WHOLE = frozenset({"pack.0", "manifest.0"})
FAR = ("far", 1)
"""The stamp of a run elsewhere, with the number that the first run here will have."""


class Scenario(NamedTuple):
    """What there is, and who does what."""

    world: World
    actors: Mapping[str, Actor]


def old(names: frozenset[str] = PACK, stamp: tuple[str, int] | None = None) -> Ref:
    """A ref with one version, `v0`."""
    return Ref("begin", stamp, frozenset({Version("v0", "pack", names)}))


def dead(names: frozenset[str] = PACK) -> Ref:
    """A ref whose version `v0` is deleted."""
    return Ref("begin", None, frozenset(), frozenset({Version("v0", "pack", names)}))


def by(act: Callable[..., Steps[None]], *arguments: object, **options: object) -> Actor:
    """An actor, once the rules are known."""

    def made(rules: Rules) -> Steps[None]:
        return act(*arguments, rules=rules, **options)

    return made


V0, W1, W2 = partial(by, delete, "d", 0, "v0"), partial(by, save, "w1"), partial(by, save, "w2")
G1, G2, G3 = (partial(by, collect, name) for name in ("g1", "g2", "g3"))
OTHER = frozenset({"pack.0", "other.0"})
"""A stray file beside the pack, so that there is something for a second run."""

SMALL: dict[str, Scenario] = {
    "save beside delete and gc": Scenario(World(PACK, (old(), None)), {"w1": W1(0), "d": V0(), "g1": G1()}),
    "save of a new name beside delete and gc": Scenario(
        World(PACK, (old(), None)), {"w1": W1(1), "d": V0(), "g1": G1()}
    ),
    "two saves beside delete and gc": Scenario(
        World(PACK, (old(), None)), {"w1": W1(0), "w2": W2(1), "d": V0(), "g1": G1()}
    ),
    "save beside delete and two gc": Scenario(
        World(PACK, (old(), None)), {"w1": W1(1), "d": V0(), "g1": G1(), "g2": G2()}
    ),
    "save with what was found before": Scenario(
        World(OTHER, (dead(), None)), {"w1": W1(1, early=True), "g1": G1(some=True, runs=2)}
    ),
    "a memory of before": Scenario(
        World(PACK, (dead(), None)), {"w1": W1(1, remembered=FIRST.id), "g1": G1(keep=2), "g2": G2(keep=2)}
    ),
    "a memory of long before": Scenario(
        World(OTHER, (dead(), None)), {"w1": W1(1, remembered=FIRST.id), "g1": G1(some=True, runs=2)}
    ),
    "a name that was sent, and a gc that sleeps": Scenario(
        World(frozenset(), (None,), Head(("c2", 2), "idle"), PACK, frozenset({Delete("pack.0")})),
        {"s": by(send_again, "s"), "w1": W1(0)},
    ),
    "delete, undelete and two gc": Scenario(
        World(WHOLE, (old(WHOLE),)),
        {"d": V0(keeps=True), "u": by(undelete, "u", 0, "v0"), "g1": G1(some=True), "g2": G2(some=True)},
    ),
    "sync, delete and gc": Scenario(
        World(frozenset({"other.0"}), (Ref("begin", None, frozenset()),)),
        {
            "s": by(copy_twice, "s", 0),
            "d": by(delete, "d", 0, "sa"),
            "g1": G1(some=True),
            "g2": G2(some=True),
        },
    ),
    "compact beside save and gc": Scenario(
        World(PACK, (old(), None)), {"k": by(compact, "k", 0), "w1": W1(1), "g1": G1()}
    ),
    "two compact beside gc": Scenario(
        World(PACK, (old(),)), {"k1": by(compact, "k1", 0), "k2": by(compact, "k2", 0), "g1": G1()}
    ),
    "load beside compact and gc": Scenario(
        World(PACK, (old(),)), {"r": by(load, 0), "k": by(compact, "k", 0), "g1": G1()}
    ),
    "load beside overwrite and gc": Scenario(
        World(WHOLE, (old(WHOLE),)),
        {"r": by(load, 0), "w1": W1(0, content="other", replaces=True), "g1": G1()},
    ),
    "clone": Scenario(World(PACK, (old(stamp=FAR),)), {"w1": W1(0), "d": V0(), "g1": G1()}),
    "clone of the same nonce": Scenario(
        World(PACK, (old(stamp=("first", 1)),)), {"w1": W1(0), "d": V0(), "g1": G1()}
    ),
    "heal beside save and gc": Scenario(
        World(PACK, (dead(), None), damaged=PACK),
        {"h": by(heal, "h", PACK), "w1": W1(1), "g1": G1()},
    ),
    "heal of what is needed": Scenario(
        World(PACK, (old(),), damaged=PACK), {"h": by(heal, "h", PACK), "d": V0(), "g1": G1()}
    ),
    "a damaged ref beside gc": Scenario(
        World(PACK, (old()._replace(damaged=True),)),
        {"r": by(restore, "r", 0, Version("v0", "pack", PACK)), "g1": G1(), "g2": G2()},
    ),
    "an older copy of a ref beside gc": Scenario(
        World(PACK, (dead()._replace(damaged=True),), Head(("c1", 1), "verdict", PACK)),
        {"r": by(restore, "r", 0, Version("v0", "pack", PACK)), "g1": G1()},
    ),
    "a lost head, and a collector that does not know": Scenario(
        World(PACK, (dead(), None), None, flight=frozenset({Delete("pack.0")})),
        {"n": by(renew, "n", PACK, ("c1", 1)), "w1": W1(1)},
    ),
    "a lost head, and a memory of before": Scenario(
        World(frozenset(), (dead(), None), None, gone=PACK),
        {"n": by(renew, "n", frozenset(), ("c1", 1)), "w1": W1(1, remembered=("c1", 1))},
    ),
    "adopt beside save and gc": Scenario(
        World(PACK, (dead(), None)), {"a": by(adopt, "a"), "w1": W1(1), "g1": G1()}
    ),
    "adopt beside a memory and gc": Scenario(
        World(PACK, (dead(), None)), {"a": by(adopt, "a"), "w1": W1(1, remembered=FIRST.id), "g1": G1()}
    ),
    "save with a fault beside gc": Scenario(
        World(PACK, (old(), None), faults=1), {"w1": W1(0), "d": V0(), "g1": G1()}
    ),
    "gc with a fault": Scenario(
        World(OTHER, (dead(), None), faults=1), {"w1": W1(1), "g1": G1(some=True, runs=2)}
    ),
    "a new name with a fault": Scenario(World(frozenset(), (None,), faults=1), {"w1": W1(0), "g1": G1()}),
}
"""Few enough states for every run of the tests."""

LARGE: dict[str, Scenario] = {
    "two saves of one name beside delete and two gc": Scenario(
        World(PACK, (old(),)), {"w1": W1(0), "w2": W2(0), "d": V0(), "g1": G1(), "g2": G2()}
    ),
    "a memory beside delete and many gc": Scenario(
        World(OTHER, (old(),)),
        {"w1": W1(0, remembered=FIRST.id), "d": V0(), "g1": G1(some=True), "g2": G2(some=True, runs=2)},
    ),
    "a memory of the run, beside delete and many gc": Scenario(
        World(OTHER, (old(),)),
        {"w1": W1(0, remembered=("c1", 1)), "d": V0(), "g1": G1(some=True), "g2": G2(some=True, runs=2)},
    ),
    "a gc that sleeps": Scenario(
        World(PACK, (old(),)),
        {"w1": W1(0), "d": V0(), "d1": by(delete, "d1", 0, "w1"), "g1": G1(), "g2": G2(runs=2)},
    ),
    "sync, delete and many gc": Scenario(
        World(frozenset({"other.0"}), (Ref("begin", None, frozenset()),)),
        {
            "s": by(copy_twice, "s", 0),
            "d": by(delete, "d", 0, "sa"),
            "g1": G1(some=True),
            "g2": G2(some=True, runs=2),
        },
    ),
    "a name that was sent": Scenario(
        World(frozenset({"other.0"}), (Ref("begin", None, frozenset()),), flight=frozenset({Put("pack.0")})),
        {"s": by(send_again, "s"), "w1": W1(0), "g1": G1(some=True), "g2": G2(some=True, runs=2)},
    ),
    "three gc": Scenario(World(PACK, (old(),)), {"w1": W1(0), "d": V0(), "g1": G1(), "g2": G2(), "g3": G3()}),
    "two adopt beside save and gc": Scenario(
        World(PACK, (dead(), None)),
        {"a1": by(adopt, "a1"), "a2": by(adopt, "a2"), "w1": W1(1), "g1": G1()},
    ),
    "two compact beside save, delete and gc": Scenario(
        World(PACK, (old(), None)),
        {"k1": by(compact, "k1", 0), "k2": by(compact, "k2", 0), "w1": W1(1), "d": V0(), "g1": G1()},
    ),
    "faults of a save and of two gc": Scenario(
        World(OTHER, (old(), None), faults=1),
        {"w1": W1(1), "d": V0(), "g1": G1(some=True), "g2": G2(some=True)},
    ),
}
"""Up to some millions of states."""

EVERYTHING = Scenario(
    World(
        frozenset({"pack.0", "manifest.0", "other.0", "bad.0"}),
        (
            old(WHOLE),
            Ref("begin", FAR, frozenset({Version("v1", "bad", frozenset({"bad.0"}))})),
            None,
        ),
        faults=2,
        damaged=frozenset({"bad.0"}),
    ),
    {
        "w1": W1(0),
        "w2": W2(1, remembered=FIRST.id),
        "w3": by(save, "w3", 2, early=True),
        "w4": by(save, "w4", 2, content="bad"),
        "s": by(copy_twice, "s", 2),
        "d": V0(keeps=True),
        "d2": by(delete, "d2", 1, "w2"),
        "u": by(undelete, "u", 0, "v0"),
        "k": by(compact, "k", 0),
        "k2": by(compact, "k2", 1),
        "h": by(heal, "h", frozenset({"bad.0"})),
        "g1": G1(some=True, runs=2),
        "g2": G2(some=True, runs=3),
    },
)
"""Far too much for all interleavings: for walks at random."""

SCENARIOS = SMALL | LARGE | {"everything": EVERYTHING}


WITHOUT: dict[Rule, str] = {
    Rule.FRESH_NAMES: "a name that was sent, and a gc that sleeps",
    Rule.FRESH_NAMES_OF_COPIES: "sync, delete and gc",
    Rule.SENT_ONCE: "a name that was sent, and a gc that sleeps",
    Rule.KEEP_UPLOADS: "two saves beside delete and gc",
    Rule.CREATE_FIRST: "save of a new name beside delete and gc",
    Rule.REF_BEFORE_HEAD: "save of a new name beside delete and gc",
    Rule.HEED_HEAD: "save of a new name beside delete and gc",
    Rule.HEED_KEPT: "a memory of before",
    Rule.HEED_BAD: "heal beside save and gc",
    Rule.HORIZON: "a memory of long before",
    Rule.SIGHTING_BEFORE: "save with what was found before",
    Rule.UNIQUE_WRITES: "heal beside save and gc",
    Rule.REVALIDATE: "save beside delete and gc",
    Rule.WHOLE_CLOSURE: "delete, undelete and two gc",
    Rule.READ_BACK: "save with a fault beside gc",
    Rule.SAME_BYTES: "save with a fault beside gc",
    Rule.CONDEMN: "save of a new name beside delete and gc",
    Rule.FENCE: "save of a new name beside delete and gc",
    Rule.LIST_AFTER_CONDEMNING: "save of a new name beside delete and gc",
    Rule.STAMP: "save of a new name beside delete and gc",
    Rule.STAMP_EMPTY: "save of a new name beside delete and gc",
    Rule.STAMP_BEFORE_MARK: "save beside delete and gc",
    Rule.MARK_STAMPED: "save beside delete and two gc",
    Rule.EQUAL_STAMPS: "clone",
    Rule.NONCE: "clone of the same nonce",
    Rule.SPARE_MARKED: "save beside delete and gc",
    Rule.STOP_AT_DAMAGE: "a damaged ref beside gc",
    Rule.VERDICT_BY_SWAP: "heal beside save and gc",
    Rule.FIRST_VERDICT: "heal beside save and gc",
    Rule.CONFIRMED: "gc with a fault",
    Rule.READ_AGAIN: "load beside compact and gc",
    Rule.ONE_CONTENT: "load beside overwrite and gc",
    Rule.BAD_BY_RUN: "heal beside save and gc",
    Rule.LOOK_AFTER_MARK: "heal beside save and gc",
    Rule.VALIDATE_RESTORED: "an older copy of a ref beside gc",
    Rule.NEW_HEAD_ID: "a lost head, and a memory of before",
    Rule.NEW_HEAD_HEEDS_LISTS: "a lost head, and a collector that does not know",
}
"""Where it shows that a rule is missing."""


def explore(name: str, without: Rule | None = None, limit: int = 10_000_000) -> Found:
    """All interleavings of a scenario. With a rule less only promises are looked at, and not what their proof rests on."""
    return search_of(name, without).run(limit)


def search_of(name: str, without: Rule | None = None) -> Search:
    """A scenario, ready to be searched."""
    scenario = SCENARIOS[name]
    rules = ALL if without is None else Rules(without)
    actors = {who: partial(make, rules) for who, make in scenario.actors.items()}
    return Search(scenario.world, actors, only_promises=without is not None)
