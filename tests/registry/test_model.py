"""A Registry against a model of a few lines: any sequence of operations, by any of several handles."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import ObjectNotFoundError, VersionConflictError, VersionProtectedError
from casreg.refs import spill
from casreg.registry import Registry
from casreg.versions import Version, next_after, parse_version
from registry.lab import noise, run_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend
    from places import Places

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
    protected: bool = False


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

    def latest(self) -> Version | None:
        """The highest that lives."""
        return max(self.living, default=None)

    def guarded(self, version: Version, value: Any, *, single: bool) -> bool:
        """Whether saving `value` there would delete or replace what is protected."""
        replaced = {version} if version in self.living and self.living[version].value != value else set()
        gone = set(self.living) - {version} if single else set()
        return any(self.living[one].protected for one in replaced | gone)

    def bury(self, version: Version) -> None:
        """A version dies; its tags go."""
        self.dead.setdefault(version, []).append(self.living.pop(version))
        self.tags = {tag: target for tag, target in self.tags.items() if target != version}


class Model(RuleBasedStateMachine):
    """The operations, done to both, at a new place for each example."""

    def __init__(self, new_place: Callable[[], Backend]) -> None:
        super().__init__()
        self.new_place = new_place

    @initialize(spilling=st.booleans())
    def begin(self, spilling: bool) -> None:
        self.patch = pytest.MonkeyPatch()
        if spilling:
            self.patch.setattr(spill, "INLINE_LIMIT", 1_500)
            self.patch.setattr(spill, "_LEAST_ROOM", 700)
        place = self.new_place()
        self.handles = {
            "plain": Registry(place),
            "other": Registry(place),
            "mutable": Registry(place, mutable=True),
            "single": Registry(place, version_objects=False),
        }
        self.names: dict[str, Name] = {}
        self.renamed = 0

    def teardown(self) -> None:
        if hasattr(self, "patch"):
            self.patch.undo()

    def known(self, name: str) -> Name:
        return self.names.setdefault(name, Name())

    @rule(handle=HANDLES, name=NAMES, value=VALUES, tags=st.lists(TAGS, max_size=1))
    def save(self, handle: str, name: str, value: Any, tags: list[str]) -> None:
        known = self.known(name)
        version = Version(1, 0, 0) if handle == "single" else known.next()
        if known.guarded(version, value, single=handle == "single"):
            with pytest.raises(VersionProtectedError):
                self.handles[handle].save(name, value, tags=tags)
            return
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
        if known.guarded(chosen, value, single=handle == "single"):
            with pytest.raises(VersionProtectedError):
                registry.save(name, value, version=version, tags=tags)
            return
        assert registry.save(f"{name}@{version}", value, tags=tags) == version
        self._saved(known, handle, chosen, value, tags)

    @rule(handle=HANDLES, name=NAMES, version=VERSIONS, value=VALUES)
    def save_unless_there(self, handle: str, name: str, version: str, value: Any) -> None:
        known, chosen = self.known(name), parse_version(version)
        registry = self.handles[handle]
        kept = chosen if chosen in known.living else known.latest() if handle == "single" else None
        if kept is not None:
            assert registry.save(name, value, version=version, on_conflict="skip") == str(kept)
        elif handle != "single" and self._taken(known, chosen, value):
            with pytest.raises(VersionConflictError, match="was deleted"):
                registry.save(name, value, version=version, on_conflict="skip")
        else:
            assert registry.save(name, value, version=version, on_conflict="skip") == version
            self._saved(known, handle, chosen, value, [])

    @rule(
        handle=st.sampled_from(["plain", "mutable"]),
        name=NAMES,
        value=VALUES,
        tags=st.lists(TAGS, max_size=1),
    )
    def save_if_changed(self, handle: str, name: str, value: Any, tags: list[str]) -> None:
        known = self.known(name)
        latest = known.latest()
        same = latest is not None and known.living[latest].value == value
        version = latest if same and latest is not None else known.next()
        assert self.handles[handle].save(name, value, if_changed=True, tags=tags) == str(version)
        self._saved(known, handle, version, value, tags)

    @rule(values=st.lists(st.tuples(NAMES, st.sampled_from([1, "two"])), max_size=4))
    def save_many(self, values: list[tuple[str, Any]]) -> None:
        expected = []
        for name, value in values:
            known = self.known(name)
            expected.append(str(known.next()))
            self._saved(known, "plain", known.next(), value, [])
        result = self.handles["plain"].save([name for name, _ in values], [value for _, value in values])
        assert list(result) == expected

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
        if known.living[chosen].protected:
            with pytest.raises(VersionProtectedError):
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
        if any(living.protected for living in known.living.values()):
            with pytest.raises(VersionProtectedError):
                self.handles[handle].delete(name)
            return
        assert self.handles[handle].delete(name) == [str(one) for one in sorted(known.living)]
        for version in list(known.living):
            known.bury(version)

    @rule(handle=HANDLES, name=NAMES, tag=st.one_of(st.none(), TAGS))
    def pop(self, handle: str, name: str, tag: str | None) -> None:
        known = self.known(name)
        chosen = known.latest() if tag is None else known.tags.get(tag)
        key = name if tag is None else f"{name}@{tag}"
        if chosen is None:
            assert self.handles[handle].pop(key, "nothing") == "nothing"
            return
        gone = list(known.living) if tag is None else [chosen]
        if any(known.living[version].protected for version in gone):
            with pytest.raises(VersionProtectedError):
                self.handles[handle].pop(key)
            return
        assert self.handles[handle].pop(key) == known.living[chosen].value
        for version in gone:
            known.bury(version)

    @rule(handle=HANDLES, name=NAMES, version=VERSIONS, protected=st.booleans())
    def protect(self, handle: str, name: str, version: str, protected: bool) -> None:
        known, chosen = self.known(name), parse_version(version)
        do = self.handles[handle].protect if protected else self.handles[handle].unprotect
        if chosen not in known.living:
            with pytest.raises(ObjectNotFoundError):
                do(name, version)
            return
        assert do(name, version) == version
        known.living[chosen].protected = protected

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
        assert info["protected"] == known.living[meant].protected

    @rule(
        handle=st.sampled_from(["plain", "mutable"]), name=NAMES, version=VERSIONS, new=NAMES, number=VERSIONS
    )
    def copy(self, handle: str, name: str, version: str, new: str, number: str) -> None:
        known, there = self.known(name), self.known(new)
        chosen, landing = parse_version(version), parse_version(number)
        registry = self.handles[handle]

        def do() -> str:
            return registry.copy(name, new, source_version=version, target_version=number)

        if chosen not in known.living:
            with pytest.raises(ObjectNotFoundError):
                do()
            return
        living = known.living[chosen]
        if there is known and landing == chosen:
            assert do() == number
        elif handle == "plain" and self._taken(there, landing, living.value):
            with pytest.raises(VersionConflictError):
                do()
        elif there.guarded(landing, living.value, single=False):
            with pytest.raises(VersionProtectedError):
                do()
        else:
            before = there.living.get(landing)
            same = before is not None and before.value == living.value
            assert do() == number
            self._saved(there, handle, landing, living.value, [])
            kept = before.notes if before is not None and same else {}
            there.living[landing].notes = {**kept, **living.notes}

    @rule(name=NAMES)
    def rename_there_and_back(self, name: str) -> None:
        known = self.known(name)
        registry = self.handles["plain"]
        if not known.living:
            with pytest.raises(ObjectNotFoundError):
                registry.rename(name, "elsewhere")
            return
        self.renamed += 1
        new = f"elsewhere:{self.renamed}"
        numbers = [str(version) for version in sorted(known.living)]
        assert registry.rename(name, new) == numbers
        assert not registry.has_object(name)
        assert list(registry.load([f"{new}@{number}" for number in numbers])) == [
            known.living[version].value for version in sorted(known.living)
        ]
        assert registry.rename(new, name) == numbers
        for version in known.living:  # what was deleted on the way there is in the history of the name
            known.dead.setdefault(version, []).append(replace(known.living[version], protected=False))

    @rule(handle=HANDLES, name=NAMES)
    def open_a_file(self, handle: str, name: str) -> None:
        known = self.known(name)
        latest = known.latest()
        if latest is None:
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].open(name)
            return
        (file,) = self.handles[handle].files(name)
        with self.handles[handle].open(name) as stream:
            data = stream.read()
        assert len(data) == file["size"]
        value = known.living[latest].value
        if isinstance(value, bytes):
            assert data == value

    @rule()
    def through_a_bundle(self) -> None:
        living = {
            f"{name}@{version}": one.value
            for name, known in self.names.items()
            for version, one in known.living.items()
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "all.casreg"
            assert sorted(self.handles["plain"].export(path)) == sorted(living)
            other = Registry(MemoryBackend())
            assert sorted(other.import_(path)) == sorted(living)
        assert {key: other.load(key) for key in living} == living
        merged = Registry(MemoryBackend())
        merged.update(self.handles["plain"])
        assert merged.list_objects_and_versions() == other.list_objects_and_versions()

    @rule(handle=HANDLES, name=NAMES)
    def history(self, handle: str, name: str) -> None:
        known = self.known(name)
        if not known.used:
            with pytest.raises(ObjectNotFoundError):
                self.handles[handle].history(name)
            return
        expected = []
        for version in sorted(known.used, reverse=True):
            living = version in known.living
            states = ["live"] if living else []
            states += [
                "replaced" if number or living else "deleted"
                for number, _ in enumerate(known.dead.get(version, []))
            ]
            expected += [(str(version), state) for state in states]
        found = [(row["version"], row["state"]) for row in self.handles[handle].history(name)]
        assert found == expected

    @rule(handle=HANDLES)
    def as_a_mapping(self, handle: str) -> None:
        registry = self.handles[handle]
        latest = {name: known.latest() for name, known in sorted(self.names.items())}
        expected = {
            name: self.names[name].living[version].value
            for name, version in latest.items()
            if version is not None
        }
        assert dict(registry) == expected
        assert list(registry) == list(expected)
        assert list(registry.load(list(expected))) == list(expected.values())
        assert [row["version"] for row in registry.find()] == [str(latest[name]) for name in expected]

    @invariant()
    def lists_agree(self) -> None:
        if not hasattr(self, "handles"):
            return
        registry = self.handles["other"]
        assert registry.list_objects() == sorted(name for name, known in self.names.items() if known.living)
        for name, known in self.names.items():
            assert registry.list_versions(name) == [str(version) for version in sorted(known.living)]


EXAMPLES = {"memory": 60, "local": 15, "s3": 10, "gcs": 10}
STEPS = 40


def test_model(places: Places) -> None:
    """Whatever is done to a Registry, it tells and holds what the model does; at places of every kind."""
    run_model(Model, places, EXAMPLES[places.kind], STEPS)


@pytest.mark.soak
def test_model_for_long(places: Places) -> None:
    """The same, twenty times as often."""
    run_model(Model, places, 20 * EXAMPLES[places.kind], STEPS)
