"""State that compiled code holds: written as arguments, rebuilt by the library's own constructors."""

from __future__ import annotations

import math
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from casreg.exceptions import MaterializationError
from casreg.materializers.tree.objects import tree_nodes
from casreg.materializers.tree.scalars import encode_float, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

# Loss functions by module: each is made from at most two floats.
_SGD: Final = "sklearn.linear_model._sgd_fast"
_CY: Final = "sklearn._loss._loss"
_PLAIN: Final = {
    "Hinge": _SGD,
    "SquaredHinge": _SGD,
    "ModifiedHuber": _SGD,
    "EpsilonInsensitive": _SGD,
    "SquaredEpsilonInsensitive": _SGD,
    "CyHalfSquaredError": _CY,
    "CyHalfBinomialLoss": _CY,
    "CyHuberLoss": _CY,
}

# scikit-learn's composite losses: the keyword arguments that make them again, and where each is found.
_LOSSES: Final[dict[str, dict[str, str]]] = {
    "HalfSquaredError": {},
    "AbsoluteError": {},
    "PinballLoss": {"quantile": "closs.quantile"},
    "HuberLoss": {"quantile": "quantile", "delta": "closs.delta"},
    "HalfPoissonLoss": {},
    "HalfGammaLoss": {},
    "HalfTweedieLoss": {"power": "closs.power"},
    "HalfTweedieLossIdentity": {"power": "closs.power"},
    "HalfBinomialLoss": {},
    "HalfMultinomialLoss": {"n_classes": "n_classes"},
    "ExponentialLoss": {},
}
_LOSS_STATE: Final = ("approx_hessian", "constant_hessian")

_METRICS: Final = (
    *(
        "euclidean",
        "minkowski",
        "manhattan",
        "chebyshev",
        "hamming",
        "canberra",
        "braycurtis",
        "jaccard",
        "dice",
    ),
    *("rogerstanimoto", "russellrao", "sokalmichener", "sokalsneath", "haversine"),
)


def encode_plain(encoder: Encoder, value: Any) -> JSON:
    """A loss function of the stochastic solvers."""
    _, arguments = value.__reduce__()[:2]
    return {"$native": [type(value).__name__, [encode_float(encoder, float(one)) for one in arguments]]}


def decode_plain(decoder: Decoder, node: JSON) -> object:
    """What `encode_plain` tags."""
    name, arguments = decoder.items(node, 2)
    if decoder.text(name) not in _PLAIN:
        decoder.fail("a loss function of the table", name)
    found = [number(decoder, one) for one in decoder.items(arguments)]
    cls = getattr(import_module(_PLAIN[cast("str", name)]), cast("str", name))
    return _made(cls, found, {})


def encode_loss(encoder: Encoder, value: Any) -> JSON:
    """A composite loss: the arguments that make it again, and two flags that fitting sets."""
    name = type(value).__name__
    if getattr(value, "xp", None) is not None or getattr(value, "y_true_int", None) is not None:
        encoder.refuse("a loss function that lives on another device cannot be saved; fit with numpy arrays")
    arguments: dict[str, JSON] = {}
    for keyword, path in _LOSSES[name].items():
        found = value
        for step in path.split("."):
            found = _argument(found, step)
        if found is not None:
            arguments[keyword] = int(found) if keyword == "n_classes" else encode_float(encoder, float(found))
    return {"$loss": [name, arguments, [bool(getattr(value, flag)) for flag in _LOSS_STATE]]}


def _argument(found: Any, step: str) -> Any:
    # Some compiled losses do not show their parameter; all of them give it to pickle, alone.
    return getattr(found, step) if hasattr(found, step) else found.__reduce__()[1][0]


def decode_loss(decoder: Decoder, node: JSON) -> object:
    """What `encode_loss` tags."""
    name, arguments, flags = decoder.items(node, 3)
    if decoder.text(name) not in _LOSSES:
        decoder.fail("a loss function of the table", name)
    found: dict[str, Any] = {}
    for keyword, argument in decoder.decode_dict(arguments).items():
        if keyword not in _LOSSES[cast("str", name)]:
            decoder.fail(f"only arguments of {name}", keyword)
        value = float(argument) if isinstance(argument, int | float) else math.nan
        if not math.isfinite(value) or (
            keyword == "n_classes" and not (type(argument) is int and 1 < argument < 1 << 31)
        ):
            decoder.fail("a number", argument)
        found[keyword] = argument if keyword == "n_classes" else value
    loss = _made(getattr(import_module("sklearn._loss.loss"), cast("str", name)), [], found)
    for flag, on in zip(_LOSS_STATE, decoder.items(flags, len(_LOSS_STATE)), strict=True):
        setattr(loss, flag, bool(on))
    return cast("object", loss)


def encode_index(encoder: Encoder, value: Any) -> JSON:
    """A KDTree or BallTree: its points and settings. Building it again gives the same tree."""
    state = value.__getstate__()
    leaf_size, distance, weights = state[4], state[-2], state[-1]
    from sklearn.metrics import _dist_metrics  # heavy

    known = _dist_metrics.METRIC_MAPPING64.items()
    metric = next((name for name, cls in known if cls is type(distance) and name in _METRICS), None)
    if metric is None:
        encoder.refuse(
            f"a tree of neighbours with {type(distance).__name__} cannot be saved; use a metric without arguments"
        )
    if metric == "minkowski" and len(distance.__getstate__()[1]):
        encoder.refuse(
            "a tree of neighbours with a weighted metric cannot be saved; scale the features instead"
        )
    import numpy as np  # heavy

    power = encode_float(encoder, float(distance.__getstate__()[0])) if metric == "minkowski" else None
    points = encoder.encode_large(np.asarray(value.data))
    weighted = None if weights is None else encoder.encode_large(np.asarray(weights))
    return {"$index": [type(value).__name__, points, int(leaf_size), metric, power, weighted]}


def decode_index(decoder: Decoder, node: JSON) -> object:
    """What `encode_index` tags."""
    from sklearn import neighbors  # heavy

    name, points, leaf_size, metric, power, weights = decoder.items(node, 6)
    if name not in ("KDTree", "BallTree") or metric not in _METRICS:
        decoder.fail("a tree of neighbours", node)
    if type(leaf_size) is not int or not 1 <= leaf_size < 1 << 31:
        decoder.fail("the size of a leaf", leaf_size)
    arguments: dict[str, Any] = {"leaf_size": leaf_size, "metric": metric}
    if power is not None:
        arguments["p"] = number(decoder, power)
    data = decoder.array(points)
    if weights is not None:
        arguments["sample_weight"] = decoder.array(weights)
    return _made(getattr(neighbors, name), [data], arguments)


def encode_spline(encoder: Encoder, value: Any) -> JSON:
    """One of scipy's splines: knots, coefficients, degree, what is beyond the knots, axis."""
    return {
        "$spline": [
            encoder.child(value.t, ".t"),
            encoder.child(value.c, ".c"),
            int(value.k),
            value.extrapolate if value.extrapolate == "periodic" else bool(value.extrapolate),
            int(value.axis),
        ]
    }


def decode_spline(decoder: Decoder, node: JSON) -> object:
    """What `encode_spline` tags. The constructor looks at all of it."""
    from scipy.interpolate import BSpline  # heavy

    knots, coefficients, degree, beyond, axis = decoder.items(node, 5)
    if type(degree) is not int or type(axis) is not int or not (0 <= degree < 256 and 0 <= axis < 32):
        decoder.fail("a degree and an axis", node)
    if beyond != "periodic" and type(beyond) is not bool:
        decoder.fail("what is beyond the knots", beyond)
    arrays = [decoder.array(knots), decoder.array(coefficients)]
    if any(one.dtype.kind != "f" for one in arrays):
        decoder.fail("floats", node)
    return _made(BSpline, [*arrays, degree], {"extrapolate": beyond, "axis": axis})


def encode_imputation(encoder: Encoder, value: Any) -> JSON:
    """One step of an IterativeImputer: the feature, those that it is guessed from, the estimator."""
    return {"$imputation": [encoder.child(item, f".{name}") for name, item in value._asdict().items()]}


def decode_imputation(decoder: Decoder, node: JSON) -> object:
    """What `encode_imputation` tags."""
    from sklearn.impute._iterative import _ImputerTriplet  # heavy

    return _ImputerTriplet(*(decoder.decode(one) for one in decoder.items(node, 3)))


def _made(cls: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
    try:
        return cls(*arguments, **keywords)
    except (TypeError, ValueError, OverflowError) as err:
        raise MaterializationError(f"the stored arguments do not make a {cls.__name__}: {err}") from err


BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = {
    "sklearn.tree._tree.Tree": tree_nodes.encode,
    "sklearn.neighbors._kd_tree.KDTree": encode_index,
    "sklearn.neighbors._ball_tree.BallTree": encode_index,
    "scipy.interpolate._bsplines.BSpline": encode_spline,
    "sklearn.impute._iterative._ImputerTriplet": encode_imputation,
    **{f"{module}.{name}": encode_plain for name, module in _PLAIN.items()},
    **{f"sklearn._loss.loss.{name}": encode_loss for name in _LOSSES},
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$tree": tree_nodes.decode,
    "$native": decode_plain,
    "$loss": decode_loss,
    "$index": decode_index,
    "$spline": decode_spline,
    "$imputation": decode_imputation,
}
