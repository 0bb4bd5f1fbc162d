from __future__ import annotations

import json
import math
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from enum import IntEnum, StrEnum
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given, strategies as st

from casreg.canonical import (
    FORMAT,
    MAX_DEPTH,
    MAX_INTEGER,
    check_format,
    check_requires,
    dump,
    load,
    seal,
    unseal,
)
from casreg.exceptions import CorruptError, InvalidMetadataError, UnsupportedFormatError

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_INTEGER, MAX_INTEGER)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
bodies = st.dictionaries(texts.filter(lambda key: key != "sum"), values, min_size=1, max_size=5)


def _nested(depth: int) -> Any:
    value: Any = 1
    for i in range(depth):
        value = [value] if i % 2 else {"a": value}
    return value


class Colour(IntEnum):
    RED = 1


class Word(StrEnum):
    YES = "yes"


class Text(str):
    __slots__ = ()


class Number(float):
    pass


@given(values)
def test_every_json_value_comes_back_with_its_types(value: Any) -> None:
    """load(dump(value)) is value: 1 stays int, 1.0 stays float, True stays bool, -0.0 keeps its sign."""
    assert repr(load(dump(value))) == repr(_sorted(value))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


@given(values)
def test_the_standard_library_reads_what_is_written(value: Any) -> None:
    """The bytes are plain JSON in UTF-8, and nothing outside strings is white space."""
    data = dump(value)
    assert json.loads(data) == value
    assert b"\n" not in data


@given(st.dictionaries(texts, scalars, max_size=6), st.randoms())
def test_equal_values_give_equal_bytes(value: dict[str, Any], random: Any) -> None:
    """The order in which a dict was filled does not show."""
    items = list(value.items())
    random.shuffle(items)
    assert dump(dict(items)) == dump(value)


def test_the_bytes_are_frozen() -> None:
    """Digests are over these bytes: no white space, keys by code point, UTF-8 unescaped, shortest numbers."""
    value = {
        "é": [1, 1.0, -0.0, 1e22, 0.1],
        "z": {"b": None, "a": True},
        "\uffff": "\x00/\u2028",
        "\U0001f600": {},
    }
    written = '{"z":{"a":true,"b":null},"é":[1,1.0,-0.0,1e+22,0.1],"\uffff":"\\u0000/\u2028","\U0001f600":{}}'
    assert dump(value) == written.encode()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"scores": [1.0, 2.0, 3.0, math.nan]}, r"metadata\.scores\[3\] is NaN"),
        (math.inf, "metadata is infinite"),
        ({"a": {"b": -math.inf}}, r"metadata\.a\.b is infinite"),
        ([MAX_INTEGER + 1], r"metadata\[0\] is an integer beyond 2\*\*53 - 1"),
        ({"n": -MAX_INTEGER - 1}, r"metadata\.n is an integer beyond"),
        ({"n": 10**400}, r"metadata\.n is an integer beyond"),
        ({1: 2}, "metadata has the key 1 of type int"),
        ({"a": {None: 2}}, r"metadata\.a has the key None of type NoneType"),
        ({Text("a"): 2}, r"has the key 'a' of type .*Text"),
        ({"a b": (1, 2)}, r"metadata\['a b'\] is of type tuple; write list"),
        ({"a": {1, 2}}, r"metadata\.a is of type set; write list"),
        ({"a": b"x"}, r"metadata\.a is of type bytes"),
        ({"a": Text("x")}, r"metadata\.a is of type .*Text; write str"),
        ({"a": Number(1)}, r"metadata\.a is of type .*Number; write float"),
        ({"a": Colour.RED}, r"metadata\.a is of type .*Colour; write int"),
        ({"a": Word.YES}, r"metadata\.a is of type .*Word; write str"),
        ({"a": uuid.UUID(int=1)}, r"metadata\.a is of type uuid\.UUID"),
        ({"a": datetime(2026, 1, 1, tzinfo=UTC)}, r"metadata\.a is of type datetime\.datetime"),
        ({"a": Decimal(1)}, r"metadata\.a is of type decimal\.Decimal"),
        ({"a": object()}, r"metadata\.a is of type object; JSON has"),
        ("\ud800", "metadata holds a lone surrogate"),
        ({"a": ["ok", "x\udfff"]}, r"metadata\.a\[1\] holds a lone surrogate"),
        ({"\ud800": 1}, "metadata has the key '.ud800' with a lone surrogate"),
        (_nested(MAX_DEPTH + 1), "nested more than 200 deep"),
    ],
)
def test_what_json_would_lose_is_refused_with_its_path(value: object, message: str) -> None:
    """The message leads to the first offending part, and the error is a ValueError."""
    with pytest.raises(InvalidMetadataError, match=message) as caught:
        dump(value, "metadata")
    assert isinstance(caught.value, ValueError)


def test_the_first_fault_is_the_one_that_is_named() -> None:
    """Of several, the first in reading order."""
    with pytest.raises(InvalidMetadataError, match=r"value\.a\[0\]\.x is of type set"):
        dump({"a": [{"x": set()}, math.nan], "b": math.nan})


def test_the_bounds_are_inside() -> None:
    """The largest integers and the deepest nesting are written, and read."""
    for value in (MAX_INTEGER, -MAX_INTEGER, _nested(MAX_DEPTH)):
        assert load(dump(value)) == value


def test_a_list_that_holds_itself_is_refused_at_once() -> None:
    """Also where it holds itself twice, which would grow without end if walked by levels."""
    endless: list[Any] = []
    endless += [endless, endless]
    with pytest.raises(InvalidMetadataError, match="nested more than 200 deep"):
        dump(endless)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"nul",
        b"NaN",
        b"[Infinity]",
        b"-Infinity",
        b"1e400",
        b"1 1",
        b"{} x",
        b"[1,]",
        b"{'a':1}",
        b"01",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\ud800"',
        b'"\n"',
        b"\xef\xbb\xbf1",
        "{}".encode("utf-16"),
        b"// no\n1",
    ],
)
def test_what_is_no_json_is_refused(data: bytes) -> None:
    """Not UTF-8, not finite, not complete, or more than one document."""
    with pytest.raises(ValueError):
        load(data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":1}',
        b'{"b":{"a":1,"c":2,"a":3}}',
        b'[{"a":1,"\\u0061":2}]',
        b'{"a":1,"a":{"a":2}}',
        b'{"":0,"":0}',
    ],
)
def test_a_key_that_stands_twice_is_refused(data: bytes) -> None:
    """Two readers could take different ones, so no reader takes any."""
    with pytest.raises(ValueError, match="stands twice"):
        load(data)


@pytest.mark.parametrize(
    "data", [b"9007199254740992", b"[-9007199254740992]", b'{"a":18446744073709551616}', b"-" + b"9" * 300]
)
def test_an_integer_that_floats_cannot_hold_is_refused(data: bytes) -> None:
    """Otherwise readers would disagree on its value."""
    with pytest.raises(ValueError, match=r"an integer beyond 2\*\*53 - 1"):
        load(data)


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 250, 300, 900, 5000])
def test_what_is_nested_too_deeply_is_refused(depth: int) -> None:
    """A ValueError at every depth, never a RecursionError."""
    with pytest.raises(ValueError):
        load(b"[" * depth + b"]" * depth)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b' { "b" : 1 , "a" : [ ] }\n', {"a": [], "b": 1}),
        (b'"\\u00e9\\/"', "é/"),
        (b"1E2", 100.0),
        (b"1.50", 1.5),
        (b"-0", 0),
        (b'{"\\u003a":":"}', {":": ":"}),
    ],
)
def test_other_spellings_of_json_are_read(data: bytes, value: object) -> None:
    """A reader does not ask for the bytes that casreg would have written."""
    assert load(data) == value


@given(bodies)
def test_a_sealed_document_comes_back(body: dict[str, Any]) -> None:
    """unseal(seal(body)) == body."""
    assert unseal(seal(body), "a document") == body


def test_a_sealed_document_is_byte_for_byte_what_the_format_says() -> None:
    """B without its brace, the digest of B, a newline; with B3 computed here independently."""
    plain = b'{"a":1,"z":[true]}'
    assert (
        seal({"z": [True], "a": 1}) == plain[:-1] + b',"sum":"' + blake3(plain).hexdigest().encode() + b'"}\n'
    )
    assert json.loads(seal({"z": [True], "a": 1}))["sum"] == blake3(plain).hexdigest()


def test_a_document_sealed_by_another_program_is_read() -> None:
    """White space, the order of keys and escapes are the writer's own: the digest is over bytes, not values."""
    plain = b'{ "z" : 1.50,\n  "a" : "\\u00e9" }'
    stored = plain[:-1] + b',"sum":"' + blake3(plain).hexdigest().encode() + b'"}\n'
    assert unseal(stored, "a document") == {"z": 1.5, "a": "é"}


@given(bodies, st.data())
def test_one_changed_byte_anywhere_is_detected(body: dict[str, Any], data: st.DataObject) -> None:
    """Every single flipped bit of a sealed document is a CorruptError that names the document."""
    stored = bytearray(seal(body))
    at = data.draw(st.integers(0, len(stored) - 1))
    stored[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(CorruptError, match="refs/a at memory"):
        unseal(bytes(stored), "refs/a at memory")


def test_a_document_cut_short_anywhere_is_detected() -> None:
    """No prefix of a sealed document, and none with anything behind, is one."""
    stored = seal({"a": 1, "b": {"sum": "x"}})
    for size in range(len(stored)):
        with pytest.raises(CorruptError, match="a document is damaged"):
            unseal(stored[:size], "a document")
    for more in (b"\n", b" ", b"x", stored):
        with pytest.raises(CorruptError):
            unseal(stored + more, "a document")


@pytest.mark.parametrize(
    "plain",
    [
        b"[1]",
        b'{"a":1,"a":2}',
        b"{}",
        b"{ }",
        b'{"sum":1}',
        b'{"a":NaN}',
        b'{"a":9007199254740992}',
        b'{"a":1}}',
        b"}",
    ],
)
def test_a_right_digest_over_a_wrong_document_is_still_damage(plain: bytes) -> None:
    """What no writer may write is refused although its checksum is right."""
    stored = plain[:-1] + b',"sum":"' + blake3(plain).hexdigest().encode() + b'"}\n'
    with pytest.raises(CorruptError, match="a document is damaged"):
        unseal(stored, "a document")


def test_metadata_that_cannot_be_sealed_is_refused_with_its_path() -> None:
    """As `dump`, so that a note with NaN is found."""
    with pytest.raises(InvalidMetadataError, match=r"refs/a\.notes\.x is NaN"):
        seal({"notes": {"x": math.nan}}, "refs/a")


def test_this_format_is_read_and_another_is_named() -> None:
    """Format 1 passes; 2 says to upgrade; no number is damage."""
    check_format({"format": FORMAT}, "refs/a")
    with pytest.raises(UnsupportedFormatError, match=r"refs/a has format 2.*upgrade"):
        check_format({"format": 2}, "refs/a")
    for wrong in ({}, {"format": "1"}, {"format": True}, {"format": 1.0}, {"format": None}):
        with pytest.raises(CorruptError, match="refs/a"):
            check_format(wrong, "refs/a")


def test_an_unknown_requirement_is_named_and_a_known_one_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that does not know a word must not write."""
    monkeypatch.setattr("casreg.canonical.KNOWN_REQUIREMENTS", {"x", "y"})
    assert check_requires({"requires": []}, "refs/a") == ()
    assert check_requires({"requires": ["x"]}, "refs/a") == ("x",)
    with pytest.raises(UnsupportedFormatError, match=r"refs/a requires 'time-travel'.*upgrade"):
        check_requires({"requires": ["x", "time-travel"]}, "refs/a")
    for wrong in ({}, {"requires": None}, {"requires": "x"}, {"requires": [1]}, {"requires": {"x": 1}}):
        with pytest.raises(CorruptError, match="refs/a"):
            check_requires(wrong, "refs/a")


@given(st.floats(allow_nan=False, allow_infinity=False) | st.floats(1e-8, 1e-3) | st.floats(1e14, 1e20))
def test_a_float_is_spelt_as_python_spells_it(value: float) -> None:
    """The bytes of a float do not depend on the release of the JSON library: they are those of `repr`."""
    assert dump({"a": [value]}) == b'{"a":[%s]}' % repr(value).encode()
    assert dump(value) == repr(value).encode()
