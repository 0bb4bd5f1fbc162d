"""The protocol with one rule taken away, each in the real code: a test of orders must find what breaks.

The names are those of the model (`docs/design/protocol.md`), where it has the rule too.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from casreg.exceptions import Conflict, NotFound
from casreg.gc import collecting, fence, head as heads, run as steps
from casreg.gc.names import key_of, names_of
from casreg.head import Head, bad_keys, dump_head
from casreg.keys import HEAD, manifest_key
from casreg.refs import commit as commits, fencing
from casreg.refs.fencing import Fence, FenceReader, Reuse
from casreg.repository import proving
from collector.scenarios import SEEN_ONCE, SEEN_TWICE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pytest

    Plant = Callable[[pytest.MonkeyPatch], None]


class Mutant(NamedTuple):
    """A rule less, the scenario in which that shows, and the order, where all orders are too many."""

    plant: Plant
    scenario: str
    script: Sequence[tuple[int, str]] = ()


def no_condemn(patch: pytest.MonkeyPatch) -> None:
    """Plain mark and sweep: what the plan found is deleted at once."""

    def execute(repository: Any, planned: Any, *_: Any) -> Any:
        repository.backend.delete([key_of(name) for name in planned.sizes])
        return collecting.foreseen(repository, planned)

    patch.setattr(collecting, "execute", execute)


def no_stamp(patch: pytest.MonkeyPatch) -> None:
    """Refs are marked, and not stamped."""
    patch.setattr(fence, "_stamped", lambda repository, run, read: read())


def stamp_only_with_versions(patch: pytest.MonkeyPatch) -> None:
    """Refs without versions are not stamped: nothing is in them."""
    real = fence._stamped

    def stamped(repository: Any, run: Any, read: Any) -> Any:
        held = read()
        return real(repository, run, read) if held.history.ref.records else held

    patch.setattr(fence, "_stamped", stamped)


def skip_mark_if_stamped(patch: pytest.MonkeyPatch) -> None:
    """What has the stamp already was marked by another collector: it is not marked again."""
    real = fence._fenced

    def fenced(repository: Any, run: Any, candidates: Any, reader: Any, name: str) -> Any:
        if reader.held(name).history.ref.stamp == run:
            return name, frozenset()
        return real(repository, run, candidates, reader, name)

    patch.setattr(fence, "_fenced", fenced)


def stamp_ge(patch: pytest.MonkeyPatch) -> None:
    """Stamps are compared by number: a clone's count."""
    real = fence._stamped

    def stamped(repository: Any, run: Any, read: Any) -> Any:
        held = read()
        stamp = held.history.ref.stamp
        return held if stamp is not None and stamp[1] >= run[1] else real(repository, run, read)

    patch.setattr(fence, "_stamped", stamped)


def no_fence(patch: pytest.MonkeyPatch) -> None:
    """What is condemned is judged at once, by the plan."""
    patch.setattr(steps, "fence", lambda repository, run, candidates, *_: set(candidates))


def stamp_after_mark(patch: pytest.MonkeyPatch) -> None:
    """A ref is marked first, and stamped after that."""

    def fenced(repository: Any, run: Any, candidates: Any, reader: Any, name: str) -> Any:
        _, reach = reader.reach(reader.held(name))
        fence._stamped(repository, run, lambda: reader.held(name))
        return name, reach.names & candidates

    patch.setattr(fence, "_fenced", fenced)


def fence_without_listing(patch: pytest.MonkeyPatch) -> None:
    """Only those refs are fenced that were there when the plan was made."""
    real = fence.fence

    def fenced(repository: Any, run: Any, candidates: Any, reader: Any, known: Any, *rest: Any) -> Any:
        patch.setattr(fence, "ref_names", lambda _: set(known))
        try:
            return real(repository, run, candidates, reader, known, *rest)
        finally:
            patch.setattr(fence, "ref_names", names)

    names = fence.ref_names
    patch.setattr(steps, "fence", fenced)


def delete_candidates(patch: pytest.MonkeyPatch) -> None:
    """What is condemned is deleted, whatever the fence has spared."""

    def unreached(self: Any, held: Any, keys: Any) -> Any:
        real(self, held, keys)
        return names_of(keys)

    real = steps.Runs._unreached
    patch.setattr(steps.Runs, "_unreached", unreached)


def blind_verdict(patch: pytest.MonkeyPatch) -> None:
    """The verdict is written over whatever is there."""
    real = heads.advance

    def advance(backend: Any, held: Any, new: Head, pace: Any) -> Any:
        if new.state != "verdict":
            return real(backend, held, new, pace)
        while True:
            with suppress(Conflict):
                return heads.HeldHead(new, backend.swap(HEAD, dump_head(new), backend.get(HEAD).token))

    patch.setattr(steps, "advance", advance)


def own_verdict(patch: pytest.MonkeyPatch) -> None:
    """A collector whose verdict came second deletes what it thought itself."""
    real = heads.advance

    def advance(backend: Any, held: Any, new: Head, pace: Any) -> Any:
        landed = real(backend, held, new, pace)
        return heads.HeldHead(new, held.token) if landed is None and new.state == "verdict" else landed

    patch.setattr(steps, "advance", advance)


def no_create_first(patch: pytest.MonkeyPatch) -> None:
    """A ref that is missing is made after the head was read."""
    real, read = commits.Refs._create, FenceReader.read

    def create(self: Any, name: str, *, create: bool) -> Any:
        early = read(self.fences)
        held = real(self, name, create=create)
        self.fences.read = lambda: self.fences.__dict__.pop("read") and early  # once
        return held

    patch.setattr(commits.Refs, "_create", create)


def ignore_head(patch: pytest.MonkeyPatch) -> None:
    """Writers build on whatever exists."""
    patch.setattr(Fence, "reuse", lambda self, key, seen=None: Reuse.CHECK)


def no_kept(patch: pytest.MonkeyPatch) -> None:
    """Writers look at the run that is going on only."""
    patch.setattr(fencing, "bad_keys", lambda head: bad_keys(replace(head, kept=())))


def no_horizon(patch: pytest.MonkeyPatch) -> None:
    """What was ever seen counts for ever."""
    real = Fence.reuse
    patch.setattr(
        Fence,
        "reuse",
        lambda self, key, seen=None: Reuse.YES if seen and key not in self.bad else real(self, key, seen),
    )


def no_revalidate(patch: pytest.MonkeyPatch) -> None:
    """What was validated once is not looked at again after a conflict."""
    real = proving.Sightings.usable

    def usable(self: Any, key: str, seen: Fence) -> bool:
        return key in self.seen or real(self, key, seen)

    patch.setattr(proving.Sightings, "usable", usable)


def head_before_ref(patch: pytest.MonkeyPatch) -> None:
    """Writers read the head first, and the ref after that."""
    real, read = commits.Refs.commit, FenceReader.read

    def commit(self: Any, name: str, change: Any, **options: Any) -> Any:
        early = read(self.fences)
        with patch.context() as inner:
            inner.setattr(self.fences, "read", lambda: early)
            return real(self, name, change, **options)

    patch.setattr(commits.Refs, "commit", commit)


def undelete_no_closure(patch: pytest.MonkeyPatch) -> None:
    """An undelete looks for the manifest only."""

    def all_usable(self: Any, repository: Any, digest: Any, seen: Fence) -> bool:
        return bool(self.usable(manifest_key(digest), seen))

    patch.setattr(proving.Sightings, "all_usable", all_usable)


def undelete_blind(patch: pytest.MonkeyPatch) -> None:
    """An undelete looks whether the data is there, and not whether it is condemned."""

    def usable(self: Any, key: str, seen: Fence) -> bool:
        try:
            self._backend.get(key, 0, 1)
        except NotFound:
            return False
        return True

    patch.setattr(proving.Sightings, "usable", usable)


def lists_are_litter(patch: pytest.MonkeyPatch) -> None:
    """Lists that the head names count as garbage like anything else."""
    patch.setattr(sys.modules["casreg.gc.plan"], "lists_of", lambda head: set())
    patch.setattr(steps, "lists_of", lambda head: set())


MUTANTS: dict[str, Mutant] = {
    mutant.plant.__name__: mutant
    for mutant in (
        Mutant(no_condemn, "save_new"),
        Mutant(no_stamp, "save_delete"),
        Mutant(stamp_only_with_versions, "save_delete"),
        Mutant(skip_mark_if_stamped, "late", SEEN_TWICE),
        Mutant(stamp_ge, "clone"),
        Mutant(no_fence, "delete_undelete"),
        Mutant(stamp_after_mark, "save_new"),
        Mutant(fence_without_listing, "save_new"),
        Mutant(delete_candidates, "delete_undelete"),
        Mutant(blind_verdict, "late", SEEN_ONCE),
        Mutant(own_verdict, "late", SEEN_ONCE),
        Mutant(ignore_head, "save_new"),
        Mutant(no_kept, "again"),
        Mutant(no_horizon, "again_late"),
        Mutant(no_revalidate, "save"),
        Mutant(head_before_ref, "save_delete"),
        Mutant(no_create_first, "save_new"),
        Mutant(undelete_no_closure, "undelete_young"),
        Mutant(undelete_blind, "undelete"),
        Mutant(lists_are_litter, "two_gc"),
    )
}
