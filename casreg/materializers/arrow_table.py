"""pyarrow's tables, record batches, arrays and schemas: one Arrow file that every Arrow library opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.arrow_file import add_table, read_table
from casreg.materializers.classes import dotted
from casreg.materializers.python_bytes import only_file

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON, InFolder, OutFolder

FILE: Final = "data.arrow"
KIND: Final = "kind"
EXTENSIONS: Final = "extensions"
_COLUMN: Final = "values"
"""The name of the column that an array without a name is stored as."""


class ArrowTable:
    """`pyarrow.Table`, `RecordBatch`, `Array`, `ChunkedArray` and `Schema` in `data.arrow`.

    Types, nullability, dictionaries and the metadata of the schema and its fields come back: equal by
    `equals(other, check_metadata=True)`.  Where chunks begin and end is not kept, nor what stands under nulls.
    The parameter `kind` says which class it was; `extensions` names, by position, columns of the extension types
    that pyarrow itself has (UUID, JSON, 8-bit bool, opaque, tensors), which are stored as their storage.
    """

    id: ClassVar[str] = "arrow.table/1"
    types: tuple[type | str, ...] = (
        "pyarrow.lib.Table",
        "pyarrow.lib.RecordBatch",
        "pyarrow.lib.Array",
        "pyarrow.lib.ChunkedArray",
        "pyarrow.lib.Schema",
    )
    parameters: tuple[str, ...] = (KIND, EXTENSIONS)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        kind, table = _as_table(obj)
        found = {at: field.type for at, field in enumerate(table.schema) if type(field.type) in _shipped()}
        for at, extension in found.items():
            column = table.column(at)
            field = table.schema.field(at).with_type(extension.storage_type)
            table = table.set_column(at, field, _storage(column, extension.storage_type))
        folder.params[KIND] = kind
        if found:
            folder.params[EXTENSIONS] = {str(at): _named(extension) for at, extension in found.items()}
        add_table(folder, FILE, table)

    def load(self, folder: InFolder, cls: type | None) -> object:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        only_file(folder, FILE)
        kind = folder.params.get(KIND)
        make = _KINDS.get(kind) if isinstance(kind, str) else None
        if make is None:
            raise MaterializationError(
                f"the version should say what it is ({', '.join(_KINDS)}), not {kind!r}"
            )
        named = folder.params.get(EXTENSIONS, {})
        if not isinstance(named, dict):
            raise MaterializationError(f"the parameter {EXTENSIONS!r} should be a dict, not {named!r:.80}")
        return make(_with_extensions(read_table(folder, FILE), named))


def _as_table(obj: Any) -> tuple[str, Any]:
    """Which kind `obj` is, and the table that holds it."""
    import pyarrow as pa  # heavy

    if type(obj) is pa.Table:
        return "table", obj
    if type(obj) is pa.RecordBatch:
        return "batch", pa.Table.from_batches([obj])
    if type(obj) is pa.Schema:
        return "schema", _empty(obj)
    if type(obj) is pa.ChunkedArray:
        return "chunked", pa.table([obj], names=[_COLUMN])
    if isinstance(obj, pa.Array):  # a class for each type; another class of somebody's has another type, too
        return "array", pa.table([obj], names=[_COLUMN])
    raise NoMaterializerError(f"a {dotted(type(obj))} would come back as another class; save a pyarrow.Table")


def _empty(schema: Any) -> Any:
    """A table without rows. Not `schema.empty_table()`, which does not know every type of pyarrow's own."""
    import pyarrow as pa  # heavy

    return pa.Table.from_arrays([pa.chunked_array([], field.type) for field in schema], schema=schema)


def _to_batch(table: Any) -> object:
    import pyarrow as pa  # heavy

    if not table.num_columns:
        batches = table.to_batches()
        return batches[0] if batches else pa.RecordBatch.from_arrays([], schema=table.schema)
    return pa.RecordBatch.from_arrays([_one(column) for column in table.columns], schema=table.schema)


def _to_array(table: Any) -> object:
    return _one(_only(table))


def _only(table: Any) -> Any:
    if table.num_columns != 1:
        raise MaterializationError(f"an array should be one column, not {table.num_columns}")
    return table.column(0)


def _one(column: Any) -> Any:
    import pyarrow as pa  # heavy

    array = column.combine_chunks()
    if isinstance(array, pa.ChunkedArray):
        raise MaterializationError("the stored array is longer than an array can be")
    return array


_KINDS: Final[dict[str, Callable[[Any], object]]] = {
    "table": lambda table: table,
    "batch": _to_batch,
    "array": _to_array,
    "chunked": _only,
    "schema": lambda table: table.schema,
}


def _shipped() -> dict[type, str]:
    """The extension types that pyarrow itself has, as far as this release has them: class to stored name."""
    import pyarrow as pa  # heavy

    names = {
        "UuidType": "arrow.uuid",
        "JsonType": "arrow.json",
        "Bool8Type": "arrow.bool8",
        "OpaqueType": "arrow.opaque",
        "FixedShapeTensorType": "arrow.fixed_shape_tensor",
    }
    return {getattr(pa, name): stored for name, stored in names.items() if hasattr(pa, name)}


def _named(extension: Any) -> JSON:
    """An extension type as JSON: its name and its parameters."""
    name = _shipped()[type(extension)]
    if name == "arrow.opaque":
        return [name, extension.type_name, extension.vendor_name]
    if name == "arrow.fixed_shape_tensor":
        names, order = extension.dim_names, extension.permutation
        return [
            name,
            list(extension.shape),
            None if names is None else list(names),
            None if order is None else list(order),
        ]
    return [name]


def _made(named: JSON, storage: Any) -> Any:
    """The extension type that `_named` describes, over this storage.

    Raises:
        MaterializationError: There is none.
    """
    import pyarrow as pa  # heavy

    try:
        match named:
            case ["arrow.uuid"]:
                return pa.uuid()
            case ["arrow.json"]:
                return pa.json_(storage)
            case ["arrow.bool8"]:
                return pa.bool8()
            case ["arrow.opaque", str() as type_name, str() as vendor]:
                return pa.opaque(storage, type_name, vendor)
            case ["arrow.fixed_shape_tensor", list() as shape, names, order]:
                if not pa.types.is_fixed_size_list(storage):
                    raise MaterializationError(f"a tensor cannot be stored as {storage}")
                return pa.fixed_shape_tensor(storage.value_type, shape, names, order)
    except AttributeError as err:
        raise MaterializationError(f"{named!r:.80} needs a newer pyarrow: {err}") from err
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as err:
        raise MaterializationError(f"{named!r:.80} is no extension type over {storage}: {err}") from err
    raise MaterializationError(f"{named!r:.80} is no extension type that is ever stored")


def _storage(column: Any, kind: Any) -> Any:
    import pyarrow as pa  # heavy

    return pa.chunked_array([chunk.storage for chunk in column.chunks], kind)


def _with_extensions(table: Any, named: dict[str, JSON]) -> Any:
    """The table with extension types on the columns that were stored without."""
    import pyarrow as pa  # heavy

    places = {str(at): at for at in range(table.num_columns)}
    for place, text in named.items():
        if place not in places:
            raise MaterializationError(f"there is no column {place!r:.20} to have an extension type")
        at = places[place]
        column, field = table.column(at), table.schema.field(at)
        kind = _made(text, field.type)
        chunks = [
            pa.ExtensionArray.from_storage(kind, chunk) for chunk in column.chunks
        ]  # of its storage, or an error
        table = table.set_column(at, field.with_type(kind), pa.chunked_array(chunks, kind))
    return cast("object", table)
