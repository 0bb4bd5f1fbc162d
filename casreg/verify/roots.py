"""What belongs to no version: the marker, the collector's head and its lists, and the index."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from casreg.exceptions import CorruptError, NotFound
from casreg.head import INITIAL, bad_keys, decode_names, parse_head
from casreg.keys import HEAD, INDEX, MARKER
from casreg.marker import parse_marker
from casreg.verify.findings import UNREADABLE, Finding, finding, twice

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casreg.backends.base import Backend
    from casreg.head import Head, RunId

_ROUNDS: Final = 5
_STEP: Final = 8 * 1024 * 1024
_INDEX_KEY: Final = re.compile(re.escape(INDEX) + r"([0-9a-f]{64})")


def look_at_marker(backend: Backend, *, needed: bool) -> Iterator[Finding]:
    """What is wrong with the marker. `needed`: there are refs, which are never written before it."""
    try:
        twice(lambda: parse_marker(backend.get(MARKER).data, f"{MARKER} in {backend.location}"))
    except NotFound as err:
        if needed:
            yield finding("marker", MARKER, err)
    except UNREADABLE as err:
        yield finding("marker", MARKER, err)


def read_head(backend: Backend) -> Head | None:
    """The collector's head; None if there is none.

    Raises:
        CorruptError: It is damaged.
        UnsupportedFormatError: It needs a newer casreg.
        StorageError: It cannot be read.
    """
    try:
        data = backend.get(HEAD).data
    except NotFound:
        return None
    return parse_head(data, f"{HEAD} in {backend.location}")


def look_at_head(backend: Backend, stamps: Iterable[RunId]) -> Iterator[Finding]:
    """What is wrong with the head and the lists that it names. `stamps` are those of refs that were read before."""
    found: list[Finding] = []
    for _ in range(_ROUNDS):
        try:
            head = twice(lambda: read_head(backend))
        except UNREADABLE as err:
            yield finding("head", HEAD, err)
            return
        if head is None:
            if any(stamp != INITIAL.id for stamp in stamps):
                problem = (
                    f"{HEAD} is missing, although refs were stamped by its runs. Nothing may be collected."
                )
                yield Finding("head", HEAD, "damage", problem, missing=True)
            return
        if found and {one.key for one in found} <= bad_keys(head):
            break  # the head still names them
        found = [one for key in sorted(bad_keys(head)) for one in _look_at_list(backend, key)]
    yield from found


def _look_at_list(backend: Backend, key: str) -> Iterator[Finding]:
    try:
        twice(lambda: decode_names(backend.get(key).data, key))
    except UNREADABLE as err:
        found = finding("names", key, err)
        problem = f"{found.problem}: {HEAD} names it, and nothing can be saved without it"
        yield replace(found, problem=problem)


def look_at_index(backend: Backend) -> Iterator[Finding]:
    """What is wrong with files of the index. They are hints: nothing is lost but speed.

    Raises:
        StorageError: They cannot be listed.
    """
    for info in backend.list(INDEX):
        match = _INDEX_KEY.fullmatch(info.key)
        if match is None:
            continue
        key, name = info.key, match[1]
        try:
            twice(lambda: _check_index(backend, key, name))  # noqa: B023 - called at once
        except NotFound:
            continue  # merged into another meanwhile
        except UNREADABLE as err:
            yield replace(finding("index", key, err), severity="hint")


def _check_index(backend: Backend, key: str, name: str) -> None:
    hasher, at = blake3(), 0
    while piece := backend.get(key, at, at + _STEP).data:
        hasher.update(piece)
        at += len(piece)
    if hasher.hexdigest() != name:
        raise CorruptError(
            f"{key} is damaged: its bytes are not those that its name promises. It is a hint, without which saves "
            "may store more; nothing else is affected."
        )
