"""`casreg adopt`, as a shell sees it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from casreg import Registry
from casreg.cli import exits
from cli.lab import error, ok, run
from cli.terminal import PROGRAM, on_terminal
from registry.lab import noise


@pytest.fixture
def copy(tmp_path: Path) -> str:
    """A folder that `cp -r` made of a registry with two names."""
    registry = Registry(tmp_path / "origin")
    registry.save("x", noise(20_000), tags=["prod"])
    registry.save("y", 1)
    shutil.copytree(tmp_path / "origin", tmp_path / "copy")
    return str(tmp_path / "copy")


def id_of(place: str) -> str:
    """The id of the repository there."""
    return str(json.loads((Path(place) / "casreg.json").read_bytes())["id"])


def test_a_copy_is_adopted(copy: str) -> None:
    """It says what was verified, and how it is called now."""
    before = id_of(copy)
    done = ok("adopt", "--yes", "-r", copy)
    assert done.out.startswith("clean: 2 names, 2 versions, 1 pack in ")
    assert f"adopted as {id_of(copy)}: 2 names in a new state" in done.err
    assert id_of(copy) != before
    assert ok("adopt", "--yes", "--quiet", "--data", "-r", copy).err == ""
    assert Registry(copy).list_objects() == ["x", "y"]


def test_a_dry_run(copy: str) -> None:
    """It needs no yes, and writes nothing."""
    before = id_of(copy)
    done = ok("adopt", "--dry-run", "-r", copy)
    assert done.out.startswith("clean: 2 names")
    assert "would get an id of its own, and 2 names a new state" in done.err
    assert id_of(copy) == before


def test_as_json(copy: str) -> None:
    """Everything that is known."""
    before = id_of(copy)
    found = ok("adopt", "--yes", "--json", "-r", copy).json
    assert (found["before"], found["id"]) == (before, id_of(copy))
    assert (found["clean"], found["refs"], found["left"], found["head"]) == (True, 2, [], None)
    assert found["report"]["versions"] == 2


def test_what_did_not_come_along_has_an_exit_code(copy: str, tmp_path: Path) -> None:
    """It is named with its versions; and the original heals it."""
    shutil.rmtree(Path(copy) / "packs")
    done = run("adopt", "--yes", "-r", copy)
    assert done.code == exits.DAMAGED
    assert "is missing" in done.lines[0]
    assert done.lines[1] == "  touches x@1.0.0 (tags: x@prod)"
    assert "NOT CLEAN" in done.lines[2]
    ok("heal", str(tmp_path / "origin"), "-r", copy)
    assert ok("verify", "--data", "-r", copy).out.startswith("clean: ")


def test_a_name_that_did_not_come_along(copy: str, tmp_path: Path) -> None:
    """What is left of it is counted; the original knows it."""
    (Path(copy) / "refs" / "x").unlink()
    done = ok("adopt", "--yes", "-r", copy)
    assert "casreg: 1 version that no name has: " in done.err
    assert (
        ok("heal", str(tmp_path / "origin"), "--dry-run", "-r", copy).lines[0] == "could be brought back: x"
    )


def test_what_is_refused(copy: str, tmp_path: Path) -> None:
    """A place without a registry, and a question that nobody hears."""
    assert "there is no registry at" in error(
        "adopt", "--yes", "-r", str(tmp_path / "empty"), code=exits.MISSING
    )
    assert "say --yes" in error("adopt", "-r", copy, code=exits.USAGE)


@pytest.mark.parametrize(("answer", "code"), [(b"y\r", exits.DONE), (b"n\r", exits.FAILED)])
def test_it_asks(copy: str, answer: bytes, code: int) -> None:
    """On a terminal: whether this is the copy, since there is an original."""
    before = id_of(copy)
    seen = on_terminal([*PROGRAM, "adopt", "-r", copy], [("[y/N] ", answer)], columns=300)
    assert seen.code == code
    assert f"  file://{copy}\nadopt this copy, which lives apart from its original then? [y/N]" in seen.text
    assert (id_of(copy) != before) == (code == exits.DONE)
