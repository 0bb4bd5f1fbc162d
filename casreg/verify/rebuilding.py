"""One version written anew: the chunks that are lost here in fresh packs, under a fresh manifest, with its identity."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

from casreg.exceptions import CorruptError
from casreg.ingest.assembly import placement_of
from casreg.ingest.packing import Packing
from casreg.model import Placement
from casreg.repository.proving import Proof, until_proved
from casreg.repository.searching import remember_packs
from casreg.repository.swinging import Replacement, swing as swing_name
from casreg.transfer.carrying import is_bare
from casreg.transfer.places import Sound
from casreg.transfer.sections import check_payload, sections_of
from casreg.verify.supply import LostError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.model import Chunk, Manifest
    from casreg.packs import SealedPack
    from casreg.refs import Entry, Fence
    from casreg.verify.findings import Use
    from casreg.verify.supply import Supply


class Case(NamedTuple):
    """A version that is to be written anew.

    Attributes:
        entry: What a ref says of it.
        uses: All who name its manifest.
    """

    entry: Entry
    uses: tuple[Use, ...]

    @property
    def manifest(self) -> Digest:
        """Its manifest, which need not be readable."""
        return self.uses[0].manifest


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A version that was written anew, but for its manifest, which goes out when the ref is about to name it.

    Attributes:
        entry: What a ref said of it.
        written: The packs that were written for it.
        stored: Bytes of these.
        replacement: Its new manifest.
    """

    entry: Entry
    written: tuple[SealedPack, ...]
    stored: int
    replacement: Replacement

    @property
    def seen(self) -> Mapping[str, RunId]:
        """When each file was last seen."""
        return self.replacement.proof.seen

    def moved(self, fence: Fence) -> Entry:
        """The entry, under the new manifest.

        Raises:
            StaleError: Something of it has been collected meanwhile.
            StorageError: The storage refused or failed.
        """
        return replace(self.entry, manifest=self.replacement.manifest(fence), packs=self.replacement.packs)


class Missing:
    """What a version lacks here, as far as can be said without writing."""

    def __init__(self, supply: Supply, digest: Digest, entry: Entry) -> None:
        """Reads the manifest, and lists and trees.

        Raises:
            LostError: Something that is needed is nowhere.
            CorruptError: What was found does not fit together.
            StorageError: A place cannot be read.
        """
        self.manifest: Manifest = supply.lines(digest, entry)
        self.sections: Mapping[str, Sequence[Chunk]] = {}
        self._supply = supply
        if is_bare(self.manifest):
            check_payload(self.manifest)
            return
        self.sections = sections_of(self.manifest, supply)

    @property
    def chunks(self) -> dict[Digest, int]:
        """All chunks of the version, with their sizes."""
        return {chunk.digest: chunk.size for chunks in self.sections.values() for chunk in chunks}

    def check(self) -> int:
        """See that what is lost here is elsewhere. Returns how many bytes that are.

        Raises:
            LostError: Some of it is nowhere.
        """
        chunks = self.chunks
        here = self._supply.here(chunks, ())
        lost = {digest: size for digest, size in chunks.items() if digest not in here}
        if lost:
            self._supply.find(lost)
        return sum(lost.values())


def rebuild(supply: Supply, digest: Digest, entry: Entry, avoid: Collection[str]) -> Rebuilt:
    """Bring what a version lacks here into fresh packs.

    Nothing can be seen of it yet; what is not committed is garbage.

    Args:
        supply: Where chunks are.
        digest: Its manifest, which need not be readable.
        entry: What a ref says of it.
        avoid: Keys of packs that must not be built on.

    Raises:
        LostError: Something is nowhere.
        CorruptError: What was found does not fit together.
        StorageError: A place cannot be read, or refused.
    """
    target = supply.target
    missing = Missing(supply, digest, entry)
    manifest = missing.manifest
    placement, stored = Placement(inline=len(manifest.inline)), 0
    written: tuple[SealedPack, ...] = ()
    # Read before anything is written, so that what is written counts as seen after it.
    fence = target.refs.fences.read()
    if missing.sections:
        placement, written, stored = _stored(supply, missing, fence.bad.union(avoid))
        supply.wrote(written)
    seen = {sealed.key: fence.head.id for sealed in written}
    proof = Proof(target, manifest.lines, placement, manifest.inline, seen)
    return Rebuilt(entry, written, stored, Replacement(len(placement.packs), proof))


def _stored(
    supply: Supply, missing: Missing, avoid: Collection[str]
) -> tuple[Placement, tuple[SealedPack, ...], int]:
    chunks = missing.chunks
    packing = Packing(supply.target.backend, Sound(supply.here(chunks, avoid)), sum(chunks.values()))
    try:
        new = packing.claim(chunks)
        if new:
            for read in supply.read({one: size for one, size in chunks.items() if one in new}):
                packing.append(read.encoded)
        packing.finish()
    finally:
        packing.close()
    return placement_of(packing, missing.sections), tuple(packing.written), packing.stored


def swing(supply: Supply, cases: Sequence[Case]) -> tuple[int, dict[Digest, str]]:
    """Write versions anew, and let everything that names their manifests name the new ones, one commit for each name.

    Args:
        supply: Where chunks are.
        cases: Which versions.

    Returns:
        The bytes of packs that were written; and the manifests of those versions that are as they were, with the reason.

    Raises:
        StorageError: A place cannot be read, or refused. What was not reached yet is as it was.
        CommitConflictError, CommitUnknownError, UnsupportedFormatError: As a commit.
    """
    target = supply.target
    failed: dict[Digest, str] = {}

    def store_and_commit(avoid: Collection[str]) -> int:
        done: dict[Digest, Rebuilt] = {}
        for case in cases:
            try:
                done[case.manifest] = rebuild(supply, case.manifest, case.entry, avoid)
            except (LostError, CorruptError) as err:
                failed[case.manifest] = str(err)
        replacements = {digest: rebuilt.replacement for digest, rebuilt in done.items()}
        uses = [use for case in cases if case.manifest in done for use in case.uses]
        for name in dict.fromkeys(use.name for use in uses):
            mine = [(use.version, use.manifest) for use in uses if use.name == name]
            swing_name(target, name, mine, replacements)
        for rebuilt in done.values():
            remember_packs(target, rebuilt.written, rebuilt.seen)
        return sum(rebuilt.stored for rebuilt in done.values())

    return until_proved(target, cases[0].uses[0].name, store_and_commit), failed
