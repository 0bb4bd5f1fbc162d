"""Finding chunks by digest in packs of one place.

Which pack has a chunk is kept as a save keeps it: in an index, some twelve bytes for each chunk, only that this one is
in memory and holds exactly the packs that it was given.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, NotFound
from casreg.head import INITIAL
from casreg.index import Index
from casreg.keys import PACKS, parse_data_key
from casreg.model import PackRef
from casreg.packs import TRAILER, check_sizes, read_trailer
from casreg.tables import Duplicates, Tables
from casreg.threads import ahead, workers
from casreg.verify.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casreg.backends.base import Backend, ObjectInfo
    from casreg.digest import Digest

_AT_A_TIME: Final = 256
_RECORD: Final = 48


class Shelf:
    """Packs of one place, in which chunks are found."""

    def __init__(self, backend: Backend, packs: Iterable[PackRef]) -> None:
        """Reads the tables of `packs`. Those that cannot be used are left out."""
        self._backend = backend
        self._tables = Tables(backend)
        self._index = Index(MemoryBackend())
        left = iter(packs)
        while some := list(islice(left, _AT_A_TIME)):
            read = list(ahead(self._digests, some, 2 * workers()))
            self.add((pack, digests) for pack, digests in read if digests)

    def add(self, packs: Iterable[tuple[PackRef, Iterable[Digest]]]) -> None:
        """More packs, with the chunks that they have."""
        self._index.add(packs)

    def search(self) -> Duplicates:
        """A new search. It remembers the tables that it met, so each version gets its own."""
        return Duplicates(self._tables, self._index, (), INITIAL.id, ())

    def _digests(self, pack: PackRef) -> tuple[PackRef, list[Digest]]:
        try:
            return pack, list(read_table(self._backend, pack))
        except (CorruptError, NotFound):
            return pack, []


def packs_at(backend: Backend) -> Iterator[PackRef]:
    """All packs of a place, whoever needs them. Those that do not end as packs do are left out.

    Raises:
        StorageError: The place cannot be read.
    """
    for pack in ahead(lambda info: _pack_at(backend, info), backend.list(PACKS), 2 * workers()):
        if pack is not None:
            yield pack


def _pack_at(backend: Backend, info: ObjectInfo) -> PackRef | None:
    key = parse_data_key(info.key)
    if key is None or info.size < TRAILER.size:
        return None
    try:
        trailer = backend.get(info.key, info.size - TRAILER.size, info.size).data
        count, digest = read_trailer(trailer, info.key)
        pack = PackRef(f"{key.hook}-{key.digest.hex()}", info.size, count * _RECORD, digest)
        check_sizes(pack)
    except (CorruptError, NotFound, ValueError):
        return None
    return pack
