"""How requests for data are shared: how many are under way at the same time, and how long they are.

On this machine a thread for each core is enough, and a run is a request. Far away a request mostly waits, so that more
of them are under way than there are cores, each of as many bytes as leave something for the others.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from casreg.backends.base import traits_of
from casreg.fetch.plan import MAX_REQUEST
from casreg.threads import workers

if TYPE_CHECKING:
    from casreg.backends.base import Readable

MAX_AT_ONCE: Final = 16
"""With requests of `MAX_REQUEST` bytes, so many are 128 MiB of memory."""


def at_once(place: Readable) -> int:
    """How many requests for data are worth having under way at the same time: at least one for each core."""
    return max(workers(), min(traits_of(place).parallel_requests, MAX_AT_ONCE))


def fill(place: Readable, size: int) -> int:
    """Up to how many bytes of long runs go into one request, where `size` bytes are wanted.

    0 for a place on this machine: there they are not joined.
    """
    parallel = min(traits_of(place).parallel_requests, MAX_AT_ONCE)
    return min(size // parallel, MAX_REQUEST) if parallel else 0
