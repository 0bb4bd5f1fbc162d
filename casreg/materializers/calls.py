"""The two calls of the engine: an object to files, and files to an object, with the rules that all share.

`materialize` picks the materializer, lets it save, and gives the caller everything before a byte is stored.
The rules are in `casreg.materializers.dispatch`.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from casreg.exceptions import NoMaterializerError, UntrustedError
from casreg.materializers.builtin import PICKLE
from casreg.materializers.dispatch import load_object, materializer_for, save_object
from casreg.materializers.folders import Outgoing
from casreg.materializers.table import MaterializerLike, MaterializerTable, materializer_from

if TYPE_CHECKING:
    from casreg.materializers.base import Materializer
    from casreg.materializers.classes import ClassTable

__all__ = ["Materialized", "load_object", "materialize"]


@dataclass(frozen=True, slots=True)
class Materialized:
    """An object as files. Use it as a context manager: the end removes what the materializer left on disk.

    Attributes:
        materializer: The one that saved it.
        folder: The files (`folder.entries()`) and the parameters (`folder.params`).
    """

    materializer: Materializer
    folder: Outgoing

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.folder.close()


def materialize(
    obj: object,
    table: MaterializerTable,
    classes: ClassTable,
    *,
    materializer: MaterializerLike | None = None,
    trusted: frozenset[str] = frozenset(),
    allow_pickle: bool = False,
) -> Materialized:
    """Turn `obj` into files, by `materializer` or by the nearest one that the table has for its class.

    With `allow_pickle`, what no other materializer accepts is pickled, unless `materializer` is given.

    Raises:
        NoMaterializerError: Nothing can save it so that a new process could load it; says what to write.
        UntrustedError: Loading it would need something that the caller has not allowed; says what to write.
        SourceError: `obj` is a path, and cannot be saved.
        MaterializationError: The materializer failed, or used paths or parameters that it must not.
        InvalidArgumentError: `materializer` is not a materializer.
    """
    folder = Outgoing(table=table, classes=classes, trusted=trusted, allow_pickle=allow_pickle)
    if materializer is not None:
        chosen = materializer_from(materializer)
    else:
        chosen = materializer_for(obj, table, classes, trusted, allow_pickle=allow_pickle)
    with contextlib.ExitStack() as stack:
        stack.callback(folder.close)
        try:
            save_object(chosen, obj, folder)
        except (NoMaterializerError, UntrustedError):
            if not allow_pickle or materializer is not None or chosen.id == PICKLE:
                raise
            folder.close()
            chosen, folder = (
                table.for_id(PICKLE),
                Outgoing(table=table, classes=classes, trusted=trusted, allow_pickle=True),
            )
            stack.callback(folder.close)
            save_object(chosen, obj, folder)
        stack.pop_all()
    return Materialized(chosen, folder)
