"""What was measured, and what was promised: the values that cases make and the report reads."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Literal

Metric = Literal["wall", "cpu", "inside", "peak_rss", "stored", "added"]
"""Seconds of the whole process; of its processor time; of the operations inside it, without starting Python and
importing; bytes of the largest resident set; bytes of the repository; bytes that this step added to it."""

Verdict = Literal["met", "tie", "missed", "not measured"]

TIE = 0.25
"""Times within this share of a bar are a tie: the machines that this runs on are no steadier."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement of one step by one subject (a tool, or casreg on some repository) in one round."""

    case: str
    step: str
    subject: str
    round: int
    numbers: dict[Metric, float]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, smallest and largest of a metric over all rounds."""

    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class Bar:
    """A number that casreg promises to reach: at most `limit`.

    With `against`, the limit is for the ratio of casreg's median to the best median of those subjects that were
    measured; without, for casreg's median itself.
    """

    case: str
    step: str
    metric: Metric
    limit: float
    against: tuple[str, ...] = ()
    exact: bool = False
    """No tie: the number does not vary from run to run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A bar, the value that was found, and what it was compared with."""

    bar: Bar
    value: float | None
    best: str
    """The subject that casreg was compared with, or an empty string."""

    @property
    def verdict(self) -> Verdict:
        """`tie` within 25 % of the bar, on either side of it."""
        if self.value is None:
            return "not measured"
        slack = 0.0 if self.bar.exact else TIE
        if self.value > self.bar.limit * (1 + slack):
            return "missed"
        return "met" if self.value <= self.bar.limit * (1 - slack) else "tie"


@dataclass(slots=True)
class Results:
    """All samples of a run."""

    samples: list[Sample] = field(default_factory=list)

    def spread(self, case: str, step: str, subject: str, metric: Metric) -> Spread | None:
        """The spread of a metric over the rounds, or None if it was not measured."""
        wanted = (case, step, subject)
        values = [
            sample.numbers[metric]
            for sample in self.samples
            if (sample.case, sample.step, sample.subject) == wanted and metric in sample.numbers
        ]
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values), len(values))

    def judge(self, bar: Bar, subject: str = "casreg") -> Outcome:
        """Compares `subject` with a bar; the peer is the one with the best median on this metric."""
        own = self.spread(bar.case, bar.step, subject, bar.metric)
        if own is None:
            return Outcome(bar, None, "")
        if not bar.against:
            return Outcome(bar, own.median, "")
        others = {name: self.spread(bar.case, bar.step, name, bar.metric) for name in bar.against}
        medians = {name: spread.median for name, spread in others.items() if spread is not None}
        if not medians:
            return Outcome(bar, None, "")
        best = min(medians, key=lambda name: medians[name])
        # A time of zero cannot be measured, but a quick run can add no byte at all.
        return Outcome(bar, own.median / medians[best] if medians[best] else float("inf"), best)


PEERS = ("restic", "borg")
EMPTY = ("casreg, empty repository",)
NINE = ("casreg, 9 versions",)


def _timed(case: str, step: str, limit: float) -> tuple[Bar, Bar]:
    """A bar against the faster of restic and borg holds on wall or processor time: both are reported."""
    return Bar(case, step, "wall", limit, PEERS), Bar(case, step, "cpu", limit, PEERS)


def _growth(case: str, step: str, limit: float, against: tuple[str, ...]) -> tuple[Bar, Bar]:
    """Growth is judged on the whole process, and more strictly on the operation alone."""
    return Bar(case, step, "wall", limit, against), Bar(case, step, "inside", limit, against)


BARS: tuple[Bar, ...] = (
    *_timed("a", "save", 0.45),
    *_timed("a", "re-save", 0.5),
    *_timed("a", "load", 0.6),
    Bar("a", "save", "stored", 740e6, exact=True),
    Bar("a", "save v2", "added", 24e6, exact=True),
    Bar("a", "save v3", "added", 24e6, exact=True),
    *_timed("b", "save", 0.8),
    *_timed("b", "re-save", 0.8),
    *_timed("b", "load", 0.6),
    Bar("dicts", "save", "inside", 4.0, ("bare files",)),
    Bar("dicts", "load", "inside", 0.25, ("mindtrace",)),
    Bar("versions", "in one process", "inside", 1.5, NINE),
    *_growth("versions", "fresh processes", 1.5, NINE),
    *_growth("growth", "save a dict", 1.5, EMPTY),
    *_growth("growth", "load a dict", 1.5, EMPTY),
    *_growth("growth", "save 1 MiB", 3.0, EMPTY),
    Bar("growth", "list names", "wall", 1.0),
    Bar("memory", "save", "peak_rss", 600 * 2**20, exact=True),
    Bar("memory", "load", "peak_rss", 600 * 2**20, exact=True),
    Bar("clouds", "save", "wall", 1.5, ("minio SDK",)),
    Bar("clouds", "save v2", "wall", 1 / 3, ("mindtrace",)),
    Bar("clouds-gcs", "save", "wall", 1.5, ("Google SDK",)),
    Bar("clouds-gcs", "save v2", "wall", 1 / 3, ("mindtrace",)),
)
"""What casreg promises, at full size. On other sizes the ratios mean little and the bytes nothing."""
