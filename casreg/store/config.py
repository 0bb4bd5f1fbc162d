"""The mounts of `Store()`: the lasting local one, those of the configuration file, those of the environment.

The file is TOML, at `settings.config_path()`; it need not exist:

    default_location = "team"

    [mounts.team]
    backend = "s3://models/registry"   # a URI or a path; a relative one begins at the folder of this file
    read_only = true                   # the rest may be left out
    mutable = false
    version_objects = true
    allow_underscore = false
    cache = false                      # local copies of what is loaded: by default for places that are far

`CASREG_MOUNTS="team=s3://other/registry;scratch=/data/scratch"` adds mounts, and says another place for one that the
file has: its other options stay, so that what is read-only does not become writable by accident.  The location
`default` is the folder of `settings.store_dir()`, unless the file or the environment names another place for it.

Nothing here holds a secret: credentials come from where each storage's own tools look for them.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from casreg import settings
from casreg.exceptions import ConfigError, InvalidArgumentError
from casreg.registry import Registry
from casreg.store.keys import check_location
from casreg.store.mounts import Mount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

DEFAULT_LOCATION: Final = "default"
"""The location of the local mount that `Store()` always has."""

_FIELDS: Final = ("default_location", "mounts")
_SWITCHES: Final = ("read_only", "mutable", "version_objects", "allow_underscore", "cache")
_OPTIONS: Final = ("backend", *_SWITCHES)
_ABSOLUTE: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://|~")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What `Store()` begins with.

    Attributes:
        mounts: The mounts, `default` first.
        default_location: The location to ask first.
    """

    mounts: tuple[Mount, ...]
    default_location: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """One mount as it was written.

    Attributes:
        origin: The file or the variable, and the entry there, for messages.
        backend: Its place.
        switches: Its other options.
    """

    origin: str
    backend: str
    switches: Mapping[str, bool]


def read_configuration() -> Configuration:
    """Read the configuration file, if there is one, and the environment.

    Raises:
        ConfigError: One of them cannot be understood. Names it, the entry and what to write.
        InvalidArgumentError: A variable that names a default place cannot be understood.
    """
    path = settings.config_path()
    fields = _read(path)
    written = _of_file(path, fields)
    for location, origin, place in _of_environment(settings.mounts_text()):
        before = written.get(location)
        written[location] = _Entry(origin, place, before.switches if before else {})
    mounts = {location: _mount(location, entry) for location, entry in written.items()}
    if DEFAULT_LOCATION not in mounts:
        lasting = Mount(DEFAULT_LOCATION, Registry(settings.store_dir()))
        mounts = {DEFAULT_LOCATION: lasting, **mounts}
    return Configuration(tuple(mounts.values()), _default(path, fields, mounts))


def _read(path: Path) -> dict[str, Any]:
    """The fields of the file; none if there is no file."""
    origin = _origin(path)
    try:
        fields = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as err:
        raise ConfigError(
            f"{origin} cannot be read ({err.strerror or err}): let it be a readable file, or name another one in "
            f"{settings.CONFIG}"
        ) from err
    except ValueError as err:  # no UTF-8, or no TOML: says in which line
        raise ConfigError(f"{origin} is no TOML: {err}") from err
    _known(fields, _FIELDS, origin)
    return fields


def _of_file(path: Path, fields: Mapping[str, Any]) -> dict[str, _Entry]:
    origin = _origin(path)
    mounts = fields.get("mounts", {})
    if not isinstance(mounts, dict):
        raise ConfigError(f"{origin}: 'mounts' is no table; write [mounts.team] and below it backend = \"…\"")
    entries = {}
    for location, options in mounts.items():
        where = f"{origin}, [mounts.{location}]"
        _check_location(location, where)
        if not isinstance(options, dict):
            raise ConfigError(f'{where}: is no table; write [mounts.{location}] and below it backend = "…"')
        _known(options, _OPTIONS, where)
        entries[location] = _Entry(
            where,
            _place(path, options.get("backend"), where),
            {switch: _switch(options[switch], switch, where) for switch in _SWITCHES if switch in options},
        )
    return entries


def _place(path: Path, backend: object, where: str) -> str:
    if not isinstance(backend, str) or not backend:
        said = "has no backend" if backend is None else "has a backend that is no text, or an empty one"
        raise ConfigError(f'{where}: {said}; write backend = "/a/folder", or a URI')
    return backend if _ABSOLUTE.match(backend) else os.path.join(path.parent, backend)


def _switch(value: object, switch: str, where: str) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{where}: {switch} is {value!r:.80}; write {switch} = true or {switch} = false")
    return value


def _of_environment(text: str | None) -> Iterable[tuple[str, str, str]]:
    """Location, origin and place of each mount that the variable names."""
    seen: set[str] = set()
    for number, part in enumerate((text or "").split(";"), 1):
        if not part.strip():
            continue  # a ';' at the end, as in PATH
        location, equals, place = (one.strip() for one in part.partition("="))
        origin = f"the environment variable {settings.MOUNTS}, entry {number}"
        if not equals or not place:
            raise ConfigError(
                f"{origin}: no location=place; write {settings.MOUNTS}='team=s3://bucket/x;scratch=/data/x'"
            )
        _check_location(location, origin)
        if location in seen:
            raise ConfigError(f"{origin}: {location!r} is there twice; give each mount a location of its own")
        seen.add(location)
        yield location, f"{origin} ({location})", place


def _mount(location: str, entry: _Entry) -> Mount:
    switches: dict[str, Any] = dict(entry.switches)
    read_only = switches.pop("read_only", False)
    try:
        return Mount(location, Registry(entry.backend, **switches), read_only)
    except InvalidArgumentError as err:
        raise ConfigError(f"{entry.origin}: {err}") from err


def _default(path: Path, fields: Mapping[str, Any], mounts: Mapping[str, Mount]) -> str:
    chosen = fields.get("default_location", DEFAULT_LOCATION)
    if not isinstance(chosen, str) or chosen not in mounts:
        raise ConfigError(
            f"{_origin(path)}: default_location is {chosen!r:.80}, and there is no such mount; "
            f"there are {', '.join(map(repr, sorted(mounts)))}"
        )
    return chosen


def _known(given: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Refuse what nobody reads: a misspelt option must not be one that does nothing."""
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f" Did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"{where}: {name!r} is not known; known are {', '.join(known)}.{meant}")


def _check_location(location: str, where: str) -> None:
    try:
        check_location(location)
    except InvalidArgumentError as err:
        raise ConfigError(f"{where}: {err}") from err


def _origin(path: Path) -> str:
    return f"the configuration file {path}"
