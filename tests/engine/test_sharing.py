"""How a load is shared among requests: as many as the place is worth, each as long as leaves something for the others."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest

from casreg import packs
from casreg.backends.base import Traits
from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache
from casreg.fetch import reader, sinks
from casreg.fetch.plan import MAX_REQUEST
from casreg.fetch.sharing import MAX_AT_ONCE, at_once, fill
from casreg.fetch.stream import FileStream
from casreg.ingest import packing
from casreg.registry import Registry
from casreg.testing import Fault, FaultBackend, FaultKind, RecordingBackend
from casreg.threads import MAX_WORKERS, workers
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Buffer

    from casreg.backends.base import Object, Token
    from casreg.model import Entry
    from conftest import FreshPython

MIB: Final = 1 << 20
TOGETHER: Final = 12
PATIENCE: Final = 60.0


def far(parallel: int) -> MemoryBackend:
    """A place that is worth so many requests."""

    class Far(MemoryBackend):
        traits = Traits(parallel_requests=parallel)

    return Far()


def test_a_place_on_this_machine_is_shared_by_its_cores() -> None:
    """A thread for each, and a run is a request."""
    assert at_once(MemoryBackend()) == workers()
    assert fill(MemoryBackend(), 1 << 40) == 0


@pytest.mark.parametrize(("parallel", "expected"), [(1, workers()), (12, 12), (1000, MAX_AT_ONCE)])
def test_a_far_place_says_how_many_requests_it_is_worth(parallel: int, expected: int) -> None:
    """Never fewer than there are cores, and not so many that there is no memory for them."""
    assert at_once(far(parallel)) == max(expected, workers())


def test_requests_leave_something_for_the_others() -> None:
    """A request has no more than its share, and no more than what is bounded anyway."""
    assert fill(far(8), 16 * MIB) == 2 * MIB
    assert fill(far(8), 1 << 40) == MAX_REQUEST
    assert fill(far(1000), 32 * MIB) == 32 * MIB // MAX_AT_ONCE
    assert MAX_AT_ONCE * MAX_REQUEST <= 128 * MIB


class Meeting(RecordingBackend):
    """Answers no read of such a size before so many are under way; notes how many at once there ever were."""

    def __init__(self, inner: MemoryBackend, together: int, sizes: range = range(MIB, 1 << 40)) -> None:
        super().__init__(inner)
        self._together = together
        self._sizes = sizes
        self._lock = threading.Lock()
        self._met = threading.Event()
        self._under_way = 0
        self.most = 0

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """As the parent's, in company."""
        if stop is None or stop - start not in self._sizes:  # a list of chunks is read alone
            return super().get(key, start, stop, held=held)
        with self._lock:
            self._under_way += 1
            self.most = max(self.most, self._under_way)
            if self.most >= self._together:
                self._met.set()
        self._met.wait(PATIENCE)
        try:
            return super().get(key, start, stop, held=held)
        finally:
            with self._lock:
                self._under_way -= 1


BIG: Final = noise(48 * MIB)


@pytest.fixture(scope="module")
def stored() -> MemoryBackend:
    """48 MiB that do not compress, at a place that is worth twelve requests."""
    place = far(TOGETHER)
    Registry(place).save("big", BIG)
    return place


def test_a_load_has_as_many_requests_under_way_as_the_place_is_worth(stored: MemoryBackend) -> None:
    """Whatever the number of cores, and never more."""
    place = Meeting(stored, TOGETHER)
    assert Registry(place).load("big") == BIG
    assert place.most == TOGETHER


def test_a_load_by_way_of_a_cache_has_them_too(stored: MemoryBackend, tmp_path: Path) -> None:
    """But for those that wait for a block that a neighbour fetches."""
    place = Meeting(stored, TOGETHER - 3)
    assert Registry(place, cache=Cache(tmp_path / "cache")).load("big") == BIG
    assert TOGETHER - 3 <= place.most <= TOGETHER


def test_a_copy_reads_with_as_many_requests_as_it_has_room_for(stored: MemoryBackend) -> None:
    """Eight, since what waits for the target is in memory."""
    place = Meeting(stored, 8)
    target = Registry(MemoryBackend())
    target.download(Registry(place), "big")
    assert place.most == 8
    assert target.load("big") == BIG


def test_reading_through_a_file_is_ahead_by_as_many_requests(stored: MemoryBackend) -> None:
    """So that whoever reads one piece after the other does not wait for each."""
    place = Meeting(stored, 1)
    with Registry(place).open("big") as opened:
        assert isinstance(opened.raw, FileStream)
        read, ahead = b"", []
        while piece := opened.read(MIB):
            read += piece
            ahead.append(len(opened.raw._ahead))
    assert read == BIG
    assert max(ahead) > MAX_WORKERS + 1


@pytest.fixture(scope="module")
def changed() -> tuple[MemoryBackend, dict[str, bytes]]:
    """Three files, each of which has the same megabyte twice; and in the second version, small changes all over."""
    place = MemoryBackend()
    files: dict[str, bytearray] = {}
    for name in "abc":
        own = noise(5 * MIB, ord(name))
        files[name] = bytearray(own + own[MIB : 2 * MIB])
    Registry(place).save("files", {name: bytes(data) for name, data in files.items()})
    for data in files.values():
        for at in range(100_000, len(data), 500_000):
            data[at : at + 9] = b"something"
    whole = {name: bytes(data) for name, data in files.items()}
    Registry(place).save("files", whole)
    return place, whole


class Away(RecordingBackend):
    """As the inner backend, but far away."""

    traits = Traits(parallel_requests=8)


def test_what_changed_here_and_there_comes_with_few_requests(
    changed: tuple[MemoryBackend, dict[str, bytes]], tmp_path: Path
) -> None:
    """By where it is in the packs, and no longer piece by piece; each byte ends up where it belongs, in files, too."""
    place, whole = changed
    near, away = RecordingBackend(place), Away(place)
    assert Registry(near).load("files") == whole
    assert Registry(away).load("files") == whole
    assert len(away.log.calls("get", "packs/")) < 0.6 * len(near.log.calls("get", "packs/"))
    (tmp_path / "source").mkdir()
    for name, data in whole.items():
        (tmp_path / "source" / name).write_bytes(data)
    Registry(place).save("folder", tmp_path / "source")
    found = Registry(away).load("folder", into=tmp_path / "found")
    assert {path.name: path.read_bytes() for path in found.iterdir()} == whole


def test_many_files_come_in_their_order(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So that those that are done are closed: of a tree, no more files are open than a process may have."""
    monkeypatch.setattr(reader, "_FILES", 3)
    (tmp_path / "source").mkdir()
    first = {f"{number:02}": noise(150_000, number) for number in range(80)}
    place = MemoryBackend()
    for change in (b"", b"x"):
        for name, data in first.items():
            (tmp_path / "source" / name).write_bytes(change * (int(name) % 2) + data)
        Registry(place).save("folder", tmp_path / "source")
    away = Away(place)
    seen: list[int] = []
    create = sinks.Tree.create

    def counted(tree: sinks.Tree, entry: Entry) -> int:
        seen.append(len(tree._open))
        return create(tree, entry)

    monkeypatch.setattr(sinks.Tree, "create", counted)
    found = Registry(away).load("folder", into=tmp_path / "found")
    assert {path.name: path.read_bytes() for path in found.iterdir()} == {
        name: b"x" * (int(name) % 2) + data for name, data in first.items()
    }
    assert max(seen) < 20


class Uploads(MemoryBackend):
    """Notes how many packs are being written at once, and acknowledges none before `waits` lets it."""

    def __init__(self, parallel: int, waits: Callable[[Uploads, int], None]) -> None:
        super().__init__()
        self.traits = Traits(parallel_requests=parallel)
        self.waits = waits
        self.changed = threading.Condition()
        self.begun = self.under_way = self.most = self.done = 0

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """As the parent's, later."""
        if not key.startswith("packs/"):
            return super().create(key, data, durable=durable)
        with self.changed:
            self.begun += 1
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            self.changed.notify_all()
            self.waits(self, self.begun)
        token = super().create(key, data, durable=durable)
        with self.changed:
            self.under_way -= 1
            self.done += 1
            self.changed.notify_all()
        return token


@pytest.fixture
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packs of 256 KiB."""
    for module in (packs, packing):
        monkeypatch.setattr(module, "PACK_LIMIT", 256 * 1024)


@pytest.mark.parametrize(("parallel", "expected"), [(0, 4), (3, 4), (5, 5), (1000, 5)])
def test_a_save_has_as_many_packs_under_way_as_the_place_is_worth(
    parallel: int, expected: int, small_packs: None
) -> None:
    """Four at least, and never more than five, since each is in memory."""

    def until_all_met(place: Uploads, _number: int) -> None:
        assert place.changed.wait_for(lambda: place.most >= expected, PATIENCE)

    place = Uploads(parallel, until_all_met)
    Registry(place).save("big", BIG[: 6 * MIB])
    assert place.most == expected
    assert Registry(place).load("big") == BIG[: 6 * MIB]


def test_a_pack_that_is_slow_holds_up_no_other(small_packs: None) -> None:
    """The first is not acknowledged before twelve others are there."""

    def first_comes_late(place: Uploads, number: int) -> None:
        assert number > 1 or place.changed.wait_for(lambda: place.done >= 12, PATIENCE)

    place = Uploads(0, first_comes_late)
    Registry(place).save("big", BIG[: 6 * MIB])
    assert Registry(place).load("big") == BIG[: 6 * MIB]


def test_the_next_version_looks_at_all_packs_of_the_last_at_once(small_packs: None) -> None:
    """A process that knows nothing yet waits for their tables together, and stores nothing again."""
    place = far(8)
    Registry(place).save("big", BIG[: 6 * MIB])
    again = Meeting(place, 8, range(97, 1000))
    Registry(again).save("big", BIG[: 6 * MIB] + b"more")
    assert again.most == 8
    assert sum(call.bytes_in for call in again.log.calls("create", "packs/")) < MIB


def test_a_table_that_cannot_be_read_costs_space_alone(small_packs: None) -> None:
    """Whatever was asked for side by side: what it held is stored again, and the version is whole."""
    place = far(8)
    Registry(place).save("big", BIG[: 6 * MIB])
    faults = FaultBackend(place, [Fault(3, FaultKind.BEFORE, frozenset({"get"}), "packs/", times=2)])
    Registry(faults).save("big", BIG[: 6 * MIB] + b"more")
    assert faults.fired
    assert Registry(place).load("big") == BIG[: 6 * MIB] + b"more"


LOAD = """
import re, sys
from pathlib import Path
import numpy as np
from casreg import Registry
from casreg.backends.base import Traits
from casreg.backends.local import LocalBackend

class Far(LocalBackend):
    traits = Traits(parallel_requests=8)

def memory(what):
    return int(re.search(what + r':\\s+(\\d+) kB', Path('/proc/self/status').read_text())[1]) * 1024

registry = Registry(Far(sys.argv[1]))
if len(sys.argv) > 2:
    block = np.random.default_rng(1).integers(0, 1 << 64, 1 << 22, dtype=np.uint64) & np.uint64(int(sys.argv[2], 16))
    registry.save('small', 1)
    registry.save('array', np.concatenate([block + np.uint64(n << 40) for n in range(8)]))
else:
    registry.load('small')
    Path('/proc/self/clear_refs').write_text('5')  # begin to measure anew
    before = memory('VmRSS')
    array = registry.load('array')
    print(memory('VmHWM') - before - array.nbytes)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
@pytest.mark.parametrize("bits", ["ffffffffffffffff", "0f0f0f0f00000000"], ids=["noise", "compressible"])
def test_a_load_from_afar_has_bounded_memory(bits: str, tmp_path: Path, fresh_python: FreshPython) -> None:
    """Beside an object of 256 MiB, about 128 MiB: eight requests, with what is made of them."""
    fresh_python(LOAD, str(tmp_path / "place"), bits)
    assert int(fresh_python(LOAD, str(tmp_path / "place"))) < 200 * MIB
