"""Reading one version: its entries, single files into memory, and whole trees onto disk."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from casreg.digest import digest_of
from casreg.exceptions import CorruptError
from casreg.fetch import plan, verified
from casreg.fetch.sharing import MAX_AT_ONCE, at_once, fill
from casreg.fetch.sinks import Tree
from casreg.keys import manifest_key
from casreg.manifests import decode_list, decode_tree
from casreg.model import section_name
from casreg.progress import Progress
from casreg.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from typing_extensions import Buffer

    from casreg.backends.base import Readable
    from casreg.model import Chunk, Entry, Manifest, Stream
    from casreg.progress import ProgressCallback


_WINDOW: Final = 2 * MAX_AT_ONCE
"""So many requests are handed to the threads of a load before the first has to be done."""


_FILES: Final = 128
"""Files that may be open for writing at the same time. Some systems allow 256."""


class VersionReader:
    """Reads one version. May be used from many threads; each call uses threads of its own where that helps."""

    def __init__(
        self, backend: Readable, manifest: Manifest, name: str, progress: ProgressCallback | None = None
    ) -> None:
        """No I/O before the first call. `name` is for reports of progress."""
        self._backend = backend
        self._manifest = manifest
        self._progress = progress
        self._key = manifest_key(manifest.digest)
        self._done = Progress("load", name, 0, manifest.content.size, 0, 0)
        # Not `cached_property`: in Python 3.11 it holds one lock for all readers of the process while it computes.
        self._known_entries: tuple[Entry, ...] | None = None
        self._known_numbers: dict[str, int] | None = None
        self._known_firsts: list[list[int]] | None = None

    @property
    def entries(self) -> tuple[Entry, ...]:
        """All files and empty folders, sorted by path.

        Raises:
            CorruptError: The tree is damaged.
            NotFound: A pack is gone.
        """
        if self._known_entries is None:
            self._known_entries = self._read_entries()
        return self._known_entries

    def _read_entries(self) -> tuple[Entry, ...]:
        content = self._manifest.content
        if content.tree is None:
            return content.entries or ()
        chunks = self._chunks(content.tree, "tree", (0,) * (content.tree.depth + 1))
        tree = bytearray(content.tree.size)
        self._read("tree", 0, chunks, memoryview(tree))
        entries = tuple(decode_tree(memoryview(tree), self._key))
        if len(entries) != content.count or sum(e.stream.size for e in entries) != content.size:
            raise CorruptError(f"{self._key}: its tree has not the entries that it promises")
        return entries

    @property
    def _numbers(self) -> dict[str, int]:
        if self._known_numbers is None:
            self._known_numbers = {entry.path: number for number, entry in enumerate(self.entries)}
        return self._known_numbers

    @property
    def _firsts(self) -> list[list[int]]:
        """For each level, the number in its section at which each entry's chunks begin."""
        if self._known_firsts is None:
            depth = max((entry.stream.depth for entry in self.entries), default=0)
            self._known_firsts = [
                list(accumulate((entry.stream.count(level) for entry in self.entries), initial=0))
                for level in range(depth + 1)
            ]
        return self._known_firsts

    def find(self, path: str) -> Entry | None:
        """The entry with this path, or None."""
        number = self._numbers.get(path)
        return None if number is None else self.entries[number]

    def chunks(self, path: str) -> list[Chunk]:
        """The chunks of a file, in order. Reads its chunk list where there is one."""
        entry, firsts = self.located(path)
        return self._chunks(entry.stream, "data", firsts)

    def located(self, path: str) -> tuple[Entry, tuple[int, ...]]:
        """A file that is there, and for each level the number in its section at which its chunks begin."""
        number = self._numbers[path]
        entry = self.entries[number]
        return entry, tuple(firsts[number] for firsts in self._firsts[: entry.stream.depth + 1])

    def read_into(self, path: str, target: memoryview) -> None:
        """Read a whole file into `target`, which has exactly its size.

        Raises:
            CorruptError: Its bytes are not those that were stored.
            NotFound: A pack is gone.
        """
        chunks = self.chunks(path)
        self._read("data", self._firsts[0][self._numbers[path]], chunks, target)

    def write_tree(self, folder: Path) -> None:
        """Write all files and empty folders below `folder`, which exists and is empty and nobody else's.

        Raises:
            CorruptError: Bytes are not those that were stored.
            DestinationError: The folder cannot be written, or cannot hold two of the paths side by side.
            NotFound: A pack is gone.
        """
        self.write(folder, range(len(self.entries)))

    def write(self, folder: Path, numbers: Iterable[int]) -> None:
        """Write the entries with these numbers (ascending) below `folder`. Errors as `write_tree`."""
        chosen = list(numbers)
        with Tree(folder) as tree:
            start = 0
            while start < len(chosen):  # neighbours together, so that their chunks are read with few requests
                stop = start + 1
                while stop < len(chosen) and chosen[stop] == chosen[stop - 1] + 1:
                    stop += 1
                self._write_range(tree, chosen[start], chosen[stop - 1] + 1)
                start = stop

    def _write_range(self, tree: Tree, first: int, stop: int) -> None:
        chunks: list[Chunk] = []
        entries = self.entries[first:stop]
        for entry in entries:
            stream = entry.stream
            chunks += self.chunks(entry.path) if stream.depth else stream.chunks
        begin = self._firsts[0][first]
        writer = tree.writer(entries, begin, chunks)
        self._each("data", begin, chunks, writer.write, files=len(entries))

    def _chunks(self, stream: Stream, base: str, firsts: Sequence[int]) -> list[Chunk]:
        """The chunks of a stream, through as many lists as it has."""
        chunks = list(stream.chunks)
        for level in range(stream.depth, 0, -1):
            listed = bytearray(sum(chunk.size for chunk in chunks))
            self._read(section_name(base, level), firsts[level], chunks, memoryview(listed))
            chunks = decode_list(memoryview(listed), self._key)
            if len(chunks) != stream.counts[level - 1]:
                raise CorruptError(f"{self._key}: a chunk list has not the number of chunks that it promises")
        if sum(chunk.size for chunk in chunks) != stream.size:
            raise CorruptError(f"{self._key}: a chunk list does not sum to the size of its stream")
        return chunks

    def _read(self, section: str, first: int, chunks: Sequence[Chunk], target: memoryview) -> None:
        starts = list(accumulate((chunk.size for chunk in chunks), initial=0))
        if starts[-1] != len(target):
            raise CorruptError(f"{self._key}: chunks do not sum to the size of their stream")

        def place(pieces: list[tuple[int, Buffer]]) -> None:
            for number, data in pieces:
                at = starts[number - first]
                target[at : at + len(memoryview(data))] = data

        self._each(section, first, chunks, place)

    def _each(
        self,
        section: str,
        first: int,
        chunks: Sequence[Chunk],
        use: Callable[[list[tuple[int, Buffer]]], None],
        *,
        files: int = 1,
    ) -> None:
        """Fetch and verify chunks and hand them to `use`, on several threads, neighbours in one call.

        Those of a place that is far away come in any order, unless they are of so many files that not all can be open.
        """
        if not chunks:
            use([])
            return
        if self._manifest.placement.inline:
            use(self._inline(first, chunks))
            return
        placement = self._manifest.placement
        runs = placement.runs.get(section, ())
        filled = fill(self._backend, sum(chunk.size for chunk in chunks))
        planned = plan.gathered if filled and files <= _FILES else plan.requests
        wanted = list(planned(placement.packs, runs, first, len(chunks), filled))

        def fetch(request: plan.Request) -> tuple[int, int, int]:
            size, pieces = verified.read(self._backend, request, lambda number: chunks[number - first])
            use(pieces)
            return size, len(pieces), sum(len(memoryview(piece)) for _, piece in pieces)

        counted = section == "data"
        for read, count, size in ahead(fetch, wanted, at_once(self._backend), _WINDOW):
            self._report(read, count, size, counted=counted)

    def _inline(self, first: int, chunks: Sequence[Chunk]) -> list[tuple[int, Buffer]]:
        """Chunks of a payload that stands in the manifest, one after the other."""
        held = [chunk for entry in self.entries for chunk in entry.stream.chunks]
        position = sum(chunk.size for chunk in held[:first])
        pieces: list[tuple[int, Buffer]] = []
        for number, chunk in enumerate(chunks, first):
            data = self._manifest.inline[position : position + chunk.size]
            if digest_of(data) != chunk.digest:
                raise CorruptError(f"{self._key}: chunk {chunk.digest.hex()} of its payload is damaged")
            pieces.append((number, data))
            position += chunk.size
        return pieces

    def finish(self) -> None:
        """Report that all is done, also of what was not read because nobody asked for it."""
        if self._progress:
            before = self._done
            self._done = Progress(
                "load", before.name, before.total, before.total, before.chunks, before.stored
            )
            self._progress(self._done)

    def _report(self, read: int, count: int, size: int, *, counted: bool) -> None:
        if self._progress and counted:
            before = self._done
            done = min(before.done + size, before.total)  # a materializer may read a file twice
            self._done = Progress(
                "load", before.name, done, before.total, before.chunks + count, before.stored + read
            )
            self._progress(self._done)
