"""The rules of a compaction by themselves: which bytes count, which packs are worth it, and where things are afterwards."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from casreg import packs as formats
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.exceptions import CorruptError
from casreg.gc import choice, compact, moving
from casreg.gc.choice import BEGIN_ABOVE, END_AT, LEAST_SMALL, SMALL, choose
from casreg.gc.compaction import BATCH_BYTES, BATCH_FRAMES, batches
from casreg.gc.occupancy import Pack, Spans
from casreg.gc.relocation import Frames, relocated
from casreg.ingest.packing import Place
from casreg.keys import PACKS
from casreg.model import PackRef, Placement, Run
from casreg.packs import FRAME, HEADER, PACK_LIMIT, RECORD, TRAILER, Located
from casreg.refs.uploads import upload_name
from casreg.registry import Registry
from casreg.repository import Repository
from collector.lab import NOW, gc
from collector.test_compaction import compacted, packs as keys_of, part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MIB = 2**20


def pack(number: int, live: int, dead: int, frames: int = 1) -> Pack:
    """A pack with so many bytes of frames that are needed, and so many that are not."""
    size = HEADER.size + TRAILER.size + frames * RECORD.size + live + dead
    name = f"{number:016x}-{digest_of(number.to_bytes(8, 'big')).hex()}"
    made = Pack(PackRef(name, size, frames * RECORD.size, digest_of(b"")))
    if live:
        made.needed.add(HEADER.size, HEADER.size + live)
    return made


# ------------------------------------------------------------------------------------------------ which bytes count


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 40)), max_size=400))
def test_spans_count_each_byte_once(ranges: list[tuple[int, int]]) -> None:
    """However ranges overlap and repeat, what comes out is ascending, apart, and has exactly their bytes."""
    spans, half = Spans(), Spans()
    wanted: set[int] = set()
    for number, (begin, length) in enumerate(ranges):
        (spans if number % 2 else half).add(begin, begin + length)
        wanted.update(range(begin, begin + length))
    spans.add_all(half)
    assert {byte for begin, end in spans for byte in range(begin, end)} == wanted
    assert spans.size == len(wanted)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(set(edges))


def test_spans_are_small() -> None:
    """Many ranges that are a few thousand different ones take the memory of these."""
    spans = Spans()
    for number in range(200_000):
        at = number % 3000 * 100
        spans.add(at, at + 90)
    assert len(list(spans)) == 3000
    assert len(spans._edges) == 6000


# ------------------------------------------------------------------------------------------------ which packs


def test_packs_that_are_mostly_dead() -> None:
    """More than half: it frees more than it rewrites. Not for less than a chunk."""
    worn, half = pack(1, 9 * MIB, 10 * MIB), pack(2, 10 * MIB, 10 * MIB)
    full = [pack(number, 32 * MIB, 0) for number in range(3, 20)]
    assert choose([*full, worn, half]) == [worn]
    assert choose([*full, pack(1, 10_000, 60_000)]) == []


def test_dead_bytes_in_all() -> None:
    """Over a sixteenth of what lives, the deadest go, until a twentieth is left. No pack below that is touched."""
    shares = [0.02, 0.03, 0.06, 0.1, 0.15, 0.3]
    held = [pack(number, 20 * MIB, int(20 * MIB * share)) for number, share in enumerate(shares)]
    assert sum(shares) / len(shares) > BEGIN_ABOVE
    assert sum(shares[:4]) / len(shares) < END_AT < sum(shares[:5]) / len(shares) < BEGIN_ABOVE
    assert choose(held) == held[4:]
    little = [pack(number, 20 * MIB, MIB) for number in range(10)]
    assert choose(little) == []


def test_packs_that_stay_do_not_count() -> None:
    """What a save under way holds, or nobody may build on, is neither chosen nor a reason to choose others."""
    worn = pack(1, MIB, 31 * MIB)
    worn.stays = True
    assert choose([worn, pack(2, 32 * MIB, MIB)]) == []


def test_small_packs() -> None:
    """Eight or more of about a size become one; one that is much larger than all of them stays."""
    few = [pack(number, 100_000, 0) for number in range(LEAST_SMALL - 1)]
    assert choose(few) == []
    many = [*few, pack(100, 100_000, 0)]
    assert choose(many) == many
    large = pack(200, 3_000_000, 0)
    assert choose([*many, large]) == many
    assert choose([*many, pack(201, SMALL, 0)]) == many


def test_small_packs_beside_what_is_moved_anyway() -> None:
    """What comes of packs that are mostly dead counts as one of the small ones: it is not left to the next compaction."""
    worn = pack(1, 200_000, 900_000)
    alone = [pack(2 + number, 1_000 * 4**number, 0) for number in range(7)]
    assert choose(alone) == []
    assert choose([worn, *alone]) == [worn]
    near = [pack(20 + number, 150_000, 0) for number in range(LEAST_SMALL - 1)]
    assert choose(near) == []
    assert choose([worn, *near]) == [worn, *near]


_SIZES = st.integers(0, 40 * MIB) | st.integers(0, 300_000)


@settings(max_examples=300)
@given(st.lists(st.tuples(_SIZES, st.just(0) | _SIZES), max_size=40), st.randoms(use_true_random=False))
def test_once_is_enough(sizes: Sequence[tuple[int, int]], draw: object) -> None:
    """What comes of the packs that are chosen, and those that stay, are nothing to choose from; and little of them is dead."""
    held = [pack(number, live, dead) for number, (live, dead) in enumerate(sizes) if live + dead]
    chosen = choose(held)
    moved = sum(one.live for one in chosen)
    number = max(1, math.ceil(moved / (PACK_LIMIT - MIB)))
    made = [pack(1000 + at, moved // number, 0) for at in range(number) if moved]
    rest = [one for one in held if one not in chosen]
    assert choose([*rest, *made]) == []
    worth = sum(one.dead for one in rest if one.dead >= choice.LEAST_DEAD)
    assert worth <= BEGIN_ABOVE * (sum(one.live for one in rest) + moved)


def test_batches() -> None:
    """All packs, in their order, in parts of about the same weight: by bytes, and by frames."""
    held = [pack(number, 30 * MIB, 0, frames=500) for number in range(300)]
    parts = list(batches(held))
    assert [one for part in parts for one in part] == held
    assert [len(part) for part in parts] == [100, 100, 100]
    assert all(sum(one.live for one in part) <= BATCH_BYTES for part in parts)
    frames = [pack(number, MIB, 0, frames=BATCH_FRAMES // 10) for number in range(15)]
    assert [len(part) for part in batches(frames)] == [8, 7]
    assert list(batches([])) == []


# ------------------------------------------------------------------------------------------------ where things are


def frames_of(number: int, sizes: Sequence[int]) -> Frames:
    """A pack with chunks of these sizes, which are stored as they are."""
    table, at = {}, HEADER.size
    for one, size in enumerate(sizes):
        table[digest_of(f"{number} {one}".encode())] = Located(at, FRAME.size + size, size)
        at += FRAME.size + size
    return Frames(pack(number, at - HEADER.size, 0, len(sizes)).ref, table)


def test_a_placement_after_a_compaction() -> None:
    """Runs lead to the new places, chunk by chunk; those in other packs stay; the numbers of packs are those in use."""
    old, other, new = frames_of(1, [10, 20, 30, 40]), frames_of(2, [50]), frames_of(3, [10, 20, 40])
    digests = [digest for digest, _ in old.within(HEADER.size, HEADER.size + 4 * FRAME.size + 100)]
    places = [located for _, located in new.within(HEADER.size, HEADER.size + 3 * FRAME.size + 70)]
    moved = {
        digest: Place(new.pack, located)
        for digest, located in zip((digests[0], digests[1], digests[3]), places, strict=True)
    }
    first = Run(0, HEADER.size, 2 * FRAME.size + 30, 0, 2)
    kept = Run(1, HEADER.size, FRAME.size + 50, 2, 1)
    last = Run(0, HEADER.size + 3 * FRAME.size + 60, FRAME.size + 40, 3, 1)
    placement = Placement(
        (old.pack, other.pack), {"data": (first, kept, last), "list.1": (kept._replace(first=0),)}
    )
    after = relocated(placement, {old.pack.name: old}, moved.__getitem__)
    assert after.packs == (new.pack, other.pack)
    assert after.runs == {
        "data": (
            first,
            kept,
            Run(0, HEADER.size + 2 * FRAME.size + 30, FRAME.size + 40, 3, 1),
        ),
        "list.1": (kept._replace(first=0),),
    }


def test_neighbours_become_one_run() -> None:
    """What was in two packs, and lies side by side now, is read with one request."""
    one, two, new = frames_of(1, [10]), frames_of(2, [20]), frames_of(3, [10, 20])
    (first,) = one.within(HEADER.size, HEADER.size + FRAME.size + 10)
    (second,) = two.within(HEADER.size, HEADER.size + FRAME.size + 20)
    places = [located for _, located in new.within(HEADER.size, HEADER.size + 2 * FRAME.size + 30)]
    moved = {first[0]: Place(new.pack, places[0]), second[0]: Place(new.pack, places[1])}
    placement = Placement(
        (one.pack, two.pack),
        {"data": (Run(0, HEADER.size, FRAME.size + 10, 0, 1), Run(1, HEADER.size, FRAME.size + 20, 1, 1))},
    )
    after = relocated(placement, {one.pack.name: one, two.pack.name: two}, moved.__getitem__)
    assert after.runs == {"data": (Run(0, HEADER.size, 2 * FRAME.size + 30, 0, 2),)}


@pytest.mark.parametrize(("offset", "length", "chunks"), [(1, 0, 1), (0, 1, 1), (0, -1, 1), (0, 0, 2)])
def test_a_run_that_fits_no_frames(offset: int, length: int, chunks: int) -> None:
    """A placement that leads into the middle of something, or to another number of chunks, is not followed."""
    old = frames_of(1, [10, 20, 30])
    run = Run(0, HEADER.size + offset, FRAME.size + 10 + length, 0, chunks)
    with pytest.raises(CorruptError, match=old.pack.name):
        relocated(
            Placement((old.pack,), {"data": (run,)}),
            {old.pack.name: old},
            lambda _: Place(old.pack, Located(0, 0, 0)),
        )


# ------------------------------------------------------------------------------------------------ with small packs


@pytest.mark.parametrize("tiny", [False, True])
def test_packs_are_filled_evenly(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tiny: bool) -> None:
    """What takes several packs takes packs of one size, so that none is left over that the next compaction would take up."""
    place = MemoryBackend()
    for number in range(8):
        folder = tmp_path / str(number)
        folder.mkdir()
        for file in range(500 if tiny else 1):
            (folder / str(file)).write_bytes(part(number * 500 + file, 40 if tiny else 60_000))
        Registry(place).save(f"small:{number}", folder)
    held = compact(Repository(place), NOW, dry_run=True).rewritten
    monkeypatch.setattr(formats, "PACK_LIMIT", int(held * 0.8))
    monkeypatch.setattr(moving, "PACK_LIMIT", int(held * 0.75) + MIB)
    monkeypatch.setattr(choice, "SMALL", held // 4)
    done = compacted(place).compaction
    assert done is not None
    assert done.packs == 8
    sizes = [info.size for info in place.list(PACKS)]
    assert len(sizes) == 2
    assert max(sizes) < 1.4 * min(sizes)
    assert Registry(place).verify(data=True).clean
    assert compact(Repository(place), NOW).packs == 0


def test_of_a_damaged_pack_nothing_is_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also what was read of it before the damage is not written: the new packs have what is needed, and nothing else."""
    place = MemoryBackend()
    registry = Registry(place)
    first = [part(number, 300_000) for number in range(12)]
    registry.save("a", b"".join(first))
    (key,) = keys_of(place)
    registry.save("a", b"".join([*first[:2], part(100, 3_000_000), *first[10:]]))
    registry.delete("a", "1.0.0")
    gc(place)
    for number in range(8):
        registry.save(f"small:{number}", part(200 + number, 30_000))
    data = bytearray(place.get(key).data)
    data[-20_000] ^= 1
    place.delete([key])
    place.create(key, bytes(data))
    before = keys_of(place)
    done = compact(Repository(place), NOW)
    assert list(done.left) == [key]
    (made,) = keys_of(place) - before
    frames = done.rewritten + HEADER.size + TRAILER.size
    assert frames < len(place.get(made).data) < frames + 8 * 4 * RECORD.size
    assert done.packs == 8


def test_what_is_damaged_elsewhere_is_copied() -> None:
    """A chunk that is in a pack which stays as well, but damaged there: the copy that is whole is moved."""
    place, apart = MemoryBackend(), MemoryBackend()
    shared, rest = part(1, 200_000), part(2, 900_000)
    Registry(place).save("a", shared + rest)
    Registry(place).save("a", shared + part(4, 100_000))
    Registry(place).delete("a", "1.0.0")
    gc(place)
    olds = keys_of(place)
    Registry(apart).save("b", shared + part(3, 100_000))
    (key,) = keys_of(apart)
    for info in apart.list(""):  # as a save at the same time that did not find them, brought into the index
        if not info.key.startswith("casreg"):
            place.create(info.key, apart.get(info.key).data)
    healthy = bytes(place.get(key).data)
    for damaged in (False, True):
        copy = MemoryBackend()
        for info in place.list(""):
            data = bytearray(healthy if info.key == key else place.get(info.key).data)
            if damaged and info.key == key:
                data[HEADER.size + FRAME.size + 5] ^= 1
            copy.create(info.key, bytes(data))
        done = compact(Repository(copy), NOW)
        assert done.packs == 1
        assert len(keys_of(copy) - {*olds, key}) == damaged
        gc(copy)
        assert Registry(copy).load("a") == shared + part(4, 100_000)


def test_what_a_save_holds_stays() -> None:
    """Packs that a long save has pinned in a hidden ref are as they are: it is going to build on them."""
    place = MemoryBackend()
    registry = Registry(place)
    first = [part(number, 100_000) for number in range(10)]
    registry.save("a", b"".join(first))
    registry.save("a", b"".join([*first[:2], part(100, 100_000)]))
    registry.delete("a", "1.0.0")
    gc(place)
    assert compact(Repository(place), NOW, dry_run=True).packs == 1
    repository = Repository(place)
    held = repository.refs.read("a")
    assert held is not None
    latest = held.history.latest()
    assert latest is not None
    repository.refs.commit(upload_name(0), lambda attempt: attempt.history.with_version(*latest))
    before = keys_of(place)
    assert compact(Repository(place), NOW).packs == 0
    assert keys_of(place) == before
