"""Segments of history: immutable files that the records of old versions are moved to.

    casreg-segment 1 history <nonce, 32 hexadecimal characters>⏎
    {"version": "1.0.0", "live": ENTRY, "dead": [ENTRY and "deleted": TIME, …], "partial": true}⏎
    …

`⏎` is one line feed.  One line a version, ascending in the order of SemVer.  `live` and `dead` are left out where there is none, both of
a retired number; `partial` is left out where it is false.  The file is named by the BLAKE3 of its bytes, and the
nonce makes each writing of the same records another file.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from typing import TYPE_CHECKING, Any, Final

from casreg.canonical import FORMAT, check_format, dump, load
from casreg.digest import digest_of
from casreg.exceptions import NotFound
from casreg.refs.document import OlderSegment
from casreg.refs.entries import (
    Record,
    entry_from_json,
    entry_to_json,
    tombstone_from_json,
    tombstone_to_json,
)
from casreg.refs.fields import damaged, list_value, object_value, version_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from casreg.backends.base import Readable
    from casreg.digest import Digest
    from casreg.versions import Version

CACHE_BYTES: Final = 64 * 2**20
"""So much of segments a `SegmentReader` keeps in memory, unless told otherwise."""

_MAGIC: Final = b"casreg-segment %d history " % FORMAT
_HEADER: Final = re.compile(rb"casreg-segment ([1-9][0-9]{0,8}) history [0-9a-f]{32}")
_NONCE_BYTES: Final = 16


class SegmentGone(NotFound):
    """A segment that a ref lists is missing: the ref was read long ago and has moved on, or the file is lost."""


class Segment:
    """The records of one segment. Lines are parsed when they are asked for."""

    __slots__ = ("_lines", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        """Take bytes whose digest was compared before.

        Raises:
            CorruptError: They are not a segment of history; `what` names the file.
            UnsupportedFormatError: They are one of another format.
        """
        header, *lines = data.split(b"\n")
        match = _HEADER.fullmatch(header)
        if not match or lines[-1:] != [b""]:
            raise damaged(what, "it is not a segment of history")
        check_format({"format": int(match[1])}, what)
        self._lines = lines[:-1]
        self._what = what

    def __len__(self) -> int:
        return len(self._lines)

    def record(self, version: Version) -> Record | None:
        """What the segment says about `version`; None if nothing.

        Raises:
            CorruptError: A line that was looked at is not a record.
        """
        i = bisect_left(self._lines, version, key=lambda line: self._parse(line)[0])
        if i == len(self._lines):
            return None
        found, fields = self._parse(self._lines[i])
        return self._record(found, fields) if found == version else None

    def records(self) -> Iterator[tuple[Version, Record]]:
        """All records, ascending.

        Raises:
            CorruptError: A line is not a record, or the lines are not ascending.
        """
        last: Version | None = None
        for line in self._lines:
            version, fields = self._parse(line)
            if last is not None and not last < version:
                raise damaged(self._what, f"{version} does not come after {last}")
            last = version
            yield version, self._record(version, fields)

    def _parse(self, line: bytes) -> tuple[Version, dict[str, Any]]:
        try:
            fields = object_value(load(line), "record", self._what)
        except ValueError as err:
            raise damaged(self._what, f"a line is no strict JSON ({err})") from err
        return version_value(fields.get("version"), self._what), fields

    def _record(self, version: Version, fields: dict[str, Any]) -> Record:
        what = f"{self._what}, version {version},"
        live = fields.get("live")
        dead = list_value(fields.get("dead", []), "dead", what)
        partial = fields.get("partial", False)
        if type(partial) is not bool:
            raise damaged(what, f"'partial' is not true or false: {partial!r}")
        return Record(
            live=None if live is None else entry_from_json(object_value(live, "live", what), what),
            dead=tuple(tombstone_from_json(row, what) for row in dead),
            partial=partial,
        )


def segment_bytes(records: Mapping[Version, Record], nonce: bytes) -> bytes:
    """The file that holds `records`. `nonce` is 16 random bytes, never used before.

    Raises:
        InvalidMetadataError: The notes of a version are not JSON.
    """
    assert len(nonce) == _NONCE_BYTES, f"a nonce has {_NONCE_BYTES} bytes"
    lines = [_MAGIC + nonce.hex().encode()]
    lines += [record_line(version, records[version]) for version in sorted(records)]
    return b"\n".join((*lines, b""))


def record_line(version: Version, record: Record) -> bytes:
    """The line of one record, without the line feed."""
    fields: dict[str, Any] = {"version": str(version)}
    if record.live:
        fields["live"] = entry_to_json(record.live)
    if record.dead:
        fields["dead"] = [tombstone_to_json(tombstone) for tombstone in record.dead]
    if record.partial:
        fields["partial"] = True
    return dump(fields, f"version {version}")


def older_row(records: Mapping[Version, Record], data: bytes) -> OlderSegment:
    """The row of `older` for the file `data` that holds `records` (at least one)."""
    return OlderSegment(
        digest=digest_of(data),
        size=len(data),
        count=len(records),
        lowest=min(records),
        highest=max(records),
        highest_live=max((version for version, record in records.items() if record.live), default=None),
    )


class SegmentReader:
    """Reads segments from a backend, verified, and keeps the last ones in memory: they never change.

    For any number of threads. There is no lock in it, so a fork at any moment leaves a usable child: each step
    on the dict is atomic, and what a race can cost is to read a segment twice. Pickles without what it keeps.
    """

    def __init__(self, backend: Readable, cache_bytes: int = CACHE_BYTES) -> None:
        self._backend = backend
        self._capacity = cache_bytes
        self._cache: dict[Digest, tuple[int, Segment]] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}

    def read(self, row: OlderSegment, name: str) -> Segment:
        """The segment of `row`, which stands in the ref of `name`.

        Raises:
            SegmentGone: The file is missing. Either the ref was read long ago and has moved on since (read it
                again), or the file is lost.
            CorruptError: The file is not what was written.
            UnsupportedFormatError: It is of another format.
            StorageError: It cannot be read.
        """
        known = self._cache.pop(row.digest, None)
        if known is not None:
            self._cache[row.digest] = known  # now the youngest
            return known[1]
        try:
            data = self._backend.get(row.key).data
        except NotFound as err:
            raise SegmentGone(
                f"{row.key} is missing in {self._backend.location}: the ref of {name} lists it as part of its history"
            ) from err
        what = f"{row.key} in {self._backend.location}"
        if digest_of(data) != row.digest:
            raise damaged(what, "its digest does not match its bytes")
        segment = Segment(data, what)
        if len(segment) != row.count:
            raise damaged(what, f"it has {len(segment)} records, the ref of {name} says {row.count}")
        self._keep(row.digest, len(data), segment)
        return segment

    def _keep(self, digest: Digest, size: int, segment: Segment) -> None:
        self._cache[digest] = (size, segment)
        total = sum(size for size, _ in list(self._cache.values()))
        while total > self._capacity and len(self._cache) > 1:
            try:
                oldest = next(iter(self._cache))
            except (StopIteration, RuntimeError):  # another thread is at it too
                return
            size, _ = self._cache.pop(oldest, (0, segment))
            total -= size
