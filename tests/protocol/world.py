"""What actors of the model share: data, refs, the head, and what is still under way to them. Frozen values only.

A name of data is `content.incarnation`, as in `pack.0` and `pack.w1`: different names of one content hold the same
bytes for whoever loads them, and are different files for whoever deletes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, TypeAlias

Name: TypeAlias = str
Names: TypeAlias = frozenset[Name]
RunId: TypeAlias = tuple[str, int]
"""Nonce and number."""

NONE: Names = frozenset()


class Version(NamedTuple):
    """One version: who saved it, what it is, and the files that it needs."""

    by: str
    content: str
    names: Names


class Ref(NamedTuple):
    """A ref. The whole value is its token, for `write` differs in each.

    `recent` has the ids of all saves that are or were in it. The protocol keeps 64, and looks into the versions for older
    ones. What a damaged one says nobody can read, and yet it must not be lost.
    """

    write: str
    stamp: RunId | None
    live: frozenset[Version]
    dead: frozenset[Version] = frozenset()
    recent: frozenset[str] = frozenset()
    damaged: bool = False


class Head(NamedTuple):
    """The head. The lists that it names stand in it. `kept` has the last closed verdicts: one, or as many as told."""

    id: RunId
    state: str  # idle, condemned, verdict
    names: Names = NONE
    bad: Names = NONE
    kept: tuple[tuple[RunId, Names], ...] = ()


FIRST = Head(("first", 0), "idle", kept=((("first", 0), NONE),))


@dataclass(frozen=True, slots=True)
class Get:
    """Read a ref; None if there is none."""

    ref: int


@dataclass(frozen=True, slots=True)
class GetHead:
    """Read the head."""


@dataclass(frozen=True, slots=True)
class Look:
    """Whether a name exists."""

    name: Name


@dataclass(frozen=True, slots=True)
class ListData:
    """All names of data."""


@dataclass(frozen=True, slots=True)
class ListRefs:
    """The numbers of all refs that exist."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Names that no ref reaches: listed and read at once, for nothing rests on it."""


@dataclass(frozen=True, slots=True)
class Create:
    """Create an empty ref, unless there is one."""

    ref: int
    new: Ref


@dataclass(frozen=True, slots=True)
class Swap:
    """Replace a ref, if it is as expected."""

    ref: int
    expected: Ref
    new: Ref


@dataclass(frozen=True, slots=True)
class SwapHead:
    """Replace the head, if it is as expected; None is a lost one."""

    expected: Head | None
    new: Head
    blind: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """Write a name of data."""

    name: Name


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a name of data."""

    name: Name


@dataclass(frozen=True, slots=True)
class Choose:
    """Not a request: whatever of these may happen, does, in some run."""

    options: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Say:
    """Not a request: a promise that from now on holds. See `invariants`."""

    what: str
    ref: int = -1
    about: str = ""


Write: TypeAlias = Create | Swap | SwapHead | Put | Delete
Read: TypeAlias = Get | GetHead | Look | ListData | ListRefs | Plan
Request: TypeAlias = Read | Write | Choose | Say


class Outcome(Enum):
    """The answer to a write."""

    OK = "ok"
    CONFLICT = "conflict"
    LOST = "no answer"


class World(NamedTuple):
    """All that is shared.

    Attributes:
        data: The names that exist.
        gone: The names that existed.
        refs: By number; None where there is none yet.
        head: None if it is lost.
        flight: Writes whose sender got no answer, or a second copy of writes: they arrive at any time, or never.
        faults: So many more requests may get lost or be doubled.
        damaged: Names whose bytes are wrong, from the beginning.
        fenced: The refs that have got the stamp of the run since it was condemned.
        said: What was promised.
    """

    data: Names
    refs: tuple[Ref | None, ...]
    head: Head | None = FIRST
    gone: Names = NONE
    flight: frozenset[Write] = frozenset()
    faults: int = 0
    damaged: Names = NONE
    fenced: frozenset[int] = frozenset()
    said: frozenset[str] = frozenset()


def live_names(world: World, *, damaged: bool = True) -> Names:
    """What living versions need; with those of damaged refs, or without."""
    refs = [ref for ref in world.refs if ref is not None and (damaged or not ref.damaged)]
    return frozenset(name for ref in refs for version in ref.live for name in version.names)


def read(world: World, request: Read) -> object:
    """The answer to a request that changes nothing."""
    match request:
        case Get(ref):
            return world.refs[ref]
        case GetHead():
            return world.head
        case Look(name):
            return name in world.data
        case ListData():
            return world.data
        case ListRefs():
            return tuple(number for number, ref in enumerate(world.refs) if ref is not None)
        case Plan():
            return world.data - live_names(world, damaged=False)


def write(world: World, request: Write) -> World | None:
    """The world after a write; None if its condition does not hold."""
    match request:
        case Put(name):
            return world._replace(data=world.data | {name}, gone=world.gone - {name})
        case Delete(name):
            return world._replace(data=world.data - {name}, gone=world.gone | (world.data & {name}))
        case Create(number, new):
            return None if world.refs[number] is not None else _with(world, number, new)
        case Swap(number, expected, new):
            return _with(world, number, new) if world.refs[number] == expected else None
        case SwapHead(expected_head, new_head, blind):
            if world.head != expected_head and not blind:
                return None
            begins = new_head.state == "condemned"
            return world._replace(head=new_head, fenced=frozenset() if begins else world.fenced)


def is_doomed(world: World, request: Request) -> bool:
    """Whether it is a swap that cannot succeed any more: each state of a ref and of the head is there only once."""
    match request:
        case Swap(number, expected, _):
            return world.refs[number] != expected
        case SwapHead(expected_head, _, blind):
            return not blind and world.head != expected_head
        case Create(number, _):
            return world.refs[number] is not None
        case _:
            return False


def _with(world: World, number: int, ref: Ref) -> World:
    refs = (*world.refs[:number], ref, *world.refs[number + 1 :])
    head = world.head
    is_fenced = head is not None and head.state == "condemned" and ref.stamp == head.id
    return world._replace(refs=refs, fenced=world.fenced | {number} if is_fenced else world.fenced)
