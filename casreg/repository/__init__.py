"""One repository: chunks, manifests and refs over one backend. Knows bytes and names, not Python objects."""

from __future__ import annotations

from casreg.repository.repository import Repository

__all__ = ["Repository"]
