"""A bounded local copy of immutable data of a remote place. Anybody may empty it at any time; nothing depends on it."""

from __future__ import annotations

from casreg.cache.backend import CachedBackend
from casreg.cache.cache import Cache

__all__ = ["Cache", "CachedBackend"]
