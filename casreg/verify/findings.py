"""What is found while a repository is looked at: who needs which file, and what is wrong with it. For many threads."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from casreg.exceptions import CorruptError, NotFound, StorageError, UnsupportedFormatError
from casreg.names import is_hidden
from casreg.verify.report import Damage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.digest import Digest
    from casreg.exceptions import CasregError
    from casreg.refs import Entry, Record
    from casreg.verify.report import Kind, Severity
    from casreg.versions import Version

_T = TypeVar("_T")

WRONG: Final = (CorruptError, NotFound)
"""What shows that a file is not what it must be. Any other error says nothing about it."""

UNREADABLE: Final = (CorruptError, UnsupportedFormatError, StorageError)
"""What a look at a file may raise."""


class Use(NamedTuple):
    """A version that needs a file.

    Attributes:
        name: Its name.
        version: Its number.
        manifest: Its manifest: another one means that its files are others now.
        dead: Whether it was deleted or replaced, and may still be brought back.
    """

    name: str
    version: Version
    manifest: Digest
    dead: bool = False

    @property
    def label(self) -> str:
        """`name@version`, for people. What casreg keeps for itself has no name that they could use."""
        if is_hidden(self.name):
            return "an unfinished upload"
        return f"{self.name}@{self.version}{' (deleted)' if self.dead else ''}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: What the file is.
        key: The file.
        severity: As in `Damage`.
        problem: What is wrong.
        uses: The versions that it touches.
        labels: What it touches besides, where versions are not known one by one: a name, or a range of its versions.
        tags: The tags on these, as `name@tag`.
        missing: Whether the file is not there. What a deleted version needs may be missing: it was collected.
        unread: Whether it could not be read, which says nothing about it.
    """

    kind: Kind
    key: str
    severity: Severity
    problem: str
    uses: tuple[Use, ...] = ()
    labels: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    missing: bool = False
    unread: bool = False

    def damage(self, tags: Mapping[str, Mapping[str, Version]]) -> Damage:
        """As users see it. `tags` has those of each name."""
        live = {(use.name, use.version) for use in self.uses if not use.dead}
        tagged = {
            f"{name}@{tag}"
            for name in {name for name, _ in live}
            for tag, version in tags.get(name, {}).items()
            if (name, version) in live
        }
        versions = dict.fromkeys((*self.labels, *(use.label for use in sorted(self.uses))))
        return Damage(
            self.key,
            self.kind,
            self.severity,
            self.problem,
            tuple(versions),
            tuple(sorted(tagged.union(self.tags))),
        )


class UnusableError(Exception):
    """A file that is needed cannot be used."""

    def __init__(self, kind: Kind, key: str, reason: CasregError) -> None:
        super().__init__(f"{key}: {reason}")
        self.kind: Kind = kind
        self.key = key
        self.reason = reason

    def finding(self) -> Finding:
        """As what was found."""
        return finding(self.kind, self.key, self.reason)


def finding(kind: Kind, key: str, err: CasregError) -> Finding:
    """What an error, met at a file, means for it."""
    unread, missing = not isinstance(err, WRONG), isinstance(err, NotFound)
    severity: Severity = "unreadable" if unread else "damage"
    problem = f"{key} is missing" if missing else str(err)
    return Finding(kind, key, severity, problem, missing=missing, unread=unread)


def twice(look: Callable[[], _T]) -> _T:
    """What `look` returns. What is wrong is looked at again: a wrong answer on the way is not damage.

    Raises:
        CasregError, UnusableError: What `look` raises, the second time.
    """
    try:
        return look()
    except WRONG:
        return look()
    except UnusableError as err:
        if not isinstance(err.reason, WRONG):
            raise
        return look()


@dataclass(slots=True)
class Findings:
    """All that was found so far, by file. Thread-safe."""

    _found: dict[str, Finding] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, found: Finding) -> None:
        """Add what was found at a file; of the same file, what it touches is put together."""
        with self._lock:
            before = self._found.get(found.key)
            if before is not None:
                found = _together(before, found)
            self._found[found.key] = found

    def all(self) -> list[Finding]:
        """Everything, by key."""
        with self._lock:
            return [self._found[key] for key in sorted(self._found)]

    def keep(self, judged: Callable[[Finding], Finding | None]) -> None:
        """Replace each by what `judged` makes of it; None drops it."""
        kept = [after for before in self.all() if (after := judged(before)) is not None]
        with self._lock:
            self._found = {one.key: one for one in kept}


def _together(before: Finding, found: Finding) -> Finding:
    """Both; what was seen to be wrong stays so, although it could not be read another time."""
    if before.severity != found.severity:
        return before if before.severity == "damage" else found
    return replace(
        before,
        problem=max(before.problem, found.problem, key=len),  # the one that says more
        uses=tuple(dict.fromkeys((*before.uses, *found.uses))),
        labels=tuple(dict.fromkeys((*before.labels, *found.labels))),
        tags=tuple(dict.fromkeys((*before.tags, *found.tags))),
    )


def uses_in(name: str, records: Mapping[Version, Record]) -> dict[Use, Entry]:
    """The versions of a name that have files: those that live, and those that may be brought back."""
    uses: dict[Use, Entry] = {}
    for version in sorted(records):
        record = records[version]
        if record.live:
            uses[Use(name, version, record.live.manifest)] = record.live
        for tombstone in record.dead:
            use = Use(name, version, tombstone.entry.manifest, dead=True)
            if use._replace(dead=False) not in uses:
                uses[use] = tombstone.entry
    return uses
