"""What the tests of the cache share."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from casreg.digest import digest_of
from casreg.keys import PACKS, pack_key

if TYPE_CHECKING:
    from pathlib import Path

    from casreg import Cache
    from casreg.backends.base import Backend

MIB = 1 << 20


def noise(size: int, seed: int = 0) -> bytes:
    """Bytes that do not compress."""
    return random.Random(seed).randbytes(size)


def copies_in(cache: Cache) -> list[Path]:
    """All files that hold copies."""
    return sorted(path for path in cache.path.glob("v1/??/*") if path.is_file())


def packs_at(backend: Backend) -> list[str]:
    """The keys of all packs."""
    return [row.key for row in backend.list(PACKS)]


def put_pack(backend: Backend, data: bytes) -> str:
    """Store bytes under the key that a pack of them would have."""
    key = pack_key("0" * 16, digest_of(data))
    backend.create(key, data)
    return key
