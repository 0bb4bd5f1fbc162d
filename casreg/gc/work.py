"""Many small requests at once, in a bounded amount of memory, and what is told about them."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.backends.base import traits_of
from casreg.progress import Progress
from casreg.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from casreg.backends.base import Backend
    from casreg.gc.terms import Terms
    from casreg.progress import ProgressCallback

_T = TypeVar("_T")
_R = TypeVar("_R")

_LOCAL_THREADS: Final = 8  # enough for flushes to be done together; reading alone gains nothing
_AT_A_TIME: Final = 16


def threads_for(backend: Backend, terms: Terms) -> int:
    """How many requests to have under way at once."""
    if terms.threads is not None:
        return terms.threads
    return max(_LOCAL_THREADS, traits_of(backend).parallel_requests)


def at_once(items: Sequence[_T], work: Callable[[_T], _R], threads: int) -> Iterator[_R]:
    """`work` of each item, in order. With one thread it is the caller's. What it raises ends all of it."""
    if threads < 2 or len(items) < 2:
        yield from map(work, items)
        return
    step = max(1, min(_AT_A_TIME, len(items) // threads))
    pending: deque[Future[list[_R]]] = deque()
    with Threads(min(threads, len(items)), "casreg-gc") as pool:
        try:
            for at in range(0, len(items), step):
                pending.append(pool.submit(_all, work, items[at : at + step]))
                if len(pending) > 2 * threads:
                    yield from pending.popleft().result()
            while pending:
                yield from pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()


def _all(work: Callable[[_T], _R], items: Sequence[_T]) -> list[_R]:
    return [work(item) for item in items]


class Report:
    """Tells how far a collection is: for each phase some hundred times, and at its end."""

    def __init__(self, progress: ProgressCallback | None) -> None:
        self._progress = progress
        self._told: tuple[str, int] | None = None

    def tell(self, phase: str, done: int, total: int, name: str = "") -> None:
        """So many of `total` files are dealt with; 0 is a total that is not known yet."""
        if self._progress is None:
            return
        told = (phase, done * 100 // total if total else done)
        if told != self._told:
            self._told = told
            self._progress(Progress(phase, name, done, total, 0, 0))
