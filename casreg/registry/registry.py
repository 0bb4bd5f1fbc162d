"""`Registry`: save, load and look after Python objects by name and version. The public facade."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, Self, overload

from casreg import bundle, settings, transfer
from casreg.adopt import adopt
from casreg.backends.open import open_backend
from casreg.cache import Cache, cache_for, with_cache
from casreg.difference import Difference, difference
from casreg.exceptions import (
    InvalidArgumentError,
    InvalidNameError,
    InvalidVersionError,
    ObjectNotFoundError,
)
from casreg.gc import Terms as GcTerms, collect, mark_bad, prune, seconds
from casreg.listing import describe, describe_all, history_of, list_all, list_names, list_versions, summaries
from casreg.loading import LoadOptions, load
from casreg.materializers.builtin import BUILTIN
from casreg.materializers.classes import ClassTable
from casreg.materializers.table import MaterializerTable
from casreg.registry import mapping
from casreg.registry.arguments import (
    Keys,
    a_class,
    callback,
    conditions,
    fields,
    flag,
    glob,
    names_of,
    objects,
    per_item,
    policy,
    sides,
    tags_per_item,
)
from casreg.registry.batch import BatchResult, Done, asked, at_once, in_turn
from casreg.registry.saving import Labels, SaveOptions, save_object
from casreg.registry.scratch import Scratch
from casreg.registry.text import ROWS, call, table
from casreg.registry.transfers import qualified, terms_of, wanted_of
from casreg.repository import Repository
from casreg.repository.editing import annotate, delete, protect, tag, undelete, untag
from casreg.repository.finding import select
from casreg.repository.opening import list_files, open_file
from casreg.search import find
from casreg.stats import stats
from casreg.sync import Terms as SyncTerms, sync
from casreg.verify import heal, verify
from casreg.versions import Latest, check_tag

if TYPE_CHECKING:
    import io
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import timedelta
    from pathlib import PurePath

    from casreg.adopt import Adoption
    from casreg.backends.base import Backend
    from casreg.gc import Collection, Pruned
    from casreg.materializers.table import MaterializerLike
    from casreg.progress import ProgressCallback
    from casreg.refs import History
    from casreg.repository.conflicts import OnConflict
    from casreg.stats import Stats
    from casreg.sync import Synced
    from casreg.verify import Healing, Report
    from casreg.versions import Bump, Selector

log = logging.getLogger("casreg.registry")


_NO_DEFAULT: Final = object()


class Registry(MutableMapping[str, Any]):
    """A versioned registry of Python objects in one place: a folder, a bucket, or memory.

    One Registry may be used by many threads, survives `fork`, and pickles (without caches and secrets). Making one
    does no I/O; a place that was never written lists as empty, and is made at the first save.

    Names are `segment:segment:…` of letters, digits, `.` and `-`. Every method that takes a name takes
    `name@version` too. Versions are SemVer; `load` and its kin also take `"latest"`, tags and ranges (`">=1.2,<2"`,
    `"^1.2"`, `"~1.2"`). The latest is the highest that lives, pre-releases included, whenever it was saved.

    It is a mutable mapping too, of which names are the keys: `registry["my:model"]` loads the latest version,
    `registry["my:model"] = model` saves the next, `"my:model@1.0.0"` is that version, `del` deletes as `delete` does.
    A name that was not saved is a `KeyError` as anywhere; one that cannot be a name is a `ValueError`, and just not
    `in`. As of any mapping, `bool(registry)` says whether it holds something; but two are equal only if they are one.

    With `with`, the temporary folders of loaded paths go at the end of the block, and not only with the object.
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
        cache: Cache | bool | None = None,
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
            cache: Where local copies of what was loaded and saved are kept. None: in the default folder, for places
                that are not on this machine; True: there, for any place; False: nowhere.

        Raises:
            InvalidArgumentError: The place, or another argument, cannot be understood.
        """
        self._backend = open_backend(settings.registry_dir() if backend is None else backend)
        self._version_objects = flag(version_objects, "version_objects")
        self._mutable = flag(mutable, "mutable")
        self._allow_pickle = flag(allow_pickle, "allow_pickle")
        self._trusted = names_of(trusted)
        self._keys = Keys(flag(allow_underscore, "allow_underscore"))
        self._progress = callback(progress)
        self._cache = cache_for(self._backend, cache)
        self._table = MaterializerTable(BUILTIN)
        self._classes = ClassTable()
        self._open: tuple[int, Repository] | None = None
        self._scratch = Scratch()

    @property
    def backend(self) -> Backend:
        """The backend."""
        return self._backend

    @property
    def cache(self) -> Cache | None:
        """Where local copies are kept; None if they are not."""
        return self._cache

    def clear_cache(self) -> None:
        """Remove all local copies, also those of other places in the same folder. They are fetched again when needed.

        Raises:
            StorageError: A file cannot be removed.
        """
        if self._cache is not None:
            self._cache.clear()
            log.debug("cleared the cache %s", self._cache.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the temporary folders of paths that were loaded. The Registry can be used further."""
        self._scratch.remove()

    def init(self) -> str:
        """Make the registry at its place, if there is none, and see that the place is fit for it. Saving does it too.

        Returns:
            Its id, 32 hexadecimal characters.

        Raises:
            UnsafeStorageError: The storage does not honour conditional writes. Nothing is there.
            ReadOnlyError: It is a bundle, which can only be read.
            CorruptError, UnsupportedFormatError: There is one that is damaged, or needs a newer casreg.
            StorageError: The storage refused or failed.
        """
        marker = self._repository.marker()
        log.debug("the registry at %s is %s", self._backend.location, marker.id)
        return marker.id

    # ------------------------------------------------------------------------------------------ objects

    @overload
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
    ) -> str: ...
    @overload
    def save(
        self,
        name: list[str] | tuple[str, ...],
        obj: list[Any] | tuple[Any, ...],
        *,
        version: str | Sequence[str | None] | None = None,
        materializer: MaterializerLike | None = None,
        metadata: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        notes: Mapping[str, Any] | Sequence[Mapping[str, Any] | None] | None = None,
        tags: Iterable[str] | Sequence[Iterable[str]] = (),
        bump: Bump = "patch",
        on_conflict: OnConflict | None = None,
        if_changed: bool = False,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> BatchResult[str]: ...
    def save(
        self,
        name: str | Sequence[str],
        obj: Any,
        *,
        version: str | Sequence[str | None] | None = None,
        materializer: MaterializerLike | None = None,
        metadata: Any = None,
        notes: Any = None,
        tags: Iterable[Any] = (),
        bump: Bump = "patch",
        on_conflict: OnConflict | None = None,
        if_changed: bool = False,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> str | BatchResult[str]:
        """Save `obj` as a version of `name`. When this returns, the version exists and is durable.

        A `Path` saves the file or folder tree it names; a `str` is saved as text, also if it looks like a path. Big
        arrays must not change until the save returns.

        With a list of names and a list of as many objects, each is saved by itself, some at once (those of one name in
        order), and what fails stops no other. `version`, `metadata` and `notes` are then one for all or a list, `tags`
        a list for all or a list of lists. `progress` may be called by several threads at once.

        Args:
            name: The name, or `name@version`; or a list of them.
            obj: What to save; or a list.
            version: The version; by default the next one.
            materializer: What turns the object into files; by default the nearest registered for its class.
            metadata: JSON values that become part of the version.
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
            some are given. Of a list the `BatchResult`, whose items carry the errors below.

        Raises:
            InvalidNameError, InvalidVersionError, InvalidMetadataError, InvalidArgumentError: What was given is wrong.
                Of a list only this is raised: it does not fit to the number of names, or to any of them.
            NoMaterializerError: The object could not be loaded again in a new process; says what to write.
            UntrustedError: It needs pickle or a type that was not allowed.
            SourceError: The file or folder cannot be read, or changed meanwhile.
            VersionConflictError: The version exists, or existed until it was deleted, with other content.
            VersionProtectedError: The version is protected, and would be replaced.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            StorageError: The storage refused or failed.

        Whatever is raised, nothing half-written can be seen, and nothing that existed is lost.
        """
        options = SaveOptions(
            table=self._table,
            classes=self._classes,
            materializer=materializer,
            bump=bump,
            on_conflict=policy(on_conflict, replaces=self._mutable or not self._version_objects),
            if_changed=flag(if_changed, "if_changed"),
            single=not self._version_objects,
            trusted=self._trusted | names_of(trusted),
            allow_pickle=self._pickle(allow_pickle),
            progress=self._told(progress),
        )
        repository = self._repository

        def one(key: str, version: str | None, obj: object, *labels: Any) -> Done[str]:
            name, chosen = self._keys.exact(key, version)
            saved = save_object(repository, name, chosen, obj, Labels.of(*labels), options)
            return Done(str(saved.version), str(saved.version), saved.existed)

        if not isinstance(name, list | tuple):
            return one(name, version, obj, metadata, notes, tags).value  # type: ignore[arg-type]  # see the overloads
        items, count = asked(name, version), len(name)
        rest = zip(
            objects(obj, count),
            per_item(metadata, count, "metadata"),
            per_item(notes, count, "notes"),
            tags_per_item(tags, count),
            strict=True,
        )
        given = list(rest)
        return in_turn(items, lambda number, item: one(item.key, item.version, *given[number]))

    @overload
    def load(
        self,
        name: str,
        version: str | None = None,
        *,
        into: object | None = None,
        as_: type | None = None,
        materializer: MaterializerLike | None = None,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> Any: ...
    @overload
    def load(
        self,
        name: list[str] | tuple[str, ...],
        version: str | Sequence[str | None] | None = None,
        *,
        as_: type | None = None,
        materializer: MaterializerLike | None = None,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> BatchResult[Any]: ...
    def load(
        self,
        name: str | Sequence[str],
        version: str | Sequence[str | None] | None = None,
        *,
        into: object | None = None,
        as_: type | None = None,
        materializer: MaterializerLike | None = None,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> Any:
        """Load a version of `name`: an object equal to the saved one. Every byte is verified first.

        With a list of names each is loaded by itself, some at once, and what fails stops no other; `version` is then
        one for all or a list. `progress` may be called by several threads at once.

        Args:
            name: The name, or `name@version`; or a list of them.
            version: A version, `"latest"`, a tag or a range; by default the latest.
            into: For objects that are paths: an empty or new folder that shall hold it, at once or not at all. By
                default a temporary folder that lives as long as this Registry: after `Registry().load(name)` nobody
                holds the Registry, and the folder is gone. For torch modules and state dicts: the module that shall take
                them, which is checked first, filled, and returned.
            as_: The class of the result, where the value needs one that is not registered.
            materializer: What turns the files into the object; by default what the version names, if it is known here.
            trusted: As for the Registry, for this call.
            allow_pickle: As for the Registry, for this call.
            progress: As for the Registry, for this call.

        Returns:
            The object. Of a list the `BatchResult`, whose items carry the errors below.

        Raises:
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
                Of a list only this is raised: it does not fit to the number of names, or to any of them.
            ObjectNotFoundError: There is no such object or version (a `KeyError` and a `ValueError`).
            MaterializerError: It cannot be made from the files here; says what to write.
            DestinationError: `into` cannot be loaded into.
            CorruptError: Stored bytes are damaged: never are wrong bytes handed out.
            UnsupportedFormatError: It needs a newer casreg.
            StorageError: The storage cannot be read.
        """
        options = LoadOptions(
            table=self._table,
            classes=self._classes,
            into=into,
            as_=a_class(as_),
            materializer=materializer,
            trusted=self._trusted | names_of(trusted),
            allow_pickle=self._pickle(allow_pickle),
            progress=self._told(progress),
            scratch=self._scratch.new,
        )
        repository = self._repository

        def one(key: str, version: str | None) -> Done[Any]:
            name, selector = self._keys.selecting(key, version)
            found, value = load(repository, name, selector, options)
            log.debug("loaded %s@%s from %s", name, found, repository.backend.location)
            return Done(str(found), value)

        if not isinstance(name, list | tuple):
            return one(name, version).value  # type: ignore[arg-type]  # see the overloads
        if into is not None:
            raise InvalidArgumentError("into= is the folder of one object; load paths one by one")
        return at_once(asked(name, version), lambda _, item: one(item.key, item.version))

    @overload
    def delete(self, name: str, version: str | None = None, *, revision: str | None = None) -> list[str]: ...
    @overload
    def delete(
        self, name: list[str] | tuple[str, ...], version: str | Sequence[str | None] | None = None
    ) -> BatchResult[list[str]]: ...
    def delete(
        self,
        name: str | Sequence[str],
        version: str | Sequence[str | None] | None = None,
        *,
        revision: str | None = None,
    ) -> list[str] | BatchResult[list[str]]:
        """Delete a version, or all versions of a name. Their numbers are never given again; their tags go with them.

        With a list of names each is deleted by itself, and what fails stops no other; `version` is then one for all or a
        list.

        Args:
            name: The name, or `name@version`; or a list of them.
            version: An exact version; by default all.
            revision: What `info` said, so that nothing is deleted which the caller has not seen: if the name was changed
                in any way since, that is an error. For one name.

        Returns:
            The versions that were deleted. `undelete` brings them back until their data is collected. Of a list the
            `BatchResult`, whose items carry the errors below.

        Raises:
            ObjectNotFoundError: There is none.
            VersionProtectedError: One of them is protected. None is deleted.
            ObjectChangedError: The name has not that `revision` any more. Nothing is deleted.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        repository = self._repository

        def is_expected(history: History) -> bool:
            return revision is None or history.ref.write == revision

        def one(key: str, version: str | None) -> Done[list[str]]:
            name, chosen = self._keys.exact(key, version)
            deleted = [str(one) for one in delete(repository, name, chosen, is_expected)]
            log.debug("deleted %s of %s from %s", ", ".join(deleted), name, repository.backend.location)
            return Done(None if chosen is None else str(chosen), deleted)

        if not isinstance(name, list | tuple):
            return one(name, version).value  # type: ignore[arg-type]  # see the overloads
        if revision is not None:
            raise InvalidArgumentError("revision= is that of one name; delete them one by one")
        return in_turn(asked(name, version), lambda _, item: one(item.key, item.version))

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
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        name, chosen = self._keys.exact(name, version)
        if chosen is None:
            raise InvalidArgumentError(
                f"say which version of {name} to bring back: undelete({name!r}, '1.0.0')"
            )
        undelete(self._repository, name, chosen)
        log.debug("undeleted %s@%s in %s", name, chosen, self._backend.location)
        return str(chosen)

    # ------------------------------------------------------------------------------------------ questions

    def info(self, name: str | None = None, version: str | None = None) -> dict[str, Any]:
        """What is known of a version: a flat dict; or, without a name, one such dict for the latest of each name.

        Keys: `name`, `version`, `class`, `materializer`, `path` (where the version's manifest is), `size` (bytes of the
        object), `stored` (bytes that its save added), `digest`, `data_digest`, `created`, `metadata`, `notes`, `tags`,
        `protected`, `revision` (of the name: another one after each change of anything that is said there).

        Raises:
            ObjectNotFoundError: There is no such object or version.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError, UnsupportedFormatError: Its ref or manifest is damaged, or needs a newer casreg.
            StorageError: It cannot be read.
        """
        if name is None:
            if version is not None:
                raise InvalidArgumentError(f"version={version!r} needs a name: info('my:model', {version!r})")
            log.debug("info of all names from %s", self._backend.location)
            return describe_all(self._repository)
        name, selector = self._keys.selecting(name, version)
        log.debug("info of %s (%s) from %s", name, selector, self._backend.location)
        return describe(self._repository, name, selector)

    def list_objects(self) -> list[str]:
        """The names that have at least one version, sorted.

        Raises:
            CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
            StorageError: The place cannot be read.
        """
        log.debug("list the names of %s", self._backend.location)
        return list_names(self._repository)

    def overview(self, pattern: str = "*") -> list[dict[str, Any]]:
        """One row for each name: a dict, sorted by name. One read for each.

        Keys: `name`, `version` (the latest), `versions` (how many there are), `size` (bytes), `created` and `class` of the
        latest, `tags` (a dict of all tags of the name and what they point to).

        Args:
            pattern: A glob over names, in which case matters: `*`, `?`, `[…]`.

        Raises:
            InvalidArgumentError: The pattern is no text.
            CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
            StorageError: The place cannot be read.
        """
        pattern = glob(pattern)
        log.debug("overview of %s in %s", pattern, self._backend.location)
        return summaries(self._repository, sys.maxsize, pattern)[0]

    def stats(self) -> Stats:
        """How much is held, and what that takes, by name and in all. `casreg.Stats` has the words.

        Reads each ref, each manifest, and of each pack its table, but no data; and lists the place.

        Raises:
            CorruptError, UnsupportedFormatError: A ref, manifest or table is damaged or lost, or needs a newer casreg.
            StorageError: The place cannot be read.
        """
        log.debug("count what is in %s", self._backend.location)
        return stats(self._repository)

    def list_versions(self, name: str) -> list[str]:
        """The versions of a name, ascending; empty if there is none.

        Args:
            name: The name; or `name@version`, with a version, a tag or a range, for those that it means.

        Raises:
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: Its ref is damaged, or needs a newer casreg.
            StorageError: It cannot be read.
        """
        name, selector = self._keys.within(name)
        log.debug("list the versions of %s in %s", name, self._backend.location)
        return list_versions(self._repository, name, selector)

    def list_objects_and_versions(self) -> dict[str, list[str]]:
        """The names that have at least one version, sorted, each with its versions, ascending.

        Raises:
            CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
            StorageError: The place cannot be read.
        """
        log.debug("list the names and versions of %s", self._backend.location)
        return list_all(self._repository)

    def history(self, name: str) -> list[dict[str, Any]]:
        """What every version of a name is and was: a dict for each, the highest number first.

        Keys: `version`, `state`, `created`, `deleted` (a time, or None), `digest`, `size` (bytes), `stored` (bytes),
        `class`, `notes`, `tags`, `protected`. The `state` is `"live"`, `"deleted"`, `"replaced"` (by what was saved
        under the same number later, and comes before it here), or `"retired"`: collected, so that only the number is
        known.

        Args:
            name: The name; or `name@version`, with a version, a tag or a range, for those that it means.

        Raises:
            ObjectNotFoundError: There was never any.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: Its ref is damaged, or needs a newer casreg.
            StorageError: It cannot be read.
        """
        name, selector = self._keys.within(name)
        log.debug("history of %s from %s", name, self._backend.location)
        return history_of(self._repository, name, selector)

    def find(
        self, pattern: str = "*", *, where: Mapping[str, Any] | None = None, version: str | None = None
    ) -> list[dict[str, Any]]:
        """The versions that have a name like `pattern` and say what `where` asks for, as `info` describes them.

        `find("model:*", where={"accuracy": lambda it: it > 0.9, "data.split": "test"})`. One read for each name that
        fits, and one for each version.

        Args:
            pattern: A glob over names, in which case matters: `*`, `?`, `[…]`. `pattern@version` works too.
            where: What the version's metadata has to say, and where that lacks the key, its notes. Keys with points
                reach into nested objects. A condition is a value to be equal to, or a callable that gets the value;
                what lacks the key does not fit.
            version: Which versions of each name: one version, a tag, or a range for all that are in it (`"*"` is all
                releases); by default the latest.

        Returns:
            One dict for each version, sorted by name and version.

        Raises:
            InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError, UnsupportedFormatError: A ref or manifest is damaged, or needs a newer casreg.
            StorageError: The place cannot be read.
            Exception: What a condition raises.
        """
        pattern, selector = self._keys.pattern(pattern, version)
        log.debug("find %s (%s) in %s", pattern, selector, self._backend.location)
        return find(self._repository, pattern, conditions(where), selector)

    def has_object(self, name: str, version: str | None = None) -> bool:
        """Whether there is such a version (a version, `"latest"`, a tag or a range; by default any).

        Raises:
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: Its ref is damaged, or needs a newer casreg.
            StorageError: It cannot be read.
        """
        name, selector = self._keys.selecting(name, version)
        log.debug("look for %s (%s) in %s", name, selector, self._backend.location)
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
            CorruptError, UnsupportedFormatError: Its ref, manifest or tree is damaged, or needs a newer casreg.
            StorageError: It cannot be read.
        """
        name, selector = self._keys.selecting(name, version)
        log.debug("files of %s (%s) from %s", name, selector, self._backend.location)
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
            UnsupportedFormatError: It needs a newer casreg.
            ObjectChangedError: Raised by reads: the version was replaced or deleted, and the data collected.
            StorageError: The storage cannot be read; reads raise it too, and may be tried again.
        """
        name, selector = self._keys.selecting(name, version)
        log.debug("open %s (%s) of %s from %s", path or "the file", selector, name, self._backend.location)
        return open_file(self._repository, name, selector, path)

    def diff(self, name: str, version1: str | None = None, version2: str | None = None) -> Difference:
        """What differs between two versions: files, bytes and chunks in common, materializer, class, metadata.

        `str()` of it says it to people. Reads lists and trees only, no chunk of data.

        Args:
            name: The name; or `name@version`, which is the first version then.
            version1: The first version: a version, `"latest"`, a tag, a range, or `other:name@version`.
            version2: The second; by default the latest.

        Raises:
            ObjectNotFoundError: One of them does not exist.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong, or not two versions.
            ObjectChangedError: One was replaced or deleted meanwhile, and its data collected.
            CorruptError, UnsupportedFormatError: A ref, manifest, tree or list is damaged, or needs a newer casreg.
            StorageError: It cannot be read.
        """
        first, second = sides(name, version1, version2)
        log.debug("difference of %s and %s in %s", first, second, self._backend.location)
        return difference(
            self._repository, self._keys.selecting(first, None), self._keys.selecting(second, None)
        )

    # ------------------------------------------------------------------------------------------ moving versions

    def copy(
        self,
        source: str,
        target: str,
        *,
        source_version: str | None = None,
        target_version: str | None = None,
    ) -> str:
        """Copy a version to another name of this registry. Only the name's ref is written: its data is there.

        The copy has the same digests, metadata, class, time of creation and notes; tags and protection stay with the
        original. A copy onto itself changes nothing.

        Args:
            source: The name, or `name@version`.
            target: The other name, or `name@version`.
            source_version: A version, `"latest"`, a tag or a range; by default the latest.
            target_version: The number of the copy; by default that of the original.

        Returns:
            The version of the copy. If it is there already with the same content, it stays.

        Raises:
            ObjectNotFoundError: There is no such version.
            VersionConflictError: The target has, or had, the number with other content.
            VersionProtectedError: The version that it would replace is protected.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError, UnsupportedFormatError: The version is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        return self._copy(
            self._repository, self._keys.selecting(source, source_version), target, target_version
        )

    def rename(self, old: str, new: str) -> list[str]:
        """Give all versions of a name to another, with their numbers, tags, notes and protection.

        They are put under the new name first and deleted from the old one then: who is stopped in between leaves both,
        and never none, and calling it again completes it. The old name remembers its numbers.

        Returns:
            The versions, ascending.

        Raises:
            ObjectNotFoundError: The old name has no versions.
            VersionConflictError: The new name has, or had, one of the numbers with other content, or one of the tags
                on another version. Nothing was changed.
            VersionProtectedError: A version of the new name that is in the way is protected.
            InvalidNameError, InvalidArgumentError: What was given is no name.
            CorruptError, UnsupportedFormatError: Something that is needed is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning, or kept saving to the old name; the answer
                was lost. The versions may be under both names.
            StorageError: The storage refused or failed.
        """
        renamed = transfer.rename(self._repository, self._keys.plain(old), self._keys.plain(new))
        log.debug("renamed %s to %s in %s", old, new, self._backend.location)
        return [str(version) for version in renamed]

    def download(
        self,
        source_registry: Registry,
        name: str,
        version: str | None = "latest",
        target_name: str | None = None,
        target_version: str | None = None,
        *,
        progress: ProgressCallback | None = None,
    ) -> str:
        """Copy a version from another registry. Only chunks that are missing here are moved, and nothing is loaded.

        The copy has the same digests, metadata, materializer, class, time of creation and notes, so that no type has
        to be known here; tags and protection stay where they are.

        Args:
            source_registry: The other registry.
            name: The name there, or `name@version`.
            version: A version, `"latest"`, a tag or a range.
            target_name: The name here, or `name@version`; by default the same.
            target_version: The number here; by default the same.
            progress: As for the Registry, for this call.

        Returns:
            The version here. If it is there already with the same content, it stays.

        Raises:
            ObjectNotFoundError: The other registry has no such version.
            VersionConflictError: This one has, or had, the number with other content.
            VersionProtectedError: The version that it would replace is protected.
            InvalidNameError, InvalidVersionError, InvalidArgumentError: What was given is wrong.
            CorruptError: What is stored there is damaged. Nothing was committed.
            UnsupportedFormatError: One of the two needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: One of the two storages refused or failed.
        """
        if not isinstance(source_registry, Registry):
            raise InvalidArgumentError(
                f"{source_registry!r:.80} is no Registry: write download(Registry(...), ...)"
            )
        within = None if version == "latest" and "@" in name else version
        key = self._keys.selecting(name, within)
        target = key[0] if target_name is None else target_name
        return self._copy(source_registry._repository, key, target, target_version, self._told(progress))

    def export(
        self,
        path: str | os.PathLike[str],
        names: str | Iterable[str] | None = None,
        *,
        progress: ProgressCallback | None = None,
    ) -> list[str]:
        """Write versions into one new file, a bundle, which `Registry(path)` opens and `import_` takes in.

        It holds their digests, metadata, times, classes, notes, tags and protection, and every chunk once. It is a ZIP
        archive of an ordinary repository: unpacked by any program it is a registry.

        Args:
            path: The file, whose name ends in `.casreg`. It is there when it is whole, or not at all; a process that is
                killed leaves a hidden `.….partial` beside it, which may be removed.
            names: Names, or `name@version`, also with a tag or a range; by default everything.
            progress: As for the Registry, for this call.

        Returns:
            What is in it, as `name@version`, by name, ascending.

        Raises:
            InvalidArgumentError, InvalidNameError, InvalidVersionError: What was given is wrong.
            DestinationError: The file exists, which is never overwritten, or cannot be written.
            ObjectNotFoundError: Something that was named is not there.
            CorruptError, UnsupportedFormatError: Some versions cannot be read. They are named; no file is written.
            StorageError: The registry cannot be read.
        """
        wanted = wanted_of(names, self._keys)
        held = qualified(bundle.export(self._repository, path, wanted, self._told(progress)))
        log.debug("exported %d versions from %s to %s", len(held), self._backend.location, os.fsdecode(path))
        return held

    def import_(
        self,
        path: str | os.PathLike[str],
        names: str | Iterable[str] | None = None,
        *,
        progress: ProgressCallback | None = None,
    ) -> list[str]:
        """Take versions out of a bundle that `export` wrote, as they were; only chunks that are missing are written.

        Conflicts are looked for before anything is written. What is there already with the same content stays.

        Args:
            path: The bundle.
            names: Names, or `name@version`, also with a tag or a range; by default everything.
            progress: As for the Registry, for this call.

        Returns:
            What was named and is here now, as `name@version`, by name, ascending.

        Raises:
            InvalidArgumentError, InvalidNameError, InvalidVersionError: What was given is wrong.
            ObjectNotFoundError: Something that was named is not in the bundle.
            VersionConflictError: This registry has, or had, some of the numbers with other content; names them.
            VersionProtectedError: A version that would be replaced is protected.
            CorruptError: The bundle, or what it holds, is damaged, or it is none. What is not damaged is here now.
            UnsupportedFormatError: It needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The bundle is not there or cannot be read, or the storage refused or failed.
        """
        terms = terms_of("", None, single=not self._version_objects, mutable=self._mutable)
        progress = self._told(progress)
        wanted = wanted_of(names, self._keys)
        held = qualified(bundle.import_(path, self._repository, wanted, terms=terms, progress=progress))
        log.debug("imported %d versions from %s to %s", len(held), os.fsdecode(path), self._backend.location)
        return held

    def sync(
        self,
        source: Registry | str | os.PathLike[str],
        names: str | Iterable[str] | None = None,
        *,
        dry_run: bool = False,
        overwrite: bool = False,
        delete: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Synced:
        """Bring this registry up to date with another: whatever that has and this has not is copied here.

        Versions come with their numbers, digests, metadata, times, notes, tags and protection; only chunks that are
        missing are moved. What disagrees is reported, and stays: a version with other content, a number that was given
        away here. All else is copied all the same. A version that was deleted here and lives there comes back.

        Tags, notes and protection of what is here already: what only the source has changed since the last sync
        follows it, what only this side has changed stays, and what both have changed is reported and stays. What is
        known of the last sync is in the cache folder; without it what is missing is added, and what differs is
        reported.

        Safe beside savers, readers and collectors of both. Who is stopped leaves whole versions; another sync goes on.

        Args:
            source: The other registry, or its place, or a bundle. It is only read.
            names: A name, or several; by default all.
            dry_run: Change nothing; the result says what would be copied, changed and deleted.
            overwrite: What disagrees becomes what the source says, except what is protected here.
            delete: Delete here what does not live at the source. What is protected stays, and is reported.
            progress: Is told: in the phase `survey` about names, in `copy` about the bytes of all versions. Of the
                latter by several threads, one at a time.

        Returns:
            What was done, `result.conflicts`, and `result.clean`: whether there were none.

        Raises:
            InvalidArgumentError: What was given is wrong; both are one place; or this registry keeps one version of
                each name only.
            InvalidNameError: What was given is no name.
            ObjectNotFoundError: The source has no such name, or is no registry. Nothing was changed.
            UnsafeStorageError: The place is not fit to be written to.
            ReadOnlyError: It is a bundle, which can only be read.
            CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost. Sync again.
            CorruptError, UnsupportedFormatError: A marker is damaged, or was written by a newer casreg. What is damaged
                of single names and versions is in the result.
            StorageError: One of the two refused or failed. What was copied stays. Sync again.
        """
        if not self._version_objects:
            raise InvalidArgumentError(
                "a registry that keeps one version of each name cannot hold all versions of another: open it without "
                "version_objects=False, or use `download`"
            )
        other = source if isinstance(source, Registry) else Registry(source, cache=False)
        done = sync(
            other._repository,  # noqa: SLF001 - one of our own
            self._repository,
            self._keys.plain_ones(names),
            SyncTerms(flag(overwrite, "overwrite"), flag(delete, "delete")),
            dry_run=flag(dry_run, "dry_run"),
            progress=self._told(progress),
        )
        log.debug("synced %s from %s: %d copied", self._backend.location, done.source, len(done.copied))
        return done

    def _copy(
        self,
        source: Repository,
        key: tuple[str, Selector],
        target: str,
        target_version: str | None,
        progress: ProgressCallback | None = None,
    ) -> str:
        name, chosen = self._keys.exact(target, target_version)
        terms = terms_of(name, chosen, single=not self._version_objects, mutable=self._mutable)
        copied = transfer.copy(source, *key, self._repository, terms, meter=transfer.Meter(progress))
        log.debug(
            "copied %s (%s) from %s to %s@%s in %s: %d bytes, %d newly stored",
            *key,
            source.backend.location,
            name,
            copied.version,
            self._backend.location,
            copied.entry.size,
            0 if copied.existed else copied.entry.stored,
        )
        return str(copied.version)

    def _copy_all(self, source: Repository, of_each: Selector | None) -> None:
        terms = terms_of("", None, single=not self._version_objects, mutable=self._mutable)
        copied = transfer.copy_all(
            source, self._repository, of_each=of_each, terms=terms, progress=self._progress
        )
        log.debug(
            "copied %d versions from %s to %s", len(copied), source.backend.location, self._backend.location
        )

    # ------------------------------------------------------------------------------------------ tags and notes

    def tag(self, name: str, tag_name: str, version: str | None = None) -> str:
        """Let a tag point to a version (by default the latest), wherever it pointed before. Returns the version.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        name, selector = self._keys.selecting(name, version)
        tagged = str(tag(self._repository, name, check_tag(tag_name), selector))
        log.debug("tag %s is %s@%s in %s", tag_name, name, tagged, self._backend.location)
        return tagged

    def untag(self, name: str, tag_name: str) -> None:
        """Remove a tag; with `name@version` only if it points to that version.

        Raises:
            ObjectNotFoundError: There is no such tag, or it points elsewhere.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        name, selector = self._keys.within(name)
        untag(self._repository, name, check_tag(tag_name), selector)
        log.debug("removed the tag %s of %s in %s", tag_name, name, self._backend.location)

    def annotate(self, name: str, /, version: str | None = None, **notes: Any) -> dict[str, Any]:
        """Change notes of a version (by default the latest) without touching its content; None removes one.

        Returns:
            All its notes.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidMetadataError: A note cannot be stored without loss.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        name, selector = self._keys.selecting(name, version)
        log.debug("notes of %s (%s) in %s: %s", name, selector, self._backend.location, ", ".join(notes))
        return annotate(self._repository, name, selector, fields(notes, "notes"))

    def protect(self, name: str, version: str | None = None) -> str:
        """Let a version (by default the latest) neither be deleted nor replaced, until `unprotect`. Returns the version.

        Tags and notes of it may still change.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        name, selector = self._keys.selecting(name, version)
        done = str(protect(self._repository, name, selector, protected=True))
        log.debug("protected %s@%s in %s", name, done, self._backend.location)
        return done

    def unprotect(self, name: str, version: str | None = None) -> str:
        """Let a version (by default the latest) be deleted and replaced again. Returns the version.

        Raises:
            ObjectNotFoundError: There is no such version.
            InvalidNameError, InvalidVersionError: What was given is wrong.
            CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        name, selector = self._keys.selecting(name, version)
        done = str(protect(self._repository, name, selector, protected=False))
        log.debug("unprotected %s@%s in %s", name, done, self._backend.location)
        return done

    # ------------------------------------------------------------------------------------------ garbage

    def prune(
        self, keep_last: int, names: str | Iterable[str] | None = None, *, dry_run: bool = False
    ) -> Pruned:
        """Delete old versions: of each name all but the highest `keep_last`. Protected and tagged ones stay, too.

        As after any `delete`, the data stay until they are collected, and `undelete` brings versions back until then.

        Args:
            keep_last: So many versions of each name stay, 1 or more.
            names: Whose: a name or several; by default all names.
            dry_run: Only say what would be deleted.

        Raises:
            InvalidArgumentError: `keep_last` is not such a number.
            InvalidNameError: What was given is wrong.
            ObjectNotFoundError: There is no such name. Those before it, in their order, are done.
            CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        wanted = self._keys.plain_ones(names)
        pruned = prune(self._repository, keep_last, wanted, dry_run=flag(dry_run, "dry_run"))
        log.debug("prune: %d old versions in %s", len(pruned.versions), self._backend.location)
        return pruned

    def gc(
        self,
        *,
        min_age: str | float | timedelta = "1d",
        undelete_window: str | float | timedelta = "7d",
        compact: bool = False,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
        shared_fs: bool = False,
    ) -> Collection:
        """Collect garbage: delete the data that no version needs, of deleted versions and interrupted saves.

        Safe at any time, beside any number of savers, readers and other collectors. Nothing that a version needs is
        deleted, whatever the arguments are. A collection that was interrupted is taken on by the next one.

        Data goes by whole packs, of up to 32 MiB. With `compact`, what versions still need moves out of packs that are
        mostly garbage, or of which there are many small ones, so that they can go too; see docs/operations.md for which.
        Versions stay what they are, with their digests, and whoever is reading them goes on.

        Durations are texts such as `"12h"` or `"2w"`, numbers of seconds, or `timedelta`s.

        Args:
            min_age: Younger files stay, so that saves under way need not store them twice.
            undelete_window: So long after its deletion a version keeps its data, and `undelete` brings it back. After
                the collection it cannot any more.
            compact: Compact first. What is damaged is not moved; `compaction.left` of the result says so.
            dry_run: Delete and move nothing; the result says what would go.
            progress: Is told about the phases `list`, `mark`, `fence` and `delete`, in files; before them `weigh`, in names,
                and `compact`, in bytes.
            shared_fs: On a network file system (NFS, SMB, FUSE) nothing is collected unless this says that what one
                machine writes there is seen by all others at once, listings included.

        Raises:
            InvalidArgumentError: What was given is wrong.
            UnsafeStorageError: It is a network file system, and nobody vouches for it; or the storage is not fit to be
                written to.
            CorruptError: Something that versions need is damaged or lost; names it. Nothing is deleted before it is
                restored, or what needs it is gone.
            UnsupportedFormatError: Something was written by a newer casreg. Nothing was deleted.
            CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost. Collect again.
            StorageError: The storage refused or failed. Collect again: the next collection goes on from there.
        """
        terms = GcTerms(
            min_age=seconds(min_age, "min_age"),
            undelete_window=seconds(undelete_window, "undelete_window"),
            shared_fs=flag(shared_fs, "shared_fs"),
        )
        done = collect(
            self._repository,
            terms,
            self._told(progress),
            dry_run=flag(dry_run, "dry_run"),
            compacted=flag(compact, "compact"),
        )
        log.debug("gc of %s: %s", self._backend.location, done)
        return done

    # ------------------------------------------------------------------------------------------ damage

    def verify(
        self,
        *,
        data: bool = False,
        sample: float | None = None,
        names: str | Iterable[str] | None = None,
        progress: ProgressCallback | None = None,
    ) -> Report:
        """See whether everything is there, and is what was written. Only reads, at any time, and no local copies.

        Always read are all refs, manifests, chunk lists and trees, the ends of packs, and what belongs to no version.
        What is wrong is read again, and what moved on meanwhile is looked for where it is now, before it is called
        damage.

        Args:
            data: Read all data, too: every byte.
            sample: Read this share of it, above 0 and up to 1, in packs that are drawn at random.
            names: Look at a name, or several, only; by default at everything.
            progress: Is told: in the phase `survey`, `done` and `total` are names, in `verify` bytes.

        Returns:
            `report.clean`, `report.damages` (each names the file, what is wrong with it, and the versions and tags that
            it touches), and what was read.

        Raises:
            InvalidNameError, InvalidArgumentError: What was given is wrong.
            ObjectNotFoundError: There is no such name.
            StorageError: The place cannot be listed. A file that cannot be read is in the report, and is not damage.
        """
        report = verify(
            self._repository,
            data=flag(data, "data"),
            sample=sample,
            names=self._keys.plain_ones(names),
            progress=self._told(progress),
        )
        log.debug("verified %s: %d damages", self._backend.location, len(report.damages))
        return report

    def heal(
        self,
        source: Registry | str | os.PathLike[str],
        *,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Healing:
        """Read everything, and write anew what is damaged or lost, from what is whole here and in another copy.

        What the copy has to have is looked up by digest: it may be a bundle, another registry with the same data, or a
        backup of the folder, older or newer. Versions keep their numbers, digests, times, notes and tags. Nothing that
        can be read is written over; damaged files are left to the collector, and nobody builds on them any more. Refs
        that cannot be read, and those that vanished, come back as the copy has them.

        Safe beside savers and readers. What was interrupted is done by healing again.

        Args:
            source: The other copy: a Registry, or its place, or a bundle. It is only read.
            dry_run: Write nothing; the result says what could be healed.
            progress: Is told: as by `verify`, and then in the phase `heal` about bytes of versions.

        Returns:
            `healing.clean`, `healing.healed`, and `healing.left` with the reasons.

        Raises:
            InvalidArgumentError: What was given is wrong, or the source is this very place.
            UnsafeStorageError: The place is not fit to be written to.
            ReadOnlyError: It is a bundle, which can only be read.
            CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost. Heal again.
            CorruptError, UnsupportedFormatError: Something that has to be understood is damaged for good, or was written
                by a newer casreg.
            StorageError: One of the two cannot be read, or the place refused. Heal again.
        """
        other = source if isinstance(source, Registry) else Registry(source, cache=False)
        done = heal(
            self._repository,
            other._repository,  # noqa: SLF001 - one of our own
            mark_bad,
            dry_run=flag(dry_run, "dry_run"),
            progress=self._told(progress),
        )
        log.debug("healed %s with %s: %s", self._backend.location, done.source, done)
        return done

    def adopt(
        self,
        *,
        data: bool = False,
        dry_run: bool = False,
        progress: ProgressCallback | None = None,
        shared_fs: bool = False,
    ) -> Adoption:
        """Make a repository of its own of a folder or bucket that was copied, or restored, by other tools.

        Such a copy has the id of the original, and what a collector was doing there. It gets an id of its own, a new
        head, and new ids for the present state of every name; the index is brought up to date; the place is probed; and
        a verification says what is damaged or did not come along. Versions, numbers, tags, notes and times stay, and
        nothing is deleted.

        Do it before anybody writes to the copy. On a registry that is no copy it does no harm, also beside savers and
        collectors: machines read some files once more when they save them, and the next sync knows less of who changed
        a tag. What was interrupted is done by adopting again.

        Args:
            data: Read every byte, too, as `verify` does.
            dry_run: Only look; the result says what would be done, and what is damaged.
            progress: Is told: in the phases `look`, `adopt` and `survey` about names, in `verify` about bytes.
            shared_fs: On a network file system (NFS, SMB, FUSE) nothing is done unless this says that what one machine
                writes there is seen by all others at once, listings included.

        Returns:
            `adoption.clean`, `adoption.report` with what is damaged, `adoption.id`, and what was written.

        Raises:
            InvalidArgumentError: What was given is wrong.
            ObjectNotFoundError: There is no registry at this place. Nothing was written.
            UnsafeStorageError: It is a network file system, and nobody vouches for it; or the storage is not fit to be
                written to.
            ReadOnlyError: It is a bundle, which can only be read.
            UnsupportedFormatError: It was written by a newer casreg. Nothing was written.
            CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost. Adopt again.
            CorruptError: Something was damaged, or went, while this ran. Adopt again.
            StorageError: The storage refused or failed. Adopt again.
        """
        done = adopt(
            self._repository,
            data=flag(data, "data"),
            dry_run=flag(dry_run, "dry_run"),
            shared_fs=flag(shared_fs, "shared_fs"),
            progress=self._told(progress),
        )
        if not done.dry_run:
            self._open = None  # what was known of the place is known of another repository
        log.debug("adopted %s: %s", self._backend.location, done)
        return done

    # ------------------------------------------------------------------------------------------ types

    def register_materializer(self, target: type | str, materializer: MaterializerLike) -> None:
        """Use `materializer` for objects of `target` and of its subclasses, in this process.

        Args:
            target: A class, or its dotted name `"my_module.MyClass"`.
            materializer: An instance, a class, or a dotted name, which is imported at first use.

        Raises:
            InvalidArgumentError: It is not a materializer.
        """
        self._table.register(target, materializer)
        log.debug("registered a materializer for %s", target)

    def registered_materializer(self, target: type | str) -> str | None:
        """The id of the materializer that saves objects of `target`, as `"numpy.ndarray/1"`; None if there is none.

        Args:
            target: A class, or a dotted name. Of a name whose module was not imported yet the base classes are not
                known, and so not asked.

        Raises:
            InvalidArgumentError: `target` is neither. Or a materializer that was registered by its dotted name cannot be imported.
        """
        return self._table.id_for(target)

    def registered_materializers(self) -> dict[str, str]:
        """Dotted name of each class that has a materializer of its own, and that one's id; sorted.

        Those that were registered here, casreg's, and those of installed packages.

        Raises:
            InvalidArgumentError: A materializer that was registered by its dotted name cannot be imported.
        """
        return self._table.ids()

    def register_class(self, cls: type, key: str | None = None) -> None:
        """Let values of a dataclass, pydantic model, enum or namedtuple be saved and loaded, in this process.

        Args:
            cls: The class.
            key: What stored values call it; by default `module.qualname`.

        Raises:
            InvalidArgumentError: It is none of these, or the key belongs to another class.
        """
        self._classes.register(cls, key)
        log.debug("registered the class %s", cls)

    # ------------------------------------------------------------------------------------------ as a mapping

    def __getitem__(self, key: str) -> Any:
        """As `load(key)`."""
        return self.load(key)

    def __setitem__(self, key: str, value: Any) -> None:
        """As `save(key, value)`."""
        self.save(key, value)

    def __delitem__(self, key: str) -> None:
        """As `delete(key)`."""
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        """As `has_object(key)`, and False for what cannot be a key. Loads nothing."""
        if not isinstance(key, str):
            return False
        try:
            return self.has_object(key)
        except (InvalidNameError, InvalidVersionError):
            return False

    def __iter__(self) -> Iterator[str]:
        """The names, sorted, as they were when this was called."""
        return iter(self.list_objects())

    def __len__(self) -> int:
        """How many names there are."""
        return len(self.list_objects())

    def __eq__(self, other: object) -> bool:
        """Whether it is this very Registry: nothing is compared."""
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def pop(self, key: str, default: Any = _NO_DEFAULT) -> Any:
        """Load `key`, then delete it: all versions of a name, or the one that `name@version` means.

        Nothing is deleted that came after what is returned: that is loaded instead.

        Args:
            key: The name, or `name@version`, with a version, a tag or a range.
            default: What to return if there is no such object.

        Raises:
            ObjectNotFoundError: There is none, and no `default`.
            VersionProtectedError: It is protected.
            ObjectChangedError: Others kept changing it.
            CasregError: What `load` and `delete` raise. Nothing is deleted then.
        """
        try:
            name, selector = self._keys.within(key)
            return mapping.pop(self._repository, name, selector, lambda version: self.load(name, version))
        except ObjectNotFoundError:
            if default is _NO_DEFAULT:
                raise
            return default

    def popitem(self) -> tuple[str, Any]:
        """Load the first name, then delete it.

        Raises:
            ObjectNotFoundError: There is none.
            CasregError: What `pop` raises.
        """
        for name in self:
            return name, self.pop(name)
        raise ObjectNotFoundError(f"there is nothing in {self._backend.location}")

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Load `key`; if it is not there, save `default` and return it.

        Whoever comes first with a number, or to a registry that keeps one version of each name, is not replaced: what
        they saved is returned.

        Args:
            key: The name, or `name@version`.
            default: What to save.

        Raises:
            CasregError: What `load` and `save` raise.
        """
        for _ in range(2):
            with suppress(ObjectNotFoundError):
                return self.load(key)
            (item,) = self.save([key], [default], on_conflict="skip").items
            if item.error is not None:
                raise item.error
            if not item.skipped:
                return default
        # Another number is the only one that is kept here, or it comes and goes.
        self.save(key, default)
        return default

    def update(  # type: ignore[override]  # it takes what those of other mappings take, and more
        self,
        source: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        /,
        *,
        sync_all_versions: bool = True,
        **named: Any,
    ) -> None:
        """Save what a mapping or pairs hold, each as `save` does; or copy what another Registry holds.

        From a Registry come all versions with their numbers, digests, metadata, times, notes, tags and protection,
        and only the chunks that are missing here are moved. Conflicts are looked for before anything is written.

        Args:
            source: A mapping, or pairs of key and object; keys are `name` or `name@version`. Or a Registry.
            sync_all_versions: False takes the latest version of each name only. For a Registry.
            **named: More objects, by name.

        Raises:
            VersionConflictError: This registry has, or had, some of the numbers with other content; names them.
            CorruptError, UnsupportedFormatError: Some versions of the Registry cannot be read: they are named, and all
                others have been copied.
            CasregError: What `save` raises. What came before it has been saved.
        """
        flag(sync_all_versions, "sync_all_versions")
        if isinstance(source, Registry):
            other = source._repository  # noqa: SLF001 - one of our own
            self._copy_all(other, None if sync_all_versions else Latest())
            source = ()
        for key, value in mapping.pairs(source, named):
            self.save(key, value)

    def clear(self) -> None:
        """Delete all objects. Their numbers stay used; `undelete` brings versions back until their data is collected.

        Raises:
            VersionProtectedError: Versions are protected. Nothing was deleted, unless they were protected meanwhile.
            CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
            StorageError: The storage refused or failed.
        """
        mapping.clear(self._repository)
        log.debug("deleted everything in %s", self._backend.location)

    # ------------------------------------------------------------------------------------------ as text

    def __repr__(self) -> str:
        """The call that makes one like it. No I/O."""
        return call(
            "Registry",
            self._backend.location,
            version_objects=(self._version_objects, True),
            mutable=(self._mutable, False),
            allow_pickle=(self._allow_pickle, False),
            trusted=(sorted(self._trusted), []),
            allow_underscore=(self._keys.allow_underscore, False),
        )

    def __str__(self) -> str:
        """A table of the first names: latest version, number of versions, size and class of the latest, tags.

        Raises:
            CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
            StorageError: The place cannot be read.
        """
        return table(self._backend.location, *summaries(self._repository, ROWS))

    # ------------------------------------------------------------------------------------------ inside

    @property
    def _repository(self) -> Repository:
        """The engine of this process. A forked child has its own: the parent's locks may be held by nobody there."""
        if self._open is None or self._open[0] != os.getpid():
            self._open = (os.getpid(), Repository(with_cache(self._backend, self._cache)))
        return self._open[1]

    def _pickle(self, allow_pickle: bool | None) -> bool:
        return self._allow_pickle if allow_pickle is None else flag(allow_pickle, "allow_pickle")

    def _told(self, progress: ProgressCallback | None) -> ProgressCallback | None:
        return callback(progress) or self._progress

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None, "_progress": None}
