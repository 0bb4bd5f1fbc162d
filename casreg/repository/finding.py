"""Finding a version: ref → entry → manifest, and beginning anew where the ref moved on meanwhile."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, TypeVar

from casreg.exceptions import CorruptError, NotFound, ObjectNotFoundError, StorageError
from casreg.keys import manifest_key
from casreg.packs import key_of
from casreg.repository.proving import files_below
from casreg.versions import Exact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from casreg.model import Manifest, PackRef
    from casreg.refs import Entry, History
    from casreg.repository.repository import Repository
    from casreg.versions import Selector, Version

_T = TypeVar("_T")

log = logging.getLogger("casreg.repository")


def select(repository: Repository, name: str, selector: Selector) -> tuple[Version, Entry]:
    """The version that `selector` means now, and what the ref says of it.

    Raises:
        ObjectNotFoundError: There is none. Says what there is.
        CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
        StorageError: It cannot be read.
    """

    def ask(history: History | None) -> tuple[Version, Entry]:
        if history is None:
            raise ObjectNotFoundError(
                f"there is no object {name!r} in {repository.backend.location}; `list_objects()` says what there is"
            )
        return history.select(selector)

    return repository.refs.ask(name, ask)


def manifest_of(repository: Repository, name: str, selector: Selector) -> tuple[Version, Entry, Manifest]:
    """The version, its entry, and its manifest.

    Raises:
        ObjectNotFoundError: There is no such version.
        CorruptError, UnsupportedFormatError: The ref or the manifest is damaged, missing, not the ref's, or needs a newer
            casreg.
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
        CasregError: As `manifest_of`, and what `use` raises.
    """
    return settled_from(repository, name, selector, select(repository, name, selector), use)


def settled_from(
    repository: Repository,
    name: str,
    selector: Selector,
    found: tuple[Version, Entry],
    use: Callable[[Version, Entry, Manifest], _T],
) -> _T:
    """As `settled`, from what the ref said a while ago: it is read only if data is missing. Errors as there."""
    version, entry = found
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


def check_there(repository: Repository, name: str, version: Version) -> None:
    """See that every file of a version exists at the place itself, whatever is known of it or kept of it here.

    Raises:
        ObjectNotFoundError: There is no such version.
        CorruptError: A file of it is not there.
        StorageError: The place cannot be read.
    """
    place = repository.without_copies()

    def use(_version: Version, _entry: Entry, manifest: Manifest) -> None:
        for key in files_below(manifest):
            place.backend.get(key, 0, 1)

    settled(place, name, Exact(version), use)


def has_files(repository: Repository, entry: Entry, seen: Iterable[PackRef] = ()) -> bool:
    """Whether every file of a version exists at the place itself, may be built on, and its manifest is what it must be.

    Args:
        repository: Where.
        entry: What a ref says of the version.
        seen: Packs that are not asked for, since the caller has found them there.

    Raises:
        UnsupportedFormatError: The manifest needs a newer casreg.
    """
    place = repository.without_copies()
    try:
        below = set(files_below(place.manifest(entry.manifest))).difference(map(key_of, seen))
        damaged = place.refs.fences.read().bad.intersection(below) if below else ()
        if damaged:
            raise CorruptError(f"{min(damaged)} is known to be damaged, or is being collected")
        for key in below:
            place.backend.get(key, 0, 1)
    except (StorageError, CorruptError) as err:
        log.warning("a version is stored again, since what is there of it cannot be used: %s", err)
        return False
    return True


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
