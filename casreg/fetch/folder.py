"""The folder that a materializer loads from: the files of one stored version, read when they are asked for."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from casreg.exceptions import DestinationError, MaterializationError
from casreg.materializers.subfolder import take_part

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from typing_extensions import Buffer

    from casreg.fetch.reader import VersionReader
    from casreg.materializers.base import JSON
    from casreg.materializers.classes import ClassTable
    from casreg.materializers.table import MaterializerTable
    from casreg.model import Entry


class StoredFolder:
    """See `casreg.materializers.base.InFolder`. Closing it removes what was extracted to a temporary folder."""

    def __init__(
        self,
        reader: VersionReader,
        params: Mapping[str, JSON],
        classes: ClassTable,
        table: MaterializerTable,
        *,
        trusted: frozenset[str] = frozenset(),
        allow_pickle: bool = False,
        into: object | None = None,
    ) -> None:
        """No I/O yet."""
        self._reader = reader
        self.params = params
        self.classes = classes
        self.trusted = trusted
        self.allow_pickle = allow_pickle
        self.into = into
        self._table = table
        self._known_paths: tuple[str, ...] | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    @property
    def paths(self) -> Sequence[str]:
        """Paths of all files."""
        if self._known_paths is None:
            self._known_paths = tuple(entry.path for entry in self._reader.entries if not entry.folder)
        return self._known_paths

    def size(self, path: str) -> int:
        """Bytes of the file."""
        return self._entry(path).stream.size

    def read(self, path: str) -> memoryview:
        """The whole file in one new, writable buffer."""
        buffer = memoryview(bytearray(self._entry(path).stream.size))
        self._reader.read_into(path, buffer)
        return buffer

    def read_into(self, path: str, buffer: Buffer) -> None:
        """Read the whole file into `buffer`."""
        size = self._entry(path).stream.size
        view = memoryview(buffer)
        if view.readonly or not view.c_contiguous or view.nbytes != size:
            raise MaterializationError(
                f"{path!r} has {size} bytes, and the buffer is not a writable one of that size"
            )
        if size:
            self._reader.read_into(path, view.cast("B"))

    def extract(self, into: Path, below: str = "") -> None:
        """Write all files and empty folders below `into`, which is made if it is missing; or only those in `below`."""
        make_empty(into)
        if not below:
            self._reader.write_tree(into)
            return
        # Under their own names, beside where they shall be; then up, so that nothing is copied.
        beside = Path(tempfile.mkdtemp(prefix=".casreg-", dir=into))
        try:
            entries = enumerate(self._reader.entries)
            self._reader.write(beside, [at for at, one in entries if one.path.startswith(f"{below}/")])
            found = beside.joinpath(*below.split("/"))
            for item in sorted(found.iterdir()) if found.is_dir() else ():
                item.rename(into / item.name)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def take(self, path: str, stored: JSON) -> object:
        """Load a part, from what is below the folder `path`."""
        return take_part(self, path, stored, self._table)

    def __truediv__(self, path: str) -> Path:
        """The file, extracted to a temporary folder that lives as long as this folder is open."""
        entry = self._entry(path)
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="casreg-load-", ignore_cleanup_errors=True)
        folder = Path(tempfile.mkdtemp(dir=self._temporary.name))
        self._reader.write(folder, [self._reader.entries.index(entry)])
        return folder.joinpath(*path.split("/"))

    def close(self) -> None:
        """Remove the temporary folder, if one was made."""
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def _entry(self, path: str) -> Entry:
        entry = self._reader.find(path)
        if entry is None or entry.folder:
            held = ", ".join(self.paths[:10]) or "none"
            raise MaterializationError(f"the version has no file {path!r}; its files are: {held}")
        return entry


def make_empty(folder: Path) -> None:
    """Make a folder, or see that it is empty.

    Raises:
        DestinationError: It is not a folder, not empty, or cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = next(iter(folder.iterdir()), None)
    except FileExistsError as err:
        raise DestinationError(f"{folder} is not a folder; name an empty or a new one") from err
    except OSError as err:
        raise DestinationError(f"{folder} cannot be loaded into: {err.strerror or err}") from err
    if occupied is not None:
        raise DestinationError(
            f"{folder} is not empty (it holds {occupied.name!r}); name an empty or a new folder"
        )
