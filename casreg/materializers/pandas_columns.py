"""pandas columns as Arrow arrays: one array for each, and a description of the exact dtype."""

from __future__ import annotations

import datetime as dt
import re
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast
from zoneinfo import ZoneInfo

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.pandas_objects import decode_objects, encode_objects

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.npy import Array

_NUMBERS: Final = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)")
_COMPLEX: Final = {"complex64": "float32", "complex128": "float64"}
_TIMES: Final = re.compile(r"(datetime64|timedelta64)\[(s|ms|us|ns)\]")
_MASKED: Final = re.compile(r"boolean|U?Int(8|16|32|64)|Float(32|64)")
_STORAGES: Final = ("python", "pyarrow")
_NAT: Final = -(1 << 63)


def encode_column(values: Any) -> tuple[object, Any]:
    """The description of a column (anything that `tree.files.dump` takes), and its values as an Arrow array.

    `values` is a Series or an Index.  The array is None where the description holds the values as well.

    Raises:
        NoMaterializerError: Its dtype, or what it holds, would not come back.
    """
    import numpy as np  # heavy

    dtype = values.dtype
    if isinstance(dtype, np.dtype):
        return encode_array(values.to_numpy())
    for name, encode in _ENCODERS.items():
        if dotted(type(dtype)) in (
            f"pandas.{name}",
            f"pandas.core.dtypes.dtypes.{name}",
            _ELSEWHERE.get(name),
        ):
            return encode(values.array)
    if _MASKED.fullmatch(str(dtype)) and type(dtype).__module__.partition(".")[0] == "pandas":
        return str(dtype), _arrow_of(values.array)
    raise NoMaterializerError(
        f"nothing knows how to save the dtype {dtype!r} ({dotted(type(dtype))}); convert it with `astype` to a dtype "
        f"of pandas itself"
    )


def encode_array(values: Array) -> tuple[object, Any]:
    """As `encode_column`, for a plain numpy array of one dimension."""
    import numpy as np  # heavy
    import pyarrow as pa

    name = values.dtype.name
    if values.dtype == object:
        return encode_objects(values)
    if not values.dtype.isnative or values.dtype.metadata is not None:
        raise NoMaterializerError(f"the dtype {values.dtype!r} does not fit Arrow; convert it with `astype`")
    if _NUMBERS.fullmatch(name):
        return name, pa.array(np.ascontiguousarray(values), from_pandas=False)
    if name in _COMPLEX:
        flat = pa.array(np.ascontiguousarray(values).view(_COMPLEX[name]))
        return name, pa.FixedSizeListArray.from_arrays(flat, 2)
    if _TIMES.fullmatch(name):
        return name, _times(values, _time_type(name))
    raise NoMaterializerError(f"the dtype {values.dtype!r} does not fit Arrow; convert it with `astype`")


def decode_column(node: object, column: Any) -> Any:
    """The array (of numpy's or pandas's) that `encode_column` described; `column` is a `pyarrow.ChunkedArray`.

    Raises:
        MaterializationError: The description, or the Arrow type, is none that is ever stored.
    """
    if isinstance(node, str):
        return _decode_named(node, column)
    if isinstance(node, dict) and node:
        decode = _DECODERS.get(next(iter(node)))
        if decode is not None:
            return decode(node, column)
    raise MaterializationError(f"no column is ever described as {node!r:.80}")


def expect(column: Any, wanted: Any, *, nulls: bool = False) -> None:
    """See that a stored column has the Arrow type that its description wants.

    Raises:
        MaterializationError: It has another one, or nulls where there are none.
    """
    if column.type != wanted or (column.null_count and not nulls):
        raise MaterializationError(
            f"a column should be stored as {wanted}, {'with or' if nulls else ''} without nulls, not as {column.type} "
            f"with {column.null_count} of them"
        )


def field(node: object, *keys: str) -> list[Any]:
    """The values of a description that has exactly these keys.

    Raises:
        MaterializationError: It has others.
    """
    if not isinstance(node, dict) or set(node) != set(keys):
        raise MaterializationError(f"the description should have {', '.join(keys)}, but is {node!r:.80}")
    return [node[key] for key in keys]


def _decode_named(name: str, column: Any) -> Any:
    """Numbers and times, by the name of their dtype."""
    import numpy as np  # heavy
    import pandas as pd
    import pyarrow as pa
    import pyarrow.compute as pc

    if _NUMBERS.fullmatch(name):
        expect(column, pa.from_numpy_dtype(np.dtype(name)))
        return np.asarray(column.to_numpy())
    if name in _COMPLEX:
        flat = pa.from_numpy_dtype(np.dtype(_COMPLEX[name]))
        expect(column, pa.list_(flat, 2))
        parts = [chunk.flatten().to_numpy(zero_copy_only=False) for chunk in column.chunks]
        return np.concatenate([np.empty(0, _COMPLEX[name]), *parts]).view(name)
    if _TIMES.fullmatch(name):
        return _clock(column, _time_type(name)).view(name)
    if _MASKED.fullmatch(name):
        dtype = pd.api.types.pandas_dtype(name)
        expect(column, pa.from_numpy_dtype(dtype.numpy_dtype), nulls=True)
        make = dtype.construct_array_type()  # not `__from_arrow__`, which takes a nan for a missing value
        values = pc.fill_null(column, dtype.numpy_dtype.type(0).item()) if column.null_count else column
        return make(np.array(values), np.array(pc.is_null(column)))
    raise MaterializationError(f"the dtype {name[:80]!r} is none that is ever stored")


def _time_type(name: str) -> Any:
    import pyarrow as pa  # heavy

    unit = name.partition("[")[2][:-1]
    return pa.timestamp(unit) if name.startswith("d") else pa.duration(unit)


def _times(values: Array, kind: Any) -> Any:
    """An Arrow array of times: 64-bit integers, with nulls for what is not a time."""
    import numpy as np  # heavy
    import pyarrow as pa

    gone = np.isnat(values) if values.dtype.kind in "mM" else values == _NAT
    return pa.array(np.ascontiguousarray(values).view(np.int64), mask=gone if gone.any() else None).view(kind)


def _clock(column: Any, kind: Any) -> Any:
    """The integers of an Arrow column of times, as `_times` takes them."""
    import numpy as np  # heavy
    import pyarrow as pa
    import pyarrow.compute as pc

    expect(column, kind, nulls=True)
    integers = pc.cast(column, pa.int64())
    return np.array(pc.fill_null(integers, _NAT) if column.null_count else integers)


def _arrow_of(array: Any) -> Any:
    """An extension array of pandas as the Arrow array that it offers."""
    import pyarrow as pa  # heavy

    try:
        return pa.array(array)
    except (pa.ArrowException, UnicodeEncodeError) as err:
        raise NoMaterializerError(f"the values of dtype {array.dtype} do not fit Arrow: {err}") from err


def _decode_objects(node: object, column: Any) -> Array:
    name, missing = field(node, "object", "missing")
    return decode_objects(name, missing, column)


def _encode_string(array: Any) -> tuple[object, Any]:
    import pandas as pd  # heavy
    import pyarrow as pa
    import pyarrow.compute as pc

    dtype = array.dtype
    if dtype.storage not in _STORAGES:
        raise NoMaterializerError(
            f"text of the storage {dtype.storage!r} is not stored; use `astype('string')`"
        )
    found = _arrow_of(array)
    kept = "NA" if getattr(dtype, "na_value", pd.NA) is pd.NA else "nan"
    found = found if found.type == pa.large_string() else pc.cast(found, pa.large_string())
    return {"string": dtype.storage, "missing": kept}, found


def _decode_string(node: object, column: Any) -> Any:
    import numpy as np  # heavy
    import pandas as pd
    import pyarrow as pa

    storage, missing = field(node, "string", "missing")
    expect(column, pa.large_string(), nulls=True)
    if storage not in _STORAGES or missing not in ("nan", "NA"):
        raise MaterializationError(f"no text is ever described as {node!r:.80}")
    try:
        dtype = pd.StringDtype(storage) if missing == "NA" else pd.StringDtype(storage, na_value=np.nan)
    except TypeError as err:
        raise MaterializationError(f"text whose missing values are nan needs pandas 2.3: {err}") from err
    return dtype.__from_arrow__(column)


def _encode_zoned(array: Any) -> tuple[object, Any]:
    import pyarrow as pa  # heavy

    unit, zone = array.dtype.unit, array.dtype.tz
    if type(zone).__module__.partition(".")[0] == "pytz" and isinstance(zone.zone, str):
        zone = {"pytz": zone.zone}  # what pandas 2 makes of the name of a zone
    elif type(zone) not in (dt.timezone, ZoneInfo):
        raise NoMaterializerError(
            f"the time zone {zone!r} would not come back; convert it with `tz_convert(zoneinfo.ZoneInfo(key))`"
        )
    return {"datetime": unit, "zone": zone}, _times(array.asi8, pa.timestamp(unit, "UTC"))


def _decode_zoned(node: object, column: Any) -> Any:
    import pandas as pd  # heavy
    import pyarrow as pa

    unit, zone = field(node, "datetime", "zone")
    if isinstance(zone, dict):
        zone = pytz_zone(*field(zone, "pytz"))
    if unit not in ("s", "ms", "us", "ns") or not isinstance(zone, dt.tzinfo):
        raise MaterializationError(f"no times are ever described as {node!r:.80}")
    instants = _clock(column, pa.timestamp(unit, "UTC")).view(f"datetime64[{unit}]")
    return pd.DatetimeIndex(instants).tz_localize("UTC").tz_convert(zone).array


def pytz_zone(key: object) -> object:
    """The zone of that name, of a library that only pandas 2 still uses.

    Raises:
        MaterializationError: There is no such zone.
    """
    pytz = import_module("pytz")  # pandas 2, or the user, has brought it where it is needed
    try:
        return cast("object", pytz.timezone(str(key)))  # one of a closed list
    except KeyError as err:
        raise MaterializationError(f"the time zone {key!r:.80} is not known to pytz here") from err


def _encode_period(array: Any) -> tuple[object, Any]:
    import pyarrow as pa  # heavy

    # Not `freq.freqstr`, whose words for offsets (ME) are not those for periods (M).
    return {"period": str(array.dtype)[len("period[") : -1]}, _times(array.asi8, pa.int64())


def _decode_period(node: object, column: Any) -> Any:
    import pandas as pd  # heavy
    import pyarrow as pa

    (freq,) = field(node, "period")
    return pd.arrays.PeriodArray(_clock(column, pa.int64()), dtype=pd.PeriodDtype(str(freq)))


def _encode_interval(array: Any) -> tuple[object, Any]:
    import pyarrow as pa  # heavy

    (node, left), (_, right) = encode_column(array.left), encode_column(array.right)
    ends = pa.StructArray.from_arrays([left, right], names=["left", "right"])
    return {"interval": array.dtype.closed, "ends": node}, ends


def _decode_interval(node: object, column: Any) -> Any:
    import pandas as pd  # heavy
    import pyarrow as pa
    import pyarrow.compute as pc

    closed, ends = field(node, "interval", "ends")
    if not pa.types.is_struct(column.type) or column.type.num_fields != 2 or column.null_count:
        raise MaterializationError(f"intervals should be stored as a struct of two, not as {column.type}")
    left, right = (decode_column(ends, pc.struct_field(column, at)) for at in (0, 1))
    return pd.arrays.IntervalArray.from_arrays(left, right, closed=closed)


def _encode_sparse(array: Any) -> tuple[object, Any]:
    dtype = array.dtype
    positions = array.sp_index.to_int_index().indices
    node = {"sparse": array.sp_values, "at": positions, "fill": dtype.fill_value, "kind": array.kind}
    return {**node, "length": len(array)}, None


def _decode_sparse(node: object, column: Any) -> Any:
    import numpy as np  # heavy
    import pandas as pd

    values, at, fill, kind, length = field(node, "sparse", "at", "fill", "kind", "length")
    del column
    if not isinstance(values, np.ndarray) or values.ndim != 1 or not _NUMBERS.fullmatch(values.dtype.name):
        raise MaterializationError("the values of a sparse column should be one array of numbers")
    if not isinstance(at, np.ndarray) or at.dtype != np.int32 or at.shape != values.shape:
        raise MaterializationError("the positions of a sparse column should be as many as its values")
    if kind not in ("integer", "block") or type(length) is not int or not 0 <= length < 1 << 31:
        raise MaterializationError(f"no sparse column is ever of kind {kind!r:.80} and length {length!r:.80}")
    if at.size and not (at[0] >= 0 and at[-1] < length and (np.diff(at) > 0).all()):
        raise MaterializationError("the positions of a sparse column should rise, and be within it")
    make = getattr(pd.arrays.SparseArray, "from_indices", None)
    if make is not None:
        return make(values, at, length, fill_value=fill, kind=kind, dtype=values.dtype)
    from pandas.core.arrays.sparse.array import make_sparse_index  # pandas 2 has no public name for it

    index = make_sparse_index(length, at, kind)
    return pd.arrays.SparseArray(values, sparse_index=index, dtype=pd.SparseDtype(values.dtype, fill))


def _encode_arrow(array: Any) -> tuple[object, Any]:
    return {"arrow": True}, array.__arrow_array__()


def _decode_arrow(node: object, column: Any) -> Any:
    import pandas as pd  # heavy

    field(node, "arrow")
    return pd.arrays.ArrowExtensionArray(column)


_ENCODERS: Final[dict[str, Callable[[Any], tuple[object, Any]]]] = {
    "StringDtype": _encode_string,
    "DatetimeTZDtype": _encode_zoned,
    "PeriodDtype": _encode_period,
    "IntervalDtype": _encode_interval,
    "SparseDtype": _encode_sparse,
    "ArrowDtype": _encode_arrow,
}
_ELSEWHERE: Final = {"StringDtype": "pandas.core.arrays.string_.StringDtype"}

_DECODERS: Final[dict[str, Callable[[object, Any], Any]]] = {
    "object": _decode_objects,
    "string": _decode_string,
    "datetime": _decode_zoned,
    "period": _decode_period,
    "interval": _decode_interval,
    "sparse": _decode_sparse,
    "arrow": _decode_arrow,
}
