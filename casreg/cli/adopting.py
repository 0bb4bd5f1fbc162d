"""A copy that other tools made becomes a registry of its own: `adopt`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from casreg.cli.asking import check_asked, confirm
from casreg.cli.bars import watching
from casreg.cli.checking import exit_code_of, show_report
from casreg.cli.options import Command, yes_option
from casreg.cli.output import remark, show_json
from casreg.display import counted

if TYPE_CHECKING:
    from casreg import Adoption
    from casreg.cli.session import Session


@click.command(
    cls=Command,
    short_help="Make a copy by other tools a registry of its own.",
    examples=(
        "rsync -a /srv/models/ /mnt/models/ && casreg adopt -r /mnt/models",
        "casreg adopt --data --yes -r s3://bucket/restored",
        "casreg adopt --dry-run -r ./restored",
    ),
)
@click.option("--data", is_flag=True, help="Read every byte of the data, too.")
@click.option("--dry-run", is_flag=True, help="Only look: say what is damaged or missing.")
@click.option(
    "--shared-fs",
    is_flag=True,
    help="Vouch for a network file system on which all machines see the same at once.",
)
@yes_option
@click.pass_obj
@click.pass_context
def adopt(
    context: click.Context, session: Session, data: bool, dry_run: bool, shared_fs: bool, yes: bool
) -> None:
    """Make a folder or bucket that was copied, or restored from a backup, by other tools a registry of its own.

    Do it once, before anybody writes to the copy. It gets an id of its own, a new head, and new ids for the state of
    every name, and then it is verified. No version, tag or note is changed and nothing is deleted; a registry that is no
    copy takes no harm. The exit code is 0 if all is well, and 5 if something is damaged or did not come along, which
    `casreg heal` brings from the original.
    """
    check_asked("adopt", yes=yes or dry_run)
    registry = session.open(None if dry_run else "adopt")
    if not dry_run:
        confirm(
            "adopt this copy, which lives apart from its original then", [registry.backend.location], yes=yes
        )
    with watching(session) as watch:
        adoption = registry.adopt(data=data, dry_run=dry_run, shared_fs=shared_fs, progress=watch)
    if session.json:
        show_json(adoption.as_dict())
    else:
        _show(session, adoption)
    context.exit(exit_code_of(adoption.report.damages))


def _show(session: Session, done: Adoption) -> None:
    show_report(done.report)
    names = counted(done.refs, "name")
    if done.dry_run:
        remark(session, f"{done.location} would get an id of its own, and {names} a new state")
        return
    remark(session, f"adopted as {done.id}: {names} in a new state")
    if done.head in ("condemned", "verdict"):
        remark(
            session, "a collection that was going on in the original was given up; collect anew when you like"
        )
    if done.report.unreached:
        unreached = counted(done.report.unreached, "version")
        remark(
            session,
            f"{unreached} that no name has: saved later, deleted, or of a name that did not come along, which "
            "`casreg heal ORIGINAL --dry-run` would name",
        )
    if done.indexed:
        remark(session, f"{counted(done.indexed, 'pack')} noted in the index")
