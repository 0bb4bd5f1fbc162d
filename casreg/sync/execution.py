"""Doing what was planned: versions first, then what has to go, then labels. Each step is one commit.

Whoever is stopped leaves whole versions, and the next sync goes on from there: what there is to do is found from what
is at the target, never from notes about it. Labels are merged anew inside their commit, and what is deleted is looked
for at the source once more.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from casreg.exceptions import (
    CorruptError,
    InvalidArgumentError,
    ObjectNotFoundError,
    UnsupportedFormatError,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.repository.committing import now
from casreg.sync import memory
from casreg.sync.comparing import as_committed, compare, state_of
from casreg.sync.memory import Record
from casreg.sync.planning import Look, Pair, plan
from casreg.sync.report import Synced, Unsynced
from casreg.sync.terms import Terms
from casreg.sync.totals import Room, StoppedError, Totals
from casreg.threads import Threads
from casreg.transfer import copy
from casreg.versions import Exact, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from casreg.progress import ProgressCallback
    from casreg.refs import Attempt, History, Removal
    from casreg.repository import Repository
    from casreg.sync.comparing import State, Verdict
    from casreg.sync.labels import Label
    from casreg.versions import Version

_AT_ONCE: Final = 8
_ROOM: Final = 256 * 1024**2
"""Bytes of versions that are copied at the same time, where more than one is."""

log = logging.getLogger("casreg.sync")


@dataclass(slots=True)
class _Done:
    """What became of one name."""

    name: str
    copied: list[str] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    size: int = 0
    labels: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failed: list[Unsynced] = field(default_factory=list)
    look: Look | None = None


def sync(
    source: Repository,
    target: Repository,
    names: Iterable[str] | None = None,
    terms: Terms | None = None,
    *,
    dry_run: bool = False,
    progress: ProgressCallback | None = None,
) -> Synced:
    """Bring the target up to date with the source, and say what was done and what disagrees.

    Several names are copied at once where one of the places is far away. What is remembered of the last time is kept in
    the cache folder.

    Args:
        source: From where. It is only read.
        target: Where to.
        names: Which; None for all.
        terms: What may be overwritten and deleted; by default nothing.
        dry_run: Only say what would be done.
        progress: Is told: in the phase `survey` about names, in `copy` about the bytes of all versions. Of the latter
            by several threads, one at a time.

    Raises:
        InvalidArgumentError: Both are one place.
        ObjectNotFoundError: The source has no such name, or is no registry. Nothing was done.
        CommitConflictError, CommitUnknownError: Others kept winning; an answer was lost. Sync again.
        StorageError: One of the two refused or failed. What was copied stays. Sync again.
    """
    began = time.monotonic()
    if source is target or source.backend.location == target.backend.location:
        raise InvalidArgumentError(
            f"{source.backend.location} is both source and target: there is nothing to sync"
        )
    records = memory.recall(memory.place(source.backend, target.backend))
    pair = Pair(source, target, terms or Terms(), records)
    looks = plan(pair, names, progress)
    totals = Totals(progress, sum(_size(look.verdict) for look in looks if look.verdict is not None))
    done: list[_Done] = []
    if not dry_run:
        _note(pair, looks)
        try:
            _execute(pair, looks, done, totals)
        finally:
            _remember(pair, looks, done)
    return _synced(pair, looks, done, totals, dry_run=dry_run, seconds=time.monotonic() - began)


def _execute(pair: Pair, looks: Sequence[Look], done: list[_Done], totals: Totals) -> None:
    """Do what was planned, and note in `done` what became of each name."""
    work = [look for look in looks if look.verdict is not None and look.verdict.has_work]
    worker = _Worker(pair, totals, Room(_ROOM))
    is_far = memory.is_far(pair.source.backend) or memory.is_far(pair.target.backend)
    if not is_far or len(work) < 2:
        for look in work:
            done.append(worker.bring(look))  # noqa: PERF401 - what came before an error counts
        return
    with Threads(_AT_ONCE, "casreg-sync") as threads:
        futures = [threads.submit(worker.bring, look) for look in work]
        try:
            for future in futures:
                done.append(future.result())  # noqa: PERF401 - as above
        except BaseException as err:
            totals.stop()
            for future in futures:
                future.cancel()
            if isinstance(err, StoppedError) and worker.failure is not None:
                raise worker.failure from None
            raise


class _Worker:
    """Brings names up to date, several at once."""

    def __init__(self, pair: Pair, totals: Totals, room: Room) -> None:
        self._pair = pair
        self._totals = totals
        self._room = room
        self._lock = threading.Lock()
        self.failure: BaseException | None = None

    def bring(self, planned: Look) -> _Done:
        """Bring a name up to date.

        Raises:
            StoppedError: Another name has failed: see `failure`.
            CasregError: What `sync` raises.
        """
        done = _Done(planned.name)
        try:
            self._bring(planned, done)
        except (CorruptError, UnsupportedFormatError) as err:
            done.failed.append(Unsynced(done.name, "unreadable", done.name, str(err)))
        except StoppedError:
            raise
        except BaseException as err:
            with self._lock:
                self.failure = self.failure or err
            self._totals.stop()
            raise
        return done

    def _bring(self, planned: Look, done: _Done) -> None:
        pair, name = self._pair, planned.name
        state = pair.source_state(name)
        verdict = planned.verdict
        if state.token is None or state.token != planned.token:
            # The source has changed since it was planned. (If the target has, the commits find out.)
            look = pair.look(name, state)
            verdict = look.verdict
            with self._lock:
                _note(pair, [look])
        assert verdict is not None
        for version in verdict.copies:
            self._copy(state, verdict, version, done)
        if verdict.deletions:  # before labels, since tags go with versions
            done.deleted += _delete(pair, name)
        if verdict.labels.sets or verdict.labels.removes:
            done.labels += _label(pair, name, state)
        done.look = pair.look(name, state)

    def _copy(self, state: State, verdict: Verdict, version: Version, done: _Done) -> None:
        """Copy one version, if nobody has deleted it and nothing has come in its way."""
        pair, name, size = self._pair, done.name, state.live[version].size
        terms = as_committed(name, version, pair.terms)
        label = f"{name}@{version}"
        try:
            with self._room.take(size):
                meter = self._totals.meter()
                saved = copy(
                    pair.source, name, Exact(version), pair.target, terms, keep_protection=True, meter=meter
                )
        except (ObjectNotFoundError, VersionConflictError, VersionProtectedError) as err:
            log.debug("%s is not copied, since it has changed: %s", label, err)  # the last look tells
        except (CorruptError, UnsupportedFormatError) as err:
            done.failed.append(Unsynced(name, "unreadable", label, str(err)))
        else:
            if not saved.existed:
                done.copied.append(label)
                if version in verdict.replaced:
                    done.replaced.append(label)
                done.size += size


def _label(pair: Pair, name: str, state: State) -> list[str]:
    """Let the labels follow, as they are at the target at this moment. Returns which."""
    changed: list[str] = []

    def change(attempt: Attempt) -> History | None:
        pair.target.marker()
        verdict = compare(name, state, attempt.history, pair.terms, pair.base(name))
        changed.clear()
        history = attempt.history
        for label in (*verdict.labels.sets, *verdict.labels.removes):
            after = _labelled(history, state, label, gone=label in verdict.labels.removes)
            if after is not None:
                history = after
                changed.append(label.about(name))
        return history if changed else None

    # Tags are names that a ref reaches. What they mean lives in this very ref, so that there is nothing to prove.
    with suppress(ObjectNotFoundError):  # nothing could be copied
        pair.target.refs.commit(name, change, create=False)
    return changed


def _labelled(history: History, state: State, label: Label, *, gone: bool) -> History | None:
    """The history with one label as the source has it; None if its version is not there."""
    if label.kind == "tag" and gone:
        return history.without_tag(label.key)
    version = state.tags[label.key] if label.kind == "tag" else parse_version(label.version)
    there, mine = history.entry(version), state.live.get(version)
    if there is None or mine is None or there.content != mine.content:
        return None  # it could not be copied
    if label.kind == "tag":
        return history.with_tag(label.key, version)
    if label.kind == "protection":
        return history.with_protection(version, protected=not gone)
    notes = {key: value for key, value in there.notes.items() if key != label.key}
    if not gone:
        notes[label.key] = mine.notes[label.key]
    return history.with_notes(version, notes)


def _delete(pair: Pair, name: str) -> list[str]:
    """Delete what does not live at the source at this moment, and is not protected. Returns it."""
    deleted: list[str] = []

    def change(removal: Removal) -> History | None:
        pair.target.marker()
        # Asked again: what was saved and synced by others since it was planned is not to be deleted.
        live = pair.source.refs.ask(name, state_of).live
        history, when = removal.history, now()
        deleted.clear()
        for version, entry in removal.history.live():
            if version not in live and not entry.protected:
                history = history.without_version(version, when)
                deleted.append(f"{name}@{version}")
        return history if deleted else None

    pair.target.refs.remove(name, change)
    return deleted


def _remember(pair: Pair, looks: Sequence[Look], done: Sequence[_Done]) -> None:
    """Keep what is known now, for the next time."""
    before = dict(pair.records)
    found = [look for look in looks if look.verdict is not None and not look.verdict.has_work]
    for look in [*found, *(one.look for one in done if one.look is not None)]:
        if look.record is not None:
            pair.records[look.name] = look.record
    if pair.records != before:
        _keep(pair)


def _note(pair: Pair, looks: Iterable[Look]) -> None:
    """Remember what is about to be brought, before it is (see `Verdict.ahead`)."""
    begun = {
        look.name: Record(None, None, exact=False, base=look.verdict.ahead)
        for look in looks
        if look.verdict is not None and look.verdict.has_work
    }
    if begun:
        pair.target.marker()  # without it there is no repository whose state could be remembered
        pair.records.update(begun)
        _keep(pair)


def _keep(pair: Pair) -> None:
    memory.remember(memory.place(pair.source.backend, pair.target.backend), pair.records)


def _size(verdict: Verdict) -> int:
    return sum(verdict.copies.values())


def _synced(
    pair: Pair, looks: Sequence[Look], done: Sequence[_Done], totals: Totals, *, dry_run: bool, seconds: float
) -> Synced:
    """What was done; of a dry run, what would be."""
    results = {one.name: one for one in done}
    if dry_run:
        results = {look.name: _foreseen(look) for look in looks}
    last = [results[look.name].look or look if look.name in results else look for look in looks]
    verdicts = [look.verdict for look in last if look.verdict is not None]
    ordered = [results[look.name] for look in looks if look.name in results]
    return Synced(
        source=pair.source.backend.location,
        target=pair.target.backend.location,
        dry_run=dry_run,
        names=len(looks),
        unchanged=sum(look.verdict is None and look.failed is None for look in looks),
        copied=tuple(label for one in ordered for label in one.copied),
        replaced=tuple(label for one in ordered for label in one.replaced),
        labels=tuple(label for one in ordered for label in one.labels),
        deleted=tuple(label for one in ordered for label in one.deleted),
        kept=tuple(
            f"{look.name}@{version}" for look in last if look.verdict for version in look.verdict.kept
        ),
        conflicts=tuple(conflict for verdict in verdicts for conflict in verdict.conflicts),
        failed=(
            *(look.failed for look in looks if look.failed is not None),
            *(failure for one in ordered for failure in one.failed),
        ),
        size=sum(one.size for one in ordered),
        stored=totals.stored,
        seconds=seconds,
    )


def _foreseen(look: Look) -> _Done:
    """What would become of a name."""
    done, verdict = _Done(look.name), look.verdict
    if verdict is not None:
        done.copied = [f"{look.name}@{version}" for version in verdict.copies]
        done.replaced = [
            f"{look.name}@{version}" for version in verdict.copies if version in verdict.replaced
        ]
        done.size = _size(verdict)
        done.labels = [label.about(look.name) for label in (*verdict.labels.sets, *verdict.labels.removes)]
        done.deleted = [f"{look.name}@{version}" for version in verdict.deletions]
    return done
