"""What a registry holds, as plain values for people and programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casreg.exceptions import ObjectNotFoundError
from casreg.keys import REFS, manifest_key, name_of_ref_key
from casreg.names import is_hidden
from casreg.repository.finding import manifest_of
from casreg.versions import Range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from casreg.refs import History
    from casreg.repository import Repository
    from casreg.versions import Selector, Version


def list_names(repository: Repository) -> list[str]:
    """The names with at least one live version, sorted. One read for each ref.

    Raises:
        CorruptError: A ref is damaged.
        StorageError: The place cannot be read.
    """
    return sorted(name for name in _names(repository) if repository.refs.lives(name))


def _names(repository: Repository) -> Iterator[str]:
    for info in repository.backend.list(REFS):
        name = name_of_ref_key(info.key)
        if name is not None and not is_hidden(name):  # what casreg did not name is not casreg's
            yield name


def list_versions(repository: Repository, name: str, selector: Selector | None) -> list[str]:
    """The live versions of a name, ascending; with a selector those that it means. Empty if there is none.

    Raises:
        CorruptError: The ref is damaged.
        StorageError: It cannot be read.
    """

    def ask(history: History | None) -> list[Version]:
        if history is None:
            return []
        if selector is None or isinstance(selector, Range):
            living = [version for version, _ in history.live()]
            return [one for one in living if selector is None or selector.matches(one)]
        try:
            return [history.select(selector)[0]]
        except ObjectNotFoundError:
            return []

    return [str(version) for version in repository.refs.ask(name, ask)]


def describe(repository: Repository, name: str, selector: Selector) -> dict[str, Any]:
    """Everything that is known of a version.

    Raises:
        ObjectNotFoundError: There is no such version.
        CorruptError: Its ref or manifest is damaged.
        StorageError: It cannot be read.
    """
    version, entry, manifest = manifest_of(repository, name, selector)
    tags = repository.refs.ask(name, lambda history: dict(history.ref.tags) if history else {})
    return {
        "name": name,
        "version": str(version),
        "class": entry.class_name,
        "materializer": manifest.content.materializer,
        "path": f"{repository.backend.location.rstrip('/')}/{manifest_key(entry.manifest)}",
        "size": entry.size,
        "stored": entry.stored,
        "digest": entry.content.hex(),
        "data_digest": entry.data.hex(),
        "created": entry.created,
        "metadata": dict(manifest.metadata),
        "notes": dict(entry.notes),
        "tags": sorted(tag for tag, (target, _) in tags.items() if target == version),
        "protected": entry.protected,
    }
