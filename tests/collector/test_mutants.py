"""Each rule of the protocol is there for a reason: without it, some order of requests loses data or blocks writers."""

from __future__ import annotations

import pytest

from casreg.testing.scheduler import ScheduleError
from collector.mutants import MUTANTS, Mutant
from collector.scenarios import every_order, scripted


@pytest.mark.parametrize("name", MUTANTS)
def test_a_rule_less_is_found_out(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests of orders see the real code fail as soon as it breaks the rule."""
    mutant = MUTANTS[name]
    mutant.plant(monkeypatch)
    with pytest.raises(
        ScheduleError, match=r"the check failed|raised (CorruptError|NotFound|CommitConflictError)"
    ):
        _orders(mutant)


def _orders(mutant: Mutant) -> None:
    if mutant.script:
        scripted(mutant.scenario, mutant.script)
    else:
        every_order(mutant.scenario, preemptions=2, limit=3000)
