"""The proof of a commit: everything that a version reaches exists, and may be reached.

Each physical name carries the id of the collector's head after whose reading it was seen, and where that no longer
counts, it is looked at again, or its bytes are stored again under a fresh name (`protocol.md`, "Adding to a ref").
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from casreg.digest import digest_of
from casreg.exceptions import CommitConflictError, NotFound
from casreg.keys import manifest_key, segment_key
from casreg.manifests import (
    PLACEMENT_LIMIT,
    encode_manifest,
    encode_placement,
    encode_placement_segment,
    placement_pointer,
)
from casreg.packs import key_of
from casreg.refs import Reuse
from casreg.sending import until_acknowledged

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.model import Manifest, Placement
    from casreg.refs import Fence
    from casreg.repository.repository import Repository

_T = TypeVar("_T")

_ROUNDS: Final = 5

log = logging.getLogger("casreg.repository")


class StaleError(Exception):
    """A file that a commit builds on is gone or condemned: it has to be stored again."""


class Written(NamedTuple):
    """A manifest that was acknowledged: its digest, bytes of it and its segment, and their keys."""

    manifest: Digest
    size: int
    keys: tuple[str, ...]


class Sightings:
    """When each file was last seen, so that no attempt to commit looks at one twice. Not thread-safe."""

    def __init__(self, backend: Backend, seen: Mapping[str, RunId]) -> None:
        """No I/O yet. `seen` has ids of heads, for each key that was seen after such a reading."""
        self._backend = backend
        self.seen = dict(seen)

    def usable(self, key: str, fence: Fence) -> bool:
        """Whether the file exists and may be put into a ref, in the attempt that has read `fence`.

        Raises:
            StorageError: It cannot be looked at.
        """
        answer = fence.reuse(key, self.seen.get(key))
        if answer is Reuse.CHECK:
            try:
                self._backend.get(key, 0, 1)
            except NotFound:
                return False
            self.seen[key] = fence.head.id
        return answer is not Reuse.NO

    def all_usable(self, repository: Repository, digest: Digest, fence: Fence) -> bool:
        """Whether that is true of a manifest that is stored, and of all that it needs: segment and packs.

        Raises:
            CorruptError: It is damaged.
            StorageError: It cannot be read.
        """
        if not self.usable(manifest_key(digest), fence):
            return False
        try:
            manifest = repository.manifest(digest)
        except NotFound:  # its segment, or it has gone this moment
            return False
        return all(self.usable(key, fence) for key in files_below(manifest))


def files_below(manifest: Manifest) -> list[str]:
    """Keys of what a manifest needs."""
    placement = manifest.placement
    segment = [] if placement.segment is None else [segment_key(placement.segment)]
    return segment + [key_of(pack) for pack in placement.packs]


class Proof:
    """Writes the manifest of a version, and sees that its packs are there."""

    def __init__(
        self,
        repository: Repository,
        lines: tuple[bytes, bytes],
        placement: Placement,
        inline: bytes,
        seen: Mapping[str, RunId],
    ) -> None:
        """No I/O yet.

        Args:
            repository: Where the version is going to be.
            lines: Its data line and its metadata line, as they are stored.
            placement: Where its chunks are there.
            inline: Its payload.
            seen: For keys of packs, id of the head after whose reading each was seen or written.
        """
        self._repository = repository
        self._lines = lines
        self._placement = placement
        self._inline = inline
        self._sightings = Sightings(repository.backend, seen)
        self._written: Written | None = None

    @property
    def seen(self) -> Mapping[str, RunId]:
        """Id of the head after whose reading each key was last seen."""
        return self._sightings.seen

    def proved(self, fence: Fence) -> Written:
        """See that everything the version reaches exists and may be reached: packs, then segment and manifest.

        Raises:
            StaleError: A pack is gone or condemned.
            StorageError: The storage refused or failed.
        """
        usable = self._sightings.usable
        gone = [pack for pack in self._placement.packs if not usable(key_of(pack), fence)]
        if gone:
            for pack in gone:  # all of them: another round must not meet the next one
                self._repository.tables.forget(pack.name)
            raise StaleError
        if self._written is None or not all(usable(key, fence) for key in self._written.keys):
            self._written = write_manifest(
                self._repository.backend, self._lines, self._placement, self._inline
            )
            self._sightings.seen.update((key, fence.head.id) for key in self._written.keys)
        return self._written


def write_manifest(
    backend: Backend, lines: tuple[bytes, bytes], placement: Placement, inline: bytes
) -> Written:
    """Write a manifest, and before it the segment of its placement if that is long. Arguments as those of `Proof`.

    Raises:
        StorageError: The storage refused or failed.
    """
    line = encode_placement(placement)
    keys: tuple[str, ...] = ()
    total = 0
    if len(line) > PLACEMENT_LIMIT:
        long = line
        segment, total = send(backend, segment_key, lambda: encode_placement_segment(long))
        keys = (segment_key(segment),)
        line = placement_pointer(segment, total, len(placement.packs))
    manifest, size = send(backend, manifest_key, lambda: encode_manifest(*lines, line, inline))
    return Written(manifest, total + size, (manifest_key(manifest), *keys))


def send(backend: Backend, key: Callable[[Digest], str], make: Callable[[], bytes]) -> tuple[Digest, int]:
    """Write an immutable file that `make` gives under a fresh nonce. Returns its digest and size in bytes.

    Raises:
        StorageError: It could not be written.
    """

    def once() -> tuple[Digest, int]:
        data = make()
        digest = digest_of(data)
        # Nothing points here before the ref is swapped, which makes it durable first: one flush less.
        backend.create(key(digest), data, durable=False)
        return digest, len(data)

    return until_acknowledged(once)


def until_proved(
    repository: Repository,
    name: str,
    store: Callable[[Collection[str]], _T],
    held: Callable[[], int] = lambda: 0,
) -> _T:
    """What `store` returns; it is called again while it raises `StaleError`, with the keys that it must avoid.

    Args:
        repository: Where.
        name: Whose version it is.
        store: Stores and commits it.
        held: How much of it no collector takes any more. As long as that grows, it comes to an end.

    Raises:
        CommitConflictError: What was stored, or built on, was collected again and again.
    """
    avoid: Collection[str] = ()
    rounds, most = 0, held()
    while rounds < _ROUNDS:
        try:
            return store(avoid)
        except StaleError:
            log.debug("%s: a pack that the version was built on has gone meanwhile; storing it again", name)
            avoid = repository.refs.fences.read().bad
        rounds = 0 if held() > most else rounds + 1
        most = max(most, held())
    raise CommitConflictError(
        f"{name}: what the version was built on was collected {_ROUNDS} times while it was stored; nothing was "
        "committed. Run garbage collection less often, or with its usual minimum age."
    )
