"""Compaction beside readers, writers and collectors, with bad networks, and killed: at every request."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CasregError, ObjectChangedError
from casreg.gc import compact
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing import Fault, FaultBackend, FaultKind
from casreg.testing.faults import until_clean
from collector.lab import NOW, check, copy_of, gc, loads, needed, stored
from collector.test_compaction import compacted, packs, part
from registry.lab import NoFlush, snapshot
from verify.lab import Between

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend
    from places import Places

WRITES = frozenset({"create", "swap", "delete"})


class Killed(Exception):  # noqa: N818 - what happens, not an error
    """The process is no more."""


def worn_files() -> tuple[dict[str, bytes], dict[str, object]]:
    """A place that is worth a compaction, two names of which share chunks; and what it holds."""
    place = MemoryBackend()
    registry = Registry(place)
    first = [part(number, 100_000) for number in range(8)]
    registry.save("a", b"".join(first))
    registry.save("a", b"".join([*first[:3], part(100, 100_000)]))
    registry.save("b", b"".join([*first[:2], part(101, 100_000)]))
    registry.tag("a", "prod")
    registry.delete("a", "1.0.0")
    gc(place)
    return snapshot(place), loads(place)


FILES, HELD = worn_files()


def worn() -> MemoryBackend:
    """A new copy of that place."""
    return copy_of(FILES)


def rest(place: Backend) -> set[str]:
    """What is stored and nothing needs, but for lists of the collector's, which are no reason for a run."""
    return {key for key in stored(place) - needed(place) if not key.startswith("segments/")}


def test_it_is_worth_it() -> None:
    """What the tests here rest on: something is moved, in both names."""
    place = worn()
    before = packs(place)
    done = compact(Repository(place), NOW)
    assert (done.packs, done.versions, len(before)) == (1, 2, 3)


# ------------------------------------------------------------------------------------------------ readers


def test_a_load_beside_a_compaction() -> None:
    """Before whichever request of a load everything is moved, and the old packs deleted: it loads the same."""
    for at in count(1):
        place = worn()
        beside = Between(place, at, partial(compacted, place))
        registry = Registry(beside)
        for label, value in HELD.items():
            assert registry.load(label) == value
        if not beside.done:
            break
        assert loads(place) == HELD
    assert at > 8


def test_a_load_that_is_beaten_again_and_again() -> None:
    """Two compactions, with new reasons, in one load: it begins anew each time."""
    place = worn()

    def again() -> None:
        registry = Registry(place)
        registry.save("c", b"".join(part(number, 70_000) for number in range(200, 204)))
        registry.delete("c")
        for _ in range(8):
            registry.save("d", part(300, 20_000))
            registry.delete("d")
        compacted(place)

    inner = Between(place, 4, again)
    beside = Between(inner, 3, partial(compacted, place))  # type: ignore[arg-type]
    assert Registry(beside).load("a") == HELD["a@1.0.1"]
    assert inner.done
    assert beside.done


def test_a_reader_that_knows_where_things_were() -> None:
    """What a process read before, and remembers, leads it to packs that are gone: it looks where they are now."""
    place = worn()
    early = Registry(place)
    assert early.load("a") == HELD["a@1.0.1"]
    compacted(place)
    assert early.load("a") == HELD["a@1.0.1"]
    assert early.load("b") == HELD["b@1.0.0"]
    assert early.verify(data=True).clean


def test_an_open_stream() -> None:
    """A file that was opened before, and is read after its pack has gone, goes on where it was."""
    place = worn()
    value = HELD["a@1.0.1"]
    assert isinstance(value, bytes)
    for begun in (0, 1, 150_000, len(value) - 1):
        place = worn()
        with Registry(place).open("a") as stream:
            first = stream.read(begun)
            old = packs(place)
            compacted(place)
            assert len(old - packs(place)) == 1
            assert first + stream.read() == value
            stream.seek(75_000)
            assert stream.read(10) == value[75_000:75_010]


def test_an_open_stream_of_what_is_deleted() -> None:
    """It was moved, and then deleted and collected: that is said, and nothing else is handed out."""
    place = worn()
    with Registry(place).open("b") as stream:
        stream.read(1)
        compacted(place)
        Registry(place).delete("b")
        gc(place)
        with pytest.raises(ObjectChangedError, match="deleted"):
            stream.read()


def test_readers_all_the_time(places: Places) -> None:
    """On every kind of place: two threads load without a pause while packs are worn and compacted, and always get it all."""
    place = replace(places, file_system=NoFlush()).new()
    kept = [part(number, 60_000) for number in range(4)]
    Registry(place).save("kept", b"".join(kept))
    failed: list[BaseException] = []
    ended = threading.Event()
    loaded = [0, 0]

    def read(number: int) -> None:
        try:
            while not ended.is_set():
                assert Registry(place).load("kept", "1.0.0") == b"".join(kept)
                loaded[number] += 1
        except BaseException as err:  # noqa: BLE001 - it is raised below
            failed.append(err)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(2)]
    for reader in readers:
        reader.start()
    moved = 0
    try:
        for turn in range(3):
            registry = Registry(place)
            registry.save("worn", b"".join([kept[0], part(50 + turn, 400_000)]))
            registry.save("kept", b"".join([*kept[turn:], part(60 + turn, 400_000)]))
            registry.delete("worn")
            registry.delete("kept", registry.list_versions("kept")[-1])
            for number in range(8):
                registry.save(f"small:{turn}", part(100 * turn + number, 30_000))
            done = registry.gc(min_age=0, undelete_window=0, compact=True)
            assert done.compaction is not None
            moved += done.compaction.packs
    finally:
        ended.set()
        for reader in readers:
            reader.join()
    assert not failed, failed
    assert moved >= 8
    assert min(loaded) >= 3
    assert Registry(place).verify(data=True).clean


# ------------------------------------------------------------------------------------------------ writers and collectors


def between(other: Callable[[MemoryBackend], object]) -> int:
    """A compaction, with its collection, in which something else is done before each request in turn. Gives how many."""
    for at in count(1):
        place = worn()
        beside = Between(place, at, partial(other, place))
        done = compacted(beside).compaction
        assert done is not None
        assert not done.left
        check(place)
        held = loads(place)
        assert HELD.items() <= held.items()
        assert Registry(place).verify(data=True).damages == ()
        compacted(place)
        assert loads(place) == held
        assert not rest(place)
        if not beside.done:
            return at
    raise AssertionError("count() does not end")


def test_beside_a_collection() -> None:
    """Whenever a collection takes what was written and is not named yet, it is written again, under other names."""
    assert between(gc) > 30


def test_beside_collections_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written has been deleted by a run that the head knows nothing of any more: it is looked for, and missed."""
    monkeypatch.setattr("casreg.head.KEPT_VERDICTS", 1)

    def collections(place: MemoryBackend) -> None:
        for number in range(3):
            gc(place)
            Registry(place).save("more", part(300 + number, 20_000))
            Registry(place).delete("more")

    assert between(collections) > 30


def test_beside_another_compaction() -> None:
    """Two that do the same: one of them is quicker with each ref, and nothing is lost."""
    assert between(compacted) > 30


def test_beside_saves() -> None:
    """Saves that build on what is just being moved."""

    def save(place: MemoryBackend) -> None:
        Registry(place).save("a", b"".join(part(number, 100_000) for number in (0, 1, 2, 7)))
        Registry(place).save("c", b"".join(part(number, 100_000) for number in (0, 1, 101)))

    assert between(save) > 30


def test_beside_deletions() -> None:
    """Versions that are moved are deleted meanwhile, undeleted, tagged, and copied."""

    def change(place: MemoryBackend) -> None:
        registry = Registry(place)
        registry.copy("a", target="e")
        registry.tag("a", "other")
        registry.delete("b")
        registry.undelete("b", "1.0.0")

    assert between(change) > 30


def test_a_save_that_has_begun() -> None:
    """Before whichever request of a save a compaction takes away what it builds on: it is stored all the same."""
    content = b"".join(part(number, 100_000) for number in (0, 1, 2, 7))
    for at in count(1):
        place = worn()
        beside = Between(place, at, partial(compacted, place))
        Registry(beside).save("a", content)
        check(place)
        assert loads(place) == {**HELD, "a@1.0.2": content}
        if not beside.done:
            break
    assert at > 10


# ------------------------------------------------------------------------------------------------ interrupted


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER])
def test_killed_at_every_write(kind: FaultKind) -> None:
    """Whichever write is the last one, done or not: every version loads, and all that is left over is garbage."""
    for at in count(1):
        place = worn()
        dying = FaultBackend(place, [Fault(at, kind, WRITES, times=10**9, error=Killed)])
        try:
            compacted(dying)
        except Killed:
            assert loads(place) == HELD
            assert Registry(place).verify(data=True).damages == ()
            compacted(place)
        else:
            break
        assert loads(place) == HELD
        assert not rest(place)
        assert len(packs(place)) == 3
    assert at > 8


@pytest.mark.parametrize("kind", FaultKind)
def test_a_bad_network(kind: FaultKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever request is lost, or its answer, or done twice, or late: nothing is lost, and the next compaction does the rest."""
    monkeypatch.setattr("time.sleep", lambda _: None)

    def scenario(faulty: FaultBackend) -> None:
        failed: CasregError | None = None
        try:
            compacted(faulty)
        except CasregError as err:
            failed = err
        assert failed is None or "on purpose" in f"{failed}{failed.__cause__}"
        faulty.deliver()
        place = faulty.inner
        check(place)
        assert loads(place) == HELD
        for _ in range(2):
            compacted(place)
        assert loads(place) == HELD
        assert not rest(place)

    assert until_clean(worn, scenario, kind) > 30
