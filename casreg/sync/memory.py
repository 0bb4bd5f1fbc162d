"""What this machine remembers of the last sync of two places, so that what has not changed is not read again.

One file for each pair in the cache folder, written as a whole. It may be lost at any time: then all names are compared
once more, and labels that differ are conflicts, since nobody knows which side has changed them. It is believed only as
far as both refs are in the very states that were compared then: by the tokens that the storages list, which by the
contract of backends name one written state. And only as that of the very repositories that were compared: a copy or a
backup that has taken the place of one of them, and was adopted, has another id. Near places are asked for theirs at
once, and it is a part of the file's name; those to which each request is one over a network, when something has changed.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from casreg import memo, settings
from casreg.backends.base import traits_of
from casreg.digest import digest_of
from casreg.exceptions import CorruptError, NotFound, UnsupportedFormatError
from casreg.keys import MARKER
from casreg.marker import parse_marker
from casreg.sync.comparing import Base
from casreg.sync.labels import Label

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.repository import Repository

_FORMAT: Final = 2

log = logging.getLogger("casreg.sync")


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of one name.

    Attributes:
        source: The token of its ref at the source, if nothing was left to do; else None.
        target: That at the target.
        exact: Whether the target had nothing of its own.
        base: What the labels were.
    """

    source: str | None
    target: str | None
    exact: bool
    base: Base


def is_far(backend: Backend) -> bool:
    """Whether each request to a place is one over a network."""
    return traits_of(backend).parallel_requests > 0


def identity(backend: Backend) -> str | None:
    """Which repository is at a place: its id, or "" for one that is far away. None if there is none.

    Raises:
        CorruptError: The marker is damaged.
        StorageError: It cannot be read.
    """
    if is_far(backend):
        return ""
    try:
        data = backend.get(MARKER).data
    except NotFound:
        return None
    return parse_marker(data, f"{MARKER} in {backend.location}").id


class Ids:
    """The ids of the repositories at two places, as far as they are far away; each is asked for once. Thread-safe."""

    def __init__(self, source: Repository, target: Repository) -> None:
        """No I/O yet."""
        self._repositories = (source, target)
        self._ids = ["", ""]
        self._lock = threading.Lock()

    def now(self) -> list[str]:
        """That of the source and that of the target: "" where the place is near, or none can be read there.

        Raises:
            StorageError: One cannot be read.
        """
        with self._lock:
            for number, repository in enumerate(self._repositories):
                if not self._ids[number] and is_far(repository.backend):
                    with suppress(
                        CorruptError, UnsupportedFormatError
                    ):  # whoever only reads need not understand it
                        self._ids[number] = repository.identity() or ""
            return list(self._ids)


class Memory:
    """What is remembered of two places. Thread-safe, but for the records, of which each name has its own.

    Attributes:
        records: What is remembered of each name; grows while names are brought.
    """

    def __init__(self, source: Repository, target: Repository) -> None:
        """Read it.

        Raises:
            InvalidArgumentError, CorruptError, StorageError: As `place`.
        """
        self._source, self._target = source.backend, target.backend
        self._now = Ids(source, target)
        self._ids, self.records = recall(place(self._source, self._target))
        self._checked = False
        self._lock = threading.Lock()

    def check(self) -> None:
        """Forget all of it, if other repositories are at the places now. To be called before a record is believed of a
        name that has changed; what has not changed on both sides is what was compared.

        Raises:
            StorageError: As `Ids.now`.
        """
        with self._lock:
            if not self._checked and self._now.now() != self._ids:
                self.records.clear()
            self._checked = True

    def keep(self) -> None:
        """Write it.

        Raises:
            InvalidArgumentError, CorruptError, StorageError: As `place`.
        """
        remember(place(self._source, self._target), self._now.now(), self.records)


def place(source: Backend, target: Backend) -> Path | None:
    """Where the memory of two places is; None if one of them has no repository yet.

    Raises:
        InvalidArgumentError: The cache folder cannot be understood.
        CorruptError, StorageError: As `identity`.
    """
    ids = [identity(source), identity(target)]
    if ids[0] is None or ids[1] is None:
        return None
    text = "\0".join((source.location, ids[0], target.location, ids[1]))
    return settings.cache_dir() / "sync" / digest_of(text.encode("utf-8", "surrogateescape")).hex()


def recall(file: Path | None) -> tuple[list[str], dict[str, Record]]:
    """The ids of the repositories, and what is remembered, by name; nothing if there is nothing, or if it is damaged."""
    if file is None:
        return [], {}
    document = memo.read(file)
    if document is None:
        return [], {}
    try:
        if document["format"] != _FORMAT:
            raise ValueError("it has another format")
        return list(document["ids"]), {name: _record(row) for name, row in document["names"].items()}
    except (ValueError, TypeError, IndexError, KeyError) as err:
        log.debug("%s is not used: %s", file, err)
        return [], {}


def remember(file: Path | None, ids: list[str], records: Mapping[str, Record]) -> None:
    """Keep it. A cache folder that is full or cannot be written is no reason for a sync to fail."""
    if file is None:
        return
    names = {name: _row(record) for name, record in records.items()}
    memo.write(file, {"format": _FORMAT, "ids": ids, "names": names})


def _row(record: Record) -> list[Any]:
    base = record.base
    return [
        record.source,
        record.target,
        record.exact,
        base.rev,
        base.there,
        _flat(base.labels),
        _flat(base.under_way),
    ]


def _record(row: list[Any]) -> Record:
    source, target, exact, rev, there, labels, under_way = row
    return Record(source, target, bool(exact), Base(rev, there, _labels(labels), _labels(under_way)))


def _flat(labels: Mapping[Label, Any]) -> list[list[Any]]:
    return [[*label, value] for label, value in labels.items()]


def _labels(rows: Iterable[list[Any]]) -> dict[Label, Any]:
    return {Label(kind, version, key): value for kind, version, key, value in rows}
