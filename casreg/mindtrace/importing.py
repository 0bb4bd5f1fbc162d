"""Bringing the items of a mindtrace folder into a registry, one by one."""

from __future__ import annotations

import logging
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from casreg.exceptions import (
    CasregError,
    InvalidArgumentError,
    InvalidNameError,
    MaterializerError,
    SourceError,
    StorageError,
)
from casreg.mindtrace.folders import check_hash, describe, items
from casreg.mindtrace.objects import KeptError, Stored, build

if TYPE_CHECKING:
    import os

    from casreg.mindtrace.folders import Description, Item
    from casreg.registry import Registry

log = logging.getLogger("casreg.mindtrace")

Outcome = Literal["imported", "files", "unchanged", "failed"]

NOTE: Final = "mindtrace"
"""The note of an imported version, and the metadata of one that was kept as files, that say what it was."""


@dataclass(frozen=True, slots=True)
class ImportedItem:
    """What became of one version of a mindtrace folder.

    Attributes:
        source: What it is there, as `name@version`.
        outcome: `imported`: an object now; `files`: kept as a folder of its files; `unchanged`: it was here already;
            `failed`: it is not here.
        key: What it is here, as `name@version`; None if it is not.
        reason: Why it failed or was kept as files, which name was changed, which metadata became text. "" for nothing.
        error: The error of one that failed.
    """

    source: str
    outcome: Outcome
    key: str | None
    reason: str
    error: CasregError | None = None


def import_mindtrace(
    folder: str | os.PathLike[str],
    registry: Registry,
    *,
    names: Iterable[str] | Mapping[str, str] | None = None,
    allow_pickle: bool = False,
    trusted: Iterable[str] = (),
    progress: Callable[[ImportedItem, int, int], None] | None = None,
) -> list[ImportedItem]:
    """Bring what a local folder of mindtrace-registry (0.7 to 0.16) holds into `registry`.

    Versions keep their numbers (`1` becomes `1.0.0`) and their metadata. Objects that mindtrace's own materializers
    wrote come as Python objects: `load` gives them without further ado. Anything else comes as a folder of its files,
    whose metadata `mindtrace` says what it was; so do pickles and files of torch, unless `allow_pickle` is set.
    Nothing is run, imported or unpacked because the folder says so. Where the folder has a hash of an item, it is
    checked. One item that cannot be read does not stop the others. Importing again adds nothing; to get an object where
    files are now, `delete` the version and import under another name, since its number stays taken.

    A name that cannot be one here is spelt so: `/` becomes `:`, other characters than letters, digits, `.` and `-`
    become `-`, and those are dropped at the ends of a segment. `names` may give others. Two names that become one are
    an error of both.

    Args:
        folder: The folder.
        registry: Where to; pydantic models are built if their class is registered there under its old dotted name.
        names: Only these names, as they are in the folder; or a dict that says what they shall be called here.
        allow_pickle: Load pickles and files of torch, which runs code that whoever wrote them chose, and save the
            objects, as pickles where nothing else can.
        trusted: As for `Registry.save`.
        progress: Called after each item, with how many are done and how many there are.

    Returns:
        What became of each version, sorted by name and version.

    Raises:
        SourceNotFoundError: There is no such folder.
        InvalidArgumentError: It is no folder of mindtrace-registry, or has not all of the names.
        UnsupportedSourceError: PyYAML is not installed.
        StorageError: The registry's storage refused or failed: the rest would fail as well.
    """
    found = items(Path(folder).absolute())
    wanted = _wanted(found, names)
    found = [item for item in found if item.name in wanted]
    targets = {name: target or _spelt(registry, name) for name, target in wanted.items()}
    results: list[ImportedItem] = []
    for item in found:
        shared = sorted(name for name, target in targets.items() if target == targets[item.name])
        result = _imported(item, targets[item.name], shared, registry, allow_pickle, list(trusted))
        log.debug("%s: %s %s", result.source, result.outcome, result.reason)
        results.append(result)
        if progress:
            progress(result, len(results), len(found))
    return results


def _wanted(found: list[Item], names: Iterable[str] | Mapping[str, str] | None) -> dict[str, str | None]:
    """The names to import, each with what it shall be called, if somebody said."""
    there = {item.name for item in found}
    if names is None:
        return dict.fromkeys(there)
    if isinstance(names, str):
        raise InvalidArgumentError(f"names is a list: write names=[{names!r}]")
    wanted: dict[str, str | None] = dict(names) if isinstance(names, Mapping) else dict.fromkeys(names)
    missing = wanted.keys() - there
    if missing:
        raise InvalidArgumentError(
            f"the folder has no {', '.join(map(repr, sorted(missing)))}; it has {', '.join(sorted(there)[:20])}"
        )
    return wanted


def _spelt(registry: Registry, name: str) -> str:
    """The name here: the same if that can be."""
    try:
        registry.has_object(name)
    except InvalidNameError:
        parts = (re.sub(r"[^A-Za-z0-9.-]+", "-", part).strip(".-") for part in re.split(r"[:/\\]+", name))
        return ":".join(part for part in parts if part)
    return name


def _imported(
    item: Item, name: str, shared: list[str], registry: Registry, allow_pickle: bool, trusted: list[str]
) -> ImportedItem:
    source = f"{item.name}@{item.version}"
    try:
        if len(shared) > 1:
            raise InvalidArgumentError(
                f"{' and '.join(map(repr, shared))} would all be {name!r} here; say what to call them: "
                f"names={{{shared[0]!r}: 'another:name'}}"
            )
        return _brought(item, name, registry, allow_pickle, trusted)
    except StorageError:
        raise
    except CasregError as err:
        return ImportedItem(source, "failed", None, str(err), err)
    except OSError as err:
        failure = SourceError(f"{source} cannot be read: {err}")
        failure.__cause__ = err
        return ImportedItem(source, "failed", None, str(failure), failure)


def _brought(
    item: Item, name: str, registry: Registry, allow_pickle: bool, trusted: list[str]
) -> ImportedItem:
    source, key = f"{item.name}@{item.version}", f"{name}@{item.version}"
    remarks = [] if name == item.name else [f"its name {item.name!r} became {name!r}"]
    said = describe(item)
    if said.hash and _is_here(registry, key, said.hash):
        here = registry.info(key)
        return ImportedItem(source, "unchanged", f"{here['name']}@{here['version']}", "; ".join(remarks))
    check_hash(item, said.hash)
    metadata, changed = _json(said.metadata)
    if changed:
        remarks.append("what JSON cannot hold in its metadata became text or a list")
    notes = {NOTE: _origin(item, said)}
    with tempfile.TemporaryDirectory(prefix="casreg-import-", ignore_cleanup_errors=True) as scratch:
        stored = Stored(
            item.folder,
            said.class_name,
            said.materializer,
            Path(scratch),
            registry._classes,  # noqa: SLF001 - the classes that the user registered; nobody else asks for them
            allow_pickle,
        )
        try:
            obj = build(stored)
            version = registry.save(
                key, obj, metadata=metadata, notes=notes, trusted=trusted, allow_pickle=allow_pickle
            )
            return ImportedItem(source, "imported", f"{name}@{version}", "; ".join(remarks))
        except (KeptError, MaterializerError, SourceError) as err:
            remarks.append(str(err))
    version = registry.save(key, item.folder, metadata={**notes, **metadata}, notes=notes)
    return ImportedItem(source, "files", f"{name}@{version}", "; ".join(remarks))


def _is_here(registry: Registry, key: str, digest: str) -> bool:
    """Whether this version was imported before, from the same files."""
    if not registry.has_object(key):
        return False
    origin = registry.info(key)["notes"].get(NOTE)
    return isinstance(origin, dict) and origin.get("hash") == digest


def _origin(item: Item, said: Description) -> dict[str, Any]:
    return {
        "name": item.name,
        "version": item.version,
        "class": said.class_name,
        "materializer": said.materializer,
        "init_params": _json(said.init_params)[0],
        "hash": said.hash,
    }


def _json(value: Any) -> tuple[Any, bool]:
    """The value as JSON can hold it, and whether it had to be changed for that."""
    if isinstance(value, dict):
        pairs = [(str(key), _json(one)) for key, one in value.items()]
        changed = any(altered for _, (_, altered) in pairs) or any(type(key) is not str for key in value)
        return {key: one for key, (one, _) in pairs}, changed
    if isinstance(value, list | tuple | set):
        elements = [_json(one) for one in (sorted(value, key=repr) if isinstance(value, set) else value)]
        return [one for one, _ in elements], not isinstance(value, list) or any(one for _, one in elements)
    plain = value is None or isinstance(value, bool | str)
    if plain or (isinstance(value, int) and abs(value) < 2**53):
        return value, False
    if isinstance(value, float) and math.isfinite(value):
        return value, False
    return str(value), True
