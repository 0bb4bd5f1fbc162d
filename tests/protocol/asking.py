"""The requests of actors, with the types of their answers. An actor is a generator of requests.

Its place in its code and its local variables are its state. So in actors what is iterated over between two requests has
to stand in a variable (`while todo:`, no `for` around a request), and variables that are no longer needed are better
deleted: two actors that differ in them are different. `test_search.py` sees to the first.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

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
    Name,
    Names,
    Outcome,
    Plan,
    Put,
    Ref,
    Request,
    Say,
    Swap,
    SwapHead,
)

T = TypeVar("T")
Steps: TypeAlias = Generator[Request, Any, T]
"""Requests, and in the end a result."""


def get(ref: int) -> Steps[Ref | None]:
    """A ref as it is now."""
    answer: Ref | None = yield Get(ref)
    return answer


def get_head() -> Steps[Head | None]:
    """The head as it is now."""
    answer: Head | None = yield GetHead()
    return answer


def exists(name: Name) -> Steps[bool]:
    """Whether there is such a file."""
    answer: bool = yield Look(name)
    return answer


def list_data() -> Steps[Names]:
    """All names of data."""
    answer: Names = yield ListData()
    return answer


def list_refs() -> Steps[tuple[int, ...]]:
    """All refs."""
    answer: tuple[int, ...] = yield ListRefs()
    return answer


def plan() -> Steps[Names]:
    """What no ref reaches at present."""
    answer: Names = yield Plan()
    return answer


def create(ref: int, new: Ref) -> Steps[Outcome]:
    """Create a ref."""
    answer: Outcome = yield Create(ref, new)
    return answer


def swap(ref: int, expected: Ref, new: Ref) -> Steps[Outcome]:
    """Replace a ref."""
    answer: Outcome = yield Swap(ref, expected, new)
    return answer


def swap_head(expected: Head | None, new: Head, *, blind: bool = False) -> Steps[Outcome]:
    """Replace the head."""
    answer: Outcome = yield SwapHead(expected, new, blind)
    return answer


def put(name: Name) -> Steps[Outcome]:
    """Write a file of data."""
    answer: Outcome = yield Put(name)
    return answer


def delete(name: Name) -> Steps[Outcome]:
    """Delete a file of data."""
    answer: Outcome = yield Delete(name)
    return answer


def choose(options: tuple[T, ...]) -> Steps[T]:
    """Any of them."""
    answer: T = yield Choose(options)
    return answer


def say(what: str, ref: int = -1, about: str = "") -> Steps[None]:
    """Promise something."""
    yield Say(what, ref, about)
