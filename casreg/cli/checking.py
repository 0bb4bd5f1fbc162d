"""Is everything there, and as it was written? `verify`, and `heal` from another copy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from casreg.cli import exits
from casreg.cli.bars import watching
from casreg.cli.completing import PlaceType
from casreg.cli.options import Command, key_argument
from casreg.cli.output import remark, show_json
from casreg.cli.session import registry_at
from casreg.display import counted, first_of, printable, size_text
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg.cli.session import Session
    from casreg.verify import Damage, Healing, Report

_NAMED: Final = 8


class _ShareType(click.ParamType):  # type: ignore[type-arg]  # generic in new releases of click only
    """`5%`, or `0.05`."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """The share, as a number up to 1."""
        try:
            share = float(value.removesuffix("%")) / (100 if value.endswith("%") else 1)
        except ValueError:
            share = 0
        if not 0 < share <= 1:
            self.fail(f"{value!r} is no share of the bytes; write 5% or 0.05", param, ctx)
        return share


@click.command(
    cls=Command,
    short_help="See whether everything is there and right.",
    examples=(
        "casreg verify",
        "casreg verify --data -r team",
        "casreg verify --sample 5% --quiet || mail -s 'damage' ops@example.org",
        "casreg verify --heal-from backup.casreg",
    ),
)
@key_argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--data", is_flag=True, help="Read every byte of the data, too.")
@click.option(
    "--sample", type=_ShareType(), metavar="SHARE", help="Read a share of the data, drawn at random: 5%."
)
@click.option(
    "--heal-from",
    "source",
    metavar="PLACE",
    type=PlaceType(),
    help="Read everything, and write anew what is damaged, from this copy: as `casreg heal PLACE`.",
)
@click.pass_obj
@click.pass_context
def verify(
    context: click.Context,
    session: Session,
    names: Sequence[str],
    data: bool,
    sample: float | None,
    source: str | None,
) -> None:
    """See whether everything that versions need is there, and is what was written; of all names, or of those given.

    Always looked at are names, versions, lists and tables; the data themselves with --data or --sample. What is wrong is
    named, with the versions that it touches. Only reads. The exit code is 0 if all is well, and 5 if something is damaged.
    """
    if source is not None:
        if names or sample is not None:
            raise InvalidArgumentError("--heal-from reads everything: leave names and --sample out")
        _heal(context, session, source, dry_run=False)
        return
    registry = session.open()
    with watching(session) as watch:
        report = registry.verify(data=data, sample=sample, names=list(names) or None, progress=watch)
    if session.json:
        show_json(report.as_dict())
    else:
        show_report(report)
    context.exit(exit_code_of(report.damages))


def show_report(report: Report) -> None:
    """What a verification found, and what it looked at."""
    for one in report.damages:
        _show_damage(one)
    read = f"{size_text(report.bytes_read)} of {size_text(report.bytes)} of data read"
    click.echo(
        f"{'clean' if report.clean else 'NOT CLEAN'}: {counted(report.names, 'name')}, "
        f"{counted(report.versions, 'version')}, {counted(report.packs, 'pack')} in {report.location}; {read} "
        f"in {report.seconds:.1f} s"
    )


@click.command(
    cls=Command,
    short_help="Write anew what is damaged, from another copy.",
    examples=("casreg heal backup.casreg --dry-run", "casreg heal s3://bucket/copy -r ./models"),
)
@click.argument("source", metavar="SOURCE", type=PlaceType())
@click.option("--dry-run", is_flag=True, help="Only say what could be healed.")
@click.pass_obj
@click.pass_context
def heal(context: click.Context, session: Session, source: str, dry_run: bool) -> None:
    """Read everything, and write anew what is damaged or lost, from what is whole here and in another copy.

    SOURCE is a path, a bundle, a URI or the location of a mount: any registry that has the same data. It is only read.
    Versions keep their numbers, digests, notes and tags. The exit code is 0 if nothing is damaged any more, else 5.
    """
    _heal(context, session, source, dry_run=dry_run)


def _heal(context: click.Context, session: Session, source: str, *, dry_run: bool) -> None:
    registry = session.open(None if dry_run else "heal")
    with watching(session) as watch:
        healing = registry.heal(registry_at(source), dry_run=dry_run, progress=watch)
    if session.json:
        show_json(healing.as_dict())
    else:
        _show_healing(session, healing)
    context.exit(exit_code_of([one.damage for one in healing.left]))


def _show_healing(session: Session, healing: Healing) -> None:
    could = "could be healed" if healing.dry_run else "healed"
    for one in healing.healed:
        click.echo(f"{could}: {printable(one.key)}")
    for name in healing.brought_back:
        click.echo(f"{'could be ' * healing.dry_run}brought back: {name}")
    for left in healing.left:
        _show_damage(left.damage)
        click.echo(f"  not healed: {_line(left.reason)}")
    click.echo(
        f"{counted(len(healing.healed), 'file')} {could}, {len(healing.left):,} left, in {healing.location} "
        f"from {healing.source}"
    )
    remark(session, f"{size_text(healing.stored)} in {healing.seconds:.1f} s")


def _show_damage(found: Damage) -> None:
    problem = found.problem.removeprefix(found.key).lstrip(" :")  # many begin with it
    click.echo(f"{found.severity}: {printable(found.key)}: {_line(problem)}")
    if found.versions:
        tags = f" (tags: {first_of(found.tags, _NAMED)})" if found.tags else ""
        click.echo(f"  touches {printable(first_of(found.versions, _NAMED) + tags)}")


def _line(text: str) -> str:
    return printable(" ".join(text.split()))


def exit_code_of(found: Sequence[Damage]) -> int:
    """What a shell is told: damage, or that something could not be read, of which it is not known. Hints are nothing."""
    kinds = {one.severity for one in found}
    if "damage" in kinds:
        return exits.DAMAGED
    return exits.FAILED if "unreadable" in kinds else exits.DONE
