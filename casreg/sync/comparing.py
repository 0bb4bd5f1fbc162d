"""One name at both places: what is missing, what disagrees, what is too much. Pure: reads no place, changes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from casreg.exceptions import VersionConflictError, VersionProtectedError
from casreg.repository.committing import Terms as CommitTerms, in_the_way
from casreg.sync.labels import Label, Merge, labels_of, merge, next_base
from casreg.sync.report import Unsynced

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.digest import Digest
    from casreg.refs import Entry, History
    from casreg.sync.report import Kind
    from casreg.sync.terms import Terms
    from casreg.versions import Version

_REASONS: Final[dict[Kind, str]] = {
    "content": "it exists there with other content",
    "number": "it was deleted there, and its number is not given to other content",
    "protected": "what is there under its number is protected",
    "tag": "both sides moved the tag, or it is not known which one did",
    "note": "both sides changed the note, or it is not known which one did",
    "protection": "both sides changed the protection",
}


@dataclass(frozen=True, slots=True)
class State:
    """What the source says of a name at one moment.

    Attributes:
        rev: The number of the ref's state.
        live: Its versions, ascending.
        tags: Its tags.
        token: The ref's state at its place; None if it is not known.
    """

    rev: int
    live: Mapping[Version, Entry]
    tags: Mapping[str, Version]
    token: str | None = None


NOTHING: Final = State(0, {}, {})


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of the last time that a name was brought up to date.

    Attributes:
        rev: The number of the source's state then.
        there: That of the target's.
        labels: What the source said then, of what was equal.
        under_way: What a later sync was about to bring (None: to remove), which perhaps was stopped.
    """

    rev: int
    there: int
    labels: Mapping[Label, str]
    under_way: Mapping[Label, str | None] = field(default_factory=dict)

    def seen_with(self, target: Mapping[Label, str]) -> dict[Label, str]:
        """What was equal the last time: the target has what was brought by whoever was stopped, or had before."""
        brought = {label: v for label, v in self.under_way.items() if target.get(label) == v}
        labels = {**self.labels, **brought}
        return {label: value for label, value in labels.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What there is to do for one name.

    Attributes:
        copies: Versions to be copied, with their bytes.
        replaced: Of these, those that are there with other content.
        labels: What to do with labels, after that.
        deletions: Versions to be deleted.
        kept: Versions that would be, were they not protected.
        conflicts: What stays as it is.
        exact: Whether the target has nothing of its own.
        ahead: What to remember before anything is done: whoever is stopped in between must not take what was brought,
            or went with a version that comes back, for the target's own doing.
        base: What to remember if there is nothing to do.
    """

    copies: Mapping[Version, int]
    replaced: frozenset[Version]
    labels: Merge
    deletions: tuple[Version, ...]
    kept: tuple[Version, ...]
    conflicts: tuple[Unsynced, ...]
    exact: bool
    ahead: Base = field(repr=False)
    base: Base = field(repr=False)

    @property
    def has_work(self) -> bool:
        """Whether something is to be written."""
        return bool(self.copies or self.labels.sets or self.labels.removes or self.deletions)


def state_of(history: History | None, token: str | None = None) -> State:
    """What a history says. Reads its segments."""
    if history is None:
        return NOTHING
    tags = {tag: version for tag, (version, _) in history.ref.tags.items()}
    return State(history.ref.rev, dict(history.live()), tags, token)


def compare(name: str, source: State, target: History | None, terms: Terms, base: Base | None) -> Verdict:
    """What makes the target's history that of the source, as far as `terms` say. Reads the target's segments."""
    rev = target.ref.rev if target else 0
    if base is not None and (base.rev > source.rev or base.there > rev):
        base = None  # an older copy has taken the place of one of them: what it says is no news
    live = dict(target.live()) if target else {}
    copies: dict[Version, Entry] = {}
    conflicts: list[Unsynced] = []
    for version, entry in source.live.items():
        there = live.get(version)
        if there is not None and there.content == entry.content:
            continue
        kind = None if target is None else _obstacle(target, version, entry, terms)
        if kind is None:
            copies[version] = entry
        else:
            conflicts.append(Unsynced(name, kind, f"{name}@{version}", _REASONS[kind]))
    own = [version for version in live if version not in source.live]
    kept = tuple(version for version in own if live[version].protected)
    deletions = tuple(version for version in own if version not in kept) if terms.delete else ()

    after = {**live, **copies}
    equal = {v: e for v, e in source.live.items() if v in after and after[v].content == e.content}
    mine = labels_of(equal, _meant(source.tags, source.live))
    tags = {tag: version for tag, (version, _) in target.ref.tags.items()} if target else {}
    gone = {tag for tag, version in tags.items() if version in deletions}  # they go with their versions
    tags = {tag: version for tag, version in tags.items() if tag not in gone}
    theirs = labels_of({version: after[version] for version in equal}, _meant(tags, after))
    known = _without_lost_tags(base.seen_with(theirs) if base else {}, tags, live, gone)
    merged = _possible(merge(mine, theirs, known, overwrite=terms.overwrite), source, equal)
    conflicts += [
        Unsynced(name, label.kind, label.about(name), _REASONS[label.kind]) for label in merged.conflicts
    ]
    ahead = Base(
        base.rev if base else 0,
        base.there if base else 0,
        known,
        {**mine, **dict.fromkeys(merged.removes)},
    )
    remembered = Base(source.rev, rev, next_base(mine, theirs, known))
    exact = not own and not merged.others
    sizes = {version: entry.size for version, entry in copies.items()}
    return Verdict(
        sizes,
        frozenset(live.keys() & copies.keys()),
        merged,
        deletions,
        kept if terms.delete else (),
        tuple(conflicts),
        exact,
        ahead,
        remembered,
    )


def _obstacle(target: History, version: Version, entry: Entry, terms: Terms) -> Kind | None:
    """Why a version must not be copied."""
    try:
        in_the_way(target, version, entry.content, as_committed(target.name, version, terms))
    except VersionConflictError:
        return "number" if target.entry(version) is None else "content"
    except VersionProtectedError:
        return "protected"
    return None


def as_committed(name: str, version: Version, terms: Terms) -> CommitTerms:
    """How a version of the source is committed at the target."""
    return CommitTerms(name, version, on_conflict="overwrite" if terms.overwrite else "error")


def _meant(tags: Mapping[str, Version], live: Mapping[Version, Entry]) -> dict[str, tuple[Version, Digest]]:
    """The tags on versions that live, with their content: equal numbers may mean something else."""
    return {tag: (version, live[version].content) for tag, version in tags.items() if version in live}


def _without_lost_tags(
    known: Mapping[Label, str], tags: Mapping[str, Version], live: Mapping[Version, Entry], gone: set[str]
) -> dict[Label, str]:
    """What is known, without the tags that the target lost with their versions: nobody has taken them away."""
    there = {str(version) for version in live}
    return {
        label: value
        for label, value in known.items()
        if label.kind != "tag"
        or label.key in tags
        or (label.key not in gone and value.partition(" ")[0] in there)
    }


def _possible(merged: Merge, source: State, equal: Mapping[Version, Entry]) -> Merge:
    """Without the tags on versions that the target has not: they are conflicts, as these versions are."""
    lost = tuple(
        label for label in merged.sets if label.kind == "tag" and source.tags[label.key] not in equal
    )
    sets = tuple(label for label in merged.sets if label not in lost)
    return merged._replace(sets=sets, conflicts=(*merged.conflicts, *lost))
