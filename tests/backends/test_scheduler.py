"""The scheduler finds what a planted bug does, and finds nothing where there is none."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import Conflict
from casreg.testing import ScheduleError, Scheduler, SchedulerBackend, explore, explore_at_random, replay

if TYPE_CHECKING:
    from casreg.backends.base import Token


@dataclass
class World:
    inner: MemoryBackend
    backend: SchedulerBackend


def counting(scheduler: Scheduler) -> World:
    """A counter at zero."""
    inner = MemoryBackend()
    inner.create("counter", b"0")
    return World(inner, SchedulerBackend(inner, scheduler))


def read(world: World) -> tuple[int, Token]:
    """The counter, and the token of that state."""
    found = world.backend.get("counter")
    assert found.token is not None
    return int(found.data), found.token


def add_carelessly(world: World) -> None:
    """Read, add one, overwrite: takes whatever token is there just before it writes. The planted bug."""
    value, _ = read(world)
    _, token = read(world)
    try:
        world.backend.swap("counter", b"%d" % (value + 1), token)
    except Conflict:
        add_carelessly(world)


def add_safely(world: World) -> None:
    """Read, add one, write if nobody else did."""
    while True:
        value, token = read(world)
        try:
            world.backend.swap("counter", b"%d" % (value + 1), token)
        except Conflict:
            continue
        return


def is_two(world: World) -> None:
    """Two actors have counted."""
    assert int(world.inner.get("counter").data) == 2


def is_three(world: World) -> None:
    """Three actors have counted."""
    assert int(world.inner.get("counter").data) == 3


def test_a_lost_update_is_found() -> None:
    """Of an actor that overwrites what it has not read, with the schedule that shows it."""
    with pytest.raises(ScheduleError, match="the check failed") as caught:
        explore(counting, [add_carelessly, add_carelessly], is_two)
    assert "swap counter" in str(caught.value)
    assert set(caught.value.schedule) == {0, 1}


def test_a_schedule_that_was_found_can_be_replayed() -> None:
    """It breaks the careless and not the careful, each time."""
    with pytest.raises(ScheduleError) as caught:
        explore(counting, [add_carelessly, add_carelessly], is_two)
    for _ in range(3):
        with pytest.raises(ScheduleError) as again:
            replay(counting, [add_carelessly, add_carelessly], is_two, caught.value.schedule)
        assert again.value.trace == caught.value.trace


def test_no_schedule_breaks_a_compare_and_swap() -> None:
    """Three actors, every schedule with up to three preemptions."""
    done = explore(counting, [add_safely] * 3, is_three, max_preemptions=3)
    assert done.complete
    assert done.runs > 100


def test_without_preemptions_actors_run_one_after_the_other() -> None:
    """Only whose turn is first is a choice: n actors have n! schedules, and even the careless count right."""
    done = explore(counting, [add_carelessly] * 3, is_three, max_preemptions=0)
    assert (done.runs, done.complete) == (6, True)


def test_all_schedules_are_run_once() -> None:
    """Two actors of two calls each: the six orders that there are, no more and no fewer."""
    seen: list[tuple[int, ...]] = []

    def make_world(scheduler: Scheduler) -> World:
        return counting(scheduler)

    def look_twice(world: World) -> None:
        world.backend.get("counter")
        world.backend.get("counter")

    def check(world: World) -> None:
        seen.append(tuple(world.backend.scheduler.schedule()))

    done = explore(make_world, [look_twice, look_twice], check, max_preemptions=10)
    assert done.complete
    assert sorted(seen) == sorted(
        {(0, 0, 1, 1), (0, 1, 0, 1), (0, 1, 1, 0), (1, 0, 0, 1), (1, 0, 1, 0), (1, 1, 0, 0)}
    )


def test_an_exploration_can_be_bounded() -> None:
    """It says that it is not complete."""
    done = explore(counting, [add_safely] * 3, is_three, max_preemptions=3, limit=10)
    assert (done.runs, done.complete) == (10, False)


def test_random_schedules_find_it_too() -> None:
    """And the same seed draws the same ones."""
    found = []
    for _ in range(2):
        with pytest.raises(ScheduleError) as caught:
            explore_at_random(counting, [add_carelessly] * 2, is_two, runs=200, seed=1)
        found.append(caught.value.schedule)
    assert found[0] == found[1]
    assert explore_at_random(counting, [add_safely] * 2, is_two, runs=50).runs == 50


def test_the_error_of_an_actor_is_told() -> None:
    """With the schedule, and as the cause."""

    def fail(world: World) -> None:
        world.backend.get("counter")
        raise KeyError("planted")

    with pytest.raises(ScheduleError, match="actor 1 raised KeyError") as caught:
        explore(counting, [add_safely, fail], is_two)
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_run_that_does_not_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many calls."""
    monkeypatch.setattr("casreg.testing.scheduler.MAX_STEPS", 50)

    def spin(world: World) -> None:
        while True:
            world.backend.get("counter")

    with pytest.raises(ScheduleError, match="does not end"):
        explore(counting, [spin], is_two)


def test_an_actor_that_waits_for_another_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it waits for cannot happen, since only one of them runs."""
    monkeypatch.setattr("casreg.testing.scheduler.STEP_SECONDS", 0.2)
    event = threading.Event()

    def wait(world: World) -> None:
        world.backend.get("counter")
        event.wait(5)

    def wake(world: World) -> None:
        world.backend.get("counter")
        event.set()

    with pytest.raises(ScheduleError, match="does it wait for an actor whose turn it is not"):
        explore(counting, [wait, wake], is_two)
    event.set()


def test_threads_that_are_no_actors_are_not_stopped() -> None:
    """An actor may use a pool: what the pool does belongs to the actor's turn."""

    def in_a_thread(world: World) -> None:
        world.backend.get("counter")
        thread = threading.Thread(target=world.backend.create, args=("other", b""))
        thread.start()
        thread.join()

    done = explore(counting, [in_a_thread], lambda world: None)
    assert done.complete
