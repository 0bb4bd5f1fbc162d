"""The index of a copy: made anew where it names packs that are not there, and completed where it lacks some."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CorruptError, NotFound, StoragePermissionError
from casreg.keys import PACKS
from casreg.packs import key_of
from casreg.verify.tables import read_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.digest import Digest
    from casreg.model import PackRef
    from casreg.verify import Survey

_AT_A_TIME: Final = 256

log = logging.getLogger("casreg.adopt")


def bring_up_to_date(seen: Survey) -> int:
    """Let the index name every pack that versions need, and none that is not there. Returns how many had to be noted.

    An index that is right stays as it is. It is a hint: who stops in between has lost nothing but speed.

    Raises:
        StorageError: The place cannot be read, or refused.
    """
    repository = seen.repository
    backend, index = repository.backend, repository.index
    damaged = {one.key for one in seen.damage if one.kind == "index"}
    named = {key: index.packs_in(key) for key, _ in index.files()}
    there = {info.key for info in backend.list(PACKS)} if named else set()
    wrong = [
        key
        for key, packs in named.items()
        if packs is None or key in damaged or any(key_of(pack) not in there for pack in packs)
    ]
    try:
        backend.delete(wrong)
    except StoragePermissionError as err:  # whoever asks it looks into the packs anyway
        log.warning(
            "%d files of the index name packs that are gone, and cannot be deleted: %s", len(wrong), err
        )
        wrong = []
    known = {pack for key, packs in named.items() if key not in wrong for pack in packs or ()}
    missing = [pack for pack in seen.needed if pack not in known]
    noted = 0
    while some := missing[noted : noted + _AT_A_TIME]:
        index.add(_with_chunks(seen, some))
        noted += len(some)
    return noted


def _with_chunks(seen: Survey, packs: Iterable[PackRef]) -> list[tuple[PackRef, list[Digest]]]:
    """Those that are whole as far as was seen, and their chunks."""
    found = []
    for pack in packs:
        checked = seen.checked.get(pack)
        if checked is not None and checked.is_damaged:
            continue
        try:
            found.append((pack, list(read_table(seen.repository.backend, pack))))
        except (CorruptError, NotFound) as err:
            log.debug("%s is left out of the index: %s", key_of(pack), err)
    return found
