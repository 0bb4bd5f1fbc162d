"""One verification, from the refs to the last byte."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Final

from casreg.exceptions import InvalidArgumentError, ObjectNotFoundError
from casreg.keys import MANIFESTS, parse_data_key
from casreg.verify.report import Report
from casreg.verify.roots import look_at_head, look_at_index, look_at_marker
from casreg.verify.survey import Survey, names_in, sample_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from casreg.digest import Digest
    from casreg.progress import ProgressCallback
    from casreg.repository import Repository

ROOTS: Final = frozenset({"marker", "head", "names", "index"})
"""The kinds of files that belong to no name."""

_ROUNDS: Final = 5
"""So often what moved on meanwhile is looked at again."""


def verify(
    repository: Repository,
    *,
    data: bool = False,
    sample: float | None = None,
    names: Collection[str] | None = None,
    progress: ProgressCallback | None = None,
    draw: random.Random | None = None,
) -> Report:
    """See whether everything that refs lead to is there, and is what was written. Only reads.

    Writers and collectors may be at work: what they moved or removed meanwhile is looked for where it is now.

    Args:
        repository: Which.
        data: Read every byte of all packs, too.
        sample: Read this share of the bytes of all packs, in packs that are drawn at random.
        names: Look at these names only, and not at what belongs to no name.
        progress: Is told: in phase `survey` `done` of `total` names, in phase `verify` bytes.
        draw: Draws the sample.

    Raises:
        InvalidArgumentError: `sample` is no share, or is given together with `data`.
        ObjectNotFoundError: One of `names` has no ref.
        StorageError: The place cannot be listed.
    """
    share = _share(sample, data=data)
    began = time.monotonic()
    seen = examine(repository, share, names, progress, draw)
    return report_of(seen, time.monotonic() - began)


def examine(
    repository: Repository,
    share: float,
    names: Collection[str] | None = None,
    progress: ProgressCallback | None = None,
    draw: random.Random | None = None,
) -> Survey:
    """Look at everything, as `verify` does; `share` of the bytes is read."""
    seen = Survey(repository)
    if names is None:
        seen.listed = _listed_manifests(seen.repository)
        moved = names_in(seen.repository)
    else:
        moved = _existing(seen.repository, names)
    for number in range(_ROUNDS):
        seen.look(moved, progress)
        packs = seen.unchecked
        if share < 1:
            packs = sample_of(packs, share, draw or random.Random()) if share and not number else []
        seen.check(packs, progress)
        moved = seen.settle()
        if not moved:
            break
    look_at_roots(seen, index=names is None)
    return seen


def look_at_roots(seen: Survey, *, index: bool = True) -> None:
    """Look, again, at what belongs to no name: marker, head and its lists, and the index."""
    backend = seen.repository.backend
    seen.findings.keep(lambda found: None if found.kind in ROOTS else found)
    found = [*look_at_marker(backend, needed=seen.names > 0), *look_at_head(backend, seen.stamps)]
    for one in (*found, *(look_at_index(backend) if index else ())):
        seen.findings.add(one)


def report_of(seen: Survey, seconds: float) -> Report:
    """What was looked at, and what was found, as users see it."""
    needed = seen.needed
    read = [pack for pack, one in seen.checked.items() if not (one.missing or one.unreadable)]
    return Report(
        location=seen.repository.backend.location,
        damages=seen.damage,
        names=seen.names,
        versions=seen.versions,
        manifests=len(seen.manifests),
        packs=len(needed),
        packs_read=len(read),
        bytes=sum(pack.size for pack in needed),
        bytes_read=sum(pack.size for pack in read),
        unreached=None if seen.listed is None else len(seen.listed - seen.manifests),
        seconds=seconds,
    )


def _share(sample: float | None, *, data: bool) -> float:
    if sample is None:
        return 1.0 if data else 0.0
    if data:
        raise InvalidArgumentError("data=True reads every byte, sample= only some: give one of them")
    if isinstance(sample, bool | str) or not 0 < sample <= 1:
        raise InvalidArgumentError(f"sample is a share of all bytes, above 0 and up to 1, not {sample!r:.80}")
    return float(sample)


def _existing(repository: Repository, names: Collection[str]) -> list[str]:
    """The names, if all have a ref."""
    there = set(names_in(repository))
    gone = sorted(set(names) - there)
    if gone:
        raise ObjectNotFoundError(
            f"there is no object {gone[0]!r} in {repository.backend.location}; `list_objects()` says what there is"
        )
    return sorted(set(names))


def _listed_manifests(repository: Repository) -> set[Digest]:
    """The manifests that there are. Listed before the refs are read: what comes later may be reached by nobody yet."""
    keys = (parse_data_key(info.key) for info in repository.backend.list(MANIFESTS))
    return {key.digest for key in keys if key is not None}
