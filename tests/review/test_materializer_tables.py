"""Tables: descriptions that would become more than is stored, or another table."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.arrow_table import ArrowTable
from casreg.materializers.calls import materialize
from casreg.materializers.classes import ClassTable
from casreg.materializers.dispatch import load_object
from casreg.materializers.pandas_frame import PandasFrame
from casreg.materializers.polars_frame import PolarsFrame
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from casreg.materializers.base import Materializer


def saved(obj: object, materializer: Materializer) -> dict[str, bytes]:
    """The files of an object."""
    folder = MemoryInFolder({})
    with materialize(obj, folder.table, ClassTable(), materializer=materializer) as done:
        return stored(done.folder).files


def written(table: Any) -> bytes:
    """An Arrow file."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def codes_of(stop: int) -> dict[str, Any]:
    """The description of codes into a range."""
    return {"codes": {"range": [0, stop, 1], "name": None}, "ordered": False}


@pytest.mark.parametrize("kind", ["categories", "levels"])
def test_a_short_description_is_no_long_index(kind: str) -> None:
    """A range of a billion categories is three numbers in a file, and gigabytes in pandas: it is refused."""
    index: dict[str, Any] = {"values": codes_of(1 << 30), "freq": None, "name": None}
    if kind == "levels":
        index = {"levels": [codes_of(1 << 30)], "names": [None], "sortorder": None}
    files = {
        "frame.json": json.dumps({"kind": "index", "index": index}).encode(),
        "data.arrow": written(pa.table({"a": np.zeros(1, np.int8)})),
    }
    with pytest.raises(MaterializationError, match="more categories"):
        load_object(PandasFrame(), MemoryInFolder(files))


@pytest.mark.parametrize("count", [3, 1 << 24])
def test_ranges_of_categories_come_back(count: int) -> None:
    """Up to the bound a range of categories is one again."""
    codes = pd.Categorical.from_codes([0, 2, -1], dtype=pd.CategoricalDtype(pd.RangeIndex(count)))
    loaded: Any = load_object(PandasFrame(), MemoryInFolder(saved(pd.Series(codes), PandasFrame())))
    assert type(loaded.cat.categories) is pd.RangeIndex
    assert loaded.dtype == codes.dtype


def test_what_would_be_refused_when_it_is_loaded_is_not_saved() -> None:
    """A level of more values than a range may stand for is refused before it is stored."""
    index = pd.MultiIndex(levels=[pd.RangeIndex((1 << 24) + 1)], codes=[[0]])
    with pytest.raises(NoMaterializerError, match="range"):
        saved(index, PandasFrame())


def test_columns_of_one_name_are_not_made_one() -> None:
    """Polars has no two columns of one name: a file that has is refused, and no column is dropped."""
    files = saved(pl.DataFrame({"a": [1], "b": [2]}), PolarsFrame())
    files["data.arrow"] = written(pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]))
    with pytest.raises(MaterializationError, match="twice"):
        load_object(PolarsFrame(), MemoryInFolder(files))


def test_long_categories_are_not_multiplied() -> None:
    """A category of a megabyte that many rows name takes a megabyte when it is loaded, and not one for each row."""
    rows = 1 << 20
    files = saved(pl.DataFrame({"a": pl.Series(["x"] * rows).cast(pl.Categorical)}), PolarsFrame())
    codes, texts = pa.array(np.zeros(rows, np.int32)), pa.array(["x" * (1 << 20)], pa.large_string())
    files["data.arrow"] = written(pa.table({"a": pa.DictionaryArray.from_arrays(codes, texts)}))
    loaded: Any = load_object(PolarsFrame(), MemoryInFolder(files))
    assert loaded.height == rows
    assert loaded["a"].n_unique() == 1


def test_categories_that_are_missing_come_back() -> None:
    """Missing values, and categories that are in no row, come back."""
    enum = pl.Enum(["b", "a", "unused"])
    frame = pl.DataFrame({"c": ["b", None, "a", "b"], "d": [None, None, None, None]})
    frame = frame.with_columns(
        pl.col("c").cast(pl.Categorical), e=pl.col("c").cast(enum), d=pl.col("d").cast(enum)
    )
    loaded: Any = load_object(PolarsFrame(), MemoryInFolder(saved(frame, PolarsFrame())))
    assert loaded.schema == frame.schema
    assert loaded.to_dicts() == frame.to_dicts()


@pytest.mark.parametrize("kind", [pa.string_view(), pa.binary_view()], ids=str)
def test_a_view_of_one_value_brings_no_other(kind: Any) -> None:
    """A slice of views is stored as the same bytes as a fresh array, without the values that it was cut from."""
    texts = [f"a text that is too long to be inline {at}" for at in range(50)]
    cut = saved(pa.array(texts, pa.string()).cast(kind).slice(3, 2), ArrowTable())
    assert cut == saved(pa.array(texts[3:5], pa.string()).cast(kind), ArrowTable())
    assert texts[40].encode() not in cut["data.arrow"]
    loaded: Any = load_object(ArrowTable(), MemoryInFolder(cut, {"kind": "array"}))
    assert loaded.equals(pa.array(texts[3:5], pa.string()).cast(kind))
