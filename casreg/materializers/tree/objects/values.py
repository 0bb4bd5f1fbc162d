"""Values that objects of scikit-learn keep among their attributes, and containers do not."""

from __future__ import annotations

import base64
import binascii
import functools
import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from casreg.materializers.npy import dtype_of_text, text_of_dtype
from casreg.materializers.numpy_array import plain_array
from casreg.materializers.tree.objects.names import CALLABLES, TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_SMALL_BYTES: Final = 256
"""Arrays of objects up to here stand in the JSON: a forest has hundreds of them, of a few numbers each."""


def encode_array(encoder: Encoder, value: Any) -> JSON:
    """An array among the attributes of an object: small ones in the JSON, and Python's values one by one."""
    with encoder.located():
        array = plain_array(value)
    if array.dtype.hasobject and array.dtype.names is None:
        with encoder.inside(value):
            items = [encoder.child(item, f"[{at}]") for at, item in enumerate(array.ravel().tolist())]
        return {"$objects": [list(array.shape), items]}
    text = text_of_dtype(array.dtype)
    if text is None or array.nbytes > _SMALL_BYTES:
        return encoder.encode_large(array)
    fortran = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
    data = array.tobytes("F" if fortran else "C")
    return {"$small": [text, list(array.shape), fortran, base64.b64encode(data).decode("ascii")]}


def decode_small(decoder: Decoder, node: JSON) -> object:
    """What `encode_array` tags as `$small`."""
    import numpy as np  # heavy

    text, shape, fortran, data = decoder.items(node, 4)
    dtype, dimensions = dtype_of_text(decoder.text(text)), _shape(decoder, shape)
    try:
        raw = bytearray(base64.b64decode(decoder.text(data), validate=True))
    except (binascii.Error, ValueError):
        decoder.fail("base64", data)
    if len(raw) != dtype.itemsize * math.prod(dimensions) or type(fortran) is not bool:
        decoder.fail("as many bytes as the array has", node)
    order = "F" if fortran else "C"
    if not raw:
        return np.empty(dimensions, dtype, order=cast("Any", order))
    return np.frombuffer(raw, dtype).reshape(dimensions, order=cast("Any", order))


def decode_objects(decoder: Decoder, node: JSON) -> object:
    """What `encode_array` tags as `$objects`."""
    import numpy as np  # heavy

    shape, items = decoder.items(node, 2)
    dimensions = _shape(decoder, shape)
    values = decoder.decode_list(items)
    if math.prod(dimensions) != len(values):
        decoder.fail("as many values as the array has", len(values))
    flat = np.empty(len(values), dtype=object)
    # One by one: numpy would take apart those that are sequences.
    for at, value in enumerate(values):
        flat[at] = value
    return flat.reshape(dimensions)


def _shape(decoder: Decoder, node: JSON) -> tuple[int, ...]:
    shape = tuple(decoder.items(node))
    if len(shape) > 32 or not all(type(n) is int and 0 <= n < 1 << 40 for n in shape):
        decoder.fail("the shape of an array", node)
    return cast("tuple[int, ...]", shape)


def encode_masked(encoder: Encoder, value: Any) -> JSON:
    """A masked array (of results of a search): data, mask, fill value."""
    fill = value.fill_value
    return {
        "$masked": [
            encoder.child(value.data, ".data"),
            encoder.child(value.mask, ".mask"),
            encoder.child(fill.item() if hasattr(fill, "item") else fill, ".fill_value"),
        ]
    }


def decode_masked(decoder: Decoder, node: JSON) -> object:
    """What `encode_masked` tags."""
    import numpy as np  # heavy

    data, mask, fill = (decoder.decode(one) for one in decoder.items(node, 3))
    if (
        not isinstance(data, np.ndarray)
        or not isinstance(mask, np.ndarray | np.bool_)
        or mask.dtype != np.bool_
    ):
        decoder.fail("an array and its mask", node)
    if isinstance(mask, np.ndarray) and mask.shape != data.shape:
        decoder.fail("a mask of the shape of its array", mask.shape)
    try:
        return np.ma.MaskedArray(data, cast("Any", mask), fill_value=cast("Any", fill))
    except (TypeError, ValueError, OverflowError):
        decoder.fail("a value that fills the masked places", fill)


def encode_type(encoder: Encoder, value: Any) -> JSON:  # noqa: RET503 - refuse() raises
    """One of the classes that stand as values, such as `dtype=numpy.float64`."""
    name = f"{value.__module__}.{value.__qualname__}"
    if TYPES.get(name) is value:
        return {"$type": name}
    import numpy as np  # heavy, and imported by whoever has objects with such attributes

    if (
        value.__module__ == "numpy"
        and issubclass(value, np.generic)
        and not issubclass(value, np.object_ | np.void)
    ):
        return {"$type": f"numpy.{np.dtype(value).name}"}
    encoder.refuse(f"the class {name} as a value is code, which is not stored")


def decode_type(decoder: Decoder, node: JSON) -> object:
    """What `encode_type` tags."""
    import numpy as np  # heavy

    name = decoder.text(node)
    if name in TYPES:
        return TYPES[name]
    kinds = {
        f"numpy.{np.dtype(kind).name}": kind for kind in set(np.sctypeDict.values()) - {np.object_, np.void}
    }
    if name not in kinds:
        decoder.fail("a class that may stand as a value", name)
    return kinds[name]


def encode_callable(encoder: Encoder, value: Any) -> JSON:  # noqa: RET503 - refuse() raises
    """A function of the closed table."""
    for name in CALLABLES:
        module, _, attribute = name.rpartition(".")
        if (
            attribute == getattr(value, "__name__", None)
            and getattr(import_module(module), attribute, None) is value
        ):
            return {"$callable": name}
    encoder.refuse(f"the function {value!r} is code, which is not stored; use a function of numpy, or a name")


def decode_callable(decoder: Decoder, node: JSON) -> object:
    """What `encode_callable` tags."""
    name = decoder.text(node)
    if name not in CALLABLES:
        decoder.fail("a function of the table", name)
    module, _, attribute = name.rpartition(".")
    return cast("object", getattr(import_module(module), attribute))


def encode_partial(encoder: Encoder, value: Any) -> JSON:
    """A function of the table with some of its arguments."""
    return {
        "$partial": [
            encoder.child(value.func, ".func"),
            encoder.child(value.args, ".args"),
            encoder.child(value.keywords, ".keywords"),
        ]
    }


def decode_partial(decoder: Decoder, node: JSON) -> object:
    """What `encode_partial` tags."""
    function, arguments, keywords = (decoder.decode(one) for one in decoder.items(node, 3))
    if not callable(function) or type(arguments) is not tuple or type(keywords) is not dict:
        decoder.fail("a function and its arguments", node)
    return functools.partial(function, *arguments, **keywords)


def encode_slice(encoder: Encoder, value: Any) -> JSON:
    """A slice of integers."""
    return {"$slice": [encoder.encode(one) for one in (value.start, value.stop, value.step)]}


def decode_slice(decoder: Decoder, node: JSON) -> slice:
    """What `encode_slice` tags."""
    start, stop, step = (decoder.decode(one) for one in decoder.items(node, 3))
    if any(type(one) not in (int, str, type(None)) for one in (start, stop, step)):
        decoder.fail("the bounds of a slice", node)
    return slice(start, stop, step)


def encode_bunch(encoder: Encoder, value: Any) -> JSON:
    """scikit-learn's dict with attributes."""
    return {"$Bunch": encoder.encode(dict(value))}


def decode_bunch(decoder: Decoder, node: JSON) -> object:
    """What `encode_bunch` tags."""
    from sklearn.utils import Bunch  # heavy

    found = decoder.decode(node)
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        decoder.fail("a dict with names for keys", node)
    return cast("object", Bunch(**found))


ENCODERS: Final[dict[type, Callable[[Encoder, Any], JSON]]] = {
    slice: encode_slice,
    type: encode_type,
    functools.partial: encode_partial,
}

BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = {
    "numpy.ndarray": encode_array,
    "numpy.ma.MaskedArray": encode_masked,
    "numpy.ma.core.MaskedArray": encode_masked,
    "numpy.ufunc": encode_callable,
    "numpy._ArrayFunctionDispatcher": encode_callable,
    "builtins.function": encode_callable,
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$small": decode_small,
    "$objects": decode_objects,
    "$masked": decode_masked,
    "$type": decode_type,
    "$callable": decode_callable,
    "$partial": decode_partial,
    "$slice": decode_slice,
    "$Bunch": decode_bunch,
}
