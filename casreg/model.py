"""The frozen values that the stored format is made of: chunks, streams, entries, content, placement, manifest.

Nothing here does I/O or knows bytes on storage; `casreg.manifests` and `casreg.packs` write and read these.
`docs/format.md` defines the words.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.digest import Digest

INLINE_LIMIT: Final = 16 * 1024
"""A payload of at most this many bytes stands in the manifest itself. A constant of format 1."""

LIST_ABOVE: Final = 16
"""A stream of more chunks than this keeps them in a chunk list of its own. A constant of format 1."""

TREE_ABOVE: Final = 32
"""A version of more entries than this keeps them in a tree of its own. A constant of format 1."""


class Chunk(NamedTuple):
    """A content-defined run of bytes: the unit of deduplication.

    Attributes:
        digest: BLAKE3 of the uncompressed bytes.
        size: Uncompressed bytes, 1 to 256 KiB.
    """

    digest: Digest
    size: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A sequence of bytes as chunks, or as a list of chunks that is itself such a sequence.

    Attributes:
        size: Bytes of the sequence.
        chunks: At depth 0 the chunks of the sequence itself; at depth d > 0 the chunks of its list of level d.
        counts: One number for each level below the one in `chunks`: how many chunks level 0, 1, … has.
            Its length is the depth.
    """

    size: int
    chunks: tuple[Chunk, ...]
    counts: tuple[int, ...] = ()

    @property
    def depth(self) -> int:
        """How many lists lie between `chunks` and the bytes. 0: none."""
        return len(self.counts)

    def count(self, level: int) -> int:
        """How many chunks this stream has at `level` (0: the bytes themselves)."""
        return (*self.counts, len(self.chunks))[level] if level <= self.depth else 0


EMPTY_STREAM: Final = Stream(0, ())


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, or one empty folder, of a version.

    Attributes:
        path: Relative, parts joined by `/`.
        stream: The bytes of the file. Empty for a folder.
        executable: Whether its owner may execute it.
        folder: Whether this is an empty folder.
    """

    path: str
    stream: Stream = EMPTY_STREAM
    executable: bool = False
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What a version is, apart from its user's metadata: the identity `data` is the digest of this as stored.

    Attributes:
        materializer: The id of the materializer that turns the files back into the object.
        params: The materializer's stored parameters (JSON).
        size: Bytes of all files.
        count: Number of entries.
        entries: The entries, sorted by the UTF-8 bytes of their paths; None when they are in `tree`.
        tree: The stream that holds the entries of a version with very many.
    """

    materializer: str
    params: Mapping[str, object]
    size: int
    count: int
    entries: tuple[Entry, ...] | None
    tree: Stream | None = None


class PackRef(NamedTuple):
    """A pack as a placement names it.

    Attributes:
        name: `<hook>-<b3>`, as in its key.
        size: Bytes of the whole pack.
        table_size: Bytes of the table, which ends where the trailer begins.
        table_digest: BLAKE3 of the table.
    """

    name: str
    size: int
    table_size: int
    table_digest: Digest


class Run(NamedTuple):
    """Chunks that follow each other in a section and lie side by side in a pack.

    Attributes:
        pack: Index into the placement's packs.
        offset: Where the first chunk's frame begins in the pack, in bytes.
        length: Bytes of all the frames.
        first: Number of the first chunk in its section.
        chunks: How many chunks.
    """

    pack: int
    offset: int
    length: int
    first: int
    chunks: int


def section_name(base: str, level: int) -> str:
    """The section of the chunks at one level of files (`base` is `data`) or of the tree (`tree`)."""
    if not level:
        return base
    return f"{'list' if base == 'data' else base}.{level}"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where this repository keeps the chunks of a version. Compaction and sync rewrite it, never the content.

    Attributes:
        packs: The packs that the runs point into.
        runs: For each section (`data`, `list.1`, …, `tree`, `tree.1`, …) its runs in order.
        inline: Bytes of the payload that stand in the manifest itself.
        segment: The segment file that this was read from; None if it stood in the manifest.
    """

    packs: tuple[PackRef, ...] = ()
    runs: Mapping[str, tuple[Run, ...]] = field(default_factory=dict)
    inline: int = 0
    segment: Digest | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """One version: its content, its user's metadata, and where the bytes are.

    Attributes:
        digest: BLAKE3 of the manifest file: its name.
        data: Identity without the user's metadata.
        content_id: Identity with it.
        content: What it is.
        metadata: What the user said of it at the save.
        placement: Where it is.
        inline: The payload, when it stands in the manifest.
        lines: The data line and the metadata line as they are stored, without their line feeds.
    """

    digest: Digest
    data: Digest
    content_id: Digest
    content: Content
    metadata: Mapping[str, object]
    placement: Placement
    inline: bytes
    lines: tuple[bytes, bytes]
