"""Safetensors files: headers, written and read byte for byte, and dicts of numpy arrays."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import safetensors
import safetensors.numpy
import torch
from hypothesis import given, strategies as st

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import safetensors_format as form
from casreg.materializers.folders import MemoryFile, Outgoing
from casreg.materializers.safetensors_dict import SafetensorsDict
from casreg.materializers.safetensors_format import SIZES, Slot, header, placed, read_header
from casreg.materializers.torch_state_dict import TorchStateDict
from casreg.registry import Registry
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from pathlib import Path

FILE = "data.safetensors"
DTYPES = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?", "c8"]
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


def arrays() -> dict[str, np.ndarray]:
    """One array of each dtype."""
    return {f"é {kind}": np.arange(6).astype(kind).reshape(2, 3) for kind in DTYPES}


def same(a: Any, b: Any) -> bool:
    """Equal names in one order, dtypes, shapes and bytes; the arrays can be written to."""
    form_of = [
        [(name, one.dtype, one.shape, one.tobytes()) for name, one in found.items()] for found in (a, b)
    ]
    return form_of[0] == form_of[1] and all(one.flags.writeable and one.flags.aligned for one in b.values())


def saved(value: object) -> MemoryInFolder:
    """The files of a dict."""
    folder = Outgoing()
    SafetensorsDict().save(value, folder)
    return stored(folder)


class TestDicts(MaterializerContract):
    materializer = SafetensorsDict
    own_errors = True
    damages = 200

    def examples(self) -> list[object]:
        return [
            arrays(),
            {
                "b": np.array(True),
                "a": np.zeros((0, 3), np.complex64),
                "": np.asfortranarray(arrays()["é f4"]),
            },
            {"step": np.arange(10)[::3]},
            {},
        ]

    def equal(self, saved: object, loaded: object) -> bool:
        return same(saved, loaded)


def test_the_library_reads_dicts_and_writes_them() -> None:
    """The same arrays under the same names, both ways."""
    value = {name: one for name, one in arrays().items() if one.dtype.kind != "c"}  # which the library cannot
    found = safetensors.numpy.load(saved(value).files[FILE])
    assert same(value, {name: found[name].copy() for name in value})
    loaded = SafetensorsDict().load(MemoryInFolder({"any.safetensors": safetensors.numpy.save(value)}), None)
    assert same(value, {name: loaded[name] for name in value})


def test_contiguous_arrays_are_not_copied() -> None:
    """The buffers that are stored are the arrays' own memory."""
    value = arrays()
    folder = Outgoing()
    SafetensorsDict().save(value, folder)
    (entry,) = folder.entries()
    assert isinstance(entry, MemoryFile)
    starts = {np.asarray(buffer).ctypes.data for buffer in entry.buffers[1:]}
    assert starts == {one.ctypes.data for one in value.values()}


@pytest.mark.parametrize(
    "value",
    [
        {"a": np.zeros(2, ">f4")},
        {"a": np.zeros(2, np.complex128)},
        {"a": np.array(["x"])},
        {"a": np.array([None])},
        {"a": np.ma.masked_array([1], [True])},
        {"a": np.float32(1)},
        {"a": [1]},
        {1: np.zeros(2)},
        {"__metadata__": np.zeros(2)},
        [np.zeros(2)],
    ],
    ids=str,
)
def test_what_the_format_does_not_hold_is_refused(value: object) -> None:
    """Nothing is converted in silence."""
    with pytest.raises(NoMaterializerError):
        saved(value)


def test_a_dtype_that_numpy_lacks_is_refused() -> None:
    """The error names it, and who can read it."""
    text = '{"a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}}'
    with pytest.raises(MaterializationError, match=r"BF16.*TorchStateDict"):
        SafetensorsDict().load(MemoryInFolder({FILE: bytes(file(text))}), None)


@pytest.mark.parametrize("materializer", [SafetensorsDict, TorchStateDict])
def test_truth_values_are_zero_or_one(materializer: Any) -> None:
    """Other bytes would be read in undefined ways."""
    text = '{"a":{"dtype":"BOOL","shape":[8],"data_offsets":[0,8]}}'
    folder = MemoryInFolder({FILE: bytes(file(text, bytes((1,) * 7 + (2,))))})
    with pytest.raises(MaterializationError, match="truth"):
        materializer().load(folder, None)


@pytest.mark.parametrize("materializer", [SafetensorsDict, TorchStateDict])
def test_data_that_others_did_not_align_are_read(materializer: Any) -> None:
    """Into memory that is aligned."""
    text = '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}}'
    found = materializer().load(
        MemoryInFolder({FILE: bytes(file(text, b"\7" + np.ones(2, "<f4").tobytes()))}), None
    )
    assert found["b"].tolist() == [1.0, 1.0]
    assert np.asarray(found["b"]).ctypes.data % 4 == 0


@pytest.mark.parametrize("files", [{}, {"a.bin": b""}, {"a.safetensors": b"", "b.safetensors": b""}], ids=str)
@pytest.mark.parametrize("materializer", [SafetensorsDict, TorchStateDict])
def test_the_version_is_one_safetensors_file(materializer: Any, files: dict[str, bytes]) -> None:
    """Nothing else is taken for one."""
    with pytest.raises(MaterializationError, match="one safetensors file"):
        materializer().load(MemoryInFolder(files), None)


def test_a_file_that_was_saved_by_its_path_is_read(tmp_path: Path) -> None:
    """As arrays, as tensors, or into a module: whoever loads it says so."""
    registry = Registry(tmp_path / "r")
    weights = {"weight": np.ones((2, 3), "f4"), "bias": np.zeros(2, "f4")}
    safetensors.numpy.save_file(weights, tmp_path / "model.safetensors")
    registry.save("my:file", tmp_path / "model.safetensors")
    assert registry.load("my:file").name == "model.safetensors"
    found = registry.load("my:file", materializer=SafetensorsDict)
    assert same(weights, {name: found[name] for name in weights})
    module = torch.nn.Linear(3, 2)
    assert registry.load("my:file", materializer=TorchStateDict, into=module) is module
    assert module.weight.eq(1).all()


def test_a_dict_is_a_safetensors_file_where_the_caller_says_so(tmp_path: Path) -> None:
    """And what a stored version says is enough to load it."""
    registry = Registry(tmp_path / "r")
    registry.save("my:arrays", arrays(), materializer=SafetensorsDict)
    assert registry.info("my:arrays")["materializer"] == "safetensors.dict/1"
    assert same(arrays(), registry.load("my:arrays"))
    registry.save("my:arrays", arrays())
    assert registry.info("my:arrays")["materializer"] == "python.json/1"
