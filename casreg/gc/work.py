"""How many requests a collection has under way at once, and what it tells about them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from casreg.backends.base import traits_of
from casreg.progress import Progress

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from casreg.gc.terms import Terms
    from casreg.progress import ProgressCallback

_LOCAL_THREADS: Final = 8  # enough for flushes to be done together; reading alone gains nothing


def threads_for(backend: Backend, terms: Terms) -> int:
    """How many requests to have under way at once."""
    if terms.threads is not None:
        return terms.threads
    return max(_LOCAL_THREADS, traits_of(backend).parallel_requests)


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
