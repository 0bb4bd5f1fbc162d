"""The structure of one version: its manifest, its placement, its lists and its tree, and the tables of its packs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from casreg.exceptions import CorruptError
from casreg.keys import manifest_key, segment_key
from casreg.manifests import decode_manifest, decode_placement_segment
from casreg.model import Placement
from casreg.packs import key_of
from casreg.transfer.carrying import is_bare
from casreg.transfer.frames import FrameReader
from casreg.transfer.sections import check_payload, sections_of
from casreg.verify.findings import UNREADABLE, UnusableError, finding, twice

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from casreg.backends.base import Backend
    from casreg.digest import Digest
    from casreg.model import Chunk, Manifest, PackRef, Run
    from casreg.packs import Located
    from casreg.verify.findings import Finding
    from casreg.verify.tables import PackTables


@dataclass(frozen=True, slots=True)
class Looked:
    """What a manifest says, as far as it can be read.

    Attributes:
        identities: `data` and `content` of the version; None if the manifest cannot be read.
        packs: The packs that it needs.
        findings: What is wrong with it, and with what it needs; with whom that touches left out.
    """

    identities: tuple[Digest, Digest] | None
    packs: tuple[PackRef, ...] = ()
    findings: tuple[Finding, ...] = ()


def look(backend: Backend, digest: Digest, tables: PackTables) -> Looked:
    """Read a manifest and see that it leads to frames of its chunks. What is wrong is found, and raises nothing."""
    try:
        manifest = read_manifest(backend, digest)
    except UnusableError as err:
        return Looked(None, findings=(err.finding(),))
    findings = list(_faults(backend, manifest, tables))
    return Looked((manifest.data, manifest.content_id), manifest.placement.packs, tuple(findings))


def read_manifest(backend: Backend, digest: Digest) -> Manifest:
    """A manifest, with its placement wherever that stands. What is wrong is read again.

    Raises:
        UnusableError: It cannot be used, or its placement segment cannot. Says which.
    """

    def placement(segment: Digest) -> bytes:
        key = segment_key(segment)
        try:
            return twice(lambda: _placement(backend, key, segment))
        except UNREADABLE as err:
            raise UnusableError("placement", key, err) from err

    key = manifest_key(digest)
    try:
        return twice(lambda: decode_manifest(backend.get(key).data, digest, placement))
    except UNREADABLE as err:
        raise UnusableError("manifest", key, err) from err


def _placement(backend: Backend, key: str, segment: Digest) -> bytes:
    data = backend.get(key).data
    decode_placement_segment(data, segment)
    return data


def _faults(backend: Backend, manifest: Manifest, tables: PackTables) -> Iterator[Finding]:
    failed: set[PackRef] = set()
    for pack in manifest.placement.packs:
        try:
            tables.get(pack)
        except UNREADABLE as err:
            failed.add(pack)
            yield finding("pack", key_of(pack), err)
    try:
        check_placement(backend, manifest, tables, failed)
    except UnusableError as err:
        if err.key not in {key_of(pack) for pack in failed}:
            yield err.finding()


def check_placement(
    backend: Backend, manifest: Manifest, tables: PackTables, failed: set[PackRef] | None = None
) -> None:
    """See that the runs of a version lead to the frames of its chunks, as the tables of the packs have them.

    Its tree and chunk lists are read on the way, and so are verified.

    Args:
        backend: Where it is.
        manifest: The version.
        tables: The tables of the packs there.
        failed: Packs whose tables cannot be used: their runs are not looked at.

    Raises:
        UnusableError: They do not, or a table, a list or the tree is damaged.
    """
    key = manifest_key(manifest.digest)
    try:
        if is_bare(manifest):
            check_payload(manifest)
            return
        for section, chunks in sections_of(manifest, Lists(backend, manifest.placement)).items():
            _check_runs(manifest, section, chunks, tables, failed or set())
    except UNREADABLE as err:
        raise UnusableError("manifest", key, err) from err


def _check_runs(
    manifest: Manifest,
    section: str,
    chunks: Sequence[Chunk],
    tables: PackTables,
    failed: set[PackRef],
) -> None:
    key = manifest_key(manifest.digest)
    runs = manifest.placement.runs.get(section, ())
    if sum(run.chunks for run in runs) != len(chunks):
        raise CorruptError(f"{key}: its runs have not as many chunks in {section!r} as its content")
    for run in runs:
        pack = manifest.placement.packs[run.pack]
        if pack in failed:
            continue
        try:
            table = tables.get(pack)
        except UNREADABLE as err:
            raise UnusableError("pack", key_of(pack), err) from err
        _check_run(run, chunks[run.first : run.first + run.chunks], table, key)


def _check_run(run: Run, chunks: Sequence[Chunk], table: Mapping[Digest, Located], key: str) -> None:
    position = run.offset
    for chunk in chunks:
        located = table.get(chunk.digest)
        if located is None or (located.offset, located.size) != (position, chunk.size):
            raise CorruptError(f"{key}: its placement does not lead to chunk {chunk.digest.hex()}")
        position += located.length
    if position != run.offset + run.length:
        raise CorruptError(f"{key}: a run has another length than its frames")


class Lists:
    """Reads lists and trees, run by run, so that what fails is known by its pack."""

    def __init__(self, backend: Backend, placement: Placement) -> None:
        """No I/O yet."""
        self._backend = backend
        self._placement = placement

    def data(self, section: str, chunks: Sequence[Chunk]) -> bytearray:
        """All bytes of a section.

        Raises:
            UnusableError: A pack cannot be used. Says which.
            CorruptError: The runs have not as many chunks.
        """
        joined = bytearray()
        runs = self._placement.runs.get(section, ())
        if sum(run.chunks for run in runs) != len(chunks):
            raise CorruptError(f"its runs have not as many chunks in {section!r} as its content")
        for run in runs:
            pack = self._placement.packs[run.pack]
            alone = Placement((pack,), {section: (run._replace(pack=0, first=0),)})
            frames, part = FrameReader(self._backend, alone), chunks[run.first : run.first + run.chunks]
            try:
                joined += twice(lambda: frames.data(section, part))  # noqa: B023 - called at once
            except UNREADABLE as err:
                raise UnusableError("pack", key_of(pack), err) from err
        return joined
