r"""Manifests: the small immutable file that says what one version is and where its bytes are.

    casreg-manifest 1 <nonce, 32 hexadecimal characters>\n
    <data line: materializer, parameters, entries>\n
    <metadata line: what the user said of it>\n
    <placement line: packs and runs, or the segment that holds them>\n
    <the payload itself, when it is at most 16 KiB>

The identity `data` is the BLAKE3 of the data line as stored, `content` that of the data line, a line feed and the
metadata line.  Neither is ever computed from re-serialised values.  `docs/format.md` is normative.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

import orjson

from casreg import canonical
from casreg.canonical import FORMAT, MAX_INTEGER, check_format, check_requires
from casreg.chunker import MAX_CHUNK, MIN_CHUNK
from casreg.digest import Digest, digest_of, from_hex
from casreg.exceptions import CorruptError
from casreg.keys import manifest_key, segment_key
from casreg.model import (
    Chunk,
    Content,
    Entry,
    Manifest,
    PackRef,
    Placement,
    Run,
    Stream,
)
from casreg.packs import FRAME, check_sizes
from casreg.paths import check_path, check_tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

_T = TypeVar("_T")

PLACEMENT_LIMIT: Final = 64 * 1024
"""A placement line longer than this moves to a segment, so that manifests stay small. A default of this writer."""

_HEADER: Final = re.compile(rb"casreg-manifest ([1-9][0-9]{0,8}) ([0-9a-f]{32})")
_SEGMENT_HEADER: Final = re.compile(rb"casreg-segment ([1-9][0-9]{0,8}) placement ([0-9a-f]{32})")
_PACK_NAME: Final = re.compile(r"[0-9a-f]{16}-[0-9a-f]{64}")
_SECTION: Final = re.compile(r"data|tree|(?:list|tree)\.[1-9]")
_MAX_DEPTH: Final = 9

MAX_LINE: Final = 16 * 1024
"""Bytes of a line of a tree, at most: a path of 1,024 bytes takes up to 6,144, 16 chunks and their list 1,300."""


# ------------------------------------------------------------------------------------------------ content


def encode_content(content: Content) -> bytes:
    """The data line of a content, without its line feed."""
    line: dict[str, object] = {
        "count": content.count,
        "materializer": content.materializer,
        "params": dict(content.params),
        "size": content.size,
    }
    if content.tree is not None:
        line["tree"] = _stream_fields(content.tree)
    else:
        line["entries"] = [_entry_fields(entry) for entry in content.entries or ()]
    return canonical.dump(line)


def encode_tree(entries: Iterable[Entry]) -> Iterator[bytes]:
    """The lines of a tree, one for each entry, line feeds included."""
    return (orjson.dumps(_entry_fields(entry), option=orjson.OPT_APPEND_NEWLINE) for entry in entries)


def decode_tree(data: bytes | memoryview, what: str) -> Iterator[Entry]:
    """The entries of a tree, in order. Whoever stops early has not seen everything that can be wrong with it.

    Raises:
        CorruptError: The bytes are not the lines of a tree.
    """
    *lines, rest = bytes(data).split(b"\n")
    paths: list[str] = []
    previous = b""
    try:
        for line in lines:
            entry = _entry(_tree_line(line))
            previous = _follows(previous, entry)
            paths.append(entry.path)
            yield entry
        check_tree(paths)
    except (KeyError, TypeError, ValueError) as err:
        raise CorruptError(f"{what}: its tree holds a line that is no entry: {err}") from err
    if rest:
        raise CorruptError(f"{what}: the last line of its tree has no end")


def _tree_line(line: bytes) -> dict[str, Any]:
    """A line of a tree. Strict as `canonical.load`, and several times as fast where it is as writers write it."""
    if len(line) > MAX_LINE:
        raise ValueError(f"it has {len(line)} bytes, more than {MAX_LINE}")
    fields = orjson.loads(line)
    if orjson.dumps(fields) != line:
        fields = canonical.load(line)
    return _object(fields)


def _follows(previous: bytes, entry: Entry) -> bytes:
    """The bytes of the entry's path, which come after `previous`."""
    path = entry.path.encode()
    if path <= previous:
        raise ValueError(f"{entry.path!r} is out of order")
    return path


def _entry_fields(entry: Entry) -> dict[str, object]:
    # In the order of their names, so that the line is canonical without sorting.
    fields = _stream_fields(entry.stream)
    if entry.folder:
        return {"folder": True, "path": entry.path}
    size = fields.pop("size")
    if entry.executable:
        fields["executable"] = True
    fields["path"] = entry.path
    fields["size"] = size
    return fields


def _stream_fields(stream: Stream) -> dict[str, object]:
    fields: dict[str, object] = {"chunks": [[digest.hex(), size] for digest, size in stream.chunks]}
    if stream.counts:
        fields["counts"] = list(stream.counts)
    fields["size"] = stream.size
    return fields


def _stream(fields: Mapping[str, Any]) -> Stream:
    chunks = tuple(
        Chunk(from_hex(digest), _natural(size, 1, MAX_CHUNK)) for digest, size in _array(fields["chunks"])
    )
    counts = tuple(_natural(count, 1) for count in _array(fields.get("counts", [])))
    size = _natural(fields["size"])
    held = sum(chunk.size for chunk in chunks)
    if held != (LIST_RECORD * counts[-1] if counts else size):
        raise ValueError("the chunks do not sum to the size")
    # All chunks of a stream but its last have at least MIN_CHUNK bytes. So what a reader allocates for lists is a
    # small part of the size that it was told, however large a list a hostile writer hides in a few bytes.
    length = size
    for count in counts:
        if count > length // MIN_CHUNK + 1:
            raise ValueError(f"{count} chunks are more than {length} bytes can be cut into")
        length = count * LIST_RECORD
    if len(counts) > _MAX_DEPTH:
        raise ValueError(f"lists are nested more than {_MAX_DEPTH} deep")
    return Stream(size, chunks, counts)


def _entry(fields: Mapping[str, Any]) -> Entry:
    path = check_path(fields["path"])
    if _flag(fields.get("folder", False)):
        return Entry(path, folder=True)
    return Entry(path, _stream(fields), executable=_flag(fields.get("executable", False)))


def _content(line: bytes) -> Content:
    fields = canonical.load(line)
    materializer, params = fields["materializer"], fields["params"]
    if not isinstance(materializer, str) or not isinstance(params, dict):
        raise TypeError("materializer and params must be a string and an object")
    size, count = _natural(fields["size"]), _natural(fields["count"])
    if "tree" in fields:
        tree = _stream(fields["tree"])
        if tree.size > count * (MAX_LINE + 1):
            raise ValueError(f"a tree of {tree.size} bytes is too large for {count} entries")
        return Content(materializer, params, size, count, None, tree)
    entries = tuple(_entry(_object(item)) for item in _array(fields["entries"]))
    previous = b""
    for entry in entries:
        previous = _follows(previous, entry)
    if len(entries) != count:
        raise ValueError(f"it has {len(entries)} entries and promises {count}")
    if sum(entry.stream.size for entry in entries) != size:
        raise ValueError("the entries do not sum to the size")
    check_tree(entry.path for entry in entries)
    return Content(materializer, params, size, count, entries)


# ------------------------------------------------------------------------------------------------ chunk lists

LIST_RECORD: Final = 36
"""Bytes of a record in a chunk list: the digest, and the chunk's size as a little-endian u32."""


def encode_list(chunks: Iterable[Chunk]) -> bytes:
    """A chunk list: for each chunk its digest (32 bytes) and its size (u32, little-endian)."""
    return b"".join(digest + size.to_bytes(4, "little") for digest, size in chunks)


def decode_list(data: bytes | memoryview, what: str) -> list[Chunk]:
    """The chunks of a chunk list.

    Raises:
        CorruptError: The bytes are not a chunk list.
    """
    view = bytes(data)
    chunks = [
        Chunk(Digest(view[at : at + 32]), int.from_bytes(view[at + 32 : at + 36], "little"))
        for at in range(0, len(view), LIST_RECORD)
    ]
    if len(view) % LIST_RECORD or not all(1 <= chunk.size <= MAX_CHUNK for chunk in chunks):
        raise CorruptError(f"{what}: a chunk list is malformed")
    return chunks


# ------------------------------------------------------------------------------------------------ placement


def encode_placement(placement: Placement) -> bytes:
    """The placement as one line of JSON, without its line feed."""
    return canonical.dump(
        {
            "inline": placement.inline,
            "packs": [
                [pack.name, pack.size, pack.table_size, pack.table_digest.hex()] for pack in placement.packs
            ],
            "requires": [],
            "runs": {section: [list(run) for run in runs] for section, runs in placement.runs.items()},
        }
    )


def encode_placement_segment(line: bytes) -> bytes:
    """The segment file that holds a long placement line, under a fresh nonce."""
    return b"casreg-segment %d placement %s\n%s\n" % (FORMAT, secrets.token_hex(16).encode(), line)


def decode_placement_segment(data: bytes, digest: Digest) -> Placement:
    """The placement in a segment file.

    Raises:
        CorruptError: The bytes are not those that `digest` names, or no placement.
        UnsupportedFormatError: It is of a newer format.
    """
    key = segment_key(digest)
    if digest_of(data) != digest:
        raise _damaged(key)
    try:
        header, line, rest = data.split(b"\n")
    except ValueError as err:
        raise _damaged(key) from err
    match = _SEGMENT_HEADER.fullmatch(header)
    if not match or rest:
        raise _damaged(key)
    check_format({"format": int(match[1])}, key)
    return _decoded(lambda: _placement(canonical.load(line), key), key)


def _placement(fields: Mapping[str, Any], key: str) -> Placement:
    check_requires(fields, key)
    packs = tuple(_pack(item) for item in _array(fields["packs"]))
    runs: dict[str, tuple[Run, ...]] = {}
    for section, items in fields["runs"].items():
        if not _SECTION.fullmatch(section):
            raise ValueError(f"unknown section {section!r}")
        runs[section] = tuple(_run(item, packs) for item in _array(items))
        expected = 0
        for run in runs[section]:
            if run.first != expected:
                raise ValueError(f"the runs of {section} leave a gap")
            expected += run.chunks
    return Placement(packs, runs, _natural(fields["inline"]))


def _pack(item: list[Any]) -> PackRef:
    name, size, table_size, table_digest = item
    if not _PACK_NAME.fullmatch(name):
        raise ValueError(f"{name!r:.100} names no pack")
    pack = PackRef(name, _natural(size), _natural(table_size), from_hex(table_digest))
    check_sizes(pack)
    return pack


def _run(item: list[Any], packs: tuple[PackRef, ...]) -> Run:
    pack, offset, length, first, count = item
    run = Run(
        _natural(pack, 0, len(packs) - 1), _natural(offset), _natural(length, 1), _natural(first), count
    )
    if _natural(count, 1) and offset + length > packs[pack].size:
        raise ValueError("a run reaches past the end of its pack")
    if length < count * FRAME.size:
        raise ValueError(f"{count} frames do not fit into {length} bytes")
    return run


# ------------------------------------------------------------------------------------------------ the file


def identities(data_line: bytes, metadata_line: bytes) -> tuple[Digest, Digest]:
    """The identities `data` and `content` of a version, from its two lines as stored (without their line feeds)."""
    return digest_of(data_line), digest_of(data_line + b"\n" + metadata_line)


def encode_metadata(metadata: Mapping[str, object]) -> bytes:
    """The metadata line, without its line feed.

    Raises:
        InvalidMetadataError: It holds what JSON cannot hold without loss. Says where.
    """
    return canonical.dump(dict(metadata), what="metadata")


def encode_manifest(data_line: bytes, metadata_line: bytes, placement_line: bytes, inline: bytes) -> bytes:
    """A manifest file, under a fresh nonce."""
    header = b"casreg-manifest %d %s" % (FORMAT, secrets.token_hex(16).encode())
    return b"\n".join((header, data_line, metadata_line, placement_line, inline))


def placement_pointer(digest: Digest, size: int, packs: int) -> bytes:
    """The placement line that says that the placement stands in a segment."""
    return canonical.dump({"packs": packs, "requires": [], "segment": digest.hex(), "size": size})


def decode_manifest(data: bytes, digest: Digest, read_segment: Callable[[Digest], bytes]) -> Manifest:
    """Read a manifest file.

    Args:
        data: All bytes of the file.
        digest: Its name.
        read_segment: Gives the bytes of a segment file, for a placement that does not stand in the manifest.

    Raises:
        CorruptError: The bytes are not those that `digest` names, or no manifest. Names the file.
        UnsupportedFormatError: It is of a newer format, or needs a feature that this casreg does not know.
    """
    key = manifest_key(digest)
    data_line, metadata_line, placement_line, inline = _parts(data, digest, key)
    placement = _decoded(lambda: _located(placement_line, key, read_segment), key)
    content = _decoded(lambda: _content(data_line), key)
    if placement.inline != len(inline) or (inline and not _is_inline(content, placement)):
        raise _damaged(key)
    identity, content_id = identities(data_line, metadata_line)
    return Manifest(
        digest=digest,
        data=identity,
        content_id=content_id,
        content=content,
        metadata=_decoded(lambda: _object(canonical.load(metadata_line)), key),
        placement=placement,
        inline=inline,
        lines=(data_line, metadata_line),
    )


def decode_placement(data: bytes, digest: Digest, read_segment: Callable[[Digest], bytes]) -> Placement:
    """Only the placement in a manifest file, in a part of the time. All of the file is compared with its name.

    Arguments and errors as those of `decode_manifest`, which looks at the other lines too.
    """
    key = manifest_key(digest)
    line = _parts(data, digest, key)[2]
    return _decoded(lambda: _located(line, key, read_segment), key)


def _parts(data: bytes, digest: Digest, key: str) -> tuple[bytes, bytes, bytes, bytes]:
    """The three lines of a manifest, and its payload, after its bytes and its format were checked."""
    if digest_of(data) != digest:
        raise _damaged(key)
    header, *parts = data.split(b"\n", 4)
    match = _HEADER.fullmatch(header)
    if not match:
        raise _damaged(key)
    check_format({"format": int(match[1])}, key)
    if len(parts) != 4:
        raise _damaged(key)
    return parts[0], parts[1], parts[2], parts[3]


def _is_inline(content: Content, placement: Placement) -> bool:
    """Whether the payload of a manifest can be all the bytes of its files, which is the only thing it may be."""
    return content.tree is None and not placement.runs and placement.inline == content.size


def _located(line: bytes, key: str, read_segment: Callable[[Digest], bytes]) -> Placement:
    fields = canonical.load(line)
    if "segment" not in fields:
        return _placement(fields, key)
    check_requires(fields, key)
    digest = from_hex(fields["segment"])
    return replace(decode_placement_segment(read_segment(digest), digest), segment=digest)


def _decoded(decode: Callable[[], _T], key: str) -> _T:
    """Whatever malformed JSON provokes becomes one error that names the file."""
    try:
        return decode()
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as err:
        raise CorruptError(f"{key} is malformed: {err}. Another copy of the registry can heal it.") from err


def _damaged(key: str) -> CorruptError:
    return CorruptError(
        f"{key} is damaged: its bytes are not those that its name promises. Other objects are not affected; "
        "another copy of the registry can heal it."
    )


def _natural(value: object, low: int = 0, high: int = MAX_INTEGER) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{value!r:.80} is not an integer from {low} to {high}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{value!r:.80} is neither true nor false")
    return value


def _array(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r:.80} is not a JSON array")
    return value


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError("not a JSON object")
    return value
