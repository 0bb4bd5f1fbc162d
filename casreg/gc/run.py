"""One run of the collector: condemned → fence → verdict → delete → idle. Anybody may take it on from where it is."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from casreg.exceptions import NotFound
from casreg.gc.fence import fence
from casreg.gc.head import HeldHead, advance, lists_of, read_head, read_list, write_list
from casreg.gc.names import Name, key_of, names_of
from casreg.gc.reach import Reader
from casreg.gc.work import threads_for
from casreg.head import close, condemn, decode_names, verdict
from casreg.refs.pace import pace_for

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from casreg.gc.terms import Terms
    from casreg.gc.work import Report
    from casreg.head import Head, RunId
    from casreg.repository import Repository

_BATCH: Final = 1000

log = logging.getLogger("casreg.gc")


class Runs:
    """The steps of runs, as one collector makes them. Not thread-safe; any number of others may be at it."""

    def __init__(self, repository: Repository, terms: Terms, known: Collection[str], report: Report) -> None:
        """No I/O.

        Args:
            repository: Where.
            terms: What may be collected.
            known: Names of refs that were seen.
            report: Is told.
        """
        self._repository = repository
        self._backend = repository.backend
        self._terms = terms
        self._known = known
        self._report = report
        self._pace = pace_for(repository.backend)

    def head(self) -> HeldHead:
        """The head now. Raises as `read_head`."""
        return read_head(self._backend)

    def deleted_in(self, head: Head, but: Collection[RunId]) -> set[Name]:
        """What runs have deleted that are over, without those named: whoever planned before them need not condemn it.

        Only as far as it is easily known: nothing is safer for it.

        Raises:
            CorruptError: A list is damaged.
            StorageError: One cannot be read.
        """
        gone: set[Name] = set()
        for kept in head.kept:
            if kept.names is not None and kept.id not in but:
                with suppress(NotFound):  # the head has moved on, and the list was collected
                    gone |= names_of(decode_names(self._backend.get(kept.names).data, kept.names))
        return gone

    def begin(self, held: HeldHead, candidates: Iterable[Name]) -> RunId:
        """Condemn these names. Returns the id of the run, which is going on unless somebody was quicker.

        Raises:
            CommitUnknownError: The answer was lost.
            StorageError: The storage refused or failed.
        """
        names = set(candidates) - lists_of(held.head)
        listed = write_list(self._backend, map(key_of, names), self._pace)
        condemned = condemn(held.head, listed, self._pace.new_id(), self._pace.new_id())
        advance(self._backend, held, condemned, self._pace)
        log.debug("run %d in %s condemns %d files", condemned.id[1], self._backend.location, len(names))
        return condemned.id

    def finish(self, held: HeldHead) -> frozenset[Name]:
        """Take the run that is going on to its end. Returns what was deleted here; others may have, too.

        Nothing if somebody else was quicker with a step: then the head says how to go on.

        Raises:
            CorruptError: Something is damaged or lost. If it came before the verdict, nothing was deleted.
            UnsupportedFormatError: Something was written by a newer casreg.
            CommitConflictError, CommitUnknownError: Others kept changing a ref; an answer was lost.
            StorageError: The storage refused or failed. Whoever comes next goes on.
        """
        if held.head.state != "condemned":
            return self._ended(held)
        keys = read_list(self._backend, held)
        return frozenset() if keys is None else self._ended(self._judged(held, keys))

    def spare(self, held: HeldHead) -> frozenset[Name]:
        """As `finish`, but if there is no verdict yet, nothing is deleted: it spares all that was condemned.

        So nothing that refs reach has to be read, and the list of what was condemned neither: a run that met damage ends
        all the same. Returns and raises as `finish`.
        """
        return self._ended(self._judged(held, ()) if held.head.state == "condemned" else held)

    def _ended(self, judged: HeldHead | None) -> frozenset[Name]:
        """Carry the verdict out, and close the run. None if there is another, or it is over."""
        keys = None if judged is None else read_list(self._backend, judged)
        if judged is None or keys is None:
            return frozenset()
        self._delete(keys)
        advance(self._backend, judged, close(judged.head, self._pace.new_id()), self._pace)
        log.debug("run %d in %s is over: %d files", judged.head.id[1], self._backend.location, len(keys))
        return frozenset(names_of(keys))

    def _judged(self, held: HeldHead, keys: Sequence[str]) -> HeldHead | None:
        """The head with the verdict over `keys`; None if somebody else was quicker."""
        left = self._unreached(held, keys)
        names = None
        if left:
            spared = len(left) < len(keys)
            names = write_list(self._backend, map(key_of, left), self._pace) if spared else held.head.names
        new = verdict(held.head, names, self._pace.new_id())
        # If somebody was quicker, the head is read again, and a verdict of theirs carried out.
        return advance(self._backend, held, new, self._pace)

    def _unreached(self, held: HeldHead, keys: Sequence[str]) -> set[Name]:
        """What may be deleted of what was condemned. Also where that is nothing, all refs are stamped."""
        left = fence(
            self._repository,
            held.head.id,
            names_of(keys),
            Reader(self._repository, self._terms),
            self._known,
            threads_for(self._backend, self._terms),
            self._report,
        )
        return left - lists_of(held.head)

    def _delete(self, keys: Sequence[str]) -> None:
        # Manifests come first in the list: what is half deleted cannot be taken for whole.
        for at in range(0, len(keys), _BATCH):
            self._report.tell("delete", at, len(keys))
            self._backend.delete(keys[at : at + _BATCH])
        self._report.tell("delete", len(keys), len(keys))
