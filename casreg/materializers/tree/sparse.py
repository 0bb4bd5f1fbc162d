"""scipy's compressed sparse matrices: three arrays and a shape, checked before compiled code follows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from casreg.exceptions import MaterializationError

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_CLASSES: Final = {
    "csr_matrix": "scipy.sparse._csr.csr_matrix",
    "csr_array": "scipy.sparse._csr.csr_array",
    "csc_matrix": "scipy.sparse._csc.csc_matrix",
    "csc_array": "scipy.sparse._csc.csc_array",
}


def encode_sparse(encoder: Encoder, value: Any) -> JSON:
    """Data, indices and pointers as they are in memory, unsorted if they are."""
    if len(value.shape) != 2:
        encoder.refuse("a sparse array that is not two-dimensional cannot be stored; save `it.todense()`")
    arrays = [encoder.encode_large(part) for part in (value.data, value.indices, value.indptr)]
    return {"$sparse": [type(value).__name__, [int(n) for n in value.shape], *arrays]}


def decode_sparse(decoder: Decoder, node: JSON) -> object:
    """What `encode_sparse` tags.

    Raises:
        MaterializationError: Indices or pointers are out of range: compiled code would follow them.
    """
    from scipy import sparse  # heavy

    name, shape, *parts = decoder.items(node, 5)
    size = decoder.items(shape, 2)
    if name not in tuple(_CLASSES) or not all(type(n) is int and 0 <= n < 1 << 62 for n in size):
        decoder.fail("a sparse matrix and its shape", [name, shape])
    data, indices, pointers = (decoder.array(part) for part in parts)
    if (
        indices.dtype.kind != "i"
        or pointers.dtype.kind != "i"
        or {data.ndim, indices.ndim, pointers.ndim} != {1}
    ):
        decoder.fail("three arrays of a sparse matrix", name)
    try:
        made = getattr(sparse, name)((data, indices, pointers), shape=tuple(size), copy=False)
        made.check_format(full_check=True)
    except (ValueError, TypeError, OverflowError) as err:
        raise MaterializationError(f"the stored arrays are not a sparse matrix: {err}") from err
    if made.indices.size < made.indptr[-1] or made.data.size < made.indptr[-1]:
        decoder.fail("as many values as the pointers say", int(made.indptr[-1]))
    return cast("object", made)


BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = dict.fromkeys(_CLASSES.values(), encode_sparse)

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {"$sparse": decode_sparse}
