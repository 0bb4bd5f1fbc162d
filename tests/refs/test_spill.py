"""Long histories: old records move to segments, and nobody who asks can tell."""

from __future__ import annotations

import math
import pickle
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.exceptions import CorruptError, ObjectNotFoundError
from casreg.keys import ref_key
from casreg.refs import spill
from casreg.refs.commit import Refs
from casreg.refs.document import Ref
from casreg.refs.entries import Entry, Record, Tombstone
from casreg.refs.history import History
from casreg.refs.segments import Segment, SegmentGone, SegmentReader, older_row, segment_bytes
from casreg.versions import Version, parse_selector
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

if TYPE_CHECKING:
    from casreg.refs.commit import Attempt, Removal

# The segment


def some_records() -> dict[Version, Record]:
    """A record of each kind."""
    dead = Tombstone(entry_of("dead"), LATER)
    return {
        v("1.0.10"): Record(entry_of("1.0.10")),
        v("1.0.9"): Record(replace(entry_of("1.0.9"), notes={"ü": [1]}), (dead,), partial=True),
        v("2.0.0-rc.1"): Record(None, (dead, dead)),
        v("2.0.0"): Record(),
    }


def test_a_segment_comes_back_as_it_was_written() -> None:
    """All records of a segment survive, ascending, and each is found on its own."""
    records = some_records()
    segment = Segment(segment_bytes(records, bytes(16)), "test")
    assert list(segment.records()) == sorted(records.items(), key=lambda item: item[0])
    assert {version: segment.record(version) for version in records} == records
    assert [segment.record(v(text)) for text in ("0.1.0", "1.0.11", "3.0.0")] == [None, None, None]


def test_the_nonce_names_another_file() -> None:
    """The same records written twice are two files, so that no name is ever used again."""
    records = some_records()
    first, second = segment_bytes(records, b"a" * 16), segment_bytes(records, b"b" * 16)
    assert digest_of(first) != digest_of(second)
    assert first.startswith(b"casreg-segment 1 history " + b"61" * 16 + b"\n")


def test_the_row_of_older_describes_the_file() -> None:
    """Who has the row knows whether reading the segment can be worth it."""
    records = some_records()
    data = segment_bytes(records, bytes(16))
    row = older_row(records, data)
    assert (row.digest, row.size, row.count) == (digest_of(data), len(data), 4)
    assert (row.lowest, row.highest, row.highest_live) == (v("1.0.9"), v("2.0.0"), v("1.0.10"))
    assert older_row({v("1"): Record()}, data).highest_live is None


def test_unknown_fields_of_entries_survive_in_segments() -> None:
    """What a later casreg puts into an entry is still there after a spill and a merge."""
    record = Record(replace(entry_of("1.0.0"), extra={"future": [1]}))
    segment = Segment(segment_bytes({v("1"): record}, bytes(16)), "test")
    assert segment.record(v("1")) == record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"casreg-segment 1 names " + b"61" * 16 + b"\n",
        b"casreg-segment 1 history " + b"61" * 15 + b"\n",
        b"casreg-segment 1 history " + b"61" * 16 + b'\n{"version":"1.0.0"}',
    ],
)
def test_what_is_no_segment_is_refused(data: bytes) -> None:
    """A file that is not a segment of history, though its digest is right, is damage."""
    with pytest.raises(CorruptError, match="the file is damaged"):
        Segment(data, "the file")


@pytest.mark.parametrize(
    "lines",
    [
        b"{}\n",
        b"no json\n",
        b'{"version":"1.0"}\n',
        b'{"version":"1.0.0","dead":{}}\n',
        b'{"version":"1.0.0","live":{}}\n',
        b'{"version":"1.0.0","partial":1}\n',
        b'{"version":"1.0.1"}\n{"version":"1.0.0"}\n',
        b'{"version":"1.0.0"}\n{"version":"1.0.0"}\n',
    ],
)
def test_lines_that_no_writer_writes_are_refused(lines: bytes) -> None:
    """A line that is not a record, or not in order, is damage that is named."""
    segment = Segment(b"casreg-segment 1 history " + b"61" * 16 + b"\n" + lines, "the file")
    with pytest.raises(CorruptError, match="the file"):
        list(segment.records())


# Reading segments


def stored(records: dict[Version, Record]) -> tuple[Recording, History]:
    """A history whose records are all in one segment, and the backend that has it."""
    backend = Recording(MemoryBackend())
    data = segment_bytes(records, bytes(16))
    row = older_row(records, data)
    backend.inner.create(row.key, data)
    return backend, History(replace(Ref.empty(NAME, WRITE), older=(row,)), SegmentReader(backend))


def test_a_segment_is_read_once() -> None:
    """Segments never change, so each is read from the storage once and kept."""
    backend, history = stored({v("1.0.0"): Record(entry_of("1.0.0"))})
    assert history.entry(v("1.0.0")) == entry_of("1.0.0")
    assert history.latest() == (v("1.0.0"), entry_of("1.0.0"))
    assert backend.calls == [f"get {history.ref.older[0].key}"]


def test_what_is_kept_is_bounded() -> None:
    """The reader forgets the segments used longest ago when they are larger than its bound."""
    backend = Recording(MemoryBackend())
    rows = []
    for number in range(4):
        records = {v(f"{number}.0.0"): Record(entry_of(str(number)))}
        data = segment_bytes(records, bytes([number] * 16))
        rows.append(older_row(records, data))
        backend.inner.create(rows[-1].key, data)
    reader = SegmentReader(backend, cache_bytes=2 * rows[0].size + 10)
    for number in (0, 1, 0, 2, 0, 1, 3):
        reader.read(rows[number], NAME)
    assert [rows.index(row) for call in backend.calls for row in rows if row.key in call] == [0, 1, 2, 1, 3]


def test_a_reader_pickles_without_what_it_keeps() -> None:
    """A reader survives being sent to another process; what it had read is read again there."""
    backend = MemoryBackend("pickled-reader")
    records = some_records()
    data = segment_bytes(records, bytes(16))
    backend.create(older_row(records, data).key, data)
    reader = SegmentReader(backend)
    reader.read(older_row(records, data), NAME)
    copy = pickle.loads(pickle.dumps(reader))
    assert copy._cache == {}
    assert len(copy.read(older_row(records, data), NAME)) == 4


def test_every_flipped_byte_of_a_segment_is_found() -> None:
    """A damaged segment is an error that names its key, and what does not need it still works."""
    records = {v("1.0.0"): Record(entry_of("1.0.0"))}
    data = segment_bytes(records, bytes(16))
    row = older_row(records, data)
    for i in range(len(data)):
        backend = MemoryBackend()
        backend.create(row.key, data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        ref = replace(Ref.empty(NAME, WRITE), older=(row,), records={v("1.0.1"): Record(entry_of("1.0.1"))})
        history = History(ref, SegmentReader(backend))
        with pytest.raises(CorruptError, match=row.key):
            history.entry(v("1.0.0"))
        assert history.latest() == (v("1.0.1"), entry_of("1.0.1"))


def test_a_missing_segment_is_named() -> None:
    """A history whose segment is gone says which, and of which name."""
    row = older_row(some_records(), b"never written")
    history = History(replace(Ref.empty(NAME, WRITE), older=(row,)), SegmentReader(MemoryBackend()))
    with pytest.raises(SegmentGone, match=f"{row.key} is missing .* {NAME}"):
        history.live()


def test_a_count_that_differs_is_found() -> None:
    """The row of older and the segment must agree on how many records there are."""
    _, history = stored(some_records())
    wrong = replace(history.ref.older[0], count=3)
    with pytest.raises(CorruptError, match="4 records"):
        History(replace(history.ref, older=(wrong,)), history.segments).live()


# Shadowing


@pytest.mark.parametrize(
    ("text", "found"),
    [("^1.0", "1.0.5"), ("<1.0.5", "1.0.2"), ("<1.0.2", "1.0.1"), ("^2.0", "2.0.0"), ("*", "2.0.0")],
)
def test_a_range_counts_what_is_in_segments(text: str, found: str) -> None:
    """The highest match is found wherever it is: inline, or in a segment although an inline one matches too."""
    _, history = stored({v("1.0.1"): Record(entry_of("1.0.1")), v("1.0.5"): Record(entry_of("1.0.5"))})
    history = history.with_version(v("1.0.2"), entry_of("1.0.2")).with_version(v("2.0.0"), entry_of("2.0.0"))
    assert history.select(parse_selector(text)) == (v(found), entry_of(found))
    with pytest.raises(ObjectNotFoundError, match=r"1\.0\.1, 1\.0\.2, 1\.0\.5, 2\.0\.0"):
        history.select(parse_selector("^3.0"))


def test_a_record_inline_hides_older_ones() -> None:
    """What the ref itself says about a version is all there is."""
    _, history = stored({v("1.0.0"): Record(entry_of("old"), (Tombstone(entry_of("older"), TIME),))})
    ref = replace(history.ref, records={v("1.0.0"): Record(entry_of("new"))})
    assert History(ref, history.segments).record(v("1.0.0")) == Record(entry_of("new"))
    assert History(ref, history.segments).records() == {v("1.0.0"): Record(entry_of("new"))}


def test_a_partial_record_adds_to_older_tombstones() -> None:
    """A partial record's live part stands alone, its tombstones come after the older ones."""
    one, two = Tombstone(entry_of("one"), TIME), Tombstone(entry_of("two"), LATER)
    _, history = stored({v("1.0.0"): Record(entry_of("old"), (one,))})
    ref = replace(history.ref, records={v("1.0.0"): Record(None, (two,), partial=True)})
    after = History(ref, history.segments)
    assert after.record(v("1.0.0")) == Record(None, (one, two))
    assert after.entry(v("1.0.0")) is None
    assert after.live() == []


def test_changing_a_spilled_version_keeps_its_tombstones() -> None:
    """Overwriting, deleting, annotating and undeleting what is in a segment leaves the tombstones there in force."""
    gone, old = Tombstone(entry_of("gone"), TIME), entry_of("old")
    _, history = stored({v("1.0.0"): Record(old, (gone,)), v("1.0.1"): Record(None, (gone,))})
    first = v("1.0.0")
    overwritten = history.with_version(first, entry_of("new")).record(first)
    deleted = history.without_version(first, LATER)
    annotated = history.with_notes(first, {"a": 1}).record(first)
    assert overwritten == Record(entry_of("new"), (gone, Tombstone(old, TIME)))
    assert deleted.record(first) == Record(None, (gone, Tombstone(old, LATER)))
    assert annotated == Record(replace(old, notes={"a": 1}), (gone,))
    assert deleted.undeleted(first).record(first) == Record(old, (gone,))
    assert history.undeleted(v("1.0.1")).record(v("1.0.1")) == Record(gone.entry)


def test_a_deleted_version_in_a_segment_stays_used() -> None:
    """The number of a version that was deleted and spilled is not given again."""
    _, history = stored({v("1.0.1"): Record(None, (Tombstone(entry_of("x"), TIME),)), v("1.0.2"): Record()})
    history = history.with_version(v("1.0.0"), entry_of("1.0.0"))
    assert history.next_version() == v("1.0.3")


def test_latest_reads_a_segment_only_if_it_may_hold_a_higher_one() -> None:
    """The highest live version of each segment is known without reading it; dead ones do not count."""
    records = {v("1.0.5"): Record(entry_of("1.0.5")), v("1.0.9"): Record()}
    backend, history = stored(records)
    above = history.with_version(v("1.0.6"), entry_of("1.0.6"))
    assert above.latest() == (v("1.0.6"), entry_of("1.0.6"))
    below = replace(history, ref=replace(history.ref, records={v("1.0.4"): Record(entry_of("1.0.4"))}))
    backend.calls.clear()
    history = replace(below, segments=SegmentReader(backend))
    assert history.latest() == (v("1.0.5"), entry_of("1.0.5"))
    assert len(backend.calls) == 1


# Against a model


@dataclass
class Model:
    """What a history should say: plain dicts."""

    live: dict[Version, Entry] = field(default_factory=dict)
    dead: defaultdict[Version, list[Tombstone]] = field(default_factory=lambda: defaultdict(list))
    tags: dict[str, Version] = field(default_factory=dict)


SMALL_LIMIT = 6_000
VERSIONS = st.builds(
    Version, st.integers(0, 2), st.integers(0, 2), st.integers(0, 3), st.sampled_from([(), (), ("rc", "1")])
)


class LongHistory(RuleBasedStateMachine):
    """Random changes, each committed, on a ref that spills after a dozen entries, compared with plain dicts."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(spill, "INLINE_LIMIT", SMALL_LIMIT)
        self.patch.setattr(spill, "_LEAST_ROOM", 1_000)
        self.backend = MemoryBackend()
        self.refs = Refs(self.backend, pace=FakeTime().pace())
        self.model = Model()
        self.saves = 0

    def teardown(self) -> None:
        self.patch.undo()

    def keep(self, version: Version, entry: Entry) -> None:
        before = self.model.live.get(version)
        if before:
            self.model.dead[version].append(Tombstone(before, entry.created))
        self.model.live[version] = entry

    @initialize()
    def first(self) -> None:
        self.save_many(8)

    @rule(count=st.integers(1, 9))
    def save_many(self, count: int) -> None:
        """Save with automatic numbers."""

        def change(attempt: Attempt) -> History:
            history = attempt.history
            for _ in range(count):
                self.saves += 1
                version = history.next_version()
                assert version not in self.model.live
                assert version not in self.model.dead
                entry = entry_of(f"save {self.saves}", attempt.write)
                history = history.with_version(version, entry)
                self.keep(version, entry)
            return history

        self.refs.commit(NAME, change)

    @rule(data=st.data())
    def save_one(self, data: st.DataObject) -> None:
        """Save under a given number, over whatever is or was there."""
        used = sorted({*self.model.live, *self.model.dead})
        version = data.draw(st.one_of(VERSIONS, st.sampled_from(used)))

        def change(attempt: Attempt) -> History:
            self.saves += 1
            entry = entry_of(f"save {self.saves}", attempt.write)
            self.keep(version, entry)
            return attempt.history.with_version(version, entry)

        self.refs.commit(NAME, change)

    @rule(data=st.data())
    def delete_some(self, data: st.DataObject) -> None:
        """Delete what lives."""
        if not self.model.live:
            return
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.model.live)), unique=True, max_size=6))

        def change(removal: Removal) -> History:
            history = removal.history
            for version in chosen:
                history = history.without_version(version, LATER)
            return history

        self.refs.remove(NAME, change)
        for version in chosen:
            self.model.dead[version].append(Tombstone(self.model.live.pop(version), LATER))
        self.model.tags = {tag: target for tag, target in self.model.tags.items() if target not in chosen}

    @rule(data=st.data())
    def undelete_one(self, data: st.DataObject) -> None:
        """Bring back what is dead."""
        dead = [v for v, tombstones in self.model.dead.items() if tombstones and v not in self.model.live]
        if not dead:
            return
        version = data.draw(st.sampled_from(sorted(dead)))
        self.refs.commit(NAME, lambda attempt: attempt.history.undeleted(version))
        self.model.live[version] = self.model.dead[version].pop().entry

    @rule(data=st.data())
    def annotate_one(self, data: st.DataObject) -> None:
        """Change notes of anything, spilled or not."""
        if not self.model.live:
            return
        version = data.draw(st.sampled_from(sorted(self.model.live)))
        notes = {"n": self.saves, "text": "x" * data.draw(st.integers(0, 300))}
        self.refs.remove(NAME, lambda removal: removal.history.with_notes(version, notes))
        self.model.live[version] = replace(self.model.live[version], notes=notes)

    @rule(data=st.data(), tag=st.sampled_from(["prod", "test"]))
    def tag_one(self, data: st.DataObject, tag: str) -> None:
        """Move a tag to anything that lives."""
        if not self.model.live:
            return
        version = data.draw(st.sampled_from(sorted(self.model.live)))
        self.refs.commit(NAME, lambda attempt: attempt.history.with_tag(tag, version))
        self.model.tags[tag] = version

    @invariant()
    def says_the_same(self) -> None:
        """A fresh reader finds exactly what the model has."""
        held = Refs(self.backend).read(NAME)
        if held is None:
            assert self.saves == 0
            return
        history, model = held.history, self.model
        assert history.live() == sorted(model.live.items(), key=lambda item: item[0])
        used = {*model.live, *model.dead}
        records = history.records()
        assert set(records) == used
        for version in used:
            expected = Record(model.live.get(version), tuple(model.dead.get(version, ())))
            found = history.record(version)
            assert found is not None
            assert replace(found, partial=False) == expected
            assert replace(records[version], partial=False) == expected
            assert history.entry(version) == expected.live
            assert history.used(version)
        assert not history.used(v("7.7.7"))
        top = max(model.live, default=None)
        assert history.latest() == (None if top is None else (top, model.live[top]))
        assert {tag: history.select(parse_selector(tag))[0] for tag in history.ref.tags} == model.tags

    @invariant()
    def stays_small(self) -> None:
        """The inline part stays below its limit, and segments stay few."""
        data = self.backend.get(ref_key(NAME)).data if self.saves else b""
        assert len(data) <= SMALL_LIMIT + 2_500, "one write may add more than there is room for, no more"
        rows = Refs(self.backend).read(NAME).history.ref.older if data else ()  # type: ignore[union-attr]
        assert all(later.count * 2 < earlier.count for earlier, later in pairwise(rows))


TestLongHistory = LongHistory.TestCase
TestLongHistory.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)


# Ten thousand versions


def batch(count: int) -> object:
    """A change that adds so many versions at once."""

    def change(attempt: Attempt) -> History:
        history = attempt.history
        latest = history.latest()
        patch = latest[0].patch + 1 if latest else 0
        for number in range(patch, patch + count):
            history = history.with_version(Version(1, 0, number), entry_of(str(number), attempt.write))
        return history

    return change


@pytest.fixture(scope="module")
def long_backend() -> MemoryBackend:
    """A repository where one name has 9,990 versions, saved in groups so that it does not take all day."""
    backend = MemoryBackend()
    refs = Refs(backend)
    for _ in range(333):
        refs.commit(NAME, batch(30))  # type: ignore[arg-type]
        assert len(backend.get(ref_key(NAME)).data) <= spill.INLINE_LIMIT
    return backend


def test_save_number_ten_thousand_asks_little(long_backend: MemoryBackend) -> None:
    """A save to a long history asks the storage three times, as the second save did: ref, head, swap."""
    recording = Recording(long_backend)
    version, _ = save(Refs(recording))
    assert version == "1.0.9990"
    assert recording.calls == [f"get {ref_key(NAME)}", "get gc/head", f"swap {ref_key(NAME)}"]


def test_segments_of_a_long_history_are_few(long_backend: MemoryBackend) -> None:
    """Ten thousand versions are in a logarithmic number of segments, and the ref stays below its limit."""
    held = Refs(long_backend).read(NAME)
    assert held is not None
    rows = held.history.ref.older
    assert 1 <= len(rows) <= math.log2(10_000 / 80) + 1
    assert len(long_backend.get(ref_key(NAME)).data) <= spill.INLINE_LIMIT
    assert len(held.history.live()) >= 9_990


def test_latest_of_a_long_history_reads_the_ref_alone(long_backend: MemoryBackend) -> None:
    """latest, and a range that means something recent, are answered by the ref."""
    recording = Recording(long_backend)
    refs = Refs(recording)
    top = refs.ask(NAME, lambda history: history.latest() if history else None)
    again = refs.ask(NAME, lambda history: history.select(parse_selector("^1.0")) if history else None)
    assert top is not None
    assert top == again
    assert recording.calls == [f"get {ref_key(NAME)}"] * 2


def test_an_old_version_reads_one_segment(long_backend: MemoryBackend) -> None:
    """An old version is found with one more request, by the bounds of the segments."""
    recording = Recording(long_backend)
    refs = Refs(recording)
    found = refs.ask(NAME, lambda history: history.entry(v("1.0.17")) if history else None)
    assert found is not None
    assert found.data == entry_of("17").data
    assert len(recording.calls) == 2


def test_saves_that_spill_stay_cheap_on_average() -> None:
    """Over 400 commits of five versions, fewer than four requests each are made, merges and spills included."""
    recording = Recording(MemoryBackend())
    refs = Refs(recording)
    refs.commit(NAME, batch(30))  # type: ignore[arg-type]
    recording.calls.clear()
    for _ in range(400):
        refs.commit(NAME, batch(5))  # type: ignore[arg-type]
    assert len(recording.calls) < 4 * 400


# Odd shapes


def test_a_name_that_is_overwritten_for_ever_stays_small() -> None:
    """A single version that is saved again and again keeps its tombstones in segments, not in the ref."""
    backend = MemoryBackend()
    refs = Refs(backend, pace=FakeTime().pace())
    for _ in range(400):
        save(refs, "1.0.0")
    assert len(backend.get(ref_key(NAME)).data) <= spill.INLINE_LIMIT
    held = Refs(backend).read(NAME)
    assert held is not None
    record = held.history.record(v("1.0.0"))
    assert record is not None
    assert len(record.dead) == 399
    assert len({tombstone.entry.write for tombstone in record.dead}) == 399
    assert len(held.history.ref.older) <= 1


def test_the_highest_live_version_never_spills() -> None:
    """Even where notes fill the ref, the latest version stays inline, and nothing is spilled for nothing."""
    backend = Recording(MemoryBackend())
    refs = Refs(backend, pace=FakeTime().pace())
    save(refs)
    refs.remove(NAME, lambda removal: removal.history.with_notes(v("1.0.0"), {"text": "x" * 100_000}))
    assert not [call for call in backend.calls if "segments/" in call]
    save(refs)
    assert len([call for call in backend.calls if call.startswith("create segments/")]) == 1
    backend.calls.clear()
    for _ in range(10):
        save(refs)
    assert not [call for call in backend.calls if "segments/" in call]


def test_many_tags_do_not_make_every_save_spill() -> None:
    """Tags cannot spill; a ref full of them still spills its records in groups."""
    backend = Recording(MemoryBackend())
    refs = Refs(backend, pace=FakeTime().pace())
    save(refs)

    def tag_all(attempt: Attempt) -> History:
        history = attempt.history
        tags = {f"t{number}": (v("1.0.0"), entry_of("x").manifest) for number in range(900)}
        return replace(history, ref=replace(history.ref, tags=tags))

    refs.commit(NAME, tag_all)
    for _ in range(120):
        save(refs)
    spills = [call for call in backend.calls if call.startswith("create segments/")]
    assert 2 <= len(spills) <= 16


def test_deleting_can_spill_and_is_then_a_full_writer() -> None:
    """A deletion that has to spill adds a name: it reads the head after the ref, and stamps."""
    backend = Recording(MemoryBackend())
    refs = Refs(backend, pace=FakeTime().pace())
    save(refs)
    refs.commit(NAME, batch(20))  # type: ignore[arg-type]
    room = spill.INLINE_LIMIT - len(backend.inner.get(ref_key(NAME)).data)
    notes = {"text": "x" * (room - 90)}  # with them and the write's id nearly nothing is left
    refs.remove(NAME, lambda removal: removal.history.with_notes(v("1.0.9"), notes))
    assert len(backend.inner.get(ref_key(NAME)).data) <= spill.INLINE_LIMIT
    backend.calls.clear()
    delete(refs, "1.0.5")
    key = ref_key(NAME)
    assert [call.split("/")[0] for call in backend.calls] == [
        "get refs",
        "get gc",
        "create segments",
        "swap refs",
    ]
    assert backend.calls[0] == f"get {key}"


def test_deleting_in_a_segment_reads_no_head() -> None:
    """Deleting a spilled version brings its record inline; the stamp and the head play no part."""
    backend = Recording(MemoryBackend())
    refs = Refs(backend, pace=FakeTime().pace())
    refs.commit(NAME, batch(400))  # type: ignore[arg-type]
    backend.calls.clear()
    delete(refs, "1.0.3")
    assert "get gc/head" not in backend.calls
    with pytest.raises(ObjectNotFoundError):
        delete(refs, "1.0.3")


def test_the_dead_spill_before_the_living(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody loads goes first: tombstones, also of a version that lives; then the lowest living versions."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 2_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    history = history_of(*(f"1.0.{patch}" for patch in range(4)), "9.0.0")
    history = history.without_version(v("9.0.0"), LATER).with_version(v("1.0.3"), entry_of("new"))
    moved = spill.overflow(history.ref, len(history.ref.to_bytes()))
    assert list(moved.items()) == [
        (v("1.0.3"), Record(None, (Tombstone(entry_of("1.0.3"), TIME),))),
        (v("9.0.0"), Record(None, (Tombstone(entry_of("9.0.0"), LATER),))),
        (v("1.0.0"), Record(entry_of("1.0.0"))),
        (v("1.0.1"), Record(entry_of("1.0.1"))),
    ]


def test_small_histories_do_not_spill() -> None:
    """Below the limit nothing moves."""
    assert spill.overflow(history_of("1.0.0").ref, 1_000) == {}
    assert spill.overflow(empty_history().ref, 100_000) == {}
