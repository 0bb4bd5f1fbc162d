"""How much of a version is in memory while it is copied: a little, however large it is and however slow the target."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from casreg import packs
from casreg.backends.memory import MemoryBackend
from casreg.ingest import assembly, packing
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend
from registry.lab import noise
from transfer.lab import view

if TYPE_CHECKING:
    import pytest
    from typing_extensions import Buffer

    from casreg.backends.base import Token

PACK = 256 * 1024
RUN = 300 * 1024
AHEAD = 8
"""Requests that a copy may have under way or waiting."""


class Stopped(MemoryBackend):
    """Takes no pack before it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting = 0
        self.lock = threading.Lock()
        self.full = threading.Event()
        self.go = threading.Event()

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """As the parent's, later."""
        if key.startswith("packs/"):
            with self.lock:
                self.waiting += 1
                if self.waiting == packing.MAX_IN_FLIGHT:
                    self.full.set()
            assert self.go.wait(30)
        return super().create(key, data, durable=durable)


def test_reading_waits_for_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The target stands still: no more is read than fits into the packs under way and the reads ahead."""
    for module in (packs, packing):
        monkeypatch.setattr(module, "PACK_LIMIT", PACK)
    monkeypatch.setattr(assembly, "RUN_BYTES", RUN)
    inner, target = MemoryBackend(), Stopped()
    Registry(inner).save("big", noise(12_000_000))
    source = RecordingBackend(inner)
    copying = threading.Thread(target=lambda: Registry(target).download(Registry(source), "big"))
    copying.start()
    assert target.full.wait(30)
    read, before = -1, -2
    while read != before:  # it may still read ahead, a little
        time.sleep(0.2)
        read, before = sum(call.bytes_out for call in source.log.calls("get", "packs/")), read
    bound = (packing.MAX_IN_FLIGHT + 1) * PACK + (AHEAD + 2) * RUN
    target.go.set()
    copying.join(30)
    assert 0 < read < bound < 6_000_000
    assert view(target) == view(inner)
