"""What only helps to store less must not hinder a save when it cannot be read."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import StorageUnavailableError

if TYPE_CHECKING:
    from casreg.backends.base import Object


class BadSector(MemoryBackend):
    """Some keys cannot be read: the disk is ill there."""

    bad: tuple[str, ...] = ()

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """Fail for these keys."""
        if key.startswith(self.bad or ("?",)):
            raise StorageUnavailableError(f"input/output error: {key}")
        return super().get(key, start, stop, held=held)


@pytest.mark.parametrize("where", ["packs/", "manifests/", "index/"])
def test_what_cannot_be_read_is_not_built_on(where: str) -> None:
    """A save of the same bytes goes through although the pack, manifest or index that has them cannot be read."""
    backend, data = BadSector(), random.Random(1).randbytes(400_000)
    Registry(backend).save("thing", data)
    backend.bad = tuple(info.key for info in backend.list(where))
    Registry(backend).save("thing", data)
    assert Registry(backend).load("thing@1.0.1") == data
