"""The .npy format, versions 1.0, 2.0 and 3.0: headers written byte for byte here, data never copied.

Source: NEP 1 and the docstring of `numpy.lib.format`.  The header is built here and not by numpy so that the
same array gives the same bytes under every release of numpy (numpy pads for growth since 1.24), and read here
so that a hostile header meets a strict grammar before numpy sees any of it.
"""

from __future__ import annotations

import ast
import contextlib
import math
import re
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from casreg.exceptions import MaterializationError, NoMaterializerError

if TYPE_CHECKING:
    import numpy as np

Array: TypeAlias = "np.ndarray[Any, np.dtype[Any]]"

_MAGIC: Final = b"\x93NUMPY"
_ALIGN: Final = 64
_MAX_HEADER: Final = 1 << 20
_MAX_DIMENSIONS: Final = 32  # numpy 1's limit: what is saved loads under both numpy 1 and 2
_SIMPLE: Final = re.compile(
    r"[<>|=]?(?:\?|b1|[biufcmMSUV]\d{1,9})(?:\[\d{0,9}[a-zA-Zμ]{1,7}(?:/\d{1,9})?\])?"
)


@dataclass(frozen=True, slots=True)
class Header:
    """What a .npy header says.

    Attributes:
        dtype: The element type; never one with Python objects, never of size 0.
        shape: The dimensions.
        fortran: The data is in column-major order.
        size: Bytes of the header itself; the data begins there.
    """

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    size: int


def parts(array: Array) -> tuple[bytes, memoryview | None]:
    """The header, and the data of `array` as one contiguous run of bytes (None if there is none).

    The data is a view of the array's own memory if it is contiguous in either order, else of one copy.

    Raises:
        NoMaterializerError: The dtype has Python objects, or would not come back as it is.
    """
    import numpy as np  # heavy

    descr = _described(array.dtype)
    fortran = bool(array.flags.f_contiguous and not array.flags.c_contiguous)
    header = _header(descr, array.shape, fortran=fortran)
    if array.size == 0:
        return header, None
    if _has_padding(array.dtype):
        array = _without_padding(array)
    flat = array.T if fortran else np.ascontiguousarray(array)
    # As bytes: the buffer protocol knows neither datetime64 nor big-endian casts.
    raw: Any = flat.reshape(-1).view(np.uint8)
    return header, memoryview(raw)


def read_header(data: memoryview, total: int) -> Header:
    """Read the header at the start of `data`, of a file of `total` bytes.

    Raises:
        MaterializationError: It is not a header that `parts` writes, or the data has another size than it says.
    """
    descr, fortran, shape, size = _parsed(data)
    dtype = _dtype_of(descr)
    if dtype.itemsize * math.prod(shape) != total - size:
        raise MaterializationError(
            f"the .npy header says {shape} elements of {dtype}, but {total - size} bytes of data are stored"
        )
    return Header(dtype, shape, fortran, size)


def array_of(data: memoryview) -> Array:
    """The array in `data`, a whole .npy file in a writable buffer. Nothing is copied: the array is a view of it.

    Raises:
        MaterializationError: `data` is not what `parts` writes.
    """
    import numpy as np  # heavy

    header = read_header(data, data.nbytes)
    if 0 in header.shape:
        try:
            return np.empty(header.shape, header.dtype, order="F" if header.fortran else "C")
        except ValueError as err:  # (2**60, 0): nothing to store, and still more than numpy can address
            raise MaterializationError(f"the stored .npy header has a shape that cannot be: {err}") from err
    raw = np.frombuffer(data, dtype=np.uint8)[header.size :].view(header.dtype)
    if header.fortran:
        return raw.reshape(header.shape[::-1]).T
    return raw.reshape(header.shape)


def _described(dtype: np.dtype[Any]) -> object:
    """The `descr` of a dtype that would come back exactly."""
    import numpy as np  # heavy
    from numpy.lib import format as npy_format

    if dtype.hasobject:
        raise NoMaterializerError(
            "an array of Python objects can only be pickled; convert it to a plain dtype (`array.astype('U')` for "
            "text), or save it with `allow_pickle=True`"
        )
    plain = dtype.names is not None or (dtype.kind in "biufcmMSUV?" and dtype.type.__module__ == "numpy")
    exact = plain and dtype.metadata is None and dtype.itemsize > 0 and dtype.type is not np.record
    if exact:
        with contextlib.suppress(ValueError, MaterializationError):  # not describable: said below
            descr: object = npy_format.dtype_to_descr(dtype)
            if _dtype_of(descr) == dtype:
                return descr
    raise NoMaterializerError(
        f"arrays of dtype {dtype!r} do not fit the .npy format exactly; convert with `array.astype(...)` to a plain "
        f"dtype first"
    )


def _has_padding(dtype: np.dtype[Any]) -> bool:
    """Some bytes of an element are memory of no meaning, which differs from process to process."""
    if dtype.names is not None:
        fields = [dtype[name] for name in dtype.names]
        return sum(field.itemsize for field in fields) < dtype.itemsize or any(
            _has_padding(f.base) for f in fields
        )
    return dtype.char in "gG" and dtype.isnative and _extended()


def _extended() -> bool:
    """`longdouble` is the 80-bit format of x86, in 12 or 16 bytes."""
    import numpy as np  # heavy

    return bool(np.finfo(np.longdouble).nmant == 63)


def _without_padding(array: Array) -> Array:
    """A copy in the same memory order whose padding is zeros."""
    import numpy as np  # heavy

    # Not zeros_like, which clears the fields and leaves what is between them.
    clean = np.zeros(array.shape, array.dtype, order="F" if array.flags.f_contiguous else "C")
    _copy_fields(array, clean)
    return clean


def _copy_fields(source: Array, target: Array) -> None:
    import numpy as np  # heavy

    for name in source.dtype.names or ():
        _copy_fields(source[name], target[name])
    if source.dtype.names is None:
        target[...] = source
        if source.dtype.char in "gG" and source.dtype.isnative and _extended():
            size = np.dtype(np.longdouble).itemsize
            raw = target[..., np.newaxis].view(np.uint8)  # a new last axis, of the bytes of an element
            for start in range(0, raw.shape[-1], size):
                raw[..., start + 10 : start + size] = 0


def _header(descr: object, shape: tuple[int, ...], *, fortran: bool) -> bytes:
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {tuple(int(n) for n in shape)!r}, }}"
    try:
        body, version = text.encode("latin-1"), 1
    except UnicodeEncodeError:
        body, version = text.encode("utf-8"), 3
    prefix = 10 if version == 1 else 12
    padded = -(-(prefix + len(body) + 1) // _ALIGN) * _ALIGN
    if version == 1 and padded - prefix > 0xFFFF:
        version, prefix = 2, 12
        padded = -(-(prefix + len(body) + 1) // _ALIGN) * _ALIGN
    if padded > _MAX_HEADER:
        raise NoMaterializerError("the dtype has too many fields for a .npy header; split the array")
    length = struct.pack("<H" if version == 1 else "<I", padded - prefix)
    return _MAGIC + bytes((version, 0)) + length + body.ljust(padded - prefix - 1) + b"\n"


def _parsed(data: memoryview) -> tuple[object, bool, tuple[int, ...], int]:
    start = bytes(data[:12])
    version = start[6] if len(start) == 12 and start[:6] == _MAGIC and start[7] == 0 else 0
    if version not in (1, 2, 3):
        raise MaterializationError(
            "the stored array does not begin with the magic of a .npy file of version 1 to 3"
        )
    prefix = 10 if version == 1 else 12
    length = int.from_bytes(start[8:prefix], "little")
    if prefix + length > min(data.nbytes, _MAX_HEADER):
        raise MaterializationError(
            "the stored .npy header is longer than its file, or than any that is written"
        )
    try:
        text = str(data[prefix : prefix + length], "utf-8" if version == 3 else "latin-1")
        found = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as err:
        raise MaterializationError(f"the stored .npy header cannot be read: {err}") from err
    if not isinstance(found, dict) or set(found) != {"descr", "fortran_order", "shape"}:
        raise MaterializationError("the stored .npy header is not the dict of descr, fortran_order and shape")
    shape, fortran = found["shape"], found["fortran_order"]
    if type(fortran) is not bool or not _is_shape(shape):
        raise MaterializationError(
            f"the stored .npy header has a shape or order that cannot be: {str(shape)[:80]}"
        )
    return found["descr"], fortran, shape, prefix + length


def _is_shape(shape: object) -> bool:
    if type(shape) is not tuple or len(shape) > _MAX_DIMENSIONS:
        return False
    return (
        all(type(n) is int and 0 <= n < 1 << 62 for n in shape) and math.prod(n for n in shape if n) < 1 << 62
    )


def _dtype_of(descr: object) -> np.dtype[Any]:
    """The dtype that a `descr` of the strict grammar means."""
    from numpy.lib import format as npy_format

    _check_descr(descr, 0)
    try:
        dtype = npy_format.descr_to_dtype(descr)  # type: ignore[arg-type]  # what is none is refused
    except (ValueError, TypeError, KeyError, OverflowError, SyntaxError) as err:
        raise MaterializationError(f"the stored .npy header has an unusable dtype: {err}") from err
    if dtype.hasobject or dtype.itemsize == 0 or dtype.subdtype is not None:
        raise MaterializationError(f"the stored .npy header has a dtype that is never written: {dtype}")
    return dtype


def _check_descr(descr: object, depth: int) -> None:
    if isinstance(descr, str) and _SIMPLE.fullmatch(descr):
        return
    if isinstance(descr, list) and depth < 8 and descr:
        for field in descr:
            if not isinstance(field, tuple) or len(field) not in (2, 3) or not _is_field_name(field[0]):
                break
            if len(field) == 3 and not (_is_shape(field[2]) and math.prod(field[2]) < 1 << 31):
                break
            _check_descr(field[1], depth + 1)
        else:
            return
    raise MaterializationError(f"the stored .npy header has a dtype that is never written: {str(descr)[:80]}")


def _is_field_name(name: object) -> bool:
    if isinstance(name, tuple):
        return len(name) == 2 and all(isinstance(one, str) for one in name)
    return isinstance(name, str)


def text_of_dtype(dtype: np.dtype[Any]) -> str | None:
    """The text of an unstructured dtype, from which `dtype_of_text` makes it again, or None."""
    text = dtype.str
    if dtype.metadata is not None or dtype.names is not None or not _SIMPLE.fullmatch(text):
        return None
    try:
        return text if dtype_of_text(text) == dtype else None
    except MaterializationError:
        return None


def dtype_of_text(text: str) -> np.dtype[Any]:
    """The unstructured dtype that `text` names.

    Raises:
        MaterializationError: It names none that is ever stored.
    """
    if not _SIMPLE.fullmatch(text):
        raise MaterializationError(f"the stored dtype {text[:80]!r} is none that is ever written")
    return _dtype_of(text)
