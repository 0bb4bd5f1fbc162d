"""Does this storage honour conditional writes? Asked once for each place, before its first write.

Some servers that speak the S3 protocol ignore the conditions: two writers would both be told that they won, and one
save would be lost.  Better to refuse than to lose (`protocol.md`, "Probe").
"""

from __future__ import annotations

import logging
import secrets
from functools import partial
from typing import TYPE_CHECKING, Final

from casreg.backends.base import Token
from casreg.exceptions import (
    AlreadyExists,
    Conflict,
    NotFound,
    StorageError,
    StorageUnavailableError,
    UnsafeStorageError,
)
from casreg.keys import MARKER
from casreg.marker import PROBE_OK, Marker, Probe, dump_marker, new_marker, parse_marker
from casreg.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend

_RACERS: Final = 4
_TRIES: Final = 3
_CONFLICTS: Final = 30
"""So often the marker is looked at again. Nobody loses this often to others, who write it once each."""

log = logging.getLogger("casreg.repository")


def ensure_marker(backend: Backend) -> Marker:
    """The marker of the repository at this place; made, after a probe, where there is none or it is another place's.

    Raises:
        UnsafeStorageError: The storage does not honour conditional writes. Nothing but the probe was written.
        CorruptError: The marker is damaged.
        UnsupportedFormatError: The repository needs a newer casreg.
        StorageError: The storage refused or failed.
    """
    doubts = 0
    for _ in range(_CONFLICTS):
        marker, write = _wanted(backend)
        if write is None:
            return marker
        try:
            write()
        except (AlreadyExists, Conflict, NotFound):
            continue  # somebody else wrote it meanwhile: theirs counts
        except StorageUnavailableError:
            doubts += 1  # perhaps it is written: whatever is there counts
            if doubts == _TRIES:
                raise
        else:
            return marker
    raise StorageUnavailableError(
        f"{MARKER} in {backend.location} was somebody else's each time that it was to be written. Try again later"
    )


def _wanted(backend: Backend) -> tuple[Marker, Callable[[], object] | None]:
    """The marker that is there, or, after a probe, one that is to be written, and what writes it."""
    place = Probe(backend.location, PROBE_OK)
    try:
        found = backend.get(MARKER)
    except NotFound:
        probe(backend)
        marker = new_marker(place)
        return marker, partial(backend.create, MARKER, dump_marker(marker))
    marker = parse_marker(found.data, f"{MARKER} in {backend.location}")
    if marker.is_probed(backend.location):
        return marker, None
    probe(backend)
    marker = Marker(marker.id, place, marker.requires, marker.extra)
    assert found.token is not None
    return marker, partial(backend.swap, MARKER, dump_marker(marker), found.token)


class _InconclusiveError(Exception):
    """A write was refused that should have won. A request that was sent twice by a layer below looks like that."""


def probe(backend: Backend) -> None:
    """See that conditional writes do what they must.

    Raises:
        UnsafeStorageError: They do not.
        StorageError: The storage refused or failed.
    """
    refused: _InconclusiveError | StorageUnavailableError | None = None
    for _ in range(_TRIES):
        key = f"probe/{secrets.token_hex(16)}"
        raced = f"{key}-race"
        try:
            _probe_swaps(backend, key)
            _probe_race(backend, raced)
        except (_InconclusiveError, StorageUnavailableError) as err:
            refused = err  # an answer that got lost says nothing about the storage
        else:
            return
        finally:
            try:
                backend.delete([key, raced])
            except StorageError as err:  # a writer need not have the right to delete
                log.debug("the probe's objects stay behind: %s", err)
    if isinstance(refused, StorageUnavailableError):
        raise refused
    raise _unsafe(backend, str(refused)) from refused


def _probe_swaps(backend: Backend, key: str) -> None:
    try:
        token = backend.create(key, b"first", durable=False)
    except AlreadyExists as err:
        raise _InconclusiveError("a first create was refused") from err
    _must_refuse(
        backend, AlreadyExists, lambda: backend.create(key, b"second", durable=False), "a second create"
    )
    _must_refuse(
        backend, Conflict, lambda: backend.swap(key, b"third", Token("0")), "a swap with a wrong token"
    )
    try:
        backend.swap(key, b"fourth", token)
    except Conflict as err:
        raise _InconclusiveError("a swap with the right token was refused") from err
    _must_refuse(backend, Conflict, lambda: backend.swap(key, b"fifth", token), "a swap with an old token")
    found = backend.get(key)
    if found.data != b"fourth":
        raise _unsafe(backend, "what a refused write sent is there")
    try:
        backend.swap(key, b"sixth", found.token or Token(""))
    except Conflict as err:
        # Writers build on what they read. What stands between may rewrite tokens in the answers to readers alone.
        raise _InconclusiveError("a swap with the token of a reading was refused") from err


def _probe_race(backend: Backend, key: str) -> None:
    with Threads(_RACERS) as threads:
        won = sum(threads.map(lambda number: _wins(backend, key, number), range(_RACERS)))
    if won > 1:
        raise _unsafe(backend, f"of {_RACERS} racing creates {won} won")
    if not won:
        raise _InconclusiveError(f"of {_RACERS} racing creates none won")


def _wins(backend: Backend, key: str, number: int) -> bool:
    try:
        backend.create(key, b"%d" % number, durable=False)
    except AlreadyExists:
        return False
    return True


def _must_refuse(
    backend: Backend, refusal: type[StorageError], write: Callable[[], object], what: str
) -> None:
    try:
        write()
    except refusal:
        return
    raise _unsafe(backend, f"{what} was not refused")


def _unsafe(backend: Backend, what: str) -> UnsafeStorageError:
    return UnsafeStorageError(
        f"{backend.location} does not honour conditional writes ({what}): two writers could lose each other's work, "
        "so casreg does not write there. Use a storage that does; the documentation lists them."
    )
