"""How a chunk's bytes are stored in a frame: raw, or as one zstd frame.

Zstandard: RFC 8878, level 1.  Incompressible chunks are recognised by a small sample (three pieces of 4 KiB, joined):
where it shrinks by less than a tenth, the whole is stored raw without trying.  Byte entropy would mislead here
(text in base64 looks compressible, float noise with a constant exponent does not).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import zstandard

from casreg.exceptions import CorruptError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

RAW: Final = 0
ZSTD: Final = 1

_LEVEL: Final = 1
_SAMPLE: Final = 4096
_SAMPLED_FROM: Final = 4 * _SAMPLE
_WORTH: Final = 0.90
_WORTH_TOGETHER: Final = 8

_local = threading.local()


def _compressor() -> zstandard.ZstdCompressor:
    """This thread's compressor: building one costs as much as compressing a small chunk."""
    found: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if found is None:
        # No checksum: the digest of the chunk covers it. The size is in the frame header of the pack too.
        found = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=False, write_content_size=True)
        _local.compressor = found
    return found


def _decompressor() -> zstandard.ZstdDecompressor:
    found: zstandard.ZstdDecompressor | None = getattr(_local, "decompressor", None)
    if found is None:
        found = zstandard.ZstdDecompressor()
        _local.decompressor = found
    return found


def looks_compressible(data: memoryview) -> bool:
    """Whether a sample of `data` shrinks by at least a tenth. Small data always does: trying costs little."""
    if len(data) <= _SAMPLED_FROM:
        return True
    return _shrinks(len(_compressor().compress(_sample(data))))


def _sample(data: memoryview) -> bytes:
    quarter = len(data) // 4
    return b"".join(data[at : at + _SAMPLE] for at in (quarter, 2 * quarter, 3 * quarter - _SAMPLE))


def _shrinks(compressed: int) -> bool:
    return compressed <= _WORTH * 3 * _SAMPLE


def encode(data: memoryview) -> tuple[int, Buffer]:
    """The codec and the stored bytes of a chunk. Raw bytes are `data` itself, not a copy."""
    if looks_compressible(data):
        packed = _compressor().compress(data)
        if len(packed) < len(data):
            return ZSTD, packed
    return RAW, data


def encode_all(chunks: Sequence[memoryview]) -> list[tuple[int, Buffer]]:
    """`encode` of many chunks: all samples in one call of the library, then all that is worth it in another.

    Each call lets go of the GIL once. Handing it back and forth for every chunk costs about a fifth more.
    """
    together = getattr(_compressor(), "multi_compress_to_buffer", None)
    if together is None or len(chunks) < _WORTH_TOGETHER:  # the library's CFFI form cannot
        return [encode(chunk) for chunk in chunks]
    large = [number for number, chunk in enumerate(chunks) if len(chunk) > _SAMPLED_FROM]
    samples = together([_sample(chunks[number]) for number in large], threads=1) if large else ()
    hopeless = {number for number, packed in zip(large, samples, strict=True) if not _shrinks(len(packed))}
    hopeful = [number for number in range(len(chunks)) if number not in hopeless]
    encoded: list[tuple[int, Buffer]] = [(RAW, chunk) for chunk in chunks]
    packs = together([chunks[number] for number in hopeful], threads=1) if hopeful else ()
    for number, packed in zip(hopeful, packs, strict=True):
        if len(packed) < len(chunks[number]):
            encoded[number] = ZSTD, packed
    return encoded


def decode(codec: int, stored: memoryview, size: int) -> Buffer:
    """The `size` bytes of a chunk. Raw bytes are `stored` itself, not a copy; the caller verifies the digest.

    Never allocates more than `size` bytes, whatever `stored` claims.

    Raises:
        CorruptError: `stored` does not give exactly `size` bytes, or the codec is unknown.
    """
    if codec == RAW:
        if len(stored) != size:
            raise CorruptError(f"a raw frame holds {len(stored)} bytes where {size} were promised")
        return stored
    if codec != ZSTD:
        raise CorruptError(f"unknown codec {codec}")
    try:
        # The size that the zstd frame claims is checked before anything is allocated by it.
        if zstandard.frame_content_size(stored) != size:
            raise CorruptError(f"a zstd frame does not hold the {size} bytes that were promised")
        return _decompressor().decompress(stored, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as err:
        raise CorruptError(f"a zstd frame cannot be decompressed: {err}") from err
