"""One version to another repository: the same version, with the chunks that were missing, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from casreg import chunker, codec
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    CorruptError,
    ObjectNotFoundError,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.keys import is_data_key, manifest_key
from casreg.packs import FRAME, iterate_frames, key_of
from casreg.registry import Registry
from casreg.repository import Repository, proving
from casreg.repository.committing import Terms
from casreg.repository.finding import select
from casreg.testing.recording import RecordingBackend
from casreg.transfer import Meter, copy
from casreg.transfer.frames import FrameReader
from casreg.transfer.sections import sections_of
from casreg.versions import Exact, Latest, parse_version
from format.golden import GOLDEN, block
from registry.lab import noise, snapshot, text
from transfer.lab import check, entry_of, frames_of, is_untouched, view

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.model import Manifest, Run
    from casreg.progress import Progress
    from casreg.refs import Entry
    from casreg.repository.committing import Saved

BIG = noise(700_000, 1) + text(700_000, 2)


def moved(source: Any, target: Any, name: str, version: str | None = None, /, **terms: Any) -> Saved:
    """Copy a version under its name, from new handles."""
    selector = Latest() if version is None else Exact(parse_version(version))
    as_here = Terms(name, **terms)
    return copy(Repository(source), name, selector, Repository(target), as_here)


@pytest.fixture
def source(tmp_path: Path) -> MemoryBackend:
    """A place with a small value, a big one in three versions, and a tree with a file that has a chunk list."""
    backend = MemoryBackend()
    registry = Registry(backend, mutable=True)
    registry.save("small", {"a": [1, 2]}, metadata={"score": 0.1}, notes={"by": "me"}, tags=["prod"])
    registry.save("big", BIG)
    registry.save("big", BIG[:500_000] + b"changed" + BIG[500_000:], notes={"n": 1})
    registry.save("big", BIG + noise(100_000, 3), metadata={"last": True})
    folder = tmp_path / "tree"
    (folder / "empty").mkdir(parents=True)
    for number in range(40):
        (folder / f"{number}").write_bytes(noise(1_000 * number, number))
    (folder / "long").write_bytes(BIG)
    registry.save("tree", folder)
    registry.save("nothing", b"")
    return backend


@pytest.mark.parametrize("name", ["small", "big", "tree", "nothing"])
def test_a_copy_is_the_same_version(source: MemoryBackend, name: str) -> None:
    """Both identities, both lines, number, time, class, notes and every byte; only tags stay behind."""
    target = MemoryBackend()
    saved = moved(source, target, name)
    key = f"{name}@{saved.version}"
    assert view(target) == {key: view(source)[key]._replace(tags=())}
    assert not saved.existed
    placements = [Repository(one).manifest(entry_of(one, name, str(saved.version)).manifest).placement
                  for one in (source, target)]  # fmt: skip
    assert [one.runs.keys() for one in placements] == [placements[0].runs.keys()] * 2
    check(target)


def test_nothing_is_cut_or_compressed(source: MemoryBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks go over as they are: neither the chunker nor the compressor is asked, and the stored forms are equal."""
    monkeypatch.setattr(chunker, "cut", None)
    monkeypatch.setattr(codec, "encode", None)
    monkeypatch.setattr(codec, "encode_all", None)
    target = MemoryBackend()
    for name, version in [("big", "1.0.0"), ("big", "1.0.1"), ("tree", None), ("big", None)]:
        moved(source, target, name, version)
    assert frames_of(target) == frames_of(source)


def test_every_file_of_a_copy_has_a_new_name(source: MemoryBackend) -> None:
    """A name of data is used once: neither a pack nor a manifest of the source has its name at the target."""
    target = MemoryBackend()
    moved(source, target, "big")
    moved(source, target, "small")
    held = {key for key in snapshot(target) if is_data_key(key)}
    assert len(held) >= 3
    assert not held & snapshot(source).keys()
    assert entry_of(target, "small", "1.0.0").write != entry_of(source, "small", "1.0.0").write


def test_what_was_added_is_counted(source: MemoryBackend) -> None:
    """`stored` is the bytes of packs and manifest that the copy wrote here, and `packs` those of its placement."""
    target = RecordingBackend(MemoryBackend())
    Registry(target).save(
        "part", BIG[:400_000]
    )  # so that the copy's chunks are in other packs than the original's
    for version in ("1.0.0", "1.0.1"):
        target.log.clear()
        entry = moved(source, target, "big", version).entry
        written = [call for call in target.log.calls("create") if is_data_key(call.key)]
        assert entry.stored == sum(call.bytes_in for call in written)
        assert entry.packs == len(Repository(target).manifest(entry.manifest).placement.packs)
        assert entry.packs != entry_of(source, "big", version).packs


def test_only_what_is_missing_moves(source: MemoryBackend) -> None:
    """After 1.0.0, version 1.0.1 moves the chunks around its change; it reads no more of the source's packs."""
    inner = MemoryBackend()
    moved(source, inner, "big", "1.0.0")
    reads, writes = RecordingBackend(source), RecordingBackend(inner)
    moved(reads, writes, "big", "1.0.1")
    packs = sum(call.bytes_in for call in writes.log.calls("create", "packs/"))
    assert 0 < packs < 450_000
    assert sum(call.bytes_out for call in reads.log.calls("get", "packs/")) < 450_000
    assert view(inner)["big@1.0.1"] == view(source)["big@1.0.1"]


def test_what_another_name_has_does_not_move(source: MemoryBackend) -> None:
    """The target has the same bytes under another name: a manifest and a ref are all that is sent."""
    inner = MemoryBackend()
    Registry(inner).save("other", BIG)
    target = RecordingBackend(inner)
    saved = moved(source, target, "big", "1.0.0")
    assert not target.log.calls("create", "packs/")
    assert sum(call.bytes_in for call in target.calls if not call.key.startswith("probe/")) < 8_000
    assert saved.entry.stored < 4_000
    check(inner)


def test_a_chunk_that_repeats_moves_once() -> None:
    """A hundred equal blocks are one chunk in the copy too."""
    source, target = MemoryBackend(), MemoryBackend()
    Registry(source).save("same", block() * 100)
    moved(source, target, "same")
    assert frames_of(target) == frames_of(source)
    assert view(target) == view(source)


@pytest.mark.parametrize("limit", [64 * 1024, 10**9])
def test_deep_lists_and_long_placements(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file whose list has a list, with a placement that stands in a segment, or not."""
    monkeypatch.setattr(proving, "PLACEMENT_LIMIT", limit)
    source = Registry(GOLDEN / "deep").backend
    target = MemoryBackend()
    entry = moved(source, target, "deep").entry
    assert (Repository(target).manifest(entry.manifest).placement.segment is None) == (limit == 10**9)
    assert view(target) == view(source)
    check(target)


def test_every_version_of_the_golden_repository() -> None:
    """Whatever the format has goes over: pre-releases, spilled histories, odd paths, executables, empty folders."""
    source = Registry(GOLDEN / "everything").backend
    target = MemoryBackend()
    for key in view(source):
        name, _, version = key.partition("@")
        moved(source, target, name, version)
    assert view(target) == {key: seen._replace(tags=()) for key, seen in view(source).items()}
    check(target)


def test_small_payloads_stay_in_their_manifests(source: MemoryBackend) -> None:
    """A small value has no pack, as before."""
    target = MemoryBackend()
    moved(source, target, "small")
    assert not list(target.list("packs/"))


def test_a_payload_of_several_files(tmp_path: Path) -> None:
    """Each file of a small folder has its own part of the payload."""
    for number in range(5):
        (tmp_path / f"{number}").write_bytes(b"%d" % number * number)
    source, target = MemoryBackend(), MemoryBackend()
    Registry(source).save("folder", tmp_path)
    moved(source, target, "folder")
    assert view(target) == view(source)
    assert not list(target.list("packs/"))


def test_another_name_and_number(source: MemoryBackend) -> None:
    """The copy may have another name and another number; what it is stays."""
    target = MemoryBackend()
    saved = copy(
        Repository(source),
        "small",
        Latest(),
        Repository(target),
        Terms("other:name", parse_version("7.0.0"), tags=["new"]),
    )
    assert str(saved.version) == "7.0.0"
    assert view(target) == {"other:name@7.0.0": view(source)["small@1.0.0"]._replace(tags=("new",))}


def test_a_copy_is_protected_if_it_is_asked_for(source: MemoryBackend) -> None:
    """Protection is the original's, and the copier's own choice."""
    Registry(source).protect("small")
    for keep in (False, True):
        target = MemoryBackend()
        copy(Repository(source), "small", Latest(), Repository(target), Terms("small"), keep_protection=keep)
        assert entry_of(target, "small", "1.0.0").protected is keep


# ---------------------------------------------------------------------------------------------- what is there already


@pytest.mark.parametrize("name", ["small", "big"])
def test_again_writes_nothing(source: MemoryBackend, name: str) -> None:
    """The version is there with the same content: it is said so, and nothing is written."""
    inner = MemoryBackend()
    moved(source, inner, name)
    target = RecordingBackend(inner)
    reads = RecordingBackend(source)
    saved = moved(reads, target, name)
    assert saved.existed
    assert {call.method for call in target.calls} == {"get"}
    assert not reads.log.calls("get", "packs/")


def test_again_moves_tags_and_adds_notes(source: MemoryBackend) -> None:
    """Tags and notes of the source come to a version that is there; its own notes stay."""
    target = MemoryBackend()
    moved(source, target, "small")
    Registry(target).annotate("small", mine=1)
    Registry(source).annotate("small", by="you")
    assert moved(source, target, "small", tags=["best"]).existed
    seen = view(target)["small@1.0.0"]
    assert (seen.notes, seen.tags) == ({"by": "you", "mine": 1}, ("best",))


def test_other_content_is_refused_before_anything_moves(source: MemoryBackend) -> None:
    """The number is another content's here: nothing is read from packs and nothing is written."""
    inner = MemoryBackend()
    Registry(inner).save("big", b"mine", version="1.0.2")
    before = snapshot(inner)
    reads = RecordingBackend(source)
    with pytest.raises(VersionConflictError, match=r"big@1\.0\.2 exists"):
        moved(reads, inner, "big")
    assert snapshot(inner) == before
    assert not reads.log.calls("get", "packs/")


def test_other_content_is_replaced_where_that_is_allowed(source: MemoryBackend) -> None:
    """The old content becomes a tombstone of today, and not of the time when the copied version was made."""
    target = MemoryBackend()
    Registry(target).save("big", b"mine", version="1.0.2")
    old = entry_of(target, "big", "1.0.2")
    moved(source, target, "big", on_conflict="overwrite")
    assert view(target)["big@1.0.2"] == view(source)["big@1.0.2"]
    history = Repository(target).refs.ask("big", lambda history: history)
    assert history is not None
    record = history.record(parse_version("1.0.2"))
    assert record is not None
    (tombstone,) = record.dead
    assert tombstone.entry == old
    assert tombstone.deleted > old.created > entry_of(source, "big", "1.0.2").created


def test_what_is_there_may_be_kept(source: MemoryBackend) -> None:
    """`skip` leaves what is there, and moves nothing."""
    target = MemoryBackend()
    Registry(target).save("big", b"mine", version="1.0.2")
    assert moved(source, target, "big", on_conflict="skip").existed
    assert Registry(target).load("big@1.0.2") == b"mine"
    assert len(list(target.list("packs/"))) == 0


def test_a_protected_version_is_not_replaced(source: MemoryBackend) -> None:
    """Also where versions may be replaced."""
    target = MemoryBackend()
    registry = Registry(target)
    registry.save("big", b"mine", version="1.0.2")
    registry.protect("big@1.0.2")
    with pytest.raises(VersionProtectedError):
        moved(source, target, "big", on_conflict="overwrite")


def test_a_deleted_number_comes_back_as_what_it_was_only(source: MemoryBackend) -> None:
    """A number that was deleted here is given to the same content, and to no other."""
    target = MemoryBackend()
    registry = Registry(target)
    moved(source, target, "small")
    registry.delete("small")
    moved(source, target, "small")
    assert registry.load("small") == {"a": [1, 2]}
    registry.save("big", b"mine", version="1.0.2")
    registry.delete("big")
    with pytest.raises(VersionConflictError, match="was deleted"):
        moved(source, target, "big")


def test_one_version_is_kept_where_one_is_kept(source: MemoryBackend) -> None:
    """A registry without versions has the copy, with its number, in place of what it had."""
    target = MemoryBackend()
    registry = Registry(target, version_objects=False)
    registry.save("big", b"mine")
    registry.download(Registry(source), "big")
    assert registry.list_versions("big") == ["1.0.2"]


@pytest.mark.parametrize("known", [True, False])
def test_what_is_not_there_makes_no_repository(source: MemoryBackend, *, known: bool) -> None:
    """A name, or a version, that the source has not is an error, and the target stays as it was: nothing."""
    target = MemoryBackend()
    with pytest.raises(ObjectNotFoundError):
        moved(source, target, "big" if known else "unknown", "9.0.0" if known else None)
    assert is_untouched(target)


# ---------------------------------------------------------------------------------------------- damage at the source


def damaged(source: MemoryBackend, key: str, at: int) -> MemoryBackend:
    """The same place with one bit of one file changed."""
    files = snapshot(source)
    data = bytearray(files[key])
    data[at] ^= 1
    copied = MemoryBackend()
    for name, held in {**files, key: bytes(data)}.items():
        copied.create(name, held)
    return copied


@pytest.mark.parametrize("part", ["manifest", "head", "middle", "list"])
def test_damage_at_the_source_is_named_and_nothing_is_committed(source: MemoryBackend, part: str) -> None:
    """A damaged manifest, frame header, chunk or chunk list is an error that names the file; the target lists nothing."""
    entry = entry_of(source, "tree", "1.0.0")
    manifest = Repository(source).manifest(entry.manifest)
    run = manifest.placement.runs["list.1" if part == "list" else "data"][0]
    pack = key_of(manifest.placement.packs[run.pack])
    key, at = {
        "manifest": (manifest_key(entry.manifest), 60),
        "head": (pack, run.offset + 2),
        "middle": (pack, run.offset + run.length // 2),
        "list": (pack, run.offset + 60),
    }[part]
    target = MemoryBackend()
    with pytest.raises(CorruptError, match=key):
        moved(damaged(source, key, at), target, "tree")
    assert Registry(target).list_objects() == []
    moved(source, target, "tree")
    check(target)


def test_damage_of_what_is_there_already_does_not_matter(source: MemoryBackend) -> None:
    """Chunks that the target has are not read from the source, so the source may have lost them."""
    target = MemoryBackend()
    moved(source, target, "big", "1.0.0")
    lost = key_of(Repository(source).manifest(entry_of(source, "big", "1.0.0").manifest).placement.packs[0])
    last = Repository(source).manifest(entry_of(source, "big", "1.0.2").manifest)
    assert lost in map(key_of, last.placement.packs)
    source.delete([lost])
    moved(source, target, "big", "1.0.2")
    check(target)


def test_a_pack_that_is_gone_is_named(source: MemoryBackend) -> None:
    """The source has lost a pack that is needed: an error names it, and the version."""
    entry = entry_of(source, "big", "1.0.0")
    lost = key_of(Repository(source).manifest(entry.manifest).placement.packs[0])
    source.delete([lost])
    with pytest.raises(CorruptError, match=rf"big@1\.0\.0 needs data that is not there .*{lost}"):
        moved(source, MemoryBackend(), "big", "1.0.0")


def test_a_payload_that_is_not_the_files_is_refused() -> None:
    """The manifest has its digest, but its payload is another: what a hostile writer may do, and no copier passes on."""
    source = MemoryBackend()
    Registry(source).save("small", b"honest")
    entry = entry_of(source, "small", "1.0.0")
    forged = source.get(manifest_key(entry.manifest)).data.replace(b"honest", b"forged")
    replace_manifest(source, "small", entry, forged)
    target = MemoryBackend()
    with pytest.raises(CorruptError, match="payload"):
        moved(source, target, "small")
    assert Registry(target).list_objects() == []


def _last_frame(source: MemoryBackend, manifest: Manifest, run: Run) -> int:
    """Bytes of the last frame of a run."""
    data = source.get(key_of(manifest.placement.packs[run.pack]), run.offset, run.offset + run.length).data
    return FRAME.size + len(list(iterate_frames(memoryview(data), "run"))[-1].stored)


def replace_manifest(backend: MemoryBackend, name: str, entry: Entry, data: bytes) -> None:
    """Let a version have another manifest."""
    repository = Repository(backend)

    def make() -> bytes:
        return data

    digest, _ = proving.send(backend, manifest_key, make)
    version, _ = select(repository, name, Latest())
    repository.refs.commit(
        name, lambda attempt: attempt.history.with_version(version, replace(entry, manifest=digest))
    )


@pytest.mark.parametrize("change", ["short", "shifted", "cut", "fewer", "frame", "none"])
def test_runs_that_lead_elsewhere_are_refused(source: MemoryBackend, change: str) -> None:
    """A placement that has too few chunks, begins elsewhere or ends too early gives an error, and never other bytes."""
    entry = entry_of(source, "big", "1.0.0")
    manifest = Repository(source).manifest(entry.manifest)
    run, *rest = manifest.placement.runs["data"]
    runs = {
        "short": (*rest,),
        "shifted": (run._replace(offset=run.offset + 1), *rest),
        "cut": (run._replace(length=run.length - 1), *rest),
        "fewer": (run._replace(chunks=run.chunks - 1), *rest),
        "frame": (run._replace(length=run.length - _last_frame(source, manifest, run)), *rest),
        "none": (),
    }[change]
    placement = replace(manifest.placement, runs={**manifest.placement.runs, "data": runs})
    reader = FrameReader(source, placement)
    chunks = sections_of(manifest, FrameReader(source, manifest.placement))["data"]
    with pytest.raises(CorruptError):
        list(reader.encoded("data", chunks, range(len(chunks))))


def test_a_form_that_no_writer_may_store_is_not_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The source has chunks that compression made larger: here they are stored as they are."""
    source, target = MemoryBackend(), MemoryBackend()
    compressor = codec._compressor()
    with monkeypatch.context() as patch:
        patch.setattr(
            codec, "encode_all", lambda chunks: [(codec.ZSTD, compressor.compress(c)) for c in chunks]
        )
        Registry(source).save("noise", noise(200_000))
    assert {form[0] for form in frames_of(source).values()} == {codec.ZSTD}
    moved(source, target, "noise")
    assert {form[0] for form in frames_of(target).values()} == {codec.RAW}
    assert view(target) == view(source)


# ---------------------------------------------------------------------------------------------- progress


def reports_of(source: MemoryBackend, target: MemoryBackend, name: str) -> list[Progress]:
    """What a copy tells."""
    reports: list[Progress] = []
    meter = Meter(reports.append)
    copy(Repository(source), name, Latest(), Repository(target), Terms(name), meter=meter)
    return reports


@pytest.mark.parametrize("name", ["small", "big", "tree", "nothing"])
def test_progress_never_falls_and_ends_with_everything(source: MemoryBackend, name: str) -> None:
    """Bytes done grow to the size of the object; what was written and what was there sum up."""
    target = MemoryBackend()
    Registry(target).save("part", BIG[:400_000])
    reports = reports_of(source, target, name)
    last = reports[-1]
    assert {report.phase for report in reports} == {"copy"}
    assert last.done == last.total == entry_of(source, *view_key(source, name)).size
    for number in ("done", "chunks", "stored", "reused"):
        told = [getattr(report, number) for report in reports]
        assert told == sorted(told)
    if name == "big":
        assert 0 < last.reused < last.total
        assert last.stored == entry_of(target, "big", "1.0.2").stored


def view_key(backend: MemoryBackend, name: str) -> tuple[str, str]:
    """Name and latest version."""
    return name, Registry(backend).list_versions(name)[-1]


def test_progress_can_stop_a_copy(source: MemoryBackend) -> None:
    """What the callback raises reaches the caller, and nothing is committed."""

    def stop(_: Progress) -> None:
        raise KeyboardInterrupt

    target = MemoryBackend()
    with pytest.raises(KeyboardInterrupt):
        Registry(target, progress=stop).download(Registry(source), "big")
    assert Registry(target).list_objects() == []
