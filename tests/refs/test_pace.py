"""How long writers wait for each other: as long as the storage needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.backends.base import Traits
from casreg.backends.gcs import GCSBackend
from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache, CachedBackend
from casreg.exceptions import Conflict
from casreg.refs import pace as paces
from casreg.refs.commit import Refs
from casreg.refs.pace import PACE, Pace, pace_for
from refs.lab import save

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Token


class Slow(MemoryBackend):
    """A place that takes one update of a key in ten seconds, and where somebody else is quicker three times."""

    traits = Traits(swap_seconds=10.0)
    others = 3

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """As the parent's, after somebody else's."""
        if self.others:
            self.others -= 1
            raise Conflict("on purpose")
        return super().swap(key, data, expected)


@pytest.mark.parametrize(
    "make",
    [lambda backend: backend, lambda backend: CachedBackend(backend, Cache())],
    ids=["plain", "cached"],
)
def test_a_storage_says_how_long_it_needs(make: Callable[[Backend], Backend]) -> None:
    """Google takes an update of an object in a second: with a cache before it, too. A folder takes what comes."""
    assert pace_for(make(GCSBackend("gs://bucket"))).base == 1.0
    assert pace_for(make(MemoryBackend())) is PACE
    # A server for tests on this machine has no such limit.
    assert pace_for(make(GCSBackend("gs://bucket?endpoint=localhost:4443"))) is PACE


def test_what_a_writer_bears_before_it_gives_up() -> None:
    """The waits that the protocol names, from 20 ms to 5 s, and the patience that `Pace` documents: a minute."""
    pace = Pace()
    assert (pace.base, pace.cap, pace.budget) == (0.02, 5.0, 60.0)
    assert (pace.least_attempts, pace.sends, pace.reads) == (10, 8, 10)


def test_writers_wait_as_long_as_the_storage_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refs that nobody told a pace take that of their place."""
    bounds: list[float] = []

    def draw(_low: float, high: float) -> float:
        bounds.append(high)
        return 0.0

    monkeypatch.setattr(paces, "PACE", Pace(sleep=lambda _: None, uniform=draw))
    save(Refs(Slow()), "1.0.0")
    assert bounds
    assert min(bounds) >= PACE.cap
