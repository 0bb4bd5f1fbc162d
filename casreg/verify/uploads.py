"""What holds unfinished uploads, where that is damaged: it is taken away, for no copy has it, and nobody needs it.

Else a collection would stop at it. A save that is at work notices at its commit, as when a collection gives it up.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from casreg.refs.restoring import restore
from casreg.refs.uploads import holds_uploads, without_pins

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from casreg.digest import Digest
    from casreg.refs import History, Removal
    from casreg.repository import Repository
    from casreg.verify.findings import Finding


def take_away(repository: Repository, refs: Iterable[str], manifests: Iterable[Finding]) -> set[str]:
    """Replace damaged refs of uploads by empty ones, and remove pins whose manifests are lost. Returns whose.

    Args:
        repository: Where.
        refs: Names of damaged refs, of all kinds.
        manifests: What is wrong with manifests, and placements, of all kinds.

    Raises:
        CommitConflictError, CommitUnknownError, CorruptError, UnsupportedFormatError: As of a commit.
        StorageError: The storage refused or failed.
    """
    damaged = set(filter(holds_uploads, refs))
    for name in damaged:
        restore(repository.backend, repository.refs, name, lambda attempt: attempt.history)
    lost: dict[str, set[Digest]] = defaultdict(set)
    for found in manifests:
        for use in found.uses:
            if holds_uploads(use.name):
                lost[use.name].add(use.manifest)
    for name, digests in lost.items():
        _remove(repository, name, digests)
    return damaged | lost.keys()


def _remove(repository: Repository, name: str, manifests: Collection[Digest]) -> None:
    def change(removal: Removal) -> History | None:
        ref = removal.history.ref
        pins = [
            version
            for version, record in ref.records.items()
            if record.live and record.live.manifest in manifests
        ]
        return replace(removal.history, ref=without_pins(ref, pins)) if pins else None

    repository.refs.remove(name, change)
