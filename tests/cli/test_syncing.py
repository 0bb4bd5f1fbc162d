"""`casreg sync`, as a shell sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.cli import exits
from cli.lab import error, ok, run
from cli.terminal import PROGRAM, on_terminal
from registry.lab import noise

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path) -> str:
    """A place with two names."""
    registry = Registry(tmp_path / "source")
    registry.save("x", noise(20_000), tags=["prod"])
    registry.save("x", noise(20_000, seed=1))
    registry.save("y", 1)
    return str(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> str:
    """A place that is not there yet."""
    return str(tmp_path / "target")


def test_everything_and_again(source: str, target: str) -> None:
    """A line for each version; the second time there is nothing to say."""
    done = ok("sync", source, target)
    assert done.lines == [
        "copied: x@1.0.0",
        "copied: x@1.0.1",
        "copied: y@1.0.0",
        "changed: x@prod",
    ]
    assert "3 versions of 39.1 KiB copied from" in done.err
    done = ok("sync", source, target)
    assert done.lines == []
    assert "(2 names, 2 unchanged)" in done.err
    assert ok("ls", "-r", target).out.replace(target, "") == ok("ls", "-r", source).out.replace(source, "")


def test_the_default_registry_is_a_dash(target: str) -> None:
    """On either side, as `casreg mounts` lists it; the mount that is called default is another one."""
    Registry().save("mine", 1)
    assert ok("sync", "-", target).lines == ["copied: mine@1.0.0"]
    Registry(target).save("theirs", 2)
    assert ok("sync", target, "-").lines == ["copied: theirs@1.0.0"]
    assert Registry().list_objects() == ["mine", "theirs"]
    assert ok("ls", "-r", "-").out == ok("ls").out


def test_a_dry_run_and_names(source: str, target: str) -> None:
    """It says what would be, and makes nothing."""
    done = ok("sync", source, target, "y", "--dry-run")
    assert done.lines == ["would be copied: y@1.0.0"]
    assert ok("ls", "-r", target, "--json").json == []
    assert ok("sync", source, target, "y", "-q").err == ""
    assert Registry(target).list_objects() == ["y"]


def test_conflicts_have_an_exit_code(source: str, target: str) -> None:
    """They are named, all else is copied, and it is 4 each time."""
    Registry(target).save("y", "other")
    for _ in range(2):
        done = run("sync", source, target)
        assert done.code == exits.REFUSED
        assert done.lines[-1] == "conflict: y@1.0.0: it exists there with other content"
    found = run("sync", source, target, "--json")
    assert found.code == exits.REFUSED
    assert found.json["clean"] is False
    assert [one["about"] for one in found.json["conflicts"]] == ["y@1.0.0"]
    assert ok("sync", source, target, "--overwrite", "--yes").lines == ["replaced: y@1.0.0"]
    assert Registry(target).load("y") == 1


def test_damage_has_an_exit_code(source: str, target: str) -> None:
    """What cannot be read is named, and all else is copied."""
    registry = Registry(source)
    registry.backend.delete([info.key for info in registry.backend.list("packs/")][:1])
    done = run("sync", source, target)
    assert done.code == exits.DAMAGED
    assert [line.partition(":")[0] for line in done.lines].count("unreadable") == 1
    assert "copied: y@1.0.0" in done.lines


def test_what_deletes_asks(source: str, target: str) -> None:
    """It shows what would go; where nobody can be asked it does nothing without --yes."""
    ok("sync", source, target)
    there = Registry(target)
    there.save("own", 1)
    there.save("dear", 1)
    there.protect("dear")
    assert "say --yes" in error("sync", source, target, "--delete", code=exits.USAGE)
    words = [*PROGRAM, "sync", source, target, "--delete"]
    seen = on_terminal(words, [("[y/N] ", b"n\r")])
    assert seen.code == exits.FAILED
    assert "  delete own@1.0.0\n" in seen.text
    assert there.has_object("own")
    assert on_terminal(words, [("[y/N] ", b"y\r")]).code == exits.DONE
    assert there.list_objects() == ["dear", "x", "y"]
    assert on_terminal(words).code == exits.DONE  # nothing is left to ask about
    assert ok("sync", source, target, "--delete", "--yes").lines == ["kept: dear@1.0.0, which is protected"]


def test_mounts_and_bundles(source: str, target: str, tmp_path: Path) -> None:
    """SOURCE and TARGET may be locations; what is read-only is no target; a bundle is a source."""
    (tmp_path / "default-config.toml").write_text(
        f"[mounts.from]\nbackend = '{source}'\nread_only = true\n[mounts.to]\nbackend = '{target}'\n"
    )
    assert len(ok("sync", "from", "to", "--dry-run").lines) == 4
    assert len(ok("sync", "from", "to").lines) == 4
    error("sync", "to", "from", code=exits.REFUSED)
    ok("sync", "to", "from", "--dry-run")
    bundle = str(tmp_path / "all.casreg")
    ok("export", bundle, "-r", source)
    assert len(ok("sync", bundle, str(tmp_path / "third")).lines) == 4
    error("sync", "nowhere", "to", code=exits.MISSING)


def test_what_cannot_be_meant(source: str, target: str) -> None:
    """A source that is none, a name that is not there, one place twice, and --registry."""
    error("sync", target, source, code=exits.MISSING)
    error("sync", source, target, "nothing", code=exits.MISSING)
    error("sync", source, source, code=exits.USAGE)
    error("sync", source, target, "-r", source, code=exits.USAGE)
