"""Loading never takes the ground from under somebody's feet, and reads long repetitions once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import DestinationError
from casreg.testing import RecordingBackend


def test_the_working_directory_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`into="."` would leave the process in a folder that is no more: refused, and nothing is changed."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_text("text")
    (tmp_path / "here").mkdir()
    registry = Registry("memory://")
    registry.save("thing", tmp_path / "source")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(DestinationError, match="working directory"):
        registry.load("thing", into=".")
    assert os.getcwd() == str(tmp_path / "here")
    loaded = registry.load("thing", into="new")
    assert isinstance(loaded, Path)
    assert (loaded / "file").read_text() == "text"


def test_a_long_repetition_is_read_with_few_requests(tmp_path: Path) -> None:
    """A file of zeros is one small chunk again and again: not as many requests as it has chunks."""
    source = tmp_path / "zeros"
    with source.open("wb") as file:
        file.truncate(64 * 2**20)
        file.seek(0, os.SEEK_END)
        file.write(b"the end" * 10_000)
    backend = RecordingBackend(MemoryBackend())
    Registry(backend).save("thing", source)
    backend.log.clear()
    loaded = Registry(backend).load("thing", into=tmp_path / "out")
    assert isinstance(loaded, Path)
    assert len([call for call in backend.calls if call.key.startswith("packs/")]) < 20
    assert loaded.read_bytes() == source.read_bytes()
