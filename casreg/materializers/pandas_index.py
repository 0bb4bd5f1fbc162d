"""pandas indexes, and what is coded by one (categories, the levels of a MultiIndex), as Arrow arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.pandas_columns import decode_column, encode_column, expect, field

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg.materializers.npy import Array

_CLASSES: Final = (
    "Index",
    "RangeIndex",
    "MultiIndex",
    "DatetimeIndex",
    "TimedeltaIndex",
    "PeriodIndex",
    "IntervalIndex",
    "CategoricalIndex",
)
_INNER: Final = "categories"
_LONGEST_RANGE: Final = 1 << 24
"""Categories that a range may stand for: three numbers in the description, of which pandas makes as many in memory."""
_CATEGORICAL: Final = ("pandas.CategoricalDtype", "pandas.core.dtypes.dtypes.CategoricalDtype")


def encode_values(values: Any) -> tuple[object, Any]:
    """As `encode_column`, of every dtype that there is.

    Raises:
        NoMaterializerError: Its dtype, or what it holds, would not come back.
    """
    if dotted(type(values.dtype)) not in _CATEGORICAL:
        node, array = encode_column(values)
    else:
        node, array = _encode_codes(values.array.codes, values.dtype.categories, ordered=values.dtype.ordered)
    empty = None if array is None else _chunked(array.slice(0, 0))
    # What stands in the description decides the dtype: the proof that it does costs nothing.
    if decode_values(node, empty).dtype != values.dtype:
        raise NoMaterializerError(f"the dtype {values.dtype!r} would come back as another one; use `astype`")
    return node, array


def decode_values(node: object, column: Any) -> Any:
    """The array that `encode_values` described.

    Raises:
        MaterializationError: The description, or the Arrow type, is none that is ever stored.
    """
    import pandas as pd  # heavy

    if not isinstance(node, dict) or "codes" not in node:
        return decode_column(node, column)
    codes, categories = _decode_codes(node, column)
    return pd.Categorical.from_codes(codes, dtype=pd.CategoricalDtype(categories, node["ordered"]))


def has_array(node: object) -> bool:
    """The values that a description is of stand in a column of the table, and not in the description."""
    return not isinstance(node, dict) or "sparse" not in node


def encode_index(index: Any, arrays: list[Any]) -> object:
    """The description of an index; its arrays are added to `arrays`.

    Raises:
        NoMaterializerError: It would not come back.
    """
    import pandas as pd  # heavy

    if not any(type(index) is getattr(pd, name) for name in _CLASSES):
        raise NoMaterializerError(f"an index of class {dotted(type(index))} would come back as another one")
    if isinstance(index, pd.RangeIndex):
        return {"range": [index.start, index.stop, index.step], "name": index.name}
    if isinstance(index, pd.MultiIndex):
        if not all(level.is_unique for level in index.levels):
            raise NoMaterializerError("a level of the MultiIndex has a value twice; rebuild the index")
        pairs = [_encode_codes(*pair, ordered=False) for pair in zip(index.codes, index.levels, strict=True)]
        arrays += [array for _, array in pairs]
        return {
            "levels": [node for node, _ in pairs],
            "names": list(index.names),
            "sortorder": index.sortorder,
        }
    try:
        node, array = encode_values(index)
    except NoMaterializerError:
        if index.dtype != object:
            raise
        return encode_labels(index)  # labels of several types: few, as a rule, and JSON holds them
    arrays.append(array)
    return {"values": node, "freq": _freq(index), "name": index.name}


def encode_labels(index: Any) -> object:
    """The description of an index of text or objects, all of whose labels are written out in it."""
    node = None if index.dtype == object else encode_column(index)[0]
    return {"labels": index.tolist(), "dtype": node, "name": index.name}


def decode_index(node: object, arrays: Iterator[Any]) -> Any:
    """The index that `encode_index` described, whose arrays come next.

    Raises:
        MaterializationError: The description, or an array, is none that is ever stored.
    """
    import pandas as pd  # heavy

    if isinstance(node, dict) and "range" in node:
        bounds, name = field(node, "range", "name")
        if not isinstance(bounds, list) or len(bounds) != 3 or not all(type(one) is int for one in bounds):
            raise MaterializationError(f"a range has start, stop and step, not {bounds!r:.80}")
        return pd.RangeIndex(*bounds, name=name)
    if isinstance(node, dict) and "levels" in node:
        return _decode_multi(node, arrays)
    if isinstance(node, dict) and "labels" in node:
        return _decode_labels(node)
    values, freq, name = field(node, "values", "freq", "name")
    array = decode_values(values, take(arrays))
    index = pd.Index(array, dtype=array.dtype, name=name, tupleize_cols=False)
    if freq is not None:
        if not isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex):
            raise MaterializationError(f"a {type(index).__name__} has no frequency {freq!r:.80}")
        index.freq = pd.tseries.frequencies.to_offset(str(freq))  # refuses one that does not fit
    return index


def take(arrays: Iterator[Any]) -> Any:
    """The next stored array.

    Raises:
        MaterializationError: There is none.
    """
    array = next(arrays, None)
    if array is None:
        raise MaterializationError("the description is of more columns than are stored")
    return array


def _decode_multi(node: object, arrays: Iterator[Any]) -> Any:
    import pandas as pd  # heavy

    nodes, names, order = field(node, "levels", "names", "sortorder")
    if not isinstance(nodes, list) or not nodes or not isinstance(names, list):
        raise MaterializationError("a MultiIndex should have levels and names")
    pairs = [_decode_codes(one, take(arrays)) for one in nodes]
    return pd.MultiIndex(
        levels=[level for _, level in pairs],
        codes=[codes for codes, _ in pairs],
        names=names,
        sortorder=order,
        verify_integrity=True,
    )


def _decode_labels(node: object) -> Any:
    import numpy as np  # heavy
    import pandas as pd
    import pyarrow as pa

    labels, dtype, name = field(node, "labels", "dtype", "name")
    if not isinstance(labels, list):
        raise MaterializationError(f"labels should be a list, not {labels!r:.80}")
    made = np.empty(len(labels), object)
    for at, label in enumerate(labels):  # one by one: numpy would make two dimensions of tuples
        made[at] = label
    if dtype is None:
        return pd.Index(made, dtype=object, name=name, tupleize_cols=False)
    array = decode_column(dtype, _chunked(pa.array(labels, pa.large_string())))
    return pd.Index(array, dtype=array.dtype, name=name)


def _encode_codes(codes: Array, categories: Any, *, ordered: bool | None) -> tuple[object, Any]:
    """Codes into an index, -1 for none of it: a dictionary of Arrow's where one array holds the index."""
    import pyarrow as pa  # heavy

    arrays: list[Any] = []
    node = encode_index(categories, arrays)
    if not arrays and len(categories) > _LONGEST_RANGE:
        raise NoMaterializerError(
            f"a range of {len(categories)} categories is not stored; save the codes and the range by themselves"
        )
    gone = codes < 0
    indices = pa.array(codes, mask=gone if gone.any() else None)
    if arrays:
        (array,) = (one.combine_chunks() if isinstance(one, pa.ChunkedArray) else one for one in arrays)
        if pa.types.is_dictionary(array.type):
            # An Arrow file holds no dictionary of a dictionary, but it does of a struct.
            plain = pa.DictionaryArray.from_arrays(array.indices, array.dictionary)
            array = pa.StructArray.from_arrays([plain], names=[_INNER])
        indices = pa.DictionaryArray.from_arrays(indices, array, ordered=bool(ordered))
    return {"codes": node, "ordered": ordered}, indices


def _decode_codes(node: object, column: Any) -> tuple[Array, Any]:
    import numpy as np  # heavy
    import pyarrow as pa
    import pyarrow.compute as pc

    categories, ordered = field(node, "codes", "ordered")
    if ordered not in (True, False, None):
        raise MaterializationError(f"categories are ordered or not, not {ordered!r:.80}")
    arrays: list[Any] = []
    if pa.types.is_dictionary(column.type):
        whole = column.combine_chunks()
        inner = whole.dictionary
        if pa.types.is_struct(inner.type) and [field.name for field in inner.type] == [_INNER]:
            inner = inner.field(0)
        arrays.append(_chunked(inner))
        column = _chunked(whole.indices)
    expect(column, _code_type(column.type), nulls=True)
    index = decode_index(categories, iter(arrays))
    if not arrays and len(index) > _LONGEST_RANGE:
        raise MaterializationError(f"codes are of more categories ({len(index)}) than a range may stand for")
    # That they are within the index is checked by those who make something of the two.
    codes = np.array(pc.fill_null(column, -1) if column.null_count else column)
    return codes, index


def _code_type(kind: Any) -> Any:
    import pyarrow as pa  # heavy

    return kind if pa.types.is_signed_integer(kind) else pa.int64()


def _freq(index: Any) -> str | None:
    """The frequency of an index as text from which it comes back."""
    import pandas as pd  # heavy

    freq = index.freq if isinstance(index, pd.DatetimeIndex | pd.TimedeltaIndex) else None
    if freq is None:
        return None
    text: str = freq.freqstr
    try:
        same = pd.tseries.frequencies.to_offset(text) == freq
    except ValueError:
        same = False
    if not same:
        raise NoMaterializerError(
            f"the frequency {freq!r} of the index would not come back; set `index.freq = None` first"
        )
    return text


def _chunked(array: Any) -> Any:
    import pyarrow as pa  # heavy

    return array if isinstance(array, pa.ChunkedArray) else pa.chunked_array([array])
