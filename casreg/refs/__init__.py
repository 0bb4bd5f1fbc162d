"""Refs: the one mutable object per name, its history, and the loop that commits to it.

`entries` has what a ref says of one version, `document` the whole ref and its stored form, which both read by `fields`,
`segments` the immutable files that old versions spill to, `history` questions and pure changes, `spill` the moving of
old records out of the ref, `commit` the writer's side of the protocol, `fencing` what it must know of the collector,
`landing` what to do when the answer to a conditional write is lost, `restoring` what may replace a damaged ref,
`uploads` the hidden refs of saves that are not finished, and `pace` how long and how often.
"""

from __future__ import annotations

from casreg.refs.commit import Attempt, Begun, Committed, Refs, Removal
from casreg.refs.entries import Entry, Record, Tombstone
from casreg.refs.fencing import Fence, Reuse
from casreg.refs.history import History
from casreg.refs.landing import Held

__all__ = [
    "Attempt",
    "Begun",
    "Committed",
    "Entry",
    "Fence",
    "Held",
    "History",
    "Record",
    "Refs",
    "Removal",
    "Reuse",
    "Tombstone",
]
