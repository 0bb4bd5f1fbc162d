"""What casreg tells a log: each operation at DEBUG, to whoever listens, and to no file of its own."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.store import Store
from registry.lab import noise

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest

    from conftest import FreshPython


def _operations(registry: Registry, folder: Path) -> dict[str, Callable[[], object]]:
    """Operations in an order in which each has something to do, with what their lines begin with."""
    return {
        r"saved a:b@1\.0\.0 to .*: \d+ bytes": lambda: registry.save("a:b", noise(100_000)),
        r"saved a:b@1\.0\.1": lambda: registry.save("a:b", [1]),
        r"loaded a:b@1\.0\.1": lambda: registry.load("a:b"),
        r"open the file \(1\.0\.0\) of a:b": lambda: registry.open("a:b@1.0.0").read(3),
        r"files of a:b": lambda: registry.files("a:b"),
        r"info of a:b": lambda: registry.info("a:b"),
        r"look for a:b": lambda: registry.has_object("a:b"),
        r"list the names": registry.list_objects,
        r"list the versions of a:b": lambda: registry.list_versions("a:b"),
        r"history of a:b": lambda: registry.history("a:b"),
        r"find a:\*": lambda: registry.find("a:*"),
        r"difference of a:b@1\.0\.0 and a:b@latest": lambda: registry.diff("a:b", "1.0.0"),
        r"tag prod is a:b@1\.0\.1": lambda: registry.tag("a:b", "prod"),
        r"notes of a:b": lambda: registry.annotate("a:b", by="me"),
        r"protected a:b@1\.0\.1": lambda: registry.protect("a:b"),
        r"unprotected a:b@1\.0\.1": lambda: registry.unprotect("a:b"),
        r"exported 2 versions": lambda: registry.export(folder / "all.casreg"),
        r"renamed a:b to a:c": lambda: registry.rename("a:b", "a:c"),
        r"deleted 1\.0\.0 of a:c": lambda: registry.delete("a:c@1.0.0"),
        r"undeleted a:c@1\.0\.0": lambda: registry.undelete("a:c@1.0.0"),
    }


def test_each_operation_has_a_line(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    """At DEBUG, with the name, from a logger below `casreg`; nothing is louder where nothing is wrong."""
    registry = Registry(MemoryBackend())
    with caplog.at_level(logging.DEBUG):
        for pattern, call in _operations(registry, tmp_path).items():
            caplog.clear()
            call()
            lines = [record.getMessage() for record in caplog.records]
            assert any(re.match(pattern, line) for line in lines), (pattern, lines)
            assert {record.levelno for record in caplog.records} == {logging.DEBUG}
            assert all(record.name.startswith("casreg.") for record in caplog.records)


def test_one_operation_is_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """A log of many saves and loads stays readable."""
    registry = Registry(MemoryBackend())
    registry.save("first", 1)
    with caplog.at_level(logging.DEBUG):
        for number in range(20):
            registry.save("a", number)
            registry.load("a")
    assert 40 <= len(caplog.records) <= 80


def test_basic_config_shows_it(fresh_python: FreshPython, tmp_path: Path) -> None:
    """`logging.basicConfig(level=logging.DEBUG)` is all that a user writes, as the examples do."""
    code = (
        "import logging, sys\n"
        "logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)\n"
        "from casreg import Registry\n"
        "registry = Registry(sys.argv[1])\n"
        "registry.save('my:model', [1, 2])\n"
        "registry.load('my:model')\n"
        "registry.delete('my:model')\n"
    )
    printed = fresh_python(code, str(tmp_path / "place"))
    for line in (
        "saved my:model@1.0.0 to file://",
        "loaded my:model@1.0.0 from file://",
        "deleted 1.0.0 of my:model",
    ):
        assert f"DEBUG:casreg.registry:{line}" in printed


def test_nothing_is_shown_unless_asked_for(fresh_python: FreshPython, tmp_path: Path) -> None:
    """A process that configures no logging prints nothing, and its handlers stay as they were."""
    code = (
        "import sys, logging, contextlib, io\n"
        "err = io.StringIO()\n"
        "with contextlib.redirect_stderr(err):\n"
        "    from casreg import Registry, Store\n"
        "    registry = Registry(sys.argv[1])\n"
        "    registry.save('my:model', [1, 2])\n"
        "    registry.load('my:model')\n"
        "    Store().save('default/a', 1)\n"
        "    registry.delete('my:model')\n"
        "assert not err.getvalue(), err.getvalue()\n"
        "names = [name for name in logging.root.manager.loggerDict if name.split('.')[0] == 'casreg']\n"
        "assert 'casreg.registry' in names\n"
        "for logger in (logging.root, *map(logging.getLogger, names)):\n"
        "    assert not logger.handlers, logger\n"
        "    assert logger is logging.root or (logger.level, logger.propagate, logger.disabled) == (0, True, False)\n"
    )
    assert fresh_python(code, str(tmp_path / "place")) == ""


def test_no_file_is_written_beside_the_registry(
    fresh_python: FreshPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With DEBUG on, in an empty home and working folder: the registry's own files, and no log."""
    home = tmp_path / "home"
    for folder in ("home", "work", "temporary"):
        (tmp_path / folder).mkdir()
    for variable in (
        "HOME",
        "USERPROFILE",
        "XDG_CACHE_HOME",
        "XDG_STATE_HOME",
        "XDG_DATA_HOME",
        "XDG_CONFIG_HOME",
    ):
        monkeypatch.setenv(variable, str(home))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setenv("CASREG_CACHE_DIR", str(tmp_path / "cache"))
    code = (
        "import logging, os, sys\n"
        "logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)\n"
        "from casreg import Registry\n"
        "os.chdir(sys.argv[2])\n"
        "registry = Registry(sys.argv[1])\n"
        "registry.save('my:model', os.urandom(200_000))\n"
        "registry.load('my:model')\n"
        "registry.delete('my:model')\n"
    )
    assert "saved my:model" in fresh_python(code, str(tmp_path / "place"), str(tmp_path / "work"))
    written = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {"place", "cache"}
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and b"saved my:model" in path.read_bytes()
    ]


def test_a_store_says_what_it_asks(caplog: pytest.LogCaptureFixture) -> None:
    """Mounts and places, so that one sees where an object came from."""
    with caplog.at_level(logging.DEBUG, logger="casreg"):
        store = Store(mounts={"a": Registry(MemoryBackend("logged")), "b": Registry(MemoryBackend())})
        store.save("a/x", 1)
        store.load("x")
    text = caplog.text
    assert "memory://logged" in text
    assert "casreg.store" in {record.name for record in caplog.records}
