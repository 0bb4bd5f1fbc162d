"""What goes wrong in the system that casreg replaces, and does not here: one test (or more) for each known fault.

The numbers are those of the list of faults that casreg was begun with.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import (
    Cache,
    CasregError,
    CorruptError,
    InvalidMetadataError,
    InvalidNameError,
    LocalRegistryBackend,
    MemoryBackend,
    ObjectNotFoundError,
    Registry,
    Store,
    StoreLocationNotFound,
    UntrustedError,
)
from casreg.testing import Fault, FaultBackend, FaultKind, RecordingBackend

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Token
    from conftest import FreshPython


class Bucket(RecordingBackend):
    """A remote place: its name is not the place of any other, unless one gives two the same."""

    def __init__(self, inner: MemoryBackend, location: str = "s3://host/bucket") -> None:
        super().__init__(inner)
        self._location = location

    @property
    def location(self) -> str:
        """As given."""
        return self._location


def everything(folder: Path) -> set[Path]:
    """All files below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def test_1_a_cache_never_mixes_two_servers(tmp_path: Path) -> None:
    """Two servers with a bucket of the same name share a cache, and each gives its own object."""
    cache = Cache(tmp_path / "cache")
    first, second = (
        Registry(Bucket(MemoryBackend(), f"s3://{host}/models"), cache=cache) for host in ("one", "two")
    )
    first.save("resnet", {"server": 1})
    second.save("resnet", {"server": 2})
    for _ in range(2):
        assert first.load("resnet") == {"server": 1}
        assert second.load("resnet") == {"server": 2}


def test_1_not_even_where_both_call_themselves_the_same(tmp_path: Path) -> None:
    """What exists is asked of the place, so that even one address for two servers mixes nothing."""
    cache = Cache(tmp_path / "cache")
    first, second = (Registry(Bucket(MemoryBackend()), cache=cache) for _ in range(2))
    array = np.random.default_rng(0).normal(size=200_000)
    first.save("weights", array)
    second.save("weights", array)  # all chunks are in the cache, none at the second place
    alone = Registry(second.backend, cache=False)
    assert (alone.load("weights") == array).all()


@pytest.mark.parametrize("mutable", [False, True])
def test_2_threads_that_number_by_themselves_lose_nothing(tmp_path: Path, *, mutable: bool) -> None:
    """Eight threads, ten saves each on one Registry: eighty versions, eighty numbers, each what was saved as it."""
    registry = Registry(tmp_path / "r", mutable=mutable)
    with ThreadPoolExecutor(8) as threads:
        saved = dict(
            threads.map(lambda number: (registry.save("counter", number), number), range(80), timeout=120)
        )
    assert registry.list_versions("counter") == [f"1.0.{n}" for n in range(80)]
    assert {version: registry.load("counter", version) for version in saved} == saved


def test_2_processes_that_number_by_themselves_lose_nothing(tmp_path: Path) -> None:
    """Two processes, twenty saves each: forty versions."""
    code = (
        "import sys; from casreg import Registry; r = Registry(sys.argv[1], mutable=True)\n"
        "for n in range(20): r.save('counter', [sys.argv[2], n])"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "r"), name]) for name in ("a", "b")
    ]
    assert [process.wait(120) for process in running] == [0, 0]
    registry = Registry(tmp_path / "r")
    values = [registry.load("counter", version) for version in registry.list_versions("counter")]
    assert sorted(values) == sorted([name, n] for name in "ab" for n in range(20))


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER])
def test_3_an_overwrite_that_fails_leaves_the_old_object(kind: FaultKind) -> None:
    """Whichever request of an overwrite fails: the old object loads, or the new one if the save said so."""
    expected: list[str] = []
    failed = 0
    for number in range(1, 12):
        place = MemoryBackend()
        Registry(place, mutable=True).save("model", "old", version="1.0.0")
        backend = FaultBackend(place, [Fault(number, kind)])
        try:
            Registry(backend, mutable=True).save("model", "new", version="1.0.0")
            expected = ["new"]
        except CasregError:
            expected, failed = ["old", "new"], failed + 1
        assert Registry(place).load("model", "1.0.0") in expected
        if not backend.fired:
            break
    else:
        pytest.fail("an overwrite takes fewer requests than that")
    assert failed


def test_4_readers_never_meet_half_an_overwrite(tmp_path: Path) -> None:
    """While two writers overwrite one version, every load of three readers gives one of the objects, whole."""
    arrays = {seed: np.random.default_rng(seed).normal(size=40_000) for seed in range(2)}
    Registry(tmp_path / "r", mutable=True).save("model", arrays[0], version="1.0.0")
    stop = threading.Event()

    def write(seed: int) -> int:
        registry, count = Registry(tmp_path / "r", mutable=True), 0
        while not stop.is_set():
            registry.save("model", arrays[seed], version="1.0.0")
            count += 1
        return count

    def read(_reader: int) -> None:
        registry = Registry(tmp_path / "r")
        for _ in range(60):
            loaded = registry.load("model", "1.0.0")
            assert any((loaded == array).all() for array in arrays.values())

    with ThreadPoolExecutor(5) as threads:
        writers = [threads.submit(write, seed) for seed in range(2)]
        try:
            readers = [threads.submit(read, number) for number in range(3)]
            for reader in readers:
                reader.result(120)
        finally:
            stop.set()
        assert all(writer.result(60) for writer in writers)


def test_5_a_writer_that_sleeps_for_long_overwrites_nobody() -> None:
    """However long one writer pauses before its commit, what others committed meanwhile stays."""

    class Slow(MemoryBackend):
        meanwhile: Any = None

        def swap(self, key: str, *args: Any, **kwargs: Any) -> Token:
            if self.meanwhile and key.startswith("refs/"):
                meanwhile, self.meanwhile = self.meanwhile, None
                meanwhile()  # hours may pass here: no lock runs out, since there is none
            return super().swap(key, *args, **kwargs)

    place = Slow("fault-5")
    registry = Registry(place)
    registry.save("model", 0)
    place.meanwhile = lambda: [Registry(place).save("model", n) for n in (1, 2)]
    assert registry.save("model", 3) == "1.0.3"
    assert [registry.load("model", version) for version in registry.list_versions("model")] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    "name", ["../esc", "/abs/x", "a/../../b", "..", "a:../b", "C:\\x", "a\0b", "~upload-1", "a/b"]
)
def test_6_7_a_name_never_leads_out_of_the_registry(tmp_path: Path, name: str) -> None:
    """Names that could be paths are refused by every call, and nothing is written or deleted anywhere."""
    victim = tmp_path / "victim" / "keep.txt"
    victim.parent.mkdir()
    victim.write_text("keep")
    registry = Registry(tmp_path / "inside" / "r")
    registry.save("fine", 1)
    before = everything(tmp_path)
    calls: list[Any] = [
        lambda: registry.save(name, 1),
        lambda: registry.load(name),
        lambda: registry.delete(name, "1.0.0"),
        lambda: registry.copy("fine", name),
        lambda: registry.rename("fine", name),
        lambda: registry.has_object(name),
        lambda: registry.info(name),
    ]
    for call in calls:
        with pytest.raises(InvalidNameError, match="is not a name"):
            call()
    assert everything(tmp_path) == before
    assert registry.load("fine") == 1


def test_7_a_misspelt_mount_is_an_error() -> None:
    """`typo/x` is not a name in some mount: nothing is saved."""
    store = Store(mounts={"team": Registry(MemoryBackend())})
    with pytest.raises(StoreLocationNotFound, match="team"):
        store.save("taem/x", 1)
    assert list(store) == []


def test_8_what_comes_from_the_cache_is_what_was_saved(tmp_path: Path) -> None:
    """A set stays a set, whether it comes from the remote place or from the cache."""
    registry = Registry(Bucket(MemoryBackend()), cache=Cache(tmp_path / "cache"))
    value = {"a": {1, 2}, 3: (4, [5, {6}])}
    registry.save("odd", value)
    for _ in range(3):
        assert registry.load("odd") == value


def test_9_nobody_reads_what_was_replaced_or_deleted(tmp_path: Path) -> None:
    """A reader with a cache sees an overwrite, a new version and a deletion by others at once."""
    place = Bucket(MemoryBackend())
    reader = Registry(place, cache=Cache(tmp_path / "cache"))
    writer = Registry(place, cache=False, mutable=True)
    writer.save("model", "old", version="1.0.0")
    assert reader.load("model") == "old"
    writer.save("model", "new", version="1.0.0")
    assert reader.load("model") == "new"
    writer.save("model", "next")
    assert reader.list_versions("model") == ["1.0.0", "1.0.1"]
    assert reader.save("model", "mine") == "1.0.2"
    writer.delete("model")
    with pytest.raises(ObjectNotFoundError):
        reader.load("model")


def test_9_a_listing_belongs_to_the_caller() -> None:
    """Changing a list that was given changes nothing in the registry."""
    registry = Registry(MemoryBackend())
    registry.save("model", 1)
    registry.list_versions("model").clear()
    registry.list_objects().clear()
    assert registry.list_versions("model") == ["1.0.0"]
    assert registry.list_objects() == ["model"]


@pytest.mark.parametrize("step", ["copy", "move"])
def test_10_a_copy_keeps_everything(step: str) -> None:
    """Metadata, materializer, class, notes and both digests are those of the source."""
    store = Store(mounts={"a": Registry(MemoryBackend()), "b": Registry(MemoryBackend())})
    store.save("a/model", {1, 2}, metadata={"score": 0.9}, notes={"by": "Ada"}, version="3.1.0")
    before = store.info("a/model")
    assert getattr(store, step)("a/model", "b/model") == "3.1.0"
    after = store.info("b/model")
    same = ("version", "class", "materializer", "metadata", "notes", "digest", "data_digest", "created")
    assert {key: before[key] for key in same} == {key: after[key] for key in same}
    assert store.load("b/model") == {1, 2}
    assert store.has_object("a/model") == (step == "copy")


def test_10_a_move_onto_itself_deletes_nothing(tmp_path: Path) -> None:
    """Neither under its own key, nor through another mount of the same place."""
    store = Store(mounts={"a": Registry(tmp_path / "r"), "same": Registry(tmp_path / "r")})
    store.save("a/model", 1, version="1.2.3")
    for target in ("a/model", "a/model@1.2.3", "same/model"):
        store.move("a/model", target)
        assert store.load("a/model") == 1


def test_11_the_default_mount_lasts(fresh_python: FreshPython) -> None:
    """What one process saves into `Store()`, another one finds."""
    fresh_python("from casreg import Store; Store().save('default/demo', {'ok': True})")
    assert fresh_python("from casreg import Store; print(Store().load('default/demo'))") == "{'ok': True}\n"


def test_11_removing_the_default_mount_leaves_no_other_in_its_place() -> None:
    """After that there is no default, and no temporary folder that takes its part."""
    store = Store(mounts={"a": Registry(MemoryBackend())}, default_location="a")
    store.remove_mount("a")
    assert store.list_mounts() == []
    with pytest.raises(StoreLocationNotFound):
        store.save("a/x", 1)


def test_12_versions_keep_their_numbers() -> None:
    """`update` and `download` copy 1.0.0, 2.0.0 and 3.0.0 as what they are."""
    source, target = Registry(MemoryBackend()), Registry(MemoryBackend())
    for number in ("1.0.0", "2.0.0", "3.0.0"):
        source.save("model", number, version=number)
    target.update(source)
    assert target.list_versions("model") == ["1.0.0", "2.0.0", "3.0.0"]
    other = Registry(MemoryBackend())
    assert other.download(source, "model", "2.0.0") == "2.0.0"
    assert other.load("model", "2.0.0") == "2.0.0"


def test_13_a_damaged_marker_is_an_error_and_stays_as_it_is(tmp_path: Path) -> None:
    """A registry whose own file is damaged is not opened with other settings and written back."""
    Registry(tmp_path / "r").save("model", 1)
    marker = tmp_path / "r" / "casreg.json"
    damaged = marker.read_bytes()[:-9]
    marker.write_bytes(damaged)
    registry = Registry(tmp_path / "r")
    with pytest.raises(CorruptError, match=r"casreg\.json"):
        registry.save("model", 2)
    assert marker.read_bytes() == damaged
    assert registry.load("model") == 1


def test_14_a_batch_may_name_one_object_twice() -> None:
    """Both are saved, in their order; names that are spelt alike on disk do not meet."""
    registry = Registry(MemoryBackend(), allow_underscore=True)
    saved = registry.save(["same", "same", "q:z", "q_z", "Q:z"], [1, 2, 3, 4, 5])
    assert list(saved) == ["1.0.0", "1.0.1", "1.0.0", "1.0.0", "1.0.0"]
    assert list(registry.load(["same@1.0.0", "same", "q:z", "q_z", "Q:z"])) == [1, 2, 3, 4, 5]


def test_16_metadata_is_part_of_what_is_verified(tmp_path: Path) -> None:
    """Edited metadata, or another materializer in its place, is damage; nothing is imported for it."""
    registry = Registry(tmp_path / "r")
    registry.save("model", {"a": 1}, metadata={"score": "0.90"})
    (manifest,) = (path for path in (tmp_path / "r" / "manifests").rglob("*") if path.is_file())
    original = manifest.read_bytes()
    for old, new in ((b'"0.90"', b'"0.99"'), (b"python.json/1", b"antigravity/1")):
        assert old in original
        manifest.write_bytes(original.replace(old, new))
        fresh = Registry(tmp_path / "r")
        with pytest.raises(CorruptError):
            fresh.info("model")
        with pytest.raises(CorruptError):
            fresh.load("model")
    assert "antigravity" not in sys.modules


class Payload:
    """Unpickling it would leave a trace."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (os.environ["CASREG_TEST_TRACE"],))


def test_17_nothing_is_unpickled_unless_the_caller_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stored pickle does not run, also in a registry of whoever saved it with pickle allowed."""
    trace = tmp_path / "trace"
    monkeypatch.setenv("CASREG_TEST_TRACE", str(trace))
    Registry(tmp_path / "r", allow_pickle=True).save("evil", Payload())
    with pytest.raises(UntrustedError, match="allow_pickle=True"):
        Registry(tmp_path / "r").load("evil")
    assert not trace.exists()


def test_18_nothing_is_logged_to_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is logged goes to `logging` only, and casreg puts no handler there."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    Registry(tmp_path / "r").save("model", 1, metadata={"a": 1})
    assert everything(tmp_path / "home") == set()
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "casreg"]
    assert not any(logging.getLogger(name).handlers for name in names)


def test_19_one_percent_of_change_costs_a_few_percent() -> None:
    """Of a version that differs by one percent, at most five percent are stored; of an equal one next to nothing."""
    registry = Registry(MemoryBackend())
    array = np.random.default_rng(0).integers(0, 256, 20_000_000, dtype=np.uint8)
    registry.save("data", array)
    array[5_000_000:5_200_000] = 7
    registry.save("data", array)
    assert registry.info("data")["stored"] < 0.05 * array.nbytes
    registry.save("other", array)
    assert registry.info("other")["stored"] < 0.005 * array.nbytes


def test_20_a_loaded_folder_goes_with_its_registry(tmp_path: Path) -> None:
    """No temporary folder is left behind by a load of a path."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").write_text("a")
    registry = Registry(tmp_path / "r")
    registry.save("folder", tmp_path / "data")
    place = registry.load("folder")
    assert (place / "a.txt").read_text() == "a"
    del registry
    assert not place.exists()


def test_21_a_folder_is_its_content(tmp_path: Path) -> None:
    """Saved again after all times changed, it has the same digest, and no new version is needed."""
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a.bin").write_bytes(bytes(range(256)) * 1000)
    registry = Registry(tmp_path / "r")
    registry.save("folder", folder)
    for path in (folder / "deep" / "a.bin", folder / "deep", folder):
        os.utime(path, (1, 1))
    assert registry.save("folder", folder, if_changed=True) == "1.0.0"


def test_22_a_batch_lists_nothing() -> None:
    """Loading twenty small objects costs two reads for each, and no listing."""
    backend = RecordingBackend(MemoryBackend())
    names = [f"small:{n}" for n in range(20)]
    Registry(backend).save(names, list(range(20)))
    backend.log.clear()
    assert list(Registry(backend).load(names)) == list(range(20))
    assert {call.method for call in backend.calls} == {"get"}
    assert len(backend.calls) == 40


@pytest.mark.parametrize("kind", ["memory", "local"])
def test_24_metadata_are_the_same_on_every_backend(tmp_path: Path, kind: str) -> None:
    """What JSON holds without loss is taken, numpy's scalars as what they are; all else is refused, everywhere."""
    place = MemoryBackend() if kind == "memory" else LocalRegistryBackend(uri=tmp_path / "r")
    registry = Registry(place)
    registry.save("model", 1, metadata={"n": np.int64(3), "score": np.float64(0.5), "deep": {"on": True}})
    assert registry.info("model")["metadata"] == {"n": 3, "score": 0.5, "deep": {"on": True}}
    refused: tuple[Any, ...] = ({1: "x"}, {"a": {1, 2}}, {"a": float("nan")}, {"a": 2**60}, {"a": object()})
    for bad in refused:
        with pytest.raises(InvalidMetadataError):
            registry.save("model", 2, metadata=bad)
    assert registry.list_versions("model") == ["1.0.0"]
