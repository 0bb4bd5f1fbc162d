"""scikit-learn's decision trees: nodes and values as arrays, checked before compiled code sees them.

Compiled code follows the children of a node and reads the feature that it names without looking; a tree is
rebuilt only if every node can be reached once and from nowhere else, so that no stored tree can make it read
out of bounds, or run for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from casreg.exceptions import MaterializationError

if TYPE_CHECKING:
    from casreg.materializers.base import JSON
    from casreg.materializers.npy import Array
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_LEAF = -1


def encode(encoder: Encoder, value: Any) -> JSON:
    """Counts, and the two arrays. The nodes lose their padding, which is memory of no meaning."""
    import numpy as np  # heavy

    same = encoder.seen(value)
    if same is not None:
        return {"$same": same}
    _, (n_features, n_classes, n_outputs), state = value.__reduce__()
    nodes = state["nodes"]
    packed = np.empty(nodes.shape, [(name, nodes.dtype[name].str) for name in nodes.dtype.names])
    for name in nodes.dtype.names:
        packed[name] = nodes[name]
    return {
        "$tree": [
            int(n_features),
            [int(one) for one in n_classes],
            int(n_outputs),
            int(state["max_depth"]),
            encoder.encode_large(packed),
            encoder.encode_large(state["values"]),
        ]
    }


def decode(decoder: Decoder, node: JSON) -> object:
    """What `encode` tags.

    Raises:
        MaterializationError: The arrays are no tree, or one of another release of scikit-learn.
    """
    import numpy as np  # heavy
    from sklearn.tree import _tree

    n_features, n_classes, n_outputs, max_depth, packed, values = decoder.items(node, 6)
    at = decoder.begin_shared()
    classes = [_count(decoder, one) for one in decoder.items(n_classes)]
    features, outputs, depth = (
        _count(decoder, n_features),
        _count(decoder, n_outputs),
        _count(decoder, max_depth, 0),
    )
    if len(classes) != outputs:
        decoder.fail("a number of classes for each output", n_classes)
    nodes = _unpacked(decoder.array(packed), _tree.NODE_DTYPE)
    found = decoder.array(values)
    if found.dtype != np.float64 or found.shape != (len(nodes), outputs, max(classes)):
        decoder.fail("one value for each node, output and class", found.shape)
    check_children(nodes["left_child"], nodes["right_child"], nodes["feature"], features, depth, leaf=_LEAF)
    tree = _tree.Tree(features, np.array(classes, np.intp), outputs)
    state = {
        "max_depth": depth,
        "node_count": len(nodes),
        "nodes": nodes,
        "values": np.ascontiguousarray(found),
    }
    try:
        tree.__setstate__(state)
    except ValueError as err:
        raise MaterializationError(f"scikit-learn refuses the stored tree: {err}") from err
    decoder.end_shared(at, tree)
    return cast("object", tree)


def _count(decoder: Decoder, node: JSON, least: int = 1) -> int:
    if type(node) is not int or not least <= node < 1 << 31:
        decoder.fail("a count", node)
    return node


def _unpacked(packed: Array, wanted: Any) -> Array:
    import numpy as np  # heavy

    if packed.ndim != 1 or packed.dtype.names != wanted.names:
        raise MaterializationError(
            "the stored tree has other nodes than this scikit-learn; install the one that saved it"
        )
    if any(packed.dtype[name] != wanted[name] for name in wanted.names):
        raise MaterializationError(
            "the stored tree has other nodes than this scikit-learn; install the one that saved it"
        )
    nodes = np.zeros(packed.shape, wanted)
    for name in wanted.names:
        nodes[name] = packed[name]
    return nodes


def check_children(
    left: Array,
    right: Array,
    feature: Array,
    features: int,
    max_depth: int,
    *,
    leaf: int,
    is_leaf: Array | None = None,
) -> None:
    """See that these nodes are one tree with its root first, of the depth that it says, on features that exist.

    `is_leaf` says which nodes are leaves; without it, those whose children both are `leaf`.

    Raises:
        MaterializationError: They are not.
    """
    import numpy as np  # heavy

    count = len(left)
    if is_leaf is None:
        is_leaf = (left == leaf) & (right == leaf)
    inner = np.flatnonzero(~is_leaf)
    a, b = left[inner].astype(np.int64), right[inner].astype(np.int64)
    children = np.concatenate([a, b])
    # Every node but the root is the child of exactly one node, which comes before it: no cycle, no way out.
    if count == 0 or not np.array_equal(np.sort(children), np.arange(1, count)):
        raise MaterializationError("the stored nodes are not one tree")
    if np.any(a <= inner) or np.any(b <= inner):
        raise MaterializationError("a stored node comes before its parent")
    if np.any((feature[inner] < 0) | (feature[inner] >= features)):
        raise MaterializationError("a stored node asks for a feature that there is not")
    level, depth = np.zeros(1, np.int64), -1
    while level.size:
        depth += 1
        level = level[~is_leaf[level]]
        level = np.concatenate([left[level], right[level]]).astype(np.int64)
    if depth > max_depth:
        raise MaterializationError(f"the stored tree is {depth} deep, and says {max_depth}")
