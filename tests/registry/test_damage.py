"""Damage: one flipped bit, a missing end, a missing file. What needs it says so; everything else goes on."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, ObjectNotFoundError, StorageError, UnsupportedFormatError
from casreg.packs import FRAME, HEADER, TRAILER
from casreg.registry import Registry
from casreg.repository import proving
from registry.lab import noise, snapshot, text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from casreg.backends.base import Backend
    from casreg.materializers.base import InFolder, OutFolder

OBJECTS: dict[str, Any] = {
    "small": {"a": [1, 2, 3]},
    "packed": noise(40_000, 1),
    "other": text(90_000, 2),
}
NEW = text(60_000, 77)
TREE = {f"f{number:02}": noise(700, 100 + number) for number in range(40)}


def _make(place: Backend, folder: Path) -> None:
    """Three values, a folder with a tree, and a name with two versions, one of them deleted."""
    registry = Registry(place)
    for name, value in OBJECTS.items():
        registry.save(name, value, tags=["good"])
    folder.mkdir(exist_ok=True)
    for name, data in TREE.items():
        (folder / name).write_bytes(data)
    registry.save("tree", folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proving, "PLACEMENT_LIMIT", 10)
        registry.save("spread", OBJECTS["packed"] + noise(30_000, 3))
    registry.save("deleted", 1)
    registry.save("deleted", 2)
    registry.delete("deleted@1.0.1")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The bytes of a small repository, by key."""
    place = MemoryBackend()
    _make(place, tmp_path_factory.mktemp("damage") / "tree")
    return snapshot(place)


def _place(files: dict[str, bytes]) -> MemoryBackend:
    place = MemoryBackend()
    for key, data in files.items():
        place.create(key, data)
    return place


class InMemory:
    """Loads a folder as a dict of bytes: thousands of loads need no disk."""

    id: ClassVar[str] = "test.memory/1"
    types: tuple[type | str, ...] = ()

    def save(self, obj: object, folder: OutFolder) -> None:
        raise NotImplementedError

    def load(self, folder: InFolder, cls: type | None) -> dict[str, bytes]:
        return {path: bytes(folder.read(path)) for path in folder.paths}


def _load(registry: Registry, name: str) -> object:
    return registry.load(name, materializer=InMemory if name == "tree" else None)


SPREAD = OBJECTS["packed"] + noise(30_000, 3)
EXPECTED: dict[str, Any] = {**OBJECTS, "tree": TREE, "spread": SPREAD, "deleted": 1}


def _check(
    damaged: dict[str, bytes], key: str, names: Iterable[str] = EXPECTED, *, saving: bool = True
) -> int:
    """Load these names, and save something new. Gives how many loads failed."""
    place = _place(damaged)
    registry = Registry(place)
    failed = []
    for name in names:
        value = EXPECTED[name]
        try:
            assert _load(registry, name) == value, f"wrong bytes of {name} were handed out"
        except (CorruptError, UnsupportedFormatError) as err:
            _check_message(str(err), key)
            failed.append(name)
        except ObjectNotFoundError:
            assert key not in damaged, "only what is wholly missing may look as if it never was"
            assert key.startswith("refs/")
            failed.append(name)
    if saving:
        _check_saving(registry, place, key)
    return len(failed)


def _check_message(said: str, key: str, *, chunk: bool = True) -> None:
    assert key in said, f"{said} does not name {key}"
    if chunk and key.startswith("packs/"):
        assert re.search(r"chunk [0-9a-f]{64}", said), f"{said} does not name the chunk"


def _check_saving(registry: Registry, place: Backend, key: str) -> None:
    """A save to a new name works, unless what every writer needs is damaged; then it says so and writes nothing."""
    value = NEW
    try:
        registry.save("new:one", value)
    except (CorruptError, UnsupportedFormatError) as err:
        _check_message(str(err), key)
        assert key == "casreg.json"
        assert not registry.has_object("new:one")
    else:
        assert registry.load("new:one") == value
        assert Registry(place).load("new:one") == value


def _sampled(key: str, data: bytes) -> Iterator[int]:
    """Every byte of a small file; of a pack the header, the frames' headers, the table, the trailer, and samples."""
    if not key.startswith("packs/"):
        yield from range(len(data))
        return
    draw = random.Random(len(data))
    count, _, _ = TRAILER.unpack(data[-TRAILER.size :])
    table = len(data) - TRAILER.size - count * 48
    chosen = {*range(0, HEADER.size, 5), *range(table, len(data), 7)}
    position = HEADER.size
    while position < table:
        stored = FRAME.unpack_from(data, position)[3]
        chosen |= {position + at for at in (0, 1, 2, 3, 5, 9, 12, 43)}
        chosen |= {position + FRAME.size + draw.randrange(stored) for _ in range(2)}
        position += FRAME.size + stored
    yield from sorted(chosen)


KINDS = ["casreg.json", "refs/", "manifests/", "packs/", "segments/", "index/"]


def _loads(pristine: dict[str, bytes], without: str, name: str) -> bool:
    """Whether a name loads without one of the files."""
    try:
        _load(Registry(_place({key: data for key, data in pristine.items() if key != without})), name)
    except (CorruptError, ObjectNotFoundError):
        return False
    return True


@pytest.mark.parametrize("kind", KINDS)
def test_a_flipped_bit_anywhere(pristine: dict[str, bytes], kind: str) -> None:
    """One bit of any byte: what needs it raises `CorruptError` that names the file (and the chunk, in a pack),
    all else loads, a save of another name works, and wrong bytes are never handed out.
    """
    keys = [key for key in pristine if key.startswith(kind)]
    assert keys
    harmful = 0
    for key in keys:
        data = pristine[key]
        needing = [name for name in EXPECTED if not _loads(pristine, key, name)]
        for at in _sampled(key, data):
            flipped = bytearray(data)
            flipped[at] ^= 1 << (at % 8)
            try:
                # Names that never read the file are looked at now and then.
                names = EXPECTED if at % 11 == 0 else needing
                failed = _check({**pristine, key: bytes(flipped)}, key, names, saving=at % 37 == 0)
            except BaseException as err:
                err.add_note(f"byte {at} of {len(data)} of {key}")
                raise
            harmful += failed
            # "packed" and "spread" have a chunk in common.
            assert failed <= 1 + key.startswith("packs/"), f"byte {at} of {key} hindered {failed} objects"
    assert (harmful > 0) == (kind in {"refs/", "manifests/", "packs/", "segments/"})


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_early(pristine: dict[str, bytes], kind: str) -> None:
    """Any file, cut anywhere: as a flipped bit."""
    draw = random.Random(1)
    for key in [key for key in pristine if key.startswith(kind)]:
        data = pristine[key]
        cuts = {0, 1, len(data) // 2, len(data) - 1, *(draw.randrange(len(data)) for _ in range(20))}
        for cut in cuts:
            try:
                _check({**pristine, key: data[:cut]}, key)
            except BaseException as err:
                err.add_note(f"the first {cut} of {len(data)} bytes of {key}")
                raise


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_grew(pristine: dict[str, bytes], kind: str) -> None:
    """Any file with something behind its end: as a flipped bit."""
    for key in [key for key in pristine if key.startswith(kind)]:
        for more in (b"\0", b"\n", b"}", pristine[key]):
            _check({**pristine, key: pristine[key] + more}, key)


def test_a_file_that_is_missing(pristine: dict[str, bytes]) -> None:
    """Any file gone: what needs it says which; a ref that is gone takes its name with it."""
    for key in pristine:
        place = _place({other: data for other, data in pristine.items() if other != key})
        registry = Registry(place)
        failed = 0
        for name, value in EXPECTED.items():
            try:
                assert _load(registry, name) == value
            except CorruptError as err:
                _check_message(str(err), key, chunk=False)
                failed += 1
            except ObjectNotFoundError:
                assert key.startswith("refs/")
                failed += 1
        assert failed <= 1 + key.startswith("packs/")
        registry.save("new:one", NEW)
        assert registry.load("new:one") == NEW


def test_files_that_are_swapped(pristine: dict[str, bytes]) -> None:
    """A file in the place of another of its kind is damage, though each is whole: no name loads another's object."""
    for kind in ("refs/", "manifests/", "packs/"):
        keys = sorted(key for key in pristine if key.startswith(kind))
        for one, two in zip(keys, [*keys[1:], keys[0]], strict=True):
            registry = Registry(_place({**pristine, one: pristine[two], two: pristine[one]}))
            for name, value in EXPECTED.items():
                try:
                    assert _load(registry, name) == value
                except CorruptError as err:
                    _check_message(str(err), one if one in str(err) else two)


def test_a_manifest_of_another_version(pristine: dict[str, bytes]) -> None:
    """A ref whose checksum is right but which names another version's manifest is found out."""
    from casreg.canonical import seal, unseal

    keys = [key for key in pristine if key.startswith("refs/")]
    small, packed = (next(key for key in keys if name in key) for name in ("small", "packed"))
    body, other = unseal(pristine[small], small), unseal(pristine[packed], packed)
    body["versions"]["1.0.0"]["manifest"] = other["versions"]["1.0.0"]["manifest"]
    body["tags"] = {}
    registry = Registry(_place({**pristine, small: seal(body)}))
    with pytest.raises(CorruptError, match=r"small@1\.0\.0"):
        registry.load("small")


def test_a_damaged_version_does_not_hinder_the_next(pristine: dict[str, bytes]) -> None:
    """A name whose latest manifest or pack is damaged takes new versions, also of the same bytes, that load."""
    for kind in ("manifests/", "packs/"):
        for key in [key for key in pristine if key.startswith(kind)]:
            place = _place({**pristine, key: pristine[key][:-1] + b"?"})
            registry = Registry(place)
            for name in ("packed", "other", "small"):
                version = registry.save(name, text(70_000, 5))
                assert Registry(place).load(name, version) == text(70_000, 5)


def test_nothing_is_built_on_a_damaged_table(pristine: dict[str, bytes]) -> None:
    """A save of bytes that a pack with a damaged table has stores them anew."""
    for key in [key for key in pristine if key.startswith("packs/")]:
        data = bytearray(pristine[key])
        data[-TRAILER.size - 10] ^= 1
        place = _place({**pristine, key: bytes(data)})
        registry = Registry(place)
        for name, value in OBJECTS.items():
            registry.save(f"again:{name}", value)
            assert Registry(place).load(f"again:{name}") == value


def test_a_damaged_index_costs_space_only(pristine: dict[str, bytes]) -> None:
    """Whatever the index says, a save stores what is right: each byte of it set to extremes."""
    key = next(key for key in pristine if key.startswith("index/"))
    for at in range(len(pristine[key])):
        for value in (0x00, 0xFF):
            data = bytearray(pristine[key])
            data[at] = value
            place = _place({**pristine, key: bytes(data)})
            registry = Registry(place)
            registry.save("again", OBJECTS["packed"])
            assert registry.load("again") == OBJECTS["packed"]


def test_a_damaged_ref_is_not_overwritten(pristine: dict[str, bytes]) -> None:
    """A save, tag or delete on a name whose ref is damaged says so and leaves it as it is, to be healed."""
    edits: list[Callable[[Registry], object]] = [
        lambda r: r.save("small", 5),
        lambda r: r.tag("small", "x"),
        lambda r: r.annotate("small", a=1),
        lambda r: r.delete("small"),
        lambda r: r.untag("small", "good"),
        lambda r: r.undelete("small@1.0.0"),
    ]
    key = next(key for key in pristine if key.startswith("refs/") and "small" in key)
    damaged = pristine[key].replace(b"good", b"evil", 1)
    for edit in edits:
        place = _place({**pristine, key: damaged})
        with pytest.raises(CorruptError, match="small"):
            edit(Registry(place))
        assert place.get(key).data == damaged


def test_a_damaged_head_stops_writers_only(pristine: dict[str, bytes]) -> None:
    """What adds to a ref needs the collector's head: if that is damaged it says so. Reading and deleting go on."""
    from casreg.head import INITIAL, dump_head

    good = dump_head(INITIAL)
    for at in range(0, len(good), 3):
        bad = bytearray(good)
        bad[at] ^= 2
        registry = Registry(_place({**pristine, "gc/head": bytes(bad)}))
        adders: list[Callable[[], object]] = [
            lambda r=registry: r.save("small", 5),  # type: ignore[misc]
            lambda r=registry: r.save("new", NEW),  # type: ignore[misc]
            lambda r=registry: r.tag("small", "x"),  # type: ignore[misc]
            lambda r=registry: r.undelete("deleted@1.0.1"),  # type: ignore[misc]
        ]
        for add in adders:
            with pytest.raises(CorruptError, match="gc/head"):
                add()
        assert registry.load("small") == OBJECTS["small"]
        assert registry.delete("small") == ["1.0.0"]
        assert registry.list_objects() == sorted(set(EXPECTED) - {"small"})


def test_errors_of_storage_are_not_damage(pristine: dict[str, bytes]) -> None:
    """A storage that fails is a `StorageError`: nothing is called damaged because it could not be read."""
    from casreg.testing.faults import Fault, FaultBackend, FaultKind

    for at in range(1, 4):
        place = FaultBackend(_place(pristine), [Fault(at, FaultKind.BEFORE, times=1000)])
        with pytest.raises(StorageError) as caught:
            Registry(place).load("packed")
        assert not isinstance(caught.value, CorruptError)
