"""Moving old records out of a ref that has grown too large, into few and large segments."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from casreg.refs.entries import Record
from casreg.refs.segments import older_row, record_line, segment_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.refs.document import OlderSegment, Ref
    from casreg.refs.segments import SegmentReader
    from casreg.versions import Version

INLINE_LIMIT: Final = 16 * 1024
"""Above this many bytes a ref spills, until about half is left: some twenty to forty versions.

Every save reads, checks and writes all that stands inline. At 64 KiB that took 2.6 ms of CPU, at 16 KiB 0.9 ms, of
which 0.6 ms is the rest of a small save (measured in memory, medians of 200 saves of one name)."""

_LEAST_ROOM: Final = 8 * 1024
"""Room for records in bytes that stays even where tags or notes alone fill the limit, so that not each and every
write spills one record."""


@dataclass(frozen=True, slots=True)
class Spill:
    """What `spilled` did: a ref whose new segment is not written yet.

    Attributes:
        ref: The ref without the records that moved, and with the new row in `older`.
        row: The row of the new segment.
        data: Its bytes, to be written before the ref.
    """

    ref: Ref
    row: OlderSegment
    data: bytes


def overflow(ref: Ref, size: int) -> dict[Version, Record]:
    """The records, or parts of them, that have to move because the stored form of `ref` has `size` bytes.

    Dead ones go first, then the lowest live ones; the highest live one always stays, so that `latest` reads no
    segment. Empty if all may stay.
    """
    if size <= INLINE_LIMIT:
        return {}
    kept = max((version for version, record in ref.records.items() if record.live), default=None)
    parts = [
        (version, part, len(record_line(version, part)))
        for version in sorted(ref.records)
        for part in _parts(ref.records[version])
        if not (part.live and version == kept)
    ]
    parts.sort(key=lambda item: item[1].live is not None)  # stable: ascending within the dead and the living
    left = sum(taken for _, _, taken in parts)
    room = max(INLINE_LIMIT - (size - left), _LEAST_ROOM)
    if left <= room:
        return {}
    moved: dict[Version, Record] = {}
    for version, part, taken in parts:
        if left <= room // 2:
            break
        left -= taken
        moved[version] = ref.records[version] if version in moved else part
    return moved


def spilled(
    ref: Ref, moved: dict[Version, Record], segments: SegmentReader, entropy: Callable[[int], bytes]
) -> Spill:
    """Move what `overflow` found, at least one record, into a new segment.

    The newest segments are merged into it as long as each has at most twice as many records as what goes behind
    it, which keeps their number logarithmic (the log-structured merge of O'Neil and others, 1996).

    Args:
        ref: The state to be written.
        moved: What `overflow` found.
        segments: Reads those to be merged.
        entropy: Gives so many random bytes, for the nonce.

    Raises:
        SegmentGone: As `SegmentReader.read`.
        CorruptError: As `SegmentReader.read`.
        StorageError: As `SegmentReader.read`.
    """
    older = list(ref.older)
    merged = moved
    while older and older[-1].count <= 2 * len(merged):
        row = older.pop()
        merged = _laid_over(merged, dict(segments.read(row, ref.name).records()))
    data = segment_bytes(merged, entropy(16))
    row = older_row(merged, data)
    return Spill(replace(ref, records=_remaining(ref, moved), older=(*older, row)), row, data)


def _laid_over(newer: Mapping[Version, Record], older: dict[Version, Record]) -> dict[Version, Record]:
    for version, record in newer.items():
        below = older.get(version)
        older[version] = record if below is None else record.over(below)
    return older


def _parts(record: Record) -> list[Record]:
    """A record as what can move first, and what can move after that."""
    if record.live and record.dead:
        return [Record(None, record.dead, record.partial), Record(record.live, (), partial=True)]
    return [record]


def _remaining(ref: Ref, moved: Mapping[Version, Record]) -> dict[Version, Record]:
    """What stays inline: the live part of a record whose dead part alone moved, else nothing of it."""
    return {
        version: replace(record, dead=(), partial=True) if version in moved else record
        for version, record in ref.records.items()
        if version not in moved or (record.live and not moved[version].live)
    }
