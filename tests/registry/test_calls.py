"""How many requests, and how many bytes, each operation takes. On a bucket a request is 10 to 100 ms."""

from __future__ import annotations

from collections import Counter
from statistics import median
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casreg.testing.recording import Call

ARRAY = np.random.default_rng(1).random(131_072)  # 1 MiB


class Lab:
    """A place, and new Registries at it whose calls are counted."""

    def __init__(self) -> None:
        self.place = MemoryBackend()
        self.backend, self.registry = self._open()
        self.registry.save("there", {"x": 1})
        self.registry.save("array", ARRAY)

    def _open(self) -> tuple[RecordingBackend, Registry]:
        backend = RecordingBackend(self.place)
        return backend, Registry(backend)

    def calls(self, do: Callable[[Registry], object], *, cold: bool = False) -> Sequence[Call]:
        """The calls of `do`, by a Registry that has worked here before, or by a new one."""
        backend, registry = self._open() if cold else (self.backend, self.registry)
        backend.log.clear()
        do(registry)
        return backend.calls


@pytest.fixture
def lab() -> Lab:
    """A place with a small dict and an array of 1 MiB."""
    return Lab()


def counted(calls: Sequence[Call]) -> dict[str, int]:
    """How often each method was called on keys of each kind.

    A manifest that goes up while the ref is read may be done before the collector's head was read; then it is looked
    at once more (one byte). Whether that happens is a race, so it is not counted; but it is at most once.
    """
    looks = [call for call in calls if (call.method, call.bytes_out) == ("get", 1)]
    assert len(looks) <= 1
    return dict(Counter(f"{call.method} {call.key.partition('/')[0]}" for call in calls if call not in looks))


def sent(calls: Sequence[Call]) -> int:
    """Bytes that went to the storage."""
    return sum(call.bytes_in for call in calls)


def received(calls: Sequence[Call]) -> int:
    """Bytes that came from the storage."""
    return sum(call.bytes_out for call in calls)


NEW = {"get refs": 1, "create refs": 1, "get gc": 1, "create manifests": 1, "swap refs": 1}
AGAIN = {"get refs": 1, "get gc": 1, "create manifests": 1, "swap refs": 1}
MARKER = {"get casreg.json": 1}


def test_a_small_save_to_a_new_name(lab: Lab) -> None:
    """A small dict under a new name: five requests, and the marker in a new process; 1.5 KB in all."""
    calls = lab.calls(lambda r: r.save("new:1", {"x": 1}), cold=True)
    assert counted(calls) == NEW | MARKER
    assert sent(calls) < 1_500
    assert counted(lab.calls(lambda r: r.save("new:2", {"x": 1}))) == NEW


def test_a_small_save_to_an_existing_name(lab: Lab) -> None:
    """A further version of a name: four requests."""
    calls = lab.calls(lambda r: r.save("there", {"x": 2}), cold=True)
    assert counted(calls) == AGAIN | MARKER
    assert sent(calls) < 1_600
    assert counted(lab.calls(lambda r: r.save("there", {"x": 3}))) == AGAIN


def test_the_same_under_its_version(lab: Lab) -> None:
    """Saving what a version holds already: three requests, one to see that it is there, and nothing is sent."""
    calls = lab.calls(lambda r: r.save("there@1.0.0", {"x": 1}))
    assert counted(calls) == {"get refs": 1, "get gc": 1, "get manifests": 1}
    assert sent(calls) == 0


def test_a_big_one_under_its_version(lab: Lab) -> None:
    """Saving an array that its version holds already asks for its ref, table, and twice its manifest, and sends nothing."""
    calls = lab.calls(lambda r: r.save("array@1.0.0", ARRAY), cold=True)
    assert counted(calls) == {
        "get casreg.json": 1,
        "get gc": 2,
        "get refs": 2,
        "get manifests": 2,
        "get packs": 1,
    }
    assert sent(calls) == 0
    assert received(calls) < 10_000


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_loading_a_small_object(lab: Lab, cold: bool) -> None:
    """A small object is two reads, ref and manifest, also in a new process."""
    calls = lab.calls(lambda r: r.load("there"), cold=cold)
    assert counted(calls) == {"get refs": 1, "get manifests": 1}
    assert received(calls) < 1_500


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
def test_loading_an_array(lab: Lab, cold: bool) -> None:
    """An array of 1 MiB is three reads: ref, manifest, and its run of one pack."""
    calls = lab.calls(lambda r: r.load("array"), cold=cold)
    assert counted(calls) == {"get refs": 1, "get manifests": 1, "get packs": 1}
    assert received(calls) < ARRAY.nbytes + 4_000


def test_saving_an_array(lab: Lab) -> None:
    """A new array of 1 MiB: the fence and the search, one pack, manifest and ref, and a note in the index."""
    other = np.random.default_rng(2).random(131_072)
    calls = lab.calls(lambda r: r.save("array:new", other), cold=True)
    found = counted(calls)
    index = {key: found.pop(key) for key in list(found) if key.endswith(" index")}
    assert found == {
        "get casreg.json": 1,
        "get gc": 2,
        "get refs": 2,
        "create packs": 1,
        "create manifests": 1,
        "create refs": 1,
        "swap refs": 1,
    }
    assert sum(index.values()) <= 12, index
    assert index["create index"] == 1
    assert sent(calls) < other.nbytes + 10_000


def test_saving_an_array_that_is_there(lab: Lab) -> None:
    """An array that another name has: nothing but a manifest and a ref is sent."""
    calls = lab.calls(lambda r: r.save("array:copy", ARRAY), cold=True)
    found = counted(calls)
    assert not {key for key in found if key.startswith("create")} - {"create manifests", "create refs"}
    assert sum(found.values()) <= 15
    assert sent(calls) < 4_000


def test_questions(lab: Lab) -> None:
    """Each question about a name reads its ref once; `info` its manifest too. Nothing is sent."""
    for cold in (False, True):
        assert counted(lab.calls(lambda r: r.list_versions("there"), cold=cold)) == {"get refs": 1}
        assert counted(lab.calls(lambda r: r.has_object("there@^1"), cold=cold)) == {"get refs": 1}
        info = counted(lab.calls(lambda r: r.info("there"), cold=cold))
        assert info.pop("get manifests") == 1
        assert set(info) == {"get refs"}
        assert info["get refs"] <= 2


def test_listing(lab: Lab) -> None:
    """Listing is one listing, and a read for each name."""
    for number in range(20):
        lab.registry.save(f"n:{number}", number)
    assert counted(lab.calls(lambda r: r.list_objects(), cold=True)) == {"list refs": 1, "get refs": 22}


def test_edits(lab: Lab) -> None:
    """Tags, notes, deleting and bringing back: the ref is read and swapped, and no more than is needed is asked."""
    lab.registry.save("there", {"x": 2})
    tag = lab.calls(lambda r: r.tag("there", "prod"))
    assert counted(tag) == {"get refs": 1, "get gc": 1, "swap refs": 1}
    assert counted(lab.calls(lambda r: r.untag("there", "prod"))) == {"get refs": 1, "swap refs": 1}
    assert counted(lab.calls(lambda r: r.annotate("there", a=1))) == {"get refs": 1, "swap refs": 1}
    assert counted(lab.calls(lambda r: r.delete("there@1.0.0"))) == {"get refs": 1, "swap refs": 1}
    undelete = counted(lab.calls(lambda r: r.undelete("there@1.0.0")))
    assert undelete.pop("get manifests", 0) <= 1
    assert undelete == {"get refs": 1, "get gc": 1, "swap refs": 1}
    cold = counted(lab.calls(lambda r: r.annotate("there", a=2), cold=True))
    assert cold == {"get refs": 1, "get casreg.json": 1, "swap refs": 1}


def test_the_first_save_of_a_place() -> None:
    """Making a repository and seeing that its storage is fit takes fewer than twenty requests, once."""
    backend = RecordingBackend(MemoryBackend())
    Registry(backend).save("thing", 1)
    assert len(backend.calls) < 20
    backend.log.clear()
    Registry(backend).save("thing", 2)
    assert len(backend.calls) <= 6


def test_saves_stay_flat() -> None:
    """Save number 1,000 of a name takes the requests of save number 10, and its ref stays below 64 KiB."""
    lab = Lab()
    history: list[Sequence[Call]] = []
    for _ in range(1_000):
        history.append(lab.calls(lambda r: r.save("many", len(history))))
    tenth = sum(counted(history[9]).values())
    late = [sum(counted(calls).values()) for calls in history[900:]]
    assert tenth == 4
    assert median(late) == tenth
    # Now and then old versions move to a segment, and segments are merged.
    assert sum(late) / len(late) < tenth + 0.5
    refs = [call.bytes_in for calls in history for call in calls if call.method == "swap"]
    assert max(refs) <= 64 * 1024


def test_a_search_in_a_big_index_is_sparse(lab: Lab) -> None:
    """A small change of a large object reads little of the index, however often things were saved before."""
    for number in range(30):
        lab.registry.save(f"old:{number}", noise(300_000, number))
    assert len(list(lab.place.list("index/"))) <= 8
    calls = lab.calls(lambda r: r.save("array:other", ARRAY), cold=True)
    index = [call for call in calls if call.key.startswith("index/")]
    assert len(index) <= 40
    assert sum(call.bytes_out for call in index) < 100_000
