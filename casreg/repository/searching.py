"""The search for chunks that a repository has already, begun when the first chunk asks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from casreg.exceptions import CorruptError, StorageError, UnsupportedFormatError
from casreg.packs import key_of
from casreg.tables import Duplicates, Table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.ingest import Place
    from casreg.model import PackRef, Placement
    from casreg.packs import SealedPack
    from casreg.refs import Begun
    from casreg.repository.repository import Repository

log = logging.getLogger("casreg.repository")


class Search:
    """What one save, or one copy, looks for duplicates with. A small save never does. Not thread-safe."""

    def __init__(
        self, repository: Repository, name: str, avoid: Collection[str], begun: Begun | None = None
    ) -> None:
        """No I/O yet.

        Args:
            repository: Where.
            name: In the latest version of this name most chunks will be found.
            avoid: Keys of packs that must not be built on.
            begun: The ref of the name and the head, if they were read already; by default they are.
        """
        self._repository = repository
        self._name = name
        self._avoid = avoid
        self._begun = begun
        self._found: Duplicates | None = None
        self._head: RunId | None = None

    def find(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        """See `casreg.ingest.packing.Known`."""
        return self._search().find(digests)

    def add(self, written: Iterable[SealedPack]) -> None:
        """Find what was written a moment ago, too: nothing else names it before it is committed."""
        for sealed in written:
            search = self._search()
            assert self._head is not None
            search.add(Table(sealed.ref, sealed.table, self._head))

    def _search(self) -> Duplicates:
        if self._found is None:
            # The head is read before anything is seen, so that the sighting counts for what comes after it.
            begun, repository = self._begun, self._repository
            fence = repository.refs.fences.read() if begun is None else begun.fence
            self._head = fence.head.id
            near = _packs_of_latest(repository, self._name, begun)
            avoid = fence.bad | set(self._avoid)
            self._found = Duplicates(repository.tables, repository.index, near, fence.head.id, avoid)
        return self._found

    def sightings(self, placement: Placement, written: Iterable[SealedPack]) -> dict[str, RunId]:
        """For the keys of packs in `placement`: id of the head after whose reading each was seen or `written`."""
        own = {sealed.ref.name for sealed in written}
        seen = {}
        for pack in placement.packs:
            # What was written was acknowledged after the head was read that the search began with.
            when = self._head if pack.name in own else self._seen(pack.name)
            if when is not None:
                seen[key_of(pack)] = when
        return seen

    def _seen(self, pack: str) -> RunId | None:
        return self._found.seen(pack) if self._found else None


def _packs_of_latest(repository: Repository, name: str, begun: Begun | None) -> Sequence[PackRef]:
    """The packs of the newest version, in which the next one will find most of its chunks. Only a hint."""
    try:
        if begun is not None:
            latest = begun.held.history.latest()
        else:
            latest = repository.refs.ask(name, lambda history: history.latest() if history else None)
        return repository.manifest(latest[1].manifest).placement.packs if latest else ()
    except (StorageError, CorruptError, UnsupportedFormatError) as err:
        # Whatever is wrong with that version need not hinder the next one.
        log.debug("%s: the latest version is not searched for duplicates: %s", name, err)
        return ()


def remember_packs(repository: Repository, written: Sequence[SealedPack], seen: Mapping[str, RunId]) -> None:
    """Let later searches find what was written for a version that is committed now."""
    for sealed in written:
        repository.tables.put(Table(sealed.ref, sealed.table, seen[sealed.key]))
    repository.index.add((sealed.ref, sealed.table) for sealed in written)
