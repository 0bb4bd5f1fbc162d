"""Reading, cutting, hashing, compressing and writing at the same time, on all cores, in bounded memory.

    units → [cut and hash]* → join, claim → [compress]* → append → [write packs]*

The starred steps run on threads, where the libraries release the GIL; the others are short and run, in order, on
the thread that called.  At most a few units are between the first step and the last, so memory does not grow
with the size of what is saved.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from casreg import codec
from casreg.ingest.packing import Encoded
from casreg.ingest.segments import (
    SCRATCH,
    Batch,
    CutBatch,
    CutSegment,
    Piece,
    Segment,
    cut_batch,
    cut_unit,
    join,
    units,
)
from casreg.model import Chunk
from casreg.threads import Threads, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    from casreg.digest import Digest
    from casreg.ingest.packing import Packing
    from casreg.ingest.sources import Source


class Tally(NamedTuple):
    """What one step of the pipeline dealt with: bytes, chunks, and how many of the bytes were new."""

    size: int
    chunks: int
    new: int


class _Read(NamedTuple):
    scratch: bytearray
    future: Future[CutSegment | CutBatch]
    unit: Segment | Batch


class _Encode(NamedTuple):
    scratch: bytearray
    future: Future[list[Encoded]]
    tally: Tally


def run(sources: Sequence[Source], packing: Packing, report: Callable[[Tally], None]) -> list[list[Chunk]]:
    """Store what `sources` hold; gives the chunks of each, in order.

    Raises:
        SourceError: A source cannot be read, or changed meanwhile.
        StorageError: A pack could not be written.
    """
    work = list(units(sources))
    chunks: list[list[Chunk]] = [list(source.known or ()) for source in sources]
    known = [(source.size, len(source.known)) for source in sources if source.known is not None]
    if known:
        sizes, counts = zip(*known, strict=True)
        report(Tally(sum(sizes), sum(counts), 0))
    try:
        for source in sources:
            if not source.size and source.known is None:
                source.open()  # nothing to read, but it may have more than it says
                source.close()
        if len(work) == 1:
            _run_alone(work[0], packing, report, chunks)
        elif work:
            _run_together(work, packing, report, chunks)
    finally:
        for source in sources:
            source.abandon()
    return chunks


def _run_alone(
    unit: Segment | Batch, packing: Packing, report: Callable[[Tally], None], chunks: list[list[Chunk]]
) -> None:
    """One unit is done sooner on this thread than handed to another."""
    if isinstance(unit, Segment):
        unit.source.open()
    size = sum(source.size for _, source in unit.members) if isinstance(unit, Batch) else unit.own
    pieces = _Joiner(chunks).join(_cut(unit, bytearray(size)))
    new = packing.claim(piece.digest for piece in pieces)
    for encoded in _encode(_only(pieces, new)):
        packing.append(encoded)
    report(_tally(pieces, new))


def _run_together(
    work: Sequence[Segment | Batch],
    packing: Packing,
    report: Callable[[Tally], None],
    chunks: list[list[Chunk]],
) -> None:
    pipeline = _Pipeline(packing, report, chunks)
    try:
        for unit in work:
            pipeline.feed(unit)
        pipeline.drain()
    finally:
        pipeline.close()


class _Joiner:
    """Turns cut units, in order, into true chunks, and notes them with their source."""

    def __init__(self, chunks: list[list[Chunk]]) -> None:
        self._chunks = chunks
        self._begin = 0

    def join(self, part: CutSegment | CutBatch) -> list[Piece]:
        if isinstance(part, CutBatch):
            pieces: list[Piece] = []
            for number, members in part.members:
                self._note(number, members)
                pieces += members
            return pieces
        segment = part.segment
        pieces, begin = join(part, 0 if segment.first else self._begin)
        self._begin = begin
        self._note(segment.number, pieces)
        if segment.last:
            segment.source.close()
        return pieces

    def _note(self, number: int, pieces: Iterable[Piece]) -> None:
        self._chunks[number] += [Chunk(piece.digest, len(piece.data)) for piece in pieces]


class _Pipeline:
    """The queues between the steps. The thread that made it feeds and drains it."""

    def __init__(self, packing: Packing, report: Callable[[Tally], None], chunks: list[list[Chunk]]) -> None:
        self._packing = packing
        self._report = report
        self._joiner = _Joiner(chunks)
        self._threads = Threads(workers(), "casreg-save")
        self._window = workers() + 1
        self._reading: deque[_Read] = deque()
        self._encoding: deque[_Encode] = deque()
        self._free: list[bytearray] = []

    def feed(self, unit: Segment | Batch) -> None:
        while len(self._reading) >= self._window:
            self._advance()
        if isinstance(unit, Segment) and unit.first:
            unit.source.open()
        # Buffers are used again: the first touch of fresh memory costs more than all the work on it.
        scratch = self._free.pop() if self._free else bytearray(SCRATCH)
        self._reading.append(_Read(scratch, self._threads.submit(_cut, unit, scratch), unit))

    def drain(self) -> None:
        while self._reading:
            self._advance()
        while self._encoding:
            self._store()

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _advance(self) -> None:
        """Join and claim the oldest unit that was cut, and have its new chunks compressed."""
        while len(self._encoding) >= self._window:
            self._store()
        scratch, future, _ = self._reading.popleft()
        pieces = self._joiner.join(future.result())
        new = self._packing.claim(piece.digest for piece in pieces)
        encoded = self._threads.submit(_encode, _only(pieces, new))
        self._encoding.append(_Encode(scratch, encoded, _tally(pieces, new)))

    def _store(self) -> None:
        """Append the oldest compressed chunks to the pack; then their buffer is free."""
        scratch, future, tally = self._encoding.popleft()
        for encoded in future.result():
            self._packing.append(encoded)
        self._free.append(scratch)
        self._report(tally)


def _cut(unit: Segment | Batch, scratch: bytearray) -> CutSegment | CutBatch:
    return cut_unit(unit, scratch) if isinstance(unit, Segment) else cut_batch(unit, scratch)


def _only(pieces: Iterable[Piece], new: set[Digest]) -> list[Piece]:
    """The first piece of each new digest."""
    first = {piece.digest: piece for piece in pieces if piece.digest in new}
    return list(first.values())


def _encode(pieces: Sequence[Piece]) -> list[Encoded]:
    stored = codec.encode_all([data for _, data in pieces])
    return [Encoded(digest, *form, len(data)) for (digest, data), form in zip(pieces, stored, strict=True)]


def _tally(pieces: Sequence[Piece], new: set[Digest]) -> Tally:
    fresh = sum(len(piece.data) for piece in _only(pieces, new))
    return Tally(sum(len(piece.data) for piece in pieces), len(pieces), fresh)
