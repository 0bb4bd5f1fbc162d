"""A save that finds its version there returns one that loads."""

from __future__ import annotations

from typing import Any

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from registry.lab import noise

DATA = noise(50_000, 1)


@pytest.mark.parametrize("options", [{"version": "1.0.0"}, {"if_changed": True}, {}], ids=str)
def test_a_version_whose_pack_is_lost(options: dict[str, Any]) -> None:
    """The caller has brought its bytes: they are stored, and the version has them again, with its notes and tags."""
    place = MemoryBackend()
    Registry(place).save("x", DATA, notes={"old": 1}, tags=["prod"])
    place.delete([info.key for info in place.list("packs/")])
    version = Registry(place).save("x", DATA, notes={"new": 2}, **options)
    assert Registry(place).load("x", version) == DATA
    if "version" in options:
        assert Registry(place).info("x@prod")["notes"] == {"new": 2, "old": 1}
        assert Registry(place).list_versions("x") == ["1.0.0"]
    assert Registry(place).save("x", DATA, if_changed=True) == version


@pytest.mark.parametrize("value", [7, DATA], ids=["small", "large"])
@pytest.mark.parametrize("options", [{"version": "1.0.0"}, {"if_changed": True}], ids=str)
def test_a_version_whose_manifest_is_lost(options: dict[str, Any], value: object) -> None:
    """So it is where nothing of its bytes has to be stored."""
    place = MemoryBackend()
    Registry(place).save("x", value, notes={"old": 1})
    place.delete([info.key for info in place.list("manifests/")])
    version = Registry(place).save("x", value, **options)
    assert Registry(place).load("x", version) == value
    assert Registry(place).save("x", value, if_changed=True) == version


def test_a_version_that_had_packs_of_its_own() -> None:
    """Another version has the same chunks in other packs: that nothing has to be stored does not show that it is whole."""
    place = MemoryBackend()
    Registry(place).save("x", DATA)
    first = [info.key for info in place.list("packs/")]
    place.delete([info.key for info in place.list("index/")])
    Registry(place).save("y", DATA)  # without an index nobody knows that it is there
    assert len(list(place.list("packs/"))) == 2 * len(first)
    place.delete(first)
    assert Registry(place).save("x@1.0.0", DATA) == "1.0.0"
    assert Registry(place).load("x@1.0.0") == DATA
