"""The suite of the Registry, which is a contract for backends: whatever holds at one place has to hold at all.

A test that asks for `registry`, `backend` or `places` runs in memory, in a folder, and in buckets of S3 and of Google,
on real servers; `shared_places` leaves out memory, which no other process reaches. A test that makes a place itself is about
something else: which requests are made, what a failing place does, what stands in a folder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.registry import Registry

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from places import Places


@pytest.fixture
def backend(places: Places) -> Backend:
    """A new, empty place of each kind."""
    return places.new()


@pytest.fixture
def registry(backend: Backend) -> Registry:
    """A registry at a new place."""
    return Registry(backend)
