"""What casreg asks of a storage: bytes under keys, five atomic methods, nothing else.

Versions, retries of commits, packs, batches and metadata live above, once.  A backend MUST offer, for every
single key: linearizable reads after writes, put-if-absent and put-if-unchanged; each method is atomic (nobody
ever sees half an object, also after a crash), durable when it returns, and safe to call from many threads and
processes at once.  Constructors do no I/O.  `casreg.testing` holds the contract as a test suite.

Keys are relative POSIX paths of ASCII characters (see `casreg.keys`), at most 1,000 bytes long.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NewType, Protocol

from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from typing_extensions import Buffer

_USER: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://[^/?#]*@")
_SECRET: Final = re.compile(r"(?<=://).*@|[?#].*", re.DOTALL)


def shown(place: str) -> str:
    """A path or URI for messages: without user, password, query and fragment, where people put what is secret."""
    return _SECRET.sub("…", place) if "://" in place else place


def check_open(place: str) -> None:
    """See that a URI holds no credentials: it stands in messages, logs, listings and pickles.

    Raises:
        InvalidArgumentError: It has a user or a password.
    """
    if _USER.match(place):
        raise InvalidArgumentError(
            f"{shown(place)!r} has a user or a password in it: leave them out. Credentials are arguments of a backend, or "
            "come from where the storage's own tools look for them"
        )


def is_timeout(seconds: object) -> bool:
    """Whether it is a number of seconds above 0."""
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and seconds > 0


Token = NewType("Token", str)
"""A backend's opaque name for one written state of a key: equal tokens mean the same write or the same bytes."""


@dataclass(frozen=True, slots=True)
class Object:
    """What `get` returns.

    Attributes:
        data: The bytes of the range that was asked for.
        token: The state that was read, for `swap`. None for a ranged read.
    """

    data: bytes
    token: Token | None


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """One row of a listing. All but the key is a hint, good for display and caches, never for safety.

    Attributes:
        key: The key, complete (it begins with the prefix that was asked for).
        size: Bytes.
        token: The state at the time of the listing where the storage tells it, else None.
        modified: Seconds since the epoch by the storage's own clock.
    """

    key: str
    size: int
    token: Token | None
    modified: float


@dataclass(frozen=True, slots=True)
class Traits:
    """What a storage is like: what calls cost there. A hint for speed, never for safety.

    A backend may have an attribute `traits`; a wrapper gives those of what it wraps (`traits_of`).

    Attributes:
        swap_seconds: Seconds that an update of one key needs, where the storage takes only so many of them. Writers
            that got in each other's way wait about that long before they try again.
        parallel_requests: So many requests are worth having under way at the same time, since each is mostly waiting
            for a network; requests for data are then few and long, too. 0 for a place on this machine, where threads
            are worth no more than there are cores.

    Raises:
        InvalidArgumentError: One of them is negative.
    """

    swap_seconds: float = 0.0
    parallel_requests: int = 0

    def __post_init__(self) -> None:
        if self.swap_seconds < 0 or self.parallel_requests < 0:
            raise InvalidArgumentError(f"{self} has a number below 0; 0 says nothing")


class Readable(Protocol):
    """What loads need of a backend: something that gives bytes.

    Whoever asks for no more than this may be given local copies. So an answer of a `Readable` shows what the bytes
    are, but not that the key exists at the place: sightings that a commit is built on take a `Backend`.
    """

    @property
    def location(self) -> str:
        """As that of `Backend`."""
        ...

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """As that of `Backend`; the token is None where the bytes are those of a copy.

        Raises:
            NotFound: There is no such key.
        """
        ...


class Backend(Protocol):
    """Bytes under keys with compare-and-swap. See the module for what all methods promise.

    Every method may also raise `StorageError` or one of its kinds (`StorageFullError`,
    `StoragePermissionError`, `StorageUnavailableError`, `LockTimeoutError`): except for those three whose
    meaning is exact (`NotFound`, `AlreadyExists`, `Conflict`), an error of `create` or `swap` leaves in doubt
    whether the write happened, and the caller has to read.

    A backend may also have an attribute `traits`, a `Traits`: what its storage is like, as far as that changes how it is
    best used.
    """

    @property
    def location(self) -> str:
        """A URI that names this place for messages and for caches of presence. Never holds a secret."""
        ...

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """Read bytes `start` (inclusive) to `stop` (exclusive; None: the end).

        A range that reaches past the end gives what is there, possibly nothing.

        Args:
            key: What to read.
            start: The first byte.
            stop: The byte after the last; None for the end.
            held: What an earlier whole `get` of this key, at this place, returned. A backend that can ask for bytes
                only if they changed (`If-None-Match`), and finds the key in that very state, returns `held` itself
                and transfers nothing. Any other may ignore it, and all do for a range. Never a reason to answer
                without asking: what is returned is the state at the time of this call.

        Raises:
            NotFound: There is no such key.
        """
        ...

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        """Write `data` if and only if `key` does not exist. Never retried below this call.

        With `durable=False` the write need not survive a power failure yet: the next `swap` through the same
        object makes it durable, before anybody can see what that swaps. It is atomic all the same. A backend
        whose writes are always durable has nothing to do.

        Raises:
            AlreadyExists: The key exists; its bytes are unchanged.
        """
        ...

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        """Replace the bytes of `key` if and only if it is still in the state that `expected` names.

        Never retried below this call.

        Raises:
            Conflict: The key is in another state, or does not exist; its bytes are unchanged.
        """
        ...

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        """All keys that begin with `prefix` and sort after `after`, in ascending order of their bytes.

        A key written before the call and not deleted is listed; one written or deleted meanwhile may be.
        A prefix with no keys, or a place that does not exist yet, lists as empty.
        """
        ...

    def delete(self, keys: Iterable[str]) -> None:
        """Remove keys; a key that is missing is fine. When it returns, every one of them is gone."""
        ...


def traits_of(place: Readable) -> Traits:
    """What a place says of itself; of one that says nothing, `Traits()`. No I/O.

    Raises:
        InvalidArgumentError: Its attribute `traits` is something else.
    """
    traits = getattr(place, "traits", Traits())
    if not isinstance(traits, Traits):
        raise InvalidArgumentError(
            f"the traits of {place.location} are {traits!r:.80}; a backend that has some gives casreg.backends.base.Traits"
        )
    return traits
