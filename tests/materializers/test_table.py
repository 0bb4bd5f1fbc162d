"""Which materializer is chosen, what is refused, and what the engine calls promise."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
import threading
import time
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any, ClassVar

import pytest

from casreg.exceptions import (
    CasregError,
    InvalidArgumentError,
    MaterializationError,
    NoMaterializerError,
    UnknownMaterializerError,
    UntrustedError,
)
from casreg.materializers import (
    BUILTIN,
    ClassTable,
    InFolder,
    MaterializerTable,
    OutFolder,
    classes as classes_module,
    load_object,
    materialize,
    table as table_module,
)
from casreg.materializers.python_json import PythonJson
from casreg.materializers.python_pickle import PythonPickle
from casreg.testing.materializer_contract import MaterializerContract, damaged
from casreg.testing.materializer_folders import MemoryInFolder, stored
from materializers.thing import Thing, ThingMaterializer


class Special(Thing):
    pass


class SpecialMaterializer(ThingMaterializer):
    id: ClassVar[str] = "test.special/1"


THING = f"{Thing.__module__}.Thing"


class TestCustom(MaterializerContract):
    materializer = ThingMaterializer

    def examples(self) -> list[object]:
        return [Thing(1), Thing(-2)]


class Forgetful(ThingMaterializer):
    def load(self, folder: InFolder, cls: type | None) -> object:
        return Thing(0)


class Random(ThingMaterializer):
    def save(self, obj: object, folder: OutFolder) -> None:
        super().save(obj, folder)
        folder.add("time", str(time.perf_counter_ns()).encode())


class Crashing(ThingMaterializer):
    def load(self, folder: InFolder, cls: type | None) -> object:
        if len(folder.read("number.txt")) > 1:
            raise SystemExit
        return super().load(folder, cls)


class Littering(ThingMaterializer):
    def save(self, obj: object, folder: OutFolder) -> None:
        Path("litter").write_text("x")
        super().save(obj, folder)


@pytest.mark.parametrize(
    ("broken", "promise"),
    [
        (Forgetful, "test_what_is_saved_is_loaded"),
        (Random, "test_same_value_same_bytes"),
        (Crashing, "test_damaged_files_give_errors_of_casreg"),
        (Littering, "test_it_writes_only_into_its_folder"),
    ],
)
def test_the_contract_catches_broken_promises(
    broken: Any, promise: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suite that everything passes would be worth nothing."""

    class Contract(MaterializerContract):
        materializer = broken

        def examples(self) -> list[object]:
            return [Thing(7)]

    monkeypatch.chdir(tmp_path)
    given = {"tmp_path": tmp_path, "monkeypatch": monkeypatch}
    method = getattr(Contract(), promise)
    with pytest.raises((AssertionError, SystemExit)):
        method(**{name: given[name] for name in inspect.signature(method).parameters})


class TestPickle(MaterializerContract):
    materializer = PythonPickle
    allow_pickle = True
    stable = False
    own_errors = True

    def examples(self) -> list[object]:
        import numpy as np

        return [{1, 2}, [np.arange(3).tolist(), len], "x" * 1000]

    def test_damaged_files_give_errors_of_casreg(self, tmp_path: Path) -> None:
        """A damaged pickle may do anything: the promise is that nobody loads one unasked, damaged or not."""
        del tmp_path
        for at, (_, folder) in enumerate(self._saved()):
            folder.allow_pickle = False
            for files in (folder.files, *damaged(folder.files, self.damages, seed=at)):
                folder.files = files
                with pytest.raises(UntrustedError, match="allow_pickle=True"):
                    load_object(self._made(), folder)


@pytest.fixture
def table() -> MaterializerTable:
    """Only what casreg has itself."""
    return MaterializerTable(BUILTIN)


def save(value: object, table: MaterializerTable, **how: Any) -> tuple[str, MemoryInFolder]:
    """The id of the materializer, and the stored files."""
    with materialize(value, table, ClassTable(), **how) as done:
        return done.materializer.id, stored(done.folder)


@pytest.mark.parametrize("target", [Thing, THING])
@pytest.mark.parametrize(
    "given", [ThingMaterializer, ThingMaterializer(), f"{ThingMaterializer.__module__}.ThingMaterializer"]
)
def test_registered_by_class_instance_or_name(
    target: type | str, given: Any, table: MaterializerTable
) -> None:
    """Both sides may be given as objects or as dotted names."""
    table.register(target, given)
    chosen, folder = save(Thing(3), table)
    assert chosen == "test.thing/1"
    assert load_object(table.for_id(chosen), folder) == Thing(3)


@pytest.mark.parametrize("given", [ThingMaterializer, ThingMaterializer()])
def test_passed_for_one_call(given: Any, table: MaterializerTable) -> None:
    """`materializer=` takes a class and an instance, and beats the table."""
    assert save(Thing(3), table, materializer=given)[0] == "test.thing/1"


def test_the_nearest_base_class_decides(table: MaterializerTable) -> None:
    """Subclasses go to the materializer of the nearest class; a later registration replaces an earlier one."""
    table.register(Thing, ThingMaterializer)
    assert save(Special(1), table)[0] == "test.thing/1"
    table.register(Special, SpecialMaterializer)
    assert save(Special(1), table)[0] == "test.special/1"
    assert save(Thing(1), table)[0] == "test.thing/1"
    table.register(Thing, SpecialMaterializer)
    assert save(Thing(1), table)[0] == "test.special/1"


def test_a_registration_beats_the_built_in_one(table: MaterializerTable) -> None:
    """The caller's word for a type counts more than casreg's."""
    table.register(int, ThingMaterializer)
    found = table.for_class(int)
    assert found is not None
    assert found.id == "test.thing/1"


def test_names_are_imported_at_first_use_only(table: MaterializerTable) -> None:
    """Registering a dotted name imports nothing; a wrong one is an error when it is needed."""
    table.register(THING, "no_such_module.Materializer")
    table.register("no_such_other.Class", ThingMaterializer)
    assert save([1], table)[0] == "python.json/1"
    with pytest.raises(InvalidArgumentError, match=r"no_such_module"):
        save(Thing(1), table)


def test_an_unknown_object_is_refused_with_the_lines_to_write(table: MaterializerTable) -> None:
    """All four ways out are in the message."""
    with pytest.raises(NoMaterializerError) as caught:
        save(Thing(1), table)
    message = str(caught.value)
    for way in (
        f"register_materializer({THING!r}",
        "materializer=",
        f"trusted=[{THING!r}]",
        "allow_pickle=True",
    ):
        assert way in message
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, ValueError)


def test_an_unknown_id_is_an_error_that_names_it(table: MaterializerTable) -> None:
    """A version that was stored by a materializer that is not here."""
    with pytest.raises(UnknownMaterializerError, match=r"'my\.own/7'.*register_materializer"):
        table.for_id("my.own/7")


@pytest.mark.parametrize(
    "stored_id", ["os.system", "builtins.list", "casreg.materializers.python_json.PythonJson", "", "/"]
)
def test_an_id_is_never_imported(stored_id: str, table: MaterializerTable) -> None:
    """An id only selects in the table: not even the dotted name of a real materializer works."""
    with pytest.raises(UnknownMaterializerError):
        table.for_id(stored_id)


class NoId:
    types = (Thing,)

    def save(self, obj: object, folder: OutFolder) -> None: ...

    def load(self, folder: InFolder, cls: type | None) -> object: ...


class NoLoad:
    id = "x/1"

    def save(self, obj: object, folder: OutFolder) -> None: ...


class NeedsArguments(ThingMaterializer):
    def __init__(self, level: int) -> None:
        self.level = level


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (NoId, "no `id`"),
        (NoLoad, "`load`"),
        (NeedsArguments, "instance"),
        (3, "no `id`"),
        ("nodots", "dotted"),
    ],
)
def test_what_is_no_materializer_is_refused_when_it_is_registered(
    given: Any, why: str, table: MaterializerTable
) -> None:
    """The error says what is missing."""
    with pytest.raises(InvalidArgumentError, match=why):
        table.register(Thing, given)


class Minimal:
    id = "test.minimal/1"

    def save(self, obj: object, folder: OutFolder) -> None:
        folder.add("x", b"")

    def load(self, folder: InFolder, cls: type | None) -> object:
        return 1


class Greedy(Minimal):
    def save(self, obj: object, folder: OutFolder) -> None:
        folder.params["level"] = 3


class Modest(Greedy):
    parameters = ("level",)


class Broken(Minimal):
    def save(self, obj: object, folder: OutFolder) -> None:
        raise KeyError("oops")

    def load(self, folder: InFolder, cls: type | None) -> object:
        raise ZeroDivisionError("oops")


def test_parameters_must_be_declared(table: MaterializerTable) -> None:
    """When saving and when loading, a parameter that is not declared is refused."""
    with pytest.raises(MaterializationError, match="'level'"):
        save(1, table, materializer=Greedy)
    _, folder = save(1, table, materializer=Modest)
    assert folder.params == {"level": 3}
    assert load_object(Modest(), folder) == 1  # type: ignore[arg-type]
    with pytest.raises(MaterializationError, match="'level'"):
        load_object(Greedy(), folder)  # type: ignore[arg-type]


def test_errors_of_a_materializer_are_named_and_kept(table: MaterializerTable) -> None:
    """Whatever goes wrong inside is an error of casreg's tree, with its cause."""
    with pytest.raises(MaterializationError, match=r"test\.minimal/1.*KeyError") as caught:
        save(1, table, materializer=Broken)
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(MaterializationError, match=r"test\.minimal/1.*ZeroDivisionError"):
        load_object(Broken(), MemoryInFolder({}))  # type: ignore[arg-type]


def test_pickle_is_the_last_resort_and_only_when_allowed(table: MaterializerTable) -> None:
    """What another materializer can hold is not pickled; loading needs the word again."""
    assert save([1], table, allow_pickle=True)[0] == "python.json/1"
    chosen, folder = save([Thing(1)], table, allow_pickle=True)
    assert chosen == "python.pickle/1"
    assert load_object(table.for_id(chosen), folder) == [Thing(1)]
    folder.allow_pickle = False
    with pytest.raises(UntrustedError, match="allow_pickle=True"):
        load_object(table.for_id(chosen), folder)
    with pytest.raises(UntrustedError, match="allow_pickle=True"):
        save(1, table, materializer=PythonPickle)


def test_an_array_of_objects_is_pickled_when_that_is_allowed(table: MaterializerTable) -> None:
    """And refused with that way out when it is not."""
    import numpy as np

    array = np.array([None, "x"], dtype=object)
    with pytest.raises(NoMaterializerError, match="allow_pickle=True"):
        save(array, table)
    chosen, folder = save(array, table, allow_pickle=True)
    assert chosen == "python.pickle/1"
    assert list(load_object(table.for_id(chosen), folder)) == [None, "x"]  # type: ignore[call-overload]


def test_no_parameter_allows_pickle() -> None:
    """A stored word cannot relax what the caller has not."""
    folder = MemoryInFolder({"data.pkl": pickle.dumps(1)}, {"allow_pickle": True})
    with pytest.raises(CasregError):
        load_object(PythonPickle(), folder)


def test_buffers_of_a_pickle_are_files_of_their_own(table: MaterializerTable) -> None:
    """Large arrays inside a pickle are neither copied nor hidden from deduplication."""
    import numpy as np

    _, folder = save([np.arange(1000), len], table, allow_pickle=True)
    assert folder.paths == ["buffers/0.bin", "data.pkl"]
    assert len(folder.files["data.pkl"]) < 1000


def test_a_table_pickles_with_its_registrations(table: MaterializerTable) -> None:
    """A Registry that is sent to another process knows the same materializers."""
    table.register(THING, f"{ThingMaterializer.__module__}.ThingMaterializer")
    assert save(Thing(1), pickle.loads(pickle.dumps(table)))[0] == "test.thing/1"


def test_many_threads_use_one_table(table: MaterializerTable) -> None:
    """Registering and finding at the same time."""
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for number in range(200):
                table.register(Thing, ThingMaterializer)
                assert save(Thing(number), table)[0] == "test.thing/1"
                assert table.for_id("test.thing/1").id == "test.thing/1"
        except BaseException as err:  # noqa: BLE001 - told to the test's own thread
            failures.append(err)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def points(*found: EntryPoint) -> Any:
    """What `entry_points` would give if these were installed."""

    def entry_points(*, group: str, name: str | None = None) -> list[EntryPoint]:
        return [point for point in found if point.group == group and name in (None, point.name)]

    return entry_points


def test_installed_materializers_are_asked_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only when nothing registered or built in matches; a broken one warns, and the others work."""
    module = ThingMaterializer.__module__
    group = "casreg.materializers"
    found = points(
        EntryPoint("thing", f"{module}:ThingMaterializer", group),
        EntryPoint("broken", f"{module}:NoId", group),
    )
    monkeypatch.setattr(table_module, "entry_points", found)
    table = MaterializerTable(BUILTIN)
    assert save([1], table)[0] == "python.json/1"
    with pytest.warns(UserWarning, match="broken"):
        chosen, folder = save(Thing(2), table)
    assert chosen == "test.thing/1"
    assert load_object(MaterializerTable(BUILTIN).for_id("python.json/1"), save([1], table)[1]) == [1]
    assert load_object(table.for_id("test.thing/1"), folder) == Thing(2)


def test_installed_classes_are_found_by_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry point is as good as `register_class`, both ways."""
    import materializers.test_records as records

    monkeypatch.setattr(
        classes_module,
        "entry_points",
        points(EntryPoint("my.frozen", f"{records.__name__}:Frozen", "casreg.classes")),
    )
    value = records.Frozen(1)
    _, folder = save(value, MaterializerTable(BUILTIN))
    assert folder.files["data.json"].startswith(b'{"$dataclass":["my.frozen"')
    assert load_object(PythonJson(), MemoryInFolder(folder.files)) == value


def test_importing_the_package_loads_nothing_heavy() -> None:
    """All tables are names until something is saved."""
    code = (
        "import sys, casreg.materializers\n"
        "print([name for name in ('numpy', 'sklearn', 'pydantic', 'scipy', 'pickle') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "numpy" not in done.stdout
    assert "sklearn" not in done.stdout
    assert "pydantic" not in done.stdout
