"""Reading immutable data by way of local copies.

Manifests and segments are small, are read whole, and are kept whole.  Packs and the files of the index are read in
parts, and kept in aligned blocks, so that parts that overlap (those of two versions, say) share them.  What is
missing of one read is fetched with one request, never more; what another thread is fetching is waited for.

Blocks of 256 KiB: loading a version reads at most 1.4 times the bytes that it needs, typically 1.01 to 1.1 times,
and 10 GiB are 40,000 files.  With 1 MiB a version whose chunks are scattered over two packs costs the same, and one
that needs a few chunks of a pack twice as much; 64 KiB save hardly anything, for four times the files.
"""

from __future__ import annotations

import os
import re
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Final, NamedTuple

from casreg.backends.base import Object, traits_of
from casreg.digest import digest_of
from casreg.keys import INDEX, parse_data_key

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Buffer

    from casreg.backends.base import Readable, Traits
    from casreg.cache.shelf import Shelf

BLOCK: Final = 256 * 1024

_PATIENCE_SECONDS: Final = 120.0
_INDEX_KEY: Final = re.compile(INDEX + r"([0-9a-f]{64})")


class Named(NamedTuple):
    """What the key of an immutable file says of it.

    Attributes:
        digest: The BLAKE3 of its bytes, hexadecimal.
        whole: It is small, and read whole.
    """

    digest: str
    whole: bool


def named(key: str) -> Named | None:
    """What `key` says if it is that of an immutable file, whose name is the BLAKE3 of its bytes; else None."""
    data = parse_data_key(key)
    if data is not None:
        return Named(data.digest.hex(), data.kind != "pack")
    index = _INDEX_KEY.fullmatch(key)
    return Named(index[1], whole=False) if index else None


class Copies:
    """Gives bytes of immutable files, from local copies where there are any. All else is asked of the place.

    What this returns shows that the bytes are right, and nothing more: **not** that the key exists at the place.
    So nothing may be built on it; whoever needs a sighting asks the backend itself.

    For any number of threads, also after a fork.
    """

    def __init__(self, backend: Readable, shelf: Shelf) -> None:
        """No I/O."""
        self._backend = backend
        self._shelf = shelf
        self._pid = os.getpid()
        self._claims: dict[str, Future[Buffer]] = {}

    def __reduce__(self) -> tuple[object, ...]:
        return (Copies, (self._backend, self._shelf))

    @property
    def location(self) -> str:
        """That of the place."""
        return self._backend.location

    @property
    def traits(self) -> Traits:
        """Those of the place: what is not here is asked of it."""
        return traits_of(self._backend)

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """Read bytes as `Backend.get`, with one request to the place at most. What is immutable has no token here.

        Raises:
            NotFound: There is no such key, and no copy of all that was asked for.
            StorageError: The place cannot be read, and there is no such copy.
        """
        name = named(key)
        if name is not None and name.whole and start == 0 and stop is None:
            return Object(self._whole(key, name), None)
        if name is not None and not name.whole and stop is not None and 0 <= start < stop:
            return Object(self._range(key, name, start, stop), None)
        return self._backend.get(key, start, stop, held=held)

    def renew(self, key: str, start: int, stop: int) -> Object:
        """Read bytes at the place, and replace the copies of them. For bytes that turned out to be damaged.

        Raises:
            NotFound: There is no such key.
            StorageError: The place cannot be read.
        """
        name = named(key)
        if name is None or name.whole or start >= stop:
            return self._backend.get(key, start, stop)
        first, last = _blocks(start, stop)
        blocks = _split(self._fetch(key, first, last), first, last)
        self._keep_blocks(name, blocks)
        return Object(_joined(blocks, start, stop), None)

    def keep(self, key: str, data: Buffer) -> None:
        """Keep copies of what was just written, if it is of a kind that is kept."""
        name = named(key)
        if name is None:
            return
        if name.whole:
            self._shelf.write(f"{name.digest}.whole", data)
        elif size := memoryview(data).nbytes:
            self._keep_blocks(name, _split(memoryview(data).cast("B"), *_blocks(0, size)))

    def _whole(self, key: str, name: Named) -> bytes:
        label = f"{name.digest}.whole"
        copy = self._shelf.read(label)
        if copy is not None:
            return copy
        found = self._backend.get(key).data
        # What is damaged at the place is the caller's to find out, and nothing to keep.
        if digest_of(found).hex() == name.digest:
            self._shelf.write(label, found)
        return found

    def _range(self, key: str, name: Named, start: int, stop: int) -> bytes:
        first, last = _blocks(start, stop)
        blocks: dict[int, Buffer] = {}
        mine: dict[int, Future[Buffer]] = {}
        others: dict[int, Future[Buffer]] = {}
        claimed = self._claimed()
        try:
            for number in range(first, last + 1):
                found = self._copy_or_claim(claimed, f"{name.digest}.{number}")
                if isinstance(found, bytes):
                    blocks[number] = found
                    if len(found) < BLOCK:
                        break  # the file ends here
                else:
                    claim, is_mine = found
                    (mine if is_mine else others)[number] = claim
            if mine:
                # Before waiting for anybody: so nobody ever waits for one who waits.
                blocks |= self._fetch_claimed(key, name, mine)
        finally:
            for number, claim in mine.items():
                claimed.pop(f"{name.digest}.{number}", None)
                claim.cancel()  # if nothing came of it
        missing = [
            number for number in others if number not in blocks and not _received(others, number, blocks)
        ]
        if missing:
            blocks |= _split(self._fetch(key, missing[0], missing[-1]), missing[0], missing[-1])
        return _joined(blocks, start, stop)

    def _copy_or_claim(
        self, claimed: dict[str, Future[Buffer]], label: str
    ) -> bytes | tuple[Future[Buffer], bool]:
        """The copy with this name; without one, who fetches it, and whether that is this thread."""
        copy = self._shelf.read(label)
        if copy is not None:
            return copy
        mine: Future[Buffer] = Future()
        claim = claimed.setdefault(label, mine)
        if claim is not mine:
            return claim, False
        copy = self._shelf.read(label)  # another thread may have ended its claim since the first look
        if copy is None:
            return mine, True
        del claimed[label]
        mine.set_result(copy)
        return copy

    def _fetch_claimed(self, key: str, name: Named, mine: Mapping[int, Future[Buffer]]) -> dict[int, Buffer]:
        """Fetch what this thread has claimed, and all between, with one request; hand it to those who wait."""
        first, last = min(mine), max(mine)
        blocks = _split(self._fetch(key, first, last), first, last)
        for number, claim in mine.items():
            claim.set_result(blocks[number])
        # The claims end after that: so whoever finds none, and no copy either, really has to fetch it.
        self._keep_blocks(name, {number: blocks[number] for number in mine})
        return blocks

    def _fetch(self, key: str, first: int, last: int) -> bytes:
        return self._backend.get(key, first * BLOCK, (last + 1) * BLOCK).data

    def _keep_blocks(self, name: Named, blocks: Mapping[int, Buffer]) -> None:
        for number, block in blocks.items():
            if memoryview(block).nbytes:
                self._shelf.write(f"{name.digest}.{number}", block)

    def _claimed(self) -> dict[str, Future[Buffer]]:
        # Each step on the dict is atomic. A forked child has not the threads that would keep the claims.
        if self._pid != os.getpid():
            self._pid, self._claims = os.getpid(), {}
        return self._claims


def _received(others: Mapping[int, Future[Buffer]], number: int, blocks: dict[int, Buffer]) -> bool:
    """Wait for what another thread is fetching. False if it failed, for whatever reason: that is not ours."""
    try:
        blocks[number] = others[number].result(_PATIENCE_SECONDS)
    except (CancelledError, TimeoutError):
        return False
    return True


def _blocks(start: int, stop: int) -> tuple[int, int]:
    """The first and the last block that bytes `start` to `stop` are in."""
    return start // BLOCK, (stop - 1) // BLOCK


def _split(data: Buffer, first: int, last: int) -> dict[int, Buffer]:
    """The blocks `first` to `last`, from their bytes; those behind the end of the file are empty."""
    view = memoryview(data)
    return {
        number: view[(number - first) * BLOCK : (number - first + 1) * BLOCK]
        for number in range(first, last + 1)
    }


def _joined(blocks: Mapping[int, Buffer], start: int, stop: int) -> bytes:
    """Bytes `start` to `stop` of what lies in blocks."""
    parts: list[memoryview] = []
    for number in sorted(blocks):
        begin = number * BLOCK
        parts.append(memoryview(blocks[number])[max(start - begin, 0) : max(stop - begin, 0)])
    return b"".join(parts)
