"""`str`: one file of UTF-8 text."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted
from casreg.materializers.python_bytes import only_file

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder

FILE = "data.txt"
SURROGATES = "surrogates"


class PythonStr:
    """`str`, exactly that class, in `data.txt` as UTF-8, newlines and all.

    A string with lone surrogates is not text; it is stored all the same, and the parameter `surrogates` says so.
    """

    id: ClassVar[str] = "python.str/1"
    types: tuple[type | str, ...] = (str,)
    parameters: tuple[str, ...] = (SURROGATES,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`."""
        if not isinstance(obj, str) or type(obj) is not str:
            raise NoMaterializerError(f"a {dotted(type(obj))} would come back as str; save `str(value)`")
        try:
            data = obj.encode("utf-8")
        except UnicodeEncodeError:
            data = obj.encode("utf-8", "surrogatepass")
            folder.params[SURROGATES] = True
        folder.add(FILE, data)

    def load(self, folder: InFolder, cls: type | None) -> str:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        only_file(folder, FILE)
        lone = folder.params.get(SURROGATES, False)
        if not isinstance(lone, bool):
            raise MaterializationError(f"the parameter {SURROGATES!r} must be true or false, not {lone!r}")
        try:
            return str(folder.read(FILE), "utf-8", "surrogatepass" if lone else "strict")
        except UnicodeDecodeError as err:
            raise MaterializationError(f"the stored text is not UTF-8: {err}") from err
