"""Tensors of torch: one safetensors file with one tensor."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.python_bytes import only_file
from casreg.materializers.torch_tensors import add_tensors, read_tensors, refusal

if TYPE_CHECKING:
    import torch

    from casreg.materializers.base import InFolder, OutFolder

FILE = "data.safetensors"
NAME = "tensor"


class TorchTensor:
    """`torch.Tensor` and `torch.nn.Parameter` in `data.safetensors`, under the name `tensor`.

    Values, dtype, shape, `requires_grad` and whether it is a parameter come back. It is loaded onto the CPU, whatever
    device it was on, and contiguous; its gradient and its graph are not stored.
    """

    id: ClassVar[str] = "torch.tensor/1"
    types: tuple[type | str, ...] = ("torch.Tensor",)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        why = refusal(obj)
        if why is not None:
            raise NoMaterializerError(why)
        add_tensors(folder, FILE, {NAME: obj})

    def load(self, folder: InFolder, cls: type | None) -> torch.Tensor:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        only_file(folder, FILE)
        tensors, _ = read_tensors(folder, FILE)
        if list(tensors) != [NAME]:
            raise MaterializationError(f"{FILE} should have one tensor {NAME!r}, not {list(tensors)[:5]}")
        return tensors[NAME]
