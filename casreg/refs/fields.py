"""Reading fields of stored JSON: each is exactly what format 1 says, or the file is damaged."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from casreg.canonical import MAX_INTEGER
from casreg.digest import Digest
from casreg.exceptions import CorruptError, InvalidVersionError
from casreg.versions import Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

_HEX_64: Final = re.compile(r"[0-9a-f]{64}").fullmatch
_HEX_32: Final = re.compile(r"[0-9a-f]{32}").fullmatch
_TIME: Final = re.compile(
    r"[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])T(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)"
    r"(?:\.[0-9]{1,9})?Z"
).fullmatch


def damaged(what: str, why: str) -> CorruptError:
    """The error for a file that parses, has its `sum`, and still is not what a writer writes."""
    return CorruptError(f"{what} is damaged: {why}; restore it from another copy, or run a verification")


def digest_field(fields: Mapping[str, Any], key: str, what: str) -> Digest:
    """The digest under `key`.

    Raises:
        CorruptError: It is not 64 lower-case hexadecimal characters.
    """
    value = fields.get(key)
    if type(value) is not str or not _HEX_64(value):
        raise damaged(what, f"{key!r} is not a digest: {value!r}")
    return Digest(bytes.fromhex(value))


def id_value(value: object, key: str, what: str) -> str:
    """`value` if it is a random id of 128 bits.

    Raises:
        CorruptError: It is not 32 lower-case hexadecimal characters.
    """
    if type(value) is not str or not _HEX_32(value):
        raise damaged(what, f"{key!r} is not an id of 32 hexadecimal characters: {value!r}")
    return value


def count_field(fields: Mapping[str, Any], key: str, what: str) -> int:
    """The number under `key`, from 0 to 2**53 - 1.

    Raises:
        CorruptError: It is anything else.
    """
    value = fields.get(key)
    if type(value) is not int or not 0 <= value <= MAX_INTEGER:
        raise damaged(what, f"{key!r} is not a number from 0 to 2**53 - 1: {value!r}")
    return value


def time_field(fields: Mapping[str, Any], key: str, what: str) -> str:
    """The time under `key`: RFC 3339, UTC, with `Z`.

    Raises:
        CorruptError: It is anything else.
    """
    value = fields.get(key)
    if type(value) is not str or not _TIME(value):
        raise damaged(what, f"{key!r} is not a time in RFC 3339 and UTC: {value!r}")
    return value


def object_value(value: object, key: str, what: str) -> dict[str, Any]:
    """`value` if it is a JSON object.

    Raises:
        CorruptError: It is anything else.
    """
    if type(value) is not dict:
        raise damaged(what, f"{key!r} is not an object: {value!r}")
    return value


def list_value(value: object, key: str, what: str) -> list[Any]:
    """`value` if it is a JSON array.

    Raises:
        CorruptError: It is anything else.
    """
    if type(value) is not list:
        raise damaged(what, f"{key!r} is not an array: {value!r}")
    return value


def version_value(value: object, what: str) -> Version:
    """The version that `value` spells in its one canonical way.

    Raises:
        CorruptError: It is no version, or is spelt in another way (so that it could be there twice).
    """
    if type(value) is not str:
        raise damaged(what, f"not a version: {value!r}")
    try:
        version = parse_version(value)
    except InvalidVersionError as err:
        raise damaged(what, f"not a version: {value!r}") from err
    if str(version) != value:
        raise damaged(what, f"the version {value!r} should be spelt {version}")
    return version


def rest(fields: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The fields that format 1 does not know: kept as they are, and written again."""
    return {key: value for key, value in fields.items() if key not in known}
