"""A second sync: what it asks of the places, and what it believes."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import pytest

from casreg import MemoryBackend, Registry
from casreg.testing.recording import RecordingBackend
from sync.lab import Far, filled, noise, place_with, seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.testing.recording import Call


class Both(NamedTuple):
    """A source and a target that take notes, after a sync."""

    source: Registry
    target: Registry

    def again(self) -> tuple[list[Call], list[Call]]:
        """What a new process asks of each."""
        for one in self:
            one.backend.log.clear()  # type: ignore[attr-defined]  # it is a RecordingBackend
        Registry(self.target.backend, cache=False).sync(Registry(self.source.backend, cache=False))
        return calls_of(self.source.backend), calls_of(self.target.backend)


def calls_of(backend: Backend) -> list[Call]:
    """What was asked of it."""
    assert isinstance(backend, RecordingBackend)
    return list(backend.calls)


@pytest.fixture
def both() -> Both:
    """Two places behind a network, of which the one was synced from the other."""
    source = filled(RecordingBackend(Far()))
    for number in range(30):
        source.save(f"name:{number}", number)
    target = Registry(RecordingBackend(Far()), cache=False)
    target.sync(source)
    return Both(source, target)


def shown(calls: list[Call]) -> list[str]:
    """The methods and the keys."""
    return [f"{call.method} {call.key}" for call in calls]


def test_with_nothing_to_do_each_place_is_listed_once(both: Both) -> None:
    """One request for each 1,000 names, and nothing else."""
    assert [shown(calls) for calls in both.again()] == [["list refs/"], ["list refs/"]]


def test_a_changed_name_is_read_once(both: Both) -> None:
    """Of a name that was written to, but has nothing to bring, its ref is read at each place, and whose it is."""
    both.source.annotate("name:7", note=1)
    both.source.annotate("name:7", note=None)

    for calls in both.again():
        assert shown(calls) == ["list refs/", "get casreg.json", "get refs/name_7"]
    for calls in both.again():
        assert shown(calls) == ["list refs/"]


def test_a_collection_at_the_target_costs_a_read_of_each_name_that_it_stamped(both: Both) -> None:
    """Once; and nothing is written."""
    both.target.delete("name:3")
    both.target.sync(both.source)
    both.target.gc(min_age=0, undelete_window=0)

    source, target = both.again()
    assert {call.method for call in (*source, *target)} == {"list", "get"}
    assert [shown(calls) for calls in both.again()] == [["list refs/"], ["list refs/"]]


def test_a_second_sync_moves_less_than_a_hundredth(both: Both) -> None:
    """Of the bytes of the first, with one small version more."""
    first = sum(call.bytes_in for call in calls_of(both.target.backend))
    both.source.save("small", noise(3, 500))

    moved = sum(call.bytes_in + call.bytes_out for call in both.again()[1])

    assert moved < first / 50  # the first is small here
    assert seen(both.source) == seen(both.target)


def test_what_is_deleted_behind_its_back_is_seen(both: Both) -> None:
    """The memory is believed only if both refs are as they were."""
    both.target.delete("name:5")

    both.again()

    assert both.target.load("name:5") == 5


def test_another_repository_in_place_of_the_target_is_synced_anew() -> None:
    """Also if its refs happen to have the tokens that the others had."""
    source = filled(MemoryBackend())
    target = MemoryBackend("sync-replaced")
    Registry(target, cache=False).sync(source)
    place_with(target, {})

    done = Registry(target, cache=False).sync(source)

    assert done.unchanged == 0
    assert len(done.copied) == 6


def test_another_repository_with_equal_tokens_is_another_one() -> None:
    """Its id tells, where a storage counts its states from the beginning."""

    class Same(MemoryBackend):
        location = "memory://the-same"

    sources, targets = [], []
    for number in range(2):
        sources.append(Registry(MemoryBackend(), cache=False))
        sources[-1].save("name", number)
        targets.append(Registry(Same(), cache=False))
        targets[-1].sync(sources[-1])

    done = targets[1].sync(sources[0])

    assert [one.about for one in done.conflicts] == ["name@1.0.0"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"nothing",
        lambda _: b"\xff\xfe\n{}",
        lambda data: data[:-10],
        lambda data: data.replace(b"tag", b"tug"),
    ],
    ids=["empty", "text", "bytes", "cut", "changed"],
)
def test_a_damaged_memory_is_none(both: Both, tmp_path: Path, damage: Callable[[bytes], bytes]) -> None:
    """Everything is compared once more, and it is remembered anew."""
    (file,) = (tmp_path / "default-cache" / "sync").iterdir()
    file.write_bytes(damage(file.read_bytes()))

    source, target = both.again()

    assert len(source) == len(target) == 2 + 33
    assert [shown(calls) for calls in both.again()] == [["list refs/"], ["list refs/"]]


def test_a_cache_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then nothing is remembered."""
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("CASREG_CACHE_DIR", str(tmp_path / "file" / "cache"))
    source, target = filled(MemoryBackend()), Registry(MemoryBackend(), cache=False)

    assert len(target.sync(source).copied) == 6
    assert target.sync(source).unchanged == 0


def test_what_was_left_alone_is_looked_at_when_it_may_be_deleted(both: Both) -> None:
    """A name whose target has something of its own is unchanged only for those who delete nothing."""
    both.target.save("name:1", "own", version="9.0.0")
    both.target.sync(both.source)
    assert [shown(calls) for calls in both.again()] == [["list refs/"], ["list refs/"]]

    assert both.target.sync(both.source, delete=True).deleted == ("name:1@9.0.0",)


def test_what_the_source_does_not_list_is_not_asked_for(both: Both) -> None:
    """A name that only the target has costs the source no reading of a ref."""
    both.target.save("own", 1)
    both.source.backend.log.clear()  # type: ignore[attr-defined]  # it is a RecordingBackend

    both.target.sync(both.source, dry_run=True, delete=True)

    assert shown(calls_of(both.source.backend)) == ["list refs/", "get casreg.json"]


def test_a_conflict_is_reported_each_time(both: Both) -> None:
    """It is never taken for something that is done."""
    both.source.save("clash", 1)
    both.target.save("clash", 2)

    for _ in range(3):
        assert len(both.target.sync(both.source).conflicts) == 1
