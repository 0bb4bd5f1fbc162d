"""The golden repositories: makes them, the test vectors and the examples of docs/format.md. `scripts/golden` runs this.

Format 1 is frozen: what is there is never made again, only what is added here and not there yet.

What is random or depends on the clock is fixed here, so that the same code and the same libraries make the same
bytes.  (Another release of zstd may make other packs, with the same identities.)
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar
from unittest.mock import patch

import numpy as np
from blake3 import blake3

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.chunker import cut
from casreg.digest import digest_of
from casreg.head import INITIAL, close, condemn, condemn_bad, dump_head, encode_names, verdict
from casreg.keys import HEAD, manifest_key, pack_key, ref_key
from casreg.manifests import encode_manifest
from casreg.packs import PackBuilder
from casreg.refs import Record, spill
from casreg.refs.document import Ref
from casreg.refs.pace import PACE
from casreg.repository import committing, editing, uploads
from casreg.repository.repository import Repository
from casreg.versions import parse_version
from format import scribe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casreg.head import RunId
    from casreg.materializers import InFolder, OutFolder
    from casreg.refs import History, Removal

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden"
EXPECTED = GOLDEN / "expected.json"
DIGESTS = GOLDEN / "frozen.b3"
VECTORS = ROOT / "tests" / "format" / "vectors.json"


_MANY = 100


def xof(seed: str, size: int) -> bytes:
    """`size` bytes of the extendable output of BLAKE3 of the text `seed`."""
    return blake3(seed.encode()).digest(length=size)


def quarters(seed: str, size: int) -> bytes:
    """The same with only the lowest two bits of each byte: compressible, and with boundaries all the same."""
    return (np.frombuffer(xof(seed, size), np.uint8) & 3).tobytes()


def block() -> bytes:
    """16,386 bytes that, repeated, are cut exactly where they repeat.

    And the list of very many of them, which repeats its record, is cut often too (found by trying): so a file of
    depth 2 needs few bytes on the storage.
    """
    return b"\x07" + (1877).to_bytes(4, "little") + bytes(16379) + b"\x65\x06"


class Dice:
    """Random numbers that are the same each time, and never the same twice.

    Each kind and size has numbers of its own, so that who draws one more moves no others.
    """

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._draws: Counter[str] = Counter()

    def token_bytes(self, size: int | None = None) -> bytes:
        """See `secrets.token_bytes`."""
        return self._draw("bytes", size or 32)

    def token_hex(self, size: int | None = None) -> str:
        """See `secrets.token_hex`."""
        return self._draw("hex", size or 32).hex()

    def _draw(self, kind: str, size: int) -> bytes:
        kind = f"{self._seed} {kind} {size}"
        self._draws[kind] += 1
        return xof(f"{kind} {self._draws[kind]}", size)


class Clock:
    """A clock that goes on by a minute each time that somebody looks."""

    def __init__(self) -> None:
        self._minutes = 0

    def now(self) -> str:
        """The time as refs have it."""
        self._minutes += 1
        return f"2026-01-01T{self._minutes // 60:02}:{self._minutes % 60:02}:00.000000Z"


@contextmanager
def fixed(seed: str) -> Iterator[None]:
    """While this is open, nothing is left to chance."""
    dice, ids, clock = (
        Dice(seed),
        Dice(f"{seed} ids"),
        Clock(),
    )  # two, since manifests and refs race for numbers
    entropy = PACE.entropy
    with ExitStack() as stack, tempfile.TemporaryDirectory() as cache:
        stack.enter_context(patch.object(secrets, "token_bytes", dice.token_bytes))
        stack.enter_context(patch.object(secrets, "token_hex", dice.token_hex))
        stack.enter_context(patch.object(committing, "now", clock.now))
        stack.enter_context(patch.object(editing, "now", clock.now))
        stack.enter_context(patch.dict(os.environ, CASREG_CACHE_DIR=cache))
        try:
            object.__setattr__(PACE, "entropy", ids.token_bytes)  # it is frozen, and the default of many
            yield
        finally:
            object.__setattr__(PACE, "entropy", entropy)


# ------------------------------------------------------------------------------------------------- what is in them


def everything(backend: MemoryBackend) -> None:
    """One of each thing that the format has, as far as it fits into some hundred kilobytes."""
    registry = Registry(backend, allow_underscore=True)
    config = {
        "rate": 1e-05,
        "layers": [64, 32],
        "größe": "é\n\u2028",
        "large": 1e16,
        "on": True,
        "none": None,
    }
    registry.save(
        "config", config, metadata={"why": "first", "score": 0.1}, notes={"by": "me"}, tags=["prod"]
    )
    registry.save("config", {"rate": 0.5}, tags=["removed"])
    registry.save("config", config, version="2.0.0-rc.1", tags=["next"])
    registry.delete("config", "1.0.1")
    registry.delete("config", "1.0.0")
    registry.undelete("config", "1.0.0")
    registry.tag("config", "prod", "1.0.0")
    registry.annotate("config", "1.0.0", by="you", seen=1)

    rows = np.frombuffer(quarters("rows", 400_000), np.uint8).reshape(-1, 100)
    registry.save("my:data", rows)
    registry.save("my:data", np.insert(rows, 1000, 7, axis=0), bump="minor")
    registry.protect("my:data")
    registry.save("copy", rows)
    registry.protect("copy")
    registry.unprotect("copy")
    with tempfile.TemporaryDirectory() as folder:
        make_tree(Path(folder))
        registry.save("Tree_of:Files", Path(folder))
    registry.save("con", "a name that Windows keeps for a device")
    registry.save("raw", xof("raw", 20_000))
    registry.save("empty", b"")
    registry.save("gone", 1)
    registry.delete("gone")
    retire(backend, "gone")
    history(backend)
    backend.create(ref_key("~upload-00ff"), Ref.empty("~upload-00ff", secrets.token_hex(16)).to_bytes())
    collect(backend)
    registry.save("after", ["stamped"])


def retire(backend: MemoryBackend, name: str) -> None:
    """What a collector does to tombstones after their time: nothing is left of a version but its number."""
    refs = Repository(backend).refs

    def change(removal: Removal) -> History:
        ref = removal.history.ref
        return replace(removal.history, ref=replace(ref, records=dict.fromkeys(ref.records, Record())))

    refs.remove(name, change)


def make_tree(folder: Path) -> None:
    """More than 32 entries, among them an empty folder, an empty file, an executable, and one with a chunk list."""
    for number in range(36):
        path = folder / f"part-{number % 3}" / f"{number:02}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"%d\n" % number * number)
    (folder / "part-0" / "ünter").mkdir()
    (folder / "part-0" / "ünter" / "a\nb").write_bytes(xof("odd name", 100))
    (folder / "nothing").mkdir()
    (folder / "run.sh").write_bytes(b"#!/bin/sh\n")
    (folder / "run.sh").chmod(0o755)
    (folder / "listed").write_bytes(block() * 17 + b"end")
    (folder / "also listed").write_bytes(block() * 20)


def history(backend: MemoryBackend) -> None:
    """A name with so many versions that most of them are spilled, some deleted, some overwritten, before and after."""
    registry = Registry(backend, mutable=True)
    with patch.object(spill, "INLINE_LIMIT", 5000), patch.object(spill, "_LEAST_ROOM", 3000):
        for number in range(58):
            registry.save("long:history", number)
            if number % 9 == 5:
                registry.delete("long:history", f"1.0.{number - 4}")
            if number % 13 == 6:
                registry.save("long:history", -number, version=f"1.0.{number - 2}")
                registry.save("long:history", -2 * number, version=f"1.0.{number - 2}")
            if number == 8:  # spilled later
                registry.protect("long:history", "1.0.0")
            if number in (20, 30):  # long spilled: what is said of them now is partial, and spills too
                registry.save("long:history", f"{number}", version="1.0.4")
                registry.delete("long:history", f"1.0.{number // 10}")
        registry.save("long:history", "again", version="1.0.5")
        registry.save("long:history", "more", version="1.0.6")
        registry.tag("long:history", "best", "1.0.7")


def collect(backend: MemoryBackend) -> None:
    """A run of the collector that has condemned a manifest which nothing reaches, deleted it, and is closed."""
    orphan = encode_manifest(b"{}", b"{}", b"{}", b"")
    key = manifest_key(blake3(orphan).digest())  # type: ignore[arg-type]
    names, data = encode_names([key], secrets.token_hex(16))
    backend.create(names, data)
    condemned = condemn(INITIAL, names, secrets.token_hex(16), secrets.token_hex(16))
    closed = close(verdict(condemned, names, secrets.token_hex(16)), secrets.token_hex(16))
    backend.create(HEAD, dump_head(closed))


def deep(backend: MemoryBackend) -> None:
    """A file of depth 2, whose placement is so long that it stands in a segment."""
    Registry(backend).save("deep", block() * 7500)


class Many:
    """Materializer of many files, each with its bytes."""

    id: ClassVar[str] = "golden.many/1"
    types: ClassVar[tuple[type | str, ...]] = (dict,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """Add them."""
        assert isinstance(obj, dict)
        for path, data in obj.items():
            folder.add(path, data)

    def load(self, folder: InFolder, cls: type | None) -> object:
        """Give them back."""
        assert cls in (None, dict)
        return {path: bytes(folder.read(path)) for path in folder.paths}


CUT = "bpeqwfpzxubgkzmahfshkqvwpqwqimkkiqitetriqvdqgulalgfmbsmi"
"""The last of these characters begins a new chunk wherever one may begin (found by trying)."""


def broad(backend: MemoryBackend) -> None:
    """A tree so large that it has a chunk list, and so many chunks that the index has a fanout."""
    words = "/".join(word * 50 for word in ("long-", "name-", "more-"))
    files = {f"{number:03}/{words}/{CUT}": b"%d" % number for number in range(300)}
    Registry(backend).save("broad", files, materializer=Many())


def under_way(backend: MemoryBackend, state: str) -> None:
    """A collector that stopped in its third run: the first deleted something, the second only said what is damaged.

    What the third condemned are two manifests, of which a version needs one, and a pack. A verdict names the others.
    """
    registry = Registry(backend)
    registry.save("kept", {"rate": 0.5})
    registry.save("kept", xof("kept", 20_000))
    registry.save("deleted", xof("deleted", 20_000))
    registry.delete("deleted")
    needed, lost, orphan = (_entry(backend, "kept", "1.0.0"), _orphan(backend), _orphan(backend))
    pack = PackBuilder(bytearray())
    pack.append(digest_of(b"nobody's"), 0, b"nobody's", 8)
    sealed = pack.seal()
    backend.create(sealed.key, bytes(sealed.data))

    def listed(*keys: str) -> str:
        key, data = encode_names(keys, secrets.token_hex(16))
        backend.create(key, data)
        return key

    def drawn() -> str:
        return secrets.token_hex(16)

    first = condemn(INITIAL, listed(lost), drawn(), drawn())
    first = close(verdict(first, listed(lost), drawn()), drawn())
    backend.delete([lost])
    gone = digest_of(b"a pack that was damaged")
    second = condemn_bad(first, listed(pack_key("0" * 16, gone)), drawn(), drawn())
    second = close(verdict(second, None, drawn()), drawn())
    third = condemn(second, listed(needed, orphan, sealed.key), drawn(), drawn())
    if state == "verdict":
        for name in ("kept", "deleted"):
            fence(backend, name, third.id)
        third = verdict(third, listed(orphan, sealed.key), drawn())
    backend.create(HEAD, dump_head(third))


def _entry(backend: MemoryBackend, name: str, version: str) -> str:
    """The key of the manifest of a version."""
    history = Repository(backend).refs.ask(name, lambda history: history)
    entry = history.entry(parse_version(version)) if history else None
    assert entry is not None
    return manifest_key(entry.manifest)


def _orphan(backend: MemoryBackend) -> str:
    """A manifest that no ref reaches. Gives its key."""
    placement = b'{"inline":0,"packs":[],"requires":[],"runs":{}}'
    data = b'{"count":0,"entries":[],"materializer":"python.bytes/1","params":{},"size":0}'
    orphan = encode_manifest(data, b"{}", placement, b"")
    key = manifest_key(digest_of(orphan))
    backend.create(key, orphan)
    return key


def fence(backend: MemoryBackend, name: str, run: RunId) -> None:
    """What a collector does to each ref before it judges: its id as the stamp, and nothing else changed."""
    held = backend.get(ref_key(name))
    ref = Ref.from_bytes(held.data, name)
    assert held.token is not None
    backend.swap(ref_key(name), ref.rewritten(secrets.token_hex(16), run).to_bytes(), held.token)


def moved(backend: MemoryBackend) -> None:
    """Packs that were compacted, beside a save that holds what it has written in a hidden ref, and was killed."""
    registry = Registry(backend)
    parts = {f"{number}": xof(f"part {number}", 20_000) for number in range(6)}
    registry.save("half", parts, materializer=Many())
    registry.save("half", {**parts, **{f"{number}": b"x" for number in range(4)}}, materializer=Many())
    registry.tag("half", "whole", "1.0.1")
    registry.delete("half", "1.0.0")
    done = registry.gc(min_age=0, undelete_window=0, compact=True)
    assert done.files["packs"] == 1

    registry._repository.pinning = uploads.Pinning(after=0, every=0)
    with ExitStack() as stack:
        stack.enter_context(suppress(_KilledError))
        stack.enter_context(patch("casreg.repository.saving.Commit", side_effect=_KilledError))
        stack.enter_context(patch.object(uploads, "now", lambda: "2026-01-01T12:00:00.000000Z"))
        stack.enter_context(patch.object(secrets, "randbelow", lambda _: 123))
        registry.save("never", xof("never", 60_000))


class _KilledError(BaseException):
    """A process that ends."""


def later(backend: MemoryBackend) -> None:
    """What casreg does not write and format 1 allows; see `scribe.later`."""
    with tempfile.TemporaryDirectory() as folder:
        scribe.later(Path(folder), xof, block())
        for path in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
            backend.create(path.relative_to(folder).as_posix(), path.read_bytes())


BUNDLE = GOLDEN / "some.casreg"
BUNDLED = ("config", "my:data", "Tree_of:Files", "long:history", "empty")
"""The names that are in the golden bundle, from the golden repository with everything."""


def write_bundle(source: MemoryBackend, path: Path) -> None:
    """Export a part of a golden repository."""
    with fixed("bundle"):
        path.unlink(missing_ok=True)
        Registry(source, allow_underscore=True).export(path, BUNDLED)


REPOSITORIES: dict[str, Callable[[MemoryBackend], None]] = {
    "everything": everything,
    "deep": deep,
    "broad": broad,
    "condemned": lambda backend: under_way(backend, "condemned"),
    "verdict": lambda backend: under_way(backend, "verdict"),
    "moved": moved,
    "later": later,
}


def build(name: str) -> MemoryBackend:
    """One of the golden repositories, in memory, as today's code makes it."""
    with fixed(name):
        backend = MemoryBackend()
        backend._name = f"golden-{name}"  # the marker has the place in it
        REPOSITORIES[name](backend)
    return backend


# ------------------------------------------------------------------------------------------------- what is expected


def shortened(files: dict[str, Any]) -> Any:
    """What is expected of files; of very many only their number, and the digest of what would be."""
    if len(files) <= _MANY:
        return files
    whole = json.dumps(files, sort_keys=True, separators=(",", ":"))
    return {"count": len(files), "b3": digest(whole.encode())}


def describe(backend: Any) -> dict[str, Any]:
    """What is in a repository, by its digests, and without anything that depends on packs."""
    registry = Registry(backend, allow_underscore=True)
    repository = Repository(backend)
    found: dict[str, Any] = {}
    for name in registry.list_objects():
        versions = {}
        for version in registry.list_versions(name):
            info = registry.info(name, version)
            history = repository.refs.ask(name, lambda history: history)
            assert history is not None
            entry = history.entry(parse_version(version))
            assert entry is not None
            manifest = repository.manifest(entry.manifest)
            reader = repository.reader(manifest, name)
            files: dict[str, Any] = {}
            for item in reader.entries:
                buffer = memoryview(bytearray(item.stream.size))
                if item.stream.size:
                    reader.read_into(item.path, buffer)
                plain = {
                    "size": item.stream.size,
                    "b3": blake3(buffer).hexdigest(),
                    "depth": item.stream.depth,
                }
                files[item.path] = "folder" if item.folder else {**plain, "executable": item.executable}
            versions[version] = {
                "data": entry.data.hex(),
                "content": entry.content.hex(),
                "size": entry.size,
                "materializer": info["materializer"],
                "metadata": info["metadata"],
                "notes": info["notes"],
                "protected": info["protected"],
                "files": shortened(files),
            }
        whole = repository.refs.ask(name, lambda history: history)
        assert whole is not None
        records = sorted(whole.records().items())
        dead = {str(v): [t.entry.content.hex() for t in record.dead] for v, record in records if record.dead}
        found[name] = {
            "versions": versions,
            "dead": dead,
            "retired": [str(v) for v, record in records if not record.live and not record.dead],
            "tags": {tag: str(version) for tag, (version, _) in whole.ref.tags.items()},
        }
    return found


# ------------------------------------------------------------------------------------------------- vectors


@dataclass(frozen=True)
class Vector:
    """An input of the chunker: which bytes, and of which seed."""

    kind: str
    seed: str
    size: int

    def data(self) -> bytes:
        """The bytes."""
        make = {
            "xof": lambda: xof(self.seed, self.size),
            "quarters": lambda: quarters(self.seed, self.size),
            "zeros": lambda: bytes(self.size),
            "blocks": lambda: block() * self.size,
        }
        return make[self.kind]()


INPUTS = (
    *(
        Vector("xof", "edge", size)
        for size in (0, 1, 16384, 16385, 16386, 65535, 65536, 65537, 262144, 262145)
    ),
    *(Vector("zeros", "", size) for size in (16385, 262144, 262145, 1048581)),
    Vector("xof", "casreg 1", 4 * 1024 * 1024 + 1),
    Vector("xof", "casreg 2", 3_000_000),
    Vector("quarters", "casreg 3", 2_000_001),
    Vector("blocks", "", 21),
    Vector("xof", "casreg 4", 20 * 1024 * 1024 + 7),
)


def vectors() -> list[dict[str, Any]]:
    """Each input with its cuts, the digest of its bytes, and that of its chunk list."""
    found = []
    for vector in INPUTS:
        data = vector.data()
        sizes = cut(memoryview(data))
        records, at = b"", 0
        for size in sizes:
            records += blake3(data[at : at + size]).digest() + size.to_bytes(4, "little")
            at += size
        row: dict[str, Any] = {"kind": vector.kind, "seed": vector.seed, "size": vector.size}
        found.append({**row, "b3": digest(data), "list": digest(records), "cuts": sizes})
    return found


def digest(data: bytes) -> str:
    """BLAKE3 in hex."""
    return blake3(data).hexdigest()


# ------------------------------------------------------------------------------------------------- the program


def write_repository(backend: MemoryBackend, folder: Path) -> int:
    """Put all files of a place in memory into a folder, which is replaced. Gives their bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    total = 0
    for info in backend.list(""):
        path = folder / info.key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(backend.get(info.key).data)
        total += info.size
    return total


def write_json(path: Path, value: Any, width: int | None = 1) -> None:
    """One stable file of JSON."""
    path.write_text(json.dumps(value, indent=width, ensure_ascii=False) + "\n", encoding="utf-8")


def frozen() -> dict[str, str]:
    """Path below tests/golden → digest, of all that is frozen, as `b3sum` writes and checks it."""
    lines = DIGESTS.read_text(encoding="utf-8").splitlines() if DIGESTS.exists() else []
    return {path: b3 for b3, path in (line.split("  ", 1) for line in lines)}


def files_now() -> dict[str, str]:
    """The same, as it is on disk now; without what is expected, which grows with every repository that is added."""
    made = (DIGESTS, EXPECTED, GOLDEN / ".gitattributes")
    paths = (path for path in GOLDEN.rglob("*") if path.is_file() and path not in made)
    return {path.relative_to(GOLDEN).as_posix(): digest(path.read_bytes()) for path in paths}


def main() -> None:
    """Make what is not there yet: nothing that is frozen is ever made again. And renew the examples of the page."""
    GOLDEN.mkdir(exist_ok=True)
    expected = json.loads(EXPECTED.read_text(encoding="utf-8")) if EXPECTED.exists() else {}
    for name in REPOSITORIES:
        if not (GOLDEN / name).exists():
            backend = build(name)
            print(f"tests/golden/{name}: {write_repository(backend, GOLDEN / name):,} bytes")
            expected[name] = describe(backend)
    if not BUNDLE.exists():
        write_bundle(build("everything"), BUNDLE)
    if not VECTORS.exists():
        rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in vectors())
        VECTORS.write_text(f"[\n{rows}\n]\n", encoding="utf-8")
    write_json(EXPECTED, expected)
    listed = sorted((files_now() | frozen()).items())
    DIGESTS.write_text("".join(f"{b3}  {path}\n" for path, b3 in listed), encoding="utf-8")
    from format import examples

    examples.rewrite()


if __name__ == "__main__":
    main()
