"""A backend with a cache is a backend: what it says of a place is what the place says, at the time of the call."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from typing import TYPE_CHECKING

import pytest

from cache.lab import copies_in, noise, put_pack
from casreg import Cache, Conflict, NotFound, StorageUnavailableError
from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.cache import CachedBackend, backend as cached_backends
from casreg.cache.copies import BLOCK
from casreg.digest import digest_of
from casreg.keys import HEAD, INDEX, MARKER, manifest_key, pack_key, segment_key
from casreg.testing import BackendContract, Fault, FaultBackend, FaultKind, RecordingBackend

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend


class TestCachedMemory(BackendContract):
    shared_by_processes = False

    def make_backend(self, folder: Path) -> Backend:
        return CachedBackend(MemoryBackend(), Cache(folder / "cache"))


class TestCachedLocal(BackendContract):
    def make_backend(self, folder: Path) -> Backend:
        return CachedBackend(LocalBackend(folder / "place"), Cache(folder / "cache"))


class TestWithoutACacheThatWorks(BackendContract):
    shared_by_processes = False

    def make_backend(self, folder: Path) -> Backend:
        (folder / "cache").write_bytes(b"no folder")
        return CachedBackend(MemoryBackend(), Cache(folder / "cache"))


@pytest.fixture
def backend(far: RecordingBackend, cache: Cache) -> CachedBackend:
    """What is tested."""
    return CachedBackend(far, cache)


DATA = noise(2 * BLOCK + 99)
IMMUTABLE = [
    pack_key("0" * 16, digest_of(DATA)),
    manifest_key(digest_of(DATA)),
    segment_key(digest_of(DATA)),
    f"{INDEX}{digest_of(DATA).hex()}",
]

# presence


@pytest.mark.parametrize("key", IMMUTABLE)
def test_what_the_place_has_lost_is_not_found(
    key: str, backend: CachedBackend, place: MemoryBackend, cache: Cache
) -> None:
    """By any read, although all of it is in the cache: a save looks for what it builds on with reads like these."""
    backend.create(key, DATA)
    backend.copies.get(key, 0, len(DATA))
    assert copies_in(cache)
    place.delete([key])
    for arguments in ((), (0, 1), (0, len(DATA)), (5, None), (len(DATA) - 50, len(DATA))):
        with pytest.raises(NotFound):
            backend.get(key, *arguments)
    assert list(backend.list("")) == []


@pytest.mark.parametrize("key", IMMUTABLE)
def test_each_read_reaches_the_place(key: str, backend: CachedBackend, far: RecordingBackend) -> None:
    """The copies are read by way of `copies` and in no other way."""
    backend.create(key, DATA)
    backend.copies.get(key, 0, len(DATA))
    far.log.clear()
    assert backend.get(key, 0, 1).data == DATA[:1]
    assert backend.get(key).data == DATA
    assert backend.get(key).token is not None
    assert [call.bytes_out for call in far.calls] == [1, len(DATA), len(DATA)]


def test_two_places_do_not_share_what_is_there(cache: Cache) -> None:
    """The same bytes under the same name, at one place and not at the other: copies are shared, presence is not."""
    here, there = (CachedBackend(MemoryBackend(), cache) for _ in range(2))
    key = put_pack(here, DATA)
    with pytest.raises(NotFound):
        there.get(key, 0, 1)
    assert list(there.list("packs/")) == []
    assert there.create(key, DATA)
    assert there.get(key, 0, 1).data == DATA[:1]


# refs


@pytest.mark.parametrize("key", ["refs/a", HEAD, MARKER])
def test_what_did_not_change_is_not_sent_again(
    key: str, backend: CachedBackend, far: RecordingBackend
) -> None:
    """Asked for each time, sent once; what this handle wrote itself need not even be sent once."""
    far.create(key, b"first state")
    for _ in range(3):
        assert backend.get(key).data == b"first state"
    token = backend.get(key).token
    assert token is not None
    backend.swap(key, b"second state", token)
    found = backend.get(key)
    assert found.data == b"second state"
    assert [call.bytes_out for call in far.log.calls("get")] == [11, 0, 0, 0, 0]
    backend.swap(key, b"third", found.token or token)


@pytest.mark.parametrize("key", ["refs/a", HEAD, MARKER])
def test_what_others_changed_is_seen_at_once(key: str, backend: CachedBackend, place: MemoryBackend) -> None:
    """A swap, a deletion, a key that is made anew: the next read has it."""
    backend.create(key, b"1")
    for number in range(2, 5):
        token = place.get(key).token
        assert token is not None
        token = place.swap(key, b"%d" % number, token)
        found = backend.get(key)
        assert (found.data, found.token) == (b"%d" % number, token)
    place.delete([key])
    with pytest.raises(NotFound):
        backend.get(key)
    place.create(key, b"new")
    assert backend.get(key).data == b"new"


def test_refs_are_never_on_disk(backend: CachedBackend, cache: Cache) -> None:
    """Nor the head, nor the marker, however they came."""
    for key in ("refs/a", HEAD, MARKER):
        backend.swap(key, b"2", backend.create(key, b"1"))
        backend.get(key)
        backend.copies.get(key)
    assert not cache.path.exists()


def test_who_holds_a_state_may_say_so_itself(backend: CachedBackend, far: RecordingBackend) -> None:
    """What the caller passes counts, and it gets it back itself."""
    far.create("refs/a", b"state")
    held = far.get("refs/a")
    far.log.clear()
    assert backend.get("refs/a", held=held) is held
    assert [call.bytes_out for call in far.calls] == [0]


def test_what_is_remembered_of_refs_is_bounded(
    far: RecordingBackend, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing of a million names does not fill the memory; the latest are remembered."""
    monkeypatch.setattr(cached_backends, "_REMEMBERED", 100_000)
    backend = CachedBackend(far, cache)
    for number in range(300):
        backend.create(f"refs/{number:03}", noise(1000, number))
    held = [backend._seen.get(f"refs/{number:03}") is not None for number in range(300)]
    assert 20 < sum(held) < 100
    assert all(held[-20:])


def test_a_write_that_was_refused_is_not_remembered(backend: CachedBackend, far: RecordingBackend) -> None:
    """Who lost a race reads what the winner wrote."""
    token = backend.create("refs/a", b"first")
    far.swap("refs/a", b"theirs", token)
    with pytest.raises(Conflict):
        backend.swap("refs/a", b"mine", token)
    assert backend.get("refs/a").data == b"theirs"


def test_a_swap_whose_answer_was_lost_is_read_back(place: MemoryBackend, cache: Cache) -> None:
    """What is there counts, not what was remembered."""
    token = place.create("refs/a", b"first")
    faults = [Fault(1, FaultKind.AFTER, frozenset({"swap"}))]
    backend = CachedBackend(FaultBackend(place, faults), cache)
    backend.get("refs/a")
    with pytest.raises(StorageUnavailableError):
        backend.swap("refs/a", b"second", token)
    assert backend.get("refs/a").data == b"second"


# writing


@pytest.mark.parametrize("key", IMMUTABLE)
def test_what_is_written_is_there_to_be_read(key: str, backend: CachedBackend, far: RecordingBackend) -> None:
    """Who saves and then loads on one machine fetches nothing; the buffer may change after the call."""
    buffer = bytearray(DATA)
    backend.create(key, memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    far.log.clear()
    if key in IMMUTABLE[1:3]:
        assert backend.copies.get(key).data == DATA
    else:
        assert backend.copies.get(key, 7, len(DATA)).data == DATA[7:]
    assert not far.calls


def test_what_could_not_be_written_is_not_kept(place: MemoryBackend, cache: Cache) -> None:
    """A name whose write failed is not used; so there is nothing to keep."""
    backend = CachedBackend(FaultBackend(place, [Fault(1, FaultKind.BEFORE)]), cache)
    with pytest.raises(StorageUnavailableError):
        backend.create(IMMUTABLE[0], DATA)
    assert not copies_in(cache)


# handles


def test_a_cache_over_a_cache_is_one_cache(far: RecordingBackend, cache: Cache, tmp_path: Path) -> None:
    """The outer one counts: presence is asked of the place itself."""
    other = Cache(tmp_path / "other")
    backend = CachedBackend(CachedBackend(far, other), cache)
    assert backend.backend is far
    backend.create(IMMUTABLE[0], DATA)
    assert copies_in(cache)
    assert not other.path.exists()


def test_a_pickled_handle_has_the_same_cache(cache: Cache) -> None:
    """And forgets what it remembered of refs."""
    backend = CachedBackend(MemoryBackend("pickled-with-a-cache"), cache)
    backend.create("refs/a", b"state")
    backend.create(IMMUTABLE[0], DATA)
    copy = pickle.loads(pickle.dumps(backend))
    assert (copy.cache, copy.location) == (backend.cache, backend.location)
    assert copy._seen.get("refs/a") is None
    backend.delete([IMMUTABLE[0]])
    assert copy.copies.get(IMMUTABLE[0], 0, 9).data == DATA[:9]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_child_waits_for_nobody(far: RecordingBackend, cache: Cache) -> None:
    """What a thread of the parent was fetching when it forked is fetched by the child itself."""
    backend = CachedBackend(far, cache)
    key = put_pack(far, DATA)
    from concurrent.futures import Future

    backend.copies._claims[f"{key[-64:]}.0"] = Future()  # as if a thread was at it

    def work() -> None:
        os._exit(0 if backend.copies.get(key, 0, 10).data == DATA[:10] else 1)

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(60)
    if child.exitcode is None:
        child.kill()
    assert child.exitcode == 0
