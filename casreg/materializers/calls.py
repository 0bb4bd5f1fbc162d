"""The two calls of the engine: an object to files, and files to an object, with the rules that all share.

`materialize` picks the materializer, lets it save, and gives the caller everything before a byte is stored.
`load_object` refuses parameters that were not declared, and turns whatever goes wrong inside a materializer
into an error of casreg's tree.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from casreg.exceptions import CasregError, MaterializationError, NoMaterializerError, UntrustedError
from casreg.materializers.builtin import FALLBACK, PATH_FILE, PATH_FOLDER, PICKLE
from casreg.materializers.classes import dotted, kind_of
from casreg.materializers.folders import Outgoing
from casreg.materializers.table import MaterializerLike, MaterializerTable, materializer_from

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casreg.materializers.base import JSON, InFolder, Materializer
    from casreg.materializers.classes import ClassTable


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
    folder = Outgoing(classes=classes, trusted=trusted, allow_pickle=allow_pickle)
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
                Outgoing(classes=classes, trusted=trusted, allow_pickle=True),
            )
            stack.callback(folder.close)
            save_object(chosen, obj, folder)
        stack.pop_all()
    return Materialized(chosen, folder)


def materializer_for(
    obj: object, table: MaterializerTable, classes: ClassTable, trusted: frozenset[str], *, allow_pickle: bool
) -> Materializer:
    """The materializer that saves `obj`.

    Raises:
        NoMaterializerError: There is none; says what to write.
    """
    cls = type(obj)
    found = table.for_class(cls)
    if found is None and (
        dotted(cls) in trusted or kind_of(cls) is not None or classes.key_of(cls) is not None
    ):
        found = table.for_id(FALLBACK)
    if found is None and allow_pickle:
        found = table.for_id(PICKLE)
    if found is None:
        raise NoMaterializerError(no_materializer(obj))
    if found.id == PATH_FILE and isinstance(obj, Path) and os.path.isdir(obj):
        return table.for_id(PATH_FOLDER)  # one class, two stored forms
    return found


def no_materializer(obj: object) -> str:
    """What to say of an object of a class that nothing knows."""
    if isinstance(obj, type) or (callable(obj) and hasattr(obj, "__code__")):
        return (
            f"{obj!r} is code, which is not stored; save its data, or allow pickle with `allow_pickle=True` (of "
            "classes and functions pickle keeps only their names)"
        )
    name = dotted(type(obj))
    if isinstance(obj, Iterator):
        return f"a {name} can be read once only, so it is not stored; save `list(…)` of it"
    if name.startswith("pandas."):
        return (
            f"there is no materializer for {name} yet; write it to a file and save the file's Path (`to_parquet` keeps "
            "types), save its columns as numpy arrays, write a materializer "
            f"and `registry.register_materializer({name!r}, 'my_module.MyMaterializer')`, or pass `allow_pickle=True`"
        )
    return (
        f"nothing knows how to save a {name}; write a materializer for it and "
        f"`registry.register_materializer({name!r}, 'my_module.MyMaterializer')`, or pass `materializer=`, or "
        f"`trusted=[{name!r}]` to have its attributes stored, or `allow_pickle=True`"
    )


def save_object(materializer: Materializer, obj: object, folder: Outgoing) -> None:
    """Let `materializer` save `obj`, and check what it did.

    Raises:
        MaterializationError: It failed, or set a parameter that it does not declare.
        CasregError: What the materializer itself raises.
    """
    try:
        materializer.save(obj, folder)
    except (CasregError, MemoryError):
        raise
    except Exception as err:
        raise MaterializationError(
            f"the materializer {materializer.id!r} failed to save a {dotted(type(obj))}: {type(err).__name__}: {err}"
        ) from err
    refuse_undeclared(materializer, folder.params)


def load_object(materializer: Materializer, folder: InFolder, cls: type | None = None) -> object:
    """Let `materializer` load what `folder` holds.

    Raises:
        MaterializationError: Parameters that it does not declare, files that it cannot work with, or a value that is no
            `cls`.
        CasregError: What the materializer or the folder itself raises.
    """
    refuse_undeclared(materializer, folder.params)
    try:
        value = materializer.load(folder, cls)
    except (CasregError, MemoryError):
        raise
    except ModuleNotFoundError as err:
        raise MaterializationError(
            f"the materializer {materializer.id!r} cannot load here: {err}; install it and load again"
        ) from err
    except Exception as err:
        raise MaterializationError(
            f"the materializer {materializer.id!r} could not load the stored files: {type(err).__name__}: {err}"
        ) from err
    if cls is not None and not isinstance(value, cls):
        raise MaterializationError(
            f"the stored value is a {dotted(type(value))}; it cannot be loaded as {dotted(cls)}"
        )
    return value


def refuse_undeclared(materializer: Materializer, params: Mapping[str, JSON]) -> None:
    """See that a materializer declares every one of `params`.

    Raises:
        MaterializationError: It does not.
    """
    declared: Iterable[str] = getattr(materializer, "parameters", ())
    unknown = sorted(set(params) - set(declared))
    if unknown:
        raise MaterializationError(
            f"the materializer {materializer.id!r} declares no parameter {', '.join(map(repr, unknown))}; "
            f"name it in its attribute `parameters`, or load with the casreg that stored it"
        )
