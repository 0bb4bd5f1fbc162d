"""Hidden refs of unfinished uploads: what a long save has written so far, held so that no collector takes it.

`~upload-0`, `~upload-1`, … are refs as any other. An entry in one is the pin of one save: a version without files whose
placement names the packs. `created` is when its save last said that it is at work; the notes have the `name` that is
being saved, and the time `since` when this went on. A pin that is taken away leaves no tombstone, or that would hold the
packs for as long again as a deleted version can be brought back.

Refs are never deleted, and each costs every collection a request or two. So a new pin goes into the first ref that has
room: there are as many as pins were held at once, through `ROOM`.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from casreg.names import hidden_name
from casreg.refs.entries import Record

if TYPE_CHECKING:
    from collections.abc import Collection

    from casreg.refs.document import Ref
    from casreg.refs.entries import Entry
    from casreg.versions import Version

ROOM: Final = 8
"""So many pins share a ref: it stays small, and some storages take one update of a key a second."""

WEEK: Final = 7 * 86_400.0
"""Seconds after which a pin is given up of which its save has said nothing. Nothing is safer or less safe for it."""

_KIND: Final = "upload"
_PREFIX: Final = f"~{_KIND}-"


def upload_name(number: int) -> str:
    """The name of the hidden ref with this number, from 0."""
    return hidden_name(_KIND, str(number))


def holds_uploads(name: str) -> bool:
    """Whether the ref of this name holds packs of unfinished uploads."""
    return name.startswith(_PREFIX)


def pin_notes(name: str, since: str) -> dict[str, str]:
    """The notes of a pin: what is being saved, and since when."""
    return {"name": name, "since": since}


def uploaded_name(pin: Entry) -> str:
    """The name that is being saved; `?` if the pin does not say."""
    name = pin.notes.get("name")
    return name if isinstance(name, str) else "?"


def began(pin: Entry) -> str:
    """When its save began, RFC 3339 in UTC."""
    since = pin.notes.get("since")
    return since if isinstance(since, str) else pin.created


def is_given_up(pin: Entry, now: float) -> bool:
    """Whether nobody has said for a week that this upload goes on.

    The week is counted by the clocks of whoever wrote it and whoever asks. One that is wrong costs an upload at most: a
    save validates all that it builds on, also what it has pinned. So a time in the future is given up as well, and one
    that is none.

    Args:
        pin: The entry.
        now: The time, seconds since the epoch.
    """
    try:
        said = datetime.fromisoformat(pin.created.replace(":60", ":59")).timestamp()
    except ValueError:
        return True
    return abs(now - said) > WEEK


def without_pins(ref: Ref, pins: Collection[Version]) -> Ref:
    """`ref` without these, of which nothing is left. It adds no name, so that it is no matter for `Refs.commit`."""
    records = {version: record for version, record in ref.records.items() if version not in pins}
    if ref.older:  # what a segment says of one has to be hidden; none of ours is ever so full
        records.update((version, Record()) for version in pins)
    return replace(ref, records=records)
