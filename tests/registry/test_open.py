"""`Registry.open`: one file of a version as a stream, and `Registry.files`."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import signal
import threading
import zipfile
from collections import Counter
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest

from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache
from casreg.digest import digest_of
from casreg.exceptions import (
    CorruptError,
    InvalidArgumentError,
    ObjectChangedError,
    ObjectNotFoundError,
    StorageUnavailableError,
)
from casreg.fetch import lists, stream
from casreg.manifests import encode_list
from casreg.model import Chunk, Stream
from casreg.registry import Registry
from casreg.testing import Fault, FaultBackend, FaultKind, RecordingBackend
from casreg.threads import workers
from registry.lab import noise, snapshot, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Backend

MIB = 1024 * 1024
MIXED = noise(5 * MIB, 1) + text(5 * MIB, 2) + bytes(4 * MIB) + noise(3 * MIB + 7, 3)


@pytest.fixture(scope="module")
def stored() -> RecordingBackend:
    """17 MiB of several kinds of bytes, as `mixed`."""
    place = RecordingBackend(MemoryBackend())
    Registry(place).save("mixed", MIXED)
    return place


@pytest.fixture
def mixed(backend: Backend) -> Registry:
    """The same at a place of each kind, read from there alone."""
    Registry(backend, cache=False).save("mixed", MIXED)
    return Registry(backend, cache=False)


def _without(place: MemoryBackend, prefix: str) -> None:
    """What a collector would have done to everything below `prefix`."""
    place.delete([info.key for info in place.list(prefix)])


# ------------------------------------------------------------------------------------------------ bytes


def test_reads_anywhere_give_the_stored_bytes(mixed: Registry) -> None:
    """300 reads of any size at any place equal the slices of what was saved."""
    draw = random.Random(0)
    with mixed.open("mixed") as opened:
        for _ in range(300):
            start, size = draw.randrange(len(MIXED) + 10), draw.choice([0, 1, 3000, 70_000, 300_000, 2 * MIB])
            assert opened.seek(start) == start
            assert opened.read(size) == MIXED[start : start + size], (start, size)
            assert opened.tell() == max(start, min(start + size, len(MIXED)))


@pytest.mark.parametrize("step", [1000, 128 * 1024, 5 * MIB, -1])
def test_reading_on_gives_the_whole_file(stored: RecordingBackend, step: int) -> None:
    """In steps of any size, and at once."""
    whole = bytearray()
    with Registry(stored).open("mixed") as opened:
        while piece := opened.read(step):
            whole += piece
    assert whole == MIXED


def test_reading_on_from_the_middle(mixed: Registry) -> None:
    """`read()` behind a seek gives the rest, also where that is nothing."""
    with mixed.open("mixed") as opened:
        for start in (0, 1, 6 * MIB + 1, len(MIXED) - 1, len(MIXED), len(MIXED) + 5):
            opened.seek(start)
            assert opened.read() == MIXED[start:]


def test_it_is_a_file_like_any_other(stored: RecordingBackend) -> None:
    """Readable and seekable, not writable; seeks as Python's files do; closed, it says so."""
    opened = Registry(stored).open("mixed")
    assert (opened.readable(), opened.seekable(), opened.writable()) == (True, True, False)
    assert isinstance(opened, io.BufferedReader)
    assert opened.seek(-3, io.SEEK_END) == len(MIXED) - 3
    assert opened.seek(-4, io.SEEK_CUR) == len(MIXED) - 7
    with pytest.raises(ValueError, match="before the beginning"):
        opened.seek(-1)
    raw: Any = opened.raw
    with pytest.raises(ValueError, match="whence"):
        raw.seek(0, 9)
    with pytest.raises(io.UnsupportedOperation):
        opened.write(b"x")
    with pytest.raises(OSError, match="fileno"):
        opened.fileno()
    assert opened.tell() == len(MIXED) - 7
    opened.close()
    opened.close()
    for call in (opened.read, opened.tell, raw.tell, raw.readall, lambda: raw.seek(0)):
        with pytest.raises(ValueError, match="closed"):
            call()


def test_many_threads_with_streams_of_their_own(mixed: Registry) -> None:
    """One Registry opens for many threads at once."""
    wrong: list[int] = []

    def read(seed: int) -> None:
        draw = random.Random(seed)
        with mixed.open("mixed") as opened:
            for _ in range(20):
                start = draw.randrange(len(MIXED))
                opened.seek(start)
                if opened.read(90_000) != MIXED[start : start + 90_000]:
                    wrong.append(start)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_threads_that_share_one_stream_lose_nothing(mixed: Registry) -> None:
    """Each byte of the file goes to exactly one of the readers."""
    opened = mixed.open("mixed")
    pieces: list[bytes] = []

    def read() -> None:
        while piece := opened.read(40_000):
            pieces.append(piece)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(map(len, pieces)) == len(MIXED)
    assert sorted(pieces) == sorted(MIXED[at : at + 40_000] for at in range(0, len(MIXED), 40_000))


def test_threads_that_share_the_raw_stream_lose_nothing(stored: RecordingBackend) -> None:
    """As above, without the buffer, whose own lock would hide what this one needs."""
    opened = Registry(stored).open("mixed")
    raw: Any = opened.raw
    pieces: list[bytes] = []

    def read() -> None:
        while piece := raw.read(30_000):
            pieces.append(piece)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(b"".join(pieces)) == Counter(MIXED)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.filterwarnings(
    "ignore:This process:DeprecationWarning"
)  # of Python 3.12, for a fork with threads
def test_a_forked_child_goes_on_reading(mixed: Registry) -> None:
    """Threads that read ahead do not exist in the child, and it does not wait for them."""
    opened = mixed.open("mixed")
    for _ in range(6):
        opened.read(128 * 1024)
    start = opened.tell()
    out, into = os.pipe()
    pid = os.fork()
    if not pid:
        signal.alarm(60)  # one that waits for ever must not stay behind
        try:
            right = opened.read(9 * MIB) == MIXED[start : start + 9 * MIB]
            os.write(into, b"1" if right else b"0")
        finally:
            os._exit(0)
    os.close(into)
    assert os.read(out, 1) == b"1"
    os.close(out)
    os.waitpid(pid, 0)
    assert opened.read() == MIXED[start:]


# ------------------------------------------------------------------------------------------------ what it costs


def test_the_end_of_a_large_file_costs_five_reads_and_little() -> None:
    """10 bytes at the end of 64 MiB: ref, manifest, chunk list, table of one pack, one chunk; below 350 KB in all."""
    place = RecordingBackend(MemoryBackend())
    data = noise(64 * MIB, 5)
    Registry(place).save("large", data)
    place.log.clear()
    with Registry(place).open("large") as opened:
        opened.seek(-10, io.SEEK_END)
        assert opened.read(10) == data[-10:]
    calls = place.calls
    assert [call.method for call in calls] == ["get"] * 5
    assert [call.key.partition("/")[0] for call in calls] == ["refs", "manifests", "packs", "packs", "packs"]
    assert sum(call.bytes_out for call in calls) <= 350_000


def test_a_look_into_the_middle_costs_two_reads() -> None:
    """Of an open file: the table of that pack, and one chunk. Who reads on there gets a little more, and then much."""
    place = RecordingBackend(MemoryBackend())
    data = noise(24 * MIB, 6)
    Registry(place).save("large", data)
    with Registry(place).open("large") as opened:
        opened.read(10)
        place.log.clear()
        opened.seek(15 * MIB)
        assert opened.read(10) == data[15 * MIB : 15 * MIB + 10]
        assert len(place.calls) == 2
        assert sum(call.bytes_out for call in place.calls) <= 48 * 1024 + 256 * 1024
        place.log.clear()
        opened.read(256 * 1024)
        assert sum(call.bytes_out for call in place.calls) <= 900 * 1024


def test_what_was_read_ahead_is_used_after_a_seek(stored: RecordingBackend) -> None:
    """Whoever jumps forward, into what is coming already, causes no new request."""
    with Registry(stored).open("mixed") as opened:
        assert isinstance(opened.raw, stream.FileStream)
        while len(opened.raw._ahead) < 2:
            opened.read(100_000)
        for _, future in opened.raw._ahead:
            future.result()
        last = opened.raw._ahead[-1][0]
        start = last.end - sum(chunk.size for chunk in last.chunks) + 10
        stored.log.clear()
        opened.seek(start)
        assert opened.read(10) == MIXED[start : start + 10]
        assert not stored.calls


def test_reading_it_through_reads_little_twice(stored: RecordingBackend) -> None:
    """A whole read costs at most 5 % more bytes than a load, and not many more requests."""
    registry = Registry(stored)
    stored.log.clear()
    registry.load("mixed")
    loaded = stored.calls
    stored.log.clear()
    with registry.open("mixed") as opened:
        while opened.read(64 * 1024):
            pass
    read = stored.calls
    assert sum(call.bytes_out for call in read) <= 1.05 * sum(call.bytes_out for call in loaded)
    assert len(read) <= len(loaded) + 6


def test_a_seek_reads_nothing_and_what_was_read_last_is_kept(stored: RecordingBackend) -> None:
    """Going back a little, as readers of zip files do, asks the storage no more."""
    with Registry(stored).open("mixed") as opened:
        opened.seek(6 * MIB)
        stored.log.clear()
        opened.seek(2 * MIB)
        opened.seek(8 * MIB)
        assert not stored.calls
        opened.read(10)
        opened.seek(3 * MIB)
        opened.read(10)
        stored.log.clear()
        opened.seek(8 * MIB)
        assert opened.read(10) == MIXED[8 * MIB : 8 * MIB + 10]
        assert not stored.calls


def test_memory_does_not_grow_with_the_file(stored: RecordingBackend) -> None:
    """However long one reads, some megabytes of chunks are held."""
    with Registry(stored).open("mixed") as opened:
        assert isinstance(opened.raw, stream.FileStream)
        while opened.read(MIB):
            assert sum(map(len, opened.raw._held.values())) <= stream._KEPT + 3 * stream._STEP
            assert len(opened.raw._ahead) <= workers() + 1


def test_a_cache_serves_what_was_read_before(stored: RecordingBackend, tmp_path: Path) -> None:
    """Then only refs are asked of the place; and a copy that is damaged is fetched again."""
    cache = Cache(tmp_path / "cache")

    def look() -> list[str]:
        stored.log.clear()
        with Registry(stored, cache=cache).open("mixed") as opened:
            for start in (16 * MIB, 3 * MIB + 5):
                opened.seek(start)
                assert opened.read(70_000) == MIXED[start : start + 70_000]
        return [call.key.partition("/")[0] for call in stored.calls]

    assert "packs" in look()
    assert set(look()) <= {"refs"}
    for path in cache.path.rglob("*"):
        if path.is_file() and path.stat().st_size > 20_000:
            data = bytearray(path.read_bytes())
            data[len(data) // 2] ^= 1
            path.chmod(0o644)
            path.write_bytes(data)
    assert "packs" in look()


# ------------------------------------------------------------------------------------------------ damage, moves


@pytest.mark.parametrize("at", [0, 6 * MIB, 11 * MIB, len(MIXED) - 10])
def test_damage_is_an_error_and_never_a_wrong_byte(stored: RecordingBackend, at: int) -> None:
    """With every pack damaged at one byte in four thousand, each read is right or raises."""
    place = MemoryBackend()
    for key, data in snapshot(stored).items():
        if key.startswith("packs/"):
            damaged = bytearray(data)
            for place_of_damage in range(2000, len(damaged), 40_000):
                damaged[place_of_damage] ^= 1
            place.create(key, bytes(damaged))
        else:
            place.create(key, data)
    damaged_reads = 0
    with Registry(place).open("mixed") as opened:
        for start in range(at, min(at + MIB, len(MIXED)), 50_000):
            opened.seek(start)
            try:
                assert opened.read(10) == MIXED[start : start + 10]
            except CorruptError as err:
                damaged_reads += "chunk" in str(err)
    assert damaged_reads


def test_a_damaged_table_costs_nothing_but_speed(stored: RecordingBackend) -> None:
    """Tables are hints here: chunks are found from the beginning of their run, and verified as ever."""
    place = MemoryBackend()
    for key, data in snapshot(stored).items():
        place.create(key, data[:-100] + bytes(52) + data[-48:] if key.startswith("packs/") else data)
    draw = random.Random(3)
    with Registry(place).open("mixed") as opened:
        for _ in range(20):
            start = draw.randrange(len(MIXED))
            opened.seek(start)
            assert opened.read(100) == MIXED[start : start + 100]


def test_a_storage_that_fails_may_be_asked_again(stored: RecordingBackend) -> None:
    """The error reaches the reader, the position stays, and the next read gives what this one should have."""
    faults = [Fault(at, FaultKind.BEFORE, methods=frozenset({"get"}), prefix="packs/") for at in (2, 5, 9)]
    failing = FaultBackend(stored, faults)
    opened = Registry(failing).open("mixed")
    whole, failed = bytearray(), 0
    while len(whole) < len(MIXED):
        try:
            whole += opened.read(200_000)
        except StorageUnavailableError:
            failed += 1
            assert opened.seek(len(whole)) == len(whole)
    assert whole == MIXED
    assert failed


def _moved(place: MemoryBackend) -> None:
    """What a compaction does: the same content in other packs, under another manifest; the old ones are gone."""
    before = [info.key for info in place.list("")]
    other = MemoryBackend()
    Registry(other).save("mixed", MIXED)
    for key, data in snapshot(other).items():
        if key.startswith("refs/"):
            place.delete([key])
        if not key.startswith(("casreg.json", "gc/", "index/")):
            place.create(key, data)
    place.delete([key for key in before if key.startswith(("packs/", "manifests/"))])


@pytest.mark.parametrize("read_before", [0, 100, 7 * MIB])
def test_bytes_that_moved_are_found_again(read_before: int) -> None:
    """A compaction under an open stream is not noticed by who reads it."""
    place = MemoryBackend()
    Registry(place).save("mixed", MIXED)
    opened = Registry(place).open("mixed")
    begun = opened.read(read_before)
    _moved(place)
    assert begun + opened.read() == MIXED


@pytest.mark.parametrize("read_before", [0, 100, 7 * MIB])
def test_an_overwritten_version_is_an_error_and_never_a_mixture(read_before: int) -> None:
    """The old bytes, or `ObjectChangedError`, and nothing of the new ones."""
    place = MemoryBackend()
    registry = Registry(place, mutable=True)
    registry.save("mixed", MIXED, version="1.0.0")
    opened = Registry(place).open("mixed")
    whole = opened.read(read_before)
    old = [info.key for info in place.list("packs/")]
    registry.save("mixed", noise(len(MIXED), 9), version="1.0.0")
    place.delete(old)
    with pytest.raises(ObjectChangedError, match=re.escape("mixed@1.0.0 was overwritten")):  # noqa: PT012
        while piece := opened.read(MIB):
            whole += piece
    assert whole == MIXED[: len(whole)]


def test_a_deleted_version_stays_as_it_was_until_it_is_collected() -> None:
    """Then it says what happened."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("mixed", MIXED)
    opened = registry.open("mixed")
    registry.delete("mixed")
    assert opened.read(MIB) == MIXED[:MIB]
    _without(place, "packs/")
    opened.seek(12 * MIB)
    with pytest.raises(ObjectChangedError, match="was deleted"):
        opened.read(10)


def test_missing_data_of_a_living_version_is_damage() -> None:
    """It did not move: it is lost."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("mixed", MIXED)
    opened = registry.open("mixed")
    _without(place, "packs/")
    with pytest.raises(CorruptError, match="Another copy"):
        opened.read(10)


def test_an_open_that_meets_an_overwrite_opens_what_is_there_now() -> None:
    """Nothing was handed out yet: it begins anew."""
    place = MemoryBackend()
    registry = Registry(place, mutable=True)
    registry.save("value", "old")
    slow = Registry(place)
    slow.list_versions("value")
    old = [info.key for info in place.list("manifests/")]
    registry.save("value", "new", version="1.0.0")
    place.delete(old)
    assert slow.open("value").read() == b"new"


# ------------------------------------------------------------------------------------------------ readers of files


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of the kinds of file that people open in place."""
    folder = tmp_path / "kinds"
    folder.mkdir()
    np.save(folder / "array.npy", np.arange(300_000.0).reshape(300, 1000))
    frame = pd.DataFrame({"a": np.arange(50_000), "b": np.random.default_rng(0).random(50_000)})
    frame.to_parquet(folder / "frame.parquet")
    with zipfile.ZipFile(folder / "many.zip", "w") as archive:
        for number in range(30):
            archive.writestr(f"m/{number}.bin", noise(30_000, number))
    (folder / "empty").write_bytes(b"")
    (folder / "sub").mkdir()
    (folder / "sub" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "sub" / "run.sh").chmod(0o755)
    (folder / "hollow").mkdir()
    return folder


def test_readers_of_files_take_the_stream(registry: Registry, folder: Path, tmp_path: Path) -> None:
    """zipfile, numpy, pandas and shutil."""
    registry.save("kinds", folder)
    with zipfile.ZipFile(registry.open("kinds", "many.zip")) as archive:
        assert archive.testzip() is None
        assert archive.read("m/17.bin") == noise(30_000, 17)
    array = np.load(registry.open("kinds", "array.npy"))
    assert (array == np.arange(300_000.0).reshape(300, 1000)).all()
    frame = pd.read_parquet(registry.open("kinds", "frame.parquet"), columns=["b"])
    assert frame["b"].equals(pd.Series(np.random.default_rng(0).random(50_000), name="b"))
    with registry.open("kinds", "array.npy") as source, (tmp_path / "copy").open("wb") as target:
        shutil.copyfileobj(source, target)
    assert (tmp_path / "copy").read_bytes() == (folder / "array.npy").read_bytes()


def test_text_is_read_line_by_line(registry: Registry) -> None:
    """As of any binary file."""
    registry.save("lines", "one\ntwo\n" * 4000)
    with io.TextIOWrapper(registry.open("lines"), encoding="utf-8") as lines_of_text:
        assert [line.rstrip("\n") for line in lines_of_text] == ["one", "two"] * 4000


def test_small_objects_are_opened_too(registry: Registry) -> None:
    """What stands in the manifest has a stream as well, read-only as the others."""
    registry.save("settings", {"rate": 0.5}, tags=["prod"])
    for key in ("settings", "settings@1.0.0", "settings@prod"):
        with registry.open(key) as opened:
            assert json.load(opened) == {"rate": 0.5}
    with pytest.raises(io.UnsupportedOperation):
        registry.open("settings").write(b"x")


# ------------------------------------------------------------------------------------------------ which file


def test_files_says_what_there_is(registry: Registry, folder: Path) -> None:
    """Paths, sizes and executable bits, sorted; empty folders are no files."""
    registry.save("kinds", folder)
    expected = [
        {"path": path, "size": (folder / path).stat().st_size, "executable": path == "sub/run.sh"}
        for path in ("array.npy", "empty", "frame.parquet", "many.zip", "sub/run.sh")
    ]
    assert registry.files("kinds") == expected
    assert registry.files("kinds@1.0.0") == expected
    with pytest.raises(ObjectNotFoundError):
        registry.files("kinds", "2.0.0")


def test_a_path_may_be_left_out_where_there_is_one_file(registry: Registry, folder: Path) -> None:
    """With several, the error lists them; without any, it says so."""
    registry.save("kinds", folder)
    with pytest.raises(InvalidArgumentError, match=r"kinds@1\.0\.0 to open: 'array\.npy', 'empty'"):
        registry.open("kinds")
    registry.save("hollow", folder / "hollow")
    with pytest.raises(ObjectNotFoundError, match="no files"):
        registry.open("hollow")


def test_a_path_that_is_not_there(registry: Registry, folder: Path) -> None:
    """`ObjectNotFoundError` names what was asked for, and what there is; of many files it names ten."""
    registry.save("kinds", folder)
    with pytest.raises(
        ObjectNotFoundError, match=r"'nope' is not there in kinds@1\.0\.0; its files are: 'array"
    ):
        registry.open("kinds", "nope")
    with pytest.raises(ObjectNotFoundError, match="'hollow' is an empty folder"):
        registry.open("kinds", "hollow")
    with pytest.raises(ObjectNotFoundError):
        registry.open("kinds", "sub")
    with pytest.raises(InvalidArgumentError):
        registry.open("kinds", 3)  # type: ignore[arg-type]
    assert registry.open("kinds", PurePosixPath("sub/run.sh")).read() == b"#!/bin/sh\n"
    for number in range(40):
        (folder / f"n{number:02}").write_text(str(number))
    registry.save("kinds", folder)
    with pytest.raises(ObjectNotFoundError, match="and 35 more"):
        registry.open("kinds", "nope")
    assert registry.open("kinds", "n39").read() == b"39"
    assert registry.open("kinds", "n39", "1.0.1").read() == b"39"


def test_what_is_not_there_cannot_be_opened(registry: Registry) -> None:
    """As with `load`."""
    with pytest.raises(ObjectNotFoundError):
        registry.open("nothing")


# ------------------------------------------------------------------------------------------------ chunk lists


class _Sections:
    """Chunk lists in memory, in place of `Excerpts`."""

    def __init__(self) -> None:
        self.sections: dict[str, list[bytes]] = {}
        self.asked = 0

    def read(self, section: str, first: int, chunks: Sequence[Chunk]) -> list[Buffer]:
        """See `Excerpts.read`."""
        self.asked += len(chunks)
        found = self.sections[section][first : first + len(chunks)]
        assert [digest_of(one) for one in found] == [chunk.digest for chunk in chunks]
        return list(found)


def _listed(sizes: list[int], cuts: Iterator[int]) -> tuple[Stream, _Sections]:
    """A stream of chunks of these sizes, with as many lists as it takes until 16 chunks are left."""
    sections = _Sections()
    chunks = [Chunk(digest_of(str(at).encode()), size) for at, size in enumerate(sizes)]
    counts: list[int] = []
    level = 0
    while len(chunks) > 16:
        counts.append(len(chunks))
        level += 1
        data = encode_list(chunks)
        pieces: list[bytes] = []
        while data:
            cut = next(cuts)
            pieces.append(data[:cut])
            data = data[cut:]
        sections.sections[f"list.{level}"] = pieces
        chunks = [Chunk(digest_of(piece), len(piece)) for piece in pieces]
    return Stream(sum(sizes), tuple(chunks), tuple(counts)), sections


@hypothesis.given(
    sizes=st.lists(st.integers(1, 262_144), min_size=1, max_size=400),
    seed=st.integers(0, 1000),
    offsets=st.lists(st.floats(0, 1, exclude_max=True), max_size=20),
)
@hypothesis.settings(max_examples=60)
def test_every_byte_is_found_through_lists_of_any_depth(
    sizes: list[int], seed: int, offsets: list[float]
) -> None:
    """The chunk that holds an offset, where it begins, and the chunks beside it, in any order of questions."""
    draw = random.Random(seed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "BLOCK", draw.randint(1, 9))
        patch.setattr(lists, "_AVERAGE", 2**17)
        patch.setattr(lists, "_KEPT", draw.randint(1, 3))
        made, sections = _listed(sizes, iter(lambda: draw.randint(40, 200), 0))
        found = lists.chunks_of(made, "data", (0,) * (made.depth + 1), sections, "key")  # type: ignore[arg-type]
        starts = list(accumulate(sizes, initial=0))
        for offset in (int(at * made.size) for at in offsets):
            block = found.at(offset)
            within = next(at for at, start in enumerate(block.starts[1:]) if start > offset)
            number = block.first + within
            assert starts[number] <= offset < starts[number + 1]
            assert list(block.starts) == starts[block.first : block.first + len(block.starts)]
            assert [chunk.size for chunk in block.chunks] == sizes[
                block.first : block.first + len(block.chunks)
            ]
        assert [chunk.size for block in found for chunk in block.chunks] == sizes


def test_a_list_that_promises_another_size_is_damage() -> None:
    """Found by who reads it all, and by who reaches it from both ends."""
    sizes = [20_000] * 300
    for wrong in (-1, 1, 20_000):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(lists, "BLOCK", 8)
            made, sections = _listed(sizes, iter(lambda: 150, 0))
            made = Stream(made.size + wrong, made.chunks, made.counts)
            found = lists.chunks_of(made, "data", (0,) * (made.depth + 1), sections, "key")  # type: ignore[arg-type]
            with pytest.raises(CorruptError, match="does not sum"):
                list(found)
            with pytest.raises(CorruptError, match="does not sum"):  # noqa: PT012
                for offset in range(0, made.size // 2 + 300_000, 100_000):
                    found.at(offset)
                    found.at(made.size - 1 - offset)


def test_the_end_of_a_long_list_is_reached_from_the_end() -> None:
    """Not a tenth of the list is read for a look at the last chunk."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lists, "BLOCK", 16)
        made, sections = _listed([65_536] * 5000, iter(lambda: 700, 0))
        assert made.depth == 2
        found = lists.chunks_of(made, "data", (0, 0, 0), sections, "key")  # type: ignore[arg-type]
        found.at(made.size - 1)
        assert sections.asked < 0.1 * len(sections.sections["list.1"])


def test_a_file_with_a_list_of_lists_is_read_in_the_middle() -> None:
    """Against the real thing: the deep golden repository's file, block by block."""
    from casreg.backends.local import LocalBackend

    place = LocalBackend(Path(__file__).parents[1] / "golden" / "deep")
    with Registry(place).open("deep") as opened:
        size = opened.seek(0, io.SEEK_END)
        block = size // 7500
        opened.seek(0)
        first = opened.read(block)
        for number in (7499, 3000, 1, 6000, 3001):
            opened.seek(number * block + 5)
            assert opened.read(block) == first[5:] + (first[:5] if number < 7499 else b"")
