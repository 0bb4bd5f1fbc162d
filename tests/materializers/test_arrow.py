"""pyarrow's tables, batches, arrays and schemas as Arrow files."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from hypothesis import given, strategies as st

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.arrow_file import BATCH_ROWS
from casreg.materializers.arrow_table import ArrowTable
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from collections.abc import Iterator

DAY = dt.date(2026, 1, 2)
COLUMNS: list[tuple[Any, list[Any]]] = [
    (pa.null(), [None, None, None]),
    (pa.bool_(), [True, None, False]),
    *((getattr(pa, f"{sign}int{bits}")(), [0, None, 100]) for sign in ("", "u") for bits in (8, 16, 32, 64)),
    (pa.float16(), [0.5, None, 2.0]),
    (pa.float32(), [-0.0, None, float("inf")]),
    (pa.float64(), [0.1, None, 2.0]),
    (pa.decimal128(20, 2), [Decimal("1.10"), None, Decimal("-5.00")]),
    (pa.decimal256(50, 2), [Decimal("1.10"), None, Decimal("-5.00")]),
    (pa.date32(), [DAY, None, dt.date(1, 1, 1)]),
    (pa.date64(), [DAY, None, dt.date(1, 1, 1)]),
    (pa.time32("s"), [dt.time(1), None, dt.time(0)]),
    (pa.time64("ns"), [dt.time(1), None, dt.time(0)]),
    (pa.timestamp("s"), [5, None, -7]),
    (pa.timestamp("ns", "Europe/Berlin"), [5, None, -7]),
    (pa.duration("us"), [dt.timedelta(1), None, dt.timedelta(-1)]),
    (pa.month_day_nano_interval(), [(1, 2, 3), None, (-1, 0, 0)]),
    (pa.string(), ["a", None, "✓" * 20]),
    (pa.large_string(), ["a", None, "✓" * 20]),
    (pa.string_view(), ["a", None, "✓" * 20]),
    (pa.binary(), [b"", None, b"\xff"]),
    (pa.large_binary(), [b"", None, b"\xff"]),
    (pa.binary_view(), [b"", None, b"\xff"]),
    (pa.binary(3), [b"abc", None, b"\0\0\0"]),
    (pa.list_(pa.int8()), [[1, None], None, []]),
    (pa.list_(pa.field("element", pa.string(), nullable=False, metadata={"k": "v"})), [["a"], None, []]),
    (pa.large_list(pa.string()), [["a", None], None, []]),
    (pa.list_(pa.int8(), 2), [[1, None], None, [2, 3]]),
    (pa.list_view(pa.int8()), [[1, None], None, []]),
    (pa.struct([("a", pa.int8()), ("b", pa.list_(pa.string()))]), [{"a": 1, "b": ["x"]}, None, {"a": None}]),
    (pa.struct([]), [{}, None, {}]),
    (pa.map_(pa.string(), pa.int8()), [[("k", 1)], None, []]),
    (pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]),
    (pa.dictionary(pa.int32(), pa.int64(), ordered=True), [5, None, 7]),
]
EXTENSIONS = [
    pa.array([uuid.UUID(int=7).bytes, None], pa.uuid()),
    pa.array([1, None, 0], pa.bool8()),
    pa.array(['{"a":1}', None], pa.json_(pa.large_string())),
    pa.ExtensionArray.from_storage(pa.opaque(pa.binary(), "point", "lab"), pa.array([b"x", None])),
    pa.ExtensionArray.from_storage(
        pa.fixed_shape_tensor(pa.float32(), [2, 3], dim_names=["h", "w"], permutation=[1, 0]),
        pa.array([[1, 2, 3, 4, 5, 6], None], pa.list_(pa.float32(), 6)),
    ),
]


def table() -> pa.Table:
    """Every type in one table, with metadata and a field that has no nulls."""
    arrays = [pa.array(values, kind) for kind, values in COLUMNS]
    fields = [
        pa.field(f"{at} {kind}", kind, metadata={"at": str(at)}) for at, (kind, _) in enumerate(COLUMNS)
    ]
    fields.append(pa.field("whole", pa.int8(), nullable=False))
    schema = pa.schema(fields, metadata={b"\xff": b"\0", "note": "of all kinds"})
    return pa.Table.from_arrays([*arrays, pa.array([1, 2, 3], pa.int8())], schema=schema)


def save(value: object) -> MemoryInFolder:
    """The stored files, by the materializer that the table has for the class."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        assert done.materializer.id == "arrow.table/1"
        return stored(done.folder)


def load(folder: MemoryInFolder) -> Any:
    """What is stored in a folder."""
    return load_object(ArrowTable(), folder)


def same(saved: Any, loaded: Any) -> bool:
    """Equal in class, types, metadata and values."""
    assert type(saved) is type(loaded)
    if isinstance(saved, pa.Table | pa.RecordBatch):
        assert (saved.num_rows, saved.num_columns) == (loaded.num_rows, loaded.num_columns)
        return bool(saved.equals(loaded, check_metadata=True))
    if isinstance(saved, pa.Schema):
        return bool(saved.equals(loaded, check_metadata=True))
    assert saved.type == loaded.type
    return bool(saved.equals(loaded))


class TestArrow(MaterializerContract):
    materializer = ArrowTable
    damages = 20

    def examples(self) -> list[object]:
        every = table()
        runs = pa.RunEndEncodedArray.from_arrays([2, 5], [1, None])
        union = pa.UnionArray.from_sparse(
            pa.array([0, 1], pa.int8()), [pa.array([1, 2]), pa.array(["a", "b"])]
        )
        dense = pa.UnionArray.from_dense(
            pa.array([0, 1, 0], pa.int8()),
            pa.array([0, 0, 1], pa.int32()),
            [pa.array([1, 2]), pa.array(["a"])],
        )
        return [
            every,
            every.slice(1),
            every.slice(3),
            pa.concat_tables([every, every]),
            every.schema,
            pa.schema([]),
            pa.table({}),
            pa.table({"a": [1, 2]}).select([]),
            pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]),
            pa.table({f"e{at}": one[:2] for at, one in enumerate(EXTENSIONS)}).replace_schema_metadata({"a": "b"}),
            pa.table({f"e{at}": one[:2] for at, one in enumerate(EXTENSIONS)}).schema,
            *every.to_batches(),
            every.to_batches()[0].slice(1, 1),
            every.to_batches()[0].select([]),
            *(column.chunk(0) for column in every.columns),
            *(column.chunk(0)[1:2] for column in every.columns),
            pa.chunked_array([pa.array([1, None]), pa.array([], pa.int64()), pa.array([3])]),
            pa.chunked_array([], pa.dictionary(pa.int8(), pa.string())),
            *EXTENSIONS,
            pa.chunked_array([EXTENSIONS[0], EXTENSIONS[0]]),
            runs,
            runs[1:4],
            union,
            dense,
            pa.array([*range(100), None] * (BATCH_ROWS // 100), pa.int8()),
            pa.record_batch({"a": ["ab", ""] * (BATCH_ROWS // 2 + 1)}),
        ]  # fmt: skip

    def equal(self, saved: Any, loaded: Any) -> bool:
        return same(saved, loaded)


def cut(values: list[Any], kind: Any, cuts: list[int]) -> pa.ChunkedArray:
    """The values in chunks that are slices of larger arrays, with other things around and under the nulls."""
    chunks, start = [], 0
    for end in [*sorted(cuts), len(values)]:
        piece = values[start:end]
        around = pa.array([*values, *piece, *values], kind)
        chunks.append(around.slice(len(values), len(piece)))
        start = end
    return pa.chunked_array(chunks, kind)


KINDS = st.sampled_from(
    [
        (pa.int16(), st.integers(-9, 9)),
        (pa.bool_(), st.booleans()),
        (pa.string(), st.text(max_size=3)),
        (pa.large_binary(), st.binary(max_size=3)),
        (pa.list_(pa.int8()), st.lists(st.none() | st.integers(0, 9), max_size=3)),
        (pa.large_list(pa.string()), st.lists(st.none() | st.text(max_size=2), max_size=2)),
        (pa.decimal128(5, 1), st.decimals(-99, 99, places=1)),
        (pa.struct([("a", pa.int8()), ("b", pa.string())]), st.fixed_dictionaries({"a": st.integers(0, 9)})),
        (pa.list_(pa.bool_(), 2), st.lists(st.booleans(), min_size=2, max_size=2)),
    ]
)


@given(st.data(), KINDS)
def test_how_it_is_cut_is_no_content(data: st.DataObject, kind: tuple[Any, Any]) -> None:
    """The same values give the same bytes, whatever the slices, offsets and chunks are."""
    arrow, strategy = kind
    values = data.draw(st.lists(st.none() | strategy, max_size=20))
    cuts = data.draw(st.lists(st.integers(0, len(values)), max_size=3))
    whole, pieces = pa.chunked_array([pa.array(values, arrow)]), cut(values, arrow, cuts)
    assert save(pieces).files == save(whole).files
    assert same(pieces, load(save(pieces)))


@pytest.mark.parametrize("kind", [pa.int32(), pa.float16(), pa.bool_(), pa.timestamp("us"), pa.binary(4)])
def test_what_stands_under_nulls_is_no_content(kind: pa.DataType) -> None:
    """It is whatever the memory held."""
    valid = pa.py_buffer(bytes([0b1010]))
    made = [
        pa.Array.from_buffers(kind, 4, [valid, pa.py_buffer(bytes([0xAA, rubbish]) * 16)])
        for rubbish in (0xAA, 0xAA)
    ]
    values = bytearray(memoryview(made[0].buffers()[1]).tobytes())
    width = max(kind.bit_width // 8, 1)
    for at in (0, 2):
        if kind == pa.bool_():
            values[0] ^= 1 << at
        else:
            values[at * width : (at + 1) * width] = bytes(width)
    other = pa.Array.from_buffers(kind, 4, [valid, pa.py_buffer(bytes(values))])
    assert other.equals(made[0])
    assert save(other).files == save(made[0]).files


def test_bytes_are_the_same_when_it_is_saved_again() -> None:
    """What came back is stored as what was saved."""
    folder = save(table())
    assert save(load(folder)).files == folder.files


def test_the_file_opens_without_casreg() -> None:
    """By any library that reads Arrow files, uncompressed."""
    folder = save(table())
    with pa.ipc.open_file(pa.py_buffer(folder.files["data.arrow"])) as reader:
        assert reader.read_all().equals(table(), check_metadata=True)


def test_a_changed_row_changes_its_batch_only() -> None:
    """Text counts its offsets anew in every batch: a longer word at the start leaves the rest as it was."""
    words = [f"word {n}" for n in range(3 * BATCH_ROWS)]
    before = save(pa.table({"w": words})).files["data.arrow"]
    after = save(pa.table({"w": ["a longer word", *words[1:]]})).files["data.arrow"]
    tail = len(before) // 2
    assert before[-tail:-1000] in after


class Mine(pa.ExtensionType):  # type: ignore[misc] # pyarrow is not typed
    """A type of the user's own, which would run code of theirs when it is read."""

    ran = 0

    def __init__(self) -> None:
        super().__init__(pa.int8(), "casreg.test.mine")

    def __arrow_ext_serialize__(self) -> bytes:
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: Any, serialized: bytes) -> Mine:
        cls.ran += 1
        return cls()


@pytest.fixture
def mine() -> Iterator[Mine]:
    """That type, registered."""
    kind = Mine()
    pa.register_extension_type(kind)
    yield kind
    pa.unregister_extension_type("casreg.test.mine")


def test_other_extension_types_are_refused(mine: Mine) -> None:
    """Alone, in a table, inside other types, in the words of the metadata."""
    array = pa.ExtensionArray.from_storage(mine, pa.array([1], pa.int8()))
    for value in (
        array,
        pa.chunked_array([array]),
        pa.table({"x": array}),
        pa.schema([pa.field("x", mine)]),
        pa.schema([pa.field("x", pa.list_(mine))]),
        pa.schema([pa.field("x", pa.list_(pa.uuid()))]),
        pa.schema([pa.field("x", pa.int8(), metadata={"ARROW:extension:name": "casreg.test.mine"})]),
        pa.table({"ARROW:extension:name": [1]}),
    ):
        with pytest.raises(NoMaterializerError, match="extension type"):
            save(value)


def test_reading_runs_no_code_of_a_registered_extension(mine: Mine) -> None:
    """Stored bytes that name a type which somebody registered do not reach its code."""
    sink = pa.BufferOutputStream()
    array = pa.ExtensionArray.from_storage(mine, pa.array([1], pa.int8()))
    with pa.ipc.new_file(sink, pa.schema([("x", mine)])) as writer:
        writer.write_batch(pa.record_batch([array], names=["x"]))
    Mine.ran = 0
    with pytest.raises(MaterializationError, match="extension type"):
        load(MemoryInFolder({"data.arrow": sink.getvalue().to_pybytes()}, {"kind": "table"}))
    assert Mine.ran == 0


def test_dictionaries_of_single_chunks_are_refused() -> None:
    """A file holds one for a column; making it one is the user's word."""
    chunks = [pa.array([word]).dictionary_encode() for word in ("a", "b")]
    mixed = pa.chunked_array(chunks)
    nested = pa.chunked_array([pa.StructArray.from_arrays([one], names=["x"]) for one in chunks])
    for column in (mixed, nested):
        with pytest.raises(NoMaterializerError, match="unify_dictionaries"):
            save(pa.table({"w": column}))
    unified = pa.table({"w": mixed}).unify_dictionaries()
    assert same(unified, load(save(unified)))


def test_types_that_the_file_would_change_are_refused() -> None:
    """An Arrow file makes one dictionary of a dictionary of dictionaries."""
    inner = pa.array(["a", "b"]).dictionary_encode()
    with pytest.raises(NoMaterializerError, match="another"):
        save(pa.DictionaryArray.from_arrays(pa.array([0, 1]), inner))


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"kind": "frame"},
        {"kind": 1},
        {"kind": "array"},
        {"kind": "table", "extensions": []},
        {"kind": "table", "extensions": {"9": ["arrow.uuid"]}},
        {"kind": "table", "extensions": {"-1": ["arrow.bool8"]}},
        {"kind": "table", "extensions": {"2": ["arrow.bool8"]}},
        {"kind": "table", "extensions": {"01": ["arrow.bool8"]}},
        {"kind": "table", "extensions": {"0": ["arrow.uuid"]}},
        {"kind": "table", "extensions": {"1": ["arrow.json"]}},
        {"kind": "table", "extensions": {"0": ["arrow.opaque", 1, 2]}},
        {"kind": "table", "extensions": {"0": ["arrow.fixed_shape_tensor", [1], None, None]}},
        {"kind": "table", "extensions": {"0": ["casreg.test.mine"]}},
        {"kind": "table", "extensions": {"0": "arrow.uuid"}},
    ],
)
def test_parameters_that_do_not_fit_are_refused(params: Any) -> None:
    """They say which class it was, and which columns have a type of the closed list."""
    folder = save(pa.table({"a": pa.array(["x", "y"]), "b": pa.array([1, 0], pa.int8())}))
    good: Any = {"kind": "table", "extensions": {"1": ["arrow.bool8"]}}
    assert load(MemoryInFolder(folder.files, good)).column(1).type == pa.bool8()
    with pytest.raises(MaterializationError):
        load(MemoryInFolder(folder.files, params))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: data[:-10] + b"\xff\xff\xff\x7fARROW1",
        lambda data: data[:-10] + b"\0\0\0\0ARROW1",
        lambda data: data.replace("✓".encode(), b"\xff\xff\xff"),
    ],
)
def test_damaged_files_are_refused(change: Any) -> None:
    """Cut off, with an end that lies, with text that is no UTF-8."""
    folder = save(pa.table({"s": ["✓", "b"]}))
    with pytest.raises(MaterializationError):
        load(MemoryInFolder({"data.arrow": change(folder.files["data.arrow"])}, folder.params))


def test_indices_beyond_a_dictionary_are_refused() -> None:
    """Compiled code follows them."""
    folder = save(pa.array(["aa", "bb", "aa"]).dictionary_encode())
    indices = b"".join(n.to_bytes(4, "little") for n in (0, 1, 0))
    data = folder.files["data.arrow"]
    assert data.count(indices) == 1
    wrong = data.replace(indices, indices[:8] + b"\x09\0\0\0")
    with pytest.raises(MaterializationError, match="valid"):
        load(MemoryInFolder({"data.arrow": wrong}, folder.params))
