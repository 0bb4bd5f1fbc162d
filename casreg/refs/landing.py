"""One compare-and-swap of a ref, brought to an end: landed, lost, or honestly unknown.

An answer can get lost, and what was sent can arrive twice.  So no single answer but success is believed: after any
other, the ref is read, and the write's own id in it tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from casreg.exceptions import (
    CasregError,
    CommitUnknownError,
    Conflict,
    LockTimeoutError,
    NotFound,
    StorageError,
    StorageFullError,
    StoragePermissionError,
    UnsafeStorageError,
)
from casreg.keys import ref_key
from casreg.refs.document import Ref
from casreg.refs.history import History

if TYPE_CHECKING:
    from casreg.backends.base import Backend, Token
    from casreg.refs.pace import Pace
    from casreg.refs.segments import SegmentReader

REFUSALS: Final = (StorageFullError, StoragePermissionError, LockTimeoutError, UnsafeStorageError)
"""The storage's own no. Sending the same again would not change it, and the caller can do something about it."""


@dataclass(frozen=True, slots=True)
class Held:
    """A state of a ref and the token to replace exactly that.

    Attributes:
        history: The state.
        token: For `swap`.
    """

    history: History
    token: Token


def read_held(backend: Backend, name: str, segments: SegmentReader) -> Held | None:
    """The ref of `name` as it is now; None if there is none.

    Raises:
        InvalidNameError: It is no name.
        CorruptError: It is damaged, or the ref of another name.
        UnsupportedFormatError: It has another format.
        StorageError: It cannot be read.
    """
    key = ref_key(name)
    try:
        got = backend.get(key)
    except NotFound:
        return None
    assert got.token is not None, "only a ranged read has no token"
    return Held(History(Ref.from_bytes(got.data, name, f"{key} in {backend.location}"), segments), got.token)


@dataclass(frozen=True, slots=True)
class Write:
    """A state that shall replace another. Its bytes and its id are the same each time that it is sent.

    Attributes:
        after: What shall be replaced.
        ref: The new state.
        data: Its stored form.
    """

    after: Held
    ref: Ref
    data: bytes

    def is_in(self, history: History) -> bool:
        """Whether `history` comes from this write, directly or with others after it.

        The last ids are in the ref. When more writes than those came after, an entry that this write made still
        carries its id, alive or as a tombstone, inline or spilled.
        """
        ref, mine = history.ref, self.ref.write
        if mine == ref.write or mine in ref.recent:
            return True
        for version, made in self.ref.records.items():
            if not (made.live and made.live.write == mine):
                continue
            found = history.record(version)
            if found and mine in {
                found.live and found.live.write,
                *(tombstone.entry.write for tombstone in found.dead),
            }:
                return True
        return False


@dataclass(frozen=True, slots=True)
class Landing:
    """How a write ended.

    Attributes:
        won: True: it is in the ref. False: another replaced what it was to replace, so that it can never land.
        held: The ref as last seen, with the write in it if it won; None if there is no ref any more.
    """

    won: bool
    held: Held | None


def land(backend: Backend, write: Write, segments: SegmentReader, pace: Pace) -> Landing:
    """Send `write` until its fate is known.

    Raises:
        CommitUnknownError: It can't be known; carries the write's id.
        StorageError: The storage refused, and nothing was written.
    """
    doubt = False
    refusal: Exception | None = None
    for sending in range(1, pace.sends + 1):
        try:
            token = backend.swap(ref_key(write.ref.name), write.data, write.after.token)
            return Landing(won=True, held=Held(History(write.ref, segments), token))
        except (Conflict, NotFound, *REFUSALS) as err:  # some servers say NotFound for a conflict
            refusal = err
        except (StorageError, OSError) as err:
            refusal, doubt = err, True
        landing = _read_back(backend, write, segments, pace)
        if landing.won or landing.held is None or landing.held.token != write.after.token:
            return landing
        # Nothing has replaced what was read, so the same bytes may be sent again: at most one of them can land.
        if isinstance(refusal, REFUSALS) and not doubt:
            raise refusal
        pace.wait(sending)
    if doubt:
        raise _unknown(write) from refusal
    return Landing(won=False, held=None)


def _read_back(backend: Backend, write: Write, segments: SegmentReader, pace: Pace) -> Landing:
    failure: Exception | None = None
    began = pace.monotonic()
    for reading in count(1):
        try:
            held = read_held(backend, write.ref.name, segments)
            return Landing(won=held is not None and write.is_in(held.history), held=held)
        except (CasregError, OSError) as err:
            failure = err
        if reading == pace.reads or pace.monotonic() - began > pace.budget:
            break
        pace.wait(reading)
    raise _unknown(write) from failure


def _unknown(write: Write) -> CommitUnknownError:
    return CommitUnknownError(
        f"the answer to the commit of {write.ref.name} was lost, and the storage does not tell whether it happened: "
        f"look later whether the ref holds the write {write.ref.write}, or save again",
        write.ref.write,
    )
