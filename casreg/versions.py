"""Versions, tags and ranges: what may stand behind `@` or in `version=`.

**Versions** are those of Semantic Versioning 2.0.0 (https://semver.org) without build metadata, in its order of
precedence, pre-releases included.  `1` and `1.2` are short for `1.0.0` and `1.2.0`, and a leading `v` is dropped.
A number has at most 15 digits (it stays below 2**53, and a time such as 20261122093000 fits) and no leading zero.

**Tags** are other names for a version: ASCII letters, digits, `.` and `-`, from a letter to a letter or digit.
What looks like a version (`v2`, `v1.0-old`) and `latest` cannot be tags.

**Ranges** are clauses joined by commas; all must hold.  A short version in a clause means its full form, so `>1.2`
is `>1.2.0` and `==1.0` is exactly `1.0.0`.

| clause                        | means                                                             |
| ----------------------------- | ----------------------------------------------------------------- |
| `>=V` `>V` `<=V` `<V` `==V` `!=V` | compare                                                       |
| `^1.2.3`, `^1.2`, `^1`        | from there, below the next major version                          |
| `^0.2.3`, `^0.0.3`            | from there, below the next `0.3.0`, `0.0.4`                       |
| `~1.2.3`, `~1.2`              | from there, below `1.3.0`                                         |
| `~1`                          | from `1.0.0`, below `2.0.0`                                       |
| `1.2.*`, `1.*`, `*`           | any with these first numbers                                      |

A pre-release is in a range only if the range asks for pre-releases of the same three numbers: one of its bounds
(not `!=`) is a pre-release of them.  So `>=1.0` and `<2` never give `2.0.0-rc.1`, `>=2.0.0-rc.1` does, and it does
not give `2.1.0-rc.1`.  (The rule of npm and Cargo.)
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from casreg.exceptions import InvalidArgumentError, InvalidVersionError

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_NUMBER: Final = 10**15 - 1
MAX_VERSION_CHARACTERS: Final = 128
MAX_TAG_CHARACTERS: Final = 64
MAX_RANGE_CHARACTERS: Final = 1000

Bump = Literal["patch", "minor", "major"]

_NUMBER: Final = r"(?:0|[1-9][0-9]{0,14})"
_IDENTIFIER: Final = re.compile(r"0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*")
_PRE: Final = rf"(?:{_IDENTIFIER.pattern})(?:\.(?:{_IDENTIFIER.pattern}))*"
_VERSION: Final = re.compile(rf"[vV]?({_NUMBER})(?:\.({_NUMBER})(?:\.({_NUMBER})(?:-({_PRE}))?)?)?")
_TAG: Final = re.compile(r"[A-Za-z](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_LIKE_VERSION: Final = re.compile(r"[vV]?[0-9].*", re.DOTALL)
_CLAUSE: Final = re.compile(r"\s*(>=|<=|==|!=|>|<|\^|~)\s*(\S+)\s*")
_WILDCARD: Final = re.compile(rf"\s*(?:[vV]?({_NUMBER})\.(?:({_NUMBER})\.)?)?\*\s*")

_VERSION_RULE: Final = "a version is 'X.Y.Z' or 'X.Y.Z-pre.1' (semantic versioning; '1' is '1.0.0')"
_RANGE_RULE: Final = (
    "a range is clauses such as '>=1.2', '<2', '==1.0', '!=1.1', '^1.2', '~1.2', '1.*', joined by commas"
)
_TAG_RULE: Final = (
    "a tag is ASCII letters, digits, '.' and '-', begins with a letter and does not look like a version"
)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """One version. Ordered by the precedence of SemVer; `str()` is its one canonical spelling.

    Attributes:
        major: First number.
        minor: Second number.
        patch: Third number.
        pre: The identifiers of a pre-release, as `("rc", "1")`; empty for a release.

    Raises:
        InvalidVersionError: A number or an identifier cannot be part of a version.
    """

    major: int
    minor: int
    patch: int
    pre: tuple[str, ...] = field(default=(), compare=False)
    # Tuples of this shape sort as SemVer wants: numbers before words, fewer before more, a release last.
    _rank: tuple[tuple[int, int | str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not all(0 <= number <= MAX_NUMBER for number in (self.major, self.minor, self.patch)):
            raise InvalidVersionError(f"{self} cannot be: the numbers of a version are 0 to {MAX_NUMBER}")
        if not all(_IDENTIFIER.fullmatch(word) for word in self.pre):
            raise InvalidVersionError(f"{self} cannot be: {_VERSION_RULE}")
        rank = tuple((0, int(word)) if word.isdigit() else (1, word) for word in self.pre)
        object.__setattr__(self, "_rank", rank or ((2, 0),))

    def __str__(self) -> str:
        numbers = f"{self.major}.{self.minor}.{self.patch}"
        return f"{numbers}-{'.'.join(self.pre)}" if self.pre else numbers

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The three numbers, without the pre-release."""
        return self.major, self.minor, self.patch


FIRST: Final = Version(1, 0, 0)
"""The number of a name's first version, unless somebody gives another."""


@dataclass(frozen=True, slots=True)
class Latest:
    """The highest version there is."""

    def __str__(self) -> str:
        return "latest"


@dataclass(frozen=True, slots=True)
class Exact:
    """This very version."""

    version: Version

    def __str__(self) -> str:
        return str(self.version)


@dataclass(frozen=True, slots=True)
class Tag:
    """The version that a tag points at."""

    name: str

    def __str__(self) -> str:
        return self.name


Comparison = Literal[">=", ">", "<=", "<", "==", "!="]


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison of a range."""

    comparison: Comparison
    version: Version

    def holds(self, version: Version) -> bool:
        """Whether the comparison is true of `version`, by precedence alone."""
        return _COMPARE[self.comparison](version, self.version)


@dataclass(frozen=True, slots=True)
class Range:
    """All versions for which every clause holds; `str()` is what the user wrote.

    Attributes:
        text: As written.
        clauses: Comparisons only; `^`, `~` and `*` are resolved. None means every release.
    """

    text: str
    clauses: tuple[Clause, ...]

    def __str__(self) -> str:
        return self.text

    def matches(self, version: Version) -> bool:
        """Whether `version` is in the range; for pre-releases see the module's docstring."""
        if not all(clause.holds(version) for clause in self.clauses):
            return False
        return not version.pre or any(
            clause.comparison != "!=" and clause.version.pre and clause.version.numbers == version.numbers
            for clause in self.clauses
        )


Selector: TypeAlias = Latest | Exact | Tag | Range

_COMPARE: Final[dict[Comparison, Callable[[Version, Version], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_COMPARISONS: Final[dict[str, Comparison]] = {word: word for word in _COMPARE}


def parse_version(text: str) -> Version:
    """The version that `text` spells, in full or short, with or without a leading `v`.

    Raises:
        InvalidVersionError: It spells none; the message says what is accepted.
    """
    _check_text(text, "a version", MAX_VERSION_CHARACTERS)
    version = _version_or_none(text)
    if version is None:
        raise InvalidVersionError(_version_refusal(text))
    return version


def next_after(version: Version | None, bump: Bump = "patch") -> Version:
    """The version that a save gets when `version` is the highest so far, or there is none yet.

    A pre-release goes to the nearest release above it that the bump allows: `2.0.0-rc.1` gives `2.0.0` for each
    bump, `2.0.1-rc.1` gives `2.0.1`, `2.1.0`, `3.0.0`.

    Raises:
        InvalidArgumentError: `bump` is not `patch`, `minor` or `major`.
        InvalidVersionError: The number would have more than 15 digits.
    """
    if bump not in {"patch", "minor", "major"}:
        raise InvalidArgumentError(f"bump must be 'patch', 'minor' or 'major', not {bump!r}")
    if version is None:
        return FIRST
    major, minor, patch = version.numbers
    step = 0 if version.pre else 1
    if bump == "patch":
        return Version(major, minor, patch + step)
    if bump == "minor":
        return Version(major, minor + (1 if patch else step), 0)
    return Version(major + (1 if minor or patch else step), 0, 0)


def check_tag(tag: str) -> str:
    """Return `tag` as a plain `str` if it can be the name of a tag.

    Raises:
        InvalidVersionError: It cannot; the message says why.
    """
    _check_text(tag, "a tag", MAX_TAG_CHARACTERS, "prod")
    text = str.__str__(tag)
    if text.lower() == "latest":
        raise InvalidVersionError(f"{text!r} cannot be a tag: 'latest' always means the highest version")
    if not _TAG.fullmatch(text) or _LIKE_VERSION.fullmatch(text):
        raise InvalidVersionError(f"{text!r} cannot be a tag: {_TAG_RULE}")
    return text


def parse_range(text: str) -> Range:
    """The range that `text` spells.

    Raises:
        InvalidVersionError: It spells none; the message names the wrong clause and what is accepted.
    """
    _check_text(text, "a range", MAX_RANGE_CHARACTERS)
    clauses: list[Clause] = []
    for part in text.split(","):
        clauses.extend(_parse_clause(part, text))
    return Range(text.strip(), tuple(clauses))


def parse_selector(text: str) -> Selector:
    """What `text` selects: `latest`, an exact version, a range, or else a tag.

    Raises:
        InvalidVersionError: It is none of them; the message says what is accepted.
    """
    _check_text(text, "a version, tag or range", MAX_RANGE_CHARACTERS)
    if text == "latest":
        return Latest()
    version = _version_or_none(text)
    if version is not None:
        return Exact(version)
    if any(character in "<>=!^~*," for character in text):
        return parse_range(text)
    if _LIKE_VERSION.fullmatch(text):
        raise InvalidVersionError(_version_refusal(text))
    if text.lower() == "latest":
        raise InvalidVersionError(f"{text!r} is no version: write 'latest'")
    if not _TAG.fullmatch(text) or len(text) > MAX_TAG_CHARACTERS:
        raise InvalidVersionError(
            f"{_shown(text)} selects nothing: give 'latest', a version, a tag or a range "
            f"({_VERSION_RULE}; {_TAG_RULE}; {_RANGE_RULE})"
        )
    return Tag(str.__str__(text))


def _version_or_none(text: str) -> Version | None:
    match = _VERSION.fullmatch(text)
    if match is None or len(text) > MAX_VERSION_CHARACTERS:
        return None
    major, minor, patch, pre = match.groups()
    return Version(int(major), int(minor or 0), int(patch or 0), tuple(pre.split(".")) if pre else ())


def _parse_clause(part: str, whole: str) -> tuple[Clause, ...]:
    wildcard = _WILDCARD.fullmatch(part)
    if wildcard:
        return _wildcard(*wildcard.groups())
    match = _CLAUSE.fullmatch(part)
    version = _version_or_none(match[2]) if match else None
    if match is None or version is None:
        named = f"{_shown(part)} in {_shown(whole)}" if part != whole else _shown(whole)
        raise InvalidVersionError(f"{named} is no clause of a range: {_RANGE_RULE}")
    sign = match[1]
    if sign in _COMPARISONS:
        return (Clause(_COMPARISONS[sign], version),)
    given = match[2].count(".") + 1  # 3 or more where all are given; a pre-release has dots of its own
    upper = _caret_end(version, given) if sign == "^" else _tilde_end(version, given)
    return Clause(">=", version), Clause("<", upper)


def _caret_end(version: Version, given: int) -> Version:
    """The first version that `^` leaves out: the leftmost number that is not 0 may not change."""
    if version.major or given == 1:
        return Version(version.major + 1, 0, 0)
    if version.minor or given == 2:
        return Version(0, version.minor + 1, 0)
    return Version(0, 0, version.patch + 1)


def _tilde_end(version: Version, given: int) -> Version:
    """The first version that `~` leaves out: the last number may change, of `~1` the last two."""
    if given == 1:
        return Version(version.major + 1, 0, 0)
    return Version(version.major, version.minor + 1, 0)


def _wildcard(major: str | None, minor: str | None) -> tuple[Clause, ...]:
    if major is None:
        return ()
    low = Version(int(major), int(minor or 0), 0)
    return Clause(">=", low), Clause("<", _tilde_end(low, 2 if minor else 1))


def _check_text(text: str, what: str, limit: int, example: str = "1.0.0") -> None:
    if not isinstance(text, str):
        raise InvalidVersionError(
            f"{what} must be a str such as {example!r}, not {type(text).__name__}: {text!r:.40}"
        )
    if len(text) > limit:
        raise InvalidVersionError(f"{what} has at most {limit} characters: {_shown(text)}")


def _version_refusal(text: str) -> str:
    reason = ""
    if _LIKE_VERSION.fullmatch(text) and "+" in text:
        reason = "; build metadata ('+…') is not kept, leave it out"
    elif re.match(r"[vV]?[0-9]+(\.[0-9]+)?-", text):
        reason = "; before a pre-release all three numbers must be given"
    elif re.search(r"(?:^[vV]?|[.-])0[0-9]", text):
        reason = "; numbers have no leading zeros"
    elif re.fullmatch(r"[vV]?[0-9.]+\.[xX]", text):
        reason = f"; for any number there write '{text[:-1]}*'"
    elif re.search(r"[0-9]{16}", text):
        reason = "; a number has at most 15 digits"
    return f"{_shown(text)} is not a version: {_VERSION_RULE}{reason}"


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 80 else f"{text[:60]!r}… ({len(text)} characters)"
