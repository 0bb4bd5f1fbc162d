"""The protocol with one rule taken away, each in the real code: a test of orders must find what breaks.

The names are those of the model (`docs/design/protocol.md`), where it has the rule too.
"""

from __future__ import annotations

import secrets
import sys
from contextlib import suppress
from dataclasses import replace
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from casreg import loading
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import AlreadyExists, Conflict, CorruptError, NotFound, StorageUnavailableError
from casreg.gc import collecting, fence, head as heads, run as steps
from casreg.gc.names import key_of, names_of
from casreg.head import INITIAL, Head, bad_keys, condemn, dump_head
from casreg.ingest import packing
from casreg.keys import HEAD, is_data_key, manifest_key, ref_key
from casreg.listing import every_ref_name
from casreg.refs import commit as commits, fencing, landing
from casreg.refs.fencing import Fence, FenceReader, Reuse
from casreg.refs.history import History
from casreg.refs.landing import Write
from casreg.refs.pace import PACE, Pace
from casreg.repository import finding, opening, proving, searching
from casreg.verify import heads as renewing, healing, recovering
from casreg.verify.survey import names_in
from casreg.versions import Exact
from collector.lab import FOREIGN
from collector.scenarios import (
    DELETED_AFTER_ALL,
    HEALED_BEFORE_THE_COMMIT,
    HEALED_BEFORE_THE_LOOK,
    SEEN_BEFORE_THE_HEAD_WAS_LOST,
    SEEN_ONCE,
    SEEN_TWICE,
    SENT_TWICE,
    written_again,
)

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
        patch.setattr(fence, "every_ref_name", lambda _: list(known))
        try:
            return real(repository, run, candidates, reader, known, *rest)
        finally:
            patch.setattr(fence, "every_ref_name", every_ref_name)

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


def _put(self: Any, key: str, data: Any, *, durable: bool = True) -> Any:
    """Create a file; what is there already is as good."""
    with suppress(AlreadyExists):
        return _create(self, key, data, durable=durable)
    if not is_data_key(key):
        raise AlreadyExists(key)
    return self.get(key).token


_create = MemoryBackend.create


def same_nonce(patch: pytest.MonkeyPatch) -> None:
    """What is written twice gets the same name."""
    patch.setattr(MemoryBackend, "create", _put)
    patch.setattr(secrets, "token_bytes", bytes)
    patch.setattr(secrets, "token_hex", lambda count: "0" * 2 * count)


def same_nonce_of_copies(patch: pytest.MonkeyPatch) -> None:
    """What is brought from elsewhere twice gets the same name."""
    same_nonce(patch)


def sent_twice(patch: pytest.MonkeyPatch) -> None:
    """What got no answer is sent again, under the same name."""
    numbers = count(1)

    def again(send: Any) -> Any:
        number = next(numbers)
        with patch.context() as inner:
            inner.setattr(secrets, "token_bytes", lambda count: number.to_bytes(count, "big"))
            with suppress(StorageUnavailableError):
                return send()
            return send()

    patch.setattr(MemoryBackend, "create", _put)
    patch.setattr(packing, "until_acknowledged", again)


def tidy(patch: pytest.MonkeyPatch) -> None:
    """Who loses a swap deletes what it had written for it."""
    real = landing.land

    def land(backend: Any, write: Any, *rest: Any) -> Any:
        landed = real(backend, write, *rest)
        if not landed.won:
            before = write.after.history.ref.records
            new = [record for version, record in write.ref.records.items() if version not in before]
            backend.delete([manifest_key(record.live.manifest) for record in new])
        return landed

    patch.setattr(commits, "land", land)


def no_bad(patch: pytest.MonkeyPatch) -> None:
    """Writers do not look at what is known to be damaged."""
    patch.setattr(fencing, "bad_keys", lambda head: bad_keys(replace(head, bad=None)))


def sighted_later(patch: pytest.MonkeyPatch) -> None:
    """What was found counts from the head that is read at the commit."""
    real = searching.Search.sightings

    def sightings(self: Any, *rest: Any) -> Any:
        now = self._repository.refs.fences.read().head.id
        return dict.fromkeys(real(self, *rest), now)

    patch.setattr(searching.Search, "sightings", sightings)


def same_write(patch: pytest.MonkeyPatch) -> None:
    """All states of refs have one write id."""
    patch.setattr(Pace, "new_id", lambda self: "7" * 32)


def believes_answers(patch: pytest.MonkeyPatch) -> None:
    """Nobody looks for a write of its own in the ref: a conflict is a conflict."""
    patch.setattr(Write, "is_in", lambda self, history: False)


def other_bytes(patch: pytest.MonkeyPatch) -> None:
    """In doubt another write is made of the same save."""
    real = landing.land

    def land(backend: Any, write: Any, segments: Any, pace: Any) -> Any:
        try:
            return landing.Landing(
                won=True,
                held=landing.Held(
                    History(write.ref, segments),
                    backend.swap(ref_key(write.ref.name), write.data, write.after.token),
                ),
            )
        except StorageUnavailableError:
            held = landing.read_held(backend, write.ref.name, segments)
            return landing.Landing(won=held is not None and write.is_in(held.history), held=held)
        except Conflict:
            return real(backend, write, segments, pace)

    patch.setattr(commits, "land", land)


def no_nonce(patch: pytest.MonkeyPatch) -> None:
    """The ids of runs are numbers: another place has the same."""

    def condemned(head: Head, names: str, nonce: str, write: str) -> Head:
        run = condemn(head, names, nonce, write)
        return replace(run, id=(FOREIGN[0], run.id[1]))

    patch.setattr(steps, "condemn", condemned)


def ignore_damage(patch: pytest.MonkeyPatch) -> None:
    """A ref that cannot be read is passed over by the fence."""
    real = fence._fenced

    def fenced(repository: Any, run: Any, candidates: Any, reader: Any, name: str) -> Any:
        try:
            return real(repository, run, candidates, reader, name)
        except CorruptError:
            return name, frozenset()

    patch.setattr(fence, "_fenced", fenced)


def unconfirmed(patch: pytest.MonkeyPatch) -> None:
    """A run is closed although a deletion got no answer."""
    real = steps.Runs._delete

    def delete(self: Any, keys: Sequence[str]) -> None:
        with suppress(StorageUnavailableError):
            real(self, keys)

    patch.setattr(steps.Runs, "_delete", delete)


def reads_once(patch: pytest.MonkeyPatch) -> None:
    """A load that misses a file says so, and looks at nothing again."""

    def settled(repository: Any, name: str, selector: Any, use: Any) -> Any:
        version, entry = finding.select(repository, name, selector)
        try:
            return use(version, entry, repository.manifest(entry.manifest))
        except NotFound as err:
            raise CorruptError(f"{name}@{version} is lost: {err}") from err

    patch.setattr(loading, "settled", settled)


def reads_on(patch: pytest.MonkeyPatch) -> None:
    """Who reads a version goes on with whatever it is by now."""

    def moved(self: Any, before: Any, missing: Any) -> Any:
        chosen = Exact(self._version)
        return finding.manifest_of(self._repository, self._name, chosen)[2]

    patch.setattr(opening.Moved, "__call__", moved)


def bad_at_once(patch: pytest.MonkeyPatch) -> None:
    """Names are called bad by one swap of the head, without a fence."""

    def mark(repository: Any, keys: Any, *_: Any) -> None:
        backend, pace = repository.backend, PACE
        while True:
            held = heads.read_head(backend)
            new = replace(held.head, bad=heads.write_list(backend, keys, pace), write=pace.new_id())
            if heads.advance(backend, held, new, pace) is not None:
                return

    patch.setattr(sys.modules["casreg.registry.registry"], "mark_bad", mark)


def heal_looks_first(patch: pytest.MonkeyPatch) -> None:
    """Who heals looks at the refs before the names are bad, and not after it."""

    def heal_versions(self: Any) -> None:
        while cases := self._cases():
            self._swing(cases)
            self._look(names_in(self._target))
        self._try_to_mark(self._bad())

    patch.setattr(healing._Healer, "_heal_versions", heal_versions)


def restored_blind(patch: pytest.MonkeyPatch) -> None:
    """What a ref of another copy names is taken as it is."""
    real = recovering.Recovery.ref

    def ref(self: Any) -> Any:
        with patch.context() as inner:
            inner.setattr(Fence, "reuse", lambda self, key, seen=None: Reuse.YES)
            return real(self)

    patch.setattr(recovering.Recovery, "ref", ref)


def old_head(patch: pytest.MonkeyPatch) -> None:
    """A lost head begins as the first one did."""
    patch.setattr(renewing, "_new_head", lambda *_: replace(INITIAL, write="8" * 32))


def new_head_forgets(patch: pytest.MonkeyPatch) -> None:
    """A new head knows nothing of lists that there are."""
    patch.setattr(renewing, "_lists", lambda backend: iter(()))


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
        Mutant(same_nonce, "save_again", written_again("new")),
        Mutant(same_nonce_of_copies, "sync_again", written_again("thing")),
        Mutant(sent_twice, "sent", SENT_TWICE),
        Mutant(tidy, "two_saves"),
        Mutant(no_bad, "heal_save", HEALED_BEFORE_THE_COMMIT),
        Mutant(sighted_later, "save_late"),
        Mutant(same_write, "two_saves"),
        Mutant(believes_answers, "lost_answer"),
        Mutant(other_bytes, "late_answer"),
        Mutant(no_nonce, "clone"),
        Mutant(ignore_damage, "broken_ref"),
        Mutant(unconfirmed, "late_delete"),
        Mutant(reads_once, "compact_load"),
        Mutant(reads_on, "read_replaced"),
        Mutant(bad_at_once, "heal_save", HEALED_BEFORE_THE_COMMIT),
        Mutant(heal_looks_first, "heal_save", HEALED_BEFORE_THE_LOOK),
        Mutant(restored_blind, "old_ref"),
        Mutant(old_head, "broken_head_again", SEEN_BEFORE_THE_HEAD_WAS_LOST),
        Mutant(new_head_forgets, "broken_head", DELETED_AFTER_ALL),
    )
}
