"""Pixels of images as arrays, byte for byte, for the modes that no image format holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError

if TYPE_CHECKING:
    from PIL import Image

    from casreg.materializers.npy import Array

MODES: Final = {
    **dict.fromkeys(("1", "L", "P"), ("|u1", 1)),
    **dict.fromkeys(("LA", "PA", "La"), ("|u1", 2)),
    **dict.fromkeys(("RGB", "YCbCr", "LAB", "HSV"), ("|u1", 3)),
    **dict.fromkeys(("RGBA", "RGBX", "RGBa", "CMYK"), ("|u1", 4)),
    **dict.fromkeys(("I;16", "I;16L", "I;16N"), ("<u2", 1)),
    "I;16B": (">u2", 1),
    "I": ("<i4", 1),
    "F": ("<f4", 1),
}
"""The dtype, and the bands of a pixel, of each mode that has an array. Images of mode `1` only if they are empty."""

_NATIVE: Final = ("I", "F", "I;16N")


def pixels_of(image: Image.Image) -> Array:
    """The pixels, of shape (height, width) or (height, width, bands), as PIL keeps them."""
    import numpy as np  # heavy

    dtype = np.dtype(MODES[image.mode][0])
    data = b"" if 0 in image.size else image.tobytes()
    array: Array = np.frombuffer(data, dtype.newbyteorder("=") if image.mode in _NATIVE else dtype)
    return array.astype(dtype, copy=False).reshape(_shape(image.mode, image.height, image.width))


def image_of(mode: str, array: Array) -> Image.Image:
    """The image with these pixels.

    Raises:
        MaterializationError: They are none of an image of this mode.
    """
    from PIL import Image

    dtype, _ = MODES[mode]
    fits = array.dtype.str == dtype and array.ndim >= 2 and array.shape == _shape(mode, *array.shape[:2])
    if not fits or (mode == "1" and array.size) or max(array.shape) >= 1 << 31:
        raise MaterializationError(
            f"an image of mode {mode!r} cannot have the stored pixels, {array.shape} of {array.dtype}"
        )
    size = (array.shape[1], array.shape[0])
    if 0 in size:
        return Image.new(mode, size)
    native: Any = array.astype(array.dtype.newbyteorder("="), copy=False) if mode in _NATIVE else array
    return Image.frombytes(mode, size, native.tobytes())


def _shape(mode: str, height: int, width: int) -> tuple[int, ...]:
    bands = MODES[mode][1]
    return (height, width) if bands == 1 else (height, width, bands)
