"""Adoption: a repository that other tools copied or restored becomes one of its own, which may be written to."""

from __future__ import annotations

from casreg.adopt.adoption import adopt
from casreg.adopt.report import Adoption

__all__ = ["Adoption", "adopt"]
