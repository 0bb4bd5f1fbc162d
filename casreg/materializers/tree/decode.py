"""From JSON to values."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from casreg.exceptions import MaterializationError
from casreg.materializers.numpy_array import is_array, read_array
from casreg.materializers.subfolder import paths_below

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from casreg.materializers.base import JSON, InFolder
    from casreg.materializers.npy import Array

Decode: TypeAlias = "Callable[[Decoder, JSON], object]"
FindDecoder: TypeAlias = "Callable[[str], Decode]"

_UNFINISHED: Final = object()
_PART: Final = re.compile(r"parts/(0|[1-9][0-9]{0,9})")


class Decoder:
    """Decodes the parts of one stored value.

    Every file beside the JSON is referred to exactly once: no stored text can make more of the data than there is.

    Attributes:
        folder: Where arrays and long byte strings are.
    """

    def __init__(
        self, folder: InFolder, others: Collection[str], root: type | None, find: FindDecoder
    ) -> None:
        """`root` is the class of the outermost registered value; `find` gives the function for a tag, or raises.

        `others` are the files that nothing in the tree refers to, the JSON itself among them.
        """
        self.folder = folder
        self._find = find
        self._root = root
        self._shared: list[object] = []
        self._said: set[str] = set()
        self._unread = set(folder.paths) - set(others)
        self._taken: set[str] = set()

    def decode(self, node: JSON) -> object:
        """The value of one JSON node.

        Raises:
            MaterializationError: It is not what the encoder writes.
            UnknownClassError: It needs a class that is not registered.
            UntrustedError: It needs a type that the caller would have to trust.
        """
        if type(node) is dict:
            if len(node) == 1:
                ((tag, payload),) = node.items()
                if tag[:1] == "$":
                    return self._find(tag)(self, payload)
            return self.decode_dict(node)
        if type(node) is list:
            return self.decode_list(node)
        return node

    def decode_list(self, node: JSON) -> list[object]:
        """The values of a JSON array, in a list of their own."""
        items = self.items(node)
        if not {dict, list} & set(map(type, items)):
            return list(items)
        return [self.decode(item) for item in items]

    def decode_dict(self, node: JSON) -> dict[str, object]:
        """The values of a JSON object without tags."""
        if type(node) is not dict:
            self.fail("an object", node)
        if any(key[:1] == "$" for key in node):
            self.fail("an object without tags among its keys", list(node))
        return {key: self.decode(item) if type(item) in (dict, list) else item for key, item in node.items()}

    def items(self, node: JSON, count: int | None = None) -> list[JSON]:
        """The nodes of a JSON array, of exactly `count` of them if that is given."""
        if type(node) is not list or (count is not None and len(node) != count):
            self.fail("an array" if count is None else f"an array of {count}", node)
        return node

    def text(self, node: JSON) -> str:
        """A string that stands as itself."""
        if type(node) is not str:
            self.fail("a string", node)
        return node

    def read_array(self, node: JSON) -> Array:
        """The array in the file that `node` names."""
        return read_array(self.folder, self._file(node))

    def array(self, node: JSON) -> Array:
        """The array that `Encoder.encode_large` gives."""
        value = self.decode(node)
        if not is_array(value):
            self.fail("an array", node)
        return value

    def begin_shared(self) -> int:
        """The number of an object or array that begins here."""
        self._shared.append(_UNFINISHED)
        return len(self._shared) - 1

    def end_shared(self, at: int, value: object) -> None:
        """Number `at` is `value`."""
        self._shared[at] = value

    def shared(self, node: JSON) -> object:
        """The object or array with that number."""
        if type(node) is not int or not 0 <= node < len(self._shared) or self._shared[node] is _UNFINISHED:
            self.fail("the number of an object that came before", node)
        return self._shared[node]

    def once(self, what: str) -> bool:
        """True the first time it is asked about `what`: for warnings."""
        first = what not in self._said
        self._said.add(what)
        return first

    def read_bytes(self, node: JSON) -> memoryview:
        """The bytes of the file that `node` names."""
        return self.folder.read(self._file(node))

    def take(self, path: JSON, stored: JSON) -> object:
        """The object that `OutFolder.put` saved in the folder `path`, taken once."""
        folder = self.text(path)
        # Folders of this form are never inside each other, so that no file belongs to two.
        if not _PART.fullmatch(folder) or folder in self._taken:
            self.fail("a folder of its own, referred to once", folder)
        self._taken.add(folder)
        self._unread.difference_update(paths_below(self.folder.paths, folder))
        return self.folder.take(folder, stored)

    def class_for(self, key: str) -> type:
        """The class that is registered under `key`; for the first value that asks, the outermost, the caller's.

        Raises:
            UnknownClassError: None is.
        """
        root, self._root = self._root, None
        return self.folder.classes.class_for(key) if root is None else root

    def fail(self, wanted: str, found: object) -> NoReturn:
        """Raise `MaterializationError`: what stands there is not what must."""
        raise MaterializationError(f"the stored tree should have {wanted}, but has {repr(found)[:80]}")

    def finish(self) -> None:
        """See that nothing is left over."""
        if self._unread:
            raise MaterializationError(
                f"the stored tree does not refer to the files {sorted(self._unread)[:5]}"
            )

    def _file(self, node: JSON) -> str:
        path = self.text(node)
        if path not in self._unread:
            self.fail("a file of its own, referred to once", path)
        self._unread.discard(path)
        return path
