"""What a writer must know of the collector: `gc/head` and the names that it must not build on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import TYPE_CHECKING

from casreg.exceptions import CorruptError, NotFound
from casreg.head import INITIAL, bad_keys, decode_names, known_ids, parse_head
from casreg.keys import HEAD

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from casreg.head import Head, RunId

_READS = 5


class Reuse(Enum):
    """Whether a physical name that exists, or did, may be put into a ref."""

    YES = auto()
    """It may."""
    CHECK = auto()
    """Only if it is seen to exist now: by a request sent after the head of this attempt was read."""
    NO = auto()
    """Never: upload the bytes again, under a fresh name."""


@dataclass(frozen=True, slots=True)
class Fence:
    """The collector's state as one attempt to commit saw it, read after the attempt's ref.

    Attributes:
        head: The state.
        bad: Keys that it condemns, deletes, has deleted, or knows to be damaged.
        known: Ids of runs under which a sighting still counts.
    """

    head: Head
    bad: frozenset[str]
    known: frozenset[RunId]

    def reuse(self, key: str, seen: RunId | None = None) -> Reuse:
        """Whether the file `key` may be put into the ref.

        Args:
            key: A data key.
            seen: Id of the head after whose reading `key` was last seen to exist (or written); None if never.
        """
        if key in self.bad:
            return Reuse.NO
        # What was deleted since `seen` is named by a verdict of a later run. All of those are in `bad`, as long
        # as the run of `seen` is still among those that the head remembers; before that horizon, nobody can say.
        return Reuse.YES if seen in self.known else Reuse.CHECK


class FenceReader:
    """Reads the head and the lists that it names, which never change and are kept in memory.

    For any number of threads; pickles without what it keeps.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._lists = lru_cache(maxsize=32)(self._read_list)

    def __reduce__(self) -> tuple[type[FenceReader], tuple[Backend]]:
        return FenceReader, (self._backend,)

    def read(self) -> Fence:
        """The state now.

        Raises:
            CorruptError: The head, or a list that it names, is damaged or missing.
            UnsupportedFormatError: The head was written by a newer casreg.
            StorageError: It cannot be read.
        """
        missing: NotFound | None = None
        for _ in range(_READS):
            head = self._head()
            try:
                bad = frozenset().union(*(self._lists(key) for key in bad_keys(head)))
            except NotFound as err:
                # The run may have ended since, and its list been collected: then the head has moved on.
                missing = err
                continue
            return Fence(head, bad, known_ids(head))
        raise CorruptError(
            f"{HEAD} in {self._backend.location} names a list that is missing ({missing}): nothing can be written "
            "until it is restored from a copy"
        ) from missing

    def _head(self) -> Head:
        try:
            data = self._backend.get(HEAD).data
        except NotFound:
            return INITIAL  # no collector ever ran here
        return parse_head(data, f"{HEAD} in {self._backend.location}")

    def _read_list(self, key: str) -> frozenset[str]:
        return frozenset(decode_names(self._backend.get(key).data, key))
