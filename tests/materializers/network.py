"""Objects with parts, and with files that a library would want on a disk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from casreg.materializers import InFolder, OutFolder


class Tensor:
    """Something with a parameter and a real file."""

    def __init__(self, unit: str, data: bytes) -> None:
        self.unit, self.data = unit, data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tensor) and (other.unit, other.data) == (self.unit, self.data)

    def __hash__(self) -> int:
        return hash(self.data)


class TensorMaterializer:
    id: ClassVar[str] = "test.tensor/1"
    types: tuple[type | str, ...] = (Tensor,)
    parameters = ("unit",)

    def save(self, obj: Any, folder: OutFolder) -> None:
        folder.params["unit"] = obj.unit
        (folder / "deep/data.bin").write_bytes(obj.data)

    def load(self, folder: InFolder, cls: type | None) -> object:
        unit = folder.params["unit"]
        assert isinstance(unit, str)
        data = (folder / "deep/data.bin").read_bytes()
        assert folder.paths == ["deep/data.bin"]
        assert data == bytes(folder.read("deep/data.bin"))
        assert folder.size("deep/data.bin") == len(data)
        return Tensor(unit, data)


class Network:
    """Something made of parts of any kind."""

    def __init__(self, *layers: object) -> None:
        self.layers = layers

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Network) and other.layers == self.layers

    __hash__ = None  # type: ignore[assignment]


class NetworkMaterializer:
    id: ClassVar[str] = "test.network/1"
    types: tuple[type | str, ...] = (Network,)
    parameters = ("layers",)

    def save(self, obj: Any, folder: OutFolder) -> None:
        folder.params["layers"] = [folder.put(f"layers/{at}", layer) for at, layer in enumerate(obj.layers)]

    def load(self, folder: InFolder, cls: type | None) -> object:
        layers = folder.params["layers"]
        assert isinstance(layers, list)
        return Network(*(folder.take(f"layers/{at}", one) for at, one in enumerate(layers)))
