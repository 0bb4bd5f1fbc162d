"""Verification finds what is damaged, names it and the versions that it touches, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.manifests import encode_content, encode_manifest, encode_metadata, encode_placement
from casreg.packs import key_of
from casreg.repository import Repository
from casreg.repository.finding import manifest_of
from casreg.verify import check_packs, survey
from casreg.verify.findings import UnusableError
from casreg.verify.structure import check_placement
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


def moved(placement: Placement) -> Placement:
    """The same placement, whose first run begins a byte late."""
    runs = list(placement.runs["data"])
    first = runs[0]
    runs[0] = first._replace(offset=first.offset + 1, length=first.length - 1)
    return replace(placement, runs={**placement.runs, "data": tuple(runs)})


def test_a_placement_that_leads_elsewhere_is_found() -> None:
    """Runs that point beside their frames are damage, though every file has its digest."""
    backend = filled()
    repository = Repository(backend)
    _, _, manifest = manifest_of(repository, "b:array", Latest())
    tables = PackTables(backend)
    check_placement(backend, manifest, tables)
    forged = forge(backend, manifest)
    with pytest.raises(UnusableError, match=r"placement does not lead to chunk|another length"):
        check_placement(backend, forged, tables)


def forge(backend: MemoryBackend, manifest: Manifest) -> Manifest:
    """The same version under a manifest whose placement is wrong, though all its digests are right."""
    data = encode_manifest(
        encode_content(manifest.content),
        encode_metadata(manifest.metadata),
        encode_placement(moved(manifest.placement)),
        b"",
    )
    digest = digest_of(data)
    backend.create(f"manifests/{digest.hex()[:2]}/{digest.hex()}", data)
    return Repository(backend).manifest(digest)
