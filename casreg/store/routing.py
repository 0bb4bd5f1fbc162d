"""From a key to the mount it means, for reading and for changing."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeVar

from casreg.exceptions import InvalidArgumentError, StoreKeyFormatError
from casreg.store.discovery import Finder, ask_all, must_answer
from casreg.store.keys import StoreKey, parse_key
from casreg.store.mounts import MountTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from casreg.registry import Registry
    from casreg.store.discovery import Answers
    from casreg.store.mounts import Mount

log = logging.getLogger("casreg.store")

_T = TypeVar("_T")


class Router:
    """The mounts of a store, which of them is asked first, and what was registered for all of them.

    Safe in many threads and across a fork: it holds no lock, and each change is one step.
    """

    def __init__(self, mounts: Iterable[Mount], default: str | None) -> None:
        """Route to these mounts.

        Raises:
            InvalidArgumentError: Two have one location.
            StoreLocationNotFound: None has the default location.
        """
        self.mounts = MountTable(mounts)
        self.default = None if default is None else self.mounts.get(default).location
        self._finder = Finder()
        self._registrations: list[tuple[str, tuple[Any, ...]]] = []

    # ------------------------------------------------------------------------------------------ mounts

    def add(self, mount: Mount) -> None:
        """Add a mount, and register there what was registered for all.

        Raises:
            InvalidArgumentError: The location is taken, or the registry does not take what was registered.
        """
        self.mounts.add(mount)
        try:
            for method, arguments in list(self._registrations):
                getattr(mount.registry, method)(*arguments)
        except BaseException:
            self.mounts.remove(mount.location)
            raise
        log.debug("mounted %s at %s%s", mount.place, mount.location, " read-only" if mount.read_only else "")

    def remove(self, location: str) -> None:
        """Take a mount out; if it was the one to ask first, none is from now on.

        Raises:
            StoreLocationNotFound: There is none.
        """
        mount = self.mounts.remove(location)
        if self.default == location:
            self.default = None
        log.debug("removed the mount %s (%s)", location, mount.place)

    def register(self, method: str, *arguments: Any) -> None:
        """Call this method of every registry, and of those that come later.

        Raises:
            InvalidArgumentError: A registry does not take it.
        """
        registration = method, arguments
        self._registrations.append(registration)  # first: a mount that comes meanwhile has it too
        try:
            for mount in self.mounts.all():
                getattr(mount.registry, method)(*arguments)
        except BaseException:
            self._registrations.remove(registration)
            raise

    # ------------------------------------------------------------------------------------------ keys

    def to_read(self, key: str, version: str | None = None) -> tuple[Mount, StoreKey]:
        """The mount to read from, and the name and version to ask its registry for.

        Raises:
            StoreKeyFormatError, InvalidNameError, InvalidArgumentError: The key is none; two versions were said.
            StoreLocationNotFound: No mount has the location.
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: See `Answers.single`.
        """
        return self.locate(parse(key, version))

    def to_change(self, key: str, work: str, version: str | None = None) -> tuple[Registry, StoreKey]:
        """The registry to change, and the name and version to change there.

        Raises:
            StoreKeyFormatError, InvalidNameError, InvalidArgumentError: The key is none, or has no location; two
                versions were said.
            StoreLocationNotFound: No mount has the location.
            ReadOnlyError: The mount is read-only.
        """
        mount, parsed = self.placed(parse(key, version), work)
        return mount.writable(work), parsed

    def locate(self, key: StoreKey) -> tuple[Mount, StoreKey]:
        """The mount of a key's location; without one, the only mount that has the object.

        Raises:
            StoreLocationNotFound: No mount has the location.
            ObjectNotFoundError, StoreAmbiguousObjectError, StoreMountError: See `Answers.single`.
        """
        if key.location is not None:
            return self.mounts.get(key.location), key
        return self.who_has(key).single(), key

    def placed(self, key: StoreKey, work: str) -> tuple[Mount, StoreKey]:
        """The mount of a key's location, which it must have: what changes something is never guessed.

        Raises:
            StoreKeyFormatError: It has none. Says what to write.
            StoreLocationNotFound: No mount has it.
        """
        if key.location is None:
            locations = sorted(mount.location for mount in self.mounts.all())
            likely = self.default or (locations[0] if locations else "location")
            raise StoreKeyFormatError(
                f"{work} needs a location, and {str(key)!r} has none: write {f'{likely}/{key}'!r}; the mounts are "
                f"{', '.join(map(repr, locations)) or 'none yet (add_mount)'}"
            )
        return self.mounts.get(key.location), key

    def target(self, key: str, source: str, version: str | None, work: str) -> tuple[Mount, StoreKey]:
        """The mount to copy `source` to, and name and number there. `location/` alone means the same name.

        Raises:
            StoreKeyFormatError, InvalidNameError, InvalidArgumentError: A key is none, or the target has no location;
                two versions were said.
            StoreLocationNotFound: No mount has the location.
        """
        named = f"{key}{parse(source).name}" if str(key).endswith("/") else key
        return self.placed(parse(named, version), work)

    def who_has(self, key: StoreKey) -> Answers:
        """Ask every mount for the object.

        Raises:
            InvalidNameError: No mount takes such a name.
            InvalidVersionError: The version is none.
        """
        return self._finder.who_has(self.mounts.all(), key, self.default)

    def of_all(
        self, ask: Callable[[Registry], _T], location: str | None, what: str
    ) -> list[tuple[Mount, _T]]:
        """The answers of all mounts, or of the one at `location`.

        Raises:
            StoreLocationNotFound: No mount has the location.
            StoreMountError: One of all could not answer.
        """
        if location is not None:
            mount = self.mounts.get(location)
            return [(mount, ask(mount.registry))]
        return must_answer(ask_all(self.mounts.all(), ask), what)


def parse(key: str, version: str | None = None) -> StoreKey:
    """The key, with this version if one is given.

    Raises:
        StoreKeyFormatError, InvalidNameError: It is no key.
        InvalidArgumentError: It names another version.
    """
    return _with_version(parse_key(key), version)


def _with_version(key: StoreKey, version: str | None) -> StoreKey:
    if version is None or key.version == version:
        return key
    if key.version is not None:
        raise InvalidArgumentError(
            f"{str(key)!r} and version={version!r} name two versions; give one of them"
        )
    return key._replace(version=version)
