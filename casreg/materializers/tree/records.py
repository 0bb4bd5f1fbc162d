"""Values of registered classes: dataclasses, pydantic models, enums and namedtuples.

They are rebuilt from their fields as `copy` does it, without calling the class: a constructor may change what
it is given.  A field that the class has gained since is filled from its default; anything else that does not
fit is an error.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
from types import BuiltinFunctionType
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from casreg.exceptions import MaterializationError
from casreg.materializers.classes import dotted, kind_of
from casreg.materializers.compiled import slots_of
from casreg.materializers.tree.scalars import encode_int

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.materializers.base import JSON
    from casreg.materializers.classes import ClassKind
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder


def encode_dataclass(encoder: Encoder, value: Any) -> JSON:
    """The fields of a dataclass by name."""
    cls, key = type(value), _key(encoder, type(value))
    names = [field.name for field in dataclasses.fields(cls)]
    missing = [name for name in names if not hasattr(value, name)]
    if missing:
        encoder.refuse(f"the field {missing[0]!r} of this {dotted(cls)} has no value; give it one")
    extra = [
        name for name in getattr(value, "__dict__", {}) if name not in names and not _is_cache(cls, name)
    ]
    extra += [name for name in slots_of(cls) if name not in names and hasattr(value, name)]
    if extra:
        encoder.refuse(
            f"the attribute {extra[0]!r} of this {dotted(cls)} is not a field; make it one, or remove it"
        )
    return {"$dataclass": [key, _fields(encoder, value, {name: getattr(value, name) for name in names})]}


def decode_dataclass(decoder: Decoder, node: JSON) -> object:
    """What `encode_dataclass` tags."""
    key, fields = decoder.items(node, 2)
    cls = _class(decoder, key, "dataclass")
    found = decoder.decode_dict(fields)
    known = {field.name: field for field in dataclasses.fields(cls)}
    _refuse_unknown(cls, found, known)
    value: object = object.__new__(cls)
    for name, field in known.items():
        # Past the class's own __setattr__, which forbids it where the class is frozen.
        object.__setattr__(value, name, found[name] if name in found else _default_of(cls, field))
    return value


def encode_pydantic(encoder: Encoder, value: Any) -> JSON:
    """Fields, extra and private attributes of a model, and which fields were set."""
    state = value.__getstate__()
    return {
        "$pydantic": [
            _key(encoder, type(value)),
            _fields(encoder, value, state["__dict__"]),
            _optional(encoder, value, state["__pydantic_extra__"]),
            _optional(encoder, value, state["__pydantic_private__"]),
            cast("JSON", sorted(state["__pydantic_fields_set__"])),
        ]
    }


def decode_pydantic(decoder: Decoder, node: JSON) -> object:
    """What `encode_pydantic` tags."""
    key, fields, extra, private, names = decoder.items(node, 5)
    cls: Any = _class(decoder, key, "pydantic")
    found = decoder.decode_dict(fields)
    _refuse_unknown(cls, found, {**cls.model_fields, **_caches(cls)})
    for name, field in cls.model_fields.items():
        if name not in found:
            if field.is_required():
                _refuse_missing(cls, name)
            found[name] = field.get_default(call_default_factory=True)
    value = cls.__new__(cls)
    value.__setstate__(
        {
            "__dict__": found,
            "__pydantic_extra__": None if extra is None else decoder.decode_dict(extra),
            "__pydantic_private__": None if private is None else decoder.decode_dict(private),
            "__pydantic_fields_set__": {decoder.text(name) for name in decoder.items(names)},
        }
    )
    return cast("object", value)


def encode_namedtuple(encoder: Encoder, value: Any) -> JSON:
    """The fields of a namedtuple by name."""
    cls, key = type(value), _key(encoder, type(value))
    if len(value) != len(cls._fields) or getattr(value, "__dict__", None):
        encoder.refuse(f"this {dotted(cls)} has more or less than its fields")
    return {"$namedtuple": [key, _fields(encoder, value, dict(zip(cls._fields, value, strict=True)))]}


def decode_namedtuple(decoder: Decoder, node: JSON) -> object:
    """What `encode_namedtuple` tags."""
    key, fields = decoder.items(node, 2)
    cls: Any = _class(decoder, key, "namedtuple")
    found = decoder.decode_dict(fields)
    _refuse_unknown(cls, found, dict.fromkeys(cls._fields))
    defaults = getattr(cls, "_field_defaults", {})
    for name in cls._fields:
        if name not in found and name not in defaults:
            _refuse_missing(cls, name)
    return tuple.__new__(cls, [found[name] if name in found else defaults[name] for name in cls._fields])


def encode_enum(encoder: Encoder, value: Any) -> JSON:
    """A member of an enum by name; a combination of flags by value."""
    cls, key = type(value), _key(encoder, type(value))
    if isinstance(value, enum.Flag) and value.name not in cls.__members__:
        return {"$flag": [key, encode_int(encoder, value.value)]}
    return {"$enum": [key, value.name]}


def decode_enum(decoder: Decoder, node: JSON) -> object:
    """What `encode_enum` tags as `$enum`."""
    key, name = decoder.items(node, 2)
    cls = cast("type[enum.Enum]", _class(decoder, key, "enum"))
    if decoder.text(name) not in cls.__members__:
        raise MaterializationError(
            f"the stored value is {dotted(cls)}[{name!r}], which the class has no longer"
        )
    return cls.__members__[cast("str", name)]


def decode_flag(decoder: Decoder, node: JSON) -> object:
    """What `encode_enum` tags as `$flag`."""
    key, number = decoder.items(node, 2)
    cls = cast("type[enum.Enum]", _class(decoder, key, "enum"))
    value = decoder.decode(number)
    if type(value) is not int or not issubclass(cls, enum.Flag):
        decoder.fail("flags and their value", node)
    try:
        return cls(value)
    except ValueError as err:
        raise MaterializationError(
            f"the stored value is {dotted(cls)}({value}), which the class has no longer"
        ) from err


def _key(encoder: Encoder, cls: type) -> str:
    key = encoder.folder.classes.key_of(cls)
    if key is None:
        encoder.refuse(
            f"the class {dotted(cls)} is not registered, so a new process could not make a value of it; write "
            f"`registry.register_class({cls.__name__})` before saving, and in the process that loads"
        )
    own = next(
        (base for base in cls.__mro__[1:-1] if base.__module__ == "builtins" or _is_compiled(base)), None
    )
    if own is not None and kind_of(cls) in ("dataclass", "pydantic"):
        encoder.refuse(
            f"{dotted(cls)} is also a {own.__name__}, whose own content would be lost; make it a field"
        )
    return key


def _is_compiled(cls: type) -> bool:
    """Objects of `cls` are made by compiled code, and hold more than attributes."""
    return type(vars(cls).get("__new__")) is BuiltinFunctionType


def _class(decoder: Decoder, key: JSON, kind: ClassKind) -> type:
    cls = decoder.class_for(decoder.text(key))
    if kind_of(cls) != kind:
        raise MaterializationError(
            f"the stored value is a {kind}, but {dotted(cls)} is not; pass another `as_=`"
        )
    return cls


def _fields(encoder: Encoder, value: object, fields: Mapping[str, object]) -> JSON:
    with encoder.inside(value):
        return {name: encoder.child(item, f".{name}") for name, item in fields.items()}


def _optional(encoder: Encoder, value: object, fields: Mapping[str, object] | None) -> JSON:
    if fields is None:
        return None
    if any(name[:1] == "$" for name in fields):
        encoder.refuse("an extra attribute whose name begins with '$' cannot be stored; rename it")
    return _fields(encoder, value, fields)


def _is_cache(cls: type, name: str) -> bool:
    return isinstance(getattr(cls, name, None), functools.cached_property)


def _caches(cls: type) -> dict[str, object]:
    return {name: None for name in dir(cls) if _is_cache(cls, name)}


def _refuse_unknown(cls: type, found: Mapping[str, object], known: Mapping[str, object]) -> None:
    unknown = sorted(set(found) - set(known))
    if unknown:
        raise MaterializationError(
            f"the stored {dotted(cls)} has the field {unknown[0]!r}, which the class has no longer; add it, or pass a "
            f"class that has it as `as_=`"
        )


def _refuse_missing(cls: type, name: str) -> NoReturn:
    raise MaterializationError(
        f"the stored {dotted(cls)} has no field {name!r}, and the class has no default for it; give it one"
    )


def _default_of(cls: type, field: dataclasses.Field[Any]) -> object:
    if field.default is not dataclasses.MISSING:
        return field.default
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    _refuse_missing(cls, field.name)


BY_KIND: Final[dict[ClassKind, Callable[[Encoder, Any], JSON]]] = {
    "dataclass": encode_dataclass,
    "pydantic": encode_pydantic,
    "namedtuple": encode_namedtuple,
    "enum": encode_enum,
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$dataclass": decode_dataclass,
    "$pydantic": decode_pydantic,
    "$namedtuple": decode_namedtuple,
    "$enum": decode_enum,
    "$flag": decode_flag,
}
