"""Long saves of few bytes: packs are small, and go up one after the other."""

from __future__ import annotations

import pytest

from uploads.lab import PACK


@pytest.fixture(autouse=True)
def small_packs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pack has some 100 kB; the next is begun when it has landed."""
    monkeypatch.setattr("casreg.packs.PACK_LIMIT", PACK)
    monkeypatch.setattr("casreg.ingest.packing.PACK_LIMIT", PACK)
    monkeypatch.setattr("casreg.ingest.packing.MAX_IN_FLIGHT", 1)
    monkeypatch.setattr("casreg.ingest.packing.MAX_FAR_IN_FLIGHT", 1)
