"""Processes that work on a folder, and can be stopped and killed while they do."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    import signal
    from collections.abc import Iterator

# The contract suite is shipped with the package: its asserts explain themselves only if pytest is told.
pytest.register_assert_rewrite("casreg.testing.backend_contract", "casreg.testing.counter_race")


class Child:
    """A new interpreter, and what it says."""

    def __init__(self, code: str, *arguments: str | Path) -> None:
        command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def expect(self, line: str) -> None:
        """Wait for a line, which has to be this one."""
        assert self.output.readline().strip() == line

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def kill(self) -> str:
        """End it at once, and give what it had said in whole lines."""
        self.process.kill()
        self.process.wait()
        said = self.output.read()
        return said[: said.rfind("\n") + 1]


@pytest.fixture
def crashes(tmp_path: Path) -> Iterator[Path]:
    """A folder for thousands of crash states, in memory where the machine has such a place."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path / "crashes"
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="casreg-crashes-") as folder:
        yield Path(folder)


class MakeChild(Protocol):
    def __call__(self, code: str, *arguments: str | Path) -> Child: ...


@pytest.fixture
def make_child() -> Iterator[MakeChild]:
    """Start a new interpreter that runs some code; killed when the test is over."""
    children: list[Child] = []

    def make(code: str, *arguments: str | Path) -> Child:
        children.append(Child(code, *arguments))
        return children[-1]

    yield make
    for child in children:
        child.process.kill()
        child.process.wait()
        child.output.close()
