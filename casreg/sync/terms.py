"""What a sync may do."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """What a sync may do.

    Attributes:
        overwrite: What disagrees becomes what the source says.
        delete: Versions that do not live at the source are deleted at the target.
    """

    overwrite: bool = False
    delete: bool = False
