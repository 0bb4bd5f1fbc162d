"""What a long operation tells about itself while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Progress:
    """One report. All numbers count from the beginning of the operation and never fall.

    Attributes:
        phase: `"save"`, `"load"`, `"copy"`; of a verification `"survey"`, where `done` and `total` are names, and
            `"verify"`; of a healing these, and `"heal"`. Of a collection `"list"`, `"mark"`, `"fence"` and `"delete"`, where
            `done` and `total` are files (0 until the total is known), and begin anew with each of these; where it compacts,
            before them `"weigh"`, in names, and `"compact"`, in bytes of packs.
        name: The object's name; where many are copied, that of the one whose turn it is.
        done: Bytes of the object, or of all that are copied, that are dealt with.
        total: Bytes of the object, or of all that are copied.
        chunks: Chunks that are dealt with.
        stored: Bytes that were newly written to the storage (save, copy, heal, compact), or read from it (load, verify).
        reused: Bytes that needed no writing, since the repository has them (save, copy).
    """

    phase: str
    name: str
    done: int
    total: int
    chunks: int
    stored: int
    reused: int = 0


ProgressCallback: TypeAlias = Callable[[Progress], None]
"""Called from the thread that called `save`, `load` or `copy`, a few times for each 100 MB, and once at the end.

What it raises ends the operation: nothing is committed, and the error reaches the caller.
"""
