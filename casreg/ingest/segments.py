"""Units of work for many cores: pieces of long sources, and batches of short ones, cut and hashed.

Segments of a long source are cut side by side and joined afterwards (`casreg.chunker.resynchronise`), which gives
exactly the chunks of one pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from blake3 import blake3

from casreg.chunker import MAX_CHUNK, cut, cut_segment, resynchronise
from casreg.digest import Digest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from casreg.ingest.sources import Source

# A multiple of MAX_CHUNK, so that long stretches of equal bytes, which are cut at the maximum, stay in step.
SEGMENT: Final = 8 * 1024 * 1024
SCRATCH: Final = SEGMENT + MAX_CHUNK
SMALL: Final = 1024 * 1024
_BATCH_BYTES: Final = 4 * 1024 * 1024
_BATCH_SOURCES: Final = 512


class Piece(NamedTuple):
    """One chunk with its bytes."""

    digest: Digest
    data: memoryview


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of one long source.

    Attributes:
        number: Which source.
        source: The source.
        start: Where the segment begins.
        own: Bytes of the segment itself.
        stop: Where reading ends: up to `MAX_CHUNK` further, so that its last chunk is whole.
    """

    number: int
    source: Source
    start: int
    own: int
    stop: int

    @property
    def first(self) -> bool:
        """Whether the source begins here."""
        return not self.start

    @property
    def last(self) -> bool:
        """Whether the source ends here."""
        return self.start + self.own == self.source.size


@dataclass(frozen=True, slots=True)
class Batch:
    """Some short sources, each whole.

    Attributes:
        members: Number and source of each.
    """

    members: tuple[tuple[int, Source], ...]


@dataclass(frozen=True, slots=True)
class CutSegment:
    """A segment after it was cut as if a chunk began where it begins."""

    segment: Segment
    data: memoryview
    sizes: Sequence[int]
    digests: Sequence[Digest]


@dataclass(frozen=True, slots=True)
class CutBatch:
    """A batch after it was cut: for each member its number and pieces."""

    members: Sequence[tuple[int, Sequence[Piece]]]


def units(sources: Sequence[Source]) -> Iterator[Segment | Batch]:
    """The work of reading `sources`, in order. Empty sources, and those with known chunks, are left out."""
    batch: list[tuple[int, Source]] = []
    held = 0
    for number, source in enumerate(sources):
        if source.known is not None or not source.size:
            continue
        if source.size <= SMALL:
            batch.append((number, source))
            held += source.size
        if batch and (source.size > SMALL or held >= _BATCH_BYTES or len(batch) >= _BATCH_SOURCES):
            yield Batch(tuple(batch))
            batch, held = [], 0
        if source.size > SMALL:
            for start in range(0, source.size, SEGMENT):
                own = min(SEGMENT, source.size - start)
                yield Segment(number, source, start, own, min(start + own + MAX_CHUNK, source.size))
    if batch:
        yield Batch(tuple(batch))


def cut_unit(segment: Segment, scratch: bytearray) -> CutSegment:
    """Read, cut and hash a segment. The source must be open."""
    data = segment.source.read(segment.start, segment.stop, memoryview(scratch))
    sizes = cut_segment(data, segment.own)
    return CutSegment(segment, data, sizes, _hash_all(data, 0, sizes))


def cut_batch(batch: Batch, scratch: bytearray) -> CutBatch:
    """Open, read, check, cut and hash the members of a batch."""
    free = memoryview(scratch)
    members: list[tuple[int, Sequence[Piece]]] = []
    for number, source in batch.members:
        source.open()
        data = source.read(0, source.size, free)
        source.close()
        free = free[source.size :]
        sizes = cut(data)
        members.append((number, _pieces(data, 0, sizes, _hash_all(data, 0, sizes))))
    return CutBatch(members)


def join(part: CutSegment, begin: int) -> tuple[list[Piece], int]:
    """The true chunks of a segment.

    Args:
        part: The segment as cut on its own.
        begin: Where the first true chunk begins, in bytes from the beginning of the segment.

    Returns:
        The chunks, and where the first of the next segment begins, in bytes from the beginning of that one.
    """
    corrected, replaced = resynchronise(part.data, part.segment.own, begin, part.sizes)
    pieces = _pieces(part.data, begin, corrected, _hash_all(part.data, begin, corrected))
    position = begin + sum(corrected)
    pieces += _pieces(part.data, position, part.sizes[replaced:], part.digests[replaced:])
    return pieces, position + sum(part.sizes[replaced:]) - part.segment.own


def _hash_all(data: memoryview, position: int, sizes: Sequence[int]) -> list[Digest]:
    digests: list[Digest] = []
    for size in sizes:
        digests.append(Digest(blake3(data[position : position + size]).digest()))
        position += size
    return digests


def _pieces(data: memoryview, position: int, sizes: Sequence[int], digests: Sequence[Digest]) -> list[Piece]:
    pieces: list[Piece] = []
    for size, digest in zip(sizes, digests, strict=True):
        pieces.append(Piece(digest, data[position : position + size]))
        position += size
    return pieces
