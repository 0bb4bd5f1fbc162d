"""A request fails, at each place where one can: afterwards the old or the new state, and trying again works."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    AlreadyExists,
    CasregError,
    CommitUnknownError,
    Conflict,
    NotFound,
    ObjectNotFoundError,
    StorageFullError,
    UnsafeStorageError,
    VersionConflictError,
)
from casreg.keys import MARKER
from casreg.marker import PROBE_OK, Probe, dump_marker, parse_marker
from casreg.registry import Registry
from casreg.testing.faults import Fault, FaultBackend, FaultKind, until_clean
from registry.lab import noise, snapshot, text

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend

BIG = noise(150_000, 1) + text(150_000, 2)
OTHER = text(90_000, 3)


@dataclass(frozen=True)
class Scenario:
    """One operation.

    Attributes:
        act: The operation.
        mutable: Whether the Registry is.
        again: What doing it once more raises when it was done; None if it can be done again.
    """

    act: Callable[[Registry], object]
    mutable: bool = False
    again: type[Exception] | None = None


SCENARIOS = {
    "save-new-small": Scenario(lambda r: r.save("new", {"a": 1}, tags=["prod"])),
    "save-new-big": Scenario(lambda r: r.save("new", BIG, tags=["prod"])),
    "save-existing": Scenario(lambda r: r.save("thing", BIG + OTHER)),
    "save-duplicate": Scenario(lambda r: r.save("copy", OTHER)),
    "save-explicit": Scenario(lambda r: r.save("thing", BIG, version="5.0.0")),
    "overwrite": Scenario(lambda r: r.save("thing", BIG, version="1.0.0"), mutable=True),
    "delete-one": Scenario(lambda r: r.delete("thing@1.0.0"), again=ObjectNotFoundError),
    "delete-all": Scenario(lambda r: r.delete("thing"), again=ObjectNotFoundError),
    "undelete": Scenario(lambda r: r.undelete("gone@1.0.0"), again=VersionConflictError),
    "tag": Scenario(lambda r: r.tag("thing", "prod", "1.0.0")),
    "untag": Scenario(lambda r: r.untag("thing", "old"), again=ObjectNotFoundError),
    "annotate": Scenario(lambda r: r.annotate("thing", quality=5)),
}


def _filled() -> MemoryBackend:
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", OTHER, tags=["old"])
    registry.save("thing", [1, 2], tags=["prod"])
    registry.save("gone", BIG[:50_000])
    registry.delete("gone")
    return place


FILLED = snapshot(_filled())


def _copy(files: dict[str, bytes] = FILLED) -> MemoryBackend:
    place = MemoryBackend()
    for key, data in files.items():
        if key == MARKER:  # as if it had always been here: the probe has a test of its own
            data = dump_marker(replace(parse_marker(data), probe=Probe(place.location, PROBE_OK)))  # noqa: PLW2901
        place.create(key, data)
    return place


def state_of(backend: Backend) -> dict[str, Any]:
    """All that a user can see: names, versions, objects, tags, notes. Whatever is listed has to load."""
    registry = Registry(backend)
    seen: dict[str, Any] = {}
    for name in registry.list_objects():
        for version in registry.list_versions(name):
            info = registry.info(name, version)
            seen[f"{name}@{version}"] = (registry.load(name, version), info["tags"], info["notes"])
    return seen


def _attempt(registry: Registry, scenario: Scenario) -> CasregError | None:
    try:
        scenario.act(registry)
    except CasregError as err:
        return err
    return None


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize("label", SCENARIOS)
def test_one_request_fails(label: str, kind: FaultKind) -> None:
    """The k-th request is lost, its answer is lost, it is sent twice, or it arrives late, for every k.

    If the operation succeeds its state is the new one, else the old one; errors are of our tree; doing it again works.
    """
    scenario = SCENARIOS[label]
    old = state_of(_copy())
    clean = _copy()
    assert _attempt(Registry(clean, mutable=scenario.mutable), scenario) is None
    new = state_of(clean)
    assert new != old

    def run(backend: FaultBackend) -> None:
        registry = Registry(backend, mutable=scenario.mutable)
        failure = _attempt(registry, scenario)
        backend.faults = ()
        assert not isinstance(failure, CommitUnknownError), "the storage answers again, so it can be known"
        # Answers of a backend are for those who asked it, not for the user.
        assert not isinstance(failure, (NotFound, AlreadyExists, Conflict))
        expected = new if failure is None else old
        assert state_of(backend.inner) == expected
        backend.deliver()
        assert state_of(backend.inner) == expected
        again = _attempt(registry, scenario)
        if failure is not None:
            assert again is None
            assert state_of(backend.inner) == new
        elif scenario.again:
            assert isinstance(again, scenario.again)
        else:
            assert again is None

    assert until_clean(_copy, run, kind) >= 2


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name.lower())
def test_one_request_of_the_first_save_fails(kind: FaultKind) -> None:
    """Making a repository survives each fault too: it is there or not, the save is done or not, and again works."""

    def run(backend: FaultBackend) -> None:
        registry = Registry(backend)
        scenario = SCENARIOS["save-new-big"]
        failure = _attempt(registry, scenario)
        backend.faults = ()
        assert not isinstance(failure, (NotFound, AlreadyExists, Conflict, UnsafeStorageError))
        backend.deliver()
        assert set(state_of(backend.inner)) == (set() if failure else {"new@1.0.0"})
        assert _attempt(registry, scenario) is None
        assert state_of(backend.inner)["new@1.0.0"][0] == BIG
        ids = {Registry(backend.inner)._repository.marker().id, registry._repository.marker().id}
        assert len(ids) == 1

    assert until_clean(MemoryBackend, run, kind) >= 10


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("label", ["save-existing", "delete-one", "overwrite"])
def test_the_storage_dies_and_comes_back(label: str) -> None:
    """From the k-th request on nothing answers: old or new state, only an unknown commit may be either.

    When the storage answers again, so does the same Registry.
    """
    scenario = SCENARIOS[label]
    old = state_of(_copy())
    for at in range(1, 30):
        backend = FaultBackend(_copy(), [Fault(at, FaultKind.BEFORE, times=10_000)])
        registry = Registry(backend, mutable=scenario.mutable)
        failure = _attempt(registry, scenario)
        fired, backend.faults = backend.fired, ()
        if not fired:
            return
        if failure is not None:
            assert state_of(backend.inner) == old
            assert _attempt(registry, scenario) is None
    pytest.fail("it takes more than 30 requests")


@pytest.mark.parametrize("method", ["create", "swap"])
def test_a_full_storage_loses_nothing(method: str) -> None:
    """A storage that is full refuses each write in turn: the error says so, the old state stays, later it works."""
    scenario = SCENARIOS["save-existing"]
    old = state_of(_copy())
    for at in range(1, 10):
        backend = FaultBackend(
            _copy(),
            [Fault(at, FaultKind.BEFORE, frozenset({method}), times=100, error=StorageFullError)],
        )
        registry = Registry(backend)
        failure = _attempt(registry, scenario)
        if not backend.fired:
            assert at > 1
            return
        backend.faults = ()
        if failure is None:
            continue  # the index could not be brought up to date, which the user need not know
        assert isinstance(failure, StorageFullError)
        assert state_of(backend.inner) == old
        assert _attempt(registry, scenario) is None
    pytest.fail("it takes more than 10 writes")


@pytest.mark.usefixtures("no_waits")
def test_a_lost_answer_of_a_commit_that_cannot_be_read_back() -> None:
    """If the answer of the commit is lost and nothing can be read back, the error says so and carries the write."""
    backend = FaultBackend(
        _copy(),
        [
            Fault(1, FaultKind.AFTER, frozenset({"swap"}), "refs/"),
            Fault(2, FaultKind.BEFORE, frozenset({"get"}), "refs/", times=100),
        ],
    )
    with pytest.raises(CommitUnknownError) as caught:
        Registry(backend).save("thing", 5)
    assert len(caught.value.write) == 32
    # It did happen.
    assert Registry(backend.inner).list_versions("thing") == ["1.0.0", "1.0.1", "1.0.2"]


def test_a_failing_index_is_not_the_users_trouble() -> None:
    """All that concerns the index fails: saves and loads work, and only duplicates of other names are missed."""
    backend = FaultBackend(_copy(), [Fault(1, FaultKind.BEFORE, prefix="index/", times=10_000)])
    registry = Registry(backend)
    assert registry.save("copy", OTHER) == "1.0.0"
    assert registry.save("thing", BIG) == "1.0.2"
    assert registry.load("copy") == OTHER
    assert registry.load("thing") == BIG
