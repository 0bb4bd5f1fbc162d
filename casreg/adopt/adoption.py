"""One adoption, from the marker to the verification (`docs/design/protocol.md`, "Long saves, copies, damage").

The order is: a new marker, which nobody's memory of this repository fits; a new head, before whose id no sighting
counts; every ref under a new write id, by compare-and-swap, as a collector's fence does; the index; and a look at all.
Whoever stops in between leaves a repository that is as whole as it was, and adopts again from the beginning.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.adopt.head import begin, end, found_head
from casreg.adopt.hints import bring_up_to_date
from casreg.adopt.identity import check_is_registry, renew
from casreg.adopt.report import Adoption
from casreg.backends.base import traits_of
from casreg.exceptions import CorruptError, ObjectNotFoundError, UnsupportedFormatError
from casreg.gc.collecting import check_place
from casreg.progress import Progress
from casreg.threads import ahead_in_parts
from casreg.verify.survey import names_in
from casreg.verify.verification import examine, look_at_roots, report_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from casreg.head import RunId
    from casreg.progress import ProgressCallback
    from casreg.refs import Attempt, History
    from casreg.repository import Repository

_T = TypeVar("_T")

_LOCAL_THREADS: Final = 8  # enough for flushes to be done together


def adopt(
    repository: Repository,
    *,
    data: bool = False,
    dry_run: bool = False,
    shared_fs: bool = False,
    progress: ProgressCallback | None = None,
) -> Adoption:
    """Make a copy that other tools made, or restored, a repository of its own; and see what of it is there.

    No version, tag, note or number is changed, and no file of data is deleted. Where it was no copy at all, it costs
    what is remembered elsewhere, and nothing else.

    Args:
        repository: The copy.
        data: Read every byte of it.
        dry_run: Only look.
        shared_fs: Whether the caller vouches for a network file system.
        progress: Is told: in the phases `look`, `adopt` and `survey` about names, in `verify` about bytes.

    Raises:
        ObjectNotFoundError: There is no repository. Nothing was written.
        UnsafeStorageError: It is a network file system, and nobody vouches for it; or the storage does not honour
            conditional writes. Nothing but a probe was written.
        UnsupportedFormatError: Its marker or head needs a newer casreg. Nothing was written.
        CommitConflictError, CommitUnknownError: Others kept changing a ref; an answer was lost. Adopt again.
        CorruptError: What was there a moment ago has gone. Adopt again.
        StorageError: The storage refused or failed. Adopt again.
    """
    began = time.monotonic()
    repository = repository.without_copies()
    backend = repository.backend
    if not dry_run:
        harm = "what another machine writes there may not be seen yet, and would be left as it is"
        check_place(backend, shared_fs=shared_fs, harm=harm, work="Adopt")
    names = names_in(repository)
    marker, found = check_is_registry(backend, names), found_head(backend)
    stamps, left = _looked_at(repository, names, progress)
    run, identity, indexed, refs = 0, None, 0, names
    if not dry_run:
        identity = renew(backend).id
        head = begin(backend, stamps)
        run = head.id[1]
        # Listed after the head is there: whoever makes a ref after that has read it.
        refs = sorted({*names, *names_in(repository)})
        left = _written_anew(repository, refs, progress)
        end(backend, head.id)
    seen = examine(repository, 1.0 if data else 0.0, progress=progress)
    if not dry_run:
        indexed = bring_up_to_date(seen)
        look_at_roots(seen)
    return Adoption(
        location=backend.location,
        dry_run=dry_run,
        before=None if marker is None else marker.id,
        id=identity,
        head=None if found.head is None else found.head.state,
        run=run,
        refs=len(refs) - len(left),
        left=tuple(left),
        indexed=indexed,
        report=report_of(seen, time.monotonic() - began),
    )


def _looked_at(
    repository: Repository, names: Sequence[str], progress: ProgressCallback | None
) -> tuple[set[RunId], list[str]]:
    """The runs that refs were marked by; and the names of those that this casreg cannot write."""

    def look(name: str) -> tuple[RunId | None, bool]:
        try:
            held = repository.refs.read(name)
            if held is None:
                return None, True
            held.history.ref.check_writable()
        except (CorruptError, UnsupportedFormatError):
            return None, False
        return held.history.ref.stamp, True

    stamps: set[RunId] = set()
    left: list[str] = []
    for name, (stamp, fine) in _each(repository, names, look, "look", progress):
        if stamp is not None:
            stamps.add(stamp)
        if not fine:
            left.append(name)
    return stamps, left


def _written_anew(
    repository: Repository, names: Sequence[str], progress: ProgressCallback | None
) -> list[str]:
    """Give each ref a new write id, and the stamp of the run. Returns the names of those that cannot be read."""

    def rewrite(name: str) -> bool:
        try:
            repository.refs.commit(name, _as_it_is, create=False)
        except ObjectNotFoundError:  # a hidden one, whose owner has ended
            return True
        except (CorruptError, UnsupportedFormatError):
            repository.refs.fences.read()  # or else it is the head that is damaged
            return False
        return True

    return [name for name, fine in _each(repository, names, rewrite, "adopt", progress) if not fine]


def _as_it_is(attempt: Attempt) -> History | None:
    """The ref, unless it was written under the new head already."""
    stamp = attempt.history.ref.stamp
    return None if stamp == attempt.fence.head.id else attempt.history


def _each(
    repository: Repository,
    names: Sequence[str],
    work: Callable[[str], _T],
    phase: str,
    progress: ProgressCallback | None,
) -> Iterator[tuple[str, _T]]:
    """Each name with the result of `work`, in order, several at once; told about."""
    threads = max(_LOCAL_THREADS, traits_of(repository.backend).parallel_requests)
    results = ahead_in_parts(work, names, threads)
    for number, (name, result) in enumerate(zip(names, results, strict=True), 1):
        yield name, result
        if progress:
            progress(Progress(phase, name, number, len(names), 0, 0))
