"""Each number that docs/format.md names is that of the code."""

from __future__ import annotations

import re

import pytest

from casreg import canonical, chunker, codec, head, index, model, names, packs, paths, versions
from casreg.digest import DIGEST_BYTES, digest_of
from casreg.ingest import assembly
from casreg.keys import DATA_PREFIXES, HOOK_CHARACTERS, manifest_key, pack_key, ref_key
from casreg.manifests import LIST_RECORD, MAX_LINE, PLACEMENT_LIMIT, contents
from casreg.refs import document, spill
from casreg.refs.uploads import upload_name
from format.examples import PAGE

TEXT = " ".join(PAGE.read_text(encoding="utf-8").split())
KIB, MIB = 1024, 1024 * 1024


def table(title: str) -> dict[str, str]:
    """The rows of the tables in a section: first column → the rest."""
    section = PAGE.read_text(encoding="utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line[:1] == "|"
    ]
    return {row[0]: row[1] for row in rows}


def numbers(text: str) -> list[int]:
    """The whole numbers in a text, without their commas."""
    return [int(number.replace(",", "")) for number in re.findall(r"[0-9][0-9,]*", text)]


@pytest.mark.parametrize(
    ("row", "limits"),
    [
        ("containers inside each other in JSON", [canonical.MAX_DEPTH]),
        ("encoded name; with it, key", [names.MAX_ENCODED_BYTES, names.MAX_ENCODED_BYTES + len("refs/")]),
        (
            "version; each of its three numbers; tag",
            [versions.MAX_VERSION_CHARACTERS, len(str(versions.MAX_NUMBER)), versions.MAX_TAG_CHARACTERS],
        ),
        ("path; part of one", [paths.MAX_PATH_BYTES, paths.MAX_PART_BYTES]),
        ("chunk", [chunker.MAX_CHUNK]),
        ("line of a tree; depth of a stream", [MAX_LINE, contents._MAX_DEPTH]),
        ("bits of the fanout of an index", [index._MAX_BITS]),
        ("chunks of a stream without a list", [model.LIST_ABOVE]),
        ("entries in a data line", [model.TREE_ABOVE]),
        ("payload", [model.INLINE_LIMIT]),
    ],
)
def test_a_limit_of_the_page_is_that_of_the_code(row: str, limits: list[int]) -> None:
    """Section 21, row by row."""
    assert numbers(table("21 Limits")[row]) == limits


def test_no_limit_of_the_page_is_left_out_here() -> None:
    """The rows above are all, but for the integers."""
    heads = {"what", "---"}
    assert len(table("21 Limits").keys() - heads) == 10 + 1
    assert canonical.MAX_INTEGER == 2**53 - 1
    assert "±(2^53 - 1)" in table("21 Limits")["integers in JSON"]


def test_what_the_present_writer_chooses_is_what_the_page_says() -> None:
    """The last paragraph of section 21, and the numbers in section 12 and 15."""
    chosen = TEXT.split("choices of the present writer")[1].split("## 22")[0]
    said = re.findall(r"([0-9]+)( MiB| KiB|) (?:for the |for a |ids|verdicts)", chosen)
    scale = {" MiB": MIB, " KiB": KIB, "": 1}
    assert [int(number) * scale[unit] for number, unit in said] == [
        packs.PACK_LIMIT,
        assembly.RUN_BYTES,
        PLACEMENT_LIMIT,
        spill.INLINE_LIMIT,
        document.RECENT_WRITES,
        head.KEPT_VERDICTS,
    ]
    assert f"Zstandard at level {codec._LEVEL}" in chosen


def test_the_parts_of_binary_files_are_as_long_as_the_page_says() -> None:
    """Sections 8, 10 and 16."""
    pack, hints = table("8 Packs"), table("16 The index")
    assert numbers(pack["header"])[0] == packs.HEADER.size
    assert numbers(pack["frames"])[0] == packs.FRAME.size
    assert numbers(pack["table"])[0] == packs.RECORD.size
    assert numbers(pack["trailer"])[0] == packs.TRAILER.size
    assert numbers(hints["header"])[0] == index.HEADER.size
    assert numbers(hints["packs"])[0] == index.PACK.size
    assert numbers(hints["entries"])[0] == index.ENTRY
    assert f"for each chunk {LIST_RECORD} bytes" in TEXT
    for magic in (packs.MAGIC, packs.END_MAGIC, index.MAGIC):
        assert f"magic `{magic.decode()}` 8" in TEXT
    least = packs.HEADER.size + packs.TRAILER.size
    assert f"its size at least {least} + that + {packs.FRAME.size} for each of its frames" in TEXT


def test_the_chunker_has_the_sizes_of_the_page() -> None:
    """Section 7, in words and in steps."""
    assert (chunker.MIN_CHUNK, chunker.MAX_CHUNK) == (16 * KIB, 256 * KIB)
    assert "minimum 16 KiB, average 64 KiB, maximum 256 KiB, normalisation level 1" in TEXT
    assert f"If *n* ≤ {chunker.MIN_CHUNK:,}" in TEXT
    assert f"the smaller of *n* and {chunker.MAX_CHUNK:,}" in TEXT


def test_the_longest_key_is_that_of_a_name() -> None:
    """Section 6: 200 bytes. And hidden refs stand under their names as they are."""
    assert len(ref_key("x" * names.MAX_ENCODED_BYTES)) == 200
    digest = digest_of(b"")
    longest = max(len(manifest_key(digest)), len(pack_key("0" * HOOK_CHARACTERS, digest)))
    assert (longest < 200, DIGEST_BYTES, HOOK_CHARACTERS) == (True, 32, 16)
    assert ref_key(upload_name(0)) == "refs/~upload-0"
    assert DATA_PREFIXES == ("manifests/", "packs/", "segments/")
