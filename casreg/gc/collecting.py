"""A collection: the plan carried out, by as many runs as it takes, beside whoever else collects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CommitConflictError, UnsafeStorageError
from casreg.gc.compaction import compact
from casreg.gc.plan import count_by_kind, plan
from casreg.gc.run import Runs
from casreg.gc.uploads import give_up
from casreg.gc.work import Report
from casreg.head import known_ids

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casreg.backends.base import Backend
    from casreg.gc.compaction import Compaction
    from casreg.gc.names import Kind, Name
    from casreg.gc.plan import Plan
    from casreg.gc.terms import Terms
    from casreg.head import RunId
    from casreg.progress import ProgressCallback
    from casreg.repository import Repository

_ROUNDS: Final = 100


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection of garbage deleted, or would delete.

    Attributes:
        location: Where.
        dry_run: Whether nothing was done: the figures are those of the plan.
        freed: Bytes of the files. Of files of a run that somebody else began only those that were seen before.
        files: How many `manifests`, `packs` and `segments`. Other collectors at work count those that both deleted, too.
        versions: The deleted versions, as `name@version`, that `undelete` cannot bring back any more; sorted.
        runs: The numbers of the collector's runs that were made, or taken to their end.
        unfinished: Whether somebody else's run was going on at the beginning.
        compaction: What was moved to other packs before; None if nothing was to be.
    """

    location: str
    dry_run: bool
    freed: int
    files: Mapping[Kind, int]
    versions: tuple[str, ...]
    runs: tuple[int, ...]
    unfinished: bool
    compaction: Compaction | None = None


def collect(
    repository: Repository,
    terms: Terms,
    progress: ProgressCallback | None = None,
    *,
    dry_run: bool = False,
    compacted: bool = False,
) -> Collection:
    """Plan, and unless it is a dry run, execute. `compacted`: after what is needed has moved out of packs that hold little.

    Raises:
        CasregError: As `compact`, `plan` and `execute`.
    """
    if not dry_run:
        _check_place(repository.backend, terms)
    moved = compact(repository, terms, progress, dry_run=dry_run) if compacted else None
    planned = plan(repository, terms, progress)
    if not dry_run:
        return replace(execute(repository, planned, terms, progress), compaction=moved)
    seen = foreseen(repository, planned)
    if moved is None:
        return seen
    files = {**seen.files, "packs": seen.files["packs"] + moved.packs}
    return replace(seen, freed=seen.freed + moved.freed, files=files, compaction=moved)


def foreseen(repository: Repository, planned: Plan) -> Collection:
    """What would be deleted."""
    return Collection(
        location=repository.backend.location,
        dry_run=True,
        freed=sum(planned.sizes.values()),
        files=count_by_kind(planned.sizes),
        versions=tuple(sorted({ending.label for ending in planned.endings})),
        runs=(),
        unfinished=planned.unfinished,
    )


def execute(
    repository: Repository, planned: Plan, terms: Terms, progress: ProgressCallback | None = None
) -> Collection:
    """Delete what the plan names, as far as nobody needs it by now.

    First a run that somebody else left is taken to its end. Each step can be taken over by another collector, and any
    number of them may be at it, as may writers.

    Args:
        repository: Where.
        planned: What `plan` found, no matter how long ago.
        terms: What may be collected.
        progress: Is told, in the phases `fence` and `delete`.

    Raises:
        UnsafeStorageError: It is a network file system, and nobody vouches for it; or the storage ignores conditions.
        CorruptError: Something that has to be understood is damaged or lost: names it. Nothing was deleted of what it
            may concern.
        UnsupportedFormatError: Something was written by a newer casreg.
        CommitConflictError: Others kept changing a ref, or kept collecting.
        CommitUnknownError: The answer to a step was lost. Collect again.
        StorageError: The storage refused or failed. Collect again: the run is taken on from where it is.
    """
    _check_place(repository.backend, terms)
    repository = repository.without_copies()
    give_up(repository, planned.refs, terms)
    runs = Runs(repository, terms, planned.refs, Report(progress))
    gone, made = _carried_out(repository, runs, planned, terms)
    endings = {ending.label for ending in planned.endings if ending.names & gone}
    return Collection(
        location=repository.backend.location,
        dry_run=False,
        freed=sum(planned.sizes.get(name, 0) for name in gone),
        files=count_by_kind(gone),
        versions=tuple(sorted(endings)),
        runs=tuple(made),
        unfinished=planned.unfinished,
    )


def _carried_out(
    repository: Repository, runs: Runs, planned: Plan, terms: Terms
) -> tuple[set[Name], list[int]]:
    """What was deleted, and the numbers of the runs."""
    todo = dict.fromkeys(planned.sizes)
    gone: set[Name] = set()
    made: list[int] = []
    mine: dict[RunId, list[Name]] = {}
    seen = known_ids(planned.head)
    for _ in range(_ROUNDS + 2 * (len(todo) // terms.most)):
        held = runs.head()
        _take(todo, runs.deleted_in(held.head, but=seen))
        seen = known_ids(held.head)
        for run in seen & mine.keys():
            _take(todo, mine.pop(run))  # the rest of it was spared
        if held.head.state != "idle":
            gone |= runs.finish(held)
            made.append(held.head.id[1])
            _take(todo, gone)
            continue
        if not todo:
            return gone, made
        repository.marker()  # it may say that this casreg must not
        batch = list(islice(todo, terms.most))
        mine[runs.begin(held, batch)] = batch
    raise CommitConflictError(
        f"others kept collecting in {repository.backend.location}; {len(todo)} files are left to them"
    )


def _take(todo: dict[Name, None], names: Iterable[Name]) -> None:
    for name in names:
        todo.pop(name, None)


def check_place(backend: Backend, *, shared_fs: bool, harm: str, work: str) -> None:
    """See that what is listed and read there is what is there.

    Args:
        backend: The place.
        shared_fs: Whether the caller vouches for a network file system.
        harm: What would come of what is not seen, for the error.
        work: What is to be done there, for the error.

    Raises:
        UnsafeStorageError: It is on a network file system, and nobody vouches for it.
    """
    network = getattr(backend, "network", None)
    if network is not None and not shared_fs and not getattr(backend, "shared_fs", False):
        raise UnsafeStorageError(
            f"{backend.location} is on a network file system ({network}): {harm}. {work} on the machine that has the disk, "
            "or say shared_fs=True if this mount's caches and locks hold between machines"
        )


def _check_place(backend: Backend, terms: Terms) -> None:
    harm = "what another machine saved may not be seen yet, and would be deleted"
    check_place(backend, shared_fs=terms.shared_fs, harm=harm, work="Collect")
