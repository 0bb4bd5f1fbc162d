from __future__ import annotations

import ast
import importlib.metadata
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import casreg
from casreg import exceptions

if TYPE_CHECKING:
    from conftest import FreshPython

HEAVY = ("numpy", "minio", "google", "rich", "pydantic", "sklearn", "torch", "pandas", "scipy", "urllib3")


def test_import_loads_nothing_heavy(fresh_python: FreshPython) -> None:
    """`import casreg` in a new process loads none of the libraries that only some objects or backends need."""
    printed = fresh_python("import sys, json, casreg; print(json.dumps([*sys.modules]))")
    loaded = {module.partition(".")[0] for module in json.loads(printed)}
    assert "casreg" in loaded
    assert loaded.isdisjoint(HEAVY)


def test_import_is_quick(fresh_python: FreshPython) -> None:
    """`import casreg` costs at most 50 ms, the best of five new processes."""
    code = "import time; began = time.perf_counter(); import casreg; print(time.perf_counter() - began)"
    best = min(float(fresh_python(code)) for _ in range(5))
    print(f"import casreg: {best * 1000:.1f} ms")
    assert best < 0.050


def test_every_error_is_exported() -> None:
    """Whoever catches an error finds it in the package itself."""
    errors = {
        name
        for name, value in vars(exceptions).items()
        if isinstance(value, type) and issubclass(value, exceptions.CasregError)
    }
    assert errors <= set(casreg.__all__)


@pytest.mark.parametrize("name", casreg.__all__)
def test_every_exported_name_exists(name: str) -> None:
    """`__all__` promises nothing that is not there."""
    assert getattr(casreg, name) is not None
    assert name in dir(casreg)


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    """A misspelt name fails as in any other module, so that `hasattr` works."""
    with pytest.raises(AttributeError, match="'casreg' has no attribute 'Regsitry'"):
        _ = casreg.Regsitry  # type: ignore[attr-defined]


def test_version_is_that_of_the_installed_package() -> None:
    """`casreg.__version__` is what pip shows."""
    assert casreg.__version__ == importlib.metadata.version("casreg")


# Packages with one module for each of many things of one kind: whose names say all that there is to say.
ALIKE = {
    "cli",
    "materializers",
    "materializers/tree",
    "materializers/tree/objects",
    "testing",
    "backends",
    ".",
}


def test_each_package_says_what_its_modules_are_for() -> None:
    """Whoever opens a package finds all of its modules named in its docstring: it is the map."""
    root = Path(casreg.__file__).parent
    lost = []
    for init in root.rglob("__init__.py"):
        folder = init.parent
        if folder.relative_to(root).as_posix() in ALIKE:
            continue
        text = ast.get_docstring(ast.parse(init.read_text("utf-8"))) or ""
        lost += [path for path in folder.glob("*.py") if path != init and f"`{path.stem}`" not in text]
    assert not lost
