"""A registry with a cache against one without, over anything that may happen to the place and to the cache."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from cache.lab import copies_in, noise, packs_at
from casreg import Cache, CasregError, Registry
from casreg.backends.memory import MemoryBackend
from casreg.head import INITIAL, close, condemn, dump_head, encode_names, parse_head, verdict
from casreg.keys import HEAD, PACKS
from casreg.packs import key_of
from casreg.repository import Repository
from casreg.verify import survey

NAMES = st.sampled_from(["a", "b"])
PARTS = st.lists(st.integers(0, 2), min_size=1, max_size=2)  # few, so that much is saved again
LIMIT = 400 * 1024
NOWHERE = f"{PACKS}00/{'0' * 16}-{'0' * 64}"


def outcome(registry: Registry, name: str) -> Any:
    """What a load gives: the object, or the class of its error."""
    try:
        return registry.load(name)
    except CasregError as err:
        return type(err)


def collect(place: MemoryBackend, *, forgotten: bool) -> None:
    """Delete all packs that no version needs, as the protocol says, while nobody writes.

    If that is forgotten, so many runs came after it that the head does not name them any more.
    """
    needed = {key_of(pack) for pack in survey(Repository(place)).packs}
    garbage = [key for key in packs_at(place) if key not in needed]
    if not garbage:
        return
    there = list(place.list(HEAD))
    found = place.get(HEAD) if there else None
    head = parse_head(found.data, HEAD) if found else INITIAL
    for listed in [garbage, *([[NOWHERE]] * 10 if forgotten else [])]:
        names, body = encode_names(listed, os.urandom(16).hex())
        place.create(names, body)
        ids = [os.urandom(16).hex() for _ in range(4)]
        head = close(verdict(condemn(head, names, ids[0], ids[1]), names, ids[2]), ids[3])
    if found is None:
        place.create(HEAD, dump_head(head))
    else:
        assert found.token is not None
        place.swap(HEAD, dump_head(head), found.token)
    place.delete(garbage)


class CachedAgainstRaw(RuleBasedStateMachine):
    """Two long-lived handles with one cache, and one without; the place is the same."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.cache = Cache(self.folder / "cache", limit=LIMIT)
        self.place = MemoryBackend()
        self.raw = Registry(self.place, cache=False, mutable=True)
        self.cached = [self.reopened(), self.reopened()]

    def reopened(self) -> Registry:
        """A new handle with the cache."""
        return Registry(self.place, cache=self.cache, mutable=True)

    def handle(self, number: int) -> Registry:
        """Number 0 and 1 have the cache, 2 has none, 3 has it and is new."""
        return [*self.cached, self.raw, self.reopened()][number]

    @rule(name=NAMES, parts=PARTS, by=st.integers(0, 3), over=st.booleans())
    def save(self, name: str, parts: list[int], by: int, over: bool) -> None:
        """Bytes that are partly those of other versions, as the next version or over the first."""
        value = b"".join(noise(40_000, part) for part in parts)
        version = self.handle(by).save(name, value, version="1.0.0" if over else None)
        assert Registry(self.place, cache=False).load(name, version) == value

    @rule(name=NAMES, by=st.integers(0, 3))
    def load(self, name: str, by: int) -> None:
        """The same object or the same error, whoever loads."""
        assert outcome(self.handle(by), name) == outcome(Registry(self.place, cache=False), name)

    @rule(name=NAMES, by=st.integers(0, 3))
    def delete(self, name: str, by: int) -> None:
        """All versions of a name, if there are any."""
        if self.raw.has_object(name):
            self.handle(by).delete(name)

    @rule(forgotten=st.booleans())
    def collected(self, forgotten: bool) -> None:
        """What no version needs goes from the place; the cache knows nothing of it."""
        collect(self.place, forgotten=forgotten)

    @rule(
        name=NAMES,
        again=NAMES,
        parts=PARTS,
        by=st.integers(0, 3),
        then=st.integers(0, 3),
        forgotten=st.booleans(),
    )
    def saved_again(
        self, name: str, again: str, parts: list[int], by: int, then: int, forgotten: bool
    ) -> None:
        """Saved, deleted, collected, and saved once more: what a cache is most likely to get wrong."""
        self.save(name, parts, by, over=False)
        self.delete(name, by)
        collect(self.place, forgotten=forgotten)
        self.save(again, parts, then, over=False)

    @rule(number=st.integers(0, 1))
    def a_new_handle(self, number: int) -> None:
        """As another process."""
        self.cached[number] = self.reopened()

    @rule(every=st.integers(1, 3), at=st.integers(0, 10**6))
    def damage(self, every: int, at: int) -> None:
        """A byte of copies is another one."""
        for path in copies_in(self.cache)[::every]:
            if data := bytearray(path.read_bytes()):  # nothing of it is left after `cut_off`
                data[at % len(data)] ^= 1
                path.write_bytes(data)

    @rule(number=st.integers(0, 10**6), size=st.integers(0, 10**6))
    def cut_off(self, number: int, size: int) -> None:
        """A copy is shorter than it was."""
        if files := copies_in(self.cache):
            os.truncate(files[number % len(files)], size % 50_000)

    @rule()
    def clear(self) -> None:
        """Somebody empties the cache."""
        self.cached[0].clear_cache()

    @rule()
    def remove(self) -> None:
        """Somebody removes its folder."""
        shutil.rmtree(self.cache.path, ignore_errors=True)

    @invariant()
    def all_say_the_same(self) -> None:
        """Which names and versions there are."""
        expected = {name: self.raw.list_versions(name) for name in self.raw.list_objects()}
        for registry in self.cached:
            assert {name: registry.list_versions(name) for name in registry.list_objects()} == expected

    @invariant()
    def the_limit_is_kept(self) -> None:
        """Nothing here writes at the same time as another."""
        if self.cache.path.is_dir():
            assert self.cache.size() <= LIMIT + 50_000  # where a copy was made longer behind its back

    def teardown(self) -> None:
        """Every version that lives is whole, for who has no cache."""
        reader = Registry(self.place, cache=False)
        for name in reader.list_objects():
            for version in reader.list_versions(name):
                reader.load(name, version)
        shutil.rmtree(self.folder)


TestCachedAgainstRaw = CachedAgainstRaw.TestCase
TestCachedAgainstRaw.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
