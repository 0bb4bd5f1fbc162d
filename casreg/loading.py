"""A load: ref → manifest → packs → files → object."""

from __future__ import annotations

import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.exceptions import (
    CasregError,
    CorruptError,
    DestinationError,
    InvalidArgumentError,
    NotFound,
    ObjectNotFoundError,
)
from casreg.fetch import StoredFolder
from casreg.fetch.folder import make_empty
from casreg.keys import manifest_key
from casreg.materializers.calls import load_object
from casreg.materializers.table import materializer_from

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import Materializer
    from casreg.materializers.classes import ClassTable
    from casreg.materializers.table import MaterializerLike, MaterializerTable
    from casreg.model import Manifest
    from casreg.progress import ProgressCallback
    from casreg.refs import Entry, History
    from casreg.repository import Repository
    from casreg.versions import Selector, Version

_T = TypeVar("_T")

PATH_IDS: Final = frozenset({"path.file/1", "path.folder/1"})
"""Materializers whose objects are files on disk: they have to be put somewhere."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How an object is to be loaded.

    Attributes:
        table: The materializers that stored ids may name.
        classes: The classes that stored values may name.
        into: Where a path is to be put.
        as_: The class of the result, where the value needs one.
        materializer: The materializer to use, whatever the version names.
        trusted: Types that the caller trusts.
        allow_pickle: The caller allows pickle.
        progress: Is told how far it is.
        scratch: Gives a new folder that lives long enough, for paths without `into`.
    """

    table: MaterializerTable
    classes: ClassTable
    into: object | None
    as_: type | None
    materializer: MaterializerLike | None
    trusted: frozenset[str]
    allow_pickle: bool
    progress: ProgressCallback | None
    scratch: Callable[[], Path]


def select(repository: Repository, name: str, selector: Selector) -> tuple[Version, Entry]:
    """The version that `selector` means now, and what the ref says of it.

    Raises:
        ObjectNotFoundError: There is none. Says what there is.
        CorruptError: The ref is damaged.
        StorageError: It cannot be read.
    """

    def ask(history: History | None) -> tuple[Version, Entry]:
        if history is None:
            raise ObjectNotFoundError(f"there is no object {name!r} in {repository.backend.location}")
        return history.select(selector)

    return repository.refs.ask(name, ask)


def manifest_of(repository: Repository, name: str, selector: Selector) -> tuple[Version, Entry, Manifest]:
    """The version, its entry, and its manifest.

    Raises:
        ObjectNotFoundError: There is no such version.
        CorruptError: The ref or the manifest is damaged, missing, or not the ref's.
        StorageError: It cannot be read.
    """
    return settled(repository, name, selector, lambda version, entry, manifest: (version, entry, manifest))


def settled(
    repository: Repository, name: str, selector: Selector, use: Callable[[Version, Entry, Manifest], _T]
) -> _T:
    """What `use` makes of a version; begun anew with the ref as it is then if data is missing because it moved on.

    `use` either returns something whole or raises, so that two contents are never mixed (`protocol.md`, "Readers").

    Raises:
        CorruptError: Data is missing, and the ref still says that it should be there.
    """
    version, entry = select(repository, name, selector)
    while True:
        try:
            manifest = checked(repository.manifest(entry.manifest), entry, name, version)
            return use(version, entry, manifest)
        except NotFound as err:
            missing = err
        version, again = select(repository, name, selector)
        if again.manifest == entry.manifest:
            raise CorruptError(
                f"{name}@{version} needs data that is not there ({missing}). Another copy of the registry can heal it."
            ) from missing
        entry = again


def checked(manifest: Manifest, entry: Entry, name: str, version: Version) -> Manifest:
    """The manifest, if it is the one that the ref means.

    Raises:
        CorruptError: It is another version's.
    """
    if manifest.content_id != entry.content or manifest.data != entry.data:
        raise CorruptError(
            f"{manifest_key(entry.manifest)} is not what the ref of {name}@{version} says it is. "
            "Another copy of the registry can heal it."
        )
    return manifest


def load(repository: Repository, name: str, selector: Selector, options: LoadOptions) -> object:
    """Load an object.

    Raises:
        ObjectNotFoundError: There is no such version.
        MaterializerError: It cannot be made from the files, or the caller has not allowed what it needs.
        DestinationError: `into` cannot be loaded into.
        CorruptError: Stored bytes are damaged or missing.
        StorageError: The storage cannot be read.
    """

    def use(_version: Version, _entry: Entry, manifest: Manifest) -> object:
        chosen = (
            materializer_from(options.materializer)
            if options.materializer is not None
            else options.table.for_id(manifest.content.materializer)
        )
        if chosen.id in PATH_IDS:
            return _load_path(repository, name, manifest, chosen, options)
        if options.into is not None:
            raise InvalidArgumentError(
                f"{name} was saved by {chosen.id!r} and is no file or folder, so it cannot be loaded `into=` a place"
            )
        return _load(repository, name, manifest, chosen, options, None)

    return settled(repository, name, selector, use)


def _load(
    repository: Repository,
    name: str,
    manifest: Manifest,
    chosen: Materializer,
    options: LoadOptions,
    into: Path | None,
) -> object:
    folder = StoredFolder(
        repository.reader(manifest, name, options.progress),
        manifest.content.params,  # type: ignore[arg-type]  # it was parsed from JSON
        options.classes,
        trusted=options.trusted,
        allow_pickle=options.allow_pickle,
        into=into,
    )
    try:
        return load_object(chosen, folder, options.as_)
    finally:
        folder.close()


def _load_path(
    repository: Repository, name: str, manifest: Manifest, chosen: Materializer, options: LoadOptions
) -> Path:
    """Extract next to where it shall be, then rename: `into` holds all of it or nothing."""
    if options.into is None:
        target = options.scratch()
    elif isinstance(options.into, str | os.PathLike):
        target = Path(options.into)
        make_empty(target)
    else:
        raise InvalidArgumentError(f"into={options.into!r} is not the path of a folder")
    target = target.absolute()
    beside = target.parent / f".{target.name}.casreg-{secrets.token_hex(8)}"
    try:
        beside.mkdir()
        loaded = _load(repository, name, manifest, chosen, options, beside)
        assert isinstance(loaded, Path)
        _put(beside, target)
    except OSError as err:
        if isinstance(err, CasregError):
            raise
        raise DestinationError(f"{target} cannot be loaded into: {err.strerror or err}") from err
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target / loaded.relative_to(beside)


def _put(folder: Path, target: Path) -> None:
    if os.name == "nt":
        target.rmdir()  # Windows renames onto nothing only
    os.rename(folder, target)  # fails if somebody has put something there meanwhile
