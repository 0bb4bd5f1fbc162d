"""`CachedBackend`: a backend, and beside it a way to read immutable data by way of local copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from casreg.backends.base import Object, traits_of
from casreg.cache.copies import Copies
from casreg.keys import HEAD, MARKER, REFS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, ObjectInfo, Token, Traits
    from casreg.cache.cache import Cache

_REMEMBERED: Final = 16 * 1024 * 1024
"""Bytes of refs that are kept in memory, to be told that they did not change."""

_STATE_BYTES: Final = 500
"""What Python needs beside them, about."""


class CachedBackend:
    """Another backend with a cache.

    Its methods are those of any backend, and **each asks the place**: what exists, what a ref says, is never
    answered from a copy. A pack that a collector has deleted is gone for whoever looks here, or a save could build
    on it. Refs, the head and the marker are asked for with what was read of them before, so that what did not
    change is not sent again. What is written is also kept as a local copy.

    Copies are read through `copies` alone, which is no backend: loads use it, and who plans a collection for manifests
    that the place has listed. Nothing else should.

    Args:
        backend: The place. If it has a cache already, that one is left out.
        cache: Where the copies are.
    """

    def __init__(self, backend: Backend, cache: Cache) -> None:
        self.backend: Final[Backend] = backend.backend if isinstance(backend, CachedBackend) else backend
        self.cache: Final = cache
        self.copies: Final = Copies(self.backend, cache.shelf())
        self._seen = _Seen(_REMEMBERED)

    def __reduce__(self) -> tuple[object, ...]:
        return (CachedBackend, (self.backend, self.cache))

    def __repr__(self) -> str:
        return f"CachedBackend({self.backend!r}, {self.cache!r})"

    @property
    def location(self) -> str:
        """That of the place."""
        return self.backend.location

    @property
    def traits(self) -> Traits:
        """Those of the place."""
        return traits_of(self.backend)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`. Always asks the place."""
        if start != 0 or stop is not None or not _changes(key):
            return self.backend.get(key, start, stop, held=held)
        found = self.backend.get(key, held=self._seen.get(key) if held is None else held)
        self._seen.put(key, found)
        return found

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """See `Backend.create`. What is immutable is kept as a local copy, too."""
        token = self.backend.create(key, data, durable=durable)
        self._written(key, data, token)
        return token

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`."""
        token = self.backend.swap(key, data, expected)
        self._written(key, data, token)
        return token

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        return self.backend.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`. Copies stay until they are not used for long, or the cache is cleared."""
        self.backend.delete(keys)

    def _written(self, key: str, data: Buffer, token: Token) -> None:
        if _changes(key):
            self._seen.put(key, Object(bytes(data), token))
        else:
            self.copies.keep(key, data)


def _changes(key: str) -> bool:
    return key.startswith(REFS) or key in (HEAD, MARKER)


class _Seen:
    """The last states of keys that were read, so many bytes of them. Never an answer, only part of a question.

    Two generations: when the young one has half of the bytes, it becomes the old one, and what was that is
    forgotten.  Without a lock, so that a fork at any moment leaves a usable child: what a race can cost is to be
    sent something once more.
    """

    def __init__(self, capacity: int) -> None:
        self._half = capacity // 2
        self._young: dict[str, Object] = {}
        self._old: dict[str, Object] = {}
        self._bytes = 0

    def get(self, key: str) -> Object | None:
        return self._young.get(key) or self._old.get(key)

    def put(self, key: str, state: Object) -> None:
        self._young[key] = state
        self._bytes += len(state.data) + _STATE_BYTES
        if self._bytes > self._half:
            self._old, self._young, self._bytes = self._young, {}, 0
