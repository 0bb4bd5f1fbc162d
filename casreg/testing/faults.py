"""A backend that fails on purpose: before it acts, after it acted, twice, or late.

What networks do to a request, at the call of your choice.  A scenario that survives each kind of fault at call
1, 2, 3, … until none is left to fail (`until_clean`) survives every single fault.
"""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, TypeVar

from casreg.backends.base import traits_of
from casreg.exceptions import StorageError, StorageUnavailableError
from casreg.testing.recording import Call, CallLog, bytes_sent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, ObjectInfo, Token, Traits

_Result = TypeVar("_Result")

METHODS: Final = frozenset({"get", "create", "swap", "list", "delete"})


class FaultKind(Enum):
    """What goes wrong."""

    BEFORE = "before"
    """Nothing is done, and the call fails: the request was lost."""
    AFTER = "after"
    """It is done, and the call fails all the same: the answer was lost."""
    DOUBLED = "doubled"
    """It is done twice, and the second answer is given: something below sent the request again."""
    LATE = "late"
    """The call fails, and it is done later: the request was on its way for longer than anybody waited."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Attributes:
        at: At which of the matching calls, from 1.
        kind: What happens.
        methods: The methods whose calls match.
        prefix: What the keys of matching calls begin with (of `list`: the prefix; of `delete`: the first key).
        times: How many matching calls in a row it happens to.
        late_by: A late call is done before the so-manieth call after it; 0: only when `deliver` is called.
        error: Makes the error that the caller gets from a message.
    """

    at: int
    kind: FaultKind
    methods: frozenset[str] = METHODS
    prefix: str = ""
    times: int = 1
    late_by: int = 0
    error: Callable[[str], Exception] = StorageUnavailableError

    def matches(self, method: str, key: str) -> bool:
        """Whether a call counts for this fault."""
        return method in self.methods and key.startswith(self.prefix)


@dataclass(slots=True)
class _Late:
    due: int | None
    act: Callable[[], object]


class FaultBackend:
    """Passes calls on to `inner`, except where one of `faults` says otherwise. Safe in many threads.

    `calls` has every call that was made of it, in the order in which they ended, with the error that the caller
    got; `fired` counts the faults that happened.  Pickles with its faults, and counts anew there.
    """

    def __init__(self, inner: Backend, faults: Iterable[Fault] = ()) -> None:
        self.inner = inner
        self.faults = tuple(faults)
        self.log = CallLog()
        self.fired = 0
        self._seen = [0] * len(self.faults)
        self._made = 0
        self._late: list[_Late] = []
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[object, ...]:
        return (FaultBackend, (self.inner, self.faults))

    @property
    def calls(self) -> Sequence[Call]:
        """All calls so far."""
        return self.log.calls()

    @property
    def location(self) -> str:
        """That of the inner backend."""
        return self.inner.location

    @property
    def traits(self) -> Traits:
        """Those of the inner backend."""
        return traits_of(self.inner)

    def deliver(self) -> int:
        """Do now what is still under way. How many calls that were; what storage refuses is refused silently."""
        with self._lock:
            late, self._late = self._late, []
        for one in late:
            _land(one)
        return len(late)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """See `Backend.get`."""
        call = partial(self.inner.get, key, start, stop, held=held)
        return self._do("get", key, call, size_out=lambda found: bytes_sent(found, held))

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """See `Backend.create`."""
        body = bytes(
            memoryview(data)
        )  # a late call must not see what the caller does with its buffer meanwhile
        return self._do(
            "create", key, partial(self.inner.create, key, body, durable=durable), size_in=len(body)
        )

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """See `Backend.swap`."""
        body = bytes(memoryview(data))
        return self._do("swap", key, partial(self.inner.swap, key, body, expected), size_in=len(body))

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """See `Backend.list`. What fails before fails at the first row, what fails after, behind the last."""
        fault = self._next_fault("list", prefix)
        self.log.add(Call("list", prefix, keys=0, error="" if fault is None else fault.kind.name))
        return self._rows(fault, prefix, after)

    def delete(self, keys: Iterable[str]) -> None:
        """See `Backend.delete`."""
        named = tuple(keys)
        self._do("delete", named[0] if named else "", partial(self.inner.delete, named), keys=len(named))

    def _do(
        self,
        method: str,
        key: str,
        act: Callable[[], _Result],
        *,
        size_in: int = 0,
        size_out: Callable[[_Result], int] = lambda _result: 0,
        keys: int = 1,
    ) -> _Result:
        fault = self._next_fault(method, key)
        try:
            result = act() if fault is None else self._fail(fault, method, key, act)
        except BaseException as err:
            self.log.add(Call(method, key, size_in, keys=keys, error=type(err).__name__))
            raise
        self.log.add(Call(method, key, size_in, size_out(result), keys))
        return result

    def _fail(self, fault: Fault, method: str, key: str, act: Callable[[], _Result]) -> _Result:
        if fault.kind is FaultKind.DOUBLED:
            with suppress(StorageError):
                act()  # its answer is the one that nobody hears
            return act()
        if fault.kind is FaultKind.AFTER:
            with suppress(StorageError):
                act()  # whatever the answer was, it is lost
        elif fault.kind is FaultKind.LATE:
            with self._lock:
                self._late.append(_Late(self._made + fault.late_by if fault.late_by else None, act))
        raise _error(fault, method, key)

    def _rows(self, fault: Fault | None, prefix: str, after: str) -> Iterator[ObjectInfo]:
        if fault is not None and fault.kind in (FaultKind.BEFORE, FaultKind.LATE):
            raise _error(fault, "list", prefix)
        yield from self.inner.list(prefix, after)
        if fault is not None and fault.kind is FaultKind.AFTER:
            raise _error(fault, "list", prefix)

    def _next_fault(self, method: str, key: str) -> Fault | None:
        """Count one call, do what is due before it, and tell which fault happens to it."""
        happens: Fault | None = None
        with self._lock:
            self._made += 1
            for index, fault in enumerate(self.faults):
                if fault.matches(method, key):
                    self._seen[index] += 1
                    if happens is None and fault.at <= self._seen[index] < fault.at + fault.times:
                        happens = fault
            if happens is not None:
                self.fired += 1
            due = [one for one in self._late if one.due is not None and one.due <= self._made]
            self._late = [one for one in self._late if one not in due]
        for one in due:
            _land(one)
        return happens


def until_clean(
    make_backend: Callable[[], Backend],
    scenario: Callable[[FaultBackend], None],
    kind: FaultKind,
    *,
    methods: frozenset[str] = METHODS,
    prefix: str = "",
    limit: int = 1000,
) -> int:
    """Run `scenario` on new backends with a fault at call 1, then 2, … until a run has no call left to fail.

    Returns:
        How many runs had a fault.

    Raises:
        AssertionError: After `limit` runs there was still a call to fail.
    """
    for at in count(1):
        backend = FaultBackend(make_backend(), [Fault(at, kind, methods, prefix)])
        try:
            scenario(backend)
        except BaseException as err:
            err.add_note(f"with the fault {kind.name} at call {at}")
            raise
        if not backend.fired:
            return at - 1
        assert at < limit, f"call {at} still had something to fail: does the scenario ever end?"
    raise AssertionError("count() does not end")


def _error(fault: Fault, method: str, key: str) -> Exception:
    return fault.error(f"on purpose: {method} of {key!r} failed ({fault.kind.value})")


def _land(late: _Late) -> None:
    try:
        late.act()
    except StorageError:
        return  # whoever sent it is no longer listening
