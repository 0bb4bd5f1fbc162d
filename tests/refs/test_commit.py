"""The writer's loop: its requests in their order, and what it does when it may not or need not write."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.exceptions import (
    CommitConflictError,
    Conflict,
    CorruptError,
    InvalidArgumentError,
    InvalidNameError,
    ObjectNotFoundError,
    StorageError,
    UnsupportedFormatError,
)
from casreg.head import INITIAL, Head, close, condemn, condemn_bad, dump_head, encode_names, verdict
from casreg.keys import HEAD, manifest_key, ref_key
from casreg.refs import Reuse, spill
from casreg.refs.commit import Refs
from casreg.refs.document import Ref
from casreg.refs.pace import PACE
from refs.lab import (
    LATER,
    NAME,
    FakeTime,
    Recording,
    delete,
    entry_of,
    save,
    v,
    versions_of,
)

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, Token
    from casreg.refs import Attempt, Entry, History
    from casreg.versions import Version

KEY = ref_key(NAME)
CONDEMNED = manifest_key(digest_of(b"condemned"))
DELETED = manifest_key(digest_of(b"deleted"))
DAMAGED = manifest_key(digest_of(b"damaged"))


def put_list(backend: Backend, *keys: str) -> str:
    """Store a list of names."""
    key, data = encode_names(keys, digest_of(repr(keys).encode()).hex()[:32])
    backend.create(key, data)
    return key


def put_head(backend: Backend, head: Head) -> None:
    """Store the collector's head, whatever it was before."""
    try:
        token = backend.get(HEAD).token
    except StorageError:
        backend.create(HEAD, dump_head(head))
    else:
        assert token is not None
        backend.swap(HEAD, dump_head(head), token)


def busy_head(backend: Backend) -> Head:
    """A head in its third run: one name is condemned, one was deleted in the run before, one is damaged."""
    names = put_list(backend, DELETED)
    head = close(verdict(condemn(INITIAL, names, "1" * 32, "a" * 32), names, "b" * 32), "c" * 32)
    head = close(
        verdict(condemn_bad(head, put_list(backend, DAMAGED), "2" * 32, "d" * 32), None, "e" * 32), "f" * 32
    )
    head = condemn(head, put_list(backend, CONDEMNED), "3" * 32, "7" * 32)
    put_head(backend, head)
    return head


# Requests


def test_the_first_save_creates_the_ref_before_it_reads_the_head() -> None:
    """A collector that condemned before the head was read finds the ref, since it was there by then."""
    backend = Recording(MemoryBackend())
    assert save(Refs(backend))[0] == "1.0.0"
    assert backend.calls == [f"get {KEY}", f"create-lightly {KEY}", f"get {HEAD}", f"swap {KEY}"]


def test_a_later_save_makes_three_requests() -> None:
    """The ref, then the head, then the commit."""
    backend = Recording(MemoryBackend())
    save(Refs(backend))
    backend.calls.clear()
    assert save(Refs(backend))[0] == "1.0.1"
    assert backend.calls == [f"get {KEY}", f"get {HEAD}", f"swap {KEY}"]


def test_a_read_makes_one_request() -> None:
    """Reading a history reads its ref, and of an absent one nothing is there."""
    backend = Recording(MemoryBackend())
    assert Refs(backend).read(NAME) is None
    save(Refs(backend))
    backend.calls.clear()
    assert versions_of(Refs(backend)) == ["1.0.0"]
    assert backend.calls == [f"get {KEY}"]


def test_a_removal_reads_no_head_and_keeps_the_stamp() -> None:
    """Deleting adds no name, so the fence of the ref stays what it was."""
    backend = Recording(MemoryBackend())
    save(Refs(backend))
    stamp = stored(backend).stamp
    busy_head(backend.inner)
    backend.calls.clear()
    delete(Refs(backend), "1.0.0")
    assert backend.calls == [f"get {KEY}", f"swap {KEY}"]
    assert stored(backend).stamp == stamp == INITIAL.id
    assert versions_of(Refs(backend)) == []


def test_a_commit_is_stamped_with_the_head_that_it_saw() -> None:
    """The stamp tells a collector that this ref's writer knew what is condemned."""
    backend = MemoryBackend()
    head = busy_head(backend)
    save(Refs(backend))
    assert stored(backend).stamp == head.id == ("3" * 32, 3)


def test_every_write_is_new_and_remembered() -> None:
    """Each commit has its own write id, which the ref and the entry carry, and counts the revision up."""
    backend = MemoryBackend()
    refs = Refs(backend)
    writes = [save(refs)[1].write for _ in range(5)]
    ref = stored(backend)
    assert len(set(writes)) == 5
    assert list(ref.recent[1:]) == writes, "the first is the empty ref's own"
    assert (ref.write, ref.rev) == (writes[-1], 5)
    assert [record.live.write for record in ref.records.values() if record.live] == writes


def test_lists_of_names_are_read_once() -> None:
    """Lists never change: a second save reads the head again, but not what it names."""
    backend = Recording(MemoryBackend())
    busy_head(backend.inner)
    refs = Refs(backend)
    save(refs)
    assert len([call for call in backend.calls if "get segments/" in call]) == 3
    backend.calls.clear()
    save(refs)
    assert backend.calls == [f"get {KEY}", f"get {HEAD}", f"swap {KEY}"]


# The fence


def test_what_the_collector_names_is_never_reused() -> None:
    """Condemned, deleted and damaged names are refused, whatever a writer remembers of them."""
    backend = MemoryBackend()
    head = busy_head(backend)
    fence = Refs(backend).fences.read()
    assert fence.bad == {CONDEMNED, DELETED, DAMAGED}
    for key in fence.bad:
        assert fence.reuse(key) is Reuse.NO
        assert fence.reuse(key, head.id) is Reuse.NO


def test_a_sighting_counts_while_its_run_is_remembered() -> None:
    """A name seen under this run or a kept one may be reused unasked; one seen long ago, elsewhere or never, not."""
    backend = MemoryBackend()
    head = busy_head(backend)
    fence = Refs(backend).fences.read()
    key = manifest_key(digest_of(b"other"))
    for seen in (head.id, ("1" * 32, 1), ("2" * 32, 2)):
        assert fence.reuse(key, seen) is Reuse.YES
    for unknown in (None, INITIAL.id, ("9" * 32, 3), ("9" * 32, 2)):
        assert fence.reuse(key, unknown) is Reuse.CHECK


def test_without_a_head_nothing_is_condemned() -> None:
    """Where no collector ever ran, an absent head is its initial state."""
    fence = Refs(MemoryBackend()).fences.read()
    assert (fence.head, fence.bad) == (INITIAL, frozenset())
    assert fence.reuse(CONDEMNED, INITIAL.id) is Reuse.YES
    assert fence.reuse(CONDEMNED) is Reuse.CHECK


def test_a_missing_list_stops_every_writer() -> None:
    """Who cannot know what is condemned must not write, and says which list is missing."""
    backend = MemoryBackend()
    head = busy_head(backend)
    assert head.names is not None
    backend.delete([head.names])
    with pytest.raises(CorruptError, match=head.names):
        save(Refs(backend))
    assert versions_of(Refs(backend)) == []


def test_a_list_that_was_collected_after_the_head_moved_on_is_no_damage() -> None:
    """When the list is gone because its run is over, the head is read again."""

    class MovesOn(Recording):
        def get(
            self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None
        ) -> Object:
            found = super().get(key, start, stop, held=held)
            if key == HEAD and self.calls.count(f"get {HEAD}") == 1:
                self.inner.delete([old.names or ""])
                put_head(self.inner, new)
            return found

    backend = MovesOn(MemoryBackend())
    old = busy_head(backend.inner)
    new = close(verdict(old, None, "1" * 32), "2" * 32)
    save(Refs(backend))
    assert stored(backend).stamp == old.id
    assert backend.calls.count(f"get {HEAD}") == 2


def test_a_damaged_head_stops_every_writer() -> None:
    """A head that cannot be verified is an error that names it, and nothing is written."""
    backend = MemoryBackend()
    backend.create(HEAD, dump_head(INITIAL).replace(b"idle", b"iblw"))
    with pytest.raises(CorruptError, match=HEAD):
        save(Refs(backend))
    assert versions_of(Refs(backend)) == []


def test_a_removal_that_spills_is_stamped(monkeypatch: pytest.MonkeyPatch) -> None:
    """A removal that has to spill adds a segment, so the ref gets the head's stamp like any writer's."""
    backend = MemoryBackend()
    for _ in range(12):
        save(Refs(backend))
    head = busy_head(backend)
    monkeypatch.setattr(spill, "INLINE_LIMIT", 3_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    delete(Refs(backend), "1.0.0")
    assert stored(backend).older
    assert stored(backend).stamp == head.id


# Conflicts


class Rival(Recording):
    """Before each of the first `wins` swaps, another writer commits something."""

    def __init__(self, inner: Backend, wins: int) -> None:
        super().__init__(inner)
        self.wins = wins

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        if self.wins:
            self.wins -= 1
            save(Refs(self.inner))
        return super().swap(key, data, expected)


def test_after_a_conflict_everything_is_chosen_again() -> None:
    """The version is chosen inside the loop, from the ref as it is then, under a new write id."""
    backend = Rival(MemoryBackend(), wins=3)
    attempts: list[Attempt] = []

    def change(attempt: Attempt) -> History:
        attempts.append(attempt)
        version = attempt.history.next_version()
        return attempt.history.with_version(version, entry_of("mine", attempt.write))

    done = Refs(backend, pace=FakeTime().pace()).commit(NAME, change)
    assert [attempt.number for attempt in attempts] == [1, 2, 3, 4]
    assert len({attempt.write for attempt in attempts}) == 4
    assert done.write == attempts[-1].write
    assert versions_of(Refs(backend)) == ["1.0.0", "1.0.1", "1.0.2", "1.0.3"]
    mine = done.history.entry(v("1.0.3"))
    assert mine is not None
    assert mine.write == done.write


def test_the_head_is_read_after_the_ref_in_each_attempt() -> None:
    """Between any reading of the ref and the commit that rests on it, the head is read."""
    backend = Rival(MemoryBackend(), wins=4)
    save(Refs(backend, pace=FakeTime().pace()))
    mine = [call for call in backend.calls if KEY in call or HEAD in call]
    swaps = [i for i, call in enumerate(mine) if call.startswith("swap")]
    assert len(swaps) == 5
    for i in swaps:
        assert mine[i - 1] == f"get {HEAD}"
        assert mine[i - 2] in (f"get {KEY}", f"create-lightly {KEY}")


def test_waits_have_full_jitter_and_a_cap() -> None:
    """A writer that keeps losing waits longer and longer, at random, and never more than the cap at once."""
    fake_time = FakeTime()
    save(Refs(Rival(MemoryBackend(), wins=30), pace=fake_time.pace(cap=5.0)))
    assert len(fake_time.waits) == 29, "the first conflict is tried again at once"
    bounds = [min(5.0, 0.02 * 2**n) for n in range(29)]
    assert all(0 <= wait <= bound for wait, bound in zip(fake_time.waits, bounds, strict=True))
    assert max(fake_time.waits) > 2.5
    assert len(set(fake_time.waits)) == 29


def test_a_slow_storage_is_asked_less_often() -> None:
    """Where a round trip takes longer than the base, it is the base."""
    drawn: list[tuple[float, float]] = []

    def uniform(low: float, high: float) -> float:
        drawn.append((low, high))
        return 0.0

    class Slow(Rival):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            fake_time.now += 2.0
            return super().swap(key, data, expected)

    fake_time = FakeTime()
    pace = replace(fake_time.pace(), uniform=uniform)
    save(Refs(Slow(MemoryBackend(), wins=4), pace=pace))
    assert drawn == [(0.0, 2.0), (0.0, 4.0), (0.0, 5.0)]


def test_who_keeps_losing_gives_up_in_the_end() -> None:
    """After the budget a writer says that others kept winning, and has committed nothing."""
    fake_time = FakeTime()
    backend = Rival(MemoryBackend(), wins=10_000)
    with pytest.raises(CommitConflictError, match="my:model lost to other writers; nothing was committed"):
        Refs(backend, pace=fake_time.pace()).commit(NAME, mine)
    assert 60 <= fake_time.now <= 70
    assert not any(entry.data == entry_of("mine").data for _, entry in living(backend))


def test_long_attempts_are_not_counted_as_losing() -> None:
    """A writer whose validation takes long makes its ten attempts, even if the budget is long over."""
    fake_time = FakeTime()

    def slow(attempt: Attempt) -> History:
        fake_time.now += 100.0
        return mine(attempt)

    done = Refs(Rival(MemoryBackend(), wins=9), pace=fake_time.pace()).commit(NAME, slow)
    assert done.write is not None


def test_a_storage_that_only_says_conflict_is_given_up() -> None:
    """A conflict that nothing explains is tried again, and reported as one in the end."""

    class Stubborn(Recording):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            raise Conflict("on purpose")

    with pytest.raises(CommitConflictError):
        save(Refs(Stubborn(MemoryBackend()), pace=FakeTime().pace()))


# Listing


def test_lives_asks_once_and_tells_whether_a_version_lives(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name lives if one of its versions does, inline or spilled; usually its ref alone tells."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 3_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    backend = Recording(MemoryBackend())
    refs = Refs(backend, pace=FakeTime().pace())
    assert not refs.lives(NAME)
    for _ in range(12):
        save(refs)
    backend.calls.clear()
    assert refs.lives(NAME)
    assert backend.calls == [f"get {KEY}"]
    inline = [str(version) for version, record in stored(backend).records.items() if record.live]
    for version in inline:
        delete(refs, version)
    assert not [record for record in stored(backend).records.values() if record.live]
    assert Refs(backend).lives(NAME), "what lives is in a segment"
    for version in versions_of(refs):
        delete(refs, version)
    assert not refs.lives(NAME)


def test_lives_is_not_fooled_by_a_ref_of_another_name() -> None:
    """A ref file under another name's key is damage for a listing too."""
    backend = MemoryBackend()
    save(Refs(backend))
    backend.create(ref_key("my:other"), backend.get(KEY).data)
    with pytest.raises(CorruptError, match="my_other"):
        Refs(backend).lives("my:other")


# Not writing


def test_nothing_to_do_writes_nothing() -> None:
    """A change that returns None leaves the ref as it is, and says so."""
    backend = MemoryBackend()
    save(Refs(backend))
    before = backend.get(KEY)
    done = Refs(backend).commit(NAME, lambda _: None)
    assert done.write is None
    assert done.history.live()[0][0] == v("1.0.0")
    assert Refs(backend).remove(NAME, lambda _: None).write is None
    assert backend.get(KEY) == before


def test_an_error_of_the_change_writes_nothing() -> None:
    """What the change raises comes out as it is, and the ref stays."""
    backend = MemoryBackend()
    save(Refs(backend))
    before = backend.get(KEY)

    def change(attempt: Attempt) -> History:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Refs(backend).commit(NAME, change)
    assert backend.get(KEY) == before


def test_what_must_exist_is_not_created() -> None:
    """A tag or a deletion on a name that is not there is an error, and leaves no ref behind."""
    backend = MemoryBackend()
    with pytest.raises(ObjectNotFoundError, match=NAME):
        Refs(backend).commit(NAME, mine, create=False)
    with pytest.raises(ObjectNotFoundError, match=NAME):
        delete(Refs(backend), "1.0.0")
    assert list(backend.list("")) == []


def test_an_impossible_name_is_refused() -> None:
    """A name that has no key is an error before anything is asked."""
    with pytest.raises(InvalidNameError):
        Refs(MemoryBackend()).commit("no/name", mine)


def test_an_unknown_requirement_forbids_writing() -> None:
    """A ref that requires what this casreg does not know is read, but neither saved to nor deleted from."""
    backend = MemoryBackend()
    save(Refs(backend))
    ref = replace(stored(backend), requires=("flux",))
    token = backend.get(KEY).token
    assert token is not None
    backend.swap(KEY, ref.to_bytes(), token)
    assert versions_of(Refs(backend)) == ["1.0.0"]
    for write in (save, lambda refs: delete(refs, "1.0.0")):
        with pytest.raises(UnsupportedFormatError, match="flux"):
            write(Refs(backend))
    assert versions_of(Refs(backend)) == ["1.0.0"]


def test_a_swapped_ref_is_damage() -> None:
    """A ref file that was moved to another name's key is refused, and not written over."""
    backend = MemoryBackend()
    save(Refs(backend))
    backend.create(ref_key("my:other"), backend.get(KEY).data)
    with pytest.raises(CorruptError, match="my_other"):
        save(Refs(backend), name="my:other")
    assert backend.get(ref_key("my:other")).data == backend.get(KEY).data


@pytest.mark.parametrize("kind", ["version", "overwrite", "undelete", "tag", "tombstone"])
def test_a_removal_cannot_add(kind: str) -> None:
    """A removal does not know what is condemned: if its change adds any file, it is refused."""
    backend = MemoryBackend()
    for _ in range(3):
        save(Refs(backend))
    delete(Refs(backend), "1.0.1")
    before = backend.get(KEY)

    def change(removal: object) -> History:
        history: History = removal.history  # type: ignore[attr-defined]
        if kind == "version":
            return history.with_version(v("2.0.0"), entry_of("new"))
        if kind == "overwrite":
            return history.with_version(v("1.0.0"), entry_of("new"))
        if kind == "undelete":
            return history.undeleted(v("1.0.1"))
        if kind == "tag":
            return history.with_tag("prod", v("1.0.0"))
        return history.with_version(v("2.0.0"), entry_of("new")).without_version(v("2.0.0"), LATER)

    with pytest.raises(InvalidArgumentError, match="adds files"):
        Refs(backend).remove(NAME, change)
    assert backend.get(KEY) == before


def test_a_removal_may_change_notes_and_tags() -> None:
    """What reaches no other file needs no head: notes change, tags go, versions are deleted."""
    backend = MemoryBackend()
    refs = Refs(backend)
    for _ in range(3):
        save(refs)
    refs.commit(NAME, lambda attempt: attempt.history.with_tag("prod", v("1.0.0")).with_tag("x", v("1.0.1")))
    refs.remove(NAME, lambda removal: removal.history.with_notes(v("1.0.0"), {"a": 1}))
    refs.remove(NAME, lambda removal: removal.history.without_tag("prod"))
    delete(refs, "1.0.1")
    assert stored(backend).tags == {}
    assert versions_of(refs) == ["1.0.0", "1.0.2"]


# Segments


def test_a_history_that_moved_on_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """When a segment has gone because others merged and collected it meanwhile, the ref is read again."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 3_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    backend = MemoryBackend()
    other = Refs(backend, pace=FakeTime().pace())
    for _ in range(12):
        save(other)

    class Merges(Recording):
        """When the first segment is asked for, it has just been merged into another one and collected."""

        def get(
            self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None
        ) -> Object:
            if key == old and self.calls.count(f"get {old}") == 0:
                while old in {row.key for row in stored(backend).older}:
                    save(other)
                backend.delete([old])
            return super().get(key, start, stop, held=held)

    old = stored(backend).older[0].key
    recording = Merges(backend)
    assert versions_of(Refs(recording))[0] == "1.0.0"
    assert recording.calls.count(f"get {old}") == 1
    assert recording.calls.count(f"get {KEY}") == 2


def test_a_change_that_meets_a_moved_history_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit whose change reads a segment that has just gone begins again with the ref as it is."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 3_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    backend = MemoryBackend()
    other = Refs(backend, pace=FakeTime().pace())
    for _ in range(12):
        save(other)
    old = stored(backend).older[0].key
    calls: list[int] = []

    def change(attempt: Attempt) -> History:
        calls.append(attempt.number)
        if len(calls) == 1:
            while old in {row.key for row in stored(backend).older}:
                save(other)
            backend.delete([old])
        return attempt.history.with_notes(v("1.0.0"), {"seen": len(attempt.history.live())})

    Refs(backend).commit(NAME, change)
    assert calls == [1, 1]
    noted = Refs(backend).ask(NAME, lambda history: history.entry(v("1.0.0")) if history else None)
    assert noted is not None
    assert noted.notes == {"seen": len(versions_of(Refs(backend)))}


def test_a_lost_segment_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the ref still lists a segment that is missing, that is said; what needs it not still works."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 3_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    backend = MemoryBackend()
    for _ in range(12):
        save(Refs(backend))
    lost = stored(backend).older[0].key
    backend.delete([lost])
    with pytest.raises(CorruptError, match=f"{lost} is missing"):
        versions_of(Refs(backend))
    with pytest.raises(CorruptError, match=f"{lost} is missing"):
        Refs(backend).remove(NAME, lambda removal: removal.history.with_notes(v("1.0.0"), {}))
    assert save(Refs(backend))[0] == "1.0.12"


# Processes


def test_refs_pickle_without_what_they_keep() -> None:
    """The refs of a repository can be sent to another process, and work there."""
    backend = MemoryBackend("pickled-refs")
    save(Refs(backend))
    copy = pickle.loads(pickle.dumps(Refs(backend)))
    assert save(copy)[0] == "1.0.1"


def test_chance_differs_between_pickled_copies() -> None:
    """Two copies of a pickled pace do not wait in step."""
    one, two = (pickle.loads(pickle.dumps(PACE)) for _ in range(2))
    assert one.uniform(0, 1) != two.uniform(0, 1)
    assert one.new_id() != two.new_id()


# Small tools


def stored(backend: Backend) -> Ref:
    """The ref as it is on storage."""
    return Ref.from_bytes(backend.get(KEY).data, NAME)


def living(backend: Backend) -> list[tuple[Version, Entry]]:
    """What lives."""
    return Refs(backend).ask(NAME, lambda history: list(history.live()) if history else [])


def mine(attempt: Attempt) -> History:
    """Add a version that can be recognised."""
    return attempt.history.with_version(attempt.history.next_version(), entry_of("mine", attempt.write))
