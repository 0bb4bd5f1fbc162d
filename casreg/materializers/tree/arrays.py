"""numpy inside containers: arrays in files of their own, scalars and dtypes in the JSON."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, cast

from casreg.materializers.npy import dtype_of_text, text_of_dtype
from casreg.materializers.numpy_array import plain_array
from casreg.materializers.tree.scalars import encode_int, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

# Whose values JSON writes as numbers, exactly: every float16 and float32 is a double.
_NUMBERS: Final = re.compile(r"bool|u?int(8|16|32|64)|float(16|32|64)|complex(64|128)")


def encode_array(encoder: Encoder, value: Any) -> JSON:
    """An array, in a .npy file of its own."""
    with encoder.located():
        array = plain_array(value)
    return encoder.encode_large(array)


def decode_array(decoder: Decoder, node: JSON) -> object:
    """What `encode_array` tags."""
    at = decoder.begin_shared()
    value = decoder.read_array(node)
    decoder.end_shared(at, value)
    return value


def encode_scalar(encoder: Encoder, value: Any) -> JSON:
    """A numpy scalar: numbers and text legible, others as an array without dimensions."""
    import numpy as np  # heavy

    name = value.dtype.name
    if type(value) is np.str_:
        return {"$scalar": ["str", encoder.encode(str(value))]}
    if type(value) is np.bytes_:  # an element of an array loses the zeros at its end
        return {"$scalar": ["bytes", encoder.encode(bytes(value))]}
    if _NUMBERS.fullmatch(name) and type(value) is np.dtype(name).type:
        item = value.item()
        encoded = encode_int(encoder, item) if type(item) is int else encoder.encode(item)
        return {"$scalar": [name, encoded]}
    if isinstance(value, np.datetime64 | np.timedelta64) and type(value) in (np.datetime64, np.timedelta64):
        return {"$scalar": [value.dtype.str, encode_int(encoder, int(value.view(np.int64)))]}
    return {"$scalar": ["array", encoder.add_array(np.asarray(value))]}


def decode_scalar(decoder: Decoder, node: JSON) -> object:
    """What `encode_scalar` tags."""
    import numpy as np  # heavy

    name, item = decoder.items(node, 2)
    text = decoder.text(name)
    if text == "array":
        array = decoder.read_array(item)
        if array.ndim != 0:
            decoder.fail("an array without dimensions", array.shape)
        return array[()]
    value = decoder.decode(item)
    if text == "str":
        return np.str_(decoder.text(cast("JSON", value)))
    if text == "bytes":
        if type(value) is not bytes:
            decoder.fail("bytes", item)
        return np.bytes_(value)
    if re.fullmatch(r"[<>]?[mM]8(\[\d{0,9}[a-zA-Z]{1,7}\])?", text) and type(value) is int:
        return np.array(_int64(decoder, value), np.int64).view(dtype_of_text(text))[()]
    if not _NUMBERS.fullmatch(text):
        decoder.fail("the name of a numpy type", text)
    kind = np.dtype(text)
    if kind.kind == "c":
        if type(value) is not complex:
            decoder.fail("a complex number", item)
    elif kind.kind == "f":
        value = number(decoder, item)
    elif kind.kind == "b":
        if type(value) is not bool:
            decoder.fail("a bool", item)
    elif type(value) is not int or not np.iinfo(kind).min <= value <= np.iinfo(kind).max:
        decoder.fail(f"a value of {text}", item)
    with np.errstate(all="ignore"):
        return kind.type(value)


def _int64(decoder: Decoder, value: int) -> int:
    if not -(1 << 63) <= value < 1 << 63:
        decoder.fail("an integer of 64 bits", value)
    return value


def encode_dtype(encoder: Encoder, value: Any) -> JSON:
    """A dtype of numbers, text, bytes or times."""
    # The dtype itself is harmless; arrays of it are refused where they are met.
    text = "object" if value.hasobject and value.names is None else text_of_dtype(value)
    if text is None:
        encoder.refuse(f"the dtype {value!r} is stored only with an array of it")
    return {"$dtype": text}


def decode_dtype(decoder: Decoder, node: JSON) -> object:
    """What `encode_dtype` tags."""
    import numpy as np  # heavy

    text = decoder.text(node)
    return np.dtype(object) if text == "object" else dtype_of_text(text)


def find_own(cls: type) -> Callable[[Encoder, Any], JSON] | None:
    """The encoder for a class that is numpy's own, subclasses of its arrays aside."""
    if cls.__module__.partition(".")[0] != "numpy":
        return None
    found = find_encoder(cls)
    return None if found is encode_array and cls.__qualname__ != "ndarray" else found


def find_encoder(cls: type) -> Callable[[Encoder, Any], JSON] | None:
    """The encoder for a class of numpy's, found by names so that numpy is not imported for other values."""
    for base in cls.__mro__:
        if base.__module__.partition(".")[0] == "numpy":
            found = _BY_NAME.get(base.__qualname__)
            if found is not None:
                return found
    return None


_BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = {
    "ndarray": encode_array,
    "generic": encode_scalar,
    "dtype": encode_dtype,
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$array": decode_array,
    "$scalar": decode_scalar,
    "$dtype": decode_dtype,
}
