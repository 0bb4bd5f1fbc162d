"""What users pass to a Registry, read into what the engine takes; wrong ones are refused before anything is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from casreg.exceptions import InvalidArgumentError, InvalidMetadataError, InvalidVersionError
from casreg.materializers.classes import dotted
from casreg.materializers.plain import plain_scalars
from casreg.names import parse_key
from casreg.versions import Latest, parse_selector, parse_version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casreg.progress import ProgressCallback
    from casreg.repository.conflicts import OnConflict
    from casreg.versions import Selector, Version


@dataclass(frozen=True, slots=True)
class Keys:
    """Reads `name` and `name@version`.

    Each method raises `InvalidNameError`, `InvalidVersionError`, and `InvalidArgumentError` if the key and `version=`
    name two versions.

    Attributes:
        allow_underscore: Names may hold `_`.
    """

    allow_underscore: bool = False

    def split(self, key: str, version: str | None = None) -> tuple[str, str | None]:
        """The name, and the version as it was written, if one was."""
        name, within = parse_key(key, allow_underscore=self.allow_underscore)
        if within is not None and version is not None and within != version:
            raise InvalidArgumentError(f"{key!r} and version={version!r} name two versions; give one of them")
        return name, within if within is not None else version

    def plain(self, key: str) -> str:
        """The name, without a version.

        Raises:
            InvalidArgumentError: There is a version.
        """
        name, within = self.split(key)
        if within is not None:
            raise InvalidArgumentError(
                f"{key!r} is one version, and all versions of a name are meant: write {name!r}"
            )
        return name

    def plain_ones(self, names: str | Iterable[str] | None) -> list[str] | None:
        """The names, without versions, of which one may be given alone; None, which means all, stays None.

        Raises:
            InvalidArgumentError: There is a version, or they are no collection of names.
        """
        given = [names] if isinstance(names, str) else names
        return None if given is None else [self.plain(name) for name in listed(given, "names")]

    def exact(self, key: str, version: str | None = None) -> tuple[str, Version | None]:
        """The name, and one version by its number; None if none was given."""
        name, within = self.split(key, version)
        if within is None:
            return name, None
        try:
            return name, parse_version(within)
        except InvalidVersionError as err:
            try:
                parse_selector(within)
            except InvalidVersionError:
                raise err from None
            raise InvalidVersionError(
                f"{err}. Of a tag or range the number is info({name!r}, {within!r})['version']; and what is saved gets a "
                "tag by `tags=[…]`"
            ) from err

    def selecting(self, key: str, version: str | None = None) -> tuple[str, Selector]:
        """The name, and what selects a version: a number, `latest` (by default), a tag or a range."""
        name, within = self.split(key, version)
        return name, Latest() if within is None else parse_selector(within)

    def within(self, key: str) -> tuple[str, Selector | None]:
        """The name, and what selects some of its versions; None for all."""
        name, within = self.split(key)
        return name, None if within is None else parse_selector(within)

    def pattern(self, pattern: str, version: str | None = None) -> tuple[str, Selector]:
        """A glob over names, and what selects versions; by default the latest.

        Raises:
            InvalidArgumentError: The pattern is no text, or it and `version=` name two versions.
        """
        pattern, at, within = glob(pattern).partition("@")
        if at and version is not None and within != version:
            raise InvalidArgumentError(
                f"{pattern}@{within} and version={version!r} select two things; give one of them"
            )
        chosen = within if at else version
        return pattern, Latest() if chosen is None else parse_selector(chosen)


def glob(pattern: str) -> str:
    """A glob over names.

    Raises:
        InvalidArgumentError: It is no text.
    """
    if not isinstance(pattern, str):
        raise InvalidArgumentError(f"a pattern of names is a text such as 'model:*', not {pattern!r:.80}")
    return pattern


def names_of(names: Iterable[str]) -> frozenset[str]:
    """The dotted names in `trusted=`.

    Raises:
        InvalidArgumentError: It is no list of them.
    """
    given: list[Any] = listed(names, "trusted")
    for one in given:
        if not isinstance(one, str):
            name = dotted(one) if isinstance(one, type) else "my_module.MyClass"
            raise InvalidArgumentError(
                f"trusted is a list of dotted names, as trusted=[{name!r}], not of {one!r:.80}"
            )
    return frozenset(given)


def flag(value: bool, what: str) -> bool:
    """`value`, if it is a bool: `"no"` and `"false"`, which configurations hold, would count as yes, and None as no.

    Raises:
        InvalidArgumentError: It is something else; `what` is the argument's name.
    """
    if not isinstance(value, bool):
        raise InvalidArgumentError(f"{what} is True or False, not {value!r:.80}")
    return value


def callback(progress: ProgressCallback | None) -> ProgressCallback | None:
    """What is told about progress, if it can be.

    Raises:
        InvalidArgumentError: It cannot be called.
    """
    if progress is not None and not callable(progress):
        raise InvalidArgumentError(f"progress is a function that takes a Progress, not {progress!r:.80}")
    return progress


def a_class(as_: type | None) -> type | None:
    """The class that `as_=` names.

    Raises:
        InvalidArgumentError: It is none.
    """
    if as_ is not None and not isinstance(as_, type):
        raise InvalidArgumentError(f"as_ is a class, not {as_!r:.80}")
    return as_


def sides(name: str, version1: str | None, version2: str | None) -> tuple[str, str]:
    """The two keys `name@version` that the arguments of a comparison mean.

    A version may be a whole key, of another name; a `name@version` is the first of the two; the second is by default
    the latest of the name.

    Raises:
        InvalidArgumentError: They are not two.
    """
    given = [one for one in (version1, version2) if one is not None]
    keys: list[str] = []
    if all(isinstance(one, str) for one in (name, *given)):
        base, at, _ = name.partition("@")
        keys = [name] * len(at) + [one if "@" in one else f"{base}@{one}" for one in given]
        if len(keys) == 1 and (at or version1 is not None):
            keys.append(f"{base}@latest")
    if len(keys) != 2:
        raise InvalidArgumentError(
            "say which two versions differ: diff('my:model', '1.0.0', '1.1.0'), diff('my:model', '1.0.0') for the latest, "
            "or diff('my:model@1.0.0', 'other:model@1.0.0')"
        )
    return keys[0], keys[1]


def listed(values: Iterable[str], what: str) -> list[str]:
    """`values` as a list; `what` is the argument's name.

    Raises:
        InvalidArgumentError: It is a single text, or cannot be gone through.
    """
    if isinstance(values, str):
        raise InvalidArgumentError(f"{what} is a list: write {what}=[{values!r}]")
    try:
        return list(values)
    except TypeError as err:
        raise InvalidArgumentError(f"{what} is a list, not {values!r:.80}") from err


def fields(value: Mapping[str, Any] | None, what: str) -> dict[str, Any]:
    """Metadata or notes as a dict of plain values, those of numpy too; `what` is the argument's name.

    Raises:
        InvalidMetadataError: It is no mapping.
    """
    if value is None:
        return {}
    if not hasattr(value, "keys"):
        raise InvalidMetadataError(f"{what} is a dict of JSON values, not {value!r:.80}")
    return dict(plain_scalars(dict(value)))


def conditions(where: Mapping[str, Any] | None) -> dict[str, Any]:
    """What metadata has to say.

    Raises:
        InvalidArgumentError: It is no mapping from names of metadata.
    """
    if where is None:
        return {}
    if not hasattr(where, "keys") or not all(isinstance(key, str) for key in where):
        raise InvalidArgumentError(
            f"where= is a dict from keys of metadata to values, as {{'accuracy': 0.9}}, not {where!r:.80}"
        )
    return dict(where)


def objects(value: Any, count: int) -> list[Any]:
    """The objects for `count` names.

    Raises:
        InvalidArgumentError: They are not a list, or more or fewer.
    """
    if not isinstance(value, list | tuple):
        raise InvalidArgumentError(
            f"to {count} names belongs a list of {count} objects, not one {type(value).__name__}"
        )
    if len(value) != count:
        raise InvalidArgumentError(f"there are {count} names and {len(value)} objects; give one for each")
    return list(value)


def policy(on_conflict: OnConflict | None, *, replaces: bool) -> OnConflict:
    """What to do where a version exists.

    Args:
        on_conflict: What the caller says.
        replaces: Whether versions of this registry may be given other content.

    Raises:
        InvalidArgumentError: It is not one of the words, or versions may not be replaced here.
    """
    if on_conflict is None:
        return "overwrite" if replaces else "error"
    if on_conflict not in {"error", "skip", "overwrite"}:
        raise InvalidArgumentError(f"on_conflict is 'error', 'skip' or 'overwrite', not {on_conflict!r}")
    if on_conflict == "overwrite" and not replaces:
        raise InvalidArgumentError(
            "on_conflict='overwrite' needs a registry whose versions may change: open it with `Registry(..., mutable=True)`"
        )
    return on_conflict


def per_item(value: Any, count: int, what: str) -> list[Any]:
    """One value for each of `count` items: a list as it is, anything else for all of them.

    Raises:
        InvalidArgumentError: The list has another length.
    """
    if not isinstance(value, list | tuple):
        return [value] * count
    if len(value) != count:
        raise InvalidArgumentError(
            f"there are {count} names and {len(value)} values in {what}=; give one for each, or one for all"
        )
    return list(value)


def tags_per_item(tags: Iterable[Any], count: int) -> list[list[str]]:
    """The tags of each of `count` items: a list of texts is for all of them, a list of lists has one for each.

    Raises:
        InvalidArgumentError: It is neither, or has another length.
    """
    given: list[Any] = listed(tags, "tags")
    if all(isinstance(one, str) for one in given):
        return [given] * count
    return [listed(one, "tags") for one in per_item(given, count, "tags")]


__all__ = [
    "Keys",
    "a_class",
    "callback",
    "conditions",
    "fields",
    "flag",
    "glob",
    "listed",
    "names_of",
    "objects",
    "per_item",
    "policy",
    "tags_per_item",
]
