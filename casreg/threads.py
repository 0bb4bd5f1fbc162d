"""Threads for one operation, which also work while the interpreter ends."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

_P = ParamSpec("_P")
_S = TypeVar("_S")
_T = TypeVar("_T")

MAX_WORKERS: Final = 8
_PART: Final = 16


def workers() -> int:
    """How many threads cut, hash, compress or verify: one for each core that this process may use, at most 8."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(usable, MAX_WORKERS))


class Threads(ThreadPoolExecutor):
    """A pool whose work is done by the caller itself once no pool takes work any more.

    Python closes all pools when its main thread ends, although other threads may still run for hours (a training that
    saves its model at the end), and handlers of `atexit` come later still.  Saving must work there too.
    """

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> Future[_T]:
        """As the parent's; at the end of the interpreter the work is done before this returns."""
        try:
            return super().submit(fn, *args, **kwargs)
        except RuntimeError as err:
            # Nothing was queued. Any other refusal (no thread could be started) comes after the work was queued.
            if "cannot schedule new futures after interpreter shutdown" not in str(err):
                raise
        future: Future[_T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as err:  # noqa: BLE001 - it reaches whoever asks for the result
            future.set_exception(err)
        return future


def ahead(
    work: Callable[[_S], _T], items: Iterable[_S], threads: int, most: int | None = None
) -> Generator[_T]:
    """`work` of each item, in order, done by threads that are a little ahead of whoever takes the results.

    Items are asked for as they are needed.  The first error, in the order of the items, ends all of it: what was not
    begun is given up, and what was begun is waited for.  So it is if the generator is closed.

    Args:
        work: Is called in several threads; in the caller's, if there is only one item or one thread.
        items: May be endless.
        threads: So many work at once.
        most: So many items are under way, or done and not yet taken; by default as many as there are threads.
    """
    left = iter(items)
    first = list(islice(left, 2))
    if len(first) < 2 or threads < 2:  # it is done sooner here than handed to a thread
        yield from map(work, chain(first, left))
        return
    most = threads if most is None else most
    pool = Threads(min(threads, most), "casreg-ahead")
    pending: deque[Future[_T]] = deque()
    try:
        for item in chain(first, left):
            pending.append(pool.submit(work, item))
            if len(pending) >= most:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def ahead_in_parts(work: Callable[[_S], _T], items: Sequence[_S], threads: int) -> Generator[_T]:
    """As `ahead`, for many small items: a thread gets several at a time.

    To read a small local file takes no longer than to hand it to a thread.
    """
    if threads < 2:
        yield from map(work, items)
        return
    step = max(1, min(_PART, len(items) // threads))
    parts = (items[at : at + step] for at in range(0, len(items), step))
    for results in ahead(lambda part: [work(item) for item in part], parts, threads, 2 * threads):
        yield from results
