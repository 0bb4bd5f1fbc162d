"""Reading by way of copies: the right bytes, few requests, nothing but immutable data."""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from cache.lab import copies_in, noise, put_pack
from casreg import Cache, NotFound, StorageUnavailableError
from casreg.backends.memory import MemoryBackend
from casreg.cache.copies import BLOCK, Copies
from casreg.digest import digest_of
from casreg.keys import HEAD, MARKER, manifest_key, segment_key
from casreg.testing import Fault, FaultBackend, FaultKind, RecordingBackend

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Object

DATA = noise(5 * BLOCK + 1234)


@pytest.fixture
def key(place: MemoryBackend) -> str:
    """A pack with `DATA`."""
    return put_pack(place, DATA)


@pytest.fixture
def copies(far: RecordingBackend, cache: Cache) -> Copies:
    """The reader that is tested."""
    return Copies(far, cache.shelf())


RANGES = st.tuples(st.integers(0, len(DATA) + BLOCK), st.integers(0, 3 * BLOCK))


@given(asked=st.lists(RANGES, max_size=6), lost=st.sets(st.integers(0, 6)))
def test_any_range_is_the_bytes_of_the_place_with_one_request_at_most(
    asked: list[tuple[int, int]], lost: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever was read before, and whatever blocks have gone from the cache since."""
    far = RecordingBackend(MemoryBackend())
    key = put_pack(far, DATA)
    cache = Cache(tmp_path_factory.mktemp("cache"))
    copies = Copies(far, cache.shelf())
    for start, length in asked:
        far.log.clear()
        assert copies.get(key, start, start + length).data == DATA[start : start + length]
        assert len(far.calls) <= 1
        for number in lost:
            copies._shelf.drop(f"{key[-64:]}.{number}")


def test_what_was_read_is_not_asked_for_again(copies: Copies, far: RecordingBackend, key: str) -> None:
    """Also parts of it, and also by another reader with the same folder."""
    copies.get(key, 1000, 3 * BLOCK)
    far.log.clear()
    for start, stop in ((1000, 3 * BLOCK), (0, 10), (BLOCK - 1, BLOCK + 1), (2 * BLOCK, 3 * BLOCK)):
        assert copies.get(key, start, stop).data == DATA[start:stop]
        assert pickle.loads(pickle.dumps(copies)).get(key, start, stop).data == DATA[start:stop]
    assert not far.calls


def test_what_is_missing_between_is_fetched_with_one_request(
    copies: Copies, far: RecordingBackend, key: str
) -> None:
    """The first block and the last of what is missing bound the request, whatever is there between them."""
    for number in (0, 2, 4):
        copies.get(key, number * BLOCK, number * BLOCK + 1)
    far.log.clear()
    assert copies.get(key, 10, 5 * BLOCK + 10).data == DATA[10 : 5 * BLOCK + 10]
    assert [call.bytes_out for call in far.calls] == [len(DATA) - BLOCK]


def test_the_end_of_a_file_is_known_with_its_last_block(
    copies: Copies, far: RecordingBackend, key: str
) -> None:
    """What lies behind it is nothing, and nothing is asked for it."""
    copies.get(key, 5 * BLOCK, 6 * BLOCK)
    far.log.clear()
    assert copies.get(key, 5 * BLOCK + 1000, 20 * BLOCK).data == DATA[5 * BLOCK + 1000 :]
    assert copies.get(key, len(DATA), 20 * BLOCK).data == b""
    assert not far.calls


@pytest.mark.parametrize("make", [manifest_key, segment_key])
def test_small_files_are_kept_whole(make: Any, copies: Copies, far: RecordingBackend) -> None:
    """Manifests and segments, under the digest of their bytes."""
    data = noise(3000)
    key = make(digest_of(data))
    far.create(key, data)
    assert copies.get(key).data == data
    far.log.clear()
    assert copies.get(key).data == data
    assert not far.calls


def test_what_is_damaged_at_the_place_is_not_kept(
    copies: Copies, far: RecordingBackend, cache: Cache
) -> None:
    """The caller gets it and finds out; when the place is healed, the next reader gets the right bytes."""
    data = noise(3000)
    key = manifest_key(digest_of(data))
    far.create(key, b"garbled")
    assert copies.get(key).data == b"garbled"
    assert not copies_in(cache)
    far.delete([key])
    far.create(key, data)
    assert copies.get(key).data == data


@pytest.mark.parametrize(
    "key", ["refs/a", HEAD, MARKER, "tmp-x", "packs/00/x", "manifests/00/" + "1" * 64, "index/x"]
)
def test_everything_else_is_asked_of_the_place_each_time(
    key: str, copies: Copies, far: RecordingBackend, place: MemoryBackend, cache: Cache
) -> None:
    """Refs, the head, the marker, and keys that no immutable file can have: never on disk, never stale."""
    token = place.create(key, b"first")
    assert copies.get(key).token == token
    token = place.swap(key, b"second", token)
    assert copies.get(key).data == b"second"
    assert copies.get(key, 1, 3).data == b"ec"
    assert len(far.calls) == 3
    assert not copies_in(cache)


def test_what_is_gone_is_not_found(copies: Copies, place: MemoryBackend, key: str) -> None:
    """Where there is no copy."""
    place.delete([key])
    for arguments in ((), (0, 10), (5, None)):
        with pytest.raises(NotFound):
            copies.get(key, *arguments)


def test_an_empty_range_asks_the_place(copies: Copies, place: MemoryBackend, key: str) -> None:
    """As a backend does: an empty range of a key that is gone is no excuse."""
    assert copies.get(key, 7, 7).data == b""
    place.delete([key])
    with pytest.raises(NotFound):
        copies.get(key, 7, 7)


def test_renewing_replaces_what_is_wrong(copies: Copies, far: RecordingBackend, place: MemoryBackend) -> None:
    """Copies of damaged bytes are right as to themselves; only who knows better can tell."""
    key = put_pack(place, DATA)
    place.delete([key])
    place.create(key, bytes(len(DATA)))
    assert copies.get(key, 0, len(DATA)).data == bytes(len(DATA))
    place.delete([key])
    place.create(key, DATA)
    assert copies.get(key, 10, 20).data == bytes(10)
    assert copies.renew(key, 10, len(DATA)).data == DATA[10:]
    far.log.clear()
    assert copies.get(key, 0, len(DATA)).data == DATA
    assert not far.calls


class Claims(dict[str, Any]):
    """Tells how many have asked who fetches what."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = threading.Semaphore(0)

    def setdefault(self, key: str, default: Any = None) -> Any:
        found = super().setdefault(key, default)
        self.asked.release()
        return found


class Gate(MemoryBackend):
    """A place that answers only when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()
        self.requests = 0
        self.fails = False

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        self.requests += 1
        fails, self.fails = self.fails, False
        assert self.answer.wait(30)
        if fails:
            raise StorageUnavailableError("away")
        return super().get(key, start, stop, held=held)


@pytest.mark.parametrize("limit", [0, 64 << 20], ids=["nothing can be kept", "kept"])
def test_what_another_thread_is_fetching_is_waited_for(limit: int, tmp_path: Path) -> None:
    """Eight readers of one block at once make one request, also where the disk keeps nothing."""
    gate = Gate()
    key = put_pack(gate, DATA)
    copies = Copies(gate, Cache(tmp_path / "cache", limit=limit).shelf())
    copies._claims = claims = Claims()
    with ThreadPoolExecutor(8) as pool:
        readers = [pool.submit(copies.get, key, 10, 20) for _ in range(8)]
        assert all(claims.asked.acquire(timeout=30) for _ in readers)
        gate.answer.set()
        assert {reader.result(30).data for reader in readers} == {DATA[10:20]}
    assert gate.requests == 1
    assert not copies._claims


def test_what_was_fetched_since_the_first_look_is_not_fetched_again(
    copies: Copies, far: RecordingBackend, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread begins and ends between the look for a copy and the claim to fetch it."""
    look = copies._shelf.read

    def slow_look(name: str) -> bytes | None:
        monkeypatch.setattr(copies._shelf, "read", look)
        found = look(name)
        assert copies.get(key, 30, 40).data == DATA[30:40]
        return found

    monkeypatch.setattr(copies._shelf, "read", slow_look)
    assert copies.get(key, 10, 20).data == DATA[10:20]
    assert len(far.calls) == 1
    assert not copies._claims


def test_the_failure_of_another_thread_is_not_ours(tmp_path: Path) -> None:
    """Who waited for a request that failed asks once itself, and gets its own answer."""
    gate = Gate()
    gate.fails = True
    key = put_pack(gate, DATA)
    copies = Copies(gate, Cache(tmp_path / "cache").shelf())
    copies._claims = claims = Claims()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(copies.get, key, 10, 20)
        assert claims.asked.acquire(timeout=30)
        other = pool.submit(copies.get, key, 30, 40)
        assert claims.asked.acquire(timeout=30)
        gate.answer.set()
        with pytest.raises(StorageUnavailableError):
            first.result(30)
        assert other.result(30).data == DATA[30:40]
    assert not copies._claims


def test_readers_of_overlapping_ranges_end(tmp_path: Path) -> None:
    """Many threads, ranges that overlap in every way, blocks that vanish: each gets its bytes, nobody waits for ever."""
    place = MemoryBackend()
    key = put_pack(place, DATA)
    backend = FaultBackend(place, [Fault(at, FaultKind.BEFORE) for at in range(5, 500, 7)])
    copies = Copies(backend, Cache(tmp_path / "cache").shelf())

    def work(number: int) -> int:
        failed = 0
        for step in range(20):
            start = (number * 7919 + step * 104729) % len(DATA)
            stop = start + 1 + (number * 31 + step * 65537) % (3 * BLOCK)
            copies._shelf.drop(f"{key[-64:]}.{(number + step) % 6}")
            try:
                assert copies.get(key, start, stop).data == DATA[start:stop]
            except StorageUnavailableError:
                failed += 1
        return failed

    with ThreadPoolExecutor(8) as pool:
        failed = sum(pool.map(work, range(8), timeout=60))
    assert failed < 160
    assert not copies._claims
