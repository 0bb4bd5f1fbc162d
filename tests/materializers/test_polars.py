"""polars frames and series: every type comes back as it was."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings, strategies as st
from polars.testing import assert_series_equal
from polars.testing.parametric import dataframes

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import (
    BUILTIN,
    ClassTable,
    MaterializerTable,
    load_object,
    materialize,
    polars_frame,
)
from casreg.materializers.polars_frame import PolarsFrame
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

DAY = dt.date(2026, 1, 2)
NOON = dt.datetime(2026, 1, 2, 12, 0, 0, 5)  # noqa: DTZ001 - polars keeps the zone in the type
COLOURS = pl.Enum(["red", "green", "unused"])

COLUMNS: list[tuple[Any, list[Any]]] = [
    *((getattr(pl, f"{sign}Int{bits}"), [0, None, 100]) for sign in ("", "U") for bits in (8, 16, 32, 64, 128)),
    (pl.Int128, [2**127 - 1, None, -(2**127)]),
    (pl.Float16, [0.5, None, float("nan")]),
    (pl.Float32, [-0.0, None, float("inf")]),
    (pl.Float64, [0.1, None, float("nan")]),
    (pl.Boolean, [True, None, False]),
    (pl.String, ["a", None, "✓"]),
    (pl.Binary, [b"", None, b"\xff"]),
    (pl.Date, [DAY, None, dt.date(1, 1, 1)]),
    (pl.Time, [dt.time(1, 2, 3, 4), None, dt.time(0)]),
    *((pl.Datetime(unit), [NOON, None, NOON]) for unit in ("ms", "us", "ns")),
    (pl.Datetime("us", "Europe/Berlin"), [NOON, None, NOON]),
    *((pl.Duration(unit), [dt.timedelta(1, 2), None, dt.timedelta(-1)]) for unit in ("ms", "us", "ns")),
    (pl.Null, [None, None, None]),
    (pl.Decimal(10, 2), [Decimal("1.10"), None, Decimal("-99999999.99")]),
    (pl.Categorical, ["b", None, "a"]),
    (pl.Categorical(pl.Categories("sizes", "shop", pl.UInt8)), ["s", None, "l"]),
    (COLOURS, ["green", None, "red"]),
    (pl.List(pl.Int8), [[1, None], None, []]),
    (pl.List(pl.List(COLOURS)), [[["red", None]], None, []]),
    (pl.List(pl.Categorical), [["x", None], None, []]),
    (pl.List(pl.UInt128), [[2**100], None, []]),
    (pl.Array(pl.Float32, 2), [[1.0, 2.0], None, [3.0, None]]),
    (pl.Array(pl.Int8, (2, 2)), [[[1, 2], [3, 4]], None, [[5, 6], [7, None]]]),
    (pl.Struct({"a": pl.Int8, "b": pl.List(pl.String), "c": COLOURS}), [{"a": 1, "b": ["x"], "c": "red"}, None, {}]),
    (pl.Map(pl.String, pl.Int8), [{"x": 1, "y": None}, None, {}]),
]  # fmt: skip


def save(value: object) -> MemoryInFolder:
    """The stored files, by the materializer that the table has for the class."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        assert done.materializer.id == "polars.frame/1"
        return stored(done.folder)


def same(saved: Any, loaded: Any) -> bool:
    """Equal in class, names, types, nulls and values."""
    assert type(saved) is type(loaded)
    if isinstance(saved, pl.DataFrame):
        assert saved.schema == loaded.schema
        assert saved.shape == loaded.shape
        return all(map(same, saved.get_columns(), loaded.get_columns()))
    assert saved.dtype == loaded.dtype
    assert_series_equal(saved, loaded, check_exact=True)
    assert repr(saved.to_list()) == repr(loaded.to_list())
    return True


class TestPolars(MaterializerContract):
    materializer = PolarsFrame
    own_errors = False
    damages = 20

    def examples(self) -> list[object]:
        every = pl.DataFrame(
            [pl.Series(f"{at} {dtype}", values, dtype=dtype) for at, (dtype, values) in enumerate(COLUMNS)]
        )
        return [
            every,
            every.clear(),
            every.slice(1, 1),
            pl.concat([every, every], rechunk=False),
            *every.get_columns(),
            pl.DataFrame(),
            pl.DataFrame(height=3),
            pl.DataFrame({"": [1], "ARROW": ["x"], "✓\n": [None]}),
            pl.Series(),
            pl.Series("s", ["a", "b"]).slice(1),
        ]

    def equal(self, saved: Any, loaded: Any) -> bool:
        return same(saved, loaded)


@settings(max_examples=60)
@given(
    dataframes(
        max_cols=5,
        max_size=8,
        allow_chunks=True,
        excluded_dtypes=[pl.Object, pl.Extension],
        allow_infinity=True,
    )
)
def test_any_frame_comes_back(frame: pl.DataFrame) -> None:
    """And the same bytes come of what came back."""
    folder = save(frame)
    loaded = load_object(PolarsFrame(), folder)
    assert same(frame, loaded)
    assert save(loaded).files == folder.files


@given(st.lists(st.text(max_size=3) | st.none(), max_size=40), st.integers(0, 40), st.integers(0, 40))
def test_how_it_was_sliced_and_chunked_is_no_content(values: list[str | None], start: int, cut: int) -> None:
    """The same values give the same bytes, however they lie in memory."""
    whole = pl.Series("s", values, dtype=pl.String)
    part = whole.slice(start)
    pieces = pl.concat([part.slice(0, cut), part.slice(cut)], rechunk=False)
    again = pl.Series("s", part.to_list(), dtype=pl.String)
    for dtype in (pl.String, pl.Categorical, pl.List(pl.String)):
        made = [
            one.cast(dtype) if dtype != pl.List(pl.String) else one.reshape((-1, 1)).arr.to_list()
            for one in (pieces, again)
        ]
        assert save(made[0]).files == save(made[1]).files


def test_categories_are_stored_the_same_whatever_the_process_did_before() -> None:
    """The numbers behind them depend on which categories the process has met first."""
    before = save(pl.Series(["some", "words"], dtype=pl.Categorical)).files
    kept = pl.Series(["words", "more", "some"], dtype=pl.Categorical)
    assert save(pl.Series(["some", "words"], dtype=pl.Categorical)).files == before
    assert kept.len() == 3


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (pl.LazyFrame({"a": [1]}), "collect"),
        (pl.DataFrame({"a": [1], "o": pl.Series([object()], dtype=pl.Object)}), "column 'o'.*allow_pickle"),
        (pl.Series("c", [{}], dtype=pl.Map(pl.Categorical, pl.Int8)), "column 'c'.*cast"),
    ],
)
def test_what_cannot_come_back_is_refused(value: object, message: str) -> None:
    """Before anything is written, with the way out."""
    with pytest.raises(NoMaterializerError, match=message):
        save(value)


def test_what_would_become_another_type_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a new polars does: the description is read again before anything is stored."""
    monkeypatch.setattr(polars_frame, "encode_type", lambda dtype: {"Enum": ["a", "b"]})
    with pytest.raises(NoMaterializerError, match="would come back as Enum"):
        save(pl.Series(["a"], dtype=pl.Enum(["a"])))


def test_subclasses_are_refused() -> None:
    """They would come back as something else."""

    class Mine(pl.DataFrame):  # type: ignore[misc] # not followed by mypy
        pass

    with pytest.raises(NoMaterializerError, match="plain polars"):
        save(Mine({"a": [1]}))


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("kind", "other"),
        ("kind", "series"),
        ("height", 2),
        ("height", None),
        ("dtypes", ["Int64"]),
        ("dtypes", ["Int64", "Int64"]),
        ("dtypes", ["Int32", "String"]),
        ("dtypes", ["Float64", "String"]),
        ("dtypes", ["Int64", "Binary"]),
        ("dtypes", ["Int64", "Categorical"]),
        ("dtypes", ["Int64", "Object"]),
        ("dtypes", ["Int64", "DataFrame"]),
        ("dtypes", ["Int64", {"Enum": ["b"]}]),
        ("dtypes", ["Int64", {"Enum": [1]}]),
        ("dtypes", ["Int64", {"Enum": ["a", "a"]}]),
        ("dtypes", ["Int64", {"Categorical": ["a", "b", "Int8"]}]),
        ("dtypes", ["Int64", {"Datetime": ["h", None]}]),
        ("dtypes", ["Int64", {"Datetime": ["us", "No/Where"]}]),
        ("dtypes", ["Int64", {"Struct": [["a"]]}]),
        ("dtypes", ["Int64", {"List": {"List": None}}]),
        ("dtypes", ["Int64", {"Array": ["Int8", -1]}]),
        ("dtypes", ["Int64", {"Decimal": [1000, 2]}]),
    ],
)
def test_a_description_that_does_not_fit_is_refused(key: str, value: object) -> None:
    """It must say exactly what is stored, in types of a closed list."""
    folder = save(pl.DataFrame({"n": [1, 2, 3], "s": ["a", "b", "a"]}))
    node = json.loads(folder.files["frame.json"]) | {key: value}
    with pytest.raises(MaterializationError):
        load_object(PolarsFrame(), MemoryInFolder({**folder.files, "frame.json": json.dumps(node).encode()}))


def test_numbers_that_are_text_are_checked() -> None:
    """128-bit integers are stored as text: what is no number is refused."""
    folder = save(pl.Series("n", [12], dtype=pl.Int128))
    data = folder.files["data.arrow"].replace(b"12\0", b"1x\0")
    assert data != folder.files["data.arrow"]
    with pytest.raises(MaterializationError):
        load_object(PolarsFrame(), MemoryInFolder({**folder.files, "data.arrow": data}))


def test_it_needs_no_pandas(fresh_python: Any) -> None:
    """Neither to save nor to load."""
    out = fresh_python(
        """
import sys
class NoPandas:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NoPandas())
import polars as pl
from casreg.materializers import Outgoing
from casreg.materializers.polars_frame import PolarsFrame
from casreg.testing.materializer_folders import stored
folder = Outgoing()
frame = pl.DataFrame({"a": [1, None], "b": ["x", "y"]})
PolarsFrame().save(frame, folder)
print(PolarsFrame().load(stored(folder), None).equals(frame))
"""
    )
    assert out.strip() == "True"
