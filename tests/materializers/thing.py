"""A class of somebody else's, and a materializer for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from casreg.materializers import InFolder, OutFolder


class Thing:
    def __init__(self, number: int) -> None:
        self.number = number

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and other.number == self.number

    __hash__ = None  # type: ignore[assignment]


class Special(Thing):
    pass


class ThingMaterializer:
    id: ClassVar[str] = "test.thing/1"
    types: tuple[type | str, ...] = (Thing,)

    def save(self, obj: object, folder: OutFolder) -> None:
        assert isinstance(obj, Thing)
        folder.add("number.txt", str(obj.number).encode())

    def load(self, folder: InFolder, cls: type | None) -> object:
        return (cls or Thing)(int(bytes(folder.read("number.txt"))))
