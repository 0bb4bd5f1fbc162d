"""numpy arrays as .npy files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as npst

from casreg.exceptions import MaterializationError, NoMaterializerError, UntrustedError
from casreg.materializers import (
    BUILTIN,
    ClassTable,
    MaterializerTable,
    MemoryFile,
    Outgoing,
    load_object,
    materialize,
)
from casreg.materializers.numpy_array import NumpyArray
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored


class TestArrays(MaterializerContract):
    materializer = NumpyArray
    own_errors = True

    def examples(self) -> list[object]:
        return [
            np.arange(5),
            np.array(5.5),
            np.zeros((0, 3)),
            np.zeros((3, 0), order="F"),
            np.asfortranarray(np.arange(6.0).reshape(2, 3)),
            np.arange(10)[::2],
            np.arange(24).reshape(2, 3, 4).transpose(1, 0, 2),
            np.array(["a", "bcd", "✓"]),
            np.array([b"a", b"bcd"]),
            np.array([True, False]),
            np.array([1j], np.complex64),
            np.array([1, 2], ">i4"),
            np.array([1.5], np.float16),
            np.zeros(3, np.longdouble),
            np.array(["2026-01-02", "NaT"], "M8[D]"),
            np.zeros(2, "m8[25s]"),
            np.array([(1, 2.0)], [("a", "i4"), ("b", ">f8")]),
            np.zeros(2, np.dtype([("a", "i1"), ("b", "f8")], align=True)),
            np.zeros((2, 3), [("é", "i4", (2, 2)), ("中", [("x", "U2")])]),
            np.zeros(3, "V5"),
        ]

    def equal(self, saved: object, loaded: object) -> bool:
        return same(saved, loaded)


def same(a: object, b: object) -> bool:
    """Equal in bytes, dtype, shape and memory order, and writable."""
    assert isinstance(a, np.ndarray)
    assert isinstance(b, np.ndarray)
    layout = a.dtype == b.dtype and a.shape == b.shape and b.flags.writeable
    order = a.flags.f_contiguous == b.flags.f_contiguous or not a.flags.forc
    return bool(layout and order and a.tobytes() == b.tobytes())


def save(array: object) -> Outgoing:
    """The folder of a saved array."""
    folder = Outgoing()
    NumpyArray().save(array, folder)
    return folder


@settings(deadline=None, max_examples=150)
@given(
    npst.arrays(
        dtype=npst.scalar_dtypes() | npst.array_dtypes(allow_subarrays=True),
        shape=npst.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4),
    ),
    st.sampled_from(["C", "F"]),
)
def test_any_array_comes_back(array: np.ndarray, order: str) -> None:
    """dtype, byte order, shape, memory order and bytes; and what numpy reads is the same."""
    given_array = np.asarray(array, order="F" if order == "F" else "C")
    folder = stored(save(given_array))
    assert same(given_array, NumpyArray().load(folder, None))
    by_numpy = np.load(io.BytesIO(folder.files["data.npy"]))
    assert by_numpy.dtype == given_array.dtype
    assert by_numpy.tobytes() == given_array.tobytes()


@pytest.mark.parametrize("order", ["C", "F"])
def test_a_contiguous_array_is_not_copied_on_the_way_in(order: str) -> None:
    """The buffer that is stored is the array's own memory."""
    array = np.array([[1.0, 2.0], [3.0, 4.0]], order="F" if order == "F" else "C")
    (entry,) = save(array).entries()
    assert isinstance(entry, MemoryFile)
    assert np.shares_memory(np.asarray(entry.buffers[1]), array)


def test_an_array_is_read_once_into_its_final_memory() -> None:
    """Loading asks for the file once, into a buffer that the array then stands on: there is no second copy."""
    reads = []

    class Watched(MemoryInFolder):
        def read(self, path: str) -> memoryview:
            raise AssertionError(path)

        def read_into(self, path: str, buffer: object) -> None:
            reads.append(buffer)
            super().read_into(path, buffer)  # type: ignore[arg-type]

    folder = stored(save(np.arange(1000.0)))
    loaded = NumpyArray().load(Watched(folder.files), None)
    assert len(reads) == 1
    assert np.shares_memory(loaded, reads[0])


def test_the_data_of_a_file_are_aligned() -> None:
    """Headers are multiples of 64 bytes, so that data can be mapped and used where they lie."""
    for columns in (1, 30):
        data = stored(save(np.zeros(2, [(f"column {n}", "f8") for n in range(columns)]))).files["data.npy"]
        assert (len(data) - 2 * 8 * columns) % 64 == 0


def test_bytes_of_a_header_are_frozen() -> None:
    """The same array gives the same bytes under every release of numpy."""
    data = stored(save(np.arange(3, dtype="<i8"))).files["data.npy"]
    text = b"{'descr': '<i8', 'fortran_order': False, 'shape': (3,), }"
    assert data == b"\x93NUMPY\x01\x00\x76\x00" + text.ljust(117) + b"\n" + bytes(
        [0] * 8 + [1] + [0] * 7 + [2] + [0] * 7
    )


@pytest.mark.parametrize("order", ["C", "F"])
def test_padding_is_stored_as_zeros(order: str) -> None:
    """Bytes between the fields of a struct, or after an 80-bit float, are memory of no meaning."""
    padded = np.dtype([("a", "i1"), ("b", [("c", "i1"), ("d", "f8")]), ("e", "f4", (2,))], align=True)
    for dtype in (padded, np.dtype("g"), np.dtype("G")):
        arrays = []
        for garbage in (0x00, 0xAA):
            array = (
                np.full(6 * dtype.itemsize, garbage, np.uint8)
                .view(dtype)
                .reshape(2, 3, order="F" if order == "F" else "C")
            )
            fill(array)
            arrays.append(stored(save(array)).files["data.npy"])
        assert arrays[0] == arrays[1]


def fill(array: np.ndarray) -> None:
    """Set every value, and leave the bytes between them."""
    if array.dtype.names is None:
        array[...] = 1.5
    for name in array.dtype.names or ():
        fill(array[name])


def test_a_memmap_comes_back_as_an_array(tmp_path: object) -> None:
    """Where the bytes lay is no part of the value."""
    mapped = np.memmap(f"{tmp_path}/x.bin", np.int32, "w+", shape=(4,))
    mapped[:] = 7
    loaded = NumpyArray().load(stored(save(mapped)), None)
    assert type(loaded) is np.ndarray
    assert loaded.tolist() == [7] * 4


@pytest.mark.parametrize(
    "array",
    [
        np.array([None, {}], dtype=object),
        np.zeros(2, [("a", "O")]),
        np.ma.masked_array([1, 2], [True, False]),
        np.ones((2, 2)).view(np.matrix),
        np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.array(["x"], dtype=np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else None,
        np.zeros(2, np.dtype("f8", metadata={"unit": "m"})),
        np.zeros(2, []),
    ],
    ids=lambda array: type(array).__name__ + str(getattr(array, "dtype", "")),
)
def test_what_would_not_come_back_is_refused(array: object) -> None:
    """Python objects, subclasses with a meaning, dtypes beyond the format: refused before anything is written."""
    folder = Outgoing()
    with pytest.raises(NoMaterializerError):
        NumpyArray().save(array, folder)
    assert folder.entries() == ()


def test_what_is_said_to_do_with_subclasses_works() -> None:
    """The messages say how to save a masked or a record array; that comes back whole."""
    masked = np.ma.masked_array([1, 2], [True, False], fill_value=7)
    with pytest.raises(NoMaterializerError, match=r"it.data.*it.mask"):
        save(masked)
    parts = {"data": masked.data, "mask": masked.mask, "fill_value": masked.fill_value}
    table = MaterializerTable(BUILTIN)
    with materialize(parts, table, ClassTable()) as done:
        loaded: Any = load_object(done.materializer, stored(done.folder))
    again = np.ma.masked_array(**loaded)
    assert again.tolist() == [None, 2]
    assert again.fill_value == 7
    records = np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")])
    with pytest.raises(NoMaterializerError, match=r"numpy.void"):
        save(records)
    plain = records.view(np.dtype((np.void, records.dtype)), np.ndarray)
    back = NumpyArray().load(stored(save(plain)), None)
    assert back.view(np.recarray).a.tolist() == [1]


def test_arrays_of_objects_are_pickled_if_that_is_allowed() -> None:
    """And only then: by the materializer that says so when it is loaded."""
    for array in (np.array([None, {"a": 1}], dtype=object), np.array((1, [2]), [("a", "i4"), ("b", "O")])):
        with materialize(array, MaterializerTable(BUILTIN), ClassTable(), allow_pickle=True) as done:
            folder = stored(done.folder)
        loaded: Any = load_object(done.materializer, folder)
        assert done.materializer.id == "python.pickle/1"
        assert loaded.dtype == array.dtype
        assert loaded.tolist() == array.tolist()
        with pytest.raises(UntrustedError):
            load_object(done.materializer, MemoryInFolder(folder.files))


def header(text: str, data: bytes = b"", version: int = 1) -> MemoryInFolder:
    """A file with this text for a header."""
    body = text.encode("latin-1")
    length = len(body).to_bytes(2 if version == 1 else 4, "little")
    return MemoryInFolder({"data.npy": b"\x93NUMPY" + bytes((version, 0)) + length + body + data})


@pytest.mark.parametrize(
    "text",
    [
        "{'descr': '|O', 'fortran_order': False, 'shape': (0,), }",
        "{'descr': [('a', '|O')], 'fortran_order': False, 'shape': (0,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (4611686018427387904, 4), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (1152921504606846976, 0), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (-1,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': (True,), }",
        "{'descr': '<f8', 'fortran_order': 1, 'shape': (0,), }",
        "{'descr': '<f8', 'fortran_order': False, 'shape': 0, }",
        "{'descr': '<f8', 'fortran_order': False, }",
        "{'descr': ('<f8', (2**40,)), 'fortran_order': False, 'shape': (0,), }",
        "{'descr': ('<f8', (3,)), 'fortran_order': False, 'shape': (0,), }",
        "{'descr': '<f8,<i4', 'fortran_order': False, 'shape': (0,), }",
        "{'descr': 'os.system', 'fortran_order': False, 'shape': (0,), }",
        "{'descr': '|V0', 'fortran_order': False, 'shape': (9,), }",
        "{'descr': [('a', '<i4'), ('a', '<i4')], 'fortran_order': False, 'shape': (0,), }",
        "__import__('os').system('true')",
        "(" * 5000,
        "[" * 60_000,
        "",
    ],
)
def test_hostile_headers_are_refused(text: str) -> None:
    """A header is data of a strict grammar: no objects, no sizes beyond the file, no code."""
    with pytest.raises(MaterializationError):
        NumpyArray().load(header(text), None)


def test_a_size_beyond_the_file_is_refused_before_it_is_allocated() -> None:
    """The shape must explain exactly the bytes that are there."""
    text = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"
    with pytest.raises(MaterializationError, match="15 bytes"):
        NumpyArray().load(header(text, bytes(15)), None)
