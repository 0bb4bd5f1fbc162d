"""The index stays in proportion to what it says, whoever may or may not delete."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.exceptions import StoragePermissionError
from casreg.index import ENTRY, HEADER, PACK, Index
from casreg.model import PackRef
from casreg.packs import FRAME, HEADER as PACK_HEADER, RECORD, TRAILER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.digest import Digest


class NoDelete(MemoryBackend):
    """A place where writers may not delete, as the protocol allows."""

    def delete(self, keys: Iterable[str]) -> None:
        """Refuse."""
        raise StoragePermissionError(f"not allowed: {list(keys)}")


def size_of_index(backend: MemoryBackend) -> int:
    """Bytes of all its files."""
    return sum(info.size for info in backend.list("index/"))


def pack_of(number: int, chunks: int) -> tuple[PackRef, list[Digest]]:
    """Some pack, and the digests of its chunks."""
    digests = [digest_of(f"{number}-{chunk}".encode()) for chunk in range(chunks)]
    size = PACK_HEADER.size + TRAILER.size + chunks * (RECORD.size + FRAME.size + 100)
    name = f"{min(digests).hex()[:16]}-{digest_of(b'%d' % number).hex()}"
    return PackRef(name, size, chunks * RECORD.size, digest_of(b"table")), digests


def test_a_writer_that_may_not_delete() -> None:
    """It adds a file with each save and merges nothing: else the index would double with each."""
    backend, source = NoDelete(), random.Random(1)
    for _ in range(12):
        Registry(backend).save("thing", source.randbytes(60_000))
    assert size_of_index(backend) < 12 * 400


def test_what_two_writers_merged_is_there_once() -> None:
    """Two that merge the same file leave its entries twice; the next merge has them once."""
    backend = MemoryBackend()
    for turn in range(8):
        held = {info.key: backend.get(info.key).data for info in backend.list("index/")}
        Index(backend).add([pack_of(2 * turn, 10)])
        for key in held.keys() - {info.key for info in backend.list("index/")}:
            backend.create(key, held[key])  # as if the next one had read it before this one deleted it
        Index(backend).add([pack_of(2 * turn + 1, 10)])
    assert size_of_index(backend) < 2 * 16 * (10 * ENTRY + PACK.size + HEADER.size)
    for number in range(16):
        ref, digests = pack_of(number, 10)
        assert {(digest, ref) for digest in digests} <= set(Index(backend).find(digests))
