"""Attributes of scikit-learn's solvers, clusterings and splines that do not fit together are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.cluster import HDBSCAN, BisectingKMeans, FeatureAgglomeration, KMeans
from sklearn.decomposition import IncrementalPCA, LatentDirichletAllocation, MiniBatchNMF
from sklearn.ensemble import RandomTreesEmbedding
from sklearn.experimental import enable_iterative_imputer  # noqa: F401 - it enables
from sklearn.feature_extraction import FeatureHasher
from sklearn.feature_extraction.image import PatchExtractor
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.impute import IterativeImputer
from sklearn.linear_model import Lasso, MultiTaskElasticNet, SGDClassifier, SGDOneClassSVM, SGDRegressor
from sklearn.neighbors import KNeighborsTransformer
from sklearn.preprocessing import SplineTransformer

from casreg.exceptions import MaterializationError, NoMaterializerError
from materializers.estimators import HOLES, X, Y
from materializers.models import edit, load, rewrite, save, small, swap


def floats(*shape: int) -> dict[str, Any]:
    """An array of zeros among attributes."""
    node = small([0] * int(np.prod(shape)), "<f8")
    node["$small"][1] = list(shape)
    return node


def _set(*path: Any) -> Any:
    """A change deeper inside: the way there, and the value."""
    *way, last, value = path

    def change(state: Any) -> None:
        for step in way:
            state = state[step]
        state[last] = value

    return change


BISECTED = BisectingKMeans(3, random_state=0).fit(X)
ROOT = ("_bisecting_tree", "$sklearn", 1)
SPLINE = ("bsplines_", 0, "$spline")
SGD = SGDClassifier(average=True, random_state=0).fit(X, Y)


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (BISECTED, _set(*ROOT, "left", None)),
        (BISECTED, _set(*ROOT, "left", 3)),
        (BISECTED, _set(*ROOT, "left", "$sklearn", 1, "center", floats(3))),
        (BISECTED, _set(*ROOT, "left", "$sklearn", 1, "center", floats(1, 4))),
        (BISECTED, _set(*ROOT, "left", "$sklearn", 1, "center", small([0] * 4, "<f4"))),
        (BISECTED, swap("_n_threads", 1 << 20)),
        (BISECTED, swap("n_features_in_", 5)),
        (KMeans(2, n_init=1).fit(X), swap("_n_threads", 1 << 20)),
        (KMeans(2, n_init=1).fit(X), swap("_n_threads", 0)),
        (LatentDirichletAllocation(2, max_iter=1).fit(X), swap("exp_dirichlet_component_", floats(2, 3))),
        (LatentDirichletAllocation(2, max_iter=1).fit(X), swap("components_", floats(4))),
        (MiniBatchNMF(2, max_iter=500, random_state=0).fit(X), swap("_n_components", 3)),
        (RandomTreesEmbedding(2, random_state=0).fit(X), swap("n_features_in_", 3)),
        (KNeighborsTransformer(n_neighbors=2).fit(X), swap("n_samples_fit_", 3)),
        (FeatureAgglomeration(2).fit(X), swap("memory", "somewhere")),
        (FeatureAgglomeration(2).fit(X), swap("labels_", small([0, 0, 1, 1 << 40]))),
        (FeatureAgglomeration(2).fit(X), swap("labels_", small([0, 0, 1]))),
        (PatchExtractor(patch_size=(2, 2)), swap("patch_size", {"$tuple": [-5, 2]})),
        (PatchExtractor(patch_size=(2, 2)), swap("patch_size", {"$tuple": [2]})),
        (IncrementalPCA(2).fit(X), swap("singular_values_", small([1, np.nan], "<f8"))),
        (FeatureHasher(), swap("n_features", 0)),
        (HashingVectorizer(), swap("n_features", 0)),
        (Lasso().fit(X, Y), swap("coef_", floats(3))),
        (Lasso().fit(X, Y), swap("coef_", floats(0, 4))),
        (MultiTaskElasticNet().fit(X, np.column_stack([Y, Y])), swap("coef_", floats(2, 3))),
        (SGD, swap("coef_", floats(3, 3))),
        (SGD, swap("_average_coef", floats(2, 4))),
        (SGD, swap("_standard_coef", floats(12))),
        (SGD, swap("classes_", small([0, 1, 2, 3]))),
        (SGDRegressor(average=True, random_state=0).fit(X, Y), swap("_average_coef", floats(2))),
        (SGDOneClassSVM(average=True, random_state=0).fit(X), swap("_average_coef", floats(3))),
        (SplineTransformer().fit(X), _set(*SPLINE, 2, -1)),
        (SplineTransformer().fit(X), _set(*SPLINE, 2, 100)),
        (SplineTransformer().fit(X), _set(*SPLINE, 0, small([3, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0], "<f8"))),
        (SplineTransformer().fit(X), _set(*SPLINE, 1, floats(2, 2))),
        (SplineTransformer().fit(X), _set(*SPLINE, 1, small([1] * 9))),
        (SplineTransformer().fit(X), _set(*SPLINE, 3, "sometimes")),
        (SplineTransformer().fit(X), _set(*SPLINE, 4, 3)),
        (IterativeImputer(tol=9.0).fit(HOLES), _set("imputation_sequence_", 0, "$imputation", [1, 2])),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseEstimator) else "",
)
def test_what_compiled_code_takes_for_granted_is_checked(model: Any, change: Any) -> None:
    """One attribute that does not fit the others is enough to refuse the model."""
    folder = save(model)
    load(folder)
    with pytest.raises(MaterializationError):
        load(edit(folder, change))


@pytest.mark.parametrize(
    ("field", "value"),
    [("left_node", -1), ("left_node", 99), ("right_node", 1 << 40), ("right_node", -(1 << 40))],
)
def test_a_tree_of_clusters_that_leads_astray_is_refused(field: str, value: int) -> None:
    """Cutting it follows the numbers of its nodes unseen."""
    folder = save(HDBSCAN(copy=True).fit(X))
    path = next(path for path in folder.paths if path.endswith(".npy") and b"left_node" in folder.files[path])
    load(folder)

    def change(nodes: Any) -> None:
        nodes[field][3] = value

    with pytest.raises(MaterializationError, match="out of range"):
        load(rewrite(folder, path, change))


def test_what_is_checked_when_it_is_loaded_is_checked_when_it_is_saved() -> None:
    """What is accepted loads: a model that somebody bent in memory is refused at once."""
    model = SGDRegressor().fit(X, Y)
    model.coef_ = model.coef_[:2]
    with pytest.raises(NoMaterializerError, match="weights"):
        save({"model": model})
