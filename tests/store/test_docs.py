"""Every example of docs/store.md is true."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casreg import Registry, Store, settings

if TYPE_CHECKING:
    import pytest

TEXT = (Path(__file__).parents[2] / "docs/store.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """The code of the page in one language."""
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def test_the_code_of_the_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of the page, in a new folder; and the table that it prints is the one that it shows."""
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {"__name__": "page"}
    code = blocks("python")
    assert len(code) == 6
    for block in code:
        exec(compile(block, "docs/store.md", "exec", dont_inherit=True), space)
    printed = re.sub(r"file://\S*/(\w+)", r"file:///…/\1", capsys.readouterr().out)
    shown = [
        line.removeprefix("# ") for block in code for line in block.splitlines() if line.startswith("# ")
    ]
    assert [line.split() for line in printed.splitlines()] == [line.split() for line in shown]


def test_the_configuration_of_the_page_is_understood(monkeypatch: pytest.MonkeyPatch) -> None:
    """File and variable together give the mounts that the page says, and the page shows every option."""
    (file,), (shell,) = blocks("toml"), blocks("bash")
    settings.config_path().write_text(file, encoding="utf-8")
    variable = re.search(r'CASREG_MOUNTS="(.*)"', shell)
    assert variable is not None
    monkeypatch.setenv("CASREG_MOUNTS", variable[1])
    store = Store()
    places = {
        "archive": "/data/archive",
        "default": str(settings.store_dir()),
        "scratch": "/scratch/registry",
        "team": "/mnt/team",
    }
    assert {location: store.get_mount(location).place for location in store.list_mounts()} == {
        location: Registry(place).backend.location for location, place in places.items()
    }
    assert store.default_location == "team"
    assert store.get_mount("archive").read_only
    from casreg.store import config

    options = {option for mount in tomllib.loads(file)["mounts"].values() for option in mount}
    assert options == set(config._OPTIONS)
