"""Results: tables and lines for people, one JSON document for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import orjson

from casreg.display import printable, size_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from casreg.cli.session import Session


_GAP: Final = 2
"""Blanks between two columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        title: What stands above it.
        cell: The text for a row.
        number: It holds figures.
        whole: It is never folded: others give room first, as they do to figures.
        spare: It is left out on a terminal that has no room for it. `--json` has it.
    """

    title: str
    cell: Callable[[Any], str]
    number: bool = False
    whole: bool = False
    spare: bool = False


def show_json(value: object) -> None:
    """One JSON document on standard output."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE
    click.echo(orjson.dumps(value, default=_plain, option=options), nl=False)


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def show_table(columns: Sequence[Column], rows: Iterable[Any]) -> None:
    """A table on standard output: with colours and folded lines on a terminal, one line for each row elsewhere."""
    cells = [[printable(column.cell(row)) for column in columns] for row in rows]
    if sys.stdout.isatty():
        _show_rich(columns, cells)
        return
    titles = [column.title for column in columns]
    widths = [max(map(len, line)) for line in zip(titles, *cells, strict=True)]
    for line in (titles, *cells):
        padded = [
            cell.rjust(width) if column.number else cell.ljust(width)
            for column, cell, width in zip(columns, line, widths, strict=True)
        ]
        click.echo("  ".join(padded).rstrip())


def _show_rich(columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    columns, cells = _fitting(columns, cells, console.width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for number, column in enumerate(columns):
        table.add_column(
            column.title,
            justify="right" if column.number else "left",
            style="" if number else "cyan",
            overflow="fold",
            no_wrap=column.number or column.whole,
        )
    for line in cells:
        table.add_row(*map(Text, line))  # as text: what is stored is no markup
    console.print(table)


def _fitting(
    columns: Sequence[Column], cells: Sequence[Sequence[str]], room: int
) -> tuple[Sequence[Column], Sequence[Sequence[str]]]:
    """The columns, and the cells of each row, without as many spare ones as there is no room for."""
    titles = [column.title for column in columns]
    widths = [max(map(len, line)) for line in zip(titles, *cells, strict=True)]
    kept = list(range(len(columns)))
    for number in reversed(range(len(columns))):
        if columns[number].spare and sum(widths[one] + _GAP for one in kept) - _GAP > room:
            kept.remove(number)
    return [columns[one] for one in kept], [[line[one] for one in kept] for line in cells]


def show_rows(session: Session, columns: Sequence[Column], rows: Sequence[Any], nothing: str = "") -> None:
    """Rows as one JSON document or as a table, or a remark that there is `nothing`."""
    if session.json:
        show_json(rows)
    elif rows or not nothing:
        show_table(columns, rows)
    else:
        remark(session, nothing)


def show_fields(fields: Mapping[str, str]) -> None:
    """One `key: value` in each line, the values below each other."""
    width = max(map(len, fields)) + 2
    for key, value in fields.items():
        click.echo(f"{key + ':':<{width}}{printable(value)}".rstrip())


def show_version(session: Session, key: str, version: str, **more: object) -> None:
    """The version that something was done to, as `name@version`; what JSON says beside that is given too."""
    if session.json:
        show_json({"name": name_in(key), "version": version, **more})
    else:
        click.echo(f"{key.partition('@')[0]}@{version}")


def name_in(key: str) -> str:
    """The name in a key, as its registry knows it: without a location and a version."""
    return key.partition("@")[0].rpartition("/")[2]


def remark(session: Session, text: str) -> None:
    """A line on standard error, beside the result, for people. Not with `--quiet`."""
    if not session.quiet:
        click.echo(f"casreg: {printable(text)}", err=True)


def size_cell(key: str) -> Callable[[Mapping[str, Any]], str]:
    """The cell of a size in bytes; `-` if it is not known."""
    return lambda row: "-" if row[key] is None else size_text(row[key])


def text_cell(key: str) -> Callable[[Mapping[str, Any]], str]:
    """The cell of something that has a text; `-` if it is not known."""
    return lambda row: "-" if row[key] is None else str(row[key])


def time_cell(key: str) -> Callable[[Mapping[str, Any]], str]:
    """The cell of a time, to the second, in UTC; `-` if it is not known."""
    return lambda row: time_text(row[key])


def minute_cell(key: str) -> Callable[[Mapping[str, Any]], str]:
    """The cell of a time, to the minute, in UTC, where there is little room; `-` if it is not known."""
    return lambda row: "-" if row[key] is None else f"{row[key][:10]} {row[key][11:16]}Z"


def time_text(stored: str | None) -> str:
    """A stored time for people: `2026-01-31 12:00:00Z`."""
    return "-" if stored is None else f"{stored[:10]} {stored[11:19]}Z"


def json_text(value: object) -> str:
    """A value of metadata on one line; a text as it is."""
    return value if isinstance(value, str) else orjson.dumps(value, default=_plain).decode()
