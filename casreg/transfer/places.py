"""Chunks read from where they are in packs, verified, in few and large requests: for whoever knows their places already."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

from casreg import codec
from casreg.exceptions import CorruptError, NotFound
from casreg.ingest.packing import Encoded, Place
from casreg.packs import iterate_frames, key_of, open_frame
from casreg.threads import ahead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from typing_extensions import Buffer

    from casreg.backends.base import Backend
    from casreg.digest import Digest

_T = TypeVar("_T")

Wanted: TypeAlias = tuple["Digest", Place]
"""A chunk, and where it is."""

_REQUEST: Final = 8 * 1024 * 1024
_GAP: Final = 64 * 1024
_AHEAD: Final = 4


class Read(NamedTuple):
    """A chunk that was read and verified.

    Attributes:
        encoded: Its stored form.
        data: Its bytes.
    """

    encoded: Encoded
    data: Buffer


class Sound:
    """Chunks whose places are known, as a packing asks for them."""

    def __init__(self, places: Mapping[Digest, Place]) -> None:
        """Nothing but these is known."""
        self._places = places

    def find(self, digests: Sequence[Digest]) -> Mapping[Digest, Place]:
        """See `casreg.ingest.packing.Known`."""
        return {digest: self._places[digest] for digest in digests if digest in self._places}


def read_chunks(backend: Backend, places: Mapping[Digest, Place]) -> Iterator[Read]:
    """The chunks at these places, by pack and in its order. Those that are damaged or gone are left out.

    Raises:
        StorageError: A pack cannot be read.
    """
    wanted = sorted(places.items(), key=lambda item: (item[1].pack.name, item[1].located.offset))
    for _, read in read_in_order(backend, wanted, lambda one: one, _AHEAD):
        yield from read


def read_in_order(
    backend: Backend, wanted: Iterable[Wanted], use: Callable[[Read], _T], threads: int
) -> Iterator[tuple[list[Wanted], list[_T]]]:
    """What `use` makes of chunks, some at a time: those of one request, and of them what is whole. In order.

    Args:
        backend: Where the packs are.
        wanted: The chunks, those of a pack together, in its order.
        use: Is called in threads. What it does not keep is not kept.
        threads: So many requests at once, of at most 8 MiB each.

    Raises:
        StorageError: A pack cannot be read.
    """
    by_pack = (list(some) for _, some in groupby(wanted, key=lambda item: item[1].pack.name))
    requests = (request for some in by_pack for request in _requests(some))
    return ahead(lambda request: (request, _read(backend, request, use)), requests, threads)


def _requests(wanted: list[Wanted]) -> Iterator[list[Wanted]]:
    """Those that lie side by side, or nearly, together."""
    held: list[Wanted] = []
    for digest, place in wanted:
        at = place.located.offset
        if held:
            first, last = held[0][1].located, held[-1][1].located
            if at - (last.offset + last.length) > _GAP or at + place.located.length - first.offset > _REQUEST:
                yield held
                held = []
        held.append((digest, place))
    if held:
        yield held


def _read(backend: Backend, wanted: list[Wanted], use: Callable[[Read], _T]) -> list[_T]:
    first, last = wanted[0][1].located, wanted[-1][1].located
    key = key_of(wanted[0][1].pack)
    try:
        data = memoryview(backend.get(key, first.offset, last.offset + last.length).data)
    except NotFound:
        return []
    found = []
    for digest, place in wanted:
        begin = place.located.offset - first.offset
        try:
            read = _opened(data[begin : begin + place.located.length], digest, place.located.size, key)
        except CorruptError:
            continue
        found.append(use(read))
    return found


def _opened(data: memoryview, digest: Digest, size: int, key: str) -> Read:
    frames = list(iterate_frames(data, key))
    if len(frames) != 1:
        raise CorruptError(f"{key}: a frame is cut off")
    opened = open_frame(frames[0], digest, size, key)
    if len(frames[0].stored) >= size:  # whoever wrote it so should not have
        return Read(Encoded(digest, codec.RAW, opened, size), opened)
    return Read(Encoded(digest, frames[0].codec, frames[0].stored, size), opened)
