"""What objects have beside their values: kept, or refused with its name, and never an order to torch."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Any

import pytest
import torch

from casreg import NoMaterializerError, Registry
from casreg.exceptions import MaterializationError
from casreg.materializers.torch_state_dict import TorchStateDict
from casreg.testing.materializer_folders import MemoryInFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """A registry in a folder."""
    return Registry(tmp_path / "registry")


class WithExtra(torch.nn.BatchNorm1d):  # type: ignore[misc]
    """A module whose state is not tensors alone."""

    def get_extra_state(self) -> dict[str, int]:
        """What torch puts into the state dict."""
        return {"seen": 1}


@dataclasses.dataclass
class Queue(deque):  # type: ignore[type-arg]
    """A dataclass with content that is no field."""

    name: str


class Base:
    """What a dataclass may extend."""

    __slots__ = ("cache",)
    cache: int


@dataclasses.dataclass(slots=True)
class Extended(Base):
    """A dataclass with a slot that is no field."""

    x: int


@pytest.mark.parametrize("inside", [False, True])
def test_the_versions_of_a_state_without_tensors_come_back(registry: Registry, *, inside: bool) -> None:
    """The state dict of a module without parameters has versions, and they come back."""
    state = torch.nn.ReLU().state_dict()
    registry.save("test:state", {"state": state} if inside else state)
    loaded: Any = registry.load("test:state")
    loaded = loaded["state"] if inside else loaded
    assert type(loaded) is OrderedDict
    assert vars(loaded)["_metadata"] == vars(state)["_metadata"]


def test_attributes_of_dicts_are_refused(registry: Registry) -> None:
    """An OrderedDict or Counter with attributes, such as the versions of a state dict, would lose them: it is refused."""
    counter = Counter("a")
    vars(counter)["note"] = "x"
    for value in (WithExtra(2).state_dict(), counter):
        with pytest.raises(NoMaterializerError, match="would be lost"):
            registry.save("test:dict", value)


def test_content_that_is_no_field_is_refused(registry: Registry) -> None:
    """A dataclass that extends a compiled class, or has slots beside its fields, is refused: they would be lost."""
    registry.register_class(Queue)
    registry.register_class(Extended)
    with pytest.raises(NoMaterializerError, match="deque"):
        registry.save("test:queue", Queue("x"))
    extended = Extended(1)
    registry.save("test:extended", extended)
    assert registry.load("test:extended") == extended
    extended.cache = 7  # type: ignore[misc]
    with pytest.raises(NoMaterializerError, match="'cache'"):
        registry.save("test:other", extended)


def noted(note: dict[str, object]) -> MemoryInFolder:
    """A state dict whose versions say more than versions."""
    versions = {"container": "OrderedDict", "state": {"": {"version": 1, **note}}}
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    header = {"__metadata__": {"casreg": json.dumps(versions)}, "weight": entry}
    text = json.dumps(header).encode()
    return MemoryInFolder({"data.safetensors": len(text).to_bytes(8, "little") + text + bytes(4)})


def test_stored_versions_do_not_say_how_to_load() -> None:
    """Torch takes a word among the versions for the order to replace a module's parameters: it is refused."""
    assert TorchStateDict().load(noted({}), None)
    with pytest.raises(MaterializationError, match="never written"):
        TorchStateDict().load(noted({"assign_to_params_buffers": True}), None)


def test_a_state_that_torch_has_loaded_from_is_saved(registry: Registry) -> None:
    """Torch leaves its word in the state dict that it loads from; it is no part of the state."""
    state = torch.nn.Linear(2, 1).state_dict()
    registry.save("test:state", state)
    torch.nn.Linear(2, 1).load_state_dict(state, assign=True)
    assert "assign_to_params_buffers" in str(vars(state)["_metadata"])
    registry.save("test:state", state)
    first, second = (registry.info("test:state", version)["data_digest"] for version in ("1.0.0", "1.0.1"))
    assert first == second
