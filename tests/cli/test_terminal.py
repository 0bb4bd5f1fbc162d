"""What people see: colours, bars, questions, and Ctrl-C."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from unittest.mock import Mock

import pytest

from casreg.cli import bars, exits
from casreg.cli.session import Session
from casreg.progress import Progress
from casreg.registry import Registry
from cli.lab import a_file, ok
from registry.lab import noise

if sys.platform == "win32":
    pytest.skip("there are no such terminals", allow_module_level=True)

from cli.terminal import PROGRAM, on_terminal

if TYPE_CHECKING:
    from pathlib import Path

AT_ONCE = """
from casreg.cli import bars, main

bars._PATIENCE = 0
main.main()
"""
"""The program, with bars for what is quick too."""


def test_a_table_has_colours() -> None:
    """On a terminal; without them where NO_COLOR says so; nothing of it where it is no terminal."""
    Registry().save("my:model", {"a": 1}, tags=["prod"])
    seen = on_terminal([*PROGRAM, "ls"])
    assert "\x1b[36mmy:model" in seen.raw
    assert "prod=1.0.0" in seen.text
    assert "\x1b[36m" not in on_terminal([*PROGRAM, "ls"], NO_COLOR="1").raw


def test_json_has_none() -> None:
    """On a terminal neither."""
    Registry().save("x", 1)
    assert "\x1b" not in on_terminal([*PROGRAM, "ls", "--json"]).raw


def test_a_narrow_terminal_loses_nothing() -> None:
    """Long cells are folded, not cut."""
    name = "a-long-name:with-many-parts:and-yet-more-of-them"
    Registry().save(name, 1)
    seen = on_terminal([*PROGRAM, "ls"], columns=60)
    assert "…" not in seen.text
    assert set(name) <= set(seen.text)


def test_a_bar(tmp_path: Path) -> None:
    """Of a save: bytes, rate, what is stored against what is reused; gone when it is done, and the result is there."""
    path = a_file(tmp_path, "big", noise(60_000_000))
    seen = on_terminal([sys.executable, "-W", "error", "-c", AT_ONCE, "save", "my:big", path])
    assert seen.code == 0
    assert "save my:big" in seen.text
    for part in (" of 57.2 MiB · ", "/s · ", " stored, ", " reused", "%"):
        assert part in seen.text
    assert seen.text.splitlines()[-1].endswith("0 B reused")
    assert "my:big@1.0.0" in seen.text.splitlines()
    assert seen.raw.count("\x1b[?25l") == seen.raw.count("\x1b[?25h") == 1  # the cursor is back


def test_a_table_of_usual_names_fits_into_80_columns(tmp_path: Path) -> None:
    """One line for each, with all that is known."""
    for name in ("my:weights", "my:data"):
        ok("save", name, a_file(tmp_path, "f", b"1" * 20_000), "--tag", "prod")
    shown = on_terminal([*PROGRAM, "ls"], columns=80).text.splitlines()
    assert len(shown) == 3
    assert max(map(len, shown)) <= 80
    assert shown[1].split()[0] == "my:data"
    assert shown[1].split()[-2:] == ["PosixPath", "prod=1.0.0"]
    assert len(on_terminal([*PROGRAM, "history", "my:data"], columns=80).text.splitlines()) == 2


def test_stats_leave_out_what_there_is_no_room_for() -> None:
    """So that names and figures can be read; wide terminals, pipes and JSON have all."""
    Registry().save("team:vision:weights", noise(1_000_000))
    titles = ["name", "versions", "logical", "distinct", "stored", "alone", "dedup", "compression"]
    assert on_terminal([*PROGRAM, "stats"], columns=120).text.splitlines()[0].split() == titles
    assert ok("stats").lines[0].split() == titles
    shown = on_terminal([*PROGRAM, "stats"], columns=90).text.splitlines()
    assert shown[0].split() == [one for one in titles if one != "alone"]
    assert shown[1].startswith("team:vision:weights ")
    assert shown[2] == ""
    narrow = on_terminal([*PROGRAM, "stats"], columns=80).text.splitlines()
    assert narrow[0].split() == [one for one in titles if one not in {"alone", "distinct"}]


BAR_OF_A_LONG_NAME = """
from casreg.cli import bars
from casreg.cli.session import Session
from casreg.progress import Progress

bars._PATIENCE = 0
gib = 2**30
with bars.watching(Session()) as watch:
    for done in (1, 400):
        watch(Progress("copy", "team:" + "x" * 200, done * gib, 1000 * gib, 1, 1000 * gib - 1, 999 * gib))
        watch._bar.refresh()
"""


@pytest.mark.parametrize("columns", [80, 60])
def test_a_bar_fits(columns: int) -> None:
    """However long the name is: bar, percentage and figures are there, and at 80 columns none of them is cut."""
    seen = on_terminal([sys.executable, "-W", "error", "-c", BAR_OF_A_LONG_NAME], columns=columns)
    assert seen.code == 0
    shown = [line.rstrip() for line in seen.text.splitlines()]
    assert max(map(len, shown)) <= columns
    first = next(line for line in shown if " 40% " in line)
    assert first.startswith("copy team:xxx")
    assert "… ━" in first
    figures = [line for line in shown if line.startswith("  400.0 GiB of 1000.0 GiB · ")]
    assert figures
    assert columns < 80 or figures[-1].endswith("/s · 1000.0 GiB stored, 999.0 GiB reused")


def test_no_bar(tmp_path: Path) -> None:
    """With --quiet, on a dumb terminal, and for what is done within a second."""
    path = a_file(tmp_path, "big", noise(20_000_000))
    code = [sys.executable, "-W", "error", "-c", AT_ONCE, "save", "x", path]
    assert "%" in on_terminal(code).text
    (tmp_path / "big").write_bytes(noise(20_000_000, seed=1))
    assert on_terminal([*code, "-q"]).text.splitlines() == ["x@1.0.1"]
    (tmp_path / "big").write_bytes(noise(20_000_000, seed=2))
    assert "%" not in on_terminal(code, TERM="dumb").text
    assert "\x1b" not in on_terminal([*PROGRAM, "save", "x", a_file(tmp_path, "small", b"1")]).raw


def test_a_watch_has_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is done soon never gets a bar, and what is not gets one."""
    bar = Mock()
    monkeypatch.setattr(bars, "_bar", lambda: bar)
    monkeypatch.setattr(bars, "_PATIENCE", 1000)
    watch = bars.Watch(shown=True)
    watch(Progress("save", "x", 1, 2, 0, 0))
    assert not bar.start.called
    monkeypatch.setattr(bars, "_PATIENCE", 0)
    watch(Progress("save", "x", 2, 2, 0, 0))
    assert not bar.start.called
    watch(Progress("save", "x", 1, 2, 0, 0))
    assert bar.start.called
    watch.stop()
    assert bar.stop.called


def test_a_question() -> None:
    """What would go is shown, and only yes is yes: nothing is deleted otherwise."""
    registry = Registry()
    registry.save("x", 1)
    registry.save("x", 2)
    for answer in (b"nay\r", b"\x04"):
        seen = on_terminal([*PROGRAM, "rm", "x"], [("[y/N] ", answer)])
        assert seen.code == exits.FAILED
        assert "  x@1.0.0\n  x@1.0.1\ndelete 2 versions? [y/N] " in seen.text
        assert "nothing was done" in seen.text
        assert registry.list_versions("x") == ["1.0.0", "1.0.1"]
    assert on_terminal([*PROGRAM, "rm", "x"], [("[y/N] ", b"y\r")]).code == 0
    assert registry.list_objects() == []


def test_what_came_meanwhile_is_not_deleted() -> None:
    """Between the question and the answer somebody saves: that was not what was asked about."""
    registry = Registry()
    registry.save("x", 1)
    code = (
        "from casreg.cli import objects, main\n"
        "from casreg import Registry\n"
        "ask = objects.confirm\n"
        "def confirm(*words, **more):\n"
        "    ask(*words, **more)\n"
        "    Registry().save('x', 2)\n"
        "objects.confirm = confirm\n"
        "main.main()\n"
    )
    seen = on_terminal([sys.executable, "-W", "error", "-c", code, "rm", "x"], [("[y/N] ", b"y\r")])
    assert seen.code == exits.REFUSED
    assert registry.list_versions("x") == ["1.0.0", "1.0.1"]


def test_gc_and_prune_ask() -> None:
    """With what would go for good; no is no."""
    registry = Registry()
    registry.save("x", noise(50_000))
    registry.save("x", noise(50_000, seed=1))
    seen = on_terminal([*PROGRAM, "prune", "-k", "1"], [("[y/N] ", b"n\r")])
    assert "  x@1.0.0\ndelete 1 version? [y/N] " in seen.text
    registry.delete("x@1.0.0")
    words = [*PROGRAM, "gc", "--min-age", "0", "--undelete-window", "0"]
    seen = on_terminal(words, [("[y/N] ", b"n\r")])
    assert seen.code == exits.FAILED
    assert "  x@1.0.0, which nothing brings back then\n" in seen.text
    assert registry.undelete("x@1.0.0") == "1.0.0"
    registry.delete("x@1.0.0")
    assert on_terminal(words, [("[y/N] ", b"y\r")]).code == 0
    assert registry.history("x@1.0.0")[0]["state"] != "live"
    # Nothing is left to ask about.
    assert on_terminal(words).code == 0


def test_ctrl_c_at_a_question() -> None:
    """One line, 130, and nothing was done."""
    registry = Registry()
    registry.save("x", 1)
    seen = on_terminal([*PROGRAM, "rm", "x"], [("[y/N] ", b"\x03")])
    assert seen.code == exits.INTERRUPTED
    assert seen.text.splitlines()[-1] == "casreg: interrupted"
    assert "Traceback" not in seen.text
    assert registry.list_objects() == ["x"]


def test_ctrl_c_takes_the_bar_away(tmp_path: Path) -> None:
    """The terminal is as it was: the cursor can be seen, and the last line says that it was interrupted."""
    path = a_file(tmp_path, "big", noise(60_000_000))
    code = (
        "import os, signal\n"
        "from casreg.cli import bars, main\n"
        "bars._PATIENCE = 0\n"
        "watch = bars.Watch.__call__\n"
        "def call(self, report):\n"
        "    watch(self, report)\n"
        "    if self._bar is not None:\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "bars.Watch.__call__ = call\n"
        "main.main()\n"
    )
    seen = on_terminal([sys.executable, "-W", "error", "-c", code, "save", "x", path])
    assert seen.code == exits.INTERRUPTED
    assert seen.text.splitlines()[-1] == "casreg: interrupted"
    assert seen.raw.count("\x1b[?25l") == seen.raw.count("\x1b[?25h") == 1
    assert Registry().list_objects() == []


def test_figures() -> None:
    """Bytes where a phase counts bytes, and else what it counts; what only reads stores nothing."""
    mib = 1024 * 1024
    saving = Progress("save", "x", 3 * mib, 4 * mib, 10, 1 * mib, 2 * mib)
    assert bars.figures(saving, 2.0) == "3.0 MiB of 4.0 MiB · 1.5 MiB/s · 1.0 MiB stored, 2.0 MiB reused"
    assert bars.figures(Progress("load", "x", mib, mib, 1, mib), 1.0) == "1.0 MiB of 1.0 MiB · 1.0 MiB/s"
    assert bars.figures(Progress("delete", "", 10, 40, 0, 0), 5.0) == "10 of 40 files · 2/s"
    assert bars.figures(Progress("list", "", 1234, 0, 0, 0), 1.0) == "1,234 files · 1,234/s"


def test_what_cannot_say_how_far_it_is() -> None:
    """After a while it says at least what is done, and takes that away at the end."""
    Registry().save("x", 1)
    code = (
        "import threading\n"
        "from casreg import Registry\n"
        "from casreg.cli import bars, main\n"
        "bars._PATIENCE = 0\n"
        "seen, stats, status = threading.Event(), Registry.stats, bars._status\n"
        "def started(what):\n"
        "    shown = status(what)\n"
        "    seen.set()\n"
        "    return shown\n"
        "bars._status = started\n"
        "Registry.stats = lambda self: seen.wait(60) and stats(self)\n"
        "main.main()\n"
    )
    seen = on_terminal([sys.executable, "-W", "error", "-c", code, "stats"])
    assert seen.code == 0
    assert "counting what is stored" in seen.text
    assert seen.raw.count("\x1b[?25l") == seen.raw.count("\x1b[?25h") == 1
    assert "counting" not in on_terminal([*PROGRAM, "stats"]).text


def test_a_watch_keeps_the_last_report() -> None:
    """Whether anything is shown or not."""
    report = Progress("save", "x", 1, 2, 0, 0)
    with bars.watching(Session(quiet=True)) as watch:
        assert watch.last is None
        watch(report)
    assert watch.last is report
