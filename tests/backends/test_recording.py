"""The backend that takes notes."""

from __future__ import annotations

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import AlreadyExists, Conflict, NotFound
from casreg.testing import Call, RecordingBackend


def test_every_call_is_noted_with_its_bytes() -> None:
    """Method, key, bytes each way, number of keys; in order."""
    backend = RecordingBackend(MemoryBackend())
    token = backend.create("refs/a", b"12345")
    backend.get("refs/a")
    backend.get("refs/a", 1, 3)
    backend.swap("refs/a", memoryview(b"1234567"), token)
    list(backend.list("refs/"))
    backend.delete(["refs/a", "refs/b"])
    assert backend.calls == [
        Call("create", "refs/a", bytes_in=5),
        Call("get", "refs/a", bytes_out=5),
        Call("get", "refs/a", bytes_out=2),
        Call("swap", "refs/a", bytes_in=7),
        Call("list", "refs/", keys=0),
        Call("delete", "refs/a", keys=2),
    ]


def test_what_the_caller_held_already_is_noted_as_no_bytes() -> None:
    """A reading that finds the held state takes none, one that finds another takes all."""
    backend = RecordingBackend(MemoryBackend())
    token = backend.create("refs/a", b"12345")
    held = backend.get("refs/a")
    assert backend.get("refs/a", held=held) is held
    backend.swap("refs/a", b"1234567", token)
    backend.get("refs/a", held=held)
    assert [call.bytes_out for call in backend.log.calls("get")] == [5, 0, 7]


def test_calls_that_fail_are_noted_too() -> None:
    """With the name of the error."""
    backend = RecordingBackend(MemoryBackend())
    token = backend.create("a", b"1")
    with pytest.raises(AlreadyExists):
        backend.create("a", b"22")
    with pytest.raises(NotFound):
        backend.get("b")
    backend.swap("a", b"2", token)
    with pytest.raises(Conflict):
        backend.swap("a", b"333", token)
    failed = [call for call in backend.calls if call.error]
    assert failed == [
        Call("create", "a", bytes_in=2, error="AlreadyExists"),
        Call("get", "b", error="NotFound"),
        Call("swap", "a", bytes_in=3, error="Conflict"),
    ]


def test_notes_can_be_asked_for_and_cleared() -> None:
    """By method and by the beginning of the key."""
    backend = RecordingBackend(MemoryBackend())
    for key in ("packs/1", "packs/2", "refs/1"):
        backend.create(key, b"1")
    backend.get("packs/1")
    assert [call.key for call in backend.log.calls("create", "packs/")] == ["packs/1", "packs/2"]
    assert [call.method for call in backend.log.calls(prefix="packs/1")] == ["create", "get"]
    backend.log.clear()
    assert backend.calls == []
