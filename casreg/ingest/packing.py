"""New chunks become packs: each chunk once, packs written while others are still being filled."""

from __future__ import annotations

from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias

from casreg.backends.base import traits_of
from casreg.packs import PACK_LIMIT, PackBuilder
from casreg.sending import until_acknowledged
from casreg.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Future

    from typing_extensions import Buffer

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.model import PackRef
    from casreg.packs import Located, SealedPack

MAX_IN_FLIGHT: Final = 4
"""Packs that are being written at the same time, each up to 32 MiB of memory."""

MAX_FAR_IN_FLIGHT: Final = 5
"""The same for places that say of themselves that they are worth more requests at once. More memory costs more than it
brings: saves of 1 GiB to a server 20 ms away were slower by a tenth with eight."""

_TABLE_ROOM: Final = 256 * 1024


class Place(NamedTuple):
    """Where a chunk is stored already."""

    pack: PackRef
    located: Located


class Known(Protocol):
    """What finds chunks that the repository has already. It may miss some; what it says is true."""

    def find(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        """The places of those of `digests` that are known."""
        ...


Keep: TypeAlias = "Callable[[Sequence[SealedPack]], None]"
"""Told now and then of all packs that were written so far; to see that nobody takes them before they are committed."""


class Spot(NamedTuple):
    """Where a chunk of this save is: a pack by its number in this save, and its frame there."""

    pack: int
    offset: int
    length: int


class Encoded(NamedTuple):
    """A new chunk in its stored form."""

    digest: Digest
    codec: int
    stored: Buffer
    size: int


class Packing:
    """The chunks of one save: where each is, and packs under way for those that are new.

    One thread calls it; sealing and writing packs happens on threads of its own.
    """

    def __init__(self, backend: Backend, known: Known, size: int, keep: Keep | None = None) -> None:
        """Nothing is written before the first new chunk.

        Args:
            backend: Where packs go.
            known: What the repository has already.
            size: About how many bytes the chunks will have, so that the first buffer is neither small nor huge.
            keep: Is told of the packs that were written.
        """
        self._room = min(PACK_LIMIT, size) + _TABLE_ROOM
        self._backend = backend
        self._known = known
        self._keep = keep
        self._packs: list[PackRef | None] = []
        self._numbers: dict[str, int] = {}
        self._spots: dict[Digest, Spot] = {}
        self._claimed: set[Digest] = set()
        self._builder: PackBuilder | None = None
        self._open = -1
        self._buffers: list[bytearray] = []
        self._at_once = max(MAX_IN_FLIGHT, min(traits_of(backend).parallel_requests, MAX_FAR_IN_FLIGHT))
        self._in_flight: list[tuple[int, bytearray, Future[SealedPack]]] = []
        self._threads: Threads | None = None
        self._buffer = bytearray()
        self.written: list[SealedPack] = []
        self.stored = 0

    def claim(self, digests: Iterable[Digest]) -> set[Digest]:
        """Those of `digests` that have to be stored: neither known to the repository nor claimed before."""
        unseen = [d for d in dict.fromkeys(digests) if d not in self._spots and d not in self._claimed]
        self.adopt(self._known.find(unseen))
        self._tell()
        new = {digest for digest in unseen if digest not in self._spots}
        self._claimed |= new
        return new

    def adopt(self, places: Mapping[Digest, Place]) -> None:
        """Take over chunks where they are."""
        for digest, (pack, located) in places.items():
            number = self._numbers.get(pack.name)
            if number is None:
                number = self._numbers[pack.name] = len(self._packs)
                self._packs.append(pack)
            self._spots[digest] = Spot(number, located.offset, located.length)

    def look_for(self, digests: Iterable[Digest]) -> None:
        """Take over those of these chunks that the repository has."""
        wanted = [digest for digest in dict.fromkeys(digests) if digest not in self._spots]
        if wanted:
            self.adopt(self._known.find(wanted))

    def has(self, digests: Iterable[Digest]) -> bool:
        """Whether this save has all of these chunks, stored or taken over."""
        return all(digest in self._spots for digest in digests)

    def append(self, chunk: Encoded) -> None:
        """Put a claimed chunk into the current pack; begins to write the pack when it is full."""
        length = len(memoryview(chunk.stored))
        if self._builder is not None and not self._builder.fits(length):
            self._dispatch()
        if self._builder is None:
            self._begin()
        assert self._builder is not None
        located = self._builder.append(chunk.digest, chunk.codec, chunk.stored, chunk.size)
        self._spots[chunk.digest] = Spot(self._open, located.offset, located.length)
        self.stored += located.length

    def cut(self) -> None:
        """End the current pack: what is appended next goes into another."""
        if self._builder is not None:
            self._dispatch()

    def spot(self, digest: Digest) -> Spot:
        """Where a chunk is that was claimed and appended, or is known."""
        return self._spots[digest]

    def pack(self, number: int) -> PackRef:
        """How placements name a pack of this save. Only after `finish`."""
        ref = self._packs[number]
        assert ref is not None
        return ref

    def finish(self) -> None:
        """Write what is left. When it returns, every pack has been acknowledged by the backend.

        Raises:
            StorageError: A pack could not be written.
        """
        if self._builder is not None:
            if self._threads is None:
                self._settle(self._open, _write(self._backend, self._builder))
                self._builder = None
            else:
                self._dispatch()
        while self._in_flight:
            self._wait()
        self.close()

    def close(self) -> None:
        """Stop the threads; packs that are being written are waited for. Safe to call again."""
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)

    def _begin(self) -> None:
        # The buffer of a pack that has been written meanwhile is warm: fresh memory costs more than what goes into it.
        while any(future.done() for _, _, future in self._in_flight):
            self._wait()
        self._buffer = self._buffers.pop() if self._buffers else bytearray(self._room)
        self._builder = PackBuilder(self._buffer)
        self._open = len(self._packs)
        self._packs.append(None)

    def _dispatch(self) -> None:
        assert self._builder is not None
        if self._threads is None:
            self._threads = Threads(self._at_once, "casreg-pack")
        builder, self._builder = self._builder, None
        future = self._threads.submit(_write, self._backend, builder)
        self._in_flight.append((self._open, self._buffer, future))
        while len(self._in_flight) >= self._at_once:
            self._wait()

    def _wait(self) -> None:
        """Until one of the packs is written, whichever: one that is slow must not hold up the others."""
        wait([future for _, _, future in self._in_flight], return_when=FIRST_COMPLETED)
        done = next(at for at, (_, _, future) in enumerate(self._in_flight) if future.done())
        number, buffer, future = self._in_flight.pop(done)
        sealed = future.result()
        sealed.data.release()
        self._buffers.append(buffer)
        self._settle(number, sealed)

    def _settle(self, number: int, sealed: SealedPack) -> None:
        self._packs[number] = sealed.ref
        self.written.append(sealed)
        self.stored += sealed.ref.size - sum(located.length for located in sealed.table.values())
        self._tell()

    def _tell(self) -> None:
        if self._keep is not None:
            self._keep(self.written)


def _write(backend: Backend, builder: PackBuilder) -> SealedPack:
    """Seal and write a pack."""
    sealed: SealedPack | None = None

    def send() -> SealedPack:
        nonlocal sealed
        if sealed is not None:
            sealed.data.release()
        sealed = builder.seal()
        backend.create(sealed.key, sealed.data)
        return sealed

    return until_acknowledged(send)
