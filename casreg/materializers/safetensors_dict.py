"""Dicts of numpy arrays as one safetensors file, for whoever wants that form; and such files as dicts of arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.npy import parts
from casreg.materializers.safetensors_format import (
    Slot,
    can_name,
    check_truth,
    header,
    only_safetensors,
    placed,
    read_header,
)

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder
    from casreg.materializers.npy import Array

FILE: Final = "data.safetensors"
_DTYPES: Final = {
    **{f"<{kind}{size}": f"{kind.upper()}{8 * size}" for kind in "fiu" for size in (2, 4, 8)},
    "|i1": "I8",
    "|u1": "U8",
    "|b1": "BOOL",
    "<c8": "C64",
}
_NAMES: Final = {stored: name for name, stored in _DTYPES.items()}


class SafetensorsDict:
    """A `dict` of texts to numpy arrays in `data.safetensors`, if the caller names this materializer.

    Without that, dicts of arrays are JSON and `.npy` files, which hold more: all dtypes, memory orders, shared arrays.
    Here names, their order, values, dtypes and shapes come back, of the dtypes that the format and numpy both have.

    `load(name, materializer=SafetensorsDict)` also reads the safetensors file that was saved as a `Path`.
    """

    id: ClassVar[str] = "safetensors.dict/1"
    types: tuple[type | str, ...] = ()  # every dict of arrays has a nearer one

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        if type(obj) is not dict or not all(type(name) is str and can_name(name) for name in obj):
            raise NoMaterializerError(
                "only a dict of texts to numpy arrays can be saved as a safetensors file"
            )
        slots = placed({name: _form(name, array) for name, array in obj.items()})
        data = [
            parts(obj[name].reshape(-1))[1]
            for name in sorted(slots, key=lambda name: slots[name].start)
            if obj[name].size
        ]
        folder.add(FILE, header(slots, {}), *(one for one in data if one is not None))

    def load(self, folder: InFolder, cls: type | None) -> dict[str, Array]:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        import numpy as np  # heavy

        path = only_safetensors(folder)
        raw: Any = np.empty(folder.size(path), np.uint8)
        folder.read_into(path, raw)
        found = read_header(memoryview(raw))
        data = raw[found.size :]
        return {name: _array(name, slot, data) for name, slot in found.slots.items()}


def _form(name: str, array: object) -> tuple[str, tuple[int, ...]]:
    """The dtype, in the words of the format, and the shape."""
    import numpy as np  # heavy

    if type(array) is not np.ndarray or array.dtype.str not in _DTYPES:
        what = array.dtype if isinstance(array, np.ndarray) else type(array).__qualname__
        raise NoMaterializerError(
            f"{name!r}: a safetensors file does not hold {what}; save the dict without `materializer=`, or convert it"
        )
    return _DTYPES[array.dtype.str], array.shape


def _array(name: str, slot: Slot, data: Array) -> Array:
    """One array, as a view of the file's data."""
    import numpy as np  # heavy

    if slot.dtype not in _NAMES:
        raise MaterializationError(
            f"numpy has no {slot.dtype}, which {name!r:.80} is; load with `materializer=TorchStateDict` for tensors"
        )
    dtype = np.dtype(_NAMES[slot.dtype])
    check_truth(slot, data)
    try:
        if slot.start == slot.stop:
            return np.empty(slot.shape, dtype)
        array = data[slot.start : slot.stop].view(dtype).reshape(slot.shape)
    except ValueError as err:
        raise MaterializationError(
            f"the stored array {name!r:.80} has a shape that cannot be: {err}"
        ) from err
    return array if array.flags.aligned else array.copy()  # other writers align less
