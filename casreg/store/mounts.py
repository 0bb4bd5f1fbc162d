"""Mounts: which registry stands under which location, and the table of them."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias, cast

from casreg.backends.base import Backend
from casreg.exceptions import InvalidArgumentError, ReadOnlyError, StoreLocationNotFound
from casreg.registry import Registry
from casreg.registry.arguments import flag
from casreg.store.keys import check_location

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


@dataclass(frozen=True, slots=True)
class Mount:
    """A registry under a location.

    Attributes:
        location: The name that stands before the `/` of a key.
        registry: The registry.
        read_only: The store that has this mount changes nothing there. The registry itself stays what it is.

    Raises:
        InvalidArgumentError: The location cannot be one, the registry is none, or `read_only` is no bool.
    """

    location: str
    registry: Registry
    read_only: bool = False

    def __post_init__(self) -> None:
        check_location(self.location)
        if not isinstance(self.registry, Registry):
            raise InvalidArgumentError(
                f"the mount {self.location!r} needs a Registry, not a {type(self.registry).__name__}: "
                f"Mount({self.location!r}, Registry(...))"
            )
        flag(self.read_only, "read_only")

    @property
    def place(self) -> str:
        """Where its registry is: a URI without secrets. Mounts with equal ones are one place."""
        return self.registry.backend.location

    def writable(self, work: str) -> Registry:
        """The registry, to do `work` to it.

        Raises:
            ReadOnlyError: The mount is read-only.
        """
        if self.read_only:
            raise ReadOnlyError(
                f"{self.location!r} is mounted read-only: {work} was refused. Use another mount, or mount "
                f"{self.place} again without read_only"
            )
        return self.registry


Place: TypeAlias = Registry | str | os.PathLike[str] | Backend | Mount
"""What may be mounted: a registry, a path, a URI, a backend, or a whole mount."""


def mount_of(location: str, place: Place, *, read_only: bool = False) -> Mount:
    """The mount of `place` under `location`. No I/O.

    Raises:
        InvalidArgumentError: The location cannot be one, the place cannot be understood, or it is a mount of another
            location.
    """
    check_location(location)
    if isinstance(place, Mount):
        if place.location != location:
            raise InvalidArgumentError(
                f"the mount of {place.location!r} was given for the location {location!r}: give it its own"
            )
        return Mount(location, place.registry, place.read_only or read_only)
    if isinstance(place, Registry):
        return Mount(location, place, read_only)
    if place is None:
        raise InvalidArgumentError(
            f"the mount {location!r} has no place; for the default one write {{{location!r}: Registry()}}"
        )
    return Mount(location, Registry(place), read_only)


def mounts_of(places: Mapping[str, Place] | Sequence[Mount]) -> list[Mount]:
    """The mounts that a caller names, by location or as a list of mounts.

    Raises:
        InvalidArgumentError: They cannot be understood.
    """
    if isinstance(places, Mapping) and not isinstance(places, Registry):
        return [mount_of(location, place) for location, place in places.items()]
    try:
        mounts: list[object] = list(places)
    except TypeError as err:
        raise _no_mounts(places) from err
    if isinstance(places, Registry) or not all(isinstance(mount, Mount) for mount in mounts):
        raise _no_mounts(places)
    return cast("list[Mount]", mounts)


def _no_mounts(places: object) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"mounts are a dict of registries by location, as mounts={{'a': registry}}, or a list of Mount values, "
        f"not a {type(places).__name__}"
    )


class MountTable:
    """The mounts of a store, in the order in which they came.

    May be used and changed by many threads, also across a fork: each method does one step on one dict, which is
    atomic, and holds no lock.
    """

    def __init__(self, mounts: Iterable[Mount] = ()) -> None:
        """A table of these.

        Raises:
            InvalidArgumentError: Two have one location.
        """
        self._mounts: dict[str, Mount] = {}
        for mount in mounts:
            self.add(mount)

    def add(self, mount: Mount) -> None:
        """Add a mount.

        Raises:
            InvalidArgumentError: Its location is taken.
        """
        there = self._mounts.setdefault(mount.location, mount)
        if there is not mount:
            raise InvalidArgumentError(
                f"{mount.location!r} is mounted already ({there.place}): choose another location, or remove it "
                f"first: remove_mount({mount.location!r})"
            )

    def remove(self, location: str) -> Mount:
        """Take a mount away, and return it.

        Raises:
            StoreLocationNotFound: There is none.
        """
        mount = self._mounts.pop(location, None)
        if mount is None:
            raise self._missing(location)
        return mount

    def get(self, location: str) -> Mount:
        """The mount of a location.

        Raises:
            StoreLocationNotFound: There is none. Says which there are, and which may be meant.
        """
        mount = self._mounts.get(location)
        if mount is None:
            raise self._missing(location)
        return mount

    def all(self) -> tuple[Mount, ...]:
        """All mounts, as they are now."""
        return tuple(self._mounts.values())

    def __contains__(self, location: object) -> bool:
        return location in self._mounts

    def _missing(self, location: str) -> StoreLocationNotFound:
        locations = sorted(self._mounts)
        lower = {one.lower(): one for one in locations}
        near = difflib.get_close_matches(str(location).lower(), lower, n=1)
        meant = f" Did you mean {lower[near[0]]!r}?" if near else ""
        there = f"there are {', '.join(map(repr, locations))}" if locations else "the store has no mounts"
        return StoreLocationNotFound(f"no mount has the location {location!r:.80}: {there}.{meant}")


def table_of(mounts: Iterable[Mount], default: str | None) -> str:
    """The mounts as a table for people: location, place, and what is special about each."""
    rows = [("location", "place", "")]
    for mount in sorted(mounts, key=lambda mount: mount.location):
        marks = [
            word
            for word, holds in (("default", mount.location == default), ("read-only", mount.read_only))
            if holds
        ]
        rows.append((mount.location, mount.place, ", ".join(marks)))
    if len(rows) == 1:
        return "A store without mounts: add_mount(location, registry)."
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}".rstrip() for row in rows)
