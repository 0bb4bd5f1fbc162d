"""A save: files → chunks → packs → manifest → ref. The compare-and-swap of the ref is the commit.

`searching` finds what is there already, `proving` sees that what the version reaches exists and writes its manifest,
`committing` decides which version it becomes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from casreg import canonical, remembered, settings
from casreg.ingest import store
from casreg.ingest.assembly import Request
from casreg.manifests import encode_content, encode_metadata, identities
from casreg.refs import Entry
from casreg.repository.committing import Commit, Terms
from casreg.repository.proving import Proof, until_proved
from casreg.repository.searching import Search, remember_packs
from casreg.versions import next_after

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from casreg.materializers import folders
    from casreg.progress import ProgressCallback
    from casreg.repository.committing import Saved
    from casreg.repository.conflicts import OnConflict
    from casreg.repository.proving import Written
    from casreg.repository.repository import Repository
    from casreg.versions import Bump, Version


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
    request = Request(draft.name, draft.materializer, draft.params, draft.files, known)

    def store_and_commit(avoid: Collection[str]) -> Saved:
        search = Search(repository, draft.name, avoid)
        ingested = store(request, repository.backend, search, draft.progress)
        data_line = encode_content(ingested.content)
        data, content = identities(data_line, metadata_line)
        seen = search.sightings(ingested.placement, ingested.written)
        proof = Proof(repository, (data_line, metadata_line), ingested.placement, ingested.inline, seen)

        def describe(written: Written, write: str, when: str) -> Entry:
            return Entry(
                manifest=written.manifest,
                data=data,
                content=content,
                size=ingested.content.size,
                stored=ingested.stored + written.size,
                packs=len(ingested.placement.packs),
                created=when,
                write=write,
                class_name=draft.class_name,
                notes=dict(draft.notes),
            )

        saved = Commit(repository, _terms(draft), content, proof.proved, describe).run()
        remember_packs(repository, ingested.written, proof.seen)
        if memory:
            remembered.remember(memory, draft.began, ingested.remembered)
        return saved

    return until_proved(repository, draft.name, store_and_commit)


def _terms(draft: Draft) -> Terms:
    return Terms(
        draft.name,
        draft.version,
        draft.bump,
        draft.tags,
        draft.notes,
        draft.single,
        draft.on_conflict,
        draft.if_changed,
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
