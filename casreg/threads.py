"""Threads for one operation, which also work while the interpreter ends."""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_P = ParamSpec("_P")
_S = TypeVar("_S")
_T = TypeVar("_T")

MAX_WORKERS: Final = 8


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


def ahead(work: Callable[[_S], _T], items: Iterable[_S], most: int) -> Iterator[_T]:
    """`work` of each item, in order, done by threads that are a little ahead: at most `most` items at a time.

    What it raises ends all of it.
    """
    pending: deque[Future[_T]] = deque()
    with Threads(most, "casreg-ahead") as threads:
        try:
            for item in items:
                pending.append(threads.submit(work, item))
                if len(pending) >= most:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
