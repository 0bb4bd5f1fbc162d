"""What a Registry says to `casreg.transfer`: which versions, and how they are to be committed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from casreg.registry.arguments import listed
from casreg.repository.committing import Terms
from casreg.transfer import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.registry.arguments import Keys
    from casreg.transfer import Copied
    from casreg.versions import Version


def terms_of(name: str, version: Version | None, *, single: bool, mutable: bool) -> Terms:
    """How a Registry commits what comes from elsewhere."""
    return Terms(name, version, single=single, on_conflict="overwrite" if mutable or single else "error")


def wanted_of(names: str | Iterable[str] | None, keys: Keys) -> list[Wanted] | None:
    """The versions that a name, a list of names, or None (for all) means.

    Raises:
        InvalidNameError, InvalidVersionError: One cannot be.
        InvalidArgumentError: It is no list of names.
    """
    if names is None:
        return None
    given = [names] if isinstance(names, str) else listed(names, "names")
    return [Wanted(*keys.within(one)) for one in given]


def qualified(copied: Iterable[Copied]) -> list[str]:
    """`name@version` of each."""
    return [f"{one.name}@{one.version}" for one in copied]
