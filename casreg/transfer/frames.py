"""Frames of one stored version, read ahead from its packs and verified, in the form in which they are stored."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from casreg import codec
from casreg.exceptions import CorruptError
from casreg.fetch import plan
from casreg.fetch.sharing import at_once, fill
from casreg.ingest.packing import Encoded
from casreg.packs import iterate_frames, key_of, open_frame
from casreg.threads import ahead, workers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Iterator, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Backend
    from casreg.model import Chunk, Placement

_T = TypeVar("_T")

_AHEAD: Final = 8
"""Requests under way, or waiting to be used, each of up to `plan.MAX_REQUEST` bytes: at most 64 MiB."""


class Opened(NamedTuple):
    """A chunk that was read and verified.

    Attributes:
        number: Its number in its section.
        encoded: The chunk in its stored form, a view of what was read.
        data: Its bytes.
    """

    number: int
    encoded: Encoded
    data: Buffer


class FrameReader:
    """Reads frames of one version. Nothing is kept; memory is bounded, however large the version is."""

    def __init__(self, backend: Backend, placement: Placement) -> None:
        """No I/O yet."""
        self._backend = backend
        self._placement = placement

    def data(self, section: str, chunks: Sequence[Chunk]) -> bytearray:
        """All bytes of a section: a chunk list or a tree, for which there is memory.

        Raises:
            CorruptError: They are not what the content promises.
            NotFound: A pack is gone.
            StorageError: A pack cannot be read.
        """
        joined = bytearray()
        for opened in self._read(section, chunks, range(len(chunks)), lambda one: one.data):
            for data in opened:
                joined += data
        return joined

    def encoded(
        self, section: str, chunks: Sequence[Chunk], numbers: Collection[int]
    ) -> Generator[list[Encoded]]:
        """The chunks of a section with these numbers, verified, in order, some at a time. Errors as `data`."""
        return self._read(section, chunks, numbers, lambda one: one.encoded)

    def _read(
        self, section: str, chunks: Sequence[Chunk], numbers: Collection[int], use: Callable[[Opened], _T]
    ) -> Generator[list[_T]]:
        wanted = frozenset(numbers)

        def fetch(request: plan.Request) -> list[_T]:
            data = self._backend.get(key_of(request.pack), request.start, request.stop).data
            return [use(one) for one in _opened(request, memoryview(data), chunks, wanted)]

        threads = max(2 * workers(), at_once(self._backend))
        return ahead(fetch, self._requests(section, chunks, numbers), threads, _AHEAD)

    def _requests(
        self, section: str, chunks: Sequence[Chunk], numbers: Collection[int]
    ) -> Iterator[plan.Request]:
        """Reads of whole runs, since only who begins at the first frame of a run finds the others."""
        placement = self._placement
        runs = placement.runs.get(section, ())
        if sum(run.chunks for run in runs) != len(chunks):
            raise CorruptError(
                f"a placement has not as many chunks in {section!r} as its content; another copy can heal it"
            )
        filled = fill(self._backend, sum(chunks[number].size for number in numbers))
        first = stop = 0
        for at in sorted({bisect_right(runs, number, key=lambda run: run.first) - 1 for number in numbers}):
            run = runs[at]
            if run.first != stop:
                yield from plan.requests(placement.packs, runs, first, stop - first, filled)
                first = run.first
            stop = run.first + run.chunks
        yield from plan.requests(placement.packs, runs, first, stop - first, filled)


def _opened(
    request: plan.Request, data: memoryview, chunks: Sequence[Chunk], wanted: Collection[int]
) -> Iterator[Opened]:
    """Those chunks of a request that are wanted, verified. Its parts are whole runs."""
    key = key_of(request.pack)
    for run, _, _ in request.parts:
        begin = run.offset - request.start
        frames = list(iterate_frames(data[begin : begin + run.length], key))
        if len(frames) != run.chunks:
            raise CorruptError(
                f"{key}: bytes {run.offset} to {run.offset + run.length} are not {run.chunks} frames. Other objects "
                "are not affected; another copy of the registry can heal it."
            )
        for number, frame in enumerate(frames, run.first):
            if number in wanted:
                chunk = chunks[number]
                opened = open_frame(frame, chunk.digest, chunk.size, key)
                yield Opened(number, _encoded(chunk, frame.codec, frame.stored, opened), opened)


def _encoded(chunk: Chunk, codec_id: int, stored: memoryview, data: Buffer) -> Encoded:
    """The stored form as it was found, unless no writer may store it so."""
    if len(stored) >= chunk.size:
        return Encoded(chunk.digest, codec.RAW, data, chunk.size)
    return Encoded(chunk.digest, codec_id, stored, chunk.size)
