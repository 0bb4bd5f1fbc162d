"""Garbage: what no version needs is found, judged and deleted, while others save, load and collect.

`plan` looks for it and only reads; `execute` deletes it, by the protocol of `docs/design/protocol.md`. `run` has the
steps of one run, `fence` the marking of refs, `reach` what refs reach, `head` the one object that all agree on,
`pruning` the deletion of old versions, which makes garbage. `compaction` moves what is needed out of packs that are mostly
garbage: `occupancy` says how much that is, `choice` which packs it is worth it for, `moving` copies frames, and
`relocation` says where chunks are then.

`collecting` is all of it, from plan to figures. `bad` is a run that deletes nothing and marks what is damaged, `uploads` gives
up those that nobody goes on with. `terms` and `durations` are what callers say, `names` keeps many names in little memory,
`work` says how much goes on at once and tells how far it is.
"""

from __future__ import annotations

from casreg.gc.bad import mark_bad
from casreg.gc.collecting import Collection, collect, execute, foreseen
from casreg.gc.compaction import Compaction, compact
from casreg.gc.durations import seconds
from casreg.gc.plan import Plan, plan
from casreg.gc.pruning import Pruned, prune
from casreg.gc.terms import Terms

__all__ = [
    "Collection",
    "Compaction",
    "Plan",
    "Pruned",
    "Terms",
    "collect",
    "compact",
    "execute",
    "foreseen",
    "mark_bad",
    "plan",
    "prune",
    "seconds",
]
