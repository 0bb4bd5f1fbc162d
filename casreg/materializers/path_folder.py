"""A folder on disk, by its `Path`: all that is below it, streamed in and out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from casreg.exceptions import MaterializationError, NoMaterializerError

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder


class PathFolder:
    """The tree below the folder that a `Path` names: names, empty folders, executable bits, not the folder's own name.

    `load` gives the path of the folder that the tree was extracted to.  Symbolic links inside are refused (they
    may point to anywhere, and mean something else on another machine); the folder itself may be one.
    """

    id: ClassVar[str] = "path.folder/1"
    types: tuple[type | str, ...] = (Path,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`.

        Raises:
            SourceNotFoundError: There is no such folder.
            UnsupportedSourceError: It is not a folder, or holds something that cannot be stored.
        """
        if not isinstance(obj, Path):
            raise NoMaterializerError(f"{obj!r} is not a pathlib.Path")
        folder.add_tree(obj)

    def load(self, folder: InFolder, cls: type | None) -> Path:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        into = destination(folder)
        folder.extract(into)
        return into


def destination(folder: InFolder) -> Path:
    """Where the caller wants the tree.

    Raises:
        MaterializationError: The caller has not said where.
    """
    if not isinstance(folder.into, Path):
        raise MaterializationError("a stored path needs a folder to be extracted to; pass `into=`")
    return folder.into
