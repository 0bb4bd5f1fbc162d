"""Figures of many copies at once: one total for progress, and room for so many bytes in memory."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from casreg.progress import Progress
from casreg.transfer import Meter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg.progress import ProgressCallback


class StoppedError(Exception):
    """Another copy has failed: this one is not ended. Never leaves the sync."""


class Totals:
    """Adds up what copies in several threads report, and tells it to one callback, to one thread at a time.

    Attributes:
        stored: Bytes that were written.
    """

    def __init__(self, progress: ProgressCallback | None, total: int) -> None:
        """Nothing is reported yet.

        Args:
            progress: Is told.
            total: Bytes of all versions that are to be copied.
        """
        self._progress = progress
        self._total = total
        self._done = self._chunks = self._reused = 0
        self.stored = 0
        self._stopped = False
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Let each copy end at its next report."""
        self._stopped = True

    def meter(self) -> Meter:
        """What counts one version."""
        last = Progress("copy", "", 0, 0, 0, 0)

        def report(now: Progress) -> None:
            nonlocal last
            with self._lock:
                if self._stopped:
                    raise StoppedError
                self._done += now.done - last.done
                self._chunks += now.chunks - last.chunks
                self._reused += now.reused - last.reused
                self.stored += now.stored - last.stored
                last = now
                if self._progress:
                    total = max(self._total, self._done)
                    self._progress(
                        Progress("copy", now.name, self._done, total, self._chunks, self.stored, self._reused)
                    )

        return Meter(report)


class Room:
    """Lets so many bytes of versions be copied at the same time; a larger version is copied alone."""

    def __init__(self, most: int) -> None:
        """All of it is free."""
        self._most = most
        self._free = most
        self._changed = threading.Condition()

    @contextmanager
    def take(self, size: int) -> Iterator[None]:
        """Wait until there is room for `size` bytes, and have it."""
        share = min(size, self._most)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()
