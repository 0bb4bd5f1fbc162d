"""The classes that stored values may refer to: a local table, filled by the caller and by entry points.

A stored value names its class by a *key*.  Keys are looked up here and nowhere else: no class is ever
imported because stored data names it.
"""

from __future__ import annotations

import dataclasses
import enum
from importlib.metadata import entry_points
from typing import Final, Literal, TypeAlias

from casreg.exceptions import InvalidArgumentError, UnknownClassError

GROUP: Final = "casreg.classes"
ClassKind: TypeAlias = Literal["dataclass", "enum", "namedtuple", "pydantic"]


def dotted(cls: type) -> str:
    """The dotted name of a class: `module.qualname`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def kind_of(cls: type) -> ClassKind | None:
    """Which kind of value class `cls` is, or None. Imports nothing."""
    if issubclass(cls, enum.Enum):
        return "enum"
    # By name: pydantic need not be installed, let alone imported, for this question.
    if any(dotted(base) == "pydantic.main.BaseModel" for base in cls.__mro__):
        return "pydantic"
    if dataclasses.is_dataclass(cls):
        return "dataclass"
    fields = getattr(cls, "_fields", None)
    if issubclass(cls, tuple) and isinstance(fields, tuple) and all(isinstance(name, str) for name in fields):
        return "namedtuple"
    return None


class ClassTable:
    """Key to class, and class to key. Many threads may use one table."""

    def __init__(self) -> None:
        self._by_key: dict[str, type] = {}
        self._keys: dict[type, str] = {}

    def register(self, cls: type, key: str | None = None) -> None:
        """Let values of `cls` be saved and loaded; they are stored under `key` (default: `module.qualname`).

        Registering again is fine, also for a class that was defined anew under the same name, as notebooks do.

        Raises:
            InvalidArgumentError: `cls` is not a dataclass, pydantic model, enum or namedtuple, or the key belongs
                to a class of another name.
        """
        if not isinstance(cls, type) or kind_of(cls) is None:  # type: ignore[redundant-expr] # users err
            raise InvalidArgumentError(
                f"{cls!r} is not a dataclass, pydantic model, enum or namedtuple; write a materializer for it and "
                f"call registry.register_materializer(...)"
            )
        if key is not None and (not key or not isinstance(key, str)):
            raise InvalidArgumentError(f"the key of a class must be a non-empty string, not {key!r}")
        key = dotted(cls) if key is None else key
        holder = self._by_key.get(key)
        if holder is not None and holder is not cls and dotted(holder) != dotted(cls):
            raise InvalidArgumentError(
                f"the key {key!r} belongs to {dotted(holder)}; give {dotted(cls)} another one"
            )
        self._by_key[key] = cls
        self._keys[cls] = key

    def key_of(self, cls: type) -> str | None:
        """The key under which values of exactly `cls` are stored, or None if it is not registered."""
        key = self._keys.get(cls)
        if key is None:
            written = f"{cls.__module__}:{cls.__qualname__}"
            for point in entry_points(group=GROUP):
                if point.value.replace(" ", "") == written:
                    self.register(cls, point.name)
                    return point.name
        return key

    def class_for(self, key: str) -> type:
        """The class that is registered here under `key`.

        Raises:
            UnknownClassError: None is; the message has the line to write.
        """
        cls = self._by_key.get(key)
        if cls is None:
            for point in entry_points(group=GROUP, name=key):
                loaded = point.load()
                self.register(loaded, key)
                return self._by_key[key]
            name = key.rpartition(".")[2]
            line = f"registry.register_class({name})"
            raise UnknownClassError(
                f"the stored value is of class {key!r}, which is not registered in this process; import it and write "
                f"`{line}`, or `registry.register_class({name}, key={key!r})` if it has moved, or load it `as_={name}`"
            )
        return cls
