"""Durations as people write them: `"1d"`, `"12h"`, `"90s"`, or a number of seconds."""

from __future__ import annotations

import re
from datetime import timedelta
from math import isfinite
from typing import Final

from casreg.exceptions import InvalidArgumentError

_UNITS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([smhdw]?)", re.ASCII)


def seconds(value: object, what: str) -> float:
    """The duration in seconds.

    Args:
        value: A number of seconds; a text of a number and `s`, `m` (minutes), `h`, `d` or `w`, without one of them
            seconds; or a `timedelta`.
        what: The argument's name, for messages.

    Raises:
        InvalidArgumentError: It is none of these, or negative.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str):
        match = _DURATION.fullmatch(value.strip())
        value = float(match[1]) * _UNITS[match[2]] if match else None
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value >= 0:
        return float(value)
    raise InvalidArgumentError(
        f"{what} is a duration such as '12h', '1d' or '2w', or seconds, 0 or more; not what was given"
    )
