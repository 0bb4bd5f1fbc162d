"""Checks of what compiled solvers and clusterings take for granted of fitted attributes."""

from __future__ import annotations

from typing import Any, Final

from casreg.materializers.tree.objects.checks_data import no_memory
from casreg.materializers.tree.objects.require import array, count, has, own, require, threads, within

_WEIGHTS: Final = ("coef_", "_standard_coef", "_average_coef")


def gradient_descent(value: Any) -> None:
    """`partial_fit` goes on from the weights of each class, over the columns of the new data."""
    if not has(value, "coef_"):
        return
    features = count(value, "n_features_in_", 1)
    held = [name for name in _WEIGHTS if has(value, name) and own(value, name) is not None]
    found = [array(value, name, "f") for name in held]
    for one in found:
        fits = one.ndim in (1, 2) and one.shape[-1] == features and bool(one.flags.c_contiguous)
        require(value, "the shape of the weights", holds=fits)
    require(value, "weights of one size", holds=len({one.size for one in found}) == 1 and found[0].size > 0)
    if has(value, "classes_"):
        classes = len(own(value, "classes_"))
        rows = classes if classes > 2 else 1
        require(value, "weights for each class", holds=found[0].size == rows * features)


def coordinate_descent(value: Any) -> None:
    """With `warm_start` the solver begins with the weights, and walks over the columns of the data."""
    if has(value, "coef_"):
        found = array(value, "coef_", "f")
        features = count(value, "n_features_in_", 1)
        require(
            value,
            "the shape of the weights",
            holds=found.ndim in (1, 2) and found.shape[-1] == features and found.size > 0,
        )


def topics(value: Any) -> None:
    """Expectations are computed for the words that the data have."""
    for name in ("components_", "exp_dirichlet_component_"):
        if has(value, name):
            found = array(value, name, "f", 2)
            fits = len(found) > 0 and found.shape[1] == count(value, "n_features_in_", 1)
            require(value, f"the shape of {name}", holds=fits)


def bisecting(value: Any) -> None:
    """Distances to the centers on the way down run over the columns of the data."""
    if not has(value, "_bisecting_tree"):
        return
    from sklearn.cluster._bisect_k_means import _BisectingTree  # heavy

    features = count(value, "n_features_in_", 1)
    threads(value)
    centers = array(value, "cluster_centers_", "f", 2)
    require(value, "the shape of the centers", holds=len(centers) > 0 and centers.shape[1] == features)
    nodes = [own(value, "_bisecting_tree")]
    while nodes:
        node = nodes.pop()
        require(value, "a node is none", holds=type(node) is _BisectingTree)
        center = array(node, "center", "f", 1)
        require(
            value, "the center of a node", holds=len(center) == features and center.dtype == centers.dtype
        )
        left, right = own(node, "left"), own(node, "right")
        require(value, "a node with one child", holds=(left is None) == (right is None))
        nodes += [] if left is None else [left, right]


def agglomerated(value: Any) -> None:
    """Features of one label are put together in arrays that are as long as the largest label."""
    no_memory(value)
    if has(value, "labels_"):
        found = array(value, "labels_", "i", 1)
        fits = len(found) == count(value, "n_features_in_", 1) and within(found, len(found))
        require(value, "one label for each feature", holds=fits)


def linkage(value: Any) -> None:
    """Cutting the tree of clusters follows the numbers of its nodes unseen."""
    if not has(value, "_single_linkage_tree_"):
        return
    from sklearn.cluster._hdbscan._tree import HIERARCHY_dtype  # heavy

    found = array(value, "_single_linkage_tree_", "V", 1)
    require(
        value,
        "a tree of another scikit-learn; install the one that saved it",
        holds=found.dtype == HIERARCHY_dtype and bool(found.flags.c_contiguous) and len(found) > 0,
    )
    for name in ("left_node", "right_node"):
        require(value, "a node out of range", holds=within(found[name], 2 * len(found) + 1))


def patches(value: Any) -> None:
    """A patch is a window that is laid over an image."""
    size = value.patch_size
    fits = size is None or (
        isinstance(size, tuple | list)
        and len(size) == 2
        and all(type(one) is int and one > 0 for one in size)
    )
    require(value, "patch_size is not two counts", holds=fits)


def hashing(value: Any) -> None:
    """Words are taken modulo the number of columns."""
    count(value, "n_features", 1)


def finite_factors(value: Any) -> None:
    """`partial_fit` decomposes them again, which with NaN may never end."""
    import numpy as np  # heavy

    for name in ("components_", "singular_values_", "mean_"):
        if has(value, name):
            require(value, f"{name} is not finite", holds=bool(np.isfinite(array(value, name, "f")).all()))
