"""Ctrl-C in the middle of what takes long, on a terminal: one line, 130, and nothing is broken."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.cli import exits
from cli.lab import ok
from cli.terminal import on_terminal
from sync.lab import filled, noise, seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.terminal import Seen
    from places import Places

CODE = """
import os, signal
from casreg.cli import bars, main

bars._PATIENCE = 0
watch = bars.Watch.__call__
left = [1]

def interrupted(self, report):
    watch(self, report)
    if report.phase == os.environ["PHASE"] and left:
        left.clear()
        os.kill(os.getpid(), signal.SIGINT)

bars.Watch.__call__ = interrupted
main.main()
"""
"""The program, interrupted at the first report of a phase."""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry that no test here changes."""
    registry = filled(str(tmp_path_factory.mktemp("registry") / "source"), size=3_000_000)
    for number in range(20):
        registry.save(f"name:{number}", number, tags=["prod"])
    return registry


def path_of(registry: Registry) -> str:
    """Its folder."""
    return registry.backend.location.removeprefix("file://")


def interrupted(phase: str, *words: str) -> Seen:
    """Run a command, see that it ends as it has to, and leaves the terminal as it was."""
    found = on_terminal([sys.executable, "-W", "error", "-c", CODE, *words], columns=80, PHASE=phase)
    assert found.code == exits.INTERRUPTED, found.text
    assert found.text.splitlines()[-1] == "casreg: interrupted"
    assert "Traceback" not in found.text
    assert "Error" not in found.text
    assert found.raw.count("\x1b[?25l") == found.raw.count("\x1b[?25h")
    return found


@pytest.mark.parametrize(
    ("kind", "phase"),
    [("local", "survey"), ("local", "copy"), pytest.param("s3", "copy", marks=pytest.mark.clouds)],
)
def test_a_sync(
    kind: str, phase: str, source: Registry, tmp_path: Path, places_of: Callable[[str], Places]
) -> None:
    """What was copied is whole, and another sync brings the rest; on clouds several names were under way."""
    place = places_of(kind).new()

    interrupted(phase, "sync", path_of(source), place.location)

    target = Registry(place, cache=False)
    assert len(target.list_objects()) < len(source.list_objects())
    assert not target.list_objects() or target.verify(data=True).clean
    assert target.sync(source).clean
    assert seen(target) == seen(source)


def test_a_verification(source: Registry) -> None:
    """Nothing was written, and the next one sees all."""
    interrupted("verify", "verify", "--data", "-r", path_of(source))

    assert ok("verify", "--data", "-r", path_of(source)).out.startswith("clean: 23 names, 26 versions")


@pytest.mark.parametrize("phase", ["mark", "fence", "delete"])
def test_a_collection(phase: str, tmp_path: Path) -> None:
    """Wherever it was: nothing that lives is lost, and the next one ends what this one began."""
    registry = filled(str(tmp_path / "source"), size=300_000)
    before = seen(registry)
    registry.save("waste", noise(7, 1_000_000))
    registry.delete("waste")
    collect = ["gc", "-y", "--min-age", "0", "--undelete-window", "0", "-r", str(tmp_path / "source")]

    interrupted(phase, *collect)

    assert registry.verify(data=True).clean
    assert registry.save("after", 1) == "1.0.0"  # no writer is kept waiting
    registry.delete("after")
    ok(*collect)
    assert seen(registry) == before
    assert not any(info.size > 900_000 and info.size < 1_100_000 for info in registry.backend.list("packs/"))
    assert registry.verify(data=True).clean
