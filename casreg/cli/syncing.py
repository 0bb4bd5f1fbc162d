"""One registry brought up to date with another: `sync`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

import casreg
from casreg.cli import exits
from casreg.cli.asking import check_asked, confirm
from casreg.cli.bars import watching
from casreg.cli.completing import PlaceType
from casreg.cli.options import Command, key_argument, yes_option
from casreg.cli.output import remark, show_json
from casreg.cli.session import opened, registry_at
from casreg.display import counted, printable, size_text
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg import Registry, Synced
    from casreg.cli.session import Session


@click.command(
    cls=Command,
    short_help="Bring a registry up to date with another.",
    examples=(
        "casreg sync ./models s3://bucket/models --dry-run",
        "casreg sync - s3://bucket/mine",
        "casreg sync team ./copy my:data my:model",
        "casreg sync s3://bucket/models gs://bucket/models --delete -y -q    # in cron",
    ),
)
@click.argument("source", metavar="SOURCE", type=PlaceType())
@click.argument("target", metavar="TARGET", type=PlaceType())
@key_argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Only say what would be copied, changed and deleted.")
@click.option("--overwrite", is_flag=True, help="What disagrees becomes what SOURCE says.")
@click.option(
    "--delete", is_flag=True, help="Delete in TARGET what is not in SOURCE. What is protected stays."
)
@yes_option
@click.pass_obj
@click.pass_context
def sync(
    context: click.Context,
    session: Session,
    source: str,
    target: str,
    names: Sequence[str],
    dry_run: bool,
    overwrite: bool,
    delete: bool,
    yes: bool,
) -> None:
    """Copy what SOURCE has and TARGET has not: all names, or those that are given, with all their versions.

    Versions keep their numbers, digests, times, metadata, notes, tags and protection; only what is missing is moved.
    SOURCE and TARGET are paths, URIs, locations of mounts, or `-` for your default registry; SOURCE may be a bundle.
    What disagrees (a version with other content, a tag that both sides moved) is reported and stays, unless --overwrite
    says otherwise; the exit code is 4 then, and 5 if something could not be read. All else is copied all the same, and
    another sync goes on.
    """
    if session.registry is not None:
        raise InvalidArgumentError("SOURCE and TARGET say where: leave --registry out")
    is_harmless = not (overwrite or delete)
    check_asked("sync", yes=yes or dry_run or is_harmless)
    there, here = registry_at(source), _target(target, dry_run=dry_run)

    def run(*, dry: bool) -> Synced:
        with watching(session) as watch:
            return here.sync(
                there, list(names) or None, dry_run=dry, overwrite=overwrite, delete=delete, progress=watch
            )

    if not (dry_run or yes or is_harmless):
        found = run(dry=True)
        lines = _losses(found)
        if lines:
            confirm(f"do this in {printable(found.target)}", lines, yes=False)
    done = run(dry=dry_run)
    if session.json:
        show_json(done.as_dict())
    else:
        _show(session, done)
    context.exit(exits.DAMAGED if done.failed else exits.REFUSED if done.conflicts else exits.DONE)


def _target(place: str, *, dry_run: bool) -> Registry:
    found = opened(place)
    if not isinstance(found, casreg.Mount):
        return found
    return found.registry if dry_run else found.writable("sync")


def _losses(found: Synced) -> list[str]:
    """What is not there any more afterwards."""
    return [
        *(f"replace {label}" for label in found.replaced),
        *(f"change {label}" for label in found.labels),
        *(f"delete {label}" for label in found.deleted),
    ]


def _show(session: Session, done: Synced) -> None:
    would, replaced = "would be " if done.dry_run else "", set(done.replaced)
    for label in done.copied:
        click.echo(f"{would}{'replaced' if label in replaced else 'copied'}: {label}")
    for label in done.labels:
        click.echo(f"{would}changed: {printable(label)}")
    for label in done.deleted:
        click.echo(f"{would}deleted: {label}")
    for label in done.kept:
        click.echo(f"kept: {label}, which is protected")
    for one in (*done.conflicts, *done.failed):
        word = "unreadable" if one.kind == "unreadable" else "conflict"
        click.echo(f"{word}: {printable(one.about)}: {printable(' '.join(one.reason.split()))}")
    remark(session, _summary(done))


def _summary(done: Synced) -> str:
    between = f"from {done.source} to {done.target}"
    names = f"{counted(done.names, 'name')}, {done.unchanged:,} unchanged"
    problems = len(done.conflicts) + len(done.failed)
    left = f"; left as it is: {counted(problems, 'thing')}" if problems else ""
    if not done.copied:
        return f"nothing to copy {between} ({names}){left}"
    copied = f"{counted(len(done.copied), 'version')} of {size_text(done.size)}"
    if done.dry_run:
        return f"{copied} would be copied {between} ({names}){left}"
    stored = f"{size_text(done.stored)} stored in {done.seconds:.1f} s"
    return f"{copied} copied {between}, {stored} ({names}){left}"
