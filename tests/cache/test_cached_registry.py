"""A Registry with a cache: few requests, the right objects, and nothing built on what the place has lost."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from cache.lab import copies_in, noise, packs_at
from casreg import (
    Cache,
    CorruptError,
    InvalidArgumentError,
    ObjectNotFoundError,
    Registry,
    StorageUnavailableError,
)
from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.cache import CachedBackend
from casreg.head import INITIAL, close, condemn, dump_head, encode_names, verdict
from casreg.keys import HEAD, INDEX, MANIFESTS, PACKS, REFS, SEGMENTS
from casreg.refs import spill
from casreg.testing import Fault, FaultBackend, FaultKind, RecordingBackend
from casreg.verify import check_packs, survey

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import FreshPython

BIG = noise(9_000_000)
OBJECTS: dict[str, Any] = {
    "small": {"a": 1, "b": [1, 2, 3]},
    "text": "word " * 10_000,
    "bytes": noise(700_000),
    "big": BIG,
}
each_object = pytest.mark.parametrize("name", OBJECTS)


def far_away(backend: object, cache: Cache | bool | None = None) -> Registry:
    """A registry with a cache, or with none."""
    return Registry(backend, cache=cache)  # type: ignore[arg-type]


# requests


@each_object
def test_a_second_load_asks_for_the_ref_alone(
    name: str, far: RecordingBackend, place: MemoryBackend, cache: Cache
) -> None:
    """In one process it is not even sent again."""
    Registry(place).save(name, OBJECTS[name])
    registry = far_away(far, cache)
    assert registry.load(name) == OBJECTS[name]
    far.log.clear()
    assert registry.load(name) == OBJECTS[name]
    assert [(call.method, call.key[: len(REFS)], call.bytes_out) for call in far.calls] == [("get", REFS, 0)]


@each_object
def test_another_handle_asks_for_the_ref_alone(
    name: str, far: RecordingBackend, place: MemoryBackend, cache: Cache
) -> None:
    """Nothing in memory is needed for that."""
    Registry(place).save(name, OBJECTS[name])
    far_away(far, cache).load(name)
    far.log.clear()
    assert far_away(far, cache).load(name) == OBJECTS[name]
    assert [(call.method, call.key[: len(REFS)]) for call in far.calls] == [("get", REFS)]


def test_another_process_asks_for_the_ref_alone(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Two that load one after the other: the second makes one request."""
    Registry(tmp_path / "place").save("big", BIG)
    code = (
        "import sys; from casreg import Cache, Registry; from casreg.backends.local import LocalBackend;"
        "from casreg.testing import RecordingBackend;"
        "far = RecordingBackend(LocalBackend(sys.argv[1])); registry = Registry(far, cache=Cache(sys.argv[2]));"
        "print(len(registry.load('big'))); print(*(call.key for call in far.calls))"
    )
    first, second = (
        fresh_python(code, str(tmp_path / "place"), str(tmp_path / "cache")).split() for _ in range(2)
    )
    assert first[0] == second[0] == str(len(BIG))
    assert len(first) > 3
    assert second[1:] == ["refs/big"]


@each_object
def test_a_first_load_asks_no_more_than_without_a_cache(
    name: str, far: RecordingBackend, place: MemoryBackend, cache: Cache
) -> None:
    """Request by request: the keys are the same, none comes more often."""
    Registry(place).save(name, OBJECTS[name])
    far_away(far, False).load(name)
    without = sorted(call.key for call in far.calls)
    far.log.clear()
    far_away(far, cache).load(name)
    assert {call.key for call in far.calls} == set(without)
    assert len(far.calls) <= len(without)


def test_a_version_that_shares_bytes_is_fetched_in_part(
    far: RecordingBackend, place: MemoryBackend, cache: Cache
) -> None:
    """Who has loaded one version fetches of the next about what is new in it."""
    writer, changed = Registry(place), bytearray(BIG)
    changed[4_000_000:4_001_000] = noise(1000, 1)
    writer.save("big", BIG)
    far_away(far, cache).load("big")
    writer.save("big", bytes(changed))
    far.log.clear()
    assert far_away(far, cache).load("big") == bytes(changed)
    assert sum(call.bytes_out for call in far.calls) < 1_000_000


def test_what_was_saved_here_is_not_fetched(far: RecordingBackend, cache: Cache) -> None:
    """Save, then load in another process of this machine: one request."""
    far_away(far, cache).save("big", BIG)
    far.log.clear()
    assert far_away(far, cache).load("big") == BIG
    assert len(far.calls) == 1


def test_a_stream_reads_copies(far: RecordingBackend, place: MemoryBackend, cache: Cache) -> None:
    """`open` as well as `load`."""
    Registry(place).save("bytes", OBJECTS["bytes"])
    far_away(far, cache).load("bytes")
    far.log.clear()
    with far_away(far, cache).open("bytes") as stream:
        stream.seek(100_000)
        assert stream.read(1000) == OBJECTS["bytes"][100_000:101_000]
    assert not far.log.calls(prefix=PACKS)


def test_the_index_is_read_of_copies(far: RecordingBackend, place: MemoryBackend, cache: Cache) -> None:
    """A save in another process finds duplicates without fetching the index; that the packs are there it sees itself."""
    far_away(far, cache).save("one", BIG)
    far.log.clear()
    far_away(far, cache).save("two", BIG)
    assert far.log.calls("list", INDEX)
    assert not far.log.calls("get", INDEX)
    assert far.log.calls("get", PACKS)
    assert not far.log.calls("create", PACKS)


def test_old_history_is_read_of_copies(
    far: RecordingBackend, place: MemoryBackend, cache: Cache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A version that stands in a segment costs no request more than one that stands in the ref."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 3_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    for number in range(12):
        Registry(place).save("long", number)
    assert list(place.list(SEGMENTS))
    for expected in ([REFS, SEGMENTS, MANIFESTS], [REFS]):
        far.log.clear()
        assert far_away(far, cache).load("long", "1.0.0") == 0
        assert [call.key.partition("/")[0] + "/" for call in far.calls] == expected


def test_threads_fetch_together(far: RecordingBackend, place: MemoryBackend, cache: Cache) -> None:
    """Eight that load the same for the first time at once: each gets all of it, and it is not fetched eight times."""
    Registry(place).save("big", BIG)
    registry = far_away(far, cache)
    with ThreadPoolExecutor(8) as pool:
        loads = [pool.submit(registry.load, "big") for _ in range(8)]
        assert all(load.result(60) == BIG for load in loads)
    assert sum(call.bytes_out for call in far.log.calls(prefix=PACKS)) < 2 * len(BIG)


def test_processes_share_a_cache(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Four that load the same objects at once into one small cache, and one that damages it: all get what was saved."""
    writer = Registry(tmp_path / "place")
    for number in range(6):
        writer.save(f"thing:{number}", noise(600_000, number))
    code = (
        "import random, sys; from casreg import Cache, Registry; from pathlib import Path;"
        "cache = Cache(sys.argv[2], limit=2 << 20); me = int(sys.argv[3])\n"
        "for step in range(25):\n"
        "    if me == 4:\n"
        "        for path in list(cache.path.glob('v1/??/*'))[::3]:\n"
        "            try: path.write_bytes(path.read_bytes()[:-7] + b'garbled')\n"
        "            except FileNotFoundError: pass\n"
        "        continue\n"
        "    number = (me + step) % 6\n"
        "    found = Registry(sys.argv[1], cache=cache).load(f'thing:{number}')\n"
        "    assert found == random.Random(number).randbytes(600_000)\n"
        "print('fine')"
    )
    places = str(tmp_path / "place"), str(tmp_path / "cache")
    with ThreadPoolExecutor(5) as pool:
        runs = [pool.submit(fresh_python, code, *places, str(number)) for number in range(5)]
        assert [run.result().strip() for run in runs] == ["fine"] * 5
    assert Cache(places[1]).size() <= (2 << 20) + 5 * 300_000


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_while_threads_load(place: MemoryBackend, cache: Cache) -> None:
    """A child that is forked while threads of its parent fetch, keep and make room loads what was saved."""
    for number in range(4):
        Registry(place).save(f"thing:{number}", noise(600_000, number))
    registry = far_away(place, Cache(cache.path, limit="2MiB"))
    stop = threading.Event()

    def busy() -> None:
        for number in itertools.cycle(range(4)):
            assert registry.load(f"thing:{number}") == noise(600_000, number)
            if stop.is_set():
                return

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(busy) for _ in range(3)]
        try:
            for _ in range(10):
                child = multiprocessing.get_context("fork").Process(target=_load_all, args=(registry,))
                child.start()
                child.join(60)
                if child.exitcode is None:
                    child.kill()
                assert child.exitcode == 0
        finally:
            stop.set()
    assert [one.result(60) for one in running] == [None] * 3


def _load_all(registry: Registry) -> None:
    right = all(registry.load(f"thing:{number}") == noise(600_000, number) for number in range(4))
    os._exit(0 if right else 1)


# never stale, never mixed


def test_what_others_save_is_loaded_at_once(place: MemoryBackend, cache: Cache) -> None:
    """The latest is the latest, whatever is in the cache; deleted is deleted."""
    writer, reader = Registry(place, mutable=True), far_away(place, cache)
    for number in range(3):
        writer.save("thing", noise(50_000, number))
        assert reader.load("thing") == noise(50_000, number)
    writer.save("thing@1.0.2", noise(50_000, 9))
    assert reader.load("thing@1.0.2") == noise(50_000, 9)
    writer.delete("thing@1.0.2")
    assert reader.load("thing") == noise(50_000, 1)
    with pytest.raises(ObjectNotFoundError):
        reader.load("thing@1.0.2")


def test_two_places_that_look_alike_are_two(cache: Cache) -> None:
    """Other objects under the same names, at places of one location: each load gives its own place's."""

    class Bucket(MemoryBackend):
        @property
        def location(self) -> str:
            return "s3://bucket/prefix"

    registries = [far_away(Bucket(), cache) for _ in range(2)]
    for number, registry in enumerate(registries):
        registry.save("resnet", noise(100_000, number))
    for _ in range(2):
        for number, registry in enumerate(registries):
            assert registry.load("resnet") == noise(100_000, number)
    registries[0].save("only:here", 1)
    assert not registries[1].has_object("only:here")


def test_a_place_with_the_same_content_does_not_take_it_for_stored(cache: Cache) -> None:
    """What one server has, another has to be sent, although the cache has it."""
    here, there = MemoryBackend(), MemoryBackend()
    far_away(here, cache).save("thing", BIG)
    far_away(there, cache).save("thing", BIG)
    assert Registry(there, cache=False).load("thing") == BIG
    assert far_away(there, cache).load("thing") == BIG


# what a collector has deleted


def collected(place: MemoryBackend) -> list[str]:
    """Do as a collector that found every pack to be garbage, and has forgotten it since. What it deleted."""
    packs = packs_at(place)
    head = INITIAL
    for run in range(10):
        listed = packs if not run else [f"{PACKS}00/{'0' * 16}-{'00' * 32}"]
        names, body = encode_names(listed, os.urandom(16).hex())
        place.create(names, body)
        head = condemn(head, names, os.urandom(16).hex(), os.urandom(16).hex())
        head = close(verdict(head, names, os.urandom(16).hex()), os.urandom(16).hex())
    place.delete(packs)
    place.create(HEAD, dump_head(head))
    return packs


@pytest.mark.parametrize("warm", [False, True], ids=["another handle", "the same handle"])
@pytest.mark.parametrize("name", ["text", "bytes", "big"])
def test_what_the_place_has_lost_is_stored_again(
    name: str, warm: bool, place: MemoryBackend, cache: Cache
) -> None:
    """A save of bytes that are in the cache, in the index and in memory, but no longer at the place, sends them."""
    first = far_away(place, cache)
    first.save("one", OBJECTS[name])
    first.load("one")
    first.delete("one")
    gone = collected(place)
    assert gone
    assert copies_in(cache)
    second = first if warm else far_away(place, cache)
    second.save("two", OBJECTS[name])
    assert not set(gone) & set(packs_at(place))
    assert packs_at(place)
    assert Registry(place, cache=False).load("two") == OBJECTS[name]


def test_what_the_place_has_lost_cannot_be_undeleted(place: MemoryBackend, cache: Cache) -> None:
    """Although this machine could still load it."""
    registry = far_away(place, cache)
    registry.save("one", OBJECTS["bytes"])
    registry.load("one")
    registry.delete("one", "1.0.0")
    collected(place)
    with pytest.raises(ObjectNotFoundError):
        far_away(place, cache).undelete("one", "1.0.0")


def test_a_version_whose_pack_is_lost_is_loaded_while_there_are_copies(
    place: MemoryBackend, cache: Cache
) -> None:
    """Its bytes are verified, so that they are right; without the cache it is an error."""
    registry = far_away(place, cache)
    registry.save("one", OBJECTS["bytes"])
    place.delete(packs_at(place))
    assert far_away(place, cache).load("one") == OBJECTS["bytes"]
    registry.clear_cache()
    with pytest.raises(CorruptError):
        far_away(place, cache).load("one")


@pytest.mark.parametrize("what", [PACKS, MANIFESTS])
def test_verification_looks_at_the_place(what: str, place: MemoryBackend, cache: Cache) -> None:
    """What is lost there is found, although it is in the cache."""
    registry = far_away(place, cache)
    registry.save("one", OBJECTS["bytes"])
    registry.load("one")
    repository = registry._repository
    assert not survey(repository).damage
    place.delete([row.key for row in place.list(what)])
    found = survey(repository)
    assert [*found.damage, *check_packs(found)]


# damage


def _damage_all(cache: Cache) -> None:
    for path in copies_in(cache):
        data = bytearray(path.read_bytes())
        data[-1] ^= 1
        path.write_bytes(data)


@each_object
def test_damaged_copies_are_fetched_again(
    name: str, far: RecordingBackend, place: MemoryBackend, cache: Cache
) -> None:
    """The object is right, and so are the copies afterwards."""
    Registry(place).save(name, OBJECTS[name])
    far_away(far, cache).load(name)
    _damage_all(cache)
    assert far_away(far, cache).load(name) == OBJECTS[name]
    far.log.clear()
    assert far_away(far, cache).load(name) == OBJECTS[name]
    assert len(far.calls) == 1


class Garbling(MemoryBackend):
    """A way on which bytes of packs get damaged, once for each request."""

    garbled = 0

    def get(self, key: str, *arguments: Any, **more: Any) -> Any:
        found = super().get(key, *arguments, **more)
        if key.startswith(PACKS) and self.garbled:
            self.garbled -= 1
            data = bytearray(found.data)
            data[len(data) // 2] ^= 1
            return type(found)(bytes(data), found.token)
        return found


@pytest.mark.parametrize("way", ["load", "open"])
def test_what_was_damaged_on_the_way_is_fetched_again(way: str, cache: Cache) -> None:
    """A cache must not make damage last: such copies are replaced by what the place has."""
    place = Garbling()
    Registry(place).save("bytes", OBJECTS["bytes"])
    registry = far_away(place, cache)

    def read() -> Any:
        return registry.load("bytes") if way == "load" else registry.open("bytes").read()

    place.garbled = 1
    assert read() == OBJECTS["bytes"]
    registry = far_away(place, cache)
    assert read() == OBJECTS["bytes"]


def test_what_is_damaged_at_the_place_is_an_error(place: MemoryBackend, cache: Cache) -> None:
    """It names the pack, with a cache as without; and nothing wrong is handed out."""
    registry = far_away(place, False)
    registry.save("bytes", OBJECTS["bytes"])
    (key,) = packs_at(place)
    data = bytearray(place.get(key).data)
    data[300_000] ^= 1
    place.delete([key])
    place.create(key, data)
    for _ in range(2):
        with pytest.raises(CorruptError, match=key):
            far_away(place, cache).load("bytes")


# troubles


def _no_folder(path: Path) -> None:
    path.write_bytes(b"")


def _no_rights(path: Path) -> None:
    (path / "v1/usage").mkdir(parents=True)


@pytest.mark.parametrize("trouble", [_no_folder, _no_rights])
def test_without_a_cache_that_works_everything_works(
    trouble: Callable[[Path], None], place: MemoryBackend, cache: Cache
) -> None:
    """Saving, loading, listing, deleting."""
    trouble(cache.path)
    registry = far_away(place, cache)
    for name, value in OBJECTS.items():
        registry.save(name, value)
        assert registry.load(name) == value
    registry.delete("small")
    assert registry.list_objects() == ["big", "bytes", "text"]


def test_faults_of_the_place_are_those_without_a_cache(
    far: RecordingBackend, place: MemoryBackend, cache: Cache
) -> None:
    """Whichever request fails, the load fails; the next one is right, and nothing wrong was kept."""
    Registry(place).save("bytes", OBJECTS["bytes"])
    far_away(far, False).load("bytes")
    for at in range(1, len(far.calls) + 1):
        backend = FaultBackend(place, [Fault(at, FaultKind.AFTER)])
        with pytest.raises(StorageUnavailableError, match="on purpose"):
            far_away(backend, cache).load("bytes")
        assert far_away(backend, cache).load("bytes") == OBJECTS["bytes"]
        cache.clear()


# the facade


def test_places_elsewhere_have_a_cache_and_places_here_have_none(tmp_path: Path) -> None:
    """Unless somebody says otherwise."""

    class Elsewhere(MemoryBackend):
        @property
        def location(self) -> str:
            return "s3://bucket"

    assert Registry(Elsewhere()).cache == Cache()
    assert Registry(Elsewhere(), cache=False).cache is None
    assert Registry(MemoryBackend()).cache is None
    assert Registry(tmp_path / "place").cache is None
    assert Registry(LocalBackend(tmp_path / "place"), cache=True).cache == Cache()
    own = Cache(tmp_path / "own")
    assert Registry(Elsewhere(), cache=own).cache is own
    assert Registry(CachedBackend(MemoryBackend(), own)).cache is own
    assert Registry(CachedBackend(MemoryBackend(), own), cache=False).cache is None


def test_a_backend_with_a_cache_can_be_told_to_go_without(place: MemoryBackend, cache: Cache) -> None:
    """`cache=False` is the last word."""
    registry = Registry(CachedBackend(place, cache), cache=False)
    registry.save("bytes", OBJECTS["bytes"])
    registry.load("bytes")
    assert not cache.path.exists()


def test_a_limit_of_zero_in_the_environment_is_no_cache(
    place: MemoryBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For who looks after a machine with a small disk."""
    monkeypatch.setenv("CASREG_CACHE_LIMIT", "0")
    assert Registry(place, cache=True).cache is None
    assert Registry(place, cache=Cache(limit=1 << 30)).cache is not None


def test_what_is_no_cache_is_refused(place: MemoryBackend) -> None:
    """With what to give instead."""
    with pytest.raises(InvalidArgumentError, match="cache="):
        far_away(place, "/some/folder")  # type: ignore[arg-type]


def test_making_a_registry_touches_no_cache(place: MemoryBackend, cache: Cache) -> None:
    """Constructors do no I/O; nor does clearing what is not there."""
    far_away(place, cache).clear_cache()
    far_away(place).clear_cache()
    assert not cache.path.exists()


def test_clearing_the_cache_takes_nothing_else(far: RecordingBackend, cache: Cache) -> None:
    """What is loaded next is fetched again."""
    registry = far_away(far, cache)
    registry.save("big", BIG)
    assert cache.size() > len(BIG)
    registry.clear_cache()
    assert cache.size() == 0
    far.log.clear()
    assert far_away(far, cache).load("big") == BIG
    assert sum(call.bytes_out for call in far.calls) >= len(BIG)


def test_a_pickled_registry_has_its_cache(tmp_path: Path, cache: Cache) -> None:
    """The default one is that of the machine that it arrives at."""
    import pickle

    registry = pickle.loads(pickle.dumps(Registry(tmp_path / "place", cache=cache)))
    assert registry.cache == cache
    assert pickle.loads(pickle.dumps(Registry(tmp_path / "place", cache=True))).cache.folder is None
