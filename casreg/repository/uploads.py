"""A long save holds what it has written in a hidden ref, until its commit does: `protocol.md`, "Long saves".

No collector takes what is pinned so, and whoever saves the same content again finds it through the index, also when this
save was killed. Nothing is safer for it: the commit validates everything anew, so that a pin may fail, or be taken away.
"""

from __future__ import annotations

import logging
import secrets
import time
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final

from casreg.exceptions import (
    CommitConflictError,
    CommitUnknownError,
    CorruptError,
    ObjectNotFoundError,
    StorageError,
    UnsupportedFormatError,
)
from casreg.manifests import encode_content, encode_metadata, identities
from casreg.model import Content, Placement
from casreg.packs import key_of
from casreg.refs import Entry
from casreg.refs.entries import Record
from casreg.refs.uploads import ROOM, pin_notes, upload_name, without_pins
from casreg.repository.committing import now
from casreg.repository.proving import Sightings, write_manifest
from casreg.repository.searching import remember_packs
from casreg.versions import MAX_NUMBER, Version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.ingest.packing import Keep
    from casreg.model import PackRef
    from casreg.packs import SealedPack
    from casreg.refs import Attempt, History, Removal
    from casreg.repository.repository import Repository
    from casreg.repository.searching import Search

_CONTENT: Final = Content("casreg.upload/1", {}, 0, 0, ())
_HARMLESS: Final = (
    CommitConflictError,
    CommitUnknownError,
    CorruptError,
    ObjectNotFoundError,
    StorageError,
    UnsupportedFormatError,
)

log = logging.getLogger("casreg.repository")


@dataclass(frozen=True, slots=True)
class Pinning:
    """When a save pins what it has written. All times are seconds.

    Attributes:
        after: A save is long that takes more than this. A shorter one makes no request for any of it.
        every: After so much time what was written since is added, and later on after `SHARE` of the time that the save
            has taken. (Sooner, where a collector was quicker.)
        refresh: After so much time a save says that it is still at work, also if it has written nothing more.
        monotonic: The clock.
    """

    after: float = 600.0
    every: float = 60.0
    refresh: float = 86_400.0
    monotonic: Callable[[], float] = time.monotonic

    def wait(self, taken: float, *, hurried: bool) -> float:
        """How long to wait before more is pinned, after a save has `taken` so long."""
        return taken * HURRIED_SHARE if hurried else max(self.every, taken * SHARE)


SHARE: Final = 1 / 32
"""So much of its time does a save lose at most that is killed. Each pin names all packs that were written so far, some 200
bytes for 32 MiB: the manifests of all pins of a save take about a 5,000th of what it writes, however long it takes."""

HURRIED_SHARE: Final = 1 / 1024
"""The same for a save beside a collector that takes what has just come; which takes the manifests of old pins, too."""

PINNING: Final = Pinning()
"""What is used unless told otherwise."""


class Upload:
    """What one save has written, and the pin that holds it once the save is long. Not thread-safe.

    It lives as long as the save, through all of its rounds: what was pinned in one is found in the next.
    """

    def __init__(self, repository: Repository, name: str) -> None:
        """No I/O. The save begins now; `name` is shown to who asks what is being uploaded."""
        self._repository = repository
        self._name = name
        self._since = now()
        self._pinning = repository.pinning
        self._began = self._pinning.monotonic()
        self._due = self._began + self._pinning.after
        self._stale = self._due
        self._hurried = False
        self._number: int | None = None
        self._version = _new_version()
        self._known: set[str] = set()
        self._loose: dict[str, SealedPack] = {}
        self._pinned: dict[str, PackRef] = {}
        self._reached: dict[Digest, frozenset[str]] = {}
        self._sightings = Sightings(repository.backend, {})

    @property
    def seen(self) -> Mapping[str, RunId]:
        """For the keys of packs that are pinned: id of the head after whose reading each was last there."""
        seen = self._sightings.seen
        return {key: seen[key] for key in map(key_of, self._pinned.values())}

    def held(self) -> int:
        """How many packs are pinned."""
        return len(self._pinned)

    def keeper(self, search: Search) -> Keep:
        """What pins, when it is time, the packs of a round that looks for duplicates with `search`."""
        return partial(self._keep, search)

    def end(self) -> None:
        """Take the pin away: the version is committed, or was there already, and the packs are needed or garbage."""
        if self._number is None:
            return

        def change(removal: Removal) -> History | None:
            history = removal.history
            if history.entry(self._version) is None:
                return None
            return replace(history, ref=without_pins(history.ref, (self._version,)))

        try:
            self._repository.refs.remove(upload_name(self._number), change)
        except _HARMLESS as err:
            log.warning("%s was saved; a collection will forget in a week what held it: %s", self._name, err)

    def _keep(self, search: Search, written: Sequence[SealedPack]) -> None:
        clock = self._pinning.monotonic()
        if clock < self._due:
            return
        new = [sealed for sealed in written if sealed.ref.name not in self._known]
        self._known.update(sealed.ref.name for sealed in new)
        self._loose.update((sealed.ref.name, sealed) for sealed in new)
        self._sightings.seen.update(search.sightings(Placement(tuple(sealed.ref for sealed in new)), new))
        if self._loose or (self._pinned and clock >= self._stale):
            hurried = self._pin() and self._hurried
            clock = self._pinning.monotonic()
            self._due = clock + self._pinning.wait(clock - self._began, hurried=hurried)
            self._stale = clock + self._pinning.refresh

    def _pin(self) -> bool:
        """Pin what was written. Returns whether that could be tried."""
        try:
            return any(self._pinned_in(number) for number in count(self._number or 0))
        except _HARMLESS as err:  # what is to make saves cheaper must not make one fail
            log.warning("%s: what was written is not held yet, and may be written again: %s", self._name, err)
            return False

    def _pinned_in(self, number: int) -> bool:
        """Put the pin into the ref with this number, if there is room."""
        made: list[tuple[RunId, dict[str, PackRef]]] = []
        full = False

        def change(attempt: Attempt) -> History | None:
            nonlocal full
            made.clear()
            history = attempt.history
            mine = history.entry(self._version)
            full = mine is None and len(history.live()) >= ROOM
            packs = {} if full else self._usable(attempt, mine)
            if not packs:
                return None
            # From now on it may be there, whatever becomes of the answers.
            self._number = number
            made.append((attempt.fence.head.id, packs))
            records = {**history.ref.records, self._version: Record(self._entry(attempt, packs))}
            return replace(history, ref=replace(history.ref, records=records))

        self._repository.refs.commit(upload_name(number), change)
        if full:
            return False
        head, packs = made[-1] if made else (None, {})
        lost = [pack for pack in (*self._pinned, *self._loose) if pack not in packs]
        if lost:
            log.debug("%s: a collector was quicker with %d packs; pinning sooner", self._name, len(lost))
            self._hurried = True
        found = [sealed for name, sealed in self._loose.items() if name in packs]
        self._pinned, self._loose = packs, {}
        if head is not None:
            # What was added was proved to be there under this head; what the ref had before it was read, it had without
            # a break until it was swapped, and so when the head was read.
            self._sightings.seen.update((key_of(pack), head) for pack in packs.values())
            remember_packs(self._repository, found, self._sightings.seen)
        return True

    def _usable(self, attempt: Attempt, mine: Entry | None) -> dict[str, PackRef]:
        """What is to be pinned: what the ref holds already, and of all else what may be added to it."""
        held = frozenset() if mine is None else self._reached.get(mine.manifest, frozenset())
        wanted = {**self._pinned, **{name: sealed.ref for name, sealed in self._loose.items()}}
        return {
            name: pack
            for name, pack in wanted.items()
            if name in held or self._sightings.usable(key_of(pack), attempt.fence)
        }

    def _entry(self, attempt: Attempt, packs: Mapping[str, PackRef]) -> Entry:
        """The pin, after its manifest was written."""
        lines = encode_content(_CONTENT), encode_metadata({})
        written = write_manifest(self._repository.backend, lines, Placement(tuple(packs.values())), b"")
        self._reached[written.manifest] = frozenset(packs)
        data, content = identities(*lines)
        return Entry(
            manifest=written.manifest,
            data=data,
            content=content,
            size=0,
            stored=sum(pack.size for pack in packs.values()) + written.size,
            packs=len(packs),
            created=now(),
            write=attempt.write,
            notes=pin_notes(self._name, self._since),
        )


def _new_version() -> Version:
    """A number that no other save has."""
    return Version(0, 0, secrets.randbelow(MAX_NUMBER + 1))
