"""Collections of places that this machine has copies of: manifests are read once, and what is lost is noticed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache, CachedBackend
from casreg.exceptions import CorruptError
from casreg.gc import Collection, collect
from casreg.gc.reach import Placements
from casreg.registry import Registry
from casreg.repository import Repository
from collector.lab import NOW, needed, stored
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Object


class Counting(MemoryBackend):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.read: Counter[str] = Counter()

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        self.read[key.partition("/")[0]] += 1
        return super().get(key, start, stop, held=held)


@pytest.fixture
def place() -> Counting:
    """Five names with two versions each, one of which is deleted."""
    place = Counting()
    registry = Registry(place)
    for number in range(5):
        for turn in range(2):
            registry.save(f"thing:{number}", noise(30_000, seed=10 * number + turn))
    registry.delete("thing:0@1.0.0")
    return place


@pytest.fixture
def new_process(
    place: Counting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bool], Collection]:
    """A collection by a process that has read nothing yet, on a machine with a cache."""

    def run(dry_run: bool) -> Collection:
        monkeypatch.setattr("casreg.gc.reach.READ", Placements())
        place.read.clear()
        return collect(Repository(CachedBackend(place, Cache(tmp_path / "cache"))), NOW, dry_run=dry_run)

    return run


def test_manifests_are_read_from_the_place_once(
    place: Counting, new_process: Callable[[bool], Collection]
) -> None:
    """The next process has copies of all of them, and of what is saved later reads that alone; refs are always asked."""
    first = new_process(True)
    assert place.read["manifests"] == 10
    again = new_process(True)
    assert again == first
    assert place.read["manifests"] == 0
    assert place.read["refs"] == 5
    Registry(place).save("thing:1", noise(30_000, seed=99))
    new_process(True)
    assert place.read["manifests"] == 1


def test_what_is_collected_is_the_same(place: Counting, new_process: Callable[[bool], Collection]) -> None:
    """By copies as without them."""
    new_process(True)
    assert new_process(False).versions == ("thing:0@1.0.0",)
    assert all(key.startswith("segments/") for key in stored(place) - needed(place))


def test_a_lost_manifest_is_noticed_though_there_is_a_copy(
    place: Counting, new_process: Callable[[bool], Collection]
) -> None:
    """It is read at the place, since it was not listed; and nothing is collected."""
    new_process(True)
    before = stored(place)
    path = Registry(place).info("thing:3")["path"]
    (lost,) = (key for key in before if path.endswith(key))
    place.delete([lost])
    with pytest.raises(CorruptError, match=r"thing:3@1\.0\.1 needs what is not there"):
        new_process(False)
    assert stored(place) == before - {lost}


def test_a_copy_that_is_damaged_is_not_believed(
    place: Counting, new_process: Callable[[bool], Collection], tmp_path: Path
) -> None:
    """It is read at the place, and the plan is the same."""
    first = new_process(True)
    files = list((tmp_path / "cache").rglob("*.whole"))
    for path in files:
        held = path.read_bytes()
        path.write_bytes(bytes([held[0] ^ 1]) + held[1:])
    assert len(files) == 10
    assert new_process(True) == first
    assert place.read["manifests"] == 10
