"""A long save that was killed, and the same save again: what had been pinned does not go up twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.head import KEPT_VERDICTS
from engine.test_stale import check
from registry.lab import noise
from uploads.killed import SEED, SIZE, content
from uploads.lab import (
    NOW,
    PACK,
    Slow,
    gc,
    packs_at,
    pinned,
    slow_registry,
    stopped_save,
    upload_refs,
)

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from places import Places

PACKS = 18


def _kill(places: Places, place: Backend) -> None:
    """Let a process begin the save, and die when so many packs have landed."""
    if places.kind == "memory":
        stopped_save(place, content(), packs=PACKS)
        return
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "uploads.killed", place.location, str(PACKS)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        timeout=120,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="processes cannot be killed so here")
@pytest.mark.parametrize("slowly", [False, True], ids=["short", "long"])
def test_a_save_that_was_killed_goes_on(places: Places, *, slowly: bool) -> None:
    """After a collection that takes all it may: only the rest goes up, whether that takes long or not."""
    place = places.new()
    _kill(places, place)
    held = pinned(place)
    assert len(held) == PACKS
    sizes = {info.key: info.size for info in place.list("packs/")}
    gc(place)
    assert packs_at(place) == held
    slow = Slow(place)
    registry = slow_registry(slow) if slowly else Registry(slow)
    registry.save("large", content())
    rest = SIZE - sum(sizes[key] for key in held)
    assert 0 < rest < SIZE / 2
    assert rest < slow.sent < rest * 1.02 + 10_000
    assert held < packs_at(place)
    assert registry.load("large") == content()
    check(place)
    gc(place)
    assert registry.load("large") == content()


def test_what_was_not_pinned_is_taken() -> None:
    """A save that is killed in its first ten minutes leaves nothing but garbage, and no hidden ref."""
    place = MemoryBackend()
    stopped_save(place, content(), packs=8)
    assert upload_refs(place) == {}
    assert gc(place).files["packs"] == 8
    assert packs_at(place) == set()


def test_killed_again_and_again() -> None:
    """Each time ten packs are sent before the save is long, and then some are pinned: it comes to its end."""
    place = MemoryBackend()
    data, sent, killed = noise(6_000_000, 7), 0, 0
    for _ in range(20):
        before = len(pinned(place))
        try:
            slow = stopped_save(place, data, packs=15)
        except AssertionError:  # it was not stopped any more
            break
        killed += 1
        sent += slow.sent
        assert len(pinned(place)) > before
        gc(place)
    assert 3 <= killed < 7
    assert Registry(place).load("large") == data
    assert sent < len(data) * 1.02
    check(place)


def test_another_name_goes_on_with_it_too() -> None:
    """Chunks are found by what they are."""
    place = MemoryBackend()
    stopped_save(place, content(), packs=PACKS)
    slow = Slow(place)
    Registry(slow).save("other", content())
    assert slow.sent < SIZE / 2
    assert Registry(place).load("other") == content()


def test_a_save_that_fails_keeps_its_pin() -> None:
    """An error ends it, and trying again uploads the rest only."""
    place = MemoryBackend()
    slow = Slow(place)

    def fail(number: int) -> None:
        if number == PACKS:
            raise PermissionError

    slow.before = fail
    with pytest.raises(PermissionError):
        slow_registry(slow).save("large", content())
    assert len(pinned(place)) == PACKS
    sent = slow.sent
    slow.before = lambda _number: None
    slow_registry(slow).save("large", content())
    assert slow.sent < SIZE * 1.01
    assert sent > SIZE / 2


def test_what_was_given_up_goes_up_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The index speaks of it still: each pack is asked for once, not once for each of its chunks."""
    place = MemoryBackend()
    monkeypatch.setattr("casreg.packs.PACK_LIMIT", 4 * PACK)
    data = noise(3 * SIZE, SEED)
    stopped_save(place, data, packs=14)
    held = packs_at(place)
    gc(place, replace(NOW, clock=lambda: 0.0))
    assert packs_at(place) == set()
    for number in range(KEPT_VERDICTS):  # until the head has forgotten what was deleted
        registry = Registry(place)
        registry.save("other", noise(20_000, number))
        registry.delete("other")
        gc(place)
    slow = Slow(place)
    Registry(slow).save("large", data)
    assert len(data) < slow.sent < len(data) * 1.01
    assert not held & packs_at(place)
    gone = [call.key for call in slow.log.calls("get", "packs/") if call.error == "NotFound"]
    assert sorted(gone) == sorted(held)
