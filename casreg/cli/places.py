"""Where registries are: `init`, `mounts`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

import casreg
from casreg.cli.bars import waiting
from casreg.cli.completing import PlaceType
from casreg.cli.options import Command
from casreg.cli.output import Column, remark, show_json, show_table, text_cell
from casreg.cli.session import is_place
from casreg.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from casreg.cli.session import Session

_MOUNTS: Final = (
    Column("location", text_cell("location")),
    Column("place", text_cell("place")),
    Column("", lambda row: "read-only" if row["read_only"] else ""),
)


@click.command(
    cls=Command,
    short_help="Make a registry.",
    examples=("casreg init", "casreg init ./models", "casreg init s3://bucket/models"),
)
@click.argument("place", metavar="[PLACE]", required=False, type=PlaceType())
@click.pass_obj
def init(session: Session, place: str | None) -> None:
    """Make a registry, and see that its place is fit for it. Saving does that too; an existing one stays as it is.

    PLACE is a path, a URI or the location of a mount; by default that of --registry, or the default registry.
    """
    if place is not None and session.registry is not None:
        raise InvalidArgumentError("PLACE says where, and --registry too: leave one of them out")
    if place is not None and not is_place(place) and not casreg.Store().has_mount(place):
        place = f"./{place}"  # nothing of this name is there yet: that is what it is called for
    session.registry = place or session.registry
    registry = session.open("init")
    with waiting(session, "looking whether the place is fit for it"):
        identity = registry.init()
    if session.json:
        show_json({"location": registry.backend.location, "id": identity})
        return
    click.echo(registry.backend.location)
    remark(session, f"the registry has the id {identity}")


@click.command(
    cls=Command,
    short_help="List the mounts.",
    examples=("casreg mounts", "casreg ls team/", "casreg ls -r team"),
)
@click.pass_obj
def mounts(session: Session) -> None:
    """List the mounts of the configuration file and of CASREG_MOUNTS. Each name may have its location before it.

    The first line is the registry that is meant where no location is said; where a place has to be, it is `-`. A mount is
    `team`, and a name in it `team/my:model`; `-r team` means the whole mount.
    """
    store = casreg.Store()
    found = [store.get_mount(location) for location in store.list_mounts()]
    rows = [
        {"location": mount.location, "place": mount.place, "read_only": mount.read_only} for mount in found
    ]
    default = session.open().backend.location
    if session.json:
        show_json({"registry": default, "mounts": rows})
    else:
        show_table(_MOUNTS, [{"location": "-", "place": default, "read_only": False}, *rows])
