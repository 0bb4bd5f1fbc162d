"""Other files for the same version: what names its manifest comes to name another of the same content."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casreg.digest import Digest
    from casreg.refs import Attempt, Fence, History
    from casreg.repository.proving import Proof
    from casreg.repository.repository import Repository
    from casreg.versions import Version


@dataclass(frozen=True, slots=True)
class Replacement:
    """Another manifest of the same content, with another placement. It goes out when a ref is about to name it.

    Attributes:
        packs: How many packs it needs.
        proof: Sees that all of it is there and may be named, and writes it.
    """

    packs: int
    proof: Proof

    def manifest(self, fence: Fence) -> Digest:
        """The manifest, which may be named in the attempt that has read `fence`.

        Raises:
            StaleError: Something of it has been collected meanwhile.
            StorageError: The storage refused or failed.
        """
        return self.proof.proved(fence).manifest


def swing(
    repository: Repository,
    name: str,
    uses: Iterable[tuple[Version, Digest]],
    replacements: Mapping[Digest, Replacement],
) -> int:
    """Let versions of a name, and what is kept of deleted ones, name other manifests of the same content. One commit.

    Tags on them follow, whether what is said of the versions stands in the ref or in its older segments. What does not name
    the manifest any more, since it was overwritten or somebody else was quicker, stays as it is.

    Args:
        repository: Where.
        name: Whose ref.
        uses: Which versions, each with the manifest that it has, or had.
        replacements: What they are to name, for each of these manifests.

    Returns:
        How many were changed.

    Raises:
        StaleError: Something that a replacement needs has been collected meanwhile. Nothing was committed.
        ObjectNotFoundError: There is no ref.
        CommitConflictError, CommitUnknownError, CorruptError, UnsupportedFormatError: As any commit.
        StorageError: The storage refused or failed.
    """
    wanted = list(uses)
    changed = 0

    def change(attempt: Attempt) -> History | None:
        nonlocal changed
        history, changed = attempt.history, 0
        for version, before in wanted:
            if history.names(version, before):
                after = replacements[before]
                history = history.with_manifest(version, before, after.manifest(attempt.fence), after.packs)
                changed += 1
        return history if changed else None

    repository.refs.commit(name, change, create=False)
    return changed
