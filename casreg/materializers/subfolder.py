"""The part of a version that one nested object has: its files, under their own names."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from casreg.exceptions import MaterializationError
from casreg.materializers.dispatch import load_object

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from casreg.materializers.base import JSON, InFolder
    from casreg.materializers.classes import ClassTable
    from casreg.materializers.table import MaterializerTable

MAX_NESTED: Final = 16
"""Objects inside objects, each saved by a materializer: deeper is taken for an object that holds itself."""


def paths_below(paths: Sequence[str], folder: str) -> Sequence[str]:
    """Those of `paths`, which are sorted by their UTF-8 bytes, that are in `folder` or deeper."""
    first = bisect_left(paths, f"{folder}/".encode(), key=str.encode)
    return paths[first : bisect_left(paths, f"{folder}0".encode(), first, key=str.encode)]  # 0 comes after /


def take_part(
    folder: InFolder, path: str, stored: JSON, table: MaterializerTable, *, depth: int = 0
) -> object:
    """Load what `OutFolder.put` saved; see `InFolder.take`. `depth` is how deep `folder` itself is nested."""
    if (
        type(stored) is not list
        or len(stored) != 2
        or type(stored[0]) is not str
        or type(stored[1]) is not dict
    ):
        raise MaterializationError(
            f"the part {path!r} should be named by the id of its materializer and its parameters, not by "
            f"{stored!r:.80}"
        )
    if depth >= MAX_NESTED:
        raise MaterializationError(f"the stored parts are nested deeper than {MAX_NESTED} levels")
    return load_object(table.for_id(stored[0]), Subfolder(folder, path, stored[1], table, depth + 1))


class Subfolder:
    """See `casreg.materializers.base.InFolder`: what is below one folder of another one."""

    def __init__(
        self,
        parent: InFolder,
        path: str,
        params: Mapping[str, JSON],
        table: MaterializerTable,
        depth: int,
    ) -> None:
        """No I/O."""
        self._parent = parent
        self._path = path
        self._table = table
        self._depth = depth
        self.params = params
        self.into: object | None = None

    @property
    def paths(self) -> Sequence[str]:
        """Paths of all files, as they are called in here."""
        start = len(self._path) + 1
        return [path[start:] for path in paths_below(self._parent.paths, self._path)]

    @property
    def allow_pickle(self) -> bool:
        """As the caller says of the whole version."""
        return self._parent.allow_pickle

    @property
    def trusted(self) -> frozenset[str]:
        """As the caller says of the whole version."""
        return self._parent.trusted

    @property
    def classes(self) -> ClassTable:
        """Those of the whole version."""
        return self._parent.classes

    def size(self, path: str) -> int:
        """See `InFolder.size`."""
        return self._parent.size(self._at(path))

    def read(self, path: str) -> memoryview:
        """See `InFolder.read`."""
        return self._parent.read(self._at(path))

    def read_into(self, path: str, buffer: Buffer) -> None:
        """See `InFolder.read_into`."""
        self._parent.read_into(self._at(path), buffer)

    def extract(self, into: Path, below: str = "") -> None:
        """See `InFolder.extract`."""
        self._parent.extract(into, self._at(below) if below else self._path)

    def take(self, path: str, stored: JSON) -> object:
        """See `InFolder.take`."""
        return take_part(self, path, stored, self._table, depth=self._depth)

    def __truediv__(self, path: str) -> Path:
        """See `InFolder.__truediv__`."""
        return self._parent / self._at(path)

    def _at(self, path: str) -> str:
        return f"{self._path}/{path}"
