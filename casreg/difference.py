"""What differs between two versions: files, bytes, chunks. Reads lists and trees, and no chunk of data."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.display import counted, printable, size_text
from casreg.fetch.excerpt import Excerpts
from casreg.fetch.lists import chunks_of
from casreg.keys import manifest_key
from casreg.manifests import decode_list
from casreg.repository.finding import settled
from casreg.repository.opening import Moved

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from casreg.fetch import VersionReader
    from casreg.model import Chunk, Entry, Manifest, Stream
    from casreg.refs import Entry as RefEntry
    from casreg.repository import Repository
    from casreg.versions import Selector, Version

_T = TypeVar("_T")

_BATCH: Final = 64
"""Chunks of lists that are read at once."""

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two versions. `str()` says it to people.

    Sizes are bytes. An empty folder counts as a file of no bytes whose path ends in `/`.

    Attributes:
        first: The one version, as `name@version`.
        second: The other.
        added: Files that only the second has: path → size.
        removed: Files that only the first has: path → size.
        changed: Files whose bytes or executable bit differ: path → size in the first and in the second.
        unchanged: Files that are the same in both: path → size.
        digests: The `digest` of each: what it is, with its metadata.
        sizes: Bytes of all files of the first and of the second.
        chunks: How many chunks each has, repeated ones counted as often as they occur.
        shared_bytes: So many bytes of the second stand in chunks that the first has too, wherever.
        shared_chunks: So many chunks of the second does the first have too.
        materializers: Ids of what turned each into files.
        classes: The Python class of each, where its ref says it.
        params_differ: Whether what their materializers keep beside the files differs.
        metadata_differ: Whether what their users said of them when they were saved differs.
    """

    first: str
    second: str
    added: Mapping[str, int]
    removed: Mapping[str, int]
    changed: Mapping[str, tuple[int, int]]
    unchanged: Mapping[str, int]
    digests: tuple[str, str]
    sizes: tuple[int, int]
    chunks: tuple[int, int]
    shared_bytes: int
    shared_chunks: int
    materializers: tuple[str, str]
    classes: tuple[str | None, str | None]
    params_differ: bool
    metadata_differ: bool

    @property
    def same(self) -> bool:
        """Whether both have the same files, materializer, parameters and metadata: the same `digest`."""
        return self.digests[0] == self.digests[1]

    def __str__(self) -> str:
        return "\n".join(_lines(self))


def difference(
    repository: Repository, first: tuple[str, Selector], second: tuple[str, Selector]
) -> Difference:
    """What differs between two versions, each a name and what says which version.

    Raises:
        ObjectNotFoundError: One of them does not exist.
        ObjectChangedError: One was replaced or deleted meanwhile, and its data collected.
        CorruptError, UnsupportedFormatError: A ref, manifest, tree or list is damaged, or needs a newer casreg.
        StorageError: The storage cannot be read.
    """
    one, two = _Side.of(repository, *first), _Side.of(repository, *second)
    before, after = one.files(), two.files()
    both = before.keys() & after.keys()
    equal = {path for path in both if before[path] == after[path]}
    shared_bytes, shared_chunks = _shared(one, two)
    return Difference(
        first=one.label,
        second=two.label,
        added={path: entry.stream.size for path, entry in after.items() if path not in both},
        removed={path: entry.stream.size for path, entry in before.items() if path not in both},
        changed={
            path: (entry.stream.size, after[path].stream.size)
            for path, entry in before.items()
            if path in both and path not in equal
        },
        unchanged={path: entry.stream.size for path, entry in before.items() if path in equal},
        digests=(one.manifest.content_id.hex(), two.manifest.content_id.hex()),
        sizes=(one.manifest.content.size, two.manifest.content.size),
        chunks=(one.count(), two.count()),
        shared_bytes=shared_bytes,
        shared_chunks=shared_chunks,
        materializers=(one.manifest.content.materializer, two.manifest.content.materializer),
        classes=(one.class_name, two.class_name),
        params_differ=one.manifest.content.params != two.manifest.content.params,
        metadata_differ=one.manifest.metadata != two.manifest.metadata,
    )


def _shared(one: _Side, two: _Side) -> tuple[int, int]:
    """Bytes and chunks of `two` that are in `one` as well."""
    held = {entry.stream for entry in one.entries}
    size = count = 0
    others: list[Entry] = []
    for entry in two.entries:
        if entry.stream in held:  # the same file, under whatever path: its list needs no reading
            size += entry.stream.size
            count += entry.stream.count(0)
        else:
            others.append(entry)
    # Only what is left of `two` is held in memory; the chunks of `one` pass by, those of the same paths first.
    wanted = Counter(chunk for chunks in two.chunks(others) for chunk in chunks)
    likely = {entry.path for entry in others}
    passing = sorted(one.entries, key=lambda entry: entry.path not in likely)
    for chunks in one.chunks(passing if wanted else ()):
        for chunk in chunks:
            times = wanted.pop(chunk, 0)
            size += times * chunk.size
            count += times
        if not wanted:
            break
    return size, count


@dataclass(frozen=True, slots=True)
class _Side:
    """One of the two versions."""

    label: str
    class_name: str | None
    manifest: Manifest
    entries: Sequence[Entry]
    reader: VersionReader
    excerpts: Excerpts

    @staticmethod
    def of(repository: Repository, name: str, selector: Selector) -> _Side:
        """Find a version and read its tree, if it has one."""

        def use(version: Version, entry: RefEntry, manifest: Manifest) -> _Side:
            reader = repository.reader(manifest, name)
            entries = reader.entries  # read here, where a version that moved is looked for again
            moved = Moved(repository, name, version)
            excerpts = Excerpts(repository.copies, manifest, moved)
            return _Side(f"{name}@{version}", entry.class_name, manifest, entries, reader, excerpts)

        return settled(repository, name, selector, use)

    def files(self) -> dict[str, Entry]:
        return {entry.path + "/" * entry.folder: entry for entry in self.entries}

    def count(self) -> int:
        return sum(entry.stream.count(0) for entry in self.entries)

    def chunks(self, entries: Iterable[Entry]) -> Iterator[Sequence[Chunk]]:
        """The chunks of these entries, some at a time; lists of neighbours are read together."""
        batch: list[tuple[Stream, int]] = []
        for entry in entries:
            stream = entry.stream
            if stream.depth == 0:
                yield stream.chunks
                continue
            firsts = self.reader.located(entry.path)[1]
            if stream.depth > 1:
                key = manifest_key(self.manifest.digest)
                for block in chunks_of(stream, "data", firsts, self.excerpts, key):
                    yield block.chunks
                continue
            follows = batch and batch[-1][1] + len(batch[-1][0].chunks) == firsts[1]
            if batch and (not follows or sum(len(one.chunks) for one, _ in batch) >= _BATCH):
                yield self._listed(batch)
                batch = []
            batch.append((stream, firsts[1]))
        if batch:
            yield self._listed(batch)

    def _listed(self, batch: Sequence[tuple[Stream, int]]) -> list[Chunk]:
        """All chunks of streams whose lists follow each other."""
        listing = [chunk for stream, _ in batch for chunk in stream.chunks]
        data = b"".join(map(bytes, self.excerpts.read("list.1", batch[0][1], listing)))
        return decode_list(data, manifest_key(self.manifest.digest))


# ------------------------------------------------------------------------------------------------ for people


def _lines(found: Difference) -> Iterator[str]:
    yield f"{found.first} → {found.second}"
    if found.same:
        yield f"  the same: {counted(len(found.unchanged), 'file')}, {size_text(found.sizes[0])}"
        return
    share = f", {100 * found.shared_bytes / found.sizes[1]:.1f} %" if found.sizes[1] else ""
    yield (
        f"  {size_text(found.sizes[0])} → {size_text(found.sizes[1])}, of which {size_text(found.shared_bytes)} are in both "
        f"({found.shared_chunks:,} of {counted(found.chunks[1], 'chunk')}{share})"
    )
    yield (
        f"  {counted(len(found.changed), 'file')} changed, {len(found.added):,} added, {len(found.removed):,} removed, "
        f"{len(found.unchanged):,} unchanged"
    )
    rows = [
        f"  ~ {printable(path)}  {size_text(old)} → {size_text(new)}"
        for path, (old, new) in _some(found.changed)
    ]
    rows += [f"  + {printable(path)}  {size_text(size)}" for path, size in _some(found.added)]
    rows += [f"  - {printable(path)}  {size_text(size)}" for path, size in _some(found.removed)]
    yield from rows[:_SHOWN]
    more = len(found.changed) + len(found.added) + len(found.removed) - _SHOWN
    if more > 0:
        yield f"  … and {more:,} more"
    if found.materializers[0] != found.materializers[1]:
        yield f"  materializer: {printable(found.materializers[0])} → {printable(found.materializers[1])}"
    if found.classes[0] != found.classes[1]:
        before, after = (printable(name or "unknown") for name in found.classes)
        yield f"  class: {before} → {after}"
    if found.params_differ:
        yield "  the parameters of the materializer differ"
    if found.metadata_differ:
        yield "  metadata differs"


def _some(rows: Mapping[str, _T]) -> list[tuple[str, _T]]:
    return list(islice(rows.items(), _SHOWN))
