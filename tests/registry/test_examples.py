"""The lines printed in the documents that casreg replaces, run twice in a row, in new processes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from casreg.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython

EXAMPLE = """
from casreg import Registry
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier

features, target = load_iris(return_X_y=True)
trained_model = RandomForestClassifier(n_estimators=10, random_state=0).fit(features, target)
d = {'x': [1, 2, 3], 'name': 'data'}

registry = Registry()
print(registry.save("my:model", trained_model))
print(registry.save("my:data", d, version="1.0.0"))
loaded = registry.load("my:model")
assert (loaded.predict(features) == trained_model.predict(features)).all()
assert registry.load("my:data", version="1.0.0") == d
print(registry.list_objects())
print(registry.list_versions("my:model"))
"""


def test_the_example_twice(fresh_python: FreshPython) -> None:
    """The example works in the default folder, and works again; the same data under its version is the same version."""
    assert fresh_python(EXAMPLE).splitlines() == [
        "1.0.0",
        "1.0.0",
        "['my:data', 'my:model']",
        "['1.0.0']",
    ]
    assert fresh_python(EXAMPLE).splitlines() == [
        "1.0.1",
        "1.0.0",
        "['my:data', 'my:model']",
        "['1.0.0', '1.0.1']",
    ]
    registry = Registry()
    assert registry.backend.location.startswith("file://")
    assert registry.info("my:model@1.0.0")["data_digest"] == registry.info("my:model@1.0.1")["data_digest"]


LOAD = """
import sys
from casreg import Registry
model = Registry().load("my:model")
from sklearn.datasets import load_iris
print(model.predict(load_iris().data).tolist()[:3])
"""


def test_a_model_loads_in_a_new_process_without_flags(fresh_python: FreshPython) -> None:
    """What the example saved loads in a new process that has imported nothing but casreg."""
    fresh_python(EXAMPLE)
    assert fresh_python(LOAD) == "[0, 0, 0]\n"


@pytest.mark.parametrize("place", ["path", "Path", "uri"])
def test_places(tmp_path: Path, place: str) -> None:
    """A path, a `Path` and a `file://` URI of one folder are one registry."""
    folder = tmp_path / "a place" / "ä"
    given: dict[str, str | Path] = {"path": os.fspath(folder), "Path": folder, "uri": folder.as_uri()}
    Registry(given[place]).save("thing", 1)
    assert Registry(folder).load("thing") == 1


def test_names_under_which_the_seeds_have_it(tmp_path: Path) -> None:
    """`LocalRegistryBackend(uri=…)` is a backend as a path is."""
    from casreg import LocalRegistryBackend, Registry as Exported

    assert Exported is Registry
    Registry(backend=LocalRegistryBackend(uri=str(tmp_path / "place"))).save("thing", 1)
    assert Registry(tmp_path / "place").load("thing") == 1


def test_importing_is_light(fresh_python: FreshPython) -> None:
    """Importing casreg, making a Registry and listing it loads none of the heavy packages."""
    said = fresh_python(
        "import sys, casreg\n"
        "registry = casreg.Registry()\n"
        "registry.list_objects()\n"
        "registry.save('thing', {'a': 1}); registry.load('thing')\n"
        "print([name for name in ('numpy', 'minio', 'google', 'rich', 'pydantic', 'sklearn') if name in sys.modules])\n"
    )
    assert said == "[]\n"
