"""Changes to what a ref says: delete, undelete, tags, notes, protection. Each is one compare-and-swap.

Each asks for the repository's marker before it writes, since the marker may say that this casreg must not; and only
once there is a ref to change, since what is refused must not make a repository.

Besides what stands there, each raises what the commit of a ref raises: `CommitConflictError`, `CommitUnknownError`,
`CorruptError` and `UnsupportedFormatError` (see `casreg.refs.commit.Refs.commit`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casreg import canonical
from casreg.exceptions import ObjectChangedError, ObjectNotFoundError
from casreg.repository.committing import now
from casreg.repository.proving import Sightings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.refs import Attempt, History, Removal
    from casreg.repository.repository import Repository
    from casreg.versions import Selector, Version


def delete(
    repository: Repository,
    name: str,
    version: Version | None,
    is_expected: Callable[[History], bool] = lambda _: True,
) -> list[Version]:
    """Delete one version, or all that live. Returns them.

    Args:
        repository: Where.
        name: Whose.
        version: Which; None for all.
        is_expected: Whether the name is as the caller has seen it; else nothing is deleted. Asked of the very state that
            the deletion replaces, so that nothing can come between.

    Raises:
        ObjectNotFoundError: There is none.
        ObjectChangedError: It is not as expected. None is deleted.
        VersionProtectedError: One of them is protected. None is deleted.
        StorageError: The storage refused or failed.
    """
    deleted: list[Version] = []

    def change(removal: Removal) -> History:
        repository.marker()
        history, when = removal.history, now()
        chosen = [one for one, _ in history.live()] if version is None else [version]
        if not chosen:
            raise ObjectNotFoundError(history.without_versions())
        if not is_expected(history):
            raise ObjectChangedError(
                f"{name} was changed by somebody else meanwhile, and nothing was deleted: look at it again, and delete "
                "it if you still want to"
            )
        for one in chosen:
            history = history.without_version(one, when)
        deleted[:] = chosen
        return history

    repository.refs.remove(name, change)
    return deleted


def undelete(repository: Repository, name: str, version: Version) -> None:
    """Bring a deleted version back, after everything that it reaches was seen to exist.

    Raises:
        ObjectNotFoundError: It was not deleted, or its data was collected.
        VersionConflictError: It lives.
        StorageError: The storage refused or failed.
    """

    def change(attempt: Attempt) -> History:
        repository.marker()
        history = attempt.history.undeleted(version)
        entry = history.entry(version)
        assert entry is not None
        if not Sightings(repository.backend, {}).all_usable(repository, entry.manifest, attempt.fence):
            raise ObjectNotFoundError(f"{name}@{version} cannot be undeleted: its data has been collected")
        return history

    repository.refs.commit(name, change, create=False)


def tag(repository: Repository, name: str, tag_name: str, selector: Selector) -> Version:
    """Let a tag point to a version. Returns the version.

    Raises:
        ObjectNotFoundError: There is no such version.
        StorageError: The storage refused or failed.
    """
    chosen: list[Version] = []

    def change(attempt: Attempt) -> History:
        repository.marker()
        # The version lives in this very ref, so that its data is marked through it: nothing to prove.
        version, _ = attempt.history.select(selector)
        chosen[:] = [version]
        return attempt.history.with_tag(tag_name, version)

    repository.refs.commit(name, change, create=False)
    return chosen[0]


def untag(repository: Repository, name: str, tag_name: str, selector: Selector | None = None) -> None:
    """Remove a tag; with a selector only if it points to that version.

    Raises:
        ObjectNotFoundError: There is no such tag, or it points elsewhere.
        StorageError: The storage refused or failed.
    """

    def change(removal: Removal) -> History:
        repository.marker()
        history = removal.history
        target = history.ref.tags.get(tag_name)
        if selector is not None and target is not None:
            version, _ = history.select(selector)
            if version != target[0]:
                raise ObjectNotFoundError(f"{name}@{version} has no tag {tag_name!r}; it is on {target[0]}")
        return history.without_tag(tag_name)

    repository.refs.remove(name, change)


def annotate(
    repository: Repository, name: str, selector: Selector, changes: Mapping[str, Any]
) -> dict[str, Any]:
    """Change notes of a version; None removes one. Returns all of them.

    Raises:
        InvalidMetadataError: A note cannot be stored without loss.
        ObjectNotFoundError: There is no such version.
        StorageError: The storage refused or failed.
    """
    canonical.dump(dict(changes), "notes")
    after: dict[str, Any] = {}

    def change(removal: Removal) -> History:
        repository.marker()
        version, entry = removal.history.select(selector)
        merged = {**entry.notes, **changes}
        after.clear()
        after.update((key, value) for key, value in merged.items() if value is not None)
        return removal.history.with_notes(version, after)

    repository.refs.remove(name, change)
    return after


def protect(repository: Repository, name: str, selector: Selector, *, protected: bool) -> Version:
    """Protect a version from being deleted and replaced, or lift that. Returns the version.

    Raises:
        ObjectNotFoundError: There is no such version.
        StorageError: The storage refused or failed.
    """
    chosen: list[Version] = []

    def change(removal: Removal) -> History | None:
        repository.marker()
        version, entry = removal.history.select(selector)
        chosen[:] = [version]
        if entry.protected is protected:
            return None
        return removal.history.with_protection(version, protected=protected)

    repository.refs.remove(name, change)
    return chosen[0]
