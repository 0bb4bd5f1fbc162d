"""A file that is written through a mapping changes without a change of its times: it must not be remembered then."""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import time
from pathlib import Path

import pytest

from casreg import Registry, remembered


def save_change_save(
    folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> tuple[bytes, bytes]:
    """Map a file, write to it, save it, write to it again, and save it again: what the second version and the file say."""
    tree = folder / "tree"
    tree.mkdir()
    file = tree / "array"
    file.write_bytes(bytes(range(256)) * 1_000)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        mapped[:4] = b"AAAA"
        # Some seconds later: the page is still as it was written, and not on the disk.
        monkeypatch.setattr(remembered, "clock", lambda: time.time_ns() + 5_000_000_000)
        registry.save("thing", tree)
        mapped[:4] = b"BBBB"
        registry.save("thing", tree)
        loaded = registry.load("thing", into=folder / "out")
        assert isinstance(loaded, Path)
        return (loaded / "array").read_bytes()[:4], bytes(mapped[:4])


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """One with a cache of its own."""
    monkeypatch.setenv("CASREG_CACHE_DIR", str(tmp_path / "cache"))
    return Registry(tmp_path / "registry")


def test_a_mapped_file_on_disk(tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second version has what was written through the mapping after the first."""
    stored, held = save_change_save(tmp_path, registry, monkeypatch)
    assert stored == held


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="needs a file system in memory")
def test_a_mapped_file_in_memory(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """On tmpfs the times never change, however long ago the first write was."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        with monkeypatch.context() as patch:
            patch.setattr(remembered, "_RECENT_NS", 0)
            stored, held = save_change_save(Path(folder), registry, patch)
        assert stored == held


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the kernel's list of mounts")
def test_devices_in_memory(tmp_path: Path) -> None:
    """The kernel's list of mounts says which devices have no disk; without a list there are none."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "22 27 0:21 / /proc rw,nosuid - proc proc rw\n"
        "30 27 0:26 / /dev/shm rw shared:4 - tmpfs tmpfs rw\n"
        "27 1 254:0 / / rw - ext4 /dev/vda rw\n"
        "nonsense\n"
    )
    found = remembered._devices_in_memory(str(mounts))
    assert found == {os.makedev(0, 26)}
    assert remembered._devices_in_memory(str(tmp_path / "missing")) == frozenset()
