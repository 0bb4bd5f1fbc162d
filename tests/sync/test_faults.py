"""A request fails, at each place where one can, at either side; and processes that are killed. A second sync ends it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import pytest

from casreg import MemoryBackend, Registry
from casreg.exceptions import CasregError, CommitUnknownError
from casreg.keys import ref_key
from casreg.testing.faults import FaultKind, until_clean
from sync.lab import Far, filled, noise, seen

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.progress import Progress
    from casreg.testing.faults import FaultBackend
    from places import Places


class World(NamedTuple):
    """A source, and a target that was synced from it, after both changed."""

    source: Registry
    target: Registry


def world(make: Callable[[], Backend] = MemoryBackend) -> World:
    """Something of everything is to be done: versions, tags that moved, notes, deletions, one that comes back."""
    source, target = Registry(make(), cache=False), Registry(make(), cache=False)
    source.save("a", noise(1, 3000), tags=["prod", "old"])
    source.save("a", noise(2, 3000), tags=["left"])
    source.save("gone", 1)
    source.save("b", 1, notes={"n": 1})
    target.sync(source)
    source.save("a", noise(3, 3000), tags=["prod"], notes={"k": 1})
    source.save("new", noise(4, 3000), tags=["t"])
    source.annotate("b", n=2)
    source.untag("a", "left")
    source.delete("gone")
    target.delete("a", "1.0.0")
    return World(source, target)


def attempt(target: Registry | Backend, source: Registry | Backend) -> CasregError | None:
    """Sync, as a new process would; gives the error of ours that it raised."""
    one, two = (
        Registry(side.backend if isinstance(side, Registry) else side, cache=False)
        for side in (target, source)
    )
    try:
        done = one.sync(two, delete=True)
    except CasregError as err:
        return err
    return None if done.clean else CasregError(str(done))


@pytest.mark.parametrize("place", [MemoryBackend, Far])
@pytest.mark.parametrize("kind", list(FaultKind), ids=lambda kind: kind.name.lower())
def test_one_request_at_the_target_fails(kind: FaultKind, place: type[MemoryBackend]) -> None:
    """It was synced, or an error says that it was not; a second sync completes it, tags that moved included."""
    worlds: list[World] = []

    def make() -> Backend:
        worlds[:] = [world(place)]
        return worlds[0].target.backend

    def run(backend: FaultBackend) -> None:
        source = worlds[0].source
        failure = attempt(backend, source)
        assert not isinstance(failure, CommitUnknownError), "the storage answers again, so it can be known"
        backend.faults = ()
        assert failure is not None or seen(worlds[0].target) == seen(source)
        backend.deliver()
        # What was half brought is no doing of the target: labels that move on meanwhile are followed all the same.
        source.tag("a", "prod", "1.0.1")
        source.tag("a", "left", "1.0.2")
        source.annotate("b", n=3)
        source.annotate("a", "1.0.2", k=None)
        assert attempt(backend, source) is None
        assert seen(worlds[0].target) == seen(source)
        assert Registry(backend.inner, cache=False).verify(data=True).clean

    assert until_clean(make, run, kind) > 15


@pytest.mark.parametrize("place", [MemoryBackend, Far])
def test_the_first_sync_stops_while_the_source_goes_on(place: type[MemoryBackend]) -> None:
    """Labels that moved after it was planned, and once more after it stopped, are followed by the next."""

    def run(backend: FaultBackend) -> None:
        source = Registry(place(), cache=False)
        for number in range(2):
            source.save("a", number, tags=["prod"], notes={"n": 0})

        def go_on(report: Progress) -> None:
            if report.phase == "survey":
                source.tag("a", "prod", "1.0.0")
                source.annotate("a", n=1)

        with suppress(CasregError):
            Registry(backend, cache=False).sync(source, progress=go_on)
        backend.faults = ()
        source.tag("a", "prod", "1.0.1")
        source.annotate("a", n=2)
        assert attempt(backend, source) is None
        assert seen(Registry(backend.inner, cache=False)) == seen(source)

    assert until_clean(place, run, FaultKind.BEFORE) > 15


@pytest.mark.parametrize("place", [MemoryBackend, Far])
def test_one_request_at_the_source_fails(place: type[MemoryBackend]) -> None:
    """As above; and nothing is deleted at the target because the source could not be read."""
    worlds: list[World] = []

    def make() -> Backend:
        worlds[:] = [world(place)]
        return worlds[0].source.backend

    def run(backend: FaultBackend) -> None:
        target, source = worlds[0].target, worlds[0].source
        failure = attempt(target, backend)
        assert failure is not None or seen(target) == seen(source)
        assert target.has_object("a@1.0.1")
        assert target.has_object("b@1.0.0")
        assert {call.method for call in backend.calls} <= {"get", "list"}
        backend.faults = ()
        assert attempt(target, backend) is None
        assert seen(target) == seen(source)

    assert until_clean(make, run, FaultKind.BEFORE) > 7


def test_the_first_error_is_the_one_that_is_raised() -> None:
    """Of names that are brought side by side one fails: the others end, and its error is the caller's."""
    source, target = Registry(Far(), cache=False), Registry(Far(), cache=False)
    for number in range(20):
        source.save(f"name:{number}", noise(number, 1000))

    def progress(report: object) -> None:
        if getattr(report, "phase", "") == "copy" and getattr(report, "done", 0) > 5000:
            raise KeyError("on purpose")

    with pytest.raises(KeyError, match="on purpose"):
        target.sync(source, progress=progress)
    assert target.sync(source).clean
    assert seen(target) == seen(source)


SYNC = """
import sys
from casreg import Registry

target, source = Registry(sys.argv[2]), Registry(sys.argv[1])
print("ready", flush=True)
assert target.sync(source, delete=True).clean
print("done", flush=True)
"""


def _killed(folder: Path, place: Backend, times: int) -> None:
    source, draw = filled(str(folder / "source"), size=3_000_000), random.Random(folder.name)
    target = Registry(place, cache=False)
    killed = turn = 0
    longest = 1.0
    while killed < times:
        turn += 1
        if turn % 3 == 1:
            source.save("my:data", draw.randbytes(1_000_000), tags=["prod", f"t{turn % 2}"])
            source.save(f"name:{turn}", draw.randbytes(300_000), notes={"turn": turn}, tags=["prod"])
            source.annotate("small", turn=turn)
            if turn > 1:
                source.delete(f"name:{turn - 3}")
        arguments = [sys.executable, "-c", SYNC, str(folder / "source"), place.location]
        with subprocess.Popen(arguments, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            began = time.monotonic()
            try:
                process.wait(draw.uniform(0, longest))
                longest = max(0.05, time.monotonic() - began)  # it was done: shorter the next time
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        assert target.verify().clean or not target.list_objects()
    done = target.sync(source, delete=True)
    assert done.clean
    assert seen(target) == seen(source)
    assert target.verify(data=True).clean
    assert target.sync(source).copied == ()


def test_killed_at_any_moment(tmp_path: Path, shared_places: Places) -> None:
    """Whatever is at the target is whole, and the next sync goes on: at its end both are equal."""
    _killed(tmp_path, shared_places.new(), 3)


@pytest.mark.soak
def test_killed_at_any_moment_many_times(tmp_path: Path, shared_places: Places) -> None:
    """The same, 50 times."""
    _killed(tmp_path, shared_places.new(), 50)


def test_a_damaged_ref_that_came_meanwhile_keeps_back_no_other_name() -> None:
    """It is begun together with others, which are begun alone then."""
    source, target = Registry(Far(), cache=False), Registry(Far(), cache=False)
    for number in range(40):
        source.save(f"name:{number}", number)

    def come(report: Progress) -> None:
        if report.phase == "survey" and report.done == report.total:
            target.backend.create(ref_key("name:5"), b"{}")

    done = target.sync(source, progress=come)

    assert [(one.kind, one.about) for one in done.failed] == [("unreadable", "name:5")]
    assert len(done.copied) == 39
