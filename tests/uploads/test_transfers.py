"""Copies and syncs that take long hold what they have written, as saves do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from engine.test_stale import check
from registry.lab import noise
from uploads.lab import Slow, StoppedError, gc, pinned, slow_registry, upload_refs

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = noise(2_500_000, 1)

WAYS: dict[str, Callable[[Registry, Registry], object]] = {
    "sync": lambda target, source: target.sync(source),
    "update": lambda target, source: target.update(source),
}


@pytest.fixture(params=WAYS)
def bring(request: pytest.FixtureRequest) -> Callable[[Registry, Registry], object]:
    """What brings all of one registry to another."""
    return WAYS[request.param]


@pytest.fixture
def source() -> Registry:
    """A registry with one large version."""
    registry = Registry(MemoryBackend())
    registry.save("large", DATA)
    return registry


def test_beside_collectors(bring: Callable[[Registry, Registry], object], source: Registry) -> None:
    """A collection a minute, once the copy is long: every byte goes up once."""
    place = MemoryBackend()
    slow = Slow(place)
    held: list[int] = []

    def run(number: int) -> None:
        if number >= 11:
            gc(place)
            held.append(len(pinned(place)))

    slow.before = run
    bring(slow_registry(slow), source)
    assert slow.sent < len(DATA) * 1.01
    assert held == list(range(11, slow.landed))
    assert [ref["versions"] for ref in upload_refs(place).values()] == [{}]
    assert Registry(place).load("large") == DATA
    check(place)


def test_stopped(bring: Callable[[Registry, Registry], object], source: Registry) -> None:
    """What was pinned is not brought again, also after a collection."""
    place = MemoryBackend()
    slow = Slow(place)

    def stop(number: int) -> None:
        if number == 18:
            raise StoppedError

    slow.before = stop
    with pytest.raises(StoppedError):
        bring(slow_registry(slow), source)
    assert len(pinned(place)) == 18
    gc(place)
    slow.before = lambda _number: None
    bring(Registry(slow), source)
    assert slow.sent < len(DATA) * 1.01
    assert Registry(place).load("large") == DATA
    check(place)
