"""Names of objects, and how a name is spelt inside a storage key.

A **name** is `segment(:segment)*`.  A segment is ASCII letters, digits, `.` and `-`, and begins and ends with a
letter or a digit: `my:model`, `resnet-50:v1.1`.  `_` counts as a letter only where a caller allows it.  A
**hidden name** (`~upload-0af3`) is made by casreg for itself and can never come from a user.

The **encoded** name is what stands behind `refs/` in a key.  It is plain ASCII without `/`, has no upper-case
letter and no character that Windows forbids, so that two names never meet in one file, also where file systems
ignore case:

| in the name                          | encoded                    |
| ------------------------------------ | -------------------------- |
| `a`-`z`, `0`-`9`, `-`, `.`           | itself                     |
| `:`                                  | `_`                        |
| an upper-case letter, as `X`         | `!` and its lower case: `!x` |
| `_`                                  | `!_`                       |
| `~`, only first, of a hidden name    | itself                     |

If the part of the result before its first `.` is a name that Windows keeps for a device (`con`, `prn`, `aux`,
`nul`, `com0` … `com9`, `lpt0` … `lpt9`), then `!!` is put before the whole.  No other encoded name begins with
`!!`.  An encoded name has at most 195 bytes, so that `refs/` and it have at most 200.  Decoding accepts exactly
what encoding produces.
"""

from __future__ import annotations

import re
import unicodedata
from string import ascii_lowercase, ascii_uppercase, digits
from typing import Final

from casreg.exceptions import InvalidNameError

MAX_ENCODED_BYTES: Final = 195
"""The longest encoded name; with `refs/` before it a key has at most 200 bytes."""

_SEGMENT: Final = r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?"
_SEGMENT_UNDERSCORE: Final = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_NAME: Final = re.compile(rf"{_SEGMENT}(?::{_SEGMENT})*")
_NAME_UNDERSCORE: Final = re.compile(rf"{_SEGMENT_UNDERSCORE}(?::{_SEGMENT_UNDERSCORE})*")
_HIDDEN: Final = re.compile(r"~[a-z](?:[a-z0-9-]*[a-z0-9])?")
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?")
_ENCODED_UNIT: Final = re.compile(r"![a-z_]|[a-z0-9.~_-]")
_ENCODED: Final = str.maketrans(
    {":": "_", "_": "!_", **{upper: "!" + upper.lower() for upper in ascii_uppercase}}
)
_DECODED: Final = {
    **{plain: plain for plain in ascii_lowercase + digits + ".~-"},
    **{"!" + lower: lower.upper() for lower in ascii_lowercase},
    "_": ":",
    "!_": "_",
}
_RULE: Final = (
    "a name is segments joined by ':', each of ASCII letters, digits, '.' and '-', "
    "beginning and ending with a letter or digit"
)


def check_name(name: str, *, allow_underscore: bool = False) -> str:
    """Return `name` as a plain `str` if it is a name that a user may give.

    With `allow_underscore` an underscore counts as a letter, in any place.

    Raises:
        InvalidNameError: It is not a name, or its key would be longer than storages take. The message has the
            rule and, where there is one, a spelling that would do.
    """
    if not isinstance(name, str):
        raise InvalidNameError(f"a name must be a str such as 'my:model', not {type(name).__name__}")
    text = str.__str__(name)
    grammar = _NAME_UNDERSCORE if allow_underscore else _NAME
    if not grammar.fullmatch(text):
        raise InvalidNameError(_refusal(text))
    size = _encoded_size(text)
    if size > MAX_ENCODED_BYTES:
        raise InvalidNameError(
            f"the name {_shown(text)} is too long: {size} bytes in its key, {MAX_ENCODED_BYTES} are possible "
            "(an upper-case letter or an underscore takes two); choose a shorter one"
        )
    return text


def parse_key(key: str, *, allow_underscore: bool = False) -> tuple[str, str | None]:
    """Split `name` or `name@version`; the version (or tag, or range) comes back unchecked, None if not given.

    Raises:
        InvalidNameError: The name is not one, there is more than one `@`, or nothing stands behind it.
    """
    if not isinstance(key, str):
        raise InvalidNameError(
            f"a name must be a str such as 'my:model' or 'my:model@1.0.0', not {type(key).__name__}"
        )
    name, at, version = str.__str__(key).partition("@")
    if at and (not version or "@" in version):
        raise InvalidNameError(
            f"{_shown(key)} is not name@version: write it as 'my:model@1.0.0', with one '@'"
        )
    return check_name(name, allow_underscore=allow_underscore), version if at else None


def hidden_name(kind: str, ident: str) -> str:
    """The hidden name `~<kind>-<ident>`, for refs that casreg keeps for itself; no user can give it.

    Raises:
        InvalidNameError: The parts hold anything but lower-case ASCII letters, digits and inner `-`, or the name
            is too long. A mistake of the program, not of its user.
    """
    name = f"~{kind}-{ident}"
    if not _HIDDEN.fullmatch(name) or len(name) > MAX_ENCODED_BYTES:
        raise InvalidNameError(
            f"{_shown(name)} is no hidden name: '~', then lower-case letters, digits and '-'"
        )
    return name


def is_hidden(name: str) -> bool:
    """Whether `name` is one of casreg's own, which listings leave out."""
    return name.startswith("~")


def encode_name(name: str) -> str:
    """The spelling of `name` in a key, as the module's docstring says. Underscores and hidden names are fine.

    Raises:
        InvalidNameError: It is not a name, or too long.
    """
    if not _HIDDEN.fullmatch(name):
        check_name(name, allow_underscore=True)
    encoded = _encode(name)
    if len(encoded) > MAX_ENCODED_BYTES:
        raise InvalidNameError(f"the name {_shown(name)} is too long: choose a shorter one")
    return encoded


def decode_name(encoded: str) -> str | None:
    """The name whose encoding is exactly `encoded`; None if there is none, so that strangers are left alone."""
    if len(encoded) > MAX_ENCODED_BYTES:
        return None
    body = encoded.removeprefix("!!")
    # What is no unit falls out here, and then the name does not encode to the same again.
    name = "".join([_DECODED[unit] for unit in _ENCODED_UNIT.findall(body)])
    is_name = _HIDDEN.fullmatch(name) or _NAME_UNDERSCORE.fullmatch(name)
    return name if is_name and _encode(name) == encoded else None


def _encode(name: str) -> str:
    encoded = name.translate(_ENCODED)
    return f"!!{encoded}" if _DEVICE.fullmatch(encoded) else encoded


def _encoded_size(name: str) -> int:
    return len(_encode(name))


def _shown(text: str) -> str:
    """`text` for a message: quoted, control characters escaped, and cut where it is very long."""
    return repr(text) if len(text) <= 80 else f"{text[:60]!r}… ({len(text)} characters)"


def _refusal(text: str) -> str:
    if not text:
        return f"a name cannot be empty: {_RULE}"
    proposal = _proposal(text)
    hint = f"; write {proposal!r}?" if proposal else ""
    if _NAME_UNDERSCORE.fullmatch(text):
        hint += " (or open the registry with allow_underscore=True)"
    return f"{_shown(text)} is not a name: {_RULE}{hint}"


def _proposal(text: str) -> str:
    """The nearest correct spelling; empty where nothing of the text is left, or too much."""
    plain = unicodedata.normalize("NFKD", text[:300]).encode("ascii", "ignore").decode()
    segments = (re.sub(r"[^A-Za-z0-9.-]+", "-", part).strip(".-") for part in re.split(r"[:/\\]+", plain))
    proposal = ":".join(segment for segment in segments if segment)
    return proposal if _encoded_size(proposal) <= MAX_ENCODED_BYTES else ""
