"""What a ref reaches: its segments of history, and of each version that has to stay the manifest and what that needs.

Lists of chunks and trees are not read: they stand in packs that the placement names.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from casreg.exceptions import CorruptError, NotFound
from casreg.gc.names import Name, of_manifest, of_pack, of_segment
from casreg.keys import manifest_key, ref_key, segment_key
from casreg.manifests import decode_placement

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Set as AbstractSet

    from casreg.backends.base import Readable
    from casreg.digest import Digest
    from casreg.gc.terms import Terms
    from casreg.model import Placement
    from casreg.refs import Entry, History, Tombstone
    from casreg.refs.landing import Held
    from casreg.repository import Repository
    from casreg.versions import Version

_T = TypeVar("_T")

_KNOWN: Final = 2_000_000
"""So many names of files are kept of manifests that were read: some 150 MiB at most."""


@dataclass(frozen=True, slots=True)
class Expired:
    """A deleted version that `undelete` could bring back, and whose data may go.

    Attributes:
        label: `name@version`.
        manifest: Digest of its manifest.
    """

    label: str
    manifest: Digest


class Named(NamedTuple):
    """What a ref says of one manifest: that a version is it, or was.

    Attributes:
        version: Which.
        entry: What the ref says of the version.
        protected: Whether its data has to stay: it lives, or may still be undeleted.
        lives: Whether it lives.
    """

    version: Version
    entry: Entry
    protected: bool
    lives: bool


@dataclass(frozen=True, slots=True)
class Reach:
    """What one ref reaches.

    Attributes:
        names: The files.
        expired: Its deleted versions whose data it does not protect any more.
    """

    names: frozenset[Name]
    expired: tuple[Expired, ...]


class Placements:
    """What each manifest needs beside itself. Manifests never change, so that each is read once in a process.

    For any number of threads; there is no lock, since each step on the dict is atomic, and what a race can cost is
    to read a manifest twice.
    """

    def __init__(self) -> None:
        self._held = 0
        self._known: dict[Digest, tuple[Name, ...]] = {}
        self._names: dict[Name, Name] = {}

    def get(self, digest: Digest) -> tuple[Name, ...] | None:
        """The names, if they are known."""
        return self._known.get(digest)

    def put(self, digest: Digest, names: Iterable[Name]) -> tuple[Name, ...]:
        """Keep the names. Those that many manifests need are kept once."""
        if self._held > _KNOWN:
            self._known.clear()
            self._names.clear()
            self._held = 0
        once = tuple(self._names.setdefault(name, name) for name in names)
        self._known[digest] = once
        self._held += 1 + len(once)
        return once


READ: Final = Placements()
"""What this process has read: names are digests, so that it does not matter where."""


class Reader:
    """Reads what refs reach, as one collector sees it at one time. For any number of threads."""

    def __init__(
        self,
        repository: Repository,
        terms: Terms,
        copies: Readable | None = None,
        there: AbstractSet[Name] = frozenset(),
    ) -> None:
        """No I/O.

        Args:
            repository: The place, without copies: what it has lost must be seen.
            terms: What may be collected.
            copies: Gives manifests from copies on this machine, if there are any.
            there: The manifests that the place has listed, and that may so be read from copies: their bytes do not change.
        """
        self._repository = repository
        self._window = terms.undelete_window
        self._now = terms.clock()
        self._known = READ
        self._copies = copies
        self._there = there

    def held(self, name: str) -> Held:
        """The ref of a name that was listed.

        Raises:
            CorruptError: It is damaged, or has gone: nothing ever deletes a ref.
            UnsupportedFormatError: It is of a newer casreg.
            StorageError: It cannot be read.
        """
        held = self._repository.refs.read(name)
        if held is None:
            raise CorruptError(
                f"{ref_key(name)} in {self._repository.backend.location} was there a moment ago and has gone. Nothing is "
                "collected before it is restored from another copy"
            )
        held.history.ref.check_writable()
        return held

    def reach(self, held: Held) -> tuple[Held, Reach]:
        """What a ref reaches, after it was read again if it has moved on meanwhile. With it, the ref as it was then.

        Raises:
            CorruptError: Something that it reaches is damaged or lost.
            UnsupportedFormatError: It is of a newer casreg.
            StorageError: It cannot be read.
        """
        return self.settled(held, self._reach)

    def settled(self, held: Held, question: Callable[[History], _T]) -> tuple[Held, _T]:
        """The answer to a question about what a ref reaches, which raises `NotFound` where that is gone. As `reach`."""
        while True:
            try:
                return held, question(held.history)
            except NotFound as err:
                now = self.held(held.history.name)
                if now.token == held.token:
                    raise CorruptError(
                        f"{err}. Nothing is collected before it is restored from another copy, or what needs it is deleted"
                    ) from err
                held = now

    def below(self, digest: Digest) -> tuple[Name, ...]:
        """What the manifest with this digest needs: its placement's segment, and its packs.

        Raises:
            NotFound: It, or the segment, is not there.
            CorruptError: One of them is damaged.
            UnsupportedFormatError: One of them is of a newer casreg.
            StorageError: One of them cannot be read.
        """
        known = self._known.get(digest)
        return self._read(digest)[1] if known is None else known

    def placed(self, name: str, named: Named) -> Placement | None:
        """Where the chunks of a version are. None of a deleted one whose data a collector has taken that granted less time.

        Raises:
            NotFound: It lives, and its manifest, or the segment of that, is not there.
            CorruptError, UnsupportedFormatError, StorageError: As `below`.
        """
        label = f"{name}@{named.version}" if named.lives else f"the deleted {name}@{named.version}"
        try:
            return self._of(label, named.entry, self._read)[0]
        except NotFound:
            if named.lives:
                raise
            return None

    def named(self, history: History) -> Iterator[Named]:
        """Every manifest that a ref names, alive or deleted. Reads its segments."""
        for version, record in history.records().items():
            if record.live:
                yield Named(version, record.live, protected=True, lives=True)
            for tombstone in record.dead:
                yield Named(version, tombstone.entry, protected=self._is_protected(tombstone), lives=False)

    def _reach(self, history: History) -> Reach:
        names = {of_segment(row.digest) for row in history.ref.older}
        expired: list[Expired] = []
        for version, record in history.records().items():
            if record.live:
                names.update(self._needed(record.live, f"{history.name}@{version}"))
            for tombstone in record.dead:
                if self._is_protected(tombstone):
                    names.update(self._left(tombstone.entry, f"the deleted {history.name}@{version}"))
            if record.dead and not record.live and not self._is_protected(record.dead[-1]):
                expired.append(self._expired(history, version, record.dead[-1]))
        return Reach(frozenset(names), tuple(expired))

    def _read(self, digest: Digest) -> tuple[Placement, tuple[Name, ...]]:
        """The placement in a manifest, and what it needs. Errors as `below`."""
        get = self._repository.backend.get
        source: Readable = self._repository.backend
        if self._copies is not None and of_manifest(digest) in self._there:
            source = self._copies
        data = source.get(manifest_key(digest)).data
        placement = decode_placement(data, digest, lambda segment: get(segment_key(segment)).data)
        segment = () if placement.segment is None else (of_segment(placement.segment),)
        below = (*segment, *(of_pack(pack.name) for pack in placement.packs))
        return placement, self._known.put(digest, below)

    def _needed(self, entry: Entry, label: str) -> tuple[Name, ...]:
        """All that a version needs. It has to be there."""
        return of_manifest(entry.manifest), *self._of(label, entry, self.below)

    @staticmethod
    def _of(label: str, entry: Entry, read: Callable[[Digest], _T]) -> _T:
        """What is read of the manifest of an entry. Errors say whose it is."""
        try:
            return read(entry.manifest)
        except NotFound as err:
            raise NotFound(f"{label} needs what is not there ({err})") from err
        except CorruptError as err:
            raise CorruptError(
                f"{err} It belongs to {label}, and nothing is collected before it is restored, or that is gone"
            ) from err

    def _left(self, entry: Entry, label: str) -> tuple[Name, ...]:
        """What is left of a deleted version: a collector that granted less time may have taken it, or a part of it."""
        try:
            return self._needed(entry, label)
        except NotFound:
            return (of_manifest(entry.manifest),)

    def _is_protected(self, tombstone: Tombstone) -> bool:
        if self._window <= 0:
            return False
        try:
            deleted = datetime.fromisoformat(tombstone.deleted.replace(":60", ":59")).timestamp()
        except ValueError:
            return True  # no such day: whatever was meant, the data stay
        return self._now - deleted < self._window

    @staticmethod
    def _expired(history: History, version: Version, tombstone: Tombstone) -> Expired:
        return Expired(f"{history.name}@{version}", tombstone.entry.manifest)
