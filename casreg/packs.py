"""Packs: immutable files of many chunks, the unit of I/O.

A pack is a header, one frame for each chunk, a table of the frames, and a trailer (all integers little-endian):

    header   32  magic `casregP1`, key id (8 zero bytes: not encrypted), nonce (16 random bytes)
    frame    44  codec u8, parameter u8 (0), reserved u16 (0), stored u32, size u32, digest 32; then the stored bytes
    table    48  for each frame, in their order: digest 32, offset of the frame u64, stored u32, size u32
    trailer  48  number of records u64, BLAKE3 of the table 32, magic `casregE1`

Frames describe themselves, so that a run of them is read with one request and no table, and so that a pack whose
table is lost can be read from its beginning.  The name is the BLAKE3 of all of it; the nonce makes that name new
each time, which garbage collection relies on.  `docs/format.md` is normative.
"""

from __future__ import annotations

import secrets
import struct
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg import codec
from casreg.digest import Digest, digest_of
from casreg.exceptions import CorruptError
from casreg.keys import hook_of, pack_key
from casreg.model import PackRef

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

MAGIC: Final = b"casregP1"
END_MAGIC: Final = b"casregE1"
HEADER: Final = struct.Struct("<8s8s16s")
FRAME: Final = struct.Struct("<BBHII32s")
RECORD: Final = struct.Struct("<32sQII")
TRAILER: Final = struct.Struct("<Q32s8s")

PACK_LIMIT: Final = 32 * 1024 * 1024
"""A pack is closed before its frames would pass this many bytes. A default of this writer, not of the format."""

_NO_KEY: Final = bytes(8)


class Located(NamedTuple):
    """Where one chunk is: its frame in a pack.

    Attributes:
        offset: Where the frame begins in the pack, in bytes.
        length: Bytes of the frame, its header included.
        size: Bytes of the chunk.
    """

    offset: int
    length: int
    size: int


@dataclass(frozen=True, slots=True)
class SealedPack:
    """A finished pack, ready to be written.

    Attributes:
        ref: How placements name it.
        data: All its bytes. A view of the builder's buffer, which must not be used again before this was written.
        table: Where each chunk is.
    """

    ref: PackRef
    data: memoryview
    table: dict[Digest, Located]

    @property
    def key(self) -> str:
        """Its key in a backend."""
        return key_of(self.ref)


def key_of(ref: PackRef) -> str:
    """The key of a pack in a backend."""
    hook, _, digest = ref.name.partition("-")
    return pack_key(hook, Digest(bytes.fromhex(digest)))


class PackBuilder:
    """Collects frames in one buffer until it is full.

    Not thread-safe: one thread appends.  The buffer is the caller's, so that it can be used again: fresh memory is
    dear on a machine that gives freed pages back.
    """

    def __init__(self, buffer: bytearray) -> None:
        """Begin an empty pack in `buffer`, which grows where a pack needs more."""
        self._buffer = buffer
        self._records: list[tuple[Digest, int, int, int]] = []
        self._end = HEADER.size
        self._reserve(HEADER.size)

    @property
    def count(self) -> int:
        """Frames so far."""
        return len(self._records)

    def fits(self, stored: int) -> bool:
        """Whether a chunk of `stored` bytes may still go in. An empty pack takes any."""
        return not self._records or self._end + FRAME.size + stored <= PACK_LIMIT

    def append(self, digest: Digest, codec_id: int, stored: Buffer, size: int) -> Located:
        """Add the frame of a chunk of `size` bytes whose stored form is `stored`. Returns where it is."""
        view = memoryview(stored)
        length = view.nbytes
        start = self._end
        body = start + FRAME.size
        end = body + length
        self._reserve(end)
        FRAME.pack_into(self._buffer, start, codec_id, 0, 0, length, size, digest)
        self._buffer[body:end] = view
        self._records.append((digest, start, length, size))
        self._end = end
        return Located(start, end - start, size)

    def seal(self) -> SealedPack:
        """Write header, table and trailer and name the pack. Hashes it all; releases the GIL meanwhile.

        Each call draws a new nonce, and so gives another name: the view of the call before must be released.
        """
        HEADER.pack_into(self._buffer, 0, MAGIC, _NO_KEY, secrets.token_bytes(16))
        table = b"".join(RECORD.pack(*record) for record in self._records)
        table_digest = digest_of(table)
        end = self._end + len(table)
        total = end + TRAILER.size
        self._reserve(total)
        self._buffer[self._end : end] = table
        TRAILER.pack_into(self._buffer, end, len(self._records), table_digest, END_MAGIC)
        data = memoryview(self._buffer)[:total]
        hook = hook_of(min(record[0] for record in self._records))
        ref = PackRef(f"{hook}-{digest_of(data).hex()}", total, len(table), table_digest)
        located = {
            digest: Located(offset, FRAME.size + stored, size)
            for digest, offset, stored, size in self._records
        }
        return SealedPack(ref, data, located)

    def _reserve(self, size: int) -> None:
        if len(self._buffer) < size:
            self._buffer.extend(bytes(max(size - len(self._buffer), len(self._buffer) // 2, 4096)))


def check_sizes(ref: PackRef) -> None:
    """See that a pack can have these sizes, so that its table lies within it.

    Raises:
        ValueError: It cannot.
    """
    frames = ref.size - HEADER.size - TRAILER.size - ref.table_size
    count, odd = divmod(ref.table_size, RECORD.size)
    if odd or not count or frames < count * FRAME.size:
        raise ValueError(f"a pack of {ref.size} bytes cannot have a table of {ref.table_size}: {ref.name}")


def table_range(ref: PackRef) -> tuple[int, int]:
    """Where the table of a pack begins and ends, in bytes."""
    end = ref.size - TRAILER.size
    return end - ref.table_size, end


def parse_table(ref: PackRef, data: Buffer) -> dict[Digest, Located]:
    """Where each chunk of a pack is, from the bytes of its table.

    Raises:
        CorruptError: The bytes are not the table that the placement names.
    """
    records = list(RECORD.iter_unpack(data)) if memoryview(data).nbytes == ref.table_size else []
    # Where the frames begin, if they lie side by side between the header and the table, as they must.
    places = list(accumulate((FRAME.size + record[2] for record in records), initial=HEADER.size))
    if (
        digest_of(data) != ref.table_digest
        or [record[1] for record in records] != places[:-1]
        or places[-1] != table_range(ref)[0]
    ):
        raise CorruptError(
            f"{key_of(ref)}: its table is damaged, or not that of this pack. Run `verify` to see what it touches; "
            "another copy of the registry can heal it."
        )
    return {
        Digest(digest): Located(offset, FRAME.size + stored, size) for digest, offset, stored, size in records
    }


class Frame(NamedTuple):
    """One frame as read.

    Attributes:
        digest: What its chunk's digest is said to be.
        codec: How it is stored.
        stored: The stored bytes.
        size: What the chunk's size is said to be.
    """

    digest: bytes
    codec: int
    stored: memoryview
    size: int


def iterate_frames(data: memoryview, what: str) -> Iterator[Frame]:
    """The frames that lie side by side in `data`. Nothing is verified but that they fill it exactly.

    Raises:
        CorruptError: They do not.
    """
    position, end = 0, len(data)
    while position < end:
        if position + FRAME.size > end:
            raise CorruptError(f"{what}: a frame header is cut off")
        codec_id, parameter, reserved, stored, size, digest = FRAME.unpack_from(data, position)
        position += FRAME.size
        if position + stored > end or parameter or reserved:
            raise CorruptError(f"{what}: a frame header is damaged")
        yield Frame(digest, codec_id, data[position : position + stored], size)
        position += stored


def open_frame(frame: Frame, digest: Digest, size: int, what: str) -> Buffer:
    """The verified bytes of a chunk, given what the content says of it.

    Raises:
        CorruptError: The frame holds anything but the chunk with this digest and size.
    """
    if frame.digest == digest and frame.size == size:
        try:
            data = codec.decode(frame.codec, frame.stored, size)
        except CorruptError as err:
            raise CorruptError(f"{what}: chunk {digest.hex()} is damaged: {err}. {_HEAL}") from err
        if digest_of(data) == digest:
            return data
    raise CorruptError(f"{what}: chunk {digest.hex()} is damaged. {_HEAL}")


_HEAL: Final = "Other objects are not affected; another copy of the registry can heal it."


def read_trailer(data: Buffer, what: str) -> tuple[int, Digest]:
    """The number of records and the table's digest, from the last `TRAILER.size` bytes of a pack.

    Raises:
        CorruptError: They are not a trailer.
    """
    try:
        count, table_digest, magic = TRAILER.unpack(data)
    except struct.error as err:
        raise CorruptError(f"{what}: it is too short to be a pack") from err
    if magic != END_MAGIC:
        raise CorruptError(f"{what}: it does not end as a pack does")
    return count, Digest(table_digest)


def check_header(data: Buffer, what: str) -> None:
    """Check the first `HEADER.size` bytes of a pack.

    Raises:
        CorruptError: They are not the header of a pack, or it is encrypted with a key (none is known to format 1).
    """
    try:
        magic, key_id, _ = HEADER.unpack(data)
    except struct.error as err:
        raise CorruptError(f"{what}: it is too short to be a pack") from err
    if magic != MAGIC or key_id != _NO_KEY:
        raise CorruptError(f"{what}: it does not begin as a pack does")
