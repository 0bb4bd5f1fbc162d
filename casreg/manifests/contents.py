"""What a version is: its data line, the lines of its tree, and lists of chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from casreg import canonical
from casreg.chunker import MAX_CHUNK, MIN_CHUNK
from casreg.digest import Digest, from_hex
from casreg.exceptions import CorruptError
from casreg.manifests.fields import array_of, flag, natural, object_of
from casreg.model import Chunk, Content, Entry, Stream
from casreg.paths import check_path, check_tree

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

MAX_LINE: Final = 16 * 1024
"""Bytes of a line of a tree, at most: a path of 1,024 bytes takes up to 6,144, 16 chunks and their list 1,300."""

LIST_RECORD: Final = 36
"""Bytes of a record in a chunk list: the digest, and the chunk's size as a little-endian u32."""

_MAX_DEPTH: Final = 9


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
    return object_of(fields)


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
        Chunk(from_hex(digest), natural(size, 1, MAX_CHUNK)) for digest, size in array_of(fields["chunks"])
    )
    counts = tuple(natural(count, 1) for count in array_of(fields.get("counts", [])))
    size = natural(fields["size"])
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
    if flag(fields.get("folder", False)):
        return Entry(path, folder=True)
    return Entry(path, _stream(fields), executable=flag(fields.get("executable", False)))


def decode_content(line: bytes) -> Content:
    """The content that a data line says.

    Raises:
        KeyError, TypeError, ValueError: It is no data line. `fields.decoded` makes one error of these.
    """
    fields = canonical.load(line)
    materializer, params = fields["materializer"], fields["params"]
    if not isinstance(materializer, str) or not isinstance(params, dict):
        raise TypeError("materializer and params must be a string and an object")
    size, count = natural(fields["size"]), natural(fields["count"])
    if "tree" in fields:
        tree = _stream(fields["tree"])
        if tree.size > count * (MAX_LINE + 1):
            raise ValueError(f"a tree of {tree.size} bytes is too large for {count} entries")
        return Content(materializer, params, size, count, None, tree)
    entries = tuple(_entry(object_of(item)) for item in array_of(fields["entries"]))
    previous = b""
    for entry in entries:
        previous = _follows(previous, entry)
    if len(entries) != count:
        raise ValueError(f"it has {len(entries)} entries and promises {count}")
    if sum(entry.stream.size for entry in entries) != size:
        raise ValueError("the entries do not sum to the size")
    check_tree(entry.path for entry in entries)
    return Content(materializer, params, size, count, entries)


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
