"""Dicts of tensors, such as the state dicts of modules: one safetensors file."""

from __future__ import annotations

import sys
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar, Final

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.safetensors_format import can_name, only_safetensors
from casreg.materializers.torch_filling import fill
from casreg.materializers.torch_tensors import add_tensors, read_tensors, refusal

if TYPE_CHECKING:
    import torch

    from casreg.materializers.base import JSON, InFolder, OutFolder

FILE: Final = "data.safetensors"
_ASSIGN: Final = "assign_to_params_buffers"
"""Where torch keeps, among the versions, that tensors are to replace those of the module."""
_CONTAINERS: Final = {"dict": dict, "OrderedDict": OrderedDict}


class TorchStateDict:
    """A `dict` or `OrderedDict` of texts to tensors in `data.safetensors`, which every safetensors library opens.

    The container's type and order come back, and the `_metadata` of a module's state dict. Names that share all of
    their memory (tied weights) share one tensor again. Tensors are loaded as by `TorchTensor`.

    `load(name, materializer=TorchStateDict)` also reads the safetensors file that was saved as a `Path`.
    """

    id: ClassVar[str] = "torch.state_dict/1"
    types: tuple[type | str, ...] = ()  # a dict is not always one: see `is_state_dict`
    into: tuple[type | str, ...] = ("torch.nn.modules.module.Module",)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        if not is_state_dict(obj):
            raise NoMaterializerError(
                f"this {dotted(type(obj))} is not a dict or OrderedDict of texts to dense tensors; save it without "
                f"`materializer=`"
            )
        save_state(obj, folder)

    def load(self, folder: InFolder, cls: type | None) -> object:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`. With `into=module` the module is filled, as by `TorchModule`."""
        state = load_state(folder)
        return state if folder.into is None else fill(folder.into, state)


def is_state_dict(value: object) -> bool:
    """Whether `value` is a dict that one safetensors file holds without loss. Imports nothing."""
    torch: Any = sys.modules.get("torch")
    if torch is None or type(value) not in (dict, OrderedDict):
        return False
    assert isinstance(value, dict)
    if not value and "_metadata" not in getattr(
        value, "__dict__", {}
    ):  # the state of a module without any has it
        return False
    return all(
        type(name) is str and isinstance(tensor, torch.Tensor) and can_name(name) and refusal(tensor) is None
        for name, tensor in value.items()
    )


def save_state(state: Any, folder: OutFolder) -> None:
    """Put a dict of tensors into `data.safetensors`.

    Raises:
        NoMaterializerError: It could not be loaded again.
    """
    add_tensors(folder, FILE, state, type(state).__name__, _versions(state))


def load_state(folder: InFolder) -> dict[str, torch.Tensor]:
    """The dict that `save_state` stored.

    Raises:
        MaterializationError: The file is not one that `save_state` writes.
    """
    path = only_safetensors(folder)
    tensors, notes = read_tensors(folder, path)
    container = _CONTAINERS.get(notes.container)
    if container is None or (
        notes.state is not None and (container is dict or not _are_versions(notes.state))
    ):
        raise MaterializationError(
            f"{path} names a container or versions that are never written: {notes.container!r:.80}"
        )
    state = container(tensors)
    if notes.state is not None:
        state._metadata = OrderedDict(notes.state)  # type: ignore[attr-defined]  # noqa: SLF001 - it is torch's own convention
    return state


def _versions(state: Any) -> dict[str, JSON] | None:
    """The `_metadata` of a module's state dict.

    Raises:
        NoMaterializerError: It is not plain JSON, or there are other attributes, which would be lost.
    """
    attributes = getattr(state, "__dict__", {})
    found = attributes.get("_metadata")
    if isinstance(found, dict):  # where torch has loaded from it, it has left its own note there
        found = {name: _without_note(one) for name, one in found.items()}
    if not set(attributes) <= {"_metadata"} or not (
        found is None or (_is_plain(found) and _are_versions(found))
    ):
        raise NoMaterializerError(
            f"the attributes {sorted(attributes)} of this OrderedDict would be lost; save `dict(it)` without them"
        )
    return found


def _without_note(versions: object) -> object:
    return (
        {name: one for name, one in versions.items() if name != _ASSIGN}
        if isinstance(versions, dict)
        else versions
    )


def _are_versions(state: dict[str, JSON]) -> bool:
    """None of them tells torch how to load: that is the caller's to say."""
    return all(isinstance(one, dict) and _ASSIGN not in one for one in state.values())


def _is_plain(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(name) is str and _is_plain(item) for name, item in value.items())
    return value is None or type(value) in (bool, int, str)
