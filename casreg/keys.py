"""Where everything stands: the keys of a repository, which are relative POSIX paths of ASCII characters.

    casreg.json                       the repository's marker
    gc/head                           the collector's state
    refs/<encoded name>               one per name; the encoding is in `casreg.names`
    manifests/<hh>/<b3>               one per version
    packs/<hh>/<hook>-<b3>            many chunks
    segments/<hh>/<b3>                parts of long histories and placements, lists of the collector
    index/…                           derived hints

`<b3>` is the BLAKE3 of the file's own bytes, 64 lower-case hexadecimal characters, and `<hh>` its first two.
`<hook>` is the first 16 hexadecimal characters of the smallest digest (compared as bytes) of the chunks in the
pack.

Reading a key is exact: `name_of_ref_key` and `parse_data_key` answer None for anything that the functions here
would not have made, so that a file that somebody else put there is never touched.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from casreg.digest import DIGEST_BYTES, Digest, from_hex, to_hex
from casreg.names import decode_name, encode_name

MARKER: Final = "casreg.json"
HEAD: Final = "gc/head"
REFS: Final = "refs/"
MANIFESTS: Final = "manifests/"
PACKS: Final = "packs/"
SEGMENTS: Final = "segments/"
INDEX: Final = "index/"
DATA_PREFIXES: Final = (MANIFESTS, PACKS, SEGMENTS)
"""Under these, and nowhere else, stands data: immutable files that a collector may delete."""

HOOK_CHARACTERS: Final = 16

DataKind = Literal["manifest", "pack", "segment"]

_KINDS: Final[dict[str, DataKind]] = {"manifests": "manifest", "packs": "pack", "segments": "segment"}
_DATA_KEY: Final = re.compile(
    r"(?:(manifests|segments)/([0-9a-f]{2})/(\2[0-9a-f]{62})"
    r"|(packs)/([0-9a-f]{2})/([0-9a-f]{16})-(\5[0-9a-f]{62}))"
)


@dataclass(frozen=True, slots=True)
class DataKey:
    """What the key of an immutable file says.

    Attributes:
        kind: The folder it is in.
        digest: The BLAKE3 that the file's bytes must have.
        hook: Of a pack, the beginning of its smallest chunk digest, 16 hexadecimal characters; else None.
    """

    kind: DataKind
    digest: Digest
    hook: str | None


def ref_key(name: str) -> str:
    """The key of the ref of `name`, at most 200 bytes long.

    Raises:
        InvalidNameError: It is not a name (underscores and hidden names are fine), or too long.
    """
    return REFS + encode_name(name)


def name_of_ref_key(key: str) -> str | None:
    """The name whose `ref_key` is exactly `key`, or None."""
    return decode_name(key.removeprefix(REFS)) if key.startswith(REFS) else None


def manifest_key(digest: Digest) -> str:
    """The key of the manifest file with these bytes."""
    text = _hex(digest)
    return f"{MANIFESTS}{text[:2]}/{text}"


def segment_key(digest: Digest) -> str:
    """The key of the segment file with these bytes."""
    text = _hex(digest)
    return f"{SEGMENTS}{text[:2]}/{text}"


def hook_of(smallest: Digest) -> str:
    """The hook of a pack, from the smallest of its chunks' digests."""
    return _hex(smallest)[:HOOK_CHARACTERS]


def pack_key(hook: str, digest: Digest) -> str:
    """The key of the pack file with these bytes. `hook` comes from `hook_of`."""
    text = _hex(digest)
    key = f"{PACKS}{text[:2]}/{hook}-{text}"
    assert _DATA_KEY.fullmatch(key), f"not a hook: {hook!r}"
    return key


def is_data_key(key: str) -> bool:
    """Whether `parse_data_key` would understand `key`, in half the time."""
    return _DATA_KEY.fullmatch(key) is not None


def parse_data_key(key: str) -> DataKey | None:
    """What `key` says if `manifest_key`, `pack_key` or `segment_key` could have made it, else None."""
    match = _DATA_KEY.fullmatch(key)
    if match is None:
        return None
    folder, _, text, packs, _, hook, pack_text = match.groups()
    return DataKey(_KINDS[folder or packs], from_hex(text or pack_text), hook)


def _hex(digest: Digest) -> str:
    # A key made of anything else would never be found again, nor collected.
    assert len(digest) == DIGEST_BYTES, f"a digest has {DIGEST_BYTES} bytes, this has {len(digest)}"
    return to_hex(digest)
