"""Fitted estimators for the tests: small, and the same ones in every process."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_iris
from sklearn.decomposition import NMF, PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KernelDensity, KNeighborsClassifier, KNeighborsRegressor, LocalOutlierFactor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    LabelEncoder,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, LinearSVC, OneClassSVM
from sklearn.tree import DecisionTreeClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

# On small data compiled threads only wait for each other, long if the machine is busy.
threadpool_limits(1)
X, Y = load_iris(return_X_y=True)
X, Y = X[::3] + 0.1, Y[::3]
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
MIXED = np.array([["red", 1], ["blue", 2], ["red", 3], ["green", 2]] * 8, dtype=object)
TEXTS = ["good movie", "bad movie", "good plot bad end", "fine"] * 4
CODED = np.column_stack([np.arange(len(X)) % 5, X[:, 1:]])
HOLES = np.where(np.arange(X.size).reshape(X.shape) % 7 == 0, np.nan, X)

METHODS = (
    *("predict", "predict_proba", "transform", "decision_function", "score_samples", "kneighbors"),
    *("mahalanobis", "dbscan_clustering", "apply"),
)
RESULTS = ("labels_", "row_labels_", "embedding_", "covariance_", "children_", "reachability_", "best_score_")


@functools.cache
def twelve() -> list[tuple[Any, Any]]:
    """The twelve commonest estimators, and a pipeline, each with data that it can be asked about."""
    return [
        (LogisticRegression().fit(X, NAMES), X),
        (LinearRegression().fit(X, Y), X),
        (Ridge().fit(X, Y), X),
        (Lasso(0.1).fit(X, Y), X),
        (RandomForestClassifier(8, random_state=0).fit(X, NAMES), X),
        (RandomForestRegressor(8, random_state=0).fit(X, Y), X),
        (GradientBoostingClassifier(n_estimators=4, random_state=0).fit(X, NAMES), X),
        (DecisionTreeClassifier(random_state=0).fit(X, NAMES), X),
        (SVC().fit(X, NAMES), X),
        (KNeighborsClassifier().fit(X, NAMES), X),
        (KMeans(3, random_state=0, n_init=1).fit(X), X),
        (StandardScaler().fit(X), X),
        (make_pipeline(StandardScaler(), PCA(2), LogisticRegression()).fit(X, NAMES), X),
    ]


@functools.cache
def others() -> list[tuple[Any, Any]]:
    """What else is common, and what has unusual state."""
    search = GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression()),
        {"logisticregression__C": [0.1, 1]},
        scoring="f1_macro",
        cv=StratifiedKFold(3, shuffle=True, random_state=1),
    ).fit(X, Y)
    # Times differ from run to run; the tests want the same object in each process.
    for key in [name for name in search.cv_results_ if name.endswith("_time")]:
        search.cv_results_[key] = np.zeros(2)
    search.refit_time_ = 0.0
    columns = ColumnTransformer(
        [("n", MinMaxScaler(), [1]), ("c", OneHotEncoder(min_frequency=9, drop="first"), [0])]
    )
    boosted = HistGradientBoostingClassifier(categorical_features=[0], max_iter=3, random_state=0)
    rng = np.random.RandomState
    return [
        (Pipeline([("scale", MinMaxScaler()), ("model", RandomForestClassifier(3))]), None),
        (columns.fit(MIXED), MIXED),
        (search, X),
        (boosted.fit(CODED, NAMES), CODED),
        (
            HistGradientBoostingRegressor(loss="quantile", quantile=0.2, max_iter=3, random_state=0).fit(
                X, Y
            ),
            X,
        ),
        (GradientBoostingRegressor(loss="huber", n_estimators=3, random_state=0).fit(X, Y), X),
        (
            GradientBoostingClassifier(n_estimators=3, init=LogisticRegression(), random_state=rng(1)).fit(
                X, Y
            ),
            X,
        ),
        (ExtraTreesClassifier(4, random_state=0).fit(X, np.column_stack([Y, Y])), X),
        (DecisionTreeClassifier(max_leaf_nodes=5, ccp_alpha=0.01, random_state=0).fit(X, Y), X),
        (AdaBoostClassifier(n_estimators=3, random_state=0).fit(X, Y), X),
        (BaggingClassifier(SVC(), 3, random_state=0).fit(X, Y), X),
        (IsolationForest(n_estimators=4, max_features=0.5, random_state=0).fit(X), X),
        (VotingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]).fit(X, NAMES), X),
        (StackingClassifier([("a", LogisticRegression()), ("b", GaussianNB())]).fit(X, NAMES), X),
        (CalibratedClassifierCV(LinearSVC(random_state=0), method="isotonic", cv=2).fit(X, NAMES), X),
        (SVC(kernel="precomputed").fit(X @ X.T, Y), X @ X.T),
        (SVR().fit(X, Y), X),
        (OneClassSVM().fit(X), X),
        (KNeighborsRegressor(algorithm="ball_tree", metric="haversine").fit(X[:, :2], Y), X[:, :2]),
        (KNeighborsClassifier(algorithm="brute", p=3).fit(X, np.column_stack([Y, Y])), X),
        (LocalOutlierFactor(novelty=True).fit(X), X),
        (KernelDensity().fit(X), X),
        (MiniBatchKMeans(2, random_state=0, n_init=1).fit(X), X),
        (GaussianMixture(2, random_state=0).fit(X), X),
        (GaussianProcessRegressor(RBF() + WhiteKernel()).fit(X, Y), X),
        (NMF(2, random_state=0, max_iter=500).fit(X), X),
        (MLPClassifier((4,), max_iter=50, random_state=0, n_iter_no_change=3, tol=9).fit(X, NAMES), X),
        (SGDClassifier(random_state=0).fit(X, Y), X),
        (make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(TEXTS, [1, 0, 0, 1] * 4), TEXTS),
        (CountVectorizer().fit(TEXTS), TEXTS),
        (FeatureUnion([("a", StandardScaler()), ("b", FunctionTransformer(np.log1p))]).fit(X), X),
        (SelectKBest(k=2).fit(X, Y), X),
        (SimpleImputer(strategy="most_frequent").fit(MIXED), MIXED),
        (OrdinalEncoder().fit(MIXED), MIXED),
        (LabelEncoder().fit(NAMES), NAMES),
        (PolynomialFeatures(2).fit(X), X),
        (IsotonicRegression().fit(X[:, 0], Y), X[:, 0]),
    ]


def answers(model: Any, data: Any) -> list[Any]:
    """What a model says about data, by every method that it has, and what it found in its own."""
    found = [np.asarray(getattr(model, name)) for name in RESULTS if hasattr(model, name)]
    for name in METHODS:
        if data is not None and hasattr(model, name):
            try:
                answer = getattr(model, name)(data)
            except ValueError as err:  # of methods that are there and do not work with these settings
                answer = np.array(str(err))
            found.append(answer.toarray() if hasattr(answer, "toarray") else answer)
    return found


def agree(a: Any, b: Any) -> bool:
    """Equal answers, to the last bit."""
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(agree, a, b))
    return bool(np.array_equal(a, b, equal_nan=a.dtype.kind == "f"))
