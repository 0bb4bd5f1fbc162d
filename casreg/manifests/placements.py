"""Where the bytes of a version are: its placement line, which stands in the manifest, or in a segment if it is long."""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from casreg import canonical
from casreg.canonical import FORMAT, check_format, check_requires
from casreg.digest import Digest, digest_of, from_hex
from casreg.keys import segment_key
from casreg.manifests.fields import array_of, damaged, decoded, natural
from casreg.model import PackRef, Placement, Run
from casreg.packs import FRAME, check_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PLACEMENT_LIMIT: Final = 64 * 1024
"""A placement line longer than this moves to a segment, so that manifests stay small. A default of this writer."""

_SEGMENT_HEADER: Final = re.compile(rb"casreg-segment ([1-9][0-9]{0,8}) placement ([0-9a-f]{32})")
_PACK_NAME: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{64}")
_SECTION: Final = re.compile(r"data|tree|(?:list|tree)\.[1-9]")


def encode_placement(placement: Placement) -> bytes:
    """The placement as one line of JSON, without its line feed."""
    return canonical.dump(
        {
            "inline": placement.inline,
            "packs": [
                [pack.name, pack.size, pack.table_size, pack.table_digest.hex()] for pack in placement.packs
            ],
            "requires": [],
            "runs": {section: [list(run) for run in runs] for section, runs in placement.runs.items()},
        }
    )


def encode_placement_segment(line: bytes) -> bytes:
    """The segment file that holds a long placement line, under a fresh nonce."""
    return b"casreg-segment %d placement %s\n%s\n" % (FORMAT, secrets.token_hex(16).encode(), line)


def decode_placement_segment(data: bytes, digest: Digest) -> Placement:
    """The placement in a segment file.

    Raises:
        CorruptError: The bytes are not those that `digest` names, or no placement.
        UnsupportedFormatError: It is of a newer format.
    """
    key = segment_key(digest)
    if digest_of(data) != digest:
        raise damaged(key)
    try:
        header, line, rest = data.split(b"\n")
    except ValueError as err:
        raise damaged(key) from err
    match = _SEGMENT_HEADER.fullmatch(header)
    if not match or rest:
        raise damaged(key)
    check_format({"format": int(match[1])}, key)
    return decoded(lambda: _placement(canonical.load(line), key), key)


def _placement(fields: Mapping[str, Any], key: str) -> Placement:
    check_requires(fields, key)
    packs = tuple(_pack(item) for item in array_of(fields["packs"]))
    runs: dict[str, tuple[Run, ...]] = {}
    for section, items in fields["runs"].items():
        if not _SECTION.fullmatch(section):
            raise ValueError(f"unknown section {section!r}")
        runs[section] = tuple(_run(item, packs) for item in array_of(items))
        expected = 0
        for run in runs[section]:
            if run.first != expected:
                raise ValueError(f"the runs of {section} leave a gap")
            expected += run.chunks
    return Placement(packs, runs, natural(fields["inline"]))


def _pack(item: list[Any]) -> PackRef:
    name, size, table_size, table_digest = item
    if not _PACK_NAME.fullmatch(name):
        raise ValueError(f"{name!r:.100} names no pack")
    pack = PackRef(name, natural(size), natural(table_size), from_hex(table_digest))
    check_sizes(pack)
    return pack


def _run(item: list[Any], packs: tuple[PackRef, ...]) -> Run:
    pack, offset, length, first, count = item
    run = Run(natural(pack, 0, len(packs) - 1), natural(offset), natural(length, 1), natural(first), count)
    if natural(count, 1) and offset + length > packs[pack].size:
        raise ValueError("a run reaches past the end of its pack")
    if length < count * FRAME.size:
        raise ValueError(f"{count} frames do not fit into {length} bytes")
    return run


def placement_pointer(digest: Digest, size: int, packs: int) -> bytes:
    """The placement line that says that the placement stands in a segment."""
    return canonical.dump({"packs": packs, "requires": [], "segment": digest.hex(), "size": size})


def located(line: bytes, key: str, read_segment: Callable[[Digest], bytes]) -> Placement:
    """The placement that a placement line says, by itself or by naming a segment, which `read_segment` gives.

    Raises:
        CorruptError: The segment is not what it has to be.
        KeyError, TypeError, ValueError: It is no placement line. `fields.decoded` makes one error of these.
        UnsupportedFormatError: It needs what this casreg does not know.
    """
    fields = canonical.load(line)
    if "segment" not in fields:
        return _placement(fields, key)
    check_requires(fields, key)
    digest = from_hex(fields["segment"])
    return replace(decode_placement_segment(read_segment(digest), digest), segment=digest)
