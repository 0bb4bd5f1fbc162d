"""Versions from one repository to another, or to another name, with their identity and without cutting anew."""

from __future__ import annotations

from casreg.transfer.copying import copy, is_same_place
from casreg.transfer.meter import Meter
from casreg.transfer.renaming import rename
from casreg.transfer.together import Wish, copy_together
from casreg.transfer.whole import Copied, Wanted, copy_all

__all__ = [
    "Copied",
    "Meter",
    "Wanted",
    "Wish",
    "copy",
    "copy_all",
    "copy_together",
    "is_same_place",
    "rename",
]
