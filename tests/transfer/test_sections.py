"""The chunks of a version, section by section: what its lists and its tree must not say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.exceptions import CorruptError
from casreg.manifests import encode_list, encode_tree
from casreg.model import Chunk, Entry, Manifest, Stream
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.transfer.sections import sections_of
from registry.lab import noise
from transfer.lab import entry_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg.transfer.frames import FrameReader

CHUNKS = [Chunk(digest_of(b"%d" % number), 20_000 + number) for number in range(17)]
SIZE = sum(chunk.size for chunk in CHUNKS)


class Told:
    """Gives the bytes of lists and trees that it was told."""

    def __init__(self, **sections: bytes) -> None:
        self.sections = sections

    def data(self, section: str, _: Sequence[Chunk]) -> bytes:
        """The bytes."""
        return self.sections[section.replace(".", "_")]


def _some_manifest() -> Manifest:
    backend = MemoryBackend()
    Registry(backend).save("x", noise(20_000))
    return Repository(backend).manifest(entry_of(backend, "x", "1.0.0").manifest)


def _listed(listed: bytes, *, count: int = 17, size: int = SIZE) -> dict[str, list[Chunk]]:
    """The sections of a version with one file that has a chunk list."""
    manifest = _some_manifest()
    stream = Stream(size, (Chunk(digest_of(listed), len(listed)),), (count,))
    content = replace(manifest.content, size=size, entries=(Entry("data.bin", stream),))
    return sections_of(replace(manifest, content=content), cast("FrameReader", Told(list_1=listed)))


def test_the_sections_of_a_file_with_a_list() -> None:
    """First its chunks, then those of the list."""
    listed = encode_list(CHUNKS)
    assert _listed(listed) == {"data": CHUNKS, "list.1": [Chunk(digest_of(listed), len(listed))]}
    assert list(_listed(listed)) == ["data", "list.1"]


@pytest.mark.parametrize("wrong", ["count", "size", "bytes"])
def test_a_list_that_is_not_what_was_promised(wrong: str) -> None:
    """Another number of chunks, another sum, or half a record."""
    listed = encode_list(CHUNKS) + (b"half" if wrong == "bytes" else b"")
    with pytest.raises(CorruptError, match="chunk list"):
        _listed(listed, count=17 + (wrong == "count"), size=SIZE + (wrong == "size"))


@pytest.mark.parametrize("wrong", ["none", "count", "size", "bytes"])
def test_a_tree_that_is_not_what_was_promised(wrong: str) -> None:
    """Another number of entries, another sum, or no lines."""
    entries = [Entry(f"{number:02}", Stream(chunk.size, (chunk,))) for number, chunk in enumerate(CHUNKS)]
    tree = b"".join(encode_tree(entries))
    manifest = _some_manifest()
    content = replace(
        manifest.content,
        size=SIZE + (wrong == "size"),
        count=17 + (wrong == "count"),
        entries=None,
        tree=Stream(len(tree), (Chunk(digest_of(tree), len(tree)),)),
    )
    told = cast("FrameReader", Told(tree=tree[: -5 if wrong == "bytes" else None]))
    if wrong == "none":
        sections = sections_of(replace(manifest, content=content), told)
        assert sections == {"data": CHUNKS, "tree": [Chunk(digest_of(tree), len(tree))]}
    else:
        with pytest.raises(CorruptError, match="tree"):
            sections_of(replace(manifest, content=content), told)
