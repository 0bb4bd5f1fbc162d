"""Bundles stay readable, by casreg and by a stranger, as files and unpacked by any program."""

from __future__ import annotations

import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from blake3 import blake3

from casreg import Registry
from casreg.backends.archive import ArchiveBackend
from casreg.backends.memory import MemoryBackend
from casreg.keys import is_data_key
from casreg.marker import parse_marker
from format import stranger
from format.golden import BUNDLE, BUNDLED, GOLDEN, build, describe, write_bundle
from format.test_golden import FROZEN, view

if TYPE_CHECKING:
    from pathlib import Path


def living(found: dict[str, Any]) -> dict[str, Any]:
    """What a bundle has of a repository: what lives of its names."""
    return {
        name: {part: found[name][part] for part in ("versions", "tags")} for name in found if name in BUNDLED
    }


def unpacked(path: Path) -> Path:
    """The golden bundle, unpacked."""
    with zipfile.ZipFile(BUNDLE) as archive:
        archive.extractall(path)
    return path


def test_todays_code_reads_a_bundle_of_long_ago() -> None:
    """Every version is what it is in the repository that it came from: identities, notes, protection, tags, files."""
    found = describe(ArchiveBackend(BUNDLE))
    assert found.keys() == set(BUNDLED)
    assert living(found) == living(FROZEN["everything"])


def test_todays_code_takes_in_a_bundle_of_long_ago() -> None:
    """The same after `import_`."""
    registry = Registry(MemoryBackend(), allow_underscore=True)
    registry.import_(BUNDLE)
    assert living(describe(registry.backend)) == living(FROZEN["everything"])


def test_todays_code_writes_the_same_bundle(tmp_path: Path) -> None:
    """The same versions, in the same files but for what zstd made of them, and by the same rules."""
    write_bundle(build("everything"), tmp_path / "new.casreg")
    assert describe(ArchiveBackend(tmp_path / "new.casreg")) == describe(ArchiveBackend(BUNDLE))


@pytest.mark.parametrize("age", ["old", "new"])
def test_a_bundle_is_what_the_page_says(age: str, tmp_path: Path) -> None:
    """Stored entries under keys, in order, without an index; the marker knows no place."""
    path = BUNDLE
    if age == "new":
        path = tmp_path / "new.casreg"
        Registry(build("everything"), allow_underscore=True).export(path)
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        marker = parse_marker(archive.read("casreg.json"))
        assert archive.testzip() is None
    names = [info.filename for info in infos]
    assert names == sorted(set(names))
    assert all(info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1 for info in infos)
    assert all(n == "casreg.json" or n.startswith("refs/") or is_data_key(n) for n in names)
    assert {info.date_time for info in infos} == {(1980, 1, 1, 0, 0, 0)}
    assert marker.probe is None
    assert marker.id != parse_marker((GOLDEN / "everything" / "casreg.json").read_bytes()).id


def test_no_name_of_a_file_is_that_of_the_source() -> None:
    """Data that was copied has new nonces, and so new names: a name is never used twice."""
    held = {info.key for info in ArchiveBackend(BUNDLE).list("") if is_data_key(info.key)}
    source = {path.relative_to(GOLDEN / "everything").as_posix() for path in GOLDEN.rglob("everything/*/*/*")}
    assert len(held) > 10
    assert not held & source


def test_a_stranger_reads_a_bundle(tmp_path: Path) -> None:
    """As a file, and unpacked: the same files, each checked."""
    folder = unpacked(tmp_path / "unpacked")
    counted = stranger.verify(stranger.Bundle(BUNDLE))
    assert counted == stranger.verify(stranger.Storage(folder))
    assert counted["versions"] == sum(len(FROZEN["everything"][name]["versions"]) for name in BUNDLED)
    assert living(view(folder)) == living(FROZEN["everything"])
    (entry, *_) = stranger.Bundle(BUNDLE).names()["config"].open("1.0.0").entries
    assert entry.path == "data.json"


def test_an_unpacked_bundle_is_a_registry(tmp_path: Path) -> None:
    """It can be opened and, as its place is probed anew, written to."""
    registry = Registry(unpacked(tmp_path / "unpacked"), allow_underscore=True)
    assert living(describe(registry.backend)) == living(FROZEN["everything"])
    assert registry.save("long:history", "new") == "1.0.58"
    stranger.verify(stranger.Storage(tmp_path / "unpacked"))


@pytest.mark.parametrize("number", range(0, 60, 4))
def test_a_stranger_finds_every_flipped_byte_of_a_bundle(number: int, tmp_path: Path) -> None:
    """One byte of one entry is another: the checks of the page find it."""
    with zipfile.ZipFile(BUNDLE) as archive:
        infos = archive.infolist()
        info = infos[number % len(infos)]
    data = bytearray(BUNDLE.read_bytes())
    begin = info.header_offset + 30 + len(info.filename)
    at = begin + int.from_bytes(blake3(info.filename.encode()).digest(4), "little") % info.file_size
    data[at] ^= 1
    (tmp_path / "bad.casreg").write_bytes(data)
    with pytest.raises(stranger.Damaged):
        stranger.verify(stranger.Bundle(tmp_path / "bad.casreg"))
