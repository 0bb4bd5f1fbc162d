"""The backend that fails on purpose."""

from __future__ import annotations

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import AlreadyExists, Conflict, NotFound, StorageFullError, StorageUnavailableError
from casreg.testing import Fault, FaultBackend, FaultKind, until_clean


def has(backend: FaultBackend, key: str) -> bool:
    """Whether the key has reached the storage."""
    return any(row.key == key for row in backend.inner.list(key))


def test_a_fault_before_does_nothing() -> None:
    """The call fails, and only that one."""
    backend = FaultBackend(MemoryBackend(), [Fault(2, FaultKind.BEFORE)])
    backend.create("a", b"")
    with pytest.raises(StorageUnavailableError, match="on purpose: create of 'b'"):
        backend.create("b", b"")
    backend.create("c", b"")
    assert [row.key for row in backend.list("")] == ["a", "c"]
    assert backend.fired == 1


def test_a_fault_after_loses_the_answer() -> None:
    """The call fails, and was done."""
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.AFTER)])
    with pytest.raises(StorageUnavailableError):
        backend.create("a", b"hello")
    assert backend.get("a").data == b"hello"


def test_a_lost_refusal_is_lost_too() -> None:
    """Nobody is told that the key exists, if the answer is lost."""
    backend = FaultBackend(MemoryBackend(), [Fault(2, FaultKind.AFTER)])
    backend.create("a", b"hello")
    with pytest.raises(StorageUnavailableError):
        backend.create("a", b"other")
    assert backend.get("a").data == b"hello"


def test_a_doubled_write_is_refused_because_of_itself() -> None:
    """It is there, and the second answer says that somebody has written it."""
    backend = FaultBackend(
        MemoryBackend(),
        [
            Fault(1, FaultKind.DOUBLED, frozenset({"create"})),
            Fault(1, FaultKind.DOUBLED, frozenset({"swap"})),
        ],
    )
    with pytest.raises(AlreadyExists):
        backend.create("a", b"1")
    token = backend.get("a").token
    assert token is not None
    with pytest.raises(Conflict):
        backend.swap("a", b"2", token)
    assert backend.get("a").data == b"2"


def test_a_late_write_lands_when_it_is_delivered() -> None:
    """With the bytes that it was called with, whatever the caller did with them since."""
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.LATE)])
    body = bytearray(b"hello")
    with pytest.raises(StorageUnavailableError):
        backend.create("packs/a", body)
    body[:] = b"other"
    assert not has(backend, "packs/a")
    assert backend.deliver() == 1
    assert backend.get("packs/a").data == b"hello"
    assert backend.deliver() == 0


def test_a_late_write_can_land_by_itself() -> None:
    """Before the so-manieth call after it."""
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.LATE, late_by=2)])
    with pytest.raises(StorageUnavailableError):
        backend.create("packs/a", b"")
    with pytest.raises(NotFound):
        backend.get("packs/a")
    backend.get("packs/a")


def test_a_late_delete_hits_what_is_there_then() -> None:
    """That is why no name is ever used twice."""
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.LATE, frozenset({"delete"}))])
    backend.create("packs/a", b"1")
    with pytest.raises(StorageUnavailableError):
        backend.delete(["packs/a"])
    backend.deliver()
    assert not has(backend, "packs/a")


def test_a_late_write_that_is_refused_disturbs_nobody() -> None:
    """Nobody is listening any more."""
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.LATE)])
    with pytest.raises(StorageUnavailableError):
        backend.create("a", b"late")
    backend.create("a", b"early")
    assert backend.deliver() == 1
    assert backend.get("a").data == b"early"


def test_faults_choose_their_calls() -> None:
    """By method, by the beginning of the key, by number, for as long as they are told."""
    fault = Fault(2, FaultKind.BEFORE, frozenset({"create"}), "packs/", times=2, error=StorageFullError)
    backend = FaultBackend(MemoryBackend(), [fault])
    failed = []
    for key in ("packs/1", "refs/1", "packs/2", "refs/2", "packs/3", "packs/4"):
        try:
            backend.create(key, b"")
        except StorageFullError:
            failed.append(key)
    assert failed == ["packs/2", "packs/3"]


def test_a_listing_fails_at_its_ends() -> None:
    """Before the first row, or behind the last one."""
    inner = MemoryBackend()
    inner.create("a", b"")
    before = FaultBackend(inner, [Fault(1, FaultKind.BEFORE)])
    with pytest.raises(StorageUnavailableError):
        next(before.list(""))
    rows = FaultBackend(inner, [Fault(1, FaultKind.AFTER)]).list("")
    assert next(rows).key == "a"
    with pytest.raises(StorageUnavailableError):
        next(rows)


def test_calls_are_noted_as_the_caller_saw_them() -> None:
    """Also those that never reached the storage."""
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.BEFORE), Fault(2, FaultKind.DOUBLED)])
    with pytest.raises(StorageUnavailableError):
        backend.create("a", b"1")
    with pytest.raises(AlreadyExists):
        backend.create("a", b"1")
    assert [(call.method, call.bytes_in, call.error) for call in backend.calls] == [
        ("create", 1, "StorageUnavailableError"),
        ("create", 1, "AlreadyExists"),
    ]


def test_until_clean_fails_every_call_once() -> None:
    """One run for each call, and one without a fault."""
    seen: list[str] = []

    def scenario(backend: FaultBackend) -> None:
        for key in ("a", "b", "c"):
            try:
                backend.create(key, b"")
            except StorageUnavailableError:
                seen.append(key)

    assert until_clean(MemoryBackend, scenario, FaultKind.BEFORE) == 3
    assert seen == ["a", "b", "c"]


def test_until_clean_says_which_call_failed() -> None:
    """A note on the error of the scenario."""

    def scenario(backend: FaultBackend) -> None:
        backend.create("a", b"")
        backend.create("b", b"")

    with pytest.raises(StorageUnavailableError) as caught:
        until_clean(MemoryBackend, scenario, FaultKind.BEFORE)
    assert caught.value.__notes__ == ["with the fault BEFORE at call 1"]


def test_until_clean_ends_with_a_scenario_that_does_not() -> None:
    """One that tries for ever is an error."""

    def scenario(backend: FaultBackend) -> None:
        for number in range(100):
            with pytest.raises((NotFound, StorageUnavailableError)):
                backend.get(f"a/{number}")

    with pytest.raises(AssertionError, match="does the scenario ever end"):
        until_clean(MemoryBackend, scenario, FaultKind.BEFORE, limit=10)
