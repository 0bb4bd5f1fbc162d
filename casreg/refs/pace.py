"""How patient a writer is, and where its time and chance come from."""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from casreg.backends.base import traits_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend


def _uniform(low: float, high: float) -> float:
    # Not `random.uniform` itself, a method whose generator would be pickled with it: then two processes would
    # wait in step for ever.
    return random.uniform(low, high)


@dataclass(frozen=True, slots=True)
class Pace:
    """Waiting between attempts, with full jitter: from nothing to `min(cap, base * 2**n)` seconds.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.

    Attributes:
        base: Seconds. The round trip counts where it is longer, and what the storage says it needs (`pace_for`).
        cap: Seconds that no single wait exceeds.
        budget: Seconds after the first conflict when a writer gives up, if it has made `least_attempts` by then.
        least_attempts: So many attempts are made even if each takes very long.
        sends: So often one and the same compare-and-swap is sent while its outcome is in doubt.
        reads: So often reading back is tried before the outcome is called unknown; with these waits a storage that is
            away for some seconds is waited for. It ends after `budget` seconds too, if each reading takes long.
        monotonic: The clock for durations, seconds.
        sleep: Waits so many seconds.
        uniform: A random number between two bounds.
        entropy: So many random bytes, never the same twice: for ids and nonces.
    """

    base: float = 0.02
    cap: float = 5.0
    budget: float = 60.0
    least_attempts: int = 10
    sends: int = 8
    reads: int = 10
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    uniform: Callable[[float, float], float] = _uniform
    entropy: Callable[[int], bytes] = os.urandom

    def wait(self, attempt: int, round_trip: float = 0.0) -> None:
        """Wait before the attempt that follows number `attempt` (from 1)."""
        bound = min(self.cap, max(self.base, round_trip) * 2.0 ** min(attempt - 1, 30))
        self.sleep(self.uniform(0.0, bound))

    def new_id(self) -> str:
        """128 random bits as 32 hexadecimal characters."""
        return self.entropy(16).hex()


PACE = Pace()
"""What is used unless told otherwise."""


def pace_for(backend: Backend) -> Pace:
    """The pace for the refs of a place: slower where the storage takes only so many updates of one key a second."""
    needed = traits_of(backend).swap_seconds
    return replace(PACE, base=needed) if needed > PACE.base else PACE
