"""Progress of a copy: of one version, or of many that are one operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from casreg.progress import Progress

if TYPE_CHECKING:
    from casreg.progress import ProgressCallback


class _Count(NamedTuple):
    done: int = 0
    chunks: int = 0
    stored: int = 0
    reused: int = 0

    def plus(self, other: _Count) -> _Count:
        return _Count(*(mine + more for mine, more in zip(self, other, strict=True)))

    def at_least(self, other: _Count) -> _Count:
        return _Count(*map(max, self, other))


class Meter:
    """Counts what was dealt with, and reports it. The numbers never fall, also where a version is begun anew."""

    def __init__(self, progress: ProgressCallback | None, total: int | None = None) -> None:
        """Nothing is reported yet.

        Args:
            progress: Is told.
            total: Bytes of all versions; None if there is one, which says its size itself.
        """
        self._progress = progress
        self._total = total
        self._name = ""
        self._size = 0
        self._ended = _Count()
        self._now = _Count()
        self._told = _Count()

    def expect(self, size: int) -> None:
        """So many bytes are still to come, of all versions together."""
        self._total = self._ended.done + size

    def begin(self, name: str, size: int) -> None:
        """A version of `size` bytes begins, or begins anew."""
        self._name, self._size, self._now = name, size, _Count()

    def add(self, size: int, chunks: int, stored: int, *, new: bool) -> None:
        """So many bytes of files, and chunks, are dealt with; `stored` bytes were written for the version so far."""
        now = self._now
        reused = now.reused + (0 if new else size)
        self._now = _Count(now.done + size, now.chunks + chunks, stored, reused)
        self._report()

    def end(self, stored: int) -> None:
        """The version is there; `stored` bytes were written for it, none if it was there before."""
        now = self._now
        self._now = _Count(self._size, now.chunks, stored, now.reused if stored else self._size)
        self._report()
        self._ended, self._now = self._ended.plus(self._now), _Count()

    def _report(self) -> None:
        self._told = self._told.at_least(self._ended.plus(self._now))
        if self._progress:
            told, total = self._told, self._size if self._total is None else self._total
            self._progress(
                Progress("copy", self._name, told.done, total, told.chunks, told.stored, told.reused)
            )
