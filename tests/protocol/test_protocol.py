"""The protocol keeps its promises in every interleaving of small scenarios, and with any of its rules less it does not.

`PYTHONPATH=tests python -m protocol` lists the rules; with the name of one it prints the shortest run that shows why it
is there.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from protocol.rules import Rule
from protocol.scenarios import LARGE, SMALL, WITHOUT, explore, search_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from protocol.search import Found


@pytest.mark.parametrize("scenario", SMALL)
def test_every_interleaving(scenario: str) -> None:
    """No promise and no invariant is broken, whoever goes on when, stops for ever, or wakes up late."""
    found = explore(scenario)
    assert found.error is None, str(found)
    assert found.complete


@pytest.mark.soak
@pytest.mark.parametrize("scenario", LARGE)
def test_every_interleaving_of_more(scenario: str) -> None:
    """The same with more collectors, memories and faults: up to some millions of states."""
    found = explore(scenario)
    assert found.error is None, str(found)
    assert found.complete


@pytest.mark.parametrize("rule", Rule, ids=lambda rule: rule.name)
def test_without_a_rule(rule: Rule) -> None:
    """Each rule is there for a reason: without it, some run breaks a promise that users were given."""
    found = explore(WITHOUT[rule], rule)
    assert found.error is not None, f"without {rule.name} ({rule.value}) nothing is broken: {found}"
    assert found.trace


def _walks(runs: int, seed: int, without: Rule | None = None) -> Found | None:
    """The first walk that breaks something. Each actor has a speed of its own, so that some sleep for long."""
    search = search_of("everything", without)
    for run in range(runs):
        found = search.walk(_chooser(random.Random(f"{seed}-{run}")))
        assert found.complete
        if found.error:
            return found
    return None


def _chooser(draw: random.Random) -> Callable[[Sequence[str]], int]:
    speeds: dict[str, float] = {}

    def choose(who: Sequence[str]) -> int:
        weights = [speeds.setdefault(one, 10 ** draw.uniform(-2, 0)) for one in who]
        return draw.choices(range(len(who)), weights)[0]

    return choose


def test_walks() -> None:
    """With everybody at once, and two faults, nothing is broken in runs that were drawn at random."""
    found = _walks(80, 0)
    assert found is None, str(found)


@pytest.mark.soak
def test_many_walks() -> None:
    """The same, for longer; and without a rule such walks do find what is broken."""
    found = _walks(2_000, 1)
    assert found is None, str(found)
    assert _walks(2_000, 1, Rule.HEED_HEAD) is not None
