"""The marker and the collector's head, made anew where they are damaged or lost. Neither needs another copy.

A head is never brought back as it was: what a collector was doing then is not known any more. A new one begins with
an id that nobody has seen, so that no stamp, and nothing that somebody remembers to have seen, counts. What any list
of the place names may be under deletion by a collector that does not know yet: nobody may build on it.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from casreg.exceptions import AlreadyExists, Conflict, CorruptError, NotFound, UnsupportedFormatError
from casreg.head import INITIAL, Head, bad_keys, decode_names, dump_head, encode_names, parse_head
from casreg.keys import HEAD, MARKER, SEGMENTS, parse_data_key
from casreg.marker import PROBE_OK, Probe, dump_marker, new_marker, parse_marker
from casreg.repository.probe import ensure_marker, probe
from casreg.sending import until_acknowledged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casreg.backends.base import Backend, Object
    from casreg.head import RunId

_LIST = b"casreg-segment 1 names "


def renew_marker(backend: Backend) -> None:
    """Put a marker with a new id in the place of one that is damaged, or lost. One that can be read stays.

    Raises:
        UnsafeStorageError: The storage does not honour conditional writes.
        UnsupportedFormatError: The marker was written by a newer casreg.
        StorageError: The storage refused or failed.
    """
    while True:
        try:
            found = backend.get(MARKER)
        except NotFound:
            ensure_marker(backend)
            return
        try:
            parse_marker(found.data)
        except CorruptError:
            probe(backend)
        else:
            return
        assert found.token is not None, "only a ranged read has no token"
        try:
            backend.swap(MARKER, dump_marker(new_marker(Probe(backend.location, PROBE_OK))), found.token)
        except (Conflict, NotFound):
            continue


def renew_head(backend: Backend, source: Backend, stamps: Iterable[RunId]) -> None:
    """Begin a new head where the present one, or a list that it names, is damaged or lost. A whole one stays.

    Args:
        backend: The place.
        source: Another copy, which may have lists that are lost.
        stamps: The runs that refs were fenced with: the number of the new head is above theirs.

    Raises:
        UnsupportedFormatError: The head was written by a newer casreg.
        StorageError: A place cannot be read, or refused.
    """
    while True:
        try:
            found: Object | None = backend.get(HEAD)
        except NotFound:
            found = None
        head = _parsed(found)
        lost = [] if head is None else [key for key in sorted(bad_keys(head)) if listed(backend, key) is None]
        if head is not None and not lost:
            return
        names = listed_anywhere(backend)
        names.update(name for key in lost for name in listed(source, key) or ())
        data = dump_head(_new_head(backend, head or INITIAL, names, stamps))
        try:
            if found is None:
                backend.create(HEAD, data)
            else:
                assert found.token is not None, "only a ranged read has no token"
                backend.swap(HEAD, data, found.token)
        except (AlreadyExists, Conflict, NotFound):
            continue
        return


def _new_head(backend: Backend, before: Head, names: set[str], stamps: Iterable[RunId]) -> Head:
    numbers = (before.id[1], *(run[1] for run in stamps), *(kept.id[1] for kept in before.kept))
    new = replace(
        INITIAL,
        id=(secrets.token_hex(16), max(numbers) + 1),
        write=secrets.token_hex(16),
        requires=before.requires,
        extra=before.extra,
    )
    return replace(new, bad=_written(backend, names)) if names else new


def _written(backend: Backend, names: set[str]) -> str:
    def once() -> str:
        key, data = encode_names(names, secrets.token_hex(16))
        backend.create(key, data)
        return key

    return until_acknowledged(once)


def _parsed(found: Object | None) -> Head | None:
    """The head; None if it is damaged, or there is none."""
    if found is None:
        return None
    try:
        return parse_head(found.data)
    except CorruptError:
        return None


def _lists(backend: Backend) -> Iterator[str]:
    """All lists of names that there are, whoever named them."""
    for info in backend.list(SEGMENTS):
        if parse_data_key(info.key) is None:
            continue
        try:
            if backend.get(info.key, 0, len(_LIST)).data == _LIST:
                yield info.key
        except NotFound:
            continue


def listed_anywhere(backend: Backend) -> set[str]:
    """What any list of names at a place names, whoever it was that wrote it.

    Raises:
        StorageError: The place cannot be read.
    """
    return {name for key in _lists(backend) for name in listed(backend, key) or ()}


def listed(backend: Backend, key: str) -> tuple[str, ...] | None:
    """What a list names; None if it is damaged or lost.

    Raises:
        StorageError: It cannot be read.
    """
    try:
        return decode_names(backend.get(key).data, key)
    except (CorruptError, NotFound, UnsupportedFormatError):
        return None
