"""One repository: chunks, manifests and refs over one backend. Knows bytes and names, not Python objects."""

from __future__ import annotations

from casreg.repository.committing import Saved
from casreg.repository.repository import Repository
from casreg.repository.saving import Draft

__all__ = ["Draft", "Repository", "Saved"]
