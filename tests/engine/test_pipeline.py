"""The pipeline under trouble: errors stop it, nothing is committed, and no thread, file or memory stays behind."""

from __future__ import annotations

import gc
import os
import threading
import time
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import StorageFullError, StorageUnavailableError
from casreg.ingest import pipeline
from casreg.keys import PACKS
from casreg.registry import Registry
from casreg.testing.faults import Fault, FaultBackend, FaultKind
from registry.lab import noise, snapshot, text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from casreg.ingest.packing import Encoded
    from casreg.ingest.segments import Piece


def _settled(count: int) -> int:
    """How many threads there are, once those that are ending have ended."""
    deadline = time.monotonic() + 10
    while threading.active_count() > count and time.monotonic() < deadline:
        gc.collect()
        time.sleep(0.01)
    return threading.active_count()


@pytest.mark.parametrize("at", [1, 2, 4])
def test_a_storage_that_is_full_in_the_middle(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """If a pack cannot be written the save ends with the storage's error; threads end, and the next save works."""
    monkeypatch.setattr("casreg.packs.PACK_LIMIT", 2_000_000)
    threads = threading.active_count()
    place = MemoryBackend()
    fault = Fault(at, FaultKind.BEFORE, frozenset({"create"}), PACKS, times=1_000, error=StorageFullError)
    backend = FaultBackend(place, [fault])
    registry = Registry(backend)
    with pytest.raises(StorageFullError):
        registry.save("thing", noise(30_000_000))
    assert not [key for key in snapshot(place) if key.startswith(("refs/", "manifests/"))]
    assert backend.fired <= 5  # packs that were under way; no others were begun
    backend.faults = ()
    registry.save("thing", noise(30_000_000))
    assert registry.load("thing") == noise(30_000_000)
    del registry
    assert _settled(threads) == threads


def test_a_pack_whose_request_was_lost_is_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A storage that is away for one request costs a second one under another name."""
    monkeypatch.setattr("casreg.packs.PACK_LIMIT", 2_000_000)
    for kind in (FaultKind.BEFORE, FaultKind.AFTER, FaultKind.LATE):
        backend = FaultBackend(MemoryBackend(), [Fault(3, kind, frozenset({"create"}), PACKS)])
        registry = Registry(backend)
        registry.save("thing", noise(12_000_000))
        backend.deliver()
        names = [call.key for call in backend.log.calls("create", PACKS)]
        assert len(set(names)) == len(names)
        assert registry.load("thing") == noise(12_000_000)


def test_a_storage_that_stays_away() -> None:
    """A storage that is away for long ends the save with its error."""
    fault = Fault(1, FaultKind.BEFORE, frozenset({"create"}), PACKS, times=1_000)
    with pytest.raises(StorageUnavailableError):
        Registry(FaultBackend(MemoryBackend(), [fault])).save("thing", noise(3_000_000))


@pytest.mark.parametrize("step", ["_cut", "_encode"])
def test_an_error_in_a_thread_reaches_the_caller(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Whatever a thread raises, the save raises, and the other threads end."""
    threads = threading.active_count()
    real = getattr(pipeline, step)
    calls = 0

    def fail(*arguments: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise MemoryError("no room for one more")
        return real(*arguments)

    monkeypatch.setattr(pipeline, step, fail)
    registry = Registry(MemoryBackend())
    with pytest.raises(MemoryError, match="one more"):
        registry.save("thing", noise(60_000_000))
    assert calls < 8
    assert registry.list_objects() == []
    del registry
    assert _settled(threads) == threads


def test_a_load_that_fails_ends_its_threads(tmp_path: Path) -> None:
    """A storage that fails in the middle of a load ends it at once, with all its threads and files."""
    place = MemoryBackend()
    (tmp_path / "file").write_bytes(noise(60_000_000))
    Registry(place).save("thing", tmp_path / "file")
    threads = threading.active_count()
    fault = Fault(4, FaultKind.BEFORE, frozenset({"get"}), PACKS, times=1_000)
    backend = FaultBackend(place, [fault])
    registry = Registry(backend)
    files = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    with pytest.raises(StorageUnavailableError):
        registry.load("thing", into=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    if files:
        assert len(os.listdir("/proc/self/fd")) == files
    del registry
    assert _settled(threads) == threads


def _use(registry: Registry, number: int) -> None:
    registry.save("thing", number)
    registry.save("thing", number + 1)
    registry.load("thing")


def test_registries_that_come_and_go_leave_no_threads() -> None:
    """Fifty Registries, used and dropped, leave no thread behind."""
    place = MemoryBackend()
    Registry(place).save("thing", 0)
    _settled(1)
    threads = threading.active_count()
    for number in range(50):
        _use(Registry(place), number)
    assert _settled(threads) <= threads


def test_chunks_are_the_same_for_any_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """One core or eight: the same object has the same identity."""
    data = text(30_000_000) + noise(10_000_000)
    digests = set()
    for count in (1, 2, 8):
        monkeypatch.setattr(pipeline, "workers", lambda count=count: count)
        registry = Registry(MemoryBackend())
        registry.save("thing", data)
        digests.add(registry.info("thing")["data_digest"])
        assert registry.load("thing") == data
    assert len(digests) == 1


def test_compression_runs_beside_cutting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressing is done on other threads than the caller's, several at a time where there are cores."""
    seen: set[int] = set()
    real = pipeline._encode

    def encode(pieces: Sequence[Piece]) -> list[Encoded]:
        if len(pieces) > 10:  # the short list of the chunks is dealt with where it is made
            seen.add(threading.get_ident())
        return real(pieces)

    monkeypatch.setattr(pipeline, "_encode", encode)
    monkeypatch.setattr(pipeline, "workers", lambda: 3)
    Registry(MemoryBackend()).save("thing", text(60_000_000))
    assert threading.get_ident() not in seen
    assert len(seen) > 1


def test_two_registries_of_one_folder_in_many_threads(tmp_path: Path) -> None:
    """Registries that know nothing of each other, at one folder and in threads of one process, lose nothing."""
    from concurrent.futures import ThreadPoolExecutor

    ready = threading.Barrier(6)

    def work(number: int) -> list[str]:
        registry = Registry(tmp_path / "place")
        ready.wait()
        return [registry.save("same", noise(30_000, 10 * number + turn)) for turn in range(5)]

    with ThreadPoolExecutor(6) as threads:
        given = [version for versions in threads.map(work, range(6)) for version in versions]
    registry = Registry(tmp_path / "place")
    assert len(set(given)) == 30
    assert sorted(given) == sorted(registry.list_versions("same"))
    assert {registry.load("same", version) for version in given} == {
        noise(30_000, 10 * number + turn) for number in range(6) for turn in range(5)
    }
