"""What tests of syncs stand on: registries with something of everything, what they hold, and places as over a network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casreg import Registry
from casreg.backends.base import Traits
from casreg.backends.memory import MemoryBackend

if TYPE_CHECKING:
    from casreg.backends.base import Backend


class Far(MemoryBackend):
    """Memory that says it is behind a network: requests go side by side, and are counted."""

    traits = Traits(parallel_requests=16)


def noise(seed: int, size: int) -> bytes:
    """Bytes that do not compress, the same for one seed."""
    import random

    return random.Random(seed).randbytes(size)


def filled(backend: Backend | str, *, size: int = 300_000) -> Registry:
    """A registry with several names and versions, tags, notes, metadata, protection, and bytes in common."""
    registry = Registry(backend, cache=False)
    body = noise(1, size)
    for number in range(3):
        registry.save(
            "my:data",
            body + noise(10 + number, 1000),
            metadata={"number": number, "nested": {"a": [1, 2.5, None]}},
            notes={"seen": number},
            tags=[f"t{number}"],
        )
    registry.tag("my:data", "prod", "1.0.1")
    registry.save("my:text", "a text", notes={"who": "me"})
    registry.save("my:text", "another", version="2.0.0-rc.1")
    registry.protect("my:text", "1.0.0")
    registry.save("small", 7)
    return registry


def seen(registry: Registry) -> dict[str, dict[str, Any]]:
    """Everything that is known of every version, but for where it is and what it took there."""
    found: dict[str, dict[str, Any]] = {}
    for name, versions in registry.list_objects_and_versions().items():
        for version in versions:
            info = registry.info(name, version)
            for local in ("path", "stored", "revision"):
                del info[local]
            found[f"{name}@{version}"] = info
    return found


def files_of(backend: Backend) -> dict[str, bytes]:
    """Every key of a place, with its bytes."""
    return {info.key: backend.get(info.key).data for info in backend.list("")}


def place_with(place: Backend, files: dict[str, bytes]) -> None:
    """Let a place hold these files and no others, as a backup that was restored."""
    place.delete([info.key for info in place.list("")])
    for key, data in files.items():
        place.create(key, data)
