"""Compression: lossless, raw where it does not pay, and never more memory than was promised."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zstandard
from hypothesis import given, strategies as st

from casreg import codec
from casreg.codec import RAW, ZSTD, decode, encode, encode_all, looks_compressible
from casreg.exceptions import CorruptError
from registry.lab import noise, text


@given(data=st.binary(max_size=40_000))
def test_what_was_encoded_is_decoded(data: bytes) -> None:
    """Any bytes come back, and are never stored in more than their own size."""
    kind, stored = encode(memoryview(data))
    assert len(memoryview(stored)) <= len(data)
    assert bytes(decode(kind, memoryview(stored), len(data))) == data


@given(sizes=st.lists(st.integers(1, 30_000), max_size=30), seed=st.integers(0, 5))
def test_many_at_once_are_as_one_by_one(sizes: list[int], seed: int) -> None:
    """Many chunks in one call give the codec and the bytes that each gives alone."""
    chunks = [memoryview((noise, text)[(seed + at) % 2](size, at)) for at, size in enumerate(sizes)]
    together = [(kind, bytes(stored)) for kind, stored in encode_all(chunks)]
    assert together == [(kind, bytes(stored)) for kind, stored in map(encode, chunks)]


def test_without_the_batch_call_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that cannot compress many at once is used one by one."""

    class Plain:
        def __init__(self) -> None:
            self.inner = zstandard.ZstdCompressor(level=1, write_checksum=False, write_content_size=True)

        def compress(self, data: bytes) -> bytes:
            return self.inner.compress(data)

    chunks = [memoryview(text(500, seed)) for seed in range(20)]
    usual = [(kind, bytes(stored)) for kind, stored in encode_all(chunks)]
    monkeypatch.setattr(codec, "_compressor", Plain)
    assert [(kind, bytes(stored)) for kind, stored in encode_all(chunks)] == usual


@pytest.mark.parametrize("size", [100, 16_384, 16_385, 100_000, 262_144])
def test_noise_stays_raw(size: int) -> None:
    """Noise of any size is stored as it is: the very buffer, not a copy."""
    data = memoryview(noise(size))
    kind, stored = encode(data)
    assert kind == RAW
    assert stored is data


@pytest.mark.parametrize(
    "data",
    [text(100_000), bytes(100_000), b"ab" * 50_000, np.arange(20_000, dtype="<i8").tobytes()],
    ids=["text", "zeros", "pattern", "counting"],
)
def test_what_shrinks_is_compressed(data: bytes) -> None:
    """Text, zeros, patterns and counts are compressed."""
    kind, stored = encode(memoryview(data))
    assert kind == ZSTD
    assert len(memoryview(stored)) < 0.9 * len(data)


def test_floats_of_noise_are_recognised() -> None:
    """Random floats have a constant exponent, which entropy takes for redundancy and zstd cannot use: raw."""
    data = memoryview(np.random.default_rng(1).random(25_000).tobytes())
    assert not looks_compressible(data)
    assert encode(data)[0] == RAW


@pytest.mark.parametrize("kind", [2, 3, 255])
def test_an_unknown_codec(kind: int) -> None:
    """A codec that nobody knows is damage, not a guess."""
    with pytest.raises(CorruptError, match=f"unknown codec {kind}"):
        decode(kind, memoryview(b"x"), 1)


def _frame(data: bytes, *, sized: bool = True) -> bytes:
    return zstandard.ZstdCompressor(level=1, write_content_size=sized).compress(data)


@pytest.mark.parametrize(
    ("kind", "stored", "size"),
    [
        (RAW, b"abc", 4),
        (RAW, b"abc", 2),
        (ZSTD, b"", 1),
        (ZSTD, b"not zstd at all", 15),
        (ZSTD, _frame(b"a" * 100), 99),
        (ZSTD, _frame(b"a" * 100), 101),
        (ZSTD, _frame(b"a" * 100)[:-3], 100),
        (ZSTD, _frame(b"a" * 100) + b"more", 100),
        (ZSTD, _frame(b"a" * 100) + _frame(b"b" * 100), 100),
        (ZSTD, _frame(b"a" * 100, sized=False), 100),
    ],
)
def test_frames_that_do_not_give_what_they_promise(kind: int, stored: bytes, size: int) -> None:
    """Too short, too long, cut off, with something behind, or of unknown size: damage."""
    with pytest.raises(CorruptError):
        decode(kind, memoryview(stored), size)


def test_a_bomb_is_not_opened() -> None:
    """A frame that claims a gigabyte is refused before anything of that size is allocated."""
    import tracemalloc

    bomb = memoryview(zstandard.ZstdCompressor(level=1).compress(bytes(300_000_000)))
    tracemalloc.start()
    try:
        with pytest.raises(CorruptError):
            decode(ZSTD, bomb, 1000)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_threads_have_their_own_contexts() -> None:
    """Many threads that compress and decompress at once get their own bytes back."""
    ready = threading.Barrier(8)

    def work(seed: int) -> bool:
        ready.wait()
        for turn in range(50):
            data = text(20_000, seed * 100 + turn % 3)
            kind, stored = encode(memoryview(data))
            if bytes(decode(kind, memoryview(stored), len(data))) != data:
                return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(work, range(8)))
