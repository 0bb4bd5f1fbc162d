"""Packs: what goes in comes out, each part names itself, and a name is used once."""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from casreg import codec
from casreg.digest import Digest, digest_of
from casreg.exceptions import CorruptError
from casreg.model import PackRef
from casreg.packs import (
    END_MAGIC,
    FRAME,
    HEADER,
    MAGIC,
    PACK_LIMIT,
    RECORD,
    TRAILER,
    Frame,
    PackBuilder,
    check_header,
    check_sizes,
    iterate_frames,
    key_of,
    open_frame,
    parse_table,
    read_trailer,
    table_range,
)
from registry.lab import noise, text

if TYPE_CHECKING:
    from casreg.packs import SealedPack


def build(chunks: list[bytes], buffer: bytearray | None = None) -> SealedPack:
    """A pack of these chunks."""
    builder = PackBuilder(bytearray() if buffer is None else buffer)
    for chunk in chunks:
        kind, stored = codec.encode(memoryview(chunk))
        builder.append(digest_of(chunk), kind, stored, len(chunk))
    return builder.seal()


@settings(max_examples=60)
@given(chunks=st.lists(st.binary(min_size=1, max_size=3_000), min_size=1, max_size=20, unique=True))
def test_a_pack_reads_back(chunks: list[bytes]) -> None:
    """By its table, and frame by frame without it, a pack gives every chunk that was put in, verified."""
    sealed = build(chunks)
    data = memoryview(bytes(sealed.data))
    check_header(data[: HEADER.size], "it")
    count, table_digest = read_trailer(data[-TRAILER.size :], "it")
    assert (count, table_digest) == (len(chunks), sealed.ref.table_digest)
    start, stop = table_range(sealed.ref)
    table = parse_table(sealed.ref, data[start:stop])
    assert table == sealed.table
    frames = list(iterate_frames(data[HEADER.size : start], "it"))
    assert [frame.digest for frame in frames] == [digest_of(chunk) for chunk in chunks]
    for frame, chunk in zip(frames, chunks, strict=True):
        assert bytes(open_frame(frame, digest_of(chunk), len(chunk), "it")) == chunk
        located = table[digest_of(chunk)]
        (only,) = iterate_frames(data[located.offset : located.offset + located.length], "it")
        assert only.digest == frame.digest


def test_the_name_is_the_digest_of_its_bytes() -> None:
    """The key of a pack ends in the BLAKE3 of all its bytes, after the beginning of its smallest chunk digest."""
    chunks = [noise(1_000, seed) for seed in range(5)]
    sealed = build(chunks)
    hook, _, name = sealed.ref.name.partition("-")
    assert name == digest_of(sealed.data).hex()
    assert hook == min(digest_of(chunk).hex() for chunk in chunks)[:16]
    assert sealed.key == key_of(sealed.ref) == f"packs/{name[:2]}/{sealed.ref.name}"
    assert sealed.ref.size == len(sealed.data)


def test_each_sealing_gives_another_name() -> None:
    """The same chunks in two packs have two names, and so do two sealings of one pack."""
    chunks = [text(1_000)]
    assert build(chunks).ref.name != build(chunks).ref.name
    builder = PackBuilder(bytearray())
    builder.append(digest_of(chunks[0]), codec.RAW, chunks[0], len(chunks[0]))
    first = builder.seal()
    copy = bytes(first.data)
    first.data.release()
    second = builder.seal()
    assert second.ref.name != first.ref.name
    assert len(second.data) == len(copy)
    assert second.ref.table_digest == first.ref.table_digest


def test_the_nonce_is_16_random_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of the nonce is drawn anew: with fewer bytes two packs would sooner have one name."""
    asked: list[int] = []

    def token_bytes(size: int) -> bytes:
        asked.append(size)
        return b"\7" * size

    monkeypatch.setattr("casreg.packs.secrets.token_bytes", token_bytes)
    data = bytes(build([b"tiny"]).data)
    assert (asked, data[16:32]) == ([16], b"\7" * 16)


def test_a_pack_is_to_the_byte_what_the_format_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put together here by hand: header, frames, table, trailer, all numbers with the lowest byte first."""
    monkeypatch.setattr("casreg.packs.secrets.token_bytes", bytes)
    one, two = digest_of(b"one"), digest_of(b"twice")
    builder = PackBuilder(bytearray())
    builder.append(one, 0, b"one", 3)
    builder.append(two, 1, b"2*", 5)
    header = b"casregP1" + bytes(8) + bytes(16)
    frames = b"\0\0\0\0\3\0\0\0\3\0\0\0" + one + b"one" + b"\1\0\0\0\2\0\0\0\5\0\0\0" + two + b"2*"
    table = one + b"\x20\0\0\0\0\0\0\0\3\0\0\0\3\0\0\0" + two + b"\x4f\0\0\0\0\0\0\0\2\0\0\0\5\0\0\0"
    trailer = b"\2\0\0\0\0\0\0\0" + digest_of(table) + b"casregE1"
    assert bytes(builder.seal().data) == header + frames + table + trailer
    assert (len(header), len(frames) - 5, len(table), len(trailer)) == (32, 2 * 44, 2 * 48, 48)


def test_a_buffer_that_is_used_again() -> None:
    """What an earlier, longer pack left in the buffer does not get into the next."""
    buffer = bytearray()
    long = build([noise(50_000)], buffer)
    long.data.release()
    short = build([b"tiny"], buffer)
    assert len(short.data) == HEADER.size + FRAME.size + 4 + RECORD.size + TRAILER.size
    assert bytes(short.data[-8:]) == END_MAGIC
    assert bytes(short.data[:8]) == MAGIC
    assert digest_of(short.data).hex() == short.ref.name.partition("-")[2]


def test_a_pack_takes_no_more_than_its_limit() -> None:
    """A pack is full before its frames would pass the limit; an empty one takes any chunk."""
    builder = PackBuilder(bytearray())
    assert PACK_LIMIT == 32 * 2**20
    assert builder.fits(10 * PACK_LIMIT)
    builder.append(digest_of(b"x"), codec.RAW, b"x", 1)
    room = PACK_LIMIT - (HEADER.size + FRAME.size + 1) - FRAME.size
    assert builder.fits(room)
    assert not builder.fits(room + 1)
    assert builder.count == 1


@pytest.mark.parametrize("size", [0, 1, TRAILER.size - 1, TRAILER.size + 1])
def test_a_trailer_of_another_size(size: int) -> None:
    """What is too short or too long to be a trailer is damage that names the file."""
    with pytest.raises(CorruptError, match="packs/it"):
        read_trailer(bytes(size), "packs/it")


@pytest.mark.parametrize("header", [b"", bytes(32), MAGIC + b"\1" + bytes(23), MAGIC[:-1] + b"2" + bytes(24)])
def test_a_header_that_is_none(header: bytes) -> None:
    """A header that is missing, of something else, encrypted, or of another format is damage that names the file."""
    with pytest.raises(CorruptError, match="packs/it"):
        check_header(header, "packs/it")


def test_frames_that_do_not_fill() -> None:
    """Frames that end early or have something behind them are damage."""
    sealed = build([noise(500, 1), noise(500, 2)])
    start, _ = table_range(sealed.ref)
    frames = bytes(sealed.data[HEADER.size : start])
    for cut in (1, 43, 44, 100, len(frames) - 1):
        with pytest.raises(CorruptError, match="packs/it"):
            list(iterate_frames(memoryview(frames[:cut]), "packs/it"))
    with pytest.raises(CorruptError, match="packs/it"):
        list(iterate_frames(memoryview(frames + b"x"), "packs/it"))


@pytest.mark.parametrize("wrong", ["digest", "size", "bytes", "codec", "other"])
def test_a_frame_that_is_not_the_chunk(wrong: str) -> None:
    """Whatever of a frame is not as the content says, its bytes are not handed out; pack and chunk are named."""
    chunk = text(2_000)
    kind, stored = codec.encode(memoryview(chunk))
    body = bytearray(stored)
    frame = Frame(digest_of(chunk), kind, memoryview(body), len(chunk))
    other = Digest(bytes(32))
    if wrong == "digest":
        frame = frame._replace(digest=other)
    elif wrong == "size":
        frame = frame._replace(size=1_999)
    elif wrong == "bytes":
        body[20] ^= 1
    elif wrong == "codec":
        frame = frame._replace(codec=codec.RAW)
    else:
        frame = frame._replace(stored=memoryview(bytes(codec.encode(memoryview(text(2_000, 5)))[1])))
    with pytest.raises(CorruptError, match=rf"packs/it: chunk {digest_of(chunk).hex()} is damaged"):
        open_frame(frame, digest_of(chunk), len(chunk), "packs/it")


SMALLEST = HEADER.size + FRAME.size + RECORD.size + TRAILER.size


def ref_of(size: int, table: bytes) -> PackRef:
    """A pack as somebody may name it."""
    return PackRef(f"{'0' * 16}-{'1' * 64}", size, len(table), digest_of(table))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_pack_has_room_for_its_frames(count: int) -> None:
    """A pack of that many empty frames is the smallest one with a table of that many records."""
    table = bytes(count * RECORD.size)
    smallest = SMALLEST + (count - 1) * (FRAME.size + RECORD.size)
    check_sizes(ref_of(smallest, table))
    check_sizes(ref_of(smallest + 1, table))
    for size in (smallest - 1, 0):
        with pytest.raises(
            ValueError, match=f"a pack of {size} bytes cannot have a table of {len(table)}: 0000"
        ):
            check_sizes(ref_of(size, table))


@pytest.mark.parametrize("size", [0, 1, RECORD.size - 1, RECORD.size + 1, 2 * RECORD.size - 1])
def test_a_table_is_whole_records_and_at_least_one(size: int) -> None:
    """However large the pack is."""
    with pytest.raises(ValueError, match="cannot have a table"):
        check_sizes(ref_of(PACK_LIMIT, bytes(size)))


def test_a_table_knows_what_is_compressed() -> None:
    """The frames lie side by side by their stored sizes, not by those of the chunks."""
    chunks = [text(3_000, 1), text(5_000, 2)]
    sealed = build(chunks)
    table = bytes(sealed.data[slice(*table_range(sealed.ref))])
    assert sealed.ref.size < sum(map(len, chunks))
    assert parse_table(sealed.ref, table) == sealed.table
    assert [place.size for place in sealed.table.values()] == [3_000, 5_000]


def records(*rows: tuple[int, int]) -> bytes:
    """A table of frames at these places with so many stored bytes."""
    return b"".join(
        RECORD.pack(digest_of(bytes([at])), offset, stored, 7) for at, (offset, stored) in enumerate(rows)
    )


def test_a_table_that_lies_about_its_frames() -> None:
    """One that is named with its right digest is believed only if the frames fill the pack from the header on."""
    first, second = HEADER.size, HEADER.size + FRAME.size + 10
    good = records((first, 10), (second, 20))
    size = SMALLEST + FRAME.size + RECORD.size + 30
    assert [place.offset for place in parse_table(ref_of(size, good), good).values()] == [first, second]
    for size_told, table in (
        (size + 1, good),
        (size - 1, good),
        (size, records((first, 10), (second + 1, 20))),
        (size, records((first + 1, 10), (second, 20))),
        (size, records((first, 11), (second, 20))),
        (size, records((second, 20), (first, 10))),
    ):
        with pytest.raises(CorruptError, match=r"packs/11/0000.* its table is damaged"):
            parse_table(ref_of(size_told, table), table)


def test_bytes_that_are_not_the_table_that_is_named() -> None:
    """Another digest or another length: neither is a table, whatever could be made of it."""
    good = records((HEADER.size, 10))
    ref = ref_of(SMALLEST + 10, good)
    assert len(parse_table(ref, good)) == 1
    changed = records((HEADER.size, 10))[:-1] + b"\1"
    for table in (changed, good[:-1], good + b"x", good + good, b""):
        with pytest.raises(CorruptError, match="its table is damaged"):
            parse_table(ref, table)


def test_an_empty_frame_at_the_end() -> None:
    """A frame that stores nothing is one, also where the bytes end with its header."""
    header = FRAME.pack(codec.RAW, 0, 0, 0, 0, digest_of(b""))
    assert [frame.size for frame in iterate_frames(memoryview(header * 2), "it")] == [0, 0]


@pytest.mark.parametrize(("parameter", "reserved"), [(1, 0), (0, 1), (255, 65_535)])
def test_a_frame_with_more_than_format_1_knows(parameter: int, reserved: int) -> None:
    """A parameter or a reserved number that is set is not passed over."""
    frame = FRAME.pack(codec.RAW, parameter, reserved, 1, 1, digest_of(b"x")) + b"x"
    with pytest.raises(CorruptError, match="packs/it: a frame header is damaged"):
        list(iterate_frames(memoryview(frame), "packs/it"))


def test_a_trailer_of_something_else() -> None:
    """Bytes of the right number that do not end as a pack ends are no trailer."""
    with pytest.raises(CorruptError, match="packs/it: it does not end as a pack does"):
        read_trailer(TRAILER.pack(1, bytes(32), b"casregE2"), "packs/it")


def test_a_buffer_grows_by_half_and_only_where_it_must() -> None:
    """From 4 KiB on, so that many small chunks do not copy it each time; one that suffices stays as it is."""
    buffer = bytearray()
    builder = PackBuilder(buffer)
    sizes = [len(buffer)]
    for number in range(40):
        chunk = bytes([number]) * 1_000
        builder.append(digest_of(chunk), codec.RAW, chunk, len(chunk))
        sizes.append(len(buffer))
    assert sorted(set(sizes)) == [4_096, 8_192, 12_288, 18_432, 27_648, 41_472, 62_208]
    huge = bytes(500_000)
    last = builder.append(digest_of(huge), codec.RAW, huge, len(huge))
    assert len(buffer) == last.offset + last.length
    exact = bytearray(HEADER.size)
    PackBuilder(exact)
    assert len(exact) == HEADER.size


def test_where_a_chunk_went_is_known_at_once() -> None:
    """What `append` answers is what the table of the sealed pack says."""
    builder = PackBuilder(bytearray())
    chunks = [text(3_000, 1), noise(500, 2), b"tiny"]
    places = {}
    for chunk in chunks:
        kind, stored = codec.encode(memoryview(chunk))
        places[digest_of(chunk)] = builder.append(digest_of(chunk), kind, stored, len(chunk))
    assert places == builder.seal().table


def test_a_buffer_of_wide_items_counts_by_its_bytes() -> None:
    """Whatever it is made of: a frame is as long as its bytes are."""
    numbers = array("H", range(1_000))
    builder = PackBuilder(bytearray())
    place = builder.append(digest_of(bytes(numbers)), codec.RAW, numbers, 2_000)
    assert place.length == FRAME.size + 2_000
    data = builder.seal().data
    (frame,) = iterate_frames(data[place.offset : place.offset + place.length], "it")
    assert bytes(frame.stored) == bytes(numbers)
