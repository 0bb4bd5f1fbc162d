"""Chunk lists, read where they are needed: which chunk of a long file holds the byte at some place.

A list says how long each chunk is, so where a chunk begins is the sum of all before it, or the size of the file less
the sum of it and all behind it. Sums are kept for blocks of 4,096 chunks (a quarter of a gigabyte of content), reached
from the nearer end; the records of a few blocks are kept, the others are read again. A list may have a list itself:
then it is found in the same way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from casreg.exceptions import CorruptError
from casreg.manifests import LIST_RECORD, decode_list
from casreg.model import section_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from casreg.fetch.excerpt import Excerpts
    from casreg.model import Chunk, Stream

BLOCK: Final = 4096
"""Chunks of which one sum is kept."""

_KEPT: Final = 4
_AVERAGE: Final = (
    64 * 1024
)  # bytes of a chunk: how far to read towards a place that is far away is guessed by it
_AT_ONCE: Final = 64


class Block(NamedTuple):
    """Chunks that follow each other.

    Attributes:
        first: Number of the first in its stream.
        chunks: They.
        starts: Where each begins in the stream, in bytes, and where the last one ends.
    """

    first: int
    chunks: Sequence[Chunk]
    starts: Sequence[int]


class Chunks(Protocol):
    """The chunks of a stream."""

    def at(self, offset: int) -> Block:
        """A block with the chunk that holds the byte at `offset`, which is less than the size of the stream."""
        ...

    def __iter__(self) -> Iterator[Block]:
        """All blocks, from the first to the last."""
        ...


def chunks_of(stream: Stream, base: str, firsts: Sequence[int], excerpts: Excerpts, key: str) -> Chunks:
    """The chunks of a stream.

    Args:
        stream: The stream.
        base: The section of its chunks: `data` or `tree`.
        firsts: For each level, the number of its first chunk in its section.
        excerpts: Reads chunks of lists.
        key: Names the manifest in errors.
    """
    level = stream.depth
    size = stream.counts[-1] * LIST_RECORD if level else stream.size
    held: Chunks = _Held(stream.chunks, size)
    while level:
        section = section_name(base, level)
        count = stream.counts[level - 1]
        below = stream.counts[level - 2] * LIST_RECORD if level > 1 else stream.size
        held = _Listed(held, section, firsts[level], count, below, excerpts, key)
        level -= 1
    return held


def pieces_of(chunks: Chunks, start: int, stop: int) -> list[tuple[int, int, list[Chunk]]]:
    """The chunks that hold bytes `start` to `stop`: number of the first, where it begins, and they, block by block."""
    pieces: list[tuple[int, int, list[Chunk]]] = []
    while start < stop:
        first, held, starts = chunks.at(start)
        begin = bisect_right(starts, start) - 1
        end = min(bisect_right(starts, stop - 1), len(held))
        pieces.append((first + begin, starts[begin], list(held[begin:end])))
        start = starts[end]
    return pieces


class _Held:
    """Chunks that stand in the manifest or the tree."""

    def __init__(self, chunks: Sequence[Chunk], size: int) -> None:
        # That they sum to the size was checked where they were read.
        self._block = Block(0, chunks, list(accumulate((chunk.size for chunk in chunks), initial=0)))
        assert self._block.starts[-1] == size

    def at(self, offset: int) -> Block:  # noqa: ARG002 - the protocol's signature
        return self._block

    def __iter__(self) -> Iterator[Block]:
        yield self._block


class _Listed:
    """Chunks that stand in a list. `above` are the chunks of that list, from `number` on in `section`."""

    def __init__(
        self, above: Chunks, section: str, number: int, count: int, size: int, excerpts: Excerpts, key: str
    ) -> None:
        self._above = above
        self._section = section
        self._number = number
        self._count = count
        self._size = size
        self._excerpts = excerpts
        self._key = key
        self._blocks = -(-count // BLOCK)
        self._front = [0]  # where blocks 0, 1, … begin
        self._back = [size]  # where what is behind the last block begins, and the last, the one before, …
        self._kept: OrderedDict[int, Sequence[Chunk]] = OrderedDict()

    def at(self, offset: int) -> Block:
        while True:
            if offset < self._front[-1]:
                number = bisect_right(self._front, offset) - 1
                return self._block(number, self._front[number])
            if offset >= self._back[-1]:
                below = bisect_left(self._back, -offset, key=lambda start: -start)
                number = self._blocks - below
                return self._block(number, self._back[below])
            self._extend(offset)

    def __iter__(self) -> Iterator[Block]:
        start = 0
        for first in range(0, self._blocks, _KEPT):
            for number, chunks in enumerate(self._read(first, min(_KEPT, self._blocks - first)), first):
                block = _block(number, chunks, start)
                yield block
                start = block.starts[-1]
        if start != self._size:
            raise self._damaged()

    def _extend(self, offset: int) -> None:
        """Learn where more blocks begin, from the nearer end."""
        unknown = self._blocks - (len(self._front) - 1) - (len(self._back) - 1)
        ahead, behind = offset - self._front[-1], self._back[-1] - offset
        step = min(max(1, min(ahead, behind) // (BLOCK * _AVERAGE)), _AT_ONCE, unknown)
        front, back = self._front, self._back
        if ahead <= behind:
            front = front + list(accumulate(self._sums(len(front) - 1, step), initial=front[-1]))[1:]
        else:
            sums = self._sums(self._blocks - (len(back) - 1) - step, step)
            back = back + list(accumulate((-size for size in reversed(sums)), initial=back[-1]))[1:]
        if front[-1] > back[-1] or (unknown == step and front[-1] != back[-1]):
            raise self._damaged()
        self._front, self._back = front, back

    def _sums(self, first: int, count: int) -> list[int]:
        return [sum(chunk.size for chunk in chunks) for chunks in self._read(first, count)]

    def _block(self, number: int, start: int) -> Block:
        if number in self._kept:
            self._kept.move_to_end(number)
            chunks = self._kept[number]
        else:
            chunks = self._read(number, 1)[0]
        return _block(number, chunks, start)

    def _read(self, number: int, count: int) -> list[Sequence[Chunk]]:
        """Read so many blocks, and keep the last of them."""
        start = number * BLOCK * LIST_RECORD
        stop = min((number + count) * BLOCK, self._count) * LIST_RECORD
        listed = bytearray()
        begin = 0
        for first, at, chunks in pieces_of(self._above, start, stop):
            if not listed:
                begin = at
            for data in self._excerpts.read(self._section, self._number + first, chunks):
                listed += data
        listed = listed[start - begin : stop - begin]
        records = decode_list(memoryview(listed), self._key)
        blocks: list[Sequence[Chunk]] = [records[at : at + BLOCK] for at in range(0, len(records), BLOCK)]
        for at, block in enumerate(blocks[-_KEPT:], number + max(0, len(blocks) - _KEPT)):
            self._kept[at] = block
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return blocks

    def _damaged(self) -> CorruptError:
        return CorruptError(f"{self._key}: a chunk list does not sum to the size of its stream")


def _block(number: int, chunks: Sequence[Chunk], start: int) -> Block:
    return Block(number * BLOCK, chunks, list(accumulate((chunk.size for chunk in chunks), initial=start)))
