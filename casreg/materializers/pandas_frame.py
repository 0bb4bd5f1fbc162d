"""pandas: values in one Arrow file, and a small JSON that says which pandas types they were."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, ClassVar, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.arrow_file import add_table, read_table
from casreg.materializers.classes import dotted
from casreg.materializers.pandas_columns import field
from casreg.materializers.pandas_index import (
    decode_index,
    decode_values,
    encode_index,
    encode_labels,
    encode_values,
    has_array,
    take,
)
from casreg.materializers.tree.files import dump, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casreg.materializers.base import InFolder, OutFolder

DATA: Final = "data.arrow"
COLUMNS: Final = "columns.arrow"
FRAME: Final = "frame.json"
_FLAG: Final = "allows_duplicate_labels"


class PandasFrame:
    """`pandas.DataFrame`, `Series` and `Index` in `data.arrow` and `frame.json`.

    Every dtype of pandas itself comes back as it was, with the index (its class, names, frequency and zone), the
    column labels of any type, `attrs` and flags.  Columns of objects are stored if all values are of one plain type
    (text, bytes, numbers, dates, `Decimal`, `UUID`).  Subclasses are refused.  How columns lie in memory is not kept.
    """

    id: ClassVar[str] = "pandas.frame/1"
    types: tuple[type | str, ...] = ("pandas.DataFrame", "pandas.Series", "pandas.Index")

    def save(self, obj: Any, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        import pandas as pd  # heavy

        arrays: list[tuple[str, Any]] = []
        labels: list[Any] = []
        if type(obj) is pd.DataFrame:
            node = _encode_frame(obj, arrays, labels)
        elif type(obj) is pd.Series:
            dtype = _encode_into(obj, "values", arrays)
            node = {"kind": "series", "name": obj.name, "dtype": dtype, **_encode_rows(obj, arrays)}
        elif isinstance(obj, pd.Index):
            found: list[Any] = []
            node = {"kind": "index", "index": encode_index(obj, found)}
            arrays += _index_names(found)
        else:
            raise NoMaterializerError(
                f"a {dotted(type(obj))} would come back as a plain pandas object; save `pandas.DataFrame(it)` (or "
                f"Series), or write a materializer for it"
            )
        dump(node, folder, FRAME)
        _add(folder, DATA, arrays)
        _add(folder, COLUMNS, _index_names(labels))

    def load(self, folder: InFolder, cls: type | None) -> object:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        others = tuple(path for path in (DATA, COLUMNS) if path in folder.paths)
        node = load(folder, FRAME, None, others)
        arrays, labels = _read(folder, DATA), _read(folder, COLUMNS)
        kind = node.get("kind") if isinstance(node, dict) else None
        if kind == "frame":
            made = _decode_frame(node, arrays, labels)
        elif kind == "series":
            made = _decode_series(node, arrays)
        elif kind == "index":
            made = decode_index(field(node, "kind", "index")[1], arrays)
        else:
            raise MaterializationError(
                f"the version should be a frame, a series or an index, not {kind!r:.80}"
            )
        if next(arrays, None) is not None or next(labels, None) is not None:
            raise MaterializationError("more columns are stored than the description is of")
        return made


def _encode_frame(frame: Any, arrays: list[tuple[str, Any]], labels: list[Any]) -> dict[str, object]:
    names = _names(frame.columns)
    dtypes = [
        _encode_into(column, name, arrays) for name, (_, column) in zip(names, frame.items(), strict=True)
    ]
    columns = frame.columns
    plain = not columns.nlevels > 1 and all(type(label) is str for label in columns)
    exact = plain and (columns.dtype == object or dotted(type(columns.dtype)).endswith(".StringDtype"))
    return {
        "kind": "frame",
        "columns": encode_labels(columns) if exact else encode_index(columns, labels),
        "dtypes": dtypes,
        **_encode_rows(frame, arrays),
    }


def _encode_rows(obj: Any, arrays: list[tuple[str, Any]]) -> dict[str, object]:
    """What frames and series have besides their values."""
    found: list[Any] = []
    index = encode_index(obj.index, found)
    arrays += _index_names(found)
    flags = {_FLAG: obj.flags.allows_duplicate_labels}
    return {"index": index, "attrs": obj.attrs, "flags": flags}


def _encode_into(column: Any, name: str, arrays: list[tuple[str, Any]]) -> object:
    """The description of a column; its values are added to `arrays`."""
    try:
        node, array = encode_values(column)
    except NoMaterializerError as err:
        raise NoMaterializerError(f"column {column.name!r}: {err}") from err
    if array is not None:
        arrays.append((name, array))
    return node


def _decode_frame(node: object, arrays: Iterator[Any], labels: Iterator[Any]) -> Any:
    import pandas as pd  # heavy

    _, columns, dtypes, index, attrs, flags = field(
        node, "kind", "columns", "dtypes", "index", "attrs", "flags"
    )
    if not isinstance(dtypes, list):
        raise MaterializationError(f"a frame should have a list of dtypes, not {dtypes!r:.80}")
    values = [decode_values(one, take(arrays) if has_array(one) else None) for one in dtypes]
    rows = decode_index(index, arrays)
    frame = pd.DataFrame({at: _series(one, rows) for at, one in enumerate(values)}, index=rows)
    frame.columns = decode_index(columns, labels)
    _set_rows(frame, attrs, flags)
    return frame


def _decode_series(node: object, arrays: Iterator[Any]) -> Any:
    _, name, dtype, index, attrs, flags = field(node, "kind", "name", "dtype", "index", "attrs", "flags")
    values = decode_values(dtype, take(arrays) if has_array(dtype) else None)
    series = _series(values, decode_index(index, arrays)).copy()
    series.name = name
    _set_rows(series, attrs, flags)
    return series


def _series(values: Any, rows: Any) -> Any:
    """A column with its dtype given: pandas would make text of objects otherwise."""
    import pandas as pd  # heavy

    return pd.Series(values, index=rows, dtype=values.dtype, copy=False)


def _set_rows(obj: Any, attrs: object, flags: object) -> None:
    if not isinstance(attrs, dict) or not isinstance(flags, dict) or set(flags) != {_FLAG}:
        raise MaterializationError("a frame should have attrs and flags")
    obj.attrs = attrs
    if flags[_FLAG] is not True:
        obj.flags.allows_duplicate_labels = False


def _names(columns: Any) -> list[str]:
    """Names of the stored columns, for people: the labels as text, none twice."""
    texts = [label if type(label) is str else str(label) for label in columns]
    texts = [text if text.isprintable() else ascii(text) for text in texts]
    taken = Counter(texts)
    return [text if taken[text] == 1 else f"{text} [{at}]" for at, text in enumerate(texts)]


def _index_names(arrays: Iterable[Any]) -> list[tuple[str, Any]]:
    return [(f"index level {at}", array) for at, array in enumerate(arrays)]


def _add(folder: OutFolder, path: str, arrays: list[tuple[str, Any]]) -> None:
    import pyarrow as pa  # heavy

    if arrays:
        add_table(folder, path, pa.table([array for _, array in arrays], names=[name for name, _ in arrays]))


def _read(folder: InFolder, path: str) -> Iterator[Any]:
    return iter(read_table(folder, path).columns if path in folder.paths else ())
