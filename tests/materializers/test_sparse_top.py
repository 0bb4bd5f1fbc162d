"""scipy's sparse matrices and arrays of every format, on their own."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy import sparse

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.python_json import PythonJson
from casreg.materializers.tree.decode import Decoder
from casreg.materializers.tree.kinds import decoder_for
from casreg.materializers.tree.sparse import _check_pointers
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

DENSE = np.array([[0, 1.5, 0, 0], [2, 0, 0, -0.0], [0, 0, 0, 0], [0, 3, 4, 0]])
FORMATS = ("csr", "csc", "coo", "bsr", "dia", "dok", "lil")
KINDS = tuple(f"{form}_{kind}" for form in FORMATS for kind in ("matrix", "array"))
PARTS = ("data", "indices", "indptr", "offsets", "coords", "rows")


def save(value: object) -> MemoryInFolder:
    """The stored files, by the materializer that the table has for the class."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        return stored(done.folder)


def same(saved: Any, loaded: Any) -> bool:
    """Equal in class, dtype, shape, every array and its type, and the flags."""
    assert type(saved) is type(loaded)
    assert (saved.dtype, saved.shape, saved.nnz) == (loaded.dtype, loaded.shape, loaded.nnz)
    if saved.format == "dok":
        assert dict(saved.items()) == dict(loaded.items())
        return True
    for name in PARTS if saved.format != "lil" else ("rows", "data"):
        parts = [getattr(one, name, ()) for one in (saved, loaded)]
        for a, b in zip(*map(np.atleast_2d, parts), strict=True):
            assert a.dtype == b.dtype
            assert a.tolist() == b.tolist()
    for flag in ("has_sorted_indices", "has_canonical_format"):
        assert getattr(saved, flag, None) == getattr(loaded, flag, None)
    return True


class TestFormats(MaterializerContract):
    materializer = PythonJson
    own_errors = True
    damages = 40

    def examples(self) -> list[object]:
        unsorted = sparse.csr_array(([1, 2, 3], [2, 0, 0], [0, 2, 3, 3]), shape=(3, 4))
        wide = sparse.csr_matrix(DENSE)
        wide.indices, wide.indptr = wide.indices.astype(np.int64), wide.indptr.astype(np.int64)
        twice = sparse.coo_array(([1, 2, 3], ([0, 0, 1], [1, 1, 0])), shape=(2, 2))
        canonical = sparse.coo_matrix(twice)
        canonical.sum_duplicates()
        far = sparse.coo_array(([1.5], (np.array([7]), np.array([3]))), shape=(10, 10))
        far.coords = tuple(one.astype(np.int64) for one in far.coords)
        long = sparse.dia_array((np.ones((1, 3)), [1]), shape=(3, 3))
        long.offsets = long.offsets.astype(np.int64)
        return [
            *(getattr(sparse, name)(DENSE) for name in KINDS),
            *(getattr(sparse, name)((0, 3), dtype=np.int8) for name in KINDS),
            *(sparse.eye_array(4, dtype=kind, format="csc") for kind in ("?", "f4", "c16", "u2")),
            sparse.bsr_array(np.kron(np.eye(2), np.ones((2, 3))), blocksize=(2, 3)),
            sparse.coo_array(np.array([0, 1, 0])),
            sparse.coo_array(np.arange(8).reshape(2, 2, 2)),
            sparse.dok_array(np.array([0, 1.5])),
            sparse.csr_array(np.array([0, 1, 0])),
            sparse.dia_array((np.arange(8).reshape(2, 4), [-1, 2]), shape=(4, 4)),
            unsorted,
            wide,
            twice,
            canonical,
            far,
            long,
        ]

    def equal(self, saved: Any, loaded: Any) -> bool:
        return same(saved, loaded)


def test_every_class_of_scipy_is_known() -> None:
    """A format that a new scipy has would be seen here."""
    names = {
        f"{name}"
        for name in dir(sparse)
        if name.endswith(("_matrix", "_array")) and isinstance(getattr(sparse, name), type)
    }
    assert {name for name in names if name.split("_")[0] in FORMATS} == set(KINDS)
    for name in KINDS:
        assert MaterializerTable(BUILTIN).for_class(getattr(sparse, name)) is not None


@given(
    st.sampled_from(KINDS),
    st.integers(0, 5),
    st.integers(0, 5),
    st.sampled_from(["?", "i1", "u8", "f4", "f8", "c8"]),
    st.data(),
)
def test_any_matrix_comes_back(name: str, rows: int, columns: int, kind: str, data: st.DataObject) -> None:
    """Of every format, shape and type, with the same bytes when it is saved again."""
    values = data.draw(st.lists(st.integers(0, 2), min_size=rows * columns, max_size=rows * columns))
    made = getattr(sparse, name)(np.array(values).reshape(rows, columns).astype(kind))
    folder = save(made)
    loaded = load_object(PythonJson(), folder)
    assert same(made, loaded)
    assert save(loaded).files == folder.files


def test_an_order_of_insertion_is_no_content() -> None:
    """A dok_array is a dict inside: the same values give the same bytes."""
    one, other = sparse.dok_array((3, 3)), sparse.dok_array((3, 3))
    for place in ((0, 1), (2, 0), (1, 1)):
        one[place] = 5
    for place in ((1, 1), (0, 1), (2, 0)):
        other[place] = 5
    assert save(one).files == save(other).files


def changed(folder: MemoryInFolder, file: str, change: Any) -> MemoryInFolder:
    """A copy with one array changed."""
    array = np.load(io.BytesIO(folder.files[file]))
    array = change(array)
    out = io.BytesIO()
    np.save(out, array)
    return MemoryInFolder({**folder.files, file: out.getvalue()})


def put(at: int, value: int) -> Any:
    """A change that sets one element."""

    def change(array: np.ndarray) -> np.ndarray:
        array[at] = value
        return array

    return change


@pytest.mark.parametrize(
    ("name", "file", "change"),
    [
        ("coo_array", 1, put(0, 9)),
        ("coo_array", 2, put(0, -1)),
        ("coo_matrix", 1, lambda array: array[:-1]),
        ("coo_matrix", 1, lambda array: array.astype(np.int16)),
        ("coo_matrix", 1, lambda array: array.astype(float)),
        ("coo_matrix", 0, lambda array: array.reshape(2, -1)),
        ("dok_array", 1, put(0, 9)),
        ("lil_array", 1, put(0, 9)),
        ("lil_matrix", 2, put(-1, 9)),
        ("lil_matrix", 2, put(1, -1)),
        ("bsr_array", 1, put(0, 9)),
        ("bsr_array", 2, put(-1, 9)),
        ("bsr_array", 0, lambda array: array.reshape(-1)),
        ("bsr_array", 0, lambda array: np.zeros((len(array), 3, 1))),
        ("bsr_array", 0, lambda array: np.zeros((len(array), 0, 1))),
        ("bsr_array", 0, lambda array: array[:1]),
        ("dia_array", 1, put(0, 9)),
        ("dia_array", 1, put(0, -9)),
        ("dia_array", 1, put(0, 1)),
        ("dia_array", 0, lambda array: array[:-1]),
        ("csc_matrix", 1, put(0, 9)),
        ("csr_matrix", 1, lambda array: array[:-1]),
        ("csr_matrix", 1, lambda array: array.astype(np.uint32)),
    ],
)
def test_arrays_that_point_elsewhere_are_refused(name: str, file: int, change: Any) -> None:
    """Compiled code reads and writes where they say, and does not look."""
    folder = save(getattr(sparse, name)(DENSE))
    load_object(PythonJson(), folder)
    with pytest.raises(MaterializationError):
        PythonJson().load(changed(folder, f"parts/{file}.npy", change), None)


def test_coordinates_are_checked_as_they_are_stored() -> None:
    """Before scipy cuts them down to 32 bits, and looks then."""
    wide = sparse.coo_array(DENSE)
    wide.coords = tuple(one.astype(np.int64) for one in wide.coords)
    folder = save(wide)
    with pytest.raises(MaterializationError, match="within"):
        load_object(PythonJson(), changed(folder, "parts/1.npy", lambda array: array + 2**32))
    with pytest.raises(MaterializationError, match="one type"):
        load_object(PythonJson(), changed(folder, "parts/1.npy", lambda array: array.astype(np.int32)))


@pytest.mark.parametrize(
    ("indices", "pointers", "values"),
    [
        ([0, 1], [0, 1], 2),
        ([0, 1], [0, 1, 1, 2], 2),
        ([0, 1], [1, 1, 2], 2),
        ([0, 1], [0, 2, 1], 2),
        ([0, 1], [0, 1, 3], 3),
        ([0, 1, 1], [0, 1, 3], 2),
        ([0, 4], [0, 1, 2], 2),
        ([-1, 1], [0, 1, 2], 2),
    ],
)
def test_pointers_are_checked_without_scipy(indices: list[int], pointers: list[int], values: int) -> None:
    """Of a matrix of two rows and four columns: memory is safe whatever a release of scipy looks at."""
    decoder = Decoder(MemoryInFolder({}), (), None, decoder_for)
    _check_pointers(decoder, np.array([0, 3]), np.array([0, 1, 2]), 2, (2, 4))
    with pytest.raises(MaterializationError):
        _check_pointers(decoder, np.array(indices), np.array(pointers), values, (2, 4))


def test_pointers_of_an_empty_matrix_are_checked_too() -> None:
    """If the last one is 0, scipy looks at none of them, and follows them all."""
    folder = save(sparse.csr_array((3, 4)))
    with pytest.raises(MaterializationError, match="pointers"):
        load_object(PythonJson(), changed(folder, "parts/2.npy", put(1, -(2**30))))


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (0, "csr_matrix"),
        (0, "no_matrix"),
        (1, [3, 4]),
        (1, [4, 4, 4]),
        (1, [4]),
        (1, []),
        (1, [4, -4]),
        (1, 4),
        (2, None),
        (3, []),
        (4, 1),
    ],
)
def test_a_description_that_does_not_fit_is_refused(at: int, value: object) -> None:
    """The class, the shape and the number of arrays belong together."""
    folder = save(sparse.coo_matrix(DENSE))
    tree = json.loads(folder.files["data.json"])
    tree["$sparse"][at] = value
    with pytest.raises(MaterializationError):
        load_object(PythonJson(), MemoryInFolder({**folder.files, "data.json": json.dumps(tree).encode()}))


def test_what_is_said_to_be_without_duplicates_has_none() -> None:
    """`has_canonical_format` makes scipy skip a sum."""
    folder = save(sparse.coo_array(([1, 2], ([0, 0], [1, 1])), shape=(2, 2)))
    text = folder.files["data.json"].replace(b"false", b"true")
    with pytest.raises(MaterializationError, match="twice"):
        load_object(PythonJson(), MemoryInFolder({**folder.files, "data.json": text}))


def test_what_would_not_come_back_is_refused() -> None:
    """Types of indices that scipy's compiled code has not, diagonals of nothing, objects, subclasses."""

    class Mine(sparse.csr_array):  # type: ignore[misc] # scipy is not typed
        pass

    narrow, mixed = sparse.csr_matrix(DENSE), sparse.csr_matrix(DENSE)
    narrow.indices, narrow.indptr = narrow.indices.astype(np.int16), narrow.indptr.astype(np.int16)
    mixed.indptr = mixed.indptr.astype(np.int64)
    for value in (
        narrow,
        mixed,
        sparse.dia_array((np.ones((1, 2)), [7]), shape=(2, 2)),
        Mine(DENSE),
    ):
        with pytest.raises(NoMaterializerError):
            save(value)
