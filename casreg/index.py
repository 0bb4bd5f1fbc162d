"""The chunk index: which pack has a chunk. Derived, rebuildable, and never trusted.

An index is a set of immutable files under `index/`, each sorted by the first eight bytes of the chunks' digests, so
that a few small reads find a chunk among millions.  Each save that wrote packs adds one; files of similar size are
merged, so that their number grows with the logarithm of the number of chunks (a log-structured merge tree: O'Neil
et al., "The Log-Structured Merge-Tree", Acta Informatica 33, 1996).

Whoever uses an answer reads the pack's table, whose digest proves it, before building on it.  An index that lacks a
chunk, or names a pack that is gone, costs space or a request, never data.

    header  40  magic `casregI1`, nonce 16, packs u32, fanout bits u32, entries u64 (little-endian)
    fanout   4  for each of the 2**bits prefixes: number of entries whose digest begins with it or a lower one, u32
    packs   88  hook 8, digest 32, size u64, table size u64, table digest 32
    entries 12  first 8 bytes of the chunk's digest, number of the pack u32 (big-endian); sorted as bytes
"""

from __future__ import annotations

import logging
import secrets
import struct
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from casreg.digest import Digest, digest_of
from casreg.exceptions import NotFound, StorageError, StoragePermissionError
from casreg.keys import INDEX
from casreg.model import PackRef
from casreg.packs import check_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence, Set as AbstractSet

    from casreg.backends.base import Backend, Readable

MAGIC: Final = b"casregI1"
HEADER: Final = struct.Struct("<8s16sIIQ")
PACK: Final = struct.Struct("<8s32sQQ32s")
ENTRY: Final = 12
_PREFIX_BYTES: Final = 8
_BUCKET: Final = 256
_STEP: Final = 4 * 1024 * 1024
_SPARSE: Final = 64
_MAX_BITS: Final = 24
_MAX_ASKED: Final = 1000
_MAX_MERGED: Final = 64 * 1024 * 1024  # a merge takes ten times as much memory

log = logging.getLogger("casreg.index")


class _UnusableIndexError(Exception):
    """The file is no index, or is gone. It is a hint: whoever meets this goes on without it."""


@dataclass(frozen=True, slots=True)
class _File:
    """An open index file: where its parts are, and its fanout."""

    key: str
    packs: int
    bits: int
    entries: int
    fanout: Sequence[int]

    @property
    def packs_at(self) -> int:
        return HEADER.size + 4 * (1 << self.bits)

    @property
    def entries_at(self) -> int:
        return self.packs_at + PACK.size * self.packs

    def bucket(self, digest: bytes) -> tuple[int, int]:
        """The numbers of the first entry, and the one after the last, that may be the digest's."""
        number = int.from_bytes(digest[:4], "big") >> (32 - self.bits)
        return (self.fanout[number - 1] if number else 0), self.fanout[number]


class Index:
    """The index of one repository. Safe to use from many threads; files are opened when they are first needed."""

    def __init__(self, backend: Backend, copies: Readable | None = None) -> None:
        """No I/O before the first call.

        Args:
            backend: The place.
            copies: What files are read of, if not of the place itself. They never change, and are only believed
                once the place has shown the pack that they name.
        """
        self._backend = backend
        self._copies: Readable = backend if copies is None else copies
        self._open: dict[str, _File] = {}
        self._packs: dict[tuple[str, int], PackRef] = {}
        self._may_merge: bool | None = None

    def files(self) -> list[tuple[str, int]]:
        """Keys and sizes of the files that there are now; none if they cannot be listed."""
        try:
            return [(info.key, info.size) for info in self._backend.list(INDEX)]
        except StorageError as err:
            log.debug("the index cannot be listed: %s", err)
            return []

    def packs_in(self, key: str) -> list[PackRef] | None:
        """The packs that one file names; None if it is gone, or is no index.

        Raises:
            StorageError: It cannot be read.
        """
        try:
            file = self._file(key)
            data = self._copies.get(key, file.packs_at, file.entries_at).data
            return [_unpack(data[at : at + PACK.size]) for at in range(0, PACK.size * file.packs, PACK.size)]
        except (NotFound, _UnusableIndexError):
            return None

    def find(
        self, digests: Iterable[Digest], files: Sequence[tuple[str, int]] | None = None
    ) -> Iterator[tuple[Digest, PackRef]]:
        """Packs that are said to have these chunks. A chunk may be named more than once, or wrongly, or not.

        Args:
            digests: Of the chunks.
            files: What `files` returned when the search began; by default it is asked. Whoever searches for chunks
                of one object in many steps lists once: what others add meanwhile only goes unnoticed.
        """
        wanted = sorted(digests)
        asked: set[str] = set()
        gone = bool(wanted)
        while gone and len(asked) < _MAX_ASKED:
            gone = False
            listed, files = self.files() if files is None else files, None
            for key in [key for key, _ in listed if key not in asked]:
                asked.add(key)
                try:
                    found = list(self._find_in(self._file(key), wanted))
                except NotFound:
                    gone = True  # another writer has merged it: what it held is in a new file
                except (_UnusableIndexError, StorageError) as err:
                    log.debug("index file %s is not used: %s", key, err)
                else:
                    yield from found

    def add(self, packs: Iterable[tuple[PackRef, Iterable[Digest]]]) -> None:
        """Note which chunks these packs have. Loses nothing but speed where it fails, and then says so in the log."""
        try:
            self._add(list(packs))
        except StorageError as err:
            log.warning(
                "the chunk index could not be brought up to date, so that later saves may store more: %s", err
            )

    def forget(self, packs: AbstractSet[str]) -> None:
        """Leave out what is said of the packs with these names. A file without them takes the place of one that has them.

        Nothing else is lost, whoever merges meanwhile; what another merge had read already is said again. Where it fails,
        hints that lead nowhere are left, and the log says so.
        """
        try:
            for key, size in self.files() if packs else ():
                named = self.packs_in(key)
                if named and not packs.isdisjoint(pack.name for pack in named):
                    if size > _MAX_MERGED or not self._can_delete():
                        continue
                    self._forget_in(key, packs)
        except StorageError as err:
            log.warning("the chunk index still names packs that nothing needs: %s", err)

    def _forget_in(self, key: str, packs: AbstractSet[str]) -> None:
        try:
            refs, entries = self._load(key)
        except (_UnusableIndexError, NotFound) as err:
            log.debug("index file %s is left as it is: %s", key, err)
            return
        kept = [ref for ref in refs if ref.name not in packs]
        numbers = {ref: number.to_bytes(4, "big") for number, ref in enumerate(kept)}
        rows = {prefix + numbers[refs[number]] for prefix, number in entries if refs[number] in numbers}
        if rows:
            data = encode(kept, rows)
            self._backend.create(f"{INDEX}{digest_of(data).hex()}", data, durable=False)
        self._backend.delete([key])

    def _file(self, key: str) -> _File:
        found = self._open.get(key)
        if found is None:
            head = self._copies.get(key, 0, HEADER.size).data
            try:
                magic, _, packs, bits, entries = HEADER.unpack(head)
            except struct.error as err:
                raise _UnusableIndexError("it is too short") from err
            if magic != MAGIC or bits > _MAX_BITS:
                raise _UnusableIndexError("it does not begin as an index does")
            raw = self._copies.get(key, HEADER.size, HEADER.size + 4 * (1 << bits)).data
            if len(raw) != 4 * (1 << bits):
                raise _UnusableIndexError("its fanout is cut off")
            fanout = struct.unpack(f"<{1 << bits}I", raw)
            if fanout[-1] != entries or any(low > high for low, high in pairwise(fanout)):
                raise _UnusableIndexError("its fanout does not ascend to the number of entries")
            found = self._open[key] = _File(key, packs, bits, entries, fanout)
        return found

    def _find_in(self, file: _File, wanted: Sequence[Digest]) -> Iterator[tuple[Digest, PackRef]]:
        """`wanted` is sorted, as the entries are, so that where many are sought the file is read once, in steps."""
        stride = _STEP if len(wanted) * _SPARSE > file.entries else 0
        window, begin = b"", 0
        for digest in wanted:
            first, last = file.bucket(digest)
            low, high = first * ENTRY, last * ENTRY
            if low < begin or high > begin + len(window):
                begin = low
                stop = min(max(high, low + stride), file.entries * ENTRY)
                window = self._copies.get(file.key, file.entries_at + low, file.entries_at + stop).data
            prefix = digest[:_PREFIX_BYTES]
            at = window.find(prefix, low - begin, high - begin)
            while at >= 0:
                if (begin + at) % ENTRY == 0:
                    number = int.from_bytes(window[at + _PREFIX_BYTES : at + ENTRY], "big")
                    yield digest, self._pack(file, number)
                at = window.find(prefix, at + 1, high - begin)

    def _pack(self, file: _File, number: int) -> PackRef:
        found = self._packs.get((file.key, number))
        if found is None:
            if number >= file.packs:
                raise _UnusableIndexError("an entry names a pack that is not there")
            start = file.packs_at + number * PACK.size
            found = _unpack(self._copies.get(file.key, start, start + PACK.size).data)
            self._packs[file.key, number] = found
        return found

    def _add(self, packs: Sequence[tuple[PackRef, Iterable[Digest]]]) -> None:
        if not packs:
            return
        # Two writers may merge the same file, so that a later merge meets its entries twice: what is said once is enough.
        refs: dict[PackRef, int] = {}
        entries = {
            digest[:_PREFIX_BYTES] + refs.setdefault(ref, len(refs)).to_bytes(4, "big")
            for ref, digests in packs
            for digest in digests
        }
        merged: list[str] = []
        for key, size in sorted(self.files(), key=lambda item: item[1]):
            if size > 2 * (len(entries) * ENTRY + len(refs) * PACK.size + HEADER.size) or size > _MAX_MERGED:
                break
            if not self._can_delete():
                break
            try:
                more_refs, more_entries = self._load(key)
            except (_UnusableIndexError, StorageError) as err:
                log.debug("index file %s is left out of a merge: %s", key, err)
                continue
            numbers = [refs.setdefault(ref, len(refs)).to_bytes(4, "big") for ref in more_refs]
            entries.update(prefix + numbers[number] for prefix, number in more_entries)
            merged.append(key)
        data = encode(list(refs), entries)
        self._backend.create(f"{INDEX}{digest_of(data).hex()}", data, durable=False)
        if merged:
            self._backend.delete(merged)

    def _can_delete(self) -> bool:
        """Whether this writer may delete. If not, merging would only make the index larger, each time by all it has."""
        if self._may_merge is None:
            try:
                self._backend.delete([f"{INDEX}{'0' * 64}"])  # there is no such file
                self._may_merge = True
            except StoragePermissionError:
                self._may_merge = False
            except StorageError as err:
                log.debug("nothing is merged this time: %s", err)
                return False
        return self._may_merge

    def _load(self, key: str) -> tuple[list[PackRef], list[tuple[bytes, int]]]:
        """All of a file: its packs, and its entries as prefix and number of the pack."""
        file = self._file(key)
        data = self._copies.get(key).data
        if len(data) != file.entries_at + file.entries * ENTRY or digest_of(data).hex() != key[len(INDEX) :]:
            raise _UnusableIndexError("it is damaged")
        refs = [_unpack(data[at : at + PACK.size]) for at in range(file.packs_at, file.entries_at, PACK.size)]
        entries = [
            (data[at : at + _PREFIX_BYTES], int.from_bytes(data[at + _PREFIX_BYTES : at + ENTRY], "big"))
            for at in range(file.entries_at, len(data), ENTRY)
        ]
        if any(number >= len(refs) for _, number in entries):
            raise _UnusableIndexError("an entry names a pack that is not there")
        return refs, entries


def _unpack(data: bytes) -> PackRef:
    try:
        hook, digest, size, table_size, table_digest = PACK.unpack(data)
    except struct.error as err:
        raise _UnusableIndexError("it is cut off") from err
    pack = PackRef(f"{hook.hex()}-{digest.hex()}", size, table_size, Digest(table_digest))
    try:
        check_sizes(pack)
    except ValueError as err:
        raise _UnusableIndexError(str(err)) from err
    return pack


def encode(packs: Sequence[PackRef], entries: Iterable[bytes]) -> bytes:
    """An index file. `entries` are prefix and pack number, 12 bytes each, in any order."""
    rows = sorted(entries)
    bits = max(0, (len(rows) // _BUCKET)).bit_length()
    counts = [0] * (1 << bits)
    for row in rows:
        counts[int.from_bytes(row[:4], "big") >> (32 - bits)] += 1
    total = 0
    for number, count in enumerate(counts):
        total += count
        counts[number] = total
    parts = [HEADER.pack(MAGIC, secrets.token_bytes(16), len(packs), bits, len(rows))]
    parts.append(struct.pack(f"<{len(counts)}I", *counts))
    for pack in packs:
        hook, _, digest = pack.name.partition("-")
        parts.append(
            PACK.pack(
                bytes.fromhex(hook), bytes.fromhex(digest), pack.size, pack.table_size, pack.table_digest
            )
        )
    return b"".join(parts + rows)
