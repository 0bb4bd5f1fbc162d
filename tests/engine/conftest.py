"""Chunks so small that everything happens with a few kilobytes."""

from __future__ import annotations

import threading

import pytest

from casreg import chunker


@pytest.fixture
def tiny_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 64 to 1,024 bytes, about 256: a thousandth of the format's, cut by the same algorithm."""
    monkeypatch.setattr(chunker, "MIN_CHUNK", 64)
    monkeypatch.setattr(chunker, "AVERAGE_CHUNK", 256)
    monkeypatch.setattr(chunker, "MAX_CHUNK", 1024)
    monkeypatch.setattr(chunker, "_local", threading.local())
    monkeypatch.setattr("casreg.manifests.contents.MIN_CHUNK", 64)  # it checks that counts of chunks can be
