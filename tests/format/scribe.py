"""A writer of format 1 that was written from docs/format.md alone, as `stranger` is a reader: nothing of casreg.

It writes repositories by itself, adds to those of others, and does on purpose what casreg never does and the page
allows: other white space, orders of keys and spellings, fields that nobody knows, other sizes of packs and runs, chunks
stored as another writer would.  The numbers in its comments are sections of docs/format.md.

It takes no locks and swaps nothing: one process at a time.
"""

from __future__ import annotations

import json
import re
import secrets
import struct
from dataclasses import dataclass, field
from hashlib import md5
from typing import TYPE_CHECKING, Any

import zstandard
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

NOW = "2026-01-01T00:00:00Z"
NOBODY = "0" * 32


def b3(data: bytes) -> str:
    """4: BLAKE3 in hex."""
    return blake3(data).hexdigest()


# ------------------------------------------------------------------------------------------------- 5 JSON

ESCAPES = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def canonical(value: Any) -> str:
    """5: the one spelling that writers have for a value."""
    if isinstance(value, str):
        return '"' + "".join(ESCAPES.get(c) or (f"\\u{ord(c):04x}" if c < " " else c) for c in value) + '"'
    if isinstance(value, dict):
        return "{" + ",".join(f"{canonical(key)}:{canonical(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(canonical, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def seal(plain: str) -> bytes:
    """5: a sealed document, from the text of an object."""
    return f'{plain[:-1]},"sum":"{b3(plain.encode())}"}}\n'.encode()


# ------------------------------------------------------------------------------------------------- 6 keys


def encode(name: str) -> str:
    """6: a name in a key."""
    out = "".join({":": "_", "_": "!_"}.get(c) or ("!" + c.lower() if c.isupper() else c) for c in name)
    return "!!" + out if re.match(r"(con|prn|aux|nul|(com|lpt)[0-9])(\.|\Z)", out) else out


# ------------------------------------------------------------------------------------------------- 7 chunks

G = [int.from_bytes(md5(bytes([x]) * 64).digest()[:8], "big") for x in range(256)]


def chunks_of(stream: bytes) -> Iterator[bytes]:
    """7: the chunks of a stream."""
    while stream:
        size = first_chunk(stream)
        yield stream[:size]
        stream = stream[size:]


def first_chunk(b: bytes) -> int:
    """7: steps 1 to 4."""
    n = len(b)
    if n <= 16_384:
        return n
    m = min(n, 262_144)
    h = 0
    for i in range(16_384, m - m % 2):
        h = (2 * h + G[b[i]]) % 2**64
        if not h & (0x0000D90703537000 if i < 65_536 else 0x0000D90F03530000):
            return i
    return m


# ------------------------------------------------------------------------------------------------- 9, 10 content


@dataclass
class Sections:
    """11: the numbered sequences of chunks of a version."""

    held: dict[str, list[bytes]] = field(default_factory=dict)

    def stream(self, data: bytes, base: str) -> dict[str, Any]:
        """10: the fields of a stream, whose chunks join their sections."""
        counts, level, bytes_of_level = [], 0, data
        while True:
            chunks = list(chunks_of(bytes_of_level))
            section = base if not level else f"{'list' if base == 'data' else base}.{level}"
            self.held.setdefault(section, []).extend(chunks)
            if len(chunks) <= 16:
                break
            counts.append(len(chunks))
            bytes_of_level = b"".join(blake3(c).digest() + len(c).to_bytes(4, "little") for c in chunks)
            level += 1
        fields: dict[str, Any] = {"size": len(data), "chunks": [[b3(c), len(c)] for c in chunks]}
        return {**fields, "counts": counts} if counts else fields


def entries_of(files: Mapping[str, bytes | None], executable: Sequence[str], sections: Sections) -> list[Any]:
    """9: the entries of a version; a path without bytes is an empty folder."""
    entries: list[Any] = []
    for path in sorted(files, key=str.encode):
        data = files[path]
        if data is None:
            entries.append({"path": path, "folder": True})
        else:
            entry = {"path": path, **sections.stream(data, "data")}
            entries.append({**entry, "executable": True} if path in executable else entry)
    return entries


# ------------------------------------------------------------------------------------------------- the writer


@dataclass(frozen=True)
class Packed:
    """A pack as placements name it, and where each of its chunks is: where the frame begins and ends."""

    row: tuple[str, int, int, str]
    frames: Mapping[bytes, tuple[int, int]]


@dataclass
class Scribe:
    """Writes into a folder.

    Attributes:
        root: The folder.
        pack_chunks: So many chunks come into one pack.
        run_chunks: So many into one run.
        packing: Gives codec and stored bytes of a chunk.
        spell: Writes objects whose spelling is free.
        unknown: Fields that nobody knows, for each object that may have some.
        segments: Whether placements stand in segments.
        nonce: Draws a nonce.
    """

    root: Path
    pack_chunks: int = 1000
    run_chunks: int = 64
    packing: Callable[[bytes], tuple[int, bytes]] = lambda chunk: (0, chunk)
    spell: Callable[[Any], str] = canonical
    unknown: Mapping[str, Any] = field(default_factory=dict)
    segments: bool = False
    nonce: Callable[[], str] = lambda: secrets.token_hex(16)

    def write(self, key: str, data: bytes) -> str:
        """One file."""
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return key

    def data(self, folder: str, data: bytes, hook: str = "") -> str:
        """6: an immutable file. Gives its digest."""
        name = b3(data)
        self.write(f"{folder}/{name[:2]}/{hook}{name}", data)
        return name

    def segment(self, kind: str, lines: Sequence[str]) -> str:
        """An immutable file of lines. Gives its digest."""
        return self.data(
            "segments", "\n".join([f"casreg-segment 1 {kind} {self.nonce()}", *lines, ""]).encode()
        )

    def marker(self, ident: str, place: str | None = None) -> None:
        """14: the marker."""
        probe = None if place is None else {"place": place, "result": "ok"}
        body = {"format": 1, "id": ident, "requires": [], "probe": probe, **self.unknown}
        self.write("casreg.json", seal(self.spell(body)))

    def pack(self, chunks: Sequence[bytes]) -> Packed:
        """8: a pack of these chunks, of which none is there twice."""
        frames, table, at, places = [], b"", 32, {}
        for chunk in chunks:
            codec, stored = self.packing(chunk)
            digest, size = blake3(chunk).digest(), len(chunk)
            frame = struct.pack("<BBHII32s", codec, 0, 0, len(stored), size, digest) + stored
            table += struct.pack("<32sQII", digest, at, len(stored), size)
            places[chunk] = at, at + len(frame)
            at += len(frame)
            frames.append(frame)
        header = b"casregP1" + bytes(8) + bytes.fromhex(self.nonce())
        trailer = struct.pack("<Q32s8s", len(frames), blake3(table).digest(), b"casregE1")
        file = header + b"".join(frames) + table + trailer
        hook = min(blake3(chunk).digest() for chunk in chunks)[:8].hex()
        name = self.data("packs", file, f"{hook}-")
        return Packed((f"{hook}-{name}", len(file), len(table), b3(table)), places)

    def place(self, sections: Sections) -> dict[str, Any]:
        """11: the chunks of all sections in packs, and where they are."""
        once = list(dict.fromkeys(chunk for chunks in sections.held.values() for chunk in chunks))
        packs = [self.pack(once[at : at + self.pack_chunks]) for at in range(0, len(once), self.pack_chunks)]
        runs: dict[str, Any] = {}
        for section, chunks in sections.held.items():
            rows: list[list[int]] = []
            for number, chunk in enumerate(chunks):
                pack = next(at for at, pack in enumerate(packs) if chunk in pack.frames)
                begin, end = packs[pack].frames[chunk]
                last = rows[-1] if rows else None
                if last and (last[0], last[1] + last[2]) == (pack, begin) and last[4] < self.run_chunks:
                    last[2], last[4] = end - last[1], last[4] + 1
                else:
                    rows.append([pack, begin, end - begin, number, 1])
            runs[section] = rows
        return {"requires": [], "inline": 0, "packs": [pack.row for pack in packs], "runs": runs}

    def version(
        self,
        materializer: str,
        files: Mapping[str, bytes | None],
        metadata: Mapping[str, Any] | None = None,
        executable: Sequence[str] = (),
        params: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """9, 12: a manifest, and what it needs. Gives the entry for a ref."""
        sections = Sections()
        entries = [{**entry, **self.unknown} for entry in entries_of(files, executable, sections)]
        size = sum(entry.get("size", 0) for entry in entries)
        line = {
            "materializer": materializer,
            "params": dict(params or {}),
            "size": size,
            "count": len(entries),
        }
        payload = b""
        if len(entries) > 32:
            tree = "".join(canonical(entry) + "\n" for entry in entries).encode()
            line["tree"] = sections.stream(tree, "tree")
        else:
            line["entries"] = entries
        if size <= 16_384 and len(entries) <= 32:
            payload = b"".join(sections.held.get("data", []))
            placement: dict[str, Any] = {"requires": [], "inline": size, "packs": [], "runs": {}}
        else:
            placement = self.place(sections)
        place = self.spell({**placement, **self.unknown})
        if self.segments:
            segment = self.segment("placement", [place])
            pointer = {"requires": [], "segment": segment, "packs": len(placement["packs"]), "size": 0}
            place = self.spell(
                {**pointer, "size": (self.root / f"segments/{segment[:2]}/{segment}").stat().st_size}
            )
        data, said = self.spell({**line, **self.unknown}).encode(), self.spell(dict(metadata or {})).encode()
        head = f"casreg-manifest 1 {self.nonce()}".encode()
        manifest = self.data("manifests", b"\n".join([head, data, said, place.encode(), payload]))
        return {
            "manifest": manifest,
            "data": b3(data),
            "content": b3(data + b"\n" + said),
            "size": size,
            "stored": 0,
            "packs": len(placement["packs"]),
            "created": NOW,
            "write": NOBODY,
            "notes": {},
            **self.unknown,
        }

    def ref(self, name: str, **fields: Any) -> None:
        """12: a ref, with the fields that are given, as the first write of the name or as the next."""
        key = f"refs/{encode(name)}"
        body: dict[str, Any] = {
            "format": 1, "requires": [], "name": name, "recent": [], "rev": -1, "stamp": None,
            "versions": {}, "deleted": {}, "retired": [], "tags": {}, "older": [], **self.unknown,
        }  # fmt: skip
        if (self.root / key).exists():
            plain = (self.root / key).read_bytes()[:-75] + b"}"
            body = json.loads(plain)
        body |= fields
        write = self.nonce()
        for entry in body["versions"].values():
            if entry["write"] == NOBODY:
                entry["write"] = write
        if (self.root / "gc/head").exists():  # 15: the head is read after the ref, and its id is the stamp
            body["stamp"] = json.loads((self.root / "gc/head").read_bytes())["id"]
        body |= {"write": write, "recent": [*body["recent"], write][-64:], "rev": body["rev"] + 1}
        self.write(key, seal(self.spell(body)))

    def history(self, records: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """13: a segment of history, of records in ascending order. Gives its row of `older`."""
        lines = [self.spell({"version": version, **record}) for version, record in records.items()]
        segment = self.segment("history", lines)
        size = (self.root / f"segments/{segment[:2]}/{segment}").stat().st_size
        living = [version for version, record in records.items() if "live" in record]
        first, *_, last = [*records, *records]
        return {
            "segment": segment,
            "size": size,
            "count": len(records),
            "min": first,
            "max": last,
            "live": living[-1] if living else None,
            **self.unknown,
        }


def loose(value: Any) -> str:
    """5: a spelling that no writer has and every reader takes: white space, keys in disorder, escapes."""
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: b3(key.encode()))
        return "{ " + " ,\t".join(f"{json.dumps(key)} : {loose(value[key])}" for key in keys) + " }"
    if isinstance(value, list | tuple):
        return "[ " + ", ".join(map(loose, value)) + " ]"
    return json.dumps(value).replace("/", "\\/")


def zstd(chunk: bytes) -> tuple[int, bytes]:
    """8: one frame of Zstandard where that is shorter, with a checksum that nobody asked for."""
    stored = zstandard.ZstdCompressor(level=9, write_checksum=True).compress(chunk)
    return (1, stored) if len(stored) < len(chunk) else (0, chunk)


# ------------------------------------------------------------------------------------------------- what casreg never does

UNKNOWN = {"later": {"a": [1.5, None, "é/"]}, "zz": True}
"""Fields that no release knows which knows only this page."""


def later(root: Path, xof: Callable[[str, int], bytes], block: bytes) -> None:
    """A repository with everything that the page allows and casreg does not do; a later release might.

    Args:
        root: An empty folder.
        xof: Gives so many bytes for a text.
        block: Bytes that are cut where they repeat.
    """
    odd = Scribe(root, 3, 2, zstd, loose, UNKNOWN, segments=True)
    odd.marker("1a7e" * 8)

    small = odd.version("python.json/1", {"data.json": b'{"rate":0.5}'}, {"why": "small", "é": 1e-05})
    large = block * 3 + xof("later", 60_000) + block * 2 + bytes(300_000)
    noted = {"notes": {"by": "x"}, "protected": True, "class": "builtins.bytes"}
    listed = block * 20 + xof("listed", 20_000)
    odd.ref(
        "later:One",
        versions={
            "1.0.0": small,
            "1.1.0": {**odd.version("python.bytes/1", {"data.bin": large}), **noted},
            "2.0.0-rc.99999999999999999999": odd.version("python.bytes/1", {"data.bin": listed}),
            "2.0.0-rc.100000000000000000000": odd.version("python.bytes/1", {"data.bin": b""}),
        },
        tags={
            "a.B-1": ["1.1.0", small["manifest"]]
        },  # whatever the manifest beside it is: readers go by the version
    )

    files: dict[str, bytes | None] = {f"{number % 5}/{number}": b"%d" % (number % 7) for number in range(40)}
    files |= {"empty": None, "a-b/ü": b"", "run": b"#!", "a/listed": listed}
    odd.ref("_later__tree_", versions={"0.0.0": odd.version("path.folder/1", files, executable=["run"])})

    def dead(number: int) -> dict[str, Any]:
        entry = odd.version("python.json/1", {"data.json": b"%d" % number})
        return {**entry, "write": odd.nonce(), "deleted": "2026-01-02T23:59:60.123456789Z"}

    def live(number: int) -> dict[str, Any]:
        return {**odd.version("python.json/1", {"data.json": b"%d" % number}), "write": odd.nonce()}

    oldest = odd.history({"0.0.1-a.-.0": {}, "0.0.1": {"dead": [dead(0)]}})
    older = odd.history({
        "0.1.0": {"live": live(1)},
        "0.2.0": {"live": live(2), "dead": [dead(3)]},
        "0.3.0": {"dead": [dead(4)]},
        "0.4.0": {},
    })  # fmt: skip
    newer = odd.history({
        "0.1.0": {"dead": [dead(5)]},  # deleted; what the older one says is no longer so
        "0.2.0": {"live": live(6), "dead": [dead(7), dead(8)], "partial": True},
        "0.4.0": {"live": live(9)},  # a number that came back
        "0.5.0": {},
    })  # fmt: skip
    newest = odd.history({"0.3.0": {"live": live(10), "partial": True}, "0.6.0": {"live": live(11)}})
    odd.ref(
        "later.history",
        older=[oldest, older, newer, newest],
        versions={"0.2.0": live(12)},
        deleted={"0.2.0": [dead(13)], "0.6.0": [dead(14)]},
        partial=["0.2.0", "0.6.0"],
        retired=["0.7.0"],
    )
    odd.ref("later.empty")

    deep: Any = "inside"
    for _ in range(199):
        deep = [deep]
    longest = "0.0.0-" + "1" * 122
    said = {
        "deep": deep,
        "integers": [2**53 - 1, 1 - 2**53],
        "floats": [5e-324, -1.7976931348623157e308, -0.0],
    }
    paths = ["p" * 255, "/".join(["ü" * 127] * 4) + "/ends", "CON!", "lpt10", "12:30", "..a", " ", "x\ny"]
    odd.ref(
        "Limits",
        versions={
            longest: odd.version("path.folder/1", dict.fromkeys(paths, b"x"), said),
            "999999999999998.999999999999999.999999999999999": odd.version("path.folder/1", {}),
        },
        tags={"t" * 64: [longest, b3(b"")]},
    )

    gone, bad = (f"manifests/{b3(data)[:2]}/{b3(data)}" for data in (b"gone", b"bad"))
    lists = [f"segments/{name[:2]}/{name}" for name in (odd.segment("names", [key]) for key in (gone, bad))]
    runs = [[odd.nonce(), 1], [odd.nonce(), 5]]
    kept: list[dict[str, Any]] = [
        {"id": runs[0], "names": lists[0], "write": odd.nonce()},
        {"id": runs[1], "names": None, "write": odd.nonce()},
    ]
    head = {"format": 1, "requires": [], "write": kept[1]["write"], "id": runs[1], "state": "idle"}
    odd.write("gc/head", seal(loose({**head, "names": None, "bad": lists[1], "kept": kept, **UNKNOWN})))
