"""How often a save asks the storage: each question is a round trip, perhaps to another continent."""

from __future__ import annotations

import random

from casreg.backends.memory import MemoryBackend
from casreg.index import PREFIX
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend

MIB = 1 << 20


def test_a_save_lists_the_index_once_for_its_search() -> None:
    """However large it is; and once more to note what it wrote."""
    backend = RecordingBackend(MemoryBackend())
    registry = Registry(backend)
    registry.save("first", {"x": 1})
    backend.log.clear()
    registry.save("large", random.Random(1).randbytes(48 * MIB))
    assert len(backend.log.calls("list", PREFIX)) == 2
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
