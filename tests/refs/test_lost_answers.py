"""Requests that fail, answers that get lost, requests that arrive twice or late: exactly one commit, or none."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    CasregError,
    CommitUnknownError,
    Conflict,
    CorruptError,
    LockTimeoutError,
    NotFound,
    StorageError,
    StorageFullError,
    StoragePermissionError,
    StorageUnavailableError,
    UnsafeStorageError,
)
from casreg.keys import ref_key
from casreg.refs import spill
from casreg.refs.commit import Refs
from casreg.refs.pace import PACE
from casreg.registry import Registry
from casreg.testing.faults import Fault, FaultBackend, FaultKind, until_clean
from refs.lab import LATER, NAME, FakeTime, Recording, delete, entry_of, save, v, versions_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, Token
    from casreg.refs import Attempt, History

KEY = ref_key(NAME)
EARLIER = ["1.0.0", "1.0.1", "1.0.2"]
SHIFTS = [FaultKind.BEFORE, FaultKind.AFTER, FaultKind.DOUBLED, FaultKind.LATE]


@pytest.fixture(params=["plain", "spilling", "first"])
def make_backend(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], MemoryBackend]:
    """Makes repositories in which the next save is an ordinary one, one that spills and merges, or the first."""
    if request.param == "spilling":
        monkeypatch.setattr(spill, "INLINE_LIMIT", 1_000)
        monkeypatch.setattr(spill, "_LEAST_ROOM", 300)

    def make() -> MemoryBackend:
        backend = MemoryBackend()
        if request.param != "first":
            for version in EARLIER:
                save(Refs(backend, pace=FakeTime().pace()), version)
        return backend

    return make


def writes_of(backend: Backend) -> dict[str, str]:
    """Each live version and the write that made it."""
    pairs = Refs(backend).ask(NAME, lambda history: list(history.live()) if history else [])
    return {str(version): entry.write for version, entry in pairs}


def commit_and_judge(backend: FaultBackend) -> None:
    """Save once through faults: it is there exactly once if it says so, not at all if it says no."""
    before = writes_of(backend.inner)
    try:
        version, done = save(Refs(backend, pace=FakeTime().pace()))
    except CommitUnknownError as err:
        unknown = err.write
        assert set(new_writes(backend, before).values()) <= {unknown}
    except CasregError:
        assert new_writes(backend, before) == {}
        backend.deliver()
        assert new_writes(backend, before) == {}, "an error that says no must stay true"
    else:
        assert new_writes(backend, before) == {version: done.write}
        assert str(done.history.latest() and done.history.latest()[0]) == version  # type: ignore[index]
    backend.deliver()
    after = new_writes(backend, before)
    assert len(after) <= 1
    # Whatever happened, the next one is served, and gets a number of its own.
    version, _ = save(Refs(backend.inner, pace=FakeTime().pace()))
    assert version not in before
    assert version not in after


def new_writes(backend: FaultBackend, before: dict[str, str]) -> dict[str, str]:
    """What was added; nothing may have gone or changed."""
    now = writes_of(backend.inner)
    assert before.items() <= now.items()
    return {version: write for version, write in now.items() if version not in before}


@pytest.mark.parametrize("kind", SHIFTS)
def test_any_one_fault_leaves_old_or_new(make_backend: Callable[[], MemoryBackend], kind: FaultKind) -> None:
    """Whichever request fails, and however, the ref is old or new, and the answer is true."""
    runs = until_clean(make_backend, commit_and_judge, kind)
    assert runs >= 3


@pytest.mark.parametrize("late_by", [1, 2, 3, 4])
def test_a_request_that_arrives_late_does_no_harm(
    make_backend: Callable[[], MemoryBackend], late_by: int
) -> None:
    """A request that lands some calls after its error is taken for what it is: the same commit, once."""
    for at in range(1, 8):
        commit_and_judge(FaultBackend(make_backend(), [Fault(at, FaultKind.LATE, late_by=late_by)]))


def test_any_two_faults_leave_old_or_new(make_backend: Callable[[], MemoryBackend]) -> None:
    """The same with each pair of faults."""
    for first, second in product(range(1, 6), range(1, 8)):
        for kinds in product(SHIFTS, SHIFTS):
            faults = [Fault(first, kinds[0]), Fault(first + second, kinds[1], late_by=2)]
            commit_and_judge(FaultBackend(make_backend(), faults))


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_fault_of_a_write_never_fails_a_save(
    make_backend: Callable[[], MemoryBackend], kind: FaultKind
) -> None:
    """A create or swap that fails once, or whose answer is lost, is brought to its end by reading back."""

    def succeed(backend: FaultBackend) -> None:
        before = writes_of(backend.inner)
        version, done = save(Refs(backend, pace=FakeTime().pace()))
        assert new_writes(backend, before) == {version: done.write}

    runs = until_clean(make_backend, succeed, kind, methods=frozenset({"create", "swap"}))
    assert runs >= 1


@pytest.mark.parametrize("kind", SHIFTS)
def test_a_deletion_survives_faults_too(kind: FaultKind) -> None:
    """A removal goes the same way: once, or not at all."""

    def make() -> MemoryBackend:
        backend = MemoryBackend()
        save(Refs(backend))
        save(Refs(backend))
        return backend

    def scenario(backend: FaultBackend) -> None:
        try:
            delete(Refs(backend, pace=FakeTime().pace()), "1.0.0")
        except StorageError:
            assert versions_of(Refs(backend.inner)) == ["1.0.0", "1.0.1"]
        else:
            assert versions_of(Refs(backend.inner)) == ["1.0.1"]

    assert until_clean(make, scenario, kind) >= 2


def test_a_segment_is_never_sent_twice_under_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """After doubt about a segment, the next one has a fresh nonce, and so another key."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 1_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 300)
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.AFTER, prefix="segments/", times=3)])
    for version in EARLIER:
        save(Refs(backend, pace=FakeTime().pace()), version)
    names = [
        call.key for call in backend.calls if call.method == "create" and call.key.startswith("segments/")
    ]
    assert len(names) >= 4
    assert len(names) == len(set(names))


def test_the_same_bytes_are_sent_again() -> None:
    """While nothing else was committed, what is in doubt is sent again as it was, so that it can land but once."""

    class Deaf(Recording):
        """The first two swaps are lost on their way."""

        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            sent.append((bytes(data), expected))
            if len(sent) < 3:
                raise StorageUnavailableError("on purpose")
            return super().swap(key, data, expected)

    sent: list[tuple[bytes, Token]] = []
    calls: list[int] = []

    def change(attempt: Attempt) -> History:
        calls.append(attempt.number)
        return attempt.history.with_version(v("1.0.0"), entry_of("x", attempt.write))

    Refs(Deaf(MemoryBackend()), pace=FakeTime().pace()).commit(NAME, change)
    assert len(sent) == 3
    assert len(set(sent)) == 1
    assert calls == [1]


# Lost answers, and others who commit before the writer reads back


class LostAnswer(Recording):
    """The first swap lands, its answer is lost, and `meanwhile` happens before anybody reads."""

    def __init__(self, inner: Backend, meanwhile: Callable[[Refs], object], error: StorageError) -> None:
        super().__init__(inner)
        self.meanwhile = meanwhile
        self.error = error
        self.lost = False

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        token = super().swap(key, data, expected)
        if self.lost:
            return token
        self.lost = True
        self.meanwhile(Refs(self.inner, pace=FakeTime().pace()))
        raise self.error


ANSWERS = [
    StorageUnavailableError("lost"),
    Conflict("a retry below met itself"),
    NotFound("404"),
    StorageError("500"),
]


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
@pytest.mark.parametrize("others", [0, 1, 63, 64, 200])
def test_a_version_whose_answer_was_lost_is_recognised(answer: StorageError, others: int) -> None:
    """However many others committed before it was read back, and whatever the wrong answer said, it is one save."""
    backend = LostAnswer(MemoryBackend(), lambda refs: [save(refs) for _ in range(others)], answer)
    version, done = save(Refs(backend, pace=FakeTime().pace()))
    writes = writes_of(backend)
    assert len(writes) == others + 1
    assert writes[version] == done.write


def test_a_lost_answer_is_recognised_in_a_segment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the new version was spilled before its writer read back, and no id of it is in the ref."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 4_000)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 1_000)
    backend = LostAnswer(MemoryBackend(), lambda refs: [save(refs) for _ in range(100)], ANSWERS[0])
    assert save(Refs(backend, pace=FakeTime().pace()))[0] == "1.0.0"
    assert len(writes_of(backend)) == 101
    assert "1.0.0" in {str(row.lowest) for row in Refs(backend).read(NAME).history.ref.older}  # type: ignore[union-attr]


def test_a_lost_answer_is_recognised_in_a_tombstone() -> None:
    """Also when somebody deleted or overwrote the new version before its writer read back."""

    def meanwhile(refs: Refs) -> None:
        delete(refs, "1.0.0")
        save(refs, "1.0.0")
        for _ in range(80):
            save(refs)

    backend = LostAnswer(MemoryBackend(), meanwhile, ANSWERS[0])
    done = save(Refs(backend, pace=FakeTime().pace()))[1]
    record = Refs(backend).ask(NAME, lambda history: history.record(v("1.0.0")) if history else None)
    assert record is not None
    assert [tombstone.entry.write for tombstone in record.dead] == [done.write]
    assert len(writes_of(backend)) == 81


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: type(answer).__name__)
@pytest.mark.parametrize("others", [0, 1, 63])
def test_a_change_without_an_entry_is_recognised_by_the_recent_writes(
    answer: StorageError, others: int
) -> None:
    """A tag makes no entry: the last 64 ids in the ref tell that it was committed, and it is not done again."""
    inner = MemoryBackend()
    save(Refs(inner))
    calls: list[int] = []

    def change(attempt: Attempt) -> History:
        calls.append(attempt.number)
        return attempt.history.with_tag("prod", v("1.0.0"))

    def meanwhile(refs: Refs) -> None:
        if others:
            refs.commit(NAME, lambda attempt: attempt.history.without_tag("prod"))
        for _ in range(others - 1):
            save(refs)

    Refs(LostAnswer(inner, meanwhile, answer), pace=FakeTime().pace()).commit(NAME, change)
    assert calls == [1]
    tags = Refs(inner).ask(NAME, lambda history: dict(history.ref.tags) if history else {})
    assert ("prod" in tags) == (others == 0), "what others did after it must stand"


def test_a_conflict_that_is_one_is_not_taken_for_success() -> None:
    """When another writer was faster, nothing of this attempt is in the ref, and it is made again."""

    class Faster(Recording):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            if self.calls.count(f"swap {KEY}") == 0:
                save(Refs(self.inner))
            try:
                return super().swap(key, data, expected)
            except Conflict:
                raise StorageUnavailableError("on purpose") from None

    backend = Faster(MemoryBackend())
    assert save(Refs(backend, pace=FakeTime().pace()))[0] == "1.0.1"
    assert len(writes_of(backend)) == 2


# When it cannot be known


class NeverAgain(Recording):
    """The swap lands or not, its answer is lost, and from then on the ref cannot be read."""

    def __init__(self, inner: Backend, failure: CasregError, *, lands: bool) -> None:
        super().__init__(inner)
        self.failure = failure
        self.lands = lands
        self.broken = False

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        if self.broken:
            self.calls.append("get in vain")
            raise self.failure
        return super().get(key, start, stop, held=held)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        self.broken = True
        if self.lands:
            super().swap(key, data, expected)
        raise StorageUnavailableError("on purpose")


@pytest.mark.parametrize(
    "failure", [StorageUnavailableError("down"), CorruptError("garbled")], ids=["down", "garbled"]
)
@pytest.mark.parametrize("lands", [True, False])
def test_what_cannot_be_known_is_said_with_the_id(failure: CasregError, lands: bool) -> None:
    """When the ref cannot be read back, the error carries the write's id, which tells later what happened."""
    inner = MemoryBackend()
    save(Refs(inner))
    backend = NeverAgain(inner, failure, lands=lands)
    with pytest.raises(CommitUnknownError, match="lost") as caught:
        save(Refs(backend, pace=FakeTime().pace()))
    assert backend.calls.count("get in vain") == PACE.reads
    assert (caught.value.write in Refs(inner).read(NAME).history.ref.recent) == lands  # type: ignore[union-attr]


def test_an_outage_of_seconds_is_waited_for() -> None:
    """A storage that comes back after three seconds tells what happened: no error at all."""
    away_since, fake_time = 0.0, FakeTime()

    class Away(Recording):
        def get(
            self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None
        ) -> Object:
            if away_since > 0 and fake_time.now < away_since + 3.0:
                raise StorageUnavailableError("away")
            return super().get(key, start, stop, held=held)

        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            nonlocal away_since
            away_since = fake_time.now = 1.0
            super().swap(key, data, expected)
            raise StorageUnavailableError("away")

    backend = Away(MemoryBackend())
    version, done = save(Refs(backend, pace=fake_time.pace()))
    assert writes_of(backend.inner) == {version: done.write}


def test_reading_back_ends_when_each_reading_takes_long() -> None:
    """Where a request takes a minute to fail, one more is enough: the caller is not left waiting for ten."""

    class Hanging(NeverAgain):
        def get(
            self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None
        ) -> Object:
            if self.broken:
                fake_time.now += 61.0
            return super().get(key, start, stop, held=held)

    fake_time = FakeTime()
    backend = Hanging(MemoryBackend(), StorageUnavailableError("timed out"), lands=True)
    with pytest.raises(CommitUnknownError):
        save(Refs(backend, pace=fake_time.pace()))
    assert backend.calls.count("get in vain") == 1


def test_a_swap_that_never_answers_is_unknown() -> None:
    """If the storage fails each time and the ref stays as it was, a request may still be under way: not a no."""
    backend = FaultBackend(MemoryBackend(), [Fault(1, FaultKind.LATE, frozenset({"swap"}), times=100)])
    with pytest.raises(CommitUnknownError) as caught:
        save(Refs(backend, pace=FakeTime().pace()))
    assert backend.fired == PACE.sends
    assert versions_of(Refs(backend.inner)) == []
    backend.deliver()
    assert writes_of(backend.inner) == {"1.0.0": caught.value.write}


REFUSALS = [StorageFullError, StoragePermissionError, LockTimeoutError, UnsafeStorageError]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_is_said_as_it_is(refusal: type[StorageError]) -> None:
    """Where the storage itself says no, and the ref agrees, that error comes out and is not tried again."""
    for method, prefix in (("swap", KEY), ("create", KEY)):
        fault = Fault(1, FaultKind.BEFORE, frozenset({method}), prefix, times=100, error=refusal)
        backend = FaultBackend(MemoryBackend(), [fault])
        with pytest.raises(refusal, match="on purpose"):
            save(Refs(backend, pace=FakeTime().pace()))
        assert backend.fired == 1
        assert versions_of(Refs(backend.inner)) == []


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_after_the_fact_is_none(refusal: type[StorageError]) -> None:
    """If the ref has the write although the storage said no, it is committed."""
    fault = Fault(1, FaultKind.AFTER, frozenset({"swap"}), error=refusal)
    backend = FaultBackend(MemoryBackend(), [fault])
    version, done = save(Refs(backend, pace=FakeTime().pace()))
    assert writes_of(backend.inner) == {version: done.write}


def test_a_refusal_after_doubt_is_doubt() -> None:
    """A refusal tells nothing of an earlier sending that may still be under way."""
    backend = FaultBackend(
        MemoryBackend(),
        [
            Fault(1, FaultKind.LATE, frozenset({"swap"})),
            Fault(2, FaultKind.BEFORE, frozenset({"swap"}), times=100, error=StorageFullError),
        ],
    )
    with pytest.raises(CommitUnknownError) as caught:
        save(Refs(backend, pace=FakeTime().pace()))
    backend.deliver()
    assert writes_of(backend.inner) == {"1.0.0": caught.value.write}


def test_a_timeout_of_the_system_is_doubt_as_well() -> None:
    """An error that a backend failed to translate leaves no other question than one that it did."""
    fault = Fault(1, FaultKind.AFTER, frozenset({"swap"}), error=TimeoutError)
    backend = FaultBackend(MemoryBackend(), [fault])
    assert save(Refs(backend, pace=FakeTime().pace()))[0] == "1.0.0"
    assert versions_of(Refs(backend.inner)) == ["1.0.0"]


def test_a_ref_that_vanished_is_a_conflict() -> None:
    """An empty ref that is gone before its first version is made again, also where the storage says 404 for it."""

    class Vanishes(Recording):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            if self.calls.count(f"swap {KEY}") == 0:
                self.inner.delete([key])
            try:
                return super().swap(key, data, expected)
            except Conflict:
                raise NotFound("404") from None

    backend = Vanishes(MemoryBackend())
    assert save(Refs(backend, pace=FakeTime().pace()))[0] == "1.0.0"


def test_two_writers_create_one_ref() -> None:
    """Who finds that another created the ref first goes on with that one."""

    class Beaten(Recording):
        def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
            if key == KEY:
                save(Refs(self.inner))
            return super().create(key, data, durable=durable)

    backend = Beaten(MemoryBackend())
    assert save(Refs(backend, pace=FakeTime().pace()))[0] == "1.0.1"


def test_deleting_twice_by_a_lost_answer_is_one_deletion() -> None:
    """A deletion that is recognised does not fail because the version is gone: it did that itself."""
    inner = MemoryBackend()
    save(Refs(inner))
    backend = LostAnswer(inner, lambda _: None, ANSWERS[1])
    done = delete(Refs(backend, pace=FakeTime().pace()), "1.0.0")
    record = done.history.record(v("1.0.0"))
    assert record is not None
    assert [tombstone.deleted for tombstone in record.dead] == [LATER]


@pytest.mark.parametrize("known", [True, False])
def test_a_ref_that_is_lost_meanwhile_is_not_begun_anew(known: bool) -> None:
    """A storage that loses a ref with versions under a writer is damage; an empty one had nothing to lose."""

    class Losing(MemoryBackend):
        lost = False

        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            if not self.lost:
                self.lost = True
                self.delete([key])
            return super().swap(key, data, expected)

    place = Losing()
    if known:
        place.lost = True
        Registry(place).save("my:model", 1)
        place.lost = False
        with pytest.raises(CorruptError, match=r"refs/my_model .* has gone"):
            Registry(place).save("my:model", 2)
        assert list(place.list("refs/")) == []
    else:
        Registry(place).save("my:model", 2)
        assert Registry(place).list_versions("my:model") == ["1.0.0"]
