"""The examples in docs/format.md: made by today's code, put there by `scripts/golden`, compared by a test."""

from __future__ import annotations

import json
import re
import secrets
import tempfile
import zipfile
from hashlib import md5
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from casreg import Registry, codec
from casreg.backends.memory import MemoryBackend
from casreg.canonical import dump, seal
from casreg.chunker import cut
from casreg.digest import digest_of
from casreg.head import INITIAL, close, condemn, dump_head, encode_names, verdict
from casreg.index import encode
from casreg.keys import manifest_key, ref_key
from casreg.manifests import encode_list
from casreg.marker import Marker, Probe, dump_marker
from casreg.model import Chunk
from casreg.packs import PackBuilder, SealedPack
from casreg.refs.segments import segment_bytes
from format.golden import INPUTS, ROOT, fixed, xof

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from casreg.refs import Record
    from casreg.versions import Version

PAGE = ROOT / "docs" / "format.md"
GEAR = ROOT / "docs" / "format-gear.txt"
NONCE = bytes(range(16))
HUNDRED = bytes.fromhex("28b52ffd206445000010616101003f012c")
"""A Zstandard frame of 100 times `a`: written here, since another release may find a shorter one."""

_BLOCK = re.compile(r"<!-- example: ([a-z]+) -->\n\n```[a-z]+\n(.*?)```\n", re.DOTALL)


def json_values() -> str:
    """Section 5: canonical forms."""
    values: list[Any] = [
        {"z": 1, "é": 2, "A": [], "a": {}, "😀": True, "ﬀ": None},
        [0, -1, 2**53 - 1, 0.0, -0.0, 1.0, 0.1, 1e15, 123456789012345.6, 0.0001],
        [1e-05, 1.5e-07, 5e-324, 1e16, 1.2345678901234568e17, 1e22, 1.7976931348623157e308],
        'quote " backslash \\ slash / \b\t\n\f\r nul \0 unit \x1f é 😀 /',
    ]
    return "".join(dump(value).decode() + "\n" for value in values)


def names() -> str:
    """Section 6: names and their keys."""
    shown = ("my:model", "ResNet-50:v1.1", "my_data", "con", "Con.v2:x", "con:x", "com1.tar", "~upload-0af3")
    return "".join(f"{name:16} {ref_key(name)}\n" for name in shown)


def chunks() -> str:
    """Section 7: cuts."""
    short = [_cuts(one.seed, one.size) for one in INPUTS if one.kind == "xof" and one.size < 300_000]
    return "".join((f"{'input':17} {'bytes':>7}  chunks\n", *short, _cuts("casreg 1", 500_000)))


def _cuts(seed: str, size: int) -> str:
    return (
        f'BLAKE3("{seed}")'.ljust(17)
        + f" {size:7}  {' '.join(map(str, cut(memoryview(xof(seed, size)))))}".rstrip()
        + "\n"
    )


def hexdump(data: bytes, parts: list[tuple[int, str]]) -> str:
    """Sixteen bytes a line, beginning anew with each part, which is named at its first line."""
    lines = []
    bounds = [*(at for at, _ in parts), len(data)]
    for number, (start, name) in enumerate(parts):
        for at in range(start, bounds[number + 1], 16):
            row = data[at : min(at + 16, bounds[number + 1])]
            lines.append(f"{at:04x}  {row.hex(' '):48} {name if at == start else ''}".rstrip() + "\n")
    return "".join(lines)


def small_pack() -> SealedPack:
    """The pack of the example."""
    builder = PackBuilder(bytearray())
    builder.append(digest_of(b"hello"), codec.RAW, b"hello", 5)
    builder.append(digest_of(b"a" * 100), codec.ZSTD, HUNDRED, 100)
    with patch.object(secrets, "token_bytes", lambda size: NONCE[:size]):
        return builder.seal()


def pack() -> str:
    """Section 8: a pack."""
    sealed = small_pack()
    parts = [
        (0, "magic, key id"), (16, "nonce"),
        (32, "codec, parameter, reserved, stored, size"), (44, "digest"), (76, "stored bytes"),
        (81, "codec, parameter, reserved, stored, size"), (93, "digest"), (125, "stored bytes"),
        (142, "digest"), (174, "offset, stored, size"), (190, "digest"), (222, "offset, stored, size"),
        (238, "records"), (246, "digest of the table"), (278, "magic"),
    ]  # fmt: skip
    return f"{sealed.key}\n\n{hexdump(bytes(sealed.data), parts)}"


def manifest() -> str:
    """Section 9: a small dict."""
    backend = MemoryBackend()
    with fixed("manifest"), patch.object(secrets, "token_hex", lambda size: NONCE[:size].hex()):
        Registry(backend).save("config", {"rate": 0.5}, metadata={"why": "first"})
    (info,) = backend.list("manifests/")
    data = backend.get(info.key).data
    _, data_line, metadata_line, _, _ = data.split(b"\n", 4)
    both = data_line + b"\n" + metadata_line
    identities = f"data    {digest_of(data_line).hex()}\ncontent {digest_of(both).hex()}\n"
    return f"{info.key}\n\n{data.decode()}\n\n{identities}"


def _listed_file() -> list[bytes]:
    """The lines of the manifest of a file of 1.5 MiB, stored raw so that no library has a say."""
    backend = MemoryBackend()
    with fixed("listed"), patch.object(codec, "looks_compressible", lambda data: False):
        Registry(backend).save("file", xof("listed", 3 << 19))
    (info,) = backend.list("manifests/")
    return backend.get(info.key).data.split(b"\n")


def listed() -> str:
    """Section 10: an entry with a chunk list."""
    (entry,) = json.loads(_listed_file()[1])["entries"]
    return json.dumps(entry, separators=(",", ":")) + "\n"


def chunk_list() -> str:
    """Section 10: the beginning of a chunk list."""
    data = xof("listed", 3 << 19)
    first, second, *_ = cut(memoryview(data))
    records = [Chunk(digest_of(data[:first]), first), Chunk(digest_of(data[first : first + second]), second)]
    return hexdump(encode_list(records), [(0, "digest"), (32, "size"), (36, "digest"), (68, "size")])


def placement() -> str:
    """Section 11: the same file's placement."""
    _, data_line, _, line, _ = _listed_file()
    broken = line.decode().replace(',"', ',\n "').replace("],[", "],\n     [")
    return data_line.decode().replace(',"', ',\n "') + "\n\n" + broken + "\n"


def ref() -> str:
    """Section 12: a ref."""
    backend = MemoryBackend()
    with fixed("ref"):
        registry = Registry(backend)
        registry.save("my:model", {"rate": 0.5}, tags=["prod"], notes={"by": "me"})
        registry.save("my:model", {"rate": 0.25})
        registry.delete("my:model", "1.0.1")
    return json.dumps(json.loads(backend.get(ref_key("my:model")).data), indent=2, ensure_ascii=False) + "\n"


def history() -> str:
    """Section 13: two records of a segment."""
    records: dict[Version, Record] = {}
    with fixed("history"):
        backend = MemoryBackend()
        registry = Registry(backend, mutable=True)
        registry.save("x", 1)
        registry.save("x", 2)
        registry.delete("x", "1.0.0")
        found = registry._repository.refs.read("x")
        assert found is not None
        records.update(found.history.ref.records)
    return segment_bytes(records, NONCE).decode()


def marker() -> str:
    """Section 14: the marker."""
    return dump_marker(Marker(NONCE.hex(), Probe("file:///data/registry", "ok"))).decode()


def head() -> str:
    """Section 15: the head after a run that deleted one manifest, and the list of its verdict."""
    ids = [xof(f"head {number}", 16).hex() for number in range(4)]
    key, names = encode_names([manifest_key(digest_of(b"garbage"))], NONCE.hex())
    closed = close(verdict(condemn(INITIAL, key, ids[0], ids[1]), key, ids[2]), ids[3])
    return f"{json.dumps(json.loads(dump_head(closed)), indent=2)}\n\n{key}\n\n{names.decode()}"


def index() -> str:
    """Section 16: an index of the pack above."""
    sealed = small_pack()
    with patch.object(secrets, "token_bytes", lambda size: NONCE[:size]):
        data = encode([sealed.ref], [digest[:8] + bytes(4) for digest in sealed.table])
    parts = [
        (0, "magic"), (8, "nonce"), (24, "packs, bits, entries"), (40, "fanout"),
        (44, "hook"), (52, "digest of the pack"), (84, "size, table size"), (100, "table digest"),
        (132, "entry"), (144, "entry"),
    ]  # fmt: skip
    return hexdump(data, parts)


def bundle() -> str:
    """Section 24: what is in a bundle."""
    with fixed("bundle"), tempfile.TemporaryDirectory() as folder:
        registry = Registry(MemoryBackend())
        registry.save("my:model", {"rate": 0.5}, metadata={"why": "first"}, tags=["prod"])
        registry.export(Path(folder) / "model.casreg")
        with zipfile.ZipFile(Path(folder) / "model.casreg") as archive:
            return "".join(f"{info.file_size:5}  {info.filename}\n" for info in archive.infolist())


EXAMPLES: dict[str, Callable[[], str]] = {
    "json": json_values,
    "names": names,
    "chunks": chunks,
    "pack": pack,
    "manifest": manifest,
    "listed": listed,
    "list": chunk_list,
    "placement": placement,
    "ref": ref,
    "history": history,
    "marker": marker,
    "head": head,
    "index": index,
    "bundle": bundle,
}


def gear() -> list[int]:
    """Section 7: the table G."""
    return [int.from_bytes(md5(bytes([x]) * 64).digest()[:8], "big") for x in range(256)]


def gear_text() -> str:
    """The table as docs/format-gear.txt prints it."""
    table = gear()
    return "".join(" ".join(f"{word:016x}" for word in table[at : at + 4]) + "\n" for at in range(0, 256, 4))


def blocks() -> Iterator[tuple[str, str]]:
    """The examples that stand in the page now."""
    for match in _BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        yield match[1], match[2]


def sealed_anew(shown: str) -> bytes:
    """A sealed document as stored, from the page, where it has line breaks."""
    body = json.loads(shown)
    del body["sum"]
    return seal(body)


def rewrite() -> None:
    """Put today's examples into the page, and the table beside it."""
    text = PAGE.read_text(encoding="utf-8")

    def anew(match: re.Match[str]) -> str:
        begin = match[0][: match.start(2) - match.start(0)]
        return f"{begin}{EXAMPLES[match[1]]()}```\n"

    PAGE.write_text(_BLOCK.sub(anew, text), encoding="utf-8")
    GEAR.write_text(gear_text(), encoding="utf-8")
