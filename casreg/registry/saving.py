"""A save as the Registry does it: the object to files, and the files to a version."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from casreg import remembered
from casreg.materializers.calls import materialize
from casreg.materializers.classes import dotted
from casreg.registry.arguments import fields, listed
from casreg.repository.committing import Saved, Terms
from casreg.repository.conflicts import kept_instead
from casreg.repository.saving import Draft, save
from casreg.versions import FIRST, check_tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casreg.materializers.classes import ClassTable
    from casreg.materializers.table import MaterializerLike, MaterializerTable
    from casreg.progress import ProgressCallback
    from casreg.repository import Repository
    from casreg.repository.conflicts import OnConflict
    from casreg.versions import Bump, Version

log = logging.getLogger("casreg.registry")


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """How objects are to be saved.

    Attributes:
        table: The materializers to choose from.
        classes: The classes that stored values may name.
        materializer: The materializer to use, whatever the object is.
        bump: Which part the next version raises.
        on_conflict: What to do if the version exists with other content.
        if_changed: Make no version if the latest has this very content.
        single: Keep one live version only.
        trusted: Types that the caller trusts.
        allow_pickle: The caller allows pickle.
        progress: Is told how far it is.
    """

    table: MaterializerTable
    classes: ClassTable
    materializer: MaterializerLike | None
    bump: Bump
    on_conflict: OnConflict
    if_changed: bool
    single: bool
    trusted: frozenset[str]
    allow_pickle: bool
    progress: ProgressCallback | None


@dataclass(frozen=True, slots=True)
class Labels:
    """What the user says of a version besides its content.

    Attributes:
        metadata: Becomes part of the version.
        notes: May change later.
        tags: Move to the version.
    """

    metadata: Mapping[str, Any]
    notes: Mapping[str, Any]
    tags: Sequence[str]

    @classmethod
    def of(cls, metadata: Any, notes: Any, tags: Any) -> Self:
        """What a caller gave, read.

        Raises:
            InvalidMetadataError, InvalidArgumentError, InvalidVersionError: It is not what it must be.
        """
        checked = [check_tag(tag) for tag in listed(tags, "tags")]
        return cls(fields(metadata, "metadata"), fields(notes, "notes"), checked)


def save_object(
    repository: Repository,
    name: str,
    version: Version | None,
    obj: object,
    labels: Labels,
    options: SaveOptions,
) -> Saved:
    """Save `obj`. See `Registry.save` for promises and errors."""
    there = _there(repository, name, version, labels, options)
    if there is not None:
        log.debug("save %s: skipped, since %s is in %s", name, there.version, repository.backend.location)
        return there
    began = remembered.clock()
    with materialize(
        obj,
        options.table,
        options.classes,
        materializer=options.materializer,
        trusted=options.trusted,
        allow_pickle=options.allow_pickle,
    ) as made:
        draft = Draft(
            terms=_terms(name, version, labels, options),
            materializer=made.materializer.id,
            params=made.folder.params,
            files=made.folder.entries(),
            metadata=labels.metadata,
            class_name=dotted(type(obj)),
            source=obj if isinstance(obj, Path) else None,
            began=began,
            progress=options.progress,
        )
        saved = save(repository, draft)
    _log(repository, name, saved)
    return saved


def _terms(name: str, version: Version | None, labels: Labels, options: SaveOptions) -> Terms:
    return Terms(
        name=name,
        version=version,
        bump=options.bump,
        tags=labels.tags,
        notes=labels.notes,
        single=options.single,
        on_conflict=options.on_conflict,
        if_changed=options.if_changed,
    )


def _log(repository: Repository, name: str, saved: Saved) -> None:
    location, entry = repository.backend.location, saved.entry
    if saved.existed:
        log.debug("save %s: it is there as %s, in %s", name, saved.version, location)
    else:
        log.debug(
            "saved %s@%s to %s: %d bytes, %d newly stored",
            name,
            saved.version,
            location,
            entry.size,
            entry.stored,
        )


def _there(
    repository: Repository, name: str, version: Version | None, labels: Labels, options: SaveOptions
) -> Saved | None:
    """The version for whose sake a save is skipped whatever its content is: seen before anything is read or stored.

    A version that comes later is seen by the commit.
    """
    if options.on_conflict != "skip" or labels.notes or labels.tags:
        return None  # the same content would get those
    chosen = version or (FIRST if options.single else None)
    if chosen is None:
        return None
    found = repository.refs.ask(
        name,
        lambda history: kept_instead(history, chosen, "skip", single=options.single) if history else None,
    )
    return None if found is None else Saved(*found, existed=True)


__all__ = ["Labels", "SaveOptions", "save_object"]
