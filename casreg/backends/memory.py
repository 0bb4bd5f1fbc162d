"""A repository in this process' memory: for tests, examples and throw-away work."""

from __future__ import annotations

import os
import threading
import time
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from casreg.backends.base import Object, ObjectInfo, Token
from casreg.backends.key_rules import check_key, check_range
from casreg.exceptions import AlreadyExists, Conflict, InvalidArgumentError, NotFound

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Buffer


@dataclass(frozen=True, slots=True)
class _Entry:
    data: bytes
    token: Token
    modified: float


@dataclass(slots=True, weakref_slot=True)
class _Place:
    """What all handles of one name share. `keys` is sorted, or None after a key came or went."""

    entries: dict[str, _Entry] = field(default_factory=dict)
    keys: list[str] | None = None
    writes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


# A place with a name lives as long as the process, as a folder would; one without, as long as its handles.
_named: Final[dict[str, _Place]] = {}
_places: Final[WeakValueDictionary[str, _Place]] = WeakValueDictionary()
_places_lock = threading.Lock()
_watching_forks = False


class MemoryBackend:
    """Bytes under keys in memory. All handles with one `name` in one process are one place.

    A pickled handle finds its place again in the same process. In another process the place of that name is
    another one, empty at first: memory is not shared.

    Args:
        name: Without one, the place is new, and ends with the last handle on it.

    Raises:
        InvalidArgumentError: The name is empty.
    """

    def __init__(self, name: str | None = None) -> None:
        if name is not None and not name:
            raise InvalidArgumentError("a place in memory needs a name of at least one character, or None")
        self._attach(name or f"unnamed-{os.urandom(16).hex()}", lasting=name is not None)

    def _attach(self, name: str, *, lasting: bool) -> None:
        self._name = name
        self._lasting = lasting
        self._place = _place_of(name, lasting=lasting)

    def __reduce__(self) -> tuple[object, ...]:
        return (MemoryBackend, (self._name,)) if self._lasting else (_reopen, (self._name,))

    def __repr__(self) -> str:
        return f"MemoryBackend({self._name!r})"

    @property
    def location(self) -> str:
        """`memory://` and the name."""
        return f"memory://{self._name}"

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`.

        Raises:
            NotFound: There is no such key.
            InvalidArgumentError: Not a key, or not a range.
        """
        check_key(key)
        check_range(start, stop)
        with self._place.lock:
            entry = self._place.entries.get(key)
        if entry is None:
            raise NotFound(f"there is no {key!r} in {self.location}")
        if start == 0 and stop is None:
            if held is not None and held.token == entry.token:
                return held
            return Object(entry.data, entry.token)
        return Object(entry.data[start:stop], None)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:  # noqa: ARG002 - memory never is
        """See `Backend.create`.

        Raises:
            AlreadyExists: The key exists; its bytes are unchanged.
            InvalidArgumentError: Not a key.
        """
        check_key(key)
        body = data if type(data) is bytes else bytes(memoryview(data))
        with self._place.lock:
            if key in self._place.entries:
                raise AlreadyExists(f"{key!r} exists in {self.location}")
            self._place.keys = None
            return self._put(key, body)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`.

        Raises:
            Conflict: The key is in another state, or does not exist; its bytes are unchanged.
            InvalidArgumentError: Not a key.
        """
        check_key(key)
        body = data if type(data) is bytes else bytes(memoryview(data))
        with self._place.lock:
            entry = self._place.entries.get(key)
            if entry is None:
                raise Conflict(f"there is no {key!r} in {self.location}")
            if entry.token != expected:
                raise Conflict(f"{key!r} in {self.location} was changed by somebody else")
            return self._put(key, body)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`."""
        with self._place.lock:
            if self._place.keys is None:
                self._place.keys = sorted(self._place.entries)
            keys = self._place.keys
        first = max(bisect_left(keys, prefix), bisect_right(keys, after))
        return self._rows(keys, first, prefix)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`.

        Raises:
            InvalidArgumentError: Not a key.
        """
        for key in keys:
            check_key(key)
            with self._place.lock:
                if self._place.entries.pop(key, None) is not None:
                    self._place.keys = None

    def _put(self, key: str, body: bytes) -> Token:
        self._place.writes += 1
        token = Token(str(self._place.writes))
        self._place.entries[key] = _Entry(body, token, time.time())
        return token

    def _rows(self, keys: Sequence[str], first: int, prefix: str) -> Iterator[ObjectInfo]:
        # `keys` is never changed once it is made: a writer that adds a key has a new one made.
        for index in range(first, len(keys)):
            key = keys[index]
            if not key.startswith(prefix):
                return
            entry = self._place.entries.get(key)
            if entry is not None:
                yield ObjectInfo(key, len(entry.data), entry.token, entry.modified)


def _place_of(name: str, *, lasting: bool) -> _Place:
    global _watching_forks  # noqa: PLW0603 - registered with the first place: importing does nothing
    with _places_lock:
        if not _watching_forks:
            _watching_forks = True
            if hasattr(os, "register_at_fork"):
                os.register_at_fork(after_in_child=_free_locks)
        place = _places.get(name)
        if place is None:
            place = _places[name] = _Place()
        if lasting:
            _named[name] = place
        return place


def _reopen(name: str) -> MemoryBackend:
    """Another handle on a place that has no name of the caller's, while it is there; else on a new one."""
    backend = MemoryBackend.__new__(MemoryBackend)
    backend._attach(name, lasting=False)  # noqa: SLF001 - our own, just made
    return backend


def _free_locks() -> None:
    """In a forked child: the threads that held a lock are not there, so nobody would give it back."""
    global _places_lock  # noqa: PLW0603 - as above
    _places_lock = threading.Lock()
    for place in list(_places.values()):
        place.lock = threading.Lock()
