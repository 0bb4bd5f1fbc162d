"""How often a save asks the storage: each question is a round trip, perhaps to another continent."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casreg.backends.base import Token, Traits
from casreg.backends.memory import MemoryBackend
from casreg.keys import INDEX
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend

if TYPE_CHECKING:
    from typing_extensions import Buffer

MIB = 1 << 20


class Far(MemoryBackend):
    """A place that is best asked little and for much."""

    traits = Traits(parallel_requests=8)


class Forgetful(Far):
    """Keeps nothing of packs, so that a gigabyte need not be in memory twice."""

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """As the parent's."""
        return super().create(key, b"" if key.startswith("packs/") else data, durable=durable)


def noise_of(size: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint64]]:
    """So many bytes, a multiple of 32 MiB, that no codec makes smaller and no two stretches of which are equal."""
    block = np.random.default_rng(1).integers(0, 1 << 64, 4 * MIB, dtype=np.uint64)
    whole = np.empty((size // block.nbytes, len(block)), np.uint64)
    for number, row in enumerate(whole):
        np.add(block, np.uint64(number * 0x9E3779B97F4A7C15 % (1 << 64)), out=row)
    return whole


def test_a_save_lists_the_index_once_for_its_search() -> None:
    """However large it is; and once more to note what it wrote."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    registry.save("first", {"x": 1})
    backend.log.clear()
    registry.save("large", random.Random(1).randbytes(48 * MIB))
    assert len(backend.log.calls("list", INDEX)) == 2
    packs = len(backend.log.calls("create", "packs/"))
    assert len(backend.calls) <= packs + 12


def test_what_others_have_is_found_by_that_one_listing() -> None:
    """Also by a process that has seen nothing yet, in all of its steps."""
    place = MemoryBackend()
    data = random.Random(2).randbytes(48 * MIB)
    Registry(place).save("first", data)
    backend = RecordingBackend(place)
    Registry(backend).save("second", data)
    assert not backend.log.calls("create", "packs/")


def test_a_gigabyte_is_saved_with_few_requests() -> None:
    """Under a new name, by a new process, where nothing of it compresses: 33 packs, and what every save takes."""
    place = Forgetful()
    Registry(place).save("small", {"x": 1})
    backend = RecordingBackend(place)
    Registry(backend).save("large", noise_of(1024 * MIB))
    assert len(backend.log.calls("create", "packs/")) == 33
    assert len(backend.calls) <= 45


@pytest.mark.parametrize(("place", "bound"), [(Far(), 24), (MemoryBackend(), 40)], ids=["far", "near"])
def test_what_is_large_is_loaded_with_few_requests(place: MemoryBackend, bound: int) -> None:
    """128 MiB: far away about five for a pack of 32 MiB, here about nine. Each has at most 8 MiB and what is between."""
    data = noise_of(128 * MIB)
    Registry(place).save("large", data)
    backend = RecordingBackend(place)
    assert (Registry(backend).load("large") == data).all()
    assert len(backend.calls) <= bound
    assert max(call.bytes_out for call in backend.calls) <= 8 * MIB
    assert sum(call.bytes_out for call in backend.calls) < 1.01 * data.nbytes


def test_small_things_take_few_requests() -> None:
    """By processes that have seen nothing yet: a save to an existing name, one to a new name, a load, and a load again."""
    place = MemoryBackend()
    Registry(place).save("there", {"x": 1})
    backend = RecordingBackend(place)

    def count() -> int:
        made = len(backend.calls)
        backend.log.clear()
        return made

    Registry(backend).save("there", {"x": 2})
    assert count() <= 5
    Registry(backend).save("new", {"x": 1})
    assert count() <= 6
    reader = Registry(backend)
    assert reader.load("new") == {"x": 1}
    assert count() == 2
    assert reader.load("new") == {"x": 1}
    assert count() == 1
