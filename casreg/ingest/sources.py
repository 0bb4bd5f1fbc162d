"""Where bytes to be saved come from: memory, or a file that somebody else might be writing to."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from casreg.exceptions import SourceChangedError, SourceError, SourceNotFoundError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from casreg.model import Chunk

# A write within the same tick of the file system's clock as an earlier one leaves the times as they are: a file
# that is younger than this is left to age before it is read. Linux ticks at most every 10 ms.
_TICK_NS: Final = 20_000_000

# Non-blocking, since a pipe that has taken the place of a file would be waited for; regular files do not care.
_FLAGS: Final = os.O_RDONLY | sum(getattr(os, flag, 0) for flag in ("O_BINARY", "O_CLOEXEC", "O_NONBLOCK"))


class Stat(NamedTuple):
    """What a file system says of a file, as far as it tells one state of its bytes from another.

    Attributes:
        size: Bytes.
        mtime: Last change of the bytes, in ns since the epoch.
        ctime: Last change of the bytes or of what is said here, in ns; cannot be set back by programs.
        inode: Number of the file on its device.
        device: Number of the device.
    """

    size: int
    mtime: int
    ctime: int
    inode: int
    device: int


def stat_of(result: os.stat_result) -> Stat:
    """The part of a stat result that matters here."""
    return Stat(result.st_size, result.st_mtime_ns, result.st_ctime_ns, result.st_ino, result.st_dev)


class Source(Protocol):
    """A sequence of bytes of known size that can be read in pieces, from several threads."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    @property
    def known(self) -> Sequence[Chunk] | None:
        """The chunks, where they need not be read to be known."""
        ...

    def open(self) -> None:
        """Make ready for `read`. Called once, before the first piece."""
        ...

    def read(self, start: int, stop: int, scratch: memoryview) -> memoryview:
        """The bytes `start` to `stop`, in `scratch` (at least as large), which nobody else changes."""
        ...

    def close(self) -> None:
        """Called once, after the last piece. Raises `SourceChangedError` if what was read is no single state."""
        ...

    def abandon(self) -> None:
        """Let go without a check, after an error. May be called at any time, more than once."""
        ...


class MemorySource:
    """Bytes in memory: the concatenation of some buffers, copied piece by piece."""

    known: Sequence[Chunk] | None = None

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        """The buffers must be contiguous. One that changes meanwhile gives a mixture, though a consistent one."""
        self._views = [view for view in (memoryview(b).cast("B") for b in buffers) if len(view)]
        self.size = sum(map(len, self._views))

    def open(self) -> None:
        """Nothing to do."""

    def read(self, start: int, stop: int, scratch: memoryview) -> memoryview:
        """A copy in `scratch`, so that what is hashed is what is stored.

        Were the caller's own memory hashed, and compressed a moment later, an array that somebody changed in between
        would leave a chunk under the digest of other bytes, and every later save of those would build on it.
        """
        begin, filled = 0, 0
        for view in self._views:
            end = begin + len(view)
            if start < end and begin < stop:
                piece = view[max(start - begin, 0) : min(stop, end) - begin]
                scratch[filled : filled + len(piece)] = piece
                filled += len(piece)
            begin = end
        return scratch[:filled]

    def close(self) -> None:
        """Nothing to do."""

    def abandon(self) -> None:
        """Nothing to do."""


class FileSource:
    """A regular file. A change while it is read is found and is an error."""

    def __init__(self, path: str, stat: Stat, known: Sequence[Chunk] | None = None) -> None:
        """`stat` is the state of the file that is to be saved."""
        self._path = path
        self._stat = stat
        self._held: list[int] = []  # the open file; taken out by whoever closes it, in one step
        self.known = known
        self.size = stat.size

    def open(self) -> None:
        """Open the file, and see that it still is in the state that was found when its folder was listed.

        Raises:
            SourceNotFoundError: It is gone.
            SourceChangedError: It is in another state.
            SourceError: It cannot be read.
        """
        young = _TICK_NS - (time.time_ns() - self._stat.mtime)
        if 0 < young <= _TICK_NS:
            time.sleep(young / 1e9)
        try:
            self._held.append(os.open(self._path, _FLAGS))
        except FileNotFoundError as err:
            raise SourceNotFoundError(
                f"{self._path} was removed while it was being saved; nothing was saved"
            ) from err
        except OSError as err:
            raise SourceError(f"{self._path} cannot be read: {err.strerror or err}") from err
        self._check()

    def read(self, start: int, stop: int, scratch: memoryview) -> memoryview:
        """Read into `scratch`; complete, or an error.

        Raises:
            SourceChangedError: The file has become shorter.
            SourceError: It cannot be read.
        """
        target = scratch[: stop - start]
        filled = 0
        try:
            while filled < len(target):
                count = _read_at(self._fd(), target[filled:], start + filled)
                if not count:
                    raise self._changed()
                filled += count
        except OSError as err:
            raise SourceError(f"{self._path} cannot be read: {err.strerror or err}") from err
        return target

    def close(self) -> None:
        """Check the state once more and close.

        Raises:
            SourceChangedError: The file changed while it was read.
            SourceError: It holds more than the file system says.
        """
        try:
            more = _read_at(self._fd(), memoryview(bytearray(1)), self.size)
            self._check()
            if more:
                raise SourceError(
                    f"{self._path} holds more than the {self.size} bytes that the system says it has, as files of "
                    "`/proc` do; nothing was saved. Copy what it holds to a plain file, and save that."
                )
        except OSError as err:
            raise SourceError(f"{self._path} cannot be read: {err.strerror or err}") from err
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close without a check."""
        # After an interrupted save two threads may come here at once. A number that is closed twice may be another
        # file's the second time.
        while True:
            try:
                fd = self._held.pop()
            except IndexError:
                return
            os.close(fd)

    def _check(self) -> None:
        if stat_of(os.fstat(self._fd())) != self._stat:
            raise self._changed()

    def _fd(self) -> int:
        try:
            return self._held[-1]
        except IndexError as err:
            raise SourceError(f"{self._path} was let go while it was read: the save was interrupted") from err

    def _changed(self) -> SourceChangedError:
        return SourceChangedError(
            f"{self._path} changed while it was being saved; nothing was saved. Save it again when nobody writes to it."
        )


if sys.platform == "win32":

    def _read_at(fd: int, target: memoryview, offset: int) -> int:
        # There is no positioned read: a second handle has a position of its own.
        with open(os.dup(fd), "rb", buffering=0) as file:
            file.seek(offset)
            return file.readinto(target) or 0

else:

    def _read_at(fd: int, target: memoryview, offset: int) -> int:
        return os.preadv(fd, [target], offset)
