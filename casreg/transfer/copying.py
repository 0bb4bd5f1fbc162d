"""One version, copied from one repository to another, or within one."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from casreg.exceptions import NotFound, ObjectNotFoundError
from casreg.keys import MARKER
from casreg.marker import parse_marker
from casreg.repository.committing import Commit, Saved, in_the_way
from casreg.repository.finding import check_there, select, settled
from casreg.repository.proving import Proof, Sightings, StaleError, Written, until_proved
from casreg.repository.searching import Search, remember_packs
from casreg.repository.uploads import Upload
from casreg.transfer.carrying import carry, is_bare
from casreg.transfer.meter import Meter

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from casreg.model import Manifest
    from casreg.refs import Entry, Fence, History
    from casreg.repository import Repository
    from casreg.repository.committing import Terms
    from casreg.transfer.carrying import Carried
    from casreg.versions import Selector, Version

log = logging.getLogger("casreg.transfer")


def is_same_place(source: Repository, target: Repository) -> bool:
    """Whether both are one repository, so that what the one has stored is there for the other.

    A folder that was copied by other tools has the same id at another place; another repository may have taken the
    place of one that was there.

    Raises:
        CorruptError, UnsupportedFormatError: A marker is damaged, or needs a newer casreg.
        StorageError: A marker cannot be read.
    """
    if source is target or source.backend is target.backend:
        return True
    if source.backend.location != target.backend.location:
        return False
    try:
        data = source.backend.get(MARKER).data
    except NotFound:
        return False
    return parse_marker(data, f"{MARKER} in {source.backend.location}").id == target.marker().id


def copy(
    source: Repository,
    name: str,
    selector: Selector,
    target: Repository,
    terms: Terms,
    *,
    keep_protection: bool = False,
    meter: Meter | None = None,
) -> Saved:
    """Copy a version. Both identities, its lines, time, class and notes stay; nothing is cut or compressed anew.

    Only chunks that the target has not are moved, each once, and verified before. Within one repository nothing is
    written but the ref. A version that is there already, with the same content, stays as it is: only tags may move,
    and the source's notes are added to its own. A copy onto itself changes nothing.

    Args:
        source: From where.
        name: The name there.
        selector: Which version.
        target: Where to.
        terms: As what. Without a version there it keeps its number; its notes are those of the source.
        keep_protection: The copy is protected if the original is.
        meter: Counts.

    Raises:
        ObjectNotFoundError: The source has no such version.
        VersionConflictError: The target has, or had, the number with other content.
        VersionProtectedError: What is in its way is protected.
        CorruptError: The source is damaged, or the version is there already and a file of it is lost. Names the file;
            no version was committed.
        UnsupportedFormatError: One of the two needs a newer casreg.
        CommitConflictError: Others kept winning. Nothing was committed.
        CommitUnknownError: The answer was lost; whether it was committed is not known.
        StorageError: One of the two refused or failed. Nothing was committed.
    """
    meter = meter or Meter(None)
    if is_same_place(source, target):
        saved = _linked(source, name, selector, target, terms, keep_protection=keep_protection, meter=meter)
        if saved is not None:
            return saved
    return copy_bytes(source, name, selector, target, terms, keep_protection=keep_protection, meter=meter)


def copy_bytes(
    source: Repository,
    name: str,
    selector: Selector,
    target: Repository,
    terms: Terms,
    *,
    keep_protection: bool = False,
    meter: Meter | None = None,
) -> Saved:
    """Copy a version as between two repositories, with a manifest of its own. See `copy`, also for the errors."""
    meter = meter or Meter(None)
    upload = Upload(target, terms.name)

    def carry_and_commit(avoid: Collection[str]) -> Saved:
        search = Search(target, terms.name, avoid)

        def bring(version: Version, entry: Entry, manifest: Manifest) -> Carried | tuple[Version, Entry]:
            target.marker()  # only now: what is refused must not make a repository
            meter.begin(terms.name, entry.size)
            if not is_bare(manifest) and not _needs_bytes(target, terms, version, entry):
                return version, entry
            keep = upload.keeper(search)
            return carry(source.backend, target.backend, search, version, entry, manifest, meter, keep)

        brought = settled(source, name, selector, bring)
        if isinstance(brought, tuple):
            saved = _committed(target, terms, *brought, _not_stored, 0, keep_protection=keep_protection)
            return _found(target, terms, saved)
        seen = {**search.sightings(brought.placement, brought.written), **upload.seen}
        proof = Proof(target, brought.lines, brought.placement, brought.inline, seen)
        entry = replace(brought.entry, packs=len(brought.placement.packs))
        saved = _committed(
            target,
            terms,
            brought.version,
            entry,
            proof.proved,
            brought.stored,
            keep_protection=keep_protection,
        )
        remember_packs(target, [] if saved.existed else brought.written, proof.seen)
        return _found(target, terms, saved)

    saved = until_proved(target, terms.name, carry_and_commit, upload.held)
    upload.end()
    meter.end(0 if saved.existed else saved.entry.stored)
    return saved


def _linked(
    source: Repository,
    name: str,
    selector: Selector,
    target: Repository,
    terms: Terms,
    *,
    keep_protection: bool,
    meter: Meter,
) -> Saved | None:
    """Put the stored version under another name of its repository. None if its files may not be reached any more."""
    version, entry = select(source, name, selector)
    meter.begin(terms.name, entry.size)
    if (terms.name, terms.version or version) == (name, version):
        meter.end(0)
        return Saved(version, entry, existed=True)
    target.marker()
    sightings = Sightings(target.backend, {})

    def prove(fence: Fence) -> Written:
        if not sightings.all_usable(target, entry.manifest, fence):
            raise StaleError
        return Written(entry.manifest, 0, ())

    try:
        saved = _committed(target, terms, version, entry, prove, 0, keep_protection=keep_protection)
    except StaleError:
        log.debug("%s@%s is being collected, or has moved: its bytes are stored again", name, version)
        return None
    meter.end(0)
    return saved if saved.entry.manifest == entry.manifest else _found(target, terms, saved)


def _needs_bytes(target: Repository, terms: Terms, version: Version, entry: Entry) -> bool:
    """Whether the version would be made now, so that its bytes have to be there. Asked before they are moved.

    Raises:
        VersionConflictError, VersionProtectedError: Something is in its way.
    """

    def ask(history: History | None) -> bool:
        if history is None:
            return True
        number = terms.version or version
        living = history.entry(number)
        if living is not None and living.content == entry.content:
            return False
        return in_the_way(history, number, entry.content, terms) is None

    return target.refs.ask(terms.name, ask)


def _committed(
    target: Repository,
    terms: Terms,
    version: Version,
    entry: Entry,
    prove: Callable[[Fence], Written],
    stored: int,
    *,
    keep_protection: bool,
) -> Saved:
    def describe(written: Written, write: str, _when: str) -> Entry:
        return replace(
            entry,
            manifest=written.manifest,
            stored=stored + written.size,
            write=write,
            protected=entry.protected and keep_protection,
        )

    as_here = replace(terms, version=terms.version or version, notes=entry.notes)
    return Commit(target, as_here, entry.content, prove, describe).run()


def _found(target: Repository, terms: Terms, saved: Saved) -> Saved:
    """What was committed. If it was there before, its files were seen there, whatever they are called.

    Raises:
        CorruptError: One of them is lost.
        StorageError: The target cannot be read.
    """
    if saved.existed:
        # Who moves a version deletes it at the source next: what is there already must not be a mere promise.
        with suppress(ObjectNotFoundError):  # somebody has deleted it since: it was there
            check_there(target, terms.name, saved.version)
    return saved


def _not_stored(_fence: Fence) -> Written:
    """The version was there before its bytes were moved, and has gone since: they have to be moved after all.

    Raises:
        StaleError: Always.
    """
    raise StaleError
