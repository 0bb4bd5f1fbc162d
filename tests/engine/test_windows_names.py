"""What Windows would take for something else is refused there, and is an ordinary name elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import DestinationError, Registry
from casreg.fetch import sinks

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("name", ["9:30.txt", "what?", "end.", "end ", 'a"b', "x|y"])
def test_names_that_windows_reads_otherwise(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Loading such a path on Windows is an error that names it, and leaves nothing; elsewhere it comes back."""
    source = tmp_path / "source"
    source.mkdir()
    (source / name).write_bytes(b"content")
    registry = Registry(tmp_path / "registry")
    registry.save("a:folder", source)
    loaded = registry.load("a:folder", into=tmp_path / "out")
    assert (loaded / name).read_bytes() == b"content"
    monkeypatch.setattr(sinks, "_WINDOWS", True)
    with pytest.raises(DestinationError, match="Windows"):
        registry.load("a:folder", into=tmp_path / "there")
    assert not (tmp_path / "there").exists()
