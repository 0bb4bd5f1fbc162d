"""How much a registry holds, and what it takes: of each name, and in all. Reads manifests and tables, no chunk of data."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CorruptError, NotFound
from casreg.keys import (
    HEAD,
    INDEX,
    MANIFESTS,
    MARKER,
    PACKS,
    REFS,
    SEGMENTS,
    manifest_key,
    parse_data_key,
    segment_key,
)
from casreg.listing import each, every_ref_name, living
from casreg.names import is_hidden
from casreg.packs import HEADER, TRAILER, key_of, parse_table, table_range
from casreg.refs.uploads import began, holds_uploads, uploaded_name
from casreg.repository.proving import files_below

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from casreg.model import PackRef
    from casreg.refs import Entry, History
    from casreg.repository import Repository

_TRIES: Final = 3
_ALL: Final = (MARKER, HEAD, REFS, MANIFESTS, PACKS, SEGMENTS, INDEX)


@dataclass(frozen=True, slots=True)
class NameStats:
    """What the live versions of one name hold and take. All sizes are bytes.

    Attributes:
        name: The name.
        versions: How many there are.
        logical: Bytes of all of them, each counted whole.
        distinct: Bytes of their different chunks, each counted once, before compression; lists of chunks included.
        stored: Bytes that these take at the place, compressed, with the manifests.
        alone: Bytes of `stored` that no other name needs.
    """

    name: str
    versions: int
    logical: int
    distinct: int
    stored: int
    alone: int

    @property
    def deduplication(self) -> float:
        """How often each byte is used: `logical` through `distinct`. 1 if there is nothing."""
        return self.logical / self.distinct if self.distinct else 1.0

    @property
    def compression(self) -> float:
        """How much smaller the bytes are at the place: `distinct` through `stored`. 1 if there is nothing."""
        return self.distinct / self.stored if self.stored else 1.0


@dataclass(frozen=True, slots=True)
class UnfinishedUpload:
    """What a save of more than ten minutes has written, and no version needs: it is at work, or has ended on the way.

    The same save again builds on it. A collection takes it a week after it was last at work.

    Attributes:
        name: The name that was being saved.
        since: When that save began, RFC 3339 in UTC.
        seen: When it last said that it was at work.
        size: Bytes of its packs that no version needs.
    """

    name: str
    since: str
    seen: str
    size: int


@dataclass(frozen=True, slots=True)
class Stats:
    """What a registry holds and takes. All sizes are bytes.

    Attributes:
        location: Where it is.
        names: Each name that has a version, sorted.
        versions: How many live versions there are.
        logical: Bytes of all of them, each counted whole.
        distinct: Bytes of the different chunks of all, each counted once, before compression.
        stored: Bytes that these take at the place, compressed, with the manifests.
        files: How many files the registry consists of.
        size: Bytes of all of these: with refs, tables, hints, and what no version needs.
        unneeded: Bytes of packs and manifests that no live version needs: of deleted versions, and of saves that were
            interrupted or still run. A collection frees at most about so much.
        uploads: Long saves that are at work, or have ended on the way, and what is kept for them; the oldest first. It
            is not in `unneeded`.
    """

    location: str
    names: tuple[NameStats, ...]
    versions: int
    logical: int
    distinct: int
    stored: int
    files: int
    size: int
    unneeded: int
    uploads: tuple[UnfinishedUpload, ...]

    @property
    def deduplication(self) -> float:
        """How often each byte is used: `logical` through `distinct`. 1 if there is nothing."""
        return self.logical / self.distinct if self.distinct else 1.0

    @property
    def compression(self) -> float:
        """How much smaller the bytes are at the place: `distinct` through `stored`. 1 if there is nothing."""
        return self.distinct / self.stored if self.stored else 1.0


def stats(repository: Repository) -> Stats:
    """Count what the live versions hold and take.

    One read for each ref, manifest and pack, and one listing. What is saved meanwhile may be counted or not.

    Raises:
        CorruptError, UnsupportedFormatError: A ref, manifest or table is damaged or missing, or needs a newer casreg.
        StorageError: The place cannot be read.
    """
    tries = _TRIES
    while True:
        try:
            return _stats(repository)
        except NotFound as err:  # moved or collected between two reads; or lost, and then it stays so
            tries -= 1
            if not tries:
                raise CorruptError(
                    f"{err}: a version needs it. `verify` says which; another copy of the registry can heal it."
                ) from err


@dataclass(slots=True)
class _Need:
    """What the versions of one name need.

    Attributes:
        versions: How many there are.
        logical: Their bytes.
        files: Key of each manifest, and of each segment with a placement: the bytes of payload in it.
        spans: Of each pack the parts that are needed, from one byte to another: ascending, and none touches another.
    """

    versions: int = 0
    logical: int = 0
    files: dict[str, int] = field(default_factory=dict)
    spans: dict[PackRef, list[tuple[int, int]]] = field(default_factory=dict)


@dataclass(slots=True)
class _Sum:
    """Bytes of chunks before and after compression, and how many of these only one name needs."""

    distinct: int = 0
    stored: int = 0
    alone: int = 0


def _stats(repository: Repository) -> Stats:
    refs = every_ref_name(repository)
    pins = [pin for name in refs if holds_uploads(name) for pin in _pins(repository, name)]
    asked = each([name for name in refs if not is_hidden(name)], lambda name: _need(repository, name))
    needs = {name: need for name, need in asked if need.versions}
    sums = {name: _Sum() for name in needs}
    every = _Sum()
    spare = _count_packs(repository, needs, sums, every)
    held = {key for pin in pins for key in pin.files}
    files, size, loose = _count_files(repository, needs, sums, every, held)
    return Stats(
        location=repository.backend.location,
        names=tuple(
            NameStats(name, need.versions, need.logical, one.distinct, one.stored, one.alone)
            for (name, need), one in zip(needs.items(), sums.values(), strict=True)
        ),
        versions=sum(need.versions for need in needs.values()),
        logical=sum(need.logical for need in needs.values()),
        distinct=every.distinct,
        stored=every.stored,
        files=files,
        size=size,
        unneeded=spare + loose,
        uploads=tuple(_unfinished(pins, {pack for need in needs.values() for pack in need.spans})),
    )


@dataclass(frozen=True, slots=True)
class _Pin:
    """What holds the packs of an unfinished upload.

    Attributes:
        entry: What its ref says of it.
        packs: The packs.
        files: The keys of these, and of the pin's own files.
    """

    entry: Entry
    packs: tuple[PackRef, ...]
    files: frozenset[str]


def _pins(repository: Repository, name: str) -> Iterator[_Pin]:
    """The pins in one of the refs that hold them."""

    def ask(history: History | None) -> list[Entry]:
        return [] if history is None else [entry for _, entry in history.live()]

    for entry in repository.refs.ask(name, ask):
        manifest = repository.manifest(entry.manifest)
        files = (manifest_key(entry.manifest), *files_below(manifest))
        yield _Pin(entry, manifest.placement.packs, frozenset(files))


def _unfinished(pins: Iterable[_Pin], needed: Collection[PackRef]) -> Iterator[UnfinishedUpload]:
    """What the pins hold that no version needs. One that was made again is finished, though its pin may stay a while."""
    for pin in sorted(pins, key=lambda pin: began(pin.entry)):
        size = sum(pack.size for pack in pin.packs if pack not in needed)
        if size:
            yield UnfinishedUpload(uploaded_name(pin.entry), began(pin.entry), pin.entry.created, size)


def _need(repository: Repository, name: str) -> _Need:
    """Read the manifests of a name."""
    need = _Need()
    parts: dict[PackRef, set[tuple[int, int]]] = defaultdict(set)
    for _, entry, manifest in living(repository, name):
        placement = manifest.placement
        need.versions += 1
        need.logical += entry.size
        need.files[manifest_key(manifest.digest)] = placement.inline
        if placement.segment is not None:
            need.files[segment_key(placement.segment)] = 0
        for runs in placement.runs.values():
            for run in runs:
                parts[placement.packs[run.pack]].add((run.offset, run.offset + run.length))
    need.spans = {pack: list(_joined(sorted(spans))) for pack, spans in parts.items()}
    return need


def _joined(spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ascending spans, with those that touch each other as one."""
    begin = end = -1
    for first, last in spans:
        if first > end:
            if end > begin:
                yield begin, end
            begin = first
        end = max(end, last)
    if end > begin:
        yield begin, end


# ------------------------------------------------------------------------------------------------ packs


def _count_packs(
    repository: Repository, needs: Mapping[str, _Need], sums: Mapping[str, _Sum], every: _Sum
) -> int:
    """Add what lies in packs. Returns the bytes of frames in these that nobody needs."""
    owners: dict[str, tuple[PackRef, list[str]]] = {}
    for name, need in needs.items():
        for pack in need.spans:
            owners.setdefault(pack.name, (pack, []))[1].append(name)
    spare = 0
    for pack_name, sizes in each(owners, lambda one: _Sizes.of(repository, owners[one][0])):
        pack, names = owners[pack_name]
        spans = {name: needs[name].spans[pack] for name in names}
        for name, parts in spans.items():
            one = sums[name]
            one.distinct += sum(map(sizes.between, parts))
            one.stored += sum(end - begin for begin, end in parts)
        used = _joined(sorted(part for parts in spans.values() for part in parts))
        taken = 0
        for part in used:
            every.distinct += sizes.between(part)
            taken += part[1] - part[0]
        every.stored += taken
        spare += sizes.frames - taken
        for name, alone in _alone(spans):
            sums[name].alone += alone
    return spare


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What the chunks of a pack have before compression.

    Attributes:
        offsets: Where each frame begins, ascending.
        before: Bytes of all chunks before each of these, and at the end of all.
        frames: Bytes of all frames.
    """

    offsets: Sequence[int]
    before: Sequence[int]
    frames: int

    @staticmethod
    def of(repository: Repository, pack: PackRef) -> _Sizes:
        """Read the table of a pack."""
        table = parse_table(pack, repository.copies.get(key_of(pack), *table_range(pack)).data)
        frames = sorted((located.offset, located.size) for located in table.values())
        before = list(accumulate((size for _, size in frames), initial=0))
        rest = HEADER.size + pack.table_size + TRAILER.size
        return _Sizes([offset for offset, _ in frames], before, pack.size - rest)

    def between(self, span: tuple[int, int]) -> int:
        """Bytes of the chunks whose frames lie in a span."""
        begin, end = (bisect_left(self.offsets, position) for position in span)
        return self.before[end] - self.before[begin]


def _alone(spans: Mapping[str, Iterable[tuple[int, int]]]) -> Iterator[tuple[str, int]]:
    """Bytes that only one of the names needs, and which."""
    names = list(spans)
    edges = sorted(
        edge
        for number, name in enumerate(names)
        for begin, end in spans[name]
        for edge in ((begin, 1, number), (end, -1, -number))
    )
    depth = sum_of_numbers = previous = 0
    for position, step, number in edges:
        if depth == 1:  # of one number the sum is itself
            yield names[sum_of_numbers], position - previous
        depth += step
        sum_of_numbers += number
        previous = position


# ------------------------------------------------------------------------------------------------ files


def _count_files(
    repository: Repository,
    needs: Mapping[str, _Need],
    sums: Mapping[str, _Sum],
    every: _Sum,
    held: Collection[str],
) -> tuple[int, int, int]:
    """Add what stands in files of its own. Returns how many files there are, their bytes, and those nobody needs or holds."""
    owners: dict[str, list[str]] = defaultdict(list)
    payloads: dict[str, int] = {}
    for name, need in needs.items():
        payloads.update(need.files)
        for key in need.files:
            owners[key].append(name)
    packs = {key_of(pack) for need in needs.values() for pack in need.spans}
    files = total = loose = 0
    for prefix in _ALL:
        for info in repository.backend.list(prefix):
            files += 1
            total += info.size
            names = owners.pop(info.key, None)
            if names is not None:
                _add_file(info.size, payloads[info.key], [sums[name] for name in names], every)
            elif info.key not in packs and info.key not in held and _is_spare(info.key):
                loose += info.size
    if owners:
        raise NotFound(f"{next(iter(owners))} is not in {repository.backend.location}")
    return files, total, loose


def _add_file(size: int, payload: int, sums: Sequence[_Sum], every: _Sum) -> None:
    every.distinct += payload
    every.stored += size
    for one in sums:
        one.distinct += payload
        one.stored += size
    if len(sums) == 1:
        sums[0].alone += size


def _is_spare(key: str) -> bool:
    """Whether a file that no version names is data that a collection may free; old segments may be a ref's."""
    found = parse_data_key(key)
    return found is not None and found.kind != "segment"
