"""Putting a history in the place of a ref whose bytes are damaged: the one write that replaces what cannot be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from casreg.exceptions import CommitUnknownError, Conflict, CorruptError, NotFound, StorageError
from casreg.keys import ref_key
from casreg.refs.commit import Attempt
from casreg.refs.document import Ref
from casreg.refs.history import History
from casreg.refs.landing import REFUSALS
from casreg.refs.pace import pace_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend, Object
    from casreg.refs.commit import Refs

_TRIALS: Final = 10


def restore(backend: Backend, refs: Refs, name: str, change: Callable[[Attempt], History]) -> bool:
    """Replace a damaged ref by what `change` returns, as a commit would. A ref that can be read is never touched.

    `change` gets an empty history; it has to validate every name that it adds, in each attempt. The ref that it makes
    may be large: the next commit moves what is too much of it to a segment.

    Args:
        backend: The place.
        refs: Its refs.
        name: Whose.
        change: See above.

    Returns:
        Whether it was done here. False: it can be read by now, or there is none at all.

    Raises:
        UnsupportedFormatError: The ref, or the head, was written by a newer casreg.
        CommitUnknownError: The answer was lost each time, and what is there is still damaged.
        CorruptError: The collector's head is damaged.
        StorageError: The storage refused or failed.
    """
    pace = pace_for(backend)
    ours: set[str] = set()
    failure: StorageError | None = None
    for number in range(1, _TRIALS + 1):
        try:
            held = backend.get(ref_key(name))
        except NotFound:
            return False
        readable = _readable(held, name, backend.location)
        if readable is not None:
            return not ours.isdisjoint(readable.recent)
        fence = refs.fences.read()  # after the ref was read, as for any commit
        write = pace.new_id()
        before = History(Ref.empty(name, pace.new_id()), refs.segments)
        ref = change(Attempt(number, before, write, fence)).ref.rewritten(write, fence.head.id)
        ours.add(write)
        assert held.token is not None, "only a ranged read has no token"
        try:
            backend.swap(ref_key(name), ref.to_bytes(), held.token)
        except (Conflict, NotFound):
            continue
        except REFUSALS:
            raise
        except StorageError as err:  # perhaps it landed: then it can be read
            failure = err
            pace.wait(number)
        else:
            return True
    raise CommitUnknownError(
        f"{ref_key(name)} in {backend.location} is damaged, and none of {_TRIALS} attempts to replace it is there",
        next(iter(ours)),
    ) from failure


def _readable(held: Object, name: str, location: str) -> Ref | None:
    try:
        return Ref.from_bytes(held.data, name, f"{ref_key(name)} in {location}")
    except CorruptError:
        return None
