"""Every field of every stored document, broken in every way: casreg and the stranger take the same, and refuse the same.

So the page says what readers refuse, or the stranger, which knows the page only, would have had to guess.
"""

from __future__ import annotations

import copy
import json
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.digest import Digest, digest_of
from casreg.exceptions import CasregError
from casreg.head import bad_keys, decode_names, parse_head
from casreg.keys import segment_key
from casreg.manifests import decode_manifest
from casreg.marker import parse_marker
from casreg.refs.document import Ref
from casreg.refs.segments import Segment
from casreg.repository.repository import Repository
from format import scribe, stranger
from format.golden import GOLDEN, block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Files = dict[str, bytes]

VALUES: list[Any] = [
    None, True, False, -1, 0, 1, 1.0, 2**53 - 1, "", "x", "0" * 32, "0" * 64, "A" * 64, [], {}, [1], {"a": 1},
    "1.0.0", "v1.0.0", "2026-01-01T00:00:60Z", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00.Z", "2026-01-01t00:00:00z",
]  # fmt: skip


class Held(stranger.Storage):
    """Files in memory, for the stranger."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(Path("memory"))
        object.__setattr__(self, "files", files)

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes of a key."""
        files: Mapping[str, bytes] = self.files  # type: ignore[attr-defined]
        stranger.need(key in files, f"{key} is missing")
        return files[key][start:stop]

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so."""
        return sorted(key for key in self.files if key.startswith(prefix))  # type: ignore[attr-defined]


def golden(name: str) -> Files:
    """A golden repository."""
    files = (path for path in (GOLDEN / name).rglob("*") if path.is_file())
    return {path.relative_to(GOLDEN / name).as_posix(): path.read_bytes() for path in files}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to each part of a document."""
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from places(part, (*path, key))


def broken(document: Any) -> Iterator[tuple[str, Any]]:
    """Each document that differs from this one in one part, and what that is."""
    for path in places(document):
        for value in (*VALUES, "twice", "gone"):
            changed = copy.deepcopy(document)
            holder = changed
            for key in path[:-1]:
                holder = holder[key]
            last = path[-1]
            if value == "gone":
                del holder[last]
            elif value == "twice" and isinstance(holder, list):
                holder.insert(last, copy.deepcopy(holder[last]))
            elif value != "twice":
                holder[last] = copy.deepcopy(value)
            yield f"{'/'.join(map(str, path))} = {value!r}", changed


def refuses(read: Callable[[], object], *errors: type[Exception]) -> bool:
    """Whether a reader refuses a document. Another error than its own is none of its answers, and is raised."""
    try:
        read()
    except errors:
        return True
    return False


def compare(document: Any, ours: Callable[[Any], object], theirs: Callable[[Any], object]) -> int:
    """See that both say the same of all that a document can be. Gives how many they refused."""
    differ, refused = [], 0
    for what, changed in broken(document):
        mine = refuses(partial(ours, changed), CasregError)
        if mine is not refuses(partial(theirs, changed), stranger.Damaged, stranger.TooNew):
            differ.append(f"{what}: casreg {'refuses' if mine else 'takes'} it")
        refused += mine
    assert not differ, "\n".join(differ)
    return refused


def known(document: Any) -> Any:
    """A document without the fields that nobody knows, which nobody looks at."""
    if isinstance(document, dict):
        return {key: known(value) for key, value in document.items() if key not in scribe.UNKNOWN}
    return [known(value) for value in document] if isinstance(document, list) else document


def sealed(document: Any) -> bytes:
    """A sealed document, canonical."""
    return scribe.seal(scribe.canonical(document))


def opened(data: bytes) -> Any:
    """What is in a sealed document."""
    return json.loads(data[:-75] + b"}")


def test_the_marker() -> None:
    """Section 14."""
    document = opened(golden("everything")["casreg.json"])
    refused = compare(
        document,
        lambda changed: parse_marker(sealed(changed)),
        lambda changed: stranger.marker(Held({"casreg.json": sealed(changed)})),
    )
    assert refused > 50


@pytest.mark.parametrize("name", ["verdict", "later"])
def test_the_head(name: str) -> None:
    """Section 15, with the lists that it names."""
    files = golden(name)

    def ours(changed: Any) -> None:
        for key in bad_keys(parse_head(sealed(changed))):
            decode_names(files[key], key)

    refused = compare(
        opened(files["gc/head"]),
        ours,
        lambda changed: stranger.head(Held({**files, "gc/head": sealed(changed)})),
    )
    assert refused > 250


@pytest.mark.parametrize(("repository", "name"), [("everything", "config"), ("later", "later.history")])
def test_a_ref(repository: str, name: str) -> None:
    """Section 12: the document alone, whatever the segments say."""
    key = f"refs/{scribe.encode(name)}"
    document = opened(golden(repository)[key])
    document["recent"], document["older"] = document["recent"][:2], document["older"][2:]
    document = known(document)
    for entry in document["versions"].values():
        entry["protected"] = True

    def theirs(changed: Any) -> None:
        ref = stranger.Ref(Held({key: sealed(changed)}), name)
        for record in ref.own().values():
            if record.live is not None:
                stranger.check_entry(record.live, name)
            for tombstone in record.dead:
                stranger.check_tombstone(tombstone, name)

    assert compare(document, lambda changed: Ref.from_bytes(sealed(changed), name), theirs) > 500


def test_a_segment_of_history() -> None:
    """Section 13: each record, and their order."""
    files = golden("later")
    row = opened(files["refs/later.history"])["older"][1]
    head, *lines, _ = files[segment_key(Digest(bytes.fromhex(row["segment"])))].split(b"\n")
    ref = opened(files["refs/later.history"])

    def file(changed: list[Any]) -> bytes:
        return b"\n".join([head, *(scribe.canonical(record).encode() for record in changed), b""])

    def ours(changed: Any) -> None:
        assert len(dict(Segment(file(changed), "segment").records())) == len(changed)

    def theirs(changed: Any) -> None:
        data = file(changed)
        digest = stranger.digest(data)
        versions = [record.get("version") for record in changed if isinstance(record, dict)]
        living = [
            record.get("version") for record in changed if isinstance(record, dict) and record.get("live")
        ]
        said = {"segment": digest, "count": len(changed), "live": living[-1] if living else None}
        if versions:
            said |= {"min": versions[0], "max": versions[-1]}
        document = sealed({**ref, "older": [{**row, **said}]})
        held = Held({"refs/later.history": document, f"segments/{digest[:2]}/{digest}": data})
        assert stranger.Ref(held, "later.history").records

    assert compare([known(json.loads(line)) for line in lines[1:]], ours, theirs) > 250


SMALL = {"x": b"12", "y": None, "z": b""}
LARGE = {"listed": block() * 18, "run": b"#!"}


@pytest.mark.parametrize("line", [0, 1, 2], ids=["data", "metadata", "placement"])
@pytest.mark.parametrize("files", [SMALL, LARGE], ids=["inline", "packed"])
def test_a_manifest(line: int, files: dict[str, bytes | None], tmp_path: Path) -> None:
    """Sections 9 to 11: each line, and everything that is read by it."""
    writer = scribe.Scribe(tmp_path / "r", 7, 5)
    entry = writer.version("m/1", files, {"k": [1]}, executable=["run"])
    held = {
        path.relative_to(tmp_path / "r").as_posix(): path.read_bytes()
        for path in (tmp_path / "r").rglob("*-*")
    }
    backend = MemoryBackend()
    for key, data in held.items():
        backend.create(key, data)
    (path,) = (tmp_path / "r" / "manifests").rglob(entry["manifest"])
    head, *lines, payload = path.read_bytes().split(b"\n", 4)

    def changed_file(changed: Any) -> tuple[bytes, list[bytes]]:
        parts = [*lines]
        parts[line] = scribe.canonical(changed).encode()
        return b"\n".join([head, *parts, payload]), parts

    def ours(changed: Any) -> None:
        data, _ = changed_file(changed)
        manifest = decode_manifest(data, digest_of(data), lambda _: b"")
        reader = Repository(backend).reader(manifest, "x")
        for item in reader.entries:
            if item.stream.size:
                reader.read_into(item.path, memoryview(bytearray(item.stream.size)))

    def theirs(changed: Any) -> None:
        data, parts = changed_file(changed)
        name = stranger.digest(data)
        both = parts[0] + b"\n" + parts[1]
        said = {"manifest": name, "data": stranger.digest(parts[0]), "content": stranger.digest(both)}
        version = stranger.Version(Held({**held, f"manifests/{name[:2]}/{name}": data}), said)
        for number in range(len(version.entries)):
            for _ in version.read(number):
                pass

    assert compare(json.loads(lines[line]), ours, theirs) >= (0 if line == 1 else 50)
