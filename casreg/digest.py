"""Digests: 32-byte BLAKE3 values that name every immutable byte of a repository.

A digest is `bytes` at run time, so that tables of millions cost nothing extra, and a type of its own to
the type checker.  In keys and JSON it is 64 lower-case hexadecimal characters.

Source: BLAKE3, https://github.com/BLAKE3-team/BLAKE3-specs (256-bit output, no key, no context).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NewType

from blake3 import blake3

if TYPE_CHECKING:
    from typing_extensions import Buffer

Digest = NewType("Digest", bytes)
"""The 32 bytes of a BLAKE3-256 value."""

DIGEST_BYTES: Final = 32
_HEX: Final = re.compile(r"[0-9a-f]{64}")


def digest_of(data: Buffer) -> Digest:
    """The BLAKE3-256 digest of one buffer (bytes-like, any length). Releases the GIL while it hashes."""
    return Digest(blake3(data).digest())


def to_hex(digest: Digest) -> str:
    """The 64 lower-case hexadecimal characters of `digest`."""
    return digest.hex()


def from_hex(text: str) -> Digest:
    """Read exactly 64 lower-case hexadecimal characters.

    Raises:
        ValueError: `text` is anything else (upper case, white space and prefixes included).
    """
    if not _HEX.fullmatch(text):
        raise ValueError(f"not a digest of 64 lower-case hexadecimal characters: {text!r}")
    return Digest(bytes.fromhex(text))
