"""What a backend says of its storage is heard, whatever stands before it."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from casreg import GCPRegistryBackend, InvalidArgumentError, MinioRegistryBackend
from casreg.backends.base import Traits, traits_of
from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache, CachedBackend
from casreg.testing import FaultBackend, RecordingBackend, Scheduler, SchedulerBackend

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend, Readable

FAR = Traits(swap_seconds=2.0, parallel_requests=12)


class Far(MemoryBackend):
    """Says of itself that it is far away."""

    traits = FAR


WRAPPERS: dict[str, Callable[[Backend], Readable]] = {
    "cached": lambda inner: CachedBackend(inner, Cache()),
    "copies": lambda inner: CachedBackend(inner, Cache()).copies,
    "recording": RecordingBackend,
    "fault": FaultBackend,
    "scheduler": lambda inner: SchedulerBackend(inner, Scheduler()),
    "several": lambda inner: RecordingBackend(CachedBackend(FaultBackend(inner), Cache())),
}


@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_say_what_their_place_says(name: str) -> None:
    """All of it, and nothing where it says nothing."""
    assert traits_of(WRAPPERS[name](Far())) == FAR
    assert traits_of(WRAPPERS[name](MemoryBackend())) == Traits()


def test_places_on_this_machine_say_nothing(tmp_path: Path) -> None:
    """A folder and memory take as many updates as come, and a thread for each core is enough."""
    assert traits_of(LocalBackend(tmp_path)) == traits_of(MemoryBackend()) == Traits(0.0, 0)


def test_buckets_want_requests_side_by_side() -> None:
    """Both clouds; also after a pickle."""
    for backend in (MinioRegistryBackend(bucket="bucket"), GCPRegistryBackend("gs://bucket")):
        assert traits_of(backend).parallel_requests == 8
        assert traits_of(pickle.loads(pickle.dumps(backend))) == traits_of(backend)


def test_traits_that_are_none_are_refused() -> None:
    """A mistake of whoever writes a backend, told at once, with the place."""

    class Wrong(MemoryBackend):
        traits = (1.0, 8)

    with pytest.raises(InvalidArgumentError, match=r"the traits of memory:.*base\.Traits"):
        traits_of(Wrong())
    for numbers in ({"swap_seconds": -1.0}, {"parallel_requests": -1}):
        with pytest.raises(InvalidArgumentError, match="below 0"):
            Traits(**numbers)
