"""The ref of one name, as a value and as stored: sealed JSON, format 1.

    {"format": 1, "requires": [], "name": "my:model", "write": "<id>", "recent": ["<id>", …], "rev": 5,
     "stamp": ["<id>", 3] or null,
     "versions": {"1.0.0": ENTRY}, "deleted": {"1.0.1": [ENTRY and "deleted": TIME, …]}, "retired": ["1.0.2"],
     "partial": ["1.0.0"], "tags": {"prod": ["1.0.0", "<manifest>"]},
     "older": [{"segment": "<b3>", "size": 1, "count": 1, "min": "0.1.0", "max": "0.1.0", "live": "0.1.0"}, …],
     "sum": "<b3>"}

A version has one *record* here, spread over `versions` (its live entry), `deleted` (tombstones, newest last) and
`retired` (nothing left but the number).  It hides what older segments say about the version, except that the
tombstones of a version in `partial` come after those that older segments hold.  Unknown fields of the ref, its
entries and its rows of `older` are kept.  `casreg.refs.segments` describes the segments.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from casreg.canonical import FORMAT, check_format, check_requires, seal, unseal
from casreg.digest import to_hex
from casreg.exceptions import InvalidVersionError
from casreg.keys import segment_key
from casreg.refs.entries import (
    Record,
    Tombstone,
    entry_from_json,
    entry_to_json,
    tombstone_from_json,
    tombstone_to_json,
)
from casreg.refs.fields import (
    count_field,
    damaged,
    digest_field,
    id_value,
    list_value,
    object_value,
    rest,
    version_value,
)
from casreg.versions import Version, check_tag

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.digest import Digest
    from casreg.head import RunId

RECENT_WRITES: Final = 64
"""So many ids of writes a ref remembers, for writers whose answer was lost."""

_REF_FIELDS: Final = frozenset(
    (
        "format",
        "requires",
        "name",
        "write",
        "recent",
        "rev",
        "stamp",
        "versions",
        "deleted",
        "retired",
        "partial",
        "tags",
        "older",
    )
)
_OLDER_FIELDS: Final = frozenset(("segment", "size", "count", "min", "max", "live"))


@dataclass(frozen=True, slots=True)
class OlderSegment:
    """A row of `older`: an immutable file with records of old versions, and enough to skip reading it.

    Attributes:
        digest: Names the file.
        size: Its bytes.
        count: Number of versions with a record in it.
        lowest: Its lowest version.
        highest: Its highest version.
        highest_live: Its highest version with a live entry; None if it has none.
        extra: Fields of a later casreg, kept as they are.
    """

    digest: Digest
    size: int
    count: int
    lowest: Version
    highest: Version
    highest_live: Version | None
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Where the file is."""
        return segment_key(self.digest)


@dataclass(frozen=True, slots=True)
class Ref:
    """All that one name has: the only mutable object of a save.

    Attributes:
        name: The name; stored too, so that a ref under another name's key is found out.
        write: Id of the write that produced this state.
        recent: The ids of the last writes, the newest last.
        rev: Number of the state: a hint, no commit depends on it.
        stamp: Id of the collector's run that this ref was last fenced with.
        records: One for each version that has one inline.
        tags: Version and manifest of each tag.
        older: Segments with spilled records, oldest first; a later one hides an earlier one.
        requires: Words that whoever writes must know.
        extra: Fields of a later casreg, kept as they are.
    """

    name: str
    write: str
    recent: tuple[str, ...]
    rev: int
    stamp: RunId | None
    records: Mapping[Version, Record] = field(default_factory=dict)
    tags: Mapping[str, tuple[Version, Digest]] = field(default_factory=dict)
    older: tuple[OlderSegment, ...] = ()
    requires: tuple[str, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def empty(cls, name: str, write: str) -> Ref:
        """A ref that promises nothing yet. `write` is 128 random bits as 32 hexadecimal characters."""
        return cls(name=name, write=write, recent=(write,), rev=0, stamp=None)

    def rewritten(self, write: str, stamp: RunId | None) -> Ref:
        """The next state: everything as it is, under a fresh write id and `stamp`. What every CAS writes.

        A collector's fence is exactly this.
        """
        recent = (*self.recent, write)[-RECENT_WRITES:]
        return replace(self, write=write, recent=recent, rev=self.rev + 1, stamp=stamp)

    def to_bytes(self) -> bytes:
        """The stored form, sealed.

        Raises:
            InvalidMetadataError: The notes of a version are not JSON.
        """
        return seal(_to_json(self), f"the ref of {self.name}")

    @classmethod
    def from_bytes(cls, data: bytes, name: str, what: str = "") -> Ref:
        """Read the stored form of the ref of `name`; `what` names the file in errors.

        Words in `requires` are not judged here, since reading is always allowed: see `check_writable`.

        Raises:
            CorruptError: The bytes are damaged, or are the ref of another name.
            UnsupportedFormatError: Another format.
        """
        what = what or f"the ref of {name}"
        body = unseal(data, what)
        check_format(body, what)
        return _from_json(body, name, what)

    def check_writable(self) -> None:
        """See that this casreg may write this ref, and a collector may judge by it.

        Raises:
            UnsupportedFormatError: It requires what this casreg does not know.
        """
        check_requires({"requires": list(self.requires)}, f"the ref of {self.name}")


def has_inline_version(data: bytes, name: str, what: str) -> bool:
    """Whether the stored form of the ref of `name` itself has a live version.

    Raises:
        CorruptError: The bytes are damaged, or are the ref of another name.
        UnsupportedFormatError: Another format.
    """
    body = unseal(data, what)
    check_format(body, what)
    if body.get("name") != name:
        raise damaged(what, f"it is the ref of {body.get('name')!r:.80}")
    return bool(body.get("versions"))


def _to_json(ref: Ref) -> dict[str, Any]:
    records = ref.records.items()
    return {
        **ref.extra,
        "format": FORMAT,
        "requires": list(ref.requires),
        "name": ref.name,
        "write": ref.write,
        "recent": list(ref.recent),
        "rev": ref.rev,
        "stamp": None if ref.stamp is None else list(ref.stamp),
        "versions": {str(version): entry_to_json(record.live) for version, record in records if record.live},
        "deleted": {
            str(version): [tombstone_to_json(tombstone) for tombstone in record.dead]
            for version, record in records
            if record.dead
        },
        "retired": [str(version) for version, record in records if not record.live and not record.dead],
        "partial": [str(version) for version, record in records if record.partial],
        "tags": {tag: [str(version), to_hex(manifest)] for tag, (version, manifest) in ref.tags.items()},
        "older": [_older_to_json(segment) for segment in ref.older],
    }


def _older_to_json(segment: OlderSegment) -> dict[str, Any]:
    return {
        **segment.extra,
        "segment": to_hex(segment.digest),
        "size": segment.size,
        "count": segment.count,
        "min": str(segment.lowest),
        "max": str(segment.highest),
        "live": None if segment.highest_live is None else str(segment.highest_live),
    }


def _from_json(body: Mapping[str, Any], name: str, what: str) -> Ref:
    if body.get("name") != name:
        raise damaged(what, f"it is the ref of {body.get('name')!r}")
    requires = list_value(body.get("requires"), "requires", what)
    if not all(type(word) is str for word in requires):
        raise damaged(what, f"'requires' is not a list of words: {requires!r}")
    recent = list_value(body.get("recent"), "recent", what)
    return Ref(
        name=name,
        write=id_value(body.get("write"), "write", what),
        recent=tuple(id_value(write, "recent", what) for write in recent),
        rev=count_field(body, "rev", what),
        stamp=_stamp(body, what),
        records=_records(body, what),
        tags=_tags(object_value(body.get("tags"), "tags", what), what),
        older=tuple(_older(row, what) for row in list_value(body.get("older"), "older", what)),
        requires=tuple(requires),
        extra=rest(body, _REF_FIELDS),
    )


def _stamp(body: Mapping[str, Any], what: str) -> RunId | None:
    if "stamp" not in body:
        raise damaged(what, "it has no 'stamp'")
    value = body["stamp"]
    if value is None:
        return None
    pair = list_value(value, "stamp", what)
    if len(pair) != 2:
        raise damaged(what, f"'stamp' is not a pair: {pair!r}")
    return id_value(pair[0], "stamp", what), count_field({"stamp": pair[1]}, "stamp", what)


def _records(body: Mapping[str, Any], what: str) -> dict[Version, Record]:
    live = {
        version_value(text, what): entry_from_json(
            object_value(fields, text, what), f"{what}, version {text},"
        )
        for text, fields in object_value(body.get("versions"), "versions", what).items()
    }
    dead = {
        version_value(text, what): _tombstones(rows, text, what)
        for text, rows in object_value(body.get("deleted"), "deleted", what).items()
    }
    retired = [version_value(text, what) for text in list_value(body.get("retired"), "retired", what)]
    partial = {version_value(text, what) for text in list_value(body.get("partial", []), "partial", what)}
    if any(version in live or version in dead for version in retired):
        raise damaged(what, "a version is retired and not retired")
    versions = {**live, **dead, **dict.fromkeys(retired)}
    if not partial <= versions.keys():
        raise damaged(what, "a version is partial that has no record")
    return {
        version: Record(live.get(version), dead.get(version, ()), version in partial) for version in versions
    }


def _tombstones(rows: object, text: str, what: str) -> tuple[Tombstone, ...]:
    tombstones = tuple(
        tombstone_from_json(row, f"{what}, deleted version {text},") for row in list_value(rows, text, what)
    )
    if not tombstones:
        raise damaged(what, f"the deleted version {text} has no tombstone")
    return tombstones


def _tags(rows: Mapping[str, Any], what: str) -> dict[str, tuple[Version, Digest]]:
    tags = {}
    for tag, value in rows.items():
        pair = list_value(value, tag, what)
        if len(pair) != 2:
            raise damaged(what, f"the tag {tag!r} is not a pair: {pair!r}")
        try:
            check_tag(tag)
        except InvalidVersionError as err:
            raise damaged(what, f"{tag!r} is no tag") from err
        tags[tag] = version_value(pair[0], what), digest_field({tag: pair[1]}, tag, what)
    return tags


def _older(value: object, what: str) -> OlderSegment:
    fields = object_value(value, "older", what)
    live = fields.get("live")
    row = OlderSegment(
        digest=digest_field(fields, "segment", what),
        size=count_field(fields, "size", what),
        count=count_field(fields, "count", what),
        lowest=version_value(fields.get("min"), what),
        highest=version_value(fields.get("max"), what),
        highest_live=None if live is None else version_value(live, what),
        extra=rest(fields, _OLDER_FIELDS),
    )
    top = row.lowest if row.highest_live is None else row.highest_live
    if not (row.count and row.lowest <= top <= row.highest):
        raise damaged(what, f"a row of 'older' contradicts itself: {value!r}")
    return row
