"""Boundaries are frozen: no release of any library may move one, or the same content would be stored twice."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.chunker import cut
from casreg.manifests import encode_list
from casreg.repository.repository import Repository
from casreg.versions import Version
from format.examples import gear
from format.golden import INPUTS, VECTORS, Vector, block, digest, vectors, xof

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FROZEN: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))
SMALL = [row for row in FROZEN if row["size"] < 5 << 20]

# Section 7 of docs/format.md, word for word.
G = gear()
STRICT = 0x0000D90703537000
LOOSE = 0x0000D90F03530000


def cuts(data: bytes) -> Iterator[int]:
    """The sizes of the chunks of a stream, as the page describes it."""
    while data:
        size = first_cut(data)
        yield size
        data = data[size:]


def first_cut(b: bytes) -> int:
    """Steps 1 to 4."""
    n = len(b)
    if n <= 16384:
        return n
    m = min(n, 262144)
    e = m - m % 2
    h = 0
    for i in range(16384, e):
        h = (2 * h + G[b[i]]) % 2**64
        mask = STRICT if i < 65536 else LOOSE
        if h & mask == 0:
            return i
    return m


def vector(row: dict[str, Any]) -> Vector:
    """The input of a row."""
    return Vector(row["kind"], row["seed"], row["size"])


def test_todays_chunker_cuts_where_it_always_did() -> None:
    """All vectors: the bytes of the input, the sizes of its chunks, and the digest of its chunk list."""
    assert vectors() == FROZEN


@pytest.mark.parametrize("row", SMALL, ids=lambda row: f"{row['kind']}-{row['seed']}-{row['size']}")
def test_the_cuts_are_those_that_the_page_describes(row: dict[str, Any]) -> None:
    """The algorithm of the page, in plain Python and with the table it defines, makes the frozen cuts."""
    data = vector(row).data()
    assert digest(data) == row["b3"]
    assert list(cuts(data)) == row["cuts"]


def test_a_long_file_is_cut_as_if_in_one_pass() -> None:
    """The pipeline, which cuts pieces of 8 MiB side by side, gives the frozen cuts of 20 MiB."""
    row = FROZEN[-1]
    assert row["size"] > 2 * 8 << 20
    backend = MemoryBackend()
    Registry(backend).save("x", vector(row).data())
    repository = Repository(backend)
    entry = repository.refs.ask("x", lambda history: history.entry(Version(1, 0, 0)) if history else None)
    assert entry is not None
    chunks = repository.reader(repository.manifest(entry.manifest), "x").chunks("data.bin")
    assert [chunk.size for chunk in chunks] == row["cuts"]
    assert digest(encode_list(chunks)) == row["list"]


def lines_of(obj: object) -> tuple[dict[str, Any], dict[str, Any]]:
    """Data line and placement line of an object that was just saved."""
    backend = MemoryBackend()
    Registry(backend).save("x", obj)
    (info,) = backend.list("manifests/")
    _, data, _, placement, _ = backend.get(info.key).data.split(b"\n", 4)
    return json.loads(data), json.loads(placement)


def test_sixteen_chunks_stand_in_the_entry_and_seventeen_in_a_list() -> None:
    """A constant of the format: with another, the same file would have another identity."""
    ((sixteen,), (seventeen,)) = (lines_of(block() * count)[0]["entries"] for count in (16, 17))
    assert ("counts" in sixteen, len(sixteen["chunks"])) == (False, 16)
    assert (seventeen["counts"], len(seventeen["chunks"])) == ([17], 1)


def test_a_list_of_sixteen_chunks_has_none_and_one_of_seventeen_has() -> None:
    """The same constant counts at every level."""
    (sixteen,) = lines_of(block() * 7200)[0]["entries"]
    (seventeen,) = lines_of(block() * 7500)[0]["entries"]
    assert (sixteen["counts"], len(sixteen["chunks"])) == ([7200], 16)
    assert (seventeen["counts"], len(seventeen["chunks"])) == ([7500, 17], 1)


def test_thirty_two_entries_stand_in_the_line_and_thirty_three_in_a_tree(tmp_path: Path) -> None:
    """A constant of the format, whatever the sizes; empty folders count."""
    tree = tmp_path / "tree"
    (tree / "empty").mkdir(parents=True)
    for number in range(31):
        (tree / f"{number}").touch()
    data, placement = lines_of(tree)
    assert (data["count"], len(data["entries"])) == (32, 32)
    assert placement == {"inline": 0, "packs": [], "requires": [], "runs": {}}
    (tree / "one more").touch()
    data, placement = lines_of(tree)
    assert (data["count"], "entries" in data) == (33, False)
    assert (
        data["tree"]["size"]
        == sum(run[4] for run in placement["runs"]["tree"]) * data["tree"]["chunks"][0][1]
    )


def test_sixteen_kibibytes_stand_in_the_manifest() -> None:
    """A payload of 16,384 bytes is inline, one of a byte more is not; the entry is the same kind in both."""
    small, placement = lines_of(bytes(16384))
    assert placement == {"inline": 16384, "packs": [], "requires": [], "runs": {}}
    large, placement = lines_of(xof("x", 16385))
    assert placement["inline"] == 0
    assert placement["runs"].keys() == {"data"}
    assert [len(line["entries"][0]["chunks"]) for line in (small, large)] == [1, 1]


def test_the_vectors_reach_every_rule() -> None:
    """Among them: no chunk, one, cuts by each mask, at the maximum, and inputs of odd length."""
    sizes = [size for row in FROZEN for size in row["cuts"][:-1]]
    assert min(sizes) >= 16384
    assert 262144 in sizes
    assert any(16384 < size < 65536 for size in sizes)
    assert any(65536 < size < 262144 for size in sizes)
    assert any(size % 2 for size in sizes)
    assert [] in [row["cuts"] for row in FROZEN]
    assert len(FROZEN) == len(INPUTS)
    assert cut(memoryview(b"")) == []
