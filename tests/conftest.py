"""What every test stands on: places of its own, and a way to run code in a new process."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Protocol

import hypothesis
import pytest

if TYPE_CHECKING:
    from pathlib import Path

# The machine that runs the suite may be busy: how long one example takes says nothing about the code.
hypothesis.settings.register_profile("casreg", deadline=None, print_blob=True)
hypothesis.settings.load_profile("casreg")


class FreshPython(Protocol):
    def __call__(self, code: str, *arguments: str, timeout: float = 120) -> str: ...


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test, and no process that it starts, reads or writes the places of the user who runs the suite."""
    monkeypatch.setenv("CASREG_REGISTRY_DIR", str(tmp_path / "default-registry"))
    monkeypatch.setenv("CASREG_STORE_DIR", str(tmp_path / "default-store"))
    monkeypatch.setenv("CASREG_CACHE_DIR", str(tmp_path / "default-cache"))
    monkeypatch.setenv("CASREG_CONFIG", str(tmp_path / "default-config.toml"))
    monkeypatch.delenv("CASREG_MOUNTS", raising=False)


@pytest.fixture
def fresh_python() -> FreshPython:
    """Run code in a new interpreter, warnings as errors, and get what it printed; its failure fails the test.

    `arguments` are `sys.argv[1:]` there; the environment is the test's own.
    """

    def run(code: str, *arguments: str, timeout: float = 120) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, *arguments],
            capture_output=True,
            text=True,
            encoding="utf-8",
            env={**os.environ, "PYTHONUTF8": "1"},
            timeout=timeout,
            check=False,
        )
        assert done.returncode == 0, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run
