"""Versions from one repository to another, or to another name, with their identity and without cutting anew.

`copying` copies one version: `sections` says which chunks it has, `carrying` brings those that are missing, which
`frames` reads by whole runs. `together` copies some versions of one name in one commit, `whole` many of many names,
`renaming` gives them to another name. `places` reads chunks for whoever knows where each is, `meter` tells how far it
is.
"""

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
