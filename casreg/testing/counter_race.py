"""The last test of every backend: processes that count together, each step a compare-and-swap."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from casreg.exceptions import Conflict

if TYPE_CHECKING:
    from casreg.backends.base import Backend, Token

KEY: Final = "race/counter"


def increment(backend: Backend, times: int) -> None:
    """Add one to the counter, `times` times, and again whenever somebody else was faster."""
    for _ in range(times):
        while True:
            found = backend.get(KEY)
            try:
                backend.swap(KEY, b"%d" % (int(found.data) + 1), _token(found.token))
            except Conflict:
                continue
            break


def race_processes(backend: Backend, *, processes: int = 8, times: int = 25, seconds: float = 300) -> int:
    """Count in new processes that each get a pickled handle; the value at the end.

    Raises:
        AssertionError: A process failed, or took longer than `seconds`.
    """
    backend.create(KEY, b"0")
    start = multiprocessing.get_context("spawn")
    children = [start.Process(target=increment, args=(backend, times)) for _ in range(processes)]
    for child in children:
        child.start()
    deadline = time.monotonic() + seconds
    for child in children:
        child.join(max(0, deadline - time.monotonic()))
    late = [child for child in children if child.is_alive()]
    for child in late:
        child.kill()
        child.join()
    assert not late, f"{len(late)} processes did not end within {seconds:g} s"
    assert all(child.exitcode == 0 for child in children), [child.exitcode for child in children]
    return int(backend.get(KEY).data)


def race_threads(backend: Backend, *, threads: int = 8, times: int = 25) -> int:
    """Count in threads that share one handle; the value at the end."""
    backend.create(KEY, b"0")
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(increment, backend, times) for _ in range(threads)]:
            done.result()
    return int(backend.get(KEY).data)


def _token(token: Token | None) -> Token:
    assert token is not None, "get of a whole object gives a token"
    return token
