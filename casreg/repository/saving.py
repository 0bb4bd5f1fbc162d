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
from casreg.repository.committing import Commit
from casreg.repository.finding import has_files
from casreg.repository.proving import Proof, until_proved
from casreg.repository.searching import Search, remember_packs
from casreg.repository.uploads import Upload
from casreg.versions import next_after

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from casreg.materializers import folders
    from casreg.progress import ProgressCallback
    from casreg.repository.committing import Saved, Terms
    from casreg.repository.proving import Written
    from casreg.repository.repository import Repository


@dataclass(frozen=True, slots=True)
class Draft:
    """What is to be saved, and as what.

    Attributes:
        terms: The name, the number, and what to do where it exists; the notes of the version.
        materializer: Id of the materializer that made the files.
        params: Its parameters.
        files: The files and empty folders.
        metadata: What the user says of it; part of its identity `content`.
        class_name: The object's class, for display.
        source: The path whose files these are, so that those that did not change are remembered from earlier saves.
        began: The time before the first of them was looked at (see `remembered.clock`).
        progress: Is told how far it is.
    """

    terms: Terms
    materializer: str
    params: Mapping[str, object]
    files: Sequence[folders.Entry]
    metadata: Mapping[str, object] = field(default_factory=dict)
    class_name: str | None = None
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
    terms = draft.terms
    metadata_line = encode_metadata(draft.metadata)
    _check(draft)
    memory = _memory(repository.marker().id, draft)
    known = remembered.recall(memory) if memory else {}
    request = Request(terms.name, draft.materializer, draft.params, draft.files, known)
    upload = Upload(repository, terms.name)

    def store_and_commit(avoid: Collection[str]) -> Saved:
        search = Search(repository, terms.name, avoid)
        ingested = store(request, repository.backend, search, draft.progress, upload.keeper(search))
        data_line = encode_content(ingested.content)
        data, content = identities(data_line, metadata_line)
        seen = {**search.sightings(ingested.placement, ingested.written), **upload.seen}
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
                notes=dict(terms.notes),
            )

        def is_whole(entry: Entry) -> bool:
            # Where nothing had to be stored, its packs were seen a moment ago; its manifest, or others of its packs, not.
            return has_files(repository, entry, () if ingested.written else ingested.placement.packs)

        saved = Commit(repository, terms, content, proof.proved, describe, is_whole).run()
        remember_packs(repository, ingested.written, proof.seen)
        if memory:
            remembered.remember(memory, draft.began, ingested.remembered)
        return saved

    saved = until_proved(repository, terms.name, store_and_commit, upload.held)
    upload.end()
    return saved


def _check(draft: Draft) -> None:
    """What would only be found after bytes were written.

    Raises:
        InvalidMetadataError, InvalidArgumentError: As `save`.
    """
    canonical.dump(dict(draft.terms.notes), "notes")
    canonical.dump(dict(draft.params), "params")
    next_after(None, draft.terms.bump)


def _memory(repository: str, draft: Draft) -> Path | None:
    """Where this machine remembers the files of a path that is saved; None for anything else."""
    if draft.source is None:
        return None
    return remembered.place(settings.cache_dir(), repository, draft.terms.name, draft.source)
