"""Writing files while their chunks arrive from several threads, in any order."""

from __future__ import annotations

import os
import re
import sys
import threading
from bisect import bisect_right
from contextlib import contextmanager
from itertools import accumulate
from typing import TYPE_CHECKING

from casreg.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from typing_extensions import Buffer

    from casreg.model import Chunk, Entry

_WINDOWS = os.name == "nt"
_NOT_ON_WINDOWS = re.compile(r'[<>:"|?*\x00-\x1f]|[. ]$')
_GATHER = 512  # buffers in one call; POSIX allows 1,024


class Tree:
    """Files below a folder that is new and nobody else's. A context: leaving it closes whatever is open."""

    def __init__(self, root: Path) -> None:
        """No I/O yet."""
        self._root = str(root)
        self._folders: set[str] = set()
        self._open: set[int] = set()
        self._lock = threading.Lock()
        self._writing = 0
        self._idle = threading.Condition(self._lock)
        self._left = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Whoever interrupts a load twice leaves threads behind that still write. The number of a file that was closed
        # under them would soon be another file's.
        with self._idle:
            self._left = True
            while self._writing:
                self._idle.wait()
            while self._open:
                os.close(self._open.pop())

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Files stay open in this context.

        Raises:
            DestinationError: This tree was left already.
        """
        with self._lock:
            if self._left:
                raise DestinationError(f"the load into {self._root} was interrupted")
            self._writing += 1
        try:
            yield
        finally:
            with self._idle:
                self._writing -= 1
                self._idle.notify_all()

    def writer(self, entries: Sequence[Entry], first: int, chunks: Sequence[Chunk]) -> Writer:
        """Make the folders, and give what writes the files.

        Args:
            entries: Files and empty folders.
            first: Number of the first of their chunks.
            chunks: All their chunks, in order.
        """
        for entry in entries:
            path = entry.path
            self._make_folder(path if entry.folder else path.rpartition("/")[0])
        return Writer(self, [entry for entry in entries if not entry.folder], first, chunks)

    def create(self, entry: Entry) -> int:
        """Open a new file for writing.

        Raises:
            DestinationError: It exists, or cannot be made.
        """
        path = self._place(entry.path)
        flags = (
            os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
        )
        try:
            fd = os.open(path, flags, 0o777 if entry.executable else 0o666)
        except FileExistsError as err:
            raise DestinationError(
                f"{entry.path!r} is there already: this file system takes two of the stored paths for one. "
                "Load it where names differ by case and Unicode form."
            ) from err
        except OSError as err:
            raise self.failed(entry.path, err) from err
        with self._lock:
            self._open.add(fd)
        return fd

    def close(self, fd: int) -> None:
        """Close a file that `create` opened."""
        with self._lock:
            self._open.discard(fd)
        os.close(fd)

    def failed(self, path: str, err: OSError) -> DestinationError:
        """The error to raise when a file or folder cannot be written."""
        return DestinationError(f"{path!r} cannot be written below {self._root}: {err.strerror or err}")

    def _place(self, path: str) -> str:
        parts = path.split("/")
        if _WINDOWS and any(_NOT_ON_WINDOWS.search(part) for part in parts):
            # There `9:30.txt` is a stream of the file `9`, and `a.` is `a`.
            raise DestinationError(f"{path!r} cannot be a path on Windows: load it on another system")
        return os.path.join(self._root, *parts)

    def _make_folder(self, path: str) -> None:
        if path in self._folders or not path:
            return
        parent = path.rpartition("/")[0]
        self._make_folder(parent)
        try:
            os.mkdir(self._place(path))
        except OSError as err:
            raise self.failed(path, err) from err
        self._folders.add(path)


class Writer:
    """Takes chunks by number and writes each where it belongs."""

    def __init__(self, tree: Tree, files: Sequence[Entry], first: int, chunks: Sequence[Chunk]) -> None:
        """Empty files are made at once, the others when their first chunk arrives."""
        self._tree = tree
        self._files = [entry for entry in files if entry.stream.size]
        self._first = first
        self._offsets = list(accumulate((chunk.size for chunk in chunks), initial=0))
        self._starts = list(accumulate((entry.stream.count(0) for entry in self._files), initial=0))
        self._left = [entry.stream.count(0) for entry in self._files]
        self._fds: dict[int, int] = {}
        self._lock = threading.Lock()
        for entry in files:
            if not entry.stream.size:
                tree.close(tree.create(entry))

    def write(self, pieces: list[tuple[int, Buffer]]) -> None:
        """Write chunks with ascending numbers. Safe to call from many threads.

        Raises:
            DestinationError: A file cannot be made or written.
        """
        at = 0
        while at < len(pieces):
            number = pieces[at][0] - self._first
            file = bisect_right(self._starts, number) - 1
            stop = self._starts[file + 1]
            end, following = at + 1, number + 1
            while end < len(pieces) and pieces[end][0] - self._first == following < stop:
                end, following = end + 1, following + 1
            with self._tree.writing():
                self._write(file, number, [data for _, data in pieces[at:end]])
            at = end

    def _write(self, file: int, number: int, buffers: list[Buffer]) -> None:
        offset = self._offsets[number] - self._offsets[self._starts[file]]
        with self._lock:
            fd = self._fds.get(file, -1)
            if fd < 0:
                fd = self._fds[file] = self._tree.create(self._files[file])
        try:
            for at in range(0, len(buffers), _GATHER):
                offset += _write_at(fd, buffers[at : at + _GATHER], offset, self._lock)
        except OSError as err:
            raise self._tree.failed(self._files[file].path, err) from err
        with self._lock:
            self._left[file] -= len(buffers)
            done = not self._left[file]
            if done:
                del self._fds[file]
        if done:
            self._tree.close(fd)


if sys.platform == "win32":

    def _write_at(fd: int, buffers: Sequence[Buffer], offset: int, lock: threading.Lock) -> int:
        # There is no positioned write: the position of the file is shared, so one thread at a time.
        total = 0
        with lock:
            os.lseek(fd, offset, os.SEEK_SET)
            for buffer in buffers:
                view = memoryview(buffer)
                while view:
                    count = os.write(fd, view)
                    view = view[count:]
                    total += count
        return total

else:

    def _write_at(fd: int, buffers: Sequence[Buffer], offset: int, _lock: threading.Lock) -> int:
        views = [memoryview(buffer) for buffer in buffers]
        total = sum(map(len, views))
        written = os.pwritev(fd, views, offset)
        while written < total:  # a signal, or nearly a full disk: go on with what is left
            rest = b"".join(views)[written:]
            written += os.pwrite(fd, rest, offset + written)
        return total
