"""One file of a version as a stream, and which files there are."""

from __future__ import annotations

import io
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from casreg.display import first_of
from casreg.exceptions import CorruptError, InvalidArgumentError, ObjectChangedError, ObjectNotFoundError
from casreg.fetch.stream import FileStream
from casreg.repository.finding import manifest_of, settled
from casreg.versions import Exact

if TYPE_CHECKING:
    from casreg.exceptions import NotFound
    from casreg.fetch import VersionReader
    from casreg.model import Manifest
    from casreg.refs import Entry
    from casreg.repository.repository import Repository
    from casreg.versions import Selector, Version

_BUFFER: Final = 128 * 1024
_NAMED: Final = 10


def open_file(
    repository: Repository, name: str, selector: Selector, path: str | PurePath | None
) -> io.BufferedReader:
    """A stream of one file of a version.

    Raises:
        ObjectNotFoundError: There is no such version, or it has no such file.
        InvalidArgumentError: No path was given, and there are several files.
        CorruptError, UnsupportedFormatError: The manifest or the tree is damaged, or needs a newer casreg.
        StorageError: The storage cannot be read.
    """

    def use(version: Version, _entry: Entry, manifest: Manifest) -> io.BufferedReader:
        reader = repository.browsed(manifest)
        chosen = _chosen(reader, f"{name}@{version}", path)
        if manifest.placement.inline:
            data = bytearray(reader.located(chosen)[0].stream.size)
            reader.read_into(chosen, memoryview(data))
            return io.BufferedReader(io.BytesIO(data))
        moved = Moved(repository, name, version)
        return io.BufferedReader(FileStream(repository.copies, manifest, reader, chosen, moved), _BUFFER)

    return settled(repository, name, selector, use)


def list_files(repository: Repository, name: str, selector: Selector) -> list[dict[str, Any]]:
    """The files of a version, sorted by path: `path`, `size` in bytes, `executable`.

    Raises:
        ObjectNotFoundError: There is no such version.
        CorruptError, UnsupportedFormatError: The manifest or the tree is damaged, or needs a newer casreg.
        StorageError: The storage cannot be read.
    """

    def use(_version: Version, _entry: Entry, manifest: Manifest) -> list[dict[str, Any]]:
        return [
            {"path": entry.path, "size": entry.stream.size, "executable": entry.executable}
            for entry in repository.browsed(manifest).entries
            if not entry.folder
        ]

    return settled(repository, name, selector, use)


def _chosen(reader: VersionReader, label: str, path: str | PurePath | None) -> str:
    """The path of the file that is meant."""
    if path is None:
        files = [entry.path for entry in reader.entries if not entry.folder]
        if len(files) == 1:
            return files[0]
        if files:
            raise InvalidArgumentError(f"say which file of {label} to open: {_shown(files)}")
        raise ObjectNotFoundError(f"{label} has no files")
    path = path.as_posix() if isinstance(path, PurePath) else path
    if not isinstance(path, str):
        raise InvalidArgumentError(f"path={path!r:.80} is not the path of a file in {label}, a str")
    entry = reader.find(path)
    if entry is None or entry.folder:
        files = [entry.path for entry in reader.entries if not entry.folder]
        what = "an empty folder" if entry else "not there"
        raise ObjectNotFoundError(f"{path!r} is {what} in {label}; its files are: {_shown(files) or 'none'}")
    return path


def _shown(files: list[str]) -> str:
    hint = " (`files()` lists them)" if len(files) > _NAMED else ""
    return first_of([repr(path) for path in files], _NAMED) + hint


class Moved:
    """Where the bytes of a version are now, for streams whose pack is gone (`protocol.md`, "Readers")."""

    def __init__(self, repository: Repository, name: str, version: Version) -> None:
        self._repository = repository
        self._name = name
        self._version = version

    def __call__(self, before: Manifest, missing: NotFound) -> Manifest:
        """The manifest of the same data as it is now.

        Raises:
            ObjectChangedError: The version has other data now, or was deleted.
            CorruptError: It should still be where it is not.
        """
        label = f"{self._name}@{self._version}"
        try:
            _, entry, manifest = manifest_of(self._repository, self._name, Exact(self._version))
        except ObjectNotFoundError as err:
            raise ObjectChangedError(
                f"{label} was deleted while it was being read, and its data is gone; what was read so far is right"
            ) from err
        if entry.data != before.data:
            raise ObjectChangedError(
                f"{label} was overwritten while it was being read, and its old data is gone; open it again to read what "
                "it is now"
            ) from missing
        if entry.manifest == before.digest:
            raise CorruptError(
                f"{label} needs data that is not there ({missing}). Another copy of the registry can heal it."
            ) from missing
        return manifest
