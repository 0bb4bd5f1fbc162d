"""Checks of trees in estimators: compiled code follows them over the columns of the caller's data unseen."""

from __future__ import annotations

from typing import Any

from casreg.materializers.tree.objects.require import array, count, has, own, require, within
from casreg.materializers.tree.objects.tree_nodes import check_children


def single(value: Any) -> None:
    """A decision tree has as many features as its estimator says: that is how many the data are checked for."""
    if not has(value, "tree_"):
        return
    from sklearn.tree import _tree  # heavy

    tree = own(value, "tree_")
    require(value, "tree_ is not a tree", holds=type(tree) is _tree.Tree)
    features = count(value, "n_features_in_", 1)
    require(value, "tree_ has another number of features", holds=tree.n_features == features)
    require(
        value, "tree_ has another number of outputs", holds=tree.n_outputs == count(value, "n_outputs_", 1)
    )


def forest(value: Any) -> None:
    """The trees of a forest see data that were checked for the forest alone."""
    if not has(value, "estimators_"):
        return
    from sklearn.tree import BaseDecisionTree  # heavy

    features = count(value, "n_features_in_", 1)
    trees = own(value, "estimators_")
    require(value, "estimators_ is not a list", holds=type(trees) is list and len(trees) > 0)
    for tree in trees:
        require(
            value,
            "an estimator is not a fitted tree",
            holds=isinstance(tree, BaseDecisionTree) and has(tree, "tree_"),
        )
    if type(value).__name__ == "IsolationForest":
        # Its trees may see some of the features only, which it picks by index for them, and checks no more.
        chosen = own(value, "estimators_features_")
        require(value, "not the features of each tree", holds=len(chosen) == len(trees))
        picked = count(value, "_max_features", 1)
        for tree, columns in zip(trees, chosen, strict=True):
            require(
                value,
                "the features of a tree",
                holds=tree.tree_.n_features == len(columns) == picked <= features,
            )
        return
    require(
        value, "a tree has other features", holds=all(tree.tree_.n_features == features for tree in trees)
    )


def boosting(value: Any) -> None:
    """All trees add to an array of predictions, one column for each tree of a stage, that the first stage makes."""
    if not has(value, "estimators_"):
        return
    import numpy as np  # heavy
    from sklearn.tree import DecisionTreeRegressor

    features = count(value, "n_features_in_", 1)
    trees = array(value, "estimators_", "O", 2)
    per_stage = trees.shape[1]
    require(
        value, "not so many trees in a stage", holds=per_stage == count(value, "n_trees_per_iteration_", 1)
    )
    for tree in trees.flat:
        require(
            value,
            "an estimator is not a fitted tree",
            holds=type(tree) is DecisionTreeRegressor and has(tree, "tree_"),
        )
        fits = tree.tree_.n_features == features and tree.tree_.value.shape[1:] == (1, 1)
        require(value, "a tree has other features or values", holds=fits)
    start = value._raw_predict_init(np.zeros((1, features), np.float32))  # noqa: SLF001 - what prediction begins with
    shaped = isinstance(start, np.ndarray) and start.dtype == np.float64 and start.shape == (1, per_stage)
    require(value, "the first stage does not give a column for each tree", holds=shaped)


def histogram(value: Any) -> None:
    """Nodes are followed without looking; a categorical one reads sets that the bin mapper makes."""
    if not has(value, "_predictors"):
        return
    import numpy as np  # heavy

    features = count(value, "n_features_in_", 1)
    require(value, "_n_features is another number", holds=count(value, "_n_features", 1) == features)
    mapper = own(value, "_bin_mapper")
    categorical = array(mapper, "is_categorical_", "bu", 1)
    thresholds = own(mapper, "bin_thresholds_")
    require(mapper, "not one entry for each feature", holds=len(categorical) == features == len(thresholds))
    for at in np.flatnonzero(categorical):
        known = np.asarray(thresholds[at])
        require(mapper, "a category is out of range", holds=known.dtype.kind in "fiu" and within(known, 256))
    _preprocessor(value, features)
    per_stage = count(value, "n_trees_per_iteration_", 1)
    for stage in own(value, "_predictors"):
        require(value, "not so many trees in a stage", holds=len(stage) == per_stage)
        for predictor in stage:
            _predictor(predictor, features, categorical.astype(bool))


def _predictor(value: Any, features: int, categorical: Any) -> None:
    from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE  # heavy

    nodes = array(value, "nodes", "V", 1)
    require(
        value,
        "nodes of another scikit-learn; install the one that saved it",
        holds=nodes.dtype == PREDICTOR_RECORD_DTYPE,
    )
    leaves = nodes["is_leaf"] != 0
    feature = nodes["feature_idx"]
    check_children(nodes["left"], nodes["right"], feature, features, len(nodes), leaf=0, is_leaf=leaves)
    sets = nodes[~leaves & (nodes["is_categorical"] != 0)]
    require(
        value, "a categorical node of a numeric feature", holds=bool(categorical[sets["feature_idx"]].all())
    )
    for name in ("binned_left_cat_bitsets", "raw_left_cat_bitsets"):
        bits = array(value, name, "u", 2)
        require(
            value,
            "a set of categories is missing",
            holds=bits.shape[1] == 8 and within(sets["bitset_idx"], len(bits)),
        )


def _preprocessor(value: Any, features: int) -> None:
    """What the data become before the trees see them has as many columns as the trees know."""
    found = own(value, "_preprocessor")
    if found is None:
        return
    from sklearn.compose import ColumnTransformer  # heavy
    from sklearn.preprocessing import FunctionTransformer, OrdinalEncoder

    require(value, "_preprocessor is something else", holds=type(found) is ColumnTransformer)
    require(found, "not every column once", holds=count(found, "n_features_in_", 1) == features)
    seen = 0
    for _, one, columns in own(found, "transformers_"):
        width = _width(columns, features)
        if one == "drop":
            continue
        plain = type(one) is FunctionTransformer and _keeps_columns(one.func)
        require(found, "an unknown step", holds=plain or type(one) is OrdinalEncoder)
        require(found, "an encoder of other columns", holds=plain or len(one.categories_) == width)
        seen += width
    require(found, "not every column once", holds=seen == features)


def _keeps_columns(function: Any) -> bool:
    from sklearn.utils import check_array  # heavy

    return function is None or getattr(function, "func", function) is check_array


def _width(columns: Any, features: int) -> int:
    import numpy as np  # heavy

    # Some releases keep column numbers in a list of their own kind.
    return len(
        np.arange(features)[
            getattr(columns, "data", columns) if not isinstance(columns, np.ndarray) else columns
        ]
    )
