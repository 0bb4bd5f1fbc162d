"""Reading chunks: one request, and every chunk of its answer verified."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from casreg.cache.copies import Copies
from casreg.exceptions import CorruptError
from casreg.fetch import plan
from casreg.packs import key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from casreg.backends.base import Readable
    from casreg.model import Chunk

log = logging.getLogger("casreg.fetch")


def read(
    place: Readable, request: plan.Request, chunk: Callable[[int], Chunk]
) -> tuple[int, list[tuple[int, Buffer]]]:
    """The bytes that were read, and the chunks of a request, each with its number in the section.

    Local copies that do not hold what they should are not the last word: then the place itself is read, and they are
    replaced.

    Args:
        place: Where the packs are.
        request: What to read.
        chunk: Tells what chunk a number of the section is.

    Raises:
        CorruptError: The bytes are not what the content promises. Names the pack and the chunk.
        NotFound: The pack is gone.
        StorageError: The place cannot be read.
    """
    key = key_of(request.pack)
    data = place.get(key, request.start, request.stop).data
    try:
        return len(data), list(plan.opened(request, memoryview(data), chunk))
    except CorruptError as err:
        if not isinstance(place, Copies):
            raise
        log.warning("the copies of %s in the cache are renewed: %s", key, err)
    data = place.renew(key, request.start, request.stop).data
    return len(data), list(plan.opened(request, memoryview(data), chunk))
