"""What a hostile or broken writer may put on the storage, and what readers make of it: a clear error, never more."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from casreg import index, packs
from casreg.backends.memory import MemoryBackend
from casreg.canonical import dump
from casreg.digest import digest_of
from casreg.exceptions import CorruptError, UnsupportedFormatError
from casreg.head import decode_names
from casreg.keys import segment_key
from casreg.manifests import MAX_LINE, decode_manifest, decode_placement_segment, decode_tree
from casreg.packs import FRAME, PackBuilder, parse_table
from casreg.paths import MAX_PATH_BYTES, check_path, check_tree
from casreg.refs.segments import Segment

if TYPE_CHECKING:
    from casreg.digest import Digest
    from casreg.model import PackRef

CHUNK = digest_of(b"x").hex()
PACK = ["0" * 16 + "-" + "1" * 64, 32 + 44 + 1 + 48 + 48, 48, "2" * 64]


def entry(path: str = "a", **fields: Any) -> dict[str, Any]:
    """An entry of one byte."""
    return {"chunks": [[CHUNK, 1]], "path": path, "size": 1, **fields}


def data_line(entries: list[dict[str, Any]] | None = None, **fields: Any) -> dict[str, Any]:
    """A data line, with some fields replaced."""
    entries = [entry()] if entries is None else entries
    line = {
        "count": len(entries),
        "entries": entries,
        "materializer": "m/1",
        "params": {},
        "size": len(entries),
    }
    return {**line, **fields}


def placement_line(**fields: Any) -> dict[str, Any]:
    """The placement of `data_line()`, with some fields replaced."""
    return {"inline": 0, "packs": [PACK], "requires": [], "runs": {"data": [[0, 32, 45, 0, 1]]}, **fields}


def decode(
    data: dict[str, Any] | None = None,
    placement: dict[str, Any] | None = None,
    payload: bytes = b"",
    header: bytes = b"casreg-manifest 1 " + b"0" * 32,
) -> object:
    """Read a manifest of these lines, whose name is right whatever is in it."""
    lines = (header, dump(data or data_line()), b"{}", dump(placement or placement_line()), payload)
    file = b"\n".join(lines)

    def no_segment(digest: Digest) -> bytes:
        raise AssertionError(digest)

    return decode_manifest(file, digest_of(file), no_segment)


def test_a_manifest_as_it_should_be_is_read() -> None:
    """The examples that the tests below break are fine before that."""
    decode()
    decode(placement=placement_line(inline=1, packs=[], runs={}), payload=b"x")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(data_line([entry("../a")]), id="path that leaves the folder"),
        pytest.param(data_line([entry(path=7)]), id="path that is no text"),  # type: ignore[arg-type]
        pytest.param(data_line([entry("b"), entry("a")]), id="unsorted"),
        pytest.param(data_line([entry("a"), entry("a")]), id="twice"),
        pytest.param(data_line([entry("a"), entry("a/b")]), id="a file in a file"),
        pytest.param(
            data_line([{"folder": True, "path": "a"}, entry("a/b")], size=1), id="an empty folder that is not"
        ),
        pytest.param(data_line([entry(folder=1)]), id="folder that is no flag"),
        pytest.param(data_line([entry(executable="yes")]), id="executable that is no flag"),
        pytest.param(data_line([entry(size=2)], size=2), id="chunks that do not sum up"),
        pytest.param(data_line(size=2), id="entries that do not sum up"),
        pytest.param(data_line(count=2), id="another number of entries"),
        pytest.param(data_line([entry(chunks=[[CHUNK, 0]], size=0)], size=0), id="empty chunk"),
        pytest.param(
            data_line([entry(chunks=[[CHUNK, 262145]], size=262145)], size=262145), id="large chunk"
        ),
        pytest.param(data_line([entry(chunks=[[CHUNK.upper(), 1]])]), id="digest in upper case"),
        pytest.param(data_line([entry(chunks=[[CHUNK, 72]], counts=[2])]), id="two chunks in one byte"),
        pytest.param(
            data_line([entry(chunks=[[CHUNK, 36]], counts=[1] * 10)]), id="lists of lists without end"
        ),
        pytest.param(
            data_line(tree={"chunks": [[CHUNK, MAX_LINE + 2]], "size": MAX_LINE + 2}),
            id="tree that is too large",
        ),
        pytest.param(data_line(materializer=None), id="no materializer"),
        pytest.param(data_line(params=[]), id="params that are no object"),
        pytest.param(data_line(entries=[[1, 2]]), id="entry that is no object"),  # type: ignore[list-item]
        pytest.param(data_line([entry(chunks="", size=0)], size=0), id="chunks that are no array"),
        pytest.param(data_line([entry(counts={})]), id="counts that are no array"),
        pytest.param(data_line(entries={}, count=0, size=0), id="entries that are no array"),  # type: ignore[arg-type]
    ],
)
def test_a_content_that_cannot_be_is_refused(data: dict[str, Any]) -> None:
    """What the data line says is checked before anything is allocated or read by it."""
    with pytest.raises(CorruptError, match="manifests/"):
        decode(data)


@pytest.mark.parametrize(
    "placement",
    [
        pytest.param(placement_line(packs=[[PACK[0], 50, 48, PACK[3]]]), id="pack too small for its table"),
        pytest.param(placement_line(packs=[[PACK[0], 1000, 47, PACK[3]]]), id="table of half a record"),
        pytest.param(placement_line(packs=[[PACK[0], 1000, 0, PACK[3]]]), id="pack without a table"),
        pytest.param(placement_line(packs=[["../" + "0" * 78, *PACK[1:]]]), id="pack that is no name"),
        pytest.param(placement_line(runs={"data": [[0, 32, 45, 1, 1]]}), id="gap"),
        pytest.param(placement_line(runs={"data": [[1, 32, 45, 0, 1]]}), id="pack that is not listed"),
        pytest.param(placement_line(runs={"data": [[0, 32, 900, 0, 1]]}), id="run beyond its pack"),
        pytest.param(placement_line(runs={"data": [[0, 32, 45, 0, 2]]}), id="more frames than fit"),
        pytest.param(placement_line(runs={"data": [[0, 32, 45, 0, True]]}), id="number that is none"),
        pytest.param(placement_line(runs={"other": []}), id="unknown section"),
        pytest.param(placement_line(inline=-1), id="negative"),
        pytest.param(placement_line(packs={}, runs={}), id="packs that are no array"),
        pytest.param(placement_line(runs={"data": ""}), id="runs that are no array"),
        pytest.param(placement_line(inline=1), id="payload that is not there"),
        pytest.param(placement_line(requires="all"), id="requires that is no list"),
    ],
)
def test_a_placement_that_cannot_be_is_refused(placement: dict[str, Any]) -> None:
    """Where a manifest sends its reader is checked before a request is made of it."""
    with pytest.raises(CorruptError, match="manifests/"):
        decode(placement=placement)


def test_a_tree_may_be_as_large_as_its_lines() -> None:
    """Each line has 16,384 bytes at most, and its LF is not counted."""
    largest = MAX_LINE + 1
    tree = data_line(tree={"chunks": [[CHUNK, largest]], "size": largest})
    del tree["entries"]
    decode(tree)
    tree["tree"] = {"chunks": [[CHUNK, largest + 1]], "size": largest + 1}
    with pytest.raises(CorruptError, match="too large"):
        decode(tree)


def test_a_payload_is_all_files_or_none() -> None:
    """A payload of another size than the files, or beside a tree or runs, is refused."""
    tree = data_line(tree={"chunks": [[CHUNK, 1]], "size": 1})
    del tree["entries"]
    inline = placement_line(inline=1, packs=[], runs={})
    with pytest.raises(CorruptError):
        decode(data_line([entry(), entry("b")]), inline, b"x")
    with pytest.raises(CorruptError):
        decode(tree, inline, b"x")
    with pytest.raises(CorruptError):
        decode(data_line(), placement_line(inline=1), b"x")


@pytest.mark.parametrize("number", [b"2", b"999999999"])
def test_another_format_is_not_guessed_at(number: bytes) -> None:
    """A manifest of a later format says so, and needs a later casreg."""
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        decode(header=b"casreg-manifest %s " % number + b"0" * 32)


@pytest.mark.parametrize("number", [b"0", b"01", b"9" * 5000, b"-1", b""])
def test_a_header_that_is_none_is_damage(number: bytes) -> None:
    """A number that nobody writes is no reason to ask for an upgrade, nor to fail in another way."""
    with pytest.raises(CorruptError):
        decode(header=b"casreg-manifest %s " % number + b"0" * 32)


def test_a_word_that_is_not_known_stops_a_reader() -> None:
    """A manifest that requires what this casreg does not know is not read at all."""
    with pytest.raises(UnsupportedFormatError, match="sparse"):
        decode(placement=placement_line(requires=["sparse"]))


def test_fields_that_are_not_known_are_passed_over() -> None:
    """A later casreg may add fields that change nothing for those who do not know them."""
    decode(data_line([entry(owner="me")], later=1), placement_line(later={"a": [1]}))


LINE = b'{"chunks":[["%s",1]],"path":"a","size":1}\n' % CHUNK.encode()


@pytest.mark.parametrize(
    "tree",
    [
        pytest.param(LINE[:-1], id="no end"),
        pytest.param(LINE + b"\n", id="empty line"),
        pytest.param(LINE.replace(b"\n", b"\r\n") + LINE.replace(b'"a"', b'"b"')[:-1], id="cut after a line"),
        pytest.param(LINE + LINE, id="twice"),
        pytest.param(LINE.replace(b'"a"', b"1"), id="path that is no text"),
        pytest.param(LINE.replace(b'"path":"a"', b'"path":"a","path":"b"'), id="a key twice"),
        pytest.param(LINE.replace(b'"a"', b'"/a"'), id="absolute"),
        pytest.param(b"[]\n", id="list"),
        pytest.param(b"null\n", id="null"),
        pytest.param(LINE + LINE.replace(b'"a"', b'"a/b"'), id="a file in a file"),
        pytest.param(LINE.replace(b'"a"', b'"a"' + b" " * MAX_LINE), id="long line"),
    ],
)
def test_a_tree_that_cannot_be_is_refused(tree: bytes) -> None:
    """Each line of a tree is strict, and all of them together are a tree."""
    assert len(list(decode_tree(LINE, "t"))) == 1
    with pytest.raises(CorruptError, match=r"^t: "):
        list(decode_tree(tree, "t"))


@pytest.mark.parametrize(
    "path",
    [
        "", "/a", "a//b", "a/", ".", "a/../b", "a\\b", "a\0b", "C:a", "c:/a", "a/C:b", "a/c:", "nul", "a/NUL.txt",
        "con ", "aux .x", "com1.tar.gz", "lpt².\n", "a" * 256, "/".join(["a" * 100] * 11), "\ud800",
    ],
)  # fmt: skip
def test_a_path_that_could_leave_its_folder_is_refused(path: str) -> None:
    """Nothing that a system takes for another place, a device or a drive is a stored path."""
    with pytest.raises(ValueError, match=r"path|folder|holds|longer|absolute|empty|UTF-8"):
        check_path(path)


@pytest.mark.parametrize(
    "path",
    [
        "a",
        "a/b",
        "..a",
        "a..",
        "conın$",
        "null",
        "con artist",
        "12:30",
        "aC:",
        "é/ü",
        "a b",
        "a" * 255,
        "x\ny",
    ],
)
def test_a_path_that_is_harmless_is_kept_as_it_is(path: str) -> None:
    """What merely looks odd is stored, and not changed."""
    assert check_path(path) == path


def test_paths_have_a_longest_length() -> None:
    """A path of 1,024 bytes is stored, one of 1,025 is not."""
    longest = "/".join(["é" * 100] * 6)[: MAX_PATH_BYTES // 2 - 3]
    path = longest + "x" * (MAX_PATH_BYTES - len(longest.encode()))
    assert check_path(path) == path
    with pytest.raises(ValueError, match="1024"):
        check_path(path + "x")


def test_a_path_is_not_in_another_that_is_a_file() -> None:
    """`a` and `a/b` cannot both be there; `a-b` sorts between them and changes nothing."""
    check_tree(["a-b", "a/b", "a/c/d", "b"])
    with pytest.raises(ValueError, match="'a/c'"):
        check_tree(["a-b", "a/b", "a/c", "a/c/d/e"])


def pack_of(*contents: bytes) -> tuple[PackRef, bytes, bytes]:
    """A pack, all its bytes, and those of its table."""
    builder = PackBuilder(bytearray())
    for content in contents:
        builder.append(digest_of(content), 0, content, len(content))
    sealed = builder.seal()
    data = bytes(sealed.data)
    return sealed.ref, data, data[slice(*packs.table_range(sealed.ref))]


def test_a_table_of_another_pack_proves_nothing() -> None:
    """A table counts only if its digest is right and its frames fill the pack, so that no run can leave it."""
    ref, _, table = pack_of(b"one", b"two")
    assert len(parse_table(ref, table)) == 2
    _, _, other_table = pack_of(b"one", b"twoandthree")
    for broken in (
        replace_table(ref, other_table),
        replace_table(ref, table[:48]),
        replace_table(ref, table[48:] + table[:48]),
    ):
        with pytest.raises(CorruptError, match="packs/"):
            parse_table(*broken)


def replace_table(ref: PackRef, table: bytes) -> tuple[PackRef, bytes]:
    """The pack as a liar would name it, whose table this is."""
    return ref._replace(table_size=len(table), table_digest=digest_of(table)), table


@pytest.mark.parametrize("sparse", [0, 10**6])
def test_no_byte_of_an_index_file_can_make_a_search_fail(
    sparse: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever byte is flipped, or wherever the file ends: a search answers with packs that can be, or nothing."""
    monkeypatch.setattr(index, "_SPARSE", sparse)  # read by the bucket, or in large steps
    ref, _, table = pack_of(b"one", b"two")
    wanted = list(parse_table(ref, table))
    rows = [digest[:8] + bytes(4) for digest in wanted] + [bytes([i]) * 8 + bytes(4) for i in range(254)]
    good = index.encode([ref], rows)
    assert {pack for _, pack in index.Index(only_index(good)).find(wanted)} == {ref}
    for at in range(len(good)):
        for broken in (good[:at] + bytes([good[at] ^ 0xFF]) + good[at + 1 :], good[:at]):
            for _, pack in index.Index(only_index(broken)).find(wanted):
                packs.check_sizes(pack)


def only_index(data: bytes) -> MemoryBackend:
    """A place with nothing in it but this index file."""
    backend = MemoryBackend()
    backend.create("index/" + "0" * 64, data)
    return backend


def test_a_frame_is_as_long_as_its_header_says() -> None:
    """The frames of a run fill it exactly; a length that reaches beyond is damage."""
    _, data, _ = pack_of(b"one")
    frame = bytearray(data[32 : 32 + FRAME.size + 3])
    assert [f.size for f in packs.iterate_frames(memoryview(frame), "p")] == [3]
    frame[4] += 1
    with pytest.raises(CorruptError, match="p: "):
        list(packs.iterate_frames(memoryview(frame), "p"))


def test_the_examples_here_are_json() -> None:
    """The line that the tests of trees break is what the standard library takes for an entry."""
    assert json.loads(LINE) == entry()


def test_segments_of_another_format_ask_for_an_upgrade() -> None:
    """Histories, lists of names and placements of a later format are not taken for damage."""
    history = b"casreg-segment 2 history " + b"0" * 32 + b"\nwhatever\n"
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        Segment(history, "a segment")
    names = b"casreg-segment 2 names " + b"0" * 32 + b"\nwhatever\n"
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        decode_names(names, segment_key(digest_of(names)))
    placement = b"casreg-segment 2 placement " + b"0" * 32 + b"\n{}\n"
    with pytest.raises(UnsupportedFormatError, match="upgrade"):
        decode_placement_segment(placement, digest_of(placement))


@pytest.mark.parametrize("nonce", [b"0" * 31, b"0" * 33, b"G" * 32, b""])
def test_a_segment_has_a_nonce(nonce: bytes) -> None:
    """A first line without 32 hexadecimal characters is none."""
    with pytest.raises(CorruptError):
        Segment(b"casreg-segment 1 history " + nonce + b"\n", "a segment")
