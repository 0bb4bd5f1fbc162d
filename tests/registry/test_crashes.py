"""Power failures at every moment of whole operations: what was promised is there, the rest is old or new."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.local import LocalBackend
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing.crashes import CrashRecorder, replay_crashes
from casreg.verify import check_packs, survey
from registry.lab import NoFlush, noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = noise(20_000, 1)
OTHER = noise(17_000, 2)
WIDE = noise(400_000, 3)
PART = WIDE[:150_000]

# What each mark promises: this object under this name and version, or that there is none (None).
Promise = tuple[str, Any]


def _saves(registry: Registry, promise: Callable[[str, Any], None]) -> None:
    """A first save, a second version, another name, a duplicate."""
    promise(f"thing@{registry.save('thing', BIG)}", BIG)
    promise(f"thing@{registry.save('thing', {'a': 1})}", {"a": 1})
    promise(f"other@{registry.save('other', OTHER)}", OTHER)
    promise(f"copy@{registry.save('copy', BIG)}", BIG)


def _edits(registry: Registry, promise: Callable[[str, Any], None]) -> None:
    """Tags, notes, deleting and bringing back."""
    registry.save("thing", 1)
    promise("thing@1.0.0", 1)
    registry.tag("thing", "prod")
    promise("thing@prod", 1)
    registry.save("thing", 2)
    registry.tag("thing", "prod")
    promise("thing@prod", 2)
    registry.delete("thing@1.0.0")
    promise("thing@1.0.0", None)
    registry.undelete("thing@1.0.0")
    promise("thing@1.0.0", 1)


def _overwrites(registry: Registry, promise: Callable[[str, Any], None]) -> None:
    """One version with one content after the other."""
    for value in (BIG, {"a": 1}, OTHER):
        registry.save("thing", value, version="1.0.0")
        promise("thing@1.0.0", value)


def _compacts(registry: Registry, promise: Callable[[str, Any], None]) -> None:
    """A collection that moves what is needed to another pack, and deletes the old one."""
    registry.save("thing", WIDE)
    promise(f"part@{registry.save('part', PART)}", PART)
    registry.delete("thing")
    promise("thing@1.0.0", None)
    moved = registry.gc(min_age=0, undelete_window=0, compact=True).compaction
    assert moved is not None
    assert moved.versions == 1
    promise("part@1.0.0", PART)


HISTORIES = {"saves": _saves, "edits": _edits, "overwrites": _overwrites, "compacts": _compacts}
ALL: dict[str, list[Any]] = {
    "thing@1.0.0": [BIG, {"a": 1}, OTHER, 1, 2, WIDE],
    "part@1.0.0": [PART],
    "thing@1.0.1": [{"a": 1}, 2],
    "other@1.0.0": [OTHER],
    "copy@1.0.0": [BIG],
}


@pytest.mark.parametrize(
    ("window", "subsets"),
    [pytest.param(3, 1, id="few-lost"), pytest.param(6, 2, id="many-lost", marks=pytest.mark.soak)],
)
@pytest.mark.parametrize(
    "label",
    [pytest.param(label, marks=pytest.mark.soak) if label == "compacts" else label for label in HISTORIES],
)
def test_a_power_failure_at_any_moment(tmp_path: Path, label: str, window: int, subsets: int) -> None:
    """Whatever a crash leaves: the registry opens, all that is listed loads and verifies, every promise holds, and
    the same operations can be done again.
    """
    base = tmp_path / "recorded"
    base.mkdir()
    recorder = CrashRecorder(base)
    promises: list[Promise] = []

    def promise(key: str, value: Any) -> None:
        promises.append((key, value))
        recorder.mark(str(len(promises)))

    registry = Registry(LocalBackend(base / "place", file_system=recorder), mutable=True)
    HISTORIES[label](registry, promise)

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        # Where it was, as after a real crash: elsewhere the storage would be probed anew each time.
        shutil.rmtree(base)
        folder.rename(base)
        _check(base / "place", promises, len(marks))
        folder.mkdir()

    states = replay_crashes(recorder, tmp_path / "crashed", check, window=window, random_subsets=subsets)
    assert states > 100


def _check(place: Path, promises: list[Promise], kept: int) -> None:
    backend = LocalBackend(place, file_system=NoFlush())
    registry = Registry(backend)
    for name in registry.list_objects():
        for version in registry.list_versions(name):
            assert registry.load(name, version) in ALL[f"{name}@{version}"]
    last: dict[str, int] = {key: at for at, (key, _) in enumerate(promises[:kept])}
    for key, at in last.items():
        following = [value for other, value in promises[at:] if other == key][:2]
        # What was promised last, or what was under way when the power failed.
        now = registry.load(key) if registry.has_object(key) else None
        assert now in following, f"{key} is {now!r:.60}"
    repository = Repository(backend)
    surveyed = survey(repository)
    assert not surveyed.damage
    assert not list(check_packs(surveyed))
    again = Registry(backend)
    again.save("after", OTHER)
    assert again.load("after") == OTHER
