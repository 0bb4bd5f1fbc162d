"""A load: ref → manifest → packs → files → object."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from casreg.exceptions import CasregError, InvalidArgumentError
from casreg.fetch import StoredFolder
from casreg.fetch.destination import replaced
from casreg.materializers.builtin import PATH_FILE, PATH_FOLDER
from casreg.materializers.calls import load_object
from casreg.materializers.classes import dotted
from casreg.materializers.table import materializer_from
from casreg.repository.finding import settled

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import Materializer
    from casreg.materializers.classes import ClassTable
    from casreg.materializers.table import MaterializerLike, MaterializerTable
    from casreg.model import Manifest
    from casreg.progress import Progress, ProgressCallback
    from casreg.refs import Entry
    from casreg.repository import Repository
    from casreg.versions import Selector, Version


class _StoppedError(CasregError):
    """Carries what the caller's callback raised past those who would take it for an error of their own."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(str(reason))
        self.reason = reason


def _stoppable(progress: ProgressCallback) -> ProgressCallback:
    def report(state: Progress) -> None:
        try:
            progress(state)
        except Exception as err:
            raise _StoppedError(err) from err

    return report


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How an object is to be loaded.

    Attributes:
        table: The materializers that stored ids may name.
        classes: The classes that stored values may name.
        into: Where a path is to be put, or the object that is to be filled, where the materializer can do that.
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


def load(
    repository: Repository, name: str, selector: Selector, options: LoadOptions
) -> tuple[Version, object]:
    """Load an object. Returns its version and the object.

    Raises:
        ObjectNotFoundError: There is no such version.
        MaterializerError: It cannot be made from the files, or the caller has not allowed what it needs.
        DestinationError: `into` is a place that cannot be loaded into.
        InvalidArgumentError: `into` is nothing that this object can be loaded into.
        CorruptError, UnsupportedFormatError: What is stored is damaged or missing, or needs a newer casreg.
        StorageError: The storage cannot be read.
        Exception: What the callback for progress raised.
    """

    def use(version: Version, _entry: Entry, manifest: Manifest) -> tuple[Version, object]:
        chosen = (
            materializer_from(options.materializer)
            if options.materializer is not None
            else options.table.for_id(manifest.content.materializer)
        )
        if chosen.id in (PATH_FILE, PATH_FOLDER):  # files on disk: they have to be put somewhere
            return version, _load_path(repository, name, manifest, chosen, options)
        if options.into is not None:
            _check_fillable(name, chosen, options.into)
        return version, _load(repository, name, manifest, chosen, options, options.into)

    stopped: Exception
    try:
        return settled(repository, name, selector, use)
    except _StoppedError as err:
        stopped = err.reason
    raise stopped


def _load(
    repository: Repository,
    name: str,
    manifest: Manifest,
    chosen: Materializer,
    options: LoadOptions,
    into: object | None,
) -> object:
    reader = repository.reader(manifest, name, _stoppable(options.progress) if options.progress else None)
    folder = StoredFolder(
        reader,
        manifest.content.params,  # type: ignore[arg-type]  # it was parsed from JSON
        options.classes,
        options.table,
        trusted=options.trusted,
        allow_pickle=options.allow_pickle,
        into=into,
    )
    try:
        loaded = load_object(chosen, folder, options.as_)
        reader.finish()
        return loaded
    finally:
        folder.close()


def _check_fillable(name: str, chosen: Materializer, into: object) -> None:
    """See that `chosen` says of itself that it loads into objects like `into`.

    Raises:
        InvalidArgumentError: It does not.
    """
    kinds: tuple[type | str, ...] = getattr(chosen, "into", ())
    if any(base in kinds or dotted(base) in kinds for base in type(into).__mro__):
        return
    if kinds:
        wanted = " or ".join(kind if isinstance(kind, str) else dotted(kind) for kind in kinds)
        why = f"is loaded `into=` a {wanted}, not a {dotted(type(into))}"
    elif isinstance(into, str | os.PathLike):
        why = "is no file or folder, so it cannot be loaded `into=` a place"
    else:
        why = f"cannot be loaded `into=` anything; leave out the {dotted(type(into))}"
    raise InvalidArgumentError(f"{name} was saved by {chosen.id!r} and {why}")


def _load_path(
    repository: Repository, name: str, manifest: Manifest, chosen: Materializer, options: LoadOptions
) -> Path:
    """Put the files where they shall be: `into` holds all of them, or nothing."""
    if options.into is None:
        folder = options.scratch()
    elif isinstance(options.into, str | os.PathLike):
        folder = Path(options.into)
    else:
        raise InvalidArgumentError(f"into={options.into!r} is not the path of a folder")
    with replaced(folder) as (target, beside):
        loaded = _load(repository, name, manifest, chosen, options, beside)
        assert isinstance(loaded, Path)
    return target / loaded.relative_to(beside)
