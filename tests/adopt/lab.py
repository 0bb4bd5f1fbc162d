"""What tests of adoptions stand on: copies by other tools, of a repository with something of everything."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from casreg import Registry
from casreg.gc import collect
from casreg.keys import HEAD, MARKER, REFS
from casreg.repository import Repository
from casreg.testing import Fault, FaultBackend, FaultKind
from collector.lab import NOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.backends.base import Backend


class Killed(Exception):  # noqa: N818 - what happens, not an error
    """The process is no more."""


def copied(files: Mapping[str, bytes], place: Backend) -> Backend:
    """What another program makes of a place: the same files, whatever was there."""
    place.delete([info.key for info in place.list("")])
    for key, data in files.items():
        place.create(key, data)
    return place


def document(place: Backend, key: str) -> dict[str, Any]:
    """A sealed document as it is stored."""
    return dict(json.loads(place.get(key).data))


def marker(place: Backend) -> dict[str, Any]:
    """The marker as it is stored."""
    return document(place, MARKER)


def head(place: Backend) -> dict[str, Any]:
    """The head as it is stored."""
    return document(place, HEAD)


def refs(place: Backend) -> dict[str, dict[str, Any]]:
    """All refs as they are stored, by key."""
    return {info.key: document(place, info.key) for info in place.list(REFS)}


def collected_until(place: Backend, state: str) -> None:
    """Let a collector die when the head says this: `condemned` or `verdict`, with nothing deleted yet."""
    moves = {"condemned": 1, "verdict": 2}[state]
    writes = frozenset({"create", "swap"})
    dying = FaultBackend(place, [Fault(moves, FaultKind.AFTER, writes, HEAD, error=Killed)])
    try:
        collect(Repository(dying), NOW)
    except Killed:
        assert head(place)["state"] == state
        return
    raise AssertionError(f"the collection ended before the head was {state}")


def garbage(place: Backend) -> None:
    """Let there be something to collect."""
    registry = Registry(place, cache=False)
    registry.save("waste:array", b"waste" * 20_000)
    registry.delete("waste:array")
