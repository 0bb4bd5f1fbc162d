"""What tests of refs stand on: entries, saves, and backends that count, fail or lose answers."""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.refs.document import Ref
from casreg.refs.entries import Entry
from casreg.refs.history import History
from casreg.refs.pace import Pace
from casreg.refs.segments import SegmentReader
from casreg.versions import Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Object, ObjectInfo, Token
    from casreg.refs.commit import Attempt, Committed, Refs, Removal
    from casreg.versions import Bump

NAME = "my:model"
WRITE = "0123456789abcdef0123456789abcdef"
TIME = "2026-11-22T06:20:00.123456Z"
LATER = "2026-11-23T06:20:00Z"


def v(text: str) -> Version:
    """A version, short to write."""
    return parse_version(text)


def entry_of(seed: str, write: str = WRITE) -> Entry:
    """An entry whose digests tell what it was made from."""
    return Entry(
        manifest=digest_of(f"{seed} manifest {write}".encode()),
        data=digest_of(f"{seed} data".encode()),
        content=digest_of(f"{seed} content".encode()),
        size=1_000,
        stored=100,
        packs=1,
        created=TIME,
        write=write,
        class_name="builtins.dict",
    )


def empty_history(backend: Backend | None = None) -> History:
    """The history of a ref that was just created."""
    return History(Ref.empty(NAME, WRITE), SegmentReader(backend or MemoryBackend()))


def history_of(*versions: str) -> History:
    """A history in which these versions live."""
    history = empty_history()
    for version in versions:
        history = history.with_version(v(version), entry_of(version))
    return history


@dataclass
class FakeTime:
    """A clock that only waiting moves, chance that repeats, ids that count: a `Pace` without surprises."""

    now: float = 0.0
    drawn: int = 0
    number: int = field(default_factory=count().__next__)
    waits: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    def entropy(self, size: int) -> bytes:
        self.drawn += 1
        return digest_of(f"{self.number} {self.drawn}".encode())[:size]

    def pace(self, **changes: float) -> Pace:
        pace = Pace(
            monotonic=lambda: self.now,
            sleep=self.sleep,
            uniform=random.Random(1).uniform,
            entropy=self.entropy,
        )
        return replace(pace, **changes)  # type: ignore[arg-type]


@dataclass
class Recording:
    """A backend that writes down what is asked of it: `get refs/…`."""

    inner: Backend
    calls: list[str] = field(default_factory=list)

    @property
    def location(self) -> str:
        return self.inner.location

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        self.calls.append(f"get {key}")
        return self.inner.get(key, start, stop, held=held)

    def create(self, key: str, data: Buffer, *, durable: bool = True) -> Token:
        self.calls.append(f"create {key}" if durable else f"create-lightly {key}")
        return self.inner.create(key, data, durable=durable)

    def swap(self, key: str, data: Buffer, expected: Token) -> Token:
        self.calls.append(f"swap {key}")
        return self.inner.swap(key, data, expected)

    def list(self, prefix: str, after: str = "") -> Iterator[ObjectInfo]:
        self.calls.append(f"list {prefix}")
        return self.inner.list(prefix, after)

    def delete(self, keys: object) -> None:
        raise AssertionError("refs delete nothing")


def save(
    refs: Refs, version: str | None = None, bump: Bump = "patch", name: str = NAME
) -> tuple[str, Committed]:
    """Commit a new version, numbered inside the loop if none is given."""
    chosen: list[Version] = []

    def change(attempt: Attempt) -> History:
        number = v(version) if version else attempt.history.next_version(bump)
        chosen.append(number)
        return attempt.history.with_version(number, entry_of(str(number), attempt.write))

    done = refs.commit(name, change)
    return str(chosen[-1]), done


def delete(refs: Refs, version: str, name: str = NAME) -> Committed:
    """Commit a deletion."""

    def change(removal: Removal) -> History:
        return removal.history.without_version(v(version), LATER)

    return refs.remove(name, change)


def versions_of(refs: Refs, name: str = NAME) -> list[str]:
    """The live versions, ascending."""
    return refs.ask(name, lambda history: [str(version) for version, _ in history.live()] if history else [])
