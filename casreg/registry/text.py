"""A registry as text for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.display import printable, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

ROWS: Final = 50
_WIDEST: Final = 40
_HEAD: Final = ("name", "latest", "versions", "size", "class", "tags")
_NUMBERS: Final = frozenset((2, 3))


def table(location: str, rows: Sequence[dict[str, Any]], more: int) -> str:
    """A table of names.

    Args:
        location: Where the registry is.
        rows: As `casreg.listing.summaries` gives them.
        more: How many names may come after those.
    """
    title = f"Registry at {printable(location)}"
    if not rows:
        return f"{title}: no objects"
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    lines = [title]
    for line in cells:
        padded = [
            cell.rjust(width) if column in _NUMBERS else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    if more:
        lines.append(f"… and up to {more:,} more")
    return "\n".join(lines)


def call(name: str, *positional: object, **settings: tuple[object, object]) -> str:
    """The text of a call, without the settings that are as by default. Each setting is its value and that default."""
    words = [repr(value) for value in positional]
    words += [f"{key}={value!r}" for key, (value, default) in settings.items() if value != default]
    return f"{name}({', '.join(words)})"


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    tags = ", ".join(f"{tag}={version}" for tag, version in row["tags"].items())
    return (
        row["name"],
        _short(row["version"]),
        f"{row['versions']:,}",
        size_text(row["size"]),
        _short(row["class"] or "-"),
        _short(tags),
    )


def _short(text: str) -> str:
    text = printable(text)
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"


__all__ = ["ROWS", "call", "table"]
