"""Prints what was measured, as Markdown tables, and writes it as JSON with what is known of the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bench.results import BARS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bench.results import Metric, Outcome, Results, Spread

SECONDS: tuple[tuple[Metric, str], ...] = (("wall", "wall s"), ("cpu", "CPU s"), ("inside", "inside s"))
BYTES: tuple[tuple[Metric, str], ...] = (
    ("peak_rss", "peak RSS MB"),
    ("stored", "stored MB"),
    ("added", "added MB"),
)


def tables(results: Results, cases: Iterable[str], *, quick: bool = False) -> str:
    """All cases, then all bars of these cases; one Markdown text. A quick run is told to prove nothing."""
    chosen = list(cases)
    parts = [line for case in chosen for line in _case_table(results, case)]
    parts += _ratio_table(results, chosen)
    parts += _bar_table(results, chosen)
    if quick:
        parts.append(
            "\nA quick run on tiny data: it shows that everything runs. Its ratios and verdicts mean nothing."
        )
    return "\n".join(parts)


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _case_table(results: Results, case: str) -> Iterator[str]:
    rows = list(dict.fromkeys((s.step, s.subject) for s in results.samples if s.case == case))
    columns = [*SECONDS, *BYTES]
    yield f"\n### Case {case}: median (smallest to largest)\n"
    yield _row(["step", "by", "runs", *(title for _, title in columns)])
    yield _row(["---", "---", *["---:"] * (len(columns) + 1)])
    for step, subject in rows:
        runs = sum((s.case, s.step, s.subject) == (case, step, subject) for s in results.samples)
        found = [results.spread(case, step, subject, metric) for metric, _ in columns]
        cells = [_seconds(spread) for spread in found[: len(SECONDS)]]
        cells += [_megabytes(spread) for spread in found[len(SECONDS) :]]
        yield _row([step, subject, str(runs), *cells])


def _seconds(spread: Spread | None) -> str:
    if spread is None:
        return ""
    digits = 2 if spread.median >= 1 else 4
    text = f"{spread.median:.{digits}f}"
    return text if spread.count == 1 else f"{text} ({spread.low:.{digits}f} to {spread.high:.{digits}f})"


def _megabytes(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median / 1e6:.2f}"


def _ratio_table(results: Results, cases: list[str]) -> Iterator[str]:
    """How casreg stands to every other subject of a step, whether there is a bar or not."""
    steps = list(dict.fromkeys((s.case, s.step) for s in results.samples if s.case in cases))
    lines = []
    for case, step in steps:
        others = dict.fromkeys(s.subject for s in results.samples if (s.case, s.step) == (case, step))
        for other in others:
            cells = [
                _ratio(results, case, step, other, metric) for metric in ("wall", "cpu", "inside", "stored")
            ]
            if other != "casreg" and any(cells):
                lines.append(_row([case, step, other, *cells]))
    if lines:
        yield "\n### casreg's median divided by the other's\n"
        yield _row(["case", "step", "other", "wall", "CPU", "inside", "stored"])
        yield _row(["---", "---", "---", "---:", "---:", "---:", "---:"])
        yield from lines


def _ratio(results: Results, case: str, step: str, other: str, metric: Metric) -> str:
    own, its = (results.spread(case, step, subject, metric) for subject in ("casreg", other))
    return "" if own is None or its is None or not its.median else f"{own.median / its.median:.2f}"


def _bar_table(results: Results, cases: list[str]) -> Iterator[str]:
    yield "\n### Bars (times within 25 % of a bar are a tie)\n"
    yield _row(["case", "step", "what", "against", "bar", "found", "verdict"])
    yield _row(["---", "---", "---", "---", "---:", "---:", "---"])
    for outcome in (results.judge(bar) for bar in BARS if bar.case in cases):
        bar = outcome.bar
        yield _row(
            [
                bar.case,
                bar.step,
                bar.metric,
                outcome.best or ", ".join(bar.against),
                f"≤ {_amount(outcome, bar.limit)}",
                "" if outcome.value is None else _amount(outcome, outcome.value),
                outcome.verdict,
            ]
        )


def _amount(outcome: Outcome, value: float) -> str:
    if outcome.bar.against:
        return f"{value:.2f}"
    if outcome.bar.metric in {"wall", "cpu", "inside"}:
        return f"{value:.3f} s"
    return f"{value / 1e6:.1f} MB"


def write_json(path: Path, results: Results, facts: dict[str, object]) -> None:
    """Everything: the facts, each single sample, and the bars with what was found."""
    outcomes = [
        asdict(outcome.bar) | {"value": outcome.value, "best": outcome.best, "verdict": outcome.verdict}
        for outcome in map(results.judge, BARS)
    ]
    everything = {"facts": facts, "samples": [asdict(sample) for sample in results.samples], "bars": outcomes}
    path.write_text(json.dumps(everything, indent=1) + "\n", "utf-8")


def facts(work: Path, versions: dict[str, str], **run: object) -> dict[str, object]:
    """The machine, the tools and the settings: without them the numbers mean nothing."""
    return {
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "file_system": _file_system(work),
        "load_at_start": os.getloadavg(),
        "python": sys.version,
        "commit": _commit(),
        "tools": versions,
        **run,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _file_system(folder: Path) -> str:
    """The type of the file system that holds a folder, where the system tells."""
    mounts = Path("/proc/self/mounts")
    if not mounts.exists():
        return "unknown"
    best = ("", "unknown")
    for line in mounts.read_text("utf-8").splitlines():
        _, where, kind = line.split()[:3]
        if folder.is_relative_to(where) and len(where) >= len(best[0]):
            best = (where, kind)
    return best[1]


def _commit() -> str:
    argv = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
