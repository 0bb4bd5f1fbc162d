"""Versions from one mount to another, with their identity. A move deletes only what it has seen at the other place."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from casreg.exceptions import CorruptError, ObjectChangedError, StoreError, VersionProtectedError
from casreg.versions import parse_version

if TYPE_CHECKING:
    from casreg.store.keys import StoreKey
    from casreg.store.mounts import Mount

log = logging.getLogger("casreg.store")


def copy(source: Mount, key: StoreKey, target: Mount, to: StoreKey) -> str:
    """Copy one version. Onto itself nothing happens.

    Args:
        source: Where it is.
        key: Its name, and which version (a version, tag or range; None: the latest).
        target: Where it shall be.
        to: Its name there, and its number there (None: the same).

    Returns:
        Its number there.
    """
    destination = target.writable("copy")
    before = source.registry.info(key.name, key.version)
    number = _number(to, before)
    if _is_itself(source, key, target, to, before["version"] == number):
        return number
    return destination.download(source.registry, key.name, before["version"], to.name, number)


def move(source: Mount, key: StoreKey, target: Mount, to: StoreKey) -> str:
    """Copy one version with its tags, see that it is there, and delete it here. Onto itself nothing happens.

    A tag that the target's name has already stays where it points there.

    Args:
        source: Where it is.
        key: Its name, and which version (a version, tag or range; None: the latest).
        target: Where it shall be.
        to: Its name there, and its number there (None: the same).

    Returns:
        Its number there.
    """
    origin, destination = source.writable("move"), target.writable("move")
    before = origin.info(key.name, key.version)
    version, number = before["version"], _number(to, before)
    itself = to.name == key.name and version == number
    if _is_itself(source, key, target, to, itself):
        return number
    if before["protected"]:
        raise VersionProtectedError(
            f"{_shown(source, key.name, version)} is protected, so that it cannot be moved away: "
            f"unprotect({_shown(source, key.name, version)!r}) first, or copy it"
        )
    moved = destination.download(origin, key.name, version, to.name, number)
    for tag in before["tags"]:
        if not destination.has_object(to.name, tag):
            destination.tag(to.name, tag, moved)
    there, here = destination.info(to.name, moved), origin.info(key.name, version)
    _check(source, target, here, there, before, itself=itself)
    origin.delete(key.name, version)
    log.debug("moved %s to %s", _shown(source, key.name, version), _shown(target, to.name, moved))
    return moved


def _number(to: StoreKey, before: dict[str, Any]) -> str:
    return str(before["version"] if to.version is None else parse_version(to.version))


def _is_itself(source: Mount, key: StoreKey, target: Mount, to: StoreKey, same_number: bool) -> bool:
    if same_number and key.name == to.name and source.place == target.place:
        log.debug("%s/%s is %s/%s: nothing to do", source.location, key.name, target.location, to.name)
        return True
    return False


def _check(
    source: Mount,
    target: Mount,
    here: dict[str, Any],
    there: dict[str, Any],
    before: dict[str, Any],
    *,
    itself: bool,
) -> None:
    """Raise unless the version may be deleted at the source."""
    old = _shown(source, here["name"], here["version"])
    new = _shown(target, there["name"], there["version"])
    if there["digest"] != before["digest"]:
        raise CorruptError(
            f"{new} is not what {old} was after it was copied. Nothing was deleted: move it again"
        )
    if here["digest"] != before["digest"]:
        raise ObjectChangedError(
            f"{old} was overwritten by somebody else while it was moved. {new} is what it was before, and nothing "
            "was deleted: move it again"
        )
    # Two paths of one folder, two addresses of one server: the places look different and are one, and to delete
    # the version at one would be to lose it. A version that was copied has a manifest file of its own.
    if itself and _file(here) == _file(there):
        raise StoreError(
            f"{old} and {new} are one stored file: {source.place} and {target.place} are one place, or one is a "
            f"plain copy of the other. Nothing was deleted. If they are two places, delete({old!r}) moves it"
        )


def _file(info: dict[str, Any]) -> str:
    """The name of the manifest file, which holds a nonce: no other place makes one of that name."""
    return str(info["path"]).rpartition("/")[2]


def _shown(mount: Mount, name: str, version: str) -> str:
    return f"{mount.location}/{name}@{version}"
