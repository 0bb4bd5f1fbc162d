"""Every byte of a pack: its name, header, frames, table and trailer, and the digest of every chunk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from casreg.digest import Digest
from casreg.display import first_of
from casreg.exceptions import CorruptError, NotFound
from casreg.packs import FRAME, HEADER, TRAILER, Located, check_header, iterate_frames, key_of, open_frame
from casreg.verify.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from casreg.backends.base import Readable
    from casreg.model import PackRef, Placement

_STEP: Final = 8 * 1024 * 1024
_LARGEST: Final = 1024 * 1024
"""No frame has so many bytes, so that a length in a damaged one is not believed."""
_NAMED: Final = 3


@dataclass(frozen=True, slots=True)
class Checked:
    """What a pack is found to be.

    Attributes:
        pack: Which.
        problem: What is wrong with it; empty if nothing is.
        missing: Whether it is not there.
        unreadable: Whether the storage failed, which says nothing about it.
        broken: The ranges of bytes, from and to, in which frames are lost.
        intact: Where the chunks are that can still be read of it; empty if nothing is wrong.
    """

    pack: PackRef
    problem: str = ""
    missing: bool = False
    unreadable: bool = False
    broken: tuple[tuple[int, int], ...] = ()
    intact: Mapping[Digest, Located] = field(default_factory=dict)

    @property
    def is_damaged(self) -> bool:
        """Whether it is missing, or was read twice and is wrong."""
        return bool(self.problem) and not self.unreadable

    def touches(self, placement: Placement) -> bool:
        """Whether a version that is placed so needs bytes that are lost."""
        if self.pack not in placement.packs:
            return False
        number = placement.packs.index(self.pack)
        return any(
            run.pack == number and run.offset < stop and start < run.offset + run.length
            for runs in placement.runs.values()
            for run in runs
            for start, stop in self.broken
        )


def check_pack(backend: Readable, pack: PackRef) -> Checked:
    """Read a whole pack, a few megabytes at a time. What is wrong is read again before it is said.

    Raises:
        StorageError: It cannot be read, which says nothing about it.
    """
    first = _check(backend, pack)
    return _check(backend, pack) if first.problem else first


def _check(backend: Readable, pack: PackRef) -> Checked:
    reading = _Reading(backend, pack)
    try:
        reading.run()
    except NotFound:
        whole = ((0, pack.size),)
        return Checked(pack, f"{key_of(pack)} is missing", missing=True, broken=whole)
    return reading.result()


class _Reading:
    """One pass over a pack."""

    def __init__(self, backend: Readable, pack: PackRef) -> None:
        self._backend = backend
        self._pack = pack
        self._key = key_of(pack)
        self._frames_end = pack.size - TRAILER.size - pack.table_size
        self._hasher = blake3()
        self._buffer = bytearray()  # what was read and not used yet; it begins at `_at`
        self._at = 0
        self._read = 0
        self._faults: list[str] = []
        self._broken: list[tuple[int, int]] = []
        self._lost: list[str] = []
        self._intact: dict[Digest, Located] = {}

    def run(self) -> None:
        table: Mapping[Digest, Located] | None = None
        try:
            table = read_table(self._backend, self._pack)
        except CorruptError as err:
            self._faults.append(str(err))
        try:
            check_header(self._take(HEADER.size), self._key)
        except CorruptError as err:
            self._faults.append(str(err))
        for digest, located in self._located(table):
            self._open(digest, located)
        while self._fill(self._at + len(self._buffer) + 1):
            self._at += len(self._buffer)
            self._buffer.clear()

    def result(self) -> Checked:
        if self._lost:
            total = len(self._lost) + len(self._intact)
            self._faults.insert(
                0, f"{len(self._lost)} of its {total} chunks are damaged: {first_of(self._lost, _NAMED)}"
            )
        right = (
            self._read == self._pack.size and self._hasher.hexdigest() == self._pack.name.partition("-")[2]
        )
        if not right and not self._faults:
            self._faults.append("its bytes are not those that its name promises")
        if not self._faults:
            return Checked(self._pack)
        problem = f"{self._key} is damaged: " + "; ".join(
            fault.removeprefix(f"{self._key} is damaged: ").removeprefix(f"{self._key}: ")
            for fault in self._faults
        )
        return Checked(self._pack, problem, broken=tuple(self._broken), intact=self._intact)

    def _located(self, table: Mapping[Digest, Located] | None) -> Iterator[tuple[Digest, Located]]:
        """Where each frame is: as the table says, or, where that is lost, as one frame leads to the next."""
        if table is not None:
            yield from table.items()
            return
        at = HEADER.size
        while at < self._frames_end:
            head = self._peek(at, FRAME.size)
            if len(head) < FRAME.size:
                break
            _, parameter, reserved, stored, size, digest = FRAME.unpack(head)
            stop = at + FRAME.size + stored
            if parameter or reserved or stored > _LARGEST or stop > self._frames_end:
                break
            yield Digest(digest), Located(at, FRAME.size + stored, size)
            at = stop
        if at < self._frames_end:
            self._broken.append((at, self._frames_end))
            self._faults.append(f"nothing can be found in it from byte {at} on")

    def _open(self, digest: Digest, located: Located) -> None:
        self._skip_to(located.offset)
        data = memoryview(self._take(located.length))
        try:
            frames = list(iterate_frames(data, self._key))
            if len(frames) != 1 or len(data) != located.length:
                raise CorruptError(f"{self._key}: a frame is cut off")
            open_frame(frames[0], digest, located.size, self._key)
        except CorruptError:
            self._broken.append((located.offset, located.offset + located.length))
            self._lost.append(digest.hex())
        else:
            self._intact[digest] = located

    def _take(self, size: int) -> bytearray:
        """The next bytes; fewer at the end."""
        self._fill(self._at + size)
        taken = self._buffer[:size]
        del self._buffer[:size]
        self._at += len(taken)
        return taken

    def _peek(self, at: int, size: int) -> bytes:
        self._skip_to(at)
        self._fill(at + size)
        return bytes(self._buffer[:size])

    def _skip_to(self, at: int) -> None:
        if at > self._at:
            self._take(at - self._at)

    def _fill(self, stop: int) -> bool:
        """Read on until the byte before `stop` is there. Whether anything was read."""
        before = self._read
        while self._read < stop and self._read < self._pack.size:
            end = min(self._read + max(_STEP, stop - self._read), self._pack.size)
            piece = self._backend.get(self._key, self._read, end).data
            if not piece:
                break
            self._hasher.update(piece)
            self._buffer += piece
            self._read += len(piece)
        return self._read > before
