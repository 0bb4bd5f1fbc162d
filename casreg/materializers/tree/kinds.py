"""All kinds of values that a tree can hold, and who encodes and decodes each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError
from casreg.materializers.classes import kind_of
from casreg.materializers.tree import arrays, containers, records, scalars, times

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_ENCODERS: Final[dict[type, Callable[[Encoder, Any], JSON]]] = {
    **scalars.ENCODERS,
    **containers.ENCODERS,
    **times.ENCODERS,
}

_DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    **scalars.DECODERS,
    **containers.DECODERS,
    **times.DECODERS,
    **records.DECODERS,
    **arrays.DECODERS,
}


def encoder_for(cls: type, encoder: Encoder) -> Callable[[Encoder, Any], JSON]:
    """Who encodes values of exactly `cls`.

    Raises:
        NoMaterializerError: Nobody does.
    """
    found = _ENCODERS.get(cls) or arrays.find_encoder(cls)
    if found is None:
        kind = kind_of(cls)
        if kind is None:
            encoder.refuse_class(cls)
        found = records.BY_KIND[kind]
    return found


def decoder_for(tag: str) -> Callable[[Decoder, JSON], object]:
    """Who decodes `tag`.

    Raises:
        MaterializationError: There is no such tag.
    """
    found = _DECODERS.get(tag)
    if found is None:
        raise MaterializationError(
            f"the stored tree has the tag {tag[:40]!r}, which this casreg does not know"
        )
    return found
