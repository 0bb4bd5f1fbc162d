"""`Registry.gc` and `Registry.prune`: what users pass, and what they are told."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from casreg import InvalidArgumentError, InvalidNameError, ObjectNotFoundError
from casreg.backends.memory import MemoryBackend
from casreg.gc import seconds
from casreg.registry import Registry
from registry.lab import Meanwhile, noise, snapshot

if TYPE_CHECKING:
    from casreg.progress import Progress


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("1d", 86_400),
        ("12h", 43_200),
        ("30m", 1_800),
        ("90s", 90),
        ("2w", 1_209_600),
        ("1.5h", 5_400),
        (" 7 d ", 604_800),
        ("0", 0),
        ("3600", 3_600),
        (0, 0),
        (2.5, 2.5),
        (timedelta(days=1, seconds=1), 86_401),
    ],
)
def test_durations(given: Any, expected: float) -> None:
    """A number and a unit, a number of seconds, or a timedelta."""
    assert seconds(given, "min_age") == expected


@pytest.mark.parametrize(
    "given",
    [
        "",
        "d",
        "1y",
        "1M",
        "1 day",
        "-1d",
        "1d12h",
        "1e3",
        "inf",
        "nan",
        "١d",
        -1,
        float("nan"),
        float("inf"),
        None,
        True,
        timedelta(seconds=-1),
        [1],
    ],
)
def test_what_is_no_duration(given: Any) -> None:
    """Anything else is refused, by the argument's name, before anything is done."""
    registry = Registry(MemoryBackend())
    with pytest.raises(InvalidArgumentError, match="min_age is a duration"):
        registry.gc(min_age=given)
    with pytest.raises(InvalidArgumentError, match="undelete_window is a duration"):
        registry.gc(undelete_window=given)


def test_a_collection_by_default_takes_nothing_that_is_new() -> None:
    """A day for files, a week for deleted versions."""
    registry = Registry(MemoryBackend())
    registry.save("thing", noise(20_000))
    registry.delete("thing")
    assert registry.gc().freed == 0
    assert registry.gc(min_age=0).freed == 0
    assert registry.gc(undelete_window=0).freed == 0
    foreseen = registry.gc(min_age="0", undelete_window="0s", dry_run=True)
    assert foreseen.freed > 20_000
    assert registry.gc(min_age=0, undelete_window=0).freed == foreseen.freed


def test_the_result_is_plain() -> None:
    """It pickles, and is JSON."""
    registry = Registry(MemoryBackend())
    registry.save("thing", 1)
    registry.delete("thing")
    done = registry.gc(min_age=0, undelete_window=0)
    assert pickle.loads(pickle.dumps(done)) == done
    assert json.loads(json.dumps(asdict(done))) == {
        "location": registry.backend.location,
        "dry_run": False,
        "freed": done.freed,
        "files": {"manifests": 1, "packs": 0, "segments": 0},
        "versions": ["thing@1.0.0"],
        "runs": [1],
        "unfinished": False,
        "compaction": None,
    }


def test_the_registrys_progress_is_told() -> None:
    """As of any other long operation; and what it raises ends the collection, before the verdict or after it."""
    told: list[Progress] = []
    registry = Registry(MemoryBackend(), progress=told.append)
    registry.save("thing", 1)
    registry.delete("thing")

    def stop(at: Progress) -> None:
        if at.phase == "delete":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.gc(min_age=0, undelete_window=0, progress=stop)
    told.clear()
    done = registry.gc(min_age=0, undelete_window=0)
    assert done.unfinished
    assert done.files["manifests"] == 1
    assert {one.phase for one in told} >= {"list", "delete"}


@pytest.mark.parametrize("option", ["compact", "dry_run", "shared_fs"])
def test_flags_are_flags(option: str) -> None:
    """A text would count as yes."""
    with pytest.raises(InvalidArgumentError, match=option):
        Registry(MemoryBackend()).gc(**{option: "no"})  # type: ignore[arg-type]


def test_a_collection_that_compacts() -> None:
    """The result says what was moved, and is as plain as without; and nothing is compacted unless that is said."""
    registry = Registry(MemoryBackend())
    parts = [noise(200_000, number) for number in range(8)]
    registry.save("thing", b"".join(parts))
    registry.save("thing", b"".join([*parts[:2], parts[7]]))
    registry.delete("thing", "1.0.0")
    plain = registry.gc(min_age=0, undelete_window=0)
    assert (plain.files["packs"], plain.compaction) == (0, None)
    done = registry.gc(min_age=0, undelete_window=0, compact=True)
    assert pickle.loads(pickle.dumps(done)) == done
    moved = json.loads(json.dumps(asdict(done)))["compaction"]
    assert (moved["packs"], moved["versions"], moved["left"]) == (1, 1, {})
    assert moved["freed"] > 1_600_000
    assert 300_000 < moved["rewritten"] < 500_000
    assert done.files["packs"] == 1
    assert registry.load("thing") == b"".join([*parts[:2], parts[7]])


def pruned_place() -> Registry:
    """Six versions of `a`, of which one is protected and one has a tag; two of `b`."""
    registry = Registry(MemoryBackend())
    for number in range(6):
        registry.save("a", number)
    registry.protect("a", "1.0.1")
    registry.tag("a", "prod", "1.0.2")
    for number in range(2):
        registry.save("b", number)
    return registry


def test_prune_keeps_the_highest() -> None:
    """Of each name the highest stay, and what is protected or has a tag; the others can be undeleted."""
    registry = pruned_place()
    pruned = registry.prune(2)
    assert pruned.versions == ("a@1.0.0", "a@1.0.3")
    assert pruned.kept == ("a@1.0.1", "a@1.0.2")
    assert registry.list_versions("a") == ["1.0.1", "1.0.2", "1.0.4", "1.0.5"]
    assert registry.list_versions("b") == ["1.0.0", "1.0.1"]
    registry.undelete("a", "1.0.3")
    assert registry.load("a", "1.0.3") == 3


def test_prune_of_some_names() -> None:
    """One name, or several; of no other anything is deleted."""
    registry = pruned_place()
    assert registry.prune(1, "b").versions == ("b@1.0.0",)
    assert len(registry.list_versions("a")) == 6
    assert registry.prune(5, ["a", "b"]).versions == ("a@1.0.0",)


def test_a_dry_prune_writes_nothing() -> None:
    """It says what would go."""
    registry = pruned_place()
    before = snapshot(registry.backend)
    pruned = registry.prune(1, dry_run=True)
    assert (pruned.dry_run, pruned.versions) == (True, ("a@1.0.0", "a@1.0.3", "a@1.0.4", "b@1.0.0"))
    assert snapshot(registry.backend) == before
    assert registry.prune(1).versions == pruned.versions


def test_prune_decides_in_the_commit() -> None:
    """What is protected or saved between looking and deleting counts."""
    place = Meanwhile()
    registry = Registry(place)
    for number in range(3):
        registry.save("a", number)
    other = Registry(place)
    place.others = lambda: (other.protect("a", "1.0.0"), other.save("a", 3))
    assert registry.prune(1).versions == ("a@1.0.1", "a@1.0.2")
    assert registry.list_versions("a") == ["1.0.0", "1.0.3"]


@pytest.mark.parametrize("keep", [0, -1, True, 1.0, "2", None])
def test_prune_refuses_what_is_no_number(keep: Any) -> None:
    """Nothing is deleted then."""
    registry = pruned_place()
    with pytest.raises(InvalidArgumentError, match="keep_last"):
        registry.prune(keep)
    assert len(registry.list_versions("a")) == 6


def test_prune_refuses_what_is_no_name() -> None:
    """A version, a wrong name, and one that is not there."""
    registry = pruned_place()
    with pytest.raises(ObjectNotFoundError, match="'c'"):
        registry.prune(1, "c")
    with pytest.raises(InvalidArgumentError, match=r"b@1\.0\.0"):
        registry.prune(1, "b@1.0.0")
    with pytest.raises(InvalidNameError):
        registry.prune(1, ["a b"])
    assert len(registry.list_versions("b")) == 2
