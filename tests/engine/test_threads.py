"""Work that threads do ahead: in order, bounded, ended by its first error, and also while the interpreter ends."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest

from casreg.threads import ahead, ahead_in_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from conftest import FreshPython

WAIT = 30  # seconds, for what never takes so long


class Gate:
    """Work that is under way until it is let through, and what was begun and ended of it."""

    def __init__(self, *held: int) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self.opened = {number: threading.Event() for number in held}
        self.changed = threading.Condition()

    def work(self, number: int) -> int:
        with self.changed:
            self.begun.append(number)
            self.changed.notify_all()
        if number in self.opened:
            assert self.opened[number].wait(WAIT)
        with self.changed:
            self.ended.append(number)
            self.changed.notify_all()
        return number * 10

    def until(self, condition: Callable[[], bool]) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, WAIT)


def test_results_come_in_the_order_of_the_items() -> None:
    """What is done later than what comes behind it is still handed out before it."""
    gate = Gate(0)
    results: list[int] = []
    taker = threading.Thread(target=lambda: results.extend(ahead(gate.work, range(20), 4)))
    taker.start()
    gate.until(lambda: {1, 2, 3} <= set(gate.ended))
    assert results == []
    gate.opened[0].set()
    taker.join(WAIT)
    assert results == [number * 10 for number in range(20)]


@pytest.mark.parametrize(("threads", "most"), [(4, None), (2, 5), (8, 3)])
def test_items_are_asked_for_as_they_are_needed(threads: int, most: int | None) -> None:
    """Of items without an end only so many are under way as was said, whoever waits for whom."""
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in itertools.count():
            taken.append(number)
            yield number

    results = ahead(lambda number: number, items(), threads, most)
    for number in range(30):
        assert next(results) == number
        assert len(taken) <= number + (most or threads)
    results.close()


@pytest.mark.parametrize(("threads", "most"), [(3, None), (3, 7), (8, 2)])
def test_no_more_work_at_once_than_was_said(threads: int, most: int | None) -> None:
    """So many threads work as was said, neither fewer nor more."""
    expected = min(threads, most or threads)
    everybody = threading.Barrier(expected)
    lock = threading.Lock()
    under_way = peak = 0

    def work(number: int) -> int:
        nonlocal under_way, peak
        with lock:
            under_way += 1
            peak = max(peak, under_way)
        everybody.wait(WAIT)  # fails if fewer come
        with lock:
            under_way -= 1
        return number

    assert list(ahead(work, range(4 * expected), threads, most)) == list(range(4 * expected))
    assert peak == expected


def test_the_first_error_in_order_ends_all_of_it() -> None:
    """What fails first in the order of the items is raised, though another failed earlier; no more is begun."""
    gate = Gate(2)

    def work(number: int) -> int:
        gate.work(number)
        if number in {2, 3}:
            raise ValueError(number)
        return number

    results = ahead(work, itertools.count(), 4)
    assert [next(results), next(results)] == [0, 1]
    gate.until(lambda: 3 in gate.ended)
    gate.opened[2].set()
    with pytest.raises(ValueError, match="2"):
        next(results)
    begun = list(gate.begun)
    assert sorted(begun) == sorted(gate.ended)  # what was begun was waited for
    assert max(begun) < 2 + 4
    assert list(results) == []
    assert gate.begun == begun


def test_what_was_not_begun_is_given_up() -> None:
    """Whoever closes the generator waits for what is under way and for nothing else."""
    gate = Gate(1, 2)
    results = ahead(gate.work, range(100), 2, 50)
    assert next(results) == 0
    gate.until(lambda: {1, 2} <= set(gate.begun))
    closer = threading.Thread(target=results.close)
    closer.start()
    closer.join(0.05)
    assert closer.is_alive()  # it waits for 1 and 2
    gate.opened[1].set()
    gate.opened[2].set()
    closer.join(WAIT)
    assert not closer.is_alive()
    assert sorted(gate.ended) == sorted(gate.begun) == [0, 1, 2]


def test_items_that_cannot_be_had_end_it() -> None:
    """An error of the items themselves comes through, and what was begun is waited for."""
    gate = Gate()

    def items() -> Iterator[int]:
        yield from range(3)
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(ahead(gate.work, items(), 8))
    assert sorted(gate.ended) == sorted(gate.begun)


@pytest.mark.parametrize(("items", "threads"), [([], 4), ([1], 4), ([1, 2, 3], 1), ([1, 2, 3], 0)])
def test_the_caller_does_what_needs_no_threads(items: list[int], threads: int) -> None:
    """One item, or all of them where there is one thread, are done by the caller, and not before they are asked for."""
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        assert threading.current_thread() is threading.main_thread()
        return number

    for ready in (ahead(work, items, threads), ahead_in_parts(work, items, threads)):
        assert done == []
        for number, found in enumerate(ready, 1):
            assert done == items[:number]
            assert found == items[number - 1]
        assert done == items
        done.clear()


@pytest.mark.parametrize("count", [2, 7, 100, 1_000])
def test_small_items_go_in_parts(count: int) -> None:
    """Of many items a thread gets several, at most 16; of few each gets its share. The order stays."""
    of: dict[int, int] = {}

    def work(number: int) -> int:
        of[number] = threading.get_ident()
        return -number

    assert list(ahead_in_parts(work, range(count), 4)) == [-number for number in range(count)]
    assert threading.get_ident() not in of.values()
    changes = sum(of[number] != of[number - 1] for number in range(1, count))
    assert changes <= count / max(1, min(16, count // 4))


class Seen(list[int]):
    """Items that know how many parts of them were asked for."""

    parts = 0

    def __getitem__(self, at: Any) -> Any:
        self.parts += 1
        return super().__getitem__(at)


def test_parts_are_taken_as_they_are_needed() -> None:
    """Whoever takes no more results of many items has not done them all: two parts are there for each thread."""
    items = Seen(range(10_000))
    results = ahead_in_parts(abs, items, 3)
    assert [next(results) for _ in range(17)] == list(range(17))
    assert items.parts == 2 * 3 + 1
    results.close()


AT_THE_END = """
import atexit
from casreg.threads import ahead, ahead_in_parts

def last():
    print(list(ahead(abs, range(-5, 0), 3)), list(ahead_in_parts(abs, range(-5, 0), 3)))
    try:
        print(list(ahead(lambda number: 1 // number, [2, 1, 0, 5], 4)))
    except ZeroDivisionError:
        print("ended")

atexit.register(last)
"""


def test_the_end_of_the_interpreter(fresh_python: FreshPython) -> None:
    """In a handler of `atexit`, when no pool takes work any more, it is done by who asks for it."""
    assert fresh_python(AT_THE_END).splitlines() == ["[5, 4, 3, 2, 1] [5, 4, 3, 2, 1]", "ended"]
