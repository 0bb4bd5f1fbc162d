"""numpy's scalars in metadata: what JSON holds as well is written as that."""

from __future__ import annotations

from typing import Any, Final

_INTEGERS: Final = (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
_LOSSLESS: Final = frozenset({"bool", "bool_", "float64", "str_", "longlong", "ulonglong", *_INTEGERS})
"""Not float32 and float16: as doubles they read 0.10000000149011612, which nobody wrote or searches for."""


def plain_scalars(value: Any) -> Any:
    """`value`, where numpy's integers, bools, strings and float64 in dicts and lists became Python's.

    Everything else stays what it is, for those who read metadata to refuse: nothing is rounded, no type is bent that
    JSON does not have. Containers are copied, and what they share stays shared.
    """
    return _plain(value, {})


def _plain(value: Any, copies: dict[int, Any]) -> Any:
    kind = type(value)
    if kind is dict:
        if id(value) not in copies:
            copy = copies[id(value)] = {}
            copy.update((_scalar(key), _plain(item, copies)) for key, item in value.items())
        return copies[id(value)]
    if kind is list:
        if id(value) not in copies:
            items = copies[id(value)] = []
            items.extend(_plain(item, copies) for item in value)
        return copies[id(value)]
    return _scalar(value)


def _scalar(value: Any) -> Any:
    # By name: numpy need not be there for this question.
    kind = type(value)
    return value.item() if kind.__module__ == "numpy" and kind.__name__ in _LOSSLESS else value
