"""Windows, macOS, network mounts, file systems without hard links: simulated on this machine."""

from __future__ import annotations

import errno
import os
import pickle
import sys
import threading
import warnings
from pathlib import Path

import pytest

from casreg.backends.local import FileSystem, LocalBackend, PlatformRules
from casreg.backends.local.filesystem import rules_of
from casreg.backends.local.locks import ShardLocks, shard_of
from casreg.backends.local.mounts import network_file_system
from casreg.exceptions import AlreadyExists, LockTimeoutError, NotFound, StoragePermissionError
from casreg.testing.simulated import NetworkFileSystem, NoHardLinks, WindowsFileSystem


def test_each_platform_has_its_rules() -> None:
    """Windows flushes no folders and retries; macOS flushes the drive's cache too; Linux does as POSIX says."""
    assert rules_of("linux") == PlatformRules(sync_folders=True, full_sync=False, retry_busy=False)
    assert rules_of("darwin") == PlatformRules(sync_folders=True, full_sync=True, retry_busy=False)
    assert rules_of("win32") == PlatformRules(sync_folders=False, full_sync=False, retry_busy=True)
    assert FileSystem().rules == rules_of(sys.platform)


# Windows


def test_windows_flushes_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot even open one; files are flushed all the same."""
    synced: list[int] = []
    monkeypatch.setattr("casreg.backends.local.filesystem.os.fsync", synced.append)
    backend = LocalBackend(tmp_path, file_system=FileSystem(rules_of("win32")))
    backend.create("packs/ab/c", b"hello")
    assert len(synced) == 1


def test_windows_replaces_when_the_reader_is_gone(tmp_path: Path) -> None:
    """A file that somebody has open cannot be replaced: `swap` tries again until it can."""
    files = WindowsFileSystem()
    backend = LocalBackend(tmp_path, file_system=files)
    token = backend.create("refs/r", b"1")
    reader = files.open_read(f"{tmp_path}/refs/r")
    threading.Timer(0.05, os.close, [reader]).start()
    backend.swap("refs/r", b"2", token)
    assert files.refused > 0
    assert backend.get("refs/r").data == b"2"


def test_windows_deletes_when_the_reader_is_gone(tmp_path: Path) -> None:
    """The same for `delete`."""
    files = WindowsFileSystem()
    backend = LocalBackend(tmp_path, file_system=files)
    backend.create("packs/p", b"1")
    reader = files.open_read(f"{tmp_path}/packs/p")
    threading.Timer(0.05, os.close, [reader]).start()
    backend.delete(["packs/p"])
    assert files.refused > 0
    with pytest.raises(NotFound):
        backend.get("packs/p")


def test_windows_gives_up_on_a_file_that_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error that names the file; the old bytes stay, no temporary file does."""
    monkeypatch.setattr("casreg.backends.local.filesystem.time.monotonic", iter(range(0, 10_000, 3)).__next__)
    files = WindowsFileSystem()
    backend = LocalBackend(tmp_path, file_system=files)
    token = backend.create("refs/r", b"1")
    reader = files.open_read(f"{tmp_path}/refs/r")
    with pytest.raises(StoragePermissionError, match="refs/r"):
        backend.swap("refs/r", b"2", token)
    assert files.refused > 1
    os.close(reader)
    assert backend.get("refs/r").data == b"1"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_busy_file_is_known_by_windows_own_number(tmp_path: Path) -> None:
    """A mapped file (1224) is no `PermissionError` to Python, and busy all the same."""
    attempts = []

    class Mapped(FileSystem):
        def unlink(self, path: str) -> None:
            def once() -> None:
                attempts.append(path)
                if len(attempts) < 3:
                    err = OSError(errno.EINVAL, "mapped")
                    err.winerror = 1224  # type: ignore[attr-defined]
                    raise err
                Path(path).unlink()

            self._patiently(once)

    backend = LocalBackend(tmp_path, file_system=Mapped(rules_of("win32")))
    backend.create("a", b"", durable=False)
    attempts.clear()
    backend.delete(["a"])
    assert len(attempts) == 3


def test_other_platforms_do_not_wait(tmp_path: Path) -> None:
    """Where an open file can be replaced, a refusal is one for good."""
    attempts = []

    def refuse() -> None:
        attempts.append(1)
        raise PermissionError

    with pytest.raises(PermissionError):
        FileSystem(rules_of("linux"))._patiently(refuse)
    assert len(attempts) == 1


# hard links


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK])
def test_without_hard_links_a_rename_does(tmp_path: Path, number: int) -> None:
    """However the file system says it; it is asked once."""
    asked = []

    class Without(NoHardLinks):
        def link(self, source: str, target: str) -> None:
            asked.append(target)
            raise OSError(number, os.strerror(number))

    backend = LocalBackend(tmp_path, file_system=Without())
    backend.create("a", b"1")
    backend.create("b", b"2")
    with pytest.raises(AlreadyExists):
        backend.create("a", b"3")
    assert len(asked) == 1
    assert backend.get("a").data == b"1"
    assert list((tmp_path / "tmp").iterdir()) == []


def test_without_hard_links_a_rival_in_the_last_moment_wins(tmp_path: Path) -> None:
    """Another writer that made the key after the first look is seen under the lock."""

    class Rival(NoHardLinks):
        def sync_file(self, fd: int) -> None:
            super().sync_file(fd)
            LocalBackend(tmp_path).create("a", b"rival")

    backend = LocalBackend(tmp_path, file_system=Rival())
    with pytest.raises(AlreadyExists):
        backend.create("a", b"mine")
    assert backend.get("a").data == b"rival"


# network file systems

MOUNTINFO = r"""
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
23 22 0:20 / /proc rw - proc proc rw
30 22 0:40 / /mnt/nfs rw,relatime shared:7 - nfs4 server:/export rw,vers=4.2
31 30 8:1 / /mnt/nfs/local rw,relatime - xfs /dev/sdb1 rw
32 22 0:41 / /mnt/with\040space rw - cifs //server/share rw
33 22 0:42 / /mnt/bucket rw - fuse.s3fs s3fs rw
34 22 8:2 / /mnt/usb rw - fuseblk /dev/sdc1 rw
35 22 8:3 / /mnt/twice rw - ext4 /dev/sdd1 rw
36 35 0:43 / /mnt/twice rw - 9p host rw
37 22 0:44 / /mnt/ntfs rw - ntfs3 /dev/sde rw
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/me/data", None),
        ("/mnt/nfs/data/x", "nfs4"),
        ("/mnt/nfs", "nfs4"),
        ("/mnt/nfsx", None),
        ("/mnt/nfs/local/x", None),
        ("/mnt/with space/x", "cifs"),
        ("/mnt/bucket/x", "fuse.s3fs"),
        ("/mnt/usb/x", None),
        ("/mnt/twice/x", "9p"),
        ("/mnt/ntfs/x", None),
    ],
)
def test_the_type_of_a_mount_is_read_from_the_kernels_list(
    tmp_path: Path, path: str, expected: str | None
) -> None:
    """The longest mount point above the path counts, of equals the last; FUSE counts unless it is a local disk."""
    (tmp_path / "mountinfo").write_text(MOUNTINFO)
    assert network_file_system(path, str(tmp_path / "mountinfo")) == expected


def test_without_a_list_of_mounts_nothing_is_known(tmp_path: Path) -> None:
    """And nothing fails."""
    assert network_file_system("/x", str(tmp_path / "missing")) is None


def test_this_machine_has_a_list_that_can_be_read(tmp_path: Path) -> None:
    """The real list, on a folder that is not on a network (or the tests would be slow)."""
    assert LocalBackend(tmp_path).network is None


def test_the_first_write_on_a_network_file_system_warns(tmp_path: Path) -> None:
    """Once a handle, with the type of the mount and the way out; reading does not."""
    backend = LocalBackend(tmp_path, file_system=NetworkFileSystem())
    assert list(backend.list("")) == []
    with pytest.warns(UserWarning, match=r"nfs4.*shared_fs=True"):
        backend.create("a", b"")
    backend.create("b", b"")


def test_who_vouches_for_the_mount_is_not_warned(tmp_path: Path) -> None:
    """`shared_fs=True`. Warnings are errors here."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LocalBackend(tmp_path, shared_fs=True, file_system=NetworkFileSystem()).create("a", b"")


@pytest.mark.parametrize("shared_fs", [False, True])
def test_what_can_change_is_read_under_its_lock_there(tmp_path: Path, shared_fs: bool) -> None:
    """Refs, the head and the marker; not data, and not ranges."""
    local = LocalBackend(tmp_path)
    for key in ("refs/r", "gc/head", "casreg.json", "packs/ab/p", "manifests/ab/m"):
        local.create(key, b"hello")
    files = FileSystem() if shared_fs else NetworkFileSystem()
    backend = LocalBackend(tmp_path, shared_fs=shared_fs, lock_timeout=0, file_system=files)
    locks = ShardLocks(str(tmp_path), timeout=0)
    for key in ("refs/r", "gc/head", "casreg.json"):
        with locks.hold(shard_of(key)), pytest.raises(LockTimeoutError):
            backend.get(key)
        assert backend.get(key).data == b"hello"
    for key in ("packs/ab/p", "manifests/ab/m"):
        with locks.hold(shard_of(key)):
            assert backend.get(key).data == b"hello"
    with locks.hold(shard_of("refs/r")):
        assert backend.get("refs/r", 1, 3).data == b"el"
        assert local.get("refs/r").data == b"hello"


def test_a_reader_without_rights_reads_there_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not write cannot lock; who cannot lock cannot disturb a writer either."""
    LocalBackend(tmp_path).create("refs/r", b"hello")
    backend = LocalBackend(tmp_path, shared_fs=True)
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if "/locks/" in path:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return real(path, flags, mode)

    monkeypatch.setattr("casreg.backends.local.locks.os.open", refuse)
    assert backend.get("refs/r").data == b"hello"


# handles


def test_a_pickled_handle_keeps_what_it_was_told(tmp_path: Path) -> None:
    """Its folder, its bound, its word on the mount, its rules."""
    backend = LocalBackend(tmp_path, shared_fs=True, lock_timeout=1.5, file_system=NetworkFileSystem())
    copy = pickle.loads(pickle.dumps(backend))
    assert (copy.root, copy.shared_fs, copy.network) == (str(tmp_path), True, "nfs4")
    locks = ShardLocks(str(tmp_path), timeout=0)
    copy.create("refs/r", b"")
    copy = pickle.loads(pickle.dumps(LocalBackend(tmp_path, lock_timeout=0)))
    with locks.hold(shard_of("refs/r")), pytest.raises(LockTimeoutError, match="waited 0 s"):
        copy.delete(["refs/r"])
