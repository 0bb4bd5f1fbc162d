"""What there is: `ls`, `versions`, `info`, `files`, `history`, `find`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from casreg.cli.bars import waiting
from casreg.cli.options import Command, key_argument
from casreg.cli.output import (
    Column,
    json_text,
    minute_cell,
    show_fields,
    show_json,
    show_rows,
    size_cell,
    text_cell,
    time_cell,
    time_text,
)
from casreg.cli.values import conditions_of
from casreg.display import size_text
from casreg.exceptions import ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casreg.cli.session import Session


def _tags(row: Mapping[str, Any]) -> str:
    return ", ".join(row["tags"])


_NAMES: Final = (
    Column("name", text_cell("name")),
    Column("latest", text_cell("version"), whole=True),
    Column("versions", lambda row: f"{row['versions']:,}", number=True),
    Column("size", size_cell("size"), number=True),
    Column("created", minute_cell("created"), whole=True),
    Column("class", lambda row: (row["class"] or "-").rpartition(".")[2]),
    Column("tags", lambda row: ", ".join(f"{tag}={version}" for tag, version in row["tags"].items())),
)
_VERSIONS: Final = (
    Column("version", text_cell("version"), whole=True),
    Column("created", time_cell("created"), whole=True),
    Column("size", size_cell("size"), number=True),
    Column("stored", size_cell("stored"), number=True),
    Column("tags", _tags),
    Column("", lambda row: "protected" if row["protected"] else ""),
)
_HISTORY: Final = (
    Column("version", text_cell("version"), whole=True),
    Column("state", text_cell("state")),
    Column("created", time_cell("created"), whole=True),
    Column("deleted", time_cell("deleted"), whole=True),
    Column("size", size_cell("size"), number=True),
    Column("stored", size_cell("stored"), number=True),
    Column("tags", _tags),
)
_FILES: Final = (
    Column("path", text_cell("path")),
    Column("size", size_cell("size"), number=True),
    Column("", lambda row: "executable" if row["executable"] else ""),
)
_FOUND: Final = (
    Column("name", lambda row: f"{row['name']}@{row['version']}"),
    Column("size", size_cell("size"), number=True),
    Column("created", time_cell("created"), whole=True),
    Column("metadata", lambda row: _pairs(row["metadata"])),
    Column("tags", _tags),
)


@click.command(
    cls=Command,
    short_help="List the names.",
    examples=("casreg ls", "casreg ls 'my:*'", "casreg ls team/ --json"),
)
@key_argument("pattern", metavar="[PATTERN]", default="*")
@click.pass_obj
def ls(session: Session, pattern: str) -> None:
    """List the names, each with its latest version, how many there are, size, class and tags.

    PATTERN is a name with `*`, `?` or `[…]` in it; `team/` lists the mount team, `team/my:*` some of it. Sizes are those
    of the latest version.
    """
    registry, inside = session.find(pattern)
    with waiting(session, "reading the names"):
        rows = registry.overview(inside or "*")
    like = "" if inside in {"", "*"} else f" like {inside!r}"
    show_rows(session, _NAMES, rows, f"there are no names{like} in {registry.backend.location}")


@click.command(cls=Command, examples=("casreg versions my:data", "casreg versions 'my:data@>=1,<2' --json"))
@key_argument()
@click.pass_obj
def versions(session: Session, key: str) -> None:
    """List the versions of a name, the lowest number first.

    `size` is that of the object, `stored` what its save added. With a range, the versions in it.
    """
    registry, inside = session.find(key)
    rows = [row for row in registry.history(inside) if row["state"] == "live"]
    if not rows:
        raise ObjectNotFoundError(f"no version of {key!r} is there now; `casreg history` says which were")
    rows.reverse()
    show_rows(session, _VERSIONS, rows)


@click.command(
    cls=Command,
    short_help="Show what is known of a version.",
    examples=("casreg info my:data", "casreg info my:data@1.0.0 --json"),
)
@key_argument()
@click.pass_obj
def info(session: Session, key: str) -> None:
    """Show what is known of a version: sizes, digests, metadata, notes, tags."""
    registry, inside = session.find(key)
    found = registry.info(inside)
    if session.json:
        show_json(found)
        return
    fields = {
        "name": found["name"],
        "version": found["version"],
        "class": found["class"] or "-",
        "materializer": found["materializer"],
        "size": f"{size_text(found['size'])} ({found['size']:,} bytes)",
        "stored": f"{size_text(found['stored'])} (what its save added)",
        "created": time_text(found["created"]),
        "tags": ", ".join(found["tags"]) or "-",
        "protected": "yes" if found["protected"] else "no",
        "digest": found["digest"],
        "data digest": found["data_digest"],
        "path": found["path"],
    }
    fields |= {f"metadata {name}": json_text(value) for name, value in found["metadata"].items()}
    fields |= {f"note {name}": json_text(value) for name, value in found["notes"].items()}
    show_fields(fields)


@click.command(cls=Command, examples=("casreg files my:site",))
@key_argument()
@click.pass_obj
def files(session: Session, key: str) -> None:
    """List the files that a version consists of. `casreg cat` prints one, `casreg load` writes all."""
    registry, inside = session.find(key)
    show_rows(session, _FILES, registry.files(inside), "it has no files")


@click.command(
    cls=Command,
    short_help="List all that ever was a version of a name.",
    examples=("casreg history my:data",),
)
@key_argument()
@click.pass_obj
def history(session: Session, key: str) -> None:
    """List all that ever was a version of a name, the highest number first: live, deleted, replaced, retired.

    What is deleted can be brought back with `casreg undelete`; of what is retired only the number is left.
    """
    registry, inside = session.find(key)
    show_rows(session, _HISTORY, registry.history(inside))


@click.command(
    cls=Command,
    short_help="Find versions by name and metadata.",
    examples=(
        "casreg find 'model:*' --where 'accuracy>=0.9'",
        "casreg find 'model:*@*' --where data.split=test --json",
    ),
)
@key_argument("pattern", metavar="[PATTERN[@VERSION]]", default="*")
@click.option(
    "-w",
    "--where",
    "conditions",
    metavar="KEY=VALUE",
    multiple=True,
    help="What metadata or notes have to say: key=value, or != < <= > >=. May be given several times.",
)
@click.pass_obj
def find(session: Session, pattern: str, conditions: Sequence[str]) -> None:
    """Find versions by name and metadata; of each name the latest, or those that VERSION means.

    Keys with points reach into nested values. What lacks the key does not fit.
    """
    where = conditions_of(conditions)
    registry, inside = session.find(pattern)
    with waiting(session, "searching"):
        rows = registry.find(inside or "*", where=where)
    show_rows(session, _FOUND, rows, f"nothing fits in {registry.backend.location}")


def _pairs(values: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={json_text(value)}" for key, value in values.items())
