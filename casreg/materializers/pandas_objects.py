"""pandas columns of dtype `object`: stored if all values have one plain type, refused if not."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.npy import Array


@dataclass(frozen=True, slots=True)
class _Kind:
    """How values of one type stand in Arrow.

    Attributes:
        arrow: The Arrow type, by the name of its constructor in pyarrow and its arguments.
        cls: The exact type of the values.
        to: From a value to what Arrow takes.
        back: From what Arrow gives to the value.
        keeps: Whether a value comes back whole.
    """

    arrow: tuple[str, ...]
    cls: type
    to: Callable[[Any], Any] | None = None
    back: Callable[[Any], Any] | None = None
    keeps: Callable[[Any], bool] | None = None


_KINDS: Final = {
    "str": _Kind(("large_string",), str),
    "bytes": _Kind(("large_binary",), bytes),
    "bool": _Kind(("bool_",), bool),
    "int": _Kind(("int64",), int),
    "float": _Kind(("float64",), float),
    "date": _Kind(("date32",), dt.date),
    "time": _Kind(("time64", "us"), dt.time, keeps=lambda value: value.tzinfo is None and not value.fold),
    "timedelta": _Kind(("duration", "us"), dt.timedelta),
    # As text: an Arrow decimal has one scale for all, and would make 1.10 of 1.1.
    "Decimal": _Kind(("large_string",), Decimal, str, Decimal),
    "UUID": _Kind(("large_string",), uuid.UUID, str, uuid.UUID),
}
_MISSING: Final = ("None", "nan", "NA", "NaT")
MIXED: Final = "mixed"


def encode_objects(values: Array) -> tuple[JSON, Any]:
    """What the column holds, and its values as one Arrow array.

    `None`, a float `nan`, `pandas.NA` and `pandas.NaT` among values of another type are told apart.

    Raises:
        NoMaterializerError: The values have several types, or one that has no place in Arrow.
    """
    import numpy as np  # heavy
    import pyarrow as pa

    items = values.tolist()
    missing, name = _kind_of(items)
    kind = _KINDS[name]
    codes = mask = None
    which: JSON = None
    if missing:
        codes = np.fromiter((_missing(item, missing) for item in items), np.int8, len(items))
        mask = codes >= 0
        used = sorted({int(code) for code in codes} - {-1})
        which = _MISSING[used[0]] if len(used) == 1 else MIXED if used else None
    if kind.keeps is not None and not all(kind.keeps(item) for item in items if type(item) is kind.cls):
        raise NoMaterializerError(
            "it holds times with a zone or a fold, which Arrow has not; save them as text"
        )
    if kind.to is not None:
        to = kind.to
        items = [to(item) if type(item) is kind.cls else None for item in items]
    elif mask is not None:
        items = [None if gone else item for item, gone in zip(items, mask, strict=True)]
    try:
        array = pa.array(items, type=_arrow(kind), from_pandas=False)
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as err:
        raise NoMaterializerError(
            f"it holds values of {name} that do not fit Arrow ({err}); save text"
        ) from err
    if which == MIXED and codes is not None:
        parts = [array, pa.array(codes)]
        array = pa.StructArray.from_arrays(parts, names=["value", "missing"])
    return {"object": name, "missing": which}, array


def decode_objects(node: JSON, missing: JSON, column: Any) -> Array:
    """The array of objects that `encode_objects` described.

    Raises:
        MaterializationError: The description, or the Arrow type, is none that is ever stored.
    """
    import numpy as np  # heavy
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = _KINDS.get(node) if isinstance(node, str) else None
    if kind is None or not (missing is None or missing == MIXED or missing in _MISSING):
        raise MaterializationError(f"no column of objects is described as {node!r:.80}, {missing!r:.80}")
    codes = None
    wanted = _arrow(kind)
    if missing == MIXED:
        wanted = pa.struct([("value", wanted), ("missing", pa.int8())])
    if column.type != wanted:
        raise MaterializationError(f"a column of {node} should be stored as {wanted}, not as {column.type}")
    if missing == MIXED:
        codes = pc.struct_field(column, 1).to_pylist()
        column = pc.struct_field(column, 0)
    items = column.to_pylist()
    marks = _marks()
    if kind.back is not None:
        items = [None if item is None else _made(kind.back, item) for item in items]
    if codes is not None:
        items = [item if code < 0 else marks[code] for item, code in zip(items, codes, strict=True)]
    elif missing not in (None, "None"):
        mark = marks[_MISSING.index(str(missing))]
        items = [mark if item is None else item for item in items]
    elif missing is None and None in items:
        raise MaterializationError("a column of objects lacks values, and does not say which were missing")
    made = np.empty(len(items), object)
    made[:] = items
    return made


def _kind_of(items: list[Any]) -> tuple[frozenset[type], str]:
    """The types of missing values among the items, and the name of what the others are."""
    import pandas as pd  # heavy

    none: dict[type, str] = {type(None): "None", type(pd.NA): "NA", type(pd.NaT): "NaT"}
    kinds = set(map(type, items))
    missing = kinds & none.keys()
    kinds -= missing
    if float in kinds and len(kinds) == 2 and all(item != item for item in items if type(item) is float):  # noqa: PLR0124 - NaN
        kinds.discard(float)
        missing.add(float)
    if not kinds:
        return frozenset(missing), "bool"
    found = next((name for name, kind in _KINDS.items() if {kind.cls} == kinds), None)
    if found is None:
        names = ", ".join(sorted(dotted(cls) for cls in kinds)[:5])
        raise NoMaterializerError(
            f"it is a column of Python objects ({names}), which only pickle holds; convert it to one dtype "
            f"(`astype('string')`, `pandas.to_datetime`, `pandas.ArrowDtype(...)` for lists), or pass "
            f"`allow_pickle=True`"
        )
    return frozenset(missing), found


def _missing(item: object, missing: frozenset[type]) -> int:
    """Which missing value an item is, or -1."""
    if type(item) not in missing:
        return -1
    return 0 if item is None else 1 if type(item) is float else 2 if type(item).__name__ == "NAType" else 3


def _marks() -> tuple[Any, ...]:
    import numpy as np  # heavy
    import pandas as pd

    return None, np.nan, pd.NA, pd.NaT


def _made(back: Callable[[Any], Any], item: Any) -> Any:
    try:
        return back(item)
    except (ValueError, InvalidOperation) as err:
        raise MaterializationError(f"{item!r:.80} is none of the values that the column holds") from err


def _arrow(kind: _Kind) -> Any:
    import pyarrow as pa  # heavy

    name, *arguments = kind.arrow
    return getattr(pa, name)(*arguments)
