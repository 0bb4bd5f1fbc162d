"""Damaged files: a run that deletes nothing, after which no writer builds on them.

Whoever read the head before the run, and adds a name to a ref after the fence has stamped that ref, has to begin anew and
meets the list; whatever was added before is seen by who looks at the refs now (`docs/design/protocol.md`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from casreg.exceptions import CommitConflictError
from casreg.gc.head import advance, write_list
from casreg.gc.run import Runs
from casreg.gc.terms import Terms
from casreg.gc.work import Report
from casreg.head import condemn_bad, decode_names
from casreg.refs.pace import pace_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from casreg.repository import Repository

_ROUNDS: Final = 100


def mark_bad(repository: Repository, keys: Collection[str]) -> None:
    """Let nobody build on these files any more. When it returns, every ref is stamped by a run that names them.

    A run that somebody else left is taken to its end first, without reading what may be damaged. Files that were marked before stay so.

    Args:
        repository: Where.
        keys: Keys of data whose bytes were read twice and are wrong.

    Raises:
        CorruptError: The head, or a ref, is damaged; or something that a run needs which was going on. What was marked
            by then counts for whoever reads the head from now on.
        UnsupportedFormatError: One of them was written by a newer casreg.
        CommitConflictError, CommitUnknownError: Others kept collecting; an answer was lost.
        StorageError: The storage refused or failed.
    """
    wanted = frozenset(keys)
    repository = repository.without_copies()
    backend, pace = repository.backend, pace_for(repository.backend)
    runs = Runs(repository, Terms(), (), Report(None))
    for _ in range(_ROUNDS):
        held = runs.head()
        if held.head.state != "idle":
            runs.spare(held)
            continue
        before = held.head.bad
        known = frozenset(() if before is None else decode_names(backend.get(before).data, before))
        if wanted <= known:
            return
        listed = write_list(backend, wanted | known, pace)
        advance(backend, held, condemn_bad(held.head, listed, pace.new_id(), pace.new_id()), pace)
    raise CommitConflictError(
        f"others kept collecting in {backend.location}, so that {len(wanted)} damaged files could not be marked"
    )
