"""Copies of saved models whose arrays are well-formed and do not fit: other shapes, other numbers, swapped."""

from __future__ import annotations

import base64
import io
import json
import math
import random
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBERS: Final = (-1, 1, 2, 255, 1 << 20, (1 << 31) - 1, -(1 << 31), 1 << 62)


def bent(files: dict[str, bytes], times: int, seed: int) -> Iterator[dict[str, bytes]]:
    """Copies of `files` with one or two arrays or counts changed in each."""
    rng = random.Random(seed)
    for _ in range(times):
        copy = dict(files)
        for _ in range(rng.choice((1, 1, 2))):
            tree = json.loads(copy["model.json"])
            arrays = [path for path in copy if path.endswith(".npy")]
            places = list(_places(tree))
            at = rng.randrange(len(arrays) + len(places)) if arrays or places else None
            if at is None:
                break
            if at < len(arrays):
                found = np.load(io.BytesIO(copy[arrays[at]]))
                out = io.BytesIO()
                np.save(out, _changed(found, rng))
                copy[arrays[at]] = out.getvalue()
                continue
            holder, key = places[at - len(arrays)]
            holder[key] = _changed_node(holder[key], rng)
            copy["model.json"] = json.dumps(tree).encode()
        yield copy


def _places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Where small arrays and integers stand in a tree, those in arrays aside."""
    for key, item in list(node.items() if isinstance(node, dict) else enumerate(node)):
        if type(item) is int or (isinstance(item, dict) and "$small" in item):
            yield node, key
        elif isinstance(item, dict | list):
            yield from _places(item)


def _changed_node(node: Any, rng: random.Random) -> Any:
    if type(node) is int:
        return rng.choice((node + 1, node - 1, 0, 50, -1))  # large ones are a question of patience
    dtype, shape, fortran, data = node["$small"]
    array = np.frombuffer(base64.b64decode(data), dtype).reshape(shape, order="F" if fortran else "C")
    changed = _changed(array, rng)
    text = base64.b64encode(changed.tobytes()).decode()
    return {"$small": [changed.dtype.str, list(changed.shape), False, text]}


def _changed(array: Any, rng: random.Random) -> Any:
    kind = rng.randrange(7)
    if array.ndim and kind == 0:
        return np.ascontiguousarray(array[..., : array.shape[-1] // 2])
    if array.ndim and kind == 1:
        return np.ascontiguousarray(array[: len(array) // 2])
    if array.ndim and kind == 2:
        return np.concatenate([array, array])
    if kind == 3:
        return array.reshape(rng.choice(((-1,), (1, -1), (-1, 1)))) if array.size else array
    if kind == 4 and array.dtype.kind in "iuf":
        return array.astype(rng.choice(("<f8", "<f4", "<i8", "<i4")))
    changed = array.copy()
    if not math.prod(changed.shape):
        return changed
    flat = changed.reshape(-1)
    place = rng.randrange(flat.size)
    if changed.dtype.names:
        field = rng.choice(changed.dtype.names)
        flat[field][place] = _number(flat.dtype[field], rng)
    elif changed.dtype.kind in "iuf":
        flat[place] = _number(changed.dtype, rng)
    return changed


def _number(dtype: Any, rng: random.Random) -> Any:
    if dtype.kind == "f":
        return dtype.type(rng.choice((math.nan, math.inf, -math.inf, 1e300, -1.0)))
    return np.array(rng.choice(_NUMBERS)).astype(dtype)
