"""The code printed in the README of the system that casreg replaces, as printed but for the import, twice in a row.

Each block runs in a new process and the default folder; the names that the page does not define are made before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython

GIVEN = """
import sys; sys.path.insert(0, sys.argv[1])
from casreg import Registry
from my_module import MyClass, MyMaterializer

my_object = MyClass(3)
dataset = data = {"rows": [(1, "a"), (2, "b")]}
raw_data = processed_data = cleaned_data = [1, 2, 3]
"""

SOME_MODEL = """
trained_model = {"weights": [0.5, -1.25], "bias": 3}
"""

TRAINED = """
import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

draw = np.random.default_rng(0)
X_train, X_test = draw.normal(size=(200, 4)), draw.normal(size=(50, 4))
trained_model = LogisticRegression().fit(X_train, X_train[:, 0] > 0)
preprocessing_pipeline = make_pipeline(StandardScaler()).fit(X_train)
"""

MY_MODULE = """
class MyClass:
    def __init__(self, value):
        self.value = value

class MyMaterializer:
    id = "my.class/1"
    types = (MyClass,)

    def save(self, obj, folder):
        folder.add("value.txt", str(obj.value).encode())

    def load(self, folder, cls):
        return MyClass(int(bytes(folder.read("value.txt"))))
"""

QUICK_START = """
# Create a registry (uses local backend by default)
registry = Registry()

# Save objects
registry.save("my:model", trained_model)
registry.save("my:data", dataset, version="1.0.0")

# Load objects
model = registry.load("my:model")
data = registry.load("my:data", version="1.0.0")

# List objects and versions
print(registry.list_objects())
print(registry.list_versions("my:model"))
"""

CUSTOM = """
registry = Registry()

# Register a materializer for a custom class
registry.register_materializer("my_module.MyClass", "my_module.MyMaterializer")

# Save with custom materializer
registry.save("custom:obj", my_object, materializer=MyMaterializer)
"""

VERSIONS = """
# Disable versioning (overwrites existing objects)
registry = Registry(version_objects=False)

# Save with specific version
registry.save("model", trained_model, version="2.1.0")

# Load specific version
model = registry.load("model", version="2.1.0")

# Load latest version
model = registry.load("model", version="latest")
"""

METADATA = """
# Get object information
info = registry.info("my:model")
print(f"Class: {info['class']}")
print(f"Materializer: {info['materializer']}")
print(f"Path: {info['path']}")

# List all objects
objects = registry.list_objects()
print(f"Objects: {objects}")

# List versions for an object
versions = registry.list_versions("my:model")
print(f"Versions: {versions}")

# Check if object exists
exists = registry.has_object("my:model", "1.0.0")
"""

DISTRIBUTED = """
registry = Registry()
# These operations are automatically protected by distributed locks
registry.save("shared:resource", data)  # Exclusive lock
data = registry.load("shared:resource")  # Shared lock
"""

ERRORS = """
registry = Registry()
try:
    model = registry.load("nonexistent:model")
except ValueError as e:
    print(f"Object not found: {e}")

try:
    registry.save("invalid_name", data)
except ValueError as e:
    print(f"Invalid name: {e}")
"""

LOGGING = """
import logging
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)

registry = Registry()
# Operations will now show detailed logs
"""

PIPELINE = """
registry = Registry()

# Save training data
registry.save("data:training", X_train, version="1.0.0")
registry.save("data:testing", X_test, version="1.0.0")

# Save trained model
registry.save("model:classifier", trained_model, version="1.0.0")

# Save preprocessing pipeline
registry.save("pipeline:preprocessing", preprocessing_pipeline, version="1.0.0")

# Load for inference
model = registry.load("model:classifier")
pipeline = registry.load("pipeline:preprocessing")
"""

DATA_VERSIONS = """
registry = Registry()
# Save different versions of data
registry.save("data:raw", raw_data, version="1.0.0")
registry.save("data:processed", processed_data, version="1.1.0")
registry.save("data:cleaned", cleaned_data, version="1.2.0")

# Compare versions
for version in registry.list_versions("data:raw"):
    data = registry.load("data:raw", version=version)
    print(f"Version {version}: {len(data)} records")
"""

THREE_VERSIONS = """
registry = Registry()
registry.save("data:raw", raw_data, version="1.0.0")
registry.save("data:raw", processed_data + [4], version="1.1.0")
registry.save("data:raw", cleaned_data + [4, 5], version="1.2.0")

for version in registry.list_versions("data:raw"):
    data = registry.load("data:raw", version=version)
    print(f"Version {version}: {len(data)} records")
"""

PAGE = (
    QUICK_START,
    CUSTOM,
    VERSIONS,
    "registry = Registry()" + METADATA,
    DISTRIBUTED,
    ERRORS,
    PIPELINE,
    DATA_VERSIONS,
    LOGGING,
)


class Run:
    """Runs printed code in a new process of its own. `trained_model` is a fitted one if `trained`, else plain data."""

    def __init__(self, fresh_python: FreshPython, folder: Path) -> None:
        (folder / "my_module.py").write_text(MY_MODULE)
        self._fresh_python = fresh_python
        self._folder = folder

    def __call__(self, *blocks: str, trained: bool = False) -> list[str]:
        code = "\n".join((GIVEN, TRAINED if trained else SOME_MODEL, *blocks))
        return self._fresh_python(code, str(self._folder)).splitlines()


@pytest.fixture
def run(fresh_python: FreshPython, tmp_path: Path) -> Run:
    """What runs printed code."""
    return Run(fresh_python, tmp_path)


def test_quick_start(run: Run) -> None:
    """It saves, loads and lists; the second time there is one version more."""
    listed = ["['my:data', 'my:model']"]
    right = "assert data == dataset and (model.coef_ == trained_model.coef_).all()"
    assert run(QUICK_START, trained=True) == [*listed, "['1.0.0']"]
    assert run(QUICK_START, right, trained=True) == [*listed, "['1.0.0', '1.0.1']"]


def test_custom_materializers(run: Run) -> None:
    """A registration by dotted names, and a class as `materializer=`; what was saved loads."""
    for _ in range(2):
        assert run(CUSTOM, "print(registry.load('custom:obj').value)") == ["3"]


def test_without_versions(run: Run) -> None:
    """One version lives, under the number that was given, and each save replaces it."""
    for _ in range(2):
        assert run(
            VERSIONS,
            "registry.save('model', 'another', version='2.1.0')",
            "print(registry.load('model'), registry.list_versions('model'))",
        ) == ["another ['2.1.0']"]


def test_information(run: Run) -> None:
    """`info` of a name is flat, with the class, the materializer and where the version is."""
    lines = run(QUICK_START, METADATA, "print(exists)")[2:]
    assert lines[0] == "Class: builtins.dict"
    assert lines[1] == "Materializer: python.json/1"
    assert lines[2].startswith("Path: file://")
    assert "/manifests/" in lines[2]
    assert lines[3:] == ["Objects: ['my:data', 'my:model']", "Versions: ['1.0.0']", "True"]


def test_distributed_operations(run: Run) -> None:
    """No lock is needed, and none is left."""
    for _ in range(2):
        assert run(DISTRIBUTED, "print(data == dataset)") == ["True"]


def test_errors(run: Run) -> None:
    """A missing object and a name that cannot be are `ValueError`s that say what to do."""
    for _ in range(2):
        missing, invalid = run(ERRORS)
        assert missing.startswith("Object not found: there is no object 'nonexistent:model'")
        assert invalid.startswith("Invalid name: 'invalid_name' is not a name")
        assert "'invalid-name'" in invalid


def test_debug_logging(run: Run) -> None:
    """The operations show with `logging` at DEBUG, each with the name it is about."""
    lines = run(LOGGING, "registry.save('a:b', 1); registry.load('a:b'); registry.delete('a:b')")
    ours = [line for line in lines if line.startswith("DEBUG:casreg")]
    assert any("saved a:b@1.0.0" in line for line in ours)
    assert any("loaded a:b@1.0.0" in line for line in ours)
    assert any("deleted 1.0.0 of a:b" in line for line in ours)


def test_pipeline(run: Run) -> None:
    """Data, a model and a pipeline under one number each; what comes back predicts as what was saved."""
    for _ in range(2):
        assert run(
            PIPELINE,
            "assert (registry.load('data:training') == X_train).all()",
            "assert (model.predict(X_test) == trained_model.predict(X_test)).all()",
            "assert (pipeline.transform(X_test) == preprocessing_pipeline.transform(X_test)).all()",
            "print(registry.list_objects())",
            trained=True,
        ) == ["['data:testing', 'data:training', 'model:classifier', 'pipeline:preprocessing']"]


def test_data_versions(run: Run) -> None:
    """The loop over the versions of a name loads each."""
    for _ in range(2):
        assert run(DATA_VERSIONS) == ["Version 1.0.0: 3 records"]


def test_three_versions_of_one_name(run: Run) -> None:
    """The same with three versions of the name."""
    for _ in range(2):
        assert run(THREE_VERSIONS) == [f"Version 1.{n}.0: {3 + n} records" for n in range(3)]


def test_the_whole_page(run: Run) -> None:
    """All blocks one after the other, in one process and one folder; then again."""
    for _ in range(2):
        run(*PAGE, trained=True)
