"""The search sees every interleaving, every fault, and what is broken: so that its silence means something."""

from __future__ import annotations

import ast
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from protocol.asking import choose, delete, exists, get_head, put, say, swap, swap_head
from protocol.invariants import follows, inner, of_steps
from protocol.search import Search
from protocol.world import (
    FIRST,
    NONE,
    Delete,
    Head,
    Outcome,
    Put,
    Ref,
    Request,
    Swap,
    SwapHead,
    Version,
    World,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from protocol.asking import Steps
    from protocol.search import Found

EMPTY = Ref("begin", None, frozenset())
USING = frozenset({Version("v", "pack", frozenset({"pack.0"}))})
RUN = ("c1", 1)


class Log(set[Any]):
    """What actors note. It does not count as a part of their state."""

    __hash__ = object.__hash__  # type: ignore[assignment]  # by what it is, and not by what is in it


def run(world: World, **actors: Callable[[], Steps[None]]) -> Found:
    """All interleavings."""
    return Search(world, actors).run()


def looks(times: int) -> Steps[None]:
    """Looks so often, and changes nothing."""
    while times:
        yield from exists("pack.0")
        times -= 1


def test_the_states_are_all_there_are() -> None:
    """Of actors that have nothing to do with one another, every combination of where they are."""
    found = run(World(NONE, ()), a=partial(looks, 3), b=partial(looks, 2), c=partial(looks, 4))
    assert found.states == 4 * 3 * 5


def test_what_was_seen_is_part_of_the_state() -> None:
    """Two runs that differ in what an actor has seen are two."""
    seen = Log()

    def watch() -> Steps[None]:
        before = yield from exists("pack.0")
        after = yield from exists("pack.0")
        seen.add((before, after))
        yield from exists("end")

    def come() -> Steps[None]:
        yield from put("pack.0")

    def gone() -> Steps[None]:
        yield from delete("pack.0")

    run(World(NONE, ()), w=watch, p=come)
    assert seen == {(False, False), (False, True), (True, True)}
    seen.clear()
    Search(World(NONE, ()), {"w": watch, "p": come, "g": gone}, only_promises=True).run()
    assert seen == {(False, False), (False, True), (True, True), (True, False)}


def test_every_choice_is_taken() -> None:
    """What may be chosen is chosen, in some run."""
    taken = Log()

    def pick() -> Steps[None]:
        one = yield from choose(("a", "b", "c"))
        taken.add(one)
        yield from exists("end")

    run(World(NONE, ()), p=pick)
    assert taken == {"a", "b", "c"}


def test_every_fate_of_a_write() -> None:
    """With a fault to come: done or not, answered or not, at once or later or never, and done twice."""
    fates = Log()

    def write() -> Steps[None]:
        outcome = yield from put("pack.0")
        first = yield from exists("pack.0")
        second = yield from exists("pack.0")
        fates.add((outcome, first, second))
        yield from exists("end")

    run(World(NONE, (), faults=1), w=write)
    assert fates == {
        (Outcome.OK, True, True),
        (Outcome.LOST, False, False),
        (Outcome.LOST, False, True),
        (Outcome.LOST, True, True),
    }


def test_a_deletion_may_come_twice() -> None:
    """With a fault to come, a second copy of it may arrive after somebody has written the name again."""
    fates = Log()

    def wipe() -> Steps[None]:
        outcome = yield from delete("pack.0")
        if outcome is not Outcome.OK:
            return
        yield from put("pack.0")
        there = yield from exists("pack.0")
        fates.add(there)
        yield from exists("end")

    world = World(frozenset({"pack.0"}), (), faults=1)
    Search(world, {"w": wipe}, only_promises=True).run()
    assert fates == {True, False}


def test_of_two_swaps_one_is_done() -> None:
    """And the other is told so, at whatever time it comes."""
    ends = Log()

    def act(who: str) -> Steps[None]:
        outcome = yield from swap(0, EMPTY, EMPTY._replace(write=who))
        ends.add((who, outcome))
        yield from exists("end")

    run(World(NONE, (EMPTY,)), a=partial(act, "a"), b=partial(act, "b"))
    assert ends == {(who, outcome) for who in "ab" for outcome in (Outcome.OK, Outcome.CONFLICT)}


def test_a_late_swap_fails_once_another_was_done() -> None:
    """Its token has gone for ever."""

    def act() -> Steps[None]:
        outcome = yield from swap(0, EMPTY, EMPTY._replace(write="late", live=USING))
        if outcome is Outcome.LOST:
            again = yield from swap(0, EMPTY, EMPTY._replace(write="other"))
            if again is Outcome.OK:
                yield from say("saved", 0, "late")

    found = run(World(frozenset({"pack.0"}), (EMPTY,), faults=1), a=act)
    assert found.error == "late was told that it has saved, and ref 0 says nothing of it"
    assert found.trace == (
        "a: swap ref 0 to [v=pack.0] stamp None → no answer",
        "a: swap ref 0 to [] stamp None → ok",
    )


def test_the_trace_is_a_shortest_one() -> None:
    """What breaks a promise is told without detours."""

    def use() -> Steps[None]:
        yield from looks(5)
        yield from swap(0, EMPTY, EMPTY._replace(write="w", live=USING))

    def wipe() -> Steps[None]:
        yield from delete("pack.0")

    found = Search(
        World(frozenset({"pack.0"}), (EMPTY,)),
        {"u": use, "d": wipe, "o": partial(looks, 9)},
        only_promises=True,
    ).run()
    assert found.error == "I1: version v in ref 0 needs pack.0, which is deleted"
    assert len(found.trace) == 7
    assert "\n   7 " in str(found)


def test_a_search_with_a_limit_says_so() -> None:
    """What was not seen is not called sound."""
    search = Search(World(NONE, ()), {"a": partial(looks, 50), "b": partial(looks, 50)})
    assert not search.run(limit=100).complete


def test_a_head_that_is_read_is_the_head() -> None:
    """A swap of the head is seen by who reads it after that."""

    def move() -> Steps[None]:
        new = Head(RUN, "condemned", NONE, NONE, FIRST.kept)
        yield from swap_head(FIRST, new)
        head = yield from get_head()
        assert head == new

    assert run(World(NONE, ()), m=move).error is None


CONDEMNED = Head(RUN, "condemned", frozenset({"pack.0"}), NONE, FIRST.kept)
VERDICT = CONDEMNED._replace(state="verdict")
CLOSED = Head(RUN, "idle", NONE, NONE, ((RUN, VERDICT.names),))


@pytest.mark.parametrize("head", [FIRST, CONDEMNED, VERDICT, CLOSED], ids=lambda head: str(head.state))
@pytest.mark.parametrize("new", [FIRST, CONDEMNED, VERDICT, CLOSED], ids=lambda head: str(head.state))
def test_the_steps_of_the_head(head: Head, new: Head) -> None:
    """Idle, condemned, verdict, idle, and no other."""
    order = [FIRST, CONDEMNED, VERDICT, CLOSED]
    assert follows(head, new) == (order.index(new) == order.index(head) + 1)


def test_steps_of_the_head_that_look_right() -> None:
    """A verdict is a part of what was condemned, under the same id; a new run has a new nonce and the next number."""
    more = frozenset({"pack.0", "pack.1"})
    assert follows(CONDEMNED._replace(names=more), VERDICT)
    assert not follows(CONDEMNED, VERDICT._replace(names=more))
    assert not follows(CONDEMNED, VERDICT._replace(id=("x", 1)))
    assert not follows(FIRST, CONDEMNED._replace(id=("first", 1)))
    assert not follows(FIRST, CONDEMNED._replace(id=("c2", 2)))
    assert not follows(FIRST._replace(bad=more), CONDEMNED)
    assert not follows(VERDICT, CLOSED._replace(kept=()))


DATA = frozenset({"pack.0"})


@pytest.mark.parametrize(
    ("before", "request_", "after", "says"),
    [
        (World(NONE, (EMPTY,)), Swap(0, EMPTY, EMPTY), World(NONE, (EMPTY._replace(live=USING),)), "I2"),
        (World(NONE, ()), SwapHead(FIRST, VERDICT), World(NONE, (), VERDICT), "I3"),
        (
            World(DATA, (EMPTY._replace(live=USING),), CONDEMNED),
            SwapHead(CONDEMNED, VERDICT),
            World(DATA, (EMPTY._replace(live=USING),), VERDICT),
            "I5",
        ),
        (World(DATA, (), CONDEMNED), Delete("pack.0"), World(NONE, (), CONDEMNED), "I6"),
        (World(DATA, (), CLOSED), Delete("pack.0"), World(NONE, (), CLOSED), "I6"),
        (World(DATA, ()), Put("pack.0"), World(DATA, ()), "I7"),
        (World(NONE, (), gone=DATA), Put("pack.0"), World(DATA, ()), "I7"),
        (World(NONE, (EMPTY,)), Delete("x"), World(NONE, (None,)), "I7"),
    ],
)
def test_the_invariants_of_steps_can_fail(before: World, request_: Request, after: World, says: str) -> None:
    """A step that breaks one is called by its name."""
    assert next(of_steps(before, request_, after)).startswith(says)


def test_the_invariant_of_verdicts_can_fail() -> None:
    """A name in a verdict that a version needs."""
    ref = EMPTY._replace(live=USING, stamp=RUN)
    assert next(inner(World(DATA, (ref,), VERDICT))).startswith("I4")
    assert not list(inner(World(DATA, (ref,), CONDEMNED)))


def test_actors_hide_nothing_from_the_search() -> None:
    """What is iterated over around a request would not be part of an actor's state: it stands in a variable."""
    hidden = []
    for path in sorted(Path(__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.For | ast.With | ast.ListComp | ast.GeneratorExp)
                and path.stem != "search"
            ):
                asks = any(isinstance(one, ast.YieldFrom) for one in ast.walk(node))
                hidden += [f"{path.name}:{node.lineno}"] if asks else []
    assert not hidden
