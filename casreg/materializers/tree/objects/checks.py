"""What must hold of the attributes of reviewed classes, because compiled code takes it for granted.

Each check runs when an object is saved (so that what is accepted loads) and when it is loaded, before anybody
can call a method.  Classes without one keep their state where only Python and numpy look, which look first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import CasregError, MaterializationError
from casreg.materializers.classes import dotted
from casreg.materializers.tree.objects import checks_data, checks_more, checks_trees
from casreg.materializers.tree.objects.require import require

if TYPE_CHECKING:
    from collections.abc import Callable

_TREES: Final = "DecisionTreeClassifier DecisionTreeRegressor ExtraTreeClassifier ExtraTreeRegressor"
_FORESTS: Final = (
    "RandomForestClassifier RandomForestRegressor ExtraTreesClassifier ExtraTreesRegressor IsolationForest "
    "RandomTreesEmbedding"
)
_SVM: Final = "SVC SVR NuSVC NuSVR OneClassSVM"
_NEIGHBORS: Final = (
    "KNeighborsClassifier KNeighborsRegressor RadiusNeighborsClassifier RadiusNeighborsRegressor NearestNeighbors "
    "LocalOutlierFactor KNeighborsTransformer RadiusNeighborsTransformer"
)
_GRADIENT: Final = "SGDClassifier SGDRegressor SGDOneClassSVM Perceptron PassiveAggressiveClassifier PassiveAggressiveRegressor"
_COORDINATE: Final = "Lasso LassoCV ElasticNet ElasticNetCV MultiTaskLasso MultiTaskLassoCV MultiTaskElasticNet MultiTaskElasticNetCV"

_CHECKS: Final[dict[str, Callable[[Any], None]]] = {
    **dict.fromkeys(_TREES.split(), checks_trees.single),
    **dict.fromkeys(_FORESTS.split(), checks_trees.forest),
    "GradientBoostingClassifier": checks_trees.boosting,
    "GradientBoostingRegressor": checks_trees.boosting,
    "HistGradientBoostingClassifier": checks_trees.histogram,
    "HistGradientBoostingRegressor": checks_trees.histogram,
    **dict.fromkeys(_SVM.split(), checks_data.support_vectors),
    **dict.fromkeys(_NEIGHBORS.split(), checks_data.neighbors),
    "KMeans": checks_data.centers,
    "MiniBatchKMeans": checks_data.centers,
    "BisectingKMeans": checks_more.bisecting,
    "HDBSCAN": checks_more.linkage,
    "NMF": checks_data.factors,
    "MiniBatchNMF": checks_data.factors,
    "LatentDirichletAllocation": checks_more.topics,
    **dict.fromkeys(_GRADIENT.split(), checks_more.gradient_descent),
    **dict.fromkeys(_COORDINATE.split(), checks_more.coordinate_descent),
    "IncrementalPCA": checks_more.finite_factors,
    "PatchExtractor": checks_more.patches,
    "FeatureHasher": checks_more.hashing,
    "HashingVectorizer": checks_more.hashing,
    "OneHotEncoder": checks_data.one_hot,
    "TargetEncoder": checks_data.target_encoder,
    "CountVectorizer": checks_data.vocabulary,
    "TfidfVectorizer": checks_data.vocabulary,
    "DictVectorizer": checks_data.vocabulary,
    "MultiLabelBinarizer": checks_data.label_cache,
    "Pipeline": checks_data.no_memory,
    "AgglomerativeClustering": checks_data.no_memory,
    "FeatureAgglomeration": checks_more.agglomerated,
}


def check(name: str, value: Any) -> None:
    """Check an object of the reviewed class `name`.

    Raises:
        MaterializationError: Its attributes do not fit together.
    """
    for attribute in vars(value):
        # Data must not take the place of a method, or of a constant that a check relies on.
        hidden = getattr(type(value), attribute, None)
        require(
            value,
            f"{attribute} hides what the class has",
            holds=not callable(hidden) and attribute != "_impl",
        )
    found = _CHECKS.get(name)
    if found is None:
        return
    try:
        found(value)
    except CasregError:
        raise
    except Exception as err:  # a check that meets another type than it knows has found a fault
        raise MaterializationError(
            f"the attributes of this {dotted(type(value))} cannot be checked: {err}"
        ) from err
