"""scikit-learn's estimators: loaded without a flag, without pickle, without trust in the files."""

from __future__ import annotations

import copy
import json
import os
import re
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.decomposition import NMF
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler, TargetEncoder
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from casreg.exceptions import MaterializationError, MaterializerError, NoMaterializerError, UntrustedError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.sklearn_estimator import SklearnEstimator
from casreg.materializers.tree.objects.names import MODULE_OF, OUTSIDE
from casreg.materializers.tree.objects.tree_nodes import check_children
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored
from materializers.estimators import MIXED, NAMES, X, Y, agree, answers, others, twelve
from materializers.estimators_rest import close, one_of_each
from materializers.models import edit, load, rewrite, save, small, swap


class EstimatorContract(MaterializerContract):
    __test__ = False
    materializer = SklearnEstimator
    own_errors = True
    damages = 15
    cases: Any

    def examples(self) -> list[object]:
        return [model for model, _ in type(self).cases()]

    def equal(self, saved: object, loaded: object) -> bool:
        data = next(data for model, data in type(self).cases() if repr(model) == repr(saved))
        return type(saved) is type(loaded) and agree(answers(saved, data), answers(loaded, data))


class TestTheTwelve(EstimatorContract):
    __test__ = True
    cases = staticmethod(twelve)


class TestOthers(EstimatorContract):
    __test__ = True
    cases = staticmethod(others)
    damages = 5


class TestOneOfEach(EstimatorContract):
    __test__ = True
    cases = staticmethod(one_of_each)
    damages = 2

    def examples(self) -> list[object]:
        return [model for model, _ in one_of_each()]

    def equal(self, saved: object, loaded: object) -> bool:
        data = next(data for model, data in one_of_each() if model is saved)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of solvers that were not given time
            # Of a copy: some models keep what they found when they were asked.
            wanted = answers(copy.deepcopy(saved), data)
            return type(saved) is type(loaded) and close(wanted, answers(loaded, data))


@pytest.mark.parametrize("cases", [twelve, others, one_of_each], ids=lambda cases: cases.__name__)
def test_saving_what_was_loaded_gives_the_same_bytes(cases: Any) -> None:
    """Nothing is lost or added on the way: a model that goes round and round is stored once."""
    for model, _ in cases():
        first = save(model)
        assert save(load(first)).files == first.files, model


def test_every_estimator_of_scikit_learn_loads_or_is_listed() -> None:
    """None is forgotten: each is tried here, or stands outside with a reason; what a new release adds fails here."""
    every = {name for name, _ in all_estimators()}
    tried = {type(model).__name__ for model, _ in one_of_each()}
    assert every - set(OUTSIDE) == tried & every
    assert set(OUTSIDE) <= every - set(MODULE_OF)


def test_what_is_outside_is_on_the_page() -> None:
    """docs/materializers.md lists the same estimators with the same reasons."""
    text = (Path(__file__).parents[2] / "docs/materializers.md").read_text(encoding="utf-8")
    listed = dict(re.findall(r"^- `(\w+)`: (.+)\.$", text, re.MULTILINE))
    assert listed == OUTSIDE


def test_the_table_of_estimators_is_what_is_dispatched_to() -> None:
    """An estimator goes to its own materializer; one inside a dict goes with the dict."""
    table = MaterializerTable(BUILTIN)
    found = table.for_class(LogisticRegression)
    assert found is not None
    assert found.id == "sklearn.estimator/1"
    with materialize({"model": LogisticRegression().fit(X, Y), "x": X}, table, ClassTable()) as done:
        assert done.materializer.id == "python.json/1"
        folder = stored(done.folder)
    loaded = load_object(done.materializer, folder)
    assert isinstance(loaded, dict)
    assert agree(loaded["model"].predict(X), LogisticRegression().fit(X, Y).predict(X))


def test_an_estimator_outside_the_table_is_refused_with_the_line_to_write() -> None:
    """The caller can say that the type is trusted, when saving and when loading."""
    name = f"{__name__}.{LogisticRegressionOfMine.__name__}"
    model = LogisticRegressionOfMine()
    model.coef_ = X[0]
    with pytest.raises(NoMaterializerError, match=rf"trusted=\['{name}'\]"):
        save(model)
    folder = save(model, trusted=frozenset({name}))
    assert np.array_equal(load(folder).coef_, model.coef_)
    folder.trusted = frozenset()
    with pytest.raises(UntrustedError, match=rf"trusted=\['{name}'\]"):
        load(folder)


class LogisticRegressionOfMine(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    pass


def test_a_class_of_the_user_is_not_in_the_table() -> None:
    """Neither a subclass nor a class that only has the name of one in the table."""
    lookalike = type(
        "LogisticRegression", (LogisticRegressionOfMine,), {"__module__": "sklearn.linear_model"}
    )
    for model in (LogisticRegressionOfMine(), lookalike()):
        with pytest.raises(NoMaterializerError):
            save(model)


def test_functions_of_the_user_are_refused() -> None:
    """A function is code; one of numpy's stands by its name."""
    with pytest.raises(NoMaterializerError, match="code"):
        save(FunctionTransformer(lambda x: x))
    assert load(save(FunctionTransformer(np.sqrt))).func is np.sqrt


def test_a_cache_folder_is_refused() -> None:
    """Whatever joblib finds in `memory`, it unpickles."""
    with pytest.raises(NoMaterializerError, match="memory=None"):
        save(make_pipeline(StandardScaler(), memory="somewhere"))
    folder = save(make_pipeline(StandardScaler()))
    tree = json.loads(folder.files["model.json"])
    tree["$sklearn"][1]["memory"] = "somewhere"
    folder.files["model.json"] = json.dumps(tree).encode()
    with pytest.raises(MaterializationError, match="memory"):
        load(folder)


def test_another_release_warns() -> None:
    """The release that saved is a parameter; another minor one is said once, clearly."""
    folder = save(make_pipeline(StandardScaler(), LogisticRegression()))
    folder.params = {"sklearn": "1.0.2"}
    with pytest.warns(UserWarning, match=r"saved with scikit-learn 1\.0\.2") as caught:
        load(folder)
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load(save(StandardScaler()))


def test_shared_parts_are_shared_again() -> None:
    """An estimator that stands twice in a value is one object when it comes back."""
    model = LogisticRegression().fit(X, Y)
    folder = save({"a": model, "b": [model]})
    loaded = load_object(MaterializerTable(BUILTIN).for_id("python.json/1"), folder)
    assert isinstance(loaded, dict)
    assert loaded["a"] is loaded["b"][0]


def test_trusted_objects_come_back_with_attributes_and_slots() -> None:
    """A trusted class of pure Python is restored without calling it."""
    import argparse
    import string

    names = frozenset({"argparse.Namespace", "string.Template"})
    table = MaterializerTable(BUILTIN)
    with materialize(argparse.Namespace(a=1, b=(2,)), table, ClassTable(), trusted=names) as done:
        assert load_object(done.materializer, stored(done.folder)) == argparse.Namespace(a=1, b=(2,))
    with materialize([string.Template("x")], table, ClassTable(), trusted=names) as done:
        loaded = load_object(done.materializer, stored(done.folder))
    assert isinstance(loaded, list)
    assert loaded[0].template == "x"


def test_a_trusted_class_with_compiled_state_is_refused() -> None:
    """Attributes do not hold what compiled code keeps."""
    import re

    for value in (re.compile("x"), np.nditer([1])):
        name = f"{type(value).__module__}.{type(value).__qualname__}"
        with pytest.raises(NoMaterializerError, match="compiled"):
            save([value], trusted=frozenset({name}))


TREE = save(DecisionTreeClassifier(random_state=0).fit(X, NAMES))


def _set(field: str, at: int, value: int) -> Any:
    def change(nodes: Any) -> None:
        nodes[field][at] = value

    return change


@pytest.mark.parametrize(
    ("field", "at", "value"),
    [
        ("left_child", 0, 10**6),
        ("left_child", 0, 0),
        ("left_child", 0, -5),
        ("right_child", 2, 1),
        ("right_child", 0, 1),
        ("feature", 0, 4),
        ("feature", 0, -7),
        ("left_child", 1, 2),
    ],
)
def test_a_tree_that_leads_astray_is_refused(field: str, at: int, value: int) -> None:
    """Children out of range, cycles, shared nodes, features that there are not: compiled code would not look."""
    with pytest.raises(MaterializationError, match=r"node|tree|feature"):
        load(rewrite(TREE, "parts/0.npy", _set(field, at, value)))


def test_nodes_that_nothing_leads_to_are_refused() -> None:
    """A ring beside the tree, each node of it the child of one: no way leads there, and no tree has such."""
    left, right = np.array([1, -1, -1, 3, -1]), np.array([2, -1, -1, 4, -1])
    with pytest.raises(MaterializationError, match="before its parent"):
        check_children(left, right, np.zeros(5, int), 1, 9, leaf=-1)


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(n_features_in_=3),
        lambda state: state.pop("n_features_in_"),
        lambda state: state["tree_"]["$tree"].__setitem__(0, 5),
        lambda state: state["tree_"]["$tree"].__setitem__(1, [4]),
        lambda state: state["tree_"]["$tree"].__setitem__(2, 2),
        lambda state: state["tree_"]["$tree"].__setitem__(3, 1),
        lambda state: state["tree_"]["$tree"].__setitem__(3, 1 << 40),
        lambda state: state.update(tree_=None),
        lambda state: state.update(predict=1),
        lambda state: state.update(classes_={"$callable": "os.system"}),
    ],
)
def test_a_tree_that_does_not_fit_its_estimator_is_refused(change: Any) -> None:
    """Counts of features, outputs, classes and levels bound what compiled code reads and writes."""
    with pytest.raises(MaterializationError):
        load(edit(TREE, change))


def forest() -> MemoryInFolder:
    """A forest."""
    return save(RandomForestClassifier(3, random_state=0).fit(X, Y))


def boosted() -> MemoryInFolder:
    """Boosted trees."""
    return save(GradientBoostingClassifier(n_estimators=2, random_state=0).fit(X, Y))


def machine() -> MemoryInFolder:
    """Support vectors."""
    return save(SVC().fit(X, Y))


def nearest() -> MemoryInFolder:
    """Neighbours."""
    return save(KNeighborsClassifier().fit(X, Y))


@pytest.mark.parametrize(
    ("make", "change"),
    [
        (forest, lambda state: state.update(n_features_in_=2)),
        (forest, lambda state: state.update(estimators_=[1])),
        (forest, lambda state: state.update(estimators_=[])),
        (boosted, lambda state: state.update(n_trees_per_iteration_=2)),
        (boosted, lambda state: state.update(init_="zero", n_trees_per_iteration_=1)),
        (boosted, lambda state: state["estimators_"]["$objects"].__setitem__(0, [1, 6])),
        (boosted, lambda state: state.update(n_features_in_=3)),
        (boosted, lambda state: state["init_"]["$sklearn"][1].update(class_prior_=small([1, 1], "<f8"))),
        (machine, lambda state: state.update(_sparse=True)),
        (machine, lambda state: state.update(n_features_in_=400)),
        (machine, lambda state: state.update(kernel="precomputed", shape_fit_=[1, 1])),
        (machine, lambda state: state.update(_n_support=state["classes_"])),
        (machine, lambda state: state.update(_intercept_=state["_probA"])),
        (machine, lambda state: state.update(_impl="epsilon_svr")),
        (nearest, lambda state: state.update(n_features_in_=40)),
        (
            nearest,
            lambda state: state.update(classes_=state["classes_"] and {"$small": ["<i8", [0], False, ""]}),
        ),
        (nearest, lambda state: state["_tree"]["$index"].__setitem__(2, -1)),
    ],
)
def test_attributes_that_do_not_fit_together_are_refused(make: Any, change: Any) -> None:
    """What compiled code takes for granted is looked at before anybody can call it."""
    with pytest.raises(MaterializerError):
        load(edit(make(), change))


TOLD = np.column_stack([Y, X[:, 1:]])  # its first column says it all: the trees split on the category
MIXED_TREES = HistGradientBoostingClassifier(
    categorical_features=[0], max_iter=2, min_samples_leaf=5, random_state=0
).fit(TOLD, NAMES)


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (KMeans(2, n_init=1).fit(X), swap("cluster_centers_", {"$small": ["<f8", [0, 4], False, ""]})),
        (KMeans(2, n_init=1).fit(X), swap("n_features_in_", 3)),
        (MiniBatchKMeans(2, n_init=1).fit(X), swap("_counts", small([1], "<f8"))),
        (NMF(2, max_iter=500, random_state=0).fit(X), swap("_n_components", 3)),
        (OneHotEncoder().fit(MIXED), swap("_n_features_outs", [1, 1])),
        (
            OneHotEncoder(drop="first").fit(MIXED),
            swap("_drop_idx_after_grouping", {"$objects": [[2], [9, 0]]}),
        ),
        (
            OneHotEncoder(min_frequency=9).fit(MIXED),
            lambda state: state["_default_to_infrequent_mappings"].__setitem__(0, small([0, 1, 900])),
        ),
        (CountVectorizer().fit(["a1 b1"]), swap("vocabulary_", {"a1": 0, "b1": 10**6})),
        (TfidfVectorizer().fit(["a1 b1"]), swap("vocabulary_", {"a1": 0, "b1": -1})),
        (TargetEncoder().fit(MIXED, np.arange(32.0)), swap("encodings_", [small([1], "<f8")] * 2)),
        (IsolationForest(n_estimators=2, max_features=0.5).fit(X), swap("_max_features", 4)),
        (IsolationForest(n_estimators=2, max_features=0.5).fit(X), swap("estimators_features_", [])),
        (IsotonicRegression().fit(X[:, 0], Y), swap("f_", 1)),
        (IsotonicRegression().fit(X[:, 0], Y), swap("X_thresholds_", small([1, 2, 3]))),
        (SVC(kernel="precomputed").fit(X @ X.T, Y), swap("shape_fit_", {"$tuple": [1, 1]})),
        (SVC().fit(X, Y), swap("_effective_probability", True)),
        (MIXED_TREES, swap("_n_features", 3)),
        (MIXED_TREES, swap("n_trees_per_iteration_", 1)),
        (
            MIXED_TREES,
            lambda state: state["_bin_mapper"]["$sklearn"][1].update(is_categorical_=small([0] * 4, "|u1")),
        ),
        (MIXED_TREES, lambda state: state["_bin_mapper"]["$sklearn"][1]["bin_thresholds_"].pop()),
        (
            MIXED_TREES,
            lambda state: state["_bin_mapper"]["$sklearn"][1]["bin_thresholds_"].__setitem__(
                0, small([900], "<f8")
            ),
        ),
        (MIXED_TREES, swap("_preprocessor", {"$sklearn": ["StandardScaler", {}]})),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else "",
)
def test_what_bounds_compiled_code_is_checked(model: Any, change: Any) -> None:
    """One attribute that does not fit the others is enough to refuse the model."""
    folder = save(model)
    load(folder)
    with pytest.raises(MaterializationError):
        load(edit(folder, change))


@pytest.mark.parametrize(
    "change",
    [
        lambda nodes: nodes["left"].__setitem__(0, 10**6),
        lambda nodes: nodes["feature_idx"].__setitem__(0, -1),
        lambda nodes: nodes["is_leaf"].__setitem__(slice(None), 0),
        lambda nodes: (nodes["is_categorical"].__setitem__(0, 1), nodes["bitset_idx"].__setitem__(0, 99)),
    ],
)
def test_a_histogram_tree_that_leads_astray_is_refused(change: Any) -> None:
    """Its nodes are followed without looking, as those of other trees are."""
    folder = save(
        HistGradientBoostingClassifier(max_iter=1, min_samples_leaf=5, random_state=0).fit(X, Y == 1)
    )
    nodes = next(
        path for path in folder.paths if path.endswith(".npy") and b"feature_idx" in folder.files[path]
    )
    load(folder)
    with pytest.raises(MaterializationError):
        load(rewrite(folder, nodes, change))


def test_no_damaged_model_crashes_when_it_is_used() -> None:
    """Damage that loads may give wrong answers or errors, but the process lives: compiled code stays in bounds."""
    code = Path(__file__).with_name("use_damaged_models.py")
    done = subprocess.run(
        [sys.executable, str(code), "3"],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "used" in done.stdout
