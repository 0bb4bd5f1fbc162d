"""`load(..., into=…)`: what is stored goes into an object that the caller has made."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import torch

from casreg.exceptions import CorruptError, InvalidArgumentError
from casreg.registry import Registry

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty one, in a folder."""
    return Registry(tmp_path / "registry")


def network(width: int = 3) -> torch.nn.Module:
    """A module with parameters, buffers and a tied weight; its values are new at every call."""
    net = torch.nn.Sequential(
        torch.nn.Linear(width, width), torch.nn.BatchNorm1d(width), torch.nn.Linear(width, width)
    )
    net[2].weight = net[0].weight
    return net.eval()


def state_of(module: torch.nn.Module) -> dict[str, list[Any]]:
    """All values, to be compared."""
    return {name: one.tolist() for name, one in module.state_dict().items()}


def test_a_module_is_filled_and_returned(registry: Registry) -> None:
    """The very module, with every parameter and buffer of the saved one."""
    saved, other = network(), network()
    registry.save("my:net", saved)
    weight = other[0].weight
    assert registry.load("my:net", into=other) is other
    assert state_of(other) == state_of(saved)
    assert other[0].weight is weight, "an optimizer that holds it would train the old one"
    assert other[2].weight is weight


def test_a_state_dict_fills_a_module_too(registry: Registry) -> None:
    """It is the same file."""
    saved, other = network(), network()
    registry.save("my:state", saved.state_dict())
    assert registry.load("my:state", into=other) is other
    assert state_of(other) == state_of(saved)


def test_flags_of_the_module_stay(registry: Registry) -> None:
    """What is no tensor of the state is the caller's: what is frozen stays frozen."""
    registry.save("my:net", network())
    other = network().train().requires_grad_(requires_grad=False)
    registry.load("my:net", into=other)
    assert other.training
    assert not any(one.requires_grad for one in other.parameters())


def test_a_module_without_memory_takes_the_tensors(registry: Registry) -> None:
    """On the device `meta` there is nothing to copy into."""
    saved = network()
    registry.save("my:net", saved)
    with torch.device("meta"):
        other = network()
    registry.load("my:net", into=other)
    assert state_of(other) == state_of(saved)


def test_a_lazy_module_takes_its_shapes(registry: Registry) -> None:
    """As `load_state_dict` has it."""
    saved = torch.nn.Linear(4, 2)
    registry.save("my:net", saved)
    assert state_of(registry.load("my:net", into=torch.nn.LazyLinear(2))) == state_of(saved)


def more(net: Any) -> torch.nn.Module:
    """With a layer that the saved one has not."""
    return torch.nn.Sequential(*net, torch.nn.Linear(2, 2))


def narrow_end(net: Any) -> torch.nn.Module:
    """The last layer has another shape: what comes before it would be loaded already."""
    net[2] = torch.nn.Linear(3, 5)
    return net


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (more, r"2 of its tensors are not stored \('3.weight', '3.bias'\)"),
        (lambda net: net[:2], r"the stored ones it has not \('2.weight', '2.bias'\)"),
        (narrow_end, r"'2.weight' is stored as \(3, 3\) of torch.float32, and is \(5, 3\)"),
        (lambda net: net.double(), r"of torch.float32, and is \(3, 3\) of torch.float64"),
    ],
    ids=["more", "fewer", "shape", "dtype"],
)
def test_a_module_that_does_not_fit_is_left_alone(registry: Registry, change: Any, says: str) -> None:
    """Names, shapes and dtypes are checked before anything is copied."""
    registry.save("my:net", network())
    other = change(network())
    before = state_of(other)
    with pytest.raises(InvalidArgumentError, match=says):
        registry.load("my:net", into=other)
    assert state_of(other) == before


def test_damage_leaves_the_module_alone(registry: Registry, tmp_path: Path) -> None:
    """Every byte is verified before the first is copied."""
    registry.save("my:net", network(200))
    (pack,) = (path for path in (tmp_path / "registry/packs").rglob("*") if path.is_file())
    data = bytearray(pack.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    pack.chmod(0o644)
    pack.write_bytes(data)
    other = network(200)
    before = state_of(other)
    with pytest.raises(CorruptError):
        registry.load("my:net", into=other)
    assert state_of(other) == before


@pytest.mark.parametrize("into", ["somewhere", 5, {}, torch.nn.Module], ids=str)
def test_a_module_goes_into_modules_only(registry: Registry, into: object) -> None:
    """The error says what it can be."""
    registry.save("my:net", network())
    with pytest.raises(InvalidArgumentError, match=r"a torch\.nn\.modules\.module\.Module, not a "):
        registry.load("my:net", into=into)


def test_other_objects_go_into_nothing(registry: Registry) -> None:
    """A materializer that does not say so fills no objects."""
    registry.save("my:list", [1])
    with pytest.raises(InvalidArgumentError, match=r"leave out the builtins\.list"):
        registry.load("my:list", into=[])


def test_a_folder_goes_into_no_module(registry: Registry, tmp_path: Path) -> None:
    """A path has to be put somewhere, which a module is not."""
    (tmp_path / "file").write_text("x")
    registry.save("my:file", tmp_path / "file")
    with pytest.raises(InvalidArgumentError, match="path of a folder"):
        registry.load("my:file", into=network())


class Bag:
    """Something that can be filled."""

    def __init__(self, items: bytes) -> None:
        self.items = items


class SmallBag(Bag):
    """A subclass."""


class BagMaterializer:
    """Loads a new bag, or into one."""

    id = "test.bag/1"
    types = (Bag,)
    into: ClassVar[tuple[type | str, ...]] = (f"{__name__}.Bag",)

    def save(self, obj: Bag, folder: Any) -> None:
        folder.add("items", obj.items)

    def load(self, folder: Any, cls: type | None) -> Bag:
        del cls
        bag = Bag(b"") if folder.into is None else folder.into
        bag.items = bytes(folder.read("items"))
        return bag


@pytest.mark.parametrize(
    "kinds", [(f"{__name__}.Bag",), (Bag,), (int, Bag)], ids=["name", "class", "several"]
)
def test_a_materializer_says_what_it_fills(
    registry: Registry, monkeypatch: pytest.MonkeyPatch, kinds: tuple[type | str, ...]
) -> None:
    """Its attribute `into`: classes or their dotted names; subclasses too, and nothing else."""
    monkeypatch.setattr(BagMaterializer, "into", kinds)
    registry.register_materializer(Bag, BagMaterializer)
    registry.save("my:bag", Bag(b"abc"))
    bag = SmallBag(b"")
    assert registry.load("my:bag", into=bag) is bag
    assert bag.items == b"abc"
    assert registry.load("my:bag").items == b"abc"
    with pytest.raises(InvalidArgumentError, match=r"Bag, not a builtins\.str"):
        registry.load("my:bag", into="x")
