"""A placement after some of its packs were rewritten. Computed from tables: no list of chunks and no tree is read."""

from __future__ import annotations

from bisect import bisect_left
from itertools import groupby
from typing import TYPE_CHECKING

from casreg.exceptions import CorruptError
from casreg.ingest.assembly import find_runs
from casreg.ingest.packing import Spot
from casreg.model import Chunk, Placement
from casreg.packs import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from casreg.digest import Digest
    from casreg.ingest.packing import Place
    from casreg.model import PackRef, Run
    from casreg.packs import Located


class Frames:
    """The frames of one pack, in their order, as its table says."""

    def __init__(self, pack: PackRef, table: Mapping[Digest, Located]) -> None:
        self.pack = pack
        self._digests = list(table)
        self._located = list(table.values())
        self._offsets = [located.offset for located in self._located]

    def within(self, begin: int, end: int) -> Iterator[tuple[Digest, Located]]:
        """The frames that lie from one byte to another, and fill that exactly.

        Raises:
            CorruptError: They do not.
        """
        first, stop = bisect_left(self._offsets, begin), bisect_left(self._offsets, end)
        located = self._located[first:stop]
        if not located or located[0].offset != begin or located[-1].offset + located[-1].length != end:
            raise CorruptError(
                f"{key_of(self.pack)}: bytes {begin} to {end}, which a placement names, are not whole frames of it"
            )
        return zip(self._digests[first:stop], located, strict=True)


def relocated(
    placement: Placement, frames: Mapping[str, Frames], place: Callable[[Digest], Place]
) -> Placement:
    """The placement with other places for what lies in the packs that were rewritten.

    Runs in other packs stay as they are.

    Args:
        placement: Where the chunks were.
        frames: The packs that were rewritten, by name.
        place: Where a chunk of these is now.

    Raises:
        CorruptError: A run does not fit the pack that it leads to.
    """
    packs: dict[str, int] = {}
    refs: list[PackRef] = []

    def number_of(pack: PackRef) -> int:
        number = packs.setdefault(pack.name, len(refs))
        if number == len(refs):
            refs.append(pack)
        return number

    def settled(runs: Sequence[Run]) -> Iterator[Run]:
        for was_rewritten, some in groupby(runs, lambda run: placement.packs[run.pack].name in frames):
            if not was_rewritten:
                for run in some:
                    yield run._replace(pack=number_of(placement.packs[run.pack]))
                continue
            first, chunks, spots = -1, [], []
            for run in some:
                first = run.first if first < 0 else first
                for digest, size in _chunks(run, frames[placement.packs[run.pack].name]):
                    pack, located = place(digest)
                    chunks.append(Chunk(digest, size))
                    spots.append(Spot(number_of(pack), located.offset, located.length))
            for found in find_runs(spots, chunks):
                yield found._replace(first=first + found.first)

    runs = {section: tuple(settled(runs)) for section, runs in placement.runs.items()}
    return Placement(tuple(refs), runs, placement.inline)


def _chunks(run: Run, frames: Frames) -> Iterable[tuple[Digest, int]]:
    found = [(digest, located.size) for digest, located in frames.within(run.offset, run.offset + run.length)]
    if len(found) != run.chunks:
        raise CorruptError(
            f"{key_of(frames.pack)}: bytes {run.offset} to {run.offset + run.length} are {len(found)} frames, and not the "
            f"{run.chunks} that a placement names"
        )
    return found
