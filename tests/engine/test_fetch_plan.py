"""Which bytes of which packs are read: all that is wanted, in order, little more, and never too much at once."""

from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from casreg import codec
from casreg.digest import digest_of
from casreg.exceptions import CorruptError
from casreg.fetch.plan import MAX_CHUNKS, MAX_GAP, MAX_REQUEST, gathered, opened, requests
from casreg.model import Chunk, PackRef, Run
from casreg.packs import FRAME, PackBuilder
from registry.lab import noise


def _packs(count: int) -> list[PackRef]:
    return [PackRef(f"{'0' * 16}-{number:064x}", 10**12, 48, digest_of(b"")) for number in range(count)]


@st.composite
def _runs(draw: st.DrawFn) -> list[Run]:
    """Runs of a section, with gaps between them, in up to three packs."""
    runs: list[Run] = []
    first = 0
    ends = [32, 32, 32]
    for _ in range(draw(st.integers(1, 30))):
        pack = draw(st.integers(0, 2))
        chunks = draw(st.integers(1, 20))
        length = draw(st.integers(100, 4_500_000))
        gap = draw(st.sampled_from([0, 0, 0, 500, MAX_GAP, MAX_GAP + 1, 10_000_000]))
        offset = ends[pack] + gap
        runs.append(Run(pack, offset, length, first, chunks))
        ends[pack] = offset + length
        first += chunks
    return runs


@settings(max_examples=200)
@given(runs=_runs(), fill=st.integers(0, MAX_REQUEST), data=st.data())
def test_every_wanted_chunk_is_read_once_in_order(runs: list[Run], fill: int, data: st.DataObject) -> None:
    """Whatever part of a section is wanted, its chunks come once and in order, each within the range of its request."""
    total = runs[-1].first + runs[-1].chunks
    first = data.draw(st.integers(0, total))
    count = data.draw(st.integers(0, total - first))
    wanted: list[int] = []
    for request in requests(_packs(3), runs, first, count, fill):
        assert request.stop - request.start <= max(MAX_REQUEST, *(run.length for run in runs))
        held = [part.run for part in request.parts]
        assert sum(run.length for run in held) + MAX_GAP * (len(held) - 1) >= request.stop - request.start
        for part in request.parts:
            assert request.pack == _packs(3)[part.run.pack]
            assert request.start <= part.run.offset
            assert part.run.offset + part.run.length <= request.stop
            wanted += range(part.first, part.stop)
    assert wanted == list(range(first, first + count))


def test_small_neighbours_are_read_together() -> None:
    """Many small runs side by side are one request."""
    runs = [Run(0, 32 + 1_000 * number, 900, number, 1) for number in range(100)]
    assert len(list(requests(_packs(1), runs, 0, 100))) == 1


@settings(max_examples=200)
@given(runs=_runs(), fill=st.integers(1, MAX_REQUEST), data=st.data())
def test_every_wanted_chunk_is_read_once_in_any_order(
    runs: list[Run], fill: int, data: st.DataObject
) -> None:
    """By where they are in the packs: also if some stand in the section again, or in two runs that overlap."""
    again = data.draw(st.lists(st.sampled_from(runs), max_size=10))
    for run in again:
        last = runs[-1]
        runs = [*runs, run._replace(first=last.first + last.chunks)]
    total = runs[-1].first + runs[-1].chunks
    first = data.draw(st.integers(0, total))
    count = data.draw(st.integers(0, total - first))
    wanted: list[int] = []
    for request in gathered(_packs(3), runs, first, count, fill):
        assert request.stop - request.start <= max(MAX_REQUEST, *(run.length for run in runs))
        held = [part.run for part in request.parts]
        assert len(held) == 1 or sum(run.chunks for run in held) <= MAX_CHUNKS
        assert sum(run.length for run in held) + MAX_GAP * (len(held) - 1) >= request.stop - request.start
        for part in request.parts:
            assert request.pack == _packs(3)[part.run.pack]
            assert request.start <= part.run.offset
            assert part.run.offset + part.run.length <= request.stop
            wanted += range(part.first, part.stop)
    assert sorted(wanted) == list(range(first, first + count))


MIB = 1 << 20


def _side_by_side(lengths: list[int], chunks: int = 60, packs: int = 1) -> list[Run]:
    """Runs one behind the other, the same number in each pack."""
    runs: list[Run] = []
    for number, length in enumerate(lengths):
        pack = number * packs // len(lengths)
        offset = runs[-1].offset + runs[-1].length if runs and runs[-1].pack == pack else 32
        runs.append(Run(pack, offset, length, number * chunks, chunks))
    return runs


def _parts(runs: list[Run], fill: int) -> list[int]:
    """How many runs each request has, if all are read."""
    packs = _packs(runs[-1].pack + 1)
    count = runs[-1].first + runs[-1].chunks
    return [len(request.parts) for request in requests(packs, runs, 0, count, fill)]


@pytest.mark.parametrize(
    ("fill", "parts"),
    [(0, [1] * 8), (6 * MIB - 1, [1] * 8), (6 * MIB, [2] * 4), (MAX_REQUEST, [2] * 4)],
)
def test_long_neighbours_are_read_together_where_that_is_asked_for(fill: int, parts: list[int]) -> None:
    """Up to so many bytes, and none where there is nothing to gain."""
    assert _parts(_side_by_side([3 * MIB] * 8), fill) == parts


def test_what_is_scattered_is_gathered() -> None:
    """Every second run is in a second pack, as after many small changes, and all come again: one request for each pack."""
    runs = []
    for number in range(40):
        pack, offset = number % 2, 32 + number // 2 % 10 * 200_000
        runs.append(Run(pack, offset, 200_000, number * 3, 3))
    assert len(list(requests(_packs(2), runs, 0, 120, MAX_REQUEST))) == 40
    found = list(gathered(_packs(2), runs, 0, 120, MAX_REQUEST))
    assert [(request.start, request.stop) for request in found] == [(32, 2_000_032)] * 2


def test_small_neighbours_are_gathered_however_small_a_share_is() -> None:
    """As in order: a request for each of them would take longer."""
    runs = [Run(0, 32 + 1_000 * number, 900, number, 1) for number in range(100)]
    assert len(list(gathered(_packs(1), runs, 0, 100, 1))) == 1


def test_what_is_read_together_is_in_one_pack_and_hardly_apart() -> None:
    """A request has one pack, and little that nobody asked for."""
    assert _parts(_side_by_side([MIB] * 6, chunks=16, packs=2), MAX_REQUEST) == [3, 3]
    apart = [
        run._replace(offset=run.offset + run.pack + (MAX_GAP + 1) * (run.first >= 120))
        for run in _side_by_side([MIB] * 4)
    ]
    assert _parts(apart, MAX_REQUEST) == [2, 2]


def test_what_compresses_well_is_not_read_together_for_ever() -> None:
    """All chunks of a request are in memory at once, however few bytes they are in the pack."""
    assert _parts(_side_by_side([100_000] * 8, chunks=MAX_CHUNKS // 2), MAX_REQUEST) == [2] * 4


@pytest.mark.parametrize(("first", "count"), [(0, 11), (5, 6), (10, 1)])
def test_a_placement_that_ends_early(first: int, count: int) -> None:
    """Runs that do not reach all chunks are damage, found before anything is read."""
    with pytest.raises(CorruptError, match="does not reach"):
        list(requests(_packs(1), [Run(0, 32, 1_000, 0, 10)], first, count))


def test_a_section_without_runs() -> None:
    """No runs at all are damage where chunks are wanted, and fine where none are."""
    assert list(requests([], [], 0, 0)) == []
    with pytest.raises(CorruptError, match="does not reach"):
        list(requests([], [], 0, 1))


@pytest.fixture
def pack() -> tuple[memoryview, list[Chunk], PackRef, Run]:
    """A pack of five chunks, as one run."""
    datas = [noise(300 + number, number) for number in range(5)]
    builder = PackBuilder(bytearray())
    spots = [builder.append(digest_of(data), codec.RAW, data, len(data)) for data in datas]
    sealed = builder.seal()
    run = Run(0, spots[0].offset, sum(spot.length for spot in spots), 0, 5)
    return (
        memoryview(bytes(sealed.data)),
        [Chunk(digest_of(data), len(data)) for data in datas],
        sealed.ref,
        run,
    )


@pytest.mark.parametrize(("first", "count"), [(0, 5), (0, 1), (2, 2), (4, 1)])
def test_chunks_come_out_verified(
    pack: tuple[memoryview, list[Chunk], PackRef, Run], first: int, count: int
) -> None:
    """Of a run the wanted chunks come out, with their numbers; those before them are passed over."""
    data, chunks, ref, run = pack
    (request,) = requests([ref], [run], first, count)
    found = list(opened(request, data[request.start : request.stop], chunks.__getitem__))
    assert [number for number, _ in found] == list(range(first, first + count))
    assert [digest_of(piece) for _, piece in found] == [
        chunk.digest for chunk in chunks[first : first + count]
    ]


@pytest.mark.parametrize("at", [0, 4, 5, 8, 9, 12, 20, 60, 344, 348, 390, 1_000])
def test_a_flipped_bit_names_pack_and_chunk(
    pack: tuple[memoryview, list[Chunk], PackRef, Run], at: int
) -> None:
    """Damage in a frame, or in the header of one, is an error that names the pack and a chunk."""
    data, chunks, ref, run = pack
    (request,) = requests([ref], [run], 0, 5)
    damaged = bytearray(data[request.start : request.stop])
    damaged[at] ^= 0x10
    with pytest.raises(CorruptError, match=rf"{ref.name}.*[0-9a-f]{{64}}"):
        list(opened(request, memoryview(damaged), chunks.__getitem__))


@pytest.mark.parametrize("left", [0, 10, FRAME.size, 200, 345, 1_000])
def test_a_read_that_is_cut_off(pack: tuple[memoryview, list[Chunk], PackRef, Run], left: int) -> None:
    """If a pack ends before its run does, that is damage that names the pack and the chunk where it ends."""
    data, chunks, ref, run = pack
    (request,) = requests([ref], [run], 0, 5)
    with pytest.raises(CorruptError, match=rf"{ref.name}.*[0-9a-f]{{64}}"):
        list(opened(request, data[request.start : request.start + left], chunks.__getitem__))


def test_a_run_of_another_length(pack: tuple[memoryview, list[Chunk], PackRef, Run]) -> None:
    """A run that says that it is shorter than its frames is damage: nothing beyond it is taken for its own."""
    data, chunks, ref, run = pack
    short = run._replace(length=run.length - 1)
    (request,) = requests([ref], [short], 0, 5)
    with pytest.raises(CorruptError, match=ref.name):
        list(opened(request, data[request.start :], chunks.__getitem__))
