"""A place that counts what is asked of it, and a cache of its own for each test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import Cache
from casreg.backends.memory import MemoryBackend
from casreg.testing import RecordingBackend

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    """Room for 64 MiB."""
    return Cache(tmp_path / "cache", limit="64MiB")


@pytest.fixture
def place() -> MemoryBackend:
    """What is far away."""
    return MemoryBackend()


@pytest.fixture
def far(place: MemoryBackend) -> RecordingBackend:
    """The way there, which counts."""
    return RecordingBackend(place)
