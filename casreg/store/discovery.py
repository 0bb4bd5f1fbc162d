"""Asking mounts: all of them at once, and finding the one that has an object.

An object is never picked silently.  That one mount has it counts only when every other one has said that it has
not; where a mount stood before, and the default location, only order the asking.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from casreg.exceptions import (
    CorruptError,
    InvalidNameError,
    ObjectNotFoundError,
    StorageError,
    StoreAmbiguousObjectError,
    StoreMountError,
    UnsupportedFormatError,
)
from casreg.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from casreg.registry import Registry
    from casreg.store.keys import StoreKey
    from casreg.store.mounts import Mount

log = logging.getLogger("casreg.store")

_T = TypeVar("_T")

MAX_ASKING: Final = 16
"""At most so many mounts are asked at the same time: the threads wait, they do not compute."""

MAX_HINTS: Final = 4096
"""The places of at most so many names are remembered."""

FAILED: Final = (StorageError, OSError, CorruptError, UnsupportedFormatError)
"""What a mount raises that cannot say what it holds."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[_T]):
    """What a mount said.

    Attributes:
        mount: The mount.
        value: Its answer; None where it failed, too.
        error: Why it could not answer.
    """

    mount: Mount
    value: _T | None = None
    error: Exception | None = None


def ask_all(mounts: Sequence[Mount], ask: Callable[[Registry], _T]) -> list[Answer[_T]]:
    """Ask all mounts at once. The answers stand in the order of the mounts; a mount that failed has its error there.

    Raises:
        CasregError: What `ask` raises that says nothing of the mount, as `InvalidVersionError`.
    """

    def asked(mount: Mount) -> Answer[_T]:
        try:
            return Answer(mount, ask(mount.registry))
        except FAILED as err:
            log.debug("mount %s (%s) failed: %s", mount.location, mount.place, err)
            return Answer(mount, error=err)

    if len(mounts) <= 1:
        return [asked(mount) for mount in mounts]
    with Threads(min(len(mounts), MAX_ASKING), thread_name_prefix="casreg-store") as threads:
        futures = [threads.submit(asked, mount) for mount in mounts]
        return [future.result() for future in futures]


def must_answer(answers: Iterable[Answer[_T]], what: str) -> list[tuple[Mount, _T]]:
    """All answers, where every mount has to give one: a listing is whole, or it is an error.

    Raises:
        StoreMountError: A mount failed.
    """
    good: list[tuple[Mount, _T]] = []
    failed: list[Answer[_T]] = []
    for answer in answers:
        if answer.error is not None:
            failed.append(answer)
        else:
            good.append((answer.mount, answer.value))  # type: ignore[arg-type]  # an answer may be None itself
    if failed:
        raise StoreMountError(
            f"{_reasons(failed)}, so that {what} would not be complete. Ask the other mounts one by one "
            f"({_listed(mount.location for mount, _ in good) or 'there are none'}), or take it out of the store: "
            f"remove_mount({failed[0].mount.location!r})",
            tuple(sorted(one.mount.location for one in failed)),
        ) from failed[0].error
    return good


@dataclass(frozen=True, slots=True)
class Answers:
    """What all mounts together said of an object.

    Attributes:
        key: What was asked for, without a location.
        asked: The locations that were asked, sorted.
        found: The mounts that have it, by location.
        failed: Those that could not say.
    """

    key: StoreKey
    asked: tuple[str, ...]
    found: tuple[Mount, ...]
    failed: tuple[Answer[bool], ...]

    @property
    def keys(self) -> tuple[str, ...]:
        """The qualified keys under which it was found, sorted."""
        return tuple(str(self.key._replace(location=mount.location)) for mount in self.found)

    def exists(self) -> bool:
        """Whether any mount has it.

        Raises:
            StoreMountError: None has it that could be asked, and one could not.
        """
        if not self.found and self.failed:
            raise self._undecided()
        return bool(self.found)

    def single(self) -> Mount:
        """The one mount that has it.

        Raises:
            StoreMountError: A mount could not be asked.
            ObjectNotFoundError: No mount has it.
            StoreAmbiguousObjectError: Several have it.
        """
        if self.failed:
            raise self._undecided()
        if not self.found:
            where = f"in {_listed(self.asked)}" if self.asked else "since the store has no mounts (add_mount)"
            raise ObjectNotFoundError(
                f"there is no {str(self.key)!r} {where}; `list_objects()` says what there is"
            )
        if len(self.found) > 1:
            raise StoreAmbiguousObjectError(
                f"{str(self.key)!r} is in several mounts: write {' or '.join(map(repr, self.keys))}",
                tuple(mount.location for mount in self.found),
            )
        return self.found[0]

    def _undecided(self) -> StoreMountError:
        if self.found:
            rest = f"It was found as {_listed(self.keys)}: write the whole key if that is what you mean"
        else:
            rest = "No other mount has it. Write the location into the key"
        out = self.failed[0].mount.location
        error = StoreMountError(
            f"{_reasons(self.failed)}, so that where {str(self.key)!r} is cannot be said for certain. {rest}, or "
            f"take the mount out of the store: remove_mount({out!r})",
            tuple(sorted(one.mount.location for one in self.failed)),
            self.keys,
        )
        error.__cause__ = self.failed[0].error
        return error


class Finder:
    """Finds objects by their names alone, and remembers where each was found last, as a hint."""

    def __init__(self) -> None:
        self._hints: dict[str, str] = {}

    def who_has(self, mounts: Iterable[Mount], key: StoreKey, first: str | None) -> Answers:
        """Ask all mounts whether they have `key` (a name; with a version, tag or range, whether it means one there).

        Args:
            mounts: The mounts.
            key: What to look for; its location is not looked at.
            first: The location to ask first, after the one where the name was found last.

        Raises:
            InvalidNameError: No mount takes such a name.
            InvalidVersionError: The version is none.
        """
        hint = self._hints.get(key.name)
        ordered = sorted(mounts, key=lambda mount: (mount.location != hint, mount.location != first))
        refused: list[InvalidNameError] = []

        def has(registry: Registry) -> bool:
            try:
                return registry.has_object(key.name, key.version)
            except InvalidNameError as err:  # another mount may allow such names
                refused.append(err)
                return False

        answers = ask_all(ordered, has)
        if refused and len(refused) == len(ordered):
            raise refused[0]
        found = sorted((one.mount for one in answers if one.value), key=lambda mount: mount.location)
        self._remember(key.name, found)
        log.debug(
            "asked %s for %s: found in %s",
            _listed(m.location for m in ordered),
            key,
            _listed(m.location for m in found),
        )
        return Answers(
            key._replace(location=None),
            tuple(sorted(mount.location for mount in ordered)),
            tuple(found),
            tuple(one for one in answers if one.error is not None),
        )

    def _remember(self, name: str, found: Sequence[Mount]) -> None:
        if len(found) != 1:
            return
        if len(self._hints) >= MAX_HINTS:
            self._hints.clear()
        self._hints[name] = found[0].location

    def __getstate__(self) -> dict[str, object]:
        return {"_hints": {}}


def _listed(words: Iterable[str]) -> str:
    return ", ".join(map(repr, words))


def _reasons(failed: Sequence[Answer[_T]]) -> str:
    return "; ".join(f"the mount {one.mount.location!r} could not be asked ({one.error})" for one in failed)
