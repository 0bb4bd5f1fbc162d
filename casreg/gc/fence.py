"""The fence: every ref gets the stamp of the run, and what it reaches is spared.

A writer that adds a name reads the ref first and the head after that.  So a commit that came before the stamp is seen
here, and one that comes after it was made by somebody who knew what is condemned.  Names come out of the fence only
by deletion: what it has not seen does not live (`docs/design/protocol.md`).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from casreg.exceptions import CommitConflictError
from casreg.listing import every_ref_name
from casreg.refs.landing import Held, Write, land
from casreg.refs.pace import pace_for
from casreg.threads import ahead_in_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from casreg.gc.names import Name
    from casreg.gc.reach import Reader
    from casreg.gc.work import Report
    from casreg.head import RunId
    from casreg.repository import Repository


def fence(
    repository: Repository,
    run: RunId,
    candidates: Iterable[Name],
    reader: Reader,
    known: Collection[str],
    threads: int,
    report: Report,
) -> set[Name]:
    """Stamp every ref with `run`. Returns those candidates that none reaches.

    Args:
        repository: Where.
        run: The id of the head, which says condemned.
        candidates: What is condemned.
        reader: Reads what refs reach.
        known: Names of refs that were seen before. Refs are never deleted, so that these are fenced whether or not
            the listing has them; a backend's listing has all, and this is for one that has a fault.
        threads: So many refs at once.
        report: Is told.

    Raises:
        CorruptError: A ref, or what it reaches, is damaged or lost. Nothing was deleted.
        UnsupportedFormatError: One was written by a newer casreg, or needs what this one lacks.
        CommitConflictError: Others kept changing a ref.
        CommitUnknownError: The answer to a stamp was lost.
        StorageError: The storage refused or failed.
    """
    left = set(candidates)
    # Listed after the head was read as condemned: whoever makes a ref after that knows of the run.
    names = sorted({*every_ref_name(repository), *known})
    work = partial(_fenced, repository, run, frozenset(left), reader)
    report.tell("fence", 0, len(names))
    for number, (name, reached) in enumerate(ahead_in_parts(work, names, threads), 1):
        left -= reached
        report.tell("fence", number, len(names), name)
    return left


def _fenced(
    repository: Repository, run: RunId, candidates: frozenset[Name], reader: Reader, name: str
) -> tuple[str, frozenset[Name]]:
    """The candidates that a ref reaches, after it has the stamp. It is marked also if it had the stamp already."""
    held = _stamped(repository, run, lambda: reader.held(name))
    if not candidates:  # nothing is deleted, so that nothing has to be read: see `bad`
        return name, frozenset()
    _, reach = reader.reach(held)
    return name, reach.names & candidates


def _stamped(repository: Repository, run: RunId, read: Callable[[], Held]) -> Held:
    """The ref with the stamp.

    Raises:
        CommitConflictError: Others kept changing it.
    """
    pace = pace_for(repository.backend)
    began, attempt = pace.monotonic(), 1
    while True:
        held = read()
        ref = held.history.ref
        if ref.stamp == run:
            return held
        stamped = ref.rewritten(pace.new_id(), run)
        write = Write(held, stamped, stamped.to_bytes())
        landing = land(repository.backend, write, repository.refs.segments, pace)
        if landing.won and landing.held is not None:
            return landing.held
        if pace.monotonic() - began > pace.budget and attempt >= pace.least_attempts:
            raise CommitConflictError(
                f"the ref of {ref.name} was changed by others {attempt} times while a collection was to mark it. Nothing was "
                "deleted; collect again, and the run is taken on"
            )
        if attempt > 1:  # the first time another writer was just a little faster
            pace.wait(attempt - 1)
        attempt += 1
