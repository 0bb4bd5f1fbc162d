"""Adoption: a repository that other tools copied or restored becomes one of its own, which may be written to.

`adoption` is all of it. `identity` gives the copy an id, `head` a head under which every ref is marked, `hints` an index that
fits; `report` says what was done.
"""

from __future__ import annotations

from casreg.adopt.adoption import adopt
from casreg.adopt.report import Adoption

__all__ = ["Adoption", "adopt"]
