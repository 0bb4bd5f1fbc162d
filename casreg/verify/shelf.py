"""Finding chunks by digest in packs of one place, and reading them.

Which pack has a chunk is kept as a save keeps it: in an index, some twelve bytes for each chunk, only that this one is
in memory and holds exactly the packs that it was given.
"""

from __future__ import annotations

from itertools import groupby, islice
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg import codec
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, NotFound
from casreg.head import INITIAL
from casreg.index import Index
from casreg.ingest.packing import Encoded, Place
from casreg.keys import PACKS, parse_data_key
from casreg.model import PackRef
from casreg.packs import TRAILER, check_sizes, iterate_frames, key_of, open_frame, read_trailer
from casreg.tables import Duplicates, Tables
from casreg.threads import ahead, workers
from casreg.verify.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, ObjectInfo
    from casreg.digest import Digest

_AT_A_TIME: Final = 256
_RECORD: Final = 48
_REQUEST: Final = 8 * 1024 * 1024
_GAP: Final = 64 * 1024
_AHEAD: Final = 4


class Read(NamedTuple):
    """A chunk that was read and verified.

    Attributes:
        encoded: Its stored form.
        data: Its bytes.
    """

    encoded: Encoded
    data: Buffer


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


def read_chunks(backend: Backend, places: Mapping[Digest, Place]) -> Iterator[Read]:
    """The chunks at these places, by pack and in its order. Those that are damaged or gone are left out.

    Raises:
        StorageError: A pack cannot be read.
    """
    wanted = sorted(places.items(), key=lambda item: (item[1].pack.name, item[1].located.offset))
    by_pack = (list(some) for _, some in groupby(wanted, key=lambda item: item[1].pack.name))
    requests = (request for some in by_pack for request in _requests(some))
    for read in ahead(lambda request: _read(backend, request), requests, _AHEAD):
        yield from read


def _requests(wanted: list[tuple[Digest, Place]]) -> Iterator[list[tuple[Digest, Place]]]:
    """Those that lie side by side, or nearly, together."""
    held: list[tuple[Digest, Place]] = []
    for digest, place in wanted:
        at = place.located.offset
        if held:
            first, last = held[0][1].located, held[-1][1].located
            if at - (last.offset + last.length) > _GAP or at + place.located.length - first.offset > _REQUEST:
                yield held
                held = []
        held.append((digest, place))
    if held:
        yield held


def _read(backend: Backend, wanted: list[tuple[Digest, Place]]) -> list[Read]:
    first, last = wanted[0][1].located, wanted[-1][1].located
    key = key_of(wanted[0][1].pack)
    try:
        data = memoryview(backend.get(key, first.offset, last.offset + last.length).data)
    except NotFound:
        return []
    found = []
    for digest, place in wanted:
        begin = place.located.offset - first.offset
        try:
            found.append(_opened(data[begin : begin + place.located.length], digest, place.located.size, key))
        except CorruptError:
            continue
    return found


def _opened(data: memoryview, digest: Digest, size: int, key: str) -> Read:
    frames = list(iterate_frames(data, key))
    if len(frames) != 1:
        raise CorruptError(f"{key}: a frame is cut off")
    opened = open_frame(frames[0], digest, size, key)
    if len(frames[0].stored) >= size:  # whoever wrote it so should not have
        return Read(Encoded(digest, codec.RAW, opened, size), opened)
    return Read(Encoded(digest, frames[0].codec, frames[0].stored, size), opened)
