"""Many versions at once: whole repositories, or some names of them."""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from casreg.exceptions import (
    CasregError,
    CorruptError,
    ObjectNotFoundError,
    UnsupportedFormatError,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.listing import asking, each, ref_names
from casreg.repository.committing import Terms, in_the_way
from casreg.transfer.copying import copy
from casreg.transfer.meter import Meter
from casreg.versions import Exact, Range

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from casreg.progress import ProgressCallback
    from casreg.refs import Entry, History
    from casreg.repository import Repository
    from casreg.versions import Selector, Version

_ROUNDS: Final = 10

_LISTED: Final = 20
"""So many versions are named in one error."""

_OF_ONE_VERSION: Final = (
    CorruptError,
    UnsupportedFormatError,
    VersionConflictError,
    VersionProtectedError,
)
"""Errors that one version has and the next may not have."""

log = logging.getLogger("casreg.transfer")


class Wanted(NamedTuple):
    """Versions of one name that shall be copied.

    Attributes:
        name: The name.
        selector: A range means all versions in it, anything else one. None: all that live.
    """

    name: str
    selector: Selector | None = None


class Copied(NamedTuple):
    """A version that is at the target.

    Attributes:
        name: Its name.
        version: Its number.
        existed: Whether it was there before.
    """

    name: str
    version: Version
    existed: bool


@dataclass(frozen=True, slots=True)
class _Item:
    """A version at the source, and the tags on it."""

    name: str
    version: Version
    entry: Entry
    tags: tuple[str, ...]

    @property
    def key(self) -> tuple[str, Version]:
        """Which it is."""
        return self.name, self.version


@dataclass(slots=True)
class _Choice:
    """What is going to be copied; of that, what is there already and complete; and whether a name has no versions."""

    items: list[_Item] = field(default_factory=list)
    there: set[tuple[str, Version]] = field(default_factory=set)
    has_empty: bool = False


def copy_all(
    source: Repository,
    target: Repository,
    wanted: Iterable[Wanted] | None = None,
    *,
    of_each: Selector | None = None,
    terms: Terms | None = None,
    progress: ProgressCallback | None = None,
) -> list[Copied]:
    """Copy versions with their names, numbers, times, classes, notes, tags and protection, as `copy` does.

    Conflicts are looked for before the first is copied. One version that cannot be copied all the same does not
    keep back the others: all such are named in the error at the end. What was copied stays, and doing it again goes
    on with the rest. Where all names are copied, what is renamed meanwhile comes along under one of its names.

    Args:
        source: From where.
        target: Where to.
        wanted: Which; None for all names.
        of_each: What is taken of each name where all are; by default all live versions.
        terms: How: `single` takes the highest version of each name, and leaves only that one; `on_conflict`.
        progress: Is told. Its numbers are those of all versions together.

    Returns:
        What was wanted, by name, ascending.

    Raises:
        ObjectNotFoundError: Something that was wanted is not there. Nothing was copied.
        VersionConflictError: The target has, or had, some of the numbers with other content. Nothing was copied,
            unless others made them meanwhile.
        VersionProtectedError: What is in the way is protected.
        CorruptError, UnsupportedFormatError: Some versions cannot be read. They are named; the others were copied.
        CommitConflictError, CommitUnknownError: Others kept winning; the answer was lost.
        StorageError: One of the two refused or failed.
    """
    terms = terms or Terms("")
    meter = Meter(progress, 0)
    done: dict[tuple[str, Version], Copied] = {}
    failed: dict[tuple[str, Version], CasregError] = {}
    for number in range(_ROUNDS):
        choice = _chosen(source, wanted, of_each, single=terms.single)
        choice.items = [item for item in choice.items if item.key not in done and item.key not in failed]
        _check_conflicts(target, choice, terms)
        meter.expect(sum(item.entry.size for item in choice.items))
        for item in choice.items:
            try:
                done.update(
                    (one[:2], one) for one in _copy(source, target, item, terms, meter, there=choice.there)
                )
            except _OF_ONE_VERSION as err:
                failed[item.key] = err
        whole = all(item.key in done or item.key in failed for item in choice.items)
        if wanted is not None or (whole and (number or not choice.has_empty)):
            break
        # What has gone since it was chosen, or before its name was read, was perhaps renamed to a name that had been
        # read by then.
        log.debug("some names of %s have nothing any more: looking once more", source.backend.location)
    if failed:
        raise _together(
            {f"{name}@{version}": err for (name, version), err in failed.items()}, len(done) + len(failed)
        )
    return sorted(done.values())


def _copy(
    source: Repository,
    target: Repository,
    item: _Item,
    terms: Terms,
    meter: Meter,
    *,
    there: set[tuple[str, Version]],
) -> list[Copied]:
    """One version, or none if it was deleted meanwhile."""
    if (item.name, item.version) in there:
        meter.begin(item.name, item.entry.size)
        meter.end(0)
        return [Copied(item.name, item.version, existed=True)]
    as_here = replace(terms, name=item.name, version=item.version, tags=item.tags)
    try:
        saved = copy(
            source, item.name, Exact(item.version), target, as_here, keep_protection=True, meter=meter
        )
    except ObjectNotFoundError as err:
        log.debug("%s@%s is not copied: it has been deleted: %s", item.name, item.version, err)
        return []
    return [Copied(item.name, saved.version, saved.existed)]


def _chosen(
    source: Repository, wanted: Iterable[Wanted] | None, of_each: Selector | None, *, single: bool
) -> _Choice:
    """What is wanted, each version once, by name and ascending."""
    by_name: dict[str, list[Selector | None]] = defaultdict(list)
    strict = wanted is not None
    for name, selector in [Wanted(name, of_each) for name in ref_names(source)] if wanted is None else wanted:
        by_name[name].append(selector)
    choice = _Choice()
    answers = each(
        sorted(by_name), lambda name: _asked(source, name, by_name[name], strict=strict), asking(source)
    )
    for name, (found, tags) in answers:
        choice.has_empty |= not found
        for version in sorted(found)[-1:] if single else sorted(found):
            on_it = tuple(sorted(tag for tag, target in tags.items() if target == version))
            choice.items.append(_Item(name, version, found[version], on_it))
    return choice


def _asked(
    source: Repository, name: str, selectors: Sequence[Selector | None], *, strict: bool
) -> tuple[dict[Version, Entry], dict[str, Version]]:
    """The versions of a name that the selectors mean, and the tags of the name.

    Raises:
        ObjectNotFoundError: There are none, and it is `strict`.
    """

    def ask(history: History | None) -> tuple[dict[Version, Entry], dict[str, Version]]:
        found: dict[Version, Entry] = {}
        if history is None or history.latest() is None:
            if strict:
                raise ObjectNotFoundError(
                    f"there is no object {name!r} in {source.backend.location}; `list_objects()` says what there is"
                )
            return found, {}
        for selector in selectors:
            try:
                found.update(_selected(history, selector))
            except ObjectNotFoundError:
                if strict:
                    raise
        return found, {tag: version for tag, (version, _) in history.ref.tags.items()}

    return source.refs.ask(name, ask)


def _selected(history: History, selector: Selector | None) -> Mapping[Version, Entry]:
    """The live versions that a selector means.

    Raises:
        ObjectNotFoundError: None, although it is a selector.
    """
    if selector is None:
        return dict(history.live())
    if isinstance(selector, Range):
        found = {version: entry for version, entry in history.live() if selector.matches(version)}
        if found:
            return found
    version, entry = history.select(selector)
    return {version: entry}


def _check_conflicts(target: Repository, choice: _Choice, terms: Terms) -> None:
    """See that nothing is in the way, and note what is there already.

    Raises:
        VersionConflictError, VersionProtectedError: Something is. Names it all.
    """
    failed: dict[str, CasregError] = {}
    by_name: dict[str, list[_Item]] = defaultdict(list)
    for item in choice.items:
        by_name[item.name].append(item)

    def ask(name: str) -> dict[str, CasregError]:
        return target.refs.ask(name, lambda history: _conflicts(history, by_name[name], terms, choice))

    for _, failures in each(by_name, ask, asking(target)):
        failed.update(failures)
    if failed:
        raise _together(failed, len(choice.items))


def _conflicts(
    history: History | None, items: Iterable[_Item], terms: Terms, choice: _Choice
) -> dict[str, CasregError]:
    failed: dict[str, CasregError] = {}
    for item in items if history is not None else ():
        assert history is not None
        living = history.entry(item.version)
        if living is not None and living.content == item.entry.content:
            if not terms.single and _is_complete(history, item, living):
                choice.there.add((item.name, item.version))
            continue
        try:
            in_the_way(history, item.version, item.entry.content, terms)
        except (VersionConflictError, VersionProtectedError) as err:
            failed[f"{item.name}@{item.version}"] = err
    return failed


def _is_complete(history: History, item: _Item, living: Entry) -> bool:
    """Whether what is said of the version is there too."""
    notes: dict[str, Any] = {**living.notes, **item.entry.notes}
    tags = {tag for tag, (version, _) in history.ref.tags.items() if version == item.version}
    return notes == living.notes and tags.issuperset(item.tags)


def _together(failed: Mapping[str, CasregError], total: int) -> CasregError:
    """One error, of the kind of the first, that names every version."""
    first = next(iter(failed.values()))
    if len(failed) == 1:
        ((label, _),) = failed.items()
        error = type(first)(f"{label} was not copied: {first}")
    else:
        named = "; ".join(f"{label}: {err}" for label, err in list(failed.items())[:_LISTED])
        more = f"; and {len(failed) - _LISTED} more" if len(failed) > _LISTED else ""
        error = type(first)(f"{len(failed)} of {total} versions were not copied: {named}{more}")
    error.__cause__ = first
    return error
