"""What tests of the collector stand on: a model of what is needed that reads stored bytes only, and small places."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.gc import Collection, Terms, collect
from casreg.keys import HEAD, REFS, is_data_key, name_of_ref_key, segment_key
from casreg.registry import Registry
from casreg.repository import Repository
from engine.test_stale import check as check_whole

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg.backends.base import Backend
    from casreg.progress import ProgressCallback

FOREIGN = ("f" * 32, 1)
"""The id of a run that was made elsewhere."""

NOW = Terms(min_age=0, undelete_window=0, threads=1)
"""Everything that can go goes; one request after the other."""


def gc(place: Backend, terms: Terms = NOW, progress: ProgressCallback | None = None) -> Collection:
    """A collection by somebody who has seen nothing of the place before."""
    return collect(Repository(place), terms, progress)


def plan(place: Backend, terms: Terms = NOW) -> Collection:
    """What a collection would delete."""
    return collect(Repository(place), terms, dry_run=True)


def stored(place: Backend) -> set[str]:
    """The keys of all data."""
    return {info.key for info in place.list("") if is_data_key(info.key)}


def needed(place: Backend, *, tombstones: bool = False) -> set[str]:
    """The keys of data that live versions, histories and the head need; read as JSON, by none of casreg's readers.

    With `tombstones` also those of deleted versions.
    """
    keys: set[str] = set()
    for info in place.list(REFS):
        assert name_of_ref_key(info.key) is not None
        ref = json.loads(place.get(info.key).data)
        for record in _records(place, ref, keys):
            entries = [record["live"]] if record.get("live") else []
            for entry in entries + (record.get("dead", []) if tombstones else []):
                keys |= _below(place, entry["manifest"])
    keys.update(lists(place))
    return keys


def lists(place: Backend) -> set[str]:
    """The lists that the head names."""
    if HEAD not in {info.key for info in place.list(HEAD)}:
        return set()
    head = json.loads(place.get(HEAD).data)
    return {key for key in (head["names"], head["bad"], *(kept["names"] for kept in head["kept"])) if key}


def head_of(place: Backend) -> dict[str, Any]:
    """The head as it is stored, or that of a place where nobody ever collected."""
    if HEAD not in {info.key for info in place.list(HEAD)}:
        return {"state": "idle", "id": [None, 0]}
    return dict(json.loads(place.get(HEAD).data))


def _records(place: Backend, ref: dict[str, Any], keys: set[str]) -> Iterator[dict[str, Any]]:
    """What is said of each version, the place that is nearest to the ref first; notes the segments in `keys`."""
    said: set[str] = set()
    versions = {*ref["versions"], *ref["deleted"]}
    places = [
        {
            version: {"live": ref["versions"].get(version), "dead": ref["deleted"].get(version, [])}
            for version in versions
        }
    ]
    for row in reversed(ref["older"]):
        key = f"segments/{row['segment'][:2]}/{row['segment']}"
        keys.add(key)
        lines = place.get(key).data.decode().splitlines()[1:]
        places.append({record["version"]: record for record in map(json.loads, lines)})
    for records in places:
        for version, record in records.items():
            yield record if version not in said else {"dead": record.get("dead", [])}
            said.add(version)


def _below(place: Backend, manifest: str) -> set[str]:
    key = f"manifests/{manifest[:2]}/{manifest}"
    keys = {key}
    if not list(place.list(key)):
        return keys
    placement = json.loads(place.get(key).data.split(b"\n")[3])
    if "segment" in placement:
        segment = f"segments/{placement['segment'][:2]}/{placement['segment']}"
        keys.add(segment)
        placement = json.loads(place.get(segment).data.split(b"\n")[1])
    for name, *_ in placement["packs"]:
        keys.add(f"packs/{name.partition('-')[2][:2]}/{name}")
    return keys


def check(place: Backend) -> None:
    """Everything that lives is there and whole, and so are all lists that the head names."""
    check_whole(place)
    missing = needed(place) - stored(place)
    assert not missing, missing


def loads(place: Backend) -> dict[str, object]:
    """Every live version, loaded."""
    registry = Registry(place)
    return {
        f"{name}@{version}": registry.load(name, version)
        for name in registry.list_objects()
        for version in registry.list_versions(name)
    }


def copy_of(files: dict[str, bytes], young: str | None = None) -> MemoryBackend:
    """A new place with these files. They are a day old; those with the prefix `young` are from now."""
    place = MemoryBackend()
    for key, data in files.items():
        place.create(key, data)
        if young is None or not key.startswith(young):
            age(place, key)
    return place


def age(place: MemoryBackend, key: str, seconds: float = 86_400) -> None:
    """Let a file be older than it is."""
    entries = place._place.entries
    entries[key] = replace(entries[key], modified=entries[key].modified - seconds)


def stray(place: Backend) -> str:
    """A file of data that nothing needs, and never did: its key, which sorts behind those of packs."""
    data = b"casreg-segment 1 history %s\n" % (b"5" * 32)
    key = segment_key(digest_of(data))
    place.create(key, data)
    return key


def foreign_stamps(place: MemoryBackend) -> MemoryBackend:
    """As of a clone: all refs carry the stamp of a run elsewhere, with the number that the first run here will have."""
    refs = Repository(place).refs
    for info in list(place.list(REFS)):
        name = name_of_ref_key(info.key)
        assert name is not None
        held = refs.read(name)
        assert held is not None
        stamped = held.history.ref.rewritten("1" * 32, FOREIGN)
        place.swap(info.key, stamped.to_bytes(), held.token)
    return place
