"""What tests of the Store stand on: registries in memory, and some that answer nothing."""

from __future__ import annotations

from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing import Fault, FaultBackend, FaultKind

ALWAYS = 10**9


def dead(inner: Registry | None = None) -> Registry:
    """A registry whose storage cannot be reached."""
    backend = MemoryBackend() if inner is None else inner.backend
    return Registry(FaultBackend(backend, [Fault(1, FaultKind.BEFORE, times=ALWAYS)]))


def holding(**objects: object) -> Registry:
    """A registry in memory with these objects, each a version of its name."""
    registry = Registry(MemoryBackend())
    for name, obj in objects.items():
        registry.save(name, obj)
    return registry
