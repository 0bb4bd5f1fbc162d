"""Refs, and parts of their histories, brought back from what another copy says of the same name."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from casreg.exceptions import CorruptError
from casreg.refs import Record
from casreg.refs.history import History
from casreg.refs.restoring import restore
from casreg.repository.proving import Sightings, StaleError, until_proved
from casreg.repository.searching import remember_packs
from casreg.verify.histories import read_segments
from casreg.verify.rebuilding import rebuild
from casreg.verify.supply import LostError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from casreg.digest import Digest
    from casreg.refs import Attempt, Entry, Fence
    from casreg.refs.document import OlderSegment, Ref
    from casreg.verify.histories import Named
    from casreg.verify.rebuilding import Rebuilt
    from casreg.verify.supply import Supply
    from casreg.versions import Version


class Recovery:
    """What the source says of one name, made true in the target. Not thread-safe."""

    def __init__(self, supply: Supply, name: str) -> None:
        """Reads the source's ref.

        Raises:
            LostError: The source has no such name, or cannot read all of it.
            StorageError: It cannot be read.
        """
        self._supply = supply
        self._target = supply.target
        self._name = name
        self._source: Named = supply.named(name)
        self._rebuilt: dict[Digest, Rebuilt] = {}
        self._lost: set[Digest] = set()
        self._sightings = Sightings(self._target.backend, {})
        self.stored = 0
        self.restored = False

    # The whole ref

    def ref(self) -> None:
        """Put it in the place of one that is damaged, or was lost, or says nothing. One that says something stays.

        A version that is in no place that was looked at comes back all the same, as one whose files are missing: so its
        number stays what it was, and another copy can still heal it.

        Raises:
            CommitConflictError, CommitUnknownError, CorruptError, UnsupportedFormatError: As of a commit.
            StorageError: A place cannot be read, or refused.
        """
        until_proved(self._target, self._name, self._ref)
        remember_packs_of(self._supply, self._rebuilt.values())

    def _ref(self, avoid: Collection[str]) -> None:
        records = self._source.records
        self._prepare(records, avoid)
        refs, backend = self._target.refs, self._target.backend

        def change(attempt: Attempt) -> History:
            return self._as_source(attempt, records)

        self.restored = restore(backend, refs, self._name, change)
        if self.restored:
            refs.commit(self._name, lambda attempt: attempt.history)  # moves what is too much to a segment
            return

        def fill(attempt: Attempt) -> History | None:
            ref = attempt.history.ref
            return None if ref.records or ref.older else change(attempt)

        self.restored = refs.commit(self._name, fill).write is not None

    def _as_source(self, attempt: Attempt, records: Mapping[Version, Record]) -> History:
        said = self._source.ref
        assert said is not None
        made = self._records(records, attempt.fence)
        ref: Ref = replace(
            attempt.history.ref,
            rev=max(said.rev, attempt.history.ref.rev),
            records=made,
            tags=_tags(said, made),
            requires=said.requires,
            extra=said.extra,
        )
        return History(ref, attempt.history.segments)

    # Segments of its history

    def check_history(self, lost: Iterable[OlderSegment]) -> None:
        """See that the source knows as many versions as each of these segments had.

        Raises:
            LostError: It does not. Then nothing is put in their place: a version that nobody lists is collected.
        """
        for row in lost:
            known = len(self._span(row))
            if known < row.count:
                where = self._supply.source.backend.location
                raise LostError(f"{where} knows {known} of the {row.count} versions that stand in {row.key}")

    def history(self) -> None:
        """Write the whole history of the name anew, with what the source says where a segment is lost.

        Raises:
            LostError: The source does not know enough.
            CommitConflictError, CommitUnknownError, CorruptError, UnsupportedFormatError: As of a commit.
            StorageError: A place cannot be read, or refused.
        """
        until_proved(self._target, self._name, self._history)
        remember_packs_of(self._supply, self._rebuilt.values())

    def _history(self, avoid: Collection[str]) -> None:
        held = self._target.refs.read(self._name)
        lost = read_segments(held.history).lost if held else ()
        self.check_history(lost)
        for row in lost:
            self._prepare(self._span(row), avoid)

        def change(attempt: Attempt) -> History | None:
            named = read_segments(attempt.history)
            if not named.lost:
                return None
            self.check_history(named.lost)
            ref = attempt.history.ref
            records: dict[Version, Record] = {}
            for row in ref.older:
                if row in named.lost:
                    _lay(self._records(self._span(row), attempt.fence), records)
                else:
                    _lay(dict(attempt.history.segments.read(row, self._name).records()), records)
            _lay(ref.records, records)
            # The commit spills what is too much to a new segment: all the old ones are done with.
            return History(replace(ref, records=records, older=()), attempt.history.segments)

        self._target.refs.commit(self._name, change, create=False)

    def _span(self, row: OlderSegment) -> dict[Version, Record]:
        return {
            version: record
            for version, record in self._source.records.items()
            if row.lowest <= version <= row.highest
        }

    # Entries

    def _prepare(self, records: Mapping[Version, Record], avoid: Collection[str]) -> None:
        """Bring the versions that live and are not here, and note which are nowhere."""
        fence = self._target.refs.fences.read()
        for record in records.values():
            entry = record.live
            if entry is None or self._is_here(entry.manifest, fence):
                continue
            if entry.manifest in self._rebuilt and not avoid:
                continue
            try:
                rebuilt = rebuild(self._supply, entry.manifest, entry, avoid)
            except (LostError, CorruptError):
                self._lost.add(entry.manifest)
            else:
                self._rebuilt[entry.manifest] = rebuilt
                self.stored += rebuilt.stored

    def _records(self, records: Mapping[Version, Record], fence: Fence) -> dict[Version, Record]:
        return {version: self._record(record, fence) for version, record in records.items()}

    def _record(self, record: Record, fence: Fence) -> Record:
        live = None if record.live is None else self._live(record.live, fence)
        # A deleted version whose data is not here could not be brought back: its number is what is left of it.
        dead = tuple(one for one in record.dead if self._is_here(one.entry.manifest, fence))
        return Record(live, dead)

    def _live(self, entry: Entry, fence: Fence) -> Entry:
        """The entry, which may name another manifest here.

        Raises:
            StaleError: Its data has gone since it was seen.
        """
        rebuilt = self._rebuilt.get(entry.manifest)
        if rebuilt is not None:
            return rebuilt.moved(fence)
        if entry.manifest in self._lost or self._is_here(entry.manifest, fence):
            return entry
        raise StaleError

    def _is_here(self, manifest: Digest, fence: Fence) -> bool:
        try:
            return self._sightings.all_usable(self._target, manifest, fence)
        except CorruptError:
            return False


def remember_packs_of(supply: Supply, rebuilt: Iterable[Rebuilt]) -> None:
    """Let later saves find what was written for these versions, now that they are committed."""
    for one in rebuilt:
        remember_packs(supply.target, one.written, one.seen)


def _tags(said: Ref, records: Mapping[Version, Record]) -> dict[str, tuple[Version, Digest]]:
    tags = {}
    for tag, (version, _) in said.tags.items():
        record = records.get(version)
        if record is not None and record.live is not None:
            tags[tag] = version, record.live.manifest
    return tags


def _lay(newer: Mapping[Version, Record], older: dict[Version, Record]) -> None:
    for version, record in newer.items():
        older[version] = record.over(older[version]) if version in older else record
