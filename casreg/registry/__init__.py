"""The public object API: `Registry`, and what its batch calls give back.

`registry` is the facade, which leaves all work to others. `arguments` reads what users give; `batch` does it for many
names; `saving` is a save, from the object on (a load is `casreg.loading`); `mapping` is what a dict does besides;
`transfers` is for copies; `scratch` has folders for loaded paths; `text` is for people.
"""

from __future__ import annotations

from casreg.registry.batch import BatchItem, BatchResult
from casreg.registry.registry import Registry

__all__ = ["BatchItem", "BatchResult", "Registry"]
