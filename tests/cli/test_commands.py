"""What each command promises, without a terminal."""

from __future__ import annotations

import json
import logging
import re
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from casreg import __version__
from casreg.cli import checking, exits
from casreg.cli.main import SECTIONS, program
from casreg.registry import Registry
from casreg.verify import Damage
from cli.lab import CASREG, a_file, error, ok, run
from registry.lab import noise

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.cli.options import Command

COMMANDS = [command for commands in SECTIONS.values() for command in commands]


@pytest.fixture
def registry() -> Registry:
    """The registry that the command line uses where nothing is said."""
    return Registry()


# ------------------------------------------------------------------------------------------------ objects


def test_save_a_file(registry: Registry, tmp_path: Path) -> None:
    """It is there with its bytes, tags and metadata; the version is what is printed, figures are beside it."""
    path = a_file(tmp_path, "w.bin", noise(50_000))
    done = ok(
        "save", "my:w", path, "-t", "prod", "--tag", "best", "-m", "acc=0.9", "-m", "who=Ada", "-n", "ok=true"
    )
    assert done.out == "my:w@1.0.0\n"
    assert re.fullmatch(r"casreg: 48\.8 KiB: 49\.\d KiB newly stored, 0 B reused\n", done.err)
    info = registry.info("my:w")
    assert (info["tags"], info["metadata"], info["notes"]) == (
        ["best", "prod"],
        {"acc": 0.9, "who": "Ada"},
        {"ok": True},
    )
    loaded = registry.load("my:w")
    assert loaded.name == "w.bin"
    assert loaded.read_bytes() == noise(50_000)


def test_save_numbers(tmp_path: Path) -> None:
    """The next version, a part that is raised, a number of one's own, and none if nothing changed."""
    path = a_file(tmp_path, "f", b"1")
    assert ok("save", "x", path).out == "x@1.0.0\n"
    assert ok("save", "x", path, "--bump", "minor").out == "x@1.1.0\n"
    assert ok("save", "x", path, "--version", "3.0.0").out == "x@3.0.0\n"
    assert ok("save", "x@3.1.0", path).out == "x@3.1.0\n"
    assert ok("save", "x", path, "--if-changed").out == "x@3.1.0\n"
    assert len(ok("versions", "x", "--json").json) == 4


def test_save_says_what_was_reused(tmp_path: Path) -> None:
    """In figures, for programs too: the second time nothing of the file is stored."""
    path = a_file(tmp_path, "f", noise(300_000))
    first = ok("save", "x", path, "--json").json
    assert (first["name"], first["version"], first["key"], first["size"]) == (
        "x",
        "1.0.0",
        "x@1.0.0",
        300_000,
    )
    assert first["stored"] > 300_000
    assert first["reused"] == 0
    second = ok("save", "y", path, "--json").json
    assert second["stored"] < 2000
    assert second["reused"] == 300_000


def test_save_standard_input(registry: Registry) -> None:
    """`-` is bytes."""
    ok("save", "x", "-", given=b"\x00\xffhello")
    assert registry.load("x") == b"\x00\xffhello"


def test_load_writes_the_files(registry: Registry, tmp_path: Path) -> None:
    """Of a folder, and of an object from Python: whatever it is, its files."""
    a_file(tmp_path, "site/a/b.txt", b"hello")
    ok("save", "site", str(tmp_path / "site"))
    done = ok("load", "site", str(tmp_path / "copy"))
    assert done.out == f"{tmp_path / 'copy'}\n"
    assert (tmp_path / "copy/a/b.txt").read_bytes() == b"hello"
    registry.save("value", {"a": 1})
    found = ok("load", "value@1.0.0", str(tmp_path / "value"), "--json").json
    assert found == {"name": "value", "version": "1.0.0", "path": str(tmp_path / "value"), "size": 7}
    assert (tmp_path / "value/data.json").read_text() == '{"a":1}'


def test_cat(registry: Registry) -> None:
    """One file as it is; which, must be said where there are several."""
    registry.save("x", b"\x00\xff\r\n")
    path = registry.files("x")[0]["path"]
    for words in (["x"], ["x@1.0.0", path]):
        assert CliRunner().invoke(program, ["cat", *words]).stdout_bytes == b"\x00\xff\r\n"
    assert "not there" in error("cat", "x", "nothing", code=3)


def test_rm_and_undelete(registry: Registry) -> None:
    """A version, all versions, what a range means: printed, gone, and back again."""
    for number in range(4):
        registry.save("x", number)
    registry.save("y", 1, tags=["old"])
    assert ok("rm", "x@1.0.1", "-y").out == "x@1.0.1\n"
    assert ok("rm", "x@<1.0.3", "y@old", "--yes", "--json").json == {
        "deleted": ["x@1.0.0", "x@1.0.2", "y@1.0.0"]
    }
    assert registry.list_objects_and_versions() == {"x": ["1.0.3"]}
    assert ok("undelete", "x@1.0.0").out == "x@1.0.0\n"
    assert ok("rm", "x", "-y").lines == ["x@1.0.0", "x@1.0.3"]
    assert registry.list_objects() == []


def test_rm_asks(registry: Registry) -> None:
    """And so does nothing where nobody can answer, nor where something that was named is not there."""
    registry.save("x", 1)
    assert "say --yes" in error("rm", "x", code=2)
    error("rm", "x", "nothing", "--yes", code=3)
    error("rm", "x", "x@9.0.0", "--yes", code=3)
    assert registry.list_versions("x") == ["1.0.0"]


# ------------------------------------------------------------------------------------------------ what there is


def test_ls(registry: Registry) -> None:
    """A table for people, rows for programs; a pattern chooses."""
    registry.save("my:a", b"x" * 2048, tags=["prod"])
    registry.save("my:a", b"y" * 4096)
    registry.save("z", 1)
    header, first, second = ok("ls").lines
    assert header.split() == ["name", "latest", "versions", "size", "created", "class", "tags"]
    assert first.split()[:5] == ["my:a", "1.0.1", "2", "4.0", "KiB"]
    assert first.split()[-2:] == ["bytes", "prod=1.0.0"]
    assert second.startswith("z ")
    assert ok("ls", "--json").json == registry.overview()
    assert [row["name"] for row in ok("ls", "my:*", "--json").json] == ["my:a"]


def test_ls_of_nothing() -> None:
    """An empty result is none on standard output, and for programs an empty list."""
    done = ok("ls")
    assert done.out == ""
    assert "no names" in done.err
    assert ok("ls", "-q").err == ""
    assert ok("ls", "--json").json == []


def test_versions_info_files_history(registry: Registry) -> None:
    """What the registry says, in full for programs."""
    registry.save("x", {"a": 1}, metadata={"acc": 0.5, "who": "Ada"}, notes={"n": [1]}, tags=["t"])
    registry.save("x", {"a": 2})
    registry.save("x", {"a": 3})
    registry.delete("x@1.0.1")
    assert [row["version"] for row in ok("versions", "x", "--json").json] == ["1.0.0", "1.0.2"]
    assert [line.split()[0] for line in ok("versions", "x").lines] == ["version", "1.0.0", "1.0.2"]
    assert [row["version"] for row in ok("versions", "x@>1.0.0", "--json").json] == ["1.0.2"]
    assert ok("info", "x@t", "--json").json == registry.info("x@t")
    text = ok("info", "x@t").out
    assert "metadata acc: 0.5\n" in text
    assert "metadata who: Ada\n" in text
    assert "note n:       [1]\n" in text
    assert ok("files", "x", "--json").json == registry.files("x")
    assert ok("files", "x").lines[1].split() == ["data.json", "7", "B"]
    assert ok("history", "x", "--json").json == registry.history("x")
    assert [line.split()[1] for line in ok("history", "x").lines] == ["state", "live", "deleted", "live"]


def test_versions_of_what_is_deleted(registry: Registry) -> None:
    """Is no empty list: the name is not there any more."""
    registry.save("x", 1)
    registry.delete("x")
    assert "casreg history" in error("versions", "x", code=3)


@pytest.mark.parametrize(
    ("condition", "found"),
    [
        ("acc=0.9", ["b"]),
        ("acc==0.9", ["b"]),
        ("acc!=0.9", ["a"]),
        ("acc>0.5", ["b"]),
        ("acc>=0.5", ["a", "b"]),
        ("acc<0.9", ["a"]),
        ("acc<=0.9", ["a", "b"]),
        ("who=Ada", ["a"]),
        ("who>5", []),
        ("data.split=test", ["b"]),
    ],
)
def test_find(registry: Registry, condition: str, found: list[str]) -> None:
    """By name and by conditions on metadata; what cannot be compared does not fit."""
    registry.save("a", 1, metadata={"acc": 0.5, "who": "Ada"})
    registry.save("b", 1, metadata={"acc": 0.9, "data": {"split": "test"}})
    assert [row["name"] for row in ok("find", "--where", condition, "--json").json] == found


def test_find_shows_metadata(registry: Registry) -> None:
    """In the table, with the key to load it with; several conditions all count."""
    registry.save("a", 1, metadata={"acc": 0.5, "who": "Ada"})
    (_, line) = ok("find", "a*", "-w", "acc>0", "-w", "acc<1").lines
    assert line.startswith("a@1.0.0 ")
    assert line.endswith("acc=0.5 who=Ada")
    assert ok("find", "-w", "acc>0", "-w", "acc<0.1", "--json").json == []
    assert "is no condition" in error("find", "-w", "acc", code=2)


def test_diff(registry: Registry) -> None:
    """As `str` of the difference says it; for programs with all fields."""
    registry.save("x", b"1" * 100)
    registry.save("x", b"2" * 100)
    assert ok("diff", "x", "1.0.0", "1.0.1").out == f"{registry.diff('x', '1.0.0', '1.0.1')}\n"
    found = ok("diff", "x@1.0.0", "--json").json
    assert (found["same"], found["first"], found["second"], found["shared_bytes"]) == (
        False,
        "x@1.0.0",
        "x@1.0.1",
        0,
    )
    assert ok("diff", "x", "1.0.1", "latest", "--json").json["same"]


def test_stats(registry: Registry) -> None:
    """By name and in all: a table, and every figure for programs."""
    registry.save("a", noise(100_000))
    registry.save("b", noise(100_000))
    found = ok("stats", "--json").json
    assert (found["logical"], found["versions"]) == (200_000, 2)
    assert found["deduplication"] == pytest.approx(2.0, rel=0.01)
    assert [(one["name"], one["logical"]) for one in found["names"]] == [("a", 100_000), ("b", 100_000)]
    assert {"distinct", "stored", "size", "files", "unneeded", "compression", "location"} <= found.keys()
    text = ok("stats").out
    assert "dedup 2.00×" in text
    assert text.splitlines()[1].split()[:2] == ["a", "1"]


# ------------------------------------------------------------------------------------------------ labels


def test_labels(registry: Registry) -> None:
    """Tags, notes and protection come and go."""
    registry.save("x", 1)
    registry.save("x", 2)
    assert ok("tag", "x@1.0.0", "prod").out == "x@1.0.0\n"
    assert ok("tag", "x", "new", "--json").json == {"name": "x", "version": "1.0.1", "tag": "new"}
    assert registry.info("x@prod")["version"] == "1.0.0"
    assert ok("untag", "x", "prod").out == ""
    assert "prod" in error("untag", "x", "prod", code=3)
    assert ok("annotate", "x", "by=Ada", "score=0.5", "--json").json == {"by": "Ada", "score": 0.5}
    assert ok("annotate", "x@1.0.1", "by=").out == "score: 0.5\n"
    assert "another key" in error("annotate", "x", "version=1", code=2)
    ok("protect", "x@1.0.0")
    assert "protected" in error("rm", "x@1.0.0", "-y", code=4)
    ok("unprotect", "x@1.0.0")
    ok("rm", "x@1.0.0", "-y")
    assert ok("rename", "x", "y").out == "y@1.0.1\n"
    assert registry.list_objects() == ["y"]


# ------------------------------------------------------------------------------------------------ garbage


def test_prune(registry: Registry) -> None:
    """Old versions go, those with a tag stay; a dry run says so and deletes nothing."""
    for number in range(4):
        registry.save("x", number)
    registry.tag("x", "old", "1.0.0")
    assert ok("prune", "-k", "1", "--dry-run").lines == ["x@1.0.1", "x@1.0.2"]
    assert "say --yes" in error("prune", "-k", "1", code=2)
    assert len(registry.list_versions("x")) == 4
    assert ok("prune", "x", "-k", "1", "--yes", "--json").json == {
        "dry_run": False,
        "versions": ["x@1.0.1", "x@1.0.2"],
        "kept": ["x@1.0.0"],
    }
    assert registry.list_versions("x") == ["1.0.0", "1.0.3"]
    error("prune", "-k", "0", code=2)


def test_gc(registry: Registry) -> None:
    """A dry run says what would go and deletes nothing; without anybody to ask neither does the other without --yes."""
    registry.save("x", noise(100_000))
    registry.save("y", noise(100_000, seed=1))
    registry.delete("x")
    at_once = ["--min-age", "0", "--undelete-window", "0"]
    assert ok("gc", "--dry-run", "--json").json["versions"] == []  # younger than a day
    before = registry.stats().size
    dry = ok("gc", "--dry-run", *at_once, "--json").json
    assert "say --yes" in error("gc", *at_once, code=2)
    assert registry.stats().size == before
    assert (dry["dry_run"], dry["versions"]) == (True, ["x@1.0.0"])
    done = ok("gc", *at_once, "--yes")
    assert done.out == "x@1.0.0\n"
    assert "1 manifest, 1 pack" in done.err
    assert registry.stats().size < before - 100_000
    assert registry.load("y") == noise(100_000, seed=1)
    assert "duration" in error("gc", "--min-age", "soon", "-y", code=2)


def test_gc_that_compacts(registry: Registry) -> None:
    """What would be moved, and what was, in words and in JSON; the exit code says that something damaged was left."""
    for number in range(8):
        registry.save(f"small:{number}", noise(40_000, seed=number))
    words = ["gc", "--compact", "--min-age", "0"]
    dry = ok(*words, "--dry-run")
    assert "313.0 KiB would be moved out of 8 packs of 8 versions, which gains" in dry.err
    seen = ok(*words, "--dry-run", "--json").json["compaction"]
    assert (seen["packs"], seen["versions"], seen["left"]) == (8, 8, {})
    key = min(info.key for info in registry.backend.list("packs/"))
    data = bytearray(registry.backend.get(key).data)
    data[100] ^= 1
    registry.backend.delete([key])
    registry.backend.create(key, data)
    done = run(*words, "--yes")
    assert done.code == 5
    assert "moved out of 7 packs of 7 versions" in done.err
    assert f"{key} stays as it is: " in done.err
    assert "nothing is there to compact" in ok(*words, "--yes").err


# ------------------------------------------------------------------------------------------------ places


def test_init(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there; a word is a folder that is made, unless it is a mount."""
    monkeypatch.chdir(tmp_path)
    assert ok("init").out == f"{Registry().backend.location}\n"
    assert ok("init", "models", "--json").json["location"] == (tmp_path / "models").as_uri()
    assert len(ok("init", "./models", "--json").json["id"]) == 32
    monkeypatch.setenv("CASREG_MOUNTS", "team=elsewhere")
    assert ok("init", "team").out.endswith("/elsewhere\n")
    assert not (tmp_path / "team").exists()
    error("init", "models", "-r", "models", code=2)


def test_bundles(registry: Registry, tmp_path: Path) -> None:
    """Out and in again, all or some; a file can be asked directly."""
    registry.save("x", 1)
    registry.save("y", 2, tags=["t"])
    path = str(tmp_path / "all.casreg")
    assert ok("export", path).lines == ["x@1.0.0", "y@1.0.0"]
    assert "exists" in error("export", path, code=4)
    other = str(tmp_path / "other")
    assert ok("import", path, "y@t", "-r", other, "--json").json == ["y@1.0.0"]
    assert Registry(other).load("y@t") == 2
    assert [row["name"] for row in ok("ls", "-r", path, "--json").json] == ["x", "y"]
    assert "read" in error("tag", "x", "new", "-r", path, code=4)


def test_mounts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names have their location before them; what is read-only stays so, and a misspelt one is not an empty folder."""
    (tmp_path / "default-config.toml").write_text(
        '[mounts.team]\nbackend = "team"\n\n[mounts.archive]\nbackend = "archive"\nread_only = true\n'
    )
    monkeypatch.chdir(tmp_path)
    path = a_file(tmp_path, "f", b"1")
    assert ok("save", "team/my:f", path).out == "team/my:f@1.0.0\n"
    Registry(tmp_path / "archive").save("old", 1)
    assert [row["name"] for row in ok("ls", "team/", "--json").json] == ["my:f"]
    assert ok("ls", "-r", "team", "--json").json == ok("--json", "-r", "team", "ls").json
    assert ok("ls", "--json").json == []
    assert ok("info", "archive/old", "--json").json["version"] == "1.0.0"
    for words in (
        ["tag", "archive/old", "t"],
        ["tag", "old", "t", "-r", "archive"],
        ["rm", "archive/old", "-y"],
    ):
        assert "read-only" in error(*words, code=4)
    assert "Did you mean 'team'?" in error("ls", "-r", "taem", code=3)
    assert "Did you mean 'team'?" in error("save", "taem/x", path, code=3)
    assert "leave one of them out" in error("ls", "team/", "-r", "team", code=2)
    assert "two places" in error("rename", "team/my:f", "my:f", code=2)
    assert ok("rename", "team/my:f", "team/my:g").out == "team/my:g@1.0.0\n"
    assert ok("rm", "team/my:g@1.0.0", "-y").out == "team/my:g@1.0.0\n"
    assert ok("undelete", "team/my:g@1.0.0", "--json").json == {"name": "my:g", "version": "1.0.0"}
    listed = ok("mounts", "--json").json
    assert listed["registry"] == Registry().backend.location
    assert [(one["location"], one["read_only"]) for one in listed["mounts"]] == [
        ("archive", True),
        ("default", False),
        ("team", False),
    ]
    assert [line.split()[0] for line in ok("mounts").lines] == ["location", "-", "archive", "default", "team"]


def test_a_word_is_a_folder_that_is_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no mount is called so."""
    monkeypatch.chdir(tmp_path)
    Registry("models").save("x", 1)
    assert [row["name"] for row in ok("ls", "-r", "models", "--json").json] == ["x"]
    monkeypatch.setenv("CASREG_MOUNTS", f"models={tmp_path / 'others'}")
    assert ok("ls", "-r", "models", "--json").json == []
    assert len(ok("ls", "-r", "./models", "--json").json) == 1


# ------------------------------------------------------------------------------------------------ all of them


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_help_has_examples(command: Command) -> None:
    """Each command's `--help` says what it does, and shows how it is used."""
    done = ok(str(command.name), "--help")
    assert command.help
    assert command.help.split("\n")[0] in " ".join(done.out.split())
    for example in command.examples:
        assert f"  {example}\n" in done.out
        assert len(example) <= 78, "a terminal of 80 columns folds it"
        assert f"casreg {command.name}" in "\n".join(command.examples)


def test_help_shows_every_command() -> None:
    """In sections, each with a line that is not cut off; `-h` works too."""
    text = ok("-h").out
    for command in COMMANDS:
        (line,) = [line for line in text.splitlines() if line.startswith(f"  {command.name} ")]
        assert not line.endswith("..."), line
    assert set(program.commands) == {command.name for command in COMMANDS}


def test_options_stand_before_and_behind(registry: Registry, tmp_path: Path) -> None:
    """The shared ones, both ways."""
    registry.save("x", 1)
    assert ok("--json", "ls").json == ok("ls", "--json").json != []
    assert ok("-r", str(tmp_path / "other"), "--json", "ls").json == []


def test_without_a_command_help_is_shown() -> None:
    """On standard error, and that counts as wrong usage."""
    done = run()
    assert (done.code, done.out) == (2, "")
    assert "What there is:" in done.err


def test_verbose_shows_the_log(registry: Registry) -> None:
    """What the library does; and not otherwise."""
    registry.save("x", 1)
    assert "casreg: DEBUG: info of x" in ok("info", "x", "-v").err
    assert ok("info", "x").err == ""


def test_the_log_goes_where_it_went_before(registry: Registry) -> None:
    """A program that runs a command in its own process keeps its handlers, levels and all."""
    registry.save("x", 1)
    log = logging.getLogger("casreg")
    before = (list(log.handlers), log.level, log.propagate)
    ok("info", "x", "-v")
    assert run("info", "missing", "-v").code == 3
    assert (log.handlers, log.level, log.propagate) == before


def test_names_that_a_terminal_would_obey(registry: Registry) -> None:
    """Stored text comes without control characters."""
    registry.save("x", 1, metadata={"a\x1b[31m": "b\x07"}, notes={"n": "\x9b"})
    for words in (["info", "x"], ["find"]):
        text = ok(*words).out
        assert not {"\x1b", "\x07", "\x9b"} & set(text)


def test_json_holds_what_python_says(registry: Registry) -> None:
    """Text of all kinds, as it is."""
    registry.save("x", 1, metadata={"k": "ü\n\x1b😀", "n": [1, 2.5, None, {"a": True}]})
    assert ok("info", "x", "--json").json["metadata"] == {"k": "ü\n\x1b😀", "n": [1, 2.5, None, {"a": True}]}


def test_the_module_is_the_program() -> None:
    """`python -m casreg.cli --version` in a new process says the version."""
    done = subprocess.run([*CASREG, "--version"], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"casreg {__version__}\n", "")


def test_verify(registry: Registry, tmp_path: Path) -> None:
    """Clean or not, by words, figures and the exit code; what is damaged, and what that touches, is named."""
    registry.save("x", noise(100_000), tags=["prod"])
    registry.save("y", noise(100_000, seed=1))
    done = ok("verify", "--data")
    assert done.out.startswith("clean: 2 names, 2 versions, 2 packs in file://")
    found = ok("verify", "x", "--sample", "100%", "--json").json
    assert (found["clean"], found["names"], found["packs_read"]) == (True, 1, 1)
    pack = _damage(tmp_path / "default-registry", "x")
    assert run("verify").code == exits.DONE  # the data are not read
    done = run("verify", "--data")
    assert done.code == exits.DAMAGED
    assert f"damage: packs/{pack.parent.name}/{pack.name}: is damaged: " in done.out
    assert done.out.count(pack.name) == 1
    assert "  touches x@1.0.0 (tags: x@prod)\n" in done.out
    assert done.lines[-1].startswith("NOT CLEAN: ")
    found = run("verify", "--data", "--json").json
    assert [one["versions"] for one in found["damages"]] == [["x@1.0.0"]]
    assert run("verify", "y", "--data").code == exits.DONE
    for words in (
        ["--sample", "0"],
        ["--sample", "much"],
        ["--sample", "101%"],
        ["--sample", "1%", "--data"],
    ):
        error("verify", *words, code=exits.USAGE)
    error("verify", "nothing", code=exits.MISSING)


def test_what_cannot_be_read_is_no_damage() -> None:
    """Of it that is not known: another exit code, and of hints none."""
    damage = Damage("packs/x", "pack", "damage", "lost")
    unreadable, hint = replace(damage, severity="unreadable"), replace(damage, severity="hint")
    codes = [exits.FAILED, exits.DAMAGED, exits.DAMAGED, exits.DONE, exits.DONE]
    found = [[unreadable], [damage], [unreadable, damage], [hint], []]
    assert [checking.exit_code_of(one) for one in found] == codes


def test_heal(registry: Registry, tmp_path: Path) -> None:
    """From a bundle: first only said, then done; what the copy does not have stays damaged and is said."""
    registry.save("x", noise(100_000))
    registry.save("y", noise(100_000, seed=1))
    some, every = str(tmp_path / "some.casreg"), str(tmp_path / "all.casreg")
    registry.export(some, ["y"])
    registry.export(every)
    _damage(tmp_path / "default-registry", "x")
    done = run("heal", some)
    assert done.code == exits.DAMAGED
    assert "  not healed: " in done.out
    assert ok("heal", every, "--dry-run").lines[0].startswith("could be healed: packs/")
    assert run("verify", "--data").code == exits.DAMAGED
    assert ok("heal", every, "--json").json["clean"]
    assert ok("verify", "--data").code == exits.DONE
    assert registry.load("x") == noise(100_000)
    _damage(tmp_path / "default-registry", "y")
    assert ok("verify", "--heal-from", every).lines[-1].startswith("1 file healed, 0 left")
    error("verify", "x", "--heal-from", every, code=exits.USAGE)
    error("heal", "nowhere", code=exits.MISSING)


def _damage(folder: Path, name: str) -> Path:
    """Flip a bit in the pack that `name` needs, and no other name; the pack."""
    text = json.loads(ok("verify", name, "--sample", "100%", "--json").out)
    assert text["packs"] == 1
    for pack in [path for path in (folder / "packs").rglob("*") if path.is_file()]:
        data = pack.read_bytes()
        pack.chmod(0o644)
        pack.write_bytes(data[:5000] + bytes([data[5000] ^ 1]) + data[5001:])
        if run("verify", name, "--data").code == exits.DAMAGED:
            return pack
        pack.write_bytes(data)
    raise AssertionError(name)
