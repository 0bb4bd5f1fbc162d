"""scipy's sparse matrices and arrays: their arrays and a shape, checked before compiled code follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from casreg.exceptions import MaterializationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.npy import Array
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_FORMATS: Final = ("csr", "csc", "bsr", "coo", "dia", "lil", "dok")
_NAMES: Final = tuple(f"{form}_{kind}" for form in _FORMATS for kind in ("matrix", "array"))


def encode_sparse(encoder: Encoder, value: Any) -> JSON:
    """The arrays as they are in memory, unsorted if they are; `lil` as rows of CSR, `dok` as sorted coordinates."""
    name = type(value).__name__
    shape: list[JSON] = [int(n) for n in value.shape]
    form = value.format
    if form == "dok":
        return {"$sparse": [name, shape, *_encode_dict(encoder, value.tocoo())]}
    if form == "lil":
        value = value.tocsr()
    if value.format == "coo":
        _same_type(encoder, value.coords)
        data = encoder.encode_large(value.data)
        coords: list[JSON] = [encoder.encode_large(one) for one in value.coords]
        return {"$sparse": [name, shape, data, coords, bool(value.has_canonical_format)]}
    if form == "dia":
        _same_type(encoder, (value.offsets,))
        if not _within(value.offsets, value.shape):
            encoder.refuse("a diagonal beyond the shape of the matrix is not stored; save `it.tocsr()`")
        return {"$sparse": [name, shape, *(encoder.encode_large(one) for one in (value.data, value.offsets))]}
    _same_type(encoder, (value.indices, value.indptr))
    arrays = [encoder.encode_large(part) for part in (value.data, value.indices, value.indptr)]
    return {"$sparse": [name, shape, *arrays]}


def _encode_dict(encoder: Encoder, coo: Any) -> list[JSON]:
    """Coordinates of a dict, sorted: the order of its keys means nothing."""
    import numpy as np  # heavy

    order = np.lexsort(coo.coords[::-1])
    data = encoder.encode_large(coo.data[order])
    return [data, [encoder.encode_large(one[order]) for one in coo.coords], False]


def decode_sparse(decoder: Decoder, node: JSON) -> object:
    """What `encode_sparse` tags.

    Raises:
        MaterializationError: Indices or pointers are out of range: compiled code would follow them.
    """
    name, *rest = decoder.items(node) or [None]
    shape, *parts = rest or [None]
    size = decoder.items(shape)
    if (
        name not in _NAMES
        or not size
        or not all(type(n) is int and 0 <= n < 1 << 62 for n in size)
        or (len(size) != 2 and name not in ("csr_array", "coo_array", "dok_array"))
    ):
        decoder.fail("a sparse matrix and its shape", [name, shape])
    form, kind = str(name).split("_")
    decode = _decode_coo if form in ("coo", "dok") else _decode_dia if form == "dia" else _decode_compressed
    stored = {"dok": "coo", "lil": "csr"}.get(form, form)
    try:
        made = decode(decoder, f"{stored}_{kind}", tuple(cast("list[int]", size)), parts)
    except (ValueError, TypeError, OverflowError, IndexError) as err:
        if isinstance(err, MaterializationError):
            raise
        raise MaterializationError(f"the stored arrays are not a sparse matrix: {err}") from err
    return cast("object", made if stored == form else made.asformat(form))


def _decode_compressed(decoder: Decoder, name: str, shape: tuple[int, ...], parts: list[JSON]) -> Any:
    """CSR, CSC and BSR."""
    from scipy import sparse  # heavy

    if len(parts) != 3:
        decoder.fail("three arrays of a sparse matrix", name)
    data, indices, pointers = (decoder.array(part) for part in parts)
    blocks = name.startswith("bsr")
    if (
        indices.dtype.kind != "i"
        or pointers.dtype.kind != "i"
        or (indices.ndim, pointers.ndim, data.ndim) != (1, 1, 3 if blocks else 1)
    ):
        decoder.fail("three arrays of a sparse matrix", name)
    if blocks and (0 in data.shape[1:] or shape[0] % data.shape[1] or shape[1] % data.shape[2]):
        decoder.fail(f"blocks that fill the shape {shape}", data.shape)
    _check_pointers(decoder, indices, pointers, data.shape[0], _bounds(name, shape, data.shape[1:]))
    made = getattr(sparse, name)((data, indices, pointers), shape=shape, copy=False)
    made.check_format(full_check=True)
    if indices.dtype == pointers.dtype and indices.dtype in _index_types():
        made.indices, made.indptr = indices, pointers  # scipy makes them narrower where it can
    return made


def _bounds(name: str, shape: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, int]:
    """How many rows of pointers there are, and what indices are below of (columns and rows, for CSC)."""
    if len(shape) == 1:
        return 1, shape[0]
    if name.startswith("bsr"):
        return shape[0] // block[0], shape[1] // block[1]
    return (shape[1], shape[0]) if name.startswith("csc") else (shape[0], shape[1])


def _check_pointers(
    decoder: Decoder, indices: Array, pointers: Array, values: int, bounds: tuple[int, int]
) -> None:
    """By ourselves: scipy's full check asks nothing of the pointers of a matrix that says to be empty."""
    rows, below = bounds
    if (
        pointers.size != rows + 1
        or pointers[0] != 0
        or not (pointers[1:] >= pointers[:-1]).all()
        or pointers[-1] > min(values, indices.size)
    ):
        decoder.fail("pointers of a sparse matrix that rise from 0 to the number of its values", "others")
    used = indices[: pointers[-1]]
    if used.size and not 0 <= used.min() <= used.max() < below:
        decoder.fail(f"indices of a sparse matrix that are below {below}", "others")


def _decode_coo(decoder: Decoder, name: str, shape: tuple[int, ...], parts: list[JSON]) -> Any:
    import numpy as np  # heavy
    from scipy import sparse

    if len(parts) != 3 or type(parts[2]) is not bool:
        decoder.fail("values, coordinates and whether they are canonical", name)
    data = decoder.array(parts[0])
    coords = tuple(decoder.array(one) for one in decoder.items(parts[1], len(shape)))
    if len({one.dtype for one in coords}) != 1:
        decoder.fail("coordinates of one type", name)
    for one, bound in zip(coords, shape, strict=True):
        if data.ndim != 1 or one.dtype not in _index_types() or one.shape != data.shape:
            decoder.fail("coordinates of each value", name)
        # By ourselves: scipy looks after it has cut them down to 32 bits.
        if one.size and not 0 <= one.min() <= one.max() < bound:
            decoder.fail("coordinates within the shape of a sparse matrix", shape)
    made = getattr(sparse, name)((data, coords), shape=shape, copy=False)
    made.coords = coords
    if parts[2]:
        order = np.lexsort(coords)
        same = [one[order][1:] == one[order][:-1] for one in coords]
        if np.logical_and.reduce(same).any():
            decoder.fail("no coordinate of a sparse matrix twice", name)
        made.has_canonical_format = True
    return made


def _decode_dia(decoder: Decoder, name: str, shape: tuple[int, ...], parts: list[JSON]) -> Any:
    from scipy import sparse  # heavy

    if len(parts) != 2:
        decoder.fail("two arrays of a sparse matrix", name)
    data, offsets = (decoder.array(part) for part in parts)
    if data.ndim != 2 or offsets.shape != data.shape[:1] or offsets.dtype not in _index_types():
        decoder.fail("diagonals and their offsets", name)
    if not _within(offsets, shape):
        decoder.fail("offsets within the shape of a sparse matrix", shape)
    made = getattr(sparse, name)((data, offsets), shape=shape, copy=False)
    made.offsets = offsets
    return made


def _within(offsets: Array, shape: tuple[int, ...]) -> bool:
    return not offsets.size or bool(-shape[0] <= offsets.min() <= offsets.max() <= shape[1])


def _same_type(encoder: Encoder, indices: tuple[Array, ...]) -> None:
    """Only 32 and 64 bits are known to scipy's compiled code, and only one of them at a time."""
    types = {one.dtype for one in indices}
    if len(types) > 1 or not types <= set(_index_types()):
        encoder.refuse(
            f"a sparse matrix with indices of {', '.join(map(str, types))} cannot be stored; use one of int32, int64"
        )


def _index_types() -> tuple[Any, ...]:
    import numpy as np  # heavy

    return np.dtype(np.int32), np.dtype(np.int64)


BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = {
    f"scipy.sparse._{name[:3]}.{name}": encode_sparse for name in _NAMES
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {"$sparse": decode_sparse}
