"""`key=value` on the command line: metadata, notes, and conditions on them."""

from __future__ import annotations

import json
import operator
import re
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_PAIR: Final = re.compile(r"([^=<>!]+?)\s*(==|!=|<=|>=|=|<|>)\s*(.*)", re.DOTALL)
_TESTS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def value_of(text: str) -> Any:
    """A value as it is written on a command line: JSON where it is that, else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def fields_of(pairs: Iterable[str], option: str) -> dict[str, Any]:
    """What `key=value`, given several times, says.

    Raises:
        click.BadParameter: One has no `=`, or a key is there twice.
    """
    fields: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{pair!r} is not key=value", param_hint=option)
        if key in fields:
            raise click.BadParameter(f"{key!r} is there twice", param_hint=option)
        fields[key] = value_of(text)
    return fields


def conditions_of(texts: Iterable[str]) -> dict[str, Callable[[Any], bool]]:
    """What `key=value`, `key>=0.9` and their like ask of a version. A key that is there twice has to fit to both.

    Raises:
        click.BadParameter: One is no condition.
    """
    found: dict[str, list[Callable[[Any], bool]]] = {}
    for text in texts:
        match = _PAIR.fullmatch(text)
        if match is None:
            raise click.BadParameter(
                f"{text!r} is no condition; write key=value, or one of != < <= > >= in place of =",
                param_hint="--where",
            )
        key, sign, value = match.groups()
        found.setdefault(key.strip(), []).append(_condition(_TESTS[sign], value_of(value)))
    return {key: _all(tests) for key, tests in found.items()}


def _condition(test: Callable[[Any, Any], Any], value: Any) -> Callable[[Any], bool]:
    def fits(stored: Any) -> bool:
        try:
            return bool(test(stored, value))
        except TypeError:
            return False  # a text is neither less nor more than a number

    return fits


def _all(tests: list[Callable[[Any], bool]]) -> Callable[[Any], bool]:
    return lambda stored: all(test(stored) for test in tests)
