"""Modules of torch: their state, which is loaded into a module that the caller has made."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Any, ClassVar

from casreg.exceptions import NoMaterializerError, UnknownClassError
from casreg.materializers.classes import dotted
from casreg.materializers.torch_filling import fill
from casreg.materializers.torch_state_dict import is_state_dict, load_state, save_state
from casreg.materializers.torch_tensors import refusal

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder


class TorchModule:
    """The state dict of a `torch.nn.Module` in `data.safetensors`: parameters and persistent buffers.

    A module is code, which casreg does not store: `load(name, into=module)` fills one that the caller has made, and
    `load(name, as_=dict)` gives the state dict.
    """

    id: ClassVar[str] = "torch.module/1"
    types: tuple[type | str, ...] = ("torch.nn.modules.module.Module",)
    into: tuple[type | str, ...] = types

    def save(self, obj: Any, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        state = obj.state_dict()
        if state and not is_state_dict(state):
            raise NoMaterializerError(_why(obj, state))
        save_state(state, folder)

    def load(self, folder: InFolder, cls: type | None) -> object:
        """See `Materializer.load`.

        Raises:
            UnknownClassError: There is no module to load into.
        """
        if folder.into is not None:
            return fill(folder.into, load_state(folder))
        if cls is not None and issubclass(OrderedDict, cls):
            return load_state(folder)
        raise UnknownClassError(
            "what is stored is the state of a torch.nn.Module, whose code is yours: make the module as the saved one "
            "was made, and write `registry.load(name, into=module)`; or `registry.load(name, as_=dict)` for its tensors"
        )


def _why(module: object, state: Any) -> str:
    """Why the state of a module cannot be saved."""
    said = f"the state of this {dotted(type(module))} cannot be saved as a dict of tensors: "
    if not isinstance(state, dict):
        return f"{said}its `state_dict()` is a {dotted(type(state))}"
    import torch  # heavy

    for name, value in state.items():
        why = (
            refusal(value)
            if isinstance(value, torch.Tensor)
            else f"a {dotted(type(value))}, which is no tensor"
        )
        if why is not None:
            return f"{said}{name!r}: {why}"
    return f"{said}its names are not what a safetensors file can hold"
