"""A tree in a folder: one JSON file, and the files beside it that it refers to."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import orjson

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.tree.decode import Decoder
from casreg.materializers.tree.encode import Encoder
from casreg.materializers.tree.kinds import decoder_for, encoder_for

if TYPE_CHECKING:
    from collections.abc import Collection

    from casreg.materializers.base import InFolder, OutFolder


def dump(value: object, folder: OutFolder, path: str) -> None:
    """Write `value` to the JSON file `path` of `folder`, with files beside it where it needs them.

    The text is UTF-8 without white space, floats in Python's shortest form (`repr`): the same for ever.

    Raises:
        NoMaterializerError: It could not be loaded again; says where it is and what to write.
        UntrustedError: It has a type that the caller would have to trust.
    """
    try:
        tree = Encoder(folder, encoder_for).encode(value)
        text = json.dumps(
            tree, ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
        )
    except RecursionError as err:
        raise NoMaterializerError(
            "value: it is nested too deep for what is left of this thread's stack"
        ) from err
    folder.add(path, text.encode("utf-8"))


def load(folder: InFolder, path: str, root: type | None, others: Collection[str] = ()) -> object:
    """Read the value that `dump` wrote to the JSON file `path`; `root` is the class of the outermost one, if given.

    `others` are files that the caller reads by itself: the tree does not refer to them.

    Raises:
        MaterializationError: The files are not what `dump` writes.
        UnknownClassError: The value needs a class that is not registered.
        UntrustedError: The value needs a type that the caller would have to trust.
    """
    if path not in folder.paths:
        raise MaterializationError(f"the version should have the file {path!r}")
    try:
        node = orjson.loads(folder.read(path))
        decoder = Decoder(folder, {path, *others}, root, decoder_for)
        value = decoder.decode(node)
    except orjson.JSONDecodeError as err:
        raise MaterializationError(f"the stored {path} is not JSON: {err}") from err
    except RecursionError as err:
        raise MaterializationError(f"the stored {path} is nested too deep") from err
    decoder.finish()
    return value
