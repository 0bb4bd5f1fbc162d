"""Before something is destroyed: say what, and ask."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from casreg.display import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN: Final = 20


def check_asked(command: str, *, yes: bool) -> None:
    """See that somebody can be asked, before anything is looked for.

    Args:
        command: What wants to ask.
        yes: It was said already.

    Raises:
        click.UsageError: Nobody can be asked.
    """
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise click.UsageError(f"{command} asks before it does this, and nobody can be asked here: say --yes")


def confirm(question: str, lines: Iterable[str], *, yes: bool) -> None:
    """Show what would be destroyed and ask whether it may be. Returns if it may.

    Args:
        question: Of one line, as `delete 3 versions`.
        lines: What exactly.
        yes: It was said already.

    Raises:
        click.Abort: The answer is no.
    """
    if yes:
        return
    given = list(lines)
    for line in given[:_SHOWN]:
        click.echo(f"  {printable(line)}", err=True)
    if len(given) > _SHOWN:
        click.echo(f"  … and {len(given) - _SHOWN:,} more", err=True)
    click.echo(f"{question}? [y/N] ", err=True, nl=False)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise click.Abort
