"""A file on disk, by its `Path`: streamed in and out, with its name and executable bit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from casreg.exceptions import MaterializationError, NoMaterializerError, UnsupportedSourceError
from casreg.materializers.path_folder import destination
from casreg.paths import check_path

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder


class PathFile:
    """The file that a `Path` names, under its own name. `load` gives the path of the extracted file.

    A symbolic link is followed: the bytes are saved, under the name of the link.
    """

    id: ClassVar[str] = "path.file/1"
    types: tuple[type | str, ...] = (Path,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`.

        Raises:
            SourceNotFoundError: There is no such file.
            UnsupportedSourceError: It is not a regular file, or its name cannot be stored.
        """
        if not isinstance(obj, Path):
            raise NoMaterializerError(f"{obj!r} is not a pathlib.Path")
        try:
            check_path(obj.name)
        except ValueError as err:
            raise UnsupportedSourceError(f"{obj} cannot be saved: {err}") from err
        folder.add_file(obj.name, obj)

    def load(self, folder: InFolder, cls: type | None) -> Path:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        if len(folder.paths) != 1 or "/" in folder.paths[0]:
            raise MaterializationError(f"the version should be one file, but holds {list(folder.paths)[:5]}")
        into = destination(folder)
        folder.extract(into)
        return into / folder.paths[0]
