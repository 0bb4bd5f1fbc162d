"""The public object API: `Registry`, and what its batch calls give back."""

from __future__ import annotations

from casreg.registry.batch import BatchItem, BatchResult
from casreg.registry.registry import Registry

__all__ = ["BatchItem", "BatchResult", "Registry"]
