"""A backend that takes notes: which calls reached it, and how many bytes went each way."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from casreg.backends.base import traits_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, ObjectInfo, Token, Traits


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a backend's method.

    Attributes:
        method: `get`, `create`, `swap`, `list` or `delete`.
        key: The key; of `list` the prefix, of `delete` the first key ("" if there was none).
        bytes_in: Bytes that the caller handed over, also if the call failed.
        bytes_out: Bytes that the caller got: none if it got what it held already.
        keys: How many keys it was about; 0 for `list`.
        error: The name of the class of the error that the caller got, "" for none. Not known of `list`.
    """

    method: str
    key: str
    bytes_in: int = 0
    bytes_out: int = 0
    keys: int = 1
    error: str = ""


class CallLog:
    """Calls in the order in which they ended. Safe in many threads."""

    def __init__(self) -> None:
        self._calls: list[Call] = []
        self._lock = threading.Lock()

    def add(self, call: Call) -> None:
        """Note one more."""
        with self._lock:
            self._calls.append(call)

    def clear(self) -> None:
        """Forget all so far."""
        with self._lock:
            self._calls.clear()

    def calls(self, method: str | None = None, prefix: str = "") -> Sequence[Call]:
        """The calls so far of one method (None: of all) on keys that begin with `prefix`."""
        with self._lock:
            return [
                call for call in self._calls if method in (None, call.method) and call.key.startswith(prefix)
            ]


class RecordingBackend:
    """Passes everything on to `inner`, and notes it in `log`.

    Pickles without its notes; so what other processes do is not in them.
    """

    def __init__(self, inner: Backend) -> None:
        self.inner = inner
        self.log = CallLog()

    def __reduce__(self) -> tuple[object, ...]:
        return (RecordingBackend, (self.inner,))

    @property
    def calls(self) -> Sequence[Call]:
        """All calls so far, in the order in which they ended."""
        return self.log.calls()

    @property
    def location(self) -> str:
        """That of the inner backend."""
        return self.inner.location

    @property
    def traits(self) -> Traits:
        """Those of the inner backend."""
        return traits_of(self.inner)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`."""
        try:
            found = self.inner.get(key, start, stop, held=held)
        except BaseException as err:
            self.log.add(Call("get", key, error=type(err).__name__))
            raise
        self.log.add(Call("get", key, bytes_out=bytes_sent(found, held)))
        return found

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """See `Backend.create`."""
        size = memoryview(data).nbytes
        try:
            token = self.inner.create(key, data, durable=durable)
        except BaseException as err:
            self.log.add(Call("create", key, bytes_in=size, error=type(err).__name__))
            raise
        self.log.add(Call("create", key, bytes_in=size))
        return token

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`."""
        size = memoryview(data).nbytes
        try:
            token = self.inner.swap(key, data, expected)
        except BaseException as err:
            self.log.add(Call("swap", key, bytes_in=size, error=type(err).__name__))
            raise
        self.log.add(Call("swap", key, bytes_in=size))
        return token

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`. Noted when it is called, however much of it is read."""
        self.log.add(Call("list", prefix, keys=0))
        return self.inner.list(prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`. One note, however many keys."""
        named = tuple(keys)
        first = named[0] if named else ""
        try:
            self.inner.delete(named)
        except BaseException as err:
            self.log.add(Call("delete", first, keys=len(named), error=type(err).__name__))
            raise
        self.log.add(Call("delete", first, keys=len(named)))


def bytes_sent(found: Object, held: Object | None) -> int:
    """How many bytes the answer of a `get` took: none where the caller was told that nothing had changed."""
    return 0 if found is held else len(found.data)
