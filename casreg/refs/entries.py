"""What a ref says about one version: an entry if it lives, tombstones of what it was, or a bare retired number."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from casreg.digest import to_hex
from casreg.refs.fields import count_field, damaged, digest_field, id_value, object_value, rest, time_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from casreg.digest import Digest

_ENTRY_FIELDS: Final = frozenset(
    (
        "manifest",
        "data",
        "content",
        "size",
        "stored",
        "packs",
        "created",
        "write",
        "class",
        "notes",
        "protected",
    )
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One saved version, as its ref knows it.

    Attributes:
        manifest: Names the manifest's file.
        data: Identity of the version without its metadata.
        content: Identity of the version with its metadata.
        size: Logical bytes.
        stored: Bytes that this save added to the storage.
        packs: Number of packs that the version's placement lists.
        created: When it was saved, RFC 3339 in UTC.
        write: Id of the write that committed it, 32 hexadecimal characters.
        class_name: The Python class that was saved, for display only; None if unknown. Never imported.
        notes: JSON values that users may change at any time.
        protected: Whether the version is neither deleted nor replaced until somebody lifts that.
        extra: Fields of a later casreg, kept as they are.
    """

    manifest: Digest
    data: Digest
    content: Digest
    size: int
    stored: int
    packs: int
    created: str
    write: str
    class_name: str | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)
    protected: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tombstone:
    """A version that was deleted or overwritten. Inside the undelete window it protects its data.

    Attributes:
        entry: What it was.
        deleted: When, RFC 3339 in UTC.
    """

    entry: Entry
    deleted: str


@dataclass(frozen=True, slots=True)
class Record:
    """All that is said in one place (the ref itself, or one segment) about one version.

    With neither `live` nor `dead` the version is *retired*: nothing of it is left, its number is never given again.

    Attributes:
        live: The entry if the version exists. It holds as it stands, whatever older places say.
        dead: Tombstones, the newest last.
        partial: False: this is everything, older places do not count. True: `dead` comes after the tombstones of
            older places. (Else a name that is overwritten again and again would carry all its tombstones around.)
    """

    live: Entry | None = None
    dead: tuple[Tombstone, ...] = ()
    partial: bool = False

    def over(self, older: Record) -> Record:
        """This record seen together with the one of an older place."""
        if not self.partial:
            return self
        return Record(self.live, older.dead + self.dead, older.partial)


def entry_from_json(fields: Mapping[str, Any], what: str) -> Entry:
    """Read an entry; `what` names the file and the version in errors.

    Raises:
        CorruptError: A field is missing or not what format 1 says.
    """
    class_name = fields.get("class")
    if class_name is not None and type(class_name) is not str:
        raise damaged(what, f"'class' is not a string: {class_name!r}")
    if fields.get("protected", True) is not True:
        raise damaged(what, f"'protected' is there and not true: {fields['protected']!r}")
    return Entry(
        manifest=digest_field(fields, "manifest", what),
        data=digest_field(fields, "data", what),
        content=digest_field(fields, "content", what),
        size=count_field(fields, "size", what),
        stored=count_field(fields, "stored", what),
        packs=count_field(fields, "packs", what),
        created=time_field(fields, "created", what),
        write=id_value(fields.get("write"), "write", what),
        class_name=class_name,
        notes=object_value(fields.get("notes"), "notes", what),
        protected="protected" in fields,
        extra=rest(fields, _ENTRY_FIELDS),
    )


def entry_to_json(entry: Entry) -> dict[str, Any]:
    """The stored form of an entry."""
    fields = {
        **entry.extra,
        "manifest": to_hex(entry.manifest),
        "data": to_hex(entry.data),
        "content": to_hex(entry.content),
        "size": entry.size,
        "stored": entry.stored,
        "packs": entry.packs,
        "created": entry.created,
        "write": entry.write,
        "notes": dict(entry.notes),
    }
    if entry.class_name is not None:
        fields["class"] = entry.class_name
    if entry.protected:
        fields["protected"] = True
    return fields


def tombstone_from_json(value: object, what: str) -> Tombstone:
    """Read a tombstone: an entry with `deleted`.

    Raises:
        CorruptError: A field is missing or not what format 1 says.
    """
    fields = dict(object_value(value, "deleted", what))
    deleted = time_field(fields, "deleted", what)
    del fields["deleted"]
    return Tombstone(entry_from_json(fields, what), deleted)


def tombstone_to_json(tombstone: Tombstone) -> dict[str, Any]:
    """The stored form of a tombstone."""
    return {**entry_to_json(tombstone.entry), "deleted": tombstone.deleted}
