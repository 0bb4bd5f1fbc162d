"""Processes that use one place at the same time, and tell what came of it.

What they do stands at the top of this module, since new processes import it.
"""

from __future__ import annotations

import multiprocessing
import random
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from threading import BrokenBarrierError
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from casreg import CommitUnknownError, Registry, StorageUnavailableError
from casreg.exceptions import AlreadyExists
from casreg.keys import ref_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Barrier

    import numpy as np
    from numpy.typing import NDArray

    from casreg.backends.base import Backend

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE_SECONDS = 120.0
"""Within this time all have to arrive where they wait for each other: processes start one after the other."""

TRIES = 200
"""One save fails this often in a row only where nothing can be saved: of those meant here, a quarter of requests fail."""

BLOCKS, KEYS_IN_A_BLOCK = 20, 10
NAME = "one:name"


def in_processes(
    number: int, work: Callable[Concatenate[int, Barrier, P], T], *args: P.args, **kwargs: P.kwargs
) -> list[T]:
    """What `work` returns in each of so many new processes, given its number and a barrier for all of them.

    Raises:
        Exception: What it raised in one of them.
    """
    spawn = multiprocessing.get_context("spawn")
    with spawn.Manager() as manager, ProcessPoolExecutor(number, mp_context=spawn) as pool:
        start = manager.Barrier(number, timeout=PATIENCE_SECONDS)
        done = [pool.submit(work, process, start, *args, **kwargs) for process in range(number)]
        errors = [error for one in done if (error := one.exception())]
        # Those that waited in vain for one that had failed say nothing of why.
        for error in sorted(errors, key=lambda error: isinstance(error, BrokenBarrierError)):
            raise error
        return [one.result() for one in done]


def raced_keys() -> list[str]:
    """The keys of `create_all`."""
    return [f"race/{number:03}" for number in range(BLOCKS * KEYS_IN_A_BLOCK)]


def create_all(process: int, start: Barrier, backend: Backend) -> dict[str, bytes]:
    """Try to create every key, and remember what was written to those that this process won.

    All begin each block of keys together, each in an order of its own: else the first to start would win everything.
    """
    order, keys, won = random.Random(process), raced_keys(), dict[str, bytes]()
    for block in range(BLOCKS):
        mine = keys[block * KEYS_IN_A_BLOCK :][:KEYS_IN_A_BLOCK]
        order.shuffle(mine)
        start.wait()
        for key in mine:
            data = f"{key} is the key of process {process}. ".encode() * 50
            try:
                backend.create(key, data)
            except AlreadyExists:
                continue
            won[key] = data
    return won


def save_at_once(process: int, start: Barrier, backend: Backend, times: int) -> list[tuple[str, Any]]:
    """Save so many values to one name, all at the same time; each with the version that it was told."""
    registry = Registry(backend, cache=False)
    values = [
        {"process": process, "step": step, "bytes": random.Random(f"{process} {step}").randbytes(20_000)}
        for step in range(times)
    ]
    start.wait()
    with ThreadPoolExecutor(times) as threads:
        versions = list(threads.map(lambda value: registry.save(NAME, value), values))
    return list(zip(versions, values, strict=True))


def save_stubbornly(process: int, start: Barrier, bad: Backend, good: Backend, times: int) -> int:
    """Save so many values to one name, each until it is there; how many tries failed.

    A failed try has to be right about whether it saved: it is told from its error alone, but for a commit whose
    outcome is unknown, where the ref is asked for the write, over a network that works.

    Raises:
        StorageUnavailableError: One of them failed `TRIES` times.
    """
    registry, failed = Registry(bad, cache=False), 0
    start.wait()
    for step in range(times):
        for left in reversed(range(TRIES)):
            try:
                registry.save(NAME, [process, step])
            except CommitUnknownError as unknown:
                failed += 1
                if unknown.write.encode() in good.get(ref_key(NAME)).data:
                    break
            except StorageUnavailableError:
                failed += 1
                if not left:
                    raise
            else:
                break
    return failed


def large() -> NDArray[np.float64]:
    """64 MiB that no codec makes smaller."""
    import numpy as np

    return np.random.default_rng(1).random(8 << 20)


def changed() -> NDArray[np.float64]:
    """The same with a hundred other numbers at one place, and three more at another."""
    import numpy as np

    array = large()
    array[5_000_000:5_000_100] += 1.0
    return np.insert(array, 1_000_000, [0.25, 0.5, 0.75])


def save_changed(process: int, start: Barrier, backend: Backend) -> int:
    """Save `changed` under a name of its own; the bytes that this has added to the place, as the version says."""
    registry = Registry(backend, cache=False)
    registry.save("another:name", changed())
    return int(registry.info("another:name")["stored"])
