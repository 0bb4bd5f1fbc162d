"""Any sequence of saves, deletions, collections and crashed collections, against a model of what must be there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import ObjectNotFoundError, VersionConflictError
from casreg.gc import collect
from casreg.refs import spill
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing.faults import Fault, FaultBackend, FaultKind
from collector.lab import NOW, check, gc, lists, needed, stored
from registry.lab import noise

if TYPE_CHECKING:
    from casreg.gc import Terms

NAMES = st.sampled_from(["a", "b:c", "new"])
VALUES = st.sampled_from([1, "two", noise(300, 3), noise(17_000, 4), noise(17_000, 5), noise(90_000, 6)])
HANDLES = st.sampled_from(["first", "second", "mutable"])
DEATHS = st.sampled_from([FaultKind.BEFORE, FaultKind.AFTER, FaultKind.LATE])
WINDOW = 7 * 86_400.0


class Killed(Exception):  # noqa: N818 - nothing in casreg catches it: the process is gone
    """The collector's process is killed."""


class Garbage(RuleBasedStateMachine):
    """The operations, and what they must leave."""

    @initialize(spilling=st.booleans())
    def begin(self, spilling: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        if spilling:
            self.patch.setattr(spill, "INLINE_LIMIT", 1_500)
            self.patch.setattr(spill, "_LEAST_ROOM", 700)
            self.patch.setattr("casreg.repository.proving.PLACEMENT_LIMIT", 50)
        self.place = MemoryBackend()
        self.handles = {
            "first": Registry(self.place),
            "second": Registry(self.place),
            "mutable": Registry(self.place, mutable=True),
        }
        self.living: dict[str, Any] = {}
        self.dead: dict[str, Any] = {}
        self.lost: set[str] = set()

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    @rule(handle=HANDLES, name=NAMES, value=VALUES)
    def save(self, handle: str, name: str, value: Any) -> None:
        self.living[f"{name}@{self.handles[handle].save(name, value)}"] = value

    @rule(name=NAMES, value=VALUES)
    def overwrite(self, name: str, value: Any) -> None:
        label = f"{name}@1.0.0"
        self.handles["mutable"].save(name, value, version="1.0.0")
        self.living[label] = value
        self.dead.pop(label, None)

    @rule(handle=HANDLES, pick=st.randoms(use_true_random=False))
    def delete(self, handle: str, pick: Any) -> None:
        if self.living:
            label = pick.choice(sorted(self.living))
            self.handles[handle].delete(label)
            self.dead[label] = self.living.pop(label)
            self.lost.discard(label)

    @rule(handle=HANDLES, pick=st.randoms(use_true_random=False))
    def undelete(self, handle: str, pick: Any) -> None:
        if not self.dead:
            return
        label = pick.choice(sorted(self.dead))
        try:
            self.handles[handle].undelete(label)
        except (ObjectNotFoundError, VersionConflictError):
            assert label in self.lost, "its data was not collected, and it cannot be undeleted"
        else:
            self.living[label] = self.dead.pop(label)

    @rule(window=st.sampled_from([0.0, WINDOW]), most=st.sampled_from([1, 3, 100]))
    def collect(self, window: float, most: int) -> None:
        terms = replace(NOW, undelete_window=window, most=most)
        done = gc(self.place, terms)
        assert not done.versions or not window or done.unfinished
        if not window:
            assert set(done.versions) <= self.dead.keys()
            self.lost |= self.dead.keys()
            left = stored(self.place) - needed(self.place)
            assert all(key.startswith("segments/") for key in left), left
        else:
            self._half(terms)

    @rule(window=st.sampled_from([0.0, WINDOW]), at=st.integers(1, 60), kind=DEATHS)
    def collect_and_die(self, window: float, at: int, kind: FaultKind) -> None:
        backend = FaultBackend(self.place, [Fault(at, kind, times=1_000_000, error=Killed)])
        try:
            collect(Repository(backend), replace(NOW, undelete_window=window))
        except Killed:
            backend.deliver()
        if not window:
            self.lost |= self.dead.keys()

    def _half(self, terms: Terms) -> None:
        """Inside their window nothing of deleted versions goes that was there, but a run under way may take it."""
        kept = needed(self.place, tombstones=True)
        assert stored(self.place) - kept - lists(self.place) <= {
            key for key in stored(self.place) if key.startswith("segments/")
        }
        assert terms.undelete_window == WINDOW

    @invariant()
    def all_that_lives_is_there(self) -> None:
        if hasattr(self, "place"):
            check(self.place)

    @invariant()
    def all_that_lives_loads(self) -> None:
        if hasattr(self, "place"):
            registry = Registry(self.place)
            held = registry.list_objects_and_versions()
            assert {f"{name}@{version}" for name in held for version in held[name]} == self.living.keys()
            assert all(registry.load(label) == value for label, value in self.living.items())


TestGarbage = Garbage.TestCase
TestGarbage.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


class MuchGarbage(Garbage):
    """The same, for minutes."""


TestMuchGarbage = pytest.mark.soak(MuchGarbage.TestCase)
TestMuchGarbage.settings = settings(max_examples=500, stateful_step_count=60, deadline=None)
