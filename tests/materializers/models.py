"""Estimators to files and back, with changes between."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np

from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.sklearn_estimator import SklearnEstimator
from casreg.testing.materializer_folders import MemoryInFolder, stored


def save(value: object, **how: Any) -> MemoryInFolder:
    """The files of a saved value."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable(), **how) as done:
        return stored(done.folder)


def load(folder: MemoryInFolder) -> Any:
    """The estimator in these files."""
    return load_object(SklearnEstimator(), folder)


def edit(folder: MemoryInFolder, change: Any) -> MemoryInFolder:
    """The same files with a change in the JSON."""
    tree = json.loads(folder.files["model.json"])
    change(tree["$sklearn"][1])
    return MemoryInFolder({**folder.files, "model.json": json.dumps(tree).encode()}, folder.params)


def rewrite(folder: MemoryInFolder, path: str, change: Any) -> MemoryInFolder:
    """The same files with a change in an array."""
    array = np.load(io.BytesIO(folder.files[path]))
    change(array)
    out = io.BytesIO()
    np.save(out, array)
    return MemoryInFolder({**folder.files, path: out.getvalue()}, folder.params)


def small(values: list[Any], dtype: str = "<i8") -> dict[str, Any]:
    """An array among attributes."""
    data = np.array(values, dtype)
    return {"$small": [dtype, [len(values)], False, base64.b64encode(data.tobytes()).decode()]}


def swap(name: str, value: Any) -> Any:
    """A change that sets one attribute."""
    return lambda state: state.update({name: value})
