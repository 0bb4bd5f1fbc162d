"""Versions compared, and what all of them take: `diff`, `stats`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from casreg.cli.bars import waiting
from casreg.cli.options import Command, key_argument
from casreg.cli.output import Column, remark, show_fields, show_json, show_table, time_text
from casreg.display import size_text

if TYPE_CHECKING:
    from casreg import NameStats, Stats
    from casreg.cli.session import Session


def _ratio(value: float) -> str:
    return f"{value:,.2f}×"


_ROWS: Final = (
    Column("name", lambda row: row.name),
    Column("versions", lambda row: f"{row.versions:,}", number=True),
    Column("logical", lambda row: size_text(row.logical), number=True),
    Column("distinct", lambda row: size_text(row.distinct), number=True, spare=True),
    Column("stored", lambda row: size_text(row.stored), number=True),
    Column("alone", lambda row: size_text(row.alone), number=True, spare=True),
    Column("dedup", lambda row: _ratio(row.deduplication), number=True),
    Column("compression", lambda row: _ratio(row.compression), number=True),
)


@click.command(
    cls=Command,
    short_help="Show what differs between two versions.",
    examples=(
        "casreg diff my:data 1.0.0 1.1.0",
        "casreg diff my:data@prod latest",
        "casreg diff my:data 1.0.0 --json",
    ),
)
@key_argument()
@click.argument("version1", metavar="[VERSION1]", required=False)
@click.argument("version2", metavar="[VERSION2]", required=False)
@click.pass_obj
def diff(session: Session, key: str, version1: str | None, version2: str | None) -> None:
    """Show what differs between two versions: files, bytes and chunks in common, class, metadata.

    The second is by default the latest. A version may be `other:name@version` too. Reads lists, no data.
    """
    registry, inside = session.find(key)
    with waiting(session, "comparing"):
        found = registry.diff(inside, version1, version2)
    if session.json:
        show_json({"same": found.same, **asdict(found)})
    else:
        click.echo(str(found))


@click.command(
    cls=Command,
    short_help="Show how much is held, and what that takes.",
    examples=("casreg stats", "casreg stats -r team --json"),
)
@click.pass_obj
def stats(session: Session) -> None:
    """Show how much the registry holds, and what that takes, by name and in all.

    \b
    logical      bytes of all live versions, each counted whole
    distinct     bytes of their different chunks, each counted once
    stored       what these take at the place, compressed, with manifests
    alone        what of this no other name needs
    dedup        logical / distinct: how often each byte is used
    compression  distinct / stored

    Where a terminal has no room for them, `alone` and `distinct` are left out by name; --json has them.
    """  # noqa: D301 - with this mark click leaves the lines as they are
    with waiting(session, "counting what is stored"):
        found = session.open().stats()
    if session.json:
        show_json(_as_dict(found))
        return
    if found.names:
        show_table(_ROWS, found.names)
        click.echo()
    show_fields(
        {
            "registry": found.location,
            "names": f"{len(found.names):,}",
            "versions": f"{found.versions:,}",
            "logical": size_text(found.logical),
            "distinct": f"{size_text(found.distinct)} (dedup {_ratio(found.deduplication)})",
            "stored": f"{size_text(found.stored)} (compression {_ratio(found.compression)})",
            "all files": f"{size_text(found.size)} in {found.files:,} files",
            "not needed": f"{size_text(found.unneeded)} (of deleted versions and interrupted saves; parts of packs)",
            **_uploads(found),
        }
    )
    if not found.names:
        remark(session, "nothing is saved there yet")


def _uploads(found: Stats) -> dict[str, str]:
    """What long saves have written that are not finished, if there are any."""
    if not found.uploads:
        return {}
    size = size_text(sum(upload.size for upload in found.uploads))
    oldest = found.uploads[0]
    since = f"{oldest.name} since {time_text(oldest.since)}"
    if len(found.uploads) > 1:
        since = f"the oldest, {since}"
    return {"unfinished uploads": f"{len(found.uploads):,} ({size}; {since})"}


def _as_dict(found: Stats) -> dict[str, Any]:
    return {**_with_ratios(found), "names": [_with_ratios(one) for one in found.names]}


def _with_ratios(found: Stats | NameStats) -> dict[str, Any]:
    return {**asdict(found), "deduplication": found.deduplication, "compression": found.compression}
