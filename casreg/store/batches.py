"""Lists of keys: each goes to its own mount, some at once, and what fails stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from casreg.exceptions import InvalidArgumentError
from casreg.registry.arguments import objects, per_item, tags_per_item
from casreg.registry.batch import Asked, BatchResult, Done, asked, at_once, in_turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg.store.routing import Router

_T = TypeVar("_T")


def save(
    router: Router, keys: Sequence[str], objs: Any, version: Any, options: dict[str, Any]
) -> BatchResult[str]:
    """Save each object under its key; those of one key in turn.

    Raises:
        InvalidArgumentError: There are more or fewer objects, versions, … than keys.
    """
    options = dict(options)
    items, count = asked(keys, version), len(keys)
    given = objects(objs, count)
    metadata = per_item(options.pop("metadata", None), count, "metadata")
    notes = per_item(options.pop("notes", None), count, "notes")
    tags = tags_per_item(options.pop("tags", ()), count)

    def one(number: int, item: Asked) -> Done[str]:
        registry, to = router.to_change(item.key, "save", item.version)
        labels: dict[str, Any] = {
            "metadata": [metadata[number]],
            "notes": [notes[number]],
            "tags": [tags[number]],
        }
        return _only(registry.save([to.name], [given[number]], version=to.version, **labels, **options))

    return in_turn(items, one)


def load(router: Router, keys: Sequence[str], version: Any, options: dict[str, Any]) -> BatchResult[Any]:
    """Load each key.

    Raises:
        InvalidArgumentError: There are more or fewer versions than keys; `into` was given.
    """
    options = dict(options)
    if options.pop("into", None) is not None:
        raise InvalidArgumentError("into= takes one object; load them one by one")

    def one(_number: int, item: Asked) -> Done[Any]:
        mount, to = router.to_read(item.key, item.version)
        return _only(mount.registry.load([to.name], to.version, **options))

    return at_once(asked(keys, version), one)


def delete(router: Router, keys: Sequence[str], version: Any) -> BatchResult[list[str]]:
    """Delete each key; those of one key in turn.

    Raises:
        InvalidArgumentError: There are more or fewer versions than keys.
    """

    def one(_number: int, item: Asked) -> Done[list[str]]:
        registry, to = router.to_change(item.key, "delete", item.version)
        return _only(registry.delete([to.name], to.version))

    return in_turn(asked(keys, version), one)


def _only(result: BatchResult[_T]) -> Done[_T]:
    """What a registry says of a list of one: of more than its value only a list tells."""
    item = result.items[0]
    if item.error is not None:
        raise item.error
    return Done(item.version, item.value, item.skipped)  # type: ignore[arg-type]  # no error, so there is a value
