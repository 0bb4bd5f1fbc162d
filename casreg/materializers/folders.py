"""The folder in memory that a materializer saves into, and what it holds when the materializer is done."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeAlias

from casreg import canonical
from casreg.exceptions import (
    MaterializationError,
    NoMaterializerError,
    SourceNotFoundError,
    UnsupportedSourceError,
)
from casreg.materializers.builtin import BUILTIN, PATH_FILE, PATH_FOLDER, TORCH_MODULE
from casreg.materializers.classes import ClassTable, dotted
from casreg.materializers.dispatch import materializer_for, save_object
from casreg.materializers.subfolder import MAX_NESTED
from casreg.materializers.table import MaterializerTable
from casreg.paths import check_path

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from typing_extensions import Buffer

    from casreg.materializers.base import JSON


@dataclass(frozen=True, slots=True)
class MemoryFile:
    """A file whose bytes are in memory: the concatenation of `buffers`.

    Attributes:
        path: Relative, `/` between parts.
        buffers: Contiguous; unchanged until the save has returned.
        size: Bytes of all of them.
    """

    path: str
    buffers: tuple[Buffer, ...]
    size: int


@dataclass(frozen=True, slots=True)
class DiskFile:
    """A regular file on disk.

    Attributes:
        path: Relative, `/` between parts.
        source: Where it is.
        executable: Its owner may execute it (always False on Windows, which has no such bit).
        stat: What the file system said when the file was added; it may have changed since.
    """

    path: str
    source: str
    executable: bool
    stat: os.stat_result


@dataclass(frozen=True, slots=True)
class EmptyFolder:
    """A folder with nothing in it."""

    path: str


Entry: TypeAlias = MemoryFile | DiskFile | EmptyFolder


def check_own_path(path: str) -> str:
    """Give `path`, which a materializer chose, back if a stored file can have it.

    Raises:
        MaterializationError: It cannot (see `casreg.paths`).
    """
    try:
        return check_path(path)
    except ValueError as err:
        raise MaterializationError(f"a materializer chose a path that cannot be stored: {err}") from err


class Outgoing:
    """An `OutFolder` that only collects: nothing is read or copied until the engine consumes `entries()`.

    Use it as a context manager, or call `close`: both remove the temporary folder, if one was made.
    """

    def __init__(
        self,
        *,
        table: MaterializerTable | None = None,
        classes: ClassTable | None = None,
        trusted: frozenset[str] = frozenset(),
        allow_pickle: bool = False,
        depth: int = 0,
    ) -> None:
        """`depth` says in how many objects the one that is saved here is nested."""
        self.params: dict[str, JSON] = {}
        self.table = MaterializerTable(BUILTIN) if table is None else table
        self.classes = ClassTable() if classes is None else classes
        self.trusted = trusted
        self.allow_pickle = allow_pickle
        self._entries: dict[str, Entry] = {}
        self._parts: list[Outgoing] = []
        self._depth = depth
        self._temporary: tempfile.TemporaryDirectory[str] | None = None

    def add(self, path: str, *buffers: Buffer) -> None:
        """See `OutFolder.add`."""
        size = 0
        for buffer in buffers:
            view = memoryview(buffer)
            if not view.c_contiguous:
                raise MaterializationError(f"a buffer of the file {path!r} is not contiguous; copy it first")
            size += view.nbytes
        _place(self._entries, MemoryFile(check_own_path(path), buffers, size))

    def add_file(self, path: str, source: Path) -> None:
        """See `OutFolder.add_file`. A symbolic link is followed: the caller named it."""
        _place(self._entries, _disk_file(check_own_path(path), os.fspath(source), _stat(os.fspath(source))))

    def add_tree(self, source: Path) -> None:
        """See `OutFolder.add_tree`. Symbolic links inside are refused; `source` itself may be one."""
        if not stat.S_ISDIR(_stat(os.fspath(source)).st_mode):
            raise UnsupportedSourceError(f"{source} is not a folder")
        for entry in _walk(os.fspath(source), ""):
            _place(self._entries, entry)

    def put(self, path: str, obj: object) -> JSON:
        """See `OutFolder.put`."""
        if self._depth >= MAX_NESTED:
            raise NoMaterializerError(
                f"objects are nested deeper than {MAX_NESTED} levels here; one of them may hold itself: break the "
                "cycle, or save the parts under names of their own"
            )
        # Not pickled, even if that is allowed: then the whole value is, which keeps what its parts share.
        chosen = materializer_for(obj, self.table, self.classes, self.trusted, allow_pickle=False)
        if chosen.id in (PATH_FILE, PATH_FOLDER):
            raise NoMaterializerError(
                f"{obj!r} is a path, which cannot be a part of another object; put what is there into the folder with "
                "`add_file` or `add_tree`"
            )
        if chosen.id == TORCH_MODULE:
            raise NoMaterializerError(
                f"a {dotted(type(obj))} can only be loaded `into=` a module, which a part of another object cannot be; "
                "save its `state_dict()` in there, or the module under a name of its own"
            )
        part = Outgoing(
            table=self.table,
            classes=self.classes,
            trusted=self.trusted,
            allow_pickle=self.allow_pickle,
            depth=self._depth + 1,
        )
        self._parts.append(part)  # whose temporary folder stays until this one is closed
        save_object(chosen, obj, part)
        canonical.dump(part.params, f"the parameters of {dotted(type(obj))}")
        for entry in part.entries():
            _place(self._entries, replace(entry, path=check_own_path(f"{path}/{entry.path}")))
        return [chosen.id, part.params]

    def __truediv__(self, path: str) -> Path:
        """See `OutFolder.__truediv__`."""
        check_own_path(path)
        if self._temporary is None:
            # The system's temporary folder: what stands there is read once, at the end of this save.
            self._temporary = tempfile.TemporaryDirectory(prefix="casreg-save-", ignore_cleanup_errors=True)
        place = Path(self._temporary.name, *path.split("/"))
        place.parent.mkdir(parents=True, exist_ok=True)
        return place

    def entries(self) -> tuple[Entry, ...]:
        """Everything that was added, sorted by the UTF-8 bytes of the paths.

        Raises:
            MaterializationError: Two entries have one path, or a file's path is also a folder's.
            UnsupportedSourceError: The temporary folder holds something that cannot be stored.
        """
        found = dict(self._entries)
        if self._temporary is not None:
            for entry in _walk(self._temporary.name, ""):
                _place(found, entry)
        for path in found:
            for end in (at for at, sign in enumerate(path) if sign == "/"):
                if path[:end] in found:
                    raise MaterializationError(
                        f"{path[:end]!r} is a file or an empty folder, but {path!r} is in it"
                    )
        return tuple(found[path] for path in sorted(found, key=str.encode))

    def close(self) -> None:
        """Remove the temporary folder. `DiskFile` entries from it are gone then."""
        for part in self._parts:
            part.close()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _place(entries: dict[str, Entry], entry: Entry) -> None:
    if entry.path in entries:
        raise MaterializationError(
            f"two files were added with the path {entry.path!r}; give one another path"
        )
    entries[entry.path] = entry


def _stat(source: str, *, follow: bool = True) -> os.stat_result:
    try:
        return os.stat(source, follow_symlinks=follow)
    except (FileNotFoundError, NotADirectoryError) as err:
        raise SourceNotFoundError(f"there is nothing at {source}") from err
    except (OSError, ValueError) as err:  # ValueError: a NUL in the name
        raise UnsupportedSourceError(f"{source} cannot be read: {err}") from err


def _disk_file(path: str, source: str, found: os.stat_result) -> DiskFile:
    if not stat.S_ISREG(found.st_mode):
        raise UnsupportedSourceError(
            f"{source} is {_kind(found.st_mode)}; only regular files and folders can be saved"
        )
    # Windows makes the bit up from the file's extension, which would give one file two identities.
    executable = os.name != "nt" and bool(found.st_mode & stat.S_IXUSR)
    return DiskFile(path, source, executable, found)


def _kind(mode: int) -> str:
    names = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISFIFO, "a pipe"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
    )
    return next((name for test, name in names if test(mode)), "not a regular file")


def _walk(folder: str, prefix: str) -> Iterator[Entry]:
    """Every file below `folder`, and every folder there that is empty; `prefix` is the stored path of `folder`."""
    pending = [(folder, prefix)]
    while pending:
        place, inside = pending.pop()
        try:
            found = sorted(os.scandir(place), key=lambda item: item.name)
        except OSError as err:
            raise UnsupportedSourceError(f"the folder {place} cannot be read: {err}") from err
        if not found and inside:
            yield EmptyFolder(inside.rstrip("/"))
        for item in found:
            path = inside + item.name
            try:
                check_path(path)
            except ValueError as err:
                raise UnsupportedSourceError(f"{item.path!r} cannot be saved: {err}") from err
            if item.is_symlink():
                raise UnsupportedSourceError(
                    f"{item.path} is a symbolic link, which a version cannot hold; save a copy of the folder with the "
                    f"links replaced by what they point to (`shutil.copytree(source, copy)` makes one)"
                )
            if item.is_dir(follow_symlinks=False):
                pending.append((item.path, path + "/"))
            else:
                # Not DirEntry.stat: on Windows it has neither inode nor device. And no link is followed that has taken
                # the file's place meanwhile: it could lead out of the folder.
                yield _disk_file(path, item.path, _stat(item.path, follow=False))
