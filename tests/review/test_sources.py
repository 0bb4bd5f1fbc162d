"""What is saved has the size that it says, or is not saved."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from casreg import Registry
from casreg.exceptions import SourceChangedError, SourceError

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder


class Growing:
    """A materializer with a mistake: what it has added grows before it is read."""

    id: ClassVar[str] = "test.growing/1"
    types: tuple[type | str, ...] = (int,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """Add a buffer, then change its size."""
        assert isinstance(obj, int)
        buffer = bytearray(obj)
        folder.add("a", buffer)
        buffer += b"more"

    def load(self, folder: InFolder, cls: type | None) -> object:
        """All bytes."""
        return bytes(folder.read("a"))


@pytest.mark.parametrize("size", [10, 50_000], ids=["inline", "pack"])
def test_a_buffer_that_changes_its_size(size: int) -> None:
    """Were it saved, the version could never be loaded: its parts would not sum to its size."""
    registry = Registry("memory://")
    with pytest.raises(SourceChangedError, match=r"'a' had \d+ bytes"):
        registry.save("thing", size, materializer=Growing())
    assert registry.list_objects() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux'")
def test_a_file_that_holds_more_than_it_says() -> None:
    """Files of /proc say that they are empty: that is an error, not an empty file."""
    registry = Registry("memory://")
    with pytest.raises(SourceError, match="more than the 0 bytes"):
        registry.save("thing", Path("/proc/cpuinfo"))
    assert registry.list_objects() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="/proc is Linux'")
def test_such_a_file_in_a_large_tree(tmp_path: Path) -> None:
    """The same where empty files are not read because there is much else."""
    (tmp_path / "big").write_bytes(bytes(range(256)) * 400)
    registry = Registry("memory://")

    class Both:
        id: ClassVar[str] = "test.both/1"
        types: tuple[type | str, ...] = (int,)

        def save(self, obj: object, folder: OutFolder) -> None:
            """One plain file, and one of /proc."""
            folder.add_file("big", tmp_path / "big")
            folder.add_file("odd", Path("/proc/cpuinfo"))

        def load(self, folder: InFolder, cls: type | None) -> object:
            """Never called."""
            raise NotImplementedError

    with pytest.raises(SourceError, match="more than the 0 bytes"):
        registry.save("thing", 1, materializer=Both())


def test_empty_files_are_saved(tmp_path: Path) -> None:
    """Empty files that are empty are saved, beside large ones and alone."""
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "big").write_bytes(bytes(range(256)) * 400)
    for number in range(3):
        (tree / f"empty-{number}").touch()
    registry = Registry("memory://")
    registry.save("thing", tree)
    loaded = registry.load("thing", into=tmp_path / "out")
    assert isinstance(loaded, Path)
    assert {file.name: file.stat().st_size for file in loaded.iterdir()} == {
        "big": 256 * 400,
        "empty-0": 0,
        "empty-1": 0,
        "empty-2": 0,
    }
