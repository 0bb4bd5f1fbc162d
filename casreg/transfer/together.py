"""Several versions of one name, copied in one commit."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from casreg.exceptions import (
    CorruptError,
    ObjectNotFoundError,
    UnsupportedFormatError,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.repository.committing import in_the_way, now
from casreg.repository.finding import settled_from
from casreg.repository.proving import Proof, until_proved
from casreg.repository.searching import Search, remember_packs
from casreg.repository.uploads import Upload
from casreg.transfer.carrying import carry
from casreg.versions import Exact

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from casreg.exceptions import CasregError
    from casreg.head import RunId
    from casreg.model import Manifest
    from casreg.refs import Attempt, Begun, Entry, Held, History
    from casreg.repository import Repository
    from casreg.repository.committing import Terms
    from casreg.transfer.carrying import Carried
    from casreg.transfer.meter import Meter
    from casreg.versions import Version

log = logging.getLogger("casreg.transfer")


@dataclass(frozen=True, slots=True)
class Wish:
    """A version that shall be copied.

    Attributes:
        entry: What the source's ref said of it when it was read.
        terms: As what it is committed. It keeps its number, its notes and its protection.
        meter: Counts it.
    """

    entry: Entry
    terms: Terms
    meter: Meter


@dataclass(frozen=True, slots=True)
class Together:
    """What became of versions that were copied together.

    Attributes:
        held: The target's ref as last seen.
        made: The versions that were committed, as the target describes them. Those that were there already, were
            deleted at the source, or met something in their way, are neither here nor in `failed`.
        failed: Those that cannot be read at the source.
    """

    held: Held
    made: Mapping[Version, Entry]
    failed: Mapping[Version, CasregError]


@dataclass(slots=True)
class _Load:
    """What is on the target's storage, or is going to be."""

    carried: list[tuple[Carried, Proof]] = field(default_factory=list)
    failed: dict[Version, CasregError] = field(default_factory=dict)


def copy_together(
    source: Repository,
    target: Repository,
    name: str,
    wishes: Mapping[Version, Wish],
    begun: Begun,
    then: Callable[[History], History] = lambda history: history,
) -> Together:
    """Copy versions of one name to another repository, as `copy` does each, and commit them all at once.

    So that a small version takes one read at the source and one write at the target, and all of them together one
    compare-and-swap. What cannot be copied keeps back no other. Who needs bounded memory passes few bytes at a time:
    the payloads of all small versions are held until the commit.

    Args:
        source: From where.
        target: Where to. Its marker was seen.
        name: The name at both.
        wishes: What is to be copied: what the target's ref lacks, as far as is known.
        begun: The target's ref and the head, which the first attempt starts from.
        then: Makes the history that is committed of one that has the versions; it has to add no file. Called in each
            attempt; what it returns unchanged is not written.

    Raises:
        CorruptError, UnsupportedFormatError: The target's ref is damaged, or needs a newer casreg.
        CommitConflictError: Others kept winning. Nothing was committed.
        CommitUnknownError: The answer was lost; whether it was committed is not known.
        StorageError: One of the two refused or failed. Nothing was committed.
    """
    first: list[Begun] = [begun]
    upload = Upload(target, name)

    def carry_and_commit(avoid: Collection[str]) -> Together:
        start = first.pop() if first else target.refs.begin({name: target.refs.read(name)})[name]
        search = Search(target, name, avoid, start)
        load = _carried(source, target, name, wishes, search, upload)
        made: dict[Version, Entry] = {}

        def change(attempt: Attempt) -> History | None:
            made.clear()
            history, when = attempt.history, now()
            for carried, proof in load.carried:
                if not _is_wanted(history, carried.version, carried.entry, wishes[carried.version].terms):
                    continue
                written = proof.proved(attempt.fence)
                made[carried.version] = entry = replace(
                    carried.entry,
                    manifest=written.manifest,
                    packs=len(carried.placement.packs),
                    stored=carried.stored + written.size,
                    write=attempt.write,
                )
                history = history.with_version(carried.version, entry, when)
            history = then(history)
            return None if history is attempt.history else history

        held = target.refs.commit(name, change, begun=start).held
        _remember(target, load, made)
        return Together(held, made, load.failed)

    done = until_proved(target, name, carry_and_commit, upload.held)
    upload.end()
    for version, wish in wishes.items():
        if version not in done.failed:
            wish.meter.end(done.made[version].stored if version in done.made else 0)
    return done


def _carried(
    source: Repository,
    target: Repository,
    name: str,
    wishes: Mapping[Version, Wish],
    search: Search,
    upload: Upload,
) -> _Load:
    """Bring the bytes."""
    load = _Load()
    keep = upload.keeper(search)
    for version, wish in wishes.items():

        def bring(version: Version, entry: Entry, manifest: Manifest, meter: Meter = wish.meter) -> Carried:
            meter.begin(name, entry.size)
            return carry(source.backend, target.backend, search, version, entry, manifest, meter, keep)

        try:
            carried = settled_from(source, name, Exact(version), (version, wish.entry), bring)
        except ObjectNotFoundError as err:
            log.debug("%s@%s is not copied: it has been deleted: %s", name, version, err)
        except (CorruptError, UnsupportedFormatError) as err:
            load.failed[version] = err
        else:
            for sealed in carried.written:
                sealed.data.release()  # it is written, and its buffer is large
            search.add(carried.written)
            seen = {**search.sightings(carried.placement, carried.written), **upload.seen}
            proof = Proof(target, carried.lines, carried.placement, carried.inline, seen)
            load.carried.append((carried, proof))
    return load


def _is_wanted(history: History, version: Version, entry: Entry, terms: Terms) -> bool:
    """Whether a version would be made: it is not there, and nothing is in its way."""
    living = history.entry(version)
    if living is not None and living.content == entry.content:
        return False
    try:
        return in_the_way(history, version, entry.content, terms) is None
    except (VersionConflictError, VersionProtectedError) as err:
        log.debug("%s@%s is not copied: %s", history.name, version, err)
        return False


def _remember(target: Repository, load: _Load, made: Collection[Version]) -> None:
    """Let later searches find the packs of what was committed."""
    seen: dict[str, RunId] = {}
    for carried, proof in load.carried:
        if carried.version in made:
            seen.update(proof.seen)
    written = [sealed for carried, _ in load.carried if carried.version in made for sealed in carried.written]
    if written:
        remember_packs(target, written, seen)
