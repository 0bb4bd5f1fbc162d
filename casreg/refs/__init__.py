"""Refs: the one mutable object per name, its history, and the loop that commits to it.

`document` has the values and their stored form, `segments` the immutable files that old versions spill to,
`history` questions and pure changes, `spill` the moving of old records out of the ref, `commit` the writer's
side of the protocol, and `landing` what to do when the answer to a conditional write is lost.
"""

from __future__ import annotations

from casreg.refs.commit import Attempt, Committed, Refs, Removal
from casreg.refs.entries import Entry, Record, Tombstone
from casreg.refs.fencing import Fence, Reuse
from casreg.refs.history import History

__all__ = [
    "Attempt",
    "Committed",
    "Entry",
    "Fence",
    "History",
    "Record",
    "Refs",
    "Removal",
    "Reuse",
    "Tombstone",
]
