"""Changes of a history, to the letter: what they touch and, above all, what they leave as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CommitConflictError, NotFound, ObjectNotFoundError
from casreg.keys import ref_key
from casreg.refs.commit import Refs
from casreg.refs.document import Ref
from casreg.refs.entries import Record, Tombstone
from casreg.versions import parse_selector
from refs.lab import (
    LATER,
    NAME,
    TIME,
    WRITE,
    FakeTime,
    Recording,
    empty_history,
    entry_of,
    history_of,
    save,
    v,
)
from refs.test_commit import Rival, mine
from refs.test_segments import layers, tombstone

if TYPE_CHECKING:
    from casreg.backends.base import Object
    from casreg.refs import Attempt, History
    from casreg.refs.pace import Pace

ONE, TWO = v("1.0.0"), v("2.0.0")


def test_an_overwritten_version_died_when_it_is_said() -> None:
    """The time of a tombstone is the one that is given; by default that of the entry that took its place."""
    before = history_of("1.0.0")
    new = entry_of("new")
    assert before.with_version(ONE, new, LATER).record(ONE) == Record(
        new, (Tombstone(entry_of("1.0.0"), LATER),)
    )
    assert before.with_version(ONE, new).record(ONE) == Record(new, (Tombstone(entry_of("1.0.0"), TIME),))


def test_overwriting_moves_the_tags_of_that_version_alone() -> None:
    """They stay on the version, and so name its new manifest; those of others keep theirs."""
    before = history_of("1.0.0", "2.0.0").with_tag("one", ONE).with_tag("two", TWO)
    new = entry_of("new")
    after = before.with_version(ONE, new)
    assert after.ref.tags == {"one": (ONE, new.manifest), "two": (TWO, entry_of("2.0.0").manifest)}
    assert before.without_version(ONE, LATER).ref.tags == {"two": (TWO, entry_of("2.0.0").manifest)}


def test_bringing_back_leaves_the_others() -> None:
    """Only the version that is brought back changes, and what it was before stays a tombstone."""
    twice = history_of("1.0.0", "2.0.0").with_version(ONE, entry_of("again"))
    back = twice.without_version(ONE, LATER).undeleted(ONE)
    assert back.ref.records == twice.ref.records


def test_a_retired_version_cannot_be_brought_back() -> None:
    """Nothing of it is left but its number, inline or in a segment."""
    empty = empty_history()
    retired = replace(empty, ref=replace(empty.ref, records={ONE: Record()}))
    _, spilled = layers({ONE: Record()}, {})
    for history in (retired, spilled):
        with pytest.raises(ObjectNotFoundError, match="nothing of it is kept"):
            history.undeleted(ONE)


def test_bringing_back_what_lies_in_a_segment() -> None:
    """Where the ref itself has no tombstone but its record goes on elsewhere; where it has one, nothing is read."""
    _, history = layers({ONE: Record(None, (tombstone("a"),))}, {ONE: Record(None, (), partial=True)})
    assert history.undeleted(ONE).entry(ONE) == entry_of("a")
    backend, history = layers(
        {ONE: Record(None, (tombstone("a"),))}, {ONE: Record(None, (tombstone("b"),), partial=True)}
    )
    back = history.undeleted(ONE)
    assert backend.calls == []
    assert back.record(ONE) == Record(entry_of("b"), (tombstone("a"),))


def test_notes_are_those_of_the_moment() -> None:
    """What the caller does to them afterwards changes nothing here."""
    notes = {"a": 1}
    after = history_of("1.0.0").with_notes(ONE, notes)
    notes["a"] = 2
    entry = after.entry(ONE)
    assert entry is not None
    assert entry.notes == {"a": 1}


def test_records_of_all_places() -> None:
    """Those that stand in one place alone are as they stand there."""
    _, history = layers(
        {ONE: Record(entry_of("one"))}, {v("1.0.1"): Record()}, {TWO: Record(entry_of("two"))}
    )
    assert history.records() == {
        ONE: Record(entry_of("one")),
        v("1.0.1"): Record(),
        TWO: Record(entry_of("two")),
    }


def test_a_number_that_only_the_oldest_segment_knows_is_used() -> None:
    """A newer segment around it that says nothing of it is passed over."""
    around = {v("0.1.0"): Record(), v("3.0.0"): Record()}
    _, history = layers({ONE: Record()}, around, {})
    assert history.used(ONE)
    assert history.record(ONE) == Record()
    assert not history.used(TWO)


def test_a_range_passes_over_what_died() -> None:
    """Inline as well: the highest that lives."""
    history = history_of("1.0.0", "1.0.1").without_version(v("1.0.1"), LATER)
    assert history.select(parse_selector("^1.0")) == (ONE, entry_of("1.0.0"))


def test_a_range_that_ends_level_with_a_segment() -> None:
    """The record inline hides the one in the segment, though both are the highest."""
    _, history = layers({ONE: Record(entry_of("old"))}, {ONE: Record(entry_of("new"))})
    assert history.select(parse_selector("*")) == (ONE, entry_of("new"))


# The loop


class Impatient:
    """A pace without chance: each attempt takes so many seconds."""

    def __init__(self, seconds: float, **fields: float) -> None:
        self.time = FakeTime()
        self.seconds = seconds
        self.attempts = 0
        self.pace: Pace = replace(self.time.pace(), uniform=lambda low, _: low, **fields)  # type: ignore[arg-type]

    def change(self, attempt: Attempt) -> History:
        """Take the time."""
        self.attempts += 1
        self.time.now += self.seconds
        return mine(attempt)


@pytest.mark.parametrize(
    ("seconds", "least", "attempts"), [(30.0, 1, 3), (31.0, 1, 2), (100.0, 10, 10), (100.0, 3, 3)]
)
def test_a_writer_gives_up_after_budget_and_attempts(seconds: float, least: int, attempts: int) -> None:
    """The budget must be over, not just reached, and the attempts made; whichever comes later."""
    slow = Impatient(seconds, budget=60.0, least_attempts=least)
    with pytest.raises(CommitConflictError, match=f"^{attempts} attempts in "):
        Refs(Rival(MemoryBackend(), wins=10_000), pace=slow.pace).commit(NAME, slow.change)
    assert slow.attempts == attempts


@pytest.mark.parametrize(
    ("attempt", "bound"), [(1, 1.0), (2, 2.0), (31, 2.0**30), (32, 2.0**30), (999, 2.0**30)]
)
def test_waits_double_up_to_a_number_that_floats_know(attempt: int, bound: float) -> None:
    """Also where no cap ends it first: no overflow, however often a writer lost."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    replace(FakeTime().pace(), base=1.0, cap=float("inf"), uniform=uniform).wait(attempt)
    assert drawn == [(0.0, bound)]


def test_segments_come_from_copies_where_there_are_some() -> None:
    """The ref is asked of the place itself, what it names of the copies."""
    place, history = layers({ONE: Record(entry_of("one"))}, {})
    place.inner.create(ref_key(NAME), history.ref.to_bytes())
    copies = Recording(place.inner)
    found = Refs(place, copies=copies).ask(NAME, lambda history: history.latest() if history else None)
    assert found == (ONE, entry_of("one"))
    assert place.calls == [f"get {ref_key(NAME)}"]
    assert copies.calls == [f"get {history.ref.older[0].key}"]


def test_a_name_that_goes_while_it_is_asked_for_lives_not() -> None:
    """Between the look at its ref and the question to its history."""

    class Going(Recording):
        def get(
            self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None
        ) -> Object:
            if self.calls:
                raise NotFound(key)
            return super().get(key, start, stop, held=held)

    place = MemoryBackend()
    assert Refs(place).lives(NAME) is False
    place.create(ref_key(NAME), Ref.empty(NAME, WRITE).to_bytes())
    assert Refs(place).lives(NAME) is False
    assert Refs(Going(place)).lives(NAME) is False
    save(Refs(place))
    assert Refs(place).lives(NAME) is True
