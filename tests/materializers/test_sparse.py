"""scipy's sparse matrices inside values."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import sparse

from casreg.exceptions import MaterializationError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.python_json import PythonJson
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

DENSE = np.array([[0, 1.5, 0], [2, 0, 0], [0, 0, 0], [0, 3, 4]])


class TestSparse(MaterializerContract):
    materializer = PythonJson
    own_errors = True

    def examples(self) -> list[object]:
        return [
            sparse.csr_matrix(DENSE),
            sparse.csr_array(DENSE.astype(np.float32)),
            sparse.csc_matrix(DENSE),
            sparse.csc_array(np.zeros((0, 3))),
            {"features": sparse.csr_matrix(DENSE), "labels": [1, 2]},
        ]

    def equal(self, saved: Any, loaded: Any) -> bool:
        if isinstance(saved, dict):
            return self.equal(saved["features"], loaded["features"])
        same = type(saved) is type(loaded) and saved.dtype == loaded.dtype and saved.shape == loaded.shape
        return bool(same and np.array_equal(saved.toarray(), loaded.toarray()))


@pytest.mark.parametrize(
    ("file", "at", "value"), [("parts/1.npy", 0, 99), ("parts/1.npy", 0, -1), ("parts/2.npy", -1, 99)]
)
def test_indices_out_of_range_are_refused(file: str, at: int, value: int) -> None:
    """Compiled code writes where the indices say, and does not look."""
    import io

    with materialize(sparse.csr_matrix(DENSE), MaterializerTable(BUILTIN), ClassTable()) as done:
        folder = stored(done.folder)
    array = np.load(io.BytesIO(folder.files[file]))
    array[at] = value
    out = io.BytesIO()
    np.save(out, array)
    with pytest.raises(MaterializationError, match="sparse"):
        load_object(PythonJson(), MemoryInFolder({**folder.files, file: out.getvalue()}))


def test_a_shape_that_does_not_fit_is_refused() -> None:
    """The shape bounds what the indices may say."""
    with materialize(sparse.csr_matrix(DENSE), MaterializerTable(BUILTIN), ClassTable()) as done:
        folder = stored(done.folder)
    tree = json.loads(folder.files["data.json"])
    tree["$sparse"][1] = [4, 1]
    with pytest.raises(MaterializationError, match="sparse"):
        load_object(PythonJson(), MemoryInFolder({**folder.files, "data.json": json.dumps(tree).encode()}))
