"""Arrow IPC files: a table as bytes that are the same in every process, read back with everything validated.

Not Parquet: it names the library that wrote it, so every release would give other bytes, and it knows neither
seconds nor durations nor half of Arrow's types without a copy of the Arrow schema.  Not compressed: chunks are, after
deduplication.  Rows go into record batches of a fixed number: text begins to count its offsets anew in each, so that
a changed row changes the offsets of its own batch only.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.arrow_messages import check_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg.materializers.base import InFolder, OutFolder

BATCH_ROWS: Final = 1 << 18
"""Rows of a record batch: part of the stored form, since other batches are other bytes."""
_MAGIC: Final = b"ARROW1"
_EXTENSION: Final = b"ARROW:extension"


def add_table(folder: OutFolder, path: str, table: Any) -> None:
    """Put a `pyarrow.Table` into the file `path`. The same content gives the same bytes, however it was sliced.

    Raises:
        NoMaterializerError: It holds extension types, or one column has several dictionaries.
    """
    import pyarrow as pa  # heavy

    for field, column in zip(table.schema, table.columns, strict=True):
        if extension_inside(field.type):
            raise NoMaterializerError(
                f"column {field.name!r} has the type {field.type}, with an extension type inside; save its storage "
                f"(`array.storage`, or `cast` to the storage type)"
            )
        _refuse_dictionaries(field.name, column)
    sink = pa.BufferOutputStream()
    options = pa.ipc.IpcWriteOptions(
        metadata_version=pa.ipc.MetadataVersion.V5, compression=None, use_threads=False
    )
    try:
        with pa.ipc.new_file(sink, table.schema, options=options) as writer:
            for batch in _batches(table):
                writer.write_batch(batch)
        data = sink.getvalue()
        schema = _opened(data).schema
    except (pa.ArrowException, MaterializationError) as err:
        raise NoMaterializerError(f"the table does not fit an Arrow file: {err}") from err
    if not schema.equals(table.schema, check_metadata=True):
        raise NoMaterializerError(f"the schema would come back as another one: {schema.to_string()[:500]}")
    folder.add(path, data)


def read_table(folder: InFolder, path: str) -> Any:
    """The `pyarrow.Table` of the file `path`, in the buffer that the file was read into, every value validated.

    Raises:
        MaterializationError: It is not a file that `add_table` writes.
    """
    import pyarrow as pa  # heavy

    data = pa.allocate_buffer(folder.size(path))
    folder.read_into(path, memoryview(data))
    try:
        table = _opened(data).read_all()
        # Offsets, dictionary indices, UTF-8: compiled code follows them later without another look.
        table.validate(full=True)
    except (pa.ArrowException, OSError, ValueError, MemoryError) as err:
        raise MaterializationError(f"the stored {path} is not a valid Arrow file: {err}") from err
    return table


def extension_inside(kind: Any) -> bool:
    """An Arrow type that is, or holds, an extension type."""
    import pyarrow as pa  # heavy

    return isinstance(kind, pa.BaseExtensionType) or any(map(extension_inside, _children(kind)))


def _children(kind: Any) -> list[Any]:
    import pyarrow as pa  # heavy

    found = [kind.field(at).type for at in range(kind.num_fields)]
    if pa.types.is_dictionary(kind):
        found.append(kind.value_type)
    return found


def _opened(data: Any) -> Any:
    """A reader of the Arrow file in a buffer.

    Raises:
        MaterializationError: It would construct extension types, or take more memory than it has bytes, or is no Arrow
            file.
    """
    import pyarrow as pa  # heavy

    # Arrow lets any class that this process has registered read its parameters out of the schema: that would be
    # code which the stored bytes choose. Types of casreg's own table are put on afterwards, by the caller.
    view = memoryview(data)
    size = int.from_bytes(view[-10:-6], "little")
    first = int.from_bytes(view[12:16], "little")
    if view.nbytes < 24 or bytes(view[-6:]) != _MAGIC:
        raise MaterializationError("it does not end as an Arrow file does")
    if _EXTENSION in bytes(view[-10 - size : -10]) or _EXTENSION in bytes(view[16 : 16 + first]):
        raise MaterializationError("its schema names an extension type, or has that word in it")
    check_file(view)
    return pa.ipc.open_file(pa.BufferReader(data))


def _batches(table: Any) -> Iterator[Any]:
    """The record batches of a table: cut by the number of rows, not where the table's chunks happen to end."""
    import pyarrow as pa  # heavy

    if not table.num_columns:  # only a number of rows, which a slice of such a table gets wrong
        yield from table.to_batches()
        return
    for start in range(0, max(table.num_rows, 1), BATCH_ROWS):  # an empty one too: dictionaries travel in it
        part = table.slice(start, BATCH_ROWS)
        pieces = [column.combine_chunks() for column in part.columns]
        if any(isinstance(piece, pa.ChunkedArray) for piece in pieces):  # more than 2 GiB of text in a batch
            yield from part.to_batches()
        else:
            # Not by `pa.array`, which imports pandas to ask whether it is given some.
            order = pa.py_buffer(array("q", range(part.num_rows)))
            indices = pa.Array.from_buffers(pa.int64(), part.num_rows, [None, order])
            yield pa.RecordBatch.from_arrays(
                [_tight(piece, indices) for piece in pieces], schema=table.schema
            )


def _tight(values: Any, indices: Any) -> Any:
    """An equal array in memory of its own, without what stands under nulls and before and after a slice."""
    import pyarrow as pa  # heavy

    kind = values.type
    whole = {pa.string_view(): pa.large_string(), pa.binary_view(): pa.large_binary()}.get(kind)
    if whole is not None:  # a view of a few values would bring along all that it was taken from
        return values.cast(whole).take(indices).cast(kind)
    text = pa.string(), pa.large_string(), pa.binary(), pa.large_binary()
    plain = kind in text or (pa.types.is_primitive(kind) and not pa.types.is_boolean(kind))
    if plain and values.null_count == 0:
        return values  # the writer cuts values and offsets by itself
    try:
        return values.take(indices)
    except pa.ArrowNotImplementedError:
        return values  # runs, and views inside others: whole, as they are


def _refuse_dictionaries(name: str, column: Any) -> None:
    """An Arrow file holds one dictionary for a column."""
    import pyarrow as pa  # heavy

    kind = column.type
    if pa.types.is_dictionary(kind):
        first, *others = [chunk.dictionary for chunk in column.chunks] or [None]
        if all(first.equals(other) for other in others):
            return
    elif column.num_chunks < 2 or not any(map(_dictionary_inside, _children(kind))):
        return
    raise NoMaterializerError(
        f"the chunks of column {name!r} have dictionaries of their own; make it one with "
        f"`table.unify_dictionaries()` or `table.combine_chunks()`"
    )


def _dictionary_inside(kind: Any) -> bool:
    import pyarrow as pa  # heavy

    return pa.types.is_dictionary(kind) or any(map(_dictionary_inside, _children(kind)))
