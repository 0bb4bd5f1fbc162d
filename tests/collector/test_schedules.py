"""Collectors, savers and editors at once, the real code: every order of their requests, up to some preemptions."""

from __future__ import annotations

import pytest

from collector.scenarios import (
    GONE_WHILE_LOOKED_FOR,
    LARGE,
    SEEN_ONCE,
    SEEN_TWICE,
    SMALL,
    every_order,
    scripted,
    walks,
)


@pytest.mark.parametrize("scenario", SMALL)
def test_every_order(scenario: str) -> None:
    """What is committed is whole, and what nobody needs goes, in every order with one preemption."""
    done = every_order(scenario, preemptions=1)
    assert done.complete
    assert done.runs > 10


@pytest.mark.parametrize("script", [SEEN_ONCE, SEEN_TWICE], ids=["once", "twice"])
def test_two_collectors_of_one_run(script: tuple[tuple[int, str], ...]) -> None:
    """A pack that one of them saw in use is spared, or gone before anybody builds on it, whichever verdict comes first."""
    scripted("late", script)


def test_a_pack_that_goes_while_a_healing_looks_at_it() -> None:
    """What could have been healed with it comes from the other copy."""
    scripted("old_ref", GONE_WHILE_LOOKED_FOR)


@pytest.mark.parametrize("scenario", LARGE)
def test_walks(scenario: str) -> None:
    """So it is in orders that were drawn at random, in which some sleep through whole collections."""
    walks(scenario, 12)


@pytest.mark.parametrize("scenario", LARGE)
def test_walks_through_a_bad_network(scenario: str) -> None:
    """And where some die at any request, or get no answer, and what they had sent arrives at any later time."""
    walks(scenario, 12, faults=True)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SMALL)
def test_every_order_with_two_preemptions(scenario: str) -> None:
    """The same with two preemptions, or as many orders as two minutes allow."""
    every_order(scenario, preemptions=2, limit=4_000)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", [*SMALL, *LARGE])
def test_many_walks(scenario: str) -> None:
    """The same, for longer."""
    walks(scenario, 300, seed=1)
    walks(scenario, 300, seed=2, faults=True)
