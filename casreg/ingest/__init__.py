"""The way in: files → chunks → packs. `store` is the whole of it; nothing it writes is visible before a commit."""

from __future__ import annotations

from casreg.ingest.assembly import Ingested, store
from casreg.ingest.packing import Known, Place

__all__ = ["Ingested", "Known", "Place", "store"]
