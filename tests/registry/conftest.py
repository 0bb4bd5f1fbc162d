"""Registries in memory and in a folder: whatever holds for one has to hold for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.registry import Registry
from registry.lab import KINDS, make_backend

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.backends.base import Backend


@pytest.fixture(params=KINDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """A new, empty place of each kind."""
    return make_backend(request.param, tmp_path)


@pytest.fixture
def registry(backend: Backend) -> Registry:
    """A registry at a new place."""
    return Registry(backend)
