"""What is not needed any more goes: `prune` deletes old versions, `gc` the data that no version needs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from casreg.cli import exits
from casreg.cli.asking import check_asked, confirm
from casreg.cli.bars import watching
from casreg.cli.options import Command, key_argument, yes_option
from casreg.cli.output import remark, show_json
from casreg.display import counted, printable, size_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg.cli.session import Session
    from casreg.gc import Collection, Compaction, Pruned


@click.command(
    cls=Command,
    short_help="Delete old versions.",
    examples=("casreg prune --keep-last 3 --dry-run", "casreg prune my:data my:model --keep-last 1 --yes"),
)
@key_argument("names", metavar="[NAME]...", nargs=-1)
@click.option(
    "-k",
    "--keep-last",
    type=click.IntRange(min=1),
    required=True,
    metavar="N",
    help="So many versions of each name stay, the highest.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@yes_option
@click.pass_obj
def prune(session: Session, names: Sequence[str], keep_last: int, dry_run: bool, yes: bool) -> None:
    """Delete all but the highest versions of each name, or of the names that are given.

    What is protected or has a tag stays. `casreg undelete` brings versions back until their data are collected, which
    `casreg gc` does.
    """
    check_asked("prune", yes=yes or dry_run)
    registry = session.open(None if dry_run else "prune")
    chosen = list(names) or None
    found = registry.prune(keep_last, chosen, dry_run=True)
    if not dry_run and found.versions:
        confirm(f"delete {counted(len(found.versions), 'version')}", found.versions, yes=yes)
        found = registry.prune(keep_last, chosen)
    _show_pruned(session, found, dry_run=dry_run)


def _show_pruned(session: Session, found: Pruned, *, dry_run: bool) -> None:
    if session.json:
        show_json({**asdict(found), "dry_run": dry_run})
        return
    for version in found.versions:
        click.echo(version)
    word = "would be deleted" if dry_run else "deleted"
    stay = f"; {counted(len(found.kept), 'old one')} protected or tagged, and stay" if found.kept else ""
    remark(session, f"{counted(len(found.versions), 'version')} {word}{stay}")


@click.command(
    cls=Command,
    short_help="Delete the data that no version needs.",
    examples=(
        "casreg gc --dry-run",
        "casreg gc --yes --quiet    # in cron",
        "casreg gc --min-age 1h --undelete-window 0 -r team",
        "casreg gc --compact --dry-run",
    ),
)
@click.option(
    "--min-age", default="1d", show_default=True, metavar="DURATION", help="Younger files stay: 90s, 12h, 2w."
)
@click.option(
    "--undelete-window",
    default="7d",
    show_default=True,
    metavar="DURATION",
    help="So long after its deletion a version can be brought back.",
)
@click.option(
    "--compact",
    is_flag=True,
    help="Also move what is needed out of files that are mostly garbage, or many and small.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted, and moved.")
@click.option(
    "--shared-fs",
    is_flag=True,
    help="Vouch for a network file system on which all machines see the same at once.",
)
@yes_option
@click.pass_context
def gc(
    context: click.Context,
    min_age: str,
    undelete_window: str,
    compact: bool,
    dry_run: bool,
    shared_fs: bool,
    yes: bool,
) -> None:
    """Collect garbage: delete the data of deleted versions and of interrupted saves.

    Safe at any time, beside any number of savers, readers and other collectors; nothing that a version needs goes. A
    collection that was interrupted is taken on by the next one. The exit code is 5 if --compact met damage, which it leaves
    where it is.
    """
    session: Session = context.obj
    check_asked("gc", yes=yes or dry_run)
    registry = session.open(None if dry_run else "gc")

    def collect(*, dry: bool) -> Collection:
        with watching(session) as watch:
            return registry.gc(
                min_age=min_age,
                undelete_window=undelete_window,
                compact=compact,
                dry_run=dry,
                shared_fs=shared_fs,
                progress=watch,
            )

    if not dry_run and not yes:
        found = collect(dry=True)
        if found.freed or found.versions:
            confirm(f"delete {_what(found)}", _lines(found), yes=False)
    done = collect(dry=dry_run)
    _show_collection(session, done)
    context.exit(exits.DAMAGED if done.compaction and done.compaction.left else exits.DONE)


def _show_collection(session: Session, found: Collection) -> None:
    if session.json:
        show_json(asdict(found))
        return
    for version in found.versions:
        click.echo(version)
    if found.compaction is not None:
        _show_compaction(session, found.compaction, dry_run=found.dry_run)
    word = "would be deleted" if found.dry_run else "deleted"
    said = f"{_what(found)} {word}" if any(found.files.values()) else "nothing is there to delete"
    remark(session, f"{said} in {found.location}")
    if found.versions:
        word = "could not" if found.dry_run else "cannot"
        remark(session, f"{counted(len(found.versions), 'deleted version')} {word} be brought back any more")


def _show_compaction(session: Session, moved: Compaction, *, dry_run: bool) -> None:
    would = "would be " if dry_run else ""
    if moved.packs:
        what = f"{size_text(moved.rewritten)} {would}moved out of {counted(moved.packs, 'pack')}"
        gained = f"which gains {size_text(max(0, moved.freed - moved.rewritten))}"
        remark(session, f"{what} of {counted(moved.versions, 'version')}, {gained}")
    else:
        remark(session, "nothing is there to compact")
    for key, why in moved.left.items():
        click.echo(f"casreg: {key} stays as it is: {printable(why)}", err=True)


def _what(found: Collection) -> str:
    parts = [counted(number, kind.removesuffix("s")) for kind, number in found.files.items() if number]
    return f"{size_text(found.freed)} in {', '.join(parts) or 'no files'}"


def _lines(found: Collection) -> list[str]:
    return [f"{version}, which nothing brings back then" for version in found.versions]
