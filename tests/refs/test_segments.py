"""Segments of history to the letter: what is kept, what is read, and what the error about a wrong one says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, InvalidMetadataError, UnsupportedFormatError
from casreg.refs.document import OlderSegment, Ref
from casreg.refs.entries import Record, Tombstone
from casreg.refs.history import History
from casreg.refs.segments import CACHE_BYTES, Segment, SegmentReader, older_row, segment_bytes
from casreg.versions import Version, parse_selector
from refs.lab import LATER, NAME, TIME, WRITE, Recording, entry_of, v

HEADER = b"casreg-segment 1 history " + b"61" * 16 + b"\n"


def layers(*parts: dict[Version, Record]) -> tuple[Recording, History]:
    """A history of segments, the oldest first; the last part stands in the ref itself."""
    backend, rows = Recording(MemoryBackend()), []
    for number, records in enumerate(parts[:-1]):
        data = segment_bytes(records, bytes([number] * 16))
        rows.append(older_row(records, data))
        backend.inner.create(rows[-1].key, data)
    ref = replace(Ref.empty(NAME, WRITE), older=tuple(rows), records=parts[-1])
    return backend, History(ref, SegmentReader(backend))


def tombstone(seed: str) -> Tombstone:
    """What a version was, told apart by `seed`."""
    return Tombstone(entry_of(seed), TIME)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"[]", "the file is damaged: 'record' is not an object: []"),
        (b"no json", "the file is damaged: a line is no strict JSON ("),
        (b'{"version":1}', "the file is damaged: not a version: 1"),
        (b'{"version":"1.0.0","dead":{}}', "the file, version 1.0.0, is damaged: 'dead' is not an array: {}"),
        (b'{"version":"1.0.0","live":[]}', "the file, version 1.0.0, is damaged: 'live' is not an object"),
        (b'{"version":"1.0.0","partial":1}', "version 1.0.0, is damaged: 'partial' is not true or false: 1"),
        (b'{"version":"1.0.0"}\n{"version":"1.0.0"}', "the file is damaged: 1.0.0 does not come after 1.0.0"),
    ],
)
def test_the_error_about_a_line_says_what_is_wrong(line: bytes, said: str) -> None:
    """Which file, which version, which field."""
    with pytest.raises(CorruptError) as caught:
        list(Segment(HEADER + line + b"\n", "the file").records())
    assert said in str(caught.value)


def test_partial_may_be_false() -> None:
    """Who writes the field where it says nothing is read as who leaves it out."""
    segment = Segment(HEADER + b'{"partial":false,"version":"1.0.0"}\n', "it")
    assert list(segment.records()) == [(v("1.0.0"), Record())]


def test_an_empty_segment_is_read() -> None:
    """It has no records, and nothing is found in it."""
    segment = Segment(HEADER, "it")
    assert (len(segment), list(segment.records()), segment.record(v("1.0.0"))) == (0, [], None)


@pytest.mark.parametrize("number", [2, 9, 10, 908_172_635, 400_000_000, 999_999_999])
def test_a_segment_of_a_later_format_asks_for_an_upgrade(number: int) -> None:
    """Whatever its lines are, it is not damage."""
    with pytest.raises(UnsupportedFormatError, match=r"^the file "):
        Segment(HEADER.replace(b"segment 1", b"segment %d" % number) + b"?\n", "the file")


@pytest.mark.parametrize("number", [b"", b"0", b"01", b"1000000000", b"a", b"-1", b"]"])
def test_a_segment_of_no_format_is_damage(number: bytes) -> None:
    """A number of a format has one to nine digits and no leading zero."""
    with pytest.raises(CorruptError, match=r"^the file is damaged: it is not a segment of history"):
        Segment(HEADER.replace(b"segment 1", b"segment " + number), "the file")


def test_a_segment_that_cannot_be_written() -> None:
    """Notes that are no JSON are named by their version; a short nonce, which may come twice, is seen at once."""
    noted = Record(replace(entry_of("1.0.0"), notes={"a": float("nan")}))
    with pytest.raises(InvalidMetadataError, match=r"^version 1\.0\.0\.live\.notes\.a is NaN"):
        segment_bytes({v("1.0.0"): noted}, bytes(16))
    with pytest.raises(AssertionError, match=r"^a nonce has 16 bytes$"):
        segment_bytes({v("1.0.0"): Record()}, bytes(15))


def test_a_record_alone_has_its_line() -> None:
    """A retired number is its version and nothing else."""
    data = segment_bytes({v("1.0.0"): Record()}, b"a" * 16)
    assert data == HEADER + b'{"version":"1.0.0"}\n'


def test_tombstones_are_gathered_from_three_places() -> None:
    """As long as a record is partial, what older places say comes before; behind one that is not, nothing counts."""
    one = v("1.0.0")
    _, history = layers(
        {one: Record(None, (tombstone("hidden"),))},
        {one: Record(None, (tombstone("a"),))},
        {one: Record(None, (tombstone("b"),), partial=True)},
        {one: Record(entry_of("live"), (tombstone("c"),), partial=True)},
    )
    whole = Record(entry_of("live"), (tombstone("a"), tombstone("b"), tombstone("c")))
    assert history.record(one) == whole
    assert history.records() == {one: whole}


def test_what_is_hidden_is_not_read() -> None:
    """A record that is whole is the end: no older segment is asked."""
    one = v("1.0.0")
    backend, history = layers({one: Record(entry_of("old"))}, {one: Record(entry_of("new"))}, {})
    assert history.record(one) == Record(entry_of("new"))
    assert backend.calls == [f"get {history.ref.older[1].key}"]
    backend, history = layers({one: Record(entry_of("old"))}, {one: Record(entry_of("new"))})
    assert history.record(one) == Record(entry_of("new"))
    assert backend.calls == []


def test_only_segments_that_may_know_are_read() -> None:
    """The lowest and the highest version of a segment count as in it."""
    backend, history = layers({v(text): Record(entry_of(text)) for text in ("1.0.0", "2.0.0")}, {})
    for text, read in (("0.9.0", 0), ("2.0.1", 0), ("1.0.0", 1), ("2.0.0", 1)):
        again = replace(history, segments=SegmentReader(backend))
        backend.calls.clear()
        assert (again.entry(v(text)) is not None, len(backend.calls)) == (bool(read), read), text
        assert again.used(v(text)) == bool(read)


def test_a_tie_between_a_segment_and_the_ref_reads_nothing() -> None:
    """Where the highest live version of a segment is the one that stands in the ref, the ref has the answer."""
    one = v("1.0.0")
    backend, history = layers({one: Record(entry_of("old"))}, {one: Record(entry_of("new"))})
    assert history.latest() == (one, entry_of("new"))
    assert backend.calls == []


def test_a_range_reads_a_segment_only_where_it_may_be_higher() -> None:
    """As the latest version does."""
    low, high = v("1.0.0"), v("1.0.1")
    backend, history = layers({low: Record(entry_of("low"))}, {high: Record(entry_of("high"))})
    assert history.select(parse_selector(">=1")) == (high, entry_of("high"))
    assert backend.calls == []
    backend, history = layers({low: Record(), v("3.0.0"): Record()}, {high: Record(entry_of("high"))})
    assert history.select(parse_selector(">=1")) == (high, entry_of("high"))
    assert backend.calls == []


def test_what_died_inline_does_not_live_in_a_segment() -> None:
    """A deletion hides the live entry of an older place from the latest version and from ranges."""
    one, two = v("1.0.0"), v("2.0.0")
    dead = Record(None, (tombstone("two"),), partial=True)
    _, history = layers({one: Record(entry_of("one")), two: Record(entry_of("two"))}, {two: dead})
    assert history.latest() == (one, entry_of("one"))
    assert history.select(parse_selector("*")) == (one, entry_of("one"))
    assert history.entry(two) is None
    _, history = layers({two: Record(entry_of("two"))}, {two: dead})
    assert history.latest() is None


def test_the_next_number_is_above_all_that_died_in_segments() -> None:
    """Also where nothing lives any more, inline or not."""
    _, history = layers({v("1.0.0"): Record(), v("3.0.7"): Record()}, {v("2.0.0"): Record()})
    assert history.next_version() == v("3.0.8")


def test_where_nothing_lives_no_segment_is_read() -> None:
    """That the latest version is none, and which number comes next, the ref knows alone."""
    dead = {v("1.0.0"): Record(), v("3.0.7"): Record(None, (tombstone("dead"),))}
    for inline in ({}, {v("2.0.0"): Record()}):
        backend, history = layers(dead, inline)
        assert history.latest() is None
        assert history.next_version() == v("3.0.8")
        assert backend.calls == []


def test_a_range_reads_nothing_for_a_tie() -> None:
    """Where no segment has anything higher alive than the match in the ref, the match is the answer."""
    one = v("1.0.0")
    backend, history = layers({one: Record(entry_of("old"))}, {one: Record(entry_of("new"))})
    assert history.select(parse_selector(">=1")) == (one, entry_of("new"))
    assert backend.calls == []


def test_bringing_back_what_died_in_the_ref_reads_no_tombstones() -> None:
    """Those of segments stay where they are, and behind the record that lives again."""
    one = v("1.0.0")
    inline = Record(None, (tombstone("b"), tombstone("c")), partial=True)
    backend, history = layers({one: Record(None, (tombstone("a"),))}, {one: inline})
    back = history.undeleted(one)
    assert backend.calls == []
    assert back.ref.records == {one: Record(entry_of("c"), (tombstone("b"),), partial=True)}
    assert back.record(one) == Record(entry_of("c"), (tombstone("a"), tombstone("b")))


def cache_of(rows: list[OlderSegment], backend: Recording, reader: SegmentReader, *order: int) -> list[int]:
    """Which of `rows` are fetched when they are read in this order."""
    backend.calls.clear()
    for number in order:
        reader.read(rows[number], NAME)
    return [at for call in backend.calls for at, row in enumerate(rows) if row.key in call]


def test_what_fits_exactly_is_kept() -> None:
    """The bound is the last size that is still allowed; one byte less, and the oldest goes."""
    backend, history = layers(*({v(f"{n}.0.0"): Record(entry_of(str(n)))} for n in range(3)), {})
    rows = list(history.ref.older)
    fits = rows[0].size + rows[1].size
    assert cache_of(rows, backend, SegmentReader(backend, fits), 0, 1, 0, 1) == [0, 1]
    assert cache_of(rows, backend, SegmentReader(backend, fits - 1), 0, 1, 1, 0) == [0, 1, 0]
    assert CACHE_BYTES == 64 * 1024 * 1024


def test_one_that_is_too_large_is_kept_alone() -> None:
    """Else a walk over its records would read it for each of them."""
    backend, history = layers(*({v(f"{n}.0.0"): Record(entry_of(str(n)))} for n in range(2)), {})
    rows = list(history.ref.older)
    assert cache_of(rows, backend, SegmentReader(backend, 1), 0, 0, 1, 1, 0) == [0, 1, 0]


def test_a_segment_with_another_number_of_records_names_both() -> None:
    """The message says what is there and what the ref says."""
    _, history = layers(
        {v("1.0.0"): Record(), v("1.0.1"): Record(None, (Tombstone(entry_of("x"), LATER),))}, {}
    )
    row = replace(history.ref.older[0], count=1)
    with pytest.raises(CorruptError, match=f"it has 2 records, the ref of {NAME} says 1"):
        history.segments.read(row, NAME)
