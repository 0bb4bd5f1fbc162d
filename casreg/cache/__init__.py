"""A bounded local copy of immutable data of a remote place. Anybody may empty it at any time; nothing depends on it.

`cache` says which folder and how much, `choosing` whether a place gets it. `backend` is the place with it, `copies`
what loads read of, `shelf` the files, `usage` how much they take.
"""

from __future__ import annotations

from casreg.cache.backend import CachedBackend
from casreg.cache.cache import Cache
from casreg.cache.choosing import cache_for, with_cache

__all__ = ["Cache", "CachedBackend", "cache_for", "with_cache"]
