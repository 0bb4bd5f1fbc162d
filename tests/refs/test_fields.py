"""What the error about a damaged ref says: which field, and of which version."""

from __future__ import annotations

import json
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from casreg.canonical import MAX_INTEGER, seal
from casreg.exceptions import CorruptError, InvalidMetadataError, UnsupportedFormatError
from casreg.refs.document import Ref, has_inline_version
from casreg.refs.entries import Record, Tombstone, tombstone_from_json, tombstone_to_json
from casreg.refs.fields import digest_field, id_value, time_field
from refs.lab import LATER, NAME, WRITE, entry_of, v
from refs.test_document import body_of, rich_ref

if TYPE_CHECKING:
    from collections.abc import Callable

Body = dict[str, Any]


def first(body: Body) -> Body:
    """The entry of 1.0.0."""
    entry: Body = body["versions"]["1.0.0"]
    return entry


NAMED: list[tuple[str, Callable[[Body], object]]] = [
    ("the ref of my:model is damaged: it is the ref of 'your:model'", lambda b: b.update(name="your:model")),
    ("'requires' is not an array: None", lambda b: b.pop("requires")),
    ("'requires' is not a list of words: [1]", lambda b: b.update(requires=[1])),
    ("'recent' is not an array: {}", lambda b: b.update(recent={})),
    ("'recent' is not an id of 32 hexadecimal characters: 'a'", lambda b: b.update(recent=["a"])),
    ("'write' is not an id of 32 hexadecimal characters: None", lambda b: b.pop("write")),
    ("'rev' is not a number from 0 to 2**53 - 1: None", lambda b: b.pop("rev")),
    ("'rev' is not a number from 0 to 2**53 - 1: -1", lambda b: b.update(rev=-1)),
    ("it has no 'stamp'", lambda b: b.pop("stamp")),
    ("'stamp' is not an array: 7", lambda b: b.update(stamp=7)),
    ("'stamp' is not a pair: []", lambda b: b.update(stamp=[])),
    ("'stamp' is not an id of 32 hexadecimal characters: 7", lambda b: b.update(stamp=[7, 7])),
    ("'stamp' is not a number from 0 to 2**53 - 1: '7'", lambda b: b.update(stamp=["b" * 32, "7"])),
    ("'versions' is not an object: []", lambda b: b.update(versions=[])),
    ("not a version: 'x'", lambda b: b["versions"].update(x=first(b))),
    ("the version '1.0' should be spelt 1.0.0", lambda b: b["versions"].update({"1.0": first(b)})),
    ("'1.0.0' is not an object: []", lambda b: b["versions"].update({"1.0.0": []})),
    ("'deleted' is not an object: []", lambda b: b.update(deleted=[])),
    ("'1.0.1' is not an array: {}", lambda b: b["deleted"].update({"1.0.1": {}})),
    ("the deleted version 1.0.1 has no tombstone", lambda b: b["deleted"].update({"1.0.1": []})),
    ("version 1.0.1, is damaged: 'deleted' is not an object", lambda b: b["deleted"].update({"1.0.1": [1]})),
    ("'deleted' is not a time in RFC 3339", lambda b: b["deleted"]["1.0.1"][0].pop("deleted")),
    ("'retired' is not an array: {}", lambda b: b.update(retired={})),
    ("not a version: 1", lambda b: b.update(retired=[1])),
    ("a version is retired and not retired", lambda b: b.update(retired=["1.0.0"])),
    ("a version is retired and not retired", lambda b: b.update(retired=["1.0.1"])),
    ("a version is retired and not retired", lambda b: b.update(retired=["2.0.0-rc.1"])),
    ("'partial' is not an array: {}", lambda b: b.update(partial={})),
    ("a version is partial that has no record", lambda b: b.update(partial=["9.0.0"])),
    ("'tags' is not an object: []", lambda b: b.update(tags=[])),
    ("'prod' is not an array: {}", lambda b: b["tags"].update(prod={})),
    ("the tag 'prod' is not a pair: []", lambda b: b["tags"].update(prod=[])),
    ("'prod' is not a digest: 'x'", lambda b: b["tags"].update(prod=["1.0.0", "x"])),
    ("'latest' is no tag", lambda b: b["tags"].update(latest=b["tags"]["prod"])),
    ("'older' is not an array: {}", lambda b: b.update(older={})),
    ("'older' is not an object: 1", lambda b: b.update(older=[1])),
    ("'segment' is not a digest: None", lambda b: b["older"][0].pop("segment")),
    ("'size' is not a number", lambda b: b["older"][0].pop("size")),
    ("'count' is not a number", lambda b: b["older"][0].pop("count")),
    ("a row of 'older' contradicts itself", lambda b: b["older"][0].update(count=0)),
    ("version 1.0.0, is damaged: 'manifest' is not a digest: None", lambda b: first(b).pop("manifest")),
    ("'data' is not a digest", lambda b: first(b).pop("data")),
    ("'content' is not a digest", lambda b: first(b).pop("content")),
    ("'size' is not a number", lambda b: first(b).pop("size")),
    ("'stored' is not a number", lambda b: first(b).pop("stored")),
    ("'packs' is not a number", lambda b: first(b).pop("packs")),
    ("'created' is not a time in RFC 3339 and UTC: None", lambda b: first(b).pop("created")),
    ("version 1.0.0, is damaged: 'write' is not an id", lambda b: first(b).pop("write")),
    ("'class' is not a string: 1", lambda b: first(b).update({"class": 1})),
    ("'notes' is not an object: None", lambda b: first(b).pop("notes")),
]


@pytest.mark.parametrize(
    ("said", "damage"), NAMED, ids=[f"{at} {said}" for at, (said, _) in enumerate(NAMED)]
)
def test_the_error_says_what_is_wrong(said: str, damage: Callable[[Body], object]) -> None:
    """Which field, what stands there, and what to do; the ref and the version are named."""
    body = json.loads(json.dumps(body_of(rich_ref())))
    damage(body)
    with pytest.raises(CorruptError) as caught:
        Ref.from_bytes(seal(body), NAME)
    assert said in str(caught.value)
    assert str(caught.value).startswith("the ref of my:model")
    assert str(caught.value).endswith("; restore it from another copy, or run a verification")


def test_the_largest_count_is_read() -> None:
    """2**53 - 1 is the last number that every reader of JSON knows exactly, and one of ours."""
    ref = replace(rich_ref(), rev=MAX_INTEGER)
    assert MAX_INTEGER == 2**53 - 1
    assert Ref.from_bytes(ref.to_bytes(), NAME) == ref


@pytest.mark.parametrize("live", ["0.1.0", "0.9.0"])
def test_the_highest_live_version_may_be_at_the_edge(live: str) -> None:
    """A row of `older` whose highest live version is its lowest or its highest is sound."""
    body = body_of(rich_ref())
    body["older"][0]["live"] = live
    assert Ref.from_bytes(seal(body), NAME).older[0].highest_live == v(live)


def test_partial_may_be_absent() -> None:
    """A ref without `partial` has no partial record."""
    body = body_of(rich_ref())
    del body["partial"]
    assert not any(record.partial for record in Ref.from_bytes(seal(body), NAME).records.values())


def test_notes_may_be_any_mapping() -> None:
    """What stands in an entry is written as an object, though it be a view that nobody can change."""
    entry = replace(entry_of("1.0.0"), notes=MappingProxyType({"a": 1}))
    ref = replace(Ref.empty(NAME, WRITE), records={v("1.0.0"): Record(entry)})
    assert body_of(ref)["versions"]["1.0.0"]["notes"] == {"a": 1}


def test_reading_a_tombstone_changes_nothing() -> None:
    """What was given can be read once more."""
    there = Tombstone(entry_of("1.0.0"), LATER)
    fields = tombstone_to_json(there)
    assert [tombstone_from_json(fields, "test") for _ in range(2)] == [there, there]


def test_a_quick_look_at_a_ref_names_it_shortly() -> None:
    """Whether a version stands inline is asked of a ref of this name alone; an absurd name is cut."""
    other = seal({**body_of(rich_ref()), "name": "x" * 200})
    with pytest.raises(CorruptError, match=r"refs/a is damaged: it is the ref of 'x{79};"):
        has_inline_version(other, NAME, "refs/a")
    later = seal({**body_of(rich_ref()), "format": 2})
    with pytest.raises(UnsupportedFormatError, match="refs/a"):
        has_inline_version(later, NAME, "refs/a")
    assert has_inline_version(rich_ref().to_bytes(), NAME, "refs/a") is True
    assert has_inline_version(Ref.empty(NAME, WRITE).to_bytes(), NAME, "refs/a") is False


def test_a_ref_that_cannot_be_written_is_named() -> None:
    """Because of notes that are no JSON, or of a word that this casreg does not know."""
    noted = Record(replace(entry_of("1.0.0"), notes={"a": float("nan")}))
    with pytest.raises(
        InvalidMetadataError, match=rf"^the ref of {NAME}\.versions\['1\.0\.0'\]\.notes\.a is NaN"
    ):
        replace(Ref.empty(NAME, WRITE), records={v("1.0.0"): noted}).to_bytes()
    with pytest.raises(UnsupportedFormatError, match=f"^the ref of {NAME} "):
        replace(Ref.empty(NAME, WRITE), requires=("flux",)).check_writable()


TIMES = [
    *(f"{digit * 4}-06-15T12:30:30Z" for digit in "0123456789"),
    *(f"2026-{month:02}-15T12:30:30Z" for month in range(1, 13)),
    *(f"2026-06-{day:02}T12:30:30Z" for day in range(1, 32)),
    *(f"2026-06-15T{hour:02}:30:30Z" for hour in range(24)),
    *(f"2026-06-15T12:{minute:02}:30Z" for minute in range(60)),
    *(f"2026-06-15T12:30:{second:02}Z" for second in range(61)),
    *(f"2026-06-15T12:30:30.{'0192837465'[:digits]}Z" for digits in range(1, 10)),
    *(f"2026-06-15T12:30:30.{digit}Z" for digit in range(10)),
]


def test_every_time_is_one() -> None:
    """Each month, day, hour, minute and second, the leap second too, and up to nine digits behind it."""
    assert [time for time in TIMES if time_field({"t": time}, "t", "it") != time] == []


@pytest.mark.parametrize(
    "time",
    [
        *("026-06-15T12:30:30Z", "12026-06-15T12:30:30Z", "2026-6-15T12:30:30Z", "2026-06-5T12:30:30Z"),
        *("2026-00-15T12:30:30Z", "2026-13-15T12:30:30Z", "2026-20-15T12:30:30Z", "2026-010-15T12:30:30Z"),
        *("2026-06-00T12:30:30Z", "2026-06-32T12:30:30Z", "2026-06-40T12:30:30Z", "2026-06-010T12:30:30Z"),
        *("2026-06-15T24:30:30Z", "2026-06-15T30:30:30Z", "2026-06-15T1:30:30Z", "2026-06-15T012:30:30Z"),
        *("2026-06-15T12:60:30Z", "2026-06-15T12:3:30Z", "2026-06-15T12:030:30Z", "2026-06-15T12:30:61Z"),
        *("2026-06-15T12:30:70Z", "2026-06-15T12:30:3Z", "2026-06-15T12:30:030Z", "2026-06-15T12:30:30"),
        *("2026-06-15T12:30:30.Z", "2026-06-15T12:30:30.0123456789Z", "2026-06-15T12:30:30z"),
        *(
            "2026-06-15T12:30:30.5",
            "2026-06-15T12:30:30,5Z",
            "2026-06-15 12:30:30Z",
            "2026-06-15T12:30:30Z\n",
        ),
        *("2026-06-15T12:30:30x5Z", "2026-06-15T12:30:30+00:00", "2026-06-15T12:30Z", "2026-06-15", ""),
    ],
)
def test_what_is_no_time(time: str) -> None:
    """A part out of its bounds, too short or too long, another zone, or another mark between the parts."""
    with pytest.raises(CorruptError, match=r"^it is damaged: 't' is not a time in RFC 3339 and UTC: "):
        time_field({"t": time}, "t", "it")


def test_ids_and_digests_have_any_hexadecimal_characters() -> None:
    """Each of the sixteen, as many times as it takes; and one more or less is none."""
    for digit in "0123456789abcdef":
        assert id_value(digit * 32, "write", "it") == digit * 32
        assert digest_field({"d": digit * 64}, "d", "it") == bytes.fromhex(digit * 64)
    for text in ("0" * 31, "0" * 33, "g" * 32, "A" * 32, "0" * 32 + "\n"):
        with pytest.raises(CorruptError, match="'write' is not an id of 32 hexadecimal characters"):
            id_value(text, "write", "it")
        with pytest.raises(CorruptError, match="'d' is not a digest"):
            digest_field({"d": "0" * 32 + text}, "d", "it")
