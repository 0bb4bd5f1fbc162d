"""A request fails, at each place where one can, at the source or at the target of a copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    AlreadyExists,
    CasregError,
    CommitUnknownError,
    Conflict,
    NotFound,
    StorageFullError,
)
from casreg.registry import Registry
from casreg.testing.faults import Fault, FaultBackend, FaultKind, until_clean
from registry.lab import noise, snapshot, text
from transfer.lab import check, place_of, view

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BIG = noise(150_000, 1) + text(1_500_000, 2)


def _source(folder: Path) -> dict[str, bytes]:
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("small", {"a": 1}, tags=["prod"])
    registry.save("big", BIG)
    registry.save("big", BIG + noise(50_000, 3), tags=["prod"])
    folder.mkdir()
    for number in range(40):
        (folder / str(number)).write_bytes(noise(900, number))
    registry.save("tree", folder)
    return snapshot(place)


def _target() -> dict[str, bytes]:
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("mine", noise(60_000, 9))
    registry.save("big", BIG[:700_000], version="0.1.0")
    return snapshot(place)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a place with a small value, two versions of a big one, and a tree."""
    return _source(tmp_path_factory.mktemp("faults") / "tree")


@pytest.fixture(scope="module")
def target() -> dict[str, bytes]:
    """The files of a place that has some of the chunks."""
    return _target()


ACTS: dict[str, Callable[[Registry, Registry], Any]] = {
    "small": lambda target, source: target.download(source, "small"),
    "big": lambda target, source: target.download(source, "big"),
    "tree": lambda target, source: target.download(source, "tree"),
    "all": lambda target, source: target.update(source),
}


def attempt(act: Callable[[Registry, Registry], Any], target: Any, source: Any) -> CasregError | None:
    """Do it; gives the error of ours that it raised."""
    try:
        act(Registry(target), Registry(source))
    except CasregError as err:
        return err
    return None


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize("label", ACTS)
def test_one_request_at_the_source_fails(
    label: str, kind: FaultKind, source: dict[str, bytes], target: dict[str, bytes]
) -> None:
    """It was copied, or nothing wrong is there; what is listed is whole, and copying again completes it.

    The source is only ever read: not one of its bytes changes.
    """
    act = ACTS[label]
    clean = place_of(target)
    assert attempt(act, clean, place_of(source)) is None
    new = view(clean)

    def run(backend: FaultBackend) -> None:
        place = place_of(target)
        failure = attempt(act, place, backend)
        seen = view(place)
        assert seen.items() <= new.items()
        assert failure is not None or seen == new
        assert all(call.method in ("get", "list") for call in backend.calls)
        backend.faults = ()
        assert attempt(act, place, backend) is None
        assert view(place) == new

    assert until_clean(lambda: place_of(source), run, kind) >= 2


@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name.lower())
@pytest.mark.parametrize("label", ACTS)
def test_one_request_at_the_target_fails(
    label: str, kind: FaultKind, source: dict[str, bytes], target: dict[str, bytes]
) -> None:
    """As above; and what arrives late or twice does no harm."""
    act = ACTS[label]
    clean = place_of(target)
    assert attempt(act, clean, place_of(source)) is None
    old, new = view(place_of(target)), view(clean)
    whole = place_of(source)

    def run(backend: FaultBackend) -> None:
        failure = attempt(act, backend, whole)
        assert not isinstance(failure, CommitUnknownError), "the storage answers again, so it can be known"
        assert not isinstance(failure, (NotFound, AlreadyExists, Conflict))
        backend.faults = ()
        for _ in range(2):
            seen = view(backend.inner)
            assert old.items() <= seen.items() <= new.items()
            assert failure is not None or seen == new
            backend.deliver()
        assert attempt(act, backend, whole) is None
        assert view(backend.inner) == new
        check(backend.inner)

    assert until_clean(lambda: place_of(target), run, kind) >= 4


@pytest.mark.usefixtures("no_waits")
@pytest.mark.parametrize("side", ["source", "target"])
def test_a_storage_that_dies_and_comes_back(
    side: str, source: dict[str, bytes], target: dict[str, bytes]
) -> None:
    """From the k-th request on nothing answers: old or new state, and later it goes on."""
    for at in range(1, 100):
        fault = [Fault(at, FaultKind.BEFORE, times=10_000)]
        dying = FaultBackend(place_of(source if side == "source" else target), fault)
        ours, theirs = (place_of(target), dying) if side == "source" else (dying, place_of(source))
        failure = attempt(ACTS["big"], ours, theirs)
        fired, dying.faults = dying.fired, ()
        if not fired:
            assert at > 4
            return
        assert failure is not None or side == "target"  # the index may fail silently
        assert attempt(ACTS["big"], ours, theirs) is None
        check(dying.inner if side == "target" else ours)
    pytest.fail("it takes more than 100 requests")


def test_a_full_target(source: dict[str, bytes], target: dict[str, bytes]) -> None:
    """Each write in turn is refused: the error says so, what was there stays, and later it works."""
    old = view(place_of(target))
    for at in range(1, 20):
        backend = FaultBackend(
            place_of(target),
            [Fault(at, FaultKind.BEFORE, frozenset({"create"}), times=100, error=StorageFullError)],
        )
        failure = attempt(ACTS["big"], backend, place_of(source))
        if not backend.fired:
            assert at > 2
            return
        backend.faults = ()
        if failure is not None:
            assert isinstance(failure, StorageFullError)
            assert view(backend.inner) == old
        assert attempt(ACTS["big"], backend, place_of(source)) is None
    pytest.fail("it takes more than 20 writes")


@pytest.mark.usefixtures("no_waits")
def test_a_lost_answer_that_cannot_be_read_back(source: dict[str, bytes]) -> None:
    """The commit's answer is lost and nothing can be read: the error says so; copying again finds what happened."""
    backend = FaultBackend(
        place_of(source),
        [
            Fault(1, FaultKind.AFTER, frozenset({"swap"}), "refs/other"),
            Fault(4, FaultKind.BEFORE, frozenset({"get"}), "refs/other", times=100),
        ],
    )
    place = place_of(source)
    with pytest.raises(CommitUnknownError):
        Registry(backend).download(Registry(place), "big", target_name="other")
    backend.faults = ()
    assert Registry(backend).download(Registry(place), "big", target_name="other") == "1.0.1"
    check(backend.inner)
