"""What a save does where its version exists already: refuse, keep what is there, or replace it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from casreg.exceptions import VersionConflictError

if TYPE_CHECKING:
    from casreg.digest import Digest
    from casreg.refs import Entry, History
    from casreg.versions import Version

OnConflict: TypeAlias = Literal["error", "skip", "overwrite"]


def kept_instead(
    history: History, version: Version, policy: OnConflict, *, single: bool
) -> tuple[Version, Entry] | None:
    """The version that stays, so that nothing is to be saved; None if `version` may be written.

    Args:
        history: The name as it is.
        version: The number that the save chose, whose content there is another one, if it lives.
        policy: What the caller wants.
        single: One version of the name is kept: whichever lives is in the way.

    Raises:
        VersionConflictError: A version is in the way, and the caller wants to know.
    """
    if policy == "overwrite":
        return None
    living = history.entry(version)
    found = (version, living) if living is not None else history.latest() if single else None
    if found is None or policy == "skip":
        return found
    way_out = (
        "Save with `on_conflict='overwrite'` to replace it."
        if single
        else "Take another number (`save` without `version=` takes the next one, a copy takes `target_version=`), or "
        "open the registry with `mutable=True` to replace it."
    )
    raise VersionConflictError(f"{history.name}@{found[0]} exists with other content. {way_out}")


def check_number(history: History, version: Version, content: Digest) -> None:
    """See that whoever noted this number gets what it was when they did, or nothing.

    Raises:
        VersionConflictError: It was deleted, and was not this very content.
    """
    if history.entry(version) is not None:
        return
    record = history.record(version)
    if record is not None and all(dead.entry.content != content for dead in record.dead[-1:]):
        raise VersionConflictError(
            f"{history.name}@{version} was deleted, and its number is never given to other content. Take another "
            "number (`save` without `version=` takes the next one, a copy takes `target_version=`), or open the registry "
            "with `mutable=True` to use it again."
        )


__all__ = ["OnConflict", "check_number", "kept_instead"]
