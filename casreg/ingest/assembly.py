"""From the files of an object to the content and the placement of a version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg.digest import digest_of
from casreg.exceptions import SourceChangedError
from casreg.ingest import pipeline
from casreg.ingest.packing import Packing
from casreg.ingest.pipeline import Tally
from casreg.ingest.sources import FileSource, MemorySource, Source, stat_of
from casreg.manifests import decode_list, encode_list, encode_tree
from casreg.materializers.folders import DiskFile, EmptyFolder, MemoryFile
from casreg.model import (
    INLINE_LIMIT,
    LIST_ABOVE,
    TREE_ABOVE,
    Chunk,
    Content,
    Entry,
    PackRef,
    Placement,
    Run,
    Stream,
    section_name,
)
from casreg.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from casreg.backends.base import Backend
    from casreg.ingest.packing import Keep, Known, Spot
    from casreg.ingest.sources import Stat
    from casreg.materializers import folders
    from casreg.packs import SealedPack
    from casreg.progress import ProgressCallback

RUN_BYTES: Final = 4 * 1024 * 1024
"""A run holds at most about this many bytes of chunks, so that readers can share the work. A default of this writer."""


@dataclass(frozen=True, slots=True)
class Ingested:
    """An object whose bytes are on the storage, and what its manifest has to say.

    Attributes:
        content: What it is.
        placement: Where it is.
        inline: The payload that goes into the manifest itself.
        written: The packs that were written for it.
        stored: Bytes of these packs.
        remembered: For files on disk: path → state and chunks, for the next save of the same folder.
    """

    content: Content
    placement: Placement
    inline: bytes
    written: tuple[SealedPack, ...]
    stored: int
    remembered: Mapping[str, tuple[Stat, Sequence[Chunk]]]


class Remembered(NamedTuple):
    """A file as an earlier save found it: its state, and its chunk list (see `casreg.manifests.encode_list`)."""

    stat: Stat
    chunks: bytes


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be stored.

    Attributes:
        name: For progress reports.
        materializer: Id of the materializer that made the files.
        params: Its parameters.
        files: The files and empty folders, in any order.
        remembered: What earlier saves remember of files on disk, by their path in the version.
    """

    name: str
    materializer: str
    params: Mapping[str, object]
    files: Sequence[folders.Entry]
    remembered: Mapping[str, Remembered]


def store(
    request: Request,
    backend: Backend,
    known: Known,
    progress: ProgressCallback | None,
    keep: Keep | None = None,
) -> Ingested:
    """Store the bytes of an object: in packs, or in the returned value when they are few.

    Nothing becomes visible to readers; the caller commits. After an error what was written is garbage that a
    later collection removes.

    Args:
        request: What.
        backend: Where.
        known: What is there already.
        progress: Is told how far it is.
        keep: Is told of the packs that were written.

    Raises:
        SourceError: A file cannot be read, or changed while it was read.
        StorageError: The backend refused or failed.
    """
    files = sorted(request.files, key=lambda file: file.path.encode())
    size = sum(_size(file) for file in files)
    if size <= INLINE_LIMIT and len(files) <= TREE_ABOVE:
        ingested = _inline(request, files, size)
        if progress:
            chunks = sum(len(entry.stream.chunks) for entry in ingested.content.entries or ())
            progress(Progress("save", request.name, size, size, chunks, size))
        return ingested
    packing = Packing(backend, known, size, keep)
    try:
        return _Assembly(request, files, size, packing, progress).store()
    finally:
        packing.close()


def _size(file: folders.Entry) -> int:
    match file:
        case MemoryFile():
            return file.size
        case DiskFile():
            return file.stat.st_size
        case EmptyFolder():
            return 0


def _source(file: folders.Entry, known: Sequence[Chunk] | None = None) -> Source:
    if isinstance(file, DiskFile):
        return FileSource(file.source, stat_of(file.stat), known)
    if not isinstance(file, MemoryFile):
        return MemorySource(())
    source = MemorySource(file.buffers)
    if source.size != file.size:
        # What was promised of the whole would not be true of its parts, and nobody could load it.
        raise SourceChangedError(
            f"the buffers of {file.path!r} had {file.size} bytes when they were added and now have {source.size}; "
            "nothing was saved. They must not change until the save has returned."
        )
    return source


def _entry(file: folders.Entry, stream: Stream) -> Entry:
    if isinstance(file, EmptyFolder):
        return Entry(file.path, folder=True)
    return Entry(file.path, stream, executable=isinstance(file, DiskFile) and file.executable)


def _inline(request: Request, files: Sequence[folders.Entry], size: int) -> Ingested:
    """A small object: one chunk a file, whose bytes stand in the manifest."""
    payload = bytearray()
    entries = []
    for file in files:
        stream = Stream(0, ())
        if not isinstance(file, EmptyFolder):
            source = _source(file)
            try:
                source.open()
                data = source.read(0, source.size, memoryview(bytearray(source.size)))  # a copy of our own
                source.close()
            finally:
                source.abandon()
            stream = Stream(len(data), (Chunk(digest_of(data), len(data)),) if len(data) else ())
            payload += data
        entries.append(_entry(file, stream))
    content = Content(request.materializer, request.params, size, len(entries), tuple(entries))
    return Ingested(content, Placement(inline=len(payload)), bytes(payload), (), 0, {})


class _Assembly:
    """One save that is too large for its manifest."""

    def __init__(
        self,
        request: Request,
        files: Sequence[folders.Entry],
        size: int,
        packing: Packing,
        progress: ProgressCallback | None,
    ) -> None:
        self._request = request
        self._files = files
        self._size = size
        self._packing = packing
        self._progress = progress
        self._sections: dict[str, list[Chunk]] = {}
        self._held: Sequence[Sequence[Chunk]] = ()
        self._done = Progress("save", request.name, 0, size, 0, 0)

    def store(self) -> Ingested:
        known = self._unchanged()
        sources = [_source(file, known.get(file.path)) for file in self._files]
        streams = self._streams(sources, "data", 0)
        entries = tuple(_entry(file, stream) for file, stream in zip(self._files, streams, strict=True))
        tree = None
        if len(entries) > TREE_ABOVE:
            (tree,) = self._streams([MemorySource([b"".join(encode_tree(entries))])], "tree", 0)
        content = Content(
            self._request.materializer,
            self._request.params,
            self._size,
            len(entries),
            None if tree else entries,
            tree,
        )
        self._packing.finish()
        self._report(Tally(0, 0, 0))  # the last report has everything that was stored
        return Ingested(
            content,
            placement_of(self._packing, self._sections),
            b"",
            tuple(self._packing.written),
            self._packing.stored,
            self._remember(),
        )

    def _unchanged(self) -> dict[str, Sequence[Chunk]]:
        """The chunks of the files that are as an earlier save found them, where the repository has them all."""
        found: dict[str, Sequence[Chunk]] = {}
        for file in self._files:
            earlier = self._request.remembered.get(file.path)
            if earlier is not None and isinstance(file, DiskFile) and earlier.stat == stat_of(file.stat):
                found[file.path] = decode_list(earlier.chunks, "what is remembered of files")
        # All at once: a search for each file would cost more than the files.
        self._packing.look_for(chunk.digest for chunks in found.values() for chunk in chunks)
        return {path: chunks for path, chunks in found.items() if self._packing.has(c.digest for c in chunks)}

    def _streams(self, sources: Sequence[Source], base: str, level: int) -> list[Stream]:
        """Store sources as chunks, and the chunk lists of those that have many, and so on."""
        held = pipeline.run(sources, self._packing, self._report if (base, level) == ("data", 0) else _ignore)
        self._sections[section_name(base, level)] = [chunk for chunks in held for chunk in chunks]
        if (base, level) == ("data", 0):
            self._held = held
        streams = [Stream(source.size, tuple(chunks)) for source, chunks in zip(sources, held, strict=True)]
        long = [number for number, chunks in enumerate(held) if len(chunks) > LIST_ABOVE]
        if long:
            lists = self._streams(
                [MemorySource([encode_list(held[number])]) for number in long], base, level + 1
            )
            for number, chunk_list in zip(long, lists, strict=True):
                counts = (len(held[number]), *chunk_list.counts)
                streams[number] = Stream(sources[number].size, chunk_list.chunks, counts)
        return streams

    def _remember(self) -> dict[str, tuple[Stat, Sequence[Chunk]]]:
        return {
            file.path: (stat_of(file.stat), chunks)
            for file, chunks in zip(self._files, self._held, strict=True)
            if isinstance(file, DiskFile)
        }

    def _report(self, tally: Tally) -> None:
        before = self._done
        self._done = Progress(
            "save",
            before.name,
            before.done + tally.size,
            before.total,
            before.chunks + tally.chunks,
            self._packing.stored,
            before.reused + tally.size - tally.new,
        )
        if self._progress:
            self._progress(self._done)


def _ignore(tally: Tally) -> None:
    """Lists and trees are not bytes of the object: progress does not count them."""


def placement_of(packing: Packing, sections: Mapping[str, Sequence[Chunk]]) -> Placement:
    """Where the chunks of each section are: runs over the packs that are used, numbered in the order of first use.

    All chunks are in `packing`, which is finished.
    """
    numbers: dict[int, int] = {}
    runs: dict[str, tuple[Run, ...]] = {}
    for section, chunks in sections.items():
        runs[section] = tuple(
            run._replace(pack=numbers.setdefault(run.pack, len(numbers)))
            for run in find_runs([packing.spot(chunk.digest) for chunk in chunks], chunks)
        )
    packs: list[PackRef] = [packing.pack(number) for number in numbers]
    return Placement(tuple(packs), runs)


def find_runs(spots: Sequence[Spot], chunks: Sequence[Chunk]) -> Iterable[Run]:
    """Chunks side by side in the same pack make a run, up to `RUN_BYTES` of them."""
    start = 0
    while start < len(spots):
        pack, offset, length = spots[start]
        size, end = chunks[start].size, start + 1
        while end < len(spots):
            spot = spots[end]
            size += chunks[end].size
            if spot.pack != pack or spot.offset != offset + length or size > RUN_BYTES:
                break
            length += spot.length
            end += 1
        yield Run(pack, offset, length, start, end - start)
        start = end
