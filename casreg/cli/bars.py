"""How far a long operation is: a bar on standard error, once it has taken a second, and only on a terminal."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from casreg.display import printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.progress import Progress as Bar, TaskID

    from casreg.cli.session import Session
    from casreg.progress import Progress

_PATIENCE: Final = 1.0
"""Seconds before anything is shown: what is done by then needs no bar."""

_OF_LOADS: Final = frozenset({"load", "verify"})
"""Phases that only read."""


class Watch:
    """Takes the reports of one operation, and shows them.

    Attributes:
        last: The last report; None if there was none.
    """

    def __init__(self, *, shown: bool) -> None:
        """Nothing is shown yet.

        Args:
            shown: Whether anything ever is.
        """
        self.last: Progress | None = None
        self._shown = shown
        self._began = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __call__(self, report: Progress) -> None:
        """Take a report."""
        self.last = report
        seconds = time.monotonic() - self._began
        if not self._shown or seconds < _PATIENCE or (self._bar is None and report.done >= report.total):
            return
        if self._bar is None:
            self._bar = _bar()
            self._task = self._bar.add_task("", total=report.total, figures="")
            self._bar.start()
        assert self._task is not None
        title = f"{report.phase} {printable(report.name)}"
        self._bar.update(
            self._task,
            description=title,
            completed=report.done,
            total=report.total,
            figures=figures(report, seconds),
        )

    def stop(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()


@contextmanager
def watching(session: Session) -> Iterator[Watch]:
    """What to give to an operation as `progress`, while it runs."""
    watch = Watch(shown=session.shows_progress)
    try:
        yield watch
    finally:
        watch.stop()


def figures(report: Progress, seconds: float) -> str:
    """Bytes, rate, and what was stored against what was there already."""
    parts = [
        f"{size_text(report.done)} of {size_text(report.total)}",
        f"{size_text(int(report.done / max(seconds, 0.001)))}/s",
    ]
    if report.phase not in _OF_LOADS:
        parts.append(f"{size_text(report.stored)} stored, {size_text(report.reused)} reused")
    return " · ".join(parts)


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress as Bar, TaskProgressColumn, TextColumn, TimeRemainingColumn

    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TextColumn("{task.fields[figures]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        transient=True,
    )
