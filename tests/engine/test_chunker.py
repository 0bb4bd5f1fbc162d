"""Where bytes are cut: within bounds, by content alone, the same with and without the compiled library."""

from __future__ import annotations

import threading
import warnings

import pyfastcdc
import pytest
from hypothesis import given, settings, strategies as st

from casreg import chunker
from casreg.chunker import (
    AVERAGE_CHUNK,
    MAX_CHUNK,
    MIN_CHUNK,
    SlowChunkerWarning,
    compiled,
    cut,
    cut_first,
    cut_segment,
)
from registry.lab import noise, text


@settings(max_examples=40)
@given(size=st.integers(0, 2_000_000), seed=st.integers(0, 100), kind=st.sampled_from([noise, text]))
def test_chunks_are_within_bounds(size: int, seed: int, kind: type) -> None:
    """Chunks add up to the data; all but the last have at least the minimum, none more than the maximum."""
    data = memoryview(kind(size, seed))
    sizes = cut(data)
    assert sum(sizes) == size
    assert all(MIN_CHUNK <= one <= MAX_CHUNK for one in sizes[:-1])
    assert all(1 <= one <= MAX_CHUNK for one in sizes)
    if sizes:
        assert cut_first(data[:MAX_CHUNK]) == sizes[0]


def test_the_average_is_about_what_it_says() -> None:
    """Noise is cut about every 64 KiB."""
    sizes = cut(memoryview(noise(40_000_000)))
    assert 0.8 * AVERAGE_CHUNK < sum(sizes) / len(sizes) < 1.6 * AVERAGE_CHUNK


@pytest.mark.parametrize("size", [1, MIN_CHUNK - 1, MIN_CHUNK])
def test_small_data_is_one_chunk(size: int) -> None:
    """Data of at most the minimum is one chunk, and no data is none."""
    assert cut(memoryview(noise(size))) == [size]
    assert cut(memoryview(b"")) == []


def test_equal_bytes_are_cut_at_the_maximum() -> None:
    """A long stretch of one byte is cut at the maximum each time, so that all its chunks are one."""
    assert cut(memoryview(bytes(5 * MAX_CHUNK + 7))) == [MAX_CHUNK] * 5 + [7]


def test_cuts_do_not_depend_on_what_comes_later() -> None:
    """Where a chunk ends is known once the maximum was seen: more data behind changes nothing before."""
    data = noise(3_000_000)
    short, long = cut(memoryview(data[:2_000_000])), cut(memoryview(data))
    assert short[:-1] == long[: len(short) - 1]


def test_insertions_move_few_cuts() -> None:
    """After an insertion the cuts come back into step."""
    data = noise(5_000_000)
    before, position = set(), 0
    for size in cut(memoryview(data)):
        before.add(data[position : position + size])
        position += size
    changed = data[:1_000_000] + b"!" + data[1_000_000:]
    position, new = 0, 0
    for size in cut(memoryview(changed)):
        new += changed[position : position + size] not in before
        position += size
    assert new <= 3


def test_a_segment_without_bytes_of_its_own() -> None:
    """A segment of nothing has no chunks."""
    assert cut_segment(memoryview(noise(1_000)), 0) == []


def test_the_slow_form_cuts_alike_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without its compiled part the library makes the same cuts, and casreg warns once a thread."""
    from pyfastcdc.py import FastCDC

    data = memoryview(noise(400_000))
    fast = cut(data)
    monkeypatch.setattr(pyfastcdc, "FastCDC", FastCDC)
    monkeypatch.setattr(chunker, "_local", threading.local())
    assert not compiled()
    with pytest.warns(SlowChunkerWarning, match="C compiler"):
        slow = cut(data)
    assert slow == fast
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cut(data) == fast


def test_the_compiled_form_is_in_use() -> None:
    """Where the suite runs the compiled chunker is installed: everything else is measured with it."""
    assert compiled()
