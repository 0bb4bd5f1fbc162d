"""`Registry`: save, load and look after Python objects by name and version. The public facade."""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
import weakref
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casreg import remembered, settings
from casreg.backends.open import open_backend
from casreg.exceptions import InvalidArgumentError, InvalidMetadataError, ObjectNotFoundError
from casreg.listing import describe, list_names, list_versions
from casreg.loading import LoadOptions, load
from casreg.materializers.builtin import BUILTIN
from casreg.materializers.calls import materialize
from casreg.materializers.classes import ClassTable, dotted
from casreg.materializers.table import MaterializerTable
from casreg.names import parse_key
from casreg.repository import Draft, Repository
from casreg.repository.editing import annotate, delete, protect, tag, undelete, untag
from casreg.repository.finding import select
from casreg.repository.opening import list_files, open_file
from casreg.versions import Latest, check_tag, parse_selector, parse_version

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import PurePath

    from casreg.backends.base import Backend
    from casreg.materializers.table import MaterializerLike
    from casreg.progress import ProgressCallback
    from casreg.repository import Saved
    from casreg.repository.conflicts import OnConflict
    from casreg.versions import Bump, Selector, Version

log = logging.getLogger("casreg.registry")


class Registry:
    """A versioned registry of Python objects in one place: a folder, a bucket, or memory.

    One Registry may be used by many threads, survives `fork`, and pickles (without caches and secrets). Making one
    does no I/O; a place that was never written lists as empty, and is made at the first save.

    Names are `segment:segment:…` of letters, digits, `.` and `-`. Every method that takes a name takes
    `name@version` too. Versions are SemVer; `load` and its kin also take `"latest"`, tags and ranges (`">=1.2,<2"`,
    `"^1.2"`, `"~1.2"`). The latest is the highest that lives, pre-releases included, whenever it was saved.
    """

    def __init__(
        self,
        backend: str | os.PathLike[str] | Backend | None = None,
        *,
        version_objects: bool = True,
        mutable: bool = False,
        allow_pickle: bool = False,
        trusted: Iterable[str] = (),
        allow_underscore: bool = False,
        progress: ProgressCallback | None = None,
    ) -> None:
        """Open a registry. No I/O.

        Args:
            backend: Where: None for the default folder, a path, a URI (`file://`, `memory://`), or a backend.
            version_objects: False keeps one live version for each name: a save replaces it.
            mutable: An existing version may be saved again with other content.
            allow_pickle: Objects that nothing else can save are pickled, and pickles are loaded. Loading a pickle
                runs code that whoever wrote it chose.
            trusted: Dotted names of types whose attributes may be stored and restored.
            allow_underscore: Names may hold `_`.
            progress: Told about long saves and loads, unless a call gives its own.

        Raises:
            InvalidArgumentError: The place cannot be understood.
        """
        self._backend = open_backend(settings.registry_dir() if backend is None else backend)
        self._version_objects = version_objects
        self._mutable = mutable
        self._allow_pickle = allow_pickle
        self._trusted = _names_of(trusted)
        self._allow_underscore = allow_underscore
        self._progress = progress
        self._table = MaterializerTable(BUILTIN)
        self._classes = ClassTable()
        self._open: tuple[int, Repository] | None = None
        self._scratch: tuple[int, Path] | None = None

    @property
    def backend(self) -> Backend:
        """The backend."""
        return self._backend

    def __repr__(self) -> str:
        return f"Registry({self._backend.location!r})"

    # ------------------------------------------------------------------------------------------ objects

    def save(
        self,
        name: str,
        obj: object,
        *,
        version: str | None = None,
        materializer: MaterializerLike | None = None,
        metadata: Mapping[str, Any] | None = None,
        notes: Mapping[str, Any] | None = None,
        tags: Iterable[str] = (),
        bump: Bump = "patch",
        on_conflict: OnConflict | None = None,
        if_changed: bool = False,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> str:
        """Save `obj` as a version of `name`. When this returns, the version exists and is durable.

        A `Path` saves the file or folder tree it names; a `str` is saved as text, also if it looks like a path. Big
        arrays must not change until the save returns.

        Args:
            name: The name, or `name@version`.
            obj: What to save.
            version: The version; by default the next one.
            materializer: What turns the object into files; by default the nearest registered for its class.
            metadata: JSON values that become part of the version. Plain Python ones: of numpy scalars give `x.item()`.
            notes: JSON values that `annotate` may change later.
            tags: Tags that move to this version, in the same commit.
            bump: Which part of the latest version the next one raises: `"patch"`, `"minor"` or `"major"`.
            on_conflict: What to do if the version exists with other content: `"error"`, `"skip"` (keep it; nothing is
                saved) or `"overwrite"` (only where the registry is `mutable` or has one version for each name). By
                default `"error"`, and there `"overwrite"`.
            if_changed: Make no version if the latest one has the same content and metadata: that one's number is
                returned, whatever `version` and `bump` say.
            trusted: As for the Registry, for this call.
            allow_pickle: As for the Registry, for this call.
            progress: As for the Registry, for this call.

        Returns:
            The version. If that version exists with the same content already, only its notes and tags change, where
            some are given.

        Raises:
            InvalidNameError, InvalidVersionError, InvalidMetadataError, InvalidArgumentError: What was given is wrong.
            NoMaterializerError: The object could not be loaded again in a new process; says what to write.
            UntrustedError: It needs pickle or a type that was not allowed.
            SourceError: The file or folder cannot be read, or changed meanwhile.
            VersionConflictError: The version exists, or existed until it was deleted, with other content.
            VersionProtectedError: The version is protected, and would be replaced.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.

        Whatever is raised, nothing half-written can be seen, and nothing that existed is lost.
        """
        name, chosen = self._save_key(name, version)
        tags = [check_tag(one) for one in _listed(tags, "tags")]
        repository = self._repository
        began = remembered.clock()
        with materialize(
            obj,
            self._table,
            self._classes,
            materializer=materializer,
            trusted=self._trusted | _names_of(trusted),
            allow_pickle=self._pickle(allow_pickle),
        ) as made:
            saved = repository.save(
                Draft(
                    name=name,
                    materializer=made.materializer.id,
                    params=made.folder.params,
                    files=made.folder.entries(),
                    metadata=_mapping(metadata, "metadata"),
                    notes=_mapping(notes, "notes"),
                    class_name=dotted(type(obj)),
                    version=chosen,
                    bump=bump,
                    tags=tags,
                    single=not self._version_objects,
                    on_conflict=self._policy(on_conflict),
                    if_changed=if_changed,
                    source=obj if isinstance(obj, Path) else None,
                    began=began,
                    progress=progress or self._progress,
                )
            )
        _log_saved(name, saved, repository)
        return str(saved.version)

    def load(
        self,
        name: str,
        version: str | None = None,
        *,
        into: str | os.PathLike[str] | None = None,
        as_: type | None = None,
        materializer: MaterializerLike | None = None,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> Any:
        """Load a version of `name`: an object equal to the saved one. Every byte is verified first.

        Args:
            name: The name, or `name@version`.
            version: A version, `"latest"`, a tag or a range; by default the latest.
            into: For objects that are paths: an empty or new folder that shall hold it, at once or not at all. By
                default a temporary folder that lives as long as this Registry: after `Registry().load(name)` nobody
                holds the Registry, and the folder is gone.
            as_: The class of the result, where the value needs one that is not registered.
            materializer: What turns the files into the object; by default what the version names, if it is known here.
            trusted: As for the Registry, for this call.
            allow_pickle: As for the Registry, for this call.
            progress: As for the Registry, for this call.

        Raises:
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            ObjectNotFoundError: There is no such object or version (a `KeyError` and a `ValueError`).
            MaterializerError: It cannot be made from the files here; says what to write.
            DestinationError: `into` cannot be loaded into.
            CorruptError: Stored bytes are damaged: never are wrong bytes handed out.
            UnsupportedFormatError: It needs a newer casreg.
            StorageError: The storage cannot be read.
        """
        name, selector = self._load_key(name, version)
        options = LoadOptions(
            table=self._table,
            classes=self._classes,
            into=into,
            as_=as_,
            materializer=materializer,
            trusted=self._trusted | _names_of(trusted),
            allow_pickle=self._pickle(allow_pickle),
            progress=progress or self._progress,
            scratch=self._scratch_folder,
        )
        log.debug("load %s (%s) from %s", name, selector, self._backend.location)
        return load(self._repository, name, selector, options)

    def delete(self, name: str, version: str | None = None) -> list[str]:
        """Delete a version, or all versions of a name. Their numbers are never given again; their tags go with them.

        Args:
            name: The name, or `name@version`.
            version: An exact version; by default all.

        Returns:
            The versions that were deleted. `undelete` brings them back until their data is collected.

        Raises:
            ObjectNotFoundError: There is none.
            VersionProtectedError: One of them is protected. None is deleted.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            StorageError: The storage refused or failed.
        """
        name, chosen = self._save_key(name, version)
        deleted = delete(self._repository, name, chosen)
        log.debug("deleted %s of %s", ", ".join(map(str, deleted)), name)
        return [str(one) for one in deleted]

    def undelete(self, name: str, version: str | None = None) -> str:
        """Bring a deleted version back.

        Args:
            name: The name, or `name@version`.
            version: The version.

        Returns:
            The version.

        Raises:
            ObjectNotFoundError: It was not deleted, or its data has been collected since.
            VersionConflictError: The version exists.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            StorageError: The storage refused or failed.
        """
        name, chosen = self._save_key(name, version)
        if chosen is None:
            raise InvalidArgumentError(
                f"say which version of {name} to bring back: undelete({name!r}, '1.0.0')"
            )
        undelete(self._repository, name, chosen)
        return str(chosen)

    # ------------------------------------------------------------------------------------------ questions

    def info(self, name: str | None = None, version: str | None = None) -> dict[str, Any]:
        """What is known of a version: a flat dict; or, without a name, one such dict for the latest of each name.

        Keys: `name`, `version`, `class`, `materializer`, `path` (where the version's manifest is), `size` (bytes of the
        object), `stored` (bytes that its save added), `digest`, `data_digest`, `created`, `metadata`, `notes`, `tags`,
        `protected`.

        Raises:
            ObjectNotFoundError: There is no such object or version.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError: Its ref or manifest is damaged.
            StorageError: It cannot be read.
        """
        if name is None:
            return self._info_of_all(version)
        name, selector = self._load_key(name, version)
        return describe(self._repository, name, selector)

    def _info_of_all(self, version: str | None) -> dict[str, Any]:
        if version is not None:
            raise InvalidArgumentError(f"version={version!r} needs a name: info('my:model', {version!r})")
        found: dict[str, Any] = {}
        for name in self.list_objects():
            with suppress(ObjectNotFoundError):  # deleted since it was listed
                found[name] = self.info(name)
        return found

    def list_objects(self) -> list[str]:
        """The names that have at least one version, sorted.

        Raises:
            CorruptError: A ref is damaged.
            StorageError: The place cannot be read.
        """
        return list_names(self._repository)

    def list_versions(self, name: str) -> list[str]:
        """The versions of a name, ascending; empty if there is none.

        Args:
            name: The name; or `name@version`, with a version, a tag or a range, for those that it means.

        Raises:
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError: Its ref is damaged.
            StorageError: It cannot be read.
        """
        name, within = self._split(name, None)
        return list_versions(self._repository, name, None if within is None else parse_selector(within))

    def has_object(self, name: str, version: str | None = None) -> bool:
        """Whether there is such a version (a version, `"latest"`, a tag or a range; by default any).

        Raises:
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError: Its ref is damaged.
            StorageError: It cannot be read.
        """
        name, selector = self._load_key(name, version)
        try:
            select(self._repository, name, selector)
        except ObjectNotFoundError:
            return False
        return True

    def files(self, name: str, version: str | None = None) -> list[dict[str, Any]]:
        """The files that a version consists of, sorted by path: dicts of `path`, `size` (bytes), `executable`.

        Raises:
            ObjectNotFoundError: There is no such object or version.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError: Its ref, manifest or tree is damaged.
            StorageError: It cannot be read.
        """
        name, selector = self._load_key(name, version)
        return list_files(self._repository, name, selector)

    def open(
        self, name: str, path: str | PurePath | None = None, version: str | None = None
    ) -> io.BufferedReader:
        """One file of a version as a binary, read-only, seekable stream, without fetching the rest.

        What is read is verified first, chunk by chunk. Readers of files take the stream: `zipfile.ZipFile`,
        `numpy.load`, `pandas.read_parquet`. Its calls may come from any thread, but they share one position. It stays
        as it was opened when the version is overwritten or deleted, as long as its data has not been collected.

        Args:
            name: The name, or `name@version`.
            path: One of `files(name)`; may be left out if there is one only.
            version: A version, `"latest"`, a tag or a range; by default the latest.

        Raises:
            ObjectNotFoundError: There is no such object or version, or no such file in it.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError: Stored bytes are damaged; reads raise it too.
            ObjectChangedError: Raised by reads: the version was replaced or deleted, and the data collected.
            StorageError: The storage cannot be read; reads raise it too, and may be tried again.
        """
        name, selector = self._load_key(name, version)
        log.debug("open %s (%s) of %s from %s", path or "the file", selector, name, self._backend.location)
        return open_file(self._repository, name, selector, path)

    # ------------------------------------------------------------------------------------------ tags and notes

    def tag(self, name: str, tag_name: str, version: str | None = None) -> str:
        """Let a tag point to a version (by default the latest), wherever it pointed before. Returns the version.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            StorageError: The storage refused or failed.
        """
        name, selector = self._load_key(name, version)
        return str(tag(self._repository, name, check_tag(tag_name), selector))

    def untag(self, name: str, tag_name: str) -> None:
        """Remove a tag; with `name@version` only if it points to that version.

        Raises:
            ObjectNotFoundError: There is no such tag, or it points elsewhere.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            StorageError: The storage refused or failed.
        """
        name, within = self._split(name, None)
        untag(self._repository, name, check_tag(tag_name), None if within is None else parse_selector(within))

    def annotate(self, name: str, version: str | None = None, **notes: Any) -> dict[str, Any]:
        """Change notes of a version (by default the latest) without touching its content; None removes one.

        Returns:
            All its notes.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidMetadataError: A note cannot be stored without loss.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            StorageError: The storage refused or failed.
        """
        name, selector = self._load_key(name, version)
        return annotate(self._repository, name, selector, notes)

    def protect(self, name: str, version: str | None = None) -> str:
        """Let a version (by default the latest) neither be deleted nor replaced, until `unprotect`. Returns the version.

        Tags and notes of it may still change.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            StorageError: The storage refused or failed.
        """
        name, selector = self._load_key(name, version)
        return str(protect(self._repository, name, selector, protected=True))

    def unprotect(self, name: str, version: str | None = None) -> str:
        """Let a version (by default the latest) be deleted and replaced again. Returns the version.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            StorageError: The storage refused or failed.
        """
        name, selector = self._load_key(name, version)
        return str(protect(self._repository, name, selector, protected=False))

    # ------------------------------------------------------------------------------------------ types

    def register_materializer(self, target: type | str, materializer: MaterializerLike) -> None:
        """Use `materializer` (an instance, a class, or a dotted name) for objects of `target`, in this process.

        Raises:
            InvalidArgumentError: It is not a materializer.
        """
        self._table.register(target, materializer)

    def register_class(self, cls: type, key: str | None = None) -> None:
        """Let values of a dataclass, pydantic model, enum or namedtuple be saved and loaded, in this process.

        Args:
            cls: The class.
            key: What stored values call it; by default `module.qualname`.

        Raises:
            InvalidArgumentError: It is none of these, or the key belongs to another class.
        """
        self._classes.register(cls, key)

    # ------------------------------------------------------------------------------------------ inside

    @property
    def _repository(self) -> Repository:
        """The engine of this process. A forked child has its own: the parent's locks may be held by nobody there."""
        if self._open is None or self._open[0] != os.getpid():
            self._open = (os.getpid(), Repository(self._backend))
        return self._open[1]

    def _save_key(self, key: str, version: str | None) -> tuple[str, Version | None]:
        name, within = self._split(key, version)
        return name, None if within is None else parse_version(within)

    def _load_key(self, key: str, version: str | None) -> tuple[str, Selector]:
        name, within = self._split(key, version)
        return name, Latest() if within is None else parse_selector(within)

    def _split(self, key: str, version: str | None) -> tuple[str, str | None]:
        name, within = parse_key(key, allow_underscore=self._allow_underscore)
        if within is not None and version is not None and within != version:
            raise InvalidArgumentError(f"{key!r} and version={version!r} name two versions; give one of them")
        return name, within if within is not None else version

    def _policy(self, on_conflict: OnConflict | None) -> OnConflict:
        replaces = self._mutable or not self._version_objects
        if on_conflict is None:
            return "overwrite" if replaces else "error"
        if on_conflict not in {"error", "skip", "overwrite"}:
            raise InvalidArgumentError(f"on_conflict is 'error', 'skip' or 'overwrite', not {on_conflict!r}")
        if on_conflict == "overwrite" and not replaces:
            raise InvalidArgumentError(
                "on_conflict='overwrite' needs a registry whose versions may change: open it with "
                "`Registry(..., mutable=True)`"
            )
        return on_conflict

    def _pickle(self, allow_pickle: bool | None) -> bool:
        return self._allow_pickle if allow_pickle is None else allow_pickle

    def _scratch_folder(self) -> Path:
        """A new folder for a loaded path. It goes with this Registry, in the process that made it."""
        pid = os.getpid()
        scratch = self._scratch
        if scratch is None or scratch[0] != pid or not scratch[1].is_dir():
            scratch = self._scratch = pid, Path(tempfile.mkdtemp(prefix="casreg-"))
            weakref.finalize(self, _remove, *scratch)
        return Path(tempfile.mkdtemp(dir=scratch[1]))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None, "_scratch": None, "_progress": None}


def _remove(pid: int, folder: Path) -> None:
    if os.getpid() == pid:  # a forked child must not take away what its parent still uses
        shutil.rmtree(folder, ignore_errors=True)


def _names_of(names: Iterable[str]) -> frozenset[str]:
    return frozenset(_listed(names, "trusted"))


def _listed(values: Iterable[str], what: str) -> Sequence[str]:
    if isinstance(values, str):
        raise InvalidArgumentError(f"{what} is a list: write {what}=[{values!r}]")
    try:
        return list(values)
    except TypeError as err:
        raise InvalidArgumentError(f"{what} is a list, not {values!r:.80}") from err


def _mapping(value: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not hasattr(value, "keys"):
        raise InvalidMetadataError(f"{what} is a dict of JSON values, not {value!r:.80}")
    return dict(value)


def _log_saved(name: str, saved: Saved, repository: Repository) -> None:
    log.debug(
        "saved %s@%s to %s: %d bytes, %d newly stored",
        name,
        saved.version,
        repository.backend.location,
        saved.entry.size,
        saved.entry.stored,
    )
