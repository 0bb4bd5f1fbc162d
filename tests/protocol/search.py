"""All interleavings of actors, breadth first, each state once: so a run that breaks a promise is a shortest one.

An actor is a generator of requests. Where it is in its code, with its local variables, is its state: it is reached by
giving a new generator the answers that led there the first time. What an actor does with an answer, and what a request
does to the world, is found out once, and looked up whenever it occurs again in another interleaving.

A swap that cannot succeed any more fails at once, and not at some time later: it changes nothing, so that no other actor
could tell the difference.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from protocol.invariants import broken_by, inner, of_steps, promises
from protocol.world import (
    Choose,
    Create,
    Delete,
    Get,
    GetHead,
    Head,
    ListData,
    ListRefs,
    Look,
    Outcome,
    Plan,
    Put,
    Ref,
    Say,
    Swap,
    SwapHead,
    is_doomed,
    read,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from protocol.asking import Steps
    from protocol.world import Request, World

State: TypeAlias = tuple[int, ...]
"""Numbers: of the world, and of each actor's state."""

_WRITES = (Create, Swap, SwapHead, Put, Delete)


class Found(NamedTuple):
    """What a search has found.

    Attributes:
        states: So many were visited.
        error: What is broken; None if nothing is.
        trace: The shortest run that leads there, a line a step.
        complete: All states were visited, or an error was found.
    """

    states: int
    error: str | None = None
    trace: tuple[str, ...] = ()
    complete: bool = True

    def __str__(self) -> str:
        """The run, and what came of it."""
        steps = "".join(f"\n{number:4} {step}" for number, step in enumerate(self.trace, 1))
        return f"{self.states} states: {self.error or 'nothing is broken'}{steps}"


class _Local(NamedTuple):
    """An actor somewhere: the answers that it got, and what it asks for now; None at its end."""

    answers: tuple[object, ...]
    request: Request | None


class Search:
    """One scenario. Not thread-safe."""

    def __init__(
        self, world: World, actors: Mapping[str, Callable[[], Steps[None]]], *, only_promises: bool = False
    ) -> None:
        """No search yet.

        Args:
            world: As it begins.
            actors: By name, what makes each of them.
            only_promises: Whether the inner invariants are left out: a mutant may break them.
        """
        self._names = tuple(actors)
        self._make = tuple(actors.values())
        self._only_promises = only_promises
        self._worlds: list[World] = []
        self._world_numbers: dict[World, int] = {}
        self._locals: list[_Local] = []
        self._local_numbers: dict[object, int] = {}
        self._advanced: dict[tuple[int, int, object], tuple[int, ...]] = {}
        self._effects: dict[tuple[int, int], tuple[tuple[str, object, int], ...]] = {}
        self._arrivals: dict[int, tuple[tuple[str, int], ...]] = {}
        self._doomed: dict[tuple[int, int], bool] = {}
        self._errors: dict[int, str | None] = {}
        self._step_errors: dict[tuple[int, int, int], str | None] = {}
        self._begin = world

    def run(self, limit: int = 10_000_000) -> Found:
        """Visit all states, or up to `limit`."""
        parents: dict[State, State | None] = {}
        queue: deque[State] = deque()
        first = (self._number(self._begin), *(self._start(actor) for actor in range(len(self._make))))
        for state, error in self._settled(first):
            parents[state] = None
            queue.append(state)
            if error:
                return Found(1, error)
        while queue:
            state = queue.popleft()
            for _, _, after, error in self._successors(state):
                known = after in parents
                if not known:
                    parents[after] = state
                    queue.append(after)
                if error or (not known and (error := self._error(after[0]))):
                    return Found(len(parents), error, self._trace(parents, state, after, error))
            if len(parents) > limit:
                return Found(len(parents), complete=False)
        return Found(len(parents))

    def walk(self, choose: Callable[[Sequence[str]], int], limit: int = 10_000) -> Found:
        """One run. `choose` gets the actors that can go on, "" for the network, and says which does."""
        state = (self._number(self._begin), *(self._start(actor) for actor in range(len(self._make))))
        trace: list[str] = []
        while len(trace) < limit:
            steps = list(self._successors(state))
            if not steps:
                return Found(len(trace))
            _, label, state, error = steps[choose([who for who, *_ in steps])]
            trace.append(label)
            if error := error or self._error(state[0]):
                return Found(len(trace), error, tuple(trace))
        return Found(len(trace), complete=False)

    # Steps

    def _successors(self, state: State) -> Iterator[tuple[str, str, State, str | None]]:
        """Who acted, what was done, the state after it, and what is broken by it."""
        here = state[0]
        for actor, at in enumerate(state[1:]):
            request = self._locals[at].request
            if request is None:
                continue
            for label, answer, there in self._effect(here, at):
                broken = self._step_error(here, at, there)
                for following in self._advance(actor, at, answer):
                    after = (there, *state[1 : actor + 1], following, *state[actor + 2 :])
                    for settled, error in self._settled(after):
                        name = self._names[actor]
                        yield name, f"{name}: {label}", settled, error or broken
        for label, there in self._arriving(here):
            for settled, error in self._settled((there, *state[1:])):
                yield "", f"(late) {label}", settled, error

    def _effect(self, here: int, at: int) -> tuple[tuple[str, object, int], ...]:
        """What may come of an actor's request: a label, the answer, and the world after it."""
        known = self._effects.get((here, at))
        if known is None:
            request = self._locals[at].request
            assert request is not None
            known = self._effects[here, at] = tuple(self._find_effects(here, request))
        return known

    def _find_effects(self, here: int, request: Request) -> Iterator[tuple[str, object, int]]:
        world = self._worlds[here]
        if not isinstance(request, _WRITES):
            assert not isinstance(request, Choose | Say)
            answer = read(world, request)
            yield f"{_shown(request)} → {_shown(answer)}", answer, here
            return
        after = write(world, request)
        outcome = Outcome.CONFLICT if after is None else Outcome.OK
        yield f"{_shown(request)} → {outcome.value}", outcome, here if after is None else self._number(after)
        if world.faults:
            less = world._replace(faults=world.faults - 1, flight=world.flight | {request})
            yield f"{_shown(request)} → no answer", Outcome.LOST, self._number(less)
            # Data is sent once also by what is below (`Rule.SENT_ONCE`), and a swap that is done twice is done once.
            if after is not None and isinstance(request, Delete):
                twice = after._replace(faults=world.faults - 1, flight=world.flight | {request})
                yield f"{_shown(request)} → ok, and once more on its way", Outcome.OK, self._number(twice)

    def _arriving(self, here: int) -> tuple[tuple[str, int], ...]:
        """What may arrive late, and the world after it."""
        known = self._arrivals.get(here)
        if known is None:
            found = []
            world = self._worlds[here]
            for request in sorted(world.flight, key=repr):
                after = write(world._replace(flight=world.flight - {request}), request)
                if after is not None:
                    found.append((_shown(request), self._number(after)))
            known = self._arrivals[here] = tuple(found)
        return known

    def _settled(self, state: State) -> Iterator[tuple[State, str | None]]:
        """The states in which every actor waits for a request that may still succeed; and what is broken on the way."""
        todo: list[tuple[State, str | None]] = [(state, None)]
        while todo:
            state, error = todo.pop()
            for actor, at in enumerate(state[1:]):
                request = self._locals[at].request
                if request is None:
                    continue
                here, answers = state[0], None
                if isinstance(request, Choose):
                    answers = request.options
                elif isinstance(request, Say):
                    world = self._worlds[here]
                    error = error or next(broken_by(world, request), None)
                    if request.what == "healed":
                        here = self._number(world._replace(said=world.said | {request.what}))
                    answers = (None,)
                elif self._is_doomed(here, at, request):
                    answers = (Outcome.CONFLICT,)
                if answers is not None:
                    for answer in answers:
                        for following in self._advance(actor, at, answer):
                            after = (here, *state[1 : actor + 1], following, *state[actor + 2 :])
                            todo.append((after, error))
                    break
            else:
                yield state, error

    def _is_doomed(self, here: int, at: int, request: Request) -> bool:
        known = self._doomed.get((here, at))
        if known is None:
            known = self._doomed[here, at] = is_doomed(self._worlds[here], request)
        return known

    # What is broken

    def _error(self, here: int) -> str | None:
        if here not in self._errors:
            world = self._worlds[here]
            error = next(promises(world), None)
            if error is None and not self._only_promises:
                error = next(inner(world), None)
            self._errors[here] = error
        return self._errors[here]

    def _step_error(self, here: int, at: int, there: int) -> str | None:
        if self._only_promises or here == there:
            return None
        key = (here, at, there)
        if key not in self._step_errors:
            request = self._locals[at].request
            assert request is not None
            broken = of_steps(self._worlds[here], request, self._worlds[there])
            self._step_errors[key] = next(broken, None)
        return self._step_errors[key]

    def _trace(
        self, parents: Mapping[State, State | None], before: State, after: State, error: str
    ) -> tuple[str, ...]:
        path: list[State] = [after]
        at: State | None = before
        while at is not None:
            path.append(at)
            at = parents[at]
        path.reverse()
        labels = [
            next(label for _, label, there, _ in self._successors(one) if there == two)
            for one, two in pairwise(path[:-1])
        ]
        last = [
            label
            for _, label, there, broken in self._successors(before)
            if there == after and (broken or self._error(after[0])) == error
        ]
        return (*labels, last[0])

    # Actors

    def _start(self, actor: int) -> int:
        (at,) = self._places(actor, ())
        return at

    def _advance(self, actor: int, at: int, answer: object) -> tuple[int, ...]:
        key = (actor, at, answer)
        known = self._advanced.get(key)
        if known is None:
            known = self._advanced[key] = self._places(actor, (*self._locals[at].answers, answer))
        return known

    def _places(self, actor: int, answers: tuple[object, ...]) -> tuple[int, ...]:
        """The actor's state after these answers."""
        running = self._make[actor]()
        try:
            request: Request | None = next(running)
            for answer in answers:
                request = running.send(answer)
        except StopIteration:
            request = None
        place = (actor, None if request is None else (request, _place(running)))
        number = self._local_numbers.get(place)
        if number is None:
            number = self._local_numbers[place] = len(self._locals)
            self._locals.append(_Local(answers, request))
        return (number,)

    def _number(self, world: World) -> int:
        alive = frozenset(one for one in world.flight if not is_doomed(world, one))
        if len(alive) < len(world.flight):
            world = world._replace(flight=alive)
        number = self._world_numbers.get(world)
        if number is None:
            number = self._world_numbers[world] = len(self._worlds)
            self._worlds.append(world)
        return number


def _place(running: Any) -> object:
    """Where generators are that wait for one another, and their variables: hashable."""
    frames: list[object] = []
    while running is not None:
        frame = running.gi_frame
        variables = tuple(sorted(frame.f_locals.items(), key=lambda item: item[0]))
        frames.append((running.gi_code, frame.f_lasti, variables))
        running = running.gi_yieldfrom
    return tuple(frames)


def _shown(value: object) -> str:
    """Requests and answers in a few words."""
    match value:
        case Swap(ref, _, new):
            return f"swap ref {ref} to {_shown(new)}"
        case SwapHead(_, new):
            return f"swap head to {_shown(new)}"
        case Create(ref, new):
            return f"create ref {ref}: {_shown(new)}"
        case Put(name):
            return f"put {name}"
        case Delete(name):
            return f"delete {name}"
        case frozenset():
            return "{" + " ".join(sorted(map(str, value))) + "}"
        case Ref():
            versions = " ".join(f"{one.by}={'+'.join(sorted(one.names))}" for one in sorted(value.live))
            return f"[{versions}] stamp {value.stamp and value.stamp[0]}{' damaged' if value.damaged else ''}"
        case Head():
            return f"{value.state} {value.id[0]} {_shown(value.names)}"
        case Get(ref):
            return f"get ref {ref}"
        case Look(name):
            return f"is {name} there"
        case GetHead() | ListData() | ListRefs() | Plan():
            return {GetHead: "get head", ListData: "list data", ListRefs: "list refs", Plan: "plan"}[
                type(value)
            ]
        case None:
            return "nothing"
    return str(value)
