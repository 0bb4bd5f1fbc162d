"""A repository that has every kind of file, copies of it, and what can happen to a file."""

from __future__ import annotations

import json
import random
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.keys import HEAD, MARKER
from casreg.marker import PROBE_OK, Probe, dump_marker, parse_marker
from casreg.packs import FRAME, HEADER, TRAILER, key_of, parse_table, table_range
from casreg.repository import Repository
from casreg.repository.finding import manifest_of
from casreg.testing import Fault, FaultBackend
from casreg.testing.faults import METHODS
from casreg.versions import Exact, Latest, parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.model import Manifest, PackRef, Run
    from casreg.verify import Report

    Files = Mapping[str, bytes]


def noise(size: int, seed: int) -> bytes:
    """Bytes that no codec makes smaller, always the same for a seed."""
    return random.Random(seed).randbytes(size)


def array(seed: int, size: int = 150_000) -> np.ndarray[Any, Any]:
    """A small array that needs a pack."""
    return np.frombuffer(noise(size, seed), dtype=np.uint8)


def overwrite(backend: Backend, key: str, data: bytes | None) -> None:
    """What a failing disk does: other bytes under the same key, or none."""
    backend.delete([key])
    if data is not None:
        backend.create(key, data)


def place_of(files: Files, name: str | None = None) -> MemoryBackend:
    """A place with these files, as if it had always been here: its marker is probed for it."""
    place = MemoryBackend(name)
    for key, data in files.items():
        body = data
        if key == MARKER:
            body = dump_marker(replace(parse_marker(data), probe=Probe(place.location, PROBE_OK)))
        place.create(key, body)
    return place


def files_of(place: Backend) -> dict[str, bytes]:
    """All its bytes."""
    return {info.key: place.get(info.key).data for info in place.list("")}


def fill(registry: Registry, folder: Path) -> None:
    """Every kind of file: small and large versions, lists, a tree, long histories, deleted versions, collections."""
    registry.save("small:value", {"x": 1}, metadata={"why": "first"}, tags=["prod"])
    registry.save("big:array", array(1, 500_000), tags=["best"])
    registry.save("big:array", np.concatenate([array(1, 500_000), array(2, 50_000)]))
    registry.save("other:array", array(3))
    registry.save("listed:bytes", noise(1_900_000, 4))
    tree = folder / "tree"
    tree.mkdir()
    for number in range(40):
        (tree / f"file-{number:02}").write_bytes(noise(3_000, 100 + number))
    registry.save("planted:tree", tree)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("casreg.repository.proving.PLACEMENT_LIMIT", 10)
        registry.save("apart:array", array(5))
        registry.save("apart:other", array(6))
    for number in range(24):
        registry.save("long:value", number, notes={"text": "x" * 1_500}, tags=[f"t{number}"])
    registry.save("long:other", 1, notes={"text": "y" * 1_500})
    for number in range(12):
        registry.save("long:other", number, notes={"text": "z" * 1_500})
    registry.save("gone:array", array(7))
    registry.delete("gone:array")
    registry.gc(min_age=0, undelete_window=0)
    registry.save("gone:other", array(8))
    registry.delete("gone:other")
    registry.gc(min_age=0, undelete_window=0)


def fill_little(registry: Registry) -> None:
    """Less of it, for tests that begin anew many times."""
    registry.save("small:value", {"x": 1}, tags=["prod"])
    registry.save("big:array", array(1, 300_000), tags=["best"])
    registry.save("big:array", np.concatenate([array(1, 300_000), array(2, 20_000)]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("casreg.repository.proving.PLACEMENT_LIMIT", 10)
        registry.save("apart:array", array(5, 30_000))
    for number in range(8):
        registry.save("long:value", number, notes={"text": "x" * 4_000})
    registry.save("gone:value", 7)
    registry.delete("gone:value")
    registry.gc(min_age=0, undelete_window=0)


@cache
def little() -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of the smaller repository, and what it holds. Made once."""
    place = MemoryBackend()
    fill_little(Registry(place))
    return files_of(place), contents(place)


@cache
def little_synced() -> dict[str, bytes]:
    """The files of a copy of it by casreg."""
    place = MemoryBackend()
    Registry(place).update(Registry(place_of(little()[0])))
    return files_of(place)


@cache
def original() -> tuple[dict[str, bytes], dict[str, Any]]:
    """The files of the repository, and what it holds. Made once."""
    place = MemoryBackend()
    registry = Registry(place)
    with tempfile.TemporaryDirectory() as folder:
        fill(registry, Path(folder))
    return files_of(place), contents(place)


def contents(place: Backend) -> dict[str, Any]:
    """All that can be loaded, with what is said of it, by `name@version`; tags included."""
    registry = Registry(place, cache=False)
    found: dict[str, Any] = {}
    for name, versions in registry.list_objects_and_versions().items():
        for version in versions:
            info = registry.info(name, version)
            data = {}
            for file in registry.files(name, version):
                with registry.open(name, file["path"], version) as stream:
                    data[file["path"]] = stream.read()
            said = {
                key: info[key] for key in ("digest", "data_digest", "created", "metadata", "notes", "tags")
            }
            found[f"{name}@{version}"] = (said, data)
    return found


def backup() -> MemoryBackend:
    """A copy by other tools: the same files."""
    return place_of(original()[0])


def synced() -> MemoryBackend:
    """A copy by casreg: the same versions in other files."""
    place = MemoryBackend()
    Registry(place).update(Registry(backup()))
    return place


@cache
def _synced() -> dict[str, bytes]:
    return files_of(synced())


COPIES: Final[dict[str, Callable[[], MemoryBackend]]] = {
    "backup": backup,
    "synced": lambda: place_of(_synced()),
}


# ------------------------------------------------------------------------------------------- which file


class Spot(NamedTuple):
    """A file, or a part of it, and another of its kind.

    Attributes:
        kind: What a report calls it.
        key: The file.
        begin: Where the part begins.
        stop: Where it ends.
        other: Another file of its kind; None if there is none.
        versions: The versions that it touches; None if it is none, or those of a history.
    """

    kind: str
    key: str
    begin: int
    stop: int
    other: str | None
    versions: tuple[str, ...] = ()


def _manifest(place: Backend, name: str) -> Manifest:
    return manifest_of(Repository(place), name, Latest())[2]


def _whole(place: Backend, kind: str, key: str, other: str | None, *versions: str) -> Spot:
    return Spot(kind, key, 0, len(place.get(key).data), other, versions)


def _manifest_key(place: Backend, name: str) -> str:
    digest = _manifest(place, name).digest.hex()
    return f"manifests/{digest[:2]}/{digest}"


def _segment_key(digest: Digest) -> str:
    return f"segments/{digest.hex()[:2]}/{digest.hex()}"


def _placement_key(place: Backend, name: str) -> str:
    segment = _manifest(place, name).placement.segment
    assert segment is not None
    return _segment_key(segment)


def _history_key(place: Backend, name: str) -> str:
    held = Repository(place).refs.read(name)
    assert held is not None
    return held.history.ref.older[0].key


def _pack(place: Backend, name: str) -> PackRef:
    return _manifest(place, name).placement.packs[0]


def _frame(place: Backend, name: str, section: str) -> tuple[PackRef, int, int]:
    """The first frame of a section."""
    placement = _manifest(place, name).placement
    run = placement.runs[section][0]
    pack = placement.packs[run.pack]
    table = parse_table(pack, place.get(key_of(pack), *table_range(pack)).data)
    located = next(one for one in table.values() if one.offset == run.offset)
    return pack, located.offset, located.offset + located.length


def _list_key(place: Backend) -> str:
    return str(json.loads(place.get(HEAD).data)["kept"][0]["names"])


def _other_list_key(place: Backend) -> str:
    return str(json.loads(place.get(HEAD).data)["kept"][-1]["names"])


def _index_keys(place: Backend) -> list[str]:
    return [info.key for info in place.list("index/")]


def _part(place: Backend, name: str, begin: Callable[[PackRef], int], stop: Callable[[PackRef], int]) -> Spot:
    pack = _pack(place, name)
    return Spot("pack", key_of(pack), begin(pack), stop(pack), None, (f"{name}@1.0.0",))


def _section(place: Backend, name: str, section: str) -> Spot:
    pack, begin, stop = _frame(place, name, section)
    return Spot("pack", key_of(pack), begin, stop, None, (f"{name}@1.0.0",))


def _first_big(place: Backend) -> tuple[PackRef, Run]:
    """Where `big:array@1.0.0` begins."""
    _, _, manifest = manifest_of(Repository(place), "big:array", Exact(parse_version("1.0.0")))
    run = manifest.placement.runs["data"][0]
    return manifest.placement.packs[run.pack], run


def _pack_of_two(place: Backend) -> Spot:
    versions = ("big:array@1.0.0", "big:array@1.0.1")
    return _whole(place, "pack", key_of(_first_big(place)[0]), None, *versions)


def _chunk_of_one(place: Backend) -> Spot:
    """The first chunk of `big:array@1.0.0`, which holds the shape of the array: the next version has another one."""
    pack, run = _first_big(place)
    table = parse_table(pack, place.get(key_of(pack), *table_range(pack)).data)
    first = next(one for one in table.values() if one.offset == run.offset)
    return Spot("pack", key_of(pack), first.offset, first.offset + first.length, None, ("big:array@1.0.0",))


SPOTS: Final[dict[str, Callable[[Backend], Spot]]] = {
    "marker": lambda place: _whole(place, "marker", MARKER, None),
    "head": lambda place: _whole(place, "head", HEAD, None),
    "list of the head": lambda place: _whole(place, "names", _list_key(place), _other_list_key(place)),
    "ref": lambda place: _whole(place, "ref", "refs/small_value", "refs/big_array", "small:value"),
    "ref with a history": lambda place: _whole(
        place, "ref", "refs/long_value", "refs/long_other", "long:value"
    ),
    "history": lambda place: _whole(
        place, "history", _history_key(place, "long:value"), _history_key(place, "long:other")
    ),
    "manifest with its bytes": lambda place: _whole(
        place,
        "manifest",
        _manifest_key(place, "small:value"),
        _manifest_key(place, "big:array"),
        "small:value@1.0.0",
    ),
    "manifest": lambda place: _whole(
        place,
        "manifest",
        _manifest_key(place, "other:array"),
        _manifest_key(place, "big:array"),
        "other:array@1.0.0",
    ),
    "placement": lambda place: _whole(
        place,
        "placement",
        _placement_key(place, "apart:array"),
        _placement_key(place, "apart:other"),
        "apart:array@1.0.0",
    ),
    "pack": lambda place: _whole(
        place,
        "pack",
        key_of(_pack(place, "other:array")),
        key_of(_pack(place, "big:array")),
        "other:array@1.0.0",
    ),
    "pack of two": _pack_of_two,
    "chunk that one of two has": _chunk_of_one,
    "header of a pack": lambda place: _part(place, "other:array", lambda _: 0, lambda _: HEADER.size),
    "header of a frame": lambda place: _part(
        place, "other:array", lambda _: HEADER.size, lambda _: HEADER.size + FRAME.size
    ),
    "frame": lambda place: _section(place, "other:array", "data"),
    "table of a pack": lambda place: _part(
        place, "other:array", lambda pack: table_range(pack)[0], lambda pack: table_range(pack)[1]
    ),
    "trailer of a pack": lambda place: _part(
        place, "other:array", lambda pack: pack.size - TRAILER.size, lambda pack: pack.size
    ),
    "chunk list": lambda place: _section(place, "listed:bytes", "list.1"),
    "tree": lambda place: _section(place, "planted:tree", "tree"),
    "index": lambda place: _whole(place, "index", _index_keys(place)[0], None),
}
"""What can be damaged. Those of which `begin` and `stop` are not the whole file are parts of one."""

PARTS: Final = frozenset(
    {
        "header of a pack",
        "header of a frame",
        "frame",
        "table of a pack",
        "trailer of a pack",
        "chunk list",
        "tree",
    }
)


# ------------------------------------------------------------------------------------------- what happens to it


def _flipped(data: bytes, spot: Spot, _other: bytes | None) -> bytes:
    at = (spot.begin + spot.stop) // 2
    return data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]


def _garbage(data: bytes, spot: Spot, _other: bytes | None) -> bytes:
    return data[: spot.begin] + noise(spot.stop - spot.begin, 99) + data[spot.stop :]


def _zeros(data: bytes, spot: Spot, _other: bytes | None) -> bytes:
    return data[: spot.begin] + bytes(spot.stop - spot.begin) + data[spot.stop :]


HARMS: Final[dict[str, Callable[[bytes, Spot, bytes | None], bytes | None]]] = {
    "missing": lambda _data, _spot, _other: None,
    "emptied": lambda _data, _spot, _other: b"",
    "truncated": lambda data, spot, _other: data[: (spot.begin + spot.stop) // 2],
    "longer": lambda data, _spot, _other: data + b"x",
    "flipped": _flipped,
    "garbage": _garbage,
    "zeros": _zeros,
    "swapped": lambda _data, _spot, other: other,
}

OF_FILES: Final = tuple(HARMS)
OF_PARTS: Final = ("truncated", "flipped", "garbage", "zeros")


SINGLE: Final = frozenset({"marker", "head", "index"})
"""There is no other file of these kinds."""

SHARED: Final = frozenset({"pack of two", "chunk that one of two has"})
"""What more than one version has: these have tests of their own."""

ALL: Final = (
    "marker",
    "head",
    "ref",
    "history",
    "manifest",
    "placement",
    "pack of two",
    "chunk list",
    "tree",
    "index",
)
"""One of each kind of file."""


def cases() -> list[tuple[str, str]]:
    """Every kind of file with everything that can happen to it."""
    return [
        (what, how)
        for what in SPOTS
        if what not in SHARED
        for how in (OF_PARTS if what in PARTS else OF_FILES)
        if not (how == "swapped" and what in SINGLE)
    ]


def harm(
    place: Backend,
    what: str,
    how: str,
    write: Callable[[Backend, str, bytes | None], None] = overwrite,
) -> Spot:
    """Let it happen. `write` puts other bytes under a key, or none."""
    spot = SPOTS[what](place)
    other = None if spot.other is None else place.get(spot.other).data
    write(place, spot.key, HARMS[how](place.get(spot.key).data, spot, other))
    return spot


def check_found(report: Report, spot: Spot, what: str, how: str) -> None:
    """See that a look at every byte has found this damage, and says what it is, and nothing else."""
    if how == "missing" and spot.kind in ("ref", "index"):
        # Nobody names them: of a ref, its manifests are left, and an index is only a hint.
        assert report.clean
        assert not report.damages
        assert (report.unreached or 0) == {"ref": 1, "ref with a history": 24, "index": 0}[what]
        return
    (damage,) = report.damages
    assert (damage.key, damage.kind) == (spot.key, spot.kind)
    assert damage.severity == ("hint" if spot.kind == "index" else "damage")
    assert report.clean == (spot.kind == "index")
    assert ("missing" in damage.problem) == (how == "missing")
    if spot.kind != "history":
        assert damage.versions == spot.versions
        assert damage.tags == tuple(
            tag for tag in ("small:value@prod",) if spot.versions == ("small:value@1.0.0",)
        )


def harm_key(place: Backend, key: str) -> None:
    """Flip a byte in the middle."""
    data = bytearray(place.get(key).data)
    data[len(data) // 2] ^= 1
    overwrite(place, key, bytes(data))


class Between(FaultBackend):
    """Before one call, something else is done, once.

    Args:
        inner: The place.
        at: Before which of the calls, from 1.
        other: What is done.
        methods: The methods whose calls count.
    """

    def __init__(
        self,
        inner: MemoryBackend,
        at: int,
        other: Callable[[], object],
        methods: frozenset[str] = METHODS,
    ) -> None:
        super().__init__(inner)
        self._left = at
        self._other = other
        self._counted = methods
        self.done = False

    def _next_fault(self, method: str, key: str) -> Fault | None:
        if method in self._counted:
            self._left -= 1
            if not self._left:
                self.done = True
                self._other()
        return super()._next_fault(method, key)
