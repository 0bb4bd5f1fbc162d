"""On which terms garbage is collected."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

DAY: Final = 86_400.0

MAX_NAMES: Final = 100_000
"""So many files one run deletes at most: every writer reads the lists of the last runs, 77 bytes for each file."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What may be collected, and how.

    Attributes:
        min_age: Seconds. Files that are younger, by the time that the storage gives them, are left alone, so that
            uploads under way need not be made twice. Nothing is safer or less safe for it.
        undelete_window: Seconds after its deletion during which a deleted version keeps its data, by the time that its
            tombstone says. A promise to users; nothing else rests on it.
        shared_fs: Whether the caller vouches for a network file system.
        most: So many files one run deletes at most.
        threads: So many requests at once; None for what suits the place.
        clock: The time, seconds since the epoch.
    """

    min_age: float = DAY
    undelete_window: float = 7 * DAY
    shared_fs: bool = False
    most: int = MAX_NAMES
    threads: int | None = None
    clock: Callable[[], float] = time.time
