"""Processes that save and delete as fast as they can, while others collect and compact without end and are killed at it."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from casreg.registry import Registry
from collector.lab import gc, needed, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from casreg.backends.base import Backend
    from places import Places

PAYLOAD = """
import random

def payload(index):
    draw = random.Random(index)
    return draw.randbytes(draw.choice([100, 5_000, 30_000, 150_000, 400_000]))
"""

WRITER = (
    PAYLOAD
    + """
import sys, time
from casreg import Registry

place, seed, rounds, seconds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
draw, registry, mine = random.Random(1000 + seed), Registry(place), []
end = time.monotonic() + seconds
turn = 0
while turn < rounds or time.monotonic() < end:
    turn += 1
    index = draw.randrange(16)
    name = draw.choice(['shared', f'own:{seed}', f'new:{seed}:{turn}'])
    version = registry.save(name, payload(index))
    print('+', f'{name}@{version}', index, flush=True)
    mine.append(f'{name}@{version}')
    if len(mine) > 2:
        gone = mine.pop(draw.randrange(len(mine)))
        print('-', gone, 0, flush=True)
        registry.delete(gone)
        if turn % 5 == 0:
            try:
                registry.undelete(gone)
            except LookupError:
                pass  # it was collected in that moment
            else:
                mine.append(gone)
                print('*', gone, 0, flush=True)
"""
)

COLLECTOR = """
import sys, threading
from casreg import Registry

stopped = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), stopped.set()), daemon=True).start()
registry, turn = Registry(sys.argv[1]), int(sys.argv[2])
while not stopped.is_set():
    turn += 1
    done = registry.gc(min_age=0, undelete_window=0, compact=turn % 2 == 0)
    print(len(done.runs), done.freed, done.compaction.packs if done.compaction else 0, flush=True)
"""


@dataclass
class Told:
    """What writers were told."""

    saved: dict[str, int] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    counts: list[int] = field(default_factory=list)

    def read(self, lines: Sequence[str]) -> None:
        """One writer's account."""
        self.counts.append(sum(line.startswith("+") for line in lines))
        for sign, label, index in (line.split() for line in lines):
            if sign == "+":
                self.saved[label] = int(index)
            elif sign == "-":
                self.deleted.add(label)
            else:
                self.deleted.discard(label)


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A process."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> list[str]:
    """What a process said, after it ended well."""
    said, failed = process.communicate(timeout=300)
    assert process.returncode == 0, failed
    return said.splitlines()


def run(place: Backend, writers: int, rounds: int, seconds: float, *, kill: bool) -> tuple[Told, list[str]]:
    """Let writers work beside two collectors, who compact every second time. What all of them were told."""
    Registry(place).init()
    at_work = [start(WRITER, place.location, str(seed), str(rounds), str(seconds)) for seed in range(writers)]
    collectors = [start(COLLECTOR, place.location, str(turn)) for turn in range(2)]
    told, said, draw = Told(), [], random.Random(writers)
    end = time.monotonic() + seconds
    while kill and time.monotonic() < end:
        time.sleep(draw.uniform(0.3, 2.0))
        victim = collectors.pop(0)
        victim.send_signal(signal.SIGKILL)
        victim.communicate()
        collectors.append(start(COLLECTOR, place.location, str(draw.randrange(2))))
    for writer in at_work:
        told.read(ended(writer))
    for collector in collectors:
        said += ended(collector)
    return told, said


def check(place: Backend, told: Told, payload: dict[int, bytes]) -> None:
    """Every version that was returned and not deleted loads; all is whole; what nobody needs goes."""
    registry = Registry(place)
    assert registry.verify(data=True).clean
    for label, index in told.saved.items():
        if label not in told.deleted:
            assert registry.load(label) == payload[index], label
    gc(place)
    assert all(key.startswith("segments/") for key in stored(place) - needed(place))
    assert registry.verify(data=True).clean


def payloads() -> dict[int, bytes]:
    """What writers save."""
    scope: dict[str, object] = {}
    exec(PAYLOAD, scope)
    make = scope["payload"]
    assert callable(make)
    return {index: make(index) for index in range(16)}


def test_savers_and_collectors(places_of: Callable[[str], Places]) -> None:
    """Two savers and two collectors in processes of their own."""
    place = places_of("local").new()
    told, said = run(place, 2, 8, 0, kill=False)
    assert len(told.saved) == 16
    assert said
    check(place, told, payloads())


@pytest.mark.soak
def test_many_savers_for_a_minute(shared_places: Places) -> None:
    """Eight savers, and two collectors that are killed again and again: each saver gets twenty saves done."""
    place = shared_places.new()
    told, _ = run(place, 8, 20, 60, kill=True)
    assert min(told.counts) >= 20
    check(place, told, payloads())
