"""The command line as tests use it: in this process, in a new one, and on a terminal."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from casreg.cli.main import program

if TYPE_CHECKING:
    from pathlib import Path

CASREG = [sys.executable, "-W", "error", "-m", "casreg.cli"]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output, which is one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        """The lines of standard output."""
        return self.out.splitlines()


def run(*words: str, given: bytes = b"") -> Done:
    """Run it in this process, without a terminal."""
    done = CliRunner().invoke(program, list(words), input=given)
    return Done(done.exit_code, done.stdout, done.stderr)


def ok(*words: str, given: bytes = b"") -> Done:
    """Run it, and see that all is well."""
    done = run(*words, given=given)
    assert done.code == 0, done
    return done


def error(*words: str, code: int) -> str:
    """Run what has to fail with this code: the message. It is one line, and there is no result."""
    done = run(*words)
    assert (done.code, done.out) == (code, ""), done
    (line,) = done.err.splitlines()
    assert line.startswith("casreg: error: ")
    return line.removeprefix("casreg: error: ")


def a_file(folder: Path, name: str, data: bytes) -> str:
    """A file with these bytes; its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return os.fspath(path)
