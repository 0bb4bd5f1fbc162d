"""Numbers, bytes, text and the like, in JSON that loses nothing."""

from __future__ import annotations

import array
import base64
import binascii
import math
import re
import sys
import uuid
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

EXACT_INT: Final = 1 << 53
"""Readers of JSON that know only doubles hold integers exactly up to here."""
_INLINE_BYTES: Final = 4096
_DECIMAL_BITS: Final = (
    4096  # beyond, decimal digits cost quadratic time, and Python refuses above 4,300 of them
)
_INT: Final = re.compile(r"-?(0x)?[0-9a-f]+")
_CODES: Final = "bBhHiIlLqQfd"
_SPECIAL: Final = ("nan", "inf", "-inf")


def encode_plain(_: Encoder, value: Any) -> JSON:
    """None, True and False."""
    return cast("JSON", value)


def encode_int(_: Encoder, value: Any) -> JSON:
    """An integer; as a string beyond 2^53."""
    if -EXACT_INT <= value <= EXACT_INT:
        return cast("int", value)
    return {"$int": str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)}


def decode_int(decoder: Decoder, node: JSON) -> int:
    """What `encode_int` tags."""
    text = decoder.text(node)
    found = _INT.fullmatch(text)
    if found is None:
        decoder.fail("an integer", text)
    try:
        return int(text, 16 if found[1] else 10)
    except ValueError:
        decoder.fail("an integer", text)


def encode_float(_: Encoder, value: Any) -> JSON:
    """A float; NaN and the infinities, which JSON has not, by name."""
    return cast("float", value) if math.isfinite(value) else {"$float": repr(value)}


def decode_float(decoder: Decoder, node: JSON) -> float:
    """What `encode_float` tags."""
    text = decoder.text(node)
    if text not in _SPECIAL:
        decoder.fail("nan, inf or -inf", text)
    return float(text)  # a new one each time: two NaN are two keys of a dict, one NaN is one


def encode_str(_: Encoder, value: Any) -> JSON:
    """A string; as bytes if it has lone surrogates, which UTF-8 has not."""
    return cast("str", value) if is_text(value) else {"$str": _to64(value.encode("utf-8", "surrogatepass"))}


def decode_str(decoder: Decoder, node: JSON) -> str:
    """What `encode_str` tags."""
    try:
        return _from64(decoder, node).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        decoder.fail("UTF-8 with surrogates", node)


def is_text(value: str) -> bool:
    """`value` has no lone surrogates."""
    if value.isascii():
        return True
    try:
        value.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def encode_bytes(encoder: Encoder, value: Any) -> JSON:
    """Bytes: short ones in base64, long ones in a file."""
    return {"$bytes": _bytes(encoder, value)}


def decode_bytes(decoder: Decoder, node: JSON) -> bytes:
    """What `encode_bytes` tags."""
    return bytes(_read_bytes(decoder, node))


def encode_bytearray(encoder: Encoder, value: Any) -> JSON:
    """As bytes, and writable when they come back."""
    return {"$bytearray": _bytes(encoder, value)}


def decode_bytearray(decoder: Decoder, node: JSON) -> bytearray:
    """What `encode_bytearray` tags."""
    return bytearray(_read_bytes(decoder, node))


def encode_complex(encoder: Encoder, value: Any) -> JSON:
    """Real and imaginary part."""
    return {"$complex": [encode_float(encoder, value.real), encode_float(encoder, value.imag)]}


def decode_complex(decoder: Decoder, node: JSON) -> complex:
    """What `encode_complex` tags."""
    real, imag = (number(decoder, one) for one in decoder.items(node, 2))
    return complex(real, imag)


def number(decoder: Decoder, node: JSON) -> float:
    """A float, tagged or not; some writers of JSON make 1 of 1.0."""
    value = decoder.decode(node)
    if type(value) is not float and type(value) is not int:
        decoder.fail("a number", node)
    return float(value)


def decode_decimal(decoder: Decoder, node: JSON) -> Decimal:
    """A decimal, digit for digit, from its text."""
    try:
        return Decimal(decoder.text(node))
    except InvalidOperation:
        decoder.fail("a decimal number", node)


def decode_fraction(decoder: Decoder, node: JSON) -> Fraction:
    """A fraction from its numerator and denominator."""
    top, bottom = (decoder.decode(one) for one in decoder.items(node, 2))
    if type(top) is not int or type(bottom) is not int or bottom < 1:
        decoder.fail("a numerator and a denominator", node)
    return Fraction(top, bottom)


def decode_uuid(decoder: Decoder, node: JSON) -> uuid.UUID:
    """A UUID from its text."""
    try:
        return uuid.UUID(decoder.text(node))
    except ValueError:
        decoder.fail("a UUID", node)


def decode_range(decoder: Decoder, node: JSON) -> range:
    """A range from start, stop and step."""
    start, stop, step = (decoder.decode(one) for one in decoder.items(node, 3))
    if type(start) is not int or type(stop) is not int or type(step) is not int or step == 0:
        decoder.fail("start, stop and step", node)
    return range(start, stop, step)


def _bytes(encoder: Encoder, value: bytes | bytearray) -> JSON:
    return _to64(value) if len(value) <= _INLINE_BYTES else {"file": encoder.add_bytes(value)}


def _read_bytes(decoder: Decoder, node: JSON) -> bytes | memoryview:
    if type(node) is dict and set(node) == {"file"}:
        return decoder.read_bytes(node["file"])
    return _from64(decoder, node)


def _to64(data: bytes | bytearray) -> str:
    return base64.b64encode(data).decode("ascii")


def _from64(decoder: Decoder, node: JSON) -> bytes:
    try:
        return base64.b64decode(decoder.text(node), validate=True)
    except (binascii.Error, ValueError):
        decoder.fail("base64", node)


def encode_numbers(encoder: Encoder, value: Any) -> JSON:
    """An array of the module `array`: type code, bytes of an item (which differ between systems), items in bytes."""
    if value.typecode not in _CODES:
        encoder.refuse(
            f"an array of type code {value.typecode!r} cannot be stored; save `it.tounicode()` or a list of its items"
        )
    data = value
    if sys.byteorder == "big":
        data = value[:]
        data.byteswap()
    return {"$numbers": [value.typecode, value.itemsize, _bytes(encoder, data.tobytes())]}


def decode_numbers(decoder: Decoder, node: JSON) -> array.array[Any]:
    """What `encode_numbers` tags."""
    code, size, data = decoder.items(node, 3)
    if type(code) is not str or len(code) != 1 or code not in _CODES:
        decoder.fail("the type code of an array", code)
    found = array.array(code)
    raw = _read_bytes(decoder, data)
    if size != found.itemsize or len(raw) % found.itemsize:
        decoder.fail(f"items of {found.itemsize} bytes, as {code!r} has on this system", size)
    found.frombytes(raw)
    if sys.byteorder == "big":
        found.byteswap()
    return found


ENCODERS: Final[dict[type, Callable[[Encoder, Any], JSON]]] = {
    type(None): encode_plain,
    bool: encode_plain,
    int: encode_int,
    float: encode_float,
    str: encode_str,
    bytes: encode_bytes,
    bytearray: encode_bytearray,
    complex: encode_complex,
    Decimal: lambda _, value: {"$decimal": str(value)},
    Fraction: lambda e, value: {
        "$fraction": [encode_int(e, value.numerator), encode_int(e, value.denominator)]
    },
    uuid.UUID: lambda _, value: {"$uuid": str(value)},
    array.array: encode_numbers,
    range: lambda e, value: {"$range": [encode_int(e, one) for one in (value.start, value.stop, value.step)]},
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$int": decode_int,
    "$float": decode_float,
    "$str": decode_str,
    "$bytes": decode_bytes,
    "$bytearray": decode_bytearray,
    "$complex": decode_complex,
    "$decimal": decode_decimal,
    "$fraction": decode_fraction,
    "$uuid": decode_uuid,
    "$range": decode_range,
    "$numbers": decode_numbers,
}
