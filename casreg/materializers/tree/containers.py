"""Lists, dicts, tuples, sets and their relations."""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict, deque
from typing import TYPE_CHECKING, Any, Final, cast

from casreg.materializers.torch_state_dict import is_state_dict
from casreg.materializers.tree.encode import sort_key
from casreg.materializers.tree.parts import encode_part
from casreg.materializers.tree.scalars import EXACT_INT, is_text

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder


def encode_list(encoder: Encoder, value: Any) -> JSON:
    """A list stands as itself."""
    return encode_items(encoder, value)


def encode_items(encoder: Encoder, value: Any) -> list[JSON]:
    """The parts of a sequence, in its order. Long ones of one plain type are only looked through, in C."""
    if _is_plain(value):
        return list(value)
    with encoder.inside(value):
        return [encoder.child(item, f"[{at}]") for at, item in enumerate(value)]


_PLAIN: Final[dict[type, Callable[[Any], bool]]] = {
    str: is_text,
    int: lambda value: -EXACT_INT <= value <= EXACT_INT,
    float: math.isfinite,
    bool: lambda _: True,
    type(None): lambda _: True,
}


def _is_plain(values: Collection[Any]) -> bool:
    """All are scalars that JSON holds as they are."""
    kinds = set(map(type, values))
    if kinds == {int}:  # min and max are loops in C
        return bool(min(values) >= -EXACT_INT and max(values) <= EXACT_INT)
    if len(kinds) == 1:
        check = _PLAIN.get(kinds.pop())
        return check is not None and all(map(check, values))
    return kinds <= _PLAIN.keys() and all(_PLAIN[type(one)](one) for one in values)


def encode_dict(encoder: Encoder, value: Any) -> JSON:
    """A dict with plain keys stands as itself, in its order; any other one as `$dict`, its pairs.

    Tensors go to one file together: a checkpoint has thousands.
    """
    if is_state_dict(value):
        return encode_part(encoder, value)
    if set(map(type, value)) <= {str} and not any(key[:1] == "$" or not is_text(key) for key in value):
        if _is_plain(value.values()):
            return dict(value)
        with encoder.inside(value):
            return {key: encoder.child(item, f"[{key!r}]") for key, item in value.items()}
    return {"$dict": encode_pairs(encoder, value)}


def encode_ordered(encoder: Encoder, value: Any) -> JSON:
    """An OrderedDict, as its pairs; with tensors as `encode_dict`."""
    if is_state_dict(value):
        return encode_part(encoder, value)
    _refuse_attributes(encoder, value)
    return {"$OrderedDict": encode_pairs(encoder, value)}


def encode_counter(encoder: Encoder, value: Any) -> JSON:
    """A Counter, as its pairs."""
    _refuse_attributes(encoder, value)
    return {"$Counter": encode_pairs(encoder, value)}


def _refuse_attributes(encoder: Encoder, value: Any) -> None:
    """These two can have attributes, such as the versions that a state dict of torch carries."""
    if value.__dict__:
        encoder.refuse(
            f"the attributes {sorted(value.__dict__)} of this {type(value).__name__} would be lost; save "
            f"`{type(value).__name__}(it)`, and them under names of their own"
        )


def encode_pairs(encoder: Encoder, value: Any) -> list[JSON]:
    """The pairs of a mapping, in its order."""
    with encoder.inside(value):
        return [
            [encoder.child(key, f" key {key!r:.40}"), encoder.child(item, f"[{key!r:.40}]")]
            for key, item in value.items()
        ]


def decode_pairs(decoder: Decoder, node: JSON) -> dict[object, object]:
    """What `encode_pairs` gives, as a dict."""
    pairs = [decoder.decode_list(pair) for pair in decoder.items(node)]
    try:
        found = dict(cast("Iterable[tuple[object, object]]", pairs))
    except (TypeError, ValueError):
        decoder.fail("pairs of a key and a value", node)
    if len(found) != len(pairs):
        decoder.fail("keys that differ", node)
    return found


def encode_set(encoder: Encoder, value: Any) -> list[JSON]:
    """The parts of a set, in the order of their JSON: that of the set differs from process to process."""
    with encoder.inside(value), encoder.unordered("a set"):
        return sorted((encoder.child(item, "{...}") for item in value), key=sort_key)


def decode_set(decoder: Decoder, node: JSON) -> frozenset[object]:
    """What `encode_set` gives, as a frozenset."""
    items = decoder.decode_list(node)
    try:
        found = frozenset(items)
    except TypeError:
        decoder.fail("hashable parts of a set", node)
    if len(found) != len(items):
        decoder.fail("parts of a set that differ", node)
    return found


_FACTORIES: Final[dict[str, Callable[[], object]]] = {
    one.__name__: one for one in (list, dict, set, tuple, frozenset, int, float, bool, str, bytes, complex)
}


def encode_defaultdict(encoder: Encoder, value: Any) -> JSON:
    """A defaultdict whose factory is a builtin class, or None."""
    factory = value.default_factory
    name = getattr(factory, "__name__", "")
    if factory is not None and _FACTORIES.get(name) is not factory:
        encoder.refuse(
            f"the factory {factory!r} of a defaultdict is code; use a builtin class, or save `dict(it)`"
        )
    return {"$defaultdict": [None if factory is None else name, encode_pairs(encoder, value)]}


def decode_defaultdict(decoder: Decoder, node: JSON) -> defaultdict[object, object]:
    """What `encode_defaultdict` tags."""
    name, pairs = decoder.items(node, 2)
    factory = None if name is None else _FACTORIES.get(decoder.text(name))
    if name is not None and factory is None:
        decoder.fail("the name of a builtin class", name)
    return defaultdict(factory, decode_pairs(decoder, pairs))


def decode_counter(decoder: Decoder, node: JSON) -> Counter[object]:
    """A Counter from its pairs."""
    found: Counter[object] = Counter()
    for key, count in decode_pairs(decoder, node).items():
        found[key] = count  # type: ignore[assignment] # a Counter holds whatever its owner put there
    return found


def decode_deque(decoder: Decoder, node: JSON) -> deque[object]:
    """A deque from its bound and parts."""
    bound, items = decoder.items(node, 2)
    if bound is not None and (type(bound) is not int or not len(decoder.items(items)) <= bound < EXACT_INT):
        decoder.fail("a bound of a deque", bound)
    return deque(decoder.decode_list(items), bound)


ENCODERS: Final[dict[type, Callable[[Encoder, Any], JSON]]] = {
    list: encode_list,
    dict: encode_dict,
    tuple: lambda encoder, value: {"$tuple": encode_items(encoder, value)},
    set: lambda encoder, value: {"$set": encode_set(encoder, value)},
    frozenset: lambda encoder, value: {"$frozenset": encode_set(encoder, value)},
    OrderedDict: encode_ordered,
    Counter: encode_counter,
    defaultdict: encode_defaultdict,
    deque: lambda encoder, value: {"$deque": [value.maxlen, encode_items(encoder, value)]},
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$dict": decode_pairs,
    "$tuple": lambda decoder, node: tuple(decoder.decode_list(node)),
    "$set": lambda decoder, node: set(decode_set(decoder, node)),
    "$frozenset": decode_set,
    "$OrderedDict": lambda decoder, node: OrderedDict(decode_pairs(decoder, node)),
    "$Counter": decode_counter,
    "$defaultdict": decode_defaultdict,
    "$deque": decode_deque,
}
