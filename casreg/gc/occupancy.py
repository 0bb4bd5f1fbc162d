"""Which bytes of which packs versions need: what a compaction decides by.

Kept are, of each pack, the ranges that are needed, joined where they touch: some 16 bytes for each, whatever many
versions share them. Neither tables nor lists of chunks are read.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg.gc.reach import Reader
from casreg.gc.uploads import as_given_up
from casreg.gc.work import threads_for
from casreg.listing import every_ref_name
from casreg.names import is_hidden
from casreg.packs import HEADER, TRAILER
from casreg.threads import ahead_in_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Set as AbstractSet

    from casreg.digest import Digest
    from casreg.gc.terms import Terms
    from casreg.gc.work import Report
    from casreg.model import PackRef, Placement
    from casreg.refs import History
    from casreg.repository import Repository
    from casreg.versions import Version

_LOOSE: Final = 256


class Spans:
    """Ranges of bytes, none of which touch each other once they are looked at."""

    __slots__ = ("_edges", "_joined")

    def __init__(self) -> None:
        self._edges = array("Q")  # beginning and end of each range
        self._joined = 0  # so many of these are sorted, and none touch

    def add(self, begin: int, end: int) -> None:
        """This range too."""
        self._edges.append(begin)
        self._edges.append(end)
        if len(self._edges) > 2 * self._joined + _LOOSE:
            self._join()

    def add_all(self, other: Spans) -> None:
        """All ranges of another."""
        for begin, end in other:
            self.add(begin, end)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Ascending."""
        self._join()
        return zip(self._edges[::2], self._edges[1::2], strict=True)

    @property
    def size(self) -> int:
        """Bytes of all, each once."""
        return sum(end - begin for begin, end in self)

    def _join(self) -> None:
        if self._joined == len(self._edges):
            return
        joined = array("Q")
        for begin, end in sorted(zip(self._edges[::2], self._edges[1::2], strict=True)):
            if joined and begin <= joined[-1]:
                joined[-1] = max(joined[-1], end)
            else:
                joined.append(begin)
                joined.append(end)
        self._edges, self._joined = joined, len(joined)


@dataclass(slots=True, eq=False)
class Pack:
    """What is needed of a pack.

    Attributes:
        ref: As placements name it.
        needed: The ranges of its bytes that are frames which versions need.
        stays: Whether it must not be rewritten, whatever is needed of it.
    """

    ref: PackRef
    needed: Spans = field(default_factory=Spans)
    stays: bool = False

    @property
    def live(self) -> int:
        """Bytes of frames that versions need."""
        return self.needed.size

    @property
    def dead(self) -> int:
        """Bytes of frames that none needs."""
        return max(0, self.ref.size - HEADER.size - TRAILER.size - self.ref.table_size - self.live)


class Use(NamedTuple):
    """Who names a manifest, alive or as something that was deleted."""

    name: str
    version: Version


@dataclass(slots=True)
class Occupancy:
    """What all refs need.

    Attributes:
        packs: By name, in the order of first use: of names, and of their versions, ascending.
        below: The names of the packs of each manifest that has to stay.
        living: Those of them that a version has which lives.
        uses: Of each, everything that names it.
    """

    packs: dict[str, Pack] = field(default_factory=dict)
    below: dict[Digest, tuple[str, ...]] = field(default_factory=dict)
    living: set[Digest] = field(default_factory=set)
    uses: dict[Digest, list[Use]] = field(default_factory=dict)

    def needing(self, packs: AbstractSet[str]) -> list[Digest]:
        """The manifests that need one of these packs, in the order of first use."""
        return [digest for digest, names in self.below.items() if not packs.isdisjoint(names)]


@dataclass(slots=True)
class _Of:
    """What one ref needs."""

    packs: dict[str, Pack] = field(default_factory=dict)
    below: dict[Digest, tuple[str, ...]] = field(default_factory=dict)
    living: set[Digest] = field(default_factory=set)
    named: list[tuple[Version, Digest]] = field(default_factory=list)


def occupancy(repository: Repository, terms: Terms, report: Report) -> Occupancy:
    """Look at all refs, and at the manifests of versions that live or may still be undeleted.

    Packs that a hidden ref names stay as they are: a save that is under way builds on them.

    Args:
        repository: Where, without copies.
        terms: Which deleted versions count.
        report: Is told, in the phase `weigh`.

    Raises:
        CorruptError: Something that has to be understood is damaged or lost: names it.
        UnsupportedFormatError: Something was written by a newer casreg.
        StorageError: The place cannot be read.
    """
    reader = Reader(repository, terms)
    names = every_ref_name(repository)
    found = Occupancy()

    def look(name: str) -> _Of:
        held = as_given_up(reader.held(name), terms)
        return reader.settled(held, lambda history: _needs(reader, name, history))[1]

    looked = ahead_in_parts(look, names, threads_for(repository.backend, terms))
    for number, (name, of) in enumerate(zip(names, looked, strict=True), 1):
        _add(found, name, of)
        report.tell("weigh", number, len(names), name)
    found.uses = {digest: found.uses[digest] for digest in found.below}
    return found


def _needs(reader: Reader, name: str, history: History) -> _Of:
    of = _Of()
    for named in sorted(reader.named(history), key=lambda named: named.version):
        digest = named.entry.manifest
        of.named.append((named.version, digest))
        if named.lives:
            of.living.add(digest)
        if not named.protected or digest in of.below:
            continue
        placement = reader.placed(name, named)
        if placement is not None:
            of.below[digest] = tuple(pack.name for pack in placement.packs)
            _take(of.packs, placement, stays=is_hidden(name))
    return of


def _take(packs: dict[str, Pack], placement: Placement, *, stays: bool) -> None:
    for ref in placement.packs:
        pack = packs.setdefault(ref.name, Pack(ref))
        # Two placements that say different things of one pack cannot both be true: it is not touched.
        pack.stays |= stays or pack.ref != ref
    mine = [packs[ref.name].needed for ref in placement.packs]
    for runs in placement.runs.values():
        for run in runs:
            mine[run.pack].add(run.offset, run.offset + run.length)


def _add(found: Occupancy, name: str, of: _Of) -> None:
    for pack in of.packs.values():
        known = found.packs.setdefault(pack.ref.name, pack)
        if known is not pack:
            known.stays |= pack.stays or known.ref != pack.ref
            known.needed.add_all(pack.needed)
    for digest, names in of.below.items():
        found.below.setdefault(digest, tuple(found.packs[one].ref.name for one in names))
    found.living |= of.living
    for version, digest in of.named:
        found.uses.setdefault(digest, []).append(Use(name, version))
