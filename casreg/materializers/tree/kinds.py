"""All kinds of values that a tree can hold, and who encodes and decodes each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import MaterializationError
from casreg.materializers.classes import dotted, kind_of
from casreg.materializers.tree import (
    arrays,
    containers,
    pandas_values,
    parts,
    records,
    scalars,
    sparse,
    times,
)
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
    **pandas_values.BY_NAME,
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
    **pandas_values.DECODERS,
    **objects.DECODERS,
    **values.DECODERS,
    **native.DECODERS,
    **random_state.DECODERS,
    **parts.DECODERS,
}


def encoder_for(cls: type, encoder: Encoder) -> Callable[[Encoder, Any], JSON]:  # noqa: RET503 - refuse_class() raises
    """Who encodes values of exactly `cls`: the tree itself, if it knows the class; else its materializer.

    Raises:
        NoMaterializerError: Nobody does.
    """
    for find in (_exactly, _by_fields, parts.find_encoder, _by_base):
        found = find(cls, encoder)
        if found is not None:
            return found
    encoder.refuse_class(cls)


def _exactly(cls: type, encoder: Encoder) -> Encode | None:
    name = dotted(cls)
    found = (values.ENCODERS.get(cls) or values.BY_NAME.get(name)) if encoder.in_object else None
    return found or _ENCODERS.get(cls) or _BY_NAME.get(name) or arrays.find_own(cls)


def _by_fields(cls: type, encoder: Encoder) -> Encode | None:
    kind = kind_of(cls)
    if kind is not None and encoder.folder.classes.key_of(cls) is not None:
        return records.BY_KIND[kind]
    return objects.find_encoder(cls, encoder)


def _by_base(cls: type, encoder: Encoder) -> Encode | None:
    """Of these classes values of subclasses are known too, or refused with the reason."""
    if encoder.in_object:
        found = next(
            (values.BY_NAME[name] for name in map(dotted, cls.__mro__) if name in values.BY_NAME), None
        )
        if found is not None:
            return found
    kind = kind_of(cls)
    return arrays.find_encoder(cls) or (None if kind is None else records.BY_KIND[kind])


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
