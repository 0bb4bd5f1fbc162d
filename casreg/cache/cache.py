"""`Cache`: which folder holds local copies, and how much."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from casreg import settings
from casreg.cache.shelf import Shelf
from casreg.exceptions import InvalidArgumentError


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder for local copies of what remote registries hold, and a limit in bytes. Making one does no I/O.

    Any number of places, processes and threads share one folder. Copies are known by the digest of their content and
    verified at each use, so that nothing can be mixed up, and whatever happens to the folder, the worst is that
    bytes are fetched again.

    Attributes:
        folder: Where; made when it is first needed. None: `objects` in the user's cache folder (`CASREG_CACHE_DIR`),
            asked for at each use, so that a pickled registry takes the one of the machine that it arrives at.
        limit: Bytes on disk, or a text such as `"20GiB"`; what was not used for longest makes room. 0 keeps
            nothing. None: `CASREG_CACHE_LIMIT`, or 10 GiB.

    Raises:
        InvalidArgumentError: The limit is no number of bytes, or the folder no path.
    """

    folder: str | os.PathLike[str] | None = None
    limit: int | str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.folder is not None:
            object.__setattr__(self, "folder", _absolute(self.folder))
        if self.limit is not None:
            object.__setattr__(self, "limit", settings.byte_count(self.limit, "the limit of a cache"))

    @property
    def path(self) -> Path:
        """The absolute path of the folder."""
        return settings.cache_dir() / "objects" if self.folder is None else Path(self.folder)

    @property
    def capacity(self) -> int:
        """The limit in bytes.

        Raises:
            InvalidArgumentError: `CASREG_CACHE_LIMIT` is no number of bytes.
        """
        return self.limit if isinstance(self.limit, int) else settings.cache_limit()

    def size(self) -> int:
        """Bytes that the copies take on disk now, of all places. Looks at every file."""
        return self.shelf().usage.size()

    def clear(self) -> None:
        """Remove all copies, of all places. What is loaded next is fetched again; nothing else changes.

        Raises:
            StorageError: A file cannot be removed.
        """
        self.shelf().usage.clear()

    def shelf(self) -> Shelf:
        """The files of this cache. No I/O."""
        return Shelf(str(self.path), self.capacity)


def _absolute(folder: str | os.PathLike[str]) -> str:
    try:
        if os.fspath(folder):
            # Made absolute now, so that a later change of the working directory moves nothing.
            return str(Path(folder).expanduser().absolute())
    except (TypeError, RuntimeError) as err:
        raise InvalidArgumentError(f"{folder!r:.80} is no path of a folder for a cache ({err})") from err
    raise InvalidArgumentError("the path of a cache is empty; name a folder, or None for the default")
