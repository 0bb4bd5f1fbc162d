"""Which versions have a name like this, and metadata like that."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Final

from casreg.listing import asking, describe_each, each, ref_names

if TYPE_CHECKING:
    from casreg.repository import Repository
    from casreg.versions import Selector

_ABSENT: Final = object()


def find(
    repository: Repository, pattern: str, where: Mapping[str, Any], selector: Selector
) -> list[dict[str, Any]]:
    """What is known of each version that fits, by name and then by version, ascending.

    Args:
        repository: Where.
        pattern: A glob over names, in which case matters: `*`, `?`, `[…]`.
        where: What metadata, or notes, have to say; see `fits`.
        selector: Which versions of each name; all of those in a range.

    Raises:
        CorruptError, UnsupportedFormatError: A ref or manifest is damaged, or needs a newer casreg.
        StorageError: The place cannot be read.
        Exception: What a condition in `where` raises.
    """
    names = [name for name in ref_names(repository) if fnmatchcase(name, pattern)]
    found = each(names, lambda name: describe_each(repository, name, selector), asking(repository))
    return [row for _, rows in found for row in rows if fits(row, where)]


def fits(row: Mapping[str, Any], where: Mapping[str, Any]) -> bool:
    """Whether a version is what all conditions ask for.

    Each key is looked up in the version's metadata, and if that lacks it in its notes. `a.b` is the key `b` of the
    object under `a` (if there is no key `a.b`). The condition is a value to be equal to, or a callable that is given
    the value and says. What lacks the key does not fit.
    """
    for key, condition in where.items():
        value = _looked_up(row["metadata"], key)
        if value is _ABSENT:
            value = _looked_up(row["notes"], key)
        if value is _ABSENT:
            return False
        if not (condition(value) if callable(condition) else value == condition):
            return False
    return True


def _looked_up(values: object, key: str) -> Any:
    if not isinstance(values, Mapping):
        return _ABSENT
    if key in values:
        return values[key]
    first, dot, rest = key.partition(".")
    return _looked_up(values.get(first), rest) if dot else _ABSENT
