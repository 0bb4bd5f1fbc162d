"""Versions from one mount to another, with their identity. A move deletes only what it has seen at the other place."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import ObjectChangedError, ObjectNotFoundError, StoreError, VersionProtectedError
from casreg.versions import parse_version

if TYPE_CHECKING:
    from casreg.progress import ProgressCallback
    from casreg.registry import Registry
    from casreg.store.keys import StoreKey
    from casreg.store.mounts import Mount

_ROUNDS: Final = 10

log = logging.getLogger("casreg.store")


def copy(
    source: Mount, key: StoreKey, target: Mount, to: StoreKey, progress: ProgressCallback | None = None
) -> str:
    """Copy one version. Onto itself nothing happens.

    Args:
        source: Where it is.
        key: Its name, and which version (a version, tag or range; None: the latest).
        target: Where it shall be.
        to: Its name there, and its number there (None: the same).
        progress: Told about it.

    Returns:
        Its number there.
    """
    destination = target.writable("copy")
    before = source.registry.info(key.name, key.version)
    number = _number(to, before)
    if _is_itself(source, before, target, to, number):
        return number
    return destination.download(
        source.registry, key.name, before["version"], to.name, number, progress=progress
    )


def move(
    source: Mount, key: StoreKey, target: Mount, to: StoreKey, progress: ProgressCallback | None = None
) -> str:
    """Copy one version with its tags, see that it is there, and delete it here. Onto itself nothing happens.

    A tag that the target's name has on something else stays where it is.

    Args:
        source: Where it is.
        key: Its name, and which version (a version, tag or range; None: the latest).
        target: Where it shall be.
        to: Its name there, and its number there (None: the same).
        progress: Told about the copy.

    Returns:
        Its number there.
    """
    origin, destination = source.writable("move"), target.writable("move")
    before = origin.info(key.name, key.version)
    version, number = before["version"], _number(to, before)
    if _is_itself(source, before, target, to, number):
        return number
    old = _shown(source, key.name, version)
    if before["protected"]:
        raise VersionProtectedError(
            f"{old} is protected, so that it cannot be moved away: unprotect({old!r}) first, or copy it"
        )
    moved = destination.download(origin, key.name, version, to.name, number, progress=progress)
    _bring_tags(before, destination, to.name, moved)
    try:
        _delete(source, target, before, to.name, moved)
    except ObjectNotFoundError:
        # What was to be deleted is gone: somebody else did it, or a registry that keeps one version of each name.
        if origin.has_object(key.name, version):
            raise
    log.debug("moved %s to %s", old, _shown(target, to.name, moved))
    return moved


def _delete(source: Mount, target: Mount, before: dict[str, Any], name: str, moved: str) -> None:
    """Delete the version at the source, in exactly the state in which it was compared with what is at the target.

    The target's name is written to after the source was looked at, though nothing changes by it: so two who move a
    version there and back at once cannot both find it at both places and both delete it. For each deletes only what
    nobody has written to since they looked, and of the two deletions the one that comes later would be of something
    to which the other has written, or of something that is the only one left, and then the other finds it missing.
    """
    origin, destination = source.registry, target.registry
    for _ in range(_ROUNDS):
        first = origin.info(before["name"], before["version"])
        destination.annotate(name, moved)
        there = destination.info(name, moved)
        here = origin.info(before["name"], before["version"])
        # Two numbers of one name are in one state, whatever the places are called: one deletion sees both.
        if here["revision"] not in (first["revision"], there["revision"]):
            continue
        _check(source, target, before, here, there)
        try:
            origin.delete(before["name"], before["version"], revision=here["revision"])
        except ObjectChangedError:
            continue
        return
    old, new = _shown(source, before["name"], before["version"]), _shown(target, name, moved)
    raise ObjectChangedError(
        f"{old} kept changing while it was moved to {new}. Nothing was deleted: move it again when fewer write to it"
    )


def _number(to: StoreKey, before: dict[str, Any]) -> str:
    return str(before["version"] if to.version is None else parse_version(to.version))


def _is_itself(source: Mount, before: dict[str, Any], target: Mount, to: StoreKey, number: str) -> bool:
    if source.place != target.place or (to.name, number) != (before["name"], before["version"]):
        return False
    log.debug("%s is %s: nothing to do", _shown(source, to.name, number), _shown(target, to.name, number))
    return True


def _bring_tags(before: dict[str, Any], destination: Registry, name: str, moved: str) -> None:
    for tag in before["tags"]:
        try:
            there = destination.info(name, tag)
        except ObjectNotFoundError:
            destination.tag(name, tag, moved)
            continue
        # In one place, from a number to another of one name: the tag is on the version that is about to go.
        if name == before["name"] and _file(there) == _file(before):
            destination.tag(name, tag, moved)


def _check(
    source: Mount, target: Mount, before: dict[str, Any], here: dict[str, Any], there: dict[str, Any]
) -> None:
    """Raise unless the version may be deleted at the source."""
    old, new = _shown(source, here["name"], here["version"]), _shown(target, there["name"], there["version"])
    same_content = here["digest"] == there["digest"] == before["digest"]
    # What was said of it since it was copied would go with it. (A tag that is missing here has been brought along.)
    if not same_content or here["notes"] != before["notes"] or not set(here["tags"]) <= set(before["tags"]):
        raise ObjectChangedError(
            f"{old} or {new} was changed by somebody else while the one was moved to the other. Nothing was deleted: "
            "move it again"
        )
    # Two paths of one folder, two addresses of one server: the places look different and are one, and to delete
    # the version at one would be to lose it. Another place would have a manifest file of its own.
    same_number = (here["name"], here["version"]) == (there["name"], there["version"])
    if same_number and _file(here) == _file(there):
        raise StoreError(
            f"{old} and {new} are one stored file: {source.place} and {target.place} are one place, or one is a "
            f"plain copy of the other. Nothing was deleted. If they are two places, delete({old!r}) moves it"
        )


def _file(info: dict[str, Any]) -> str:
    """The name of the manifest file. It holds a nonce: what is copied gets another name at another place."""
    return str(info["path"]).partition("?")[0].rpartition("/")[2]


def _shown(mount: Mount, name: str, version: str) -> str:
    return f"{mount.location}/{name}@{version}"
