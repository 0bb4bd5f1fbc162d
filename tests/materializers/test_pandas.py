"""pandas objects: what comes back, byte for byte and type for type, and what is refused."""

from __future__ import annotations

import datetime as dt
import uuid
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
from pandas import testing

from casreg.materializers.pandas_frame import PandasFrame
from casreg.testing.materializer_contract import MaterializerContract

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
