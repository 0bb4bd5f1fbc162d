"""Which materializer saves what: asking for it, and registering another."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import InvalidArgumentError
from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython


class Thing:
    """Something that only its own materializer can save."""

    def __init__(self, text: str = "") -> None:
        self.text = text


class Sub(Thing):
    """A thing too."""


class ThingMaterializer:
    """Saves things as text."""

    id = "test.thing/1"
    types = (Thing,)

    def save(self, obj: Thing, folder: Any) -> None:
        """One file."""
        folder.add("text", obj.text.encode())

    def load(self, folder: Any, cls: object) -> Thing:
        """The thing."""
        return Thing(bytes(folder.read("text")).decode())


@pytest.fixture
def memory() -> Registry:
    """A registry at a new place."""
    return Registry(MemoryBackend())


def test_by_class(memory: Registry) -> None:
    """The id of what would save objects of a class, by the nearest base class; None if nothing would."""
    assert memory.registered_materializer(dict) == "python.json/1"
    assert memory.registered_materializer(np.ndarray) == "numpy.ndarray/1"
    assert memory.registered_materializer(np.memmap) == "numpy.ndarray/1"
    assert memory.registered_materializer(OrderedDict) == "python.json/1"
    assert memory.registered_materializer(Thing) is None


def test_by_name(memory: Registry) -> None:
    """A dotted name is as good; base classes count where the module has been imported."""
    assert memory.registered_materializer("builtins.dict") == "python.json/1"
    assert memory.registered_materializer("numpy.ndarray") == "numpy.ndarray/1"
    assert memory.registered_materializer("numpy.memmap") == "numpy.ndarray/1"
    assert memory.registered_materializer("no_such_module.Class") is None
    assert memory.registered_materializer("nothing") is None


@pytest.mark.parametrize("target", [Thing, f"{__name__}.Thing"], ids=["class", "name"])
@pytest.mark.parametrize(
    "materializer",
    [ThingMaterializer, ThingMaterializer(), f"{__name__}.ThingMaterializer"],
    ids=["class", "instance", "name"],
)
def test_registering(memory: Registry, target: type | str, materializer: Any) -> None:
    """Class, instance and dotted name work on both sides, for subclasses too, and can be asked for."""
    memory.register_materializer(target, materializer)
    memory.save("thing", Thing("a"))
    memory.save("sub", Sub("b"))
    assert memory.load("thing").text == "a"
    assert memory.load("sub").text == "b"
    for asked in (Thing, f"{__name__}.Thing", Sub, f"{__name__}.Sub"):
        assert memory.registered_materializer(asked) == "test.thing/1"
    assert memory.registered_materializers()[f"{__name__}.Thing"] == "test.thing/1"


def test_all(memory: Registry) -> None:
    """Every class that has one of its own, by name, sorted; what was registered last comes first."""
    found = memory.registered_materializers()
    assert list(found) == sorted(found)
    assert found["builtins.bytes"] == "python.bytes/1"
    assert found["numpy.ndarray"] == "numpy.ndarray/1"
    assert f"{__name__}.Thing" not in found
    memory.register_materializer(dict, ThingMaterializer)
    assert memory.registered_materializers()["builtins.dict"] == "test.thing/1"
    assert Registry(MemoryBackend()).registered_materializers()["builtins.dict"] == "python.json/1"


@pytest.mark.parametrize("wrong", [5, None, Thing()])
def test_asking_about_something_else(memory: Registry, wrong: Any) -> None:
    """What is neither a class nor a name is refused."""
    with pytest.raises(InvalidArgumentError, match="a class or its dotted name"):
        memory.registered_materializer(wrong)


def test_asking_changes_nothing(memory: Registry) -> None:
    """What was returned is the caller's own."""
    memory.registered_materializers().clear()
    assert memory.registered_materializers()


def test_a_name_that_cannot_be_imported(memory: Registry) -> None:
    """It is only found out when it is needed; then the error says which name."""
    memory.register_materializer(Thing, "no_such_module.Materializer")
    for ask in (lambda: memory.registered_materializer(Thing), memory.registered_materializers):
        with pytest.raises(InvalidArgumentError, match="no_such_module"):
            ask()


def test_asking_imports_no_library(fresh_python: FreshPython, tmp_path: Path) -> None:
    """The whole table can be shown without any of the libraries that it is about."""
    said = fresh_python(
        "import sys; from casreg import Registry\n"
        f"registry = Registry({str(tmp_path)!r})\n"
        "registry.registered_materializers(); registry.registered_materializer('numpy.ndarray')\n"
        "print([name for name in ('numpy', 'pandas', 'torch', 'sklearn') if name in sys.modules])\n"
    )
    assert said == "[]\n"


SEED = """
import sys; sys.path.insert(0, {folder!r})
from casreg import Registry
from my_module import MyClass, MyMaterializer
registry = Registry()
registry.register_materializer("my_module.MyClass", "my_module.MyMaterializer")
print(registry.save("custom:obj", MyClass(3), materializer=MyMaterializer))
print(registry.save("custom:obj", MyClass(4)))
print(registry.load("custom:obj").value, registry.info("custom:obj")["materializer"])
"""

MODULE = """
class MyClass:
    def __init__(self, value): self.value = value

class MyMaterializer:
    id = "my.class/1"
    types = (MyClass,)
    def save(self, obj, folder): folder.add("value", str(obj.value).encode())
    def load(self, folder, cls): return MyClass(int(bytes(folder.read("value"))))
"""


def test_the_printed_example(fresh_python: FreshPython, tmp_path: Path) -> None:
    """Two dotted names, and a class as `materializer=`, as the documents have it; twice, in new processes."""
    (tmp_path / "my_module.py").write_text(MODULE)
    code = SEED.format(folder=str(tmp_path))
    assert fresh_python(code).splitlines() == ["1.0.0", "1.0.1", "4 my.class/1"]
    assert fresh_python(code).splitlines() == ["1.0.2", "1.0.3", "4 my.class/1"]
