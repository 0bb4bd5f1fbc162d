"""Requests of pinning that fail, or whose answers are lost: no save fails by it, and none commits what is gone."""

from __future__ import annotations

import logging
from itertools import count
from typing import TYPE_CHECKING

import pytest

from casreg import CasregError, Registry
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import StoragePermissionError
from casreg.repository.uploads import Pinning
from casreg.testing.faults import Fault, FaultBackend, FaultKind, until_clean
from engine.test_stale import check
from registry.lab import noise
from uploads.lab import Slow, gc, pinned, registry_at, slow_registry, upload_refs

if TYPE_CHECKING:
    from casreg.testing.faults import FaultBackend as Backend

DATA = noise(2_200_000, 1)
SMALL = noise(420_000, 2)


@pytest.mark.parametrize("kind", FaultKind)
@pytest.mark.parametrize("every", [3, 5, 7])
def test_every_so_manieth_request_of_a_pin_fails(kind: FaultKind, every: int) -> None:
    """Beside collections that take all they may: the save ends, all is whole, and stays so when late requests land."""
    place = MemoryBackend()
    faults = [Fault(at, kind, prefix="refs/~", late_by=3) for at in range(every, 500, every)]
    faulty = FaultBackend(place, faults)
    slow = Slow(faulty)
    slow.before = lambda number: gc(place) if number % 4 == 3 else None
    slow_registry(slow).save("large", DATA)
    assert faulty.fired >= 5
    assert Registry(place).load("large") == DATA
    check(place)
    faulty.deliver()
    gc(place)
    assert Registry(place).load("large") == DATA
    check(place)


def test_no_pin_is_possible(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody may write such refs: the save is as it was without, every byte goes up once, and the log says why."""
    place = MemoryBackend()
    faulty = FaultBackend(
        place, [Fault(1, FaultKind.BEFORE, prefix="refs/~", times=10_000, error=StoragePermissionError)]
    )
    slow = Slow(faulty)
    with caplog.at_level(logging.WARNING, "casreg"):
        slow_registry(slow).save("large", DATA)
    assert slow.sent < len(DATA) * 1.01
    assert upload_refs(place) == {}
    assert Registry(place).load("large") == DATA
    assert "large: what was written is not held yet" in caplog.text
    assert 5 < faulty.fired < 25  # once a minute, each time at the first request


def test_a_pin_that_cannot_be_taken_away(caplog: pytest.LogCaptureFixture) -> None:
    """The version is committed, and that is what `save` says; the pin goes in a week."""
    place = MemoryBackend()
    faulty = FaultBackend(place)
    slow = Slow(faulty)

    def fail(number: int) -> None:
        if number == 15:
            # From now on, and for as long as that save takes.
            faulty.faults = (Fault(1, FaultKind.BEFORE, frozenset({"get"}), "refs/~", times=10_000),)
            faulty._seen = [0]

    slow.before = fail
    with caplog.at_level(logging.WARNING, "casreg"):
        assert slow_registry(slow).save("large", DATA) == "1.0.0"
    assert len(pinned(place)) == 15
    assert "large was saved" in caplog.text
    assert Registry(place).load("large") == DATA
    check(place)


@pytest.mark.parametrize("kind", FaultKind)
def test_each_request_of_a_long_save_fails_once(kind: FaultKind) -> None:
    """Of all, also of those that are not of pins: the save ends, or says that it did not, and then goes on."""

    def scenario(backend: Backend) -> None:
        place = backend.inner
        pinning = Pinning(after=0, every=0)
        try:
            registry_at(backend, pinning).save("large", SMALL)
        except CasregError:
            gc(place)
            registry_at(place, pinning).save("large", SMALL)
        assert Registry(place).load("large") == SMALL
        backend.deliver()
        gc(place)
        check(place)
        assert Registry(place).load("large") == SMALL
        if not backend.fired:
            assert not pinned(place)

    assert until_clean(MemoryBackend, scenario, kind) > 30


def test_two_processes_pin_in_one_ref() -> None:
    """Each adds and takes away its own, whoever is quicker: no pin of the other is lost on the way."""
    place = MemoryBackend()
    one, two = Slow(place), Slow(place)
    other = noise(2_200_000, 3)
    numbers = count()

    def meanwhile(number: int) -> None:
        if number == 14 and not next(numbers):
            slow_registry(two).save("other", other)
            assert len(pinned(place)) == 14
            gc(place)

    def both(number: int) -> None:
        if number == 14:
            assert len(pinned(place)) == 28
            gc(place)

    one.before, two.before = meanwhile, both
    slow_registry(one).save("large", DATA)
    assert one.sent < len(DATA) * 1.01
    assert two.sent < len(other) * 1.01
    assert not pinned(place)
    assert len(upload_refs(place)) == 1
    assert Registry(place).load("large") == DATA
    assert Registry(place).load("other") == other
    check(place)
