"""How mindtrace-registry keeps things in a folder: for each version a YAML file beside, and a folder of files.

    _meta_<name>@<version>.yaml       class, materializer, metadata, hash; `:` is `%3A` in 0.16 and `_` in 0.7
    <name>/<version>/…                the files, as its materializer wrote them

Nothing that stands in these files is believed where it matters: where the files are is derived from the name of the
YAML file, never from its field `path`, and no link is followed.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import CorruptError, InvalidArgumentError, SourceNotFoundError, UnsupportedSourceError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX: Final = "_meta_"
_SUFFIX: Final = ".yaml"
_MAX_YAML: Final = 16 * 1024 * 1024
_STEP: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Item:
    """One version in a mindtrace folder.

    Attributes:
        name: Its name there.
        version: Its version there.
        yaml: The file that describes it.
        root: The whole folder.
        folder: Where in it the files are.
    """

    name: str
    version: str
    yaml: Path
    root: Path
    folder: Path


@dataclass(frozen=True, slots=True)
class Description:
    """What the YAML file of an item says.

    Attributes:
        class_name: Dotted name of the object's class. Text, never imported.
        materializer: Dotted name of what wrote the files. Text, never imported.
        init_params: What that was given beside the object.
        metadata: What the user said of it.
        hash: SHA-256 over its files; "" if there is none.
    """

    class_name: str
    materializer: str
    init_params: dict[str, Any]
    metadata: dict[str, Any]
    hash: str


def items(root: Path) -> list[Item]:
    """All versions in a folder, sorted by name, and as numbers sort by version.

    Raises:
        SourceNotFoundError: There is no such folder.
        InvalidArgumentError: It is no folder of mindtrace-registry.
        UnsupportedSourceError: PyYAML is not installed.
    """
    if find_spec("yaml") is None:
        raise UnsupportedSourceError(
            "reading folders of mindtrace-registry needs PyYAML: pip install 'casreg[mindtrace]'"
        )
    if not root.is_dir():
        raise SourceNotFoundError(f"{root} is not a folder; name one that mindtrace-registry has written")
    found = sorted((_item(root, path) for path in _described(root)), key=_order)
    if not found and not (root / "registry_metadata.json").is_file():
        raise InvalidArgumentError(
            f"{root} is no folder of mindtrace-registry: it has neither registry_metadata.json nor _meta_*.yaml"
        )
    return found


def _described(root: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(root):  # follows no link to a folder
        beside = Path(folder).relative_to(root).as_posix()
        if beside != "." and not beside.startswith(_PREFIX):
            continue
        for name in names:
            if name.endswith(_SUFFIX) and (beside != "." or name.startswith(_PREFIX)) and "@" in name:
                yield Path(folder, name)


def _item(root: Path, path: Path) -> Item:
    label = path.relative_to(root).as_posix().removeprefix(_PREFIX).removesuffix(_SUFFIX)
    name, _, version = label.rpartition("@")
    newer, older = name.replace("%3A", ":"), name.replace("_", ":")
    # A name has no `_` in 0.7, so that this one is of 0.7 if only its folder is there.
    chosen = older if not (root / newer).is_dir() and (root / older).is_dir() else newer
    return Item(chosen, version, path, root, root.joinpath(*PurePosixPath(chosen).parts, version))


def _order(item: Item) -> tuple[str, list[tuple[int, str]]]:
    parts = item.version.removeprefix("v").split(".")
    return item.name, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def describe(item: Item) -> Description:
    """Read the YAML file of an item.

    Raises:
        CorruptError: It is damaged, or not what mindtrace-registry writes.
        UnsupportedSourceError: The file is a link.
    """
    import yaml

    if item.yaml.is_symlink() or item.yaml.stat().st_size > _MAX_YAML:
        raise UnsupportedSourceError(f"{item.yaml} is a symbolic link, or far too large to be a description")
    try:
        fields = yaml.safe_load(item.yaml.read_bytes())
        return Description(
            str(fields["class"]),
            str(fields["materializer"]),
            dict(fields.get("init_params") or {}),
            dict(fields.get("metadata") or {}),
            str(fields.get("hash") or ""),
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as err:
        raise CorruptError(
            f"{item.yaml} is no description of an item ({type(err).__name__}: {str(err).splitlines()[0] if str(err) else ''}); "
            "mend it, or save the object again"
        ) from err


def files(item: Item) -> list[Path]:
    """The files of an item.

    Raises:
        CorruptError: Its folder is missing.
        UnsupportedSourceError: Something in it, or on the way to it, is a link or a device.
    """
    if ".." in item.folder.parts or not item.folder.is_relative_to(item.root):
        raise UnsupportedSourceError(f"{item.name!r} leads out of the folder; nothing of it is imported")
    for place in (item.folder, *item.folder.parents):
        if place == item.root:
            break
        if place.is_symlink():
            raise UnsupportedSourceError(f"{place} is a symbolic link; nothing behind links is imported")
    if not item.folder.is_dir():
        raise CorruptError(
            f"the files of {item.name}@{item.version} are missing: there is no folder {item.folder}"
        )
    found: list[Path] = []
    for folder, folders, names in os.walk(item.folder):
        for name in (*folders, *names):
            path = Path(folder, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise UnsupportedSourceError(
                    f"{path} is a symbolic link or a device; nothing of this item is imported"
                )
        found += [Path(folder, name) for name in names]
    return found


def check_hash(item: Item, expected: str) -> None:
    """See that the files are those that were saved, where the description has their hash.

    Raises:
        CorruptError: They are not, by the way that 0.16 counts it nor by that of 0.7.
        UnsupportedSourceError: One of them is a link.
    """
    held = files(item)
    if not expected:
        return
    newer, older = hashlib.sha256(), hashlib.sha256()
    for path in sorted(held, key=lambda path: path.relative_to(item.folder).as_posix()):
        newer.update(b"P\0" + path.relative_to(item.folder).as_posix().encode() + b"\0C\0")
        _feed(newer, path)
        newer.update(b"\0F\0")
    if newer.hexdigest() == expected:
        return
    for path in sorted(held):
        older.update(str(path.relative_to(item.folder)).encode())
        _feed(older, path)
    if older.hexdigest() != expected:
        raise CorruptError(
            f"the files of {item.name}@{item.version} in {item.folder} are not those that were saved: their hash is "
            f"{newer.hexdigest()} (0.16) or {older.hexdigest()} (0.7), and the description says {expected}"
        )


def _feed(hasher: hashlib._Hash, path: Path) -> None:
    with path.open("rb") as source:
        while piece := source.read(_STEP):
            hasher.update(piece)
