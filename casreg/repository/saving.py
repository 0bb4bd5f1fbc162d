"""A save: files → chunks → packs → manifest → ref. The compare-and-swap of the ref is the commit.

Whatever the commit puts into the ref is proved to exist first (`protocol.md`, "Writer"): each physical name carries
the id of the collector's head after whose reading it was seen, and where that no longer counts, it is looked at
again or stored again under a fresh name.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from casreg.digest import digest_of
from casreg.exceptions import CommitConflictError, NotFound, StorageError, StorageUnavailableError, VersionConflictError
from casreg.ingest import store
from casreg.ingest.assembly import Remembered, Request
from casreg.keys import manifest_key, segment_key
from casreg.manifests import (
    PLACEMENT_LIMIT,
    encode_content,
    encode_manifest,
    encode_metadata,
    encode_placement,
    encode_placement_segment,
    identities,
    placement_pointer,
)
from casreg.packs import key_of
from casreg.refs import Entry, Reuse
from casreg.tables import Duplicates, Table
from casreg.versions import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.ingest import Ingested, Place
    from casreg.materializers import folders
    from casreg.model import PackRef
    from casreg.progress import ProgressCallback
    from casreg.refs import Attempt, Fence, History
    from casreg.repository.repository import Repository
    from casreg.versions import Bump

_ROUNDS: Final = 5
_SENDS: Final = 3

log = logging.getLogger("casreg.repository")


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be saved, and as what.

    Attributes:
        name: The object's name.
        materializer: Id of the materializer that made the files.
        params: Its parameters.
        files: The files and empty folders.
        metadata: What the user says of it; part of its identity `content`.
        notes: What the user says of it that may change later.
        class_name: The object's class, for display.
        version: The version to save as; None for the next one.
        bump: Which part the next version raises.
        tags: Tags that move to the version in the same commit.
        single: Keep one live version only: it is replaced.
        mutable: A version may be given other content.
        remembered: What earlier saves remember of files on disk.
        progress: Is told how far it is.
    """

    name: str
    materializer: str
    params: Mapping[str, object]
    files: Sequence[folders.Entry]
    metadata: Mapping[str, object] = field(default_factory=dict)
    notes: Mapping[str, object] = field(default_factory=dict)
    class_name: str | None = None
    version: Version | None = None
    bump: Bump = "patch"
    tags: Sequence[str] = ()
    single: bool = False
    mutable: bool = False
    remembered: Mapping[str, Remembered] = field(default_factory=dict)
    progress: ProgressCallback | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A version that is committed.

    Attributes:
        version: Its number.
        entry: What its ref says of it.
        ingested: What was stored for it.
    """

    version: Version
    entry: Entry
    ingested: Ingested


class _StaleError(Exception):
    """A pack that the save builds on is gone or condemned: it has to be stored again."""


def save(repository: Repository, draft: Draft) -> Saved:
    """Store `draft` and commit it.

    Raises:
        InvalidMetadataError: Metadata or parameters cannot be stored without loss.
        SourceError: A file cannot be read, or changed meanwhile.
        VersionConflictError: The version exists with other content.
        CommitConflictError: Others kept winning. Nothing was committed.
        CommitUnknownError: The answer was lost; whether it was committed is not known.
        StorageError: The storage refused or failed. Nothing was committed.
    """
    metadata_line = encode_metadata(draft.metadata)
    repository.marker()
    avoid: Collection[str] = ()
    for _ in range(_ROUNDS):
        duplicates = _Lazy(repository, draft.name, avoid)
        request = Request(draft.name, draft.materializer, draft.params, draft.files, draft.remembered)
        ingested = store(request, repository.backend, duplicates, draft.progress)
        commit = _Commit(repository, draft, ingested, metadata_line, duplicates)
        try:
            saved = commit.run()
        except _StaleError:
            log.debug("%s: a pack that the save was built on has gone meanwhile; storing it again", draft.name)
            avoid = repository.refs.fences.read().bad
            continue
        _remember_packs(repository, ingested, commit.seen)
        return saved
    raise CommitConflictError(
        f"{draft.name}: what the save was built on was collected {_ROUNDS} times while it ran; nothing was committed. "
        "Run garbage collection less often, or with its usual minimum age."
    )


class _Lazy:
    """The search for duplicates, begun when the first chunk asks: a small save never does."""

    def __init__(self, repository: Repository, name: str, avoid: Collection[str]) -> None:
        self._repository = repository
        self._name = name
        self._avoid = avoid
        self._found: Duplicates | None = None
        self.head: RunId | None = None

    def find(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        if self._found is None:
            # The head is read before anything is seen, so that the sighting counts for what comes after it.
            fence = self._repository.refs.fences.read()
            self.head = fence.head.id
            near = _packs_of_latest(self._repository, self._name)
            self._found = Duplicates(
                self._repository.tables, self._repository.index, near, fence.head.id, fence.bad | set(self._avoid)
            )
        return self._found.find(digests)

    def seen(self, pack: str) -> RunId | None:
        return self._found.seen(pack) if self._found else None


def _packs_of_latest(repository: Repository, name: str) -> Sequence[PackRef]:
    """The packs of the newest version, in which the next one will find most of its chunks. Only a hint."""
    try:
        latest = repository.refs.ask(name, lambda history: history.latest() if history else None)
        return repository.manifest(latest[1].manifest).placement.packs if latest else ()
    except NotFound:
        return ()


class _Commit:
    """Puts the manifest on the storage and the version into the ref."""

    def __init__(
        self, repository: Repository, draft: Draft, ingested: Ingested, metadata_line: bytes, duplicates: _Lazy
    ) -> None:
        self._repository = repository
        self._backend = repository.backend
        self._draft = draft
        self._ingested = ingested
        self._data_line = encode_content(ingested.content)
        self._metadata_line = metadata_line
        self._data, self._content = identities(self._data_line, metadata_line)
        self._manifest: Digest | None = None
        self._manifest_size = 0
        self._segment: Digest | None = None
        self._saved: Saved | None = None
        self.seen: dict[str, RunId] = {}
        own = {sealed.ref.name for sealed in ingested.written}
        for pack in ingested.placement.packs:
            # What this save wrote was acknowledged after the head was read that the search began with.
            seen = duplicates.head if pack.name in own else duplicates.seen(pack.name)
            if seen is not None:
                self.seen[key_of(pack)] = seen

    def run(self) -> Saved:
        self._repository.refs.commit(self._draft.name, self._change)
        assert self._saved is not None
        return self._saved

    def _change(self, attempt: Attempt) -> History | None:
        draft, history = self._draft, attempt.history
        version = self._version(history)
        living = history.entry(version)
        if living is not None and living.content == self._content:
            return self._unchanged(history, version, living)
        if living is not None and not (draft.mutable or draft.single):
            raise VersionConflictError(
                f"{draft.name}@{version} exists with other content. Save without `version=` for the next number, or "
                "open the registry with `mutable=True` to replace it."
            )
        self._prove(attempt.fence)
        assert self._manifest is not None
        entry = Entry(
            manifest=self._manifest,
            data=self._data,
            content=self._content,
            size=self._ingested.content.size,
            stored=self._ingested.stored + self._manifest_size,
            packs=len(self._ingested.placement.packs),
            created=now(),
            write=attempt.write,
            class_name=draft.class_name,
            notes=dict(draft.notes),
        )
        if draft.single:
            for other, _ in history.live():
                if other != version:
                    history = history.without_version(other, entry.created)
        history = history.with_version(version, entry)
        for tag in draft.tags:
            history = history.with_tag(tag, version)
        self._saved = Saved(version, entry, self._ingested)
        return history

    def _version(self, history: History) -> Version:
        if self._draft.version is not None:
            return self._draft.version
        if self._draft.single:
            return Version(1, 0, 0)
        return history.next_version(self._draft.bump)

    def _unchanged(self, history: History, version: Version, living: Entry) -> History | None:
        """The version is there with this very content: only tags may have to move."""
        self._saved = Saved(version, living, self._ingested)
        changed = history
        for tag in self._draft.tags:
            changed = changed.with_tag(tag, version)
        return changed if self._draft.tags else None

    def _prove(self, fence: Fence) -> None:
        """See that everything the version reaches exists and may be reached: packs, then segment and manifest.

        Raises:
            _StaleError: A pack is gone or condemned.
        """
        for pack in self._ingested.placement.packs:
            if not self._usable(key_of(pack), fence):
                self._repository.tables.forget(pack.name)
                raise _StaleError
        if self._manifest is not None:
            keys = [manifest_key(self._manifest)]
            keys += [segment_key(self._segment)] if self._segment else []
            if all(self._usable(key, fence) for key in keys):
                return
        self._write_manifest(fence)

    def _usable(self, key: str, fence: Fence) -> bool:
        answer = fence.reuse(key, self.seen.get(key))
        if answer is Reuse.CHECK:
            try:
                self._backend.get(key, 0, 1)
            except NotFound:
                return False
            self.seen[key] = fence.head.id
        return answer is not Reuse.NO

    def _write_manifest(self, fence: Fence) -> None:
        line = encode_placement(self._ingested.placement)
        if len(line) > PLACEMENT_LIMIT:
            long = line
            self._segment, size = send(self._backend, segment_key, lambda: encode_placement_segment(long))
            self.seen[segment_key(self._segment)] = fence.head.id
            line = placement_pointer(self._segment, size, len(self._ingested.placement.packs))
        self._manifest, self._manifest_size = send(
            self._backend,
            manifest_key,
            lambda: encode_manifest(self._data_line, self._metadata_line, line, self._ingested.inline),
        )
        self.seen[manifest_key(self._manifest)] = fence.head.id


def send(backend: Backend, key: Callable[[Digest], str], make: Callable[[], bytes]) -> tuple[Digest, int]:
    """Write an immutable file that `make` gives under a fresh nonce. Returns its digest and size in bytes.

    A data name is sent once (`protocol.md`): after any doubt another one is made.

    Raises:
        StorageError: It could not be written.
    """
    for attempt in range(1, _SENDS + 1):
        data = make()
        digest = digest_of(data)
        try:
            backend.create(key(digest), data)
        except StorageUnavailableError:
            if attempt == _SENDS:
                raise
        else:
            return digest, len(data)
    raise AssertionError("unreachable")


def _remember_packs(repository: Repository, ingested: Ingested, seen: Mapping[str, RunId]) -> None:
    for sealed in ingested.written:
        repository.tables.put(Table(sealed.ref, sealed.table, seen[sealed.key]))
    try:
        repository.index.add((sealed.ref, sealed.table) for sealed in ingested.written)
    except StorageError as err:  # the version is committed: what speeds up others must not make it fail
        log.warning("the chunk index was not brought up to date: %s", err)


def now() -> str:
    """The time, RFC 3339 in UTC with microseconds. For display: nothing is ever decided by it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


__all__ = ["Draft", "Saved", "now", "save", "send"]
