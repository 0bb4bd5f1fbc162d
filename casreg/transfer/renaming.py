"""A name's versions under another name of the same repository."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CommitConflictError, ObjectNotFoundError, VersionConflictError
from casreg.repository.committing import Terms, in_the_way, now
from casreg.repository.finding import check_there
from casreg.repository.proving import Sightings, StaleError
from casreg.transfer.copying import copy_bytes
from casreg.versions import Exact

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.refs import Attempt, Entry, History, Removal
    from casreg.repository import Repository
    from casreg.versions import Version

_ROUNDS: Final = 5

log = logging.getLogger("casreg.transfer")


class _ChangedError(Exception):
    """The old name is not any more what was put under the new one."""


@dataclass(frozen=True, slots=True)
class _Name:
    """What lives of a name, and its tags; and the id of the state that it was read from."""

    versions: Mapping[Version, Entry]
    tags: Mapping[str, Version]
    write: str | None = None


def rename(repository: Repository, old: str, new: str) -> list[Version]:
    """Give all live versions of `old` to `new`, with tags, notes and protection; then delete them from `old`.

    One commit puts them under the new name, another takes them from the old one: who stops in between leaves both,
    never none, and renaming again completes it. The old name remembers its numbers, and what was deleted of it before
    stays with it.

    Returns:
        The versions, ascending.

    Raises:
        ObjectNotFoundError: `old` has no versions.
        VersionConflictError: `new` has, or had, one of the numbers with other content, or one of the tags on another
            version. Nothing was changed.
        VersionProtectedError: A version of `new` that is in the way is protected.
        CorruptError, UnsupportedFormatError: Something that is needed is damaged or lost, or needs a newer casreg.
        CommitConflictError: Others kept winning, or kept changing `old`. It may be there under both names.
        CommitUnknownError: The answer was lost.
        StorageError: The storage refused or failed.
    """
    ours: dict[Version, Entry] = {}
    for _ in range(_ROUNDS):
        found = _read(repository, old)
        if not found.versions:
            raise ObjectNotFoundError(
                f"there is no object {old!r} in {repository.backend.location}; `list_objects()` says what there is"
            )
        if old == new:
            return sorted(found.versions)
        repository.marker()
        _Linking(repository, found, ours).run(old, new)
        try:
            _delete(repository, old, found)
        except _ChangedError:
            log.debug("%s was changed while it was renamed to %s: once more", old, new)
            continue
        return sorted(found.versions)
    raise CommitConflictError(
        f"{old} kept changing while it was renamed: its versions are under {old} and {new} now. Rename it again when "
        "nobody writes to it."
    )


def _read(repository: Repository, name: str) -> _Name:
    return repository.refs.ask(name, lambda history: _name_of(history) if history else _Name({}, {}))


def _name_of(history: History) -> _Name:
    tags = {tag: version for tag, (version, _) in history.ref.tags.items()}
    return _Name(dict(history.live()), tags, history.ref.write)


class _Linking:
    """Puts stored versions under a name. `ours` has the entries that earlier rounds have put there."""

    def __init__(self, repository: Repository, found: _Name, ours: dict[Version, Entry]) -> None:
        self._repository = repository
        self._found = found
        self._ours = ours
        self._sightings = Sightings(repository.backend, {})
        self._stale: list[Version] = []
        self._others: list[Version] = []

    def run(self, old: str, new: str) -> None:
        while True:
            self._stale.clear()
            try:
                self._repository.refs.commit(new, self._change)
            except StaleError:
                # They live, so a collector that has condemned them is going to spare them: but nobody may build on
                # them now, and so they are stored once more.
                for version in self._stale:
                    terms = Terms(new, version)
                    copy_bytes(self._repository, old, Exact(version), self._repository, terms)
                continue
            # What was there already takes the place of what is going to be deleted.
            for version in self._others:
                check_there(self._repository, new, version)
            return

    def _change(self, attempt: Attempt) -> History:
        history = attempt.history
        self._check_tags(history)
        missing = [version for version in self._found.versions if self._is_missing(history, version)]
        self._others = [version for version in self._found.versions if self._is_another(history, version)]
        usable = self._sightings.all_usable
        self._stale[:] = [
            version
            for version in missing
            if not usable(self._repository, self._found.versions[version].manifest, attempt.fence)
        ]
        if self._stale:
            raise StaleError
        for version in missing:
            entry = replace(self._found.versions[version], write=attempt.write)
            history = self._lifted(history, version).with_version(version, entry, now())
        history = self._described(history)
        self._ours.update((version, self._found.versions[version]) for version in missing)
        # Written also if nothing changes: so whoever renames in the other direction sees that somebody relies on what
        # they were about to delete. Else both could find the versions under both names, and delete them there.
        return history

    def _is_missing(self, history: History, version: Version) -> bool:
        """Whether the version has to be put there.

        Raises:
            VersionConflictError, VersionProtectedError: Another one is in its way.
        """
        entry, living = self._found.versions[version], history.entry(version)
        if living is not None and living.content == entry.content:
            return False
        put = self._ours.get(version)
        if living is None or put is None or living.manifest != put.manifest:
            in_the_way(history, version, entry.content, Terms(history.name, version))
        return True

    def _is_another(self, history: History, version: Version) -> bool:
        """Whether the same content is there with files of its own."""
        entry, living = self._found.versions[version], history.entry(version)
        return living is not None and living.content == entry.content and living.manifest != entry.manifest

    def _lifted(self, history: History, version: Version) -> History:
        """Without the protection that came with what a round before has put there, and this one replaces."""
        entry, put = history.entry(version), self._ours.get(version)
        if entry is None or not entry.protected or put is None or not put.protected:
            return history
        return history.with_protection(version, protected=False)

    def _check_tags(self, history: History) -> None:
        for tag, version in self._found.tags.items():
            there = history.ref.tags.get(tag)
            if there is not None and there[0] != version and there[0] not in self._ours:
                raise VersionConflictError(
                    f"{history.name} has the tag {tag!r} on {there[0]}, and it would move to {version}. Remove it "
                    f"first: untag({history.name!r}, {tag!r})"
                )

    def _described(self, history: History) -> History:
        """With the notes, the protection and the tags of the old name."""
        for version, entry in self._found.versions.items():
            living = history.entry(version)
            assert living is not None
            notes = {**living.notes, **entry.notes}
            if notes != living.notes:
                history = history.with_notes(version, notes)
            if entry.protected and not living.protected:
                history = history.with_protection(version, protected=True)
        for tag, version in self._found.tags.items():
            there = history.ref.tags.get(tag)
            if there is None or there[0] != version:
                history = history.with_tag(tag, version)
        return history


def _delete(repository: Repository, old: str, found: _Name) -> None:
    """Delete all versions of the old name, if it is what was found.

    Raises:
        _ChangedError: It is not.
    """

    def change(removal: Removal) -> History:
        history, when = removal.history, now()
        if _name_of(history) != found:
            raise _ChangedError
        for version, entry in found.versions.items():
            if entry.protected:  # the promise has moved with the version
                history = history.with_protection(version, protected=False)
            history = history.without_version(version, when)
        return history

    repository.refs.remove(old, change)
