"""Bundles: versions as one file and back, whole or not at all."""

from __future__ import annotations

import errno
import io
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from casreg import LocalRegistryBackend
from casreg.backends.archive import ArchiveBackend, ArchiveWriter
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    CorruptError,
    DestinationError,
    InvalidArgumentError,
    NotFound,
    ObjectNotFoundError,
    ReadOnlyError,
    StoragePermissionError,
    StorageUnavailableError,
    VersionConflictError,
)
from casreg.keys import is_data_key
from casreg.packs import HEADER
from casreg.registry import Registry
from format.golden import GOLDEN
from registry.lab import noise
from transfer.lab import check, entry_of, is_untouched, view

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.progress import Progress

BIG = noise(400_000)


@pytest.fixture
def registry() -> Registry:
    """Two names and a deleted one."""
    made = Registry(MemoryBackend())
    made.save("big", BIG, tags=["first"], notes={"n": 1})
    made.save("big", BIG + b"more", metadata={"m": 2}, tags=["prod"])
    made.save("big", b"a prerelease", version="2.0.0-rc.1")
    made.save("small", {"a": 1})
    made.save("gone", 1)
    made.delete("gone")
    made.protect("small")
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a bundle goes."""
    return tmp_path / "some.casreg"


ALL = ["big@1.0.0", "big@1.0.1", "big@2.0.0-rc.1", "small@1.0.0"]


# ---------------------------------------------------------------------------------------------- there and back


def test_there_and_back(registry: Registry, path: Path) -> None:
    """Everything that lives, with tags, notes, times and protection, is in the file and comes out of it."""
    assert registry.export(path) == ALL
    target = Registry(MemoryBackend())
    assert target.import_(path) == ALL
    assert view(target.backend) == view(registry.backend) == view(ArchiveBackend(path))
    assert entry_of(target.backend, "small", "1.0.0").protected
    assert os.listdir(path.parent) == [path.name]
    check(target.backend)


def test_into_and_out_of_folders(path: Path, tmp_path: Path) -> None:
    """Between local folders, with everything that the format has."""
    source = Registry(GOLDEN / "everything", allow_underscore=True)
    source.export(path)
    target = Registry(tmp_path / "target", allow_underscore=True)
    target.import_(path)
    assert view(target.backend) == view(source.backend)
    check(target.backend)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("small", ["small@1.0.0"]),
        (["big@first", "small"], ["big@1.0.0", "small@1.0.0"]),
        (["big@^1"], ["big@1.0.0", "big@1.0.1"]),
        (["big@latest", "big@1.0.1"], ["big@1.0.1", "big@2.0.0-rc.1"]),
        ([], []),
    ],
)
def test_some_of_it(registry: Registry, path: Path, names: Any, expected: list[str]) -> None:
    """Names, versions, tags and ranges, out and in; in the order of names and versions."""
    assert registry.export(path, names) == expected
    target = Registry(MemoryBackend())
    assert target.import_(path) == expected
    registry.export(path.with_name("all.casreg"))
    again = Registry(MemoryBackend())
    assert again.import_(path.with_name("all.casreg"), names) == expected
    assert view(target.backend) == view(again.backend)


def test_each_chunk_is_in_it_once(registry: Registry, path: Path) -> None:
    """Two versions with the same bytes take the room of one."""
    registry.export(path, ["big"])
    assert path.stat().st_size < len(BIG) + 150_000


def test_taking_in_again_writes_nothing(registry: Registry, path: Path) -> None:
    """What is there stays; another content under a number is refused before anything is written."""
    registry.export(path)
    assert registry.import_(path) == ALL
    other = Registry(MemoryBackend())
    other.save("big", "mine")
    with pytest.raises(VersionConflictError, match=r"big@1\.0\.0"):
        other.import_(path)
    assert other.list_objects_and_versions() == {"big": ["1.0.0"]}
    Registry(other.backend, mutable=True).import_(path)
    assert view(other.backend) == view(registry.backend)


def test_progress(registry: Registry, path: Path) -> None:
    """Both ways end with the bytes of all versions."""
    reports: list[Progress] = []
    registry.export(path, progress=reports.append)
    total = reports[-1].total
    assert reports[-1].done == total > 2 * len(BIG)
    Registry(MemoryBackend(), progress=reports.append).import_(path)
    assert (reports[-1].done, reports[-1].total, reports[-1].phase) == (total, total, "copy")


# ---------------------------------------------------------------------------------------------- a registry that is a file


@pytest.mark.parametrize("place", [str, lambda path: path, lambda path: path.as_uri()])
def test_a_bundle_is_opened_in_place(registry: Registry, path: Path, place: Callable[[Path], Any]) -> None:
    """By its path or URI: it lists, tells and loads, and is a source as any other."""
    registry.export(path)
    opened = Registry(place(path))
    assert opened.list_objects_and_versions() == registry.list_objects_and_versions()
    assert opened.load("big@prod") == BIG + b"more"
    assert opened.info("small")["digest"] == registry.info("small")["digest"]
    target = Registry(MemoryBackend())
    assert target.download(opened, "big@first") == "1.0.0"
    assert pickle.loads(pickle.dumps(opened)).load("small") == {"a": 1}


def test_a_bundle_is_read_in_parts(registry: Registry, path: Path) -> None:
    """A small value of a bundle with much else needs a few kilobytes of it."""
    registry.export(path)
    read: list[int] = []
    real = os.pread

    def counted(fd: int, size: int, at: int) -> bytes:
        data = real(fd, size, at)
        read.append(len(data))
        return data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "pread", counted)
        assert Registry(path).load("small") == {"a": 1}
    assert sum(read) < 5_000


@pytest.mark.parametrize(
    "change",
    [
        lambda r: r.save("new", 1),
        lambda r: r.save("small@1.0.0", 2),
        lambda r: r.delete("big"),
        lambda r: r.tag("big", "new"),
        lambda r: r.annotate("big", a=1),
        lambda r: r.copy("big", "other"),
        lambda r: r.rename("big", "other"),
        lambda r: r.clear(),
        lambda r: r.undelete("big@9.0.0"),
    ],
)
def test_nothing_can_be_changed_in_a_bundle(
    registry: Registry, path: Path, change: Callable[[Registry], Any]
) -> None:
    """Each says that it can only be read, and what to do; the file stays as it is."""
    registry.unprotect("small")
    registry.export(path)
    before = path.read_bytes()
    with pytest.raises(ReadOnlyError, match="import_"):
        change(Registry(path))
    assert path.read_bytes() == before
    assert issubclass(ReadOnlyError, PermissionError)


def test_many_threads_read_one_bundle(registry: Registry, path: Path) -> None:
    """One handle, each byte right."""
    registry.export(path)
    opened = Registry(path)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: opened.load("big@1.0.0") == BIG, range(24)))


def test_ranges(registry: Registry, path: Path) -> None:
    """Ranges, also past the end, are those of the entry and never of its neighbour; only whole reads have a token."""
    registry.export(path)
    backend = ArchiveBackend(path)
    (info,) = backend.list("refs/small")
    whole = backend.get(info.key)
    assert len(whole.data) == info.size
    assert whole.token is not None
    for start, stop in [(0, 5), (3, 10**9), (10**9, None), (7, 7), (5, None)]:
        part = backend.get(info.key, start, stop)
        assert part.data == whole.data[start:stop]
        assert part.token is None
    keys = [one.key for one in backend.list("")]
    assert keys == sorted(keys)
    assert [one.key for one in backend.list("packs/", after=keys[-1])] == []
    assert [one.key for one in backend.list("", after=keys[2])] == keys[3:]
    with pytest.raises(NotFound):
        backend.get("refs/none")
    with pytest.raises(InvalidArgumentError):
        backend.get("../refs")


# ---------------------------------------------------------------------------------------------- what cannot be


def test_a_file_that_exists_is_never_overwritten(registry: Registry, path: Path) -> None:
    """Whatever it is; also if somebody makes it while the bundle is written."""
    path.write_bytes(b"precious")
    with pytest.raises(DestinationError, match="exists"):
        registry.export(path)
    later = path.with_name("later.casreg")

    def make(_: Progress) -> None:
        later.write_bytes(b"precious")

    with pytest.raises(DestinationError, match="exists"):
        registry.export(later, progress=make)
    assert path.read_bytes() == later.read_bytes() == b"precious"
    assert sorted(os.listdir(path.parent)) == ["later.casreg", "some.casreg"]


def test_without_links_neither(registry: Registry, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a file system without hard links it is renamed, and still not over a file."""

    def refused(*_: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    registry.export(path)
    assert view(ArchiveBackend(path)) == view(registry.backend)
    later = path.with_name("later.casreg")
    with pytest.raises(DestinationError, match="exists"):
        registry.export(later, progress=lambda _: later.touch())
    assert sorted(os.listdir(path.parent)) == ["later.casreg", "some.casreg"]
    assert later.stat().st_size == 0


@pytest.mark.parametrize("name", ["some.zip", "casreg", "some.casreg.zip"])
def test_a_bundle_has_its_suffix(registry: Registry, tmp_path: Path, name: str) -> None:
    """Or nobody would open it as one."""
    with pytest.raises(InvalidArgumentError, match=r"\.casreg"):
        registry.export(tmp_path / name)
    assert not os.listdir(tmp_path)


def test_places_that_cannot_be_written(registry: Registry, tmp_path: Path) -> None:
    """A folder that is not there."""
    with pytest.raises(DestinationError, match="cannot be written"):
        registry.export(tmp_path / "none" / "some.casreg")


def test_what_cannot_be_exported_leaves_nothing(registry: Registry, path: Path) -> None:
    """An unknown name, a damaged version, a callback that stops it: there is no file, not even a hidden one."""
    with pytest.raises(ObjectNotFoundError):
        registry.export(path, ["small", "gone"])

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        registry.export(path, progress=stop)
    (first, *_) = registry.backend.list("packs/")
    registry.backend.delete([first.key])
    with pytest.raises(CorruptError, match="big@"):
        registry.export(path)
    assert os.listdir(path.parent) == []


@pytest.mark.parametrize("at", range(1, 9))
def test_a_full_disk_leaves_nothing(
    registry: Registry, path: Path, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever entry has no room."""
    real, written = zipfile.ZipFile.writestr, []

    def write(self: zipfile.ZipFile, *arguments: Any) -> None:
        written.append(1)
        if len(written) == at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(self, *arguments)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", write)
    with pytest.raises(DestinationError, match="No space left"):
        registry.export(path)
    assert os.listdir(path.parent) == []


def test_a_flush_that_fails_leaves_nothing(
    registry: Registry, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bundle has no name before its bytes are on the disk."""

    def sync(_: int) -> None:
        assert not path.exists()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(DestinationError):
        registry.export(path)
    assert os.listdir(path.parent) == []


def test_a_bundle_that_is_not_there(path: Path) -> None:
    """It is said so, and that the name is why it is looked for as a file."""
    for ask in (Registry(path).list_objects, lambda: Registry(MemoryBackend()).import_(path)):
        with pytest.raises(StorageUnavailableError, match=r"there is no bundle .*LocalRegistryBackend"):
            ask()
    os.mkdir(path)
    with pytest.raises(StorageUnavailableError, match=r"folder is no bundle.*LocalRegistryBackend"):
        Registry(path).list_objects()
    assert Registry(LocalRegistryBackend(path)).list_objects() == []


def test_a_registry_in_a_folder_is_no_bundle(registry: Registry, tmp_path: Path) -> None:
    """Whoever imports one is told the call that takes over what it holds."""
    Registry(tmp_path / "old").save("m", 1)
    with pytest.raises(
        StorageUnavailableError, match=r"folder is no bundle.* `update\(Registry\('.*old'\)\)`"
    ):
        registry.import_(tmp_path / "old")
    registry.update(Registry(str(tmp_path / "old")))
    assert "m" in registry


def test_a_bundle_that_may_not_be_read(
    registry: Registry, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's no is ours."""
    registry.export(path)

    def refused(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "open", refused)
    with pytest.raises(StoragePermissionError, match=str(path)):
        Registry(path).list_objects()


# ---------------------------------------------------------------------------------------------- damaged and hostile ones


def test_damage_is_named_and_the_rest_comes_over(registry: Registry, path: Path) -> None:
    """One bit of a pack is wrong: the error names the file and the key; what does not need it is there."""
    registry.export(path)
    with zipfile.ZipFile(path) as archive:
        info = max(archive.infolist(), key=lambda one: one.file_size)
    data = bytearray(path.read_bytes())
    data[info.header_offset + 30 + len(info.filename) + HEADER.size + info.file_size // 2] ^= 1
    path.write_bytes(data)
    target = Registry(MemoryBackend())
    with pytest.raises(CorruptError) as caught:
        target.import_(path)
    assert str(path) in str(caught.value)
    assert info.filename in str(caught.value)
    assert target.load("small") == {"a": 1}
    check(target.backend)


def test_any_flipped_bit_is_found_or_does_no_harm(registry: Registry, path: Path) -> None:
    """Wherever it is, also in the archive's own parts: what comes over is right, or there is an error of ours."""
    registry.export(path, ["small", "big@2.0.0-rc.1"])
    whole, expected = path.read_bytes(), view(ArchiveBackend(path))
    found = 0
    for at in range(0, len(whole), 3):
        data = bytearray(whole)
        data[at] ^= 1 << at % 8
        path.write_bytes(data)
        target = Registry(MemoryBackend())
        try:
            target.import_(path)
        except CorruptError as err:
            found += 1
            assert str(path) in str(err)  # noqa: PT017 - whether it is raised depends on the bit
        seen = view(target.backend)
        assert seen.items() <= expected.items()
    assert found > len(whole) // 6


def test_any_missing_end_is_found(registry: Registry, path: Path) -> None:
    """A file that was cut off, at any place."""
    registry.export(path, ["small"])
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(CorruptError, match=str(path)):
            Registry(MemoryBackend()).import_(path)


def test_a_bundle_that_is_cut_off_while_it_is_open(registry: Registry, path: Path) -> None:
    """Its directory was read before; what is no longer there is not handed out."""
    registry.export(path)
    backend = ArchiveBackend(path)
    keys = [info.key for info in backend.list("")]
    with zipfile.ZipFile(path) as archive:
        first = next(info for info in archive.infolist() if info.header_offset == 0)
    os.truncate(path, 30 + len(first.filename) + first.file_size // 2)
    with pytest.raises(CorruptError, match=f"{first.filename}.*cut off"):
        backend.get(first.filename)
    assert len(backend.get(first.filename, 0, 10).data) == 10
    for key in keys:
        with pytest.raises(CorruptError, match=key):
            backend.get(key)


@pytest.mark.parametrize("data", [b"", b"not a zip at all", b"PK\x03\x04" * 100])
def test_what_is_no_bundle(path: Path, data: bytes) -> None:
    """Any other file."""
    path.write_bytes(data)
    with pytest.raises(CorruptError, match="no bundle"):
        Registry(path).list_objects()


def rewritten(
    path: Path, change: Callable[[zipfile.ZipInfo, bytes], list[tuple[zipfile.ZipInfo, bytes]]]
) -> None:
    """The same archive with other entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(buffer, "w") as new:
        for info in archive.infolist():
            for one, data in change(info, archive.read(info)):
                new.writestr(one, data)
    path.write_bytes(buffer.getvalue())


def test_a_compressed_archive_is_refused(registry: Registry, path: Path) -> None:
    """Somebody packed it again, with another program: the error says what to do."""
    registry.export(path)

    def deflated(info: zipfile.ZipInfo, data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
        info.compress_type = zipfile.ZIP_DEFLATED
        return [(info, data)]

    rewritten(path, deflated)
    with pytest.raises(CorruptError, match="Unpack it"):
        Registry(path).list_objects()


def test_names_that_lead_elsewhere_are_passed_over(registry: Registry, path: Path) -> None:
    """Paths out of the folder, absolute ones, folders: they are no keys, so they are not there."""
    registry.export(path)
    evil = [
        "../evil",
        "/etc/passwd",
        "refs/../../x",
        "refs/",
        "C:\\x",
        "a\\..\\b",
        "tmp/x",
        "locks/x",
        "x\0y",
        "é",
    ]

    def more(info: zipfile.ZipInfo, data: bytes) -> list[tuple[zipfile.ZipInfo, bytes]]:
        return [(info, data)] + [
            (zipfile.ZipInfo(f"{name}"), b"x") for name in evil if info.filename == "casreg.json"
        ]

    rewritten(path, more)
    keys = {info.key for info in ArchiveBackend(path).list("")}
    assert all(
        key == "casreg.json" or key.startswith("refs/") or is_data_key(key) or key == "x" for key in keys
    )
    target = Registry(MemoryBackend())
    assert target.import_(path) == ALL


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_key_that_is_there_twice_is_refused(registry: Registry, path: Path) -> None:
    """Two readers could see two things."""
    registry.export(path)
    rewritten(path, lambda info, data: [(info, data)] * (2 if info.filename == "refs/small" else 1))
    with pytest.raises(CorruptError, match=r"refs/small.*twice"):
        Registry(path).list_objects()


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ("size", "its size is not"),
        ("sizes", "its size is not"),
        ("offset", "does not begin where"),
        ("far", "its size is not"),
        ("magic", "does not begin where"),
        ("method", "compressed or encrypted"),
        ("name", "does not begin where"),
        ("encrypted", "compressed or encrypted"),
    ],
)
def test_a_directory_that_lies_is_refused(registry: Registry, path: Path, field: str, said: str) -> None:
    """Sizes that the file cannot hold, entries that begin elsewhere: an error, and nothing is allocated by it."""
    registry.export(path, ["small"])
    data = bytearray(path.read_bytes())
    at = data.rfind(b"refs/small") - 46
    assert data[at : at + 4] == b"PK\x01\x02"
    match field:
        case "size":
            data[at + 20 : at + 28] = struct.pack("<II", 2**31 - 1, 2**31 - 1)
        case "sizes":
            data[at + 20 : at + 24] = struct.pack("<I", 1)
        case "magic":
            data[: data.find(b"refs/small")] = data[: data.find(b"refs/small")].replace(
                b"PK\x03\x04", b"PK\x03\x05"
            )
        case "far":
            data[at + 42 : at + 46] = struct.pack("<I", 2**31 - 1)
        case "offset":
            data[at + 42 : at + 46] = struct.pack("<I", 7)
        case "method":
            data[at + 10] = 8
        case "name":
            data[at + 46 : at + 56] = b"refs/smalm"
        case "encrypted":
            data[at + 8] |= 1
    path.write_bytes(data)
    target = Registry(MemoryBackend())
    with pytest.raises(CorruptError, match=rf"{path}.*{said}"):
        target.import_(path)
    assert is_untouched(target.backend)


def test_a_large_archive_is_read_too(path: Path) -> None:
    """Entries beyond 4 GiB, as ZIP64 has them. The file is sparse, and takes no room."""
    source = MemoryBackend()
    Registry(source).save("big", BIG)
    files = {info.key: source.get(info.key).data for info in source.list("") if info.key != "casreg.json"}
    with path.open("wb") as file:
        file.truncate(5 * 1024**3)
        file.seek(0, os.SEEK_END)
        with zipfile.ZipFile(file, "w") as archive:
            for key, data in files.items():
                archive.writestr(zipfile.ZipInfo(key), data)
    with path.open("rb") as file:
        file.seek(-4000, os.SEEK_END)
        assert b"PK\x06\x06" in file.read()  # the record of ZIP64
    assert Registry(path).load("big") == BIG


# ---------------------------------------------------------------------------------------------- the backend that writes


def test_the_writer_is_a_backend(path: Path) -> None:
    """What was created is read, listed and refused again; only what may change changes."""
    with ArchiveWriter(path, lambda key: key.startswith("packs/")) as archive:
        archive.create("packs/a", b"0123456789")
        token = archive.create("refs/a", b"one")
        assert archive.get("packs/a", 2, 5).data == b"234"
        assert archive.get("packs/a").data == b"0123456789"
        archive.create("packs/b", memoryview(b"second"))
        token = archive.swap("refs/a", b"two", token)
        assert archive.get("refs/a").token == token
        assert [(one.key, one.size) for one in archive.list("")] == [
            ("packs/a", 10),
            ("packs/b", 6),
            ("refs/a", 3),
        ]
        with pytest.raises(ReadOnlyError):
            archive.delete(["packs/a"])
        archive.delete(["refs/none"])
        assert not path.exists()
        archive.finish({"refs/a": b"two"})
    backend = ArchiveBackend(path)
    assert {one.key: backend.get(one.key).data for one in backend.list("")} == {
        "packs/a": b"0123456789",
        "packs/b": b"second",
        "refs/a": b"two",
    }


# ---------------------------------------------------------------------------------------------- killed

EXPORTER = """
import sys
from casreg import Registry
source, target = sys.argv[1:]
number = 0
registry = Registry(source)
print('ready', flush=True)
while True:
    number += 1
    registry.export(f'{target}/{number}.casreg')
    print(number, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so here")
def test_whoever_is_killed_leaves_no_half_bundle(tmp_path: Path) -> None:
    """At any moment: each file that has a bundle's name is a whole one, and all that were promised are there."""
    source = Registry(tmp_path / "source")
    source.save("big", noise(3_000_000))
    source.save("small", {"a": 1})
    expected = view(source.backend)
    draw = random.Random(1)
    whole = 0
    for turn in range(8):
        target = tmp_path / f"target-{turn}"
        target.mkdir()
        process = subprocess.Popen(
            [sys.executable, "-c", EXPORTER, str(tmp_path / "source"), str(target)],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        said = [process.stdout.readline().strip() for _ in range(turn % 3)]
        time.sleep(draw.random() * 0.1)  # any moment: this is what is tested
        process.kill()
        said += process.stdout.read().split()
        assert process.wait() == -signal.SIGKILL
        process.stdout.close()
        bundles = sorted(target.glob("*.casreg"))
        assert {f"{number}.casreg" for number in said} <= {bundle.name for bundle in bundles}
        for bundle in bundles:
            assert view(ArchiveBackend(bundle)) == expected
            whole += 1
        assert all(one.name.startswith(".") for one in target.iterdir() if one not in bundles)
    assert whole >= 7
