"""From loaded tensors into a module: all of them, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from casreg.exceptions import InvalidArgumentError
from casreg.materializers.classes import dotted

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch


def fill(module: Any, state: dict[str, torch.Tensor]) -> object:
    """Copy `state` into `module`, a `torch.nn.Module`, and give that back. All is checked before anything is copied.

    Its devices, gradients and flags (`requires_grad`, `training`) stay as they are. A module on the device `meta`,
    which has no memory to copy into, takes the loaded tensors themselves.

    Raises:
        InvalidArgumentError: Its tensors have other names, shapes or dtypes than the stored ones.
    """
    own = module.state_dict()
    _check_names(module, own, state)
    _check_forms(module, own, state)
    # Not with `assign=True` where there is memory: an optimizer that holds the parameters would train the old ones.
    module.load_state_dict(state, assign=any(one.device.type == "meta" for one in own.values()))
    return module


def _check_names(module: object, own: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    missing = [name for name in own if name not in state]
    unknown = [name for name in state if name not in own]
    if missing or unknown:
        said = [
            f"{len(names)} of {what} ({', '.join(map(repr, names[:3]))}{', …' * (len(names) > 3)})"
            for names, what in (
                (missing, "its tensors are not stored"),
                (unknown, "the stored ones it has not"),
            )
            if names
        ]
        raise InvalidArgumentError(
            f"the {dotted(type(module))} is not built as the saved one was, and nothing was loaded: "
            f"{' and '.join(said)}; {_WAY_OUT}"
        )


def _check_forms(module: object, own: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
    import torch  # heavy

    for name, tensor in state.items():
        target = own[name]
        if isinstance(target, torch.nn.parameter.UninitializedTensorMixin):
            continue  # of a lazy module: it takes its shape from what is loaded
        if not isinstance(target, torch.Tensor) or (target.shape, target.dtype) != (
            tensor.shape,
            tensor.dtype,
        ):
            has = getattr(target, "shape", None), getattr(target, "dtype", dotted(type(target)))
            raise InvalidArgumentError(
                f"the {dotted(type(module))} is not built as the saved one was, and nothing was loaded: {name!r} is "
                f"stored as {tuple(tensor.shape)} of {tensor.dtype}, and is {has[0] and tuple(has[0])} of {has[1]} "
                f"there; {_WAY_OUT}"
            )


_WAY_OUT = (
    "make it with the same arguments and dtype, or load the tensors `as_=dict` and choose among them yourself"
)
