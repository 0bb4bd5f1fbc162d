"""A registry as text: `repr`, `str`, and what is logged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st

from casreg import CorruptError
from casreg.backends.memory import MemoryBackend
from casreg.display import size_text
from casreg.registry import Registry
from casreg.registry.text import ROWS
from casreg.testing.recording import RecordingBackend
from casreg.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend


def test_repr(backend: Backend) -> None:
    """The place, and the settings that differ from the defaults; no I/O."""
    recording = RecordingBackend(backend)
    assert repr(Registry(recording)) == f"Registry({backend.location!r})"
    odd = Registry(
        recording,
        version_objects=False,
        mutable=True,
        allow_pickle=True,
        trusted=["b.C", "a.B"],
        allow_underscore=True,
    )
    assert repr(odd) == (
        f"Registry({backend.location!r}, version_objects=False, mutable=True, allow_pickle=True, "
        "trusted=['a.B', 'b.C'], allow_underscore=True)"
    )
    assert recording.calls == []


def test_empty(registry: Registry) -> None:
    """An empty registry says so, and where it is."""
    assert str(registry) == f"Registry at {registry.backend.location}: no objects"
    registry.save("gone", 1)
    registry.delete("gone")
    assert str(registry) == f"Registry at {registry.backend.location}: no objects"


def test_table(registry: Registry) -> None:
    """Each name with its latest version, how many there are, size and class of the latest, and all tags."""
    registry.save("my:model", b"x" * 2000, tags=["old"])
    registry.save("my:model", b"y" * 3_000_000, tags=["prod"])
    registry.save("a", {"x": 1})
    assert str(registry).splitlines() == [
        f"Registry at {registry.backend.location}",
        "name      latest  versions     size  class           tags",
        "a         1.0.0          1      7 B  builtins.dict",
        "my:model  1.0.1          2  2.9 MiB  builtins.bytes  old=1.0.0, prod=1.0.1",
    ]


def test_a_large_registry() -> None:
    """Only the first names are read and shown; the rest is counted."""
    place = MemoryBackend()
    names = [f"n:{number:03}" for number in range(ROWS + 30)]
    registry = Registry(place)
    registry.save(names, names)
    registry.delete(names[:10])
    recording = RecordingBackend(place)
    lines = str(Registry(recording)).splitlines()
    assert [line.split()[0] for line in lines[2:-1]] == names[10 : ROWS + 10]
    assert lines[-1] == "… and up to 20 more"
    assert sum(call.method == "get" for call in recording.calls) == ROWS + 10


@pytest.mark.parametrize("module", ["m", "m" * 80], ids=["short", "long"])
def test_stored_text_does_not_reach_the_terminal(registry: Registry, module: str) -> None:
    """A class name is whatever somebody stored: no line breaks, no escape sequences, no endless lines."""
    hostile = type("Cls\x1b[31m\nnext", (dict,), {"__module__": module})
    registry.register_materializer(hostile, Plain)
    registry.save("thing", hostile())
    text = str(registry)
    assert len(text.splitlines()) == 3
    assert "\x1b" not in text
    assert ("m.Cls\ufffd[31m\ufffdnext" in text) == (module == "m")
    assert max(map(len, text.splitlines()[1:])) < 120


class Plain:
    """Saves anything as nothing."""

    id = "test.plain/1"
    types = ()

    def save(self, obj: object, folder: Any) -> None:
        """One file."""
        folder.add("data", b"")

    def load(self, folder: Any, cls: object) -> object:
        """Nothing."""
        return None


def test_damage_is_no_text(registry: Registry, backend: Backend) -> None:
    """A ref that cannot be read is an error of `str`, and not of `repr`."""
    registry.save("thing", 1)
    held = backend.get("refs/thing")
    assert held.token is not None
    backend.swap("refs/thing", bytes(held.data)[:-9], held.token)
    fresh = Registry(backend)
    with pytest.raises(CorruptError):
        str(fresh)
    assert repr(fresh)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (1023 * 1024**2, "1023.0 MiB"),
        (5 * 1024**4, "5.0 TiB"),
        (3000 * 1024**5, "3,000.0 PiB"),
    ],
)
def test_sizes(size: int, text: str) -> None:
    """Bytes, or one digit after the point of the unit that fits."""
    assert size_text(size) == text


@given(st.integers(0, 2**53))
def test_sizes_are_short_and_right(size: int) -> None:
    """At most eleven characters, and within a twentieth of the unit (and its hundredth part) of what it is."""
    number, unit = size_text(size).split()
    factor = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40, "PiB": 2**50}[unit]
    assert abs(float(number.replace(",", "")) * factor - size) <= factor * 0.0501
    assert len(size_text(size)) <= 11


OPERATIONS: dict[str, tuple[Callable[[Registry], object], str]] = {
    "save": (lambda r: r.save("new", 1), "new@1.0.0"),
    "save again": (lambda r: r.save("thing@1.0.0", 1, metadata={"m": "canary-secret"}), "there as 1.0.0"),
    "skip": (lambda r: r.save("thing@1.0.0", 2, on_conflict="skip"), "skipped"),
    "load": (lambda r: r.load("thing", "^1"), "thing"),
    "delete": (lambda r: r.delete("thing"), "1.0.0 of thing"),
    "undelete": (lambda r: (r.delete("thing"), r.undelete("thing@1.0.0")), "undeleted thing@1.0.0"),
    "info": (lambda r: r.info("thing"), "thing"),
    "info of all": (lambda r: r.info(), "all"),
    "list_objects": (lambda r: r.list_objects(), "names"),
    "list_versions": (lambda r: r.list_versions("thing"), "versions of thing"),
    "list_objects_and_versions": (lambda r: r.list_objects_and_versions(), "names and versions"),
    "history": (lambda r: r.history("thing"), "history of thing"),
    "find": (lambda r: r.find("th*"), "find th*"),
    "has_object": (lambda r: r.has_object("thing"), "thing"),
    "tag": (lambda r: r.tag("thing", "prod"), "prod is thing@1.0.0"),
    "untag": (lambda r: [r.tag("thing", "prod"), r.untag("thing", "prod")], "removed the tag prod of thing"),  # type: ignore[func-returns-value]
    "annotate": (lambda r: r.annotate("thing", who="canary-secret"), "who"),
    "protect": (lambda r: r.protect("thing"), "protected thing@1.0.0"),
    "unprotect": (lambda r: r.unprotect("thing"), "unprotected thing@1.0.0"),
    "clear": (lambda r: r.clear(), "deleted everything"),
    "register_class": (lambda r: r.register_class(Version), "Version"),
    "register_materializer": (lambda r: r.register_materializer(Version, Plain), "Version"),
}


@pytest.mark.parametrize(("operation", "said"), OPERATIONS.values(), ids=OPERATIONS)
def test_operations_are_logged(
    registry: Registry,
    caplog: pytest.LogCaptureFixture,
    operation: Callable[[Registry], object],
    said: str,
) -> None:
    """Each public operation says at DEBUG, below `casreg`, what it did, and never what the object or a note holds."""
    registry.save("thing", 1, metadata={"m": "canary-secret"}, notes={"n": "canary-secret"})
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "casreg.registry"):
        operation(registry)
    lines = [record for record in caplog.records if record.name == "casreg.registry"]
    assert all(record.levelno == logging.DEBUG for record in lines)
    assert said in lines[-1].getMessage()
    assert "canary-secret" not in caplog.text


def test_nothing_is_logged_unasked(capfd: pytest.CaptureFixture[str], registry: Registry) -> None:
    """Without a handler of the user's nothing is printed."""
    registry.save("thing", 1)
    registry.load("thing")
    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("casreg.registry").handlers == []
