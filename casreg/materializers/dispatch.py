"""Who saves an object, and the rules that every save and load by a materializer keeps.

The same for the object of a version and for the parts that materializers put into it: parameters that were not
declared are refused, and whatever goes wrong inside a materializer becomes an error of casreg's tree.
"""

from __future__ import annotations

import os
from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from io import IOBase
from pathlib import Path
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import TYPE_CHECKING, Final

from casreg.exceptions import CasregError, MaterializationError, NoMaterializerError
from casreg.materializers.builtin import FALLBACK, PATH_FILE, PATH_FOLDER, PICKLE, TORCH_STATE_DICT
from casreg.materializers.classes import dotted, kind_of
from casreg.materializers.compiled import is_python
from casreg.materializers.torch_state_dict import is_state_dict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casreg.materializers.base import JSON, InFolder, Materializer, OutFolder
    from casreg.materializers.classes import ClassTable
    from casreg.materializers.table import MaterializerTable

_EXTRAS: Final = {
    **{name: name for name in ("numpy", "scipy", "sklearn", "pandas", "polars", "torch", "pydantic")},
    "pyarrow": "arrow",
    "PIL": "image",
}
"""Which extra of casreg brings a library."""
_COLUMNS: Final = ("pandas.api.extensions.ExtensionArray", "pandas.core.arrays.base.ExtensionArray")
"""The base of pandas's arrays: in pandas 3, and in pandas 2."""
_CODE: Final = (type, FunctionType, MethodType, BuiltinFunctionType)


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
    if found.id == FALLBACK and is_state_dict(obj):
        return table.for_id(TORCH_STATE_DICT)  # one file, not one for each tensor
    return found


def no_materializer(obj: object) -> str:
    """What to say of an object of a class that nothing knows."""
    reason = no_data(type(obj))
    if reason is not None:
        return reason
    name = dotted(type(obj))
    return (
        f"nothing knows how to save a {name}; write a materializer for it and "
        f"`registry.register_materializer({name!r}, 'my_module.MyMaterializer')`, or pass `materializer=`, "
        f"{or_trusted(type(obj))}or `allow_pickle=True`"
    )


def or_trusted(cls: type) -> str:
    """The part of a message that proposes `trusted=`, where it would help."""
    if not all(is_python(base) for base in cls.__mro__[:-1]):
        return ""
    return f"or `trusted=[{dotted(cls)!r}]` to have its attributes stored, "


def no_data(cls: type) -> str | None:
    """What to say of values of `cls` that are code, or only a side of something else; None of those that are data."""
    if issubclass(cls, _CODE):
        return (
            f"a {dotted(cls)} is code, which is not stored; save its data, or allow pickle with `allow_pickle=True` (of "
            "classes and functions pickle keeps only their names, so that a lambda or a local one has none)"
        )
    if issubclass(cls, IOBase):
        return (
            f"a {dotted(cls)} is an open file, which is not stored; save its `Path`, or what `read()` gives"
        )
    if issubclass(cls, KeysView | ValuesView | ItemsView):
        return (
            f"a {dotted(cls)} shows what a dict holds, so it is not stored; save the dict, or `list(…)` of it"
        )
    if issubclass(cls, Iterator):
        return f"a {dotted(cls)} can be read once only, so it is not stored; save `list(…)` of it"
    if issubclass(cls, memoryview):
        return (
            "a memoryview shows memory of something else, so it is not stored; save `bytes(view)`, or "
            "`numpy.asarray(view)` if its format and shape matter"
        )
    if cls.__module__.partition(".")[0] == "pandas" and any(dotted(base) in _COLUMNS for base in cls.__mro__):
        return f"a {dotted(cls)} is the values of a column; save `pandas.Series(it)`, whose `.array` it is when loaded"
    return None


def save_object(materializer: Materializer, obj: object, folder: OutFolder) -> None:
    """Let `materializer` save `obj`, and check what it did.

    Raises:
        MaterializationError: It failed, or set a parameter that it does not declare.
        CasregError: What the materializer itself raises.
    """
    try:
        materializer.save(obj, folder)
    except (CasregError, MemoryError):
        raise
    except ModuleNotFoundError as err:
        raise MaterializationError(
            f"the materializer {materializer.id!r} cannot save here: {err}; {_to_install(err, materializer)} and save again"
        ) from err
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
            f"the materializer {materializer.id!r} cannot load here: {err}; {_to_install(err, materializer)} and load again"
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


def _to_install(err: ModuleNotFoundError, materializer: Materializer) -> str:
    """What to do about a library that is not there."""
    extra = _EXTRAS.get((err.name or "").partition(".")[0])
    family = materializer.id.partition(".")[0]
    if extra == "arrow" and family in _EXTRAS:
        extra = family  # pandas and polars want themselves too
    return "install it" if extra is None else f'`pip install "casreg[{extra}]"`'


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
