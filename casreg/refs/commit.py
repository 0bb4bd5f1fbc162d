"""The writer's side of the protocol: the loop that commits a change to the ref of one name.

`docs/design/protocol.md` has the proof; the order of requests here is what it rests on:

1. Read the ref R. If there is none, create it empty.
2. After that read `gc/head`, and the lists of names that it condemns.
3. Ask the caller for the change, who validates every physical name that it adds, in full, in each attempt.
4. Compare-and-swap R, stamped with the head's id. That is the commit.
5. On a conflict begin again.

Names that R held already and that stay need no validation: had a verdict listed one, then R, which the collector
finds in its listing, would carry that run's stamp before the verdict, and the collector would have spared what R
reached; a stamp set after step 1 makes step 4 conflict.  Segments that a spill writes are new files, written after
step 2 under fresh names in each attempt.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from casreg.exceptions import (
    CommitConflictError,
    CorruptError,
    InvalidArgumentError,
    NotFound,
    ObjectNotFoundError,
    StorageError,
)
from casreg.keys import ref_key
from casreg.refs.document import Ref, has_inline_version
from casreg.refs.fencing import Fence, FenceReader
from casreg.refs.history import History
from casreg.refs.landing import REFUSALS, Held, Write, land, read_held
from casreg.refs.pace import pace_for
from casreg.refs.segments import SegmentGone, SegmentReader
from casreg.refs.spill import overflow, spilled

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.backends.base import Backend, Readable
    from casreg.refs.entries import Record
    from casreg.refs.pace import Pace
    from casreg.versions import Version

T = TypeVar("T")

_CREATES = 4
"""So often an empty ref, or a segment, is tried to be created while the storage fails."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What a change is made from, new in each attempt.

    Attributes:
        number: From 1.
        history: The ref as it is. Empty if it was just created.
        write: The id that this attempt writes under: new entries carry it in `write`.
        fence: What may be reused. The caller must ask it about *every* physical name that the change adds.
    """

    number: int
    history: History
    write: str
    fence: Fence


@dataclass(frozen=True, slots=True)
class Removal:
    """What a change that adds no physical name is made from. Attributes as those of `Attempt`."""

    number: int
    history: History
    write: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A commit of which steps 1 and 2 are done. Only `Refs.begin` makes it, which does them in this order.

    Attributes:
        held: The ref.
        fence: The head, as it was read after that.
    """

    held: Held
    fence: Fence


@dataclass(frozen=True, slots=True)
class Committed:
    """How a commit ended.

    Attributes:
        held: The ref as last seen; with the change in it, if there was one, and perhaps with later ones.
        write: Id of the write; None if there was nothing to change, and nothing was written.
    """

    held: Held
    write: str | None

    @property
    def history(self) -> History:
        """What the ref says."""
        return self.held.history


@dataclass(frozen=True, slots=True)
class _Draft:
    """One attempt, before it is sent. `write` is None if nothing is to be done."""

    held: Held
    write: Write | None = None


class Refs:
    """The refs of one repository: reading them, and committing to them.

    For any number of threads and processes; a fork or a pickle leaves both sides usable. Constructing it does no
    I/O.
    """

    def __init__(self, backend: Backend, *, pace: Pace | None = None, copies: Readable | None = None) -> None:
        self._backend = backend
        self._pace = pace_for(backend) if pace is None else pace
        # Segments may come from copies: a ref that was read names them, and if it moved on since, its swap fails.
        self.segments = SegmentReader(backend if copies is None else copies)
        self.fences = FenceReader(backend)

    def read(self, name: str) -> Held | None:
        """The history of `name` as it is now, with the token of its ref; None if there is no ref.

        Raises:
            InvalidNameError: It is no name.
            CorruptError: The ref is damaged, or that of another name.
            UnsupportedFormatError: The ref has another format.
            StorageError: It cannot be read.
        """
        return read_held(self._backend, name, self.segments)

    def ask(self, name: str, question: Callable[[History | None], T]) -> T:
        """The answer of `question` to the history of `name` (None if there is no ref).

        Asks again when a segment has gone because the ref moved on meanwhile: only so can long histories be read
        while others write and collect. `question` must have no effects.

        Raises:
            InvalidNameError: As `read`.
            CorruptError: As `read`, or a segment is damaged or lost.
            UnsupportedFormatError: As `read`.
            StorageError: As `read`.
        """
        return self.ask_held(name, lambda held: question(held.history if held else None))

    def ask_held(self, name: str, question: Callable[[Held | None], T]) -> T:
        """As `ask`, of the history with the token of its ref. Errors as there."""
        return self.settled(name, self.read(name), question)

    def lives(self, name: str) -> bool:
        """Whether `name` has a live version, with as little work as that takes: a listing asks it of every name.

        What the ref says of its versions is not looked at where one stands in the ref itself.

        Raises:
            InvalidNameError: It is no name.
            CorruptError: The ref is damaged, or that of another name.
            UnsupportedFormatError: The ref has another format.
            StorageError: It cannot be read.
        """
        key = ref_key(name)
        try:
            data = self._backend.get(key).data
        except NotFound:
            return False
        if has_inline_version(data, name, f"{key} in {self._backend.location}"):
            return True
        return self.ask(name, lambda history: history is not None and history.latest() is not None)

    def begin(self, names: Mapping[str, Held | None]) -> dict[str, Begun]:
        """Do steps 1 and 2 for many names at once: one reading of the head serves them all, since it comes after all.

        Args:
            names: Each with its ref as it was read, however long ago: if it has moved on, its swap fails. None for a
                ref that is not there as far as is known: it is created empty, or read if it is there after all.

        Raises:
            CorruptError: A ref that came meanwhile, or the head, is damaged.
            UnsupportedFormatError: One of them was written by a newer casreg.
            StorageError: The storage failed or refused.
        """
        helds = {name: held or self._create(name, create=True) for name, held in names.items()}
        fence = self.fences.read()  # after all refs were read: the proof rests on it
        return {name: Begun(held, fence) for name, held in helds.items()}

    def commit(
        self,
        name: str,
        change: Callable[[Attempt], History | None],
        *,
        create: bool = True,
        begun: Begun | None = None,
    ) -> Committed:
        """Commit what `change` returns, for whatever may add a physical name: save, tag, undelete, copy, compact.

        `change` is called again in each attempt, and each time has to validate *every* name that it adds with
        `attempt.fence`. It returns the history that shall be, made from `attempt.history`, or None if nothing is
        to be done. What it raises goes to the caller, and nothing is committed then (an empty ref, which lists
        nothing, may stay behind).

        Args:
            name: Whose ref.
            change: See above.
            create: Whether an absent ref is created; else that is an error.
            begun: What the first attempt starts from; None: it reads the ref and the head itself.

        Raises:
            ObjectNotFoundError: There is no ref, and `create` is False.
            CommitConflictError: Others kept winning for as long as the pace allows. Nothing was committed.
            CommitUnknownError: The answer was lost, and reading back does not tell; carries the write's id.
            CorruptError: The ref, a segment of it, or the collector's head is damaged.
            UnsupportedFormatError: One of them was written by a newer casreg, or needs what this one lacks.
            StorageError: The storage failed or refused. Nothing was committed.
        """

        def attempt(number: int, held: Held | None) -> _Draft:
            held = held or self._create(name, create=create)
            held.history.ref.check_writable()
            # After the ref was read: the proof rests on it.
            fence = begun.fence if begun and held is begun.held else self.fences.read()
            write = self._pace.new_id()
            changed = change(Attempt(number, held.history, write, fence))
            if changed is None:
                return _Draft(held)
            ref = changed.ref.rewritten(write, fence.head.id)
            return _Draft(held, self._fitted(held, ref, lambda: fence))

        return self._loop(name, attempt, self.read(name) if begun is None else begun.held)

    def remove(self, name: str, change: Callable[[Removal], History | None]) -> Committed:
        """Commit a change that adds no physical name: delete, untag, annotate. Reads no head and keeps the stamp.

        Arguments and errors are those of `commit`; an absent ref is an error.

        Raises:
            ObjectNotFoundError: There is no ref.
            InvalidArgumentError: The change would add a name; it belongs into `commit`.
        """

        def attempt(number: int, held: Held | None) -> _Draft:
            held = held or self._create(name, create=False)
            held.history.ref.check_writable()
            write = self._pace.new_id()
            changed = change(Removal(number, held.history, write))
            if changed is None:
                return _Draft(held)
            _check_adds_nothing(held.history, changed)
            ref = changed.ref.rewritten(write, held.history.ref.stamp)
            return _Draft(held, self._fitted(held, ref, self.fences.read))

        return self._loop(name, attempt, self.read(name))

    def _loop(self, name: str, attempt: Callable[[int, Held | None], _Draft], held: Held | None) -> Committed:
        pace, number = self._pace, 1
        first_conflict: float | None = None
        while True:
            began = pace.monotonic()
            draft = self.settled(name, held, lambda held: attempt(number, held))  # noqa: B023 - called at once
            if draft.write is None:
                return Committed(draft.held, None)
            sent = pace.monotonic()
            landing = land(self._backend, draft.write, self.segments, pace)
            if landing.won:
                assert landing.held is not None
                return Committed(landing.held, draft.write.ref.write)
            now = pace.monotonic()
            first_conflict = began if first_conflict is None else first_conflict
            if now - first_conflict > pace.budget and number >= pace.least_attempts:
                raise CommitConflictError(
                    f"{number} attempts in {now - first_conflict:.0f} s to commit to {name} lost to other writers; "
                    "nothing was committed. Try again when fewer write to this name"
                )
            held = landing.held
            if number > 1 or held is None:
                # The first time what was just read back serves at once: one other writer was a little faster.
                pace.wait(number - 1, now - sent)
                held = self.read(name)
                self._check_not_lost(name, draft.held, held)
            number += 1

    def _check_not_lost(self, name: str, before: Held, now: Held | None) -> None:
        """See that a ref which said something has not gone: to begin it anew would hide that versions are lost.

        Raises:
            CorruptError: It has gone. Nothing ever deletes a ref.
        """
        said = before.history.ref
        if now is None and (said.records or said.older):
            raise CorruptError(
                f"{ref_key(name)} in {self._backend.location} was there a moment ago and has gone; nothing was "
                "committed. Restore it from another copy before anybody saves under this name"
            )

    def settled(self, name: str, held: Held | None, step: Callable[[Held | None], T]) -> T:
        """`step(held)`, again with the ref as it is now if a segment of `held` is no longer there. Errors as `ask`."""
        while True:
            try:
                return step(held)
            except SegmentGone as err:
                now = self.read(name)
                if held is None or now is None or now.token == held.token:
                    raise CorruptError(f"{err}; restore it from another copy, or run a verification") from err
                held = now

    def _create(self, name: str, *, create: bool) -> Held:
        """The ref, made empty. Its answer gives the token, and if that is lost, reading does.

        It promises nothing yet, so it need not survive a power failure, and whose it is does not matter: sending
        it again is harmless.
        """
        if not create:
            raise ObjectNotFoundError(
                f"there is no object {name!r} in {self._backend.location}; `list_objects()` says what there is"
            )
        failure: StorageError | None = None
        for trial in range(1, _CREATES + 1):
            ref = Ref.empty(name, self._pace.new_id())
            try:
                token = self._backend.create(ref_key(name), ref.to_bytes(), durable=False)
                return Held(History(ref, self.segments), token)
            except REFUSALS:
                raise
            except StorageError as err:
                failure = err
            held = self.read(name)
            if held is not None:
                return held
            self._pace.wait(trial)
        assert failure is not None
        raise failure

    def _fitted(self, held: Held, ref: Ref, fence: Callable[[], Fence]) -> Write:
        """The write of `ref`, with what is too much of it spilled to a segment that is on storage now.

        A new segment is a name that is added, so whoever spills is a full writer: `fence` gives what was read
        after the ref, or reads it now, and its head's id becomes the stamp.
        """
        data = ref.to_bytes()
        moved = overflow(ref, len(data))
        if not moved:
            return Write(held, ref, data)
        stamp = fence().head.id
        ref = replace(self._spilled(ref, moved), stamp=stamp)
        return Write(held, ref, ref.to_bytes())

    def _spilled(self, ref: Ref, moved: dict[Version, Record]) -> Ref:
        """`ref` after `moved` went to a segment.

        A segment is sent once under each name: after any doubt it gets another nonce, and so another name, since
        a late duplicate of the first could land after a collector has deleted it.
        """
        failure: StorageError | None = None
        for trial in range(1, _CREATES + 1):
            spill = spilled(ref, moved, self.segments, self._pace.entropy)
            try:
                self._backend.create(spill.row.key, spill.data)
            except REFUSALS:
                raise
            except StorageError as err:
                failure = err
                self._pace.wait(trial)
            else:
                return spill.ref
        assert failure is not None
        raise failure


def _check_adds_nothing(before: History, after: History) -> None:
    """See that every file that `after` reaches is one that `before` reaches.

    Raises:
        InvalidArgumentError: There is another one. A mistake of the program, which would lose data.
    """
    fine = after.ref.older == before.ref.older and after.ref.tags.items() <= before.ref.tags.items()
    changed = (v for v, record in after.ref.records.items() if record is not before.ref.records.get(v))
    if not (fine and all(_adds_nothing(before, after.ref.records[version], version) for version in changed)):
        raise InvalidArgumentError(
            f"this change of {before.name} adds files to its ref: it belongs into `commit`"
        )


def _adds_nothing(before: History, record: Record, version: Version) -> bool:
    """Whether the manifests that `record` reaches live were alive, and those in its tombstones known."""
    living = before.entry(version)
    alive = set() if living is None else {living.manifest}
    if record.live and record.live.manifest not in alive:
        return False
    dead = {tombstone.entry.manifest for tombstone in record.dead} - alive
    old = before.record(version) if dead else None
    return dead <= (set() if old is None else {tombstone.entry.manifest for tombstone in old.dead})
