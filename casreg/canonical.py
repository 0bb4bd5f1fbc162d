r"""Strict JSON: what is written can be read back without loss, by anybody, and equal values give equal bytes.

The JSON that casreg writes is UTF-8 without white space, object keys sorted by code point, no key twice, every
number finite, every integer between -(2**53 - 1) and 2**53 - 1 (I-JSON, RFC 7493), at most 200 containers inside
each other.  Strings are escaped only where they must be (`\b \t \n \f \r \" \\`, else `\u001f` in lower
case); floats are spelt as Python's `repr` spells them: the fewest digits that come back as the same float, with an
exponent below 1e-4 and from 1e16 on (`1e-07`, `1e+16`).  Readers accept other white space, order of keys and
spelling of numbers, and refuse the rest.  Nobody ever writes a document again to check it: digests are over bytes
as stored.

**Sealed** documents are those that change: refs, `gc/head`, `casreg.json`.  Let B be the document, a non-empty
object without `sum`, as `dump` gives it.  Stored is B without its last byte (the `}`), then `,"sum":"`, the
BLAKE3 of B as 64 lower-case hexadecimal characters, then `"}` and a newline.  So a reader cuts the last 75 bytes
off, puts a `}` there, and compares digests before it parses anything.
"""

from __future__ import annotations

import json
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final

import orjson

from casreg.digest import digest_of, to_hex
from casreg.exceptions import CorruptError, InvalidMetadataError, UnsupportedFormatError

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT: Final = 1
"""The number of the stored format that this casreg writes and reads."""

KNOWN_REQUIREMENTS: Final[frozenset[str]] = frozenset()
"""The words of `requires` that this casreg understands; format 1 begins with none."""

MAX_INTEGER: Final = 2**53 - 1
MAX_DEPTH: Final = 200

_OPTIONS: Final = (
    orjson.OPT_SORT_KEYS
    | orjson.OPT_STRICT_INTEGER
    | orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_SUM_HEAD: Final = b',"sum":"'
_SUM_TAIL: Final = b'"}\n'
_SUFFIX_BYTES: Final = len(_SUM_HEAD) + 64 + len(_SUM_TAIL)
_SCALARS: Final = frozenset({str, int, bool, type(None)})

# Between these all releases of orjson, and Python's repr, spell floats alike: without an exponent.
_LEAST_PLAIN: Final = 1e-4
_BEYOND_PLAIN: Final = 1e16

_REFUSED: Final = 0
_PLAIN: Final = 1
_SPELT: Final = 2


def dump(value: object, what: str = "value") -> bytes:
    """The canonical bytes of a JSON value: dict with str keys, list, str, int, float, bool, None, nothing else.

    Exact types only: a tuple, an enum or a `numpy.float64` would come back as something else.

    Args:
        value: What to write.
        what: The name of the value, for messages.

    Raises:
        InvalidMetadataError: JSON cannot hold the value without loss. The message has the path to the first
            offending part, as in `metadata.scores[3] is NaN`.
    """
    look = _look(value)
    if look != _REFUSED:
        try:
            return orjson.dumps(value if look == _PLAIN else _spelt(value), option=_OPTIONS)
        except TypeError as err:  # integers out of range, lone surrogates
            raise InvalidMetadataError(_first_fault(value, what) or f"{what}: {err}") from err
    raise InvalidMetadataError(_first_fault(value, what) or f"{what} cannot be written as JSON")


def load(data: bytes) -> Any:
    """Read one strict JSON document.

    Raises:
        ValueError: It is no JSON (bytes that are not UTF-8, NaN, Infinity and trailing data included), has a
            key twice in one object, an integer beyond 2**53 - 1 or a float beyond what 64 bits hold, or is
            nested too deeply.
    """
    value = orjson.loads(data)
    if _depth_exceeds(value, MAX_DEPTH):
        raise ValueError(f"nested more than {MAX_DEPTH} deep")
    if not _is_plainly_strict(value, data):
        # orjson keeps the last of two equal keys, and makes floats of very large integers: look slowly.
        json.loads(data, object_pairs_hook=_refuse_duplicates, parse_int=_refuse_large)
    return value


def seal(body: dict[str, Any], what: str = "document") -> bytes:
    """The stored bytes of a mutable document: `body`, which has no `sum` yet and is not empty, and its `sum`.

    Raises:
        InvalidMetadataError: As `dump`.
    """
    assert body, "an empty object cannot be sealed"
    assert "sum" not in body, "sealed already"
    plain = dump(body, what)
    return b"".join((plain[:-1], _SUM_HEAD, to_hex(digest_of(plain)).encode(), _SUM_TAIL))


def unseal(data: bytes, what: str) -> dict[str, Any]:
    """The document inside sealed bytes, without `sum`, after its digest was compared.

    Args:
        data: All bytes as stored.
        what: The name of the document (its key, and where), for messages.

    Raises:
        CorruptError: The end is not that of a sealed document, the digest differs, or it is not a strict JSON
            object.
    """
    cut = len(data) - _SUFFIX_BYTES
    if cut < 2 or data[cut : cut + len(_SUM_HEAD)] != _SUM_HEAD or data[-len(_SUM_TAIL) :] != _SUM_TAIL:
        raise _damaged(
            what,
            "it does not end in its checksum, so it is cut short, or was not written by this format of casreg",
        )
    plain = data[:cut] + b"}"
    stored = data[cut + len(_SUM_HEAD) : -len(_SUM_TAIL)]
    if to_hex(digest_of(plain)).encode() != stored:
        raise _damaged(what, "its checksum does not match its bytes")
    try:
        body: dict[str, Any] = load(plain)  # it ends in a brace: an object, or no JSON
    except ValueError as err:
        raise _damaged(what, f"it is no strict JSON ({err})") from err
    if not body or "sum" in body:
        raise _damaged(what, "it is not a JSON object with something in it and one `sum`")
    return body


def check_format(body: Mapping[str, Any], what: str) -> None:
    """See that `format` is one that this casreg reads.

    Raises:
        CorruptError: There is no number in `format`.
        UnsupportedFormatError: It is another number.
    """
    number = body.get("format")
    if type(number) is not int:
        raise _damaged(what, "it has no format number")
    if number != FORMAT:
        raise UnsupportedFormatError(
            f"{what} has format {number}, this casreg reads format {FORMAT}: upgrade casreg to use it"
        )


def check_requires(body: Mapping[str, Any], what: str) -> tuple[str, ...]:
    """The words in `requires`, all of them known. Whoever does not know one must neither write nor collect.

    Raises:
        CorruptError: `requires` is not a list of words.
        UnsupportedFormatError: It has a word that this casreg does not know; the message names it.
    """
    words = body.get("requires")
    if not isinstance(words, list) or not all(type(word) is str for word in words):
        raise _damaged(what, "its `requires` is not a list of words")
    unknown = [word for word in words if word not in KNOWN_REQUIREMENTS]
    if unknown:
        named = ", ".join(map(repr, unknown))
        raise UnsupportedFormatError(
            f"{what} requires {named}, which this casreg does not know: upgrade casreg to use it"
        )
    return tuple(words)


def _damaged(what: str, why: str) -> CorruptError:
    return CorruptError(f"{what} is damaged: {why}. Restore this file from another copy of the repository")


def _look(value: object) -> int:
    """Whether `dump` may hand `value` to orjson, which itself still refuses large integers and bad strings.

    Depth first, so that a list that holds itself ends at the limit of depth instead of growing.
    """
    look = _PLAIN
    stack: list[tuple[Any, int]] = [([value], 0)]
    while stack:
        container, depth = stack.pop()
        if depth > MAX_DEPTH:
            return _REFUSED
        for child in container.values() if type(container) is dict else container:
            kind = type(child)
            if kind in _SCALARS:
                continue
            if kind is dict or kind is list:
                stack.append((child, depth + 1))
            elif kind is not float or not isfinite(child):
                return _REFUSED
            elif child and not _LEAST_PLAIN <= abs(child) < _BEYOND_PLAIN:
                look = _SPELT
    return look


def _spelt(value: Any) -> Any:
    """`value` with the spelling of those floats fixed that orjson's releases spell in different ways.

    (`1e16` up to 3.11, `1e+16` in 3.13.) Without this an update of the library would give the same content
    another identity.
    """
    kind = type(value)
    if kind is float and value and not _LEAST_PLAIN <= abs(value) < _BEYOND_PLAIN:
        return orjson.Fragment(repr(value))
    if kind is list:
        return [_spelt(child) for child in value]
    return {key: _spelt(child) for key, child in value.items()} if kind is dict else value


def _first_fault(root: object, what: str) -> str | None:
    """What is wrong with `root`, in words that begin with the path to it; None if nothing is."""
    stack: list[tuple[Any, str, int]] = [(root, what, 1)]
    while stack:
        value, path, depth = stack.pop()
        fault = _fault(value, path, depth)
        if fault is not None:
            return fault
        stack.extend((child, below, depth + 1) for child, below in reversed(_children(value, path)))
    return None


def _children(value: object, path: str) -> list[tuple[Any, str]]:
    """The parts of a container with their paths, in order; nothing for a scalar."""
    if type(value) is list:
        return [(child, f"{path}[{i}]") for i, child in enumerate(value)]
    if type(value) is dict:
        return [
            (child, f"{path}.{key}" if key.isidentifier() else f"{path}[{key!r}]")
            for key, child in value.items()
        ]
    return []


def _fault(value: object, path: str, depth: int) -> str | None:
    """What is wrong with `value` itself, whatever its children are."""
    if type(value) is not dict and type(value) is not list:
        return _fault_of_scalar(value, path)
    if depth > MAX_DEPTH:
        return f"{path[:60]}… is nested more than {MAX_DEPTH} deep"
    return _fault_of_keys(value, path) if type(value) is dict else None


def _fault_of_scalar(value: Any, path: str) -> str | None:
    kind = type(value)
    if kind is str:
        return (
            f"{path} holds a lone surrogate, which UTF-8 has no bytes for" if _has_surrogate(value) else None
        )
    if kind is int:
        fault = f"{path} is an integer beyond 2**53 - 1, which JSON readers round; write it as a str"
        return fault if abs(value) > MAX_INTEGER else None
    if kind is float:
        named = "NaN" if isnan(value) else "infinite"
        return (
            None
            if isfinite(value)
            else f"{path} is {named}, which JSON cannot hold; leave it out or use None"
        )
    return None if kind in _SCALARS else f"{path} is of type {_type_name(kind)}; {_way_out(value)}"


def _fault_of_keys(value: dict[Any, Any], path: str) -> str | None:
    for key in value:
        if type(key) is not str:
            return f"{path} has the key {key!r:.80} of type {_type_name(type(key))}; keys of JSON objects are str"
        if _has_surrogate(key):
            return f"{path} has the key {key!r:.80} with a lone surrogate, which UTF-8 has no bytes for"
    return None


def _type_name(kind: type) -> str:
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _way_out(value: object) -> str:
    for plain in (bool, int, float, str, dict):
        if isinstance(value, plain):
            return f"write {plain.__name__}(…)"
    if hasattr(value, "tolist"):  # numpy's scalars and arrays, and what is like them
        return "write x.tolist()"
    if isinstance(value, (tuple, set, frozenset)):
        return "write list(…)"
    return "JSON has dict, list, str, int, float, bool and None"


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text) if not text.isascii() else False


def _depth_exceeds(value: object, limit: int) -> bool:
    """Whether more than `limit` containers stand inside each other. `value` comes from a parser: a tree."""
    level: list[Any] = [value] if type(value) in (dict, list) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) is dict or type(child) is list
        ]
    return bool(level)


def _is_plainly_strict(value: object, data: bytes) -> bool:
    """Whether `data` is what orjson writes for `value`, in any order of keys: then no key stands there twice.

    True of everything that casreg wrote, and for a ref of 64 KB six times as fast as the slow look. False says
    nothing.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_STRICT_INTEGER) == data
    except TypeError:
        return False


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    keys: set[str] = set()
    for key, _ in pairs:
        if key in keys:
            raise ValueError(f"the key {key!r} stands twice in one object")
        keys.add(key)


def _refuse_large(digits: str) -> int:
    if len(digits) > 17 or abs(int(digits)) > MAX_INTEGER:
        raise ValueError(f"an integer beyond 2**53 - 1: {digits[:40]}")
    return int(digits)
