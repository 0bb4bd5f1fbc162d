"""Whether a place gets a cache, and which."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Final

from casreg.cache.backend import CachedBackend
from casreg.cache.cache import Cache
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from casreg.backends.base import Backend

_NEAR: Final = frozenset({"file", "memory"})
"""Schemes of places that are as near as a cache would be."""


def cache_for(backend: Backend, wanted: Cache | bool | None) -> Cache | None:
    """The cache of a place, or None for no cache.

    Args:
        backend: The place.
        wanted: A cache; True for the default one; False for none; None for the one that the backend has, or the
            default one unless the place is a folder or in memory. A cache whose limit is 0 is none.

    Raises:
        InvalidArgumentError: It is none of these, or `CASREG_CACHE_LIMIT` is no number of bytes.
    """
    if isinstance(wanted, Cache):
        chosen = wanted
    elif wanted is None and isinstance(backend, CachedBackend):
        chosen = backend.cache
    elif wanted is True or (wanted is None and backend.location.partition("://")[0] not in _NEAR):
        chosen = Cache()
    elif wanted is None or wanted is False:
        return None
    else:
        raise InvalidArgumentError(
            f"cache={wanted!r:.80} is no cache: give Cache(folder, limit=…), True, False, or None for the default"
        )
    if not chosen.capacity:
        return None
    # The first lock of a cache is taken by some thread of a load. A child that is forked while a thread imports what
    # that needs could never import it: nobody would be left to let go of the module's lock. So it is loaded here.
    import_module("portalocker")
    return chosen


def with_cache(backend: Backend, cache: Cache | None) -> Backend:
    """The backend with exactly this cache, or without one."""
    if cache is not None:
        return CachedBackend(backend, cache)
    return backend.backend if isinstance(backend, CachedBackend) else backend
