"""Whether the attributes of a class's objects are all that they are, or compiled code keeps more."""

from __future__ import annotations

from typing import Final

_COMPILED: Final = (
    *(
        "method_descriptor",
        "classmethod_descriptor",
        "getset_descriptor",
        "member_descriptor",
        "wrapper_descriptor",
    ),
    *("builtin_function_or_method", "cython_function_or_method", "instancemethod", "nb_func", "nb_method"),
)


def slots_of(cls: type) -> list[str]:
    """The slots of a class and its bases, by the names that their attributes have."""
    found: list[str] = []
    for base in cls.__mro__:
        own = base.__dict__.get("__slots__", ())
        names = (own,) if isinstance(own, str) else tuple(own)
        mangled = (
            f"_{base.__name__.lstrip('_')}{name}" if name[:2] == "__" and name[-2:] != "__" else name
            for name in names
        )
        found += [name for name in mangled if name not in ("__dict__", "__weakref__")]
    return found


def is_python(cls: type) -> bool:
    """Nothing in the class looks compiled, so that its attributes are all the state there is."""
    heap = 1 << 9  # Py_TPFLAGS_HEAPTYPE: made by a class statement, or by compiled code that wants it so
    slots = set(slots_of(cls)) | {"__dict__", "__weakref__"}
    items = (item for name, item in vars(cls).items() if name not in slots)
    return bool(cls.__flags__ & heap) and not any(type(item).__name__ in _COMPILED for item in items)
