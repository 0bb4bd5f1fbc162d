"""Collectors, savers and editors at once, the real code: every order of their requests, up to some preemptions."""

from __future__ import annotations

import pytest

from collector.scenarios import SCENARIOS, SMALL, every_order, walks


@pytest.mark.parametrize("scenario", SMALL)
def test_every_order(scenario: str) -> None:
    """Whatever is committed is whole, in every order with one preemption."""
    print(scenario, every_order(scenario, preemptions=1))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_walks(scenario: str) -> None:
    """So it is in orders that were drawn at random."""
    walks(scenario, 30)
