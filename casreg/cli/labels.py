"""What is said of versions and may change: `tag`, `untag`, `annotate`, `protect`, `unprotect`, `rename`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casreg.cli.options import Command, key_argument
from casreg.cli.output import json_text, name_in, show_fields, show_json, show_version
from casreg.cli.values import fields_of
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg.cli.session import Session


@click.command(
    cls=Command,
    short_help="Let a tag point to a version.",
    examples=("casreg tag my:model@1.2.0 prod", "casreg tag my:model prod"),
)
@key_argument()
@click.argument("tag_name", metavar="TAG")
@click.pass_obj
def tag(session: Session, key: str, tag_name: str) -> None:
    """Let a tag point to a version (by default the latest), wherever it pointed before."""
    registry, inside = session.find(key, "tag")
    show_version(session, key, registry.tag(inside, tag_name), tag=tag_name)


@click.command(cls=Command, examples=("casreg untag my:model prod",))
@key_argument()
@click.argument("tag_name", metavar="TAG")
@click.pass_obj
def untag(session: Session, key: str, tag_name: str) -> None:
    """Remove a tag; with a version only if it points there."""
    registry, inside = session.find(key, "untag")
    registry.untag(inside, tag_name)
    if session.json:
        show_json({"name": name_in(key), "removed": tag_name})


@click.command(
    cls=Command,
    short_help="Change notes of a version.",
    examples=("casreg annotate my:model@1.2.0 reviewed_by=Ada score=0.9", "casreg annotate my:model score="),
)
@key_argument()
@click.argument("pairs", metavar="KEY=VALUE...", nargs=-1, required=True)
@click.pass_obj
def annotate(session: Session, key: str, pairs: Sequence[str]) -> None:
    """Change notes of a version (by default the latest); KEY= alone removes one. Shows all its notes."""
    notes = {name: None if value == "" else value for name, value in fields_of(pairs, "KEY=VALUE").items()}
    if "version" in notes:
        raise InvalidArgumentError("a note cannot be called 'version': choose another key")
    registry, inside = session.find(key, "annotate")
    found = registry.annotate(inside, **notes)
    if session.json:
        show_json(found)
    elif found:
        show_fields({key: json_text(value) for key, value in found.items()})


@click.command(
    cls=Command,
    short_help="Let a version neither be deleted nor replaced.",
    examples=("casreg protect my:model@1.2.0",),
)
@key_argument()
@click.pass_obj
def protect(session: Session, key: str) -> None:
    """Let a version (by default the latest) neither be deleted nor replaced."""
    registry, inside = session.find(key, "protect")
    show_version(session, key, registry.protect(inside), protected=True)


@click.command(
    cls=Command,
    short_help="Let a version be deleted and replaced again.",
    examples=("casreg unprotect my:model@1.2.0",),
)
@key_argument()
@click.pass_obj
def unprotect(session: Session, key: str) -> None:
    """Let a version (by default the latest) be deleted and replaced again."""
    registry, inside = session.find(key, "unprotect")
    show_version(session, key, registry.unprotect(inside), protected=False)


@click.command(
    cls=Command,
    short_help="Give all versions of a name to another name.",
    examples=("casreg rename my:draft my:model",),
)
@key_argument("old", metavar="OLD")
@key_argument("new", metavar="NEW")
@click.pass_obj
def rename(session: Session, old: str, new: str) -> None:
    """Give all versions of a name to another name, with their numbers, tags and notes. Both are in one registry."""
    if old.rpartition("/")[0] != new.rpartition("/")[0]:
        raise InvalidArgumentError(f"{old!r} and {new!r} are in two places: a name is renamed where it is")
    registry, inside = session.find(old, "rename")
    numbers = registry.rename(inside, new.rpartition("/")[2])
    if session.json:
        show_json({"name": name_in(new), "versions": numbers})
        return
    for number in numbers:
        click.echo(f"{new}@{number}")
