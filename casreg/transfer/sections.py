"""Which chunks a stored version has: those of its files, of their chunk lists, and of its tree, in every section."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from casreg.digest import digest_of
from casreg.exceptions import CorruptError
from casreg.keys import manifest_key
from casreg.manifests import LIST_RECORD, decode_list, decode_tree
from casreg.model import section_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from casreg.model import Chunk, Entry, Manifest, Stream


class Sections(Protocol):
    """What gives the bytes of chunk lists and trees."""

    def data(self, section: str, chunks: Sequence[Chunk]) -> Buffer:
        """All bytes of a section, verified."""
        ...


def sections_of(manifest: Manifest, reader: Sections) -> dict[str, list[Chunk]]:
    """The chunks of each section, in the order in which a save writes them. Reads lists and tree, level by level.

    It takes memory for each chunk (some hundred bytes), and for none of the bytes of files.

    Raises:
        CorruptError: A list or the tree is damaged, or is not what the content promises.
        NotFound: A pack is gone.
        StorageError: A pack cannot be read.
    """
    what = manifest_key(manifest.digest)
    content = manifest.content
    tree: dict[str, list[Chunk]] = {}
    entries: Sequence[Entry] = content.entries or ()
    if content.tree is not None:
        tree = _levels([content.tree], "tree", reader, what)
        entries = tuple(decode_tree(memoryview(reader.data("tree", tree["tree"])), what))
        if len(entries) != content.count or sum(entry.stream.size for entry in entries) != content.size:
            raise CorruptError(f"{what}: its tree has not the entries that it promises")
    return {**_levels([entry.stream for entry in entries], "data", reader, what), **tree}


def _levels(streams: Sequence[Stream], base: str, reader: Sections, what: str) -> dict[str, list[Chunk]]:
    """The chunks of streams at every level, the bytes themselves first."""
    found: dict[str, list[Chunk]] = {}
    held: dict[int, Sequence[Chunk]] = {}
    for level in range(max((stream.depth for stream in streams), default=0), -1, -1):
        held.update((at, stream.chunks) for at, stream in enumerate(streams) if stream.depth == level)
        numbers = sorted(held)
        section = section_name(base, level)
        found[section] = [chunk for number in numbers for chunk in held[number]]
        if level:
            data = memoryview(reader.data(section, found[section]))
            begin = 0
            for number in numbers:
                end = begin + sum(chunk.size for chunk in held[number])
                held[number] = _listed(data[begin:end], streams[number], level, what)
                begin = end
    return dict(reversed(found.items()))


def _listed(data: memoryview, stream: Stream, level: int, what: str) -> list[Chunk]:
    """The chunks of a stream at the level below `level`, from the bytes of the list there."""
    chunks = decode_list(data, what)
    size = stream.size if level == 1 else LIST_RECORD * stream.counts[level - 2]
    if len(chunks) != stream.counts[level - 1] or sum(chunk.size for chunk in chunks) != size:
        raise CorruptError(f"{what}: a chunk list does not sum to what it promises")
    return chunks


def check_payload(manifest: Manifest) -> None:
    """See that a payload which stands in the manifest is the bytes of the version's files.

    Raises:
        CorruptError: It is not.
    """
    at = 0
    for entry in manifest.content.entries or ():
        for chunk in entry.stream.chunks:
            if digest_of(manifest.inline[at : at + chunk.size]) != chunk.digest:
                raise CorruptError(
                    f"{manifest_key(manifest.digest)}: chunk {chunk.digest.hex()} of its payload is damaged. Other "
                    "objects are not affected; another copy of the registry can heal it."
                )
            at += chunk.size
