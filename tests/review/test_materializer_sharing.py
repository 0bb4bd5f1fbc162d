"""What is shared, equal or the same in a value is so again, and nothing else is."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import Registry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry in a folder."""
    return Registry(tmp_path / "registry")


def test_an_empty_array_that_is_there_twice_moves_no_other_array(registry: Registry) -> None:
    """Whoever comes after an empty array that stands twice gets its own values back when it is shared, too."""
    empty, full = np.empty(0), np.arange(5.0)
    registry.save("test:arrays", {"a": empty, "b": empty, "c": full, "d": full})
    loaded: Any = registry.load("test:arrays")
    assert loaded["d"] is loaded["c"]
    assert loaded["c"].tolist() == full.tolist()
    assert loaded["b"] is loaded["a"]
    assert loaded["a"].shape == (0,)


def test_empty_arrays_at_one_address_stay_two(registry: Registry) -> None:
    """Two views without elements of one array are not made one: their address says nothing."""
    whole = np.arange(3)
    registry.save("test:views", [whole[1:1], whole[1:1]])
    first, second = registry.load("test:views")
    assert first is not second


@pytest.mark.parametrize("kind", ["dict", "set", "tuples"])
def test_two_nan_are_two_keys(registry: Registry, kind: str) -> None:
    """A dict or set with two NaN, which Python holds apart, comes back with both."""
    one, other = float("nan"), -math.inf + math.inf
    value: Any = {"dict": {one: 1, other: 2}, "set": {one, other}, "tuples": {(one, 0): 1, (other, 0): 2}}[
        kind
    ]
    registry.save("test:nan", value)
    assert len(registry.load("test:nan")) == 2
