"""`bytes` and `bytearray`: one file of exactly these bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers.classes import dotted

if TYPE_CHECKING:
    from casreg.materializers.base import InFolder, OutFolder

FILE = "data.bin"


class PythonBytes:
    """`bytes`, exactly that class, in `data.bin`."""

    id: ClassVar[str] = "python.bytes/1"
    types: tuple[type | str, ...] = (bytes,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`. The bytes are not copied."""
        _exactly(obj, bytes)
        folder.add(FILE, obj)  # type: ignore[arg-type]  # it is exactly that, as was just seen

    def load(self, folder: InFolder, cls: type | None) -> bytes:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        only_file(folder, FILE)
        return bytes(folder.read(FILE))


class PythonBytearray:
    """`bytearray`, exactly that class, in `data.bin`."""

    id: ClassVar[str] = "python.bytearray/1"
    types: tuple[type | str, ...] = (bytearray,)

    def save(self, obj: object, folder: OutFolder) -> None:
        """See `Materializer.save`. The bytes are not copied: the array must not change while it is saved."""
        _exactly(obj, bytearray)
        folder.add(FILE, obj)  # type: ignore[arg-type]  # it is exactly that, as was just seen

    def load(self, folder: InFolder, cls: type | None) -> bytearray:  # noqa: ARG002 - the protocol's signature
        """See `Materializer.load`."""
        only_file(folder, FILE)
        data = bytearray(folder.size(FILE))
        folder.read_into(FILE, data)
        return data


def _exactly(obj: object, cls: type) -> None:
    if type(obj) is not cls:
        raise NoMaterializerError(
            f"a {dotted(type(obj))} would come back as {cls.__name__}; save `{cls.__name__}(value)`, or write a "
            f"materializer and `registry.register_materializer({dotted(type(obj))!r}, 'my_module.MyMaterializer')`"
        )


def only_file(folder: InFolder, name: str) -> None:
    """See that the version is the one file `name`.

    Raises:
        MaterializationError: It is not.
    """
    if tuple(folder.paths) != (name,):
        raise MaterializationError(
            f"the version should be the one file {name!r}, but holds {list(folder.paths)[:5]}"
        )
