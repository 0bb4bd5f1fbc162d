"""Named tensors in a safetensors file: what the torch materializers share.

What the format has no word for stands as JSON in the header's metadata, under `casreg`: which tensors are parameters
or require gradients, which names share one tensor, and the dtypes that are stored as another one.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.safetensors_format import Slot, can_name, check_truth, header, placed, read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import torch

    from casreg.materializers.base import JSON, InFolder, OutFolder
    from casreg.materializers.npy import Array

_DTYPES: Final = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ",
    "float8_e8m0fnu": "F8_E8M0",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "uint8": "U8",
    "bool": "BOOL",
    "complex64": "C64",
}
_NAMES: Final = {stored: name for name, stored in _DTYPES.items()}
# What the format lacks: stored as this dtype, complex numbers with a last dimension of two, packed ones as bytes.
_DISGUISED: Final = {"complex128": ("F64", (2,)), "complex32": ("F16", (2,)), "float4_e2m1fn_x2": ("U8", ())}


@dataclass(frozen=True, slots=True)
class Notes:
    """What the header's metadata say beyond the format.

    Attributes:
        dtypes: The dtypes of tensors that are stored as another one.
        parameters: The tensors that are `torch.nn.Parameter`.
        requires_grad: The tensors that require gradients.
        shared: Names whose memory is that of another name.
        order: All names in order, where some are shared; else the header has them.
        container: `OrderedDict`, or `dict`.
        state: The `_metadata` of a state dict: modules to their versions.
    """

    dtypes: dict[str, str] = field(default_factory=dict)
    parameters: list[str] = field(default_factory=list)
    requires_grad: list[str] = field(default_factory=list)
    shared: dict[str, str] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    container: str = "dict"
    state: dict[str, JSON] | None = None

    def text(self) -> str:
        """As JSON, without what is as it is by default."""
        said = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(
            {name: value for name, value in said.items() if value != getattr(_NOTHING, name)},
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )


_NOTHING: Final = Notes()


def refusal(value: Any) -> str | None:
    """Why a tensor cannot be stored, with the way out; None if it can."""
    import torch  # heavy

    if type(value) is torch.nn.parameter.UninitializedParameter:
        return "a parameter that has no data yet cannot be saved; run the module once, so that it knows its shapes"
    if type(value) is not torch.Tensor and type(value) is not torch.nn.Parameter:
        return (
            f"a {dotted(type(value))} would come back as a plain torch.Tensor; `it.as_subclass(torch.Tensor)` says "
            f"that this is meant"
        )
    if value.is_nested:
        return "a nested tensor cannot be saved; save the list `list(it.unbind())`"
    if value.layout is not torch.strided:
        return (
            f"a tensor of the layout {value.layout} cannot be saved; save `it.to_dense()`, or a dict of its indices "
            f"and its values, and its shape"
        )
    if value.is_quantized:
        return "a quantized tensor cannot be saved; save `it.int_repr()` with its scale and zero point, or `it.dequantize()`"
    if value.device.type == "meta":
        return "a tensor on the device 'meta' has no data to be saved"
    name = _name(value.dtype)
    if name not in _DTYPES and name not in _DISGUISED:
        return f"a tensor of {value.dtype} does not fit the safetensors format; convert it with `it.to(...)` first"
    return None


def add_tensors(
    folder: OutFolder,
    path: str,
    tensors: Mapping[str, torch.Tensor],
    container: str = "dict",
    state: dict[str, JSON] | None = None,
) -> None:
    """Put `tensors` into the file `path`. Contiguous ones of the CPU are not copied.

    Names that share all of one tensor's memory are stored once. Other views are stored by their values.

    Raises:
        NoMaterializerError: One could not be loaded again; says which.
    """
    notes = Notes(container=container, state=state)
    kept: dict[str, torch.Tensor] = {}
    known: dict[object, str] = {}
    for name, tensor in tensors.items():
        why = refusal(tensor) if can_name(name) else "a tensor cannot have this name in a safetensors file"
        if why is not None:
            raise NoMaterializerError(f"{name!r}: {why}")
        first = known.setdefault(_memory(tensor), name)
        if first == name:
            kept[name] = tensor
        else:
            notes.shared[name] = first
        _note(notes, name, tensor)
    if notes.shared:
        notes.order.extend(tensors)
    slots = placed({name: _stored_as(tensor) for name, tensor in kept.items()})
    start = header(slots, {"format": "pt", "casreg": notes.text()})
    data = [
        _raw(kept[name]) for name in sorted(slots, key=lambda name: slots[name].start) if kept[name].numel()
    ]
    folder.add(path, start, *data)


def read_tensors(folder: InFolder, path: str) -> tuple[dict[str, torch.Tensor], Notes]:
    """The tensors of the file `path`, on the CPU, in the one buffer that the file was read into.

    Each has a storage of its own, so that saving one elsewhere saves no other.

    Raises:
        MaterializationError: The file is not one that `add_tensors` writes.
    """
    import numpy as np  # heavy

    # Not folder.read: numpy's allocator aligns large arrays and uses huge pages for them.
    raw: Any = np.empty(folder.size(path), np.uint8)
    folder.read_into(path, raw)
    found = read_header(memoryview(raw))
    notes = _notes(found.metadata)
    data = raw[found.size :]
    try:
        tensors = {name: _tensor(slot, notes.dtypes.get(name), data) for name, slot in found.slots.items()}
        return _finished(tensors, notes), notes
    except (
        RuntimeError,
        ValueError,
        TypeError,
        OverflowError,
    ) as err:  # what torch says of shapes that cannot be
        if isinstance(err, MaterializationError):
            raise
        raise MaterializationError(f"the stored tensors cannot be made: {err}") from err


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _memory(tensor: torch.Tensor) -> object:
    """What makes two tensors one: the same bytes, read in the same way."""
    if tensor.numel() == 0:
        return id(tensor)
    way = (tensor.dtype, tensor.shape, tensor.stride(), tensor.is_conj(), tensor.is_neg())
    return (tensor.device, tensor.data_ptr(), way)


def _note(notes: Notes, name: str, tensor: torch.Tensor) -> None:
    import torch  # heavy

    if type(tensor) is torch.nn.Parameter:
        notes.parameters.append(name)
    if tensor.requires_grad:
        notes.requires_grad.append(name)
    if _name(tensor.dtype) in _DISGUISED:
        notes.dtypes[name] = _name(tensor.dtype)


def _stored_as(tensor: torch.Tensor) -> tuple[str, tuple[int, ...]]:
    name = _name(tensor.dtype)
    stored, more = _DISGUISED.get(name) or (_DTYPES[name], ())
    return stored, (*tensor.shape, *more)


def _raw(tensor: torch.Tensor) -> memoryview:
    """The bytes of a tensor that has any, in C order: a view of its own memory where that is so already."""
    import torch  # heavy

    plain = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous()
    # Not reshape(-1): one element of a larger tensor keeps its stride, and is contiguous nevertheless.
    raw: Array = plain.as_strided((plain.numel(),), (1,)).view(torch.uint8).numpy()
    return memoryview(cast("Any", raw))


def _notes(metadata: Mapping[str, str]) -> Notes:
    try:
        found = orjson.loads(metadata.get("casreg", "{}"))
    except orjson.JSONDecodeError as err:
        raise MaterializationError(
            f"casreg's notes in the stored safetensors header are not JSON: {err}"
        ) from err
    if not isinstance(found, dict) or not set(found) <= set(Notes.__slots__):
        raise MaterializationError(
            "casreg's notes in the stored safetensors header are none that are ever written"
        )
    for name, value in found.items():
        wanted = getattr(_NOTHING, name)
        texts = list(value.values()) if name in ("dtypes", "shared") and isinstance(value, dict) else value
        fits = isinstance(value, dict) if wanted is None else type(value) is type(wanted)
        if not fits or (
            wanted is not None and not all(isinstance(text, str) for text in cast("Iterable[Any]", texts))
        ):
            raise MaterializationError(
                f"casreg's notes in the stored safetensors header have {name!r} of another form than is ever written"
            )
    return Notes(**found)


def _tensor(slot: Slot, name: str | None, data: Array) -> torch.Tensor:
    """One tensor, as a view of the file's data."""
    import torch  # heavy

    shape = slot.shape
    if name is not None:
        stored, more = _DISGUISED.get(name, (None, ()))
        if slot.dtype != stored or (more and shape[-1:] != more):
            raise MaterializationError(
                f"a stored tensor of {slot.dtype} and {shape} cannot be one of {name!r:.80}"
            )
        shape = shape[: len(shape) - len(more)]
    dtype = getattr(torch, name or _NAMES[slot.dtype], None)
    if dtype is None:
        raise MaterializationError(
            f"this torch has no dtype {name or _NAMES[slot.dtype]}; load with a newer one"
        )
    if slot.start == slot.stop:
        return torch.empty(shape, dtype=dtype)
    check_truth(slot, data)
    raw: Any = data[slot.start : slot.stop]
    if raw.ctypes.data % dtype.itemsize:
        # Other writers align less, and complex128 stands where float64 may. By numpy: torch has no care for where a
        # tensor starts, and its own copy of such a complex128 ends the process now and then.
        raw = raw.copy()
    flat = torch.frombuffer(raw, dtype=dtype, count=math.prod(shape))
    return flat.reshape(shape)


def _finished(plain: dict[str, torch.Tensor], notes: Notes) -> dict[str, torch.Tensor]:
    """All names in their order, what is shared as one tensor, and parameters as such."""
    import torch  # heavy

    names = notes.order if notes.shared else list(plain)
    known = set(plain) | set(notes.shared)
    fits = len(names) == len(known) == len(plain) + len(notes.shared) and set(names) == known
    if not fits or not set(notes.shared.values()) <= set(plain):
        raise MaterializationError("the names in the stored safetensors header do not fit each other")
    parameters, gradients = set(notes.parameters), set(notes.requires_grad)
    made: dict[tuple[str, bool, bool], torch.Tensor] = {}
    for name in names:
        key = (notes.shared.get(name, name), name in parameters, name in gradients)
        if key not in made:
            # Of the same memory, also where one of two sharers is no parameter.
            tensor = plain[key[0]].detach()
            made[key] = torch.nn.Parameter(tensor, key[2]) if key[1] else tensor.requires_grad_(key[2])
    return {name: made[notes.shared.get(name, name), name in parameters, name in gradients] for name in names}
