"""Which chunks the repository has already: tables of packs, seen and proved, and the search for duplicates.

Order of the search: the packs of the same name's latest version, then whatever the index proposes.  What a table
says is true, since its digest is checked; that its pack still exists at the commit is the committer's to prove,
which is why each table carries the id of the collector's head after whose reading it was seen (`protocol.md`).
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from casreg.backends.base import traits_of
from casreg.exceptions import CorruptError, NotFound, StorageError
from casreg.fetch.sharing import at_once
from casreg.ingest.packing import Place
from casreg.packs import key_of, parse_table, table_range
from casreg.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.index import Index
    from casreg.model import PackRef
    from casreg.packs import Located

MAX_RECORDS: Final = 262_144
"""Records of tables that are kept in memory: about 60 MiB."""

_RECORDS: Final = 1024
"""A pack of real data has about half as many."""

_PATIENCE: Final = 3
"""So many tables that cannot be read end a search: the storage is away, or the disk is ill."""

log = logging.getLogger("casreg.tables")


@dataclass(frozen=True, slots=True)
class Table:
    """A pack's table, and when it was seen.

    Attributes:
        pack: The pack.
        records: Where each chunk is in it.
        seen: Id of the head after whose reading the pack was seen to exist.
    """

    pack: PackRef
    records: Mapping[Digest, Located]
    seen: RunId


class Tables:
    """The tables of one repository, fetched once and kept, the least recently used given up first. Thread-safe."""

    def __init__(self, backend: Backend) -> None:
        """No I/O before the first call."""
        self._backend = backend
        self._lock = threading.Lock()
        self._tables: OrderedDict[str, Table] = OrderedDict()
        self._records = 0

    def get(self, pack: PackRef, head: RunId) -> Table | None:
        """The table of a pack; None if the pack is gone or its table damaged: then nothing can be built on it.

        Args:
            pack: As a placement or an index names it.
            head: Id of the head that the caller read before.

        Raises:
            StorageError: It cannot be read.
        """
        with self._lock:
            found = self._tables.get(pack.name)
            if found is not None and found.pack == pack:
                self._tables.move_to_end(pack.name)
                return found
        try:
            data = self._backend.get(key_of(pack), *table_range(pack)).data
            table = Table(pack, parse_table(pack, data), head)
        except NotFound:
            return None
        except CorruptError as err:
            log.warning("nothing will be built on a damaged pack: %s", err)
            return None
        self.put(table)
        return table

    def fetch(self, packs: Sequence[PackRef], head: RunId) -> None:
        """Get the tables of many packs side by side, as far as they can be kept. Nothing if none is worth waiting for.

        Raises:
            StorageError: One cannot be read; others were not tried.
        """
        if len(packs) < 2 or not traits_of(self._backend).parallel_requests:
            return
        wanted = packs[: MAX_RECORDS // _RECORDS]
        for _ in ahead(lambda pack: self.get(pack, head), wanted, at_once(self._backend), len(wanted)):
            pass

    def put(self, table: Table) -> None:
        """Keep a table."""
        with self._lock:
            replaced = self._tables.pop(table.pack.name, None)
            self._records += len(table.records) - (len(replaced.records) if replaced else 0)
            self._tables[table.pack.name] = table
            while self._records > MAX_RECORDS and len(self._tables) > 1:
                _, oldest = self._tables.popitem(last=False)
                self._records -= len(oldest.records)

    def forget(self, name: str) -> None:
        """Give up a table whose pack is gone, or must not be built on."""
        with self._lock:
            found = self._tables.pop(name, None)
            self._records -= len(found.records) if found else 0


class Duplicates:
    """Finds chunks that one save need not store. Not thread-safe: it belongs to that save."""

    def __init__(
        self, tables: Tables, index: Index, near: Sequence[PackRef], head: RunId, avoid: Collection[str]
    ) -> None:
        """No I/O before the first search.

        Args:
            tables: The repository's tables.
            index: Its index.
            near: Packs that are searched first.
            head: Id of the head that was read when the save began.
            avoid: Keys of packs that must not be built on.
        """
        self._tables = tables
        self._index = index
        self._near: Sequence[PackRef] | None = near
        self._head = head
        self._avoid = avoid
        self._places: dict[Digest, Place] = {}
        self._used: dict[str, Table] = {}
        self._gone: set[str] = set()
        self._unreadable: set[str] = set()
        self._listed: Sequence[tuple[str, int]] | None = None

    def find(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        """The places of those of `digests` that are known (see `casreg.ingest.packing.Known`)."""
        if not digests:
            return {}
        near, self._near = self._near, None
        self._take_all(near or ())
        rest = [digest for digest in digests if digest not in self._places]
        if rest and self._listed is None:
            self._listed = self._index.files()  # once for the save, not for each of its steps
        for digest, pack in self._index.find(rest, self._listed):
            if digest not in self._places:
                self._take(pack)
        return {digest: self._places[digest] for digest in digests if digest in self._places}

    def add(self, table: Table) -> None:
        """Find the chunks of this pack, too."""
        self._used[table.pack.name] = table
        for digest, located in table.records.items():
            self._places.setdefault(digest, Place(table.pack, located))

    def seen(self, name: str) -> RunId | None:
        """When the pack with this name was seen, if this search has used it."""
        table = self._used.get(name)
        return table.seen if table else None

    def _take_all(self, packs: Sequence[PackRef]) -> None:
        try:
            self._tables.fetch([pack for pack in packs if key_of(pack) not in self._avoid], self._head)
        except StorageError as err:
            log.debug("tables are read one by one, to see which cannot be read: %s", err)
        for pack in packs:
            self._take(pack)

    def _take(self, pack: PackRef) -> None:
        if pack.name in self._used or pack.name in self._gone or key_of(pack) in self._avoid:
            return
        if pack.name in self._unreadable or len(self._unreadable) >= _PATIENCE:
            return
        try:
            table = self._tables.get(pack, self._head)
        except StorageError as err:
            # One bad sector must not stand in the way of whoever could store the same bytes elsewhere.
            log.warning("nothing is built on a pack that cannot be read: %s", err)
            self._unreadable.add(pack.name)
            return
        if table is None:
            self._gone.add(pack.name)  # the index may name it once for each of its chunks
            return
        self.add(table)
