"""docs/format.md shows what today's code writes, and a reader who believes the page reads it."""

from __future__ import annotations

import json
import re
import struct

import pytest
from blake3 import blake3

from casreg.canonical import dump, load
from casreg.chunker import cut
from casreg.keys import name_of_ref_key, ref_key
from format import stranger
from format.examples import EXAMPLES, GEAR, HUNDRED, PAGE, blocks, gear, gear_text, sealed_anew
from format.golden import xof

SHOWN = dict(blocks())


def hexed(shown: str) -> bytes:
    """The bytes of a dump."""
    return b"".join(
        bytes.fromhex(line[6:53]) for line in shown.splitlines() if re.match(r"[0-9a-f]{4}  ", line)
    )


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_page_shows_what_the_code_writes(name: str) -> None:
    """Each example is what the code makes today; `scripts/golden` puts it there."""
    assert SHOWN[name] == EXAMPLES[name]()


def test_every_example_has_its_maker() -> None:
    """No block of the page is left empty, and none is made that the page does not show."""
    assert SHOWN.keys() == EXAMPLES.keys()
    assert PAGE.read_text(encoding="utf-8").count("<!-- example: ") == len(EXAMPLES)


def test_the_examples_of_json_are_canonical() -> None:
    """What section 5 shows is read, and written again as the same bytes; the stranger reads the same values."""
    for line in SHOWN["json"].splitlines():
        value = load(line.encode())
        assert dump(value).decode() == line
        assert repr(stranger.strict(line.encode(), "line")) == repr(value)


def test_the_examples_of_names_go_both_ways() -> None:
    """Keys give names and names give keys, for casreg and for the stranger."""
    for line in SHOWN["names"].splitlines():
        name, key = line.split()
        assert (ref_key(name), name_of_ref_key(key)) == (key, name)
        assert (stranger.encode(name), stranger.decode(key.removeprefix("refs/"))) == (key[5:], name)


def test_the_examples_of_chunks_are_cut_so() -> None:
    """The inputs of section 7 are cut where it says."""
    for line in SHOWN["chunks"].splitlines()[1:]:
        match = re.fullmatch(r'BLAKE3\("(.+)"\) +([0-9]+) *([0-9 ]*)', line)
        assert match, line
        assert cut(memoryview(xof(match[1], int(match[2])))) == [int(size) for size in match[3].split()]


def test_the_pack_of_the_page_is_read_by_its_fields() -> None:
    """The dump of section 8 is a pack under the name beside it, with the two chunks that the page says."""
    data = hexed(SHOWN["pack"])
    key = SHOWN["pack"].splitlines()[0]
    hook, _, digest = key.rpartition("/")[2].partition("-")
    assert blake3(data).hexdigest() == digest
    assert struct.unpack_from("<8sQ", data) == (b"casregP1", 0)
    records = list(struct.iter_unpack("<32sQII", data[-48 - 96 : -48]))
    chunks = []
    for name, offset, stored, size in records:
        codec, _, _, again, said, inside = struct.unpack_from("<BBHII32s", data, offset)
        assert (again, said, inside) == (stored, size, name)
        body = data[offset + 44 : offset + 44 + stored]
        chunks.append(stranger.unpacked(codec, body, size, "chunk"))
        assert blake3(chunks[-1]).digest() == name
    assert chunks == [b"hello", b"a" * 100]
    assert min(name for name, *_ in records).hex()[:16] == hook
    assert stranger.unpacked(1, HUNDRED, 100, "frame") == b"a" * 100


def test_the_manifest_of_the_page_has_its_name_and_identities() -> None:
    """Key, data and content in section 9 are those of the lines that it shows."""
    key, _, file = SHOWN["manifest"].partition("\n\n")
    file, _, identities = file.partition("\n\n")
    lines = file.encode().split(b"\n", 4)
    assert key == f"manifests/{key[10:12]}/{blake3(file.encode()).hexdigest()}"
    data, content = blake3(lines[1]).hexdigest(), blake3(lines[1] + b"\n" + lines[2]).hexdigest()
    assert identities == f"data    {data}\ncontent {content}\n"
    (entry,) = json.loads(lines[1])["entries"]
    assert entry["chunks"] == [[blake3(lines[4]).hexdigest(), len(lines[4])]]


def test_the_list_of_the_page_gives_the_size_that_the_entry_says() -> None:
    """Entry, list and placement of sections 10 and 11 are of one file, and fit each other."""
    entry = stranger.entry(json.loads(SHOWN["listed"]), "page")
    records = list(struct.iter_unpack("<32sI", hexed(SHOWN["list"])))
    sizes = cut(memoryview(xof("listed", entry.stream.size)))
    assert [size for _, size in records] == sizes[:2]
    assert entry.stream.counts == [len(sizes)]
    data_line, _, line = SHOWN["placement"].partition("\n\n")
    assert json.loads(data_line)["entries"] == [json.loads(SHOWN["listed"])]
    runs = json.loads(line)["runs"]
    assert sum(run[4] for run in runs["data"]) == len(sizes)
    assert sum(run[4] for run in runs["list.1"]) == len(entry.stream.chunks)


@pytest.mark.parametrize("name", ["ref", "marker", "head"])
def test_the_sealed_documents_of_the_page_have_their_sums(name: str) -> None:
    """Without its line breaks each document of the page is sealed as section 5 says."""
    shown = SHOWN[name].partition("\n\n")[0]
    stored = sealed_anew(shown)
    assert stranger.unseal(stored, name) == {k: v for k, v in json.loads(shown).items() if k != "sum"}
    assert json.loads(stored)["sum"] == json.loads(shown)["sum"]


def test_the_segment_of_the_page_is_a_history() -> None:
    """Each line of section 13 is a record, ascending."""
    first, *lines = SHOWN["history"].splitlines()
    assert re.fullmatch("casreg-segment 1 history [0-9a-f]{32}", first)
    records = [json.loads(line) for line in lines]
    assert [record["version"] for record in records] == ["1.0.0", "1.0.1"]
    for record in records:
        for entry in [*record.get("dead", []), *([record["live"]] if "live" in record else [])]:
            stranger.check_entry(entry, "page")


def test_the_list_of_names_of_the_page_has_its_name() -> None:
    """The list in section 15 is the file whose key the head holds."""
    head, key, names = SHOWN["head"].split("\n\n")
    assert json.loads(head)["kept"][0]["names"] == key
    assert blake3(names.encode()).hexdigest() == key[-64:]


def test_the_index_of_the_page_names_the_pack_of_the_page() -> None:
    """The dump of section 16 finds both chunks in the pack of section 8."""
    data, pack = hexed(SHOWN["index"]), hexed(SHOWN["pack"])
    _, _, packs, bits, entries = struct.unpack_from("<8s16sIIQ", data)
    assert (packs, bits, entries) == (1, 0, 2)
    _, name, size, table_size, table = struct.unpack_from("<8s32sQQ32s", data, 44)
    assert (name, size, table_size) == (blake3(pack).digest(), len(pack), 96)
    assert table == blake3(pack[-48 - 96 : -48]).digest()


def test_the_table_of_the_chunker_is_printed_beside_the_page() -> None:
    """docs/format-gear.txt is the table that section 7 defines, and the library has the same."""
    assert GEAR.read_text(encoding="utf-8") == gear_text()
    words = GEAR.read_text(encoding="utf-8").split()
    assert [int(word, 16) for word in words] == gear()


def test_the_page_names_every_key_that_a_repository_has() -> None:
    """Whatever stands in a golden repository is in the table of section 6."""
    text = PAGE.read_text(encoding="utf-8")
    for prefix in ("casreg.json", "refs/", "gc/head", "manifests/", "packs/", "segments/", "index/"):
        assert f"| `{prefix}" in text
