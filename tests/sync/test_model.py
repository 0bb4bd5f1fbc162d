"""Two registries that many write to, synced both ways, against a model of dicts."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from casreg import MemoryBackend, Registry, settings as places

if TYPE_CHECKING:
    from collections.abc import Iterator

SIDE = st.sampled_from((0, 1))
NAME = st.sampled_from(("a", "b"))
VERSION = st.sampled_from(("1.0.0", "1.0.1", "1.0.2"))
CONTENT = st.sampled_from((1, 2))
TAG = st.sampled_from(("p", "q"))
KEY = st.sampled_from(("k", "m"))


@dataclass
class Name:
    """What a side has of a name: contents of versions, what they were when they were deleted, and labels."""

    live: dict[str, int] = field(default_factory=dict)
    dead: dict[str, int] = field(default_factory=dict)
    notes: dict[str, dict[str, int]] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)

    def put(self, version: str, content: int, notes: dict[str, int]) -> None:
        """A version is there."""
        self.live[version] = content
        self.notes[version] = dict(notes)

    def drop(self, version: str) -> None:
        """A version is deleted, and its tags with it."""
        self.dead[version] = self.live.pop(version)
        self.tags = {tag: to for tag, to in self.tags.items() if to != version}

    def takes(self, version: str, content: int) -> bool:
        """Whether the number is free for this content."""
        return version not in self.live and self.dead.get(version, content) == content

    def labels(self, versions: set[str]) -> dict[Any, Any]:
        """What can be said: of these versions, and all tags with what they mean."""
        found: dict[Any, Any] = {("tag", tag): (to, self.live[to]) for tag, to in self.tags.items()}
        for version in versions:
            found |= {("note", version, key): value for key, value in self.notes[version].items()}
            if version in self.protected:
                found["protected", version] = True
        return found


class Machine(RuleBasedStateMachine):
    """Anything, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.real = [Registry(MemoryBackend(), cache=False) for _ in range(2)]
        self.model: list[dict[str, Name]] = [{}, {}]
        self.bases: list[dict[str, dict[Any, Any]]] = [{}, {}]
        for registry in self.real:
            registry.init()

    def _versions(self, side: int) -> Iterator[tuple[str, str]]:
        for name, held in self.model[side].items():
            for version in held.live:
                yield name, version

    @rule(side=SIDE, name=NAME, version=VERSION, content=CONTENT, note=CONTENT, tag=st.none() | TAG)
    def save(self, side: int, name: str, version: str, content: int, note: int, tag: str | None) -> None:
        """A version that can be saved."""
        held = self.model[side].setdefault(name, Name())
        if held.takes(version, content):
            self.real[side].save(name, content, version=version, notes={"k": note}, tags=[tag] if tag else [])
            held.put(version, content, {"k": note})
            if tag:
                held.tags[tag] = version

    @rule(side=SIDE, name=NAME, version=VERSION)
    def delete(self, side: int, name: str, version: str) -> None:
        """One that is there and not protected."""
        held = self.model[side].get(name)
        if held and version in held.live and version not in held.protected:
            self.real[side].delete(name, version)
            held.drop(version)

    @rule(side=SIDE, name=NAME, version=VERSION, tag=TAG)
    def tag(self, side: int, name: str, version: str, tag: str) -> None:
        """It moves."""
        held = self.model[side].get(name)
        if held and version in held.live:
            self.real[side].tag(name, tag, version)
            held.tags[tag] = version

    @rule(side=SIDE, name=NAME, tag=TAG)
    def untag(self, side: int, name: str, tag: str) -> None:
        """It goes."""
        held = self.model[side].get(name)
        if held and tag in held.tags:
            self.real[side].untag(name, tag)
            del held.tags[tag]

    @rule(side=SIDE, name=NAME, version=VERSION, key=KEY, value=st.none() | CONTENT)
    def annotate(self, side: int, name: str, version: str, key: str, value: int | None) -> None:
        """A note comes, changes or goes."""
        held = self.model[side].get(name)
        if held and version in held.live:
            self.real[side].annotate(name, version, **{key: value})
            held.notes[version].pop(key, None)
            if value is not None:
                held.notes[version][key] = value

    @rule(side=SIDE, name=NAME, version=VERSION)
    def protect(self, side: int, name: str, version: str) -> None:
        """Or the end of it."""
        held = self.model[side].get(name)
        if held and version in held.live:
            if version in held.protected:
                self.real[side].unprotect(name, version)
            else:
                self.real[side].protect(name, version)
            held.protected ^= {version}

    @rule(side=SIDE)
    def collect(self, side: int) -> None:
        """What is deleted is gone for good; its numbers stay used."""
        self.real[side].gc(min_age=0, undelete_window=0)

    @rule()
    def forget(self) -> None:
        """The cache folder is emptied."""
        shutil.rmtree(places.cache_dir() / "sync", ignore_errors=True)
        self.bases = [{}, {}]

    @rule(to=SIDE, overwrite=st.booleans(), delete=st.booleans(), only=st.none() | NAME)
    def sync(self, to: int, overwrite: bool, delete: bool, only: str | None) -> None:
        """The report of a dry run, that of the sync, and what is there then, are what the model says."""
        source, target = self.real[1 - to], self.real[to]
        mine = self.model[1 - to]
        if only is not None and not (only in mine and (mine[only].live or mine[only].dead)):
            return
        names = [only] if only else None
        foreseen = target.sync(source, names, overwrite=overwrite, delete=delete, dry_run=True)
        done = target.sync(source, names, overwrite=overwrite, delete=delete)
        for report in (foreseen, done):
            expected = self._synced(to, only, overwrite=overwrite, delete=delete, apply=report is done)
            found = sorted(report.copied), sorted(report.deleted), sorted(report.kept)
            assert found == expected[:3]
            assert len(report.labels) == expected[3]
            assert len(report.conflicts) == expected[4]
            assert not report.failed

    def _synced(
        self, to: int, only: str | None, *, overwrite: bool, delete: bool, apply: bool
    ) -> tuple[Any, ...]:
        copied, deleted, kept, labels, conflicts = [], [], [], 0, 0
        mine, theirs = self.model[1 - to], self.model[to]
        for name in sorted({only} if only else {*mine, *theirs} if delete else mine):
            here, there = mine.get(name, Name()), theirs.get(name, Name())
            there = Name(
                dict(there.live),
                dict(there.dead),
                {version: dict(notes) for version, notes in there.notes.items()},
                dict(there.tags),
                set(there.protected),
            )
            base = dict(self.bases[to].get(name, {}))
            for label, value in list(base.items()):
                if label[0] == "tag" and label[1] not in there.tags and value[0] not in there.live:
                    del base[label]
            for version, content in here.live.items():
                if there.live.get(version) == content:
                    continue
                if not there.takes(version, content) and (
                    not overwrite or version in there.protected & {*there.live}
                ):
                    conflicts += 1
                    continue
                copied.append(f"{name}@{version}")
                there.put(version, content, here.notes[version])
                there.protected -= {version}
                there.protected |= here.protected & {version}
            for version in [version for version in there.live if version not in here.live and delete]:
                if version in there.protected:
                    kept.append(f"{name}@{version}")
                    continue
                deleted.append(f"{name}@{version}")
                for tag in [tag for tag, to in there.tags.items() if to == version]:
                    base.pop(("tag", tag), None)
                there.drop(version)
            equal = {version for version, content in here.live.items() if there.live.get(version) == content}
            changed, disagreeing = self._labelled(here, there, base, equal, overwrite=overwrite)
            labels += changed
            conflicts += disagreeing
            if apply:
                theirs[name] = there
                after, said = there.labels(equal), here.labels(equal)
                self.bases[to][name] = {
                    label: value for label, value in said.items() if after.get(label) == value
                } | {label: value for label, value in base.items() if said.get(label) != after.get(label)}
        return sorted(copied), sorted(deleted), sorted(kept), labels, conflicts

    @staticmethod
    def _labelled(
        here: Name, there: Name, base: dict[Any, Any], equal: set[str], *, overwrite: bool
    ) -> tuple[int, int]:
        changed = conflicts = 0
        mine, theirs = here.labels(equal), there.labels(equal)
        for label in {*mine, *theirs}:
            value, old, before = mine.get(label), theirs.get(label), base.get(label)
            if value == old or (value == before and not (overwrite and value is not None)):
                continue
            is_possible = label[0] != "tag" or value is None or value[0] in equal
            if (before not in (value, old) and not overwrite) or not is_possible:
                conflicts += 1
                continue
            changed += 1
            if label[0] == "tag":
                there.tags.pop(label[1], None)
                if value is not None:
                    there.tags[label[1]] = value[0]
            elif label[0] == "note":
                there.notes[label[1]] = {k: v for k, v in there.notes[label[1]].items() if k != label[2]}
                if value is not None:
                    there.notes[label[1]][label[2]] = value
            else:
                there.protected ^= {label[1]}
        return changed, conflicts

    @invariant()
    def both_are_as_the_model(self) -> None:
        """Versions, contents and labels of both sides."""
        for registry, model in zip(self.real, self.model, strict=True):
            found = registry.list_objects_and_versions()
            assert found == {name: sorted(held.live) for name, held in sorted(model.items()) if held.live}
            for name, versions in found.items():
                held = model[name]
                for version in versions:
                    info = registry.info(name, version)
                    assert info["notes"] == held.notes[version]
                    assert info["protected"] == (version in held.protected)
                    assert info["tags"] == sorted(tag for tag, to in held.tags.items() if to == version)
                    assert registry.load(name, version) == held.live[version]

    def teardown(self) -> None:
        """Both are whole."""
        for registry in self.real:
            assert registry.verify(data=True).clean


TestSyncs = Machine.TestCase
TestSyncs.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)


class ManySyncs(Machine):
    """The same, for minutes."""


TestManySyncs = pytest.mark.soak(ManySyncs.TestCase)
TestManySyncs.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)
