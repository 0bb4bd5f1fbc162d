"""How the checks of fitted attributes ask for what compiled code takes for granted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from casreg.exceptions import MaterializationError
from casreg.materializers.classes import dotted

if TYPE_CHECKING:
    from casreg.materializers.npy import Array

_MOST_THREADS: Final = 1024


def require(value: object, what: str, *, holds: bool) -> None:
    """See that `what` holds of `value`.

    Raises:
        MaterializationError: It does not.
    """
    if not holds:
        raise MaterializationError(
            f"the attributes of this {dotted(type(value))} do not fit together: {what}"
        )


def has(value: object, name: str) -> bool:
    """The object has the attribute among its own, not from its class."""
    return name in vars(value)


def own(value: object, name: str) -> Any:
    """The object's own attribute.

    Raises:
        MaterializationError: It has none of that name.
    """
    require(value, f"{name} is missing", holds=has(value, name))
    return vars(value)[name]


def count(value: object, name: str, least: int = 0) -> int:
    """The object's own attribute, an integer of at least `least` and below 2^31.

    Raises:
        MaterializationError: It is not.
    """
    import numpy as np  # heavy

    found = own(value, name)
    fine = isinstance(found, int | np.integer) and type(found) is not bool and bool(least <= found < 1 << 31)
    require(value, f"{name} is not a count", holds=fine)
    return int(found)


def threads(value: object) -> None:
    """The object's own `_n_threads` is a number of threads that compiled code can start: too many end the process.

    Raises:
        MaterializationError: It is not.
    """
    found = count(value, "_n_threads", 1)
    require(value, f"{found} threads", holds=found <= _MOST_THREADS)


def array(value: object, name: str, kinds: str, dimensions: int | None = None) -> Array:
    """The object's own attribute, an array whose dtype is of one of these kinds.

    Raises:
        MaterializationError: It is not.
    """
    import numpy as np  # heavy

    found = own(value, name)
    fine = type(found) is np.ndarray and found.dtype.kind in kinds and dimensions in (None, found.ndim)
    require(value, f"{name} is not such an array", holds=fine)
    return cast("Array", found)


def within(found: Array, bound: int) -> bool:
    """All values are from 0 to below `bound`."""
    return found.size == 0 or bool(found.min() >= 0 and found.max() < bound)
