"""Checks of arrays that compiled code indexes with one another."""

from __future__ import annotations

from typing import Any

from casreg.materializers.tree.objects.require import array, count, has, own, require, threads, within

_KERNELS = ("linear", "poly", "rbf", "sigmoid", "precomputed")


def support_vectors(value: Any) -> None:
    """Compiled code of libsvm takes the lengths of one array for those of the others."""
    if not has(value, "support_"):
        return
    import numpy as np  # heavy

    require(value, "only machines fitted on dense data can be stored", holds=own(value, "_sparse") is False)
    require(value, "an unknown kernel", holds=own(value, "kernel") in _KERNELS)
    support, vectors = array(value, "support_", "i", 1), array(value, "support_vectors_", "f", 2)
    counts, coefficients = array(value, "_n_support", "i", 1), array(value, "_dual_coef_", "f", 2)
    offsets, classes = array(value, "_intercept_", "f", 1), len(counts)
    for one, dtype in (
        (support, np.int32),
        (counts, np.int32),
        (vectors, np.float64),
        (coefficients, np.float64),
    ):
        require(value, "a dtype", holds=one.dtype == dtype and bool(one.flags.c_contiguous))
    pairs = classes * (classes - 1) // 2
    require(
        value,
        "the number of classes",
        holds=classes > 1 and len(offsets) == pairs and within(counts, len(support) + 1),
    )
    require(value, "the coefficients", holds=coefficients.shape == (classes - 1, len(support)))
    if hasattr(type(value), "predict_proba") or has(value, "classes_"):
        fits = int(counts.sum()) == len(support) and len(own(value, "classes_")) == classes
        require(value, "the number of support vectors", holds=fits)
    if own(value, "kernel") == "precomputed":
        rows = own(value, "shape_fit_")[0]
        require(value, "a support vector out of range", holds=type(rows) is int and within(support, rows))
    else:
        shape = (len(support), count(value, "n_features_in_", 1))
        require(value, "the shape of the support vectors", holds=vectors.shape == shape)
    sizes = {len(array(value, name, "f", 1)) for name in ("_probA", "_probB")}
    require(value, "the probabilities", holds=len(sizes) == 1 and sizes <= {0, pairs})
    wanted = bool(value.__dict__.get("_effective_probability", value.probability))
    require(value, "probabilities are missing", holds=not wanted or classes < 2 or sizes == {pairs})


def neighbors(value: Any) -> None:
    """Distances run over the columns of both sides; classes of neighbours index the votes."""
    if not has(value, "_fit_X"):
        return
    import numpy as np  # heavy

    points = own(value, "_fit_X")
    require(value, "only dense data can be stored", holds=type(points) is np.ndarray and points.ndim == 2)
    fits = points.shape == (count(value, "n_samples_fit_", 1), count(value, "n_features_in_", 1))
    require(value, "the shape of the data", holds=fits or own(value, "effective_metric_") == "precomputed")
    tree = own(value, "_tree")
    if tree is not None:
        from sklearn.neighbors import BallTree, KDTree  # heavy

        require(value, "the tree is none", holds=isinstance(tree, KDTree | BallTree))
        require(value, "the tree has other data", holds=np.asarray(tree.data).shape == points.shape)
    if has(value, "classes_"):
        votes, classes = array(value, "_y", "i"), own(value, "classes_")
        bounds = [len(one) for one in classes] if isinstance(classes, list) else [len(classes)]
        columns = votes.reshape(len(points), -1)
        require(value, "the number of outputs", holds=columns.shape[1] == len(bounds))
        inside = all(within(columns[:, at], bound) for at, bound in enumerate(bounds))
        require(value, "a class out of range", holds=inside)


def centers(value: Any) -> None:
    """Distances to the centers run over the columns of the data."""
    if not has(value, "cluster_centers_"):
        return
    found = array(value, "cluster_centers_", "f", 2)
    fits = (
        len(found) > 0
        and found.shape[1] == count(value, "n_features_in_", 1)
        and bool(found.flags.c_contiguous)
    )
    require(value, "the shape of the centers", holds=fits)
    threads(value)
    if has(value, "_counts"):
        require(
            value, "one weight for each center", holds=array(value, "_counts", "f").shape == (len(found),)
        )


def factors(value: Any) -> None:
    """The solver takes the number of components for the shape of what it computes from them."""
    if has(value, "components_"):
        shape = (count(value, "_n_components", 1), count(value, "n_features_in_", 1))
        require(
            value, "the shape of the components", holds=array(value, "components_", "f", 2).shape == shape
        )


def one_hot(value: Any) -> None:
    """Columns of the sparse result are computed from categories, and not looked at again."""
    if not has(value, "categories_"):
        return
    categories = own(value, "categories_")
    features = count(value, "n_features_in_", 1)
    infrequent = bool(value._infrequent_enabled) if has(value, "_infrequent_enabled") else False  # noqa: SLF001
    mappings = own(value, "_default_to_infrequent_mappings") if infrequent else [None] * features
    dropped = own(value, "_drop_idx_after_grouping")
    drops = [None] * features if dropped is None else list(dropped)
    require(
        value, "one entry for each feature", holds=len(categories) == features == len(mappings) == len(drops)
    )
    widths = []
    for names, mapping, drop in zip(categories, mappings, drops, strict=True):
        width = len(names)
        if mapping is not None:
            require(
                value, "a mapping of categories", holds=mapping.dtype.kind == "i" and len(mapping) == width
            )
            width = int(mapping.max()) + 1
            require(value, "a mapping of categories", holds=within(mapping, width))
        require(value, "a dropped category", holds=drop is None or 0 <= int(drop) < width)
        widths.append(width - (drop is not None))
    require(
        value, "the number of columns", holds=[int(one) for one in own(value, "_n_features_outs")] == widths
    )


def target_encoder(value: Any) -> None:
    """The mean of a category is looked up by its number."""
    if not has(value, "encodings_"):
        return
    categories, means = own(value, "categories_"), own(value, "encodings_")
    outputs = len(means) // max(1, len(categories))
    require(value, "one mean for each category", holds=len(means) == outputs * len(categories))
    for at, one in enumerate(means):
        require(value, "one mean for each category", holds=len(one) == len(categories[at // outputs]))


def vocabulary(value: Any) -> None:
    """Words are columns of a sparse matrix that is as wide as there are words."""
    if has(value, "vocabulary_"):
        columns = [int(one) for one in own(value, "vocabulary_").values()]
        require(value, "the columns of the words", holds=sorted(columns) == list(range(len(columns))))


def label_cache(value: Any) -> None:
    """Labels are columns of a sparse matrix that is as wide as there are labels."""
    cache = vars(value).get("_cached_dict")
    if cache is not None:
        columns = [int(one) for one in cache.values()]
        require(
            value,
            "the columns of the labels",
            holds=sorted(columns) == list(range(len(own(value, "classes_")))),
        )


def no_memory(value: Any) -> None:
    """A cache folder is where joblib unpickles from: none is taken from stored data."""
    require(
        value,
        "`memory` names a cache folder; save it after set_params(memory=None)",
        holds=value.memory is None,
    )
