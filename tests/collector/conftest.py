"""No collector of a test has read a manifest before: each request is made, and each can fail or be overtaken."""

from __future__ import annotations

import pytest

from casreg.gc.reach import Placements


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Manifests are read each time."""
    monkeypatch.setattr(Placements, "get", lambda self, digest: None)
