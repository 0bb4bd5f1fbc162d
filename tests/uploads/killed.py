"""A process that saves slowly and is killed: `python -m uploads.killed PLACE PACKS`, with the folder of tests in its path."""

from __future__ import annotations

import os
import signal
import sys

import casreg.ingest.packing
import casreg.packs
from casreg.backends.open import open_backend
from registry.lab import noise
from uploads.lab import PACK, Slow, slow_registry

SIZE = 2_500_000
"""Bytes that it saves."""

SEED = 5


def content() -> bytes:
    """What it saves."""
    return noise(SIZE, SEED)


def main(place: str, packs: int) -> None:
    """Save, and be killed when so many packs have landed and the next is about to be sent."""
    for module in (casreg.packs, casreg.ingest.packing):
        vars(module)["PACK_LIMIT"] = PACK
    for name in ("MAX_IN_FLIGHT", "MAX_FAR_IN_FLIGHT"):
        vars(casreg.ingest.packing)[name] = 1
    slow = Slow(open_backend(place))

    def die(number: int) -> None:
        if number == packs:
            os.kill(os.getpid(), signal.SIGKILL)

    slow.before = die
    slow_registry(slow).save("large", content())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
