"""Bundles: versions of a repository as one file, and back.

A bundle is a ZIP archive of stored entries that hold an ordinary repository (`docs/format.md`, section 24): the
versions, copied into it as into any other, under new names of files and with the identities that they had.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from casreg.backends.archive import SUFFIX, ArchiveBackend, ArchiveWriter
from casreg.exceptions import CorruptError, InvalidArgumentError
from casreg.keys import MARKER, REFS, is_data_key
from casreg.marker import dump_marker
from casreg.repository import Repository
from casreg.transfer import copy_all

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.progress import ProgressCallback
    from casreg.repository.committing import Terms
    from casreg.transfer import Copied, Wanted


def export(
    source: Repository,
    path: str | os.PathLike[str],
    wanted: Iterable[Wanted] | None = None,
    progress: ProgressCallback | None = None,
) -> list[Copied]:
    """Write versions of a repository into a new file, at once or not at all. See `copy_all` for what comes along.

    Args:
        source: From where.
        path: The file, whose name ends in `.casreg`.
        wanted: Which versions; None for all.
        progress: Is told.

    Returns:
        What is in it, by name, ascending.

    Raises:
        InvalidArgumentError: The name of the file ends otherwise.
        DestinationError: The file exists, or cannot be written.
        ObjectNotFoundError: Something that was wanted is not there.
        CorruptError, UnsupportedFormatError: Some versions cannot be read. They are named.
        StorageError: The source cannot be read.
    """
    if not os.fsdecode(path).lower().endswith(SUFFIX):
        raise InvalidArgumentError(
            f"the name of a bundle ends in {SUFFIX}, by which `Registry(path)` knows one; {os.fsdecode(path)!r} does not"
        )
    with ArchiveWriter(path, is_data_key) as archive:
        repository = Repository(archive)
        marker = repository.marker()
        copied = copy_all(source, repository, wanted, progress=progress)
        loose = {info.key: archive.get(info.key).data for info in archive.list(REFS)}
        # What was probed is this file while it was made. Whoever unpacks it has to probe where it will be.
        archive.finish({**loose, MARKER: dump_marker(replace(marker, probe=None))})
    return copied


def import_(
    path: str | os.PathLike[str],
    target: Repository,
    wanted: Iterable[Wanted] | None = None,
    *,
    terms: Terms | None = None,
    progress: ProgressCallback | None = None,
) -> list[Copied]:
    """Copy versions out of a bundle. See `copy_all`, also for `terms` and for what it raises besides.

    Args:
        path: The file.
        target: Where to.
        wanted: Which versions; None for all.
        terms: How they are committed.
        progress: Is told.

    Returns:
        What was wanted, by name, ascending.

    Raises:
        CorruptError: The bundle is damaged, or is none. Names it, and what in it is.
        StorageError: The file is not there or cannot be read, or the target refused or failed.
    """
    archive = ArchiveBackend(path)
    try:
        return copy_all(Repository(archive), target, wanted, terms=terms, progress=progress)
    except CorruptError as err:
        raise CorruptError(f"while importing {archive.path}: {err}") from err
