"""The bytes of a compaction: frames that are needed, copied from old packs into new ones, each once and verified."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CorruptError, NotFound
from casreg.gc.relocation import Frames
from casreg.ingest.packing import Packing, Place
from casreg.packs import FRAME, PACK_LIMIT, key_of, parse_table, table_range
from casreg.repository.proving import Sightings
from casreg.threads import ahead
from casreg.transfer.places import Sound, read_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from casreg.digest import Digest
    from casreg.gc.occupancy import Pack
    from casreg.head import RunId
    from casreg.ingest.packing import Encoded
    from casreg.model import PackRef
    from casreg.packs import SealedPack
    from casreg.refs import Fence
    from casreg.repository import Repository
    from casreg.transfer.places import Read, Wanted

_REQUESTS: Final = 4
"""So many reads of packs are under way at once, each of at most 8 MiB."""

_HELD: Final = 2 * PACK_LIMIT
"""So many bytes of a pack are kept back until all that is needed of it was read, so that none is written of a damaged one."""

_SLACK: Final = 1024 * 1024

log = logging.getLogger("casreg.gc")


class Moving:
    """What is moved in one batch, however often it has to be begun anew. Not thread-safe.

    Attributes:
        places: Where chunks are that were copied, or found elsewhere.
        written: The packs that were written, and may be named.
        left: Keys of packs that could not be copied, and of manifests that stay, and why.
    """

    def __init__(self, repository: Repository, threads: int, tell: Callable[[int, int], None]) -> None:
        """No I/O yet.

        Args:
            repository: Where.
            threads: So many requests at once.
            tell: Is told how many bytes of the batch are dealt with, and how many were written for it.
        """
        self._backend = repository.backend
        self._index = repository.index
        self._tables = repository.tables
        self._threads = threads
        self._tell = tell
        self._sightings = Sightings(repository.backend, {})
        self.places: dict[Digest, Place] = {}
        self.written: list[SealedPack] = []
        self.left: dict[str, str] = {}

    @property
    def seen(self) -> Mapping[str, RunId]:
        """Id of the head after whose reading each pack was last seen, or written."""
        return self._sightings.seen

    def settle(self, fence: Fence) -> None:
        """Begin, perhaps anew. What was written, or found, and may not be named any more is forgotten.

        Raises:
            StorageError: A pack cannot be looked at.
        """
        self.left.clear()
        packs = dict.fromkeys(place.pack for place in self.places.values())
        gone = self.unusable([*packs, *(sealed.ref for sealed in self.written)], fence)
        self.written = [sealed for sealed in self.written if sealed.ref.name not in gone]
        self.places = {digest: place for digest, place in self.places.items() if place.pack.name not in gone}

    def unusable(self, packs: Iterable[PackRef], fence: Fence) -> set[str]:
        """The names of those of these packs that may not be named anew: they are lost, damaged, or being collected.

        Raises:
            StorageError: One cannot be looked at.
        """

        def look(pack: PackRef) -> tuple[str, bool]:  # each key by one thread: nothing is shared but a dict
            return pack.name, self._sightings.usable(key_of(pack), fence)

        return {name for name, is_usable in ahead(look, packs, self._threads) if not is_usable}

    def look(self, packs: Sequence[Pack]) -> dict[str, Frames | None]:
        """The frames of each of these packs, by name; None of one that is not there. Those that are damaged are left out.

        Raises:
            StorageError: One cannot be read.
        """
        frames: dict[str, Frames | None] = {}
        for pack, found in ahead(lambda pack: (pack, self._frames(pack.ref)), packs, self._threads):
            if isinstance(found, CorruptError):
                self._leave(pack.ref, str(found))
            else:
                frames[pack.ref.name] = found
        return frames

    def copy(
        self,
        packs: Sequence[Pack],
        frames: Mapping[str, Frames],
        staying: Mapping[str, PackRef],
        fence: Fence,
    ) -> dict[str, Frames]:
        """Copy what is needed of these packs, in their order. Returns the frames of those that were copied whole.

        A chunk that is in several of them is copied once, and not at all if it is in a pack that stays, and whole there: as
        after a compaction that was interrupted. What is damaged is left where it is, with all of its pack.

        Args:
            packs: Which.
            frames: Of each.
            staying: The packs that versions need and that are not moved, by name.
            fence: The head as it was read before.

        Raises:
            StorageError: A pack cannot be read, or written.
        """
        needed = self._needed(packs, frames)
        digests = {digest: place for wanted in needed.values() for digest, place in wanted}
        self._find(digests, staying, fence)
        total = sum(place.located.length for wanted in needed.values() for _, place in wanted)
        packing = Packing(self._backend, Sound(self.places), total)
        try:
            new = packing.claim(digests)
            self._append(packing, list(_once(needed.values(), new)))
            packing.finish()
        finally:
            packing.close()
        self.written += packing.written
        for sealed in packing.written:
            self._sightings.seen[sealed.key] = fence.head.id
            self.places.update((digest, Place(sealed.ref, at)) for digest, at in sealed.table.items())
        self._tell(total, packing.stored)
        return {
            name: frames[name]
            for name, wanted in needed.items()
            if all(digest in self.places for digest, _ in wanted)
        }

    def _find(self, digests: Mapping[Digest, Place], staying: Mapping[str, PackRef], fence: Fence) -> None:
        """Note those of these chunks that are in a pack that stays. They are read: what is damaged there is not built on."""
        found: dict[Digest, Place] = {}
        for digest, pack in self._index.find(digest for digest in digests if digest not in self.places):
            if digest in found or staying.get(pack.name) != pack or key_of(pack) in fence.bad:
                continue
            table = self._tables.get(pack, fence.head.id)
            located = table.records.get(digest) if table else None
            if table and located and located.size == digests[digest].located.size:
                found[digest] = Place(pack, located)
                self._sightings.seen[key_of(pack)] = table.seen
        wanted = sorted(found.items(), key=lambda item: (item[1].pack.name, item[1].located.offset))
        for _, read in read_in_order(self._backend, wanted, _digest, min(self._threads, _REQUESTS)):
            self.places.update((digest, found[digest]) for digest in read)

    def _needed(self, packs: Sequence[Pack], frames: Mapping[str, Frames]) -> dict[str, list[Wanted]]:
        """The chunks in each pack that are needed."""
        needed: dict[str, list[Wanted]] = {}
        for pack in packs:
            try:
                needed[pack.ref.name] = [
                    (digest, Place(pack.ref, located))
                    for begin, end in pack.needed
                    for digest, located in frames[pack.ref.name].within(begin, end)
                ]
            except CorruptError as err:
                self._leave(pack.ref, str(err))
        return needed

    def _frames(self, pack: PackRef) -> Frames | CorruptError | None:
        """The frames of a pack; None if it has gone: others have moved what it held, or it is lost."""
        try:
            return Frames(pack, parse_table(pack, self._backend.get(key_of(pack), *table_range(pack)).data))
        except NotFound:
            return None
        except CorruptError as err:
            return err

    def _append(self, packing: Packing, wanted: Sequence[Wanted]) -> None:
        """Copy these chunks, pack by pack, into packs of about the same size."""
        total = sum(place.located.length for _, place in wanted)
        share = total / max(1, -(-total // (PACK_LIMIT - _SLACK)))
        filled = 0
        held: list[Encoded] = []
        size = 0
        broken: set[str] = set()

        def flush() -> None:
            nonlocal filled, size
            for one in held:
                if filled >= share:
                    packing.cut()
                    filled = 0
                packing.append(one)
                filled += FRAME.size + len(memoryview(one.stored))
            held.clear()
            size = 0

        before, done = "", 0
        requests = read_in_order(
            self._backend, wanted, lambda read: read.encoded, min(self._threads, _REQUESTS)
        )
        for request, read in requests:
            pack = request[0][1].pack
            if pack.name != before or size > _HELD:
                flush()
            before = pack.name
            if len(read) < len(request):
                broken.add(pack.name)
                if self._is_there(pack):
                    found = {one.digest for one in read}
                    lost = [digest.hex() for digest, _ in request if digest not in found]
                    self._leave(
                        pack,
                        f"{key_of(pack)}: {len(lost)} chunks are damaged or lost, as {lost[0]}; run `verify`",
                    )
            if pack.name in broken:
                held.clear()
                continue
            held += read
            size += sum(len(memoryview(one.stored)) for one in read)
            done += sum(place.located.length for _, place in request)
            self._tell(done, packing.stored)
        flush()

    def _is_there(self, pack: PackRef) -> bool:
        """Whether it has not gone, since others have moved what it held."""
        try:
            self._backend.get(key_of(pack), 0, 1)
        except NotFound:
            return False
        return True

    def _leave(self, pack: PackRef, why: str) -> None:
        log.warning("what is in %s is not moved: %s", key_of(pack), why)
        self.left[key_of(pack)] = why


def _digest(read: Read) -> Digest:
    return read.encoded.digest


def _once(needed: Iterable[Sequence[Wanted]], new: set[Digest]) -> Iterator[Wanted]:
    """Those of these chunks that are new, each once."""
    left = set(new)
    for wanted in needed:
        for digest, place in wanted:
            if digest in left:
                left.remove(digest)
                yield digest, place
