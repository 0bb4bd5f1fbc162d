"""How far a long operation is: a bar on standard error, once it has taken a second, and only on a terminal."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from casreg.display import printable, size_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType
    from rich.progress import Progress as Bar, TaskID
    from rich.status import Status

    from casreg.cli.session import Session
    from casreg.progress import Progress

_PATIENCE: Final = 1.0
"""Seconds before anything is shown: what is done by then needs no bar."""

_COUNTED: Final = {
    "list": "files",
    "mark": "names",
    "fence": "names",
    "delete": "files",
    "survey": "names",
    "weigh": "names",
    "look": "names",
    "adopt": "names",
}
"""What is counted in the phases that do not count bytes."""

_BAR: Final = 24
_BESIDE: Final = 16
"""Columns for the percentage, the time left, and what is between them."""

_WRITING: Final = frozenset({"save", "copy"})
"""Phases of which it matters what is stored, and what was there."""


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
        self._began = self._phase_began = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __call__(self, report: Progress) -> None:
        """Take a report."""
        first = self.last is None or self.last.phase != report.phase
        self.last = report
        now = time.monotonic()
        if first:
            self._phase_began = now
        is_soon_done = self._bar is None and 0 < report.total <= report.done
        if not self._shown or now - self._began < _PATIENCE or is_soon_done:
            return
        if self._bar is None:
            self._bar = _bar()
            self._task = self._bar.add_task("", figures="")
            self._bar.start()
        assert self._task is not None
        if first:
            self._bar.reset(self._task)  # or the time left would be reckoned with the rate of another phase
        self._bar.update(
            self._task,
            description=f"{report.phase} {printable(report.name)}".rstrip(),
            completed=report.done,
            total=report.total or None,
            figures=figures(report, now - self._phase_began),
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


@contextmanager
def waiting(session: Session, what: str) -> Iterator[None]:
    """While something runs that does not say how far it is: that it runs, after a second.

    Args:
        session: Whether anything is shown.
        what: What is being done, as `counting what is stored`.
    """
    if not session.shows_progress:
        yield
        return
    shown: list[Status] = []
    timer = threading.Timer(_PATIENCE, lambda: shown.append(_status(what)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # so that nothing begins to be shown after it was taken away
        for status in shown:
            status.stop()


def figures(report: Progress, seconds: float) -> str:
    """How much is done, the rate, and what was stored against what was there already."""
    seconds = max(seconds, 0.001)
    unit = _COUNTED.get(report.phase)
    if unit is not None:
        of = f" of {report.total:,}" if report.total else ""
        return f"{report.done:,}{of} {unit} · {report.done / seconds:,.0f}/s"
    text = (
        f"{size_text(report.done)} of {size_text(report.total)} · {size_text(int(report.done / seconds))}/s"
    )
    if report.phase in _WRITING:
        text += f" · {size_text(report.stored)} stored, {size_text(report.reused)} reused"
    return text


def _status(what: str) -> Status:
    from rich.console import Console

    status = Console(stderr=True).status(what)
    status.start()
    return status


def _bar() -> Bar:
    """Two lines, which fit into 80 columns: what is done with which name and how long it will take, and the figures."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress as Bar, TaskProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class TwoLines(Bar):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                yield Text(f"  {task.fields['figures']}", no_wrap=True, overflow="ellipsis")

    console = Console(stderr=True)
    room = Column(no_wrap=True, overflow="ellipsis", max_width=max(_BAR, console.width - _BAR - _BESIDE))
    return TwoLines(
        TextColumn("{task.description}", markup=False, table_column=room),
        BarColumn(bar_width=_BAR),
        TaskProgressColumn(),
        TimeRemainingColumn(compact=True),
        console=console,
        transient=True,
    )
