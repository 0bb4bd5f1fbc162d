"""Long saves, collectors, and collectors whose clocks are wrong: the orders of their requests, by a scheduler."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from casreg.repository.uploads import Pinning
from collector.scenarios import DATA, SCENARIOS, Scenario, collect, every_order, walks

if TYPE_CHECKING:
    from collector.scenarios import Actor, World


def _in_eight_days() -> float:
    return time.time() + 8 * 86_400


def save_long(name: str, value: object = DATA) -> Actor:
    """Saves, pins what it has written before it commits, and takes the pin away."""

    def act(world: World) -> None:
        world.begun.append(name)
        registry = world.registry()
        registry._repository.pinning = Pinning(after=0, every=0, monotonic=lambda: 0.0)
        world.told[f"{name}@{registry.save(name, value)}"] = value

    return act


SMALL = {
    "upload": Scenario([save_long("new"), collect()], deleted=True),
    "upload_given_up": Scenario([save_long("new"), collect(clock=_in_eight_days)], deleted=True),
    "upload_late": Scenario([save_long("new"), collect(most=1)], deleted=True, forgetful=True),
    "two_uploads": Scenario([save_long("new"), save_long("other", DATA + b"more")]),
}
LARGE = {
    "uploads": Scenario(
        [
            save_long("new"),
            save_long("other", DATA + b"more"),
            collect(2),
            collect(2, clock=_in_eight_days),
        ],
        deleted=True,
    ),
}


@pytest.fixture(autouse=True)
def scenarios(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among those of the collector."""
    for name, scenario in (SMALL | LARGE).items():
        monkeypatch.setitem(SCENARIOS, name, scenario)


@pytest.mark.parametrize("scenario", SMALL)
def test_every_order(scenario: str) -> None:
    """What is committed is whole, what nobody needs goes, and no pin is left, in every order with one preemption."""
    done = every_order(scenario, preemptions=1)
    assert done.complete
    assert done.runs > 10


@pytest.mark.parametrize("faults", [False, True])
def test_walks(*, faults: bool) -> None:
    """So it is in orders drawn at random, in which some sleep, die, or get no answer."""
    walks("uploads", 20, faults=faults)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", [*SMALL, *LARGE])
def test_many_walks(scenario: str) -> None:
    """The same, for longer."""
    walks(scenario, 500, seed=1)
    walks(scenario, 500, seed=2, faults=True)


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SMALL)
def test_every_order_with_two_preemptions(scenario: str) -> None:
    """The same with two preemptions, or as many orders as two minutes allow."""
    every_order(scenario, preemptions=2, limit=10_000)
