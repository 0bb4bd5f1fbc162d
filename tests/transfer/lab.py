"""What tests of transfers stand on: what a place holds, apart from where it keeps it, and places to start from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import NotFound
from casreg.keys import MARKER, PACKS
from casreg.listing import ref_names
from casreg.marker import PROBE_OK, Probe, dump_marker, parse_marker
from casreg.packs import HEADER, RECORD, TRAILER, iterate_frames, read_trailer
from casreg.repository import Repository
from casreg.verify import check_packs, survey

if TYPE_CHECKING:
    from casreg.backends.base import Backend
    from casreg.refs import Entry


class Seen(NamedTuple):
    """Everything that a version is, without where it is."""

    lines: tuple[bytes, bytes]
    data: bytes
    content: bytes
    size: int
    created: str
    class_name: str | None
    notes: dict[str, Any]
    files: dict[str, bytes | None]
    tags: tuple[str, ...]


def entry_of(backend: Backend, name: str, version: str) -> Entry:
    """What the ref says of a version."""
    history = Repository(backend).refs.ask(name, lambda history: history)
    assert history is not None
    return {str(one): entry for one, entry in history.live()}[version]


def view(backend: Backend) -> dict[str, Seen]:
    """What a place holds, with every byte, by `name@version`."""
    repository = Repository(backend)
    found: dict[str, Seen] = {}
    for name in ref_names(repository):
        history = repository.refs.ask(name, lambda history: history)
        for version, entry in history.live() if history else ():
            assert history is not None
            manifest = repository.manifest(entry.manifest)
            reader = repository.reader(manifest, name)
            files: dict[str, bytes | None] = {}
            for item in reader.entries:
                buffer = memoryview(bytearray(item.stream.size))
                if item.stream.size:
                    reader.read_into(item.path, buffer)
                files[item.path] = None if item.folder else bytes(buffer)
            tags = tuple(sorted(tag for tag, to in history.ref.tags.items() if to[0] == version))
            found[f"{name}@{version}"] = Seen(
                manifest.lines,
                entry.data,
                entry.content,
                entry.size,
                entry.created,
                entry.class_name,
                dict(entry.notes),
                files,
                tags,
            )
    return found


def check(backend: Backend) -> None:
    """Whatever is listed is whole, and its placement leads to its chunks."""
    repository = Repository(backend)
    surveyed = survey(repository)
    assert not surveyed.damage
    assert not list(check_packs(surveyed))


def frames_of(backend: Backend) -> dict[bytes, tuple[int, bytes]]:
    """The stored form of every chunk in packs: digest → codec and stored bytes. None may be there twice."""
    found: dict[bytes, tuple[int, bytes]] = {}
    for info in backend.list(PACKS):
        data = backend.get(info.key).data
        count, _ = read_trailer(data[-TRAILER.size :], info.key)
        end = len(data) - TRAILER.size - RECORD.size * count
        for frame in iterate_frames(memoryview(data)[HEADER.size : end], info.key):
            assert frame.digest not in found
            found[frame.digest] = frame.codec, bytes(frame.stored)
    return found


def place_of(files: dict[str, bytes]) -> MemoryBackend:
    """A place with these files, as if it had always been here: its marker is probed for it."""
    place = MemoryBackend()
    for key, data in files.items():
        if key == MARKER:
            marker = replace(parse_marker(data), probe=Probe(place.location, PROBE_OK))
            data = dump_marker(marker)  # noqa: PLW2901
        place.create(key, data)
    return place


def is_untouched(backend: Backend) -> bool:
    """Whether there is no repository at this place."""
    try:
        backend.get(MARKER)
    except NotFound:
        return not list(backend.list(""))
    return False
