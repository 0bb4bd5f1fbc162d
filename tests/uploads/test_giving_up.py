"""Pins that nobody needs any more: a collection takes them away after a week, and no save loses anything by that."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.gc import collect, execute, plan
from casreg.head import KEPT_VERDICTS
from casreg.keys import INDEX, ref_key
from casreg.refs.uploads import ROOM, is_given_up, upload_name
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing.recording import RecordingBackend
from engine.test_stale import check
from registry.lab import noise, snapshot
from uploads.lab import (
    MINUTE,
    NOW,
    Slow,
    gc,
    packs_at,
    pinned,
    slow_registry,
    stopped_save,
    upload_refs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casreg.backends.base import ObjectInfo

DATA = noise(2_000_000, 1)
DAY = 86_400.0
WEEK = 7 * DAY


def in_days(days: float) -> float:
    """Seconds since the epoch."""
    return time.time() + days * DAY


@pytest.mark.parametrize("days", [0, 1, 6.9])
def test_a_pin_stays_for_a_week(days: float) -> None:
    """Whatever else may go."""
    place = MemoryBackend()
    stopped_save(place, DATA, packs=15)
    held = pinned(place)
    assert len(held) >= 14
    gc(place, replace(NOW, clock=lambda: in_days(days)))
    assert packs_at(place) == pinned(place) == held


def test_a_pin_goes_after_a_week() -> None:
    """In the same collection its packs go too; the plan says so before; the ref stays, without any version."""
    place = MemoryBackend()
    Registry(place).save("small", {"a": 1})
    stopped_save(place, DATA, packs=15)
    held = pinned(place)
    later = replace(NOW, clock=lambda: in_days(7.1))
    planned = plan(Repository(place), later)
    assert pinned(place) == held
    done = execute(Repository(place), planned, later)
    assert done.files["packs"] == len(held)
    assert done.freed == sum(planned.sizes.values()) > 1_200_000
    assert packs_at(place) == set()
    (ref,) = upload_refs(place).values()
    assert (ref["versions"], ref["deleted"], ref["retired"], ref["older"]) == ({}, {}, [], [])
    assert Registry(place).load("small") == {"a": 1}
    check(place)


def test_a_dry_run_takes_no_pin_away() -> None:
    """It says what would go, and changes no byte."""
    place = MemoryBackend()
    stopped_save(place, DATA, packs=15)
    before = snapshot(place)
    later = replace(NOW, clock=lambda: in_days(7.1))
    assert collect(Repository(place), later, dry_run=True).files["packs"] == len(pinned(place))
    assert collect(Repository(place), NOW, dry_run=True).files["packs"] == 0
    assert snapshot(place) == before


def test_a_pin_that_is_refreshed_after_the_plan_stays() -> None:
    """The plan is a week old by its clock, and the save goes on before it is carried out."""
    place = MemoryBackend()
    slow = Slow(place)
    registry = slow_registry(slow)
    later = replace(NOW, clock=lambda: in_days(7.1))

    def run(number: int) -> None:
        if number == 15:
            planned = plan(Repository(place), later)
            assert len(planned.sizes) > 12
            assert execute(Repository(place), planned, NOW).files["packs"] == 0

    slow.before = run
    registry.save("large", DATA)
    assert slow.sent < len(DATA) * 1.01
    assert registry.load("large") == DATA


@pytest.mark.parametrize("runs", [0, KEPT_VERDICTS + 2])
@pytest.mark.parametrize("again", [False, True], ids=["once", "each time"])
def test_a_save_whose_pin_is_gone_commits_nothing_that_was_deleted(*, again: bool, runs: int) -> None:
    """A collector whose clock is wrong gives it up while it is at work, and takes all packs: they are written again.

    So it is when the head has forgotten meanwhile what was deleted.
    """
    place = MemoryBackend()
    slow = Slow(place)
    registry = slow_registry(slow)
    wrong = replace(NOW, clock=lambda: in_days(8))
    taken: list[int] = []

    def run(number: int) -> None:
        if number == 15 or (again and number == 30):
            taken.append(gc(place, wrong).files["packs"])
            waste_runs(place, runs)

    slow.before = run
    registry.save("large", DATA)
    assert taken[0] == 15
    assert len(taken) == 1 + again
    assert registry.load("large") == DATA
    check(place)
    assert len(DATA) * 1.5 < slow.sent < len(DATA) * 3
    assert not pinned(place)


@pytest.mark.parametrize("runs", [0, KEPT_VERDICTS + 2])
@pytest.mark.parametrize("due", [True, False], ids=["pinning", "not pinning"])
def test_a_save_whose_pin_goes_at_the_very_end(*, due: bool, runs: int) -> None:
    """Between its last pack and its commit, which finds that nothing is left, whether it was told before or not."""
    place = MemoryBackend()
    slow = Slow(place)
    registry = slow_registry(slow)
    wrong = replace(NOW, clock=lambda: in_days(8))
    total = len(packs_of(DATA))

    def run(number: int) -> None:
        if number == total:
            assert gc(place, wrong).files["packs"] == total
            waste_runs(place, runs)
            slow.clock.now -= 0 if due else MINUTE

    slow.after = run
    registry.save("large", DATA)
    assert registry.load("large") == DATA
    check(place)
    assert slow.landed >= 2 * total


class Meanwhile(Slow):
    """Where something is done right after the pin was swapped that names so many packs."""

    packs = -1
    others: Callable[[], object] = staticmethod(lambda: None)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """As the inner one's. What was pinned goes into the index, which is listed first."""
        if prefix == INDEX and self.landed == self.packs:
            self.packs = -1
            self.others()
        return super().list(prefix, after)


@pytest.mark.parametrize("runs", [0, KEPT_VERDICTS + 2])
def test_a_save_whose_pin_goes_when_it_has_all(runs: int) -> None:
    """Everything was pinned, and so was there; then it goes: the commit looks again."""
    place = MemoryBackend()
    slow = Meanwhile(place)
    registry = slow_registry(slow)
    slow.packs = total = len(packs_of(DATA))

    def others() -> None:
        assert len(pinned(place)) == total
        assert gc(place, replace(NOW, clock=lambda: in_days(8))).files["packs"] == total
        waste_runs(place, runs)

    slow.others = others
    registry.save("large", DATA)
    assert slow.packs == -1
    assert registry.load("large") == DATA
    check(place)


def waste_runs(place: MemoryBackend, runs: int) -> None:
    """So many runs of collectors that delete something else, until the head has forgotten what was before."""
    for seed in range(runs):
        registry = Registry(place)
        registry.save("other", noise(20_000, seed))
        registry.delete("other")
        assert gc(place).runs


def packs_of(data: bytes) -> set[str]:
    """As many packs as `data` takes."""
    place = MemoryBackend()
    Registry(place).save("large", data)
    return packs_at(place)


def test_pins_of_others_stay() -> None:
    """Of several that share a ref only the old ones go."""
    place = MemoryBackend()
    stopped_save(place, noise(1_500_000, 2), packs=12)
    old = pinned(place)
    (key,) = upload_refs(place)
    repository = Repository(place)
    held = repository.refs.read(upload_name(0))
    assert held is not None
    (version, record), *_ = held.history.ref.records.items()
    assert record.live is not None
    when = datetime.fromtimestamp(in_days(-8), UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    aged = replace(record, live=replace(record.live, created=when))
    ref = replace(held.history.ref, records={version: aged})
    place.swap(key, ref.to_bytes(), held.token)
    stopped_save(place, noise(1_500_000, 3), packs=12)
    assert len(upload_refs(place)) == 1
    assert pinned(place) > old
    young = pinned(place) - old
    gc(place)
    assert pinned(place) == packs_at(place) == young


def test_emptied_refs_are_taken_again() -> None:
    """However many long saves there were one after the other, there is one hidden ref; it never becomes a long one."""
    place = MemoryBackend()
    for number in range(3 * ROOM):
        slow_registry(Slow(place)).save("large", noise(1_500_000, number))
    (ref,) = upload_refs(place).values()
    assert (ref["versions"], ref["deleted"], ref["retired"], ref["older"]) == ({}, {}, [], [])
    assert len(place.get(ref_key(upload_name(0))).data) < 4_000


def test_many_at_once_share_few_refs() -> None:
    """A ref has room for some; who comes then takes the next. What is given up makes room again."""
    place = MemoryBackend()
    for number in range(2 * ROOM + 1):
        stopped_save(place, noise(1_500_000, number), packs=12)
    assert sorted(upload_refs(place)) == [ref_key(upload_name(number)) for number in range(3)]
    assert [len(ref["versions"]) for _, ref in sorted(upload_refs(place).items())] == [ROOM, ROOM, 1]
    assert all(len(place.get(key).data) < 16_384 for key in upload_refs(place))
    gc(place, replace(NOW, clock=lambda: in_days(7.1)))
    stopped_save(place, noise(1_500_000, 99), packs=12)
    assert [len(ref["versions"]) for _, ref in sorted(upload_refs(place).items())] == [1, 0, 0]


def test_a_collection_asks_no_more_where_no_save_was_long() -> None:
    """The weekly look costs nothing without hidden refs, and one read of each with them."""
    place = MemoryBackend()
    Registry(place).save("thing", noise(300_000))
    Registry(place).delete("thing")
    recording = RecordingBackend(place)
    gc(recording)
    assert not recording.log.calls("get", "refs/~")


@pytest.mark.parametrize(
    ("said", "gone"),
    [
        ("2026-01-08T00:00:00Z", False),
        ("2026-01-01T00:00:01Z", False),
        ("2025-12-31T23:59:59.999999999Z", True),
        ("2026-01-14T23:59:59Z", False),
        ("2026-01-15T00:00:01Z", True),
        ("2026-02-31T00:00:00Z", True),
        ("2026-01-07T23:59:60Z", False),
    ],
)
def test_when_a_pin_is_given_up(said: str, *, gone: bool) -> None:
    """A week before and after now, so that a clock that was wrong once holds nothing for ever."""
    place = MemoryBackend()
    stopped_save(place, DATA, packs=12)
    held = Repository(place).refs.read(upload_name(0))
    assert held is not None
    (record,) = held.history.ref.records.values()
    assert record.live is not None
    now = datetime(2026, 1, 8, tzinfo=UTC).timestamp()
    assert is_given_up(replace(record.live, created=said), now) is gone
