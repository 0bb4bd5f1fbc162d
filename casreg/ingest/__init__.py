"""The way in: files → chunks → packs. `store` is the whole of it; nothing it writes is visible before a commit.

`assembly` makes a version's content and placement of files. `sources` is where their bytes come from, `segments` what
one core works on, `pipeline` takes it through all steps at the same time, `packing` puts new chunks into packs, and
writes these.
"""

from __future__ import annotations

from casreg.ingest.assembly import Ingested, store
from casreg.ingest.packing import Known, Place

__all__ = ["Ingested", "Known", "Place", "store"]
