"""What tests of long saves stand on: a clock that uploads move on, and what hidden refs say, read as JSON."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from casreg.gc import Collection, Terms, collect
from casreg.keys import PACKS, REFS
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.repository.uploads import Pinning
from casreg.testing.recording import RecordingBackend

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Token

NOW = Terms(min_age=0, undelete_window=0)
"""Everything that can go goes."""

PACK = 100_000
"""About so large are the packs of these tests."""

MINUTE = 60.0


def _nothing(_number: int) -> None:
    """Nobody else is at work."""


class Clock:
    """Stands still unless somebody moves it on."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


class Slow(RecordingBackend):
    """A place to which each pack takes a minute.

    Attributes:
        seconds: How long it really takes.
        before: Called when the next pack is sent, with how many have landed.
        after: Called when one has landed, with how many have.
    """

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.clock = Clock()
        self.seconds = MINUTE
        self.before: Callable[[int], object] = _nothing
        self.after: Callable[[int], object] = _nothing
        self.landed = 0

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """As the inner one's."""
        if not key.startswith(PACKS):
            return super().create(key, data, durable=durable)
        self.before(self.landed)
        token = super().create(key, data, durable=durable)
        self.clock.now += self.seconds
        self.landed += 1
        self.after(self.landed)
        return token

    @property
    def sent(self) -> int:
        """Bytes of packs that were sent."""
        return sum(call.bytes_in for call in self.log.calls("create", PACKS))


def registry_at(place: Backend, pinning: Pinning) -> Registry:
    """A registry whose saves are long when `pinning` says so."""
    registry = Registry(place)
    registry._repository.pinning = pinning
    return registry


def slow_registry(place: Slow) -> Registry:
    """A registry whose saves take as long as `place` says."""
    return registry_at(place, Pinning(monotonic=place.clock))


def gc(place: Backend, terms: Terms = NOW) -> Collection:
    """A collection by somebody who has seen nothing of the place before."""
    return collect(Repository(place), terms)


def packs_at(place: Backend) -> set[str]:
    """Keys of all packs."""
    return {info.key for info in place.list(PACKS)}


def upload_refs(place: Backend) -> dict[str, dict[str, Any]]:
    """All refs of unfinished uploads as they are stored, by key."""
    return {
        info.key: json.loads(place.get(info.key).data)
        for info in place.list(REFS)
        if info.key.startswith("refs/~")
    }


def pinned(place: Backend) -> set[str]:
    """Keys of the packs that are held for unfinished uploads; read as JSON, by none of casreg's readers."""
    keys: set[str] = set()
    for ref in upload_refs(place).values():
        for entry in ref["versions"].values():
            name = entry["manifest"]
            placement = json.loads(place.get(f"manifests/{name[:2]}/{name}").data.split(b"\n")[3])
            if "segment" in placement:
                segment = placement["segment"]
                placement = json.loads(place.get(f"segments/{segment[:2]}/{segment}").data.split(b"\n")[1])
            for pack, *_ in placement["packs"]:
                digest = pack.partition("-")[2]
                keys.add(f"packs/{digest[:2]}/{pack}")
    return keys


class StoppedError(BaseException):
    """The process has ended."""


def stopped_save(place: Backend, data: object, *, packs: int, name: str = "large") -> Slow:
    """A save that ends when so many packs have landed and been told of, as if its process was killed."""
    slow = Slow(place)

    def stop(number: int) -> None:
        if number == packs:
            raise StoppedError

    slow.before = stop
    with suppress(StoppedError):
        slow_registry(slow).save(name, data)
        raise AssertionError("it was not stopped")
    return slow
