"""What a power failure may leave of a local repository, at every moment of a few writes."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest

from casreg.backends.local import LocalBackend
from casreg.exceptions import Conflict, NotFound, StorageUnavailableError
from casreg.testing import CrashRecorder, CrashStateError, replay_crashes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Token


def recorded(
    tmp_path: Path, recorder_type: type[CrashRecorder] = CrashRecorder
) -> tuple[CrashRecorder, LocalBackend]:
    """A recorder on an empty folder, and a backend in a folder below it that does not exist yet."""
    base = tmp_path / "recorded"
    base.mkdir()
    recorder = recorder_type(base)
    return recorder, LocalBackend(base / "data" / "repository", file_system=recorder)


def at(folder: Path) -> LocalBackend:
    """What a crash left of that backend."""
    return LocalBackend(folder / "data" / "repository")


def read(backend: LocalBackend, key: str) -> bytes | None:
    """The bytes of a key, None if there is none."""
    try:
        return backend.get(key).data
    except NotFound:
        return None


def create_and_swap(recorder: CrashRecorder, backend: LocalBackend) -> None:
    """A pack, a manifest beside it, then a ref that is born empty and moved twice; each kept when promised."""
    backend.create("packs/ab/x", b"pack " * 100)
    recorder.mark("pack")
    backend.create("manifests/cd/y", b"manifest")
    recorder.mark("manifest")
    token: Token = backend.create("refs/r", b"{}", durable=False)
    for state in (b"version 1", b"version 2, longer"):
        token = backend.swap("refs/r", state, token)
        recorder.mark(state.decode())


def check_old_or_new(folder: Path, marks: tuple[str, ...]) -> None:
    """Every key has bytes that were written to it, what was promised is there, and the place still works."""
    backend = at(folder)
    pack, manifest, ref = (read(backend, key) for key in ("packs/ab/x", "manifests/cd/y", "refs/r"))
    assert pack == b"pack " * 100 or (pack is None and "pack" not in marks)
    assert manifest == b"manifest" or (manifest is None and "manifest" not in marks)
    states = [None, b"{}", b"version 1", b"version 2, longer"]
    promised = max([0, *(states.index(mark.encode()) for mark in marks if mark.startswith("version"))])
    assert ref in states[promised:]
    rows = [row.key for row in backend.list("")]
    found = [key for key in ("manifests/cd/y", "packs/ab/x", "refs/r") if read(backend, key) is not None]
    assert rows == found
    backend.create("refs/new", b"", durable=False)
    assert list((folder / "data" / "repository" / "tmp").iterdir()) == [], (
        "leftovers are gone with the first write"
    )


def test_every_crash_leaves_the_old_or_the_new_state(tmp_path: Path, crashes: Path) -> None:
    """Never a mixture, never less than what was promised, and always a place that can be written."""
    recorder, backend = recorded(tmp_path)
    create_and_swap(recorder, backend)
    assert replay_crashes(recorder, crashes, check_old_or_new) > 100


def test_every_crash_without_hard_links_leaves_the_old_or_the_new_state(
    tmp_path: Path, crashes: Path
) -> None:
    """As above, where a new name is made by a rename."""

    class NoHardLinks(CrashRecorder):
        def link(self, source: str, target: str) -> None:
            raise PermissionError(1, "no hard links")

    recorder, backend = recorded(tmp_path, NoHardLinks)
    create_and_swap(recorder, backend)
    assert replay_crashes(recorder, crashes, check_old_or_new) > 100


def test_a_delete_that_returned_is_for_ever(tmp_path: Path, crashes: Path) -> None:
    """Also for keys in several folders; what was not deleted is untouched."""
    recorder, backend = recorded(tmp_path)
    for key in ("packs/00/a", "packs/01/b", "packs/01/c"):
        backend.create(key, key.encode())
    recorder.mark("created")
    backend.delete(["packs/00/a", "packs/01/b"])
    recorder.mark("deleted")

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        left = {key: read(at(folder), key) for key in ("packs/00/a", "packs/01/b", "packs/01/c")}
        assert all(data in (None, key.encode()) for key, data in left.items())
        if "created" in marks:
            assert left["packs/01/c"] is not None
        if "deleted" in marks:
            assert left["packs/00/a"] is None
            assert left["packs/01/b"] is None

    replay_crashes(recorder, crashes, check)


def test_a_swap_makes_durable_what_was_written_without(tmp_path: Path, crashes: Path) -> None:
    """By the same handle, before it: when anybody can see the swap, everything before it is there to stay."""
    recorder, backend = recorded(tmp_path)
    token = backend.create("refs/r", b"0", durable=False)
    for number in (1, 2):
        backend.create(f"manifests/{number:02d}/m", b"manifest " * number, durable=False)
        backend.create(f"packs/ab/{number}", b"pack", durable=False)
        token = backend.swap("refs/r", b"%d" % number, token)
        recorder.mark(str(number))

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        state = int(read(at(folder), "refs/r") or 0)
        assert state >= len(marks)
        for number in range(1, state + 1):
            assert read(at(folder), f"manifests/{number:02d}/m") == b"manifest " * number
            assert read(at(folder), f"packs/ab/{number}") == b"pack"

    assert replay_crashes(recorder, crashes, check) > 100


def test_a_failed_swap_postpones_nothing_for_ever(tmp_path: Path, crashes: Path) -> None:
    """What was written before a swap that conflicts is durable with the next one."""
    recorder, backend = recorded(tmp_path)
    token = backend.create("refs/r", b"0", durable=False)
    backend.create("packs/ab/1", b"pack", durable=False)
    other = LocalBackend(backend.root, file_system=recorder)
    new = other.swap("refs/r", b"1", token)

    with pytest.raises(Conflict):
        backend.swap("refs/r", b"2", token)
    backend.swap("refs/r", b"3", new)
    recorder.mark("swapped")

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        assert not marks or read(at(folder), "packs/ab/1") == b"pack"

    replay_crashes(recorder, crashes, check)


def test_a_swap_that_fails_after_its_flushes_settles_nothing(tmp_path: Path, crashes: Path) -> None:
    """Names beside the one that it swaps were not flushed yet: the next swap, elsewhere, flushes them."""

    class FailsOnce(CrashRecorder):
        armed = False

        def replace(self, source: str, target: str) -> None:
            if self.armed:
                self.armed = False
                raise OSError(errno.EIO, "on purpose")
            super().replace(source, target)

    recorder, backend = recorded(tmp_path, FailsOnce)
    token = backend.create("refs/r", b"0")
    head = backend.create("gc/head", b"0")
    backend.create("refs/other", b"other", durable=False)
    assert isinstance(recorder, FailsOnce)
    recorder.armed = True
    with pytest.raises(StorageUnavailableError):
        backend.swap("refs/r", b"1", token)
    backend.swap("gc/head", b"1", head)
    recorder.mark("swapped")

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        assert not marks or read(at(folder), "refs/other") == b"other"

    replay_crashes(recorder, crashes, check)


def test_a_swap_does_not_rely_on_a_flush_that_has_not_ended(tmp_path: Path, crashes: Path) -> None:
    """Of two swaps by one handle, the second flushes again what the first is only about to flush."""

    class SwapsMeanwhile(CrashRecorder):
        meanwhile: Callable[[], None] | None = None

        def sync_folder(self, path: str) -> None:
            if self.meanwhile is not None and path.endswith("/packs/ab"):
                meanwhile, self.meanwhile = self.meanwhile, None
                meanwhile()
            super().sync_folder(path)

    recorder, backend = recorded(tmp_path, SwapsMeanwhile)
    token = backend.create("refs/r", b"0")
    head = backend.create("gc/head", b"0")
    backend.create("packs/ab/1", b"pack", durable=False)

    overtaken = []

    def swap_head() -> None:
        overtaken.append(backend.swap("gc/head", b"1", head))
        recorder.mark("head")

    assert isinstance(recorder, SwapsMeanwhile)
    recorder.meanwhile = swap_head
    backend.swap("refs/r", b"1", token)
    assert overtaken

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        assert not marks or read(at(folder), "packs/ab/1") == b"pack"

    replay_crashes(recorder, crashes, check)


def test_a_second_writer_relies_on_no_folder_that_is_not_flushed(tmp_path: Path, crashes: Path) -> None:
    """A process that finds the folders of one that has not come to the flush keeps its own promise."""
    recorder, first = recorded(tmp_path)
    second = LocalBackend(first.root, file_system=recorder)
    first.create("packs/00/a", b"a", durable=False)
    second.create("packs/00/b", b"b")
    recorder.mark("second")

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        assert "second" not in marks or read(at(folder), "packs/00/b") == b"b"

    replay_crashes(recorder, crashes, check)


class WithoutFileSync(CrashRecorder):
    def sync_file(self, fd: int) -> None:
        return


class WithoutFolderSync(CrashRecorder):
    def sync_folder(self, path: str) -> None:
        return


class WithoutParentSync(CrashRecorder):
    def sync_folder(self, path: str) -> None:
        if "/packs/" in path or "/manifests/" in path or path.endswith("/refs"):
            super().sync_folder(path)


@pytest.mark.parametrize("mutant", [WithoutFileSync, WithoutFolderSync, WithoutParentSync])
def test_a_backend_that_leaves_out_a_flush_is_caught(
    tmp_path: Path, crashes: Path, mutant: type[CrashRecorder]
) -> None:
    """The recorder would notice if the backend did not flush the file, the folder, or the folders above."""
    recorder, backend = recorded(tmp_path, mutant)
    create_and_swap(recorder, backend)
    with pytest.raises(CrashStateError, match="lost:"):
        replay_crashes(recorder, crashes, check_old_or_new)


def test_a_backend_that_writes_in_place_is_caught(tmp_path: Path, crashes: Path) -> None:
    """The recorder would notice a file that has its name before it has its bytes."""
    recorder, _ = recorded(tmp_path)
    recorder.make_folder(f"{recorder.base}/data")
    recorder.sync_folder(recorder.base)
    fd = recorder.create_file(f"{recorder.base}/data/file")
    recorder.sync_folder(f"{recorder.base}/data")
    recorder.write(fd, memoryview(b"whole"))
    recorder.sync_file(fd)
    recorder.close(fd)
    recorder.mark("written")
    seen = set()

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        path = folder / "data" / "file"
        seen.add(path.read_bytes() if path.exists() else None)
        assert not marks or path.read_bytes() == b"whole"

    replay_crashes(recorder, crashes, check)
    assert seen == {None, b"", b"wh", bytes(5), b"whole"}


def test_a_rename_may_come_apart(tmp_path: Path, crashes: Path) -> None:
    """The model is weaker than journals: of a rename that was not flushed, each half may be missing."""
    recorder, _ = recorded(tmp_path)
    fd = recorder.create_file(f"{recorder.base}/a")
    recorder.sync_file(fd)
    recorder.close(fd)
    recorder.sync_folder(recorder.base)
    recorder.replace(f"{recorder.base}/a", f"{recorder.base}/b")
    recorder.mark("renamed")
    seen = set()

    def check(folder: Path, marks: tuple[str, ...]) -> None:
        if marks:
            seen.add(frozenset(path.name for path in folder.iterdir()))

    replay_crashes(recorder, crashes, check)
    assert seen == {frozenset("a"), frozenset("b"), frozenset("ab"), frozenset()}
