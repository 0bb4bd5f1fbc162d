"""Verification: does everything that a ref reaches exist, and is every byte what was written?

First `survey` reads refs, manifests, lists and tables: the structure, and that it fits together. Then `check_packs`
reads every byte of the packs that versions need. Both only read. What they find names the file and the versions that
it touches.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from casreg.digest import Digest
from casreg.exceptions import CasregError, CorruptError, NotFound
from casreg.keys import REFS, manifest_key, name_of_ref_key
from casreg.packs import (
    HEADER,
    TRAILER,
    check_header,
    iterate_frames,
    key_of,
    open_frame,
    parse_table,
    read_trailer,
    table_range,
)
from casreg.repository.finding import checked

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from casreg.model import Manifest, PackRef
    from casreg.packs import Located
    from casreg.repository import Repository

_STEP: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing that is wrong.

    Attributes:
        key: The file.
        problem: What is wrong with it.
        versions: The versions that need it, as `name@version`.
    """

    key: str
    problem: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Survey:
    """What refs and manifests say.

    Attributes:
        versions: How many live versions there are.
        packs: Each pack that one of them needs, with the versions that do.
        damage: What could not be read.
    """

    versions: int
    packs: Mapping[PackRef, tuple[str, ...]]
    damage: tuple[Damage, ...]


@dataclass(slots=True)
class _Findings:
    versions: int = 0
    packs: dict[PackRef, list[str]] = field(default_factory=lambda: defaultdict(list))
    damage: list[Damage] = field(default_factory=list)


def survey(repository: Repository) -> Survey:
    """Read every ref, and the manifest of every live version.

    Raises:
        StorageError: The place cannot be listed.
    """
    repository = repository.without_copies()  # a copy would hide that the place has lost something
    found = _Findings()
    for info in repository.backend.list(REFS):
        name = name_of_ref_key(info.key)
        if name is None:
            continue
        try:
            live = repository.refs.ask(name, lambda history: history.live() if history else [])
        except CasregError as err:
            found.damage.append(Damage(info.key, str(err), (name,)))
            continue
        for version, entry in live:
            found.versions += 1
            label = f"{name}@{version}"
            try:
                manifest = checked(repository.manifest(entry.manifest), entry, name, version)
                check_placement(repository, manifest, name)
            except CasregError as err:
                found.damage.append(Damage(manifest_key(entry.manifest), str(err), (label,)))
                continue
            for pack in manifest.placement.packs:
                found.packs[pack].append(label)
    packs = {pack: tuple(labels) for pack, labels in found.packs.items()}
    return Survey(found.versions, packs, tuple(found.damage))


def check_placement(repository: Repository, manifest: Manifest, name: str) -> None:
    """See that the runs of a version lead to the frames of its chunks, as the tables of the packs have them.

    Its tree and chunk lists are read on the way, and so are verified.

    Raises:
        CorruptError: They do not, or a table, a list or the tree is damaged.
        StorageError: Something cannot be read.
    """
    reader = repository.reader(manifest, name)
    chunks = [chunk for entry in reader.entries if not entry.folder for chunk in reader.chunks(entry.path)]
    if manifest.placement.inline:
        return
    runs = manifest.placement.runs.get("data", ())
    if sum(run.chunks for run in runs) != len(chunks):
        raise CorruptError(f"{manifest_key(manifest.digest)}: its runs have not as many chunks as its files")
    tables = [_table(repository, pack) for pack in manifest.placement.packs]
    for run in runs:
        position = run.offset
        for chunk in chunks[run.first : run.first + run.chunks]:
            located = tables[run.pack].get(chunk.digest)
            if located is None or (located.offset, located.size) != (position, chunk.size):
                raise CorruptError(
                    f"{manifest_key(manifest.digest)}: its placement does not lead to chunk {chunk.digest.hex()}"
                )
            position += located.length
        if position != run.offset + run.length:
            raise CorruptError(f"{manifest_key(manifest.digest)}: a run has another length than its frames")


def _table(repository: Repository, pack: PackRef) -> Mapping[Digest, Located]:
    try:
        return parse_table(pack, repository.backend.get(key_of(pack), *table_range(pack)).data)
    except NotFound as err:
        raise CorruptError(f"{key_of(pack)} is missing. Another copy of the registry can heal it.") from err


def check_packs(repository: Repository, surveyed: Survey) -> Iterator[Damage]:
    """Read every byte of the packs that versions need, and give what is wrong with them."""
    for pack, labels in surveyed.packs.items():
        try:
            check_pack(repository, pack)
        except CasregError as err:
            yield Damage(key_of(pack), str(err), labels)


def check_pack(repository: Repository, pack: PackRef) -> None:
    """Read a whole pack: its name, header, frames, table and trailer, and the digest of every chunk.

    Raises:
        CorruptError: Something is not what was written.
        StorageError: It cannot be read.
    """
    key = key_of(pack)
    data = bytearray()
    hasher = blake3()
    try:
        for start in range(0, pack.size, _STEP):
            piece = repository.backend.get(key, start, min(start + _STEP, pack.size)).data
            if not piece:
                break
            hasher.update(piece)
            data += piece
        behind = repository.backend.get(key, pack.size, pack.size + 1).data
    except NotFound as err:
        raise CorruptError(f"{key} is missing. Another copy of the registry can heal it.") from err
    view = memoryview(data)
    if behind:
        raise CorruptError(f"{key} is damaged: it is longer than its {pack.size} bytes.")
    if len(data) != pack.size or hasher.hexdigest() != pack.name.partition("-")[2]:
        _explain(pack, view, key)
        raise CorruptError(f"{key} is damaged: its bytes are not those that its name promises.")
    _explain(pack, view, key)


def _explain(pack: PackRef, data: memoryview, key: str) -> None:
    """Find the part that is damaged.

    Raises:
        CorruptError: Names it.
    """
    check_header(data[: HEADER.size], key)
    count, table_digest = read_trailer(data[-TRAILER.size :], key)
    end = len(data) - TRAILER.size
    table = parse_table(pack, data[end - pack.table_size : end])
    if len(table) != count or table_digest != pack.table_digest:
        raise CorruptError(f"{key}: its trailer does not fit its table")
    for frame in iterate_frames(data[HEADER.size : end - pack.table_size], key):
        digest = Digest(frame.digest)
        if digest not in table or table[digest].size != frame.size:
            raise CorruptError(f"{key}: a frame of chunk {digest.hex()} is not in its table")
        open_frame(frame, digest, frame.size, key)
