"""What shells complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from click.shell_completion import ShellComplete

from casreg.backends.memory import MemoryBackend
from casreg.cli.main import program
from casreg.registry import Registry
from cli.lab import CASREG, ok

if TYPE_CHECKING:
    from pathlib import Path

BASH = shutil.which("bash")


def completed(*words: str) -> list[str]:
    """What could stand in place of the last word."""
    *before, last = words
    found = ShellComplete(program, {}, "casreg", "_CASREG_COMPLETE").get_completions(before, last)
    return [item.value for item in found]


@pytest.fixture(autouse=True)
def saved() -> None:
    """Some names."""
    registry = Registry()
    for name in ("my:data", "my:model", "other"):
        registry.save(name, 1)
    registry.save("my:model", 2)


def test_commands_and_options() -> None:
    """By their beginning."""
    assert completed("un") == ["undelete", "untag", "unprotect"]
    assert completed("save", "--met") == ["--metadata"]


def test_names() -> None:
    """Those of the registry that is meant, and the mounts; after `@` the versions."""
    assert completed("info", "my:") == ["my:data", "my:model"]
    assert completed("info", "") == ["my:data", "my:model", "other", "default/"]
    assert completed("info", "my:model@") == ["my:model@1.0.0", "my:model@1.0.1"]
    assert completed("rm", "other", "my:m") == ["my:model"]


def test_names_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind -r, and behind a location."""
    Registry(tmp_path / "team").save("far:away", 1)
    monkeypatch.setenv("CASREG_MOUNTS", f"team={tmp_path / 'team'}")
    assert completed("info", "-r", str(tmp_path / "team"), "") == ["far:away"]
    assert completed("info", "team/") == ["team/far:away"]
    assert completed("info", "team/far:away@") == ["team/far:away@1.0.0"]
    assert completed("info", "t") == ["team/"]
    assert completed("ls", "-r", "t") == ["team"]


def test_nothing_is_asked_of_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that is not on this machine completes nothing; neither does one that cannot be read."""
    far = Registry(MemoryBackend())
    far.save("my:far", 1)
    monkeypatch.setattr("casreg.cli.session.Session.open", lambda *_: far)
    assert completed("info", "my:") == []
    assert completed("info", "my:far@") == []
    monkeypatch.undo()
    monkeypatch.setenv("CASREG_MOUNTS", "=")
    assert completed("info", "my:") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script(shell: str) -> None:
    """Is printed, and asks the program in the way of that shell."""
    script = ok("completion", shell).out
    assert f"_CASREG_COMPLETE={shell}_complete" in script
    assert "_casreg_completion" in script


@pytest.mark.skipif(BASH is None or sys.platform == "win32", reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "words", "replies"),
    [
        ("casreg und", ["casreg", "und"], ["undelete"]),
        ("casreg info my:mo", ["casreg", "info", "my", ":", "mo"], ["model"]),
        ("casreg info my:", ["casreg", "info", "my", ":"], ["data", "model"]),
        ("casreg info oth", ["casreg", "info", "oth"], ["other"]),
        (
            "casreg info my:model@1.0.",
            ["casreg", "info", "my", ":", "model", "@", "1.0."],
            ["1.0.0", "1.0.1"],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_bash(line: str, words: list[str], replies: list[str], tmp_path: Path) -> None:
    """To which a colon begins a new word: the answers are what stands behind it."""
    assert BASH is not None
    program = tmp_path / "bin" / "casreg"
    program.parent.mkdir()
    program.write_text(f'#!{BASH}\nexec {" ".join(CASREG)} "$@"\n')
    program.chmod(0o755)
    script = (
        'eval "$(casreg completion bash)"\n'
        f"COMP_LINE='{line}' COMP_POINT={len(line)} COMP_WORDS=({' '.join(map(repr, words))})\n"
        f"COMP_CWORD={len(words) - 1} COMP_WORDBREAKS=$' \\t\\n\"\\'@><=;|&(:'\n"
        "compopt() { :; }\n"
        "_casreg_completion casreg\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        [BASH, "--norc", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"},
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.split() == replies
