"""Reading fields of stored lines: each is exactly what format 1 says, or the file is damaged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from casreg.canonical import MAX_INTEGER
from casreg.exceptions import CorruptError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


def decoded(decode: Callable[[], _T], key: str) -> _T:
    """What `decode` gives. Whatever malformed JSON provokes there becomes one error that names the file.

    Raises:
        CorruptError: It does.
    """
    try:
        return decode()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as err:
        raise CorruptError(f"{key} is malformed: {err}. Another copy of the registry can heal it.") from err


def damaged(key: str) -> CorruptError:
    """The error to raise if a file is not what its name promises."""
    return CorruptError(
        f"{key} is damaged: its bytes are not those that its name promises. Other objects are not affected; "
        "another copy of the registry can heal it."
    )


def natural(value: object, low: int = 0, high: int = MAX_INTEGER) -> int:
    """An integer from `low` to `high`.

    Raises:
        ValueError: It is anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{value!r:.80} is not an integer from {low} to {high}")
    return value


def flag(value: object) -> bool:
    """True or false.

    Raises:
        TypeError: It is anything else.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.80} is neither true nor false")
    return value


def object_of(value: object) -> dict[str, object]:
    """A JSON object.

    Raises:
        TypeError: It is anything else.
    """
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value


def array_of(value: object) -> list[Any]:
    """A JSON array.

    Raises:
        TypeError: It is anything else.
    """
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.80} is not a JSON array")
    return value
