"""Manifests: what is encoded is decoded as it was, and each rule of the format holds at its edge."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pytest

from casreg.canonical import MAX_INTEGER, dump, load
from casreg.chunker import MAX_CHUNK, MIN_CHUNK
from casreg.digest import Digest, digest_of
from casreg.exceptions import CorruptError, InvalidMetadataError, UnsupportedFormatError
from casreg.keys import manifest_key, segment_key
from casreg.manifests import (
    LIST_RECORD,
    MAX_LINE,
    PLACEMENT_LIMIT,
    decode_list,
    decode_manifest,
    decode_placement_segment,
    decode_tree,
    encode_content,
    encode_list,
    encode_manifest,
    encode_metadata,
    encode_placement,
    encode_placement_segment,
    encode_tree,
    identities,
    placement_pointer,
)
from casreg.model import Chunk, Content, Entry, Manifest, PackRef, Placement, Run, Stream
from casreg.packs import FRAME, HEADER, RECORD, TRAILER

if TYPE_CHECKING:
    from collections.abc import Callable

A, B = digest_of(b"a"), digest_of(b"b")
SIZE = HEADER.size + 2 * (FRAME.size + 10 + RECORD.size) + TRAILER.size
PACK = PackRef("0" * 16 + "-" + "1" * 64, SIZE, 2 * RECORD.size, digest_of(b"table"))
OTHER = PackRef("a" * 16 + "-" + "f" * 64, SIZE, 2 * RECORD.size, digest_of(b"other"))

ENTRIES = (
    Entry("A", Stream(0, ())),
    Entry("bin/run", Stream(7, (Chunk(A, 3), Chunk(B, 4))), executable=True),
    Entry("empty", folder=True),
    Entry("large", Stream(5_000_000, (Chunk(B, 72),), (2,))),
)
CONTENT = Content("m/1", {"a": [1, None]}, 5_000_007, 4, ENTRIES)
METADATA = encode_metadata({"who": "me"})


def no_segment(digest: Digest) -> bytes:
    """A manifest that names no segment asks for none."""
    raise AssertionError(digest)


def read(
    content: bytes | dict[str, Any],
    placement: bytes | dict[str, Any] | None = None,
    inline: bytes = b"",
    metadata: bytes = METADATA,
    segment: Callable[[Digest], bytes] = no_segment,
) -> Manifest:
    """The manifest of these lines."""
    line = dump(content) if isinstance(content, dict) else content
    if placement is None:
        placement = encode_placement(Placement(inline=len(inline)))
    file = encode_manifest(
        line, metadata, dump(placement) if isinstance(placement, dict) else placement, inline
    )
    return decode_manifest(file, digest_of(file), segment)


def stream(size: object, chunks: list[Any], **fields: Any) -> dict[str, Any]:
    """The data line of one file, as somebody may write it."""
    entry = {"chunks": [[A.hex(), chunk] for chunk in chunks], "path": "a", "size": size, **fields}
    return {"count": 1, "entries": [entry], "materializer": "m/1", "params": {}, "size": size}


# Content


def test_a_content_comes_back() -> None:
    """Files, an executable one, an empty folder and one whose chunks stand in a list; all fields."""
    manifest = read(encode_content(CONTENT))
    assert manifest.content == CONTENT
    assert manifest.metadata == {"who": "me"}
    assert manifest.lines == (encode_content(CONTENT), METADATA)
    assert (manifest.inline, manifest.placement) == (b"", Placement())


def test_a_content_with_a_tree_comes_back() -> None:
    """Where the entries are too many for the line, it says where their lines are."""
    content = Content("m/1", {}, 9, 2, None, Stream(300, (Chunk(A, 300),)))
    assert read(encode_content(content)).content == content
    assert set(load(encode_content(content))) == {"count", "materializer", "params", "size", "tree"}


def test_params_may_be_any_mapping() -> None:
    """A view of a dict is written as the dict."""
    content = Content("m/1", MappingProxyType({"a": 1}), 0, 0, ())
    assert load(encode_content(content))["params"] == {"a": 1}


def test_a_data_line_is_canonical() -> None:
    """To the byte: the identity of a version is the digest of this line."""
    one = Content(
        "m/1", {}, 1, 2, (Entry("a", Stream(1, (Chunk(A, 1),)), executable=True), Entry("b", folder=True))
    )
    assert encode_content(one) == (
        b'{"count":2,"entries":[{"chunks":[["%s",1]],"executable":true,"path":"a","size":1},'
        b'{"folder":true,"path":"b"}],"materializer":"m/1","params":{},"size":1}' % A.hex().encode()
    )


def test_the_identities_are_digests_of_the_lines() -> None:
    """`data` of the data line; `content` of both lines, with a line feed between."""
    manifest = read(encode_content(CONTENT))
    line = encode_content(CONTENT)
    expected = (digest_of(line), digest_of(line + b"\n" + METADATA))
    assert (manifest.data, manifest.content_id) == identities(line, METADATA) == expected


def test_lines_of_a_tree_come_back() -> None:
    """Each entry is a line of its own, and ends with a line feed."""
    lines = list(encode_tree(ENTRIES))
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
    assert tuple(decode_tree(b"".join(lines), "t")) == ENTRIES
    assert tuple(decode_tree(memoryview(b"".join(lines)), "t")) == ENTRIES
    assert list(decode_tree(b"", "t")) == []


def test_a_line_of_a_tree_need_not_be_canonical() -> None:
    """Spaces and another order are read as `canonical.load` reads them, and as strictly."""
    line = b'{"size": 0, "path": "a", "chunks": []}\n'
    assert list(decode_tree(line, "t")) == [Entry("a", Stream(0, ()))]
    with pytest.raises(CorruptError, match=r"^t: "):
        list(decode_tree(line.replace(b'"size": 0', b'"size": 0, "size": 0'), "t"))


@pytest.mark.parametrize("line", [b"[]", b"null", b'"a"', b"7"])
def test_a_line_of_a_tree_is_an_object(line: bytes) -> None:
    """Other JSON is called what it is, not by what went wrong in reading it."""
    with pytest.raises(CorruptError, match=r"^t: its tree holds a line that is no entry: not a JSON object$"):
        list(decode_tree(line + b"\n", "t"))


def test_a_line_as_writers_write_it_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strict reader, several times as slow, only judges lines that are not canonical."""
    lines = b"".join(encode_tree(ENTRIES))

    def strict(data: bytes) -> object:
        raise AssertionError(data)

    monkeypatch.setattr("casreg.manifests.contents.canonical.load", strict)
    assert tuple(decode_tree(lines, "t")) == ENTRIES


def test_a_line_of_a_tree_has_a_longest_length() -> None:
    """16 KiB without its line feed are read, one byte more is not."""
    start, end = b'{"chunks":[],"path":"a","size":0,"x":"', b'"}'
    longest = start + b"x" * (MAX_LINE - len(start) - len(end)) + end
    assert len(longest) == MAX_LINE == 16 * 1024
    assert list(decode_tree(longest + b"\n", "t")) == [Entry("a", Stream(0, ()))]
    with pytest.raises(CorruptError, match=f"it has {MAX_LINE + 1} bytes, more than {MAX_LINE}"):
        list(decode_tree(longest.replace(b"xx", b"xxx", 1) + b"\n", "t"))


@pytest.mark.parametrize(
    "line",
    [
        stream(1, [1]),
        stream(MAX_CHUNK, [MAX_CHUNK]),
        stream(5, [36], counts=[1]),
        stream(MIN_CHUNK, [72], counts=[2]),
        stream(455 * MIN_CHUNK, [72], counts=[456, 2]),
        stream(1, [36], counts=[1] * 9),
        stream(0, []),
    ],
)
def test_a_stream_at_the_edge_is_read(line: dict[str, Any]) -> None:
    """The least and the most that a stream may be."""
    assert read(line).content.count == 1


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (stream(0, [0]), "0 is not an integer from 1 to 262144"),
        (stream(MAX_CHUNK + 1, [MAX_CHUNK + 1]), "is not an integer from 1 to 262144"),
        (stream(1, [2]), "the chunks do not sum to the size"),
        (stream(72, [72], counts=[1]), "the chunks do not sum to the size"),
        (stream(0, [], counts=[0]), "0 is not an integer from 1 to"),
        (stream(MIN_CHUNK - 1, [72], counts=[2]), "2 chunks are more than 16383 bytes can be cut into"),
        (stream(MIN_CHUNK, [108], counts=[3]), "3 chunks are more than 16384 bytes can be cut into"),
        (
            stream(454 * MIN_CHUNK, [72], counts=[455, 2]),
            "2 chunks are more than 16380 bytes can be cut into",
        ),
        (stream(1, [36], counts=[1] * 10), "lists are nested more than 9 deep"),
        (stream(True, [1]), "True is not an integer from 0 to"),
        (stream(-1, []), "-1 is not an integer from 0 to"),
        ({**stream(True, [1]), "size": 1}, "True is not an integer from 0 to"),
        ({**stream(1, [1]), "size": True}, "True is not an integer from 0 to"),
        ({**stream(1, [1]), "count": True}, "True is not an integer from 0 to"),
        ({**stream(1, [1]), "count": 2}, "it has 1 entries and promises 2"),
        ({**stream(1, [1]), "size": 2}, "the entries do not sum to the size"),
        ({**stream(1, [1]), "materializer": 1}, "materializer and params must be a string and an object"),
        ({**stream(1, [1]), "params": []}, "materializer and params must be a string and an object"),
        ({**stream(1, [1]), "entries": [1]}, "not a JSON object"),
        (stream(1, [1], folder=1), "1 is neither true nor false"),
        (stream(1, [1], executable=0), "0 is neither true nor false"),
    ],
)
def test_a_stream_past_the_edge_is_refused(line: dict[str, Any], said: str) -> None:
    """The message names the file and says what is wrong."""
    with pytest.raises(CorruptError) as caught:
        read(line)
    assert str(caught.value).startswith("manifests/")
    assert said in str(caught.value)
    assert str(caught.value).endswith("Another copy of the registry can heal it.")


@pytest.mark.parametrize(("count", "fits"), [(1, True), (2, True), (0, False)])
def test_a_tree_is_no_larger_than_its_lines_can_be(count: int, fits: bool) -> None:
    """16 KiB and the line feed for each entry, exactly."""
    most = count * (MAX_LINE + 1)
    line = {
        "count": count,
        "materializer": "m/1",
        "params": {},
        "size": 0,
        "tree": {"chunks": [[A.hex(), most or 1]], "size": most or 1},
    }
    if fits:
        assert read(line).content.tree is not None
        line["tree"] = {"chunks": [[A.hex(), most + 1]], "size": most + 1}
    with pytest.raises(CorruptError, match=f"is too large for {count} entries"):
        read(line)


# Chunk lists


def test_a_chunk_list_comes_back() -> None:
    """36 bytes a chunk: its digest, and its size with the lowest byte first."""
    chunks = [Chunk(A, 1), Chunk(B, MAX_CHUNK), Chunk(A, 0x010203)]
    data = encode_list(chunks)
    assert len(data) == 3 * LIST_RECORD == 108
    assert data[-4:] == b"\3\2\1\0"
    assert decode_list(data, "it") == decode_list(memoryview(data), "it") == chunks
    assert decode_list(b"", "it") == []


@pytest.mark.parametrize("data", [b"x", encode_list([Chunk(A, 1)])[:-1], encode_list([Chunk(A, 1)]) + b"x"])
def test_a_chunk_list_is_whole_records(data: bytes) -> None:
    """What is cut or has something behind it is damage."""
    with pytest.raises(CorruptError, match="it: a chunk list is malformed"):
        decode_list(data, "it")


@pytest.mark.parametrize("size", [0, MAX_CHUNK + 1, 2**24 + 1])
def test_a_chunk_list_has_sizes_that_chunks_have(size: int) -> None:
    """From 1 to the largest chunk."""
    with pytest.raises(CorruptError, match="it: a chunk list is malformed"):
        decode_list(encode_list([Chunk(A, 1), Chunk(B, size)]), "it")


def test_a_chunk_list_is_kept_when_its_buffer_is_used_again() -> None:
    """The digests are bytes of their own, not views of what was read."""
    buffer = bytearray(encode_list([Chunk(A, 1), Chunk(B, 2)]))
    chunks = decode_list(memoryview(buffer), "it")
    buffer[:] = bytes(len(buffer))
    assert chunks == [Chunk(A, 1), Chunk(B, 2)]


def test_metadata_may_be_any_mapping_of_json() -> None:
    """And what JSON cannot hold is named by its place."""
    assert encode_metadata(MappingProxyType({"who": "me"})) == METADATA
    with pytest.raises(InvalidMetadataError, match=r"^metadata\.a is NaN"):
        encode_metadata({"a": float("nan")})


# Placement

PLACEMENT = Placement(
    (PACK, OTHER),
    {
        "data": (Run(0, 32, 2 * FRAME.size, 0, 2), Run(1, 32, SIZE - 32, 2, 3)),
        "list.1": (Run(1, 40, FRAME.size, 0, 1),),
        "tree": (),
    },
)


def test_a_placement_comes_back() -> None:
    """Packs, and runs that reach to the end of a pack or are just as long as their frames."""
    assert read(encode_content(CONTENT), encode_placement(PLACEMENT)).placement == PLACEMENT


def test_a_payload_comes_back() -> None:
    """All bytes of the files, when there are few."""
    content = Content("m/1", {}, 3, 1, (Entry("a", Stream(3, (Chunk(A, 3),))),))
    manifest = read(encode_content(content), inline=b"a\nb")
    assert (manifest.inline, manifest.placement) == (b"a\nb", Placement(inline=3))


def placement(**fields: Any) -> dict[str, Any]:
    """A placement line, with some fields replaced."""
    row = [PACK.name, PACK.size, PACK.table_size, PACK.table_digest.hex()]
    return {"inline": 0, "packs": [row], "requires": [], "runs": {"data": [[0, 32, 44, 0, 1]]}, **fields}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (placement(runs={"data": [[0, SIZE - 43, 44, 0, 1]]}), "a run reaches past the end of its pack"),
        (placement(runs={"data": [[0, 32, 87, 0, 2]]}), "2 frames do not fit into 87 bytes"),
        (placement(runs={"data": [[0, 32, 44, 0, 0]]}), "0 is not an integer from 1 to"),
        (placement(runs={"data": [[0, 32, 44, 0, True]]}), "True is not an integer from 1 to"),
        (placement(runs={"data": [[0, 32, 0, 0, 1]]}), "0 is not an integer from 1 to"),
        (placement(runs={"data": [[0, -1, 44, 0, 1]]}), "-1 is not an integer from 0 to"),
        (placement(runs={"data": [[1, 32, 44, 0, 1]]}), "1 is not an integer from 0 to 0"),
        (placement(runs={"data": [[-1, 32, 44, 0, 1]]}), "-1 is not an integer from 0 to 0"),
        (placement(runs={"data": [[0, 32, 44, 1, 1]]}), "the runs of data leave a gap"),
        (placement(runs={"data": [[0, 32, 44, 0, 1], [0, 76, 44, 2, 1]]}), "the runs of data leave a gap"),
        (placement(runs={"data": [[0, 32, 44, 0, 1], [0, 76, 44, 0, 1]]}), "the runs of data leave a gap"),
        (placement(runs={"data.1": []}), "unknown section 'data.1'"),
        (placement(runs={"list.0": []}), "unknown section 'list.0'"),
        (placement(runs={"list.10": []}), "unknown section 'list.10'"),
        (placement(packs=[["x", *placement()["packs"][0][1:]]]), "'x' names no pack"),
        (placement(packs=[[*placement()["packs"][0][:2], 95, A.hex()]]), "cannot have a table of 95"),
        (placement(packs=[placement()["packs"][0][:3]]), "not enough values to unpack"),
        (placement(inline=MAX_INTEGER + 0.5), "is not an integer from 0 to"),
        (placement(runs={"data": [[0, 32, 44, 0.0, 1]]}), "0.0 is not an integer from 0 to"),
        (placement(runs={"data": [[0, 32.0, 44, 0, 1]]}), "32.0 is not an integer from 0 to"),
        (placement(packs=[[PACK.name, float(SIZE), 96, A.hex()]]), f"{SIZE}.0 is not an integer from 0 to"),
        (placement(packs=[[PACK.name, SIZE, 96.0, A.hex()]]), "96.0 is not an integer from 0 to"),
        (placement(requires="all"), "`requires` is not a list of words"),
        ({"inline": 0, "packs": [], "requires": []}, "runs"),
    ],
)
def test_a_placement_past_the_edge_is_refused(line: dict[str, Any], said: str) -> None:
    """The message names the file and says what is wrong."""
    with pytest.raises(CorruptError) as caught:
        read(encode_content(CONTENT), line)
    assert str(caught.value).startswith("manifests/")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "section", ["data", "tree", *(f"{kind}.{n}" for kind in ("list", "tree") for n in range(1, 10))]
)
def test_the_sections_of_a_placement(section: str) -> None:
    """Data, the tree, and nine depths of lists of each."""
    line = placement(runs={section: [[0, 32, 44, 0, 1]]})
    assert set(read(encode_content(CONTENT), line).placement.runs) == {section}


# Placements in segments


def test_a_long_placement_stands_in_a_segment() -> None:
    """The manifest names it; what is read is the same, and says where it stood."""
    file = encode_placement_segment(encode_placement(PLACEMENT))
    digest = digest_of(file)
    pointer = placement_pointer(digest, len(file), 2)
    asked: list[Digest] = []

    def segment(wanted: Digest) -> bytes:
        asked.append(wanted)
        return file

    found = read(encode_content(CONTENT), pointer, segment=segment).placement
    assert (found.packs, found.runs, found.segment, asked) == (
        PLACEMENT.packs,
        PLACEMENT.runs,
        digest,
        [digest],
    )
    assert load(pointer) == {"packs": 2, "requires": [], "segment": digest.hex(), "size": len(file)}


def test_the_longest_placement_in_a_manifest() -> None:
    """Is what the format's page asks of writers."""
    assert PLACEMENT_LIMIT == 64 * 1024


def test_each_segment_and_each_manifest_has_a_name_of_its_own() -> None:
    """The nonce in the first line differs, though the rest is the same."""
    line = encode_placement(PLACEMENT)
    one, two = encode_placement_segment(line), encode_placement_segment(line)
    assert one.split(b"\n")[1:] == two.split(b"\n")[1:] == [line, b""]
    assert one.split(b"\n")[0] != two.split(b"\n")[0]
    files = [encode_manifest(b"{}", b"{}", b"{}", b"x") for _ in range(2)]
    assert files[0] != files[1]
    assert [file.split(b"\n")[1:] for file in files] == [[b"{}", b"{}", b"{}", b"x"]] * 2


GOOD = encode_placement(PLACEMENT)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"casreg-segment 1 placement " + b"0" * 32 + b"\n" + GOOD,
        b"casreg-segment 1 placement " + b"0" * 32 + b"\n" + GOOD + b"\nx",
        b"casreg-segment 1 placement " + b"0" * 32 + b"\n" + GOOD + b"\n\n",
        b"casreg-segment 1 placement " + b"0" * 31 + b"\n" + GOOD + b"\n",
        b"casreg-segment 1 history " + b"0" * 32 + b"\n" + GOOD + b"\n",
        b"casreg-segment 1 placement " + b"0" * 32 + b"\n{}\n",
        b"casreg-segment 1 placement " + b"0" * 32 + b"\nno json\n",
    ],
)
def test_what_is_no_segment_of_a_placement(file: bytes) -> None:
    """Is damage, and named."""
    digest = digest_of(file)
    with pytest.raises(CorruptError, match=segment_key(digest)):
        decode_placement_segment(file, digest)


def test_a_segment_of_other_bytes() -> None:
    """What was changed since is not read, and a later format asks for an upgrade."""
    file = encode_placement_segment(GOOD)
    with pytest.raises(CorruptError, match=f"{segment_key(A)} is damaged"):
        decode_placement_segment(file, A)
    later = file.replace(b"segment 1 ", b"segment 2 ")
    with pytest.raises(UnsupportedFormatError, match=f"{segment_key(digest_of(later))} has format 2"):
        decode_placement_segment(later, digest_of(later))


LATER = [2, 9, 10, 908_172_635, 400_000_000, 999_999_999]
"""Numbers of formats to come, up to the longest."""


@pytest.mark.parametrize("number", LATER)
def test_the_first_line_says_any_later_format(number: int) -> None:
    """Whatever a later casreg writes behind its number is no damage: it asks for an upgrade."""
    segment = b"casreg-segment %d placement %s\n?\n" % (number, b"0123456789abcdef" * 2)
    with pytest.raises(UnsupportedFormatError, match=f"has format {number}, "):
        decode_placement_segment(segment, digest_of(segment))
    manifest = b"casreg-manifest %d %s\n?" % (number, b"0123456789abcdef" * 2)
    with pytest.raises(UnsupportedFormatError, match=f"has format {number}, "):
        decode_manifest(manifest, digest_of(manifest), no_segment)


@pytest.mark.parametrize("number", [b"", b"0", b"01", b"1000000000", b"a", b"-1", b"]"])
def test_the_first_line_says_no_format(number: bytes) -> None:
    """A number of a format has one to nine digits and no leading zero; all else is damage."""
    segment = b"casreg-segment " + number + b" placement " + b"0" * 32 + b"\n" + GOOD + b"\n"
    with pytest.raises(CorruptError, match="is damaged"):
        decode_placement_segment(segment, digest_of(segment))
    manifest = b"casreg-manifest " + number + b" " + b"0" * 32 + b"\n{}\n{}\n{}\n"
    with pytest.raises(CorruptError, match="is damaged"):
        decode_manifest(manifest, digest_of(manifest), no_segment)


def test_the_name_of_a_pack_has_any_hexadecimal_characters() -> None:
    """In its hook and in its digest."""
    pack = PackRef("0123456789abcdef-" + "0123456789abcdef" * 4, *PACK[1:])
    line = Placement((pack,), {"data": (Run(0, 32, 108, 0, 2),)})
    assert read(encode_content(CONTENT), encode_placement(line)).placement.packs == (pack,)


def test_a_word_in_a_pointer_stops_a_reader() -> None:
    """Before the segment is read."""
    pointer = {**load(placement_pointer(A, 1, 1)), "requires": ["sparse", "dense"]}
    with pytest.raises(UnsupportedFormatError, match=r"manifests/.* requires 'sparse', 'dense', which"):
        read(encode_content(CONTENT), pointer)


# The file


def test_a_manifest_of_other_bytes_is_damage() -> None:
    """Its name is the digest of its bytes."""
    file = encode_manifest(encode_content(CONTENT), METADATA, GOOD, b"")
    with pytest.raises(CorruptError, match=f"{manifest_key(A)} is damaged"):
        decode_manifest(file, A, no_segment)
    assert decode_manifest(file, digest_of(file), no_segment).digest == digest_of(file)


@pytest.mark.parametrize(
    "file",
    [
        b"",
        b"casreg-manifest 1 " + b"0" * 32 + b"\n{}\n{}\n{}",
        b"casreg-manifest 1 " + b"0" * 31 + b"\n{}\n{}\n{}\n",
        b" casreg-manifest 1 " + b"0" * 32 + b"\n{}\n{}\n{}\n",
        b"casreg-manifest 1 " + b"0" * 32 + b" \n{}\n{}\n{}\n",
    ],
)
def test_what_is_no_manifest(file: bytes) -> None:
    """Is damage, and named."""
    with pytest.raises(CorruptError, match=f"{manifest_key(digest_of(file))} is damaged"):
        decode_manifest(file, digest_of(file), no_segment)


def test_metadata_that_is_no_object() -> None:
    """Is damage, though it be JSON."""
    with pytest.raises(CorruptError, match=r"manifests/.* is malformed: not a JSON object"):
        read(encode_content(CONTENT), metadata=b"[]")


@pytest.mark.parametrize(
    ("content", "line", "inline"),
    [
        (stream(1, [1]), Placement(inline=1), b""),
        (stream(1, [1]), Placement(inline=1), b"ab"),
        (stream(1, [1]), Placement(inline=2), b"ab"),
        (stream(1, [1]), Placement((PACK,), {"data": (Run(0, 32, 45, 0, 1),)}, 1), b"a"),
        (stream(0, []), Placement(inline=0), b"a"),
    ],
)
def test_a_payload_that_is_not_all_the_files(content: dict[str, Any], line: Placement, inline: bytes) -> None:
    """Another size than is said, than the files have, or beside runs: damage."""
    with pytest.raises(CorruptError, match=r"manifests/.* is damaged"):
        read(content, encode_placement(line), inline)
