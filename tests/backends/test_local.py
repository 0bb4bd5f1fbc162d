"""The local backend beyond the contract: places, tokens, folders that come and go, what a listing leaves out."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from casreg.backends.base import Token
from casreg.backends.local import FileSystem, LocalBackend
from casreg.digest import digest_of
from casreg.exceptions import (
    AlreadyExists,
    Conflict,
    InvalidArgumentError,
    NotFound,
    StorageFullError,
    StoragePermissionError,
    StorageUnavailableError,
)
from casreg.testing.simulated import FullDisk, ReadOnly

if TYPE_CHECKING:
    from collections.abc import Iterator


def keys(backend: LocalBackend, prefix: str = "", after: str = "") -> list[str]:
    """The keys of a listing."""
    return [row.key for row in backend.list(prefix, after)]


def files_below(folder: Path) -> list[str]:
    """All files in a folder, relative to it."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


# places


def test_a_place_is_a_path_a_string_or_a_uri(tmp_path: Path) -> None:
    """All of them name the same folder, and say so."""
    folder = tmp_path / "a b"
    places = [LocalBackend(folder), LocalBackend(str(folder)), LocalBackend(folder.as_uri())]
    assert {place.root for place in places} == {str(folder)}
    assert {place.location for place in places} == {folder.as_uri()}


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the beginning, and nowhere else."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert LocalBackend("~/registry").root == f"{tmp_path}/registry"
    assert LocalBackend(Path("~/registry")).root == f"{tmp_path}/registry"
    assert LocalBackend(f"{tmp_path}/~").root == f"{tmp_path}/~"


def test_a_relative_path_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Changing the working directory later moves nothing."""
    monkeypatch.chdir(tmp_path)
    backend = LocalBackend("registry")
    monkeypatch.chdir("/")
    backend.create("a", b"hello")
    assert (tmp_path / "registry" / "a").read_bytes() == b"hello"


@pytest.mark.parametrize(
    "uri", ["", "s3://bucket/x", "file://elsewhere/x", "file:///x?y", "file:///x#y", "a\0b", "file://"]
)
def test_what_is_no_folder_here_is_refused(uri: str) -> None:
    """Other schemes, other hosts, nothing at all: at once, by the constructor."""
    with pytest.raises(InvalidArgumentError):
        LocalBackend(uri)


def test_a_negative_timeout_is_refused(tmp_path: Path) -> None:
    """So is one that is not a number."""
    for seconds in (-1.0, float("nan")):
        with pytest.raises(InvalidArgumentError):
            LocalBackend(tmp_path, lock_timeout=seconds)


class NoSystem(FileSystem):
    """Whoever touches the disk with this has broken a promise."""

    def __getattribute__(self, name: str) -> object:
        if name in {"rules", "__class__", "__dict__", "__reduce_ex__"}:
            return super().__getattribute__(name)
        raise AssertionError(f"{name} was called")


def test_making_a_handle_touches_nothing(tmp_path: Path) -> None:
    """No system call, however odd the place."""
    backend = LocalBackend(tmp_path / "missing", file_system=NoSystem())
    assert backend.location.startswith("file://")
    assert list(tmp_path.iterdir()) == []


def test_reading_makes_nothing(tmp_path: Path) -> None:
    """Reads, listings, swaps that conflict and deletes leave a missing folder missing."""
    backend = LocalBackend(tmp_path / "missing")
    with pytest.raises(NotFound):
        backend.get("refs/a")
    with pytest.raises(Conflict):
        backend.swap("refs/a", b"", Token("x"))
    backend.delete(["refs/a"])
    assert keys(backend) == []
    assert list(tmp_path.iterdir()) == []


def test_the_first_write_makes_the_folder(tmp_path: Path) -> None:
    """With everything above it."""
    LocalBackend(tmp_path / "x" / "y" / "z").create("packs/ab/c", b"hello")
    assert (tmp_path / "x" / "y" / "z" / "packs" / "ab" / "c").read_bytes() == b"hello"


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    """Every method says so, and that it has to be moved."""
    (tmp_path / "file").write_bytes(b"precious")
    for place in (tmp_path / "file", tmp_path / "file" / "below"):
        backend = LocalBackend(place)
        with pytest.raises(StorageUnavailableError, match="A file stands where a folder has to be"):
            backend.create("a", b"")
    backend = LocalBackend(tmp_path / "file")
    with pytest.raises(StorageUnavailableError, match="A file stands where a folder has to be"):
        backend.get("a")
    with pytest.raises(StorageUnavailableError, match="A file stands where a folder has to be"):
        keys(backend)
    assert (tmp_path / "file").read_bytes() == b"precious"


def test_a_key_below_a_key_is_an_error(tmp_path: Path) -> None:
    """A file cannot be a folder too: the error says so, and nothing changes."""
    backend = LocalBackend(tmp_path)
    backend.create("a/b", b"file")
    with pytest.raises(StorageUnavailableError, match="A file stands"):
        backend.create("a/b/c", b"")
    with pytest.raises(StorageUnavailableError, match="A folder stands"):
        backend.create("a", b"")
    assert keys(backend) == ["a/b"]


# folders that somebody removes behind our back


@pytest.mark.parametrize("removed", ["", "packs", "packs/ab", "tmp", "locks"])
def test_a_folder_removed_behind_our_back_is_made_again(tmp_path: Path, removed: str) -> None:
    """By `create` and `swap`, by the handle that had made it, with other keys as they are."""
    backend = LocalBackend(tmp_path / "r")
    backend.create("packs/ab/c", b"old")
    token = backend.create("refs/r", b"1")
    shutil.rmtree(tmp_path / "r" / removed)
    backend.create("packs/ab/d", b"new")
    assert backend.get("packs/ab/d").data == b"new"
    if removed:
        shutil.rmtree(tmp_path / "r" / removed)
        backend.swap("refs/r", b"2", token)
        assert backend.get("refs/r").data == b"2"


def test_a_copy_without_the_own_folders_works(tmp_path: Path) -> None:
    """`locks/` and `tmp/` need not be copied."""
    LocalBackend(tmp_path / "a").create("refs/r", b"1")
    shutil.copytree(tmp_path / "a", tmp_path / "b", ignore=shutil.ignore_patterns("locks", "tmp"))
    copy = LocalBackend(tmp_path / "b")
    with pytest.raises(AlreadyExists):
        copy.create("refs/r", b"2")
    shutil.rmtree(tmp_path / "b" / "locks")
    copy.delete(["refs/r"])
    assert keys(copy) == []


# tokens


def test_a_token_is_the_digest_of_the_bytes(tmp_path: Path) -> None:
    """Never a time or an inode: those come again."""
    backend = LocalBackend(tmp_path)
    token = backend.create("a", b"hello")
    assert token == digest_of(b"hello").hex()
    assert backend.swap("a", b"bye", token) == digest_of(b"bye").hex()


def test_a_copied_folder_has_the_same_tokens(tmp_path: Path) -> None:
    """Other inodes, other times, same bytes."""
    token = LocalBackend(tmp_path / "a").create("refs/r", b"1")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    assert LocalBackend(tmp_path / "b").get("refs/r").token == token


def test_who_holds_the_present_state_gets_it_back_itself(tmp_path: Path) -> None:
    """The bytes are read and compared: what somebody did to the file behind our back is seen."""
    backend = LocalBackend(tmp_path)
    backend.create("a", b"hello")
    held = backend.get("a")
    assert backend.get("a", held=held) is held
    (tmp_path / "a").write_bytes(b"jello")
    assert backend.get("a", held=held).data == b"jello"


def test_a_large_file_named_by_its_digest_has_that_token(tmp_path: Path) -> None:
    """It is not hashed twice, and a read gives the same token."""
    backend = LocalBackend(tmp_path)
    body = bytes(1 << 20)
    digest = digest_of(body).hex()
    token = backend.create(f"packs/{digest[:2]}/0123456789abcdef-{digest}", body)
    assert token == digest
    assert backend.get(f"packs/{digest[:2]}/0123456789abcdef-{digest}").token == token


def test_a_small_file_with_a_wrong_name_has_the_token_of_its_bytes(tmp_path: Path) -> None:
    """A name is only ever trusted where hashing would take long."""
    assert LocalBackend(tmp_path).create(f"packs/{'0' * 64}", b"x") == digest_of(b"x").hex()


# listing


def test_a_listing_leaves_out_what_is_not_a_key(tmp_path: Path) -> None:
    """Our own folders, names that no key has, links, pipes."""
    backend = LocalBackend(tmp_path / "r")
    backend.create("refs/a", b"")
    refs = tmp_path / "r" / "refs"
    (refs / "ä").write_bytes(b"")
    (refs / "a b").write_bytes(b"")
    (refs / "folder ü").mkdir()
    (refs / "folder ü" / "x").write_bytes(b"")
    os.mkfifo(refs / "pipe")
    (refs / "link").symlink_to(refs / "a")
    (refs / "loop").symlink_to(tmp_path / "r")
    (tmp_path / "r" / "tmp" / "left").write_bytes(b"")
    assert keys(backend) == ["refs/a"]
    assert keys(backend, "tmp/") == []


def test_no_prefix_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Whatever text it is."""
    (tmp_path / "secret").write_bytes(b"")
    backend = LocalBackend(tmp_path / "r")
    backend.create("a/b", b"")
    for prefix in ("../", "../s", "a/../../", "/", "//", str(tmp_path) + "/", "./", "a//"):
        assert keys(backend, prefix) == []


class Vanishing(FileSystem):
    """Files and folders whose name begins with `gone` vanish between a listing and a look at them."""

    def stat(self, path: str) -> os.stat_result:
        if "/gone" in path:
            Path(path).unlink()
        return super().stat(path)

    def scan(self, path: str) -> list[str]:
        if path.endswith("/vanish/"):
            shutil.rmtree(path)
        return super().scan(path)


def test_what_vanishes_while_listing_is_left_out(tmp_path: Path) -> None:
    """A file, and a folder with all that is in it."""
    backend = LocalBackend(tmp_path, file_system=Vanishing())
    for key in ("a/1", "a/gone", "a/z", "b/vanish/1", "c/1"):
        backend.create(key, b"")
    assert keys(backend) == ["a/1", "a/z", "c/1"]


class CountingScans(FileSystem):
    def __init__(self) -> None:
        super().__init__()
        self.scanned: list[str] = []
        self.stats = 0

    def scan(self, path: str) -> list[str]:
        self.scanned.append(path.rpartition("/r/")[2])
        return super().scan(path)

    def stat(self, path: str) -> os.stat_result:
        self.stats += 1
        return super().stat(path)


def test_a_listing_reads_only_the_folders_it_needs(tmp_path: Path) -> None:
    """Neither those before `after`, nor those beside the prefix, nor those behind where the reader stopped."""
    files = CountingScans()
    backend = LocalBackend(tmp_path / "r", file_system=files)
    for number in range(10):
        backend.create(f"packs/{number:02d}/a", b"")
    backend.create("refs/a", b"")
    files.scanned.clear()
    files.stats = 0
    rows: Iterator[object] = backend.list("packs/", "packs/04/a")
    next(rows)
    del rows
    assert files.scanned == ["packs/", "packs/04/", "packs/05/"]
    assert files.stats == 1


# errors


def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    """The error names the way out, what was there stays, and no half file is left."""
    backend = LocalBackend(tmp_path)
    token = backend.create("refs/r", b"old")
    full = LocalBackend(tmp_path, file_system=FullDisk(room=100))
    with pytest.raises(StorageFullError, match=r"refs/r.*Free some space"):
        full.swap("refs/r", b"new" * 100, token)
    with pytest.raises(StorageFullError, match="packs/ab/c"):
        full.create("packs/ab/c", b"new" * 100)
    assert backend.get("refs/r").data == b"old"
    assert keys(backend) == ["refs/r"]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_full_disk_found_by_the_system_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`ENOSPC` and `EDQUOT` of the real call are the same error."""
    backend = LocalBackend(tmp_path)
    for number in (errno.ENOSPC, errno.EDQUOT):

        def fail(fd: int, data: object, number: int = number) -> int:
            raise OSError(number, os.strerror(number))

        with monkeypatch.context() as patched:
            patched.setattr("casreg.backends.local.filesystem.os.write", fail)
            with pytest.raises(StorageFullError):
                backend.create("a", b"hello")
    assert keys(backend) == []


def test_space_can_be_made_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`delete` needs no byte of space, not even to say who holds the lock."""
    backend = LocalBackend(tmp_path)
    backend.create("a", b"hello")
    shutil.rmtree(tmp_path / "locks")
    (tmp_path / "locks").mkdir()

    def fail(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("casreg.backends.local.locks.os.write", fail)
    backend.delete(["a"])
    assert keys(backend) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EPERM])
def test_a_folder_that_may_not_be_written_can_be_read(tmp_path: Path, number: int) -> None:
    """Writes fail with the path and the way out; reads and listings work; nothing changes."""
    token = LocalBackend(tmp_path).create("refs/r", b"old")
    backend = LocalBackend(tmp_path, file_system=ReadOnly(number))
    assert backend.get("refs/r").data == b"old"
    assert keys(backend) == ["refs/r"]
    for act in (
        lambda: backend.create("refs/s", b"new"),
        lambda: backend.swap("refs/r", b"new", token),
        lambda: backend.delete(["refs/r"]),
    ):
        with pytest.raises(StoragePermissionError, match=r"refs/.*(writable|right)"):
            act()
    assert files_below(tmp_path / "refs") == ["r"]
    assert list((tmp_path / "tmp").iterdir()) == []


class FailingDisk(FileSystem):
    """Fails at one kind of call."""

    def __init__(self, method: str) -> None:
        super().__init__()
        self.method = method

    def sync_file(self, fd: int) -> None:
        self._maybe("sync_file")
        super().sync_file(fd)

    def sync_folder(self, path: str) -> None:
        self._maybe("sync_folder")
        super().sync_folder(path)

    def link(self, source: str, target: str) -> None:
        self._maybe("link")
        super().link(source, target)

    def replace(self, source: str, target: str) -> None:
        self._maybe("replace")
        super().replace(source, target)

    def read(self, fd: int, size: int, offset: int) -> bytes:
        self._maybe("read")
        return super().read(fd, size, offset)

    def scan(self, path: str) -> list[str]:
        self._maybe("scan")
        return super().scan(path)

    def _maybe(self, method: str) -> None:
        if method == self.method:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("method", ["sync_file", "sync_folder", "link"])
def test_a_failing_disk_is_an_error_and_leaves_no_temporary_file(tmp_path: Path, method: str) -> None:
    """Wherever the write fails."""
    LocalBackend(tmp_path).create("refs/a", b"old")
    backend = LocalBackend(tmp_path, file_system=FailingDisk(method))
    with pytest.raises(StorageUnavailableError, match=r"refs/b.*healthy"):
        backend.create("refs/b", b"new")
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_failing_rename_changes_nothing(tmp_path: Path) -> None:
    """The old bytes are there, and the next `swap` works."""
    good = LocalBackend(tmp_path)
    token = good.create("refs/a", b"old")
    with pytest.raises(StorageUnavailableError, match="refs/a"):
        LocalBackend(tmp_path, file_system=FailingDisk("replace")).swap("refs/a", b"new", token)
    assert list((tmp_path / "tmp").iterdir()) == []
    good.swap("refs/a", b"newer", token)


def test_a_disk_that_cannot_be_read_is_no_missing_key(tmp_path: Path) -> None:
    """`NotFound` and an empty listing would be lies."""
    LocalBackend(tmp_path).create("refs/a", b"old")
    with pytest.raises(StorageUnavailableError, match="refs/a"):
        LocalBackend(tmp_path, file_system=FailingDisk("read")).get("refs/a")
    with pytest.raises(StorageUnavailableError, match="refs/"):
        keys(LocalBackend(tmp_path, file_system=FailingDisk("scan")), "refs/")


# what it costs


class CountingSyncs(FileSystem):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> object:
        if name in {
            "sync_file",
            "sync_folder",
            "link",
            "replace",
            "make_folder",
            "scan",
            "create_file",
            "write",
        }:
            super().__getattribute__("calls").append(name)
        return super().__getattribute__(name)


def test_a_publish_flushes_twice_and_makes_no_folder_again(tmp_path: Path) -> None:
    """The file and its folder: that is all that the second write to a folder costs."""
    files = CountingSyncs()
    backend = LocalBackend(tmp_path, file_system=files)
    token = backend.create("refs/a", b"1")
    files.calls.clear()
    backend.create("refs/b", b"1")
    assert files.calls == ["create_file", "write", "sync_file", "link", "sync_folder"]
    files.calls.clear()
    backend.swap("refs/a", b"2", token)
    assert files.calls == ["create_file", "write", "sync_file", "replace", "sync_folder"]
    files.calls.clear()
    backend.create("refs/c", b"", durable=False)
    assert files.calls == ["create_file", "write", "link"]


def test_a_new_handle_flushes_little(tmp_path: Path) -> None:
    """Its first write to a repository that is there flushes the file, its folder, and what names that folder."""
    LocalBackend(tmp_path).create("refs/a", b"1")
    files = CountingSyncs()
    LocalBackend(tmp_path, file_system=files).create("refs/b", b"1")
    assert [call for call in files.calls if call.startswith("sync")] == [
        "sync_file",
        "sync_folder",
        "sync_folder",
    ]


def test_what_is_not_durable_at_once_is_flushed_by_one_swap(tmp_path: Path) -> None:
    """Each folder once, however much was written there, and by the next swap no more."""
    files = CountingSyncs()
    backend = LocalBackend(tmp_path, file_system=files)
    token = backend.create("refs/r", b"1")
    for number in range(5):
        backend.create(f"packs/ab/{number}", b"1", durable=False)
    files.calls.clear()
    token = backend.swap("refs/r", b"2", token)
    above = ["sync_folder"] * 2  # that of `packs`, and that of `packs/ab`, which are new
    assert files.calls == [
        "create_file",
        "write",
        "sync_file",
        *above,
        "sync_folder",
        "replace",
        "sync_folder",
    ]
    files.calls.clear()
    backend.swap("refs/r", b"3", token)
    assert files.calls == ["create_file", "write", "sync_file", "replace", "sync_folder"]


def test_a_folder_that_was_removed_stops_no_swap(tmp_path: Path) -> None:
    """What somebody removed cannot be flushed, and need not be."""
    backend = LocalBackend(tmp_path)
    token = backend.create("refs/r", b"1")
    backend.create("packs/ab/1", b"1", durable=False)
    shutil.rmtree(tmp_path / "packs")
    backend.swap("refs/r", b"2", token)
    assert backend.get("refs/r").data == b"2"


def test_large_data_is_written_without_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gets the caller's own memory."""
    seen: list[object] = []
    real = os.write

    def spy(fd: int, data: memoryview | bytes) -> int:
        if isinstance(data, memoryview):  # not the few bytes of a lock's holder
            seen.append(data.obj)
        return real(fd, data)

    monkeypatch.setattr("casreg.backends.local.filesystem.os.write", spy)
    body = bytearray(b"x" * 100_000)
    LocalBackend(tmp_path).create("a", memoryview(body))
    assert len(seen) == 1
    assert seen[0] is body


def test_a_write_that_the_system_cuts_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call writes at most 2 GiB, or less."""
    real = os.write
    monkeypatch.setattr("casreg.backends.local.filesystem.os.write", lambda fd, data: real(fd, data[:1000]))
    body = bytes(range(256)) * 20
    backend = LocalBackend(tmp_path)
    backend.create("a", body)
    assert backend.get("a").data == body


def test_a_read_that_the_system_cuts_is_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One call reads at most 2 GiB, or less."""
    real = os.pread
    body = bytes(range(256)) * 20
    backend = LocalBackend(tmp_path)
    backend.create("a", body)
    monkeypatch.setattr(
        "casreg.backends.local.filesystem.os.pread",
        lambda fd, size, offset: real(fd, min(size, 1000), offset),
    )
    assert backend.get("a").data == body
    assert backend.get("a", 100, 4000).data == body[100:4000]
