"""The bytes of one version, brought from one repository into packs of another."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from casreg.exceptions import CorruptError
from casreg.ingest.assembly import placement_of
from casreg.ingest.packing import Packing
from casreg.keys import manifest_key
from casreg.model import Placement
from casreg.transfer.frames import FrameReader
from casreg.transfer.sections import check_payload, sections_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.ingest import Known, Place
    from casreg.ingest.packing import Keep
    from casreg.model import Chunk, Manifest
    from casreg.packs import SealedPack
    from casreg.refs import Entry
    from casreg.transfer.meter import Meter
    from casreg.versions import Version


@dataclass(frozen=True, slots=True)
class Carried:
    """A version whose bytes are on the target's storage, but for the manifest.

    Attributes:
        version: Its number at the source.
        entry: What its ref said of it there.
        lines: Its data line and metadata line, as they were stored.
        placement: Where its chunks are now.
        inline: Its payload, where it stands in the manifest.
        written: The packs that were written for it.
        stored: Bytes of these.
    """

    version: Version
    entry: Entry
    lines: tuple[bytes, bytes]
    placement: Placement
    inline: bytes
    written: tuple[SealedPack, ...] = ()
    stored: int = 0


def is_bare(manifest: Manifest) -> bool:
    """Whether all bytes of the version stand in its manifest."""
    content = manifest.content
    chunks = any(entry.stream.chunks for entry in content.entries or ())
    return manifest.placement.inline > 0 or not (content.tree or chunks)


def carry(
    source: Backend,
    target: Backend,
    known: Known,
    version: Version,
    entry: Entry,
    manifest: Manifest,
    meter: Meter,
    keep: Keep | None = None,
) -> Carried:
    """Write those chunks of a version that the target has not. Each is verified, and stored in the form that it had.

    Nothing becomes visible; after an error what was written is garbage that a later collection removes. It holds at
    most 64 MiB that were read and about 160 MiB that are being written, and some hundred bytes for each chunk.

    Args:
        source: From where.
        target: Where to.
        known: What the target has already.
        version: Its number.
        entry: What the source's ref says of it.
        manifest: Its manifest there.
        meter: Counts.
        keep: Is told of the packs that were written.

    Raises:
        CorruptError: The source is damaged. Names the file.
        NotFound: A pack is gone from the source.
        StorageError: The source cannot be read, or the target refused or failed.
    """
    if is_bare(manifest):
        check_payload(manifest)
        inline = manifest.inline
        return Carried(version, entry, manifest.lines, Placement(inline=len(inline)), inline)
    reader = FrameReader(source, manifest.placement)
    sections = sections_of(manifest, reader)
    sizes = _sizes(manifest, sections)
    packing = Packing(target, _Believed(known, sizes), manifest.content.size, keep)
    try:
        # All at once: each search lists the index.
        new = packing.claim(sizes)
        for section, chunks in sections.items():
            _carry_section(reader, section, chunks, new, packing, meter)
        packing.finish()
    finally:
        packing.close()
    placement = placement_of(packing, sections)
    written = tuple(packing.written)
    return Carried(version, entry, manifest.lines, placement, b"", written, packing.stored)


class _Believed:
    """What the target has of the chunks as the source describes them. A chunk of another size is another chunk.

    It is then read from the source, which shows who is wrong; what is taken over is not read at all, and a version that
    lies about it could be committed and never be loaded.
    """

    def __init__(self, known: Known, sizes: Mapping[Digest, int]) -> None:
        self._known = known
        self._sizes = sizes

    def find(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        """See `Known`."""
        found = self._known.find(digests)
        return {digest: place for digest, place in found.items() if place.located.size == self._sizes[digest]}


def _sizes(manifest: Manifest, sections: Mapping[str, Sequence[Chunk]]) -> dict[Digest, int]:
    """The size of each chunk.

    Raises:
        CorruptError: One has two.
    """
    sizes: dict[Digest, int] = {}
    for chunks in sections.values():
        for chunk in chunks:
            if sizes.setdefault(chunk.digest, chunk.size) != chunk.size:
                raise CorruptError(
                    f"{manifest_key(manifest.digest)} says of chunk {chunk.digest.hex()} that it has {chunk.size} bytes, "
                    f"and {sizes[chunk.digest]}: no version is like that. Other objects are not affected."
                )
    return sizes


def _carry_section(
    reader: FrameReader,
    section: str,
    chunks: Sequence[Chunk],
    new: set[Digest],
    packing: Packing,
    meter: Meter,
) -> None:
    """Carry the first of each chunk in `new`, which loses them."""
    counted = section == "data"  # lists and trees are not bytes of the object: progress does not count them
    numbers: list[int] = []
    for number, chunk in enumerate(chunks):
        if chunk.digest in new:
            new.remove(chunk.digest)
            numbers.append(number)
    if counted:
        there = _size(chunks) - _size(chunks[number] for number in numbers)
        meter.add(there, len(chunks) - len(numbers), packing.stored, new=False)
    with closing(reader.encoded(section, chunks, numbers)) as batches:
        for batch in batches:
            for encoded in batch:
                packing.append(encoded)
            if counted:
                meter.add(sum(one.size for one in batch), len(batch), packing.stored, new=True)


def _size(chunks: Iterable[Chunk]) -> int:
    return sum(chunk.size for chunk in chunks)
