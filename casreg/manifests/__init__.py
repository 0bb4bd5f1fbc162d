"""Manifests: the small immutable files that say what one version is, and where its bytes are.

`files` has the file as a whole, `contents` what a version is (with its tree, and lists of chunks), `placements` where its
bytes are, and `fields` reads what both are made of.
"""

from __future__ import annotations

from casreg.manifests.contents import (
    LIST_RECORD,
    MAX_LINE,
    decode_list,
    decode_tree,
    encode_content,
    encode_list,
    encode_tree,
)
from casreg.manifests.files import (
    decode_manifest,
    decode_placement,
    encode_manifest,
    encode_metadata,
    identities,
)
from casreg.manifests.placements import (
    PLACEMENT_LIMIT,
    decode_placement_segment,
    encode_placement,
    encode_placement_segment,
    placement_pointer,
)

__all__ = [
    "LIST_RECORD",
    "MAX_LINE",
    "PLACEMENT_LIMIT",
    "decode_list",
    "decode_manifest",
    "decode_placement",
    "decode_placement_segment",
    "decode_tree",
    "encode_content",
    "encode_list",
    "encode_manifest",
    "encode_metadata",
    "encode_placement",
    "encode_placement_segment",
    "encode_tree",
    "identities",
    "placement_pointer",
]
