"""Verification finds what is damaged, names it and the versions that it touches, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.keys import manifest_key, ref_key
from casreg.manifests import encode_content, encode_manifest, encode_metadata, encode_placement
from casreg.packs import key_of
from casreg.refs import Record
from casreg.repository import Repository
from casreg.repository.finding import manifest_of
from casreg.verify import check_packs, survey
from casreg.verify.checking import check_pack
from casreg.verify.findings import UnusableError
from casreg.verify.structure import check_placement
from casreg.verify.supply import LostError, Supply
from casreg.verify.tables import PackTables
from casreg.versions import Latest

if TYPE_CHECKING:
    from casreg.model import Manifest, Placement


def filled() -> MemoryBackend:
    """A small registry: a value in its manifest, and two arrays that share a pack."""
    backend = MemoryBackend()
    registry = Registry(backend)
    registry.save("a:value", {"x": 1})
    numbers = np.random.default_rng(3).integers(0, 255, 300_000, dtype=np.uint8)
    registry.save("b:array", numbers)
    registry.save("c:array", np.concatenate([numbers, numbers[:50_000]]))
    return backend


def overwrite(backend: MemoryBackend, key: str, data: bytes) -> None:
    """What a failing disk does: other bytes under the same key."""
    backend.delete([key])
    backend.create(key, data)


def packs_of(backend: MemoryBackend) -> list[str]:
    """The keys of all packs."""
    return [info.key for info in backend.list("packs/")]


def test_a_clean_registry_has_no_damage() -> None:
    """Nothing is reported where nothing is wrong, and every version and pack is counted."""
    backend = filled()
    repository = Repository(backend)
    found = survey(repository)
    assert (found.versions, found.damage) == (3, ())
    assert sorted(map(key_of, found.packs)) == packs_of(backend)
    assert not list(check_packs(found))


@pytest.mark.parametrize("at", [3, 30, 60, 5_000, -1, -30, -60])
def test_one_flipped_byte_of_a_pack_is_found(at: int) -> None:
    """Header, frame, table or trailer: the pack is named, and the versions that need it."""
    backend = filled()
    key = packs_of(backend)[0]
    data = bytearray(backend.get(key).data)
    data[at] ^= 1
    overwrite(backend, key, bytes(data))
    repository = Repository(backend)
    found = survey(repository)
    damage = [*found.damage, *check_packs(found)]
    assert damage
    touched = {version for one in damage for version in one.versions}
    assert touched <= {"b:array@1.0.0", "c:array@1.0.0"}
    assert any(key in one.key + one.problem for one in damage)


def test_a_missing_pack_is_found() -> None:
    """A pack that is gone is named with the versions that need it."""
    backend = filled()
    key = packs_of(backend)[0]
    backend.delete([key])
    found = survey(Repository(backend))
    assert any("is missing" in one.problem and key in one.problem for one in found.damage)


def test_a_short_pack_is_found() -> None:
    """A pack that was cut off ends the reading of it, and is damage."""
    backend = filled()
    for key in packs_of(backend):
        overwrite(backend, key, backend.get(key).data[:100])
    repository = Repository(backend)
    found = survey(repository)
    assert {v for one in found.damage for v in one.versions} == {"b:array@1.0.0", "c:array@1.0.0"}


def test_a_pack_that_grew_is_found() -> None:
    """Bytes behind the end of a pack are damage, since its name is the digest of all of it."""
    backend = filled()
    key = packs_of(backend)[0]
    overwrite(backend, key, backend.get(key).data + b"x")
    repository = Repository(backend)
    assert [one.key for one in check_packs(survey(repository))] == [key]


@pytest.mark.parametrize("prefix", ["manifests/", "refs/"])
def test_damaged_small_files_are_found(prefix: str) -> None:
    """Each flipped manifest or ref is one damage; the others stay clean."""
    for number in range(3):
        backend = filled()
        key = [info.key for info in backend.list(prefix)][number]
        data = bytearray(backend.get(key).data)
        data[len(data) // 2] ^= 1
        overwrite(backend, key, bytes(data))
        found = survey(Repository(backend))
        assert [one.key for one in found.damage] == [key]


FORGERIES = {
    "a byte late": lambda run: run._replace(offset=run.offset + 1, length=run.length - 1),
    "a byte off": lambda run: run._replace(offset=run.offset - 1),
    "too long": lambda run: run._replace(length=run.length + 1),
    "a chunk less": lambda run: run._replace(chunks=run.chunks - 1),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_placement_that_leads_elsewhere_is_found(forgery: str) -> None:
    """Runs that point beside their frames are damage, though every file has its digest; and the manifest is at fault."""
    backend = filled()
    _, _, manifest = manifest_of(Repository(backend), "b:array", Latest())
    tables = PackTables(backend)
    check_placement(backend, manifest, tables)
    *others, last = manifest.placement.runs["data"]
    runs = {**manifest.placement.runs, "data": (*others, FORGERIES[forgery](last))}
    forged = forge(backend, manifest, replace(manifest.placement, runs=runs))
    with pytest.raises(
        UnusableError, match=r"does not lead to chunk|another length|as many chunks"
    ) as caught:
        check_placement(backend, forged, tables)
    assert (caught.value.kind, caught.value.key) == ("manifest", manifest_key(forged.digest))


def forge(backend: MemoryBackend, manifest: Manifest, placement: Placement, inline: bytes = b"") -> Manifest:
    """The same version under a manifest that says something else of where it is, though all its digests are right."""
    data = encode_manifest(
        encode_content(manifest.content),
        encode_metadata(manifest.metadata),
        encode_placement(placement),
        inline,
    )
    digest = digest_of(data)
    backend.create(manifest_key(digest), data)
    return Repository(backend).manifest(digest)


def test_other_bytes_in_a_manifest_are_found() -> None:
    """The digest of the file is right, and that of the chunk in it is not."""
    backend = filled()
    _, _, manifest = manifest_of(Repository(backend), "a:value", Latest())
    forged = forge(backend, manifest, manifest.placement, b"?" * len(manifest.inline))
    with pytest.raises(UnusableError, match="of its payload is damaged"):
        check_placement(backend, forged, PackTables(backend))


def name_another(backend: MemoryBackend, name: str, manifest: Manifest) -> None:
    """Let the ref of a name say that its version has this manifest."""
    repository = Repository(backend)
    held = repository.refs.read(name)
    assert held is not None
    ((version, entry),) = held.history.live()
    record = Record(replace(entry, manifest=manifest.digest))
    overwrite(backend, ref_key(name), replace(held.history.ref, records={version: record}).to_bytes())


def test_a_ref_that_names_another_version_is_found_and_healed() -> None:
    """The manifest is whole, and is not what the ref says: it is not marked, since others need it."""
    backend, copy = filled(), filled()
    Registry(copy).update(Registry(backend))
    _, _, other = manifest_of(Repository(backend), "c:array", Latest())
    wanted = Registry(backend).load("b:array")
    name_another(backend, "b:array", other)
    (damage,) = Registry(backend).verify(data=True).damages
    assert damage.versions == ("b:array@1.0.0",)
    assert "is not what the ref of b:array@1.0.0 says" in damage.problem
    healing = Registry(backend).heal(Registry(copy))
    assert healing.clean
    assert healing.marked == ()
    assert np.array_equal(Registry(backend).load("b:array"), wanted)
    assert Registry(backend).verify(data=True).damages == ()
    assert len(Registry(backend).load("c:array")) == 350_000


def test_what_was_whole_when_it_was_checked_and_is_not_any_more() -> None:
    """A chunk that was to be taken from a damaged pack comes from the copy after all."""
    backend, copy = filled(), filled()
    seen = survey(Repository(backend))
    pack = next(one for one, users in seen.needed.items() if len(users) == 2)
    whole = check_pack(backend, pack)
    assert not whole.problem
    table = PackTables(backend).get(pack)
    digest, located = next(iter(table.items()))
    data = bytearray(backend.get(key_of(pack)).data)
    data[located.offset + located.length - 1] ^= 1
    overwrite(backend, key_of(pack), bytes(data))
    damaged = replace(whole, problem="its header is damaged", intact=table)
    supply = Supply(Repository(backend), Repository(copy), {pack: damaged})
    (read,) = supply.read({digest: located.size})
    assert digest_of(read.data) == digest
    lonely = Supply(Repository(backend), Repository(MemoryBackend()), {pack: damaged})
    with pytest.raises(LostError, match="1 chunks are in no place"):
        list(lonely.read({digest: located.size}))
