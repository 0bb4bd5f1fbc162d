"""The history of one name: questions about its versions, and changes that give a new history.

A `History` is a ref and a way to read its segments, which happens only where the ref itself does not know the
answer.  It is a value: nothing here writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from casreg.exceptions import ObjectNotFoundError, VersionConflictError, VersionProtectedError
from casreg.refs.entries import Entry, Record, Tombstone
from casreg.versions import Exact, Latest, Range, Tag, Version, check_tag, next_after

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from casreg.digest import Digest
    from casreg.refs.document import Ref
    from casreg.refs.segments import SegmentReader
    from casreg.versions import Bump, Selector

_LISTED: int = 8
"""So many of the existing versions are named in the message about a missing one."""


@dataclass(frozen=True, slots=True)
class History:
    """All versions of one name at one moment.

    Any method that has to read a segment may raise, besides what it says:
        SegmentGone: A segment is missing: the ref was read long ago (read it again), or the file is lost.
        CorruptError: A segment is not what was written.
        StorageError: A segment cannot be read.

    Attributes:
        ref: What was read, or is going to be written.
        segments: Reads spilled records.
    """

    ref: Ref
    segments: SegmentReader

    @property
    def name(self) -> str:
        """Whose history it is."""
        return self.ref.name

    # Questions

    def record(self, version: Version) -> Record | None:
        """Everything about `version`; None if the number was never used."""
        record = self.ref.records.get(version)
        if record is not None and not record.partial:
            return record
        for older in self._spilled(version):
            record = older if record is None else record.over(older)
            if not record.partial:
                break
        return record

    def used(self, version: Version) -> bool:
        """Whether the number was ever given: it lives, was deleted, or is retired."""
        return version in self.ref.records or next(self._spilled(version), None) is not None

    def entry(self, version: Version) -> Entry | None:
        """The entry of `version` if it lives."""
        record = self.ref.records.get(version) or next(self._spilled(version), None)
        return record.live if record else None

    def names(self, version: Version, manifest: Digest) -> bool:
        """Whether `version` is, or was and may be again, what `manifest` says."""
        record = self.record(version)
        entries = [] if record is None else [tombstone.entry for tombstone in record.dead]
        if record is not None and record.live:
            entries.append(record.live)
        return any(entry.manifest == manifest for entry in entries)

    def latest(self) -> tuple[Version, Entry] | None:
        """The highest live version; None if none lives. Reads segments only if one may hold a higher one."""
        inline = [version for version, record in self.ref.records.items() if record.live]
        best = max(inline, default=None)
        tops = (row.highest_live for row in self.ref.older)
        if any(top is not None and (best is None or best < top) for top in tops):
            living = self.live()
            return living[-1] if living else None
        return None if best is None else self._found(best)

    def live(self) -> list[tuple[Version, Entry]]:
        """All live versions, ascending. Reads every segment."""
        entries: dict[Version, Entry | None] = {}
        for row in self.ref.older:
            segment = self.segments.read(row, self.name)
            entries.update((version, record.live) for version, record in segment.records())
        entries.update((version, record.live) for version, record in self.ref.records.items())
        return [(version, entry) for version in sorted(entries) if (entry := entries[version])]

    def records(self) -> dict[Version, Record]:
        """Every record, in no order. Reads every segment."""
        records: dict[Version, Record] = {}
        for row in self.ref.older:
            for version, record in self.segments.read(row, self.name).records():
                records[version] = record.over(records[version]) if version in records else record
        for version, record in self.ref.records.items():
            records[version] = record.over(records[version]) if version in records else record
        return records

    def select(self, selector: Selector) -> tuple[Version, Entry]:
        """The live version that `selector` means; of a range the highest.

        Raises:
            ObjectNotFoundError: There is none; the message says which versions exist.
        """
        found: tuple[Version, Entry] | None = None
        if isinstance(selector, Latest):
            found = self.latest()
        elif isinstance(selector, Exact):
            entry = self.entry(selector.version)
            found = (selector.version, entry) if entry else None
        elif isinstance(selector, Tag):
            found = self._tagged(selector.name)
        else:
            found = self._highest_in(selector)
        if found is None:
            raise ObjectNotFoundError(self._missing(selector))
        return found

    def without_versions(self) -> str:
        """What to say where a version is wanted, and none lives."""
        if self._highest_used() is None:
            return f"{self.name} has no versions"
        return (
            f"{self.name} has no versions: all were deleted, or renamed; `history({self.name!r})` lists them, and "
            "`undelete` brings one back until its data is collected"
        )

    def next_version(self, bump: Bump = "patch") -> Version:
        """The number for the next save: above the highest live version, or above all used if none lives.

        Numbers that were ever used are skipped, by counting the last part up.

        Raises:
            InvalidArgumentError: `bump` is not `patch`, `minor` or `major`.
            InvalidVersionError: The number would have more than 15 digits.
        """
        latest = self.latest()
        version = next_after(latest[0] if latest else self._highest_used(), bump)
        while self.used(version):
            version = next_after(version)
        return version

    def check_unprotected(self, version: Version) -> Entry | None:
        """The entry of `version` if it lives, after it was seen that it may be deleted or replaced.

        Raises:
            VersionProtectedError: It may not.
        """
        entry = self.entry(version)
        if entry is not None and entry.protected:
            raise VersionProtectedError(
                f"{self.name}@{version} is protected; write `unprotect({self.name!r}, '{version}')` first"
            )
        return entry

    # Changes

    def with_version(self, version: Version, entry: Entry, when: str | None = None) -> History:
        """`version` lives and is `entry`. What lived there becomes a tombstone; tags on it stay on the version.

        Args:
            version: Which.
            entry: What it is.
            when: The time, RFC 3339 in UTC; by default that of the entry, which may come from elsewhere.

        Raises:
            VersionProtectedError: What lives there is protected.
        """
        before = self.check_unprotected(version)
        dead = () if before is None else (Tombstone(before, when or entry.created),)
        tags = {
            tag: (version, entry.manifest) if target[0] == version else target
            for tag, target in self.ref.tags.items()
        }
        return self._with(version, entry, dead, tags)

    def without_version(self, version: Version, deleted: str) -> History:
        """`version` is deleted: what it was becomes a tombstone, its tags are removed, its number stays used.

        Args:
            version: Which.
            deleted: The time, RFC 3339 in UTC.

        Raises:
            ObjectNotFoundError: It does not live.
            VersionProtectedError: It is protected.
        """
        self.check_unprotected(version)
        tags = {tag: target for tag, target in self.ref.tags.items() if target[0] != version}
        return self._with(version, None, (Tombstone(self._need(version), deleted),), tags)

    def undeleted(self, version: Version) -> History:
        """`version` lives again as what its last tombstone says. Tags that deleting removed do not come back.

        The caller has to validate that the data is there, as for any name that is added.

        Raises:
            ObjectNotFoundError: It has no tombstone.
            VersionConflictError: It lives.
        """
        if self.entry(version):
            raise VersionConflictError(
                f"{self.name}@{version} is not deleted; delete it first to get an older one back"
            )
        record = self.ref.records.get(version)
        if record is None or not record.dead:  # perhaps a segment has tombstones
            record = self.record(version)
        if record is None or not record.dead:
            raise ObjectNotFoundError(f"{self.name}@{version} cannot be undeleted: nothing of it is kept")
        back = Record(record.dead[-1].entry, record.dead[:-1], record.partial)
        return replace(self, ref=replace(self.ref, records={**self.ref.records, version: back}))

    def with_manifest(self, version: Version, before: Digest, after: Digest, packs: int) -> History:
        """What `version` is, or was, under the manifest `before` is now the same under `after`. No tombstone is left.

        Args:
            version: Which.
            before: A manifest that one of its entries names.
            after: Another manifest of the same content.
            packs: How many packs that one needs.
        """
        record = self.record(version)
        assert record is not None, f"there is no {version}"

        def moved(entry: Entry) -> Entry:
            return replace(entry, manifest=after, packs=packs) if entry.manifest == before else entry

        dead = tuple(replace(tombstone, entry=moved(tombstone.entry)) for tombstone in record.dead)
        changed = Record(record.live and moved(record.live), dead, record.partial)
        tags = {
            tag: (version, after) if target == (version, before) else target
            for tag, target in self.ref.tags.items()
        }
        records = {**self.ref.records, version: changed}
        return replace(self, ref=replace(self.ref, records=records, tags=tags))

    def with_notes(self, version: Version, notes: Mapping[str, Any]) -> History:
        """The notes of `version` are `notes`.

        Raises:
            ObjectNotFoundError: It does not live.
        """
        return self._with(version, replace(self._need(version), notes=dict(notes)), (), self.ref.tags)

    def with_protection(self, version: Version, *, protected: bool) -> History:
        """`version` is protected from being deleted and replaced, or no longer.

        Raises:
            ObjectNotFoundError: It does not live.
        """
        return self._with(version, replace(self._need(version), protected=protected), (), self.ref.tags)

    def with_tag(self, tag: str, version: Version) -> History:
        """`tag` points at `version`, wherever it pointed before.

        Raises:
            InvalidVersionError: `tag` cannot be a tag.
            ObjectNotFoundError: `version` does not live.
        """
        target = version, self._need(version).manifest
        return replace(self, ref=replace(self.ref, tags={**self.ref.tags, check_tag(tag): target}))

    def without_tag(self, tag: str) -> History:
        """There is no `tag`.

        Raises:
            ObjectNotFoundError: There was none.
        """
        if tag not in self.ref.tags:
            raise ObjectNotFoundError(self._missing(Tag(tag)))
        tags = {other: target for other, target in self.ref.tags.items() if other != tag}
        return replace(self, ref=replace(self.ref, tags=tags))

    # Inside

    def _spilled(self, version: Version) -> Iterator[Record]:
        """What segments say about `version`, the newest first."""
        for row in reversed(self.ref.older):
            if row.lowest <= version <= row.highest:
                record = self.segments.read(row, self.name).record(version)
                if record is not None:
                    yield record

    def _found(self, version: Version) -> tuple[Version, Entry]:
        return version, self._need(version)

    def _need(self, version: Version) -> Entry:
        entry = self.entry(version)
        if entry is None:
            raise ObjectNotFoundError(self._missing(Exact(version)))
        return entry

    def _tagged(self, tag: str) -> tuple[Version, Entry] | None:
        target = self.ref.tags.get(tag)
        return None if target is None else self._found(target[0])

    def _highest_in(self, selector: Range) -> tuple[Version, Entry] | None:
        # Most ranges mean something recent: the inline part answers if no segment can hold anything higher.
        inline = sorted((v for v, record in self.ref.records.items() if record.live), reverse=True)
        best = next((version for version in inline if selector.matches(version)), None)
        tops = [row.highest_live for row in self.ref.older if row.highest_live is not None]
        if best is not None and all(top <= best for top in tops):
            return self._found(best)
        return next((pair for pair in reversed(self.live()) if selector.matches(pair[0])), None)

    def _highest_used(self) -> Version | None:
        return max((*self.ref.records, *(row.highest for row in self.ref.older)), default=None)

    def _with(
        self,
        version: Version,
        live: Entry | None,
        dead: tuple[Tombstone, ...],
        tags: Mapping[str, tuple[Version, Any]],
    ) -> History:
        """`version` has `live`, and `dead` behind the tombstones that it has."""
        record = self.ref.records.get(version)
        if record is None:
            # Tombstones that are spilled may stay where they are.
            record = Record(partial=next(self._spilled(version), None) is not None)
        changed = Record(live, record.dead + dead, record.partial)
        records = {**self.ref.records, version: changed}
        return replace(self, ref=replace(self.ref, records=records, tags=tags))

    def _missing(self, selector: Selector) -> str:
        if isinstance(selector, Tag):
            tags = sorted(self.ref.tags)
            there = f"its tags are {_shortly(tags)}" if tags else "it has no tags"
            return f"{self.name} has no tag {selector.name!r}; {there}"
        living = [str(version) for version, _ in self.live()]
        if not living:
            return self.without_versions()
        hint = ""
        if isinstance(selector, Exact) and (record := self.ref.records.get(selector.version)) and record.dead:
            hint = f"; it was deleted, and `undelete({self.name!r}, '{selector.version}')` may bring it back"
        if isinstance(selector, Range):
            return f"{self.name} has no version in {str(selector)!r}; there are {_shortly(living)}"
        return f"{self.name} has no version {selector}; there are {_shortly(living)}{hint}"


def _shortly(words: list[str]) -> str:
    """The words, or the last of them and how many more there are."""
    if len(words) <= _LISTED:
        return ", ".join(words)
    return f"{', '.join(words[-_LISTED:])} and {len(words) - _LISTED} more"
