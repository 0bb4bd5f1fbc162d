"""A copy of everything, made while names change, has everything."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Any

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.transfer import copying, whole

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.progress import Progress


@pytest.mark.parametrize("how", ["export", "update"])
def test_a_rename_while_all_is_copied(how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was renamed before its turn came is in the copy under its new name, though nothing is under the old one."""
    source = Registry(MemoryBackend())
    for name in ("a", "b", "z"):
        source.save(name, f"value of {name}" * 100)
    names = {"a": ("z", "a-first"), "b": ("b", "c"), "a-first": ("a-first", "again")}

    def meanwhile(place: Any, name: str, *arguments: Any, **options: Any) -> Any:
        if name in names:
            source.rename(*names.pop(name))
        return copying.copy(place, name, *arguments, **options)

    monkeypatch.setattr(whole, "copy", meanwhile)
    reports: list[Progress] = []
    target = Registry(MemoryBackend(), progress=reports.append)
    if how == "export":
        held = source.export(tmp_path / "all.casreg", progress=reports.append)
        assert held == ["a@1.0.0", "again@1.0.0", "c@1.0.0"]
        target = Registry(tmp_path / "all.casreg")
    else:
        target.update(source)
    told = [report for report in reports if report.phase == "copy"]
    values = {name: value[:10] for name, value in target.items()}
    assert values == {"a": "value of a", "again": "value of z", "c": "value of b"}
    assert [report.done for report in told] == sorted(report.done for report in told)
    assert told[-1].done == told[-1].total


def test_a_rename_while_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """From a name that is read late to one that was read before: it is in neither reading, and in the copy."""
    source, target = Registry(MemoryBackend()), Registry(MemoryBackend())
    source.save("a", 1)
    source.save("z", 2, version="2.0.0")
    real, first = whole._asked, Event()
    renamed: list[list[str]] = []

    def asked(place: Any, name: str, *arguments: Any, **options: Any) -> Any:
        if name == "z" and not renamed:
            assert first.wait(10)
            renamed.append(source.rename("z", "a"))
        found = real(place, name, *arguments, **options)
        if name == "a":
            first.set()
        return found

    monkeypatch.setattr(whole, "_asked", asked)
    target.update(source)
    assert target.list_objects_and_versions() == {"a": ["1.0.0", "2.0.0"]}
