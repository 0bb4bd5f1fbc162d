"""One registry brought up to date with another: what is missing is copied, what disagrees is reported.

`comparing` says what there is to do for one name, `labels` merges tags, notes and protection, `memory` knows what was
equal after the last time, `planning` looks at all names, `execution` does what was planned and `following` what comes
after the versions, `totals` counts and keeps memory bounded, `terms` is what it may do, `report` is what comes out.
"""

from __future__ import annotations

from casreg.sync.execution import sync
from casreg.sync.report import Synced, Unsynced
from casreg.sync.terms import Terms

__all__ = ["Synced", "Terms", "Unsynced", "sync"]
