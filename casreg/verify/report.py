"""What a verification found, and what a healing did, as plain values."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

Severity: TypeAlias = Literal["damage", "unreadable", "hint"]
Kind: TypeAlias = Literal[
    "marker", "head", "names", "ref", "history", "manifest", "placement", "pack", "index"
]


@dataclass(frozen=True, slots=True)
class Damage:
    """One file that is not what it must be.

    Attributes:
        key: The file.
        kind: What it is: `"marker"`, `"head"`, `"names"` (a list of the head), `"ref"`, `"history"` (a segment of a
            long history), `"manifest"`, `"placement"` (a segment), `"pack"` or `"index"`.
        severity: `"damage"`: its bytes were read twice, and are lost or wrong. `"unreadable"`: they could not be read,
            because the storage failed or they need a newer casreg, which says nothing about them. `"hint"`: nothing
            is lost but speed.
        problem: What is wrong, and in a pack with how many chunks.
        versions: The versions that cannot be loaded because of it, as `name@version`; `name@version (deleted)` is one
            that could have been brought back. Of a ref that cannot be read, the name; of a segment of history, a range.
            Of a pack in which nothing is lost that a version needs, the versions that have it. `an unfinished upload`
            loses nothing that was saved: the save, made again, writes it anew.
        tags: The tags on these versions, as `name@tag`.
    """

    key: str
    kind: Kind
    severity: Severity
    problem: str
    versions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a verification looked at, and what it found.

    Attributes:
        location: Where.
        damages: What is wrong, sorted by key.
        names: Refs that were read, those of unfinished uploads too.
        versions: Versions that live.
        manifests: Manifests that were read, those of deleted versions included.
        packs: Packs that these need.
        packs_read: Of these, so many were read byte by byte.
        bytes: Bytes of all these packs.
        bytes_read: Bytes of the packs that were read byte by byte.
        unreached: Manifests that no ref reaches; None if only some names were looked at. Mostly these are left over
            from saves that were interrupted or replaced, and go with the next collection. But a ref that has vanished
            leaves no other trace.
        seconds: How long it took.
    """

    location: str
    damages: tuple[Damage, ...]
    names: int
    versions: int
    manifests: int
    packs: int
    packs_read: int
    bytes: int
    bytes_read: int
    unreached: int | None
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether everything that was looked at is there and right. Hints do not count."""
        return all(one.severity == "hint" for one in self.damages)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values, `clean` included."""
        return {"clean": self.clean, **asdict(self)}


@dataclass(frozen=True, slots=True)
class Left:
    """Something that is damaged still.

    Attributes:
        damage: What.
        reason: Why it could not be healed.
    """

    damage: Damage
    reason: str


@dataclass(frozen=True, slots=True)
class Healing:
    """What was healed, or would be.

    Attributes:
        location: Where.
        source: With what.
        dry_run: Whether nothing was done: `healed` is what could be.
        healed: What was damaged and is not any more.
        left: What is damaged still.
        brought_back: Names whose refs had vanished, of which the files that the source names are still here.
        marked: Damaged files of which every writer knows now that nothing may be built on them.
        stored: Bytes of the packs that were written; of a dry run, bytes of chunks that would be brought.
        seconds: How long it took.
    """

    location: str
    source: str
    dry_run: bool
    healed: tuple[Damage, ...]
    left: tuple[Left, ...]
    brought_back: tuple[str, ...]
    marked: tuple[str, ...]
    stored: int
    seconds: float

    @property
    def clean(self) -> bool:
        """Whether nothing is damaged any more. Hints do not count."""
        return all(one.damage.severity == "hint" for one in self.left)

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON values, `clean` included."""
        return {"clean": self.clean, **asdict(self)}
