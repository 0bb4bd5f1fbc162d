"""From values to JSON."""

from __future__ import annotations

import contextlib
import json
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias

from casreg.exceptions import InvalidMetadataError, MaterializerError, NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.dispatch import no_data, or_trusted
from casreg.materializers.numpy_array import add_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casreg.materializers.base import JSON, OutFolder
    from casreg.materializers.npy import Array

Encode: TypeAlias = "Callable[[Encoder, Any], JSON]"
FindEncoder: TypeAlias = "Callable[[type, Encoder], Encode]"

MAX_DEPTH: Final = 64
"""Levels of nesting that are accepted: every level costs the reader's interpreter a few frames of its stack."""
_PLAIN: Final = (dict, list, tuple, set, frozenset, str, bytes, bytearray, int, float, complex)
"""What a value of a subclass may be turned into, so that it can be saved."""


class Encoder:
    """Encodes the parts of one value, and knows where in it it is.

    Attributes:
        folder: Where arrays and long byte strings go.
    """

    def __init__(self, folder: OutFolder, find: FindEncoder) -> None:
        """`find` gives the function that encodes values of exactly some class, or raises."""
        self.folder = folder
        self._find = find
        self._where: list[str] = []
        self._open: set[int] = set()
        self._found: tuple[dict[type, Encode], dict[type, Encode]] = ({}, {})
        self._objects = 0
        self._shared: dict[object, int] = {}
        self._kept: list[object] = []
        self._files = 0
        self._fileless: str | None = None

    def encode(self, value: object) -> JSON:
        """The JSON of one value.

        Raises:
            NoMaterializerError: It could not be loaded again; says where it is and what to write.
            UntrustedError: It has a type that the caller would have to trust.
        """
        kind = type(value)
        found = self._found[self._objects > 0]
        encoder = found.get(kind)
        if encoder is None:
            encoder = found[kind] = self._find(kind, self)
        return encoder(self, value)

    def child(self, value: object, step: str) -> JSON:
        """The JSON of a value inside the one that is being encoded; `step` is how one gets there, as `[3]`."""
        self._where.append(step)
        encoded = self.encode(value)
        self._where.pop()
        return encoded

    @contextlib.contextmanager
    def inside(self, container: object) -> Iterator[None]:
        """Encode the parts of `container` in here, once: a value that holds itself has no end.

        Raises:
            NoMaterializerError: We are inside `container` already, or too deep.
        """
        if id(container) in self._open:
            self.refuse("a value that contains itself cannot be saved as a tree; break the cycle")
        if len(self._open) >= MAX_DEPTH:
            self.refuse(
                f"the value is nested deeper than {MAX_DEPTH} levels; save its parts, or allow pickle"
            )
        self._open.add(id(container))
        yield
        self._open.discard(id(container))

    @property
    def in_object(self) -> bool:
        """We are among the attributes of an object, where more kinds of values are known."""
        return self._objects > 0

    @contextlib.contextmanager
    def inside_object(self, value: object) -> Iterator[None]:
        """Encode the attributes of `value` in here."""
        self._objects += 1
        with self.inside(value):
            yield
        self._objects -= 1

    def seen(self, value: object, key: object = None) -> int | None:
        """The number of an object or array that stands in the value already; None, and a number, for a new one.

        What is shared in memory is stored once, and shared again when it is loaded. Both sides number in the
        order in which they meet the values. `key` is what makes two the same (default: they are one).
        """
        if self._fileless is not None:
            self.refuse(
                f"objects and arrays inside {self._fileless} have no stable order; use a list or a dict"
            )
        if id(value) in self._open:
            self.refuse("a value that contains itself cannot be saved as a tree; break the cycle")
        key = id(value) if key is None else key
        known = self._shared.get(key)
        if known is None:
            self._shared[key] = len(self._kept)
            self._kept.append(value)  # alive, so that its address stays its own
        return known

    @contextlib.contextmanager
    def unordered(self, name: str) -> Iterator[None]:
        """Encode parts that have no order of their own: they must need no files, which are numbered in order."""
        before, self._fileless = self._fileless, name
        yield
        self._fileless = before

    def encode_large(self, array: Array) -> JSON:
        """An array in a .npy file of its own, or the number of the same memory that has one."""
        memory = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)
        # An empty array has no memory: its address says nothing, and may be that of another one.
        same = self.seen(array, memory if array.size else None)
        if same is not None:
            return {"$same": same}
        return {"$array": self.add_array(array)}

    def add_array(self, array: Array) -> str:
        """Put an array into a .npy file of its own; gives the path."""
        path = self.next_path(".npy")
        with self.located():
            add_array(self.folder, path, array)
        return path

    def add_bytes(self, data: bytes | bytearray) -> str:
        """Put bytes into a file of their own; gives the path."""
        path = self.next_path(".bin")
        self.folder.add(path, data)
        return path

    def next_path(self, extension: str = "") -> str:
        """The path of the next file or folder beside the JSON.

        Raises:
            NoMaterializerError: We are in a set, where nothing has a place that is the same in every process.
        """
        if self._fileless is not None:
            self.refuse(
                f"arrays and long bytes inside {self._fileless} have no stable order; use a list or a dict"
            )
        path = f"parts/{self._files}{extension}"
        self._files += 1
        return path

    def where(self) -> str:
        """Where in the value we are: `value['a'][3]`."""
        return "value" + "".join(self._where)

    @contextlib.contextmanager
    def located(self) -> Iterator[None]:
        """What others refuse in here is refused with the place in the value."""
        try:
            yield
        except (MaterializerError, InvalidMetadataError) as err:
            raise type(err)(f"{self.where()}: {err}") from err

    def refuse(self, why: str) -> NoReturn:
        """Raise `NoMaterializerError` for the value at this place."""
        raise NoMaterializerError(f"{self.where()}: {why}")

    def refuse_class(self, cls: type) -> NoReturn:
        """Raise `NoMaterializerError` for a value of an unknown class at this place."""
        name = dotted(cls)
        if issubclass(cls, PurePath):
            self.refuse(
                "a path in a container: save `str(path)` if its name is meant, or the Path alone for what is there"
            )
        base = next((one for one in cls.__mro__[1:-1] if one in _PLAIN), None)
        reason = no_data(cls)
        if reason is not None:
            self.refuse(reason)
        if base is not None:
            self.refuse(
                f"a {name} would come back as a plain {base.__name__}; `{base.__name__}(it)` says that is meant"
            )
        self.refuse(
            f"nothing knows how to save a {name}; write a materializer for it and "
            f"`registry.register_materializer({name!r}, 'my_module.MyMaterializer')`, "
            f"{or_trusted(cls)}or `allow_pickle=True`"
        )


def sort_key(encoded: JSON) -> str:
    """A total order of encoded values that depends on nothing but them."""
    return json.dumps(encoded, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
