"""Deleting old versions: the newest of each name stay, and what is protected or has a tag."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from casreg.exceptions import InvalidArgumentError, ObjectNotFoundError
from casreg.listing import ref_names
from casreg.repository.committing import now

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.refs import History, Removal
    from casreg.repository import Repository
    from casreg.versions import Version


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was deleted of old versions, or would be.

    Attributes:
        dry_run: Whether nothing was done.
        versions: What was deleted, as `name@version`, by name and ascending. `undelete` brings it back until collected.
        kept: Versions that are old enough to go, and stay because they are protected or have a tag.
    """

    dry_run: bool
    versions: tuple[str, ...]
    kept: tuple[str, ...]


def prune(
    repository: Repository,
    keep_last: int,
    names: Iterable[str] | None = None,
    *,
    dry_run: bool = False,
) -> Pruned:
    """Delete all but the highest versions of each name.

    Args:
        repository: Where.
        keep_last: So many versions of each name stay, the highest.
        names: Whose; None for all names.
        dry_run: Only say what would be deleted.

    Raises:
        InvalidArgumentError: `keep_last` is less than 1.
        ObjectNotFoundError: There is no such name. Those before it are done.
        CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
        CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
        StorageError: The storage refused or failed.
    """
    if type(keep_last) is not int or keep_last < 1:
        raise InvalidArgumentError(
            f"keep_last is how many versions of each name stay, 1 or more, not {keep_last!r:.80}; `delete` deletes all"
        )
    deleted: list[str] = []
    kept: list[str] = []
    for name in ref_names(repository) if names is None else sorted(set(names)):
        old, spared = repository.refs.ask(name, partial(_asked, name, repository, keep_last))
        if old and not dry_run:
            old = _deleted(repository, name, keep_last)
        deleted += (f"{name}@{version}" for version in old)
        kept += (f"{name}@{version}" for version in spared)
    return Pruned(dry_run, tuple(deleted), tuple(kept))


def _asked(
    name: str, repository: Repository, keep_last: int, history: History | None
) -> tuple[list[Version], list[Version]]:
    if history is None:
        raise ObjectNotFoundError(
            f"there is no object {name!r} in {repository.backend.location}; `list_objects()` says what there is"
        )
    return _old(history, keep_last)


def _old(history: History, keep_last: int) -> tuple[list[Version], list[Version]]:
    """The versions that go, and those that would if they were not protected or had no tag."""
    tagged = {version for version, _ in history.ref.tags.values()}
    old = history.live()[:-keep_last]
    spared = [version for version, entry in old if entry.protected or version in tagged]
    return [version for version, _ in old if version not in spared], spared


def _deleted(repository: Repository, name: str, keep_last: int) -> list[Version]:
    """Delete what is old of a name, as it is then. Returns it."""
    gone: list[Version] = []

    def change(removal: Removal) -> History | None:
        repository.marker()
        history, when = removal.history, now()
        gone[:] = _old(history, keep_last)[0]
        for version in gone:
            history = history.without_version(version, when)
        return history if gone else None

    repository.refs.remove(name, change)
    return gone
