"""Objects, attribute by attribute."""

from __future__ import annotations

import warnings
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, cast

from casreg.exceptions import MaterializationError, UntrustedError
from casreg.materializers.classes import dotted
from casreg.materializers.compiled import is_python, slots_of
from casreg.materializers.tree.objects import checks
from casreg.materializers.tree.objects.names import LEFT_OUT, MODULE_OF, REBUILT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.materializers.base import JSON
    from casreg.materializers.tree.decode import Decoder
    from casreg.materializers.tree.encode import Encoder


SKLEARN: Final = "sklearn"
"""The parameter that says which scikit-learn saved the value."""


def find_encoder(cls: type, encoder: Encoder) -> Callable[[Encoder, Any], JSON] | None:
    """The encoder for objects of exactly `cls`: of the reviewed table, or that the caller trusts."""
    if _is_reviewed(cls):
        return encode_reviewed
    return encode_trusted if dotted(cls) in encoder.folder.trusted else None


def encode_reviewed(encoder: Encoder, value: Any) -> JSON:
    """An object of scikit-learn: the name of its class in the table, and its attributes."""
    same = encoder.seen(value)
    if same is not None:
        return {"$same": same}
    _note_version(encoder)
    name = type(value).__name__
    try:
        checks.check(name, value)
    except MaterializationError as err:
        encoder.refuse(str(err))
    left_out = {LEFT_OUT.get(name), REBUILT[name][0] if name in REBUILT else None}
    state = {attribute: item for attribute, item in vars(value).items() if attribute not in left_out}
    return {"$sklearn": [name, _state(encoder, value, state)]}


def decode_reviewed(decoder: Decoder, node: JSON) -> object:
    """What `encode_reviewed` tags."""
    name, state = decoder.items(node, 2)
    module = MODULE_OF.get(decoder.text(name))
    if module is None:
        raise UntrustedError(
            f"the stored value is a {name!r} of scikit-learn, which is not in casreg's table of reviewed classes; a newer "
            f"casreg may have it"
        )
    try:
        cls = cast("type", getattr(import_module(module), cast("str", name)))
    except (ImportError, AttributeError) as err:
        raise MaterializationError(
            f"the stored value needs {module}.{name}, which is not installed here; `pip install 'casreg[sklearn]'`, in "
            f"the version that saved it ({decoder.folder.params.get(SKLEARN, 'unknown')})"
        ) from err
    _check_version(decoder)
    at = decoder.begin_shared()
    value = _restored(decoder, cls, state)
    checks.check(cast("str", name), value)
    if name in REBUILT:
        _rebuild(value, *REBUILT[name])
    decoder.end_shared(at, value)
    return value


def _rebuild(value: Any, attribute: str, method: str, sources: tuple[str, ...]) -> None:
    if attribute in vars(value):
        raise MaterializationError(
            f"the stored {type(value).__name__} has {attribute}, which is never written"
        )
    if all(source in vars(value) for source in sources):
        try:
            getattr(value, method)(*(vars(value)[source] for source in sources))
        except (TypeError, ValueError, AttributeError, IndexError) as err:
            raise MaterializationError(
                f"the attributes of the {type(value).__name__} do not fit: {err}"
            ) from err


def encode_trusted(encoder: Encoder, value: Any) -> JSON:
    """An object that the caller trusts: the dotted name of its class, its attributes and its slots."""
    same = encoder.seen(value)
    if same is not None:
        return {"$same": same}
    cls = type(value)
    if cls.__module__.partition(".")[0] == "sklearn":
        _note_version(encoder)
    native = [base for base in cls.__mro__[:-1] if not is_python(base)]
    if native:
        encoder.refuse(
            f"{dotted(cls)} keeps state in compiled code ({dotted(native[0])}), which attributes do not hold; write a "
            f"materializer for it, or `allow_pickle=True`"
        )
    slots = {name: getattr(value, name) for name in slots_of(cls) if hasattr(value, name)}
    attributes = getattr(value, "__dict__", {})
    return {"$object": [dotted(cls), _state(encoder, value, attributes), _state(encoder, value, slots)]}


def decode_trusted(decoder: Decoder, node: JSON) -> object:
    """What `encode_trusted` tags. Only a class that the caller names is imported."""
    name, state, slots = decoder.items(node, 3)
    if decoder.text(name) not in decoder.folder.trusted:
        raise UntrustedError(
            f"loading this runs {name}, which the stored data names; if you trust that class, pass `trusted=[{name!r}]`"
        )
    cls = _imported(cast("str", name))
    if cls.__module__.partition(".")[0] == "sklearn":
        _check_version(decoder)
    at = decoder.begin_shared()
    value = _restored(decoder, cls, state)
    known = slots_of(cls)
    for slot, item in decoder.decode_dict(slots).items():
        if slot not in known:
            decoder.fail(f"only attributes that {name} has", slot)
        object.__setattr__(value, slot, item)
    decoder.end_shared(at, value)
    return value


def decode_same(decoder: Decoder, node: JSON) -> object:
    """An object or array that stands elsewhere in the value as well."""
    return decoder.shared(node)


def _state(encoder: Encoder, value: object, state: Mapping[str, object]) -> JSON:
    odd = [name for name in state if type(name) is not str or name[:1] == "$"]
    if odd:
        encoder.refuse(f"it has an attribute named {odd[0]!r}, which cannot be stored")
    with encoder.inside_object(value):
        return {name: encoder.child(item, f".{name}") for name, item in state.items()}


def _restored(decoder: Decoder, cls: type, state: JSON) -> Any:
    attributes = decoder.decode_dict(state)
    try:
        value: Any = object.__new__(cls)
        if attributes:
            value.__dict__.update(attributes)
    except (TypeError, AttributeError) as err:
        raise MaterializationError(f"{dotted(cls)} cannot be made from attributes: {err}") from err
    return value


def _is_reviewed(cls: type) -> bool:
    module = MODULE_OF.get(cls.__name__)
    if module is None or cls.__module__.partition(".")[0] != "sklearn":
        return False
    return getattr(import_module(module), cls.__name__, None) is cls


def _note_version(encoder: Encoder) -> None:
    import sklearn  # heavy, and loaded already: there is an object of it

    encoder.folder.params[SKLEARN] = sklearn.__version__


def _check_version(decoder: Decoder) -> None:
    import sklearn  # heavy

    stored = decoder.folder.params.get(SKLEARN)
    if type(stored) is not str:
        decoder.fail("the version of scikit-learn among its parameters", stored)
    if stored.split(".")[:2] != sklearn.__version__.split(".")[:2] and decoder.once(
        "version of scikit-learn"
    ):
        warnings.warn(
            f"this was saved with scikit-learn {stored}, and is loaded with {sklearn.__version__}: predictions may "
            f"differ or fail; install scikit-learn {stored}, or train and save again",
            UserWarning,
            stacklevel=2,
        )


def _imported(name: str) -> type:
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            found: object = import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        if isinstance(found, type) and dotted(found) == name:
            return found
        break
    raise MaterializationError(
        f"the trusted class {name!r} cannot be imported here; "
        + (
            "it was defined in the script or notebook that saved it: define it here as well, or save it again from "
            "a module that both import"
            if name.startswith("__main__.")
            else "install its module, or save it again from where the class is now"
        )
    )


DECODERS: Final[dict[str, Callable[[Decoder, JSON], object]]] = {
    "$sklearn": decode_reviewed,
    "$object": decode_trusted,
    "$same": decode_same,
}
