"""Tables of packs, each read and judged once, for whoever looks at many versions."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CasregError, CorruptError
from casreg.packs import TRAILER, key_of, parse_table, read_trailer, table_range
from casreg.verify.findings import UNREADABLE, twice

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.backends.base import Readable
    from casreg.digest import Digest
    from casreg.model import PackRef
    from casreg.packs import Located

_MAX_RECORDS: Final = 262_144
"""Records of tables that are kept in memory: about 60 MiB."""


def read_table(backend: Readable, pack: PackRef) -> dict[Digest, Located]:
    """Where each chunk of a pack is, after its end was seen to be where it must be, and as it must be.

    Raises:
        NotFound: The pack is missing.
        CorruptError: It is shorter or longer, or its table or trailer is damaged.
        StorageError: It cannot be read.
    """
    key = key_of(pack)
    begin, end = table_range(pack)
    tail = backend.get(key, begin, pack.size + 1).data
    if len(tail) < pack.size - begin:
        raise CorruptError(f"{key} is damaged: it is cut off before its {pack.size} bytes")
    if len(tail) > pack.size - begin:
        raise CorruptError(f"{key} is damaged: it is longer than its {pack.size} bytes")
    table = parse_table(pack, tail[: end - begin])
    count, digest = read_trailer(tail[-TRAILER.size :], key)
    if count != len(table) or digest != pack.table_digest:
        raise CorruptError(f"{key} is damaged: its trailer does not fit its table")
    return table


class PackTables:
    """The tables of one repository. Those that cannot be read are judged once; of the others some are kept."""

    def __init__(self, backend: Readable) -> None:
        """No I/O yet."""
        self._backend = backend
        self._lock = threading.Lock()
        self._tables: OrderedDict[PackRef, Mapping[Digest, Located]] = OrderedDict()
        self._failed: dict[PackRef, CasregError] = {}
        self._records = 0

    def get(self, pack: PackRef) -> Mapping[Digest, Located]:
        """As `read_table`, also for what it raises; what is wrong was read twice."""
        with self._lock:
            found = self._tables.get(pack)
            if found is not None:
                self._tables.move_to_end(pack)
                return found
            failed = self._failed.get(pack)
        if failed is not None:
            raise failed
        try:
            table = twice(lambda: read_table(self._backend, pack))
        except UNREADABLE as err:
            with self._lock:
                self._failed[pack] = err
            raise
        self._put(pack, table)
        return table

    def forget_failures(self) -> None:
        """Judge anew what could not be read before."""
        with self._lock:
            self._failed.clear()

    def _put(self, pack: PackRef, table: Mapping[Digest, Located]) -> None:
        with self._lock:
            if pack not in self._tables:
                self._records += len(table)
            self._tables[pack] = table
            while self._records > _MAX_RECORDS and len(self._tables) > 1:
                _, oldest = self._tables.popitem(last=False)
                self._records -= len(oldest)
