"""How many requests a copy takes on each side. On a bucket a request is 10 to 100 ms."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casreg.testing.recording import Call

BIG = noise(1_000_000)


def counted(calls: Sequence[Call]) -> dict[str, int]:
    """How often each method was called on keys of each kind."""
    return dict(Counter(f"{call.method} {call.key.partition('/')[0]}" for call in calls))


@pytest.fixture
def places() -> tuple[MemoryBackend, MemoryBackend]:
    """A source with something small and something of a megabyte, and a target that is in use."""
    source, target = MemoryBackend(), MemoryBackend()
    registry = Registry(source)
    registry.save("small", {"x": 1})
    registry.save("big", BIG)
    Registry(target).save("small", 0, version="0.1.0")
    return source, target


def calls(
    places: tuple[MemoryBackend, MemoryBackend], do: Callable[[Registry, Registry], object]
) -> tuple[dict[str, int], dict[str, int]]:
    """The calls of a copy by new handles: at the source, and at the target."""
    source, target = map(RecordingBackend, places)
    do(Registry(target), Registry(source))
    return counted(source.calls), counted(target.calls)


READ = {"get refs": 1, "get manifests": 1}


def test_something_small_to_a_new_name(places: tuple[MemoryBackend, MemoryBackend]) -> None:
    """Two requests at the source, five at the target, and its marker in a new process: as a save."""
    reads, writes = calls(places, lambda target, source: target.download(source, "small", target_name="new"))
    assert reads == READ
    assert writes == {
        "get casreg.json": 1,
        "get refs": 1,
        "create refs": 1,
        "get gc": 1,
        "create manifests": 1,
        "swap refs": 1,
    }


def test_something_small_to_an_existing_name(places: tuple[MemoryBackend, MemoryBackend]) -> None:
    """One fewer."""
    reads, writes = calls(places, lambda target, source: target.download(source, "small"))
    assert reads == READ
    assert writes == {
        "get casreg.json": 1,
        "get refs": 1,
        "get gc": 1,
        "create manifests": 1,
        "swap refs": 1,
    }


def test_what_is_there_already(places: tuple[MemoryBackend, MemoryBackend]) -> None:
    """Its ref is read, and asked once more with the head by the commit that has nothing to do.

    Then it is seen that its files are there: the manifest, and one byte of each pack.
    """
    Registry(places[1]).download(Registry(places[0]), "big")
    reads, writes = calls(places, lambda target, source: target.download(source, "big"))
    assert reads == READ
    assert writes == {"get casreg.json": 1, "get refs": 3, "get gc": 1, "get manifests": 1, "get packs": 1}


def test_a_megabyte(places: tuple[MemoryBackend, MemoryBackend]) -> None:
    """Its pack is read once, or twice where there is a chunk list; it is written as one pack."""
    reads, writes = calls(places, lambda target, source: target.download(source, "big"))
    assert reads.pop("get packs") <= 2
    assert reads == READ
    index = {key: writes.pop(key) for key in list(writes) if key.endswith(" index")}
    assert sum(index.values()) <= 6
    assert writes == {
        "get casreg.json": 1,
        "get refs": 3,  # is it there, the packs of the latest version, the commit
        "get gc": 2,
        "create packs": 1,
        "create manifests": 1,
        "create refs": 1,
        "swap refs": 1,
    }


def test_within_one_place(places: tuple[MemoryBackend, MemoryBackend]) -> None:
    """Both refs, the manifest, one byte of manifest and pack, and the swap: no data is read or written."""
    source = RecordingBackend(places[0])
    Registry(source).copy("big", "twin")
    assert counted(source.calls) == {
        "get refs": 2,
        "get casreg.json": 1,
        "create refs": 1,
        "get gc": 1,
        "get manifests": 2,
        "get packs": 1,
        "swap refs": 1,
    }
    assert sum(call.bytes_out for call in source.log.calls("get", "packs/")) == 1
    source.log.clear()
    Registry(source).copy("big", "big")
    assert counted(source.calls) == {"get refs": 1}


def test_renaming_is_two_commits() -> None:
    """However many versions share a pack: each manifest is read, each pack looked at once."""
    source = RecordingBackend(MemoryBackend())
    registry = Registry(source)
    for number in range(5):
        registry.save("old", BIG + b"%d" % number)
    packs = len(list(source.list("packs/")))
    fresh = Registry(source)
    source.log.clear()
    fresh.rename("old", "new")
    assert counted(source.calls) == {
        "get casreg.json": 1,
        "get refs": 3,
        "create refs": 1,
        "get gc": 1,
        "get manifests": 10,
        "get packs": packs,
        "swap refs": 2,
    }
