"""A Store over two registries against dicts: any sequence of operations, with keys of every kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from casreg import (
    ObjectNotFoundError,
    ReadOnlyError,
    Registry,
    Store,
    StoreAmbiguousObjectError,
    StoreKeyFormatError,
    StoreLocationNotFound,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.versions import Version, next_after, parse_version
from registry.lab import run_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.backends.base import Backend
    from places import Places

# "again" is a second mount of the place of "a", "shown" a read-only one of the place of "b".
LOCATIONS = st.sampled_from(["a", "b", "again"])
NAMES = st.sampled_from(["x", "y:z"])
VERSIONS = st.sampled_from(["1.0.0", "1.0.1", "2.0.0"])
VALUES = st.sampled_from([1, "two", b"three" * 5000, (4, None)])
PLACE = {"a": "a", "b": "b", "again": "a", "shown": "b"}


@dataclass
class Living:
    """A version that lives."""

    value: Any
    protected: bool = False


@dataclass
class Name:
    """A name at a place: what lives, what every number last held, tags."""

    living: dict[Version, Living] = field(default_factory=dict)
    last: dict[Version, Any] = field(default_factory=dict)
    tags: dict[str, Version] = field(default_factory=dict)

    def next(self) -> Version:
        version = next_after(max(self.living or self.last, default=None))
        while version in self.last:
            version = next_after(version)
        return version

    def put(self, version: Version, value: Any) -> None:
        self.living.setdefault(version, Living(value))
        self.last[version] = value

    def bury(self, version: Version) -> None:
        del self.living[version]
        self.tags = {tag: target for tag, target in self.tags.items() if target != version}


class Model(RuleBasedStateMachine):
    """The operations, done to both, at new places for each example."""

    def __init__(self, new_place: Callable[[], Backend]) -> None:
        super().__init__()
        self.new_place = new_place

    @initialize(default=st.sampled_from([None, "a", "b"]))
    def begin(self, default: str | None) -> None:
        places = {place: self.new_place() for place in "ab"}
        self.store = Store(mounts={"a": Registry(places["a"]), "b": places["b"]}, default_location=default)
        self.store.add_mount("again", places["a"])
        self.store.add_mount("shown", places["b"], read_only=True)
        self.names: dict[tuple[str, str], Name] = {}

    def known(self, location: str, name: str) -> Name:
        return self.names.setdefault((PLACE[location], name), Name())

    @rule(location=LOCATIONS, name=NAMES, value=VALUES)
    def save(self, location: str, name: str, value: Any) -> None:
        known = self.known(location, name)
        version = known.next()
        assert self.store.save(f"{location}/{name}", value) == str(version)
        known.put(version, value)

    @rule(location=LOCATIONS, name=NAMES, version=VERSIONS, value=VALUES)
    def save_as(self, location: str, name: str, version: str, value: Any) -> None:
        known, number = self.known(location, name), parse_version(version)
        if number in known.last and known.last[number] != value:
            with pytest.raises(VersionConflictError):
                self.store.save(f"{location}/{name}@{version}", value)
            return
        assert self.store.save(f"{location}/{name}", value, version=version) == version
        known.put(number, value)

    @rule(names=st.lists(st.tuples(LOCATIONS, NAMES), max_size=4, unique_by=lambda it: (PLACE[it[0]], it[1])))
    def save_many(self, names: list[tuple[str, str]]) -> None:
        expected = [str(self.known(*one).next()) for one in names]
        done = self.store.save([f"{location}/{name}" for location, name in names], list(range(len(names))))
        assert list(done) == expected
        for number, one in enumerate(names):
            self.known(*one).put(parse_version(expected[number]), number)

    @rule(location=LOCATIONS, name=NAMES, version=st.none() | VERSIONS)
    def delete(self, location: str, name: str, version: str | None) -> None:
        known = self.known(location, name)
        chosen = sorted(known.living) if version is None else [parse_version(version)]
        if not chosen or chosen[0] not in known.living:
            with pytest.raises(ObjectNotFoundError):
                self.store.delete(f"{location}/{name}", version)
        elif any(known.living[one].protected for one in chosen):
            with pytest.raises(VersionProtectedError):
                self.store.delete(f"{location}/{name}", version)
        else:
            assert self.store.delete(f"{location}/{name}", version) == [str(one) for one in chosen]
            for one in chosen:
                known.bury(one)

    @rule(location=LOCATIONS, name=NAMES, version=VERSIONS, protected=st.booleans())
    def protect(self, location: str, name: str, version: str, protected: bool) -> None:
        living = self.known(location, name).living.get(parse_version(version))
        act = self.store.protect if protected else self.store.unprotect
        if living is None:
            with pytest.raises(ObjectNotFoundError):
                act(f"{location}/{name}@{version}")
            return
        assert act(f"{location}/{name}", version) == version
        living.protected = protected

    @rule(location=LOCATIONS, name=NAMES, version=VERSIONS)
    def tag(self, location: str, name: str, version: str) -> None:
        known = self.known(location, name)
        if parse_version(version) not in known.living:
            with pytest.raises(ObjectNotFoundError):
                self.store.tag(f"{location}/{name}", "prod", version)
            return
        assert self.store.tag(f"{location}/{name}", "prod", version) == version
        known.tags["prod"] = parse_version(version)

    @rule(
        moves=st.booleans(),
        source=LOCATIONS,
        name=NAMES,
        version=st.none() | VERSIONS,
        goal=LOCATIONS,
        new=st.none() | NAMES,
        number=st.none() | VERSIONS,
    )
    def transfer(
        self,
        moves: bool,
        source: str,
        name: str,
        version: str | None,
        goal: str,
        new: str | None,
        number: str | None,
    ) -> None:
        known = self.known(source, name)
        there = self.known(goal, new or name)
        act = self.store.move if moves else self.store.copy

        def do() -> str:
            return act(
                f"{source}/{name}", f"{goal}/{new or ''}", source_version=version, target_version=number
            )

        chosen = max(known.living, default=None) if version is None else parse_version(version)
        if chosen is None or chosen not in known.living:
            with pytest.raises(ObjectNotFoundError):
                do()
            return
        living, landing = known.living[chosen], parse_version(number) if number else chosen
        if there is known and landing == chosen:
            assert do() == str(chosen)
        elif moves and living.protected:
            with pytest.raises(VersionProtectedError):
                do()
        elif landing in there.last and there.last[landing] != living.value:
            with pytest.raises(VersionConflictError):
                do()
        else:
            assert do() == str(landing)
            there.put(landing, living.value)
            if moves:
                for tag in [tag for tag, on in known.tags.items() if on == chosen]:
                    if tag not in there.tags or there is known:
                        there.tags[tag] = landing
                known.bury(chosen)

    @rule(name=NAMES, version=st.none() | VERSIONS | st.just("prod"))
    def load_by_name_alone(self, name: str, version: str | None) -> None:
        having = {location: value for location in PLACE for value in self.values(location, name, version)}
        key = name if version is None else f"{name}@{version}"
        assert self.store.has_object(name, version) == bool(having)
        if not having:
            with pytest.raises(ObjectNotFoundError):
                self.store.load(name, version)
            assert key not in self.store
            return
        # Each place is mounted twice, so that what is there is there twice.
        with pytest.raises(StoreAmbiguousObjectError) as caught:
            self.store.load(key)
        assert caught.value.locations == tuple(sorted(having))
        for location, value in having.items():
            assert self.store[f"{location}/{key}"] == value
        # With one mount of each place, what is at one place is found.
        single = Store(mounts={place: self.store.get_registry(place) for place in "ab"})
        places = sorted({PLACE[location] for location in having})
        if len(places) == 1:
            assert single.load(key) == having[places[0]]
        else:
            with pytest.raises(StoreAmbiguousObjectError):
                single.load(key)

    def values(self, location: str, name: str, version: str | None) -> list[Any]:
        """The value that the selector means at a location, if it means one."""
        known = self.known(location, name)
        if version is None:
            chosen = max(known.living, default=None)
        else:
            chosen = known.tags.get(version) if version == "prod" else parse_version(version)
        return [known.living[chosen].value] if chosen in known.living else []

    @rule(name=NAMES)
    def refusals(self, name: str) -> None:
        for key, error in (
            (name, StoreKeyFormatError),
            (f"c/{name}", StoreLocationNotFound),
            (f"shown/{name}", ReadOnlyError),
        ):
            for change in (self.store.delete, self.store.protect, lambda key: self.store.save(key, 1)):
                with pytest.raises(error):
                    change(key)

    @invariant()
    def what_is_there(self) -> None:
        if not hasattr(self, "store"):
            return
        assert self.store.list_objects_and_versions() == {
            f"{location}/{name}": [str(version) for version in sorted(known.living)]
            for location, place in PLACE.items()
            for (at, name), known in self.names.items()
            if at == place and known.living
        }
        for (place, name), known in self.names.items():
            for version, living in known.living.items():
                assert self.store.load(f"{place}/{name}@{version}") == living.value
            for tag, version in known.tags.items():
                assert self.store.info(f"{place}/{name}@{tag}")["version"] == str(version)


EXAMPLES = {"memory": 60, "local": 15, "s3": 5, "gcs": 5}
STEPS = 30


def test_model(places: Places) -> None:
    """Whatever is done to a Store, it tells and holds what the model does; over places of every kind."""
    run_model(Model, places, EXAMPLES[places.kind], STEPS)


@pytest.mark.soak
def test_model_for_long(places: Places) -> None:
    """The same, twenty times as often."""
    run_model(Model, places, 20 * EXAMPLES[places.kind], STEPS)
