"""The safetensors format: headers written and read here, byte for byte, data never copied.

Source: the format's description in the README of https://github.com/huggingface/safetensors: eight bytes of length,
a JSON object of names to dtype, shape and offsets, then the data without gaps. The library builds the whole file
in memory, or on disk, and keeps no order of its own; here the tensors' own memory is what is stored, names keep
their order, and a hostile header meets a strict grammar before anything is allocated for it.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import orjson

from casreg.exceptions import MaterializationError, NoMaterializerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from casreg.materializers.base import InFolder
    from casreg.materializers.npy import Array

SIZES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("F64", "I64", "U64", "C64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0"), 1),
}
"""The dtypes of the format that casreg writes, and the bytes of one element."""

_ALIGN: Final = 64
_MAX_HEADER: Final = 100_000_000  # the format's own limit
_MAX_DIMENSIONS: Final = 64
_METADATA: Final = "__metadata__"


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the data of one tensor are.

    Attributes:
        dtype: A key of `SIZES`.
        shape: The dimensions.
        start: The first byte, counted from the end of the header.
        stop: The byte after the last one.
    """

    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Header:
    """What the header of a file says.

    Attributes:
        slots: Name to place, in the order of the header.
        metadata: Names to texts.
        size: Bytes of the header itself; the data begin there.
    """

    slots: Mapping[str, Slot]
    metadata: Mapping[str, str]
    size: int


def can_name(name: str) -> bool:
    """Whether a tensor can have this name."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return name != _METADATA


def placed(shapes: Mapping[str, tuple[str, Sequence[int]]]) -> dict[str, Slot]:
    """Give each tensor, named with its dtype and shape, its place in the data.

    Larger elements lie first, so that all are aligned, and among equals the order is the given one. No place depends on
    values: a model whose last layers were trained on differs from the old one in their bytes only.
    """
    slots: dict[str, Slot] = {}
    at = 0
    for name in sorted(shapes, key=lambda name: -SIZES[shapes[name][0]]):
        dtype, shape = shapes[name]
        stop = at + math.prod(shape) * SIZES[dtype]
        slots[name] = Slot(dtype, tuple(shape), at, stop)
        at = stop
    return {name: slots[name] for name in shapes}


def header(slots: Mapping[str, Slot], metadata: Mapping[str, str]) -> bytes:
    """The header of a file: the same arguments give the same bytes, a multiple of 64 of them.

    Raises:
        NoMaterializerError: There are more tensors than a header can name; or this machine is big-endian.
    """
    _refuse_big_endian(NoMaterializerError)
    entries: dict[str, object] = {_METADATA: dict(sorted(metadata.items()))} if metadata else {}
    for name, slot in slots.items():
        entries[name] = {"dtype": slot.dtype, "shape": slot.shape, "data_offsets": (slot.start, slot.stop)}
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    length = -(-(8 + len(text)) // _ALIGN) * _ALIGN - 8
    if length > _MAX_HEADER:
        raise NoMaterializerError(
            f"{len(slots)} tensors are too many for one safetensors header; split the dict"
        )
    return length.to_bytes(8, "little") + text.ljust(length)


def read_header(data: memoryview) -> Header:
    """Read the header of `data`, a whole file.

    Raises:
        MaterializationError: It is not a header of the format, or the data have another size than it says; or this
            machine is big-endian.
    """
    _refuse_big_endian(MaterializationError)
    length = int.from_bytes(data[:8], "little")
    if length > min(data.nbytes - 8, _MAX_HEADER):
        raise MaterializationError(
            "the stored safetensors header is longer than its file, or than any may be"
        )
    try:
        found = orjson.loads(data[8 : 8 + length])
    except orjson.JSONDecodeError as err:
        raise MaterializationError(f"the stored safetensors header is not JSON: {err}") from err
    if not isinstance(found, dict):
        raise MaterializationError("the stored safetensors header is not a JSON object")
    metadata = found.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise MaterializationError("the metadata of the stored safetensors header are not names and texts")
    slots = {name: _slot(name, entry) for name, entry in found.items()}
    _check_places(slots, data.nbytes - 8 - length)
    return Header(slots, metadata, 8 + length)


def check_truth(slot: Slot, data: Array) -> None:
    """See that truth values among `data`, all bytes behind the header, are 0 or 1: others are read in undefined ways.

    Raises:
        MaterializationError: They are not.
    """
    if slot.dtype == "BOOL" and slot.start < slot.stop and data[slot.start : slot.stop].max() > 1:
        raise MaterializationError("a stored tensor of truth values has others than 0 and 1")


def only_safetensors(folder: InFolder) -> str:
    """The path of the one file that the version is; it may have been saved as a `Path`, under any name.

    Raises:
        MaterializationError: It holds other files, or more than one.
    """
    if len(folder.paths) == 1 and folder.paths[0].endswith(".safetensors"):
        return folder.paths[0]
    raise MaterializationError(
        f"the version should be one safetensors file, but holds {list(folder.paths)[:5]}"
    )


def _slot(name: str, entry: object) -> Slot:
    if isinstance(entry, dict) and set(entry) == {"dtype", "shape", "data_offsets"}:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if (
            isinstance(dtype, str)
            and dtype in SIZES
            and _are_sizes(shape)
            and len(shape) <= _MAX_DIMENSIONS
            and _are_sizes(offsets)
            and len(offsets) == 2
            and math.prod(shape) * SIZES[dtype] == offsets[1] - offsets[0]
        ):
            return Slot(dtype, tuple(shape), *offsets)
    raise MaterializationError(f"the stored safetensors header has a tensor {name!r:.80} that cannot be")


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 62 for n in value)


def _check_places(slots: Mapping[str, Slot], total: int) -> None:
    """See that the tensors fill the data, one after the other."""
    at = 0
    for slot in sorted(slots.values(), key=lambda slot: (slot.start, slot.stop)):
        if slot.start != at:
            raise MaterializationError("tensors of the stored safetensors file overlap, or leave a gap")
        at = slot.stop
    if at != total:
        raise MaterializationError(
            f"the stored safetensors header speaks of {at} bytes of data, but {total} are stored"
        )


def _refuse_big_endian(error: type[MaterializationError | NoMaterializerError]) -> None:
    if sys.byteorder != "little":
        raise error("safetensors files are little-endian, and this machine is not; convert on another one")
