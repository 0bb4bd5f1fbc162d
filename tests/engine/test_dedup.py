"""The same bytes are stored once: within a save, across versions, across names, and from a new process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from casreg.backends.memory import MemoryBackend
from casreg.ingest import assembly, packing
from casreg.keys import MANIFESTS, PACKS
from casreg.model import INLINE_LIMIT
from casreg.packs import FRAME, HEADER, PACK_LIMIT, TRAILER, iterate_frames, parse_table, read_trailer
from casreg.registry import Registry
from casreg.repository.finding import select
from casreg.testing.recording import RecordingBackend
from casreg.versions import Latest
from registry.lab import noise, text

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.model import Manifest
    from casreg.progress import Progress


def packed(place: MemoryBackend) -> int:
    """Bytes of all packs."""
    return sum(info.size for info in place.list(PACKS))


def manifest_of(registry: Registry, name: str) -> Manifest:
    """The manifest of the latest version."""
    repository = registry._repository
    return repository.manifest(select(repository, name, Latest())[1].manifest)


def report_of(registry: Registry, name: str, value: object) -> Progress:
    """The last report of a save."""
    reports: list[Progress] = []
    registry.save(name, value, progress=reports.append)
    return reports[-1]


def test_the_same_again_stores_a_manifest() -> None:
    """Saving the same bytes again under the same name stores a manifest and no pack."""
    place = MemoryBackend()
    registry = Registry(place)
    data = text(3_000_000)
    registry.save("thing", data)
    before = packed(place)
    last = report_of(registry, "thing", data)
    assert packed(place) == before
    assert (last.stored, last.reused, last.done) == (0, len(data), len(data))
    info = registry.info("thing")
    assert info["stored"] < 10_000
    assert registry.load("thing") == data


@pytest.mark.parametrize("size", [20_000, 100_000, 40_000_000])
def test_another_name_from_a_new_registry_finds_it(size: int) -> None:
    """What one name has, another name does not store, whoever saves it: the index knows each chunk."""
    place = MemoryBackend()
    data = noise(size)
    Registry(place).save("thing", data)
    before = packed(place)
    last = report_of(Registry(place), "other", data)
    assert packed(place) == before
    assert last.reused == size
    assert Registry(place).load("other") == data


def test_duplicates_within_one_save_are_stored_once(tmp_path: Path) -> None:
    """Files of a folder, and parts of a file, that are the same are stored once."""
    part = noise(2_000_000)
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        (folder / f"copy-{number}").write_bytes(part)
        (folder / f"small-{number}").write_bytes(part[:50_000])
    place = MemoryBackend()
    registry = Registry(place)
    last = report_of(registry, "thing", folder)
    assert packed(place) < 2_100_000
    assert last.done == 5 * 2_050_000
    assert last.reused > 7_900_000
    found = registry.load("thing", into=tmp_path / "out")
    assert all((found / f"copy-{number}").read_bytes() == part for number in range(5))


def test_many_names_share_a_part() -> None:
    """Objects of several names with a common part store it once, found through the index."""
    place = MemoryBackend()
    common = noise(5_000_000)
    for number in range(4):
        Registry(place).save(f"thing:{number}", noise(300_000, 10 + number) + common)
    assert packed(place) < 5_000_000 + 4 * 450_000


def test_one_byte_at_the_front() -> None:
    """One byte inserted at the front of 50 MB re-uses more than 99 % of it."""
    place = MemoryBackend()
    registry = Registry(place)
    data = noise(50_000_000)
    registry.save("thing", data)
    before = packed(place)
    last = report_of(registry, "thing", b"!" + data)
    assert packed(place) - before < 500_000
    assert last.reused > 0.99 * len(data)
    assert registry.load("thing") == b"!" + data


def test_a_change_in_the_middle() -> None:
    """A change of a few bytes in the middle of an array stores a few chunks."""
    place = MemoryBackend()
    registry = Registry(place)
    array = np.random.default_rng(3).random(2_000_000)
    registry.save("thing", array)
    before = packed(place)
    array[1_000_000:1_000_010] = 0
    registry.save("thing", array)
    assert packed(place) - before < 600_000
    assert np.array_equal(registry.load("thing"), array)


def test_older_versions_are_found_too() -> None:
    """What only an older version has is found through the index."""
    place = MemoryBackend()
    registry = Registry(place)
    first = noise(1_000_000, 1)
    registry.save("thing", first)
    registry.save("thing", noise(1_000_000, 2))
    before = packed(place)
    registry.save("thing", first)
    assert packed(place) == before


def test_a_lost_index_costs_space_only() -> None:
    """Without an index a new name stores its bytes again, and the same name still finds its own."""
    place = MemoryBackend()
    data = noise(1_000_000)
    Registry(place).save("thing", data)
    place.delete([info.key for info in place.list("index/")])
    before = packed(place)
    Registry(place).save("thing", data)
    assert packed(place) == before
    registry = Registry(place)
    registry.save("other", data)
    assert packed(place) > before
    assert registry.load("other") == data


# ---------------------------------------------------------------------------------------------- codecs


def _codecs(place: MemoryBackend) -> dict[int, int]:
    """Bytes of objects and lists by codec."""
    found = {0: 0, 1: 0}
    for info in place.list(PACKS):
        data = memoryview(place.get(info.key).data)
        count, _ = read_trailer(data[-TRAILER.size :], info.key)
        frames = data[HEADER.size : len(data) - TRAILER.size - 48 * count]
        for frame in iterate_frames(frames, info.key):
            found[frame.codec] += frame.size
    return found


def test_noise_is_stored_raw() -> None:
    """What no codec makes smaller is stored as it is: it costs less than a thousandth more than its size."""
    place = MemoryBackend()
    Registry(place).save("thing", noise(5_000_000))
    assert _codecs(place)[1] == 0
    assert packed(place) < 5_010_000


def test_text_is_compressed() -> None:
    """What compresses is compressed."""
    place = MemoryBackend()
    Registry(place).save("thing", text(5_000_000))
    # Raw is only the list of its chunks, which are digests.
    assert _codecs(place)[0] < 10_000
    assert _codecs(place)[1] == 5_000_000
    assert packed(place) < 3_500_000


def test_zeros_are_next_to_nothing() -> None:
    """A long stretch of zeros is one chunk, once."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", bytes(50_000_000))
    assert packed(place) < 20_000
    assert registry.load("thing") == bytes(50_000_000)


# ---------------------------------------------------------------------------------------------- numbers


@pytest.mark.parametrize("value", [b"x" * 100, noise(100_000), text(1_000_000)])
def test_stored_is_what_the_place_grew_by(value: bytes) -> None:
    """`stored` of a version is the bytes of the packs and the manifest that its save added."""
    place = MemoryBackend()
    registry = Registry(place)
    for _ in range(2):
        before = sum(info.size for prefix in (PACKS, MANIFESTS) for info in place.list(prefix))
        registry.save("thing", value)
        after = sum(info.size for prefix in (PACKS, MANIFESTS) for info in place.list(prefix))
        assert registry.info("thing")["stored"] == after - before


def test_a_placement_in_a_segment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A placement that moved to a segment counts as stored too."""
    from casreg.repository import proving

    monkeypatch.setattr(proving, "PLACEMENT_LIMIT", 10)
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", noise(100_000))
    prefixes = (PACKS, MANIFESTS, "segments/")
    assert len(list(place.list("segments/"))) == 1
    stored = sum(info.size for prefix in prefixes for info in place.list(prefix))
    assert registry.info("thing")["stored"] == stored


@pytest.mark.parametrize("over", [0, 1])
def test_the_inline_limit(over: int) -> None:
    """A payload of exactly 16 KiB stands in the manifest; one byte more makes a pack."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", noise(INLINE_LIMIT + over))
    assert len(list(place.list(PACKS))) == over
    assert manifest_of(registry, "thing").placement.inline == (0 if over else INLINE_LIMIT)
    assert registry.load("thing") == noise(INLINE_LIMIT + over)


def test_packs_are_closed_at_their_limit() -> None:
    """A big object makes packs of up to 32 MiB each, and little ones are not made."""
    place = MemoryBackend()
    registry = Registry(place)
    data = noise(100_000_000)
    registry.save("thing", data)
    sizes = sorted(info.size for info in place.list(PACKS))
    assert len(sizes) == 3
    assert all(size <= PACK_LIMIT + 200_000 for size in sizes)
    assert all(size > PACK_LIMIT - 300_000 for size in sizes[1:])
    assert registry.load("thing") == data


def test_many_small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """However small packs are, each chunk is where the placement says, and buffers are used again."""
    monkeypatch.setattr("casreg.packs.PACK_LIMIT", 200_000)
    place = MemoryBackend()
    registry = Registry(place)
    data = text(12_000_000) + noise(3_000_000)
    registry.save("thing", data)
    assert len(list(place.list(PACKS))) > 30
    assert registry.load("thing") == data
    for pack in manifest_of(registry, "thing").placement.packs:
        key = next(info.key for info in place.list(PACKS) if pack.name in info.key)
        raw = place.get(key).data
        end = len(raw) - TRAILER.size
        table = parse_table(pack, raw[end - pack.table_size : end])
        for digest, located in table.items():
            assert FRAME.unpack_from(raw, located.offset)[5] == digest


def test_runs_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a placement lie side by side, cover every chunk in order, and are of at most 4 MiB."""
    registry = Registry(MemoryBackend())
    data = noise(30_000_000)
    registry.save("thing", data)
    manifest = manifest_of(registry, "thing")
    runs = manifest.placement.runs["data"]
    assert [run.first for run in runs] == [sum(run.chunks for run in runs[:at]) for at in range(len(runs))]
    assert all(run.length <= assembly.RUN_BYTES + 44 * run.chunks for run in runs)
    assert len(runs) < 12


def test_a_pack_that_a_doubled_request_has_written() -> None:
    """If the storage says that a pack exists, which only a doubled request explains, it goes out under a new name."""
    from casreg.testing.faults import Fault, FaultBackend, FaultKind

    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.DOUBLED, frozenset({"create"}), PACKS)])
    registry = Registry(backend)
    registry.save("thing", noise(100_000))
    names = {pack.name for pack in manifest_of(registry, "thing").placement.packs}
    assert len(list(backend.inner.list(PACKS))) == 2
    assert len(names) == 1
    assert registry.load("thing") == noise(100_000)


def test_few_packs_are_under_way_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the storage, only a few packs wait for it in memory."""
    import threading

    monkeypatch.setattr("casreg.packs.PACK_LIMIT", 300_000)
    lock, now, most = threading.Lock(), 0, 0

    class Slow(RecordingBackend):
        def create(self, key, data, *, durable=True):  # type: ignore[no-untyped-def]
            nonlocal now, most
            with lock:
                now += key.startswith(PACKS)
                most = max(most, now)
            try:
                threading.Event().wait(0.01 if key.startswith(PACKS) else 0)
                return super().create(key, data, durable=durable)
            finally:
                with lock:
                    now -= key.startswith(PACKS)

    Registry(Slow(MemoryBackend())).save("thing", noise(20_000_000))
    assert 1 <= most <= packing.MAX_IN_FLIGHT
