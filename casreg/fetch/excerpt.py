"""Some chunks of a section, however few, without reading the whole runs that they stand in.

A placement tells where runs of about 4 MiB are. Where in a run one chunk begins, only the table of its pack tells: it is
read once, and checked against the digest in the placement. A damaged table costs speed and nothing else, since the
run can be read from its beginning.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CorruptError, NotFound
from casreg.fetch import plan, verified
from casreg.fetch.sharing import at_once
from casreg.packs import FRAME, key_of, parse_table, table_range
from casreg.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Readable
    from casreg.digest import Digest
    from casreg.model import Chunk, Manifest, PackRef, Placement, Run
    from casreg.packs import Located

_SHORT_RUN: Final = 64 * 1024
"""A run of so many bytes is read whole, or of as many as the table has: asking for the table takes as long."""

_TABLES: Final = 64
"""So many tables are kept, of about 25 KiB in a pack, and ten times that here."""


class Excerpts:
    """Chunks of one version by their numbers. For any number of threads.

    When a pack is gone, `moved` is asked for the manifest that says where its chunks are now.
    """

    def __init__(
        self, backend: Readable, manifest: Manifest, moved: Callable[[Manifest, NotFound], Manifest]
    ) -> None:
        """No I/O.

        Args:
            backend: Where the packs are.
            manifest: The version.
            moved: Gives another manifest of the same content, or raises.
        """
        self._backend = backend
        self._manifest = manifest
        self._moved = moved
        self._lock = threading.Lock()
        self._tables: dict[str, Mapping[Digest, Located]] = {}

    def run_end(self, section: str, number: int) -> int:
        """The number after the last chunk of the run that holds chunk `number`."""
        runs = self._manifest.placement.runs.get(section, ())
        run = runs[max(bisect_right(runs, number, key=lambda run: run.first) - 1, 0)] if runs else None
        return run.first + run.chunks if run and number < run.first + run.chunks else number + 1

    def read(self, section: str, first: int, chunks: Sequence[Chunk]) -> list[Buffer]:
        """The verified bytes of `chunks`, the first of which is number `first` of the section.

        Raises:
            CorruptError: Their bytes are not those that were stored.
            CasregError: What `moved` raised, if a pack is gone.
            StorageError: The storage cannot be read.
        """
        while True:
            manifest = self._manifest
            try:
                return self._read(manifest.placement, section, first, chunks)
            except NotFound as err:
                with self._lock:
                    if self._manifest is manifest:  # else another thread has asked meanwhile
                        self._manifest = self._moved(manifest, err)

    def _read(self, placement: Placement, section: str, first: int, chunks: Sequence[Chunk]) -> list[Buffer]:
        whole = plan.requests(placement.packs, placement.runs.get(section, ()), first, len(chunks))
        runs = [
            self._trimmed(request.pack, part, first, chunks) for request in whole for part in request.parts
        ]
        wanted = list(plan.requests(placement.packs, runs, first, len(chunks)))

        def fetch(request: plan.Request) -> list[Buffer]:
            _, pieces = verified.read(self._backend, request, lambda number: chunks[number - first])
            return [piece for _, piece in pieces]

        fetched = ahead(fetch, wanted, at_once(self._backend), len(wanted))
        return [piece for pieces in fetched for piece in pieces]

    def _trimmed(self, pack: PackRef, part: plan.Part, first: int, chunks: Sequence[Chunk]) -> Run:
        """The bytes of the run that are worth reading for the part that is wanted of it."""
        run, begin, stop = part
        if stop - begin == run.chunks or run.length <= max(_SHORT_RUN, pack.table_size):
            return run
        if begin == run.first:  # a frame is never longer than its chunk and a header
            length = sum(FRAME.size + chunk.size for chunk in chunks[begin - first : stop - first])
            return run._replace(length=min(length, run.length), chunks=stop - begin)
        table = self._table(pack)
        head, tail = table.get(chunks[begin - first].digest), table.get(chunks[stop - 1 - first].digest)
        if head is None or tail is None:
            return run
        length = tail.offset + tail.length - head.offset
        if length < 0 or head.offset < run.offset or head.offset + length > run.offset + run.length:
            return run
        return run._replace(offset=head.offset, length=length, first=begin, chunks=stop - begin)

    def _table(self, pack: PackRef) -> Mapping[Digest, Located]:
        table = self._tables.get(pack.name)
        if table is None:
            data = self._backend.get(key_of(pack), *table_range(pack)).data
            try:
                table = parse_table(pack, data)
            except CorruptError:
                table = {}  # every chunk is verified by itself: the run is read from its beginning, as a load does
            with self._lock:
                if len(self._tables) >= _TABLES:
                    self._tables.clear()
                self._tables[pack.name] = table
        return table
