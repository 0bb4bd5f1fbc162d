"""Sizes, numbers, stored text and long lists, as people are shown them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_text(size: int) -> str:
    """Bytes in the unit that leaves the fewest digits, as `12.5 MiB`."""
    value = float(size)
    for unit in _UNITS[:-1]:
        if value < 1023.95 or (unit == "B" and size < 1024):
            return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} {_UNITS[-1]}"


def counted(number: int, what: str) -> str:
    """`1 version`, `2 versions`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """`text` without what a terminal would obey: stored text is anybody's."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def first_of(words: Sequence[str], most: int) -> str:
    """The first `most` words, joined by commas, and how many there are besides: `a, b and 3 more`."""
    more = len(words) - most
    return ", ".join(words[:most]) + (f" and {more} more" if more > 0 else "")
