"""Images of PIL: PNG where that keeps the mode, else the pixels as .npy; and what the image says of itself."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, ClassVar, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.numpy_array import add_array, read_array
from casreg.materializers.pil_pixels import MODES, image_of, pixels_of
from casreg.materializers.pil_png import PNG_MODES, read_png, write_png
from casreg.materializers.tree.files import dump, load

if TYPE_CHECKING:
    from collections.abc import Mapping

    from PIL import Image

    from casreg.materializers.base import InFolder, OutFolder

_PNG: Final = "image.png"
_NPY: Final = "pixels.npy"
_PALETTE: Final = "palette.bin"
_INFO: Final = "info.json"


class PilImage:
    """A `PIL.Image.Image` in `image.png` or `pixels.npy`, its `info` in `info.json` if it has any.

    Mode, size, pixels, palette and `info` come back. An image that was opened from a file is loaded and comes back as a
    plain `PIL.Image.Image`, which knows its file no more. The parameter `mode` is the image's, `palette` that of a
    palette which PNG does not hold.
    """

    id: ClassVar[str] = "pil.image/1"
    types: tuple[type | str, ...] = ("PIL.Image.Image",)
    parameters: tuple[str, ...] = ("mode", "palette")

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        image = _plain(obj)
        folder.params["mode"] = image.mode
        if image.mode in PNG_MODES and _fits_png(image):
            folder.add(_PNG, *write_png(image))
        else:
            add_array(folder, _NPY, pixels_of(image))
            if image.palette is not None and len(image.palette.palette):
                folder.params["palette"] = image.palette.mode
                folder.add(_PALETTE, bytes(image.palette.palette))
        if image.info:
            _add_info(image.info, folder)

    def load(self, folder: InFolder, cls: type | None) -> Image.Image:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        mode = folder.params.get("mode")
        if not isinstance(mode, str) or (mode not in PNG_MODES and mode not in MODES):
            raise MaterializationError(f"the stored image has a mode that is never written: {mode!r:.80}")
        own = [path for path in (_PNG, _NPY, _PALETTE) if path in folder.paths]
        if own == [_PNG]:
            image = read_png(io.BytesIO(folder.read(_PNG)), mode)
        elif own in ([_NPY], [_NPY, _PALETTE]):
            image = image_of(mode, read_array(folder, _NPY))
            _put_palette(image, folder)
        else:
            raise MaterializationError(
                f"the stored image should be {_PNG!r} or {_NPY!r}, but the version holds {list(folder.paths)[:5]}"
            )
        image.info = _info(folder, own)
        return image


def _plain(obj: Any) -> Image.Image:
    """A copy of `obj`, loaded, of the class that comes back.

    Raises:
        NoMaterializerError: It has several frames, cannot be read, or is of a class with a meaning of its own.
    """
    from PIL import Image, ImageFile

    if not isinstance(obj, ImageFile.ImageFile) and type(obj) is not Image.Image:
        raise NoMaterializerError(
            f"a {dotted(type(obj))} would come back as a plain PIL.Image.Image; `it.copy()` may be what is meant"
        )
    try:
        frames = getattr(obj, "n_frames", 1)
        image = obj.copy()
    except Exception as err:  # a format's reader raises what it likes
        raise NoMaterializerError(
            f"the image cannot be read ({type(err).__name__}: {err}); if it was opened from a file, save the file's Path"
        ) from err
    if frames > 1:
        raise NoMaterializerError(
            f"a {dotted(type(obj))} of {frames} frames would lose all but one; save the Path of its file, a list of its "
            f"frames (`[f.copy() for f in PIL.ImageSequence.Iterator(it)]`), or `it.copy()` for the present one"
        )
    if image.mode not in PNG_MODES and image.mode not in MODES:
        raise NoMaterializerError(
            f"an image of the mode {image.mode!r} cannot be saved; `it.convert('RGB')` can"
        )
    image.load()  # a palette that was put last is taken over only now
    return image


def _fits_png(image: Image.Image) -> bool:
    """Whether PNG holds it exactly: not an image without pixels, nor numbers for which the palette has no colour."""
    if 0 in image.size:
        return False
    if image.mode != "P":
        return True
    colours, more = divmod(len(image.palette.palette) if image.palette else 0, 3)
    if more or not 0 < colours <= 256 or image.palette is None or image.palette.mode != "RGB":
        return False
    highest: Any = image.getextrema()[1]
    return bool(highest < colours)


def _put_palette(image: Image.Image, folder: InFolder) -> None:
    mode = folder.params.get("palette")
    if (mode is None) != (_PALETTE not in folder.paths):
        raise MaterializationError(
            "the stored image has a palette without its mode, or the mode without the palette"
        )
    if mode is not None:
        data = bytes(folder.read(_PALETTE))
        if (
            mode not in ("RGB", "RGBA", "CMYK")
            or image.mode not in ("P", "PA")
            or len(data) > 256 * len(mode)
        ):
            raise MaterializationError(
                f"the stored image of mode {image.mode} cannot have a palette of {mode!r:.80}"
            )
        image.putpalette(data, mode)
        image.load()


def _add_info(info: Mapping[Any, Any], folder: OutFolder) -> None:
    """Store what the image says of itself; values of PIL's own classes as the plain ones that they extend."""
    try:
        dump({key: _simple(value) for key, value in info.items()}, folder, _INFO)
    except NoMaterializerError as err:
        raise NoMaterializerError(
            f"what the image says of itself cannot be stored; remove it from `image.info`, or make it plain: {err}"
        ) from err


def _simple(value: object) -> object:
    kind = dotted(type(value))
    if kind == "PIL.TiffImagePlugin.IFDRational":
        return float(value)  # type: ignore[arg-type]  # it is a number
    if kind == "PIL.PngImagePlugin.iTXt":
        return str(value)
    return tuple(map(_simple, value)) if type(value) is tuple else value


def _info(folder: InFolder, own: list[str]) -> dict[Any, Any]:
    if _INFO not in folder.paths:
        if len(folder.paths) > len(own):
            raise MaterializationError(
                f"the stored image has files that are none of it: {list(folder.paths)[:5]}"
            )
        return {}
    info = load(folder, _INFO, None, own)
    if type(info) is not dict:
        raise MaterializationError(f"{_INFO} should hold a dict, not a {dotted(type(info))}")
    return info
