"""The probe: a storage that ignores the conditions of writes is refused before anything is written to it."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from casreg.backends.base import Token
from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    AlreadyExists,
    Conflict,
    CorruptError,
    StoragePermissionError,
    StorageUnavailableError,
    UnsafeStorageError,
    UnsupportedFormatError,
)
from casreg.keys import MARKER
from casreg.marker import dump_marker, new_marker, parse_marker
from casreg.registry import Registry
from casreg.repository.probe import ensure_marker, probe
from casreg.testing.faults import Fault, FaultBackend, FaultKind, until_clean
from casreg.testing.recording import RecordingBackend
from registry.lab import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from typing_extensions import Buffer

    from casreg.backends.base import Object


class IgnoresCreate(MemoryBackend):
    """Overwrites what exists: what some servers make of `If-None-Match`."""

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        super().delete([key])
        return super().create(key, data, durable=durable)


class IgnoresSwap(MemoryBackend):
    """Replaces whatever is there: what some servers make of `If-Match`."""

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        token = super().get(key).token
        assert token is not None
        return super().swap(key, data, token)


class RefusesTooLate(MemoryBackend):
    """Says that it refuses, and writes all the same."""

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        try:
            return super().swap(key, data, expected)
        except Conflict:
            self.delete([key])
            super().create(key, data)
            raise


class LosesRaces(MemoryBackend):
    """Refuses a second create, unless both come at once: a check and a write that are two steps."""

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        if key.endswith("-race"):
            super().delete([key])
        return super().create(key, data, durable=durable)


class RenamesTokens(MemoryBackend):
    """Gives readers another token than writers: what some proxies make of ETags when they compress."""

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        found = super().get(key, start, stop, held=held)
        return replace(found, token=found.token and Token(f"{found.token}-gzip"))


class RefusesAll(MemoryBackend):
    """Refuses every create."""

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        raise AlreadyExists("so it says")


class NoDelete(MemoryBackend):
    """A writer who may not delete."""

    def delete(self, keys: Iterable[str]) -> None:
        raise StoragePermissionError("you may not")


@pytest.mark.parametrize(
    "kind", [IgnoresCreate, IgnoresSwap, RefusesTooLate, LosesRaces, RenamesTokens, RefusesAll]
)
def test_a_storage_without_conditions_is_refused(kind: type[MemoryBackend]) -> None:
    """A storage that ignores a condition gets nothing but the probe, and that is removed; reading still works."""
    place = kind()
    with pytest.raises(UnsafeStorageError, match="conditional writes"):
        Registry(place).save("thing", 5)
    assert snapshot(place) == {}
    assert Registry(place).list_objects() == []


def test_a_good_storage_is_probed_once(tmp_path: Path) -> None:
    """The result is kept in the marker, so that no later process probes; nothing of the probe stays."""
    place = LocalBackend(tmp_path / "place")
    Registry(place).save("thing", 5)
    assert [key for key in snapshot(place) if key.startswith("probe")] == []
    again = RecordingBackend(place)
    Registry(again).save("thing", 6)
    assert not again.log.calls(prefix="probe/")


def test_a_marker_that_others_write_each_time_is_an_error_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever for a storage that gives out a token, and does not know it again."""
    monkeypatch.setattr("casreg.repository.probe.probe", lambda _: None)
    first = MemoryBackend()
    Registry(first).save("thing", 5)
    copy = RenamesTokens()
    for key, data in snapshot(first).items():
        copy.create(key, data)
    with pytest.raises(StorageUnavailableError, match="somebody else's each time"):
        ensure_marker(copy)


def test_a_copy_is_probed_again(tmp_path: Path) -> None:
    """The result holds for the place where it was found: a copy elsewhere is probed, and keeps its id."""
    first, second = MemoryBackend(), MemoryBackend()
    Registry(first).save("thing", 5)
    for key, data in snapshot(first).items():
        second.create(key, data)
    recorded = RecordingBackend(second)
    Registry(recorded).save("thing", 6)
    assert recorded.log.calls(prefix="probe/")
    assert parse_marker(second.get(MARKER).data).is_probed(second.location)
    assert parse_marker(second.get(MARKER).data).id == parse_marker(first.get(MARKER).data).id


def test_a_writer_without_delete_may_write() -> None:
    """Who may not delete can save: the probe's objects stay behind."""
    place = NoDelete()
    registry = Registry(place)
    registry.save("thing", 5)
    assert registry.load("thing") == 5
    probe(place)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", CorruptError),
        (b"{}", CorruptError),
        (dump_marker(new_marker())[:-1], CorruptError),
        (dump_marker(new_marker()).replace(b'"format":1', b'"format":2'), CorruptError),
    ],
)
def test_a_damaged_marker_is_left_alone(text: bytes, error: type[Exception]) -> None:
    """A damaged marker hinders all writers, says where it is, and is not replaced; readers do not read it."""
    place = MemoryBackend()
    Registry(place).save("thing", 5)
    place.delete([MARKER])
    place.create(MARKER, text)
    with pytest.raises(error, match=r"casreg\.json"):
        ensure_marker(place)
    assert place.get(MARKER).data == text
    assert Registry(place).load("thing") == 5


def test_a_newer_repository_is_not_written() -> None:
    """A marker that requires what this casreg does not know: reading works, every kind of write is refused."""
    from dataclasses import replace

    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", 5, tags=["old"])
    registry.save("gone", 5)
    registry.delete("gone")
    marker = parse_marker(place.get(MARKER).data)
    place.delete([MARKER])
    place.create(MARKER, dump_marker(replace(marker, requires=("teleport",))))
    before = snapshot(place)
    newer = Registry(place)
    assert newer.load("thing") == 5
    assert newer.list_objects() == ["thing"]
    edits: list[Callable[[], object]] = [
        lambda: newer.save("thing", 6),
        lambda: newer.save("new", 6),
        lambda: newer.delete("thing"),
        lambda: newer.undelete("gone@1.0.0"),
        lambda: newer.tag("thing", "prod"),
        lambda: newer.untag("thing", "old"),
        lambda: newer.annotate("thing", a=1),
    ]
    for edit in edits:
        with pytest.raises(UnsupportedFormatError, match="teleport"):
            edit()
    assert snapshot(place) == before


def test_racing_openers_agree() -> None:
    """If two make the repository at once, the one who comes second takes the first one's marker."""
    place = MemoryBackend()
    theirs = new_marker()

    class Slow(RecordingBackend):
        def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
            if key == MARKER and not self.log.calls("create", MARKER):
                place.create(MARKER, dump_marker(theirs))
            return super().create(key, data, durable=durable)

    assert ensure_marker(Slow(place)).id == theirs.id
    assert parse_marker(place.get(MARKER).data).is_probed(place.location)


def test_probes_of_many_do_not_meet() -> None:
    """Each probe has keys of its own."""
    place = RecordingBackend(MemoryBackend())
    probe(place)
    probe(place)
    created = [call.key for call in place.log.calls("create") if not call.error]
    assert len(set(created)) == len(created) == 4
    assert all(len(key) > len("probe/") + len(secrets.token_hex(16)) - 1 for key in created)


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER], ids=lambda kind: kind.name)
@pytest.mark.parametrize("moved", [False, True], ids=["new", "moved"])
def test_a_write_whose_answer_is_lost_says_nothing_about_the_storage(kind: FaultKind, moved: bool) -> None:
    """At any write of the probe, and at the marker: it is tried again, and what is there at the end is one marker."""

    def place() -> MemoryBackend:
        made = MemoryBackend()
        if moved:
            made.create(MARKER, dump_marker(new_marker()))
        return made

    def first_write(backend: FaultBackend) -> None:
        marker = ensure_marker(backend)
        assert parse_marker(backend.inner.get(MARKER).data) == marker
        assert marker.is_probed(backend.location)

    assert until_clean(place, first_write, kind, methods=frozenset({"create", "swap"})) >= 10


def test_a_storage_that_fails_is_not_called_unsafe() -> None:
    """What it is, nobody knows: the error is that of the failure, after three tries."""
    failing = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.BEFORE, frozenset({"create"}), times=100)])
    with pytest.raises(StorageUnavailableError):
        ensure_marker(failing)
    assert failing.fired < 30
