"""The plan of a collection: what no ref reaches, and which deleted versions it would end for good. Only reads."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CorruptError, NotFound, UnsupportedFormatError
from casreg.gc.head import lists_of, read_head, read_list
from casreg.gc.names import KINDS, Name, key_of, kind_of, name_of, names_of, of_manifest
from casreg.gc.reach import Expired, Reader
from casreg.gc.uploads import as_given_up
from casreg.gc.work import Report, threads_for
from casreg.keys import DATA_PREFIXES
from casreg.listing import every_ref_name
from casreg.threads import ahead_in_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from casreg.gc.names import Kind
    from casreg.gc.terms import Terms
    from casreg.head import Head
    from casreg.progress import ProgressCallback
    from casreg.repository import Repository

log = logging.getLogger("casreg.gc")

_LIST_BEGINS: Final = b"casreg-segment 1 names "
_LISTED_EACH: Final = 10_000
_LOOKED_AT: Final = 100


@dataclass(frozen=True, slots=True)
class Ending:
    """A deleted version that cannot be undeleted once one of these files is gone.

    Attributes:
        label: `name@version`.
        names: The files of it that may go.
    """

    label: str
    names: frozenset[Name]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a collection would delete, as things were.

    Attributes:
        head: The collector's state before all of it was read.
        sizes: Bytes of each file that would go.
        endings: Deleted versions that would be gone for good.
        refs: The names of all refs.
    """

    head: Head
    sizes: Mapping[Name, int]
    endings: tuple[Ending, ...]
    refs: frozenset[str]

    @property
    def unfinished(self) -> bool:
        """Whether a run is going on that somebody began: a collection takes it to its end first."""
        return self.head.state != "idle"


def count_by_kind(names: Iterable[Name]) -> dict[Kind, int]:
    """How many of each kind."""
    counted = Counter(map(kind_of, names))
    return {kind: counted[kind] for kind in KINDS}


def plan(repository: Repository, terms: Terms, progress: ProgressCallback | None = None) -> Plan:
    """Look for what could be deleted.

    Lists all data, and reads all refs, their history, and of their versions the manifests: those that are listed from
    copies on this machine, if it has them.

    Args:
        repository: Where.
        terms: What may be collected.
        progress: Is told, in the phases `list` and `mark`.

    Raises:
        CorruptError: Something that has to be understood is damaged or lost: names it.
        UnsupportedFormatError: Something was written by a newer casreg.
        StorageError: The place cannot be read.
    """
    copies = repository.copies
    repository = repository.without_copies()  # a copy would hide that the place has lost something
    report = Report(progress)
    held = read_head(repository.backend)
    under_way = names_of(read_list(repository.backend, held) or ())
    listing = _listed(repository, terms, under_way, report)
    there = listing.young.union(name for name in listing.old if kind_of(name) == "manifests")
    reader = Reader(repository, terms, copies, there)
    refs = every_ref_name(repository)
    expired = _without_live(repository, terms, reader, refs, listing, report)
    for name in lists_of(held.head):
        listing.old.pop(name, None)
    if held.head.state == "idle" and _is_own_litter(repository, listing.old):
        listing.old.clear()
    endings = tuple(_endings(reader, expired, listing))
    return Plan(held.head, listing.old, endings, frozenset(refs))


@dataclass(slots=True)
class _Listing:
    """Data that is there: bytes of what is old enough to go, and the manifests that are not."""

    old: dict[Name, int] = field(default_factory=dict)
    young: set[Name] = field(default_factory=set)


def _listed(repository: Repository, terms: Terms, under_way: set[Name], report: Report) -> _Listing:
    """All data. What another run has condemned already counts as old: it will go whatever is thought of it here."""
    found, now, number = _Listing(), terms.clock(), 0
    for prefix in DATA_PREFIXES:
        for info in repository.backend.list(prefix):
            name = name_of(info.key)
            if name is None:
                continue  # not casreg's
            number += 1
            if number % _LISTED_EACH == 0:
                report.tell("list", number, 0)
            is_young = terms.min_age > 0 and now - info.modified < terms.min_age
            if not is_young or name in under_way:
                found.old[name] = info.size
            elif kind_of(name) == "manifests":
                found.young.add(name)
    report.tell("list", number, number)
    return found


def _without_live(
    repository: Repository,
    terms: Terms,
    reader: Reader,
    names: Sequence[str],
    listing: _Listing,
    report: Report,
) -> list[Expired]:
    """Take what refs reach out of the listing. Returns their expired versions that are still there."""
    expired: list[Expired] = []
    reached = ahead_in_parts(
        lambda name: reader.reach(as_given_up(reader.held(name), terms))[1],
        names,
        threads_for(repository.backend, terms),
    )
    for number, (name, reach) in enumerate(zip(names, reached, strict=True), 1):
        for one in reach.names:
            listing.old.pop(one, None)
            listing.young.discard(one)
        expired += [one for one in reach.expired if _is_there(of_manifest(one.manifest), listing)]
        report.tell("mark", number, len(names), name)
    return expired


def _is_there(manifest: Name, listing: _Listing) -> bool:
    return manifest in listing.old or manifest in listing.young


def _endings(reader: Reader, expired: Iterable[Expired], listing: _Listing) -> Iterable[Ending]:
    """The versions that end. A pack may be old enough to go although its manifest is not."""
    for one in expired:
        manifest = of_manifest(one.manifest)
        if not _is_there(manifest, listing):
            continue  # another ref reaches it
        names = {manifest}
        try:
            names.update(reader.below(one.manifest))
        except NotFound:
            continue  # collected in part before, or this moment
        except (CorruptError, UnsupportedFormatError):
            log.debug("what %s needs cannot be understood, and need not be", one.label)
        going = frozenset(name for name in names if name in listing.old)
        if going:
            yield Ending(one.label, going)


def _is_own_litter(repository: Repository, old: Mapping[Name, int]) -> bool:
    """Whether there is nothing but lists that earlier runs have left: no reason for another run, which leaves some too."""
    if len(old) > _LOOKED_AT or any(kind_of(name) != "segments" for name in old):
        return False
    for name in old:
        try:
            begins = repository.backend.get(key_of(name), 0, len(_LIST_BEGINS)).data
        except NotFound:
            continue
        if begins != _LIST_BEGINS:
            return False
    return True
