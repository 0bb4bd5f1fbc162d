"""Saving, loading and deleting: `save`, `load`, `cat`, `rm`, `undelete`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import click

from casreg.cli.asking import check_asked, confirm
from casreg.cli.bars import watching
from casreg.cli.options import Command, key_argument, yes_option
from casreg.cli.output import remark, show_json, show_version
from casreg.cli.values import fields_of
from casreg.display import counted, size_text
from casreg.exceptions import ObjectNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from casreg.cli.session import Session

_FILES: Final = "casreg.materializers.path_folder.PathFolder"
"""Whatever a version is, this gives its files as a folder."""

_BLOCK: Final = 1024 * 1024


@click.command(
    cls=Command,
    examples=(
        "casreg save my:weights weights.bin --tag prod --metadata accuracy=0.93",
        "casreg save my:data ./data --bump minor --if-changed",
        "generate | casreg save my:report -",
    ),
)
@key_argument()
@click.argument("path", metavar="PATH")
@click.option("--version", metavar="X.Y.Z", help="The number of the version; by default the next one.")
@click.option(
    "--bump",
    type=click.Choice(["patch", "minor", "major"]),
    default="patch",
    metavar="patch|minor|major",
    show_default=True,
    help="Which part of the latest number the next one raises.",
)
@click.option(
    "-t",
    "--tag",
    "tags",
    metavar="TAG",
    multiple=True,
    help="A tag for the version. May be given several times.",
)
@click.option("-m", "--metadata", "pairs", metavar="KEY=VALUE", multiple=True, help="Said of it for good.")
@click.option("-n", "--note", "notes", metavar="KEY=VALUE", multiple=True, help="Said of it, and may change.")
@click.option("--if-changed", is_flag=True, help="Make no version if the latest has the same content.")
@click.pass_obj
def save(
    session: Session,
    key: str,
    path: str,
    version: str | None,
    bump: Literal["patch", "minor", "major"],
    tags: Sequence[str],
    pairs: Sequence[str],
    notes: Sequence[str],
    if_changed: bool,
) -> None:
    """Save a file or folder as a version of a name.

    PATH is a file, a folder with all that is in it, or `-` for bytes from standard input, which are held in memory.
    A value of metadata is JSON where it can be read as that (0.93, true, [1, 2]), and a text otherwise. Prints the
    version as name@version, once it exists.
    """
    metadata, said = fields_of(pairs, "--metadata"), fields_of(notes, "--note")
    registry, inside = session.find(key, "save")
    obj: object = sys.stdin.buffer.read() if path == "-" else Path(path)
    with watching(session) as watch:
        saved = registry.save(
            inside,
            obj,
            version=version,
            bump=bump,
            tags=tags,
            metadata=metadata,
            notes=said,
            if_changed=if_changed,
            progress=watch,
        )
    name = key.partition("@")[0]
    last = watch.last
    size, stored, reused = (last.total, last.stored, last.reused) if last else (0, 0, 0)
    if session.json:
        result = {"name": inside.partition("@")[0], "version": saved, "key": f"{name}@{saved}"}
        show_json({**result, "size": size, "stored": stored, "reused": reused})
        return
    click.echo(f"{name}@{saved}")
    remark(session, f"{size_text(size)}: {size_text(stored)} newly stored, {size_text(reused)} reused")


@click.command(
    cls=Command,
    short_help="Write the files of a version into a folder.",
    examples=("casreg load my:data@1.0.0 ./data", "casreg load team/my:weights@prod ./weights"),
)
@key_argument()
@click.argument("into", metavar="INTO", type=click.Path(file_okay=False))
@click.pass_obj
def load(session: Session, key: str, into: str) -> None:
    """Write the files of a version into a folder, each byte verified.

    VERSION is a number, a tag, a range such as '>=1.0,<2', or left out for the latest. INTO is a new or an empty
    folder; it holds all files afterwards, or none. Of an object that was saved from Python these are the files that
    it consists of.
    """
    registry, inside = session.find(key)
    info = registry.info(inside)
    with watching(session) as watch:
        registry.load(info["name"], info["version"], into=Path(into), materializer=_FILES, progress=watch)
    if session.json:
        show_json(
            {"name": info["name"], "version": info["version"], "path": str(Path(into)), "size": info["size"]}
        )
        return
    click.echo(str(Path(into)))
    remark(session, f"{info['name']}@{info['version']}, {size_text(info['size'])}")


@click.command(
    cls=Command,
    has_json=False,
    examples=("casreg cat my:settings data.json", "casreg cat my:site@1.0.0 pages/index.html | head"),
)
@key_argument()
@click.argument("path", metavar="[PATH]", required=False)
@click.pass_obj
def cat(session: Session, key: str, path: str | None) -> None:
    """Write one file of a version to standard output.

    PATH may be left out if there is one file only; `casreg files NAME` lists them. Only what is read is fetched.
    """
    registry, inside = session.find(key)
    with registry.open(inside, path) as stream:
        shutil.copyfileobj(stream, sys.stdout.buffer, _BLOCK)


@click.command(
    cls=Command,
    examples=("casreg rm my:data@1.0.0", "casreg rm my:draft my:other --yes", "casreg rm 'my:data@<2'"),
)
@key_argument("keys", metavar="NAME[@VERSION]...", nargs=-1, required=True)
@yes_option
@click.pass_obj
def rm(session: Session, keys: Sequence[str], yes: bool) -> None:
    """Delete versions, or all versions of a name.

    VERSION may be a tag or a range too; what it means is shown before you are asked. Numbers are never given again.
    `casreg undelete` brings a version back until its data are collected.
    """
    check_asked("rm", yes=yes)
    found = [_Doomed(session, key) for key in keys]
    lines = [f"{one.name}@{version}" for one in found for version in one.versions]
    confirm(f"delete {counted(len(lines), 'version')}", lines, yes=yes)
    deleted = []
    for one in found:
        for version in one.delete():
            deleted.append(f"{one.name}@{version}")
            if not session.json:
                click.echo(deleted[-1])
    if session.json:
        show_json({"deleted": deleted})


class _Doomed:
    """What is to be deleted for one key: exactly the versions that were there when it was looked at."""

    def __init__(self, session: Session, key: str) -> None:
        """Look.

        Raises:
            ObjectNotFoundError: There is nothing.
        """
        self._registry, self._inside = session.find(key, "rm")
        self.name = key.partition("@")[0]
        self._name = self._inside.partition("@")[0]
        self._whole = "@" not in key
        # Taken before the versions are listed, and compared with what is there at the end: nothing goes unseen.
        self._revision: str = self._registry.info(self._name)["revision"]
        self.versions = self._registry.list_versions(self._inside)
        if not self.versions:
            raise ObjectNotFoundError(
                f"there is no {key!r} to delete; `casreg versions {self.name}` says what there is"
            )

    def delete(self) -> Iterator[str]:
        """Delete them, and give each that is gone.

        Raises:
            ObjectChangedError: The name was changed since it was looked at.
        """
        if self._whole:
            yield from self._registry.delete(self._name, revision=self._revision)
            return
        for version in self.versions:
            yield from self._registry.delete(self._name, version)


@click.command(
    cls=Command, short_help="Bring a deleted version back.", examples=("casreg undelete my:data@1.0.0",)
)
@key_argument(metavar="NAME@VERSION")
@click.pass_obj
def undelete(session: Session, key: str) -> None:
    """Bring a deleted version back, as long as its data have not been collected."""
    registry, inside = session.find(key, "undelete")
    show_version(session, key, registry.undelete(inside))
