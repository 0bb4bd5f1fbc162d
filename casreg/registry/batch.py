"""Calls for many names at once: each item succeeds or fails by itself, and the results keep the order of the names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, NoReturn, TypeVar, overload

from casreg.display import first_of
from casreg.registry.arguments import per_item
from casreg.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

_AT_ONCE: Final = 8
_NAMED: Final = 8


@dataclass(frozen=True, slots=True, eq=False)
class BatchItem(Generic[T_co]):
    """What became of one name.

    Attributes:
        name: The name, without a version; the key as it was given if it is none.
        version: The version that was saved, loaded or deleted. If it failed, the one that was asked for. None for no
            particular one.
        value: As the call for one name returns it; None if it failed.
        error: What that call would have raised; None if it succeeded.
        skipped: A save that made no version, since there was one (`on_conflict="skip"`, `if_changed`, or the same
            content under that number). `version` is that one.
    """

    name: str
    version: str | None
    value: T_co | None
    error: Exception | None = None
    skipped: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class BatchResult(Sequence[T_co | None], Generic[T_co]):
    """The results of a call for many names, in the order of the names: a sequence, with None where it failed.

    Attributes:
        items: What became of each name.
    """

    items: tuple[BatchItem[T_co], ...]

    @overload
    def __getitem__(self, index: int) -> T_co | None: ...
    @overload
    def __getitem__(self, index: slice) -> list[T_co | None]: ...
    def __getitem__(self, index: int | slice) -> T_co | list[T_co | None] | None:
        if isinstance(index, slice):
            return [item.value for item in self.items[index]]
        return self.items[index].value

    def __len__(self) -> int:
        return len(self.items)

    @property
    def succeeded(self) -> tuple[BatchItem[T_co], ...]:
        """The items that were saved, loaded or deleted."""
        return tuple(item for item in self.items if item.error is None and not item.skipped)

    @property
    def skipped(self) -> tuple[BatchItem[T_co], ...]:
        """The items that were not saved, since their version is there."""
        return tuple(item for item in self.items if item.skipped)

    @property
    def failed(self) -> tuple[BatchItem[T_co], ...]:
        """The items that failed."""
        return tuple(item for item in self.items if item.error is not None)

    @property
    def errors(self) -> tuple[Exception, ...]:
        """The errors of those that failed."""
        return tuple(item.error for item in self.items if item.error is not None)

    @property
    def all_succeeded(self) -> bool:
        """Whether nothing failed; what was skipped did not fail."""
        return not self.errors

    @property
    def success_count(self) -> int:
        """How many were saved, loaded or deleted."""
        return len(self.succeeded)

    @property
    def skipped_count(self) -> int:
        """How many were not saved, since their version is there."""
        return len(self.skipped)

    @property
    def failure_count(self) -> int:
        """How many failed."""
        return len(self.failed)

    def raise_errors(self) -> None:
        """Raise the errors, if there are any.

        Raises:
            ExceptionGroup: With all of them. The message names their items.
        """
        if self.errors:
            _raise(self)

    def __repr__(self) -> str:
        parts = [f"{self.success_count} succeeded"]
        if self.skipped:
            parts.append(f"{self.skipped_count} skipped")
        if self.failed:
            parts.append(f"{self.failure_count} failed: {_named(self.failed)}")
        return f"BatchResult({', '.join(parts)})"


def _raise(result: BatchResult[Any]) -> NoReturn:
    raise ExceptionGroup(
        f"{result.failure_count} of {len(result)} failed: {_named(result.failed)}", list(result.errors)
    )


def _named(items: Sequence[BatchItem[Any]]) -> str:
    words = [item.name if item.version is None else f"{item.name}@{item.version}" for item in items]
    return first_of(words, _NAMED)


class Done(NamedTuple, Generic[T]):
    """What the work on one item gives: the version, the value, and whether it was there already."""

    version: str | None
    value: T
    existed: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """The item that a call names.

    Attributes:
        key: `name` or `name@version`.
        version: What `version=` says of it.
    """

    key: str
    version: str | None = None

    @property
    def name(self) -> str:
        """The key without a version. It need not be a name."""
        return str(self.key).partition("@")[0]

    @property
    def within(self) -> str | None:
        """The version that was asked for, as it was written."""
        return self.version or str(self.key).partition("@")[2] or None


def asked(keys: Sequence[str], version: Any) -> list[Asked]:
    """The items that a call names, with one `version` for all of them or one for each.

    Raises:
        InvalidArgumentError: There are more or fewer versions than names.
    """
    return [Asked(*pair) for pair in zip(keys, per_item(version, len(keys), "version"), strict=True)]


def in_turn(items: Sequence[Asked], work: Callable[[int, Asked], Done[T]]) -> BatchResult[T]:
    """`work` for each item and its number. Items of one name wait for each other, in order; others do not.

    Whatever `Exception` it raises is kept with the item.
    """
    groups: dict[str, list[int]] = {}
    for number, item in enumerate(items):
        groups.setdefault(item.name, []).append(number)
    return _run(items, list(groups.values()), work)


def at_once(items: Sequence[Asked], work: Callable[[int, Asked], Done[T]]) -> BatchResult[T]:
    """`work` for each item and its number, in any order. Whatever `Exception` it raises is kept with the item."""
    return _run(items, [[number] for number in range(len(items))], work)


def _run(
    items: Sequence[Asked], groups: Sequence[Sequence[int]], work: Callable[[int, Asked], Done[T]]
) -> BatchResult[T]:
    def run(group: Sequence[int]) -> list[tuple[int, BatchItem[T]]]:
        return [(number, _done(items[number], number, work)) for number in group]

    if len(groups) < 2:
        done = [pair for group in groups for pair in run(group)]
    else:
        with Threads(min(_AT_ONCE, len(groups)), "casreg-batch") as pool:
            done = [pair for pairs in pool.map(run, groups) for pair in pairs]
    return BatchResult(tuple(item for _, item in sorted(done, key=lambda pair: pair[0])))


def _done(item: Asked, number: int, work: Callable[[int, Asked], Done[T]]) -> BatchItem[T]:
    try:
        done = work(number, item)
    except Exception as err:  # noqa: BLE001 - it is the item's, and stops no other
        return BatchItem(item.name, item.within, None, err)
    return BatchItem(item.name, done.version, done.value, None, done.existed)


__all__ = ["Asked", "BatchItem", "BatchResult", "Done", "asked", "at_once", "in_turn"]
