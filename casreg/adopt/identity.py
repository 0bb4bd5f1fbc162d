"""Which repository it is: whether there is one, and the marker that gives it an id of its own."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from casreg.exceptions import (
    AlreadyExists,
    Conflict,
    CorruptError,
    NotFound,
    ObjectNotFoundError,
    UnsupportedFormatError,
)
from casreg.keys import MARKER, ref_key
from casreg.marker import PROBE_OK, Marker, Probe, dump_marker, new_marker, parse_marker
from casreg.refs.document import Ref
from casreg.repository.probe import probe

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.backends.base import Backend, Object


def check_is_registry(backend: Backend, names: Iterable[str]) -> Marker | None:
    """The marker that is there; None if it is damaged or lost, and refs show that this is a repository all the same.

    Raises:
        ObjectNotFoundError: It is none: other people's files are left alone.
        UnsupportedFormatError: It needs a newer casreg.
        StorageError: It cannot be read.
    """
    marker = _parsed(_found(backend), backend)
    if marker is None and not any(_is_ref(backend, name) for name in names):
        raise ObjectNotFoundError(
            f"there is no registry at {backend.location}: neither {MARKER} nor any ref that can be read. Is the place "
            "written as it should be, and did the copy come to its end?"
        )
    return marker


def renew(backend: Backend) -> Marker:
    """Put a marker with a new id, and a new probe, in the place of the one that is there. Returns the new one.

    Raises:
        UnsafeStorageError: The storage does not honour conditional writes. Nothing but the probe was written.
        UnsupportedFormatError: The marker needs a newer casreg.
        StorageError: The storage refused or failed.
    """
    probe(backend)
    while True:
        found = _found(backend)
        before = _parsed(found, backend)
        new = new_marker(Probe(backend.location, PROBE_OK))
        if before is not None:
            new = replace(before, id=new.id, probe=new.probe)
        try:
            if found is None:
                backend.create(MARKER, dump_marker(new))
            else:
                assert found.token is not None, "only a ranged read has no token"
                backend.swap(MARKER, dump_marker(new), found.token)
        except (AlreadyExists, Conflict, NotFound):
            continue  # somebody else wrote it meanwhile, and may take theirs for the repository's
        return new


def _found(backend: Backend) -> Object | None:
    try:
        return backend.get(MARKER)
    except NotFound:
        return None


def _parsed(found: Object | None, backend: Backend) -> Marker | None:
    if found is None:
        return None
    try:
        return parse_marker(found.data, f"{MARKER} in {backend.location}")
    except CorruptError:
        return None


def _is_ref(backend: Backend, name: str) -> bool:
    """Whether there is a ref, and not something of another program that only has a name like one."""
    try:
        Ref.from_bytes(backend.get(ref_key(name)).data, name, ref_key(name))
    except (CorruptError, NotFound):
        return False
    except UnsupportedFormatError:
        return True
    return True
