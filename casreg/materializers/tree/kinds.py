"""All kinds of values that a tree can hold, and who encodes and decodes each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError
from casreg.materializers.classes import dotted, kind_of
from casreg.materializers.tree import arrays, containers, records, scalars, sparse, times
from casreg.materializers.tree.objects import native, objects, random_state, values

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encode, Encoder

_ENCODERS: Final[dict[type, Callable[[Encoder, Any], JSON]]] = {
    **scalars.ENCODERS,
    **containers.ENCODERS,
    **times.ENCODERS,
}

_BY_NAME: Final[dict[str, Callable[[Encoder, Any], JSON]]] = {
    **sparse.BY_NAME,
    **native.BY_NAME,
    **random_state.BY_NAME,
    "sklearn.utils._bunch.Bunch": values.encode_bunch,
}

_DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    **scalars.DECODERS,
    **containers.DECODERS,
    **times.DECODERS,
    **records.DECODERS,
    **arrays.DECODERS,
    **sparse.DECODERS,
    **objects.DECODERS,
    **values.DECODERS,
    **native.DECODERS,
    **random_state.DECODERS,
}


def encoder_for(cls: type, encoder: Encoder) -> Callable[[Encoder, Any], JSON]:
    """Who encodes values of exactly `cls`.

    Raises:
        NoMaterializerError: Nobody does.
    """
    found = _among_attributes(cls) if encoder.in_object else None
    found = found or _ENCODERS.get(cls) or _BY_NAME.get(dotted(cls)) or arrays.find_encoder(cls)
    if found is None and (kind_of(cls) is None or encoder.folder.classes.key_of(cls) is None):
        found = objects.find_encoder(cls, encoder)
    if found is None:
        kind = kind_of(cls)
        if kind is None:
            encoder.refuse_class(cls)
        found = records.BY_KIND[kind]
    return found


def _among_attributes(cls: type) -> Encode | None:
    found = values.ENCODERS.get(cls)
    return found or next(
        (values.BY_NAME[name] for name in map(dotted, cls.__mro__) if name in values.BY_NAME), None
    )


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
