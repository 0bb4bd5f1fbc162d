"""Which packs a compaction rewrites: those that are mostly dead, those that make the whole too dead, and many small ones.

Why these rules, and what they promise: `docs/design/0004-compaction.md`.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Final

from casreg.packs import PACK_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from casreg.gc.occupancy import Pack

LEAST_DEAD: Final = 64 * 1024
"""A pack with fewer dead bytes, about one chunk, is not rewritten for their sake: each version that needs it would get a
new manifest."""

BEGIN_ABOVE: Final = 1 / 16
"""Packs that are less than half dead are rewritten once the dead bytes of all packs are more than this, for each byte that
lives."""

END_AT: Final = 1 / 20
"""And so many of them, the deadest first, that at most this is left. Less than `BEGIN_ABOVE`, so that the next collection
does not begin where this one has ended."""

SMALL: Final = PACK_LIMIT // 4
"""A pack in which less than this is needed is small. Packs that a compaction writes are at least half full, or the only
one."""

LEAST_SMALL: Final = 8
"""So many small packs, at least, are made one: loads have as many requests under way at once."""

_LARGEST: Final = 2
"""The largest of the packs that are made one has at most so many times the bytes of the others together. So each byte that
is moved comes into a pack that is half as large again as its last, and is moved at most some twenty times, whatever comes
after it (the log-structured merge of O'Neil and others, 1996)."""


def choose(packs: Iterable[Pack]) -> list[Pack]:
    """Those of `packs` that are worth rewriting, in their order.

    If nothing but that is done, the same rules choose nothing in what comes of it.
    """
    free = [pack for pack in packs if not pack.stays]
    chosen = _dead(free)
    chosen |= _small(free, chosen)
    return [pack for pack in free if pack in chosen]


def _dead(packs: Sequence[Pack]) -> set[Pack]:
    worth = [pack for pack in packs if pack.dead >= LEAST_DEAD]
    chosen = {pack for pack in worth if pack.dead > pack.live}
    live = sum(pack.live for pack in packs)
    dead = sum(pack.dead for pack in worth if pack not in chosen)
    if dead > live * BEGIN_ABOVE:
        for pack in sorted(worth, key=lambda pack: pack.dead / max(1, pack.live), reverse=True):
            if dead <= live * END_AT:
                break
            if pack not in chosen:
                chosen.add(pack)
                dead -= pack.dead
    return chosen


def _small(packs: Sequence[Pack], dead: set[Pack]) -> set[Pack]:
    """Small packs that are to be made one, if need be together with what comes of `dead`."""
    rest = sorted(
        (pack for pack in packs if pack not in dead and pack.live < SMALL), key=lambda pack: pack.live
    )
    moved = sum(pack.live for pack in dead)
    chosen: set[Pack] = set()
    while True:
        # What is written comes into one small pack, or into none.
        own = [moved] if 0 < moved < SMALL else []
        sizes = sorted([pack.live for pack in rest] + own)
        before = accumulate(sizes, initial=0)
        merged = max(
            (
                number
                for number, (size, smaller) in enumerate(zip(sizes, before, strict=False), 1)
                if number >= LEAST_SMALL and size <= _LARGEST * smaller
            ),
            default=0,
        )
        if not merged:
            return chosen
        largest = sizes[merged - 1]
        more = [pack for pack in rest if pack.live <= largest]
        rest = [pack for pack in rest if pack.live > largest]
        moved += sum(pack.live for pack in more)
        chosen.update(more)
