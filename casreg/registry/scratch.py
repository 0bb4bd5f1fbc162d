"""Temporary folders for loaded paths, which go when nobody can reach them any more."""

from __future__ import annotations

import os
import shutil
import tempfile
import weakref
from pathlib import Path


class Scratch:
    """New folders inside one temporary folder, which lives as long as this object, in the process that made it.

    For any number of threads. After a fork the child has a folder of its own; a copy or a pickle begins without one.
    """

    def __init__(self) -> None:
        """No I/O."""
        self._held: tuple[int, Path] | None = None
        self._ends: list[weakref.finalize[[int, Path], Scratch]] = []

    def new(self) -> Path:
        """A new, empty folder."""
        pid = os.getpid()
        held = self._held
        if held is None or held[0] != pid or not held[1].is_dir():
            # Two threads may both come here: then there are two folders, and both go in the end.
            held = self._held = pid, Path(tempfile.mkdtemp(prefix="casreg-"))
            self._ends.append(weakref.finalize(self, _remove, *held))
        return Path(tempfile.mkdtemp(dir=held[1]))

    def remove(self) -> None:
        """Remove what this process has made. New folders can be made afterwards."""
        while self._ends:
            self._ends.pop()()

    def __reduce__(self) -> tuple[type[Scratch], tuple[()]]:
        return Scratch, ()


def _remove(pid: int, folder: Path) -> None:
    if os.getpid() == pid:  # a forked child must not take away what its parent still uses
        shutil.rmtree(folder, ignore_errors=True)


__all__ = ["Scratch"]
