"""Content-defined chunking: where a stream of bytes is cut.

FastCDC in its 2020 form with normalised chunking level 1 (Xia et al., "The Design of Fast Content-Defined
Chunking for Data Deduplication Based Storage Systems", IEEE TPDS 31(9), 2020, doi:10.1109/TPDS.2020.2984632), gear
table and masks of the authors' reference code, through the library `pyfastcdc`.  The parameters are constants of
format 1, and the boundaries are frozen by test vectors: a new release of the library must not move one.

Measured on workload A (docs/design/0001): minimum 16 KiB and level 1 store the fewest bytes.
"""

from __future__ import annotations

import threading
import warnings
from typing import TYPE_CHECKING, Final

import pyfastcdc

if TYPE_CHECKING:
    from collections.abc import Sequence

MIN_CHUNK: Final = 16 * 1024
AVERAGE_CHUNK: Final = 64 * 1024
MAX_CHUNK: Final = 256 * 1024
NORMALISATION: Final = 1

_local = threading.local()


class SlowChunkerWarning(RuntimeWarning):
    """The compiled chunker is missing, so that saving is about a hundred times slower."""


def _engine() -> pyfastcdc.FastCDC:
    """This thread's chunker: the library's object must not be shared by threads that cut at the same time."""
    engine: pyfastcdc.FastCDC | None = getattr(_local, "engine", None)
    if engine is None:
        _warn_if_slow()
        engine = pyfastcdc.FastCDC(
            AVERAGE_CHUNK, min_size=MIN_CHUNK, max_size=MAX_CHUNK, normalized_chunking=NORMALISATION
        )
        _local.engine = engine
    return engine


def _warn_if_slow() -> None:
    if not compiled():
        warnings.warn(
            "pyfastcdc runs without its compiled part: cutting is about 100 times slower (10 MB/s). The stored "
            "bytes are the same. Install a wheel for this platform, or a C compiler, and reinstall pyfastcdc.",
            SlowChunkerWarning,
            stacklevel=4,
        )


def compiled() -> bool:
    """Whether the compiled chunker is in use. The pure Python one makes the same cuts, at 10 MB/s."""
    return pyfastcdc.FastCDC.__module__.startswith("pyfastcdc.cy")


def cut(data: memoryview) -> list[int]:
    """The sizes of the chunks of `data` (a contiguous view of bytes), in order. They sum to its length.

    Every chunk but the last has 16 KiB to 256 KiB; data of at most 16 KiB is one chunk; no data gives no chunks.
    Releases the GIL for each chunk.
    """
    if not len(data):
        return []
    if len(data) <= MIN_CHUNK:
        return [len(data)]
    return [chunk.length for chunk in _engine().cut_buf(data)]


def cut_first(data: memoryview) -> int:
    """The size of the first chunk of `data`, which must hold `MAX_CHUNK` bytes or reach the end of the stream."""
    if len(data) <= MIN_CHUNK:
        return len(data)
    return next(iter(_engine().cut_buf(data[:MAX_CHUNK]))).length


def cut_segment(data: memoryview, own: int) -> list[int]:
    """Cut a segment of a longer stream as if a chunk began where it begins.

    Args:
        data: The segment and `MAX_CHUNK` bytes that follow it (fewer at the end of the stream).
        own: Bytes of the segment itself. Chunks that begin after it belong to the next one.

    Returns:
        The sizes of all chunks that begin within the segment; the last may end beyond it.
    """
    if not own:
        return []
    sizes: list[int] = []
    end = 0
    for size in cut(data):
        sizes.append(size)
        end += size
        if end >= own:
            break
    return sizes


def resynchronise(data: memoryview, own: int, begin: int, sizes: Sequence[int]) -> tuple[list[int], int]:
    """Where the true chunks of a segment are, given that the first of them begins at `begin`.

    FastCDC's state starts anew with every chunk, so that two ways of cutting the same bytes agree for ever once
    they agree on one boundary.  Cutting segments side by side and resynchronising at the joins therefore gives
    exactly the cuts of one pass.

    Args:
        data: The segment and `MAX_CHUNK` bytes that follow it (fewer at the end of the stream).
        own: Bytes of the segment itself.
        begin: Where the first true chunk begins, relative to the segment.
        sizes: What `cut_segment(data, own)` gave.

    Returns:
        The sizes of the true chunks from `begin` until both agree, and the number of leading `sizes` that they
        replace. The chunks of the segment are the first, followed by the rest of `sizes`.
    """
    boundary, index, position = 0, 0, begin
    corrected: list[int] = []
    while position < own:
        while boundary < position and index < len(sizes):
            boundary += sizes[index]
            index += 1
        if boundary == position and index < len(sizes):
            return corrected, index
        size = cut_first(data[position:])
        corrected.append(size)
        position += size
    return corrected, len(sizes)
