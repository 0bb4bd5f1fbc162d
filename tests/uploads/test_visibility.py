"""What is kept for unfinished uploads is no object: nothing lists it, counts it or takes it along, but `stats` says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from casreg import InvalidNameError, Registry, Store
from casreg.backends.memory import MemoryBackend
from casreg.keys import MANIFESTS
from cli.lab import ok
from registry.lab import noise, snapshot
from uploads.lab import Slow, gc, packs_at, pinned, slow_registry, stopped_save, upload_refs

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend

DATA = noise(1_800_000, 1)


def _place(place: Backend) -> Registry:
    """A registry with one name, and an upload that was killed."""
    registry = Registry(place)
    registry.save("small", {"a": 1})
    stopped_save(place, DATA, packs=14, name="my:large")
    assert len(pinned(place)) == 14
    return registry


def test_no_listing_shows_it() -> None:
    """Neither the registry's, nor a search, nor the mapping, nor what goes over all names."""
    registry = _place(MemoryBackend())
    assert registry.list_objects() == ["small"]
    assert registry.list_objects_and_versions() == {"small": ["1.0.0"]}
    assert [row["name"] for row in registry.overview()] == ["small"]
    assert list(registry) == ["small"]
    assert len(registry) == 1
    assert "small" in str(registry)
    assert "~" not in str(registry)
    assert [found["name"] for found in registry.find("*")] == ["small"]
    assert registry.prune(keep_last=1).versions == ()
    with pytest.raises(InvalidNameError):
        registry.load("~upload-0")
    with pytest.raises(InvalidNameError):
        registry.delete("~upload-0")


def test_nothing_takes_it_along(tmp_path: Path) -> None:
    """Bundles, syncs, copies of everything, and stores."""
    place = MemoryBackend()
    registry = _place(place)
    registry.export(tmp_path / "all.casreg")
    bundle = Registry(tmp_path / "all.casreg")
    assert bundle.list_objects() == ["small"]
    assert upload_refs(bundle._repository.backend) == {}
    target = MemoryBackend()
    assert Registry(target).sync(registry).copied == ("small@1.0.0",)
    other = MemoryBackend()
    Registry(other).update(registry)
    for one in (target, other):
        assert upload_refs(one) == {}
        assert packs_at(one) == set()
    Registry(target).sync(registry, delete=True)
    assert Registry(place).sync(Registry(target), delete=True).deleted == ()
    assert len(pinned(place)) == 14
    store = Store({"here": registry})
    assert store.list_objects() == ["here/small"]


def test_stats_says_what_is_unfinished() -> None:
    """How many, how large, and since when; it is neither an object nor garbage."""
    place = MemoryBackend()
    began = datetime.now(UTC)
    registry = _place(place)
    sizes = {info.key: info.size for info in place.list("")}
    held = sum(sizes[key] for key in pinned(place))
    found = registry.stats()
    (upload,) = found.uploads
    assert (upload.name, upload.size) == ("my:large", held)
    since, seen = (datetime.fromisoformat(text) for text in (upload.since, upload.seen))
    assert began <= since <= seen <= datetime.now(UTC)
    assert seen - since < timedelta(minutes=5)  # by the clock of the machine, which does not stand still
    assert [one.name for one in found.names] == ["small"]
    old = sum(sizes[key] for key in sizes if key.startswith(MANIFESTS)) - found.stored
    assert 0 < found.unneeded < old  # manifests of earlier pins
    assert gc(place).freed == found.unneeded
    assert registry.stats().unneeded == 0
    assert registry.stats().uploads[0].size == held


def test_what_was_made_again_is_finished() -> None:
    """The second save needs all that the first had pinned, whose pin stays for a week and is not spoken of."""
    place = MemoryBackend()
    registry = _place(place)
    registry.save("my:large", DATA)
    assert len(pinned(place)) == 14
    assert registry.stats().uploads == ()


def test_of_several_the_oldest_is_first() -> None:
    """Sorted by when they began; those that share packs count them each."""
    place = MemoryBackend()
    for number in range(10):
        stopped_save(place, noise(1_500_000, number), packs=12, name=f"name-{number}")
    uploads = Registry(place).stats().uploads
    assert [upload.name for upload in uploads] == [f"name-{number}" for number in range(10)]
    assert [upload.since for upload in uploads] == sorted(upload.since for upload in uploads)
    assert sum(upload.size for upload in uploads) == sum(info.size for info in place.list("packs/"))


def test_verify_counts_no_version_more() -> None:
    """It looks at what is pinned, as at all that refs lead to, and says whose damage it is."""
    place = MemoryBackend()
    registry = _place(place)
    report = registry.verify(data=True)
    assert (report.clean, report.versions, report.packs) == (True, 1, 14)
    key = sorted(pinned(place))[3]
    data = bytearray(place.get(key).data)
    data[100] ^= 1
    place.delete([key])
    place.create(key, bytes(data))
    (damage,) = registry.verify(data=True).damages
    assert (damage.key, damage.versions, damage.tags) == (key, ("an unfinished upload",), ())
    registry.heal(Registry(MemoryBackend()))
    assert registry.verify(data=True).clean
    registry.save("my:large", DATA)
    assert registry.load("my:large") == DATA
    assert registry.verify(data=True).clean


def test_the_command_says_it_too(tmp_path: Path) -> None:
    """`stats` has a line of it, where there is something to say; `ls` has not."""
    place = str(tmp_path / "place")
    registry = Registry(place)
    registry.save("small", {"a": 1})
    assert "unfinished" not in ok("stats", "-r", place).out
    assert ok("stats", "-r", place, "--json").json["uploads"] == []
    stopped_save(registry._repository.backend, DATA, packs=14, name="my:large")
    (line,) = [line for line in ok("stats", "-r", place).out.splitlines() if "unfinished" in line]
    assert line.split(":", 1)[0] == "unfinished uploads"
    assert "1 (" in line
    assert "my:large since 20" in line
    (upload,) = ok("stats", "-r", place, "--json").json["uploads"]
    assert upload.keys() == {"name", "since", "seen", "size"}
    stopped_save(registry._repository.backend, noise(1_800_000, 2), packs=14, name="another")
    assert "the oldest, my:large since 20" in ok("stats", "-r", place).out
    assert "~" not in ok("ls", "-r", place).out
    assert "large" not in ok("ls", "-r", place).out


def test_a_short_save_makes_no_request_more() -> None:
    """Whatever it saves, with and without uploads of others that are not finished: it reads and writes no hidden ref."""
    place = MemoryBackend()
    _place(place)
    before = upload_refs(place)
    slow = Slow(place)
    registry = slow_registry(slow)
    for seed in range(5):
        slow.clock.now = 0.0
        registry.save("short", noise(700_000, seed))
    assert slow.landed > 20
    assert not slow.log.calls(prefix="refs/~")
    assert not slow.log.calls("list", "refs/")
    assert upload_refs(place) == before
    assert snapshot(place).keys() > before.keys()
