"""Keys of a store: `location/name`, `location/name@version`, and without a location where a store looks for it.

A **location** is the name of a mount: ASCII letters, digits, `-`, `.` and `_`, from a letter or digit to a letter or
digit.  Names never hold a `/`, so the first `/` of a key always stands behind a location: a misspelt location is
a location that does not exist, never a part of a name.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from casreg.backends.base import shown
from casreg.exceptions import InvalidArgumentError, StoreKeyFormatError
from casreg.names import check_name

_LOCATION: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_RULE: Final = (
    "a location is ASCII letters, digits, '-', '.' and '_', beginning and ending with a letter or digit"
)
_FORM: Final = "a key is 'location/name' or 'location/name@version', as in 'team/my:model@1.0.0'"


class StoreKey(NamedTuple):
    """A key, taken apart. `str()` puts it together again.

    Attributes:
        location: The mount; None where the key does not say.
        name: The name of the object.
        version: A version, tag or range, unchecked; None where the key does not say.
    """

    location: str | None
    name: str
    version: str | None = None

    def __str__(self) -> str:
        return self.inside if self.location is None else f"{self.location}/{self.inside}"

    @property
    def inside(self) -> str:
        """What the registry at the location calls it: `name`, or `name@version`."""
        return self.name if self.version is None else f"{self.name}@{self.version}"


def check_location(location: object) -> str:
    """Return `location` if a mount may have it.

    Raises:
        InvalidArgumentError: It cannot be a location.
    """
    if not isinstance(location, str):
        raise InvalidArgumentError(f"a {type(location).__name__} cannot be the location of a mount: {_RULE}")
    if not _LOCATION.fullmatch(location):
        raise InvalidArgumentError(f"{_shown(location)} cannot be the location of a mount: {_RULE}")
    return str.__str__(location)


def parse_key(key: str) -> StoreKey:
    """Take a key apart. Whether a mount has the location is for the store to say.

    Raises:
        StoreKeyFormatError: It is no key.
        InvalidNameError: Its name cannot be one in any registry.
    """
    text = _checked(key)
    location, name, version = _parts(text)
    if not name:
        raise StoreKeyFormatError(f"{_shown(text)} has no name: {_FORM}")
    return StoreKey(location, check_name(name, allow_underscore=True), version)


def parse_pattern(pattern: str) -> tuple[str | None, str]:
    """The location of `location/pattern`, None if it has none, and the pattern of names, with `@version` if it has one.

    Raises:
        StoreKeyFormatError: It is no pattern.
    """
    location, names, version = _parts(_checked(pattern))
    return location, StoreKey(None, names, version).inside


def build_key(location: str, name: str, version: str | None = None) -> str:
    """The key of these parts; `parse_key` gives them back.

    Raises:
        InvalidArgumentError: The location cannot be one.
        InvalidNameError: The name cannot be one in any registry.
        StoreKeyFormatError: The version is empty, or has a `/` or an `@`.
    """
    key = StoreKey(check_location(location), check_name(name, allow_underscore=True), version)
    parse_key(str(key))  # the version
    return str(key)


def _checked(key: object) -> str:
    if not isinstance(key, str):
        raise StoreKeyFormatError(f"a key is a text, not a {type(key).__name__}: {_FORM}")
    if not key:
        raise StoreKeyFormatError(f"the key is empty: {_FORM}")
    return str.__str__(key)


def _parts(text: str) -> tuple[str | None, str, str | None]:
    """Location, name (perhaps empty) and version of a key."""
    path, at, version = text.partition("@")
    location, slash, name = path.partition("/")
    if not slash:
        location, name = "", path
    if "/" in name or "/" in version:
        raise StoreKeyFormatError(
            f"{_shown(text)} has a '/' in its name or version: {_FORM}. Parts of a name are joined by ':'"
        )
    if at and (not version or "@" in version):
        raise StoreKeyFormatError(f"{_shown(text)} is not name@version, with one '@': {_FORM}")
    if slash and not _LOCATION.fullmatch(location):
        raise StoreKeyFormatError(f"{_shown(text)} does not begin with a location: {_RULE}")
    return location if slash else None, name, version if at else None


def _shown(text: str) -> str:
    """`text` for a message; without a password, where a URI was given in place of a key or location."""
    return f"{shown(text)!r:.80}"
