"""Errors and warnings in the words of the command line: whoever uses a shell is told what to write there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.backends.local import LocalBackend
from casreg.cli.wording import worded
from cli.lab import a_file, error, ok

if TYPE_CHECKING:
    from pathlib import Path

PYTHON = re.compile(r"\w+=(True|False|'|\"|\[)|\w\(|\b(Registry|Store)\b")
"""What nobody writes in a shell."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry in which something is in the way of everything. No test here changes it."""
    folder = tmp_path_factory.mktemp("folder")
    registry = Registry(folder / "default")
    for number in range(2):
        registry.save("my:x", number)
    registry.delete("my:x", "1.0.1")
    registry.save("gone", 1)
    registry.delete("gone")
    registry.save("dear", 1)
    registry.protect("dear", "1.0.0")
    for number in range(30):
        a_file(folder / "files", f"{number}", b"")
    registry.save("many", folder / "files")
    a_file(folder, "f", b"other")
    return folder


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        (["info", "nothing"], 3, "`casreg ls` says what there is"),
        (["tag", "nothing", "t"], 3, "`casreg ls` says what there is"),
        (["sync", "default", "./copy", "nothing"], 3, "`casreg ls` says what there is"),
        (["info", "gone"], 3, "`casreg history gone` lists them, and `casreg undelete` brings one back"),
        (["load", "my:x@1.0.1", "out"], 3, "`casreg undelete my:x@1.0.1` may bring it back"),
        (["rm", "dear@1.0.0", "-y"], 4, "`casreg unprotect dear@1.0.0` first"),
        (["save", "my:x", "f", "--version", "1.0.0"], 4, "without --version it is the next one"),
        (["save", "my:x", "f", "--version", "1.0.0"], 4, "`mutable = true` for its mount"),
        (["save", "my:x", "f", "--version", "1.0.1"], 4, "without --version it is the next one"),
        (["cat", "many"], 2, "`casreg files` lists them"),
        (["info", "a_b"], 2, "`allow_underscore = true` for its mount"),
        (["import", "no.casreg"], 1, "Give a registry's folder another name."),
        (["gc", "-y"], 1, "say --shared-fs if this mount's caches"),
        (["adopt", "-y"], 1, "say --shared-fs if this"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_the_way_out(
    words: list[str], code: int, hint: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Is a command or an option, and nothing of Python is left."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CASREG_REGISTRY_DIR", str(folder / "default"))
    if words[0] in {"gc", "adopt"}:
        monkeypatch.setattr(LocalBackend, "network", "nfs")

    message = error(*words, code=code)

    assert hint in message
    assert not PYTHON.search(message.replace("(`casreg", "`casreg"))


def test_what_is_no_call_stays() -> None:
    """Of other words in backticks nothing is changed."""
    message = "it has a `probe` and `nothing('x')`; `restore('a')`"
    assert worded(message) == message


def test_a_warning_is_a_line(tmp_path: Path) -> None:
    """As an error is, and with the code of no library; not with --quiet."""
    code = (
        "from casreg.backends.local import LocalBackend\n"
        "from casreg.cli.main import main\n"
        "LocalBackend.network = 'nfs'\n"
        "main()\n"
    )
    for number, words in enumerate((["save"], ["save", "-q"])):
        command = [sys.executable, "-c", code, *words, f"x{number}", a_file(tmp_path, "f", b"1")]
        done = subprocess.run(
            command, capture_output=True, text=True, env=os.environ, timeout=60, check=False
        )
        assert (done.returncode, done.stdout) == (0, f"x{number}@1.0.0\n")
        warned = [line for line in done.stderr.splitlines() if "network" in line]
        assert "backend.py" not in done.stderr
        if number:
            assert warned == []
        else:
            (line,) = warned
            assert line.startswith("casreg: warning: ")
            assert line.endswith("write from one machine at a time, unless this mount's locks hold")
    assert ok("ls").lines
