"""A reader of format 1 that was written from docs/format.md alone: BLAKE3, Zstandard, JSON, and nothing of casreg.

    python stranger.py FOLDER                      list names, versions and tags
    python stranger.py FOLDER verify               check every byte
    python stranger.py FOLDER extract NAME VERSION INTO

Or a bundle, where FOLDER is a file.  The numbers in its comments are sections of docs/format.md.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import sys
import zipfile
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zstandard
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

KEY = re.compile(
    r"(?:manifests|segments)/([0-9a-f]{2})/(\1[0-9a-f]{62})|packs/([0-9a-f]{2})/([0-9a-f]{16})-(\3[0-9a-f]{62})"
)
BUNDLED_KEY = re.compile(rf"casreg\.json|refs/[^/]+|{KEY.pattern}")
PACK = re.compile(r"[0-9a-f]{16}-[0-9a-f]{64}")
HEX32 = re.compile(r"[0-9a-f]{32}")
HEX64 = re.compile(r"[0-9a-f]{64}")
FRAME = struct.Struct("<BBHII32s")
RECORD = struct.Struct("<32sQII")


class Damaged(Exception):  # noqa: N818 - a word, not an error of a program
    """Something is not what the format says."""


class TooNew(Exception):  # noqa: N818 - as above
    """Written by rules that this reader does not know."""


def need(condition: object, what: str) -> None:
    """Raise `Damaged` unless the condition holds."""
    if not condition:
        raise Damaged(what)


def digest(data: bytes | memoryview) -> str:
    """4: BLAKE3 in hex."""
    return blake3(data).hexdigest()


# ------------------------------------------------------------------------------------------------- 5 JSON


def strict(data: bytes, what: str) -> Any:
    """5: one strict JSON document."""
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=lambda pairs: _object(pairs, what),
            parse_int=lambda text: _integer(text, what),
            parse_float=lambda text: _float(text, what),
            parse_constant=lambda text: need(False, f"{what}: {text} is no JSON"),
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # no lone surrogates
    except (ValueError, RecursionError) as err:
        raise Damaged(f"{what}: {err}") from err
    need(_depth(value) <= 200, f"{what}: nested too deep")
    return value


def _object(pairs: list[tuple[str, Any]], what: str) -> dict[str, Any]:
    need(len({key for key, _ in pairs}) == len(pairs), f"{what}: a key stands twice")
    return dict(pairs)


def _integer(text: str, what: str) -> int:
    need(len(text) <= 17 and abs(int(text)) < 2**53, f"{what}: an integer is too large")
    return int(text)


def _float(text: str, what: str) -> float:
    need(math.isfinite(float(text)), f"{what}: a number is too large")
    return float(text)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def unseal(data: bytes, what: str) -> dict[str, Any]:
    """5: a sealed document."""
    need(re.fullmatch(rb',"sum":"[0-9a-f]{64}"}\n', data[-75:]), f"{what}: it has no sum at its end")
    plain = data[:-75] + b"}"
    need(digest(plain).encode() == data[-67:-3], f"{what}: its sum is not that of its bytes")
    body = strict(plain, what)
    need(isinstance(body, dict) and body and "sum" not in body, f"{what}: no object with one sum")
    if field(body, "format", int, what) != 1:
        raise TooNew(f"{what}: format {body['format']}")
    required(body, what)  # what it requires concerns writers
    return dict(body)


def field(fields: Any, name: str, kind: type, what: str, default: Any = None) -> Any:
    """5: a field of an object, of the type that it must have; if it is absent, the default, unless that is None."""
    need(isinstance(fields, dict), f"{what}: {fields!r:.60} is no object")
    value = fields.get(name, default)
    need(type(value) is kind, f"{what}: {name} is no {kind.__name__}: {value!r:.60}")
    return value


def required(fields: Any, what: str) -> list[str]:
    """5: the words of `requires`."""
    words: list[str] = field(fields, "requires", list, what)
    need(all(type(word) is str for word in words), f"{what}: {words} are no words")
    return words


def row(value: Any, size: int, what: str) -> list[Any]:
    """An array of so many values."""
    need(isinstance(value, list) and len(value) == size, f"{what}: {value!r:.60} has not {size} parts")
    return list(value)


def natural(value: Any, what: str, low: int = 0) -> int:
    """An integer that counts something."""
    need(type(value) is int and value >= low, f"{what}: {value!r} is no number from {low}")
    return int(value)


def hexed(value: Any, what: str, pattern: re.Pattern[str] = HEX64) -> str:
    """A digest, or a nonce."""
    need(isinstance(value, str) and pattern.fullmatch(value), f"{what}: {value!r} is no digest or id")
    return str(value)


# ------------------------------------------------------------------------------------------------- 6 names

SEGMENT = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
NAME = re.compile(rf"{SEGMENT}(?::{SEGMENT})*|~[a-z](?:[a-z0-9-]*[a-z0-9])?")
DEVICE = re.compile(r"con|prn|aux|nul|com[0-9]|lpt[0-9]")


def encode(name: str) -> str:
    """6: a name in a key."""
    out = "".join("_" if c == ":" else "!" + c.lower() if c == "_" or c.isupper() else c for c in name)
    return "!!" + out if DEVICE.fullmatch(out.split(".")[0]) else out


def decode(encoded: str) -> str | None:
    """6: the name that encodes to exactly this; None if there is none."""
    name, rest = "", encoded.removeprefix("!!")
    while rest:
        size = 2 if rest[0] == "!" else 1
        unit, rest = rest[:size], rest[size:]
        name += ":" if unit == "_" else unit[1:].upper() if size == 2 else unit
    fine = NAME.fullmatch(name) and len(encoded) <= 195 and encode(name) == encoded
    return name if fine else None


# ------------------------------------------------------------------------------------------------- storage


@dataclass(frozen=True)
class Storage:
    """A folder with a repository in it."""

    root: Path

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes of a key."""
        try:
            with (self.root / key).open("rb") as file:
                file.seek(start)
                return file.read(-1 if stop is None else stop - start)
        except FileNotFoundError as err:
            raise Damaged(f"{key} is missing") from err

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so."""
        files = (path for path in self.root.rglob("*") if path.is_file())
        return sorted(
            key
            for key in (path.relative_to(self.root).as_posix() for path in files)
            if key.startswith(prefix)
        )

    def data(self, folder: str, name: str) -> bytes:
        """An immutable file, which has the digest that its name says (6)."""
        key = f"{folder}/{name[-64:][:2]}/{name}"
        data = self.get(key)
        need(digest(data) == name[-64:], f"{key}: its bytes are not those of its name")
        return data

    def segment(self, name: str, kind: bytes) -> list[bytes]:
        """The lines of a segment, without the first."""
        head, *lines, rest = self.data("segments", name).split(b"\n")
        match = re.fullmatch(rb"casreg-segment ([0-9]+) (.+) [0-9a-f]{32}", head)
        need(match and match[2] == kind and not rest, f"segment {name}: it does not hold {kind.decode()}")
        if match and match[1] != b"1":
            raise TooNew(f"segment {name}: format {match[1].decode()}")
        return lines

    def names(self) -> dict[str, Ref]:
        """12: all names and their refs, hidden and empty ones too."""
        found = {}
        for key in self.keys("refs/"):
            name = decode(key.removeprefix("refs/"))
            if name is not None:
                found[name] = Ref(self, name)
        return found


# ------------------------------------------------------------------------------------------------- 12, 13 refs

VERSION = re.compile(
    r"(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,14})\.(0|[1-9][0-9]{0,14})(?:-([0-9A-Za-z.-]+))?"
)
TAG = re.compile(r"(?!(?i:latest)\Z)(?![vV]?[0-9])[A-Za-z](?:[A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")


def rank(version: Any) -> tuple[Any, ...]:
    """The precedence of SemVer."""
    need(isinstance(version, str), f"{version!r} is no version")
    match = VERSION.fullmatch(version)
    need(match and len(version) <= 128, f"{version!r} is no version")
    assert match is not None
    words = match[4].split(".") if match[4] else []
    for word in words:
        need(word and not re.fullmatch(r"0[0-9]+", word), f"{version!r} is no version")
    before = tuple((0, int(word), "") if word.isdigit() else (1, 0, word) for word in words)
    return (*map(int, match.groups()[:3]), not before, before)


def check_entry(entry: Any, what: str) -> None:
    """12: the fields of an entry."""
    field(entry, "notes", dict, what)
    for name in ("manifest", "data", "content"):
        hexed(entry.get(name), what)
    for name in ("size", "stored", "packs"):
        natural(entry.get(name), what)
    hexed(entry.get("write"), what, HEX32)
    need(entry.get("class") is None or isinstance(entry["class"], str), f"{what}: its class")
    need(entry.get("protected", True) is True, f"{what}: protected is not true")
    time(entry.get("created"), what)


def check_tombstone(tombstone: Any, what: str) -> None:
    """12: the fields of a tombstone."""
    check_entry(tombstone, what)
    time(tombstone.get("deleted"), what)


TIME = re.compile(
    r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?Z"
)


def time(value: Any, what: str) -> None:
    """12: a time."""
    need(isinstance(value, str) and TIME.fullmatch(value), f"{what}: {value!r:.60} is no time")


def run_id(value: Any, what: str) -> tuple[str, int]:
    """15: the id of a collector's run."""
    nonce, number = row(value, 2, what)
    return hexed(nonce, what, HEX32), natural(number, what)


@dataclass(frozen=True)
class Record:
    """What one place says of a version."""

    live: dict[str, Any] | None
    dead: list[dict[str, Any]]
    partial: bool


class Ref:
    """All versions of one name."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.storage, self.name = storage, name
        key = f"refs/{encode(name)}"
        self.body = body = unseal(storage.get(key), key)
        need(body.get("name") == name, f"{key}: it is the ref of {body.get('name')}")
        for ident in (body.get("write"), *field(body, "recent", list, key)):
            hexed(ident, key, HEX32)
        natural(body.get("rev"), key)
        need("stamp" in body, f"{key}: no stamp")
        if body["stamp"] is not None:
            run_id(body["stamp"], key)
        for tag, target in field(body, "tags", dict, key).items():
            version, manifest = row(target, 2, key)
            need(TAG.fullmatch(tag) and rank(version) and hexed(manifest, key), f"{key}: tag {tag}")
        for found in field(body, "older", list, key):
            what = f"{key}: a row of older"
            hexed(field(found, "segment", str, what), what)
            natural(found.get("size"), what)
            natural(found.get("count"), what, 1)
            low, high = rank(found.get("min")), rank(found.get("max"))
            top = low if found.get("live") is None else rank(found["live"])
            need(low <= top <= high, f"{what}: {found} contradicts itself")

    def own(self) -> dict[str, Record]:
        """What the ref itself says."""
        body, what = self.body, f"refs/{encode(self.name)}"
        live, dead = field(body, "versions", dict, what), field(body, "deleted", dict, what)
        retired, partial = field(body, "retired", list, what), field(body, "partial", list, what, [])
        for version in (*live, *dead, *retired, *partial):
            need(rank(version), what)
        need(not set(retired) & (live.keys() | dead.keys()), f"{what}: retired and not")
        mentioned = [*live, *dead, *retired]
        need(set(partial) <= set(mentioned), f"{what}: partial and not mentioned")
        need(all(dead.values()), f"{what}: deleted without a tombstone")
        return {
            version: Record(
                field(live, version, dict, what) if version in live else None,
                field(dead, version, list, what, []),
                version in partial,
            )
            for version in mentioned
        }

    def spilled(self, row: dict[str, Any]) -> dict[str, Record]:
        """13: what a segment says."""
        what = f"segment {row['segment']}"
        records = [strict(line, what) for line in self.storage.segment(row["segment"], b"history")]
        found = {
            field(record, "version", str, what): Record(
                record.get("live"),
                field(record, "dead", list, what, []),
                field(record, "partial", bool, what, False),
            )
            for record in records
        }
        need(len(found) == len(records), f"{what}: a version stands twice")
        ranks = [rank(version) for version in found]
        need(all(a < b for a, b in pairwise(ranks)), f"{what}: not ascending")
        living = [version for version, record in found.items() if record.live is not None]
        said = (len(found), *[*found][:1], *[*found][-1:], living[-1] if living else None)
        need(said == (row["count"], row["min"], row["max"], row.get("live")), f"{what}: not as the ref says")
        return found

    @cached_property
    def records(self) -> dict[str, tuple[dict[str, Any] | None, list[dict[str, Any]]]]:
        """12: entry and tombstones of each version that was ever used."""
        places = [self.own(), *(self.spilled(row) for row in reversed(self.body["older"]))]
        found = {}
        for version in sorted({version for place in places for version in place}, key=rank):
            mentions = [place[version] for place in places if version in place]
            dead: list[dict[str, Any]] = []
            for mention in mentions:
                dead = mention.dead + dead
                if not mention.partial:
                    break
            for mention in mentions:
                if mention.live is not None:
                    check_entry(mention.live, f"{self.name}@{version}")
                for tombstone in mention.dead:
                    check_tombstone(tombstone, f"{self.name}@{version}")
            found[version] = (mentions[0].live, dead)
        return found

    def versions(self) -> dict[str, dict[str, Any]]:
        """The versions that live, ascending, and their entries."""
        return {version: live for version, (live, _) in self.records.items() if live is not None}

    def open(self, version: str) -> Version:
        """The content of a version."""
        return Version(self.storage, self.versions()[version])


# ------------------------------------------------------------------------------------------------- 9, 10 contents


@dataclass(frozen=True)
class Stream:
    """10: a stream, by the chunks of its highest level."""

    size: int
    chunks: list[tuple[str, int]]
    counts: list[int]

    def count(self, level: int) -> int:
        """How many chunks it has at a level."""
        return [*self.counts, len(self.chunks), *[0] * 10][level]


def stream(fields: Any, what: str) -> Stream:
    """10: a stream, its sizes checked."""
    rows = [row(chunk, 2, what) for chunk in field(fields, "chunks", list, what)]
    chunks = [(hexed(name, what), natural(size, what, 1)) for name, size in rows]
    counts = [natural(count, what, 1) for count in field(fields, "counts", list, what, [])]
    size = natural(fields.get("size"), what)
    need(all(n <= 262144 for _, n in chunks), f"{what}: a chunk is too large")
    need(sum(n for _, n in chunks) == (36 * counts[-1] if counts else size), f"{what}: sizes do not sum up")
    for below, count in zip((size, *(36 * count for count in counts)), counts, strict=False):
        need(count <= below // 16384 + 1, f"{what}: too many chunks for so few bytes")
    need(len(counts) <= 9, f"{what}: lists of lists of lists")
    return Stream(size, chunks, counts)


@dataclass(frozen=True)
class Entry:
    """9: a file, or an empty folder."""

    path: str
    folder: bool
    executable: bool
    stream: Stream


def entry(fields: Any, what: str) -> Entry:
    """9: an entry, its path checked."""
    path = field(fields, "path", str, what)
    folder = field(fields, "folder", bool, what, False)
    executable = not folder and field(fields, "executable", bool, what, False)
    need(good_path(path), f"{what}: {path!r} is no path")
    return Entry(path, folder, executable, Stream(0, [], []) if folder else stream(fields, f"{what}: {path}"))


WINDOWS = re.compile(
    r"[A-Za-z]:.*|(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³]) *(\..*)?",
    re.IGNORECASE | re.DOTALL | re.ASCII,
)


def good_path(path: str) -> bool:
    """20: a path that stays where it belongs."""
    return len(path.encode()) <= 1024 and not re.search(r"[\0\\]", path) and all(
        0 < len(part.encode()) <= 255 and part not in (".", "..") and not WINDOWS.fullmatch(part)
        for part in path.split("/")
    )  # fmt: skip


def check_entries(entries: Sequence[Entry], what: str) -> None:
    """9: sorted, none twice, none inside another."""
    paths = [entry.path.encode() for entry in entries]
    need(all(a < b for a, b in pairwise(paths)), f"{what}: entries are not sorted")
    parents = {path[:at] for path in paths for at, sign in enumerate(path) if sign == 0x2F}
    need(not parents & set(paths), f"{what}: a file is in a file")


class Version:
    """One version: its manifest, and the bytes of its files."""

    def __init__(self, storage: Storage, ref_entry: dict[str, Any]) -> None:
        self.storage = storage
        self.what = what = f"manifest {ref_entry['manifest']}"
        file = storage.data("manifests", ref_entry["manifest"])
        match = re.match(rb"casreg-manifest ([1-9][0-9]*) [0-9a-f]{32}\n", file)
        need(match, f"{what}: its first line")
        if match and match[1] != b"1":
            raise TooNew(f"{what}: format {match[1].decode()}")
        parts = file.split(b"\n", 4)
        need(len(parts) == 5, f"{what}: its lines")
        _, self.data_line, self.metadata_line, line, self.payload = parts
        need(digest(self.data_line) == ref_entry["data"], f"{what}: other data than the ref says")
        both = self.data_line + b"\n" + self.metadata_line
        need(digest(both) == ref_entry["content"], f"{what}: other content than the ref says")
        self.placement = self._placement(line)
        self.data = strict(self.data_line, what)
        self.metadata = strict(self.metadata_line, what)
        need(isinstance(self.metadata, dict), f"{what}: its metadata is no object")
        field(self.data, "materializer", str, what)
        field(self.data, "params", dict, what)
        natural(self.data.get("size"), what)
        natural(self.data.get("count"), what)
        need(natural(self.placement.get("inline"), what) == len(self.payload), f"{what}: its payload")
        if self.payload:
            fits = len(self.payload) == self.data["size"] and "tree" not in self.data
            need(fits and not self.placement["runs"], f"{what}: its payload")

    def _placement(self, line: bytes) -> dict[str, Any]:
        """11: the placement, wherever it stands."""
        placement = strict(line, self.what)
        self._check_requires(placement)
        if "segment" in placement:
            lines = self.storage.segment(hexed(placement["segment"], self.what), b"placement")
            need(len(lines) == 1, f"{self.what}: its placement segment")
            placement = strict(lines[0], self.what)
            self._check_requires(placement)
        packs = [row(pack, 4, self.what) for pack in field(placement, "packs", list, self.what)]
        for name, size, table, table_digest in packs:
            need(isinstance(name, str) and PACK.fullmatch(name), f"{self.what}: {name} is no pack")
            count = natural(table, self.what, 48) // 48
            need(
                table == 48 * count and natural(size, self.what) >= 80 + table + 44 * count,
                f"{self.what}: {name}",
            )
            hexed(table_digest, self.what)
        for section in field(placement, "runs", dict, self.what):
            need(re.fullmatch(r"data|tree|(list|tree)\.[1-9]", section), f"{self.what}: section {section}")
            end = 0
            for run in field(placement["runs"], section, list, self.what):
                pack, offset, length, first, count = (natural(n, self.what) for n in row(run, 5, self.what))
                fits = pack < len(packs) and offset + length <= packs[pack][1]
                need(fits and count >= 1 and length >= 44 * count, f"{self.what}: run {run} of {section}")
                need(first == end, f"{self.what}: the runs of {section} have gaps")
                end += count
        return dict(placement)

    def _check_requires(self, placement: Any) -> None:
        """5: who does not know a word must not go on."""
        if required(placement, self.what):
            raise TooNew(f"{self.what} requires {placement['requires']}")

    @cached_property
    def entries(self) -> list[Entry]:
        """9: all entries."""
        if "tree" in self.data:
            tree = stream(self.data["tree"], self.what)
            need(tree.size <= self.data["count"] * 16385, f"{self.what}: its tree is too large")
            text = b"".join(self._chunks(tree, "tree", [0] * 10))
            *lines, rest = text.split(b"\n")
            need(not rest and all(len(line) <= 16384 for line in lines), f"{self.what}: lines of its tree")
            entries = [entry(strict(line, self.what), self.what) for line in lines]
        else:
            entries = [entry(fields, self.what) for fields in field(self.data, "entries", list, self.what)]
        check_entries(entries, self.what)
        need(len(entries) == self.data["count"], f"{self.what}: not {self.data['count']} entries")
        need(sum(e.stream.size for e in entries) == self.data["size"], f"{self.what}: sizes of its entries")
        return entries

    def read(self, number: int) -> Iterator[bytes]:
        """The verified bytes of the file with this number among the entries, chunk by chunk."""
        before = self.entries[:number]
        firsts = [sum(e.stream.count(level) for e in before) for level in range(10)]
        return self._chunks(self.entries[number].stream, "data", firsts)

    def _chunks(self, stream: Stream, base: str, firsts: list[int]) -> Iterator[bytes]:
        """10, 11: the chunks of a stream, after its lists were followed down from the highest level."""
        chunks = stream.chunks
        for level in range(len(stream.counts), 0, -1):
            section = f"{'list' if base == 'data' else base}.{level}"
            records = b"".join(self._section(section, firsts[level], chunks))
            need(len(records) == 36 * stream.counts[level - 1], f"{self.what}: a list is too short")
            chunks = [(name.hex(), size) for name, size in struct.iter_unpack("<32sI", records)]
        need(sum(size for _, size in chunks) == stream.size, f"{self.what}: a list does not sum up")
        need(all(1 <= size <= 262144 for _, size in chunks), f"{self.what}: sizes in a list")
        return self._section(base, firsts[0], chunks)

    def _section(self, section: str, first: int, chunks: Iterable[tuple[str, int]]) -> Iterator[bytes]:
        """11: chunks of a section, from number `first` on."""
        if self.payload:
            need(not any(e.stream.counts for e in self.entries), f"{self.what}: lists beside its payload")
            held = [size for e in self.entries for _, size in e.stream.chunks]
            at = sum(held[:first])
            for name, size in chunks:
                data, at = self.payload[at : at + size], at + size
                need(digest(data) == name, f"{self.what}: a chunk of its payload")
                yield data
            return
        frames = self._frames(section, first)
        for name, size in chunks:
            pack, (codec, parameter, reserved, stored, said, found), body = next(frames, ("", (0,) * 6, b""))
            need(
                (found, said) == (bytes.fromhex(name), size),
                f"pack {pack}: chunk {name} is not where it should be",
            )
            need(
                not parameter and not reserved and stored == len(body), f"pack {pack}: frame of chunk {name}"
            )
            data = unpacked(codec, body, size, f"pack {pack}: chunk {name}")
            need(digest(data) == name, f"pack {pack}: chunk {name} is damaged")
            yield data

    def _frames(self, section: str, first: int) -> Iterator[tuple[str, tuple[Any, ...], bytes]]:
        """11: the frames of a section from number `first` on, run by run."""
        for pack, offset, length, start, count in self.placement["runs"].get(section, []):
            if start + count <= first:
                continue
            name = self.placement["packs"][pack][0]
            data = self.storage.get(f"packs/{name[17:19]}/{name}", offset, offset + length)
            at = 0
            for number in range(start, start + count):
                need(at + 44 <= len(data), f"pack {name}: a frame is cut off")
                frame = FRAME.unpack_from(data, at)
                body, at = data[at + 44 : at + 44 + frame[3]], at + 44 + frame[3]
                if number >= first:
                    yield name, frame, body
            need(at == length == len(data), f"pack {name}: its frames do not fill a run")

    def extract(self, into: Path) -> None:
        """20: write everything below a new folder."""
        into.mkdir(parents=True)
        for number, found in enumerate(self.entries):
            path = into.joinpath(*found.path.split("/"))
            (path if found.folder else path.parent).mkdir(parents=True, exist_ok=True)
            if not found.folder:
                mode = 0o777 if found.executable else 0o666
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
                with open(os.open(path, flags, mode), "wb") as file:
                    file.writelines(self.read(number))


def unpacked(codec: int, body: bytes, size: int, what: str) -> bytes:
    """8: the bytes of a chunk."""
    if codec == 0:
        return body
    need(codec == 1, f"{what}: codec {codec}")
    try:
        need(zstandard.frame_content_size(body) == size, f"{what}: it claims another size")
        return zstandard.ZstdDecompressor().decompress(body, max_output_size=size, allow_extra_data=False)
    except zstandard.ZstdError as err:
        raise Damaged(f"{what}: {err}") from err


# ------------------------------------------------------------------------------------------------- verify


def verify_pack(storage: Storage, name: str) -> int:
    """8: a whole pack, from its header to its trailer. Gives the number of its chunks."""
    data = storage.data("packs", name)
    magic, key, _ = struct.unpack("<8s8s16s", data[:32])
    need(magic == b"casregP1" and key == bytes(8), f"pack {name}: header")
    count, table_digest, end = struct.unpack("<Q32s8s", data[-48:])
    need(end == b"casregE1" and count > 0, f"pack {name}: trailer")
    begin = len(data) - 48 - 48 * count
    table = data[begin:-48]
    need(blake3(table).digest() == table_digest, f"pack {name}: table")
    at = 32
    for found, offset, stored, size in RECORD.iter_unpack(table):
        codec, parameter, reserved, again, said, inside = FRAME.unpack_from(data, at)
        need(
            (offset, stored, size, found) == (at, again, said, inside),
            f"pack {name}: record of {found.hex()}",
        )
        need(not parameter and not reserved and 1 <= size <= 262144, f"pack {name}: frame of {found.hex()}")
        body = unpacked(codec, data[at + 44 : at + 44 + stored], size, f"pack {name}")
        need(blake3(body).digest() == found and len(body) == size, f"pack {name}: chunk {found.hex()}")
        at += 44 + stored
    need(at == begin, f"pack {name}: bytes that are no frame")
    smallest = min(found for found, _, _, _ in RECORD.iter_unpack(table))
    need(smallest.hex()[:16] == name[:16], f"pack {name}: hook")
    return int(count)


def names_list(storage: Storage, key: Any) -> list[str]:
    """15: a list of names."""
    need(isinstance(key, str), f"gc/head: {key!r} is no key")
    match = re.fullmatch(r"segments/([0-9a-f]{2})/(\1[0-9a-f]{62})", key)
    need(match, f"{key} is no segment")
    names = [line.decode() for line in storage.segment(key[-64:], b"names")]
    need(all(KEY.fullmatch(name) for name in names), f"{key}: it names what is no data")
    need(all(a < b for a, b in pairwise(names)), f"{key}: not ascending")
    return names


def head(storage: Storage) -> dict[str, Any]:
    """15: the collector's head."""
    if "gc/head" not in storage.keys("gc/"):
        return {"state": "idle", "id": ["0" * 32, 0], "names": None, "bad": None, "kept": []}
    body = unseal(storage.get("gc/head"), "gc/head")
    hexed(body.get("write"), "gc/head", HEX32)
    need(body.get("state") in ("idle", "condemned", "verdict"), "gc/head: state")
    need(body["state"] != "idle" or body.get("names") is None, "gc/head: idle, and yet it has names")
    kept = field(body, "kept", list, "gc/head")
    for one in kept:
        hexed(field(one, "write", str, "gc/head"), "gc/head", HEX32)
    runs = [run_id(one.get("id"), "gc/head")[1] for one in kept]
    last = run_id(body.get("id"), "gc/head")[1] + (body["state"] == "idle")
    need(all(a < b for a, b in pairwise([*runs, last])), "gc/head: the order of what it kept")
    for key in (body.get("names"), body.get("bad"), *(one.get("names") for one in kept)):
        if key is not None:
            names_list(storage, key)
    return body


def marker(storage: Storage) -> dict[str, Any]:
    """14: the marker."""
    body = unseal(storage.get("casreg.json"), "casreg.json")
    hexed(body.get("id"), "casreg.json", HEX32)
    if body.get("probe") is not None:
        probe = field(body, "probe", dict, "casreg.json")
        for name in ("place", "result"):
            field(probe, name, str, "casreg.json")
    return body


def verify_index(storage: Storage, key: str) -> None:
    """16: an index file."""
    data = storage.get(key)
    need(digest(data) == key.removeprefix("index/"), f"{key}: its bytes are not those of its name")
    magic, _, packs, bits, count = struct.unpack("<8s16sIIQ", data[:40])
    need(magic == b"casregI1" and bits <= 24, f"{key}: header")
    fanout = struct.unpack(f"<{1 << bits}I", data[40 : 40 + (4 << bits)])
    rows = data[40 + (4 << bits) + 88 * packs :]
    need(len(rows) == 12 * count, f"{key}: length")
    entries = [rows[at : at + 12] for at in range(0, len(rows), 12)]
    need(entries == sorted(entries), f"{key}: not sorted")
    need(all(int.from_bytes(row[8:], "big") < packs for row in entries), f"{key}: packs")
    for number, said in enumerate(fanout):
        counted = sum(int.from_bytes(row[:4], "big") >> (32 - bits) <= number for row in entries)
        need(counted == said, f"{key}: fanout")


def verify(storage: Storage) -> dict[str, int]:
    """Check every byte. Gives how much there is of what."""
    if not storage.keys(""):
        return {}  # never written
    marker(storage)
    head(storage)
    counted = dict.fromkeys(("names", "versions", "files", "bytes", "packs", "chunks"), 0)
    for key in storage.keys(""):
        if key.startswith("packs/") and KEY.fullmatch(key):
            counted["packs"] += 1
            counted["chunks"] += verify_pack(storage, key.rpartition("/")[2])
        elif key.startswith("index/"):
            verify_index(storage, key)
        elif KEY.fullmatch(key):
            storage.data(key.partition("/")[0], key.rpartition("/")[2])
    for ref in storage.names().values():
        counted["names"] += 1
        for version in ref.versions():
            opened = ref.open(version)
            counted["versions"] += 1
            for number, found in enumerate(opened.entries):
                counted["files"] += not found.folder
                counted["bytes"] += sum(map(len, opened.read(number)))
    return counted


# ------------------------------------------------------------------------------------------------- 24 bundles


class Bundle(Storage):
    """A bundle: a ZIP archive with a repository in it."""

    @cached_property
    def _entries(self) -> dict[str, tuple[int, int]]:
        """Where the bytes of each entry begin, and how many they are."""
        found: dict[str, tuple[int, int]] = {}
        try:
            with self.root.open("rb") as file, zipfile.ZipFile(file) as archive:
                for info in archive.infolist():
                    name = info.orig_filename
                    if not BUNDLED_KEY.fullmatch(name):
                        continue
                    file.seek(info.header_offset)
                    header = file.read(30)
                    name_size, extra = struct.unpack("<26x2H", header)
                    need(file.read(name_size) == name.encode(), f"{name}: its own header has another name")
                    begin = info.header_offset + 30 + name_size + extra
                    need(header[:4] == b"PK\x03\x04", f"{name}: no entry begins there")
                    need(info.compress_type == 0 and not info.flag_bits & 1, f"{name}: it is not stored")
                    need(info.file_size == info.compress_size, f"{name}: it has two sizes")
                    need(begin + info.file_size <= self.root.stat().st_size, f"{name}: it is cut off")
                    need(name not in found, f"{name}: it is there twice")
                    found[name] = begin, info.file_size
        except (zipfile.BadZipFile, struct.error, ValueError, NotImplementedError) as err:
            raise Damaged(f"{self.root.name}: no ZIP archive: {err}") from err
        return found

    def get(self, key: str, start: int = 0, stop: int | None = None) -> bytes:
        """Bytes of a key."""
        need(key in self._entries, f"{key} is missing")
        begin, size = self._entries[key]
        end = size if stop is None else min(stop, size)
        with self.root.open("rb") as file:
            file.seek(begin + start)
            return file.read(max(end - start, 0))

    def keys(self, prefix: str) -> list[str]:
        """All keys that begin so."""
        return sorted(key for key in self._entries if key.startswith(prefix))


def main(arguments: list[str]) -> None:
    """The program."""
    place = Path(arguments[0])
    storage = Bundle(place) if place.is_file() else Storage(place)
    if arguments[1:] == ["verify"]:
        print(json.dumps(verify(storage)))
    elif arguments[1:2] == ["extract"]:
        storage.names()[arguments[2]].open(arguments[3]).extract(Path(arguments[4]))
    else:
        for name, ref in storage.names().items():
            if not name.startswith("~") and ref.versions():
                print(
                    name, *ref.versions(), *(f"{tag}={target[0]}" for tag, target in ref.body["tags"].items())
                )


if __name__ == "__main__":
    main(sys.argv[1:])
