"""Compaction: what is still needed of packs moves to new ones, so that an ordinary collection takes the old.

Whoever compacts is a writer like any other (`docs/design/protocol.md`): nothing here deletes. Frames are copied as they
are stored, each once, after their digests were compared; then each ref is swung to manifests of the same content that name
the new packs. Whoever stops in the middle leaves every version where it was or where it is going, and garbage.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from math import ceil
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CommitConflictError, CorruptError, NotFound
from casreg.gc.choice import choose
from casreg.gc.moving import Moving
from casreg.gc.names import name_of, of_pack
from casreg.gc.occupancy import occupancy
from casreg.gc.relocation import relocated
from casreg.gc.work import Report, threads_for
from casreg.keys import PACKS, manifest_key
from casreg.packs import RECORD, key_of
from casreg.progress import Progress
from casreg.repository.proving import Proof, StaleError
from casreg.repository.searching import remember_packs
from casreg.repository.swinging import Replacement, swing
from casreg.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence, Set as AbstractSet

    from casreg.digest import Digest
    from casreg.gc.names import Name
    from casreg.gc.occupancy import Occupancy, Pack, Use
    from casreg.gc.relocation import Frames
    from casreg.gc.terms import Terms
    from casreg.model import PackRef
    from casreg.progress import ProgressCallback
    from casreg.refs import Fence
    from casreg.repository import Repository

BATCH_BYTES: Final = 4 * 1024**3
BATCH_FRAMES: Final = 262_144
"""So much is moved before refs are swung to it: what was moved by then stays moved, and the places of its chunks take some
100 MB of memory."""

_TOGETHER: Final = 64
"""So many versions of a name are swung in one commit: their placements are in memory."""

_ROUNDS: Final = 5

log = logging.getLogger("casreg.gc")


@dataclass(frozen=True, slots=True)
class Compaction:
    """What a compaction moved, or would move.

    Attributes:
        packs: How many packs it moved things out of. Nothing needs them any more.
        freed: Bytes of these packs, which a collection frees.
        rewritten: Bytes of what is needed of them, which were copied: so many less are gained.
        versions: How many versions have other packs now, with deleted ones that can still be undeleted.
        left: Keys of packs and manifests that should have been rewritten and stay as they are, and why.
    """

    packs: int
    freed: int
    rewritten: int
    versions: int
    left: Mapping[str, str]


def compact(
    repository: Repository, terms: Terms, progress: ProgressCallback | None = None, *, dry_run: bool = False
) -> Compaction:
    """Move what is needed out of packs that are mostly dead, or too small, into new ones. Deletes nothing.

    Packs that are younger than the minimum age stay, and so do those that a save under way holds. Safe at any time, beside
    anybody. What is damaged is not moved, and said.

    Args:
        repository: Where.
        terms: What may be collected afterwards: `min_age` and `undelete_window` count.
        progress: Is told, in the phases `weigh` (names) and `compact` (bytes).
        dry_run: Only say what would be moved.

    Raises:
        CorruptError: A ref, or a manifest, is damaged or lost: names it.
        ObjectNotFoundError: A ref has gone, which nothing ever deletes.
        UnsupportedFormatError: Something was written by a newer casreg.
        CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost. What was moved by then is moved.
        StorageError: The storage refused or failed. Likewise.
    """
    return _Compactor(repository.without_copies(), terms, progress).run(dry_run=dry_run)


def batches(packs: Sequence[Pack]) -> Iterator[list[Pack]]:
    """Packs in their order, in as few parts as limits allow, and parts that weigh about the same."""

    def weight(pack: Pack) -> float:
        return max(pack.live / BATCH_BYTES, pack.ref.table_size / RECORD.size / BATCH_FRAMES)

    total = sum(map(weight, packs))
    share = total / max(1, ceil(total))
    batch: list[Pack] = []
    held = 0.0
    for pack in packs:
        batch.append(pack)
        held += weight(pack)
        if held >= share:
            yield batch
            batch, held = [], 0.0
    if batch:
        yield batch


@dataclass(slots=True)
class _Done:
    """What was moved so far.

    Attributes:
        packs: The packs that nothing needs any more.
        uses: Who does not name old manifests any more.
        versions: How many of these were changed here.
        left: What stays, and why.
        live: Bytes of what was needed of the batches that are done.
        stored: Bytes of packs that were written for these.
    """

    packs: list[Pack] = field(default_factory=list)
    uses: set[tuple[Use, Digest]] = field(default_factory=set)
    versions: int = 0
    left: dict[str, str] = field(default_factory=dict)
    live: int = 0
    stored: int = 0


class _Compactor:
    """One compaction. Not thread-safe; any number of others may be at it."""

    def __init__(self, repository: Repository, terms: Terms, progress: ProgressCallback | None) -> None:
        self._repository = repository
        self._terms = terms
        self._threads = threads_for(repository.backend, terms)
        self._progress = progress
        self._done = _Done()
        self._total = 0
        self._told = 0, 0

    def run(self, *, dry_run: bool) -> Compaction:
        """All of it."""
        found = occupancy(self._repository, self._terms, Report(self._progress))
        self._spare(found)
        chosen = choose(found.packs.values())
        if dry_run:
            moving = found.needing({pack.ref.name for pack in chosen})
            return self._result(chosen, sum(len(set(found.uses[digest])) for digest in moving))
        if chosen:
            self._repository.marker()  # it may say that this casreg must not
        self._total = sum(pack.live for pack in chosen)
        staying = {name: pack.ref for name, pack in found.packs.items()}
        for pack in chosen:
            del staying[pack.ref.name]
        for batch in batches(chosen):
            self._done.packs += self._moved(found, batch, staying)
            self._done.live += sum(pack.live for pack in batch)
            self._done.stored = self._told[1]
        return self._result(self._done.packs, self._done.versions)

    def _result(self, packs: Sequence[Pack], versions: int) -> Compaction:
        return Compaction(
            packs=len(packs),
            freed=sum(pack.ref.size for pack in packs),
            rewritten=sum(pack.live for pack in packs),
            versions=versions,
            left=dict(self._done.left),
        )

    def _spare(self, found: Occupancy) -> None:
        """Let packs stay that could not be collected yet, and those that nobody may build on: damaged, or being judged."""
        young = self._young() if found.packs else set()
        bad = self._repository.refs.fences.read().bad
        for pack in found.packs.values():
            pack.stays |= of_pack(pack.ref.name) in young or key_of(pack.ref) in bad

    def _young(self) -> set[Name]:
        least, now = self._terms.min_age, self._terms.clock()
        if least <= 0:
            return set()
        listed = self._repository.backend.list(PACKS)
        young = (name_of(info.key) for info in listed if now - info.modified < least)
        return {name for name in young if name is not None}

    def _tell(self, size: int, stored: int) -> None:
        done = self._done
        now = min(done.live + size, self._total), done.stored + stored
        self._told = max(self._told[0], now[0]), max(self._told[1], now[1])
        if self._progress:
            self._progress(Progress("compact", "", self._told[0], self._total, 0, self._told[1]))

    # One batch

    def _moved(self, found: Occupancy, batch: Sequence[Pack], staying: Mapping[str, PackRef]) -> list[Pack]:
        """Copy what is needed of these packs, and swing the refs. Returns the packs that nothing needs any more.

        Raises:
            CommitConflictError: What was copied was collected again and again before refs named it.
        """
        moving = Moving(self._repository, self._threads, self._tell)
        for _ in range(_ROUNDS):
            try:
                return self._once(found, batch, staying, moving)
            except StaleError:
                log.debug("a collector was quicker with what was copied: copying it again")
        raise CommitConflictError(
            f"what a compaction of {self._repository.backend.location} had copied was collected {_ROUNDS} times before a ref "
            "named it. Nothing is lost; let fewer collect at once, or with the usual minimum age"
        )

    def _once(
        self, found: Occupancy, batch: Sequence[Pack], staying: Mapping[str, PackRef], moving: Moving
    ) -> list[Pack]:
        # Read before anything is seen or sent, so that this counts as long as the head remembers the run.
        fence = self._repository.refs.fences.read()
        moving.settle(fence)
        looked = moving.look(batch)
        there = {name: frames for name, frames in looked.items() if frames is not None}
        free = self._free(found, batch, looked.keys() - there.keys(), moving, fence)
        written = len(moving.written)
        frames = moving.copy([pack for pack in free if pack.ref.name in there], there, staying, fence)
        # Before refs name them: whoever goes on with what is interrupted from here on finds what was moved already.
        remember_packs(self._repository, moving.written[written:], moving.seen)
        stay = self._swing(found, found.needing(frames.keys()), frames, moving, fence)
        self._done.left.update(moving.left)
        done = [pack for pack in free if pack.ref.name in frames.keys() - stay]
        self._repository.index.forget({pack.ref.name for pack in done})
        return done

    def _free(
        self, found: Occupancy, batch: Sequence[Pack], gone: AbstractSet[str], moving: Moving, fence: Fence
    ) -> list[Pack]:
        """The packs of a batch that nothing holds where they are. `gone`: those that are not there.

        A version that also needs a file which must not be named anew stays as it is, and with it all of its packs.
        """
        names = {pack.ref.name for pack in batch}
        needing = found.needing(names)
        kept = {name for digest in needing for name in found.below[digest]} - names
        bad = {*gone, *moving.unusable((found.packs[name].ref for name in sorted(kept)), fence)}
        bad |= {pack.ref.name for pack in batch if key_of(pack.ref) in fence.bad}
        lost = {name for name in bad if key_of(found.packs[name].ref) not in fence.bad}
        held = set(bad)
        for digest in needing:
            if bad.isdisjoint(found.below[digest]):
                continue
            held.update(found.below[digest])
            missing = lost.intersection(found.below[digest])
            if missing and self._lives(digest, found):
                key = key_of(found.packs[min(missing)].ref)
                moving.left[manifest_key(digest)] = f"it needs {key}, which is lost; run `verify`"
        return [pack for pack in batch if pack.ref.name not in held]

    def _lives(self, digest: Digest, found: Occupancy) -> bool:
        """Whether a version has this manifest still. Of what was deleted or moved meanwhile, packs may have been collected."""

        def has_it(use: Use) -> bool:
            entry = self._repository.refs.ask(
                use.name, lambda history: history.entry(use.version) if history is not None else None
            )
            return entry is not None and entry.manifest == digest

        return digest in found.living and any(map(has_it, found.uses[digest]))

    def _swing(
        self,
        found: Occupancy,
        needing: Sequence[Digest],
        frames: Mapping[str, Frames],
        moving: Moving,
        fence: Fence,
    ) -> set[str]:
        """Let everything that names these manifests name new ones. Returns the packs that are needed all the same."""
        stay: set[str] = set()
        shared: dict[Digest, Replacement] = {}  # what later names need as well
        last = {digest: max(use.name for use in found.uses[digest]) for digest in needing}

        def made(digest: Digest) -> tuple[Digest, Replacement | None]:
            try:
                return digest, self._replacement(digest, frames, moving, fence)
            except CorruptError as err:
                moving.left[manifest_key(digest)] = str(err)
                stay.update(found.below[digest])
            except NotFound:
                log.debug("%s has gone: others deleted what it was, or moved it", manifest_key(digest))
            return digest, None

        for name, uses in self._by_name(found, needing):
            for at in range(0, len(uses), _TOGETHER):
                some = uses[at : at + _TOGETHER]
                wanted = dict.fromkeys(digest for _, digest in some if digest not in shared)
                new = dict(ahead(made, wanted, self._threads))
                replacements = {digest: one for digest, one in {**shared, **new}.items() if one is not None}
                shared.update((digest, one) for digest, one in replacements.items() if last[digest] > name)
                mine = [(use, digest) for use, digest in some if digest in replacements]
                versions = [(use.version, digest) for use, digest in mine]
                self._done.versions += swing(self._repository, name, versions, replacements)
                self._done.uses.update(mine)
            shared = {digest: one for digest, one in shared.items() if last[digest] > name}
        return stay

    def _by_name(
        self, found: Occupancy, needing: Sequence[Digest]
    ) -> Iterator[tuple[str, list[tuple[Use, Digest]]]]:
        """Everything that names these manifests and was not swung yet, by name."""
        by_name: dict[str, list[tuple[Use, Digest]]] = {}
        for digest in needing:
            for use in dict.fromkeys(found.uses[digest]):
                if (use, digest) not in self._done.uses:
                    by_name.setdefault(use.name, []).append((use, digest))
        yield from sorted(by_name.items())

    def _replacement(
        self, digest: Digest, frames: Mapping[str, Frames], moving: Moving, fence: Fence
    ) -> Replacement:
        """A new manifest of the same content, which is on the storage now, and will be proved again in the commit.

        Raises:
            StaleError: A pack that it needs has been collected meanwhile.
            NotFound: The old manifest has gone.
            CorruptError: It is damaged, or does not fit its packs.
        """
        manifest = self._repository.manifest(digest)
        placement = relocated(manifest.placement, frames, moving.places.__getitem__)
        seen = {key: moving.seen[key] for key in map(key_of, placement.packs) if key in moving.seen}
        replacement = Replacement(
            len(placement.packs),
            Proof(self._repository, manifest.lines, placement, manifest.inline, seen),
        )
        replacement.manifest(fence)
        return replacement
