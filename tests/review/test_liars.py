"""Versions from elsewhere that lie about their chunks are not taken in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from casreg import Registry, canonical
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.exceptions import CorruptError
from casreg.keys import manifest_key, ref_key
from casreg.manifests import encode_manifest, encode_placement, identities
from registry.lab import noise
from transfer.lab import check

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = noise(100_000, 1)


def lying(change: Callable[[list[list[Any]]], None]) -> MemoryBackend:
    """A place with a version whose list of chunks was changed, and all that is sealed over it."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("x", DATA + DATA)
    repository = registry._repository
    held = repository.refs.read("x")
    assert held is not None
    ((version, entry),) = held.history.live()
    manifest = repository.manifest(entry.manifest)
    content = json.loads(manifest.lines[0])
    change(content["entries"][0]["chunks"])
    lines = canonical.dump(content), manifest.lines[1]
    data, identity = identities(*lines)
    file = encode_manifest(*lines, encode_placement(manifest.placement), manifest.inline)
    place.create(manifest_key(digest_of(file)), file)
    changed = replace(entry, manifest=digest_of(file), data=data, content=identity)
    ref = held.history.with_version(version, changed).ref.rewritten("1" * 32, held.history.ref.stamp)
    place.swap(ref_key("x"), ref.to_bytes(), held.token)
    return place


def _moved(chunks: list[list[Any]]) -> None:
    chunks[0][1] += 1
    chunks[1][1] -= 1


def _both(chunks: list[list[Any]]) -> None:
    chunks[-1][0] = chunks[0][0]


@pytest.mark.parametrize("change", [_moved, _both])
@pytest.mark.parametrize("known", [False, True])
def test_sizes_of_chunks(change: Callable[[list[list[Any]]], None], known: bool) -> None:
    """A wrong size is found also where the target has the chunk, so that its bytes are not read."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("mine", DATA + DATA)
    if not known:
        registry = Registry(MemoryBackend())
    with pytest.raises(CorruptError):
        registry.download(Registry(lying(change)), "x")
    assert "x" not in registry
    check(registry.backend)
    assert Registry(place).load("mine") == DATA + DATA
