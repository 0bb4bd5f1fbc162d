"""Names of data in as few bytes as tell them apart: a collector holds those of a whole repository in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from casreg.digest import Digest
from casreg.keys import is_data_key, manifest_key, pack_key, segment_key

if TYPE_CHECKING:
    from collections.abc import Iterable

Name: TypeAlias = bytes
"""One file of data: of a manifest or segment a letter and the digest, 33 bytes; of a pack hook and digest, 40 bytes."""

Kind = Literal["manifests", "packs", "segments"]

KINDS: Final[tuple[Kind, ...]] = ("manifests", "packs", "segments")

_MANIFEST: Final = b"m"
_SEGMENT: Final = b"s"
_HOOK_BYTES: Final = 8
_PACK_BYTES: Final = 40


def name_of(key: str) -> Name | None:
    """The name of the file with this key; None if it is not exactly the key of data."""
    if not is_data_key(key):
        return None
    folder, _, rest = key.partition("/")
    _, _, text = rest.partition("/")
    if folder == "packs":
        return of_pack(text)
    return (_MANIFEST if folder == "manifests" else _SEGMENT) + bytes.fromhex(text)


def names_of(keys: Iterable[str]) -> set[Name]:
    """The names of those of `keys` that are keys of data."""
    return {name for name in map(name_of, keys) if name is not None}


def of_manifest(digest: Digest) -> Name:
    """The name of a manifest."""
    return _MANIFEST + digest


def of_segment(digest: Digest) -> Name:
    """The name of a segment."""
    return _SEGMENT + digest


def of_pack(text: str) -> Name:
    """The name of a pack, from `<hook>-<b3>`, as placements name it."""
    return bytes.fromhex(text.replace("-", ""))


def key_of(name: Name) -> str:
    """The key that `name_of` made the name from."""
    if len(name) == _PACK_BYTES:
        return pack_key(name[:_HOOK_BYTES].hex(), Digest(name[_HOOK_BYTES:]))
    digest = Digest(name[1:])
    return manifest_key(digest) if name[:1] == _MANIFEST else segment_key(digest)


def kind_of(name: Name) -> Kind:
    """What it is."""
    if len(name) == _PACK_BYTES:
        return "packs"
    return "manifests" if name[:1] == _MANIFEST else "segments"
