"""An adoption by mistake, where others are at work: every order of the requests; and restores under running processes."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from adopt.lab import copied
from casreg import Registry
from casreg.adopt import adoption, head as heads
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CommitConflictError
from casreg.testing.scheduler import ScheduleError
from collector import scenarios
from collector.lab import check, gc, loads
from collector.scenarios import (
    Scenario,
    World,
    collect,
    delete,
    every_order,
    save,
    save_again,
    scripted,
    walks,
)
from registry.lab import Meanwhile
from verify.lab import files_of, noise

if TYPE_CHECKING:
    from collections.abc import Sequence

DATA = noise(30_000, 9)


def adopts(world: World) -> None:
    """Takes it for a copy."""
    assert world.registry().adopt().clean


SMALL: dict[str, Scenario] = {
    "adopt_save": Scenario([adopts, save("thing")], deleted=True),
    "adopt_save_new": Scenario([adopts, save("new")], deleted=True, ran=True),
    "adopt_gc": Scenario([adopts, collect()], deleted=True),
    "adopt_twice": Scenario([adopts, adopts], deleted=True, ran=True),
    "adopt_save_gc": Scenario([adopts, save("new"), collect()], deleted=True),
    "adopt_clone": Scenario([adopts, save("thing"), delete], foreign=True),
}

LARGE: dict[str, Scenario] = {
    "adopt_mixed": Scenario(
        [adopts, save("new"), save_again("thing"), delete, collect(2), collect(), adopts],
        deleted=True,
        ran=True,
    ),
}

LATE_DELETE: Sequence[tuple[int, str]] = (
    (2, "delete packs/"),  # has a verdict in hand, and is about to carry it out
    (0, ""),  # adopts
    (1, ""),  # saves what the verdict names
)


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenarios of this page; and one request after the other, so that each has its turn."""
    for name, scenario in (SMALL | LARGE).items():
        monkeypatch.setitem(scenarios.SCENARIOS, name, scenario)
    monkeypatch.setattr(adoption, "_LOCAL_THREADS", 1)


@pytest.mark.parametrize("scenario", SMALL)
def test_every_order(scenario: str) -> None:
    """What is committed is whole and stays, and collections go on, in every order with one preemption."""
    done = every_order(scenario, preemptions=1, limit=60)
    assert done.runs > 20


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SMALL)
def test_every_order_with_two_preemptions(scenario: str) -> None:
    """The same with two preemptions, or as many orders as there is time for."""
    every_order(scenario, preemptions=2, limit=3_000)


def test_walks() -> None:
    """So it is in orders drawn at random."""
    walks("adopt_mixed", 10)


@pytest.mark.soak
def test_many_walks() -> None:
    """The same, for longer."""
    walks("adopt_mixed", 1_000, seed=1)


def test_a_collector_that_is_about_to_delete() -> None:
    """What its verdict names is bad for whoever comes after the adoption, so that its deletion harms nobody."""
    scripted("adopt_save_gc", LATE_DELETE)


def test_the_verdict_must_not_be_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A head that forgets what somebody is deleting loses data: the order above shows it."""
    monkeypatch.setattr(heads, "_threatened", lambda backend, found: set())
    with pytest.raises(ScheduleError, match=r"the check failed|raised CorruptError"):
        scripted("adopt_save_gc", LATE_DELETE)


# ------------------------------------------------------------------------------------------- restores


def restored_under_a_process() -> tuple[MemoryBackend, Registry]:
    """A backup has taken the place of what a process knows, which has a pack less; of the index nobody has thought."""
    place = MemoryBackend()
    Registry(place).save("first", 1)
    backup = files_of(place)
    process = Registry(place)
    process.save("thing", DATA)  # where these bytes are, it remembers from now on
    index = {key: data for key, data in files_of(place).items() if key.startswith("index/")}
    copied(backup | index, place)
    return place, process


@pytest.mark.parametrize("hints", ["brought up to date", "as they were"])
def test_what_a_process_saw_before_a_restore_does_not_count(
    hints: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the backup has not is stored anew: the index does not name it any more, and no sighting of before counts."""
    if hints == "as they were":
        monkeypatch.setattr(adoption, "bring_up_to_date", lambda seen: 0)
    place, process = restored_under_a_process()
    assert Registry(place).adopt().clean
    process.save("again", DATA)
    assert loads(place) == {"first@1.0.0": 1, "again@1.0.0": DATA}
    check(place)


def test_a_restore_without_an_adoption_is_what_it_is_there_for() -> None:
    """The same process would build on what is not there any more: so the page says that restores are adopted."""
    place, process = restored_under_a_process()
    process.save("again", DATA)
    assert not Registry(place).verify().clean


def test_a_commit_that_was_on_its_way_does_not_land_after_an_adoption() -> None:
    """The ref that it was to replace is there again byte for byte, but for its write id: so it begins anew."""
    place = Meanwhile()
    Registry(place).save("thing", 1)
    backup = files_of(place)
    process = Registry(place)
    process.save("other", DATA)

    restored: list[bool] = []

    def restore() -> None:
        copied(backup, place)
        restored.append(Registry(place).adopt().clean)

    place.others = restore
    assert process.save("thing", DATA) == "1.0.1"  # found in the pack of `other`, which is gone by then
    assert restored == [True]
    assert loads(place) == {"thing@1.0.0": 1, "thing@1.0.1": DATA}
    check(place)


# ------------------------------------------------------------------------------------------- an original at work


def at_work(adoptions: int, place: Any) -> None:
    """Three save and delete, one collects, and one adopts again and again: what was returned is there."""
    Registry(place).init()
    over = threading.Event()
    told: list[dict[str, Any]] = [{} for _ in range(3)]
    failures: list[BaseException] = []

    def write(number: int) -> None:
        registry, turn = Registry(place), 0
        while not over.is_set():
            turn += 1
            value = noise(20_000, turn % 7)
            label = f"work:{number}@{registry.save(f'work:{number}', value)}"
            told[number][label] = value
            if turn % 3 == 0:
                registry.delete(label)
                del told[number][label]

    def clean() -> None:
        while not over.is_set():
            try:
                gc(place)
            except CommitConflictError:  # adopted again and again: it gives up, and says so
                continue

    def take() -> None:
        try:
            for _ in range(adoptions):
                assert Registry(place).adopt().clean
        finally:
            over.set()

    def run(work: Any, *arguments: Any) -> None:
        try:
            work(*arguments)
        except BaseException as err:  # noqa: BLE001 - the test is told
            failures.append(err)

    jobs = [(write, 0), (write, 1), (write, 2), (clean,), (take,)]
    threads = [threading.Thread(target=run, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    assert all(told)
    assert loads(place) == {label: value for one in told for label, value in one.items()}
    gc(place)
    check(place)
    assert Registry(place).verify(data=True).clean


def test_an_original_at_work() -> None:
    """Nothing that was saved is lost, whatever it is taken for."""
    at_work(4, MemoryBackend())


@pytest.mark.soak
def test_an_original_at_work_for_long(shared_places: Any) -> None:
    """The same on folders and buckets, for longer."""
    at_work(6, shared_places.new())
