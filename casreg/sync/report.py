"""What a sync did, or would do, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["content", "number", "protected", "tag", "note", "protection", "unreadable"]


@dataclass(frozen=True, slots=True)
class Unsynced:
    """Something that is not at the target as it is at the source.

    Attributes:
        name: The object's name.
        kind: `"content"`: the version is there with other content. `"number"`: it was deleted there, and its number is
            not given to other content. `"protected"`: what is in its way is protected. `"tag"`, `"note"`, `"protection"`:
            both sides say something else. `"unreadable"`: it is damaged, or needs a newer casreg.
        about: `name@version`; of a tag `name@tag`, of a note `name@version` and the note's key behind a blank.
        reason: The same for people.
    """

    name: str
    kind: Kind
    about: str
    reason: str


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sync did, or would do.

    Attributes:
        source: From where.
        target: Where to.
        dry_run: Whether nothing was done: then `copied`, `replaced`, `labels` and `deleted` are what would be.
        names: So many names were compared.
        unchanged: Of these, so many had not changed on either side since the last sync from here.
        copied: The versions that were copied, as `name@version`, by name and ascending.
        replaced: Of these, those that were there with other content. Only where `overwrite` was asked for.
        labels: Tags, and notes and protection of versions that were there already, that are now as at the source: `name@tag`,
            `name@version key`, `name@version protection`.
        deleted: The versions that were deleted, as `name@version`.
        kept: Versions that are not at the source, and stay because they are protected. Only where `delete` was asked for.
        conflicts: What disagrees, and was left as it is at the target.
        failed: What could not be read. All else was copied all the same.
        size: Bytes of the versions in `copied`. At most these are moved (and some for headers of files), mostly much less.
        stored: Bytes of the files that were written for them; 0 of a dry run.
        seconds: How long it took.
    """

    source: str
    target: str
    dry_run: bool
    names: int
    unchanged: int
    copied: tuple[str, ...]
    replaced: tuple[str, ...]
    labels: tuple[str, ...]
    deleted: tuple[str, ...]
    kept: tuple[str, ...]
    conflicts: tuple[Unsynced, ...]
    failed: tuple[Unsynced, ...]
    size: int
    stored: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether the target has all that the source has, as far as it was asked for (of a dry run: would have)."""
        return not self.conflicts and not self.failed

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values, `clean` included."""
        return {"clean": self.clean, **asdict(self)}
