"""Values of registered classes: dataclasses, pydantic models, enums, namedtuples."""

from __future__ import annotations

import dataclasses
import enum
import functools
from typing import Any, NamedTuple

import numpy as np
import pydantic
import pytest

from casreg.exceptions import (
    InvalidArgumentError,
    MaterializationError,
    NoMaterializerError,
    UnknownClassError,
)
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.python_json import PythonJson
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored


class Color(enum.Enum):
    RED = 1
    CRIMSON = 1  # noqa: PIE796 - an alias comes back as what it stands for
    BLUE = "b"


class Level(enum.IntEnum):
    LOW = 1


class Right(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: float
    y: float = 0.0


@dataclasses.dataclass
class Run:
    name: str
    scores: list[float] = dataclasses.field(default_factory=list)
    level: Level = Level.LOW
    made: int = dataclasses.field(init=False, default=3)

    @functools.cached_property
    def best(self) -> float:
        return max(self.scores)


@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    a: int
    b: tuple[int, ...] = ()


class Config(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", frozen=True)
    rate: float
    steps: dict[int, str] = {}
    inner: Point | None = None
    _hidden: int = pydantic.PrivateAttr(default=5)


ALL = (Color, Level, Right, Point, Run, Frozen, Config)


def table(*classes: type) -> ClassTable:
    """These classes under their bare names, which are the same in every process."""
    found = ClassTable()
    for cls in classes or ALL:
        found.register(cls, cls.__name__)
    return found


class TestRecords(MaterializerContract):
    materializer = PythonJson
    own_errors = True

    def classes(self) -> ClassTable:
        return table()

    def examples(self) -> list[object]:
        return [
            Color.CRIMSON,
            Level.LOW,
            Right.READ,
            Right.READ | Right.WRITE,
            Right(0),
            Point(1, -0.0),
            Run("a", [0.5, 1.0]),
            Frozen(1, (2, 3)),
            {Frozen(1)},
            Config(rate=0.1, steps={1: "x"}, inner=Point(1), other=[Color.BLUE]),  # type: ignore[call-arg]
            {"runs": [Run("a"), Run("b", level=Level.LOW)], Point(1): Color.RED},
        ]


def round_trip(value: object, saving: ClassTable, loading: ClassTable, as_: type | None = None) -> Any:
    """The value as it comes back in a process that registers `loading`."""
    with materialize(value, MaterializerTable(BUILTIN), saving) as done:
        return load_object(done.materializer, stored(done.folder, classes=loading), as_)


def test_an_unregistered_class_is_refused_with_the_line_to_write() -> None:
    """What could not be loaded is not saved, wherever in the value it is."""
    for value in (Run("a"), [Run("a")], {"a": Color.RED}):
        with pytest.raises(NoMaterializerError, match=r"`registry.register_class\((Run|Color)\)`"):
            round_trip(value, ClassTable(), ClassTable())


def test_a_process_without_the_class_gets_the_line_to_write() -> None:
    """Loading names the class and imports nothing."""
    with pytest.raises(UnknownClassError, match=r"registry.register_class\(Frozen"):
        round_trip(Frozen(1), table(), ClassTable())


def test_as_gives_the_class_of_the_outermost_value() -> None:
    """`as_=` is enough for the value itself; what is inside has to be registered."""
    assert round_trip(Frozen(1), table(), ClassTable(), Frozen) == Frozen(1)
    with pytest.raises(UnknownClassError):
        round_trip(Run("a"), table(), ClassTable(), Run)
    assert round_trip(Run("a"), table(), table(Level), Run) == Run("a")


def test_as_another_class_is_an_error() -> None:
    """A value is not bent into a class that has other fields, or is of another kind."""
    with pytest.raises(MaterializationError, match="field 'a'"):
        round_trip(Frozen(1), table(), table(), Run)
    with pytest.raises(MaterializationError, match="cannot be loaded as"):
        round_trip([1], table(), table(), Run)
    with pytest.raises(MaterializationError, match="is not"):
        round_trip(Frozen(1), table(), table(), Color)


def test_a_field_that_the_class_has_gained_takes_its_default() -> None:
    """Old values load after a field with a default was added; one without a default is an error."""

    @dataclasses.dataclass
    class Newer:
        a: int
        b: tuple[int, ...] = ()
        c: list[int] = dataclasses.field(default_factory=lambda: [7])

    @dataclasses.dataclass
    class Stricter:
        a: int
        b: tuple[int, ...]
        c: int

    assert round_trip(Frozen(1), table(), ClassTable(), Newer) == Newer(1)
    with pytest.raises(MaterializationError, match="no field 'c'"):
        round_trip(Frozen(1), table(), ClassTable(), Stricter)


def test_a_pydantic_model_keeps_what_was_set_and_what_is_private() -> None:
    """Fields that were set, extra fields and private attributes come back."""
    value = Config(rate=1, more=2)  # type: ignore[call-arg]
    value._hidden = 9
    loaded = round_trip(value, table(), table())
    assert loaded._hidden == 9
    assert loaded.model_fields_set == {"rate", "more"}
    assert loaded.model_extra == {"more": 2}


def test_arrays_in_fields_are_files() -> None:
    """A dataclass of arrays is stored like a dict of arrays."""
    loaded = round_trip(Run("a", np.arange(3.0)), table(), table())  # type: ignore[arg-type]
    assert np.array_equal(loaded.scores, np.arange(3.0))


def test_a_computed_cache_is_left_out_and_other_attributes_are_refused() -> None:
    """`cached_property` is computed anew; an attribute that is no field would be lost, so it is an error."""
    value = Run("a", [2.0])
    assert value.best == 2.0
    assert round_trip(value, table(), table()) == value
    value.extra = 1  # type: ignore[attr-defined]
    with pytest.raises(NoMaterializerError, match="'extra'"):
        round_trip(value, table(), table())


def test_a_dataclass_that_is_also_a_container_is_refused() -> None:
    """Its own content is in no field, and would be lost."""

    @dataclasses.dataclass
    class Bag(dict):  # type: ignore[type-arg]
        name: str = ""

    bag = Bag("x")
    bag["lost"] = 1
    found = ClassTable()
    found.register(Bag)
    with pytest.raises(NoMaterializerError, match="also a dict"):
        round_trip([bag], found, found)


def test_arrays_inside_a_set_are_refused() -> None:
    """Files are numbered in the order of the value, and a set has none that is the same in every process."""

    @dataclasses.dataclass(frozen=True, eq=False)
    class Sample:
        data: Any

    found = ClassTable()
    found.register(Sample)
    for data in (np.zeros(3), bytes(5000)):
        with pytest.raises(NoMaterializerError, match="a set have no stable order"):
            round_trip({Sample(data)}, found, found)


def test_only_value_classes_can_be_registered() -> None:
    """A class whose values have hidden state needs a materializer."""
    with pytest.raises(InvalidArgumentError, match="register_materializer"):
        ClassTable().register(object)


def test_a_key_belongs_to_one_class() -> None:
    """Another class under the same key is an error; the same one, defined anew in a notebook, is not."""
    found = ClassTable()
    found.register(Run, "key")
    found.register(Run, "key")
    with pytest.raises(InvalidArgumentError, match="belongs to"):
        found.register(Frozen, "key")

    def define() -> type:
        @dataclasses.dataclass
        class Again:
            a: int = 1

        return Again

    first, second = define(), define()
    found.register(first)
    found.register(second)
    assert found.class_for(f"{__name__}.{first.__qualname__}") is second


def test_stored_names_import_nothing() -> None:
    """A class key that looks like an import path is only looked up in the table."""
    folder = MemoryInFolder({"data.json": b'{"$dataclass":["antigravity.Thing",{}]}'})
    with pytest.raises(UnknownClassError):
        PythonJson().load(folder, None)
    import sys

    assert "antigravity" not in sys.modules
