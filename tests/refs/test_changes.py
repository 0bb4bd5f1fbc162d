"""Changes of a history, to the letter: what they touch and, above all, what they leave as it was."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from casreg.backends.base import Token, Traits
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    CommitConflictError,
    CommitUnknownError,
    Conflict,
    CorruptError,
    InvalidArgumentError,
    NotFound,
    ObjectNotFoundError,
    StoragePermissionError,
    StorageUnavailableError,
)
from casreg.keys import ref_key
from casreg.refs import spill
from casreg.refs.commit import Refs
from casreg.refs.document import Ref
from casreg.refs.entries import Record, Tombstone
from casreg.refs.landing import Held, Write
from casreg.refs.pace import PACE, pace_for
from casreg.refs.segments import SegmentGone
from casreg.versions import parse_selector
from refs.lab import (
    LATER,
    NAME,
    TIME,
    WRITE,
    FakeTime,
    Recording,
    delete,
    empty_history,
    entry_of,
    history_of,
    save,
    v,
)
from refs.test_commit import Rival, mine
from refs.test_segments import layers, tombstone

if TYPE_CHECKING:
    from typing_extensions import Buffer

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
        self.time = FakeTime(now=1_000.0)
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


class Blind(Recording):
    """Every `create` of such a key fails, and there is nothing to read."""

    def __init__(self, inner: MemoryBackend, prefix: str) -> None:
        super().__init__(inner)
        self.prefix = prefix
        self.refused: list[str] = []

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        if not key.startswith(self.prefix):
            return super().create(key, data, durable=durable)
        self.refused.append(key)
        raise StorageUnavailableError(f"number {len(self.refused)}")


@pytest.mark.parametrize("prefix", ["refs/", "segments/"])
def test_creating_is_tried_four_times(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With longer waits each time, an empty ref as well as a segment; then the storage's own error comes out."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 2_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    place = MemoryBackend()
    if prefix == "segments/":
        for _ in range(3):
            save(Refs(place))
    waits: list[float] = []

    def uniform(_: float, high: float) -> float:
        waits.append(high)
        return 0.0

    def fill() -> None:
        refs = Refs(blind, pace=replace(FakeTime().pace(), uniform=uniform))
        for _ in range(20):
            save(refs)

    blind = Blind(place, prefix)
    with pytest.raises(StorageUnavailableError, match="number 4"):
        fill()
    assert len(blind.refused) == 4
    assert len(set(blind.refused)) == (1 if prefix == "refs/" else 4)
    assert waits == [0.02, 0.04, 0.08, 0.16]


def test_a_ref_that_is_there_is_not_created_again() -> None:
    """A storage that only says conflict is read after each round; creating would be a request in vain."""

    class Stubborn(Recording):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            raise Conflict("on purpose")

    backend = Stubborn(MemoryBackend())
    with pytest.raises(CommitConflictError):
        save(Refs(backend, pace=FakeTime().pace()))
    assert [call for call in backend.calls if call.startswith("create")] == [
        f"create-lightly {ref_key(NAME)}"
    ]


def test_a_ref_of_segments_alone_that_goes_is_damage() -> None:
    """Nothing stands in it inline, and yet it said something: it is not begun anew."""

    class Losing(Recording):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            self.inner.delete([key])
            raise Conflict("on purpose")

    backend, history = layers({ONE: Record()}, {})
    backend.inner.create(ref_key(NAME), history.ref.to_bytes())
    with pytest.raises(CorruptError, match=r"refs/my_model .* has gone; nothing was committed"):
        save(Refs(Losing(backend.inner), pace=FakeTime().pace()))


def test_a_ref_that_goes_with_its_segment_is_damage() -> None:
    """A segment that is missing is looked for in the ref as it is now; there is none."""

    class Going(Recording):
        def get(
            self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None
        ) -> Object:
            if self.calls:
                raise NotFound(key)
            return super().get(key, start, stop, held=held)

    def question(_: History | None) -> None:
        raise SegmentGone("segments/x is missing")

    place = MemoryBackend()
    save(Refs(place))
    with pytest.raises(CorruptError, match=r"^segments/x is missing; restore it from another copy"):
        Refs(Going(place)).ask(NAME, question)


# Landing

MINE = "f" * 32


def write_of(history: History) -> Write:
    """A write that made `history`, under the id `MINE`."""
    return Write(
        Held(empty_history(), Token("before")), replace(history.ref, write=MINE, recent=(MINE,)), b""
    )


def test_a_write_is_in_the_ref_that_it_wrote() -> None:
    """By the id of the ref, or among the recent ones, or not."""
    write = write_of(empty_history())
    empty = empty_history()
    for ref, there in (
        (replace(empty.ref, write=MINE, recent=()), True),
        (replace(empty.ref, recent=(MINE, WRITE)), True),
        (empty.ref, False),
    ):
        assert write.is_in(replace(empty, ref=ref)) is there


def test_a_write_is_known_by_its_entry_alive_or_dead() -> None:
    """When the ids are forgotten, the entry that it made still has its id; wherever that is."""
    entry = entry_of("1.0.0", MINE)
    write = write_of(empty_history().with_version(ONE, entry))
    for record, there in (
        (Record(entry), True),
        (Record(None, (Tombstone(entry, LATER),)), True),
        (Record(entry_of("1.0.0"), (tombstone("x"), Tombstone(entry, LATER))), True),
        (Record(entry_of("1.0.0"), (tombstone("x"),)), False),
        (Record(None, (tombstone("x"),)), False),
        (Record(), False),
    ):
        _, spilled = layers({ONE: record}, {})
        for history in (spilled, layers({ONE: record})[1]):
            assert write.is_in(history) is there
    assert write.is_in(empty_history()) is False


def test_only_what_a_write_made_is_looked_up() -> None:
    """No segment is read for the entries of others that were inline when it wrote."""
    write = write_of(history_of("1.0.0").without_version(ONE, LATER).with_version(TWO, entry_of("2.0.0")))
    backend, history = layers({ONE: Record(), TWO: Record(entry_of("2.0.0"))}, {})
    assert write.is_in(history) is False
    assert backend.calls == []


class Silent(Recording):
    """Each swap fails and tells nothing; reading fails too, after so many seconds, if it shall."""

    def __init__(self, time: FakeTime, seconds: float | None) -> None:
        super().__init__(MemoryBackend())
        self.time = time
        self.seconds = seconds
        self.sent = 0
        self.failed = 0

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        self.sent += 1
        raise StorageUnavailableError("on purpose")

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        if self.sent and self.seconds is not None:
            self.failed += 1
            self.time.now += self.seconds
            raise StorageUnavailableError("on purpose")
        return super().get(key, start, stop, held=held)


def test_between_two_sendings_a_writer_waits() -> None:
    """Longer each time, as between attempts, while reading back tells that nothing has landed."""
    time = FakeTime()
    backend = Silent(time, None)
    with pytest.raises(CommitUnknownError):
        save(Refs(backend, pace=replace(time.pace(), uniform=lambda _, high: high)))
    assert backend.sent == 8
    assert time.waits == [0.02 * 2**n for n in range(8)]


@pytest.mark.parametrize(("seconds", "readings"), [(0.0, 10), (30.0, 3), (31.0, 2), (61.0, 1)])
def test_reading_back_ends_after_budget_or_readings(seconds: float, readings: int) -> None:
    """The budget must be over, not just reached; and nobody waits after the last reading."""
    time = FakeTime(now=1_000.0)
    backend = Silent(time, seconds)
    with pytest.raises(CommitUnknownError):
        save(Refs(backend, pace=replace(time.pace(), uniform=lambda low, _: low)))
    assert (backend.failed, len(time.waits)) == (readings, readings - 1)


@pytest.mark.parametrize("prefix", ["refs/", "segments/"])
def test_a_refusal_to_create_is_said_at_once(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sending it again would not change it."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 2_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)

    class Refusing(Recording):
        def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
            if not key.startswith(prefix):
                return super().create(key, data, durable=durable)
            self.calls.append(f"refused {key}")
            raise StoragePermissionError("on purpose")

    def fill() -> None:
        for _ in range(20):
            save(Refs(backend, pace=FakeTime().pace()))

    place = MemoryBackend()
    if prefix == "segments/":
        save(Refs(place))
    backend = Refusing(place)
    with pytest.raises(StoragePermissionError, match="on purpose"):
        fill()
    assert len([call for call in backend.calls if call.startswith("refused")]) == 1


def test_a_removal_does_not_touch_segments() -> None:
    """Nor does it bring back what was never there."""
    place, history = layers({ONE: Record(entry_of("one"))}, {TWO: Record(entry_of("two"))})
    place.inner.create(ref_key(NAME), history.ref.to_bytes())
    refs = Refs(place, pace=FakeTime().pace())
    with pytest.raises(InvalidArgumentError, match="adds files to its ref"):
        refs.remove(
            NAME, lambda removal: replace(removal.history, ref=replace(removal.history.ref, older=()))
        )
    made_up = {**history.ref.records, v("3.0.0"): Record(None, (tombstone("never"),))}
    with pytest.raises(InvalidArgumentError, match="adds files to its ref"):
        refs.remove(NAME, lambda removal: replace(removal.history, ref=replace(history.ref, records=made_up)))


def test_to_see_that_a_removal_adds_nothing_reads_no_segment() -> None:
    """Neither for what it leaves as it was, nor for what it changes and leaves no tombstone of."""
    below = {ONE: Record(None, (tombstone("a"),)), TWO: Record(None, (tombstone("b"),))}
    inline = {
        ONE: Record(entry_of("one"), (), partial=True),
        TWO: Record(None, (tombstone("c"),), partial=True),
    }
    place, history = layers(below, inline)
    place.inner.create(ref_key(NAME), history.ref.to_bytes())
    refs = Refs(place, pace=FakeTime().pace())
    refs.remove(NAME, lambda removal: removal.history.with_notes(ONE, {"good": True}))
    assert place.calls == [f"get {ref_key(NAME)}", f"swap {ref_key(NAME)}"]


def test_what_was_overwritten_can_be_deleted() -> None:
    """The tombstones that a version has already are no files that a removal adds."""
    refs = Refs(MemoryBackend(), pace=FakeTime().pace())
    save(refs, "1.0.0")
    save(refs, "1.0.0")
    history = delete(refs, "1.0.0").history
    record = history.record(ONE)
    assert record is not None
    assert (record.live, len(record.dead)) == (None, 2)


def test_a_place_says_how_seldom_it_can_be_written() -> None:
    """The pace waits at least so long; a place that says nothing, or less, gets the pace of all."""

    class Slow(MemoryBackend):
        traits = Traits(swap_seconds=1.0)

    class Quick(MemoryBackend):
        traits = Traits(swap_seconds=PACE.base)

    assert pace_for(Slow()) == replace(PACE, base=1.0)
    assert pace_for(Quick()) is PACE
    assert pace_for(MemoryBackend()) is PACE


def test_what_is_missing_is_told_in_order_and_shortly() -> None:
    """Tags by name; up to eight versions all, of more the last eight and how many there are besides."""
    eight = [f"1.0.{n}" for n in range(8)]
    with pytest.raises(ObjectNotFoundError, match=r"it has no tags$"):
        history_of("1.0.0").select(parse_selector("prod"))
    tagged = history_of("1.0.0").with_tag("b", ONE).with_tag("a", ONE)
    with pytest.raises(ObjectNotFoundError, match=r"its tags are a, b$"):
        tagged.select(parse_selector("prod"))
    with pytest.raises(ObjectNotFoundError, match=f"there are {', '.join(eight)}$"):
        history_of(*eight).select(parse_selector("9.0.0"))
    with pytest.raises(
        ObjectNotFoundError, match=f"there are {', '.join([*eight[1:], '1.0.8'])} and 1 more$"
    ):
        history_of(*eight, "1.0.8").select(parse_selector("9.0.0"))
