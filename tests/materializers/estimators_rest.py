"""One small fitted estimator for each class of scikit-learn that loads: the same ones in every process."""

from __future__ import annotations

import functools
import inspect
import warnings
from typing import Any

import numpy as np
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.experimental import enable_halving_search_cv, enable_iterative_imputer  # noqa: F401 - they enable
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, CompoundKernel, Matern, PairwiseKernel
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
from sklearn.utils import all_estimators

from casreg.materializers.tree.objects.names import OUTSIDE
from materializers.estimators import HOLES, MIXED, TEXTS, X, Y

PAIRS = np.column_stack([Y == 1, Y == 2]).astype(int)
IMAGES = np.tile(X, (1, 3)).reshape(50, 3, 4)
RECORDS = [{"size": size, "name": f"n{size:.0f}"} for size, *_ in X]
TAGS = [[f"t{y}", "all"] for y in Y]

_GRID = {"C": [0.1, 1.0]}
_CLASSIFIER = LogisticRegression()
_STEPS = [("a", LogisticRegression()), ("b", GaussianNB())]
_REGRESSORS = [("a", LinearRegression()), ("b", DecisionTreeRegressor(max_depth=2, random_state=0))]
_SETTINGS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "ClassifierChain FixedThresholdClassifier MultiOutputClassifier OneVsOneClassifier",
        {"estimator": _CLASSIFIER},
    ),
    (
        "OneVsRestClassifier OutputCodeClassifier SelfTrainingClassifier RFE SelectFromModel",
        {"estimator": _CLASSIFIER},
    ),
    ("RFECV TunedThresholdClassifierCV", {"estimator": _CLASSIFIER, "cv": 2}),
    ("SequentialFeatureSelector", {"estimator": _CLASSIFIER, "cv": 2, "n_features_to_select": 2}),
    ("RegressorChain MultiOutputRegressor", {"estimator": LinearRegression()}),
    ("VotingClassifier StackingClassifier", {"estimators": _STEPS}),
    ("VotingRegressor StackingRegressor", {"estimators": _REGRESSORS}),
    ("GridSearchCV HalvingGridSearchCV", {"estimator": _CLASSIFIER, "param_grid": _GRID}),
    ("RandomizedSearchCV", {"estimator": _CLASSIFIER, "param_distributions": _GRID, "n_iter": 2}),
    ("HalvingRandomSearchCV", {"estimator": _CLASSIFIER, "param_distributions": _GRID}),
    ("FeatureUnion", {"transformer_list": [("a", StandardScaler())]}),
    ("Pipeline", {"steps": [("a", StandardScaler()), ("b", LogisticRegression())]}),
    ("ColumnTransformer", {"transformers": [("a", StandardScaler(), [0, 2])]}),
    ("FrozenEstimator", {"estimator": LogisticRegression().fit(X, Y)}),
    ("SparseCoder", {"dictionary": X[:3].copy()}),
    ("TSNE", {"perplexity": 5, "max_iter": 250}),
    ("PatchExtractor", {"patch_size": (2, 2)}),
    ("HashingVectorizer FeatureHasher", {"n_features": 64}),
    ("SVC", {"kernel": "poly"}),
    ("QuantileTransformer", {"n_quantiles": 10}),
    ("MinCovDet", {"support_fraction": 0.9}),
    ("SpectralBiclustering SpectralCoclustering FeatureAgglomeration", {"n_clusters": 2}),
    ("GaussianRandomProjection SparseRandomProjection", {"n_components": 2}),
    ("NeighborhoodComponentsAnalysis CCA PLSCanonical PLSSVD", {"n_components": 2}),
    ("SelectKBest", {"k": 2}),
    ("IterativeImputer", {"max_iter": 2}),
    ("SGDClassifier", {"average": True}),
)
_DATA: tuple[tuple[str, tuple[Any, Any]], ...] = (
    (
        "MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV CCA PLSCanonical",
        (X, PAIRS),
    ),
    (
        "PLSRegression PLSSVD ClassifierChain RegressorChain MultiOutputClassifier MultiOutputRegressor",
        (X, PAIRS),
    ),
    ("FixedThresholdClassifier TunedThresholdClassifierCV", (X, Y == 1)),
    ("CategoricalNB", (np.arange(150).reshape(50, 3) % 4, Y)),
    ("IterativeImputer KNNImputer SimpleImputer MissingIndicator", (HOLES, None)),
    ("CountVectorizer TfidfVectorizer HashingVectorizer", (TEXTS, None)),
    ("OneHotEncoder OrdinalEncoder", (MIXED, None)),
    ("LabelEncoder LabelBinarizer", (Y, None)),
    ("DictVectorizer FeatureHasher", (RECORDS, None)),
    ("MultiLabelBinarizer", (TAGS, None)),
    ("KernelCenterer", (X @ X.T, None)),
    ("IsotonicRegression", (X[:, 0], Y)),
    ("PatchExtractor", (IMAGES, None)),
    ("GammaRegressor PoissonRegressor", (X, Y + 1.0)),
    ("TargetEncoder", (MIXED, Y[: len(MIXED)])),
)
SETTINGS = {name: given for names, given in _SETTINGS for name in names.split()}
DATA = {name: data for names, data in _DATA for name in names.split()}


@functools.cache
def one_of_each() -> list[tuple[Any, Any]]:
    """Every estimator of this scikit-learn that is in the table, and what has parts of its own, with its data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = [_fitted(cls) for name, cls in all_estimators() if name not in OUTSIDE]
        return found + _with_parts()


def _fitted(cls: Any) -> tuple[Any, Any]:
    given = dict(SETTINGS.get(cls.__name__, {}))
    known = inspect.signature(cls).parameters
    for name, value in (("random_state", 0), ("n_estimators", 3), ("n_init", 1)):
        if name in known:
            given.setdefault(name, value)
    if known.get("max_iter") is not None and isinstance(known["max_iter"].default, int):
        given.setdefault("max_iter", min(200, known["max_iter"].default))
    model = cls(**given)
    data, target = DATA.get(cls.__name__, (X, Y))
    model.fit(data) if target is None else model.fit(data, target)
    return _timeless(model), 0.5 if cls.__name__ == "HDBSCAN" else data


def _timeless(model: Any) -> Any:
    """Times differ from run to run; the tests want the same object in each process."""
    if hasattr(model, "cv_results_") and hasattr(model, "refit_time_"):
        model.refit_time_ = 0.0
        for key in [name for name in model.cv_results_ if name.endswith("_time")]:
            model.cv_results_[key] = np.zeros(len(model.cv_results_[key]))
    return model


def _with_parts() -> list[tuple[Any, Any]]:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.cluster import HDBSCAN, AgglomerativeClustering
    from sklearn.decomposition import DictionaryLearning, KernelPCA
    from sklearn.linear_model import PassiveAggressiveRegressor, SGDOneClassSVM
    from sklearn.model_selection import GridSearchCV, PredefinedSplit
    from sklearn.neighbors import KNeighborsTransformer
    from sklearn.preprocessing import KBinsDiscretizer, SplineTransformer

    kernel = CompoundKernel([RBF(), Matern()])
    folds = [(np.arange(0, 50, 2), np.arange(1, 50, 2))]
    return [
        (GaussianProcessClassifier(PairwiseKernel(metric="laplacian"), random_state=0).fit(X, Y == 1), X),
        (GaussianProcessClassifier(Matern(), multi_class="one_vs_one", random_state=0).fit(X, Y), X),
        (CalibratedClassifierCV(_CLASSIFIER, method="temperature", cv=2).fit(X, Y), X),
        (HDBSCAN(min_cluster_size=3).fit(np.vstack([X, [[np.nan] * 4, [np.inf] * 4]])), 0.5),
        (AgglomerativeClustering(linkage="ward", connectivity=np.ones((50, 50))).fit(X), None),
        (DictionaryLearning(3, transform_algorithm="lasso_cd", max_iter=5, random_state=0).fit(X), X),
        (DictionaryLearning(3, transform_algorithm="lasso_lars", max_iter=5, random_state=0).fit(X), X),
        (KernelPCA(2, kernel="rbf", fit_inverse_transform=True).fit(X), X),
        (PassiveAggressiveRegressor(average=3, random_state=0).fit(X, Y), X),
        (SGDOneClassSVM(average=True, random_state=0).fit(X), X),
        (_timeless(GridSearchCV(_CLASSIFIER, _GRID, cv=folds).fit(X, Y)), X),
        (_timeless(GridSearchCV(_CLASSIFIER, _GRID, cv=PredefinedSplit(Y)).fit(X, Y)), X),
        (KNeighborsTransformer(n_neighbors=2, algorithm="ball_tree").fit(X), X),
        (KBinsDiscretizer(3, encode="onehot", quantile_method="averaged_inverted_cdf").fit(X), X),
        (SplineTransformer(extrapolation="periodic", sparse_output=True).fit(X), X),
        (TransformedTargetRegressor(LinearRegression(), func=np.log1p, inverse_func=np.expm1).fit(X, Y), X),
        (ColumnTransformer([("t", DecisionTreeClassifier(), [0])], remainder="passthrough"), None),
        (GaussianProcessClassifier(kernel), None),
    ]


def close(a: Any, b: Any) -> bool:
    """Equal answers, up to the order in which compiled code adds: that depends on where arrays lie in memory."""
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(close, a, b))
    if a.dtype.kind in "fc":
        return a.dtype == b.dtype and np.allclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True)
    return bool(np.array_equal(a, b))
