"""The stored form of a ref: what is written comes back, what is unknown stays, what is damaged is found."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from casreg.canonical import seal, unseal
from casreg.digest import digest_of
from casreg.exceptions import CorruptError, UnsupportedFormatError
from casreg.refs.document import RECENT_WRITES, OlderSegment, Ref
from casreg.refs.entries import Record, Tombstone
from refs.lab import LATER, NAME, WRITE, entry_of, v

if TYPE_CHECKING:
    from collections.abc import Callable


def rich_ref() -> Ref:
    """A ref with something in every field."""
    dead = Tombstone(entry_of("gone"), LATER)
    noted = replace(entry_of("1.0.0"), notes={"accuracy": 0.5, "words": ["a", None]})
    return Ref(
        name=NAME,
        write=WRITE,
        recent=("a" * 32, WRITE),
        rev=5,
        stamp=("b" * 32, 7),
        records={
            v("1.0.0"): Record(noted, (dead,), partial=True),
            v("1.0.1"): Record(None, (dead, dead)),
            v("1.0.2"): Record(),
            v("2.0.0-rc.1"): Record(entry_of("2.0.0-rc.1")),
        },
        tags={"prod": (v("1.0.0"), noted.manifest)},
        older=(
            OlderSegment(digest_of(b"segment"), 900, 2, v("0.1.0"), v("0.9.0"), v("0.2.0")),
            OlderSegment(digest_of(b"other"), 300, 1, v("0.9.1"), v("0.9.1"), None),
        ),
    )


def body_of(ref: Ref) -> dict[str, Any]:
    """The JSON of a ref, without its sum."""
    return unseal(ref.to_bytes(), "test")


def test_a_ref_comes_back_as_it_was_written() -> None:
    """Every field of a ref survives being stored."""
    ref = rich_ref()
    assert Ref.from_bytes(ref.to_bytes(), NAME) == ref


def test_an_empty_ref_comes_back() -> None:
    """The ref that a first save creates is one, with its own write as the only recent one."""
    ref = Ref.empty(NAME, WRITE)
    assert Ref.from_bytes(ref.to_bytes(), NAME) == ref
    assert (ref.recent, ref.rev, ref.stamp, ref.records) == ((WRITE,), 0, None, {})


def test_the_stored_form_is_that_of_format_1() -> None:
    """The names and shapes of the fields are those that the format's page prints."""
    body = body_of(rich_ref())
    assert body["format"] == 1
    assert body["stamp"] == ["b" * 32, 7]
    assert body["tags"] == {"prod": ["1.0.0", entry_of("1.0.0").manifest.hex()]}
    assert body["retired"] == ["1.0.2"]
    assert body["partial"] == ["1.0.0"]
    assert list(body["versions"]) == ["1.0.0", "2.0.0-rc.1"]
    assert [row["deleted"] for row in body["deleted"]["1.0.1"]] == [LATER, LATER]
    assert body["older"][1] == {
        "segment": digest_of(b"other").hex(),
        "size": 300,
        "count": 1,
        "min": "0.9.1",
        "max": "0.9.1",
        "live": None,
    }
    assert set(body["versions"]["1.0.0"]) == {
        *("manifest", "data", "content", "size", "stored", "packs", "created", "write", "class", "notes")
    }


def test_unknown_fields_survive_rewriting() -> None:
    """What a later casreg puts into a ref, an entry, a tombstone or a row of older, this one writes again."""
    body = body_of(rich_ref())
    places = [body, body["versions"]["1.0.0"], body["deleted"]["1.0.1"][1], body["older"][0]]
    for number, place in enumerate(places):
        place["future"] = {"number": number}
    ref = Ref.from_bytes(seal(body), NAME)
    again = body_of(ref.rewritten("f" * 32, None))
    changed = {"write": "f" * 32, "recent": [*body["recent"], "f" * 32], "rev": 6, "stamp": None}
    assert again == {**body, **changed}


def test_a_class_may_be_absent() -> None:
    """The class of an entry is information that may be missing."""
    ref = replace(Ref.empty(NAME, WRITE), records={v("1"): Record(replace(entry_of("1"), class_name=None))})
    assert "class" not in body_of(ref)["versions"]["1.0.0"]
    assert Ref.from_bytes(ref.to_bytes(), NAME) == ref


def test_protection_is_there_or_not() -> None:
    """Only an entry that is protected says so, as `true`, and comes back so; anything else is damage."""
    there = Record(replace(entry_of("1"), protected=True))
    ref = replace(Ref.empty(NAME, WRITE), records={v("1"): there, v("2"): Record(entry_of("2"))})
    body = body_of(ref)
    assert body["versions"]["1.0.0"]["protected"] is True
    assert "protected" not in body["versions"]["2.0.0"]
    assert Ref.from_bytes(ref.to_bytes(), NAME) == ref
    for wrong in (False, None, 1, "true"):
        body["versions"]["2.0.0"]["protected"] = wrong
        with pytest.raises(CorruptError, match="'protected'"):
            Ref.from_bytes(seal(body), NAME)


def test_rewriting_remembers_the_last_writes() -> None:
    """The next state has its own id as the newest of at most 64, and counts on."""
    ref = Ref.empty(NAME, WRITE)
    ids = [f"{number:032x}" for number in range(100)]
    for write in ids:
        ref = ref.rewritten(write, ("c" * 32, 1))
    assert RECENT_WRITES == 64
    assert (ref.write, ref.rev, ref.stamp) == (ids[-1], 100, ("c" * 32, 1))
    assert list(ref.recent) == ids[-64:]


def test_every_flipped_byte_is_found() -> None:
    """A ref with one damaged byte, wherever it is, is an error that names the ref, never another ref."""
    data = rich_ref().to_bytes()
    for i in range(len(data)):
        damaged = data[:i] + bytes([data[i] ^ 0x01]) + data[i + 1 :]
        with pytest.raises(CorruptError, match=NAME):
            Ref.from_bytes(damaged, NAME)


def test_every_cut_is_found() -> None:
    """A ref that is cut short, at any byte, is an error."""
    data = rich_ref().to_bytes()
    for size in range(len(data)):
        with pytest.raises(CorruptError):
            Ref.from_bytes(data[:size], NAME)


def test_the_error_names_the_file() -> None:
    """Who reads a ref from somewhere is told which file is damaged."""
    with pytest.raises(CorruptError, match="refs/my_model in memory://x"):
        Ref.from_bytes(b"{}", NAME, "refs/my_model in memory://x")


def test_the_ref_of_another_name_is_refused() -> None:
    """A ref file that stands under another name's key is damage, not that name's history."""
    with pytest.raises(CorruptError, match="'my:model'"):
        Ref.from_bytes(rich_ref().to_bytes(), "my:other")


def test_another_format_is_refused() -> None:
    """A ref of a format that this casreg does not know is never read as one that it knows."""
    body = {**body_of(rich_ref()), "format": 2}
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        Ref.from_bytes(seal(body), NAME)


def test_an_unknown_requirement_allows_reading_only() -> None:
    """A ref that requires an unknown word can be read, and says that it must not be written."""
    ref = Ref.from_bytes(seal({**body_of(rich_ref()), "requires": ["flux"]}), NAME)
    assert ref.requires == ("flux",)
    with pytest.raises(UnsupportedFormatError, match="flux"):
        ref.check_writable()


DAMAGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "no requires": lambda b: b.pop("requires"),
    "requires a number": lambda b: b.update(requires=[1]),
    "no name": lambda b: b.pop("name"),
    "no write": lambda b: b.pop("write"),
    "upper-case write": lambda b: b.update(write="A" * 32),
    "short write": lambda b: b.update(write="a" * 31),
    "recent no list": lambda b: b.update(recent={}),
    "recent no id": lambda b: b.update(recent=["a"]),
    "rev negative": lambda b: b.update(rev=-1),
    "rev a float": lambda b: b.update(rev=1.5),
    "rev a bool": lambda b: b.update(rev=True),
    "no stamp": lambda b: b.pop("stamp"),
    "stamp a number": lambda b: b.update(stamp=7),
    "stamp too long": lambda b: b["stamp"].append(1),
    "stamp without nonce": lambda b: b.update(stamp=[7, 7]),
    "stamp without number": lambda b: b.update(stamp=["b" * 32, "7"]),
    "versions a list": lambda b: b.update(versions=[]),
    "no version": lambda b: b["versions"].update({"x": b["versions"]["1.0.0"]}),
    "version spelt twice": lambda b: b["versions"].update({"1.0": b["versions"]["1.0.0"]}),
    "version with v": lambda b: b["versions"].update({"v3.0.0": b["versions"]["1.0.0"]}),
    "entry no object": lambda b: b["versions"].update({"1.0.0": []}),
    "deleted no list": lambda b: b["deleted"].update({"1.0.1": {}}),
    "deleted empty": lambda b: b["deleted"].update({"1.0.1": []}),
    "deleted without time": lambda b: b["deleted"]["1.0.1"][0].pop("deleted"),
    "deleted at no time": lambda b: b["deleted"]["1.0.1"][0].update(deleted="yesterday"),
    "retired no version": lambda b: b.update(retired=["1"]),
    "retired and alive": lambda b: b.update(retired=["1.0.0"]),
    "retired and deleted": lambda b: b.update(retired=["1.0.1"]),
    "partial of nothing": lambda b: b.update(partial=["9.0.0"]),
    "tags a list": lambda b: b.update(tags=[]),
    "tag no pair": lambda b: b["tags"]["prod"].append(1),
    "tag without version": lambda b: b["tags"].update(prod=["x", "a" * 64]),
    "tag without manifest": lambda b: b["tags"].update(prod=["1.0.0", "a" * 63]),
    "tag like a version": lambda b: b["tags"].update({"1.0.0": ["1.0.0", "a" * 64]}),
    "older an object": lambda b: b.update(older={}),
    "older no row": lambda b: b.update(older=[1]),
    "older no digest": lambda b: b["older"][0].update(segment="a" * 65),
    "older no size": lambda b: b["older"][0].pop("size"),
    "older empty": lambda b: b["older"][0].update(count=0),
    "older no min": lambda b: b["older"][0].pop("min"),
    "older no max": lambda b: b["older"][0].pop("max"),
    "older upside down": lambda b: b["older"][0].update(min="0.9.5"),
    "older live outside": lambda b: b["older"][0].update(live="0.9.5"),
    "older live no version": lambda b: b["older"][0].update(live=1),
    "no manifest": lambda b: b["versions"]["1.0.0"].pop("manifest"),
    "no data": lambda b: b["versions"]["1.0.0"].pop("data"),
    "no content": lambda b: b["versions"]["1.0.0"].pop("content"),
    "upper-case manifest": lambda b: b["versions"]["1.0.0"].update(manifest="A" * 64),
    "no size": lambda b: b["versions"]["1.0.0"].pop("size"),
    "size a text": lambda b: b["versions"]["1.0.0"].update(size="1"),
    "no stored": lambda b: b["versions"]["1.0.0"].pop("stored"),
    "stored negative": lambda b: b["versions"]["1.0.0"].update(stored=-1),
    "no packs": lambda b: b["versions"]["1.0.0"].pop("packs"),
    "no created": lambda b: b["versions"]["1.0.0"].pop("created"),
    "created in local time": lambda b: b["versions"]["1.0.0"].update(created="2026-11-22T06:20:00+01:00"),
    "created in month 13": lambda b: b["versions"]["1.0.0"].update(created="2026-13-22T06:20:00Z"),
    "no write in entry": lambda b: b["versions"]["1.0.0"].pop("write"),
    "class a number": lambda b: b["versions"]["1.0.0"].update({"class": 1}),
    "no notes": lambda b: b["versions"]["1.0.0"].pop("notes"),
    "notes a list": lambda b: b["versions"]["1.0.0"].update(notes=[]),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE.keys())
def test_what_no_writer_writes_is_refused(damage: Callable[[dict[str, Any]], object]) -> None:
    """A ref with a right sum but a wrong field is damaged: it is never half understood."""
    body = json.loads(json.dumps(body_of(rich_ref())))
    damage(body)
    with pytest.raises(CorruptError, match="is damaged"):
        Ref.from_bytes(seal(body), NAME)
