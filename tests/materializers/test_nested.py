"""Objects inside containers and inside other objects, each saved by its own materializer."""

from __future__ import annotations

import json
import os
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pytest
from hypothesis import given, strategies as st
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from casreg.exceptions import (
    CasregError,
    InvalidMetadataError,
    MaterializationError,
    NoMaterializerError,
    UnknownMaterializerError,
    UntrustedError,
)
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.python_json import PythonJson
from casreg.materializers.python_pickle import PythonPickle
from casreg.materializers.subfolder import MAX_NESTED, paths_below
from casreg.registry import Registry
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored
from materializers.network import Network, NetworkMaterializer, Tensor, TensorMaterializer
from materializers.thing import Special, Thing, ThingMaterializer

if TYPE_CHECKING:
    from casreg.materializers import InFolder, OutFolder


def table(*more: tuple[type, Any]) -> MaterializerTable:
    """With the materializers of this page."""
    found = MaterializerTable(BUILTIN)
    for cls, one in (
        (Thing, ThingMaterializer),
        (Tensor, TensorMaterializer),
        (Network, NetworkMaterializer),
        *more,
    ):
        found.register(cls, one)
    return found


@dataclass
class Run:
    name: str
    thing: Thing


def classes() -> ClassTable:
    """With the dataclass of this page."""
    found = ClassTable()
    found.register(Run, "Run")
    return found


def save(value: object, known: MaterializerTable | None = None, **how: Any) -> MemoryInFolder:
    """The files of a value."""
    with materialize(value, known or table(), classes(), **how) as done:
        return stored(done.folder)


def load(folder: MemoryInFolder) -> Any:
    """The value in these files."""
    return load_object(PythonJson(), folder)


class TestContainersOfObjects(MaterializerContract):
    materializer = PythonJson

    def table(self) -> MaterializerTable:
        return table()

    def classes(self) -> ClassTable:
        return classes()

    def examples(self) -> list[object]:
        return [
            [Thing(1), Thing(2)],
            {"train": Thing(1), "w": [bytes(5000)], "model": Tensor("m", b"abc")},
            (Run("a", Thing(3)), {1: Tensor("s", b"")}),
            [Network(Thing(1), [1, (2,)], {"deep": [Network(Tensor("m", b"x"))]})],
            {Tensor("key", b"k"): 1},
        ]


class TestObjectsOfObjects(MaterializerContract):
    materializer = NetworkMaterializer

    def table(self) -> MaterializerTable:
        return table()

    def examples(self) -> list[object]:
        return [
            Network(),
            Network(Thing(1), b"bytes", "text", 3, None, {"a": Tensor("m", b"1")}),
            Network(Network(Network(Thing(7)))),
        ]


parts = (
    st.integers(0, 9).map(Thing)
    | st.builds(Tensor, st.text(max_size=3), st.binary(max_size=9))
    | st.integers()
    | st.text(max_size=3)
)
values = st.recursive(
    parts,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.lists(inner, max_size=3).map(lambda layers: Network(*layers))
    ),
    max_leaves=12,
)


@given(st.lists(values, max_size=4))
def test_whatever_holds_objects_comes_back(value: list[object]) -> None:
    """Any mixture of containers, plain values and objects, and the same bytes when it is saved again."""
    folder = save(value)
    loaded = load(folder)
    assert loaded == value
    assert save(loaded).files == folder.files


def test_the_form_is_the_one_that_is_written_down() -> None:
    """Id, folder, parameters; the files under their own names below the folder. Frozen with format 1."""
    folder = save({"a": np.zeros(2), "b": Tensor("m", b"xyz")})
    assert json.loads(folder.files["data.json"])["b"] == {
        "$part": ["test.tensor/1", "parts/1", {"unit": "m"}]
    }
    assert folder.paths == ["data.json", "parts/0.npy", "parts/1/deep/data.bin"]
    assert folder.files["parts/1/deep/data.bin"] == b"xyz"


def test_one_object_twice_is_stored_once_and_is_one_again() -> None:
    """What is shared in memory is shared when it comes back."""
    one = Tensor("m", b"x")
    folder = save({"a": one, "b": [one], "c": Tensor("m", b"x")})
    assert len(folder.paths) == 3
    loaded = load(folder)
    assert loaded["a"] is loaded["b"][0]
    assert loaded["a"] is not loaded["c"]


def test_a_registry_gives_back_what_it_took(tmp_path: Path) -> None:
    """The same through the engine: real files, read ahead and verified, in a folder with other things."""
    registry = Registry(tmp_path / "r")
    for cls, one in (
        (Thing, ThingMaterializer),
        (Tensor, TensorMaterializer),
        (Network, NetworkMaterializer),
    ):
        registry.register_materializer(cls, one)
    value = {"a": [Tensor("m", os.urandom(100_000))], "n": Network(Thing(1), [np.arange(3.0).tolist()])}
    registry.save("my:value", value)
    assert registry.load("my:value") == value


def test_what_people_put_into_one_dict(tmp_path: Path) -> None:
    """Frames, tensors and images beside numbers, each stored as if it stood alone."""
    import pandas as pd
    import torch
    from PIL import Image

    registry = Registry(tmp_path / "r")
    frame = pd.DataFrame({"a": [1, 2], "b": ["x", None]})
    value = {
        "train": frame,
        "weights": [torch.ones(3), 0.5],
        "preview": Image.new("L", (2, 3), 7),
        "again": frame,
    }
    registry.save("my:experiment", value)
    loaded = registry.load("my:experiment")
    pd.testing.assert_frame_equal(loaded["train"], frame)
    assert loaded["again"] is loaded["train"]
    assert torch.equal(loaded["weights"][0], torch.ones(3))
    assert loaded["preview"].tobytes() == bytes([7]) * 6


class Tree:
    """Files on disk, one of them executable, and an empty folder."""

    def __init__(self, place: Path) -> None:
        self.place = place


class TreeMaterializer:
    id: ClassVar[str] = "test.tree/1"
    types: tuple[type | str, ...] = (Tree,)
    target: ClassVar[Path]

    def save(self, obj: Any, folder: OutFolder) -> None:
        folder.add_tree(obj.place)

    def load(self, folder: InFolder, cls: type | None) -> object:
        place = self.target / str(len(list(self.target.iterdir())))
        folder.extract(place)
        return Tree(place)


def test_a_nested_folder_is_extracted_without_its_own_name(tmp_path: Path) -> None:
    """A library that wants a folder of its own gets that, with executable bits and empty folders, and no more."""
    source, target = tmp_path / "source", tmp_path / "target"
    for folder in (source / "parts/0", source / "empty", target):
        folder.mkdir(parents=True)
    (source / "parts/0/x").write_bytes(b"x")
    (source / "run").write_bytes(b"run")
    (source / "run").chmod(0o755)
    TreeMaterializer.target = target
    registry = Registry(tmp_path / "r")
    registry.register_materializer(Tree, TreeMaterializer)
    registry.register_materializer(Network, NetworkMaterializer)
    registry.save("my:trees", [Tree(source), 1, Network(Tree(source))])
    first, _, network = registry.load("my:trees")
    for tree in (first, network.layers[0]):
        found = {str(path.relative_to(tree.place)) for path in tree.place.rglob("*")}
        assert found == {"parts", "parts/0", "parts/0/x", "run", "empty"}
        assert os.name == "nt" or os.access(tree.place / "run", os.X_OK)
        assert not os.access(tree.place / "parts/0/x", os.X_OK)
    loaded = load_object(PythonJson(), save([Tree(source)], table((Tree, TreeMaterializer))))
    assert (loaded[0].place / "parts/0/x").read_bytes() == b"x"  # type: ignore[index]


class Scaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A step of a pipeline with a materializer of its own."""

    def __init__(self, factor: float = 2.0) -> None:
        self.factor = factor

    def fit(self, X: Any, y: Any = None) -> Scaler:  # noqa: N803
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> Any:  # noqa: N803
        return X * self.factor


class ScalerMaterializer:
    id: ClassVar[str] = "test.scaler/1"
    types: tuple[type | str, ...] = (Scaler,)
    parameters = ("factor",)

    def save(self, obj: Any, folder: OutFolder) -> None:
        folder.params["factor"] = obj.factor

    def load(self, folder: InFolder, cls: type | None) -> object:
        factor = folder.params["factor"]
        assert isinstance(factor, float)
        return Scaler(factor)


def test_a_step_of_a_pipeline_may_have_a_materializer() -> None:
    """An estimator of the user's needs no `trusted=` where a materializer is registered; without one it does."""
    model = make_pipeline(StandardScaler(), Scaler(3.0)).fit(np.eye(3))
    with materialize(model, table((Scaler, ScalerMaterializer)), ClassTable()) as done:
        loaded: Any = load_object(done.materializer, stored(done.folder))
    assert np.array_equal(loaded.transform(np.eye(3)), model.transform(np.eye(3)))
    with pytest.raises(NoMaterializerError, match=r"Scaler"):
        save(model)


class Vector(np.ndarray):
    pass


class VectorMaterializer(ThingMaterializer):
    id: ClassVar[str] = "test.vector/1"

    def save(self, obj: object, folder: OutFolder) -> None:
        folder.add("v", bytes(np.asarray(obj)))

    def load(self, folder: InFolder, cls: type | None) -> object:
        return np.frombuffer(folder.read("v")).view(Vector)


def test_a_subclass_of_what_the_tree_knows_may_have_a_materializer() -> None:
    """It is refused because it would be flattened; with a materializer it is not."""
    value = [np.ones(2).view(Vector)]
    with pytest.raises(NoMaterializerError, match=r"value\[0\]: .*Vector would come back"):
        save(value)
    known = table((Vector, VectorMaterializer))
    loaded = load(save(value, known))
    assert type(loaded[0]) is Vector
    assert list(loaded[0]) == [1.0, 1.0]
    assert b"$array" in save([np.ones(2)], known).files["data.json"]


def test_plain_values_do_not_ask_for_materializers() -> None:
    """What the tree knows itself it writes itself, whatever is registered for it: the form of values is one."""
    known = table((int, ThingMaterializer), (np.ndarray, ThingMaterializer), (tuple, ThingMaterializer))
    assert save([1, (2,)], known).files == save([1, (2,)]).files
    assert save([np.zeros(3)], known).files == save([np.zeros(3)]).files


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ({"train": [0, 1, 2, Special]}, r"value\['train'\]\[3\]: .*code"),
        ({"train": [0, {"x": Path("x")}]}, r"value\['train'\]\[1\]\['x'\]: a path in a container"),
        ([Network(Thing(1), {"f": object()})], r"value\[0\]: value\['f'\]: nothing knows how to save"),
        ({"it": iter([1])}, r"value\['it'\]: .*read once only.*list\("),
        ({"it": (n for n in [1])}, r"value\['it'\]: .*read once only"),
        ({"it": memoryview(b"x")}, r"value\['it'\]: .*bytes\(view\)"),
        ([Network(Path("x"))], r"value\[0\]: .*add_file"),
        ({frozenset([Tensor("m", b"")])}, r"value.*a set have no stable order"),
        ([{1: Tensor("m", "text")}], r"value\[0\]\[1\]: .*test\.tensor/1.*TypeError"),  # type: ignore[arg-type]
    ],
    ids=[
        "class",
        "path",
        "object",
        "iterator",
        "generator",
        "memoryview",
        "path in a network",
        "in a set",
        "in a dict",
    ],
)
def test_the_place_of_what_cannot_be_saved_is_named(value: object, place: str) -> None:
    """The error says where in the value the trouble is, also inside a part of it."""
    with pytest.raises(CasregError, match=place):
        save(value)


def test_a_memoryview_alone_is_refused_with_the_way_out() -> None:
    """It shows memory of something else: whoever saves it says which copy is meant."""
    with pytest.raises(NoMaterializerError, match=r"bytes\(view\)"):
        save(memoryview(b"x"))


def test_an_object_that_holds_itself_is_refused() -> None:
    """Its materializer would put it into itself for ever."""
    network = Network()
    network.layers = ([network],)
    with pytest.raises(NoMaterializerError, match="may hold itself"):
        save(network)


def nested(depth: int) -> Network:
    """Networks inside each other."""
    return Network(nested(depth - 1)) if depth else Network()


def test_what_is_too_deep_is_refused_when_it_is_saved_and_when_it_is_loaded() -> None:
    """The bound is the same on both sides."""
    with materialize(nested(MAX_NESTED), table(), classes()) as done:
        folder = stored(done.folder)
    assert load_object(done.materializer, folder) == nested(MAX_NESTED)
    with pytest.raises(NoMaterializerError, match="deeper than 16"):
        save(nested(MAX_NESTED + 1))
    assert isinstance(folder.params, dict)
    folder.params = {"layers": [["test.network/1", folder.params]]}
    with pytest.raises(MaterializationError, match="deeper than 16"):
        load_object(done.materializer, folder)


def test_pickle_inside_wants_the_word_of_the_caller_twice() -> None:
    """A stored reference cannot ask for it; and what nothing takes is pickled as a whole, not in parts."""
    known = table((Special, PythonPickle))
    with pytest.raises(UntrustedError, match=r"value\[0\]: pickle is not allowed"):
        save([Special(1)], known)
    folder = save([Special(1)], known, allow_pickle=True)
    assert b"python.pickle/1" in folder.files["data.json"]
    assert load(folder) == [Special(1)]
    folder.allow_pickle = False
    with pytest.raises(UntrustedError, match="allow_pickle=True"):
        load(folder)
    hostile = MemoryInFolder(
        {"data.json": b'[{"$part":["python.pickle/1","parts/0",{}]}]', "parts/0/data.pkl": pickle.dumps(1)}
    )
    with pytest.raises(UntrustedError, match="allow_pickle=True"):
        load(hostile)
    with materialize([object()], table(), classes(), allow_pickle=True) as done:
        assert done.materializer.id == "python.pickle/1"


def test_an_unknown_id_is_an_error_that_names_it() -> None:
    """A process without the materializer says which one it needs, and imports nothing."""
    folder = save([Thing(1)])
    folder.table = MaterializerTable(BUILTIN)
    with pytest.raises(UnknownMaterializerError, match=r"test\.thing/1"):
        load(folder)


class Odd(TensorMaterializer):
    id: ClassVar[str] = "test.odd/1"

    def save(self, obj: Any, folder: OutFolder) -> None:
        folder.params[obj.unit] = (1, 2)  # type: ignore[assignment]


def test_parameters_of_parts_are_declared_and_json() -> None:
    """The rules of the outermost object hold for its parts: nothing is bent into JSON."""
    known = table((Tensor, Odd))
    with pytest.raises(MaterializationError, match=r"value\[0\]: .*declares no parameter 'other'"):
        save([Tensor("other", b"")], known)
    with pytest.raises(InvalidMetadataError, match=r"tuple"):
        save([Tensor("unit", b"")], known)


class Overlapping(NetworkMaterializer):
    def save(self, obj: Any, folder: OutFolder) -> None:
        folder.add("layers/0/number.txt", b"mine")
        super().save(obj, folder)


def test_a_part_cannot_take_the_place_of_a_file() -> None:
    """Two files of one path are an error, whoever adds them."""
    with pytest.raises(MaterializationError, match="two files"):
        save(Network(Thing(1)), table((Network, Overlapping)))


@given(
    st.lists(st.text("/0a.é", min_size=1, max_size=5), unique=True), st.text("0a.é", min_size=1, max_size=2)
)
def test_paths_below_a_folder(paths: list[str], folder: str) -> None:
    """Exactly those that begin with the folder and a slash, in the order that they have."""
    paths = sorted(paths, key=str.encode)
    assert list(paths_below(paths, folder)) == [path for path in paths if path.startswith(f"{folder}/")]
