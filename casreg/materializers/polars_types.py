"""polars types as JSON, and the types that Arrow files hold for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError, NoMaterializerError

if TYPE_CHECKING:
    from casreg.materializers.base import JSON

_PLAIN: Final = (
    *("Boolean", "String", "Binary", "Date", "Time", "Null", "Float16", "Float32", "Float64"),
    *(f"{sign}Int{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64, 128)),
)
_AS_TEXT: Final = ("Int128", "UInt128", "Categorical", "Enum")
"""Stored as their text: Arrow lacks the first two, and the numbers of categories differ from process to process."""
_UNITS: Final = ("ms", "us", "ns")


def encode_type(dtype: Any) -> JSON:
    """A polars type as JSON.

    Raises:
        NoMaterializerError: It is none that comes back.
    """
    name = type(dtype).__name__
    if type(dtype).__module__.partition(".")[0] != "polars":
        raise NoMaterializerError(f"{dtype!r} is not a type of polars itself; cast it to one")
    if name in _PLAIN:
        return name
    if name == "Decimal":
        return {"Decimal": [dtype.precision, dtype.scale]}
    if name == "Datetime":
        return {"Datetime": [dtype.time_unit, dtype.time_zone]}
    if name == "Duration":
        return {"Duration": dtype.time_unit}
    if name == "List":
        return {"List": encode_type(dtype.inner)}
    if name == "Array":
        return {"Array": [encode_type(dtype.inner), dtype.size]}
    if name == "Map":
        return {"Map": [encode_type(dtype.key), encode_type(dtype.value)]}
    if name == "Struct":
        return {"Struct": [[field.name, encode_type(field.dtype)] for field in dtype.fields]}
    if name == "Enum":
        return {"Enum": dtype.categories.to_list()}
    if name == "Categorical":
        return _encode_categories(dtype)
    raise NoMaterializerError(
        f"polars columns of {dtype!r} cannot be stored; cast them to another type (Python objects to text), or pass "
        f"`allow_pickle=True`"
    )


def _encode_categories(dtype: Any) -> JSON:
    found = getattr(dtype, "categories", None)
    if found is None and dtype.ordering != "physical":  # before polars 1.32
        raise NoMaterializerError(
            "categories in lexical order are not stored; update polars, or `cast(pl.String)`"
        )
    if found is None or found.is_global():
        return "Categorical"
    return {"Categorical": [found.name(), found.namespace(), str(found.physical())]}


def decode_type(node: JSON) -> Any:
    """The polars type that `encode_type` described.

    Raises:
        MaterializationError: It is no description of one.
    """
    import polars as pl  # heavy

    try:
        match node:
            case str() if node in _PLAIN or node == "Categorical":
                return getattr(pl, node)()
            case {"Decimal": [int() as precision, int() as scale]}:
                return pl.Decimal(precision, scale)
            case {"Datetime": [unit, None | str() as zone]} if unit in _UNITS:
                return pl.Datetime(unit, zone)
            case {"Duration": unit} if unit in _UNITS:
                return pl.Duration(unit)
            case {"List": inner}:
                return pl.List(decode_type(inner))
            case {"Array": [inner, int() as size]}:
                return pl.Array(decode_type(inner), size)
            case {"Map": [key, value]}:
                return pl.Map(decode_type(key), decode_type(value))
            case {"Struct": [*fields]}:
                return pl.Struct([_field(one) for one in fields])
            case {"Enum": [*names]}:
                return pl.Enum(names)
            case {"Categorical": [str() as name, str() as space, "UInt8" | "UInt16" | "UInt32" as physical]}:
                return pl.Categorical(pl.Categories(name, space, getattr(pl, physical)))
    except AttributeError as err:
        raise MaterializationError(f"the type {node!r:.80} needs a newer polars: {err}") from err
    except (TypeError, ValueError, OverflowError) as err:
        raise MaterializationError(f"the type {node!r:.80} cannot be: {err}") from err
    raise MaterializationError(f"{node!r:.80} is no polars type that is ever stored")


def _field(node: JSON) -> Any:
    import polars as pl  # heavy

    match node:
        case [str() as name, dtype]:
            return pl.Field(name, decode_type(dtype))
    raise MaterializationError(f"{node!r:.80} is no field of a polars struct")


def stored_type(dtype: Any) -> Any:
    """The type that values are cast to before Arrow gets them, and back from: `dtype` itself for most."""
    import polars as pl  # heavy

    name = type(dtype).__name__
    if name in _AS_TEXT:
        return pl.String()
    if name == "List":
        return pl.List(stored_type(dtype.inner))
    if name == "Array":
        return pl.Array(stored_type(dtype.inner), dtype.size)
    if name == "Map":
        return pl.Map(stored_type(dtype.key), stored_type(dtype.value))
    if name == "Struct":
        return pl.Struct([pl.Field(field.name, stored_type(field.dtype)) for field in dtype.fields])
    return dtype


def is_coded(dtype: Any) -> bool:
    """Values are few texts, many times: a dictionary of Arrow's holds them."""
    return type(dtype).__name__ in ("Categorical", "Enum")
