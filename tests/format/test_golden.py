"""What was stored stays readable, by casreg and by a stranger, and is stored as the same again."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pytest
from blake3 import blake3

from casreg import LocalRegistryBackend, Registry
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import UnsupportedFormatError
from casreg.refs import spill
from casreg.versions import parse_version
from format import scribe, stranger
from format.golden import EXPECTED, GOLDEN, REPOSITORIES, build, describe, files_now, frozen, main, shortened

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend

FROZEN: dict[str, Any] = json.loads(EXPECTED.read_text(encoding="utf-8"))


@pytest.fixture
def everything(tmp_path: Path) -> Path:
    """A copy of the golden repository with one of each thing, since a test may write to it."""
    return shutil.copytree(GOLDEN / "everything", tmp_path / "everything")


@pytest.mark.parametrize("name", REPOSITORIES)
def test_todays_code_reads_what_was_stored(name: str, tmp_path: Path) -> None:
    """Every version: identities, metadata, notes, tags, and the digest of each file."""
    folder = shutil.copytree(GOLDEN / name, tmp_path / name)
    assert describe(LocalRegistryBackend(folder)) == FROZEN[name]


@pytest.mark.parametrize("name", REPOSITORIES)
def test_todays_code_stores_the_same_again(name: str) -> None:
    """The same objects, saved today, have the identities that they always had."""
    assert describe(build(name)) == FROZEN[name]


def test_what_is_loaded_and_saved_again_is_the_same(everything: Path) -> None:
    """Load and save, for every version: the same `content`, whatever kind of object it is."""
    old, new = Registry(everything, allow_underscore=True), Registry(MemoryBackend(), allow_underscore=True)
    for name, found in FROZEN["everything"].items():
        for version, said in found["versions"].items():
            new.save(name, old.load(name, version), version=version, metadata=said["metadata"])
            assert new.info(name, version)["digest"] == said["content"], f"{name}@{version}"


def test_the_golden_repository_has_one_of_each_thing(everything: Path) -> None:
    """Otherwise the tests above prove less than they say."""
    storage = stranger.Storage(everything)
    refs = storage.names()
    assert "~upload-00ff" in refs
    assert len(refs["long:history"].body["older"]) > 1
    assert refs["long:history"].body["partial"]
    spilled = refs["long:history"].spilled(refs["long:history"].body["older"][-1])
    assert any(record.partial and record.dead for record in spilled.values())
    oldest = refs["long:history"].spilled(refs["long:history"].body["older"][0])
    assert oldest["1.0.0"].live is not None
    assert oldest["1.0.0"].live["protected"]
    assert refs["my:data"].body["versions"]["1.1.0"]["protected"]
    assert "protected" not in refs["copy"].body["versions"]["1.0.0"]
    assert refs["gone"].body["retired"] == ["1.0.0"]
    assert refs["config"].body["deleted"]["1.0.1"]
    assert refs["config"].body["tags"].keys() == {"prod", "next"}
    assert stranger.head(storage)["kept"]
    assert refs["after"].body["stamp"] == stranger.head(storage)["id"]
    tree = refs["Tree_of:Files"].open("1.0.0")
    assert tree.data["count"] > 32
    assert any(entry.folder for entry in tree.entries)
    assert any(entry.executable for entry in tree.entries)
    assert any(entry.stream.counts for entry in tree.entries)
    first, second = (
        refs["my:data"].open(version).data["entries"][0]["chunks"] for version in ("1.0.0", "1.1.0")
    )
    assert len({tuple(chunk) for chunk in first} & {tuple(chunk) for chunk in second}) > 1
    assert len(storage.keys("index/")) > 1
    (deep,) = stranger.Storage(GOLDEN / "deep").names()["deep"].open("1.0.0").entries
    assert len(deep.stream.counts) == 2
    assert stranger.Storage(GOLDEN / "deep").keys("segments/")


def view(folder: Path) -> dict[str, Any]:
    """What a stranger finds in a repository, in the words of `golden.describe`."""
    found: dict[str, Any] = {}
    for name, ref in stranger.Storage(folder).names().items():
        if name.startswith("~") or not ref.versions():
            continue
        versions = {}
        for version, entry in ref.versions().items():
            opened = ref.open(version)
            files: dict[str, Any] = {}
            for number, item in enumerate(opened.entries):
                hasher = blake3()
                for chunk in opened.read(number):
                    hasher.update(chunk)
                plain = {"size": item.stream.size, "b3": hasher.hexdigest(), "depth": len(item.stream.counts)}
                files[item.path] = "folder" if item.folder else {**plain, "executable": item.executable}
            versions[version] = {
                **{field: entry[field] for field in ("data", "content", "size", "notes")},
                "materializer": opened.data["materializer"],
                "metadata": opened.metadata,
                "protected": entry.get("protected", False),
                "files": shortened(files),
            }
        found[name] = {
            "versions": versions,
            "dead": {v: [tomb["content"] for tomb in dead] for v, (_, dead) in ref.records.items() if dead},
            "retired": [v for v, (live, dead) in ref.records.items() if live is None and not dead],
            "tags": {tag: to[0] for tag, to in ref.body["tags"].items()},
        }
    return found


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_stranger_reads_what_was_stored(name: str) -> None:
    """A reader written from docs/format.md alone finds the same versions, tags and bytes."""
    assert view(GOLDEN / name) == FROZEN[name]


@pytest.mark.parametrize("name", REPOSITORIES)
def test_a_stranger_verifies_every_byte(name: str) -> None:
    """Packs with header, table and trailer, segments, lists of names, index files, and all that refs reach."""
    storage = stranger.Storage(GOLDEN / name)
    pins = sum(len(ref.versions()) for hidden, ref in storage.names().items() if hidden.startswith("~"))
    counted = stranger.verify(storage)
    assert counted["versions"] == pins + sum(len(found["versions"]) for found in FROZEN[name].values())


def test_a_stranger_needs_nothing_of_casreg(everything: Path, tmp_path: Path) -> None:
    """As a program of its own, where casreg cannot be imported, it lists and extracts."""
    code = "import sys; sys.modules['casreg'] = None; import runpy; runpy.run_path(sys.argv.pop(1), run_name='__main__')"

    def run(*arguments: str) -> str:
        program = [sys.executable, "-W", "error", "-c", code, stranger.__file__, str(everything), *arguments]
        environment = {**os.environ, "PYTHONUTF8": "1"}
        return subprocess.run(
            program, check=True, capture_output=True, encoding="utf-8", env=environment
        ).stdout

    assert "config 1.0.0 2.0.0-rc.1 next=2.0.0-rc.1 prod=1.0.0" in run().splitlines()
    run("extract", "Tree_of:Files", "1.0.0", str(tmp_path / "out"))
    tree = FROZEN["everything"]["Tree_of:Files"]["versions"]["1.0.0"]["files"]
    for path, said in tree.items():
        found = tmp_path / "out" / path
        assert found.is_dir() if said == "folder" else blake3(found.read_bytes()).hexdigest() == said["b3"]
    assert os.access(tmp_path / "out" / "run.sh", os.X_OK) or os.name == "nt"


def files_of(folder: Path) -> list[Path]:
    """All files, sorted."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("number", range(0, len(files_of(GOLDEN / "everything")), 3))
def test_a_stranger_finds_every_flipped_byte(number: int, everything: Path) -> None:
    """One byte of a file is another: whichever file it is, and wherever in it, the checks of the page find it."""
    file = files_of(everything)[number]
    data = bytearray(file.read_bytes())
    at = int.from_bytes(blake3(file.name.encode()).digest(4), "little") % len(data)
    data[at] ^= 1
    file.write_bytes(data)
    with pytest.raises(stranger.Damaged):
        stranger.verify(stranger.Storage(everything))


def test_a_golden_repository_can_be_written_to(everything: Path) -> None:
    """Versions that are added today stand beside the old ones, for casreg and for the stranger."""
    registry = Registry(everything, allow_underscore=True)
    backend: Backend = registry.backend
    assert registry.save("long:history", "new") == "1.0.58"
    assert registry.save("my:data", registry.load("my:data", "1.0.0"), tags=["old"]) == "1.1.1"
    assert registry.undelete("config", "1.0.1") == "1.0.1"
    assert registry.save("gone", 2) == "1.0.1"
    assert view(everything) == describe(backend)
    stranger.verify(stranger.Storage(everything))


# ------------------------------------------------------------------------------------------------- frozen


def test_no_byte_of_what_is_golden_has_changed() -> None:
    """Every file that was ever golden is there as it was, and none that is not frozen with its digest."""
    assert files_now() == frozen()
    assert set(REPOSITORIES) <= {path.name for path in GOLDEN.iterdir()}


def test_nothing_that_is_there_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`scripts/golden` leaves every byte as it is, and adds what is missing."""
    copied = shutil.copytree(GOLDEN, tmp_path / "golden")
    digests = frozen()
    before = {path.relative_to(copied): path.read_bytes() for path in files_of(copied)}
    for name, path in (
        ("GOLDEN", ""),
        ("EXPECTED", EXPECTED.name),
        ("DIGESTS", "frozen.b3"),
        ("BUNDLE", "some.casreg"),
    ):
        monkeypatch.setattr(f"format.golden.{name}", copied / path)
    monkeypatch.setattr("format.examples.rewrite", lambda: None)
    monkeypatch.setitem(REPOSITORIES, "another", lambda backend: Registry(backend).save("x", 1))
    main()
    after = {path.relative_to(copied): path.read_bytes() for path in files_of(copied)}
    new = {path for path in after if path.parts[0] == "another"}
    assert len(new) == 3
    grown = {path for path in after if before.get(path) != after[path]} - new
    assert {path.name for path in grown} == {EXPECTED.name, "frozen.b3"}
    expected = json.loads((copied / EXPECTED.name).read_text(encoding="utf-8"))
    assert expected.pop("another")["x"]["versions"].keys() == {"1.0.0"}
    assert expected == FROZEN
    assert frozen().items() >= digests.items()


@pytest.mark.parametrize("name", REPOSITORIES)
def test_todays_code_goes_on_with_what_was_stored(name: str, tmp_path: Path) -> None:
    """A copy is verified, added to, changed, and collected; what it had is what it was, for both readers."""
    folder = shutil.copytree(GOLDEN / name, tmp_path / name)
    registry = Registry(folder, mutable=True, allow_underscore=True)
    assert registry.verify(data=True).damages == ()
    for known, found in FROZEN[name].items():
        assert parse_version(registry.save(known, "new", bump="major")) > parse_version(
            [*found["versions"]][-1]
        )
        registry.delete(known, registry.save(known, "dead", bump="minor"))
        registry.tag(known, "golden", next(iter(found["versions"])))
    registry.save("added", np.arange(30_000))
    assert registry.verify(data=True).damages == ()
    assert registry.gc(min_age=0, undelete_window=0).freed
    assert registry.verify(data=True).damages == ()
    now = describe(registry.backend)
    assert now == view(folder)
    for known, found in FROZEN[name].items():
        versions = now[known]["versions"]
        assert {version: versions[version] for version in found["versions"]} == found["versions"]
        assert now[known]["tags"] == found["tags"] | {"golden": next(iter(found["versions"]))}
    stranger.verify(stranger.Storage(folder))


@pytest.mark.parametrize("state", ["condemned", "verdict"])
def test_todays_code_takes_on_the_run_of_a_collector_of_long_ago(state: str, tmp_path: Path) -> None:
    """It ends in the head's circle; what a version needs stays, what nobody needs goes, and only what was condemned."""
    folder = shutil.copytree(
        GOLDEN / state, tmp_path / state, copy_function=shutil.copyfile
    )  # all files are young
    before = stranger.Storage(folder)
    listed = stranger.names_list(before, stranger.head(before)["names"])
    others = {*before.keys("manifests/"), *before.keys("packs/")} - {*listed}
    done = Registry(folder).gc()
    assert (done.unfinished, done.runs) == (True, (3,))
    after = stranger.Storage(folder)
    held = {*after.keys("manifests/"), *after.keys("packs/")}
    reached = {
        f"manifests/{e['manifest'][:2]}/{e['manifest']}" for e in after.names()["kept"].versions().values()
    }
    assert held == others | (set(listed) & reached)
    assert len(set(listed) - held) == 2
    head = stranger.head(after)
    assert (head["state"], head["names"], len(head["kept"])) == ("idle", None, 3)
    assert head["bad"] == stranger.head(before)["bad"] is not None
    assert Registry(folder).load("kept", "1.0.0") == {"rate": 0.5}
    assert Registry(folder).undelete("deleted", "1.0.0") == "1.0.0"


def later_fields(value: Any) -> int:
    """How often the fields stand in a document that nobody knows."""
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    known = isinstance(value, dict) and scribe.UNKNOWN.items() <= value.items()
    return known + sum(map(later_fields, children))


def test_fields_that_nobody_knows_survive_all_that_casreg_does(tmp_path: Path) -> None:
    """Of the marker, the head, refs, entries, tombstones, rows of `older`; also when history spills, and by a copy."""
    folder = shutil.copytree(GOLDEN / "later", tmp_path / "later")
    storage = stranger.Storage(folder)

    def count() -> dict[str, int]:
        documents = ("casreg.json", "gc/head", "refs/later_!one", "refs/later.history")
        counted = {key: later_fields(stranger.unseal(storage.get(key), key)) for key in documents}
        ref = stranger.Ref(storage, "later.history")
        records = [entry for live, dead in ref.records.values() for entry in (live, *dead) if entry]
        return {**counted, "records": sum(map(later_fields, records))}

    first = count()
    assert first == {
        "casreg.json": 1,
        "gc/head": 1,
        "refs/later_!one": 5,
        "refs/later.history": 8,
        "records": 11,
    }
    registry = Registry(folder, mutable=True)
    registry.annotate("later:One", "1.1.0", by="y")
    registry.unprotect("later:One", "1.1.0")
    registry.tag("later:One", "a.B-1", "1.0.0")
    registry.delete("later:One", "1.1.0")
    registry.undelete("later:One", "1.1.0")
    registry.annotate("later.history", "0.4.0", by="y")
    assert registry.gc(min_age=0).freed
    # The entry that stood in a segment only stands in the ref now, too.
    assert count() == {**first, "refs/later.history": 9}
    with patch.object(spill, "INLINE_LIMIT", 1500), patch.object(spill, "_LEAST_ROOM", 1000):
        registry.save("later.history", 99)
        registry.save("later.history", 98)
    assert len(stranger.Ref(storage, "later.history").body["older"]) < 5  # what was spilled was merged
    assert count()["records"] == 11
    assert registry.verify(data=True).damages == ()
    target = Registry(MemoryBackend(), allow_underscore=True)
    target.sync(Registry(folder, allow_underscore=True))
    assert describe(target.backend)["later:One"] == describe(registry.backend)["later:One"]


def test_the_rarer_repositories_have_what_is_rare() -> None:
    """Otherwise the tests above prove less than they say."""
    broad = stranger.Storage(GOLDEN / "broad")
    opened = broad.names()["broad"].open("1.0.0")
    assert opened.data["tree"]["counts"] == [17]
    assert opened.placement["runs"]["tree.1"]
    (index,) = broad.keys("index/")
    assert struct.unpack_from("<I", broad.get(index), 28)[0] > 0  # bits of its fanout
    later = stranger.Storage(GOLDEN / "later")
    assert len(later.names()["later.history"].body["older"]) == 4
    assert later.names()["Limits"].open("9" * 14 + "8" + 2 * ("." + "9" * 15)).entries == []
    large = later.names()["later:One"].open("1.1.0")
    runs = large.placement["runs"]["data"]
    assert len({run[0] for run in runs}) > 1
    assert len({tuple(run[:2]) for run in runs}) < len(runs)  # chunks that are repeated
    assert b" " in large.data_line
    moved = stranger.Storage(GOLDEN / "moved")
    pin = moved.names()["~upload-0"].open("0.0.123")
    assert (len(pin.placement["packs"]), pin.placement["runs"], pin.entries) == (1, {}, [])
    half = moved.names()["half"].open("1.0.1")
    assert len(half.placement["packs"]) == 2  # the new one has two of the six chunks that it had
    (dead,) = moved.names()["half"].body["deleted"]["1.0.0"]
    assert not moved.keys(f"manifests/{dead['manifest'][:2]}/{dead['manifest']}")  # what was collected
    for state in ("condemned", "verdict"):
        head = stranger.head(stranger.Storage(GOLDEN / state))
        assert head["state"] == state
        assert None not in (head["names"], head["bad"])
        assert [kept["names"] is None for kept in head["kept"]] == [False, True]


def test_fields_that_nobody_knows_go_along_and_words_stay(tmp_path: Path) -> None:
    """A version that is copied has the fields that its entry had; what a ref requires of writers it requires of them there."""
    folder = shutil.copytree(GOLDEN / "later", tmp_path / "later")
    ref = folder / "refs" / "later_!one"
    body = stranger.unseal(ref.read_bytes(), "ref")
    ref.write_bytes(scribe.seal(scribe.canonical({**body, "requires": ["later"]})))
    Registry(tmp_path / "target", allow_underscore=True).sync(folder)
    copied = stranger.Storage(tmp_path / "target").names()["later:One"].body
    assert copied["requires"] == []
    assert later_fields(copied["versions"]) == later_fields(body["versions"]) == 4


@pytest.mark.parametrize("key", ["casreg.json", "gc/head", "refs/config"])
def test_a_word_that_nobody_knows_stops_writers_and_no_readers(key: str, everything: Path) -> None:
    """A later casreg writes one into the marker, the head or a ref: from then on this one reads only, and says why."""
    body = json.loads((everything / key).read_bytes()[:-75] + b"}")
    (everything / key).write_bytes(scribe.seal(scribe.canonical({**body, "requires": ["later"]})))
    files = {path: path.read_bytes() for path in files_of(everything)}
    registry = Registry(everything, allow_underscore=True)
    assert describe(registry.backend)["config"] == FROZEN["everything"]["config"]
    stranger.verify(stranger.Storage(everything))
    writes: list[Callable[[], object]] = [
        lambda: registry.save("config", 1),
        lambda: registry.tag("config", "prod", "2.0.0-rc.1"),
        lambda: registry.undelete("config", "1.0.1"),
        lambda: registry.gc(min_age=0),
    ]
    if key != "gc/head":  # which who only deletes need not read
        writes += [lambda: registry.delete("config", "1.0.0"), lambda: registry.annotate("config", a=1)]
    for write in writes:
        with pytest.raises(UnsupportedFormatError, match=r"'later'.*upgrade"):
            write()
    reached = {
        path: data for path, data in files.items() if path.relative_to(everything).parts[0] in ("refs", "gc")
    }
    assert {path: path.read_bytes() for path in reached} == reached
