"""Uploads that nobody goes on with: after a week a collection takes away what holds their packs (`protocol.md`)."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from casreg.refs.uploads import holds_uploads, is_given_up, without_pins

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.gc.terms import Terms
    from casreg.refs import History, Removal
    from casreg.refs.document import Ref
    from casreg.refs.landing import Held
    from casreg.repository import Repository
    from casreg.versions import Version

log = logging.getLogger("casreg.gc")


def as_given_up(held: Held, terms: Terms) -> Held:
    """A ref as it will be once `give_up` was there. For a plan only: what a ref holds is held until it is swapped."""
    if not holds_uploads(held.history.name):
        return held
    return replace(held, history=_without(held.history, _given_up(held.history.ref, terms)))


def give_up(repository: Repository, names: Iterable[str], terms: Terms) -> None:
    """Take away the pins of which nobody has said for a week that their saves go on. Those of others stay.

    A save that is at work all the same validates what it has written when it commits, and writes again what is gone.

    Args:
        repository: Where.
        names: Names of refs, of all kinds.
        terms: Has the clock.

    Raises:
        CorruptError: One is damaged, or the marker is.
        UnsupportedFormatError: One of them is of a newer casreg.
        CommitConflictError, CommitUnknownError: Others kept changing one; an answer was lost.
        StorageError: The storage refused or failed.
    """

    def change(removal: Removal) -> History | None:
        pins = _given_up(removal.history.ref, terms)
        if not pins:
            return None
        repository.marker()  # it may say that this casreg must not
        log.info("%d unfinished uploads in %s are given up", len(pins), repository.backend.location)
        return _without(removal.history, pins)

    for name in sorted(filter(holds_uploads, names)):
        repository.refs.remove(name, change)


def _given_up(ref: Ref, terms: Terms) -> list[Version]:
    now = terms.clock()
    return [
        version for version, record in ref.records.items() if record.live and is_given_up(record.live, now)
    ]


def _without(history: History, pins: list[Version]) -> History:
    return replace(history, ref=without_pins(history.ref, pins))
