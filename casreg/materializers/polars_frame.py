"""polars: values in one Arrow file, and a small JSON that says which polars types they were."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, ClassVar, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.arrow_file import add_table, read_table
from casreg.materializers.classes import dotted
from casreg.materializers.polars_types import decode_type, encode_type, is_coded, stored_type
from casreg.materializers.tree.files import dump, load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg.materializers.base import JSON, InFolder, OutFolder

DATA: Final = "data.arrow"
FRAME: Final = "frame.json"


class PolarsFrame:
    """`polars.DataFrame` and `Series` in `data.arrow` and `frame.json`.

    Every type comes back as it was, nested ones too, except columns of Python objects, which are refused, as are
    subclasses.  How values lie in chunks, and what polars knows of their order, is not kept.
    """

    id: ClassVar[str] = "polars.frame/1"
    types: tuple[type | str, ...] = (
        "polars.dataframe.frame.DataFrame",
        "polars.series.series.Series",
        "polars.lazyframe.frame.LazyFrame",
    )

    def save(self, obj: Any, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        import polars as pl  # heavy
        import pyarrow as pa

        if type(obj) is pl.DataFrame:
            columns = obj.get_columns()
            kind, height = "frame", obj.height
        elif type(obj) is pl.Series:
            columns = [obj]
            kind, height = "series", len(obj)
        elif isinstance(obj, pl.LazyFrame):
            raise NoMaterializerError(
                "a polars LazyFrame is a plan, and has no values yet; `collect()` it first"
            )
        else:
            raise NoMaterializerError(f"a {dotted(type(obj))} would come back as a plain polars object")
        arrays = [_to_arrow(column) for column in columns]
        dtypes = [encode_type(column.dtype) for column in columns]
        dump({"kind": kind, "height": height, "dtypes": dtypes}, folder, FRAME)
        if columns:
            add_table(folder, DATA, pa.table(arrays, names=[column.name for column in columns]))

    def load(self, folder: InFolder, cls: type | None) -> object:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        import polars as pl  # heavy

        others = (DATA,) if DATA in folder.paths else ()
        node = load(folder, FRAME, None, others)
        match node:
            case {"kind": "frame" | "series" as kind, "height": int() as height, "dtypes": [*dtypes]}:
                pass
            case _:
                raise MaterializationError(f"a polars object is not described as {node!r:.80}")
        table = read_table(folder, DATA) if others else None
        stored = [] if table is None else list(zip(table.column_names, table.columns, strict=True))
        if len(dtypes) != len(stored) or (table is not None and table.num_rows != height):
            raise MaterializationError(f"{len(dtypes)} columns of {height} rows are described, not stored")
        with _panics():
            made = [
                _from_arrow(name, column, decode_type(dtype))
                for (name, column), dtype in zip(stored, dtypes, strict=True)
            ]
            if kind == "frame":
                columns = {one.name: one for one in made}  # a list would rename a column without a name
                if len(columns) != len(made):
                    raise MaterializationError("a column's name is there twice")
                return pl.DataFrame(columns) if made or not height else pl.DataFrame(height=height)
        if len(made) != 1:
            raise MaterializationError(f"a series should be one column, not {len(made)}")
        return made[0]


def _to_arrow(series: Any) -> Any:
    """A column as an Arrow array, categories as text.

    Raises:
        NoMaterializerError: It would not come back.
    """
    import polars as pl  # heavy
    import pyarrow as pa

    where = f"column {series.name!r}"
    try:
        node: JSON = encode_type(series.dtype)
        with _panics():
            cast = series.cast(stored_type(series.dtype))
            array = cast.to_arrow(compat_level=pl.CompatLevel.oldest())
            if is_coded(series.dtype):
                array = array.dictionary_encode()
            dtype = decode_type(node)
            empty = _from_arrow(series.name, pa.chunked_array([array.slice(0, 0)]), dtype)
    except NoMaterializerError as err:
        raise NoMaterializerError(f"{where}: {err}") from err
    except (MaterializationError, pl.exceptions.PolarsError, pa.ArrowException) as err:
        raise NoMaterializerError(f"{where}, of type {series.dtype!r}, cannot be stored: {err}") from err
    if empty.dtype != series.dtype:
        raise NoMaterializerError(f"{where}: {series.dtype!r} would come back as {empty.dtype!r}; cast it")
    return array


def _from_arrow(name: str, column: Any, dtype: Any) -> Any:
    """The polars column of an Arrow column."""
    import polars as pl  # heavy
    import pyarrow as pa

    stored = stored_type(dtype)
    wanted = pl.Series([], dtype=stored).to_arrow(compat_level=pl.CompatLevel.oldest()).type
    if is_coded(dtype):
        wanted = pa.dictionary(pa.int32(), wanted)
    if column.type != wanted:
        raise MaterializationError(f"{dtype!r} should be stored as {wanted}, not as {column.type}")
    if is_coded(dtype):
        return _from_codes(name, column, dtype)
    series = pl.Series(name, column, dtype=stored) if len(column) else pl.Series(name, [], dtype=stored)
    return series.cast(dtype)


def _from_codes(name: str, column: Any, dtype: Any) -> Any:
    """The polars column of an Arrow column of dictionaries, none of whose texts is there more often than it is stored."""
    import polars as pl  # heavy

    made = pl.Series(name, [], dtype=dtype)
    for chunk in column.chunks:
        texts = pl.Series(chunk.dictionary, dtype=pl.String).cast(dtype)
        made = made.append(texts.gather(pl.Series(chunk.indices, dtype=pl.Int32)))
    return made


@contextlib.contextmanager
def _panics() -> Iterator[None]:
    """Turn a panic of polars into an error: it is raised past `except Exception`.

    Raises:
        MaterializationError: polars panicked.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as err:
        if type(err).__name__ != "PanicException":
            raise
        raise MaterializationError(f"polars gave up on the values: {err}") from err
