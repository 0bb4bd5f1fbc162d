"""The repository's marker, `casreg.json`: which format, which repository, and where it is safe to write.

A sealed JSON object (see `casreg.canonical`):

    {"format":1,"id":"<32 hex>","probe":{"place":"…","result":"ok"},"requires":[],"sum":"…"}

`id` is drawn at random once, when the repository is made, and again by an adoption after a copy. `probe` says
that the storage was seen to honour conditional writes, and for which place: elsewhere, after a folder or bucket
was copied, it counts for nothing. `null` means never probed. Fields of the object that
this casreg does not know are kept; `probe` is replaced as a whole.

Writers and collectors read it; readers need not.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from casreg.canonical import FORMAT, check_format, check_requires, seal, unseal
from casreg.exceptions import CorruptError

if TYPE_CHECKING:
    from collections.abc import Mapping

PROBE_OK: Final = "ok"
"""The result of a probe in which the storage did all that it must."""

_ID: Final = re.compile(r"[0-9a-f]{32}")
_OWN_FIELDS: Final = frozenset({"format", "id", "requires", "probe"})


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe of conditional writes found.

    Attributes:
        place: The location it was made at (`Backend.location`); it holds for no other.
        result: `ok`, or a word of a later casreg.
    """

    place: str
    result: str


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of `casreg.json`.

    Attributes:
        id: The repository's id, 32 hexadecimal characters.
        probe: The last probe of the storage, None if there was none.
        requires: Words that a writer must know; those that parsing let through.
        extra: Fields of later versions of casreg, to be written back as they are.
    """

    id: str
    probe: Probe | None = None
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def is_probed(self, place: str) -> bool:
        """Whether the storage was seen to honour conditional writes at `place`."""
        return self.probe == Probe(place, PROBE_OK)


def new_marker(probe: Probe | None = None) -> Marker:
    """A marker with an id that was never used before."""
    return Marker(secrets.token_hex(16), probe)


def dump_marker(marker: Marker) -> bytes:
    """The bytes to store, ending in a newline."""
    probe = marker.probe
    return seal(
        {
            **marker.extra,
            "format": FORMAT,
            "id": marker.id,
            "requires": list(marker.requires),
            "probe": {"place": probe.place, "result": probe.result} if probe else None,
        },
        "casreg.json",
    )


def parse_marker(data: bytes, what: str = "casreg.json") -> Marker:
    """The marker in `data`.

    Args:
        data: All bytes of the file.
        what: The name of the file for messages, best with its location.

    Raises:
        CorruptError: The checksum does not match, or a field is missing or is not what it must be.
        UnsupportedFormatError: The format's number, or a word in `requires`, is of a later casreg.
    """
    body = unseal(data, what)
    check_format(body, what)
    requires = check_requires(body, what)
    ident = body.get("id")
    if type(ident) is not str or not _ID.fullmatch(ident):
        raise CorruptError(
            f"{what} has no repository id of 32 hexadecimal characters: restore it from a copy"
        )
    extra = {key: value for key, value in body.items() if key not in _OWN_FIELDS}
    return Marker(ident, _parse_probe(body.get("probe"), what), requires, extra)


def _parse_probe(probe: object, what: str) -> Probe | None:
    if probe is None:
        return None
    place, result = (probe.get("place"), probe.get("result")) if isinstance(probe, dict) else (None, None)
    if type(place) is not str or type(result) is not str:
        raise CorruptError(f"{what} has a `probe` without place and result: restore it from a copy")
    return Probe(place, result)
