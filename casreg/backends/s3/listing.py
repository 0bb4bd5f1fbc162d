"""The order of listings: that of the bytes of whole keys, whatever the server's.

S3 lists so.  Servers that keep objects in folders (SeaweedFS) go through them by name, segment by segment: there
`a/b` comes before `a!b` and `a-b`, though `/` is the greater character.  A key can therefore be handed on only when
nothing smaller can follow.  What can is known from the last key that was read: with `a/b` as the last one, what is
smaller than `a!`, the least sibling of the folder `a`, is complete.  So at most one folder is held back; listings of
folders that have no folders in them, as most of casreg's are, flow.
"""

from __future__ import annotations

import re
from operator import attrgetter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from casreg.backends.base import ObjectInfo
    from casreg.backends.s3.messages import Page

_LEAST: Final = "!"
"""The least character of a key."""

_GREATEST: Final = "~"
"""The greatest one."""

_BELOW_SLASH: Final = re.compile(r"[!-.]")

_key: Final = attrgetter("key")


def in_order(pages: Iterable[Page], prefix: str) -> Iterator[ObjectInfo]:
    """The rows of all pages, which are in either order, in that of their bytes."""
    waiting: list[ObjectInfo] = []
    complete = ""
    for page in pages:
        waiting += page.rows
        bound = _bound(page.rows[-1].key, prefix) if page.rows else complete
        if not page.more:
            break
        if bound != complete:
            complete = bound
            waiting.sort(key=_key)
            ready = next((at for at, row in enumerate(waiting) if row.key >= bound), len(waiting))
            yield from waiting[:ready]
            del waiting[:ready]
    yield from sorted(waiting, key=_key)


def start_after(after: str, prefix: str) -> str:
    """Behind which key a server has to begin, so that in either order nothing is left out that sorts after `after`.

    A folder `a` comes before `a-b` in the one order and behind it in the other; and who is told to begin behind `a`
    leaves out the folder of that name, too. So the server begins before the first segment that could be one, and what
    is read again is for the caller to pass over. Empty: at the beginning.
    """
    if not after.startswith(prefix):
        # Before all that is asked for, or (then there is nothing to list) behind.
        return "" if after < prefix else after
    rest = after[len(prefix) :]
    sibling = _BELOW_SLASH.search(rest)
    rest = (rest[: sibling.start()] if sibling else rest).rstrip("/")
    if not rest:
        return ""
    before = "." if rest[-1] == "0" else chr(ord(rest[-1]) - 1)  # never the slash
    return f"{prefix}{rest[:-1]}{before}{_GREATEST}"


def _bound(last: str, prefix: str) -> str:
    """What sorts before this is complete when the server has come to `last`."""
    name, slash, _rest = last[len(prefix) :].partition("/")
    return f"{prefix}{name}{_LEAST}" if slash else last + _LEAST
