"""Values of Python as JSON that anybody can read, without loss of types."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casreg.materializers.tree.files import dump, load
from casreg.materializers.tree.objects.objects import SKLEARN

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder

FILE = "data.json"


class PythonJson:
    """Numbers, containers, times and registered classes in `data.json`, arrays and long bytes in files beside it.

    What plain JSON holds without loss is plain JSON; the rest is tagged (see `casreg.materializers.tree`).
    """

    id: ClassVar[str] = "python.json/1"
    parameters: tuple[str, ...] = (SKLEARN,)
    types: tuple[type | str, ...] = (type(None), bool, int, float, complex, list, tuple, dict, set, frozenset)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        dump(obj, folder, FILE)

    def load(self, folder: InFolder, cls: type | None) -> object:
        """See `Materializer.load`. `cls` is the class of the outermost dataclass, model, enum or namedtuple."""
        return load(folder, FILE, cls)
