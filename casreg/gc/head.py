"""Reading and moving `gc/head`. Each move is one compare-and-swap, whose answer may be lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from casreg.exceptions import CommitUnknownError, CorruptError, NotFound, StorageError
from casreg.gc.names import names_of
from casreg.head import INITIAL, bad_keys, decode_names, dump_head, encode_names, parse_head
from casreg.keys import HEAD
from casreg.refs.landing import REFUSALS
from casreg.sending import until_acknowledged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.backends.base import Backend, Token
    from casreg.gc.names import Name
    from casreg.head import Head
    from casreg.refs.pace import Pace


@dataclass(frozen=True, slots=True)
class HeldHead:
    """A state of the head and the token to replace exactly that; None if there was no head yet."""

    head: Head
    token: Token | None


def read_head(backend: Backend) -> HeldHead:
    """The head as it is now.

    Raises:
        CorruptError: It is damaged.
        UnsupportedFormatError: It was written by a newer casreg.
        StorageError: It cannot be read.
    """
    try:
        found = backend.get(HEAD)
    except NotFound:
        return HeldHead(INITIAL, None)
    return HeldHead(parse_head(found.data, f"{HEAD} in {backend.location}"), found.token)


def advance(backend: Backend, held: HeldHead, new: Head, pace: Pace) -> HeldHead | None:
    """Replace the head that is held by `new`. None if somebody has moved it: read it, and go on from there.

    None does not say that `new` was never there: others may have taken it further already.

    Raises:
        CommitUnknownError: The answer was lost, and reading back does not tell. Whoever collects next goes on.
        CorruptError: What is there now is damaged.
        StorageError: The storage refused. Nothing was written.
    """
    data = dump_head(new)
    doubt = False
    failure: Exception | None = None
    for sending in range(1, pace.sends + 1):
        try:
            if held.token is None:
                return HeldHead(new, backend.create(HEAD, data))
            return HeldHead(new, backend.swap(HEAD, data, held.token))
        except (StorageError, OSError) as err:
            failure = err
        now = _read_back(backend, new, pace, failure)
        if now.head.write == new.write:
            return now
        if now.token != held.token:
            return None
        # Nothing has replaced what was read, so the same bytes may be sent again: at most one of them can land.
        if isinstance(failure, REFUSALS) and not doubt:
            raise failure
        doubt = True
        pace.wait(sending)
    raise _unknown(new) from failure


def _read_back(backend: Backend, new: Head, pace: Pace, failure: Exception) -> HeldHead:
    for reading in range(1, pace.reads + 1):
        try:
            return read_head(backend)
        except (StorageError, OSError) as err:
            failure = err
            pace.wait(reading)
    raise _unknown(new) from failure


def _unknown(new: Head) -> CommitUnknownError:
    return CommitUnknownError(
        f"the storage does not tell whether {HEAD} went to {new.state} in run {new.id[1]}. Nothing is lost: collect again "
        "when the storage answers, and the run is taken on from where it is",
        new.write,
    )


def write_list(backend: Backend, keys: Iterable[str], pace: Pace) -> str:
    """Write a list of names, as a new file. Returns its key.

    Raises:
        StorageError: It could not be written.
    """
    wanted = list(keys)

    def once() -> str:
        key, data = encode_names(wanted, pace.new_id())
        backend.create(key, data)
        return key

    return until_acknowledged(once)


def read_list(backend: Backend, held: HeldHead) -> tuple[str, ...] | None:
    """The keys in the list that the head names; none if it names no list. None if the head has moved on, and it is gone.

    Raises:
        CorruptError: The list is damaged, or lost.
        StorageError: It cannot be read.
    """
    key = held.head.names
    if key is None:
        return ()
    try:
        return decode_names(backend.get(key).data, key)
    except NotFound as err:
        if read_head(backend).head.write != held.head.write:
            return None
        raise CorruptError(
            f"{HEAD} in {backend.location} names the list {key}, which is lost: nothing can be collected or written "
            "before it is restored from another copy"
        ) from err


def lists_of(head: Head) -> set[Name]:
    """The lists that the head names, which have to stay."""
    return names_of(bad_keys(head))
