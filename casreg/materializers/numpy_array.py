"""numpy arrays of all plain dtypes: one .npy file that every numpy opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard

from casreg.exceptions import NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.npy import array_of, parts
from casreg.materializers.python_bytes import only_file

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder
    from casreg.materializers.npy import Array

FILE = "data.npy"


class NumpyArray:
    """`numpy.ndarray` in `data.npy`: dtype, byte order, shape and memory order come back, and it is writable.

    A `memmap` is saved by its values and comes back as an `ndarray`: where the bytes lay is no part of the value.
    A contiguous array is not copied on the way in, and no array is copied on the way out.
    """

    id: ClassVar[str] = "numpy.ndarray/1"
    types: tuple[type | str, ...] = ("numpy.ndarray",)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        add_array(folder, FILE, plain_array(obj))

    def load(self, folder: InFolder, cls: type | None) -> Array:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        only_file(folder, FILE)
        return read_array(folder, FILE)


def plain_array(obj: object) -> Array:
    """`obj` as the exact `ndarray` that would come back.

    Raises:
        NoMaterializerError: It is of a subclass with a meaning of its own (matrix, masked, record arrays).
    """
    import numpy as np  # heavy

    if type(obj) is np.ndarray:
        return obj
    if type(obj) is np.memmap:
        return obj.view(np.ndarray)
    if isinstance(obj, np.ma.MaskedArray):
        hint = "save its parts, as `{'data': it.data, 'mask': it.mask, 'fill_value': it.fill_value}`"
    elif isinstance(obj, np.recarray):
        hint = "`it.view(numpy.dtype((numpy.void, it.dtype)), numpy.ndarray)` is the same without attribute access"
    else:
        hint = "`numpy.asarray(it)` says that this is meant"
    raise NoMaterializerError(f"a {dotted(type(obj))} would come back as a plain numpy.ndarray; {hint}")


def is_array(value: object) -> TypeGuard[Array]:
    """`value` is a plain array."""
    import numpy as np  # heavy

    return type(value) is np.ndarray


def add_array(folder: OutFolder, path: str, array: Array) -> None:
    """Put `array` into the file `path`, uncopied if it is contiguous.

    Raises:
        NoMaterializerError: Its dtype would not come back.
    """
    header, data = parts(array)
    folder.add(path, header, *(() if data is None else (data,)))


def read_array(folder: InFolder, path: str) -> Array:
    """The array of the file `path`, in the buffer that the file was read into.

    Raises:
        MaterializationError: The file is not one that `add_array` writes.
    """
    import numpy as np  # heavy

    # Not folder.read: numpy's allocator aligns large arrays and uses huge pages for them.
    raw: Any = np.empty(folder.size(path), np.uint8)
    folder.read_into(path, raw)
    return array_of(memoryview(raw))
