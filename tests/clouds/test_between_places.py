"""Versions that go from one kind of place to another: what is stored is the same everywhere."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from registry.lab import noise, text
from transfer.lab import check, frames_of, view

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from places import Places

pytestmark = pytest.mark.clouds


def test_a_registry_goes_round(places_of: Callable[[str], Places], tmp_path: Path) -> None:
    """From memory to S3, to Google, to a folder, and in a bundle back: every version, byte and tag, cut once."""
    first, *others = (Registry(places_of(kind).new()) for kind in ("memory", "s3", "gcs", "local"))
    tree = tmp_path / "tree"
    (tree / "hollow").mkdir(parents=True)
    for number in range(30):
        (tree / f"{number}").write_bytes(noise(1_000 * number, number))
    (tree / "long").write_bytes(text(6_000_000) + noise(4_000_000))
    first.save("tree", tree, metadata={"score": 0.5}, tags=["first"])
    (tree / "long").write_bytes(text(6_000_000) + b"changed" + noise(4_000_000))
    first.save("tree", tree, notes={"by": "me"})
    first.save("small:value", {"a": (1, {2})})
    expected = view(first.backend), frames_of(first.backend)

    for source, target in pairwise([first, *others]):
        target.update(source)
        assert (view(target.backend), frames_of(target.backend)) == expected
        check(target.backend)
    others[-1].export(tmp_path / "all.casreg")
    last = Registry(places_of("memory").new())
    last.import_(tmp_path / "all.casreg")
    assert (view(last.backend), frames_of(last.backend)) == expected
