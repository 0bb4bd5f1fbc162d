"""What a key may be, on every backend: a relative path that no file system or server reads in another way."""

from __future__ import annotations

import re
from typing import Final

from casreg.exceptions import InvalidArgumentError

LONGEST: Final = 1000
"""Bytes of a key, at most."""

LOCAL_FOLDERS: Final = frozenset({"locks", "tmp"})
"""At the top of a folder these are the local backend's own; no key begins with them, on any backend."""

# Printable ASCII without the space and without what Windows forbids in names (among it the backslash and the
# colon), and never "." or "..".
_SEGMENT: Final = r"(?!\.{1,2}(?:/|\Z))[!#-)+-.0-9;=@-\[\]-{}~]{1,255}"
_ONE_SEGMENT: Final = re.compile(_SEGMENT)
_KEY: Final = re.compile(rf"(?!(?i:locks|tmp)(?:/|\Z)){_SEGMENT}(?:/{_SEGMENT})*")


def is_key(text: str) -> bool:
    """Whether `text` can be a key."""
    return len(text) <= LONGEST and _KEY.fullmatch(text) is not None


def is_segment(text: str) -> bool:
    """Whether `text` can stand between two slashes of a key."""
    return _ONE_SEGMENT.fullmatch(text) is not None


def check_key(key: str) -> None:
    r"""Refuse what cannot be a key.

    Raises:
        InvalidArgumentError: `key` is empty, absolute, longer than 1,000 bytes, has a segment that is empty, `.`,
            `..` or longer than 255, a character outside printable ASCII or one of ``\:*?"<>|`` or a space, or is
            in a folder of the local backend's own.
    """
    if not is_key(key):
        raise InvalidArgumentError(
            f"not a key: {key!r}. A key is a relative path of at most {LONGEST} printable ASCII characters, with "
            'segments of 1 to 255, none of them "." or "..", without spaces and \\ : * ? " < > |, '
            "and not in tmp/ or locks/"
        )


def check_range(start: int, stop: int | None) -> None:
    """Refuse what cannot be a range of bytes.

    Raises:
        InvalidArgumentError: `start` is negative, or `stop` is less than `start`.
    """
    if start < 0 or (stop is not None and stop < start):
        raise InvalidArgumentError(f"not a range of bytes: {start} to {stop}. It takes 0 <= start <= stop")
