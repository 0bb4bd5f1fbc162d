"""Doing what was planned: of each name the versions with their labels in one commit, if they are not many.

Whoever is stopped leaves whole versions, and the next sync goes on from there: what there is to do is found from what
is at the target, never from notes about it. Refs are not read again: whether one has moved on since it was planned, its
swap tells.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from casreg.exceptions import (
    CorruptError,
    InvalidArgumentError,
    UnsupportedFormatError,
)
from casreg.sync import memory
from casreg.sync.comparing import as_committed
from casreg.sync.following import delete, label, labelled
from casreg.sync.memory import Record
from casreg.sync.planning import Look, Pair, plan
from casreg.sync.report import Synced, Unsynced
from casreg.sync.terms import Terms
from casreg.sync.totals import Room, StoppedError, Totals
from casreg.threads import Threads
from casreg.transfer import Wish, copy_together

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from casreg.progress import ProgressCallback
    from casreg.refs import Begun, Held, History
    from casreg.repository import Repository
    from casreg.sync.comparing import State, Verdict
    from casreg.versions import Version

_AT_ONCE: Final = 8
_TOGETHER: Final = 16
"""So many names share one reading of the head."""
_VERSIONS: Final = 64
"""So many versions of a name share one commit."""
_FEW_BYTES: Final = 32 * 1024**2
"""Bytes of versions that share one."""
FRESH: Final = 60.0
"""Seconds for which what the source said is not asked again before it is brought."""
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
    pair = Pair(source, target, terms or Terms(), memory.Memory(source, target))
    looks = plan(pair, names, progress)
    totals = Totals(progress, sum(map(_copied, looks)))
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
    if not work:
        return
    pair.target.marker()  # before the first write
    worker = _Worker(pair, totals, Room(_ROOM), done)
    is_far = memory.is_far(pair.source.backend) or memory.is_far(pair.target.backend)
    if not is_far or len(work) < 2:
        for look in work:
            worker.bring([look])
        return
    with Threads(_AT_ONCE, "casreg-sync") as threads:
        futures = [threads.submit(worker.bring, group) for group in _groups(work)]
        try:
            for future in futures:
                future.result()
        except BaseException as err:
            totals.stop()
            for future in futures:
                future.cancel()
            if isinstance(err, StoppedError) and worker.failure is not None:
                raise worker.failure from None
            raise


def _groups(work: Sequence[Look]) -> Iterator[list[Look]]:
    """Names that share one reading of the head: some of few bytes, or one."""
    most = max(1, min(_TOGETHER, len(work) // (2 * _AT_ONCE)))
    group: list[Look] = []
    for look in work:
        if group and (len(group) >= most or sum(_copied(one) for one in group) + _copied(look) > _FEW_BYTES):
            yield group
            group = []
        group.append(look)
    yield group


def _batches(copies: Mapping[Version, int]) -> Iterator[dict[Version, int]]:
    """Versions that share one commit: what is stopped between two of them has brought the first."""
    batch: dict[Version, int] = {}
    for version, size in copies.items():
        if batch and (len(batch) >= _VERSIONS or sum(batch.values()) + size > _FEW_BYTES):
            yield batch
            batch = {}
        batch[version] = size
    yield batch


class _Worker:
    """Brings names up to date, several at once."""

    def __init__(self, pair: Pair, totals: Totals, room: Room, done: list[_Done]) -> None:
        """`done` gets what became of each name."""
        self._pair = pair
        self._totals = totals
        self._room = room
        self._done = done
        self._lock = threading.Lock()
        self.failure: BaseException | None = None

    def bring(self, planned: Sequence[Look]) -> None:
        """Bring some names up to date, one after the other.

        Raises:
            StoppedError: Another name has failed: see `failure`.
            CasregError: What `sync` raises.
        """
        refs = self._pair.target.refs
        try:
            try:
                begun = refs.begin({look.name: look.held for look in planned})
            except (CorruptError, UnsupportedFormatError) as err:
                log.debug("one of several refs cannot be read, so that each is begun alone: %s", err)
                begun = {}
            for look in planned:
                self._bring(look, begun.get(look.name))
        except StoppedError:
            raise
        except BaseException as err:
            with self._lock:
                self.failure = self.failure or err
            self._totals.stop()
            raise

    def _bring(self, look: Look, begun: Begun | None) -> None:
        done = _Done(look.name)
        try:
            if begun is None:
                begun = self._pair.target.refs.begin({look.name: look.held})[look.name]
            self._follow(look, begun, done)
        except (CorruptError, UnsupportedFormatError) as err:
            done.failed.append(Unsynced(done.name, "unreadable", done.name, str(err)))
        with self._lock:
            self._done.append(done)

    def _follow(self, look: Look, begun: Begun, done: _Done) -> None:
        """Bring one name up to date."""
        pair, name = self._pair, look.name
        if time.monotonic() - look.asked > FRESH:
            again = pair.look_again(look)
            if again is not look:
                look = again
                with self._lock:
                    _note(pair, [look])
        state, verdict = look.state, look.verdict
        assert verdict is not None
        held = begun.held
        batches = list(_batches(verdict.copies)) if verdict.copies else []
        for number, batch in enumerate(batches):
            start = begun if number == 0 else pair.target.refs.begin({name: held})[name]
            is_last = number == len(batches) - 1 and not verdict.deletions
            held = self._copy(state, verdict, batch, start, done, labels=is_last)
        if verdict.deletions:  # before labels, since tags go with versions
            held, done.deleted = delete(pair, name)
        if (verdict.labels.sets or verdict.labels.removes) and (verdict.deletions or not batches):
            held, done.labels = label(pair, name, state, begun if held is begun.held else None)
        done.look = pair.target.refs.settled(
            name, held, lambda held: pair.compared(name, state, held, look.asked)
        )

    def _copy(
        self,
        state: State,
        verdict: Verdict,
        batch: Mapping[Version, int],
        begun: Begun,
        done: _Done,
        *,
        labels: bool,
    ) -> Held:
        """Copy some versions in one commit, with the labels if they are the last; what nobody has deleted meanwhile."""
        pair, name = self._pair, done.name
        changed: list[str] = []

        def then(history: History) -> History:
            changed.clear()
            return labelled(pair, state, history, changed) if labels else history

        wishes = {
            version: Wish(state.live[version], as_committed(name, version, pair.terms), self._totals.meter())
            for version in batch
        }
        with self._room.take(sum(batch.values())):
            together = copy_together(pair.source, pair.target, name, wishes, begun, then)
        for version in together.made:
            done.copied.append(f"{name}@{version}")
            if version in verdict.replaced:
                done.replaced.append(f"{name}@{version}")
            done.size += batch[version]
        done.labels += changed
        done.failed += [
            Unsynced(name, "unreadable", f"{name}@{version}", str(err))
            for version, err in together.failed.items()
        ]
        return together.held


def _remember(pair: Pair, looks: Sequence[Look], done: Sequence[_Done]) -> None:
    """Keep what is known now, for the next time."""
    before = dict(pair.memory.records)
    found = [look for look in looks if look.verdict is not None and not look.verdict.has_work]
    for look in [*found, *(one.look for one in done if one.look is not None)]:
        if look.record is not None:
            pair.memory.records[look.name] = look.record
    if pair.memory.records != before:
        pair.memory.keep()


def _note(pair: Pair, looks: Iterable[Look]) -> None:
    """Remember what is about to be brought, before it is (see `Verdict.ahead`)."""
    begun = {
        look.name: Record(None, None, exact=False, base=look.verdict.ahead)
        for look in looks
        if look.verdict is not None and look.verdict.has_work
    }
    if begun:
        pair.target.marker()  # without it there is no repository whose state could be remembered
        pair.memory.records.update(begun)
        pair.memory.keep()


def _copied(look: Look) -> int:
    """Bytes of the versions that are to be copied."""
    return sum(look.verdict.copies.values()) if look.verdict else 0


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
        done.size = _copied(look)
        done.labels = [label.about(look.name) for label in (*verdict.labels.sets, *verdict.labels.removes)]
        done.deleted = [f"{look.name}@{version}" for version in verdict.deletions]
    return done
