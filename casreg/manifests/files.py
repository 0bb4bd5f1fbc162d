r"""The manifest: the small immutable file that says what one version is and where its bytes are.

    casreg-manifest 1 <nonce, 32 hexadecimal characters>\n
    <data line: materializer, parameters, entries>\n
    <metadata line: what the user said of it>\n
    <placement line: packs and runs, or the segment that holds them>\n
    <the payload itself, when it is at most 16 KiB>

The identity `data` is the BLAKE3 of the data line as stored, `content` that of the data line, a line feed and the
metadata line.  Neither is ever computed from re-serialised values.  `docs/format.md` is normative.
"""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

from casreg import canonical
from casreg.canonical import FORMAT, check_format
from casreg.digest import Digest, digest_of
from casreg.keys import manifest_key
from casreg.manifests.contents import decode_content
from casreg.manifests.fields import damaged, decoded, object_of
from casreg.manifests.placements import located
from casreg.model import Content, Manifest, Placement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_HEADER: Final = re.compile(rb"casreg-manifest ([1-9][0-9]{0,8}) ([0-9a-f]{32})")


def identities(data_line: bytes, metadata_line: bytes) -> tuple[Digest, Digest]:
    """The identities `data` and `content` of a version, from its two lines as stored (without their line feeds)."""
    return digest_of(data_line), digest_of(data_line + b"\n" + metadata_line)


def encode_metadata(metadata: Mapping[str, object]) -> bytes:
    """The metadata line, without its line feed.

    Raises:
        InvalidMetadataError: It holds what JSON cannot hold without loss. Says where.
    """
    return canonical.dump(dict(metadata), what="metadata")


def encode_manifest(data_line: bytes, metadata_line: bytes, placement_line: bytes, inline: bytes) -> bytes:
    """A manifest file, under a fresh nonce."""
    header = b"casreg-manifest %d %s" % (FORMAT, secrets.token_hex(16).encode())
    return b"\n".join((header, data_line, metadata_line, placement_line, inline))


def decode_manifest(data: bytes, digest: Digest, read_segment: Callable[[Digest], bytes]) -> Manifest:
    """Read a manifest file.

    Args:
        data: All bytes of the file.
        digest: Its name.
        read_segment: Gives the bytes of a segment file, for a placement that does not stand in the manifest.

    Raises:
        CorruptError: The bytes are not those that `digest` names, or no manifest. Names the file.
        UnsupportedFormatError: It is of a newer format, or needs a feature that this casreg does not know.
    """
    key = manifest_key(digest)
    data_line, metadata_line, placement_line, inline = _parts(data, digest, key)
    placement = decoded(lambda: located(placement_line, key, read_segment), key)
    content = decoded(lambda: decode_content(data_line), key)
    if placement.inline != len(inline) or (inline and not _is_inline(content, placement)):
        raise damaged(key)
    identity, content_id = identities(data_line, metadata_line)
    return Manifest(
        digest=digest,
        data=identity,
        content_id=content_id,
        content=content,
        metadata=decoded(lambda: object_of(canonical.load(metadata_line)), key),
        placement=placement,
        inline=inline,
        lines=(data_line, metadata_line),
    )


def decode_placement(data: bytes, digest: Digest, read_segment: Callable[[Digest], bytes]) -> Placement:
    """Only the placement in a manifest file, in a part of the time. All of the file is compared with its name.

    Arguments and errors as those of `decode_manifest`, which looks at the other lines too.
    """
    key = manifest_key(digest)
    line = _parts(data, digest, key)[2]
    return decoded(lambda: located(line, key, read_segment), key)


def _parts(data: bytes, digest: Digest, key: str) -> tuple[bytes, bytes, bytes, bytes]:
    """The three lines of a manifest, and its payload, after its bytes and its format were checked."""
    if digest_of(data) != digest:
        raise damaged(key)
    header, *parts = data.split(b"\n", 4)
    match = _HEADER.fullmatch(header)
    if not match:
        raise damaged(key)
    check_format({"format": int(match[1])}, key)
    if len(parts) != 4:
        raise damaged(key)
    return parts[0], parts[1], parts[2], parts[3]


def _is_inline(content: Content, placement: Placement) -> bool:
    """Whether the payload of a manifest can be all the bytes of its files, which is the only thing it may be."""
    return content.tree is None and not placement.runs and placement.inline == content.size
