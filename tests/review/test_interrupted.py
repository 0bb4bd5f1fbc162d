"""A load that is left while its threads still work."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest

from casreg.digest import Digest
from casreg.exceptions import DestinationError
from casreg.fetch.sinks import Tree
from casreg.model import Chunk, Entry, Stream

if TYPE_CHECKING:
    from pathlib import Path

CHUNKS = tuple(Chunk(Digest(bytes([number]) * 32), 4) for number in range(3))
FILE = Entry("a", Stream(12, CHUNKS))


def test_a_chunk_that_comes_too_late_is_written_nowhere(tmp_path: Path) -> None:
    """After a tree was left (Ctrl-C, twice), a thread that comes late writes to no file that has the old number."""
    (tmp_path / "tree").mkdir()
    with Tree(tmp_path / "tree") as tree:
        writer = tree.writer([FILE], 0, CHUNKS)
        writer.write([(0, b"AAAA")])
    other = tmp_path / "other"
    other.write_bytes(b"precious precious")
    descriptors = [os.open(other, os.O_RDWR) for _ in range(4)]
    try:
        with pytest.raises(DestinationError, match="interrupted"):
            writer.write([(1, b"BBBB")])
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    assert other.read_bytes() == b"precious precious"


def test_leaving_waits_for_who_writes(tmp_path: Path) -> None:
    """Files are closed only when no thread is in the middle of writing one."""
    (tmp_path / "tree").mkdir()
    tree = Tree(tmp_path / "tree")
    left = threading.Event()

    def leave() -> None:
        tree.__exit__(None, None, None)
        left.set()

    with tree.writing():
        thread = threading.Thread(target=leave)
        thread.start()
        assert not left.wait(0.1)
    thread.join()
    assert left.is_set()
