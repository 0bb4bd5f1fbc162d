"""Which bytes of which packs hold the chunks that are wanted, in few and large requests."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg.exceptions import CorruptError
from casreg.packs import FRAME, Frame, key_of, open_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from typing_extensions import Buffer

    from casreg.model import Chunk, PackRef, Run

MAX_REQUEST: Final = 8 * 1024 * 1024
MAX_GAP: Final = 64 * 1024
"""Bytes that nobody asked for are read along where that saves a request."""

MAX_REPEATS: Final = 32
"""So often the same run of a pack is used for one read of it."""

MAX_CHUNKS: Final = 160
"""Long runs are joined to no more chunks than this, of about 10 MiB: however well they compress, there is memory for them."""


class Part(NamedTuple):
    """What is wanted of one run.

    Attributes:
        run: The run.
        first: Number of the first wanted chunk in the section.
        stop: Number after the last.
    """

    run: Run
    first: int
    stop: int


class Request(NamedTuple):
    """One ranged read of a pack, and what is wanted of it.

    Attributes:
        pack: The pack.
        start: First byte.
        stop: Byte after the last.
        parts: What it holds, in section order.
    """

    pack: PackRef
    start: int
    stop: int
    parts: tuple[Part, ...]


def requests(
    packs: Sequence[PackRef], runs: Sequence[Run], first: int, count: int, fill: int = 0
) -> Iterator[Request]:
    """The reads that give chunks `first` to `first + count` of a section, in order.

    Short runs that stand side by side are read together.

    Args:
        packs: The packs of the placement.
        runs: The runs of the section.
        first: Number of the first wanted chunk.
        count: How many are wanted.
        fill: Long runs are read together, too, up to so many bytes (`casreg.fetch.sharing`).

    Raises:
        CorruptError: The runs do not reach so far.
    """
    held: list[Part] = []
    for part in _parts(runs, first, count):
        if held and not _joins(held, part, fill):
            yield _request(packs, held)
            held = []
        held.append(part)
    if held:
        yield _request(packs, held)


def gathered(
    packs: Sequence[PackRef], runs: Sequence[Run], first: int, count: int, fill: int
) -> Iterator[Request]:
    """The same reads for whoever takes chunks in any order: by where they are in the packs.

    So what is scattered over a section, as after some changes, or stands in it more than once, takes few reads. Parts of
    a request are in the order of their bytes, and may overlap. Arguments and errors as `requests`.
    """
    held: list[Part] = []
    end = chunks = 0
    for part in sorted(_parts(runs, first, count), key=lambda part: (part.run.pack, part.run.offset)):
        run = part.run
        if held:
            begin, short = held[0].run, min(run.length, held[-1].run.length) <= MAX_GAP
            length = max(end, run.offset + run.length) - begin.offset
            joins = run.pack == begin.pack and run.offset - end <= MAX_GAP
            if not joins or length > (MAX_REQUEST if short else fill) or chunks + run.chunks > MAX_CHUNKS:
                yield Request(packs[begin.pack], begin.offset, end, tuple(held))
                held, end, chunks = [], 0, 0
        held.append(part)
        end, chunks = max(end, run.offset + run.length), chunks + run.chunks
    if held:
        yield Request(packs[held[0].run.pack], held[0].run.offset, end, tuple(held))


def _parts(runs: Sequence[Run], first: int, count: int) -> Iterator[Part]:
    stop = first + count
    if count and (not runs or runs[-1].first + runs[-1].chunks < stop):
        raise CorruptError("a placement does not reach the end of its content; another copy can heal it")
    at = max(bisect_right(runs, first, key=lambda run: run.first) - 1, 0)
    while first < stop:
        run = runs[at]
        end = min(run.first + run.chunks, stop)
        yield Part(run, first, end)
        first, at = end, at + 1


def _joins(held: Sequence[Part], part: Part, fill: int) -> bool:
    last, run = held[-1].run, part.run
    if run == last._replace(first=run.first):
        # The same bytes again, as in a long stretch of zeros: they are read once for some megabytes of content.
        return len(held) < MAX_REPEATS
    gap = run.offset - (last.offset + last.length)
    if run.pack != last.pack or not 0 <= gap <= MAX_GAP:
        return False
    length = run.offset + run.length - held[0].run.offset
    if run.length <= MAX_GAP or last.length <= MAX_GAP:
        return length <= MAX_REQUEST
    return length <= fill and run.first + run.chunks - held[0].run.first <= MAX_CHUNKS


def _request(packs: Sequence[PackRef], parts: Sequence[Part]) -> Request:
    last = parts[-1].run
    return Request(packs[last.pack], parts[0].run.offset, last.offset + last.length, tuple(parts))


def opened(request: Request, data: memoryview, chunk: Callable[[int], Chunk]) -> Iterator[tuple[int, Buffer]]:
    """The verified chunks of a request, each with its number in the section.

    Args:
        request: What was read.
        data: The bytes of its range.
        chunk: Tells what chunk a number of the section is.

    Raises:
        CorruptError: The bytes are not what the content promises. Names the pack and the chunk.
    """
    key = key_of(request.pack)
    for run, first, stop in request.parts:
        position = run.offset - request.start
        limit = position + run.length
        for number in range(run.first, stop):
            frame, position = _frame(data, position, limit, key, chunk, max(number, first))
            if number >= first:
                wanted = chunk(number)
                yield number, open_frame(frame, wanted.digest, wanted.size, key)


def _frame(
    data: memoryview, position: int, limit: int, key: str, chunk: Callable[[int], Chunk], number: int
) -> tuple[Frame, int]:
    start = position + FRAME.size
    if start <= min(limit, len(data)):
        codec, parameter, reserved, stored, size, digest = FRAME.unpack_from(data, position)
        end = start + stored
        if end <= min(limit, len(data)) and not parameter and not reserved:
            return Frame(digest, codec, data[start:end], size), end
    raise CorruptError(
        f"{key}: the frame of chunk {chunk(number).digest.hex()} is damaged or cut off. Other objects are not "
        "affected; another copy of the registry can heal it."
    )
