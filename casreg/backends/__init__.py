"""Where bytes are kept: one interface (`base`), one module a storage, and `open`, which picks one by URI."""

from __future__ import annotations
