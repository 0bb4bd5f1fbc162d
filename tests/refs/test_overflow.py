"""What moves out of a ref that is too large: which records, in which order, and how many, to the byte."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from casreg.refs import spill
from casreg.refs.document import Ref
from casreg.refs.entries import Record
from casreg.refs.segments import Segment, record_line
from casreg.refs.spill import INLINE_LIMIT, overflow, spilled
from refs.lab import NAME, WRITE, entry_of, v
from refs.test_segments import layers, tombstone

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.versions import Version

ENDLESS = 10**9


def ref_of(records: dict[Version, Record]) -> Ref:
    """A ref with these records, in this order."""
    return replace(Ref.empty(NAME, WRITE), records=records)


def living(*texts: str) -> dict[Version, Record]:
    """A live record for each."""
    return {v(text): Record(entry_of(text)) for text in texts}


def room(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """So many bytes of records may stay, however large the rest is."""
    monkeypatch.setattr(spill, "_LEAST_ROOM", size)


def size_of(records: Mapping[Version, Record]) -> int:
    """What these records count for."""
    return sum(len(record_line(version, record)) for version, record in records.items())


def test_a_ref_up_to_the_limit_keeps_all() -> None:
    """16 KiB stay, and with one byte more about half of the records move."""
    ref = ref_of(living(*(f"1.0.{n}" for n in range(40))))
    assert INLINE_LIMIT == 16 * 1024
    assert overflow(ref, INLINE_LIMIT) == {}
    moved = overflow(ref, INLINE_LIMIT + 1)
    left = size_of(ref.records) - size_of(moved) - size_of(living("1.0.39"))
    allowed = INLINE_LIMIT - (INLINE_LIMIT + 1 - (size_of(ref.records) - size_of(living("1.0.39"))))
    assert allowed // 2 - 600 < left <= allowed // 2


@pytest.mark.parametrize(("count", "stay"), [(5, 4), (6, 3), (6, 1), (3, 2)])
def test_records_move_until_half_the_room_is_left(
    count: int, stay: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Just as many as it takes: where exactly half is left, no more. The highest live one does not count."""
    texts = [f"1.0.{n}" for n in range(count)]
    ref = ref_of(living(*texts, "2.0.0"))
    half = size_of(living(*texts[-stay:]))
    room(monkeypatch, 2 * half)
    expected = living(*texts[:-stay]) if size_of(living(*texts)) > 2 * half else {}
    assert overflow(ref, ENDLESS) == expected
    room(monkeypatch, 2 * half - 1)
    more = living(*texts[: -stay + 1 or None]) if size_of(living(*texts)) > 2 * half - 1 else {}
    assert overflow(ref, ENDLESS) == more


def test_records_that_just_fit_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Filling the room is allowed, one byte less of it is not."""
    ref = ref_of(living("1.0.0", "1.0.1", "2.0.0"))
    fits = size_of(living("1.0.0", "1.0.1"))
    room(monkeypatch, fits)
    assert overflow(ref, ENDLESS) == {}
    room(monkeypatch, fits - 1)
    assert set(overflow(ref, ENDLESS)) == {v("1.0.0"), v("1.0.1")}


def test_the_highest_that_lives_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the highest of all: what is dead goes, wherever it is. Of none that lives, all go."""
    room(monkeypatch, 0)
    dead = {v("3.0.0"): Record(None, (tombstone("x"),)), v("4.0.0"): Record()}
    both = living("1.0.0", "2.0.0")
    assert overflow(ref_of({**both, **dead}), ENDLESS) == {**living("1.0.0"), **dead}
    assert overflow(ref_of(dead), ENDLESS) == dead


def test_dead_ones_go_first_and_then_the_lowest(monkeypatch: pytest.MonkeyPatch) -> None:
    """By precedence, in whatever order they stand in the ref."""
    records = {
        **living("2.0.0", "1.0.2", "1.0.10"),
        v("1.0.9"): Record(None, (tombstone("x"),)),
        **living("1.0.1", "1.0.0-rc.1"),
        v("1.0.3"): Record(),
    }
    room(monkeypatch, 0)
    order = ["1.0.3", "1.0.9", "1.0.0-rc.1", "1.0.1", "1.0.2", "1.0.10"]
    assert [str(version) for version in overflow(ref_of(records), ENDLESS)] == order
    room(monkeypatch, 2 * size_of(living("1.0.2", "1.0.10")))
    assert [str(version) for version in overflow(ref_of(records), ENDLESS)] == order[:4]


def test_what_a_version_was_goes_before_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tombstones of one that lives move first, alone; if it moves as well, the record moves as it was."""
    whole = Record(entry_of("1.0.0"), (tombstone("a"), tombstone("b")))
    records = {v("1.0.0"): whole, **living("2.0.0")}
    live_part = Record(whole.live, (), partial=True)
    room(monkeypatch, 2 * size_of({v("1.0.0"): live_part}))
    assert overflow(ref_of(records), ENDLESS) == {v("1.0.0"): Record(None, whole.dead)}
    room(monkeypatch, 0)
    assert overflow(ref_of(records), ENDLESS) == {v("1.0.0"): whole}


def test_the_part_that_stays_says_that_there_is_more() -> None:
    """A live record whose tombstones moved is partial; what moved whole is gone from the ref."""
    _, history = layers(
        {v("1.0.0"): Record(entry_of("1.0.0"), (tombstone("a"),)), **living("1.0.1", "2.0.0")}
    )
    moved = {v("1.0.0"): Record(None, (tombstone("a"),)), **living("1.0.1")}
    done = spilled(history.ref, moved, history.segments, bytes)
    assert done.ref.records == {v("1.0.0"): Record(entry_of("1.0.0"), (), partial=True), **living("2.0.0")}
    assert done.ref.older == (done.row,)
    assert dict(Segment(done.data, "it").records()) == moved


@pytest.mark.parametrize(
    ("counts", "left"), [((2,), 0), ((3,), 1), ((6, 2), 0), ((7, 2), 1), ((1, 3), 2), ((), 0)]
)
def test_segments_up_to_twice_as_large_are_merged(counts: tuple[int, ...], left: int) -> None:
    """The newest first, with one record that goes; the first that is larger stays, and so do those before it."""
    parts = [living(*(f"{at}.0.{n}" for n in range(count))) for at, count in enumerate(counts)]
    _, history = layers(*parts, living("9.0.0"))
    done = spilled(history.ref, living("9.0.0"), history.segments, bytes)
    assert done.ref.older == (*history.ref.older[:left], done.row)
    assert done.row.count == 1 + sum(counts[left:])
    assert done.ref.records == {}


def test_merging_lays_the_newer_over_the_older() -> None:
    """What moves hides what was there, and tombstones of one that is partial come after those below."""
    one, two = v("1.0.0"), v("2.0.0")
    _, history = layers(
        {one: Record(None, (tombstone("a"),)), two: Record(entry_of("old"), (tombstone("hidden"),))}, {}
    )
    moved = {one: Record(entry_of("one"), (tombstone("b"),), partial=True), two: Record(entry_of("two"))}
    done = spilled(history.ref, moved, history.segments, bytes)
    assert dict(Segment(done.data, "it").records()) == {
        one: Record(entry_of("one"), (tombstone("a"), tombstone("b"))),
        two: Record(entry_of("two")),
    }


def test_the_parts_of_a_record_count_for_what_they_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tombstones by themselves, and the live part as it would stand there: saying that there is more."""
    whole = Record(entry_of("1.0.0"), (tombstone("a"),))
    parts = [Record(None, whole.dead), Record(whole.live, (), partial=True)]
    fits = sum(size_of({v("1.0.0"): part}) for part in parts)
    ref = ref_of({v("1.0.0"): whole, **living("2.0.0")})
    room(monkeypatch, fits)
    assert overflow(ref, ENDLESS) == {}
    room(monkeypatch, fits - 1)
    assert overflow(ref, ENDLESS) != {}
    dead = {v("1.0.0"): Record(None, whole.dead), v("1.0.1"): Record()}
    room(monkeypatch, size_of(dead))
    assert overflow(ref_of(dead), ENDLESS) == {}


def test_what_is_dead_and_moves_is_gone_from_the_ref() -> None:
    """Nothing of it stays inline."""
    dead = {v("1.0.0"): Record(None, (tombstone("a"),)), v("1.0.1"): Record()}
    _, history = layers({**dead, **living("2.0.0")})
    assert spilled(history.ref, dead, history.segments, bytes).ref.records == living("2.0.0")


def test_a_small_ref_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most writes spill nothing: where all fits, no record is written out to see how large it is."""

    def record_line(version: Version, record: Record) -> bytes:
        raise AssertionError(version, record)

    monkeypatch.setattr(spill, "record_line", record_line)
    assert overflow(ref_of(living("1.0.0", "2.0.0")), INLINE_LIMIT) == {}


def test_eight_kibibytes_of_records_stay_whatever_else_is_there() -> None:
    """Where tags or the notes of the latest version fill a ref, records still move in groups."""
    short = {**living("1.0.0"), v("1.0.1"): Record(replace(entry_of("1.0.1"), notes={"text": ""}))}
    text = "x" * (8 * 1024 - size_of(short))
    for more, moves in (("", False), ("x", True)):
        padded = Record(replace(entry_of("1.0.1"), notes={"text": text + more}))
        ref = ref_of({**living("1.0.0", "2.0.0"), v("1.0.1"): padded})
        assert bool(overflow(ref, ENDLESS)) == moves


def test_what_the_highest_that_lives_was_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a name whose one version is saved again and again would grow without end."""
    whole = Record(entry_of("2.0.0"), (tombstone("a"), tombstone("b")))
    room(monkeypatch, 0)
    moved = overflow(ref_of({v("2.0.0"): whole}), ENDLESS)
    assert moved == {v("2.0.0"): Record(None, whole.dead)}


def test_a_record_is_partial_until_it_meets_what_lies_below() -> None:
    """Merged with segments that do not know its version, it still says that an older one does."""
    one = v("1.0.0")
    below = {one: Record(None, (tombstone("a"),)), **living(*(f"2.0.{n}" for n in range(9)))}
    _, history = layers(below, living("3.0.0"), {})
    moved = {one: Record(entry_of("one"), (tombstone("b"),), partial=True)}
    done = spilled(history.ref, moved, history.segments, bytes)
    assert done.ref.older == (history.ref.older[0], done.row)
    assert dict(Segment(done.data, "it").records()) == {**moved, **living("3.0.0")}
