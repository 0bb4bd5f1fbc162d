"""A collector may die at any of its requests, and any answer may be lost: the next one goes on, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.exceptions import CasregError
from casreg.gc import collect
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing.faults import Fault, FaultBackend, FaultKind, until_clean
from collector.lab import NOW, check, copy_of, gc, head_of, loads, needed, stored
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from casreg.backends.memory import MemoryBackend

DATA = noise(20_000, 1)
_FOR_EVER = 1_000_000


class Killed(Exception):  # noqa: N818 - nothing in casreg catches it: the process is gone
    """The collector's process is killed."""


@pytest.fixture
def files() -> dict[str, bytes]:
    """A repository in which a collection has to do everything: garbage of all kinds, and things to keep."""
    place = copy_of({})
    registry = Registry(place)
    for version in range(3):
        registry.save("thing", [version])
    registry.save("thing", DATA)
    registry.save("other", DATA[:-1], tags=["prod"])
    registry.save("gone", noise(20_000, 2))
    registry.delete("gone")
    registry.delete("thing@1.0.1")
    return snapshot(place)


def is_right(place: MemoryBackend, before: dict[str, object]) -> None:
    """All that lived lives; after one more collection nothing is left but what is needed, and small lists."""
    check(place)
    assert loads(place) == before
    gc(place)
    check(place)
    assert loads(place) == before
    assert head_of(place)["state"] == "idle"
    assert all(key.startswith("segments/") for key in stored(place) - needed(place))


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER, FaultKind.LATE])
def test_a_collector_that_is_killed(files: dict[str, bytes], kind: FaultKind) -> None:
    """Killed at any request, before it or after it, or with it still on its way: another collector ends the run."""
    before = loads(copy_of(files))
    killed = 0
    while True:
        place = copy_of(files)
        fault = Fault(killed + 1, kind, times=_FOR_EVER, error=Killed)
        backend = FaultBackend(place, [fault])
        try:
            collect(Repository(backend), NOW)
        except Killed:
            killed += 1
        else:
            break
        check(place)
        assert loads(place) == before
        Registry(place).save("meanwhile", DATA)  # whatever state the run is in, nobody has to wait for it
        backend.deliver()
        assert Registry(place).load("meanwhile") == DATA
        is_right(place, {**before, "meanwhile@1.0.0": DATA})
        backend.deliver()
    assert killed > 30


def test_collectors_that_are_killed_one_after_the_other(files: dict[str, bytes]) -> None:
    """However many die at their k-th request, one that lives ends it."""
    before = loads(copy_of(files))
    for at in range(1, 40):
        place = copy_of(files)
        for _ in range(12):
            backend = FaultBackend(place, [Fault(at, FaultKind.AFTER, times=_FOR_EVER, error=Killed)])
            try:
                collect(Repository(backend), NOW)
            except Killed:
                check(place)
            else:
                break
        is_right(place, before)


@pytest.mark.parametrize("kind", FaultKind)
def test_lost_answers(files: dict[str, bytes], kind: FaultKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """One request fails, was done all the same, is done twice or late: the collection ends, or says that it did not."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    before = loads(copy_of(files))
    places: list[MemoryBackend] = []

    def make() -> MemoryBackend:
        places.append(copy_of(files))
        return places[-1]

    def scenario(backend: FaultBackend) -> None:
        failed: CasregError | None = None
        try:
            collect(Repository(backend), NOW)
        except CasregError as err:
            failed = err
        assert failed is None or "on purpose" in f"{failed}{failed.__cause__}"
        check(places[-1])
        assert loads(places[-1]) == before
        backend.deliver()
        is_right(places[-1], before)

    assert until_clean(make, scenario, kind) > 30


@pytest.mark.parametrize("kind", [FaultKind.AFTER, FaultKind.LATE, FaultKind.DOUBLED])
def test_a_lost_answer_to_a_write_changes_nothing(
    files: dict[str, bytes], kind: FaultKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stamp or a move of the head that landed is recognised as the collector's own: it ends as if nothing had been."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    expected = gc(copy_of(files))
    writes = frozenset({"create", "swap"})

    def scenario(backend: FaultBackend) -> None:
        done = collect(Repository(backend), NOW)
        assert (done.freed, done.files, done.versions) == (expected.freed, expected.files, expected.versions)

    assert until_clean(lambda: copy_of(files), scenario, kind, methods=writes) > 5
