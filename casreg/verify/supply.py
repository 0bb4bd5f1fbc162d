"""What a repository is healed with: chunks and manifests, from wherever they are whole."""

from __future__ import annotations

from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from casreg.digest import digest_of
from casreg.exceptions import CorruptError, NotFound
from casreg.ingest.packing import Place
from casreg.keys import manifest_key
from casreg.manifests import decode_manifest, encode_manifest, encode_placement
from casreg.model import Placement
from casreg.packs import key_of
from casreg.transfer.places import read_chunks
from casreg.verify.checking import check_pack
from casreg.verify.histories import read_name
from casreg.verify.shelf import Shelf, packs_at
from casreg.verify.survey import names_in
from casreg.verify.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.model import Chunk, Manifest, PackRef
    from casreg.packs import SealedPack
    from casreg.refs import Entry
    from casreg.repository import Repository
    from casreg.transfer.places import Read
    from casreg.verify.checking import Checked
    from casreg.verify.histories import Named


class LostError(Exception):
    """Something is in no place that was looked at. Says what."""


class Supply:
    """Whole chunks and manifests: in sound packs here, in what is left of damaged ones, and in the source."""

    def __init__(self, target: Repository, source: Repository, packs: Mapping[PackRef, Checked]) -> None:
        """No I/O yet.

        Args:
            target: What is healed.
            source: What it is healed with.
            packs: The packs that versions of the target need, as they were found.
        """
        self.target = target
        self.source = source
        self._packs = dict(packs)

    @property
    def damaged(self) -> set[str]:
        """The keys of packs that are here and damaged, also of those that nobody is seen to need."""
        return {key_of(pack) for pack, one in self._packs.items() if one.is_damaged and not one.missing}

    def learn(self, packs: Mapping[PackRef, Checked]) -> None:
        """More packs of the target were looked at."""
        self._packs.update(packs)
        for cached in ("_here", "_remains"):
            self.__dict__.pop(cached, None)

    def wrote(self, packs: Iterable[SealedPack]) -> None:
        """These packs were written here: what comes next may build on them."""
        self._here.add((sealed.ref, sealed.table) for sealed in packs)

    @cached_property
    def _here(self) -> Shelf:
        sound = (pack for pack, checked in self._packs.items() if not checked.problem)
        return Shelf(self.target.backend, sound)

    @cached_property
    def _remains(self) -> dict[Digest, Place]:
        """What can still be read of damaged packs."""
        return {
            digest: Place(pack, located)
            for pack, checked in self._packs.items()
            for digest, located in checked.intact.items()
        }

    @cached_property
    def _there(self) -> Shelf:
        return Shelf(self.source.backend, packs_at(self.source.backend))

    # Chunks

    def here(self, chunks: Mapping[Digest, int], avoid: Collection[str]) -> dict[Digest, Place]:
        """The places in sound packs of the target of those chunks, digest → size, that are there.

        What a placement in the target may lead to: never a pack whose key is in `avoid`.
        """
        found = dict(self._here.search().find(list(chunks)))
        unseen = [digest for digest in chunks if digest not in found]
        if unseen and self._seek(unseen):
            found.update(self._here.search().find(unseen))
        return {
            digest: place
            for digest, place in found.items()
            if place.located.size == chunks[digest] and key_of(place.pack) not in avoid
        }

    def _seek(self, digests: Sequence[Digest]) -> bool:
        """Look for packs that nobody is seen to need, since what names them is lost: the index knows where they are.

        Whether there was a sound one.
        """
        named = {pack for _, pack in self.target.index.find(digests)} - self._packs.keys()
        for pack in sorted(named):
            checked = self._packs[pack] = check_pack(self.target.backend, pack)
            if not checked.problem:
                with suppress(NotFound):  # nobody needed it, and a collector was quicker
                    self._here.add([(pack, list(read_table(self.target.backend, pack)))])
        return any(not self._packs[pack].problem for pack in named)

    def find(self, chunks: Mapping[Digest, int]) -> list[tuple[Backend, dict[Digest, Place]]]:
        """Where these chunks can be read, in the order in which places are tried.

        Raises:
            LostError: Some are nowhere.
        """
        remains = {digest: self._remains[digest] for digest in chunks if digest in self._remains}
        rest = [digest for digest in chunks if digest not in remains]
        there = self._there.search().find(rest)
        lost = [digest for digest in rest if digest not in there]
        if lost:
            raise LostError(_lost(lost))
        return [(self.target.backend, remains), (self.source.backend, dict(there))]

    def read(self, chunks: Mapping[Digest, int]) -> Iterator[Read]:
        """These chunks, verified, each once, in an order that suits the places.

        Raises:
            LostError: Some are nowhere.
            StorageError: A place cannot be read.
        """
        left = dict(chunks)
        for backend, places in self.find(chunks):
            for read in read_chunks(backend, places):
                if left.pop(read.encoded.digest, None) is not None:
                    yield read
        if left:  # it can have changed since it was seen to be whole
            again = self._there.search().find(list(left))
            for read in read_chunks(self.source.backend, again):
                if left.pop(read.encoded.digest, None) is not None:
                    yield read
        if left:
            raise LostError(_lost(list(left)))

    def data(self, section: str, chunks: Sequence[Chunk]) -> bytearray:  # noqa: ARG002 - as `sections_of` asks
        """All bytes of a chunk list or a tree, wherever its chunks are.

        Raises:
            LostError: Some are nowhere.
            StorageError: A place cannot be read.
        """
        sizes = {chunk.digest: chunk.size for chunk in chunks}
        here = self.here(sizes, ())
        found = {one.encoded.digest: one.data for one in read_chunks(self.target.backend, here)}
        rest = {digest: size for digest, size in sizes.items() if digest not in found}
        found.update((one.encoded.digest, one.data) for one in (self.read(rest) if rest else ()))
        joined = bytearray()
        for chunk in chunks:
            joined += found[chunk.digest]
        return joined

    # Manifests and names

    def lines(self, digest: Digest, entry: Entry) -> Manifest:
        """What a version is, from its manifest if that can be read, else from the source. Its placement is not its own.

        Raises:
            LostError: The source has no version with this content, either.
            StorageError: A place cannot be read.
        """
        found = _own_lines(self.target.backend, digest, entry)
        return self.original(entry) if found is None else found

    def original(self, entry: Entry) -> Manifest:
        """The source's manifest of a version with this very content.

        Raises:
            LostError: It has none that can be read.
            StorageError: It cannot be read.
        """
        for digest in self._contents.get(entry.content, ()):
            found = _own_lines(self.source.backend, digest, entry)
            if found is not None:
                return found
        raise LostError(f"{self.source.backend.location} has no version with this content that can be read")

    @cached_property
    def _contents(self) -> dict[Digest, list[Digest]]:
        """The manifests of each content that the source has."""
        found: dict[Digest, list[Digest]] = {}
        for name in names_in(self.source):
            named = read_name(self.source, name)
            for use, entry in named.uses.items() if named else ():
                found.setdefault(entry.content, []).append(use.manifest)
        return found

    def named(self, name: str) -> Named:
        """What the source knows of a name.

        Raises:
            LostError: It has no such name, or cannot read all of it.
        """
        found = read_name(self.source, name)
        if found is None or found.ref is None or found.findings:
            raise LostError(f"{self.source.backend.location} has no ref of {name} that can be read")
        return found


def _own_lines(backend: Backend, digest: Digest, entry: Entry) -> Manifest | None:
    """A manifest without its placement, which need not be there; None if it is not, or is another one."""
    key = manifest_key(digest)
    try:
        data = backend.get(key).data
        if digest_of(data) != digest:
            return None
        _, first, second, _, inline = data.split(b"\n", 4)
        bare = encode_manifest(first, second, encode_placement(Placement(inline=len(inline))), inline)
        found = decode_manifest(bare, digest_of(bare), _no_segment)
    except (NotFound, CorruptError, ValueError):
        return None
    return found if (found.data, found.content_id) == (entry.data, entry.content) else None


def _no_segment(_segment: Digest) -> bytes:
    raise CorruptError("a placement that stands in its manifest has no segment")


def _lost(digests: Iterable[Digest]) -> str:
    some = list(digests)
    return f"{len(some)} chunks are in no place that was looked at, as {some[0].hex()}"
