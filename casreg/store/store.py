"""`Store`: many registries behind one API. It finds the registry that a key means, and leaves the work to it."""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, overload

from casreg.exceptions import (
    InvalidArgumentError,
    InvalidNameError,
    InvalidVersionError,
    ObjectNotFoundError,
    StoreKeyFormatError,
    StoreLocationNotFound,
)
from casreg.registry import Registry
from casreg.registry.arguments import flag
from casreg.registry.mapping import pairs
from casreg.store import batches, moving
from casreg.store.config import read_configuration
from casreg.store.keys import StoreKey, build_key, parse_key, parse_pattern
from casreg.store.mounts import mount_of, mounts_of, table_of
from casreg.store.routing import Router, parse

if TYPE_CHECKING:
    import io
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import PurePath

    from casreg.difference import Difference
    from casreg.materializers.table import MaterializerLike
    from casreg.progress import ProgressCallback
    from casreg.registry.batch import BatchResult
    from casreg.repository.conflicts import OnConflict
    from casreg.store.mounts import Mount, Place
    from casreg.sync import Synced
    from casreg.versions import Bump


class Store(MutableMapping[str, Any]):
    """Registries under locations: `location/name` is the object `name` in the registry at `location`.

    What changes something needs the location. What only reads takes a name alone too, and asks every mount which
    has it: none is `ObjectNotFoundError`, several are `StoreAmbiguousObjectError`, and a mount that cannot say makes
    it `StoreMountError`; nothing is ever picked silently. With a version, tag or range in the key a mount has the
    object if it has such a version. Keys may be `name@version` wherever names may.

    One Store may be used by many threads, survives `fork`, and pickles as its registries do. Making one reads the
    configuration file at most, and does no other I/O.
    """

    def __init__(
        self,
        mounts: Mapping[str, Place] | Sequence[Mount] | None = None,
        *,
        default_location: str | None = None,
    ) -> None:
        """Open a store.

        Args:
            mounts: Registries, paths, URIs or backends by location, or a list of `Mount`. By default those that the
                configuration file and `CASREG_MOUNTS` name, and `default`, a lasting local folder.
            default_location: The location to ask first for a name alone. It decides nothing: all are asked.

        Raises:
            InvalidArgumentError: The mounts cannot be understood.
            StoreLocationNotFound: No mount has the default location.
            ConfigError: The configuration cannot be understood. Names the file or variable, and the entry.
        """
        if mounts is None:
            configured = read_configuration()
            first = configured.default_location if default_location is None else default_location
            self._router = Router(configured.mounts, first)
        else:
            self._router = Router(mounts_of(mounts), default_location)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the temporary folders of paths that were loaded. The Store can be used further."""
        for mount in self._router.mounts.all():
            mount.registry.__exit__()

    # ------------------------------------------------------------------------------------------ mounts

    @property
    def default_location(self) -> str | None:
        """The location that is asked first for a name alone; None where there is no preference."""
        return self._router.default

    def set_default_location(self, location: str | None) -> None:
        """Ask this location first from now on; None: no preference.

        Raises:
            StoreLocationNotFound: No mount has it.
        """
        self._router.default = None if location is None else self._router.mounts.get(location).location

    def add_mount(self, location: str, registry: Place, *, read_only: bool = False) -> None:
        """Mount a registry (or a path, URI or backend) under a location.

        Args:
            location: ASCII letters, digits, `-`, `.` and `_`.
            registry: What to mount. One registry may stand under two locations.
            read_only: This store changes nothing there. The registry itself stays what it is.

        Raises:
            InvalidArgumentError: The location is taken or cannot be one, or the place cannot be understood.
        """
        self._router.add(mount_of(location, registry, read_only=read_only))

    def remove_mount(self, location: str) -> None:
        """Take a mount out of this store. Its registry and everything in it stay.

        Raises:
            StoreLocationNotFound: There is none.
        """
        self._router.remove(location)

    def has_mount(self, location: str) -> bool:
        """Whether there is a mount of this location."""
        return location in self._router.mounts

    def list_mounts(self) -> list[str]:
        """The locations, sorted."""
        return sorted(mount.location for mount in self._router.mounts.all())

    def get_mount(self, location: str) -> Mount:
        """The mount of a location.

        Raises:
            StoreLocationNotFound: There is none. Says which there are.
        """
        return self._router.mounts.get(location)

    def get_registry(self, location: str) -> Registry:
        """The registry at a location, with all that it can do; what a mount forbids it does not know.

        Raises:
            StoreLocationNotFound: There is none. Says which there are.
        """
        return self._router.mounts.get(location).registry

    @staticmethod
    def parse_key(key: str) -> StoreKey:
        """Take `location/name@version` apart: `location, name, version = store.parse_key(key)`; None for what is not said.

        Raises:
            StoreKeyFormatError: It is no key.
            InvalidNameError: Its name cannot be one.
        """
        return parse_key(key)

    @staticmethod
    def build_key(location: str, name: str, version: str | None = None) -> str:
        """The key of these parts.

        Raises:
            InvalidArgumentError, InvalidNameError, StoreKeyFormatError: They cannot be parts of one.
        """
        return build_key(location, name, version)

    # ------------------------------------------------------------------------------------------ objects

    @overload
    def save(
        self,
        key: str,
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
        key: list[str] | tuple[str, ...],
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
        key: str | Sequence[str],
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
        """Save `obj` as a version of `location/name`. When this returns, the version exists and is durable.

        With a list of keys and a list of as many objects, each is saved by itself at its own mount, some at once, and
        what fails stops no other.

        Args:
            key: `location/name`, or `location/name@version`; or a list of them.
            obj: What to save; or a list.
            version: The version; by default the next one.
            materializer: What turns the object into files. This and all below as for `Registry.save`.
            metadata: JSON values that become part of the version; of a list also one for each.
            notes: JSON values that `annotate` may change later; of a list also some for each.
            tags: Tags that move to this version, in the same commit; of a list also a list of lists.
            bump: Which part of the latest version the next one raises.
            on_conflict: What to do if the version exists with other content.
            if_changed: Make no version if the latest one has the same content and metadata.
            trusted: As for the Registry, for this call.
            allow_pickle: As for the Registry, for this call.
            progress: As for the Registry, for this call.

        Returns:
            The version. Of a list the `BatchResult`, whose items carry the errors below.

        Raises:
            StoreKeyFormatError: The key has no location, or is none.
            StoreLocationNotFound: No mount has the location. Says which there are.
            ReadOnlyError: The mount is read-only.
            CasregError: What `Registry.save` raises.
        """
        options: dict[str, Any] = {
            "materializer": materializer,
            "metadata": metadata,
            "notes": notes,
            "tags": tags,
            "bump": bump,
            "on_conflict": on_conflict,
            "if_changed": if_changed,
            "trusted": trusted,
            "allow_pickle": allow_pickle,
            "progress": progress,
        }
        if isinstance(key, list | tuple):
            return batches.save(self._router, key, obj, version, options)
        registry, to = self._router.to_change(key, "save", version)  # type: ignore[arg-type]  # see the overloads
        return registry.save(to.name, obj, version=to.version, **options)

    @overload
    def load(
        self,
        key: str,
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
        key: list[str] | tuple[str, ...],
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
        key: str | Sequence[str],
        version: str | Sequence[str | None] | None = None,
        *,
        into: object | None = None,
        as_: type | None = None,
        materializer: MaterializerLike | None = None,
        trusted: Iterable[str] = (),
        allow_pickle: bool | None = None,
        progress: ProgressCallback | None = None,
    ) -> Any:
        """Load a version, from the location in the key, or from the one mount that has it.

        With a list of keys each is loaded by itself, some at once, and what fails stops no other.

        Args:
            key: `location/name` or `name`; each may have `@version` behind it. Or a list of them.
            version: A version, `"latest"`, a tag or a range; by default the latest.
            into: What shall hold the object. This and all below as for `Registry.load`; this one for one key only.
            as_: The class of the result, where the value needs one that is not registered.
            materializer: What turns the files into the object; by default what the version names.
            trusted: As for the Registry, for this call.
            allow_pickle: As for the Registry, for this call.
            progress: As for the Registry, for this call.

        Returns:
            The object. Of a list the `BatchResult`, whose items carry the errors below.

        Raises:
            ObjectNotFoundError: It is not there; for a name alone: in no mount (a `KeyError` and a `ValueError`).
            StoreAmbiguousObjectError: Several mounts have it. Lists the keys to choose from.
            StoreMountError: A mount could not be asked. Names it, and the keys under which the object was found.
            StoreLocationNotFound, StoreKeyFormatError: No mount has the location; it is no key.
            CasregError: What `Registry.load` raises.
        """
        options: dict[str, Any] = {
            "into": into,
            "as_": as_,
            "materializer": materializer,
            "trusted": trusted,
            "allow_pickle": allow_pickle,
            "progress": progress,
        }
        if isinstance(key, list | tuple):
            return batches.load(self._router, key, version, options)
        mount, to = self._router.to_read(key, version)  # type: ignore[arg-type]  # see the overloads
        return mount.registry.load(to.name, to.version, **options)

    @overload
    def delete(self, key: str, version: str | None = None) -> list[str]: ...
    @overload
    def delete(
        self, key: list[str] | tuple[str, ...], version: str | Sequence[str | None] | None = None
    ) -> BatchResult[list[str]]: ...
    def delete(
        self, key: str | Sequence[str], version: str | Sequence[str | None] | None = None
    ) -> list[str] | BatchResult[list[str]]:
        """Delete a version of `location/name`, or all its versions, as `Registry.delete` does.

        Returns:
            The versions that were deleted. Of a list of keys the `BatchResult`, whose items carry the errors below.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.delete` raises.
        """
        if isinstance(key, list | tuple):
            return batches.delete(self._router, key, version)
        registry, to = self._router.to_change(key, "delete", version)  # type: ignore[arg-type]  # see the overloads
        return registry.delete(to.name, to.version)

    def undelete(self, key: str, version: str | None = None) -> str:
        """Bring a deleted version of `location/name` back, as `Registry.undelete` does. Returns it.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.undelete` raises.
        """
        registry, to = self._router.to_change(key, "undelete", version)
        return registry.undelete(to.name, to.version)

    def tag(self, key: str, tag_name: str, version: str | None = None) -> str:
        """Let a tag of `location/name` point to a version (by default the latest). Returns the version.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.tag` raises.
        """
        registry, to = self._router.to_change(key, "tag", version)
        return registry.tag(to.name, tag_name, to.version)

    def untag(self, key: str, tag_name: str) -> None:
        """Remove a tag of `location/name`; with `@version` only if it points to that version.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.untag` raises.
        """
        registry, to = self._router.to_change(key, "untag")
        registry.untag(to.inside, tag_name)

    def annotate(self, key: str, /, version: str | None = None, **notes: Any) -> dict[str, Any]:
        """Change notes of a version of `location/name` (by default the latest); None removes one. Returns all.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.annotate` raises.
        """
        registry, to = self._router.to_change(key, "annotate", version)
        return registry.annotate(to.name, to.version, **notes)

    def protect(self, key: str, version: str | None = None) -> str:
        """Protect a version of `location/name`, as `Registry.protect` does. Returns it.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.protect` raises.
        """
        registry, to = self._router.to_change(key, "protect", version)
        return registry.protect(to.name, to.version)

    def unprotect(self, key: str, version: str | None = None) -> str:
        """Take the protection of a version of `location/name` away. Returns it.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.unprotect` raises.
        """
        registry, to = self._router.to_change(key, "unprotect", version)
        return registry.unprotect(to.name, to.version)

    def rename(self, old: str, new: str) -> list[str]:
        """Give an object another name in its mount, with all versions, tags and notes. Returns the versions.

        Raises:
            StoreKeyFormatError: A key has no location, or the two have different ones: `move` goes between mounts.
            StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.rename` raises.
        """
        registry, was = self._router.to_change(old, "rename")
        _, to = self._router.to_change(new, "rename")
        if was.location != to.location:
            raise StoreKeyFormatError(
                f"{old!r} and {new!r} are in two mounts, and rename stays in one: move({old!r}, {new!r}) takes a "
                "version from one to the other"
            )
        return registry.rename(was.inside, to.inside)

    # ------------------------------------------------------------------------------------------ between mounts

    def copy(
        self,
        source: str,
        target: str,
        *,
        source_version: str | None = None,
        target_version: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> str:
        """Copy one version to another mount or name, as `Registry.download`: digests, metadata, class, notes, bytes.

        Nothing is made anew from the object. Tags and protection stay behind. Onto itself it changes nothing.

        Args:
            source: `location/name` or, if one mount has it, `name`; each may have `@version` behind it.
            target: `location/name`, or `location/` for the same name.
            source_version: Which version, tag or range; by default the latest.
            target_version: The number there; by default the same.
            progress: Told about it.

        Returns:
            The number there. If it is there already with the same content, it stays.

        Raises:
            ReadOnlyError: The target is read-only.
            VersionConflictError: The target has, or had, other content under that number.
            StoreKeyFormatError, StoreLocationNotFound: The target has no location, or an unknown one.
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: As `load`.
            CasregError: What `Registry.download` raises.
        """
        end, to = self._router.target(target, source, target_version, "copy")
        begin, key = self._router.to_read(source, source_version)
        return moving.copy(begin, key, end, to, progress)

    def move(
        self,
        source: str,
        target: str,
        *,
        source_version: str | None = None,
        target_version: str | None = None,
        progress: ProgressCallback | None = None,
    ) -> str:
        """Copy one version as `copy` does, with its tags, see that it is there, then delete it at the source.

        Onto itself, also through two mounts of one place, it changes nothing and loses nothing. A tag that the
        target's name has already stays where it is there. What is protected or read-only is refused before anything is
        copied. After a crash the version may be in both places: to move it again ends it.

        Args:
            source: `location/name`, perhaps with `@version`.
            target: `location/name`, or `location/` for the same name.
            source_version: Which version, tag or range; by default the latest.
            target_version: The number there; by default the same.
            progress: Told about the copy.

        Returns:
            The number there.

        Raises:
            ReadOnlyError: One of the two is read-only.
            VersionProtectedError: The version is protected.
            ObjectChangedError: It was changed by somebody else meanwhile. Nothing was deleted.
            StoreError: The two places are one under different addresses, or may be. Nothing was deleted.
            StoreKeyFormatError, StoreLocationNotFound: A key has no location, or an unknown one.
            CasregError: What `Registry.download` and `Registry.delete` raise.
        """
        end, to = self._router.target(target, source, target_version, "move")
        begin, key = self._router.placed(parse(source, source_version), "move")
        return moving.move(begin, key, end, to, progress)

    def export(
        self,
        location: str,
        path: str | os.PathLike[str],
        names: str | Iterable[str] | None = None,
        *,
        progress: ProgressCallback | None = None,
    ) -> list[str]:
        """Write versions of one mount into a bundle file, as `Registry.export`.

        Args:
            location: The mount.
            path: The new file, whose name ends in `.casreg`. It can be mounted itself.
            names: Names there, or `name@version`, without the location; by default everything.
            progress: Told about it.

        Returns:
            What is in it, as `name@version`.

        Raises:
            StoreLocationNotFound: No mount has the location.
            CasregError: What `Registry.export` raises.
        """
        return self.get_registry(location).export(path, names, progress=progress)

    def import_(
        self,
        location: str,
        path: str | os.PathLike[str],
        names: str | Iterable[str] | None = None,
        *,
        progress: ProgressCallback | None = None,
    ) -> list[str]:
        """Take versions out of a bundle file into one mount, as `Registry.import_`.

        Args:
            location: The mount.
            path: The bundle.
            names: Names there, or `name@version`, without the location; by default everything.
            progress: Told about it.

        Returns:
            What was named and is at the mount now, as `name@version`.

        Raises:
            StoreLocationNotFound, ReadOnlyError: No mount has the location; it is read-only.
            CasregError: What `Registry.import_` raises.
        """
        return self.get_mount(location).writable("import_").import_(path, names, progress=progress)

    def sync(
        self,
        source: str,
        target: str,
        names: str | Iterable[str] | None = None,
        *,
        dry_run: bool = False,
        overwrite: bool = False,
        delete: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Synced:
        """Bring one mount up to date with another, as `Registry.sync`.

        Args:
            source: The location of the mount that is only read.
            target: The location of the other.
            names: Names there, without the location; by default all.
            dry_run: Change nothing.
            overwrite: What disagrees becomes what the source says.
            delete: Delete at the target what does not live at the source.
            progress: Told about it.

        Returns:
            What was done, and what disagrees.

        Raises:
            StoreLocationNotFound, ReadOnlyError: No mount has the location; the target is read-only.
            CasregError: What `Registry.sync` raises.
        """
        mount = self.get_mount(target)
        registry = mount.registry if flag(dry_run, "dry_run") else mount.writable("sync")
        return registry.sync(
            self.get_registry(source),
            names,
            dry_run=dry_run,
            overwrite=overwrite,
            delete=delete,
            progress=progress,
        )

    # ------------------------------------------------------------------------------------------ questions

    def has_object(self, key: str, version: str | None = None) -> bool:
        """Whether there is such an object (or version); for a name alone: in any mount, be it one or several.

        Raises:
            StoreMountError: For a name alone: no mount has it that could be asked, and one could not.
            StoreLocationNotFound, StoreKeyFormatError: No mount has the location; it is no key.
            CasregError: What `Registry.has_object` raises.
        """
        parsed = parse(key, version)
        if parsed.location is None:
            return self._router.who_has(parsed).exists()
        mount, to = self._router.locate(parsed)
        return mount.registry.has_object(to.name, to.version)

    def info(self, key: str | None = None, version: str | None = None) -> dict[str, Any]:
        """What is known of a version, as `Registry.info` says it; without a key, of the latest version of each object.

        Beside the keys of `Registry.info` there are `location`, and `key`: what to load it with, its version included.

        Raises:
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: As `load`. Without a key, a mount that
                cannot be asked is a `StoreMountError`.
            StoreLocationNotFound, StoreKeyFormatError: No mount has the location; it is no key.
            CasregError: What `Registry.info` raises.
        """
        if key is not None:
            mount, to = self._router.to_read(key, version)
            return _described(mount, mount.registry.info(to.name, to.version))
        if version is not None:
            raise InvalidArgumentError(f"version={version!r} needs a key: info('location/name', {version!r})")
        found = self._router.of_all(lambda registry: registry.info(), None, "what info() says")
        return {
            f"{mount.location}/{name}": _described(mount, info)
            for mount, infos in found
            for name, info in infos.items()
        }

    def find(
        self, pattern: str = "*", *, where: Mapping[str, Any] | None = None, version: str | None = None
    ) -> list[dict[str, Any]]:
        """The versions that fit, as `Registry.find`, in all mounts, or with `location/pattern` in one.

        Args:
            pattern: `location/pattern` or `pattern`; each may have `@version` behind it.
            where: What their metadata or notes have to say.
            version: Which versions of each object; by default the latest.

        Returns:
            One dict for each, as of `info`, sorted by location, name and version.

        Raises:
            StoreMountError: A mount could not be asked: a result is complete, or it is an error.
            StoreLocationNotFound, StoreKeyFormatError: No mount has the location; it is no pattern.
            CasregError: What `Registry.find` raises.
        """
        location, names = parse_pattern(pattern)
        found = self._router.of_all(
            lambda registry: registry.find(names, where=where, version=version), location, "what was found"
        )
        return [_described(mount, row) for mount, rows in found for row in rows]

    def list_objects(self, location: str | None = None) -> list[str]:
        """The qualified keys of all objects, or of those at one location, sorted.

        Raises:
            StoreMountError: A mount could not be asked: a listing is complete, or it is an error.
            StoreLocationNotFound: No mount has the location.
        """
        found = self._router.of_all(lambda registry: registry.list_objects(), location, "the list")
        return sorted(f"{mount.location}/{name}" for mount, names in found for name in names)

    def list_versions(self, key: str) -> list[str]:
        """The versions of an object, ascending; with `@` and a version, tag or range those that it means. Perhaps none.

        Raises:
            StoreAmbiguousObjectError, StoreMountError: As `load`.
            StoreLocationNotFound, StoreKeyFormatError: No mount has the location; it is no key.
            CasregError: What `Registry.list_versions` raises.
        """
        try:
            mount, to = self._router.to_read(key)
        except ObjectNotFoundError:
            return []
        return mount.registry.list_versions(to.inside)

    def list_objects_and_versions(self, location: str | None = None) -> dict[str, list[str]]:
        """The versions of every object, by qualified key.

        Raises:
            StoreMountError, StoreLocationNotFound: As `list_objects`.
        """
        found = self._router.of_all(
            lambda registry: registry.list_objects_and_versions(), location, "the list"
        )
        return {
            f"{mount.location}/{name}": versions for mount, names in found for name, versions in names.items()
        }

    def open(
        self, key: str, path: str | PurePath | None = None, version: str | None = None
    ) -> io.BufferedReader:
        """One file of a version as a stream, without fetching the rest, as `Registry.open`.

        Raises:
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: As `load`.
            CasregError: What `Registry.open` raises.
        """
        mount, to = self._router.to_read(key, version)
        return mount.registry.open(to.name, path, to.version)

    def files(self, key: str, version: str | None = None) -> list[dict[str, Any]]:
        """The files that a version consists of, as `Registry.files`.

        Raises:
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: As `load`.
            CasregError: What `Registry.files` raises.
        """
        mount, to = self._router.to_read(key, version)
        return mount.registry.files(to.name, to.version)

    def diff(self, key: str, version1: str | None = None, version2: str | None = None) -> Difference:
        """What differs between two versions in one mount, as `Registry.diff`.

        Raises:
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: As `load`.
            CasregError: What `Registry.diff` raises.
        """
        mount, to = self._router.to_read(key)
        return mount.registry.diff(to.inside, version1, version2)

    def history(self, key: str) -> list[dict[str, Any]]:
        """What every version of an object is and was, as `Registry.history`. Of a deleted one it needs the location.

        Raises:
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: As `load`.
            CasregError: What `Registry.history` raises.
        """
        mount, to = self._router.to_read(key)
        return mount.registry.history(to.inside)

    # ------------------------------------------------------------------------------------------ types

    def register_materializer(self, target: type | str, materializer: MaterializerLike) -> None:
        """`Registry.register_materializer` at every mount of this store, also at those that are added later.

        Raises:
            InvalidArgumentError: It is not a materializer.
        """
        self._router.register("register_materializer", target, materializer)

    def register_class(self, cls: type, key: str | None = None) -> None:
        """`Registry.register_class` at every mount of this store, also at those that are added later.

        Raises:
            InvalidArgumentError: It is not such a class, or the key belongs to another class.
        """
        self._router.register("register_class", cls, key)

    # ------------------------------------------------------------------------------------------ as a mapping

    def __getitem__(self, key: str) -> Any:
        return self.load(key)

    def __setitem__(self, key: str, obj: object) -> None:
        self.save(key, obj)

    def __delitem__(self, key: str) -> None:
        self.delete(key)

    def __contains__(self, key: object) -> bool:
        """Whether there is such an object. What cannot be a key of an object here is not there."""
        if not isinstance(key, str):
            return False
        try:
            return self.has_object(key)
        except (StoreKeyFormatError, StoreLocationNotFound, InvalidNameError, InvalidVersionError):
            return False

    def __iter__(self) -> Iterator[str]:
        return iter(self.list_objects())

    def __len__(self) -> int:
        return len(self.list_objects())

    def __eq__(self, other: object) -> bool:
        """Whether it is this very Store: nothing is compared."""
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def pop(self, key: str, *default: Any) -> Any:
        """Load `location/name`, then delete it, as `Registry.pop`.

        Args:
            key: `location/name`, perhaps with `@version`.
            *default: What to return if there is no such object.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`.
            CasregError: What `Registry.pop` raises.
        """
        registry, to = self._router.to_change(key, "pop")
        return registry.pop(to.inside, *default)

    def popitem(self) -> tuple[str, Any]:
        """Load the first object of all mounts, then delete all its versions there. Errors as `pop`.

        Raises:
            ObjectNotFoundError: There is none.
        """
        for key in self:
            return key, self.pop(key)
        raise ObjectNotFoundError("there is nothing in any mount")

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Load `location/name`; if it is not there, save `default` and return it. See `Registry.setdefault`.

        Raises:
            CasregError: What `load` and `save` raise.
        """
        with suppress(ObjectNotFoundError):
            return self.load(key)
        registry, to = self._router.to_change(key, "setdefault")
        return registry.setdefault(to.inside, default)

    def update(  # type: ignore[override]  # it takes what those of other mappings take, and more
        self,
        source: Mapping[str, Any] | Iterable[tuple[str, Any]] = (),
        /,
        *,
        sync_all_versions: bool = True,
        **named: Any,
    ) -> None:
        """Save what a mapping or pairs hold, each as `save`; or copy what another Store holds, mount by mount.

        From a Store come the objects of each of its mounts to the mount of that location here, as `Registry.update`
        brings them: all versions with their numbers, digests, metadata, times, notes, tags and protection.

        Args:
            source: A mapping, or pairs of key and object. Or a Store.
            sync_all_versions: False takes the latest version of each object only. For a Store.
            **named: More objects, by key.

        Raises:
            StoreKeyFormatError, StoreLocationNotFound, ReadOnlyError: As `save`; of a Store before anything is copied.
            CasregError: What `save` or `Registry.update` raises. What came before it is there.
        """
        if isinstance(source, Registry):
            raise InvalidArgumentError(
                "the names of a Registry have no location: write get_registry('location').update(registry)"
            )
        if isinstance(source, Store):
            mounts = [source.get_mount(location) for location in source.list_mounts()]
            registries = [self.get_mount(mount.location).writable("update") for mount in mounts]
            for registry, mount in zip(registries, mounts, strict=True):
                registry.update(mount.registry, sync_all_versions=sync_all_versions)
            source = ()
        for key, value in pairs(source, named):
            self.save(key, value)

    def clear(self, location: str | None = None) -> None:
        """Delete every object at one location, as `Registry.clear`. A store is never emptied as a whole.

        Raises:
            StoreKeyFormatError: No location was given.
            StoreLocationNotFound, ReadOnlyError: No mount has the location; it is read-only.
            CasregError: What `Registry.clear` raises.
        """
        if location is None:
            raise StoreKeyFormatError(
                "clear() would delete every object of every mount: say which mount, as clear('location'), one by one"
            )
        self._router.mounts.get(location).writable("clear").clear()

    def __repr__(self) -> str:
        places = {mount.location: mount.place for mount in self._router.mounts.all()}
        return f"Store({places!r}, default_location={self.default_location!r})"

    def __str__(self) -> str:
        """A table of the mounts."""
        return table_of(self._router.mounts.all(), self.default_location)


def _described(mount: Mount, info: dict[str, Any]) -> dict[str, Any]:
    """What a registry knows of a version, and where it is."""
    key = StoreKey(mount.location, info["name"], info["version"])
    return {"key": str(key), "location": mount.location, **info}
