"""Data files are sent once under each name (`docs/design/protocol.md`): after any doubt the bytes get another one.

A late duplicate of a write could land after a collector has deleted the file, and bring back a name that a verdict named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from casreg.exceptions import AlreadyExists, StorageUnavailableError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

_SENDS: Final = 3


def until_acknowledged(send: Callable[[], _T]) -> _T:
    """What `send` returns, which makes a data file under a fresh nonce and creates it; called again after any doubt.

    Raises:
        StorageUnavailableError, AlreadyExists: The answer was in doubt each time.
        Exception: Anything else that `send` raises, at once.
    """
    for _ in range(_SENDS - 1):
        try:
            return send()
        except (StorageUnavailableError, AlreadyExists):  # AlreadyExists: some layer below sent it twice
            continue
    return send()
