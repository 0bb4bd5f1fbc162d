"""The manual, and how quickly the program starts."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from casreg.cli import start
from cli.lab import ok

if TYPE_CHECKING:
    from conftest import FreshPython

ROOT = Path(__file__).parents[2]


def test_the_manual_is_up_to_date() -> None:
    """docs/cli.md is what scripts/commands makes of the commands."""
    program = [sys.executable, str(ROOT / "scripts" / "commands.py"), "--check"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("word", ["--version", "--help", "ls"])
def test_nothing_heavy_is_loaded(word: str, fresh_python: FreshPython) -> None:
    """Neither the libraries of clouds nor those of tables and bars, nor any of objects; without a place no engine."""
    printed = fresh_python(
        "import contextlib, io, json, sys\n"
        "from casreg.cli.main import program\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        f"    program.main([{word!r}, '-q'] if {word!r} == 'ls' else [{word!r}])\n"
        "print(json.dumps([*sys.modules]))\n"
    )
    loaded = json.loads(printed)
    heavy = {"rich", "minio", "google", "urllib3", "numpy", "pandas", "torch", "pygments"}
    assert {one.partition(".")[0] for one in loaded}.isdisjoint(heavy)
    assert ("casreg.registry.registry" in loaded) == (word == "ls")


def test_help_is_the_manual_in_short() -> None:
    """Each command of the manual is one of the program."""
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    named = {
        line.split("`")[1].removeprefix("casreg ") for line in page.splitlines() if line.startswith("### ")
    }
    listed = {
        line.split()[0] for line in ok("--help").lines if line.startswith("  ") and not line.startswith("   ")
    }
    assert named <= listed


def test_the_program_is_installed_as_casreg() -> None:
    """What `pip install` makes of it starts the command line."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    module, _, function = scripts["casreg"].partition(":")
    assert getattr(import_module(module), function) is start.main
