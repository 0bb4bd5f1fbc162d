"""A save that returned is on the disk, also if a flush failed on the way."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.backends.local import FileSystem, LocalBackend
from casreg.exceptions import StorageUnavailableError

if TYPE_CHECKING:
    from pathlib import Path


class FailingFlush(FileSystem):
    """The next flushes of the folder of refs fail."""

    def __init__(self) -> None:
        super().__init__()
        self.failures = 0
        self.unflushed = False

    def replace(self, source: str, target: str) -> None:
        """A new name that is not flushed yet."""
        super().replace(source, target)
        if "/refs/" in target:
            self.unflushed = True

    def sync_folder(self, path: str) -> None:
        """Fail as often as was asked for."""
        if path.endswith("/refs"):
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            self.unflushed = False
        super().sync_folder(path)


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_swap_whose_flush_failed_is_flushed_before_it_is_believed(tmp_path: Path, failures: int) -> None:
    """The swap is read back, found to be there, and yet not taken for done before its folder was flushed."""
    files = FailingFlush()
    registry = Registry(LocalBackend(tmp_path / "place", file_system=files))
    registry.save("thing", 1)
    files.failures = failures
    assert registry.save("thing", 2) == "1.0.1"
    assert not files.unflushed


def test_a_disk_that_does_not_flush_is_an_error(tmp_path: Path) -> None:
    """As long as the flush fails, reading back fails too; what was there before stays readable elsewhere."""
    files = FailingFlush()
    backend = LocalBackend(tmp_path / "place", file_system=files)
    token = backend.create("refs/thing", b"old")
    files.failures = 2
    with pytest.raises(StorageUnavailableError):
        backend.swap("refs/thing", b"new", token)
    with pytest.raises(StorageUnavailableError):
        backend.get("refs/thing")
    assert files.unflushed
    assert backend.get("refs/thing").data == b"new"
    assert not files.unflushed
