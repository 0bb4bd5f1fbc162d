"""What a registry holds and takes: `stats`, `overview`, `init`."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from casreg import CorruptError, InvalidArgumentError, ReadOnlyError
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.keys import segment_key
from casreg.packs import iterate_frames
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from casreg.backends.base import ObjectInfo

KIB = 1024


def test_an_empty_registry() -> None:
    """Holds and takes nothing, and its ratios are 1."""
    found = Registry(MemoryBackend()).stats()
    assert (found.names, found.versions, found.logical, found.stored, found.files) == ((), 0, 0, 0, 0)
    assert found.deduplication == found.compression == 1.0


def test_the_same_bytes_count_once() -> None:
    """Ten versions with the same large part: logical counts it ten times, distinct and stored once."""
    registry = Registry(MemoryBackend())
    data = noise(1024 * KIB)
    for number in range(10):
        registry.save("x", data + b"%d" % number)
    (name,) = registry.stats().names
    assert (name.versions, name.logical) == (10, 10 * (1024 * KIB + 1))
    assert (
        1024 * KIB <= name.distinct < 3500 * KIB
    )  # the last chunk, of at most 256 KiB, is another one each time
    assert name.deduplication == name.logical / name.distinct > 2.9
    assert 0.98 < name.compression <= 1.0  # noise does not compress


def test_what_compresses_takes_less() -> None:
    """Compression is a figure of its own: text that repeats within a chunk only."""
    registry = Registry(MemoryBackend())
    registry.save("x", b"".join(b"line %08d\n" % number for number in range(200_000)))
    found = registry.stats()
    assert found.logical == 2_800_000
    assert 2_800_000 <= found.distinct < 2_850_000  # and the list of its chunks
    assert found.compression > 3
    assert 0.98 < found.deduplication <= 1.0


def test_names_share(registry: Registry) -> None:
    """`alone` is what no other name needs; in all, what is shared counts once."""
    shared, own = noise(800 * KIB, seed=1), noise(300 * KIB, seed=2)
    registry.save("a", shared)
    registry.save("b", shared)
    registry.save("b", own)
    registry.copy("b", "c")  # the very same manifest
    found = registry.stats()
    a, b, c = found.names
    assert [one.name for one in found.names] == ["a", "b", "c"]
    assert a.stored > 800 * KIB
    assert a.alone < 4 * KIB  # its manifest
    assert b.stored > 1100 * KIB
    assert b.alone == _manifest_size(registry, "b@1.0.0")  # that of 1.0.1 is c's, too
    assert c.stored > 300 * KIB
    assert c.alone == 0
    assert found.logical == a.logical + b.logical + c.logical
    assert 1100 * KIB < found.stored < 1120 * KIB
    assert found.distinct < a.distinct + b.distinct + c.distinct


def _manifest_size(registry: Registry, key: str) -> int:
    path = registry.info(key)["path"].partition("?")[0]
    return len(registry.backend.get(path[path.index("manifests/") :]).data)


def test_alone_is_what_deleting_makes_unneeded(registry: Registry) -> None:
    """To the byte: what only one name needs is needed by nobody when that name is deleted."""
    registry.save("a", noise(500 * KIB, seed=1) + noise(500 * KIB, seed=2))
    registry.save("b", noise(500 * KIB, seed=2) + noise(700 * KIB, seed=3))
    before = registry.stats()
    assert before.unneeded == 0
    registry.delete("a")
    after = registry.stats()
    (alone,) = (one.alone for one in before.names if one.name == "a")
    assert after.stored == before.stored - alone
    # A pack that nobody needs goes as a whole, with its header, table and trailer.
    assert 0 < after.unneeded - alone < 8 * KIB or after.unneeded == alone
    assert after.size >= after.stored + after.unneeded


def test_size_is_what_is_on_disk(tmp_path: Path) -> None:
    """Bytes and number of all files of the repository, as the file system counts them."""
    registry = Registry(tmp_path / "r")
    registry.save("x", noise(100 * KIB))
    registry.save("y", {"small": 1})
    files = [
        path
        for path in (tmp_path / "r").rglob("*")
        if path.is_file() and path.relative_to(tmp_path / "r").parts[0] not in {"tmp", "locks"}
    ]
    found = registry.stats()
    assert found.files == len(files)
    assert found.size == sum(path.stat().st_size for path in files)


def test_small_payloads_count(registry: Registry) -> None:
    """What stands in the manifest itself is logical, distinct and stored."""
    registry.save("x", b"a" * 1000)
    found = registry.stats()
    assert found.logical == found.distinct == 1000
    assert found.stored > 1000


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.lists(st.integers(0, 5), min_size=1, max_size=4)), max_size=8
    )
)
def test_distinct_is_the_sum_of_the_chunks(saves: list[tuple[str, list[int]]]) -> None:
    """Whatever was saved: distinct and stored bytes are those of the frames that packs really hold."""
    backend = MemoryBackend()
    registry = Registry(backend)
    parts = [noise(40 * KIB, seed=seed) for seed in range(6)]
    for name, chosen in saves:
        registry.save(name, b"".join(parts[part] for part in chosen))
    chunks = stored = 0
    for info in backend.list("packs/"):
        data = backend.get(info.key).data
        end = len(data) - 48
        count = int.from_bytes(data[end : end + 8], "little")
        for frame in iterate_frames(memoryview(data)[32 : end - 48 * count], info.key):
            chunks += frame.size
            stored += 44 + len(frame.stored)
    manifests = sum(info.size for info in backend.list("manifests/"))
    found = registry.stats()
    assert found.distinct == chunks
    assert found.stored == stored + manifests
    assert found.unneeded == 0


def test_large_placements_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in a segment of its own is stored, too; a segment of which nobody knows may be that of a history."""
    monkeypatch.setattr("casreg.repository.proving.PLACEMENT_LIMIT", 10)
    backend = MemoryBackend()
    registry = Registry(backend)
    registry.save("x", noise(100 * KIB))
    before = registry.stats()
    files = {info.key: info.size for info in backend.list("")}
    (segment,) = [size for key, size in files.items() if key.startswith("segments/")]
    (manifest,) = [size for key, size in files.items() if key.startswith("manifests/")]
    frames = sum(size for key, size in files.items() if key.startswith("packs/")) - 32 - 48 - 3 * 48
    assert before.stored == frames + manifest + segment
    backend.create(segment_key(digest_of(b"older")), b"older")
    after = registry.stats()
    assert (after.size, after.unneeded) == (before.size + 5, 0)


class _Moving(MemoryBackend):
    """A place whose next `times` listings of manifests come when these have been moved."""

    times = 0

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """As the parent's, without what was moved."""
        if prefix == "manifests/" and self.times:
            self.times -= 1
            return iter(())
        return super().list(prefix, after)


def test_what_moves_is_looked_for_again() -> None:
    """A manifest that is not there any more when files are counted: again, and only then it is damage."""
    backend = _Moving()
    registry = Registry(backend)
    registry.save("x", 1)
    found = registry.stats()
    backend.times = 2
    assert registry.stats() == found
    backend.times = 3
    with pytest.raises(CorruptError, match=r"manifests/.*`verify` says which"):
        registry.stats()


def test_a_lost_pack_is_named(tmp_path: Path) -> None:
    """What cannot be counted is damage, said with the file: never a figure that is too small."""
    registry = Registry(tmp_path / "r")
    registry.save("x", noise(100 * KIB))
    (pack,) = [path for path in (tmp_path / "r" / "packs").rglob("*") if path.is_file()]
    os.unlink(pack)
    with pytest.raises(CorruptError, match=pack.name):
        registry.stats()


def test_no_data_is_read(registry: Registry) -> None:
    """Of packs only the tables are read: a few requests, and few bytes."""
    recording = RecordingBackend(registry.backend)
    registry.save("x", noise(3000 * KIB))
    Registry(recording, cache=False).stats()
    assert sum(call.method == "get" for call in recording.calls) == 3  # the ref, the manifest, the table


def test_plain_values(registry: Registry) -> None:
    """All of it is numbers and texts."""
    registry.save("x", 1)
    fields = asdict(registry.stats())
    assert {type(value) for value in fields["names"][0].values()} == {str, int}


def test_overview(registry: Registry) -> None:
    """One row for each name that has a version, with all its tags; a pattern chooses."""
    registry.save("my:a", b"x" * 10, tags=["old"])
    registry.save("my:a", b"y" * 20, tags=["new"])
    registry.save("your:b", {"x": 1})
    registry.save("gone", 1)
    registry.delete("gone")
    first, second = registry.overview()
    assert first == {
        "name": "my:a",
        "version": "1.0.1",
        "versions": 2,
        "size": 20,
        "created": registry.info("my:a")["created"],
        "class": "builtins.bytes",
        "tags": {"new": "1.0.1", "old": "1.0.0"},
    }
    assert registry.overview("your:*") == [second]
    assert registry.overview("MY:*") == []
    with pytest.raises(InvalidArgumentError, match="pattern"):
        registry.overview(None)  # type: ignore[arg-type]  # that is the test


def test_init_makes_a_registry(tmp_path: Path) -> None:
    """It is there then, empty, with an id that stays, however often and by whom it is called."""
    registry = Registry(tmp_path / "r")
    identity = registry.init()
    assert (tmp_path / "r" / "casreg.json").exists()
    assert registry.init() == Registry(tmp_path / "r").init() == identity
    assert len(identity) == 32
    assert registry.list_objects() == []


def test_init_refuses_what_is_not_fit(tmp_path: Path) -> None:
    """As a save does: a bundle is read-only."""
    Registry(MemoryBackend()).export(tmp_path / "b.casreg")
    with pytest.raises(ReadOnlyError):
        Registry(tmp_path / "b.casreg").init()
