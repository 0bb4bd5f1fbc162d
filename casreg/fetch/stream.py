"""One file of a version as a stream: any place of it, without the rest, every byte verified.

The first read somewhere fetches one chunk. Whoever reads on from there gets more with each request, and from the third on the
next megabytes come on threads ahead of him. So a look at the end of a large file costs a few hundred kilobytes, and
reading it through is about as fast as loading it.
"""

from __future__ import annotations

import io
import os
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg.fetch.excerpt import Excerpts
from casreg.fetch.lists import chunks_of
from casreg.fetch.sharing import at_once
from casreg.keys import manifest_key
from casreg.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

    from typing_extensions import Buffer

    from casreg.backends.base import Readable
    from casreg.exceptions import NotFound
    from casreg.fetch.reader import VersionReader
    from casreg.model import Chunk, Manifest

_SECOND: Final = 256 * 1024
"""Bytes that are fetched by the second of two reads that follow each other."""

_STEP: Final = 3 * 1024 * 1024
"""Bytes, and what is left of the run then, that are fetched at once by whoever reads on."""

_KEPT: Final = 4 * 1024 * 1024
"""Bytes of chunks that were used last and are kept, beside what was fetched last."""


class _Piece(NamedTuple):
    """Chunks `first` to `stop` of the file, which end before the byte at `end`."""

    first: int
    stop: int
    end: int
    chunks: Sequence[Chunk]


class FileStream(io.RawIOBase):
    """The bytes of one stored file: binary, read-only, seekable.

    Every call may be made from any thread, but there is one position for all: threads that seek need a stream each.
    """

    def __init__(
        self,
        backend: Readable,
        manifest: Manifest,
        reader: VersionReader,
        path: str,
        moved: Callable[[Manifest, NotFound], Manifest],
    ) -> None:
        """The file at `path`, which is one of the version's; see `Excerpts` for `moved`. Reads the tree if there is one.

        Raises:
            CorruptError: The tree is damaged.
            NotFound: A pack is gone.
        """
        super().__init__()
        # First what `close` needs, which Python calls also if the rest of this fails.
        self._held: OrderedDict[int, memoryview] = OrderedDict()
        self._ahead: deque[tuple[_Piece, Future[list[Buffer]]]] = deque()
        self._threads: tuple[int, Threads] | None = None
        entry, firsts = reader.located(path)
        self._size = entry.stream.size
        self._first = firsts[0]
        self._at_once = at_once(backend)
        self._excerpts = Excerpts(backend, manifest, moved)
        self._chunks = chunks_of(entry.stream, "data", firsts, self._excerpts, manifest_key(manifest.digest))
        self._position = 0
        self._lock = threading.Lock()
        self._next = -1  # the chunk after those that were fetched last
        self._streak = 0  # how many fetches followed each other

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position, in bytes."""
        self._check_open()
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move the position; it may be behind the end, where reads give nothing. Reads nothing.

        Raises:
            ValueError: It would be before the beginning, or the stream is closed.
        """
        self._check_open()
        with self._lock:
            bases = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}
            if whence not in bases:
                raise ValueError(f"whence is 0, 1 or 2, not {whence!r}")
            position = bases[whence] + offset
            if position < 0:
                raise ValueError(f"the position {position} is before the beginning of the file")
            self._position = position
            return position

    def readinto(self, buffer: Buffer, /) -> int:
        """Read what one fetch gives, at most the length of `buffer`; 0 at the end.

        Raises:
            CorruptError: The bytes are not those that were stored.
            ObjectChangedError: The version was overwritten or deleted, and its data collected.
            StorageError: The storage cannot be read. The position stays: the read may be tried again.
            ValueError: The stream is closed.
        """
        self._check_open()
        view = memoryview(buffer).cast("B")
        with self._lock:
            wanted = min(len(view), self._size - self._position)
            done = 0
            while done < wanted:
                block = self._chunks.at(self._position)
                at = bisect_right(block.starts, self._position) - 1
                number = block.first + at
                data = self._held.get(number)
                if data is None:
                    if done:  # the rest is another request: whoever wants it asks again
                        break
                    data = self._fetched(number, wanted)
                else:
                    self._held.move_to_end(number)
                begin = self._position - block.starts[at]
                step = min(len(data) - begin, wanted - done)
                view[done : done + step] = data[begin : begin + step]
                done += step
                self._position += step
            return done

    def readall(self) -> bytes:
        """All from the position to the end. Errors as `readinto`."""
        self._check_open()
        whole = io.BytesIO()  # in the end it gives its bytes away without copying them, as a bytearray cannot
        with memoryview(bytearray(max(0, min(_STEP, self._size - self._position)))) as piece:
            while step := self.readinto(piece):
                whole.write(piece[:step])
        return whole.getvalue()

    def close(self) -> None:
        """Forget what is kept and what was to come. Closing again does nothing."""
        if not self.closed:
            self._drop()
            if self._threads is not None and self._threads[0] == os.getpid():
                self._threads[1].shutdown(wait=False, cancel_futures=True)
            self._held = OrderedDict()
        super().close()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the stream is closed")

    # ------------------------------------------------------------------------------------------ fetching

    def _fetched(self, number: int, wanted: int) -> memoryview:
        """Chunk `number`, which holds the position, fetched with as much behind it as is likely to be wanted."""
        self._streak = self._streak + 1 if number == self._next else 0
        piece, data = self._awaited(number) or self._asked(self._piece(self._position, wanted))
        self._next = piece.stop
        if self._streak >= 2:
            self._read_ahead(piece.end, self._size)
        elif wanted > _SECOND:  # more than the buffer of a file asks for by itself
            self._read_ahead(piece.end, self._position + wanted)
        for at, one in enumerate(data, piece.first):
            self._held[at] = memoryview(one)
        extra = sum(map(len, self._held.values())) - sum(chunk.size for chunk in piece.chunks)
        while extra > _KEPT:
            extra -= len(self._held.popitem(last=False)[1])
        return self._held[number]

    def _awaited(self, number: int) -> tuple[_Piece, list[Buffer]] | None:
        """The piece with chunk `number`, if it was asked for ahead. Pieces before it are not wanted any more."""
        if self._threads is not None and self._threads[0] != os.getpid():
            self._threads = None  # those of the parent are not in a forked child
            self._ahead.clear()
        while self._ahead:
            piece, future = self._ahead.popleft()
            if piece.first <= number < piece.stop:
                try:
                    return piece, future.result()
                except BaseException:
                    self._drop()
                    raise
            future.cancel()
        return None

    def _asked(self, piece: _Piece) -> tuple[_Piece, list[Buffer]]:
        return piece, self._excerpts.read("data", self._first + piece.first, piece.chunks)

    def _read_ahead(self, offset: int, until: int) -> None:
        """Let threads fetch what begins at `offset` and behind it, as far as `until`."""
        if self._ahead:
            offset = self._ahead[-1][0].end
        while offset < until and len(self._ahead) <= self._at_once:
            if self._threads is None:
                self._threads = os.getpid(), Threads(self._at_once, "casreg-open")
            piece = self._piece(offset, until - offset)
            number = self._first + piece.first
            read = self._threads[1].submit(self._excerpts.read, "data", number, piece.chunks)
            self._ahead.append((piece, read))
            offset = piece.end

    def _drop(self) -> None:
        while self._ahead:
            self._ahead.pop()[1].cancel()

    def _piece(self, offset: int, wanted: int) -> _Piece:
        """What to fetch at once, from the chunk that holds the byte at `offset`."""
        limit = (1, _SECOND, _STEP)[min(self._streak, 2)]
        if wanted > _SECOND:
            limit = max(limit, min(wanted, _STEP))
        first, chunks, starts = self._chunks.at(offset)
        at = bisect_right(starts, offset) - 1
        stop = min(bisect_left(starts, starts[at] + limit), len(chunks))
        if limit == _STEP:  # whole runs need no table, and nothing is read twice
            end = self._excerpts.run_end("data", self._first + first + stop - 1) - self._first - first
            end = min(end, len(chunks))
            if starts[end] - starts[at] <= 3 * _STEP:
                stop = end
        return _Piece(first + at, first + stop, starts[stop], chunks[at:stop])
