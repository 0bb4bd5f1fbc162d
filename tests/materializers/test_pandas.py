"""pandas objects: what comes back, byte for byte and type for type, and what is refused."""

from __future__ import annotations

import datetime as dt
import io
import json
import sys
import uuid
from decimal import Decimal
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import pandas as pdst
from pandas import testing
from pandas.api.extensions import ExtensionDtype

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import (
    BUILTIN,
    ClassTable,
    MaterializerTable,
    load_object,
    materialize,
    pandas_columns,
)
from casreg.materializers.arrow_file import BATCH_ROWS
from casreg.materializers.pandas_frame import PandasFrame
from casreg.registry import Registry
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAYS = pd.date_range("2026-01-01", periods=3, freq="D")


def frames() -> list[pd.DataFrame]:
    """Frames with every kind of dtype, index and label."""
    plain = pd.DataFrame(
        {"a": [1, 2, 3], "b": [0.5, np.nan, -0.0], "c": ["x", "", None], "d": [True, False, True]}
    )
    numbers = pd.DataFrame(
        {
            name: np.array([0, 1, 3]).astype(name)
            for name in ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16"]
        }
        | {
            name: np.array([0, 1, 3]).astype(name)
            for name in ["uint32", "uint64", "float16", "float32", "complex64"]
        }
        | {"complex128": np.array([1j, np.nan, 2])}
    )
    masked = pd.DataFrame(
        {
            name: pd.array([1, None, 0], dtype=name)
            for name in [
                "Int8",
                "Int16",
                "Int32",
                "Int64",
                "UInt8",
                "UInt16",
                "UInt32",
                "UInt64",
                "Float32",
                "Float64",
                "boolean",
            ]
        }
    )
    masked["nan"] = pd.arrays.FloatingArray(np.array([1.0, np.nan, 3.0]), np.array([False, False, True]))
    times = pd.DataFrame(
        {
            f"{kind} {unit}": pd.Series([1, None, -5], dtype="Int64").astype(f"{kind}[{unit}]")
            for unit in ("s", "ms", "us", "ns")
            for kind in ("datetime64", "timedelta64")
        }
    )
    times["berlin"] = DAYS.tz_localize("Europe/Berlin").as_unit("ms")
    times["utc"] = pd.to_datetime(["2026-01-01", None, "2026-07-01"], utc=True)
    times["offset"] = DAYS.tz_localize(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    times["zone UTC"] = DAYS.tz_localize(ZoneInfo("UTC"))
    times["month"] = pd.PeriodIndex(["2026-01", None, "1960-12"], freq="M")
    times["two days"] = pd.period_range("2026-01-01", periods=3, freq="2D")
    return [plain, numbers, masked, times, texts(), categories(), others(), *shapes()]


def texts() -> pd.DataFrame:
    """Text, and objects of one type."""
    kinds = {
        f"{storage} {missing}": pd.array(["a", None, "✓"], dtype=pd.StringDtype(storage, na_value=missing))
        for storage in ("python", "pyarrow")
        for missing in (pd.NA, np.nan)
    }
    objects = {
        "str": ["a", "b", ""],
        "none": ["a", None, ""],
        "nan": ["a", np.nan, ""],
        "NA": ["a", pd.NA, ""],
        "NaT": [dt.date(2026, 1, 2), pd.NaT, dt.date(1, 1, 1)],
        "mixed": [None, np.nan, "a"],
        "all missing": [None, None, None],
        "all kinds": [None, pd.NA, np.nan],
        "nothing": [np.nan, np.nan, np.nan],
        "bytes": [b"", b"\xff", None],
        "bool": [True, None, False],
        "int": [1, None, -(2**63)],
        "float": [1.5, None, np.nan],
        "time": [dt.time(1, 2, 3, 4), dt.time(0), None],
        "timedelta": [dt.timedelta(1, 2, 3), dt.timedelta(-1), None],
        "Decimal": [Decimal("1.10"), Decimal("NaN"), Decimal("-Infinity")],
        "Decimals": [Decimal("1.1"), None, Decimal("1E+9999")],
        "UUID": [uuid.UUID(int=7), None, uuid.UUID(int=2**128 - 1)],
    }
    made = pd.DataFrame(kinds)
    for name, values in objects.items():
        made[name] = pd.Series(values, dtype=object)
    return made


def categories() -> pd.DataFrame:
    """Categories of every kind."""
    return pd.DataFrame(
        {
            "text": pd.Categorical(["b", None, "a"], categories=["b", "a", "unused"]),
            "ordered": pd.Categorical(["low", "high", "low"], categories=["low", "high"], ordered=True),
            "numbers": pd.Categorical([3, 1, None]),
            "range": pd.Categorical.from_codes([0, 2, -1], dtype=pd.CategoricalDtype(pd.RangeIndex(3))),
            "days": pd.Categorical.from_codes([0, 2, -1], DAYS),
            "bins": pd.cut([1, 5, 9], 3),
            "mixed": pd.Categorical(
                [1, "a", (2, 3)], categories=pd.Index([1, "a", (2, 3)], dtype=object, tupleize_cols=False)
            ),
            "objects": pd.Categorical(["a", "b", "a"], categories=pd.Index(["a", "b"], dtype=object)),
            "none": pd.Categorical([None, None, None]),
            "many": pd.Categorical.from_codes([0, 299, -1], [f"{n}" for n in range(300)]),
        }
    )


def others() -> pd.DataFrame:
    """Intervals, sparse columns, columns of Arrow."""
    made = pd.DataFrame(
        {
            "interval": pd.arrays.IntervalArray.from_tuples([(0, 1), (2, 3), (5, 5)], closed="both"),
            "missing": pd.arrays.IntervalArray.from_tuples([(0.5, 1.5), None, (2.0, 3.0)]),
            "between": pd.arrays.IntervalArray.from_breaks(
                pd.date_range("2026", periods=4, tz="UTC"), closed="left"
            ),
            "sparse": pd.arrays.SparseArray([0, 1, 0]),
            "sparse nan": pd.arrays.SparseArray([np.nan, 1.5, np.nan], kind="block"),
            "sparse bool": pd.arrays.SparseArray([True, True, False], fill_value=True),
            "sparse explicit": pd.arrays.SparseArray.from_indices([0, 7], [0, 2], 3, fill_value=0),
        }
    )
    for name, kind, values in (
        ("int", pa.int8(), [1, None, 3]),
        ("text", pa.string(), ["a", None, ""]),
        ("list", pa.list_(pa.float32()), [[1.0], None, []]),
        (
            "struct",
            pa.struct([("a", pa.int8()), ("b", pa.string())]),
            [{"a": 1, "b": "x"}, None, {"a": None, "b": ""}],
        ),
        ("decimal", pa.decimal128(20, 2), [Decimal("1.10"), None, Decimal("-5.00")]),
        ("dictionary", pa.dictionary(pa.int8(), pa.string()), ["a", None, "a"]),
        ("date", pa.date32(), [dt.date(2026, 1, 2), None, dt.date(1, 1, 1)]),
        (
            "when",
            pa.timestamp("us", "Europe/Berlin"),
            [DAYS[0].to_pydatetime(), None, DAYS[2].to_pydatetime()],
        ),
        ("null", pa.null(), [None, None, None]),
    ):
        made[f"arrow {name}"] = pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, kind)]))
    return made


def shapes() -> list[pd.DataFrame]:
    """Indexes, labels, emptiness, attrs and flags."""
    values = np.arange(6.0).reshape(3, 2)
    tuples = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["x", None])
    unused = pd.MultiIndex.from_product([["a", "b"], [1, 2], DAYS], names=[None, 5, ("t", 1)])[[0, 5, 11]]
    missing = pd.MultiIndex.from_arrays([["a", None, "b"], pd.Categorical(["u", "v", None], ordered=True)])
    attrs = pd.DataFrame(values, columns=["a", "b"])
    attrs.attrs = {"source": "lab 3", "when": dt.date(2026, 1, 2), "nested": {"a": (1, 2)}}
    flagged = pd.DataFrame(values, columns=["a", "b"]).set_flags(allows_duplicate_labels=False)
    return [
        pd.DataFrame(),
        pd.DataFrame(index=pd.RangeIndex(5, 100, 7, name="r")),
        pd.DataFrame(columns=["a", "b"]),
        pd.DataFrame(
            {
                "a": pd.Series(dtype="category"),
                "b": pd.Categorical([], categories=["x"]),
                "c": pd.Series(dtype=object),
            }
        ),
        pd.DataFrame(values, columns=tuples, index=DAYS),
        pd.DataFrame(values, columns=["a", "a"], index=["x", "y", "x"]),
        pd.DataFrame(values, columns=[0, 1], index=pd.Index([3, 1, 2], name="id")),
        pd.DataFrame(
            values, columns=["a", 1], index=pd.Index([1, "a", (2, 3)], name=("n", 1), tupleize_cols=False)
        ),
        pd.DataFrame(values, columns=pd.Index(["a", "b"], dtype=object, name="label")),
        pd.DataFrame(values, columns=DAYS[:2], index=unused),
        pd.DataFrame(values, columns=pd.Index([0.5, np.nan]), index=missing),
        pd.DataFrame(
            values,
            columns=pd.CategoricalIndex(["b", "a"]),
            index=pd.IntervalIndex.from_breaks(range(4), name="bin"),
        ),
        pd.DataFrame(values, columns=["a\n", "✓"], index=pd.period_range("2026", periods=3, freq="Q-NOV")),
        pd.DataFrame(
            values, index=pd.date_range("2026-03-28", periods=3, freq="B", tz="Europe/Berlin", name="day")
        ),
        pd.DataFrame(values, index=pd.timedelta_range("1h", periods=3, freq="30min")),
        pd.DataFrame(values, index=pd.Index([1, 2, None], dtype="Int8"), columns=["x", "x [0]"]),
        attrs,
        flagged,
    ]


def others_than_frames() -> list[object]:
    """Series and indexes."""
    named = pd.Series([1, 2], name=("a", 1), index=["x", "y"])
    named.attrs = {"unit": "m"}
    return [
        named,
        pd.Series(dtype=object),
        pd.Series(pd.arrays.SparseArray([0, 1])),
        pd.Series([1.5, None], name=5, index=DAYS[:2]),
        pd.Index([1, 2], name="i"),
        pd.Index(["a", None], dtype=object),
        pd.Index([(1, 2), (3, "x")], tupleize_cols=False),
        pd.Index([(1, 2), None, 2.5], dtype=object, tupleize_cols=False),
        pd.RangeIndex(3, name="r"),
        DAYS,
        pd.MultiIndex.from_product([["a"], [1, 2]], names=["x", "y"]),
        pd.CategoricalIndex(["a", "b"]),
    ]


def same(saved: Any, loaded: Any) -> bool:
    """Equal as pandas's own tests say it, and in what they do not look at."""
    if type(saved) is not type(loaded):
        return False
    if isinstance(saved, pd.Index):
        testing.assert_index_equal(saved, loaded, exact=True)
        assert getattr(saved, "freq", None) == getattr(loaded, "freq", None)
        return same_index(saved, loaded)
    assert saved.attrs == loaded.attrs
    assert list(map(type, saved.attrs.values())) == list(map(type, loaded.attrs.values()))
    assert saved.flags == loaded.flags
    if isinstance(saved, pd.Series):
        testing.assert_series_equal(saved, loaded, check_exact=True, check_freq=True, check_index_type=True)
        return same_values(saved, loaded) and same_index(saved.index, loaded.index)
    testing.assert_frame_equal(
        saved,
        loaded,
        check_exact=True,
        check_freq=True,
        check_index_type=True,
        check_column_type=True,
        check_flags=True,
    )
    assert same_index(saved.index, loaded.index)
    assert same_index(saved.columns, loaded.columns)
    return all(same_values(saved.iloc[:, at], loaded.iloc[:, at]) for at in range(saved.shape[1]))


def same_index(saved: pd.Index, loaded: pd.Index) -> bool:
    """Names, levels and codes, unused ones too."""
    assert list(map(type, saved.names)) == list(map(type, loaded.names))
    if isinstance(saved, pd.MultiIndex):
        for level, other in zip(saved.levels, loaded.levels, strict=True):
            testing.assert_index_equal(level, other, exact=True)
        return all(np.array_equal(a, b) for a, b in zip(saved.codes, loaded.codes, strict=True))
    return same_values(saved, loaded)


def same_values(saved: Any, loaded: Any) -> bool:
    """The dtype and each value, with its type and which missing value it is."""
    assert saved.dtype == loaded.dtype
    assert repr(saved.dtype) == repr(loaded.dtype)
    if isinstance(saved.dtype, pd.DatetimeTZDtype):
        assert type(saved.dtype.tz) is type(loaded.dtype.tz)
    if isinstance(saved.dtype, pd.CategoricalDtype):
        testing.assert_index_equal(saved.dtype.categories, loaded.dtype.categories, exact=True)
    if isinstance(saved.dtype, pd.SparseDtype):
        assert saved.array.sp_index.equals(loaded.array.sp_index)
        assert saved.array.kind == loaded.array.kind
    return [(type(v), repr(v)) for v in saved.tolist()] == [(type(v), repr(v)) for v in loaded.tolist()]


class TestFrames(MaterializerContract):
    materializer = PandasFrame
    damages = 20

    def examples(self) -> list[object]:
        return [*frames(), *others_than_frames()]

    def equal(self, saved: Any, loaded: Any) -> bool:
        return same(saved, loaded)


def save(value: object) -> MemoryInFolder:
    """The stored files, by the materializer that the table has for the class."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        assert done.materializer.id == "pandas.frame/1"
        return stored(done.folder)


def back(value: object) -> Any:
    """What comes back of a value."""
    return load_object(PandasFrame(), save(value))


COLUMN = st.sampled_from(["int8", "uint64", "float32", "float64", "bool", "datetime64[ns]", "object"])
INDEX = pdst.range_indexes(min_size=0, max_size=5) | pdst.indexes(elements=st.integers(-9, 9), max_size=5)


@settings(max_examples=80)
@given(st.lists(COLUMN, max_size=4), INDEX, st.data())
def test_any_frame_comes_back(kinds: list[str], index: pd.Index, data: st.DataObject) -> None:
    """And what came back is stored as the same bytes."""
    elements = {"object": st.text(max_size=3) | st.none()}
    columns = [
        pdst.column(f"c{at}", dtype=kind, elements=elements.get(kind)) for at, kind in enumerate(kinds)
    ]
    frame = data.draw(pdst.data_frames(columns, index=st.just(index)))
    folder = save(frame)
    loaded = load_object(PandasFrame(), folder)
    assert same(frame, loaded)
    assert save(loaded).files == folder.files


@given(
    st.lists(st.sampled_from([None, float("nan"), pd.NA, pd.NaT, "a", ""]) | st.text(max_size=2), max_size=6)
)
def test_missing_values_among_objects_are_told_apart(values: list[Any]) -> None:
    """None, nan, NA and NaT stay what and where they were."""
    series = pd.Series(values, dtype=object)
    assert same(series, back(series))


@given(
    st.lists(st.sampled_from(["x", "y", None]), max_size=5),
    st.lists(st.sampled_from([1, 2, None]), max_size=5),
)
def test_any_multiindex_comes_back(words: list[str | None], numbers: list[int | None]) -> None:
    """Levels, codes and what is missing."""
    size = min(len(words), len(numbers))
    index = pd.MultiIndex.from_arrays([words[:size], pd.array(numbers[:size], dtype="Int64")], names=["w", 3])
    assert same(index, back(index))


def test_what_is_loaded_can_be_changed() -> None:
    """No column stands on memory that is read-only."""
    frame = pd.concat([texts(), categories(), frames()[1]], axis=1)
    loaded = back(frame)
    for at in range(loaded.shape[1]):
        loaded.iloc[0, at] = loaded.iloc[1, at]
        series = back(frame.iloc[:, at])
        series.iloc[0] = series.iloc[1]
        array = back(frame.iloc[:, at]).array
        array[0] = array[1]


def test_how_it_lies_in_memory_is_no_content() -> None:
    """A view, a copy and single columns put together give the same bytes."""
    wide = pd.DataFrame(np.arange(40.0).reshape(10, 4), columns=list("abcd"))
    view = wide.iloc[::2, [0, 2]].reset_index(drop=True)
    made = pd.DataFrame({name: pd.Series(wide[name][::2].tolist()) for name in "ac"})
    assert save(view).files == save(view.copy()).files == save(made).files
    words = pd.Series([f"w{n % 7}" for n in range(20)] + [None])
    pieces = pd.concat([words[:3], words[3:]])
    assert save(words).files == save(pieces).files
    masked = [pd.arrays.IntegerArray(np.array([1, under]), np.array([False, True])) for under in (5, 7)]
    assert save(pd.Series(masked[0])).files == save(pd.Series(masked[1])).files


def test_more_rows_than_a_batch_come_back() -> None:
    """Batches are put together again, dictionaries too."""
    size = 2 * BATCH_ROWS + 5
    frame = pd.DataFrame(
        {"n": np.arange(size) % 100, "c": pd.Categorical(["a", "b", None, "a", "c"] * (size // 5 + 1))[:size]}
    )
    frame["z"] = frame["n"] * (1 + 1j)
    frame["i"] = pd.arrays.IntervalArray.from_arrays(frame["n"], frame["n"] + 1)
    frame["o"] = frame["c"].astype(object)
    testing.assert_frame_equal(back(frame), frame, check_exact=True)


def test_the_file_opens_without_casreg() -> None:
    """Values, names and categories, by any library that reads Arrow files."""
    frame = pd.DataFrame({"n": [1, 2], "w": ["x", None], "c": pd.Categorical(["u", "v"]), 5: [True, False]})
    read = pd.read_feather(io.BytesIO(save(frame).files["data.arrow"]))
    assert list(read.columns) == ["n", "w", "c", "5"]
    frame.columns = read.columns
    testing.assert_frame_equal(read, frame)
    twice = pd.DataFrame([[1, 2, 3]], columns=["a", "a", "b"])
    read = pd.read_feather(io.BytesIO(save(twice).files["data.arrow"]))
    assert list(read.columns) == ["a [0]", "a [1]", "b"]


def test_what_is_no_time_is_null_for_others() -> None:
    """And not a time long ago."""
    times = pd.Series(pd.to_datetime(["2026-01-01", None]))
    for series in (times, times.dt.tz_localize("UTC"), times.dt.to_period("M"), times - times[0]):
        with pa.ipc.open_file(pa.py_buffer(save(series).files["data.arrow"])) as reader:
            assert reader.read_all().column(0).null_count == 1


@pytest.mark.parametrize("at", [[0, 3], [-1, 2], [2, 0], [0, 0], [0], [[0, 2]]])
@pytest.mark.parametrize("kind", ["integer", "block"])
def test_positions_of_a_sparse_column_are_checked(at: list[Any], kind: str) -> None:
    """Compiled code writes where they say."""
    folder = save(pd.Series(pd.arrays.SparseArray([5, 0, 7], kind=kind)))
    file = next(
        path for path in sorted(folder.files) if path.endswith(".npy") and b"'<i4'" in folder.files[path]
    )
    out = io.BytesIO()
    np.save(out, np.array(at, np.int32))
    with pytest.raises(MaterializationError):
        load_object(PandasFrame(), MemoryInFolder({**folder.files, file: out.getvalue()}))


class Zone(dt.tzinfo):
    """A zone as those of pytz: known by its name to a function of that library."""

    def __init__(self, zone: str) -> None:
        self.zone = zone

    def utcoffset(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=len(self.zone))

    def dst(self, when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(0)

    def tzname(self, when: dt.datetime | None) -> str:
        return self.zone


def test_zones_of_pytz_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names become such zones in pandas 2. pytz need not be installed elsewhere, so that a module stands in for it."""
    zones = {"Some/Where": Zone("Some/Where")}
    monkeypatch.setattr(Zone, "__module__", "pytz.tzfile")
    monkeypatch.setitem(sys.modules, "pytz", SimpleNamespace(timezone=zones.__getitem__))
    folder = save(pd.Series(DAYS.tz_localize("UTC").tz_convert(zones["Some/Where"])))
    loaded: Any = load_object(PandasFrame(), folder)
    assert loaded.dtype.tz is zones["Some/Where"]
    assert loaded[0] == DAYS[0].tz_localize("UTC")
    with pytest.raises(MaterializationError, match="Else/Where"):
        load_object(
            PandasFrame(), changed(folder, lambda node: node["dtype"].update(zone={"pytz": "Else/Where"}))
        )


class Mine(pd.DataFrame):  # type: ignore[misc] # not followed by mypy
    """Somebody's subclass."""


class Other(ExtensionDtype):  # type: ignore[misc] # as above
    """Somebody's dtype."""

    name = "Int64"
    type = object


ZONE = pd.Timestamp("2026-01-01").tz_localize("dateutil/Europe/Berlin").tz
HOLIDAYS = pd.offsets.CustomBusinessDay(holidays=["2026-01-01"])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pd.DataFrame({"a": pd.Series([1, "x"], dtype=object)}), "column 'a'.*int.*str.*allow_pickle"),
        (lambda: pd.Series([[1], [2]], name="v"), "column 'v'.*list.*ArrowDtype"),
        (lambda: pd.Series([1, True], dtype=object), "bool.*int"),
        (lambda: pd.Series([np.str_("a"), "b"], dtype=object), "numpy.str_"),
        (lambda: pd.Series([1.5, "a"], dtype=object), "float.*str"),
        (lambda: pd.Series([2**64, None], dtype=object), "int"),
        (lambda: pd.Series(["\ud800"], dtype=object), "str"),
        (lambda: pd.Series(["\ud800"], dtype="string[python]"), "string"),
        (lambda: pd.Series([dt.time(1, tzinfo=dt.UTC)], dtype=object), "zone"),
        (lambda: pd.Series([dt.timedelta.max], dtype=object), "timedelta"),
        (lambda: pd.Series([pd.Timestamp("2026"), "x"], dtype=object), "Timestamp"),
        (lambda: pd.Series(DAYS.tz_localize(ZONE)), "tz_convert"),
        (lambda: pd.Series(1, index=pd.date_range("2026", periods=3, freq=HOLIDAYS)), "freq = None"),
        (lambda: pd.Series(np.array([1], ">i4")), "astype"),
        (lambda: pd.Series(np.array([1], np.longdouble)), "astype"),
        (lambda: Mine({"a": [1]}), "Mine.*plain"),
        (lambda: with_attrs({"lock": object()}), "attrs"),
        (lambda: pd.Series([1], name=pd.offsets.Hour(2)), "Hour"),
        (lambda: pd.Index([1, pd.offsets.Hour(2)], dtype=object), "Hour"),
        (lambda: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array([bytes(16)], pa.uuid())]))), "extension"),
    ],
)  # fmt: skip
def test_what_would_not_come_back_is_refused(make: Callable[[], object], message: str) -> None:
    """Before anything is stored, with the column and the way out."""
    with pytest.raises(NoMaterializerError, match=f"(?s){message}"):
        save(make())


def with_attrs(attrs: dict[str, object]) -> pd.DataFrame:
    """A frame with these attrs."""
    frame = pd.DataFrame({"a": [1]})
    frame.attrs = attrs
    return frame


def test_dtypes_of_others_are_refused() -> None:
    """Also one that has the name of pandas's own."""

    class Array(type(pd.array([1]))):  # type: ignore[misc] # what pandas's arrays are is not known to mypy
        @property
        def dtype(self) -> Other:
            return Other()

    series = pd.Series([1], dtype="Int64")
    series.array.__class__ = Array
    with pytest.raises(NoMaterializerError, match="astype"):
        save(series)


def test_mixed_objects_are_pickled_if_that_is_allowed(tmp_path: Path) -> None:
    """And refused by a registry that does not allow it, with nothing stored."""
    frame = pd.DataFrame({"a": [[1], "x"]})
    closed = Registry(tmp_path / "closed")
    with pytest.raises(NoMaterializerError, match="allow_pickle"):
        closed.save("data:mixed", frame)
    assert closed.list_objects() == []
    registry = Registry(tmp_path / "open", allow_pickle=True)
    registry.save("data:mixed", frame)
    testing.assert_frame_equal(registry.load("data:mixed"), frame)


def test_versions_of_a_table_share_what_did_not_change(tmp_path: Path) -> None:
    """Appended rows are stored, and the rest is there already."""
    registry = Registry(tmp_path)
    rng = np.random.default_rng(0)
    rows = pd.DataFrame(
        {"x": rng.random(600_000), "y": rng.random(600_000), "w": [f"{n:x}" for n in range(600_000)]}
    )
    registry.save("data:raw", rows[:590_000])
    before = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file())
    registry.save("data:raw", rows)
    added = sum(file.stat().st_size for file in tmp_path.rglob("*") if file.is_file()) - before
    assert added < before / 10
    testing.assert_frame_equal(registry.load("data:raw"), rows)


def changed(folder: MemoryInFolder, change: Callable[[Any], object]) -> MemoryInFolder:
    """A copy with another description."""
    node = json.loads(folder.files["frame.json"])
    change(node)
    return MemoryInFolder({**folder.files, "frame.json": json.dumps(node).encode()})


@pytest.mark.parametrize(
    "change",
    [
        lambda node: node.update(kind="panel"),
        lambda node: node.update(kind="series"),
        lambda node: node.update(dtypes=None),
        lambda node: node["dtypes"].pop(),
        lambda node: node["dtypes"].append("int64"),
        lambda node: node["dtypes"].__setitem__(0, "float64"),
        lambda node: node["dtypes"].__setitem__(0, "category"),
        lambda node: node["dtypes"].__setitem__(0, {"eval": "1"}),
        lambda node: node["dtypes"].__setitem__(0, {}),
        lambda node: node["dtypes"].__setitem__(0, {"period": "no frequency"}),
        lambda node: node["dtypes"].__setitem__(0, {"object": "str", "missing": None}),
        lambda node: node["dtypes"].__setitem__(1, {"object": "Decimal", "missing": "None"}),
        lambda node: node["dtypes"].__setitem__(1, {"object": "str", "missing": "zero"}),
        lambda node: node["dtypes"].__setitem__(1, {"object": "str", "missing": None}),
        lambda node: node["dtypes"].__setitem__(1, {"string": "file", "missing": "nan"}),
        lambda node: node["dtypes"].__setitem__(2, {"codes": {"range": [0, 1, 1], "name": None}, "ordered": False}),
        lambda node: node["dtypes"][2].update(ordered="yes"),
        lambda node: node["columns"]["labels"].pop(),
        lambda node: node["columns"].update(labels=None),
        lambda node: node["columns"].update(labels=["a", "b", 3]),
        lambda node: node["columns"].update(name=[1]),
        lambda node: node["index"].update(range=[0, 3]),
        lambda node: node["index"].update(range=[0, 4, 1]),
        lambda node: node["index"].update(range=[0, 3, 0]),
        lambda node: node.update(index={"values": "int64", "freq": None, "name": None}),
        lambda node: node.update(index={"levels": [], "names": [], "sortorder": None}),
        lambda node: (node["dtypes"].pop(), node["columns"]["labels"].pop()),
        lambda node: node.update(attrs=None),
        lambda node: node.update(flags={}),
        lambda node: node.update(more=1),
    ],
)  # fmt: skip
def test_a_description_that_does_not_fit_is_refused(change: Callable[[Any], object]) -> None:
    """It must say exactly what is stored, in words of a closed list."""
    folder = save(
        pd.DataFrame({"n": [1, 2, 3], "w": ["x", None, "z"], "c": pd.Categorical(["u", "v", None])})
    )
    assert load_object(PandasFrame(), changed(folder, lambda node: node)).shape == (3, 3)  # type: ignore[attr-defined]
    with pytest.raises(MaterializationError):
        load_object(PandasFrame(), changed(folder, change))


def test_a_frequency_that_does_not_fit_is_refused() -> None:
    """Pandas would compute with it."""
    folder = save(pd.Series([1, 2, 3], index=DAYS))
    with pytest.raises(MaterializationError, match="freq"):
        load_object(PandasFrame(), changed(folder, lambda node: node["index"].update(freq="W")))


def test_missing_values_where_there_are_none_are_refused() -> None:
    """Integers would become floats."""
    folder = save(pd.Series([1, None], dtype="Int64"))
    with pytest.raises(MaterializationError, match="null"):
        load_object(PandasFrame(), changed(folder, lambda node: node.update(dtype="int64")))


def test_codes_beyond_a_level_are_refused() -> None:
    """A MultiIndex would read where there is nothing."""
    index = pd.MultiIndex(levels=[pd.RangeIndex(2), ["a", "b"]], codes=[[0, 1, -1], [1, 0, 0]])
    folder = save(index)
    assert same(index, load_object(PandasFrame(), folder))
    for text in (b'"range":[0,1,1]', b'"range":[0,0,1]'):
        files = {**folder.files, "frame.json": folder.files["frame.json"].replace(b'"range":[0,2,1]', text)}
        assert files != folder.files
        with pytest.raises(MaterializationError):
            load_object(PandasFrame(), MemoryInFolder(files))


def test_levels_with_a_value_twice_are_refused() -> None:
    """There are such only where pandas was told not to look; when it is loaded, it looks."""
    index = pd.MultiIndex(levels=[["a", "a"]], codes=[[0, 1]], verify_integrity=False)
    with pytest.raises(NoMaterializerError, match="twice"):
        save(index)


def test_an_order_that_was_given_is_kept() -> None:
    """`sortorder` says how many levels are sorted."""
    index = pd.MultiIndex(levels=[["a", "b"], [1, 2]], codes=[[0, 1], [1, 0]], sortorder=1)
    assert back(index).sortorder == 1


def test_an_index_of_somebody_else_is_refused() -> None:
    """As of a subclass of any other."""

    class Own(pd.Index):  # type: ignore[misc] # not followed by mypy
        pass

    index = pd.Index([1, 2])
    index.__class__ = Own
    with pytest.raises(NoMaterializerError, match="Own"):
        save(index)


def test_what_would_become_another_dtype_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a new pandas does: the description is read again before anything is stored."""
    encode = pandas_columns._ENCODERS["StringDtype"]

    def other(array: Any) -> tuple[object, Any]:
        node, values = encode(array)
        assert isinstance(node, dict)
        return {**node, "missing": "NA"}, values

    monkeypatch.setitem(pandas_columns._ENCODERS, "StringDtype", other)
    with pytest.raises(NoMaterializerError, match="another"):
        save(pd.Series(["a"], dtype="str"))


@pytest.mark.parametrize("missing", ["pandas", "pyarrow"])
def test_a_missing_library_is_named_with_its_extra(missing: str, fresh_python: Any, tmp_path: Path) -> None:
    """Whoever loads a frame where it cannot be loaded learns what to install: all at once, not first the one half."""
    Registry(tmp_path).save("data:raw", pd.DataFrame({"a": [1]}))
    out = fresh_python(
        """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
from casreg import MaterializationError, Registry
try:
    Registry(sys.argv[2]).load("data:raw")
except MaterializationError as err:
    print(err)
""",
        missing,
        str(tmp_path),
    )
    assert 'pip install "casreg[pandas]"' in out


def test_a_library_that_saving_needs_is_named_too(fresh_python: Any, tmp_path: Path) -> None:
    """Without pyarrow pandas is not enough."""
    out = fresh_python(
        """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pyarrow":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Missing())
import pandas as pd
from casreg import MaterializationError, Registry
registry = Registry(sys.argv[1])
try:
    registry.save("data:raw", pd.DataFrame({"a": [1]}))
except MaterializationError as err:
    print(err, registry.list_objects())
""",
        str(tmp_path),
    )
    assert 'pip install "casreg[pandas]"` and save again []' in out
