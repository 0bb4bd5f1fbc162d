"""Versions as one file, to carry to another machine: `export`, `import`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casreg.cli.bars import watching
from casreg.cli.options import Command, key_argument
from casreg.cli.output import remark, show_json
from casreg.display import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg.cli.session import Session

_file = click.argument("path", metavar="FILE.casreg", type=click.Path(dir_okay=False))
_versions = key_argument("names", metavar="[NAME[@VERSION]]...", nargs=-1)


@click.command(
    "export",
    cls=Command,
    short_help="Write versions into one file.",
    examples=("casreg export all.casreg", "casreg export models.casreg my:model@prod my:data -r team"),
)
@_file
@_versions
@click.pass_obj
def export_(session: Session, path: str, names: Sequence[str]) -> None:
    """Write versions into one new file, by default all. It is there when it is whole, or not at all.

    `casreg import` takes it in elsewhere, and `-r FILE.casreg` reads straight from it.
    """
    registry = session.open()
    with watching(session) as watch:
        held = registry.export(path, list(names) or None, progress=watch)
    _say(session, held, f"{counted(len(held), 'version')} in {path}")


@click.command(
    "import",
    cls=Command,
    short_help="Take versions out of such a file.",
    examples=("casreg import models.casreg", "casreg import models.casreg my:model -r team"),
)
@_file
@_versions
@click.pass_obj
def import_(session: Session, path: str, names: Sequence[str]) -> None:
    """Take versions out of a file that `casreg export` wrote, by default all; only what is missing is written.

    If a number is there with other content, nothing is written.
    """
    registry = session.open("import")
    with watching(session) as watch:
        held = registry.import_(path, list(names) or None, progress=watch)
    _say(session, held, f"{counted(len(held), 'version')} in {registry.backend.location}")


def _say(session: Session, held: Sequence[str], summary: str) -> None:
    if session.json:
        show_json(held)
        return
    for one in held:
        click.echo(one)
    remark(session, summary)
