"""A Registry against a model of a few lines: any sequence of operations, by any of several handles."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import ObjectNotFoundError, VersionConflictError
from casreg.refs import spill
from casreg.registry import Registry
from casreg.versions import Version, next_after, parse_version
from registry.lab import noise

NAMES = st.sampled_from(["a", "b:c"])
VERSIONS = st.sampled_from(["1.0.0", "1.0.1", "1.1.0", "2.0.0-rc.1", "2.0.0", "0.1.0"])
VALUES = st.sampled_from([1, "two", noise(300, 3), noise(17_000, 4), noise(17_000, 5)])
TAGS = st.sampled_from(["prod", "best"])
HANDLES = st.sampled_from(["plain", "other", "mutable", "single"])


@dataclass
class Living:
    """A version that lives."""

    value: Any
    notes: dict[str, Any] = field(default_factory=dict)


@dataclass
class Name:
    """What the model knows of a name."""

    living: dict[Version, Living] = field(default_factory=dict)
    dead: dict[Version, list[Living]] = field(default_factory=dict)
    tags: dict[str, Version] = field(default_factory=dict)

    @property
    def used(self) -> set[Version]:
        """Every number that was ever given."""
        return {*self.living, *self.dead}

    def next(self) -> Version:
        """The number of the next save."""
        version = next_after(max(self.living or self.used, default=None))
        while version in self.used:
            version = next_after(version)
        return version

    def bury(self, version: Version) -> None:
        """A version dies; its tags go."""
        self.dead.setdefault(version, []).append(self.living.pop(version))
        self.tags = {tag: target for tag, target in self.tags.items() if target != version}


class Model(RuleBasedStateMachine):
    """The operations, done to both."""

    @initialize(spilling=st.booleans())
    def begin(self, spilling: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        if spilling:
            self.patch.setattr(spill, "INLINE_LIMIT", 1_500)
            self.patch.setattr(spill, "_LEAST_ROOM", 700)
        place = MemoryBackend()
        self.handles = {
            "plain": Registry(place),
            "other": Registry(place),
            "mutable": Registry(place, mutable=True),
            "single": Registry(place, version_objects=False),
        }
        self.names: dict[str, Name] = {}

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    def known(self, name: str) -> Name:
        return self.names.setdefault(name, Name())

    @rule(handle=HANDLES, name=NAMES, value=VALUES, tags=st.lists(TAGS, max_size=1))
    def save(self, handle: str, name: str, value: Any, tags: list[str]) -> None:
        known = self.known(name)
        version = Version(1, 0, 0) if handle == "single" else known.next()
        assert self.handles[handle].save(name, value, tags=tags) == str(version)
        self._saved(known, handle, version, value, tags)

    @rule(handle=HANDLES, name=NAMES, version=VERSIONS, value=VALUES, tags=st.lists(TAGS, max_size=1))
    def save_as(self, handle: str, name: str, version: str, value: Any, tags: list[str]) -> None:
        known, chosen = self.known(name), parse_version(version)
        registry = self.handles[handle]
        if handle in {"plain", "other"} and self._taken(known, chosen, value):
            with pytest.raises(VersionConflictError, match=version):
                registry.save(name, value, version=version, tags=tags)
            return
        assert registry.save(f"{name}@{version}", value, tags=tags) == version
        self._saved(known, handle, chosen, value, tags)

    @staticmethod
    def _taken(known: Name, version: Version, value: Any) -> bool:
        if version in known.living:
            return bool(known.living[version].value != value)
        return bool(version in known.dead and known.dead[version][-1].value != value)

    @staticmethod
    def _saved(known: Name, handle: str, version: Version, value: Any, tags: list[str]) -> None:
        if handle == "single":
            for other in set(known.living) - {version}:
                known.bury(other)
        before = known.living.get(version)
        if before is None or before.value != value:
            if before is not None:
                known.dead.setdefault(version, []).append(before)
            known.living[version] = Living(value)
        known.tags.update(dict.fromkeys(tags, version))

    @rule(handle=HANDLES, name=NAMES, version=VERSIONS)
    def delete(self, handle: str, name: str, version: str) -> None:
        known, chosen = self.known(name), parse_version(version)
        if chosen not in known.living:
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].delete(name, version)
            return
        assert self.handles[handle].delete(name, version) == [version]
        known.bury(chosen)

    @rule(handle=HANDLES, name=NAMES)
    def delete_all(self, handle: str, name: str) -> None:
        known = self.known(name)
        if not known.living:
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].delete(name)
            return
        assert self.handles[handle].delete(name) == [str(one) for one in sorted(known.living)]
        for version in list(known.living):
            known.bury(version)

    @rule(handle=HANDLES, name=NAMES, version=VERSIONS)
    def undelete(self, handle: str, name: str, version: str) -> None:
        known, chosen = self.known(name), parse_version(version)
        if chosen in known.living:
            with pytest.raises(VersionConflictError):
                self.handles[handle].undelete(name, version)
        elif not known.dead.get(chosen):
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].undelete(name, version)
        else:
            assert self.handles[handle].undelete(name, version) == version
            known.living[chosen] = known.dead[chosen].pop()

    @rule(handle=HANDLES, name=NAMES, tag=TAGS, version=VERSIONS)
    def tag(self, handle: str, name: str, tag: str, version: str) -> None:
        known, chosen = self.known(name), parse_version(version)
        if chosen not in known.living:
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].tag(name, tag, version)
            return
        assert self.handles[handle].tag(name, tag, version) == version
        known.tags[tag] = chosen

    @rule(handle=HANDLES, name=NAMES, tag=TAGS)
    def untag(self, handle: str, name: str, tag: str) -> None:
        known = self.known(name)
        if tag not in known.tags:
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].untag(name, tag)
            return
        self.handles[handle].untag(name, tag)
        del known.tags[tag]

    @rule(handle=HANDLES, name=NAMES, version=VERSIONS, note=st.sampled_from([1, "x", None]))
    def annotate(self, handle: str, name: str, version: str, note: Any) -> None:
        known, chosen = self.known(name), parse_version(version)
        if chosen not in known.living:
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].annotate(name, version, note=note)
            return
        living = known.living[chosen]
        living.notes = {} if note is None else {"note": note}
        assert self.handles[handle].annotate(name, version, note=note) == living.notes

    @rule(
        handle=HANDLES,
        name=NAMES,
        chosen=st.sampled_from([None, "latest", "^1", ">=1.0,<2", "~0.1", "prod", "best"]),
    )
    def load(self, handle: str, name: str, chosen: str | None) -> None:
        known = self.known(name)
        plain = [version for version in known.living if not version.pre]
        meant = {
            None: max(known.living, default=None),
            "latest": max(known.living, default=None),
            "^1": max((one for one in plain if one.numbers[0] == 1), default=None),
            ">=1.0,<2": max((one for one in plain if one.numbers[0] == 1), default=None),
            "~0.1": max((one for one in plain if one.numbers[:2] == (0, 1)), default=None),
            "prod": known.tags.get("prod"),
            "best": known.tags.get("best"),
        }[chosen]
        registry = self.handles[handle]
        assert registry.has_object(name, chosen) == (meant is not None)
        if meant is None:
            with pytest.raises(ObjectNotFoundError):
                registry.load(name, chosen)
            return
        assert registry.load(name, chosen) == known.living[meant].value
        info = registry.info(name, chosen)
        assert info["version"] == str(meant)
        assert info["tags"] == sorted(tag for tag, target in known.tags.items() if target == meant)
        assert info["notes"] == known.living[meant].notes

    @invariant()
    def lists_agree(self) -> None:
        if not hasattr(self, "handles"):
            return
        registry = self.handles["other"]
        assert registry.list_objects() == sorted(name for name, known in self.names.items() if known.living)
        for name, known in self.names.items():
            assert registry.list_versions(name) == [str(version) for version in sorted(known.living)]


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
