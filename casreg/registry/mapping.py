"""What a Registry does as a mapping, beyond loading and saving one object."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from casreg.display import first_of
from casreg.exceptions import (
    InvalidArgumentError,
    ObjectChangedError,
    ObjectNotFoundError,
    VersionProtectedError,
)
from casreg.listing import asking, each, ref_names
from casreg.repository.editing import delete
from casreg.repository.finding import select
from casreg.versions import Exact, Latest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from casreg.refs import History
    from casreg.repository import Repository
    from casreg.versions import Selector

_NAMED: Final = 8
_ROUNDS: Final = 5


def pairs(
    source: Mapping[str, Any] | Iterable[tuple[str, Any]], named: Mapping[str, Any]
) -> Iterator[tuple[str, Any]]:
    """What `dict.update` would take from these arguments, in order.

    Raises:
        InvalidArgumentError: `source` is neither a mapping nor pairs.
    """
    if isinstance(source, Mapping):
        yield from source.items()
    else:
        try:
            given = [(key, value) for key, value in source]
        except (TypeError, ValueError) as err:
            raise InvalidArgumentError(
                f"update takes a mapping, or pairs of name and object, not {source!r:.80}"
            ) from err
        yield from given
    yield from named.items()


def pop(repository: Repository, name: str, selector: Selector | None, load: Callable[[str], Any]) -> Any:
    """Load a version, by default the latest, then delete it, or by default all versions of the name.

    What somebody saves between the two is loaded in its turn, and never deleted unseen.

    Args:
        repository: Where.
        name: The name.
        selector: Which version.
        load: Loads the version with this number.

    Raises:
        ObjectNotFoundError: There is none.
        ObjectChangedError: Others kept changing it. Nothing was deleted.
        VersionProtectedError: It is protected.
        CasregError: What `load` raises.
    """
    for number in range(1, _ROUNDS + 1):
        version, entry = select(repository, name, selector or Latest())
        still = Latest() if selector is None else Exact(version)

        def is_expected(history: History, still: Selector = still, write: str = entry.write) -> bool:
            return history.select(still)[1].write == write

        try:
            value = load(str(version))
            delete(repository, name, None if selector is None else version, is_expected)
        except (ObjectChangedError, ObjectNotFoundError):
            if number == _ROUNDS:
                raise
        else:
            return value
    raise AssertionError("unreachable")


def clear(repository: Repository) -> None:
    """Delete all versions of all names.

    Raises:
        VersionProtectedError: Some are protected. Nothing was deleted, unless they were protected meanwhile.
        CorruptError, UnsupportedFormatError: A ref is damaged, or needs a newer casreg.
        StorageError: The storage refused or failed.
    """
    names = ref_names(repository)
    found = each(names, lambda name: repository.refs.ask(name, _protected), asking(repository))
    protected = [f"{name}@{version}" for name, versions in found for version in versions]
    if protected:
        raise VersionProtectedError(
            f"nothing was deleted, since {first_of(protected, _NAMED)} are protected; `unprotect` them first"
        )
    for _ in each(names, lambda name: _delete(repository, name)):
        pass


def _protected(history: History | None) -> list[str]:
    return [str(version) for version, entry in history.live() if entry.protected] if history else []


def _delete(repository: Repository, name: str) -> None:
    try:
        delete(repository, name, None)
    except ObjectNotFoundError:
        return  # all versions of it are deleted already


__all__ = ["clear", "pairs", "pop"]
