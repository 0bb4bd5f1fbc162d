"""The headers of safetensors files, written and read byte for byte."""

from __future__ import annotations

import json

import pytest
import safetensors
from hypothesis import given, strategies as st

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import safetensors_format as form
from casreg.materializers.safetensors_format import SIZES, Slot, header, placed, read_header

ENTRY = '{"dtype":"F32","shape":[2],"data_offsets":[0,8]}'


def file(text: str | bytes, data: bytes = bytes(8), length: int | None = None) -> memoryview:
    """A file with this text for a header."""
    body = text.encode() if isinstance(text, str) else text
    return memoryview(
        bytearray((len(body) if length is None else length).to_bytes(8, "little") + body + data)
    )


@given(
    st.dictionaries(
        st.text().filter(form.can_name),
        st.tuples(st.sampled_from(sorted(SIZES)), st.lists(st.integers(0, 4), max_size=3)),
        max_size=8,
    ),
    st.dictionaries(st.text(), st.text(), max_size=3),
)
def test_what_is_written_is_read(shapes: dict[str, tuple[str, list[int]]], metadata: dict[str, str]) -> None:
    """Names, in their order, places and metadata; and the library finds the same."""
    slots = placed(shapes)
    start = header(slots, metadata)
    assert len(start) % 64 == 0
    data = start + bytes(max((slot.stop for slot in slots.values()), default=0))
    found = read_header(memoryview(data))
    assert list(found.slots.items()) == list(slots.items())
    assert (found.metadata, found.size) == (metadata, len(start))
    by_library = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    assert {name: (one["dtype"], tuple(one["shape"])) for name, one in by_library.items()} == {
        name: (slot.dtype, slot.shape) for name, slot in slots.items()
    }


def test_the_example_reads() -> None:
    """The files below differ from a good one in one thing only."""
    assert read_header(file(f'{{"a":{ENTRY}}}')).slots == {"a": Slot("F32", (2,), 0, 8)}
    assert read_header(file("{}", b"")).slots == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        "{",
        b'{"\xff":1}',
        '{"a":1}',
        '{"a":{}}',
        "[" * 60_000,
        f'{{"__metadata__":1,"a":{ENTRY}}}',
        f'{{"__metadata__":{{"x":1}},"a":{ENTRY}}}',
        f'{{"a":{ENTRY[:-1]},"more":1}}}}',
        *(
            f'{{"a":{ENTRY.replace(old, new)}}}'
            for old, new in (
                ("F32", "F31"),
                ('"F32"', "32"),
                ("[2]", "2"),
                ("[2]", "[-2]"),
                ("[2]", "[2.0]"),
                ("[2]", "[true,2]"),
                ("[2]", "[3]"),
                ("[2]", "[4611686018427387904,4]"),
                ("[2]", "[99999999999999999999]"),
                ("[2]", json.dumps([1] * 70 + [2])),
                ("[0,8]", "[8,16]"),
                ("[0,8]", "[-4,4]"),
                ("[0,8]", "[0,8,8]"),
                ("[0,8]", "[8]"),
                ("[0,8]", '"08"'),
            )
        ),
        f'{{"a":{ENTRY},"b":{ENTRY}}}',
        '{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[5],"data_offsets":[3,8]}}',
        '{"a":{"dtype":"U8","shape":[7],"data_offsets":[0,7]}}',
        '{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}',
        "{}",
    ],
)
def test_hostile_headers_are_refused(text: str | bytes) -> None:
    """A header is data of a strict grammar: tensors lie one after the other, and fill the file."""
    with pytest.raises(MaterializationError):
        read_header(file(text))


@pytest.mark.parametrize("length", [0, 1, 1 << 30, (1 << 64) - 1, 1000])
def test_a_length_beyond_the_file_is_refused(length: int) -> None:
    """Nothing is read, or allocated, by what the first bytes promise."""
    with pytest.raises(MaterializationError):
        read_header(file(f'{{"a":{ENTRY}}}', length=length))


@pytest.mark.parametrize("data", [b"", b"\0" * 7])
def test_a_file_without_a_length_is_refused(data: bytes) -> None:
    """Less than eight bytes are no file of the format."""
    with pytest.raises(MaterializationError):
        read_header(memoryview(data))


@pytest.mark.parametrize(
    ("name", "fits"), [("a", True), ("", True), ("__metadata__", False), ("\ud800", False)]
)
def test_names_that_a_header_cannot_have(name: str, *, fits: bool) -> None:
    """The word of the format itself, and what is no text."""
    assert form.can_name(name) is fits


def test_a_header_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """That of the format, beyond which no library reads."""
    monkeypatch.setattr(form, "_MAX_HEADER", 100)
    slots = placed({"a": ("F32", [2])})
    assert len(header(slots, {})) == 64
    with pytest.raises(NoMaterializerError, match="split"):
        header(slots, {"x": "y" * 100})
    with pytest.raises(MaterializationError):
        read_header(file(f'{{"a":{ENTRY}}}'.ljust(101)))


def test_a_big_endian_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The format is little-endian, and memory is stored as it is."""
    monkeypatch.setattr("sys.byteorder", "big")
    with pytest.raises(NoMaterializerError):
        header({}, {})
    with pytest.raises(MaterializationError):
        read_header(file("{}", b""))
