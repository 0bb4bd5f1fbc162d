"""The run of an adoption: a head of its own, under which every ref is marked, and which deletes nothing.

What a collector was doing where the copy was made is none of this place's business. But an adoption may be made by
mistake, where collectors and writers are at work. So nothing of what they rely on is lost: the new run has an id that
nobody has seen, so that no sighting of before counts, and what somebody may still be deleting is listed as bad.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from casreg.exceptions import CorruptError, NotFound
from casreg.gc.head import HeldHead, advance, read_head, write_list
from casreg.head import INITIAL, close, parse_head, verdict
from casreg.keys import DATA_PREFIXES, HEAD
from casreg.refs.pace import pace_for
from casreg.verify.heads import listed, listed_anywhere

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.backends.base import Backend, Token
    from casreg.head import Head, RunId


@dataclass(frozen=True, slots=True)
class Found:
    """The head that is there.

    Attributes:
        head: It; None if it is damaged, or there is none.
        token: To replace exactly that; None if there is none.
    """

    head: Head | None
    token: Token | None


def found_head(backend: Backend) -> Found:
    """The head that is there, whatever it is.

    Raises:
        UnsupportedFormatError: It was written by a newer casreg.
        StorageError: It cannot be read.
    """
    try:
        found = backend.get(HEAD)
    except NotFound:
        return Found(None, None)
    try:
        return Found(parse_head(found.data, f"{HEAD} in {backend.location}"), found.token)
    except CorruptError:
        return Found(None, found.token)


def begin(backend: Backend, stamps: Iterable[RunId]) -> Head:
    """Begin a run that deletes nothing, whatever the head that is there says. Returns the new head.

    Args:
        backend: Where.
        stamps: The runs that refs were marked by: the number of the new one is above theirs.

    Raises:
        UnsupportedFormatError: The head was written by a newer casreg.
        CommitUnknownError: The answer was lost. Adopt again.
        CorruptError: The answer was lost, and what is there is damaged still. Adopt again.
        StorageError: The storage refused or failed. Adopt again.
    """
    pace = pace_for(backend)
    known = set(stamps)
    while True:
        found = found_head(backend)
        before = found.head or INITIAL
        bad = _threatened(backend, found)
        numbers = [before.id[1], *(kept.id[1] for kept in before.kept), *(run[1] for run in known)]
        new = replace(
            before,
            id=(pace.new_id(), max(numbers) + 1),
            state="condemned",
            names=None,
            bad=write_list(backend, bad, pace) if bad else None,
            kept=(),
            write=pace.new_id(),
        )
        if advance(backend, HeldHead(before, found.token), new, pace) is not None:
            return new


def end(backend: Backend, run: RunId) -> None:
    """End the run, if it is still going on. Nothing is deleted, whoever ends it.

    Raises:
        CorruptError: The head was damaged meanwhile.
        CommitUnknownError: The answer was lost. Adopt again, or let the next collection end it.
        StorageError: The storage refused or failed. Likewise.
    """
    pace = pace_for(backend)
    while (held := read_head(backend)).head.id == run and held.head.state != "idle":
        head = held.head
        new = verdict(head, None, pace.new_id()) if head.state == "condemned" else close(head, pace.new_id())
        advance(backend, held, new, pace)


def _threatened(backend: Backend, found: Found) -> set[str]:
    """Files that are there, and that somebody may still be deleting, or knows to be damaged.

    What is condemned only is not among them: who has condemned it comes to no verdict any more, since the head has moved.
    Nor is what is gone: a name is sent once, so that it never comes back.
    """
    head = found.head
    if head is None:
        names = listed_anywhere(backend)
    else:
        lists = {
            head.bad,
            *(kept.names for kept in head.kept),
            head.names if head.state == "verdict" else None,
        }
        known = {key: listed(backend, key) for key in lists if key is not None}
        names = {name for said in known.values() for name in said or ()}
        if None in known.values():
            names |= listed_anywhere(backend)
    if not names:
        return names
    return names & {info.key for prefix in DATA_PREFIXES for info in backend.list(prefix)}
