"""Objects that the tree does not know itself, saved by the materializers of the caller's table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from casreg.materializers.builtin import FALLBACK, PATH_FILE, PATH_FOLDER, SKLEARN_ESTIMATOR

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder

_NEVER: Final = frozenset(
    {
        # Written as trees themselves, so they know no more than this one does.
        FALLBACK,
        SKLEARN_ESTIMATOR,
        # For subclasses of these too, which are refused in words that are at home here.
        "python.bytes/1",
        "python.bytearray/1",
        "python.str/1",
        "numpy.ndarray/1",
        # A path in a value is a name more often than what is there.
        PATH_FILE,
        PATH_FOLDER,
    }
)


def find_encoder(cls: type, encoder: Encoder) -> Callable[[Encoder, Any], JSON] | None:
    """The encoder for objects of `cls`, if there is a materializer for them."""
    found = encoder.folder.table.for_class(cls)
    return None if found is None or found.id in _NEVER else encode_part


def encode_part(encoder: Encoder, value: Any) -> JSON:
    """An object in a folder of its own: the id of its materializer, the folder, its parameters."""
    same = encoder.seen(value)
    if same is not None:
        return {"$same": same}
    path = encoder.next_path()
    with encoder.inside(value), encoder.located():
        chosen, params = cast("list[JSON]", encoder.folder.put(path, value))  # two, as `take` wants them
    return {"$part": [chosen, path, params]}


def decode_part(decoder: Decoder, node: JSON) -> object:
    """What `encode_part` tags."""
    chosen, path, params = decoder.items(node, 3)
    at = decoder.begin_shared()
    value = decoder.take(path, [chosen, params])
    decoder.end_shared(at, value)
    return value


DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {"$part": decode_part}
