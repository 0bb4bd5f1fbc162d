"""The rules of docs/format.md and those of the code are the same: what the one takes, the other takes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, strategies as st

from casreg.canonical import load
from casreg.exceptions import InvalidNameError, InvalidVersionError
from casreg.names import decode_name, encode_name
from casreg.paths import check_path
from casreg.versions import check_tag, parse_version
from format import stranger


def takes(reader: Any, value: Any, *errors: type[Exception]) -> bool:
    """Whether a reader takes a value."""
    try:
        reader(value)
    except errors:
        return False
    return True


DOCUMENTS = [
    b'{"a":1,"a":1}', b'{"a":1,"\\u0061":1}', b'{"a":-0,"b":-0.0,"c":-0e0}', b'["\\udc00\\ud800"]', b'[{"b":{"a":1,"c":2,"a":3}}]', b"[1,]", b"{", b"", b"nul", b"[1] 2", b"{'a':1}", b'"\xff"',
    b'"\\ud800"', b'"\\ud83d\\ude00"', b'"a\nb"', b'"\\x"', b"\xef\xbb\xbf[]", b"NaN", b"[Infinity]", b"-Infinity",
    b"1e999", b"-1e400", b"1e308", b"9007199254740991", b"9007199254740992", b"-9007199254740992", b"-9007199254740991",
    b"9007199254740993.0", b"1E5", b"01", b"+1", b".5", b"1.", b"-0", b"-", b"[" * 200 + b"]" * 200,
    b"[" * 201 + b"]" * 201, b'{"a":' * 200 + b"1" + b"}" * 200, b'{"a":' * 201 + b"1" + b"}" * 201,
    b" [ 1 ,\t2\r\n] ", b'{"b":1,"a":2}', b"[1e5,1E+05,100000.0]", b'"\\u00e9\\/"', b'"\x7f"', b"[1]\x0c", b"123456789012345678901",
]  # fmt: skip


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document[:24].decode("latin-1"))
def test_a_stranger_and_casreg_take_the_same_json(document: bytes) -> None:
    """Section 5: both read the same value, or both refuse."""
    ours = takes(load, document, ValueError)
    assert takes(lambda data: stranger.strict(data, "d"), document, stranger.Damaged) is ours
    if ours:
        assert repr(stranger.strict(document, "d")) == repr(load(document))


odd = st.text(st.sampled_from("aAzC:/\\.-_ ~!\0\n0¹é") | st.characters(), max_size=12)
devices = st.sampled_from(["nul", "CON", "Com1", "lpt²", "conin$", "aux", "com", "lpt10", "c"])
parts = st.builds("".join, st.lists(devices | odd, max_size=3))


@given(st.lists(parts, min_size=1, max_size=4).map("/".join))
@example("a" * 255)
@example("a" * 256)
@example("CONİN$")
@example("conın$")
@example("/".join(["ab" * 25] * 20) + "/abcd")
@example("/".join(["ab" * 25] * 20) + "/abcde")
def test_a_stranger_and_casreg_take_the_same_paths(path: str) -> None:
    """Section 20: both follow a path, or both refuse."""
    assert takes(check_path, path, ValueError) is (_is_text(path) and stranger.good_path(path))


def _is_text(path: str) -> bool:
    return takes(str.encode, path, UnicodeEncodeError)


named = st.lists(
    st.sampled_from(["a", "Z", "0", ":", ".", "-", "_", "~", "!", "con", "com1", "x" * 60, "é"]), max_size=6
)


@given(named.map("".join))
@example("~up-1")
@example("A" * 97)
@example("A" * 98)
@example("con.a")
def test_a_stranger_and_casreg_spell_the_same_names(name: str) -> None:
    """Section 6: the same are names, and their keys are the same."""
    ours = takes(encode_name, name, InvalidNameError)
    assert ours is bool(stranger.NAME.fullmatch(name) and len(stranger.encode(name)) <= 195)
    if ours:
        assert encode_name(name) == stranger.encode(name)


@given(
    st.lists(st.sampled_from(["a", "z", "!a", "!_", "_", "!!", "!", "A", ".", "-", "~", "con", "nul."])).map(
        "".join
    )
)
def test_a_stranger_and_casreg_read_the_same_keys(encoded: str) -> None:
    """Section 6: the same keys are refs, of the same names; all others are passed over by both."""
    assert decode_name(encoded) == stranger.decode(encoded)


@given(
    st.lists(st.sampled_from(["v", "V", "1", "0", "a", "Latest", "latest", ".", "-", "_", "rc"])).map("".join)
)
@example("a" * 64)
@example("a" * 65)
def test_a_stranger_and_casreg_take_the_same_tags(tag: str) -> None:
    """Section 12: the same words are tags."""
    assert takes(check_tag, tag, InvalidVersionError) is bool(stranger.TAG.fullmatch(tag))


@given(
    st.lists(st.sampled_from(["1", "0", "01", "a", "-", ".", "1.0.0", "1.0.0-", "999999999999999"])).map(
        "".join
    )
)
@example("1.0.0-" + "a" * 122)
@example("1.0.0-" + "a" * 123)
def test_a_stranger_and_casreg_take_the_same_versions(text: str) -> None:
    """Section 12: the same texts are versions in their canonical form."""
    ours = takes(parse_version, text, InvalidVersionError) and str(parse_version(text)) == text
    assert takes(stranger.rank, text, stranger.Damaged) is ours
