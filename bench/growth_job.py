"""Builds a repository of many chunks and names, cheaply, through casreg's API: `growth_job.py FOLDER CHUNKS NAMES`.

A million chunks of real data would be 64 GiB. Here each chunk is as short as the chunker lets one be, and compresses
to almost nothing: a counter, zeros, and around each end 64 bytes at which the chunker cuts wherever they stand (its
hash sees no further). Each chunk has its own counter, so each is stored; casreg's own report of each save says
how many chunks it saw and how many bytes it knew already, and the build fails if one was known.
The packs are many and have as many chunks as those of real data; only their bytes are few.
"""

from __future__ import annotations

import json
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from casreg.progress import Progress

PER_NAME = 500
"""Chunks of each large object: what one pack of real data holds."""

WINDOW = 64
"""Bytes that the chunker's rolling hash depends on: it is 64 bits wide and moves by one bit a byte."""


@dataclass
class _Counted:
    """The last report of a save."""

    last: Progress | None = None

    def __call__(self, report: Progress) -> None:
        self.last = report


def cutting_bytes() -> tuple[bytes, bytes]:
    """What must stand before and after a place where the chunker shall cut, beyond the minimum size of a chunk.

    Found by cutting random bytes: before the average size a cut needs the stricter of the two masks, so what cuts
    there cuts everywhere. Only after an even number of bytes, because the hash takes two bytes at a time; and it has
    taken the first byte of the next chunk when it decides.
    """
    from casreg.chunker import AVERAGE_CHUNK, MIN_CHUNK, cut

    noise = random.Random(7).randbytes(8 << 20)
    end = 0
    for size in cut(memoryview(noise)):
        end += size
        if MIN_CHUNK + WINDOW < size < AVERAGE_CHUNK // 2 and size % 2 == 0:
            return noise[end - WINDOW : end], noise[end : end + 2]
    raise SystemExit(
        "no cut below half of the average in 8 MiB: the chunker has changed, adapt growth_job.py"
    )


def blocks(first: int, count: int, ending: bytes, beginning: bytes) -> npt.NDArray[np.uint8]:
    """`count` blocks, each of which becomes one chunk, numbered from `first`."""
    from casreg.chunker import MIN_CHUNK

    result = np.zeros((count, MIN_CHUNK + WINDOW), np.uint8)
    result[:, : len(beginning)] = np.frombuffer(beginning, np.uint8)
    result[:, 8:16] = np.arange(first, first + count, dtype="<u8").view(np.uint8).reshape(count, 8)
    result[:, -WINDOW:] = np.frombuffer(ending, np.uint8)
    return result


def build(folder: Path, chunks: int, names: int) -> dict[str, float]:
    """Saves `names` objects, among them as many of 500 chunks as it takes; the rest are small dicts."""
    from casreg import Registry

    began = time.perf_counter()
    registry = Registry(folder)
    ending, beginning = cutting_bytes()
    large, counted = chunks // PER_NAME, 0
    if large > names:
        raise SystemExit(f"{chunks} chunks need at least {large} names")
    for number in range(large):
        seen = _Counted()
        registry.save(f"bulk:{number}", blocks(counted, PER_NAME, ending, beginning).tobytes(), progress=seen)
        report = seen.last
        if report is None or report.chunks != PER_NAME or report.reused:
            raise SystemExit(f"bulk:{number} should be {PER_NAME} new chunks, but the save reports {report}")
        counted += PER_NAME
    bulk = time.perf_counter() - began
    # They wait for the disk, not for the processor, and for different names they wait side by side.
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(
            lambda number: registry.save(f"small:{number}", {"number": number}), range(names - large)
        ):
            pass
    return {"chunks": counted, "names": names, "bulk_s": bulk, "total_s": time.perf_counter() - began}


if __name__ == "__main__":
    print(json.dumps(build(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))))
