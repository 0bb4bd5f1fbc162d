"""Load damaged copies of models, and use those that load: run as a process of its own, which must not crash.

python use_damaged_models.py <copies of each model> [<first seed> [<part of the name of a class> [-v]]]
"""

from __future__ import annotations

import faulthandler
import itertools
import sys
import warnings
from typing import Any

import numpy as np

from casreg.exceptions import CasregError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, materialize
from casreg.materializers.sklearn_estimator import SklearnEstimator
from casreg.testing.materializer_contract import damaged
from casreg.testing.materializer_folders import MemoryInFolder, stored
from materializers.bent import bent
from materializers.estimators import METHODS, others, twelve
from materializers.estimators_rest import one_of_each


def use(model: Any, data: Any) -> None:
    """Ask everything that the model answers; errors are answers too."""
    for name in METHODS:
        try:
            if data is not None:
                getattr(model, name)(data)
        except Exception:  # noqa: BLE001 - a wrong model may fail in any way, as long as Python sees it
            continue


def go_on(model: Any, data: Any) -> None:
    """Learn more, where a model does: compiled solvers begin with what was stored."""
    try:
        if data is not None and hasattr(model, "partial_fit"):
            target = np.arange(len(data)) % max(1, len(getattr(model, "classes_", [0, 1])))
            model.partial_fit(data, getattr(model, "classes_", target)[target])
    except Exception:  # noqa: BLE001 - as above
        return


def main() -> None:
    """Count what was refused and what was used."""
    faulthandler.enable()
    if sys.platform != "win32":  # a model that asks for all memory gets an error, not the machine
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
    warnings.simplefilter("ignore")
    times, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    verbose = len(sys.argv) > 4
    used = refused = 0
    wanted = sys.argv[3] if len(sys.argv) > 3 else ""
    for at, (model, data) in enumerate(twelve() + others() + one_of_each()):
        if wanted not in type(model).__name__:
            continue
        with materialize(model, MaterializerTable(BUILTIN), ClassTable()) as done:
            folder = stored(done.folder)
        copies = damaged(folder.files, times, seed=seed * 1000 + at)
        for files in itertools.chain(copies, bent(folder.files, times, seed=seed * 1000 + at)):
            try:
                loaded = SklearnEstimator().load(MemoryInFolder(files, folder.params), None)
            except CasregError:
                refused += 1
                continue
            used += 1
            if verbose:
                print(at, type(model).__name__, flush=True)
            use(loaded, data)
            go_on(loaded, data)
    print(f"{used} used, {refused} refused")


if __name__ == "__main__":
    main()
