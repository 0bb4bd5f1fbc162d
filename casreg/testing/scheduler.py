"""Threads that take turns at backend calls, so that every interleaving can be tried, one after the other.

Each actor is a thread that stops before each of its backend calls until it is told to go on; nothing else runs
meanwhile.  A run is then a sequence of choices, and `explore` tries them all, depth first, up to a number of
preemptions (turns that are taken from an actor that could have gone on).  Most races need one or two of those:
M. Musuvathi, S. Qadeer, "Iterative Context Bounding for Systematic Testing of Multithreaded Programs", PLDI 2007.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.backends.base import traits_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, ObjectInfo, Token, Traits

_World = TypeVar("_World")

STEP_SECONDS: Final = 30.0
"""How long an actor may take from one backend call to the next before it counts as stuck."""

MAX_STEPS: Final = 10_000
"""Backend calls of one run, at most: a scenario that takes more does not end."""


class ScheduleError(AssertionError):
    """A schedule that breaks the promise. `schedule` can be given to `replay`.

    Attributes:
        schedule: The actor chosen at each turn.
        trace: What was done at each turn.
    """

    def __init__(self, message: str, schedule: Sequence[int] = (), trace: Sequence[str] = ()) -> None:
        steps = "".join(f"\n  {step}" for step in trace)
        super().__init__(f"{message}\nschedule {list(schedule)}{steps}")
        self.schedule = tuple(schedule)
        self.trace = tuple(trace)


class _AbandonedError(BaseException):
    """Ends an actor of a run that is over. Not an `Exception`, so that actors do not handle it."""


@dataclass(frozen=True, slots=True)
class _Turn:
    enabled: tuple[int, ...]
    current: int | None
    chosen: int
    label: str

    def preempts(self, choice: int) -> bool:
        return self.current in self.enabled and choice != self.current


@dataclass(slots=True)
class _Actor:
    run: Callable[[], None]
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    waits_for: str = "begin"
    finished: bool = False
    error: BaseException | None = None


class Scheduler:
    """Lets one actor run at a time, to its next backend call. One for each run; `explore` makes them.

    Threads that are not actors (such as those of a pool that an actor uses) are never stopped.
    """

    def __init__(self) -> None:
        self.turns: list[_Turn] = []
        self._actors: list[_Actor] = []
        self._by_thread: dict[int, _Actor] = {}
        self._stopped = threading.Semaphore(0)
        self._over = False

    def pause(self, what: str) -> None:
        """Wait for a turn to do `what`. Called by `SchedulerBackend`, and by whatever else should be a turn."""
        actor = self._by_thread.get(threading.get_ident())
        if actor is None or self._over:
            if actor is not None:
                raise _AbandonedError
            return
        actor.waits_for = what
        self._stopped.release()
        actor.go.acquire()
        if self._over:
            raise _AbandonedError

    def run(
        self, actors: Sequence[Callable[[], None]], choose: Callable[[tuple[int, ...], int | None], int]
    ) -> None:
        """Run all `actors` to their ends; `choose(enabled, current)` tells whose turn it is.

        Raises:
            ScheduleError: An actor raised, did not come to its next call in time, or the run does not end.
        """
        self._actors = [_Actor(run) for run in actors]
        threads = [
            threading.Thread(target=self._live, args=(actor,), name=f"actor-{index}", daemon=True)
            for index, actor in enumerate(self._actors)
        ]
        for thread in threads:
            thread.start()
        try:
            # Up to its first call nothing that an actor does can be seen by another: no choice is needed.
            for index in range(len(self._actors)):
                self._step(index)
            self._take_turns(choose)
        finally:
            self._over = True
            for actor in self._actors:
                actor.go.release()
            for thread in threads:
                thread.join(STEP_SECONDS)

    def trace(self) -> list[str]:
        """What was done so far, a line a turn."""
        return [f"actor {turn.chosen}: {turn.label}" for turn in self.turns]

    def schedule(self) -> list[int]:
        """Whose turn it was, so far."""
        return [turn.chosen for turn in self.turns]

    def _take_turns(self, choose: Callable[[tuple[int, ...], int | None], int]) -> None:
        current: int | None = None
        while enabled := tuple(index for index, actor in enumerate(self._actors) if not actor.finished):
            if len(self.turns) >= MAX_STEPS:
                raise self._failure(f"the run does not end: {MAX_STEPS} calls, and no end in sight")
            chosen = choose(enabled, current)
            if chosen not in enabled:
                raise self._failure(f"actor {chosen} has no call to make: the scenario is not deterministic")
            self.turns.append(_Turn(enabled, current, chosen, self._actors[chosen].waits_for))
            self._step(chosen)
            current = chosen

    def _step(self, index: int) -> None:
        actor = self._actors[index]
        actor.go.release()
        if not self._stopped.acquire(timeout=STEP_SECONDS):
            raise self._failure(
                f"actor {index} did not come to another backend call within {STEP_SECONDS:g} s after "
                f"{actor.waits_for!r}: does it wait for an actor whose turn it is not?"
            )
        if actor.error is not None:
            raise self._failure(f"actor {index} raised {actor.error!r}") from actor.error

    def _live(self, actor: _Actor) -> None:
        self._by_thread[threading.get_ident()] = actor
        actor.go.acquire()
        try:
            if not self._over:
                actor.run()
        except _AbandonedError:
            pass  # the run is over, and so is this actor
        except BaseException as err:  # noqa: BLE001 - handed to the thread that runs the schedule
            actor.error = err
        finally:
            actor.finished = True
            # The system gives the number of an ended thread to the next one, which is no actor.
            self._by_thread.pop(threading.get_ident(), None)
            self._stopped.release()

    def _failure(self, message: str) -> ScheduleError:
        return ScheduleError(message, self.schedule(), self.trace())


class SchedulerBackend:
    """Passes everything on to `inner`, each call at its turn. `delete` takes a turn for each key."""

    def __init__(self, inner: Backend, scheduler: Scheduler) -> None:
        self.inner = inner
        self.scheduler = scheduler

    @property
    def location(self) -> str:
        """That of the inner backend."""
        return self.inner.location

    @property
    def traits(self) -> Traits:
        """Those of the inner backend."""
        return traits_of(self.inner)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`."""
        self.scheduler.pause(f"get {key}")
        return self.inner.get(key, start, stop, held=held)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """See `Backend.create`."""
        self.scheduler.pause(f"create {key}")
        return self.inner.create(key, data, durable=durable)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`."""
        self.scheduler.pause(f"swap {key}")
        return self.inner.swap(key, data, expected)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        self.scheduler.pause(f"list {prefix}")
        return self.inner.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`. No storage deletes many keys at once, so others may come in between."""
        for key in keys:
            self.scheduler.pause(f"delete {key}")
            self.inner.delete([key])


@dataclass(frozen=True, slots=True)
class Exploration:
    """What was tried.

    Attributes:
        runs: Schedules that were run, all different if they were not drawn at random.
        complete: There is no other schedule within the bound of preemptions.
    """

    runs: int
    complete: bool


def explore(
    make_world: Callable[[Scheduler], _World],
    actors: Sequence[Callable[[_World], None]],
    check: Callable[[_World], None],
    *,
    max_preemptions: int = 2,
    limit: int = 10_000,
) -> Exploration:
    """Run every schedule of the actors with at most `max_preemptions`, each in a new world.

    Args:
        make_world: Makes what the actors share; its backends are `SchedulerBackend`s with the scheduler it gets.
        actors: What runs at once. They have to be deterministic but for what the schedule changes.
        check: Called after each run, when all actors have ended; raises if a promise is broken.
        max_preemptions: How often a turn may go to another actor although the current one could go on.
        limit: Schedules to run, at most.

    Raises:
        ScheduleError: `check` or an actor raised; says the schedule.
    """
    to_do: list[tuple[int, ...]] = [()]
    runs = 0
    while to_do and runs < limit:
        begin = to_do.pop()
        scheduler = _run_once(make_world, actors, check, _follow(begin))
        runs += 1
        chosen = scheduler.schedule()
        spent = 0
        for index, turn in enumerate(scheduler.turns):
            if index >= len(begin):
                to_do.extend(
                    (*chosen[:index], other)
                    for other in turn.enabled
                    if other != turn.chosen and spent + turn.preempts(other) <= max_preemptions
                )
            spent += turn.preempts(turn.chosen)
    return Exploration(runs, complete=not to_do)


def explore_at_random(
    make_world: Callable[[Scheduler], _World],
    actors: Sequence[Callable[[_World], None]],
    check: Callable[[_World], None],
    *,
    runs: int,
    seed: int = 0,
) -> Exploration:
    """Run `runs` schedules, each choice drawn at random (always the same ones for the same seed).

    Raises:
        ScheduleError: As `explore`.
    """
    for run in range(runs):
        _run_once(make_world, actors, check, _draw(random.Random(f"{seed}-{run}")))
    return Exploration(runs, complete=False)


def replay(
    make_world: Callable[[Scheduler], _World],
    actors: Sequence[Callable[[_World], None]],
    check: Callable[[_World], None],
    schedule: Sequence[int],
) -> None:
    """Run one schedule, such as a `ScheduleError` has; after its end each actor goes on for as long as it can.

    Raises:
        ScheduleError: As `explore`.
    """
    _run_once(make_world, actors, check, _follow(schedule))


def _run_once(
    make_world: Callable[[Scheduler], _World],
    actors: Sequence[Callable[[_World], None]],
    check: Callable[[_World], None],
    choose: Callable[[tuple[int, ...], int | None], int],
) -> Scheduler:
    scheduler = Scheduler()
    world = make_world(scheduler)
    scheduler.run([lambda actor=actor: actor(world) for actor in actors], choose)  # type: ignore[misc]  # it has defaults
    try:
        check(world)
    except Exception as err:
        raise ScheduleError(f"the check failed: {err}", scheduler.schedule(), scheduler.trace()) from err
    return scheduler


def _follow(schedule: Sequence[int]) -> Callable[[tuple[int, ...], int | None], int]:
    """The choices of `schedule`, then no preemption."""
    left = iter(schedule)

    def choose(enabled: tuple[int, ...], current: int | None) -> int:
        stay = current if current is not None and current in enabled else enabled[0]
        return next(left, stay)

    return choose


def _draw(source: random.Random) -> Callable[[tuple[int, ...], int | None], int]:
    """Choices at random."""

    def choose(enabled: tuple[int, ...], _current: int | None) -> int:
        return source.choice(enabled)

    return choose
