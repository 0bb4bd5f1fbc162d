"""numpy's random generators: the state of the bit generator, checked, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from casreg.exceptions import MaterializationError
from casreg.materializers.tree.scalars import encode_float, encode_int, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_MT_WORDS: Final = 624
_PCG: Final = ("PCG64", "PCG64DXSM")


def encode_legacy(encoder: Encoder, value: Any) -> JSON:
    """A RandomState: its state, or the word that it is the process's own."""
    import numpy as np  # heavy

    if value is np.random.mtrand._rand:  # noqa: SLF001 - `check_random_state(None)` gives this very object
        # Its state changes all the time, and means nothing in another process.
        return {"$RandomState": "global"}
    same = encoder.seen(value)
    if same is not None:
        return {"$same": same}
    state = value.get_state(legacy=False)
    gauss = [int(state["has_gauss"]), encode_float(encoder, float(state["gauss"]))]
    return {"$RandomState": [_bits(encoder, state), gauss]}


def decode_legacy(decoder: Decoder, node: JSON) -> object:
    """What `encode_legacy` tags."""
    import numpy as np  # heavy

    if node == "global":
        return np.random.mtrand._rand  # noqa: SLF001 - as above
    bits, gauss = decoder.items(node, 2)
    at = decoder.begin_shared()
    has_gauss, kept = decoder.items(gauss, 2)
    if has_gauss not in (0, 1):
        decoder.fail("0 or 1", has_gauss)
    state = _read_bits(decoder, bits)
    if state["bit_generator"] != "MT19937":
        decoder.fail("the state of MT19937", state["bit_generator"])
    value = np.random.RandomState(0)
    value.set_state({**state, "has_gauss": int(cast("int", has_gauss)), "gauss": number(decoder, kept)})
    decoder.end_shared(at, value)
    return value


def encode_generator(encoder: Encoder, value: Any) -> JSON:
    """A Generator: the state of its bit generator."""
    same = encoder.seen(value)
    if same is not None:
        return {"$same": same}
    return {"$Generator": _bits(encoder, value.bit_generator.state)}


def decode_generator(decoder: Decoder, node: JSON) -> object:
    """What `encode_generator` tags."""
    import numpy as np  # heavy

    at = decoder.begin_shared()
    state = _read_bits(decoder, node)
    bits = cast("Any", getattr(np.random, cast("str", state["bit_generator"])))(0)
    bits.state = state
    value = np.random.Generator(bits)
    decoder.end_shared(at, value)
    return value


def _bits(encoder: Encoder, state: dict[str, Any]) -> JSON:  # noqa: RET503 - refuse() raises
    name = state["bit_generator"]
    inner = state["state"]
    if name == "MT19937":
        return [name, [int(one) for one in inner["key"]], int(inner["pos"])]
    if name in _PCG:
        words = [encode_int(encoder, int(inner["state"])), encode_int(encoder, int(inner["inc"]))]
        return [name, words, [int(state["has_uint32"]), int(state["uinteger"])]]
    encoder.refuse(f"a random generator of {name} cannot be saved; use numpy.random.default_rng")


def _read_bits(decoder: Decoder, node: JSON) -> dict[str, object]:
    import numpy as np  # heavy

    name, words, rest = decoder.items(node, 3)
    if name == "MT19937":
        key = decoder.items(words, _MT_WORDS)
        # Compiled code indexes the key with the position and does not look.
        if not _within(key, 1 << 32) or not _within([rest], _MT_WORDS + 1):
            decoder.fail("a state of MT19937", rest)
        return {"bit_generator": name, "state": {"key": np.array(key, np.uint32), "pos": rest}}
    if name in _PCG:
        state, inc = (decoder.decode(one) for one in decoder.items(words, 2))
        has, kept = decoder.items(rest, 2)
        if not _within([state, inc], 1 << 128) or not _within([has], 2) or not _within([kept], 1 << 32):
            decoder.fail("a state of PCG64", node)
        return {
            "bit_generator": name,
            "state": {"state": state, "inc": inc},
            "has_uint32": has,
            "uinteger": kept,
        }
    raise MaterializationError(f"the stored random generator {name!r} is none that is ever written")


def _within(values: list[Any], bound: int) -> bool:
    return all(type(one) is int and 0 <= one < bound for one in values)


BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = {
    "numpy.random.mtrand.RandomState": encode_legacy,
    "numpy.random._generator.Generator": encode_generator,
}

DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$RandomState": decode_legacy,
    "$Generator": decode_generator,
}
