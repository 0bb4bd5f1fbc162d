"""A long save beside collectors that take everything they may, at once: what was written is written about once."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.repository.uploads import Pinning
from casreg.testing.recording import RecordingBackend
from engine.test_stale import check
from registry.lab import noise
from uploads.lab import MINUTE, Slow, gc, packs_at, pinned, registry_at, slow_registry, upload_refs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.backends.base import Backend

DATA = noise(2_500_000, 1)
"""Some thirty packs, and so some thirty minutes."""

TWICE = 10 / 25
"""What is written in the first ten minutes, before a save is long."""


def _saved(slow: Slow, place: Backend) -> float:
    """Save, and see that all is whole. How often each byte went up."""
    registry = slow_registry(slow)
    registry.save("large", DATA)
    assert registry.load("large") == DATA
    check(place)
    assert not pinned(place)
    assert [ref["versions"] for ref in upload_refs(place).values()] == [{}]
    return slow.sent / len(DATA)


def test_what_is_pinned_is_never_taken() -> None:
    """A collection a minute, once the save is long: every byte goes up once."""
    place = MemoryBackend()
    slow = Slow(place)
    slow.before = lambda number: gc(place) if number >= 11 else None
    assert _saved(slow, place) < 1.01
    assert len(packs_at(place)) == slow.landed


def test_what_was_written_before_is_written_once_more() -> None:
    """A collection a minute from the beginning: they take what ten minutes have brought, and nothing after that."""
    place = MemoryBackend()
    slow = Slow(place)
    slow.before = lambda _number: gc(place)
    assert 1 + TWICE / 2 < _saved(slow, place) < 1.02 + TWICE


def test_who_is_robbed_pins_at_once() -> None:
    """A collection every second minute, which always meets a pack that has only just landed: that is lost, no other."""
    place = MemoryBackend()
    slow = Slow(place)
    slow.after = lambda number: gc(place) if number % 2 == 0 else None
    assert _saved(slow, place) < 2 + TWICE


class Deleting(RecordingBackend):
    """Notes what is deleted."""

    def __init__(self, inner: Backend) -> None:
        super().__init__(inner)
        self.deleted: set[str] = set()

    def delete(self, keys: Iterable[str]) -> None:
        """As the inner one's."""
        named = list(keys)
        self.deleted.update(named)
        super().delete(named)


@pytest.mark.parametrize("beside", [1, 2])
def test_beside_collectors_without_a_pause(beside: int) -> None:
    """In threads of their own, at least one collection for each pack: what was pinned once is never deleted."""
    place = MemoryBackend()
    slow, deleting = Slow(place), Deleting(place)
    stop, done = threading.Event(), threading.Semaphore(0)
    held: set[str] = set()
    taken: set[str] = set()

    def collect() -> None:
        while not stop.is_set():
            gc(deleting)
            done.release()

    def one_more(_number: int) -> None:
        held.update(pinned(place))
        while done.acquire(blocking=False):
            pass
        assert done.acquire(timeout=60)
        taken.update(held & deleting.deleted)

    slow.before = one_more
    threads = [threading.Thread(target=collect) for _ in range(beside)]
    registry = registry_at(slow, Pinning(after=0, every=MINUTE, monotonic=slow.clock))
    try:
        for thread in threads:
            thread.start()
        registry.save("large", DATA)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert registry.load("large") == DATA
    check(place)
    assert len(held) >= 15
    assert not taken
