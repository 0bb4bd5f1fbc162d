"""Tags, notes and protection: what both sides may change, merged against what was equal after the last sync.

A label that only the source has changed since then goes over, also where it was removed; one that only the target has
changed stays; one that both have changed is a conflict and stays. So a source that is behind moves no tag back: it has
not changed the tag. Where nothing is known of a last time, what the target lacks is added, what only the target has
stays, and what differs is a conflict.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from casreg import canonical
from casreg.digest import digest_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.digest import Digest
    from casreg.refs import Entry
    from casreg.versions import Version

LabelKind: TypeAlias = Literal["tag", "note", "protection"]


class Label(NamedTuple):
    """Something that can be said of a version, and be changed.

    Attributes:
        kind: `tag`, `note` or `protection`.
        version: Of which version; of a tag "", since it moves.
        key: The tag, or the key of the note; of protection "".
    """

    kind: LabelKind
    version: str
    key: str

    def about(self, name: str) -> str:
        """For people and reports."""
        if self.kind == "tag":
            return f"{name}@{self.key}"
        return f"{name}@{self.version} {self.key or self.kind}"


class Merge(NamedTuple):
    """What is to be done at the target.

    Attributes:
        sets: Labels that become what the source says.
        removes: Labels that go.
        conflicts: Labels that stay, and disagree.
        others: Whether the target has, or lacks, labels of its own accord.
    """

    sets: tuple[Label, ...]
    removes: tuple[Label, ...]
    conflicts: tuple[Label, ...]
    others: bool


def labels_of(
    entries: Mapping[Version, Entry], tags: Mapping[str, tuple[Version, Digest]]
) -> dict[Label, str]:
    """The labels of these versions, and the tags with the content that they mean. Equal values are equal labels."""
    found: dict[Label, str] = {}
    for version, entry in entries.items():
        for key, value in entry.notes.items():
            # By their stored form: to Python, 1 and True are equal.
            found[Label("note", str(version), key)] = digest_of(canonical.dump([value], "note")).hex()
        if entry.protected:
            found[Label("protection", str(version), "")] = "yes"
    for tag, (version, content) in tags.items():
        found[Label("tag", "", tag)] = f"{version} {content.hex()}"
    return found


def merge(
    source: Mapping[Label, str],
    target: Mapping[Label, str],
    base: Mapping[Label, str],
    *,
    overwrite: bool = False,
) -> Merge:
    """What makes the labels of the target those of the source, as far as the rule of the module says.

    Args:
        source: What the source says.
        target: What the target says.
        base: What the source said when both were equal; without what is not known.
        overwrite: The source wins where both disagree.
    """
    sets: list[Label] = []
    removes: list[Label] = []
    conflicts: list[Label] = []
    others = False
    for label in sorted({*source, *target}):
        mine, there = source.get(label), target.get(label)
        if mine == there:
            continue
        before = base.get(label)
        if mine == before:  # the target's own doing
            if mine is not None and overwrite:
                sets.append(label)
            else:
                others = True
        elif there == before or overwrite:
            (removes if mine is None else sets).append(label)
        else:
            conflicts.append(label)
    return Merge(tuple(sets), tuple(removes), tuple(conflicts), others)


def next_base(
    source: Mapping[Label, str], target: Mapping[Label, str], base: Mapping[Label, str]
) -> dict[Label, str]:
    """What to remember for the next time: what is equal now; of what is not, what was remembered."""
    equal = {label: value for label, value in source.items() if target.get(label) == value}
    return equal | {label: value for label, value in base.items() if source.get(label) != target.get(label)}
