"""How a command ends that cannot do what it was told: one line, no traceback, a code that says why."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from casreg import exceptions
from casreg.backends.memory import MemoryBackend
from casreg.cli import exits
from casreg.registry import Registry
from cli.lab import CASREG, a_file, error, run
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRET = "canary-5up3rs3cr3t"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["info", "nothing"], exits.MISSING),
        (["info", "x@9.0.0"], exits.MISSING),
        (["info", "x@nothing"], exits.MISSING),
        (["load", "nothing", "out"], exits.MISSING),
        (["cat", "nothing"], exits.MISSING),
        (["save", "x", "no-such-file"], exits.MISSING),
        (["ls", "nowhere/"], exits.MISSING),
        (["ls", "-r", "nowhere"], exits.MISSING),
        (["undelete", "x@9.0.0"], exits.MISSING),
        (["import", "no-such.casreg"], exits.FAILED),
        (["export", "no-bundle"], exits.USAGE),
        (["info", "no name"], exits.USAGE),
        (["info", "x@@"], exits.USAGE),
        (["info", "x@>=>"], exits.USAGE),
        (["info", "a/b/c"], exits.USAGE),
        (["info"], exits.USAGE),
        (["nothing"], exits.USAGE),
        (["ls", "--nothing"], exits.USAGE),
        (["ls", "-r", "odd://place"], exits.USAGE),
        (["save", "x", "file", "--bump", "most"], exits.USAGE),
        (["save", "x", "file", "--version", "one"], exits.USAGE),
        (["save", "x", "file", "--metadata", "key"], exits.USAGE),
        (["save", "x", "file", "-m", "a=1", "-m", "a=2"], exits.USAGE),
        (["diff", "x"], exits.USAGE),
        (["undelete", "x"], exits.USAGE),
        (["completion", "tcsh"], exits.USAGE),
        (["save", "x@1.0.0", "file"], exits.REFUSED),
        (["load", "x", "full"], exits.REFUSED),
        (["undelete", "x@1.0.0"], exits.REFUSED),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_exit_codes(words: list[str], code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is missing is told apart from what is in the way, and both from what cannot be."""
    monkeypatch.chdir(tmp_path)
    a_file(tmp_path, "file", b"1")
    a_file(tmp_path, "full/file", b"1")
    Registry().save("x", 1)
    assert error(*words, code=code)


def test_every_error_has_a_code() -> None:
    """None of the library's errors is left to chance: those of the storage and of objects are general ones."""
    kinds = [one for one in vars(exceptions).values() if isinstance(one, type)]
    codes = {kind.__name__: exits.exit_code(kind("x")) for kind in kinds}
    assert {name for name, code in codes.items() if code == exits.FAILED} == {
        "AlreadyExists",
        "CasregError",
        "CommitUnknownError",
        "Conflict",
        "LockTimeoutError",
        "MaterializationError",
        "MaterializerError",
        "NoMaterializerError",
        "SourceChangedError",
        "SourceError",
        "StorageError",
        "StorageFullError",
        "StoragePermissionError",
        "StorageUnavailableError",
        "StoreError",
        "StoreMountError",
        "UnknownClassError",
        "UnknownMaterializerError",
        "UnsafeStorageError",
        "UnsupportedFormatError",
        "UntrustedError",
    }
    assert set(codes.values()) <= set(exits.MEANINGS)


def test_damage(tmp_path: Path) -> None:
    """Has a code of its own, the message names the file, and nothing half is left."""
    registry = Registry()
    registry.save("x", noise(100_000))
    (pack,) = [path for path in (tmp_path / "default-registry/packs").rglob("*") if path.is_file()]
    data = bytearray(pack.read_bytes())
    data[5000] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    assert pack.name in error("load", "x", str(tmp_path / "out"), code=exits.DAMAGED)
    assert not (tmp_path / "out").exists()
    assert pack.name in error("cat", "x", code=exits.DAMAGED)


def test_a_broken_configuration(tmp_path: Path) -> None:
    """Is named with its file; who needs no mount does not need it."""
    (tmp_path / "default-config.toml").write_text("[mounts.a]\nbackand = 'x'\n")
    assert "default-config.toml" in error("ls", "a/", code=exits.USAGE)
    assert run("ls").code == 0


def test_what_is_not_foreseen(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error that is none of casreg's is one line too, and says how to see more."""
    monkeypatch.setattr(Registry, "overview", _broken)
    assert error("ls", code=exits.FAILED) == (
        "RuntimeError: two lines. That is not foreseen; --debug shows where it comes from"
    )


def _broken(*_: object) -> object:
    raise RuntimeError("two\nlines")


def test_debug_shows_the_traceback() -> None:
    """And the line at its end."""
    done = run("info", "nothing", "--debug")
    assert done.err.startswith("Traceback (most recent call last):\n")
    assert done.err.splitlines()[-1].startswith("casreg: error: there is no object 'nothing'")
    assert "Traceback" not in run("info", "nothing").err


def test_an_error_prints_no_control_characters() -> None:
    """Nor those that were written on the command line."""
    assert not {"\x1b", "\x07"} & set(run("info", "x\x1b[31m\x07").err)
    assert not {"\x1b", "\x07"} & set(run("save", "x", "file\x1b[31m\x07").err)


@pytest.mark.parametrize(
    "words",
    [
        ["ls", "-r", f"s3://user:{SECRET}@host/bucket"],
        ["init", f"s3://user:{SECRET}@host/bucket"],
        ["info", f"s3://user:{SECRET}@host/bucket"],
        ["ls", f"s3://user:{SECRET}@host/bucket", "-r", "x"],
        ["stats", f"s3://user:{SECRET}@host/bucket"],
        ["save", "x", "-r", f"https://host/x?X-Amz-Signature={SECRET}", "file"],
        ["mounts"],
    ],
    ids=lambda words: words[0],
)
def test_a_secret_is_never_shown(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who writes a password into a URI does not read it in the error, the log or the traceback."""
    monkeypatch.setenv("CASREG_MOUNTS", f"a=s3://user:{SECRET}@host/bucket")
    done = run(*words, "-v", "--debug")
    assert done.code == exits.USAGE
    assert SECRET not in done.out + done.err
    assert "casreg: error:" in done.err


def test_whoever_reads_no_more(tmp_path: Path) -> None:
    """`| head`: quiet, and the code that a shell gives for it."""
    Registry().save("x", noise(2_000_000))
    with subprocess.Popen([*CASREG, "cat", "x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.read(10) == noise(2_000_000)[:10]
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(60) == exits.CLOSED_PIPE


@pytest.mark.parametrize("words", [["ls"], ["cat", "x"], ["ls", "--json"]], ids=" ".join)
def test_output_that_is_closed_at_once(words: list[str]) -> None:
    """Few lines, which are written at the end only, are as quiet."""
    Registry().save("x", 1)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([*CASREG, *words], stdout=writing, stderr=subprocess.PIPE, timeout=60, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (exits.CLOSED_PIPE, b"")


INTERRUPTED = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.SIG_DFL)  # as in a shell; a suite in the background ignores it
from casreg.cli import bars, main

watch = bars.Watch.__call__

def interrupted(self, report):
    if report.done < report.total:
        os.kill(os.getpid(), signal.SIGINT)
    watch(self, report)

bars.Watch.__call__ = interrupted
main.main()
"""


def test_ctrl_c_in_a_save(tmp_path: Path, in_child: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """In the middle of a large file: one line, 130, no version, and the next save is as any other."""
    path = a_file(tmp_path, "big", noise(60_000_000))
    done = in_child(INTERRUPTED, "save", "x", path)
    assert (done.returncode, done.stdout) == (exits.INTERRUPTED, "")
    assert done.stderr.split() == ["casreg:", "interrupted"]
    registry = Registry()
    assert registry.list_objects() == []
    assert run("save", "x", path).out == "x@1.0.0\n"
    assert registry.load("x").read_bytes() == noise(60_000_000)


def test_ctrl_c_in_a_load(tmp_path: Path, in_child: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    """The folder is not there, nor anything beside it."""
    path = a_file(tmp_path, "big", noise(60_000_000))
    assert run("save", "x", path).code == 0
    (tmp_path / "here").mkdir()
    done = in_child(INTERRUPTED, "load", "x", str(tmp_path / "here/out"))
    assert (done.returncode, done.stdout) == (exits.INTERRUPTED, "")
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="signals end no process there")
@pytest.mark.parametrize(("before", "code"), [("SIG_DFL", -signal.SIGINT), ("SIG_IGN", 0)])
def test_ctrl_c_while_modules_are_loaded(
    before: str, code: int, in_child: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Ends the process at once, without a word; whoever ignores it (`nohup`) goes on."""
    done = in_child(
        "import os, signal, sys\n"
        f"was = signal.{before}\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler if was == signal.SIG_DFL else was)\n"
        "class Interrupted:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'click':\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupted())\n"
        "from casreg.cli.start import main\n"
        "main()\n",
        "ls",
        "-q",
    )
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_a_place_in_memory_is_empty() -> None:
    """It ends with the process; a URI without a folder works as any other place."""
    assert run("ls", "-r", "memory://").code == 0
    assert MemoryBackend("x").location == "memory://x"
