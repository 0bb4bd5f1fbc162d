"""Load damaged copies of models, and use those that load: run as a process of its own, which must not crash.

python use_damaged_models.py <copies of each model> [<first seed>]
"""

from __future__ import annotations

import faulthandler
import sys
import warnings
from typing import Any

from casreg.exceptions import CasregError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, materialize
from casreg.materializers.sklearn_estimator import SklearnEstimator
from casreg.testing.materializer_contract import damaged
from casreg.testing.materializer_folders import MemoryInFolder, stored
from materializers.estimators import METHODS, others, twelve


def use(model: Any, data: Any) -> None:
    """Ask everything that the model answers; errors are answers too."""
    for name in METHODS:
        try:
            if data is not None:
                getattr(model, name)(data)
        except Exception:  # noqa: BLE001 - a wrong model may fail in any way, as long as Python sees it
            continue


def main() -> None:
    """Count what was refused and what was used."""
    faulthandler.enable()
    warnings.simplefilter("ignore")
    times, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    used = refused = 0
    for at, (model, data) in enumerate(twelve() + others()):
        with materialize(model, MaterializerTable(BUILTIN), ClassTable()) as done:
            folder = stored(done.folder)
        for files in damaged(folder.files, times, seed=seed * 1000 + at):
            try:
                loaded = SklearnEstimator().load(MemoryInFolder(files, folder.params), None)
            except CasregError:
                refused += 1
                continue
            used += 1
            use(loaded, data)
    print(f"{used} used, {refused} refused")


if __name__ == "__main__":
    main()
