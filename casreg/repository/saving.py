"""A save: files → chunks → packs → manifest → ref. The compare-and-swap of the ref is the commit.

Whatever the commit puts into the ref is proved to exist first (`protocol.md`, "Writer"): each physical name carries
the id of the collector's head after whose reading it was seen, and where that no longer counts, it is looked at
again or stored again under a fresh name.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg import canonical, remembered, settings
from casreg.digest import digest_of
from casreg.exceptions import (
    AlreadyExists,
    CommitConflictError,
    CorruptError,
    NotFound,
    StorageError,
    StorageUnavailableError,
    UnsupportedFormatError,
)
from casreg.ingest import store
from casreg.ingest.assembly import Request
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
from casreg.repository.conflicts import check_number, kept_instead
from casreg.tables import Duplicates, Table
from casreg.versions import Version, next_after

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.head import RunId
    from casreg.ingest import Ingested, Place
    from casreg.materializers import folders
    from casreg.model import PackRef
    from casreg.progress import ProgressCallback
    from casreg.refs import Attempt, Fence, History
    from casreg.repository.conflicts import OnConflict
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
        on_conflict: What to do if the version exists with other content.
        if_changed: Make no version if the latest has this very content.
        source: The path whose files these are, so that those that did not change are remembered from earlier saves.
        began: The time before the first of them was looked at (see `remembered.clock`).
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
    on_conflict: OnConflict = "error"
    if_changed: bool = False
    source: Path | None = None
    began: int = 0
    progress: ProgressCallback | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A version that is committed.

    Attributes:
        version: Its number.
        entry: What its ref says of it.
        existed: Whether it was there already, and no version was made.
    """

    version: Version
    entry: Entry
    existed: bool = False


class _StaleError(Exception):
    """A pack that the save builds on is gone or condemned: it has to be stored again."""


def save(repository: Repository, draft: Draft) -> Saved:
    """Store `draft` and commit it.

    Raises:
        InvalidMetadataError: Metadata, notes or parameters cannot be stored without loss. Nothing was written.
        InvalidArgumentError: There is no such `bump`. Nothing was written.
        SourceError: A file cannot be read, or changed meanwhile.
        VersionConflictError: The version exists with other content.
        VersionProtectedError: The version is protected.
        CommitConflictError: Others kept winning. Nothing was committed.
        CommitUnknownError: The answer was lost; whether it was committed is not known.
        StorageError: The storage refused or failed. Nothing was committed.
    """
    metadata_line = encode_metadata(draft.metadata)
    _check(draft)
    memory = _memory(repository.marker().id, draft)
    known = remembered.recall(memory) if memory else {}
    avoid: Collection[str] = ()
    for _ in range(_ROUNDS):
        duplicates = _Lazy(repository, draft.name, avoid)
        request = Request(draft.name, draft.materializer, draft.params, draft.files, known)
        ingested = store(request, repository.backend, duplicates, draft.progress)
        commit = _Commit(repository, draft, ingested, metadata_line, duplicates)
        try:
            saved = commit.run()
        except _StaleError:
            log.debug(
                "%s: a pack that the save was built on has gone meanwhile; storing it again", draft.name
            )
            avoid = repository.refs.fences.read().bad
            continue
        _remember_packs(repository, ingested, commit.seen)
        if memory:
            remembered.remember(memory, draft.began, ingested.remembered)
        return saved
    raise CommitConflictError(
        f"{draft.name}: what the save was built on was collected {_ROUNDS} times while it ran; nothing was committed. "
        "Run garbage collection less often, or with its usual minimum age."
    )


def _check(draft: Draft) -> None:
    """What would only be found after bytes were written.

    Raises:
        InvalidMetadataError, InvalidArgumentError: As `save`.
    """
    canonical.dump(dict(draft.notes), "notes")
    canonical.dump(dict(draft.params), "params")
    next_after(None, draft.bump)


def _memory(repository: str, draft: Draft) -> Path | None:
    """Where this machine remembers the files of a path that is saved; None for anything else."""
    if draft.source is None:
        return None
    return remembered.place(settings.cache_dir(), repository, draft.name, draft.source)


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
                self._repository.tables,
                self._repository.index,
                near,
                fence.head.id,
                fence.bad | set(self._avoid),
            )
        return self._found.find(digests)

    def seen(self, pack: str) -> RunId | None:
        return self._found.seen(pack) if self._found else None


def _packs_of_latest(repository: Repository, name: str) -> Sequence[PackRef]:
    """The packs of the newest version, in which the next one will find most of its chunks. Only a hint."""
    try:
        latest = repository.refs.ask(name, lambda history: history.latest() if history else None)
        return repository.manifest(latest[1].manifest).placement.packs if latest else ()
    except (StorageError, CorruptError, UnsupportedFormatError) as err:
        # Whatever is wrong with that version need not hinder the next one.
        log.debug("%s: the latest version is not searched for duplicates: %s", name, err)
        return ()


class _Written(NamedTuple):
    """A manifest that was acknowledged: its digest, bytes of it and its segment, and their keys."""

    manifest: Digest
    size: int
    keys: tuple[str, ...]


class _Commit:
    """Puts the manifest on the storage and the version into the ref."""

    def __init__(
        self,
        repository: Repository,
        draft: Draft,
        ingested: Ingested,
        metadata_line: bytes,
        duplicates: _Lazy,
    ) -> None:
        self._repository = repository
        self._backend = repository.backend
        self._draft = draft
        self._ingested = ingested
        self._data_line = encode_content(ingested.content)
        self._metadata_line = metadata_line
        self._data, self._content = identities(self._data_line, metadata_line)
        self._written: _Written | None = None
        self._saved: Saved | None = None
        self.seen: dict[str, RunId] = {}
        own = {sealed.ref.name for sealed in ingested.written}
        for pack in ingested.placement.packs:
            # What this save wrote was acknowledged after the head was read that the search began with.
            seen = duplicates.head if pack.name in own else duplicates.seen(pack.name)
            if seen is not None:
                self.seen[key_of(pack)] = seen

    def run(self) -> Saved:
        # The manifest goes up after the ref and the head were read, and not beside that: on a local disk the thread
        # costs more than it saves (2.3 to 5.4 ms a small save against 2.1 to 2.9).
        self._repository.refs.commit(self._draft.name, self._change)
        assert self._saved is not None
        return self._saved

    def _change(self, attempt: Attempt) -> History | None:
        draft, history = self._draft, attempt.history
        if draft.if_changed:
            latest = history.latest()
            if latest is not None and latest[1].content == self._content:
                return self._unchanged(history, *latest)
        version = self._version(history)
        living = history.entry(version)
        if living is not None and living.content == self._content:
            return self._unchanged(history, version, living)
        kept = kept_instead(history, version, draft.on_conflict, single=draft.single)
        if kept is not None:
            self._saved = Saved(*kept, existed=True)
            return None
        if draft.on_conflict != "overwrite" and not draft.single:
            check_number(history, version, self._content)
        history.check_unprotected(version)
        written = self._proved(attempt.fence)
        entry = Entry(
            manifest=written.manifest,
            data=self._data,
            content=self._content,
            size=self._ingested.content.size,
            stored=self._ingested.stored + written.size,
            packs=len(self._ingested.placement.packs),
            created=now(),
            write=attempt.write,
            class_name=draft.class_name,
            notes=dict(draft.notes),
        )
        history = self._without_others(history, version, entry.created).with_version(version, entry)
        for tag in draft.tags:
            history = history.with_tag(tag, version)
        self._saved = Saved(version, entry)
        return history

    def _version(self, history: History) -> Version:
        if self._draft.version is not None:
            return self._draft.version
        if self._draft.single:
            return Version(1, 0, 0)
        return history.next_version(self._draft.bump)

    def _unchanged(self, history: History, version: Version, living: Entry) -> History | None:
        """The version is there with this very content: only notes and tags may have to change, and others to go."""
        self._saved = Saved(version, living, existed=True)
        changed = self._without_others(history, version, now())
        notes = {**living.notes, **self._draft.notes}
        if notes != living.notes:
            changed = changed.with_notes(version, notes)
        for tag in self._draft.tags:
            if changed.ref.tags.get(tag) != (version, living.manifest):
                changed = changed.with_tag(tag, version)
        return None if changed is history else changed

    def _without_others(self, history: History, version: Version, when: str) -> History:
        """Only `version` may live where one version is kept."""
        if self._draft.single:
            for other, _ in history.live():
                if other != version:
                    history = history.without_version(other, when)
        return history

    def _proved(self, fence: Fence) -> _Written:
        """See that everything the version reaches exists and may be reached: packs, then segment and manifest.

        Raises:
            _StaleError: A pack is gone or condemned.
        """
        gone = [pack for pack in self._ingested.placement.packs if not self._usable(key_of(pack), fence)]
        if gone:
            for pack in gone:  # all of them: another round must not meet the next one
                self._repository.tables.forget(pack.name)
            raise _StaleError
        if self._written is None or not all(self._usable(key, fence) for key in self._written.keys):
            self._written = self._write_manifest()
            self.seen.update((key, fence.head.id) for key in self._written.keys)
        return self._written

    def _usable(self, key: str, fence: Fence) -> bool:
        answer = fence.reuse(key, self.seen.get(key))
        if answer is Reuse.CHECK:
            try:
                self._backend.get(key, 0, 1)
            except NotFound:
                return False
            self.seen[key] = fence.head.id
        return answer is not Reuse.NO

    def _write_manifest(self) -> _Written:
        line = encode_placement(self._ingested.placement)
        keys: tuple[str, ...] = ()
        total = 0
        if len(line) > PLACEMENT_LIMIT:
            long = line
            segment, total = send(self._backend, segment_key, lambda: encode_placement_segment(long))
            keys = (segment_key(segment),)
            line = placement_pointer(segment, total, len(self._ingested.placement.packs))
        manifest, size = send(
            self._backend,
            manifest_key,
            lambda: encode_manifest(self._data_line, self._metadata_line, line, self._ingested.inline),
        )
        return _Written(manifest, total + size, (manifest_key(manifest), *keys))


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
            # Nothing points here before the ref is swapped, which makes it durable first: one flush less.
            backend.create(key(digest), data, durable=False)
        except (StorageUnavailableError, AlreadyExists):  # AlreadyExists: some layer below sent it twice
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
