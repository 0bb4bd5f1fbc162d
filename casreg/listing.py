"""What a registry holds, as plain values for people and programs."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final, TypeVar

from casreg.backends.base import traits_of
from casreg.exceptions import NotFound, ObjectNotFoundError
from casreg.keys import REFS, manifest_key, name_of_ref_key
from casreg.names import is_hidden
from casreg.repository.finding import checked, manifest_of, select
from casreg.threads import ahead_in_parts
from casreg.versions import Exact, Latest, Range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from casreg.digest import Digest
    from casreg.model import Manifest
    from casreg.refs import Entry, History, Record
    from casreg.refs.document import Ref
    from casreg.repository import Repository
    from casreg.versions import Selector, Version

_T = TypeVar("_T")

_ASKING: Final = 8


def ref_names(repository: Repository) -> list[str]:
    """The names that have a ref, sorted. They need not have a version. One listing.

    Raises:
        StorageError: The place cannot be read.
    """
    return [name for name in every_ref_name(repository) if not is_hidden(name)]


def every_ref_name(repository: Repository) -> list[str]:
    """As `ref_names`, with casreg's own, which no listing shows and a collector must not miss."""
    names = (name_of_ref_key(info.key) for info in repository.backend.list(REFS))
    return sorted(name for name in names if name is not None)  # what casreg did not name is not casreg's


def asking(repository: Repository) -> int:
    """How many refs are worth reading at once: of small files on this machine one, as threads would only take turns."""
    return max(1, traits_of(repository.backend).parallel_requests)


def each(
    names: Iterable[str], question: Callable[[str], _T], at_once: int = _ASKING
) -> Iterator[tuple[str, _T]]:
    """Each name with the answer of `question`, in order, several asked at once."""
    names = list(names)
    return zip(names, ahead_in_parts(question, names, at_once), strict=True)


def list_names(repository: Repository) -> list[str]:
    """The names with at least one live version, sorted. One read for each ref.

    Raises:
        CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
        StorageError: The place cannot be read.
    """
    found = each(ref_names(repository), repository.refs.lives, asking(repository))
    return [name for name, lives in found if lives]


def list_versions(repository: Repository, name: str, selector: Selector | None) -> list[str]:
    """The live versions of a name, ascending; with a selector those that it means. Empty if there is none.

    Raises:
        CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
        StorageError: It cannot be read.
    """
    return repository.refs.ask(
        name, lambda history: [str(version) for version, _ in _chosen(history, selector)]
    )


def list_all(repository: Repository) -> dict[str, list[str]]:
    """The live versions of each name, ascending; names sorted. One read for each ref.

    Raises:
        CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
        StorageError: The place cannot be read.
    """
    found = each(
        ref_names(repository), lambda name: list_versions(repository, name, None), asking(repository)
    )
    return {name: versions for name, versions in found if versions}


def living(repository: Repository, name: str) -> Iterator[tuple[Version, Entry, Manifest]]:
    """The live versions of a name with their manifests, ascending; without those that are deleted meanwhile.

    Raises:
        CorruptError, UnsupportedFormatError: The ref or a manifest is damaged, or needs a newer casreg.
        StorageError: They cannot be read.
    """
    for version, entry in repository.refs.ask(name, lambda history: _chosen(history, None)):
        there = _manifest(repository, name, version, entry)
        if there is not None:
            yield version, *there


def describe(repository: Repository, name: str, selector: Selector) -> dict[str, Any]:
    """Everything that is known of a version.

    Raises:
        ObjectNotFoundError: There is no such version.
        CorruptError, UnsupportedFormatError: Its ref or manifest is damaged, or needs a newer casreg.
        StorageError: It cannot be read.
    """
    while True:
        found = _rows(repository, name, lambda history: [history.select(selector)] if history else [])
        if found:
            return found[0]
        select(repository, name, selector)  # raises, if there is none


def describe_all(repository: Repository) -> dict[str, Any]:
    """Everything that is known of the latest version of each name; names sorted.

    Raises:
        CorruptError, UnsupportedFormatError: A ref or a manifest is damaged, or needs a newer casreg.
        StorageError: The place cannot be read.
    """
    found = each(
        ref_names(repository), lambda name: describe_each(repository, name, Latest()), asking(repository)
    )
    return {name: rows[0] for name, rows in found if rows}


def describe_each(repository: Repository, name: str, selector: Selector) -> list[dict[str, Any]]:
    """Everything that is known of each version that `selector` means, ascending; empty if there is none.

    Of a range that is every version in it.

    Raises:
        CorruptError, UnsupportedFormatError: The ref or a manifest is damaged, or needs a newer casreg.
        StorageError: They cannot be read.
    """
    return _rows(repository, name, lambda history: _chosen(history, selector))


def _rows(
    repository: Repository, name: str, choose: Callable[[History | None], list[tuple[Version, Entry]]]
) -> list[dict[str, Any]]:
    """What is known of the versions that `choose` gives, without those that were deleted meanwhile."""
    chosen, ref = repository.refs.ask(
        name, lambda history: (choose(history), history.ref if history else None)
    )
    found = []
    for version, entry in chosen:
        there = _manifest(repository, name, version, entry)
        if there is not None:
            assert ref is not None
            found.append(_described(repository.backend.location, ref, version, *there))
    return found


def _manifest(
    repository: Repository, name: str, version: Version, entry: Entry
) -> tuple[Entry, Manifest] | None:
    """What the ref says of a version and its manifest, or None if it was deleted meanwhile."""
    try:
        return entry, checked(repository.manifest(entry.manifest), entry, name, version)
    except NotFound:
        pass  # the ref has moved on, or data is lost: the way that reads the ref again tells
    try:
        return manifest_of(repository, name, Exact(version))[1:]
    except ObjectNotFoundError:
        return None


def _chosen(history: History | None, selector: Selector | None) -> list[tuple[Version, Entry]]:
    """The live versions that a selector means, ascending."""
    if history is None:
        return []
    if selector is None or isinstance(selector, Range):
        return [pair for pair in history.live() if selector is None or selector.matches(pair[0])]
    try:
        return [history.select(selector)]
    except ObjectNotFoundError:
        return []


def _described(
    location: str,
    ref: Ref,
    version: Version,
    entry: Entry,
    manifest: Manifest,
) -> dict[str, Any]:
    return {
        "name": ref.name,
        "version": str(version),
        "class": entry.class_name,
        "materializer": manifest.content.materializer,
        "path": _inside(location, manifest_key(entry.manifest)),
        "size": entry.size,
        "stored": entry.stored,
        "digest": entry.content.hex(),
        "data_digest": entry.data.hex(),
        "created": entry.created,
        "metadata": dict(manifest.metadata),
        "notes": dict(entry.notes),
        "tags": _tags_of(version, ref.tags),
        "protected": entry.protected,
        "revision": ref.write,
    }


def _inside(location: str, key: str) -> str:
    """A key as a URI: before the options of the place's own."""
    place, mark, options = location.partition("?")
    return f"{place.rstrip('/')}/{key}{mark}{options}"


def _tags_of(version: Version, tags: Mapping[str, tuple[Version, Digest]]) -> list[str]:
    return sorted(tag for tag, (target, _) in tags.items() if target == version)


def history_of(repository: Repository, name: str, selector: Selector | None) -> list[dict[str, Any]]:
    """Everything that ever was a version of `name`, or of what `selector` means, the highest number first.

    Raises:
        ObjectNotFoundError: There was never any.
        CorruptError, UnsupportedFormatError: The ref is damaged, or needs a newer casreg.
        StorageError: It cannot be read.
    """

    def ask(history: History | None) -> list[dict[str, Any]]:
        records = history.records() if history else {}
        if history is not None and selector is not None:
            if isinstance(selector, Range):
                records = {one: records[one] for one in records if selector.matches(one)}
            else:
                one = selector.version if isinstance(selector, Exact) else history.select(selector)[0]
                records = {one: records[one]} if one in records else {}
        if history is None or not records:
            raise ObjectNotFoundError(
                f"there was never a version of {name!r} in {repository.backend.location}"
                f"{f' that {str(selector)!r} means' if selector else ''}; `list_objects()` says what there is"
            )
        tags = history.ref.tags
        return [
            row for version in sorted(records, reverse=True) for row in _past(version, records[version], tags)
        ]

    return repository.refs.ask(name, ask)


def _past(
    version: Version, record: Record, tags: Mapping[str, tuple[Version, Digest]]
) -> Iterator[dict[str, Any]]:
    """What one number is, and what it was, the newest first."""
    successor = record.live
    if successor is not None:
        yield _state(version, successor, "live", None, _tags_of(version, tags))
    for dead in reversed(record.dead):
        yield _state(version, dead.entry, "replaced" if successor else "deleted", dead.deleted, [])
        successor = dead.entry
    if successor is None:
        yield _state(version, None, "retired", None, [])


def _state(
    version: Version, entry: Entry | None, state: str, deleted: str | None, tags: list[str]
) -> dict[str, Any]:
    return {
        "version": str(version),
        "state": state,
        "created": entry.created if entry else None,
        "deleted": deleted,
        "digest": entry.content.hex() if entry else None,
        "size": entry.size if entry else None,
        "stored": entry.stored if entry else None,
        "class": entry.class_name if entry else None,
        "notes": dict(entry.notes) if entry else {},
        "tags": tags,
        "protected": entry.protected if entry else False,
    }


def summaries(repository: Repository, most: int, pattern: str = "*") -> tuple[list[dict[str, Any]], int]:
    """One row for each of the first `most` names that have a version, and how many names may come after them.

    A row has `name`, `version` (the latest), `versions` (how many), `size`, `created`, `class`, and `tags`, a dict of all
    tags. The names are those that fit to `pattern`, a glob.

    Raises:
        CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
        StorageError: The place cannot be read.
    """

    def ask(history: History | None) -> dict[str, Any] | None:
        living = history.live() if history else []
        if history is None or not living:
            return None
        version, entry = living[-1]
        return {
            "name": history.name,
            "version": str(version),
            "versions": len(living),
            "size": entry.size,
            "created": entry.created,
            "class": entry.class_name,
            "tags": {tag: str(target) for tag, (target, _) in sorted(history.ref.tags.items())},
        }

    names = [name for name in ref_names(repository) if fnmatchcase(name, pattern)]
    rows: list[dict[str, Any]] = []
    at = 0
    while at < len(names) and len(rows) < most:
        part = names[at : at + most - len(rows)]
        rows += [
            row
            for _, row in each(part, lambda name: repository.refs.ask(name, ask), asking(repository))
            if row is not None
        ]
        at += len(part)
    return rows, len(names) - at
