"""Folders that are there, and that survive a power failure together with what is published in them.

A new folder is durable once its parent is flushed.  Whoever publishes in a folder has to be sure of that even if
another process made it a moment ago and has not come to the flush; so each handle flushes the parent of every
folder once, before it first relies on it, and remembers.  `locks/` is made last: where it exists, the path down
to the repository is durable already.

A name that need not be durable at once is *postponed*: its folder is flushed by the next `swap`, before anybody
can see what that swap writes.  Journals then have it on the disk already, with the bytes of the swap, and the
flush costs next to nothing.
"""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

from casreg.backends.local import locks

if TYPE_CHECKING:
    from casreg.backends.local.filesystem import FileSystem

TEMPORARY = "tmp"


class Folders:
    """The folders of one repository, made when they are needed. Safe in many threads; costs a look-up when known.

    Args:
        files: The system calls.
        root: The repository's folder.
    """

    def __init__(self, files: FileSystem, root: str) -> None:
        self._files = files
        self._root = root
        self._made: set[str] = set()
        self._durable: set[str] = set()
        self._postponed: dict[int, str] = {}
        self._numbers = count()

    def prepare(self) -> None:
        """Make the repository's own folders (root, `tmp/`, `locks/`) if they are missing.

        Raises:
            OSError: The system refuses.
        """
        locks_folder = f"{self._root}/{locks.FOLDER}"
        if not self._files.is_folder(locks_folder):
            self._make_with_parents(self._root)
            for parent in _parents(self._root):
                self._sync_if_readable(parent)
        # Not durable, neither of them: they are made again when they are missing.
        self._make(f"{self._root}/{TEMPORARY}")
        self._make(locks_folder)

    def make(self, folder: str) -> None:
        """Make `folder` (relative to the root, "" for the root itself) and what is missing above it.

        Raises:
            OSError: The system refuses; `FileNotFoundError` if the root is missing.
        """
        if not folder or folder in self._made:
            return
        above = folder.rpartition("/")[0]
        self.make(above)
        self._make(f"{self._root}/{folder}")
        self._made.add(folder)

    def make_durable(self, folder: str) -> None:
        """Flush what names `folder` and everything above it, once for each. They have been made.

        Raises:
            OSError: The system refuses; `FileNotFoundError` if a folder above it was removed.
        """
        if not folder or folder in self._durable:
            return
        above = folder.rpartition("/")[0]
        self.make_durable(above)
        self._files.sync_folder(f"{self._root}/{above}" if above else self._root)
        self._durable.add(folder)

    def flush(self, folder: str) -> None:
        """Flush the names in `folder`.

        Raises:
            OSError: The system refuses; `FileNotFoundError` if the folder was removed.
        """
        self._files.sync_folder(f"{self._root}/{folder}")

    def postpone(self, folder: str) -> None:
        """A name was made in `folder`, and is to be flushed with the next swap."""
        self._postponed[next(self._numbers)] = folder

    def flush_postponed(self, *, but: str) -> tuple[int, ...]:
        """Flush what was postponed so far, all but the names in one folder, and everything above those folders.

        Returns:
            What to give to `settle` when the folder that was left out is flushed too. Until then another thread
            that swaps flushes it all once more: it must not rely on a flush that has not ended.

        Raises:
            OSError: The system refuses.
        """
        postponed = dict(self._postponed)
        for folder in sorted(set(postponed.values()) - {but}):
            try:
                self.make_durable(folder)
                self.flush(folder)
            except FileNotFoundError:
                continue  # somebody removed the folder, with everything in it
        return tuple(postponed)

    def settle(self, flushed: tuple[int, ...]) -> None:
        """Forget what was postponed and is now flushed."""
        for number in flushed:
            self._postponed.pop(number, None)

    def forget(self) -> None:
        """Somebody removed folders: look at all of them again."""
        self._made.clear()
        self._durable.clear()

    def _make(self, path: str) -> None:
        try:
            self._files.make_folder(path)
        except FileExistsError:
            if not self._files.is_folder(path):
                raise

    def _make_with_parents(self, path: str) -> None:
        try:
            self._make(path)
        except FileNotFoundError:
            self._make_with_parents(os.path.dirname(path))
            self._make(path)

    def _sync_if_readable(self, path: str) -> None:
        try:
            self._files.sync_folder(path)
        except PermissionError:
            # A folder that one may enter but not read was not made by us, and so was there long before.
            return


def _parents(path: str) -> list[str]:
    """All folders above an absolute path, the nearest first."""
    parents = []
    while (above := os.path.dirname(path)) != path:
        parents.append(above)
        path = above
    return parents
