"""An `InFolder` in memory, for tests of materializers."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from casreg.exceptions import DestinationError, MaterializationError
from casreg.materializers.builtin import BUILTIN
from casreg.materializers.classes import ClassTable
from casreg.materializers.folders import DiskFile, MemoryFile, Outgoing
from casreg.materializers.subfolder import take_part
from casreg.materializers.table import MaterializerTable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from typing_extensions import Buffer

    from casreg.materializers.base import JSON


class MemoryInFolder:
    """Files given as bytes, read as the engine would give them. See `casreg.materializers.base.InFolder`."""

    def __init__(
        self,
        files: Mapping[str, bytes],
        params: Mapping[str, JSON] | None = None,
        *,
        executable: Iterable[str] = (),
        empty_folders: Iterable[str] = (),
        allow_pickle: bool = False,
        trusted: frozenset[str] = frozenset(),
        classes: ClassTable | None = None,
        table: MaterializerTable | None = None,
        into: Path | None = None,
    ) -> None:
        self.files = dict(files)
        self.paths = sorted(files, key=str.encode)
        self.params: Mapping[str, JSON] = dict(params or {})
        self.executable = frozenset(executable)
        self.empty_folders = tuple(empty_folders)
        self.allow_pickle = allow_pickle
        self.trusted = trusted
        self.classes = ClassTable() if classes is None else classes
        self.table = MaterializerTable(BUILTIN) if table is None else table
        self.into = into

    def size(self, path: str) -> int:
        """See `InFolder.size`."""
        return len(self._file(path))

    def read(self, path: str) -> memoryview:
        """See `InFolder.read`."""
        return memoryview(bytearray(self._file(path)))

    def read_into(self, path: str, buffer: Buffer) -> None:
        """See `InFolder.read_into`."""
        view = memoryview(buffer).cast("B")
        if view.nbytes != self.size(path):
            raise MaterializationError(
                f"the buffer has {view.nbytes} bytes, the file {path!r} has {self.size(path)}"
            )
        view[:] = self._file(path)

    def extract(self, into: Path, below: str = "") -> None:
        """See `InFolder.extract`."""
        if into.exists() and any(into.iterdir()):
            raise DestinationError(f"{into} is not empty")
        into.mkdir(parents=True, exist_ok=True)
        prefix = f"{below}/" if below else ""
        for path in self.paths:
            if path.startswith(prefix):
                self._write(into, path, path[len(prefix) :])
        for path in self.empty_folders:
            if path.startswith(prefix):
                (into / path[len(prefix) :]).mkdir(parents=True)

    def take(self, path: str, stored: JSON) -> object:
        """See `InFolder.take`."""
        return take_part(self, path, stored, self.table)

    def __truediv__(self, path: str) -> Path:
        """See `InFolder.__truediv__`. The file goes with this object."""
        self._file(path)
        folder = Path(tempfile.mkdtemp(prefix="casreg-test-"))
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return self._write(folder, path, path)

    def _file(self, path: str) -> bytes:
        if path not in self.files:
            raise MaterializationError(f"the version has no file {path!r}")
        return self.files[path]

    def _write(self, into: Path, path: str, name: str) -> Path:
        place = into / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(self.files[path])
        if path in self.executable:
            place.chmod(0o755)
        return place


def stored(
    folder: Outgoing,
    *,
    into: Path | None = None,
    classes: ClassTable | None = None,
    table: MaterializerTable | None = None,
    trusted: frozenset[str] | None = None,
    allow_pickle: bool | None = None,
) -> MemoryInFolder:
    """What `folder` collected, as the engine would give it back; by default with the same arguments as the save."""
    files: dict[str, bytes] = {}
    executable, empty = [], []
    for entry in folder.entries():
        if isinstance(entry, MemoryFile):
            files[entry.path] = b"".join(bytes(memoryview(buffer).cast("B")) for buffer in entry.buffers)
        elif isinstance(entry, DiskFile):
            files[entry.path] = Path(entry.source).read_bytes()
            executable += [entry.path] if entry.executable else []
        else:
            empty.append(entry.path)
    return MemoryInFolder(
        files,
        folder.params,
        executable=executable,
        empty_folders=empty,
        into=into,
        classes=folder.classes if classes is None else classes,
        table=folder.table if table is None else table,
        trusted=folder.trusted if trusted is None else trusted,
        allow_pickle=folder.allow_pickle if allow_pickle is None else allow_pickle,
    )
