"""Syncs between places of all kinds, on real servers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.testing.recording import RecordingBackend
from sync.lab import filled, noise, seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from places import Places

pytestmark = pytest.mark.clouds


def _bytes(*registries: Registry) -> int:
    """What went either way."""
    backends = [registry.backend for registry in registries]
    return sum(
        call.bytes_in + call.bytes_out
        for backend in backends
        if isinstance(backend, RecordingBackend)
        for call in backend.calls
    )


def test_from_here_through_both_clouds_and_back(tmp_path: Path, places_of: Callable[[str], Places]) -> None:
    """Local → S3 → Google → a new folder, with collections in between: all versions are equal, whole, and stay so.

    A second sync of each asks each cloud for one listing, and moves nothing.
    """
    first = filled(str(tmp_path / "first"), size=3_000_000)
    for number in range(40):
        first.save(f"name:{number}", noise(number, 2000), tags=["prod"], notes={"n": number})
    s3 = Registry(RecordingBackend(places_of("s3").new()), cache=False)
    gcs = Registry(RecordingBackend(places_of("gcs").new()), cache=False)
    last = Registry(tmp_path / "last", cache=False)
    steps = [(first, s3), (s3, gcs), (gcs, last)]

    for source, target in steps:
        assert target.sync(source).clean
        target.gc(min_age=0, undelete_window=0)
    moved = _bytes(s3, gcs)

    assert seen(first) == seen(s3) == seen(gcs) == seen(last)
    first.delete("name:1")
    first.save("my:data", noise(1, 3_000_000) + noise(77, 1000), tags=["prod"])
    for source, target in steps:
        done = target.sync(source, delete=True)
        assert (done.copied, done.deleted) == (("my:data@1.0.3",), ("name:1@1.0.0",))
        target.gc(min_age=0, undelete_window=0)
    assert seen(first) == seen(s3) == seen(gcs) == seen(last)
    for source, target in steps:
        target.sync(source)  # the collections have written to the refs: they are read once more
        assert target.verify(data=True).clean

    for registry in (s3, gcs):
        registry.backend.log.clear()  # type: ignore[attr-defined]
    for source, target in steps:
        assert target.sync(source, delete=True).unchanged == 43
    for registry in (s3, gcs):
        calls = [f"{call.method} {call.key}" for call in registry.backend.calls]  # type: ignore[attr-defined]
        assert calls == ["list refs/"] * 2  # once as target and once as source
    assert _bytes(s3, gcs) * 100 < moved


def test_names_are_brought_side_by_side(tmp_path: Path, places_of: Callable[[str], Places]) -> None:
    """To a place that is far away; and what is there already is found."""
    source = filled(str(tmp_path / "source"))
    target = Registry(places_of("s3").new(), cache=False)
    target.sync(source, "my:data")
    source.save("again", noise(1, 300_000) + noise(10, 1000))

    done = target.sync(source)

    assert seen(source) == seen(target)
    assert done.stored < 20_000
