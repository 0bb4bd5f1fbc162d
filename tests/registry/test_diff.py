"""`Registry.diff`: what differs between two versions."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import hypothesis.strategies as st
import pytest

from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import InvalidArgumentError, InvalidNameError, ObjectNotFoundError
from casreg.materializers.folders import MemoryFile
from casreg.registry import Registry
from casreg.repository.committing import Terms
from casreg.repository.saving import Draft, save
from casreg.testing import RecordingBackend
from registry.lab import noise

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from casreg.difference import Difference

MIB = 1024 * 1024


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def _chunks(place: Backend, key: str) -> list[Any]:
    """All chunks of a version, read as a load reads them."""
    registry = Registry(place)
    name, selector = registry._keys.selecting(key)
    from casreg.repository.finding import manifest_of

    repository = registry._repository
    reader = repository.reader(manifest_of(repository, name, selector)[2], name)
    return [chunk for entry in reader.entries if not entry.folder for chunk in reader.chunks(entry.path)]


def _agrees(found: Difference, place: Backend) -> None:
    """Chunks and bytes in common, counted again without any care for time or memory."""
    one, two = _chunks(place, found.first), _chunks(place, found.second)
    shared = [chunk for chunk in two if chunk in set(one)]
    assert found.chunks == (len(one), len(two))
    assert found.shared_chunks == len(shared)
    assert found.shared_bytes == sum(chunk.size for chunk in shared)
    assert found.sizes == (sum(chunk.size for chunk in one), sum(chunk.size for chunk in two))


def test_files_are_told_apart(registry: Registry, tmp_path: Path) -> None:
    """Added, removed, changed and unchanged ones, with their sizes; a changed executable bit is a change."""
    folder = _write(tmp_path / "tree", {"a": b"1", "b": b"22", "sub/c": b"333", "run": b"#!", "gone": b""})
    registry.save("tree", folder)
    (folder / "gone").unlink()
    (folder / "run").chmod(0o755)
    (folder / "hollow").mkdir()
    _write(folder, {"b": b"4444", "sub/new": b"55555"})
    registry.save("tree", folder)
    found = registry.diff("tree", "1.0.0", "1.0.1")
    assert (found.first, found.second) == ("tree@1.0.0", "tree@1.0.1")
    assert found.added == {"hollow/": 0, "sub/new": 5}
    assert found.removed == {"gone": 0}
    assert found.changed == {"b": (2, 4), "run": (2, 2)}
    assert found.unchanged == {"a": 1, "sub/c": 3}
    assert found.sizes == (8, 15)
    assert not found.same
    back = registry.diff("tree", "1.0.1", "1.0.0")
    assert (back.added, back.removed) == (found.removed, found.added)
    assert back.changed == {"b": (4, 2), "run": (2, 2)}


def test_what_is_shared_is_counted(registry: Registry, tmp_path: Path) -> None:
    """An insertion in a large file costs a chunk or two; renamed files and repeated chunks are shared wholly."""
    data = noise(3 * MIB, 1)
    folder = _write(tmp_path / "tree", {"large": data, "old": noise(MIB, 2), "zeros": bytes(2 * MIB)})
    registry.save("tree", folder)
    (folder / "old").rename(folder / "renamed")
    _write(folder, {"large": data[:MIB] + b"inserted" + data[MIB:], "zeros": bytes(3 * MIB)})
    registry.save("tree", folder)
    found = registry.diff("tree", "1.0.0")
    _agrees(found, registry.backend)
    assert found.sizes == (6 * MIB, 7 * MIB + 8)
    assert 6.5 * MIB < found.shared_bytes < 7 * MIB
    assert found.removed == {"old": MIB}
    assert found.added == {"renamed": MIB}


@hypothesis.given(data=st.data())
@hypothesis.settings(max_examples=15)
def test_the_count_is_that_of_the_chunks(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """For trees of any files made of common blocks, with lists and trees of their own or without."""
    place = MemoryBackend()
    registry = Registry(place)
    blocks = [noise(700_000, 1), noise(1_300_000, 2), bytes(600_000), b"small"]
    some = st.lists(st.sampled_from(blocks), max_size=4).map(b"".join)
    for _ in range(2):
        many = data.draw(st.sampled_from([1, 40]))
        files = {f"f{number}": data.draw(some) for number in range(4)}
        files |= {f"many/{number}": b"%d" % number for number in range(many)}
        registry.save("tree", _write(tmp_path_factory.mktemp("tree"), files))
    _agrees(registry.diff("tree", "1.0.0", "1.0.1"), place)


def test_what_else_differs(registry: Registry) -> None:
    """Materializer, class, parameters and metadata."""
    registry.save("thing", b"abc")
    registry.save("thing", b"abc", metadata={"by": "me"})
    registry.save("thing", "abc")
    only = registry.diff("thing", "1.0.0", "1.0.1")
    assert only.metadata_differ
    assert only.unchanged == {"data.bin": 3}
    assert not only.same
    found = registry.diff("thing@1.0.1")
    assert found.materializers == ("python.bytes/1", "python.str/1")
    assert found.classes == ("builtins.bytes", "builtins.str")
    assert not registry.diff("thing", "1.0.0", "1.0.0").params_differ


def test_the_same_is_the_same(registry: Registry) -> None:
    """A version and itself, and equal content under two names."""
    registry.save("one", noise(200_000))
    registry.save("two", noise(200_000), notes={"said": "later"})
    for found in (registry.diff("one", "1.0.0", "latest"), registry.diff("one@1.0.0", "two@1.0.0")):
        assert found.same
        assert found.digests == (registry.info("one")["digest"],) * 2
        assert found.shared_bytes == 200_000
        assert str(found).endswith("the same: 1 file, 195.3 KiB")


def test_stored_text_cannot_command_a_terminal(registry: Registry) -> None:
    """Paths and names of classes are whatever somebody stored: what a terminal would obey is not printed."""
    place = registry._repository
    for path in ("a\x1b[2J", "b\x1b[2J"):
        draft = Draft(
            Terms("tree"), "path.folder/1", {}, [MemoryFile(path, (path.encode(),), 5)], class_name=path
        )
        save(place, draft)
    found = registry.diff("tree", "1.0.0", "1.0.1")
    assert list(found.added) == ["b\x1b[2J"]
    assert "\x1b" not in str(found)
    assert "  + b\ufffd[2J" in str(found)
    assert "  class: a\ufffd[2J → b\ufffd[2J" in str(found)


def test_which_two_are_meant(registry: Registry) -> None:
    """Versions, tags and ranges of one name; `name@version` of any; the latest where nothing is said."""
    for number in range(3):
        registry.save("a", number, tags=[f"t{number}"])
    registry.save("b", "other")
    for arguments, meant in {
        ("a", "1.0.0", "1.0.1"): ("a@1.0.0", "a@1.0.1"),
        ("a", "1.0.0"): ("a@1.0.0", "a@1.0.2"),
        ("a@1.0.1",): ("a@1.0.1", "a@1.0.2"),
        ("a@1.0.1", "1.0.0"): ("a@1.0.1", "a@1.0.0"),
        ("a", "t2", "<1.0.2"): ("a@1.0.2", "a@1.0.1"),
        ("a@1.0.0", "b@1.0.0"): ("a@1.0.0", "b@1.0.0"),
        ("a", "1.0.0", "b@latest"): ("a@1.0.0", "b@1.0.0"),
    }.items():
        found = registry.diff(*arguments)
        assert (found.first, found.second) == meant, arguments


def test_what_cannot_be_compared(registry: Registry) -> None:
    """Fewer or more than two versions, names that cannot be, and versions that are not there."""
    registry.save("a", 1)
    wrong: Any = 1
    for arguments in (
        ("a",),
        ("a@1.0.0", "1.0.0", "1.0.0"),
        ("a", None, "1.0.0"),
        ("a", wrong),
        (wrong, "1"),
    ):
        with pytest.raises(InvalidArgumentError, match="two versions"):
            registry.diff(*arguments)
    with pytest.raises(InvalidNameError):
        registry.diff("a b", "1", "2")
    with pytest.raises(ObjectNotFoundError):
        registry.diff("a", "1.0.0", "1.0.7")
    with pytest.raises(ObjectNotFoundError):
        registry.diff("nothing", "1.0.0")


def test_it_is_readable(registry: Registry, tmp_path: Path) -> None:
    """With units, and cut where it is long."""
    folder = _write(tmp_path / "tree", {f"{number:03}.txt": b"%d" % number for number in range(60)})
    registry.save("tree", folder, metadata={"a": 1})
    _write(
        folder, {f"{number:03}.txt": b"other %d" % number for number in range(30)} | {"big": bytes(5 * MIB)}
    )
    registry.save("tree", folder)
    assert str(registry.diff("tree", "1.0.0", "1.0.1")).splitlines()[:5] == [
        "tree@1.0.0 → tree@1.0.1",
        "  110 B → 5.0 MiB, of which 60 B are in both (30 of 80 chunks, 0.0 %)",
        "  30 files changed, 1 added, 0 removed, 30 unchanged",
        "  ~ 000.txt  1 B → 7 B",
        "  ~ 001.txt  1 B → 7 B",
    ]
    lines = str(registry.diff("tree", "1.0.0", "1.0.1")).splitlines()
    assert lines[-2:] == ["  … and 11 more", "  metadata differs"]
    assert len(lines) == 25
    registry.save("tree", {"now": "a dict"})
    text = str(registry.diff("tree", "1.0.0"))
    assert re.search(
        r"materializer: path\.folder/1 → python\.json/1\n  class: pathlib\.\w+ → builtins\.dict", text
    )


def test_it_cannot_be_changed(registry: Registry) -> None:
    """It is a value."""
    registry.save("a", 1)
    found: Any = registry.diff("a@1.0.0")
    with pytest.raises(FrozenInstanceError):
        found.first = "other"


def test_no_data_is_read(tmp_path: Path) -> None:
    """Two trees of files with lists cost a small part of their bytes, and few requests."""
    place = RecordingBackend(MemoryBackend())
    registry = Registry(place)
    files = {f"{number:03}": noise(1_500_000, number) for number in range(40)}
    registry.save("tree", _write(tmp_path / "tree", files))
    changed = {path: data[:700_000] + b"x" + data[700_000:] for path, data in files.items()}
    registry.save("tree", _write(tmp_path / "tree", changed))
    place.log.clear()
    found = Registry(place).diff("tree", "1.0.0", "1.0.1")
    assert len(found.changed) == 40
    assert found.shared_bytes > 0.9 * found.sizes[1]
    calls = place.calls
    assert {call.method for call in calls} == {"get"}
    assert sum(call.bytes_out for call in calls) < 500_000
    assert len(calls) < 20
    for call in calls:
        assert call.bytes_out < 150_000


def test_lists_that_are_not_neighbours(registry: Registry, tmp_path: Path) -> None:
    """Every other file with a list is changed: what is read together lies side by side, and nothing else."""
    files = {f"{number}": noise(1_500_000, number) for number in range(6)}
    registry.save("tree", _write(tmp_path / "tree", files))
    changed = {path: files[path][:700_000] + b"x" + files[path][700_000:] for path in ("0", "2", "3", "5")}
    registry.save("tree", _write(tmp_path / "tree", changed))
    for found in (registry.diff("tree", "1.0.0", "1.0.1"), registry.diff("tree", "1.0.1", "1.0.0")):
        _agrees(found, registry.backend)
        assert found.changed.keys() == changed.keys()


def test_lists_of_lists_are_read() -> None:
    """A file of the deep golden repository, whose list has a list, and one that begins as it does."""
    place = MemoryBackend()
    golden = LocalBackend(Path(__file__).parents[1] / "golden" / "deep")
    for info in golden.list(""):
        if not info.key.startswith("index/"):
            place.create(info.key, golden.get(info.key).data)
    registry = Registry(place)
    with registry.open("deep") as opened:
        registry.save("begin", opened.read(MIB))
    for found in (registry.diff("deep@1.0.0", "begin@1.0.0"), registry.diff("begin@1.0.0", "deep@1.0.0")):
        _agrees(found, place)
        assert found.shared_bytes > 0.9 * MIB
