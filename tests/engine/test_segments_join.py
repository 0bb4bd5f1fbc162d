"""Segments that are cut side by side and joined give exactly the chunks of one pass, whatever the data."""

from __future__ import annotations

import random
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from casreg import chunker
from casreg.backends.memory import MemoryBackend
from casreg.chunker import MAX_CHUNK, MIN_CHUNK, cut, cut_first, cut_segment, resynchronise
from casreg.digest import Digest, digest_of
from casreg.ingest import pipeline, segments
from casreg.ingest.packing import Packing
from casreg.ingest.sources import MemorySource
from casreg.model import Chunk
from casreg.packs import HEADER, TRAILER, iterate_frames, open_frame
from registry.lab import noise, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from casreg.ingest.packing import Place


class Nothing:
    """Knows no chunk."""

    def find(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        return {}


@contextmanager
def _scaled(segment: int, workers: int) -> Iterator[None]:
    """Chunks of 64 to 1,024 bytes, and segments and numbers of threads as given."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("MIN_CHUNK", 64), ("AVERAGE_CHUNK", 256), ("MAX_CHUNK", 1024)):
            patch.setattr(chunker, name, value)
        patch.setattr(chunker, "_local", threading.local())
        patch.setattr(segments, "MAX_CHUNK", 1024)
        patch.setattr(segments, "SEGMENT", segment)
        patch.setattr(segments, "SMALL", 0)
        patch.setattr(pipeline, "SCRATCH", segment + 1024)
        patch.setattr(pipeline, "workers", lambda: workers)
        yield


def _run(datas: Sequence[bytes]) -> list[list[Chunk]]:
    """The chunks of these sources, after it was seen that each is stored once, under the digest of its bytes."""
    place = MemoryBackend()
    packing = Packing(place, Nothing(), sum(map(len, datas)))
    try:
        chunks = pipeline.run([MemorySource([data]) for data in datas], packing, lambda tally: None)
        packing.finish()
    finally:
        packing.close()
    stored: list[Digest] = []
    for sealed in packing.written:
        data = memoryview(place.get(sealed.key).data)
        frames = data[HEADER.size : len(data) - TRAILER.size - sealed.ref.table_size]
        for frame in iterate_frames(frames, sealed.key):
            open_frame(frame, Digest(frame.digest), frame.size, sealed.key)
            stored.append(Digest(frame.digest))
    assert sorted(stored) == sorted({chunk.digest for held in chunks for chunk in held})
    return chunks


def _sequential(data: bytes) -> list[Chunk]:
    chunks, position = [], 0
    for size in cut(memoryview(data)):
        chunks.append(Chunk(digest_of(data[position : position + size]), size))
        position += size
    return chunks


@st.composite
def _data(draw: st.DrawFn) -> bytes:
    """Runs of noise, of one byte, of a short pattern, and of text: what makes cuts agree early, late, or by chance."""
    parts = []
    for _ in range(draw(st.integers(1, 4))):
        size = draw(st.integers(0, 9_000))
        kind = draw(st.sampled_from(["noise", "constant", "pattern", "text"]))
        seed = draw(st.integers(0, 50))
        if kind == "noise":
            parts.append(noise(size, seed))
        elif kind == "constant":
            parts.append(bytes([seed]) * size)
        elif kind == "pattern":
            pattern = noise(draw(st.integers(1, 700)), seed)
            parts.append((pattern * (size // len(pattern) + 1))[:size])
        else:
            parts.append(bytes(random.Random(seed).choices(b"abcde ", k=size)))
    return b"".join(parts)


@settings(max_examples=200)
@given(data=_data(), segment=st.integers(100, 9_000), workers=st.sampled_from([1, 2, 7]))
def test_joined_segments_are_one_pass(data: bytes, segment: int, workers: int) -> None:
    """Any data, in segments of any size, by any number of threads: the chunks are those of one pass."""
    with _scaled(segment, workers):
        assert _run([data]) == [_sequential(data)]


@settings(max_examples=60)
@given(datas=st.lists(_data(), max_size=6), segment=st.integers(1_024, 6_000), small=st.integers(0, 9_000))
def test_many_sources_at_once(datas: list[bytes], segment: int, small: int) -> None:
    """Sources that are batched, cut whole or in segments, one after the other, keep their chunks apart."""
    with _scaled(segment, 3), pytest.MonkeyPatch.context() as patch:
        patch.setattr(segments, "SMALL", min(small, segment))
        patch.setattr(segments, "_BATCH_BYTES", segment // 2)
        patch.setattr(pipeline, "SCRATCH", 2 * segment + 1024)
        assert _run(datas) == [_sequential(data) for data in datas]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_hundreds_of_segments(workers: int) -> None:
    """Buffers that are used again and again never hold two segments at once."""
    data = noise(700_000) + text(300_000)
    with _scaled(2_048, workers):
        for _ in range(3):
            assert _run([data]) == [_sequential(data)]


@pytest.mark.parametrize("kind", ["noise", "text", "zeros", "pattern", "mixed"])
def test_the_real_sizes(kind: str) -> None:
    """The same with the format's own sizes, over joins of 8 MiB segments."""
    size = 20_000_000 + 12_345
    data = {
        "noise": lambda: noise(size),
        "text": lambda: text(size),
        "zeros": lambda: bytes(size),
        "pattern": lambda: (noise(70_001) * (size // 70_001 + 1))[:size],
        "mixed": lambda: bytes(7_900_000) + noise(600_000) + bytes(8_000_000) + text(2_000_000),
    }[kind]()
    assert _run([data]) == [_sequential(data)]


@pytest.mark.parametrize(
    "size",
    [
        *(MIN_CHUNK + at for at in (-1, 0, 1)),
        *(segments.SMALL + at for at in (-1, 0, 1)),
        *(segments.SEGMENT + at for at in (-1, 0, 1, MAX_CHUNK - 1, MAX_CHUNK, MAX_CHUNK + 1)),
        *(2 * segments.SEGMENT + at for at in (-1, 0, 1)),
    ],
)
def test_sizes_at_every_edge(size: int) -> None:
    """Sources just below, at and above each limit of the pipeline lose and repeat nothing."""
    data = noise(size, size)
    assert _run([data]) == [_sequential(data)]
    assert _run([data, b"", data]) == [_sequential(data), [], _sequential(data)]


@settings(max_examples=100)
@given(data=_data(), begin=st.integers(0, 3_000), own=st.integers(1, 9_000))
def test_resynchronising_from_any_boundary(data: bytes, begin: int, own: int) -> None:
    """From wherever the first true chunk of a segment begins, what comes out are the true chunks that begin in it."""
    with _scaled(9_000, 1):
        view = memoryview(data)
        own = min(own, len(data))
        begin = min(begin, len(data))
        sizes = cut_segment(view[: own + 1024], own)
        corrected, replaced = resynchronise(view[: own + 1024], own, begin, sizes)
        found = corrected + sizes[replaced:]
        expected, position = [], begin
        while position < own:
            expected.append(cut_first(view[position:]))
            position += expected[-1]
        assert found == expected
