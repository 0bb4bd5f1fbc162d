"""Which materializer saves an object, and which one a stored id means.

Three sources, in this order: what the caller registered, casreg's own, and entry points of the group
`casreg.materializers` (only asked when the first two do not know).  A stored id only selects among these.
"""

from __future__ import annotations

import sys
import warnings
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from casreg.exceptions import InvalidArgumentError, UnknownMaterializerError
from casreg.materializers.classes import dotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from casreg.materializers.base import Materializer

GROUP: Final = "casreg.materializers"
MaterializerLike: TypeAlias = "Materializer | type[Materializer] | str"
"""A materializer, its class, or its dotted name (imported at first use, since the caller wrote it)."""


def materializer_from(given: MaterializerLike) -> Materializer:
    """Make a materializer of an instance, a class (called without arguments) or a dotted name.

    Raises:
        InvalidArgumentError: It cannot be imported or made, or lacks `id`, `types`, `save` or `load`.
    """
    found: object = given
    if isinstance(found, str):
        found = _imported(found)
    if isinstance(found, type):
        try:
            found = found()
        except TypeError as err:
            raise InvalidArgumentError(
                f"{dotted(given) if isinstance(given, type) else given} cannot be made without "
                f"arguments ({err}); pass an instance instead of the class"
            ) from err
    _check_shape(found)
    return cast("Materializer", found)


class MaterializerTable:
    """Finds materializers by object and by id. Many threads may use one table; it pickles with its registrations.

    Dispatch goes along the object's method resolution order: the nearest base class that has a materializer
    decides, and for the same class the later registration, then casreg's own.
    """

    def __init__(self, builtin: Mapping[str, str]) -> None:
        """`builtin` maps dotted names of types, and ids, to the dotted names of casreg's own materializers."""
        self._builtin = dict(builtin)
        self._registered: dict[type | str, MaterializerLike] = {}
        self._made: dict[str, Materializer] = {}
        self._plugins: dict[str, Materializer] | None = None

    def register(self, target: type | str, materializer: MaterializerLike) -> None:
        """Use `materializer` for objects of `target`, a class or a dotted name, and of its subclasses.

        A dotted name is imported at first use; anything else is checked at once. Registering again replaces.

        Raises:
            InvalidArgumentError: `target` is neither, or `materializer` is not one.
        """
        if not isinstance(target, type) and "." not in str(target):
            raise InvalidArgumentError(f"register a class or its dotted name 'module.Class', not {target!r}")
        if isinstance(materializer, str):
            if "." not in materializer:
                raise InvalidArgumentError(
                    f"{materializer!r} is not the dotted name 'module.Class' of a materializer"
                )
            self._registered[target] = materializer
        else:
            self._registered[target] = materializer_from(materializer)

    def for_class(self, cls: type) -> Materializer | None:
        """The materializer for objects of `cls`, by the nearest base class, or None."""
        for known in (self._local, self._plugin):
            for base in cls.__mro__[:-1]:
                found = known(base)
                if found is not None:
                    return found
        return None

    def for_id(self, stored: str) -> Materializer:
        """The materializer with this id.

        Raises:
            UnknownMaterializerError: No registered, built-in or installed one has it.
        """
        for given in list(self._registered.values()):
            candidate = self._make(given)
            if candidate.id == stored:
                return candidate
        if "/" in stored and stored in self._builtin:
            return self._make(self._builtin[stored])
        plugin = self._all_plugins().get(stored)
        if plugin is None:
            raise UnknownMaterializerError(
                f"the version was stored by the materializer {stored!r}, which this process does not know; write "
                f"`registry.register_materializer('module.Class', 'module.Materializer')` with the one whose id is "
                f"{stored!r}, or pass `materializer=` to load"
            )
        return plugin

    def id_for(self, target: type | str) -> str | None:
        """The id of the materializer for objects of `target`, a class or its dotted name; None if there is none.

        The base classes of a name are asked only if its module has been imported.

        Raises:
            InvalidArgumentError: `target` is neither. Or a materializer that was registered by its dotted name cannot be imported.
        """
        if not isinstance(target, type | str):
            raise InvalidArgumentError(
                f"ask about a class or its dotted name 'module.Class', not {target!r:.80}"
            )
        cls = target if isinstance(target, type) else _known_class(target)
        if cls is not None:
            found = self.for_class(cls)
            return None if found is None else found.id
        return self.ids().get(str(target))

    def ids(self) -> dict[str, str]:
        """The dotted name of each class that has a materializer of its own, and that one's id; sorted.

        Raises:
            InvalidArgumentError: A materializer that was registered by its dotted name cannot be imported.
        """
        own = {made: key for key, made in self._builtin.items() if "/" in key}
        found = {
            _dotted(one): plugin.id
            for plugin in reversed(self._all_plugins().values())
            for one in plugin.types
        }
        found.update((key, own[made]) for key, made in self._builtin.items() if "/" not in key)
        found.update((_dotted(key), self._make(given).id) for key, given in list(self._registered.items()))
        return dict(sorted(found.items()))

    def _local(self, base: type) -> Materializer | None:
        name = dotted(base)
        for key in (base, name):
            if key in self._registered:
                return self._make(self._registered[key])
        own = self._builtin.get(name)
        return None if own is None else self._make(own)

    def _plugin(self, base: type) -> Materializer | None:
        name = dotted(base)
        return next(
            (one for one in self._all_plugins().values() if base in one.types or name in one.types), None
        )

    def _make(self, given: MaterializerLike) -> Materializer:
        if not isinstance(given, str):
            return materializer_from(given)
        made = self._made.get(given)
        if made is None:
            made = self._made.setdefault(given, materializer_from(given))
        return made

    def _all_plugins(self) -> dict[str, Materializer]:
        # No lock, which a fork could copy while it is held: two threads at once only look twice.
        if self._plugins is None:
            self._plugins = _installed()
        return self._plugins

    def __getstate__(self) -> dict[str, object]:
        return {"builtin": self._builtin, "registered": self._registered}

    def __setstate__(self, state: dict[str, object]) -> None:
        MaterializerTable.__init__(self, cast("dict[str, str]", state["builtin"]))
        self._registered = cast("dict[type | str, MaterializerLike]", state["registered"])


def _dotted(target: type | str) -> str:
    return dotted(target) if isinstance(target, type) else target


def _known_class(name: str) -> type | None:
    """The class with this dotted name, if its module has been imported."""
    module, _, attribute = name.rpartition(".")
    found = getattr(sys.modules.get(module), attribute, None)
    return found if isinstance(found, type) else None


def _imported(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    try:
        return cast("object", getattr(import_module(module), attribute))
    except (ImportError, AttributeError, ValueError) as err:
        hint = "is an id" if "/" in name else f"cannot be imported ({err})"
        raise InvalidArgumentError(
            f"the materializer {name!r} {hint}: give its class, an instance, or a dotted name such as "
            "'my_module.MyMaterializer'"
        ) from err


def _check_shape(found: object) -> None:
    name = dotted(type(found))
    if not isinstance(getattr(found, "id", None), str) or not getattr(found, "id"):  # noqa: B009 - it is duck-typed
        raise InvalidArgumentError(
            f"the materializer {name} has no `id`; give its class one, such as `id = '{name.lower()}/1'`: it is what a "
            f"stored version says about how to load it"
        )
    for method in ("save", "load"):
        if not callable(getattr(found, method, None)):
            raise InvalidArgumentError(f"the materializer {name} has no method `{method}`")
    types = getattr(found, "types", ())
    if not isinstance(types, tuple) or not all(isinstance(one, type | str) for one in types):
        raise InvalidArgumentError(
            f"`types` of the materializer {name} must be a tuple of classes or dotted names"
        )


def _installed() -> dict[str, Materializer]:
    plugins: dict[str, Materializer] = {}
    for point in _sorted_points():
        try:
            made = materializer_from(cast("MaterializerLike", point.load()))
        except Exception as err:  # noqa: BLE001 - one broken plugin must not break those that work
            warnings.warn(
                f"the installed materializer {point.name} ({point.value}) does not work: {err}", stacklevel=2
            )
            continue
        plugins.setdefault(made.id, made)
    return plugins


def _sorted_points() -> Iterable[EntryPoint]:
    return sorted(entry_points(group=GROUP), key=lambda point: (point.name, point.value))


if TYPE_CHECKING:
    from importlib.metadata import EntryPoint
