"""Writers against a collector, request by request, in every order: nothing that lives is ever deleted.

The collector here is as small as the protocol allows and deletes in earnest. It protects no tombstones, so that a
deletion is at once a chance to lose something. Each mutant takes one rule from the writer, and must be caught: so
these tests can fail.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of, from_hex
from casreg.exceptions import AlreadyExists, Conflict, NotFound, ObjectNotFoundError, VersionConflictError
from casreg.head import (
    INITIAL,
    Head,
    close,
    condemn,
    decode_names,
    dump_head,
    encode_names,
    parse_head,
    verdict,
)
from casreg.keys import HEAD, MANIFESTS, REFS, manifest_key, name_of_ref_key
from casreg.refs import Reuse
from casreg.refs.commit import Refs
from casreg.refs.document import Ref
from casreg.testing.scheduler import Exploration, ScheduleError, SchedulerBackend, explore, explore_at_random
from refs.lab import LATER, FakeTime, entry_of, v

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from casreg.backends.base import Backend, Token
    from casreg.digest import Digest
    from casreg.refs import Attempt, Fence, History, Removal
    from casreg.testing.scheduler import Scheduler

OLD, NEW = "my:old", "my:new"


@dataclass
class World:
    """A repository in which `my:old` has one version, and what each actor of a run needs."""

    backend: Backend
    inner: MemoryBackend
    times: FakeTime = field(default_factory=FakeTime)

    def refs(self) -> Refs:
        return Refs(self.backend, pace=self.times.pace())

    def new_id(self) -> str:
        return self.times.entropy(16).hex()


def make_world(scheduler: Scheduler) -> World:
    """`my:old` 1.0.0 uses the only manifest there is."""
    inner = MemoryBackend()
    world = World(SchedulerBackend(inner, scheduler), inner)
    first = upload(inner, "first")
    entry = replace(entry_of("first"), manifest=first)
    Refs(inner, pace=world.times.pace()).commit(
        OLD, lambda attempt: attempt.history.with_version(v("1.0.0"), replace(entry, write=attempt.write))
    )
    return world


def upload(backend: Backend, nonce: str) -> Digest:
    """Store a manifest of the content that everybody saves, under a name of its own."""
    data = f"the content, {nonce}".encode()
    backend.create(manifest_key(digest_of(data)), data)
    return digest_of(data)


# Writers


def saver(name: str, label: str, mutant: str = "") -> Callable[[World], None]:
    """Saves the content that is there already: reuses a manifest if it may, else stores another."""

    def run(world: World) -> None:
        refs = world.refs()
        chosen: list[Digest] = []
        if mutant == "head before ref":
            early = refs.fences.read()
            refs.fences.read = lambda: early  # type: ignore[method-assign]

        def change(attempt: Attempt) -> History:
            fence = replace(attempt.fence, bad=frozenset()) if mutant == "ignores the head" else attempt.fence
            if not (mutant == "validates once" and chosen):
                chosen[:] = [choose(world, fence, f"{label} {attempt.number}")]
            entry = replace(entry_of(label, attempt.write), manifest=chosen[0])
            return attempt.history.with_version(attempt.history.next_version(), entry)

        refs.commit(name, change)

    return run


def choose(world: World, fence: Fence, nonce: str) -> Digest:
    """A name that may go into a ref, by the protocol's rule 3."""
    for row in world.backend.list(MANIFESTS):  # seen to exist after the head was read
        if fence.reuse(row.key) is not Reuse.NO:
            return from_hex(row.key.rpartition("/")[2])
    return upload(world.backend, nonce)


def deleter(version: str) -> Callable[[World], None]:
    """Deletes a version of `my:old`, as soon as it is there."""

    def run(world: World) -> None:
        def change(removal: Removal) -> History | None:
            return (
                removal.history.without_version(v(version), LATER)
                if removal.history.entry(v(version))
                else None
            )

        world.refs().remove(OLD, change)

    return run


def undeleter(mutant: str = "") -> Callable[[World], None]:
    """Undeletes `my:old` 1.0.0, if its data is there and may be used."""

    def run(world: World) -> None:
        def change(attempt: Attempt) -> History | None:
            try:
                history = attempt.history.undeleted(v("1.0.0"))
            except (ObjectNotFoundError, VersionConflictError):
                return None
            entry = history.entry(v("1.0.0"))
            assert entry is not None
            key = manifest_key(entry.manifest)
            if attempt.fence.reuse(key) is Reuse.NO and mutant != "ignores the head":
                return None
            try:
                world.backend.get(key, 0, 1)
            except NotFound:
                return None
            return history

        world.refs().commit(OLD, change)

    return run


# The collector


def collector(world: World) -> None:
    """One run of the protocol's collector, going on with a run that it finds under way."""
    backend = world.backend
    head, token = read_head(backend)
    if head.state == "idle":
        data = {row.key for row in backend.list(MANIFESTS)}
        candidates = data - reached(backend, [read_ref(backend, key)[0] for key in ref_keys(backend)])
        if not candidates:
            return
        names = put_names(world, candidates)
        step = move(world, condemn(head, names, world.new_id(), world.new_id()), token)
        if step is None:
            return
        head, token = step
    if head.state == "condemned":
        marks = fence_refs(world, head)
        assert head.names is not None
        names = put_names(world, set(names_in(backend, head.names)) - marks)
        step = move(world, verdict(head, names, world.new_id()), token)
        if step is None:
            now, newer = read_head(backend)
            if now.id != head.id or now.state != "verdict" or newer is None:
                return
            step = now, newer
        head, token = step
    assert head.names is not None
    backend.delete(names_in(backend, head.names))
    move(world, close(head, world.new_id()), token)


def fence_refs(world: World, head: Head) -> set[str]:
    """Stamp every ref; what all of them reach."""
    marks: set[str] = set()
    for key in ref_keys(world.backend):
        while True:
            ref, token = read_ref(world.backend, key)
            if ref.stamp != head.id:
                try:
                    world.backend.swap(key, ref.rewritten(world.new_id(), head.id).to_bytes(), token)
                except Conflict:
                    continue
            marks |= reached(world.backend, [ref])
            break
    return marks


def ref_keys(backend: Backend) -> list[str]:
    """The keys of all refs."""
    return [row.key for row in backend.list(REFS)]


def read_ref(backend: Backend, key: str) -> tuple[Ref, Token]:
    """A ref and its token."""
    got = backend.get(key)
    assert got.token is not None
    return Ref.from_bytes(got.data, name_of_ref_key(key) or ""), got.token


def reached(_: Backend, refs: Iterable[Ref]) -> set[str]:
    """The manifests of live versions."""
    return {
        manifest_key(record.live.manifest) for ref in refs for record in ref.records.values() if record.live
    }


def read_head(backend: Backend) -> tuple[Head, Token | None]:
    """The head and its token; None: it is absent."""
    try:
        got = backend.get(HEAD)
    except NotFound:
        return INITIAL, None
    return parse_head(got.data), got.token


def move(world: World, head: Head, token: Token | None) -> tuple[Head, Token] | None:
    """The head's compare-and-swap; None if another was faster."""
    try:
        if token is None:
            return head, world.backend.create(HEAD, dump_head(head))
        return head, world.backend.swap(HEAD, dump_head(head), token)
    except (Conflict, AlreadyExists):
        return None


def put_names(world: World, keys: Iterable[str]) -> str:
    """Store a list of names."""
    key, data = encode_names(keys, world.new_id())
    world.inner.create(key, data)  # nobody else can see it yet: no turn
    return key


def names_in(backend: Backend, key: str) -> tuple[str, ...]:
    """The names in a list."""
    return decode_names(backend.get(key).data, key)


# What must hold


def nothing_is_lost(world: World) -> None:
    """Every version that lives has its manifest, and the names that were saved have one."""
    for key in ref_keys(world.inner):
        ref, _ = read_ref(world.inner, key)
        for version, record in ref.records.items():
            if record.live:
                found = manifest_key(record.live.manifest)
                assert list(world.inner.list(found)), f"{ref.name}@{version} needs {found}"


Actors = list["Callable[[World], None]"]

SCENARIOS: dict[str, Callable[[str], Actors]] = {
    "a new name": lambda mutant: [saver(NEW, "w", mutant), deleter("1.0.0"), collector],
    "the same name": lambda mutant: [saver(OLD, "w", mutant), deleter("1.0.0"), collector],
    "two collectors": lambda mutant: [saver(NEW, "w", mutant), deleter("1.0.0"), collector, collector],
    "two writers": lambda mutant: [
        saver(OLD, "w", mutant),
        saver(OLD, "x", mutant),
        deleter("1.0.0"),
        collector,
    ],
    "undelete": lambda mutant: [deleter("1.0.0"), undeleter(mutant), collector],
}


def run(scenario: str, mutant: str = "", limit: int = 1_000, preemptions: int = 2) -> Exploration:
    """Explore a scenario."""
    return explore(
        make_world, SCENARIOS[scenario](mutant), nothing_is_lost, max_preemptions=preemptions, limit=limit
    )


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_order_of_requests_loses_a_version(scenario: str) -> None:
    """Savers, deleters and collectors may be interrupted twice anywhere: what lives has its data."""
    done = run(scenario)
    assert done.complete == (len(SCENARIOS[scenario]("")) == 3), "of three actors every order is tried"
    assert done.runs > 200


@pytest.mark.soak
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_no_order_loses_a_version_with_more_interruptions(scenario: str) -> None:
    """The same with three interruptions, and with orders drawn at random."""
    run(scenario, limit=30_000, preemptions=3)
    explore_at_random(make_world, SCENARIOS[scenario](""), nothing_is_lost, runs=5_000)


@pytest.mark.parametrize(
    ("mutant", "scenario"),
    [
        ("head before ref", "a new name"),
        ("ignores the head", "a new name"),
        ("ignores the head", "undelete"),
        ("validates once", "the same name"),
    ],
)
def test_a_writer_that_breaks_a_rule_is_caught(mutant: str, scenario: str) -> None:
    """Without the rule, an order of requests exists that loses a version, and the exploration finds it."""
    with pytest.raises(ScheduleError, match="needs manifests/"):
        run(scenario, mutant)
