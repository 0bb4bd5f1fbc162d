"""The files of a mindtrace item as a Python object, where that can be done without running anything that they chose.

The dotted name of the materializer is text here: its last part selects one of the readers below. What has none, what a
reader refuses, and pickles without leave, is kept as files by the caller.
"""

from __future__ import annotations

import json
import pickle
import tarfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from casreg.exceptions import UnknownClassError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.materializers.classes import ClassTable

_CONTAINERS: Final[Mapping[str, type]] = {
    "builtins.list": list,
    "builtins.dict": dict,
    "builtins.tuple": tuple,
    "builtins.set": set,
}
_SCALARS: Final[Mapping[str, type]] = {
    "builtins.str": str,
    "builtins.int": int,
    "builtins.float": float,
    "builtins.bool": bool,
}


class KeptError(Exception):
    """This item stays files. The message says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as files.

    Attributes:
        folder: Where they are.
        class_name: What it was.
        materializer: What wrote it.
        scratch: A folder for what has to be unpacked. It is empty, and nobody else's.
        classes: The classes that may be built.
        allow_pickle: The caller allows pickle.
    """

    folder: Path
    class_name: str
    materializer: str
    scratch: Path
    classes: ClassTable
    allow_pickle: bool


def build(stored: Stored) -> Any:
    """The object.

    Raises:
        KeptError: It has to stay files.
    """
    read = _READERS.get(stored.materializer.rpartition(".")[2])
    if read is None:
        raise KeptError(f"what {stored.materializer} writes is not known here")
    try:
        return read(stored)
    except KeptError:
        raise
    except Exception as err:
        # Whatever a damaged or unusual file provokes in a library: the files themselves are right, and are kept.
        raise KeptError(
            f"its files cannot be read as {stored.class_name}: {type(err).__name__}: {err}"
        ) from err


def _scalar(stored: Stored) -> Any:
    cls = _SCALARS.get(stored.class_name)
    value = json.loads((stored.folder / "data.json").read_bytes())
    if cls is float and type(value) is int:
        value = float(value)
    if type(value) is not cls:
        raise KeptError(f"data.json holds {type(value).__name__} and not {stored.class_name}")
    return value


def _container(stored: Stored) -> Any:
    cls = _CONTAINERS.get(stored.class_name)
    if cls is None:
        raise KeptError(f"{stored.class_name} is no container that is known here")
    if (stored.folder / "data.json").is_file():
        value = json.loads((stored.folder / "data.json").read_bytes())
    elif (stored.folder / "data.pkl").is_file():
        value = _unpickled(stored, "data.pkl")
    else:
        value = _elements(stored)
        if cls is dict:  # stored as its keys and its values
            value = dict(zip(*value, strict=True))
    return value if type(value) is cls else cls(value)


def _elements(stored: Stored) -> list[Any]:
    """A container of 0.7 whose elements have folders of their own, `0`, `1` and so on."""
    rows = json.loads((stored.folder / "metadata.json").read_bytes())
    found = []
    for number, row in enumerate(rows):
        scratch = stored.scratch / str(number)
        scratch.mkdir()
        folder = stored.folder / str(number)
        found.append(
            build(
                Stored(folder, row["type"], row["materializer"], scratch, stored.classes, stored.allow_pickle)
            )
        )
    return found


def _bytes(stored: Stored) -> bytes:
    return (stored.folder / "data.txt").read_bytes()


def _array(stored: Stored) -> Any:
    import numpy as np

    return np.load(stored.folder / "data.npy", allow_pickle=stored.allow_pickle)


def _image(stored: Stored) -> Any:
    from PIL import Image

    for name in ("image.png", "image_file.PNG"):
        if (stored.folder / name).is_file():
            with Image.open(stored.folder / name, formats=["PNG"]) as opened:
                return opened.copy()  # of the class that was saved, and no longer bound to the file
    raise KeptError("it has no image.png")


def _path(stored: Stored) -> Path:
    """The file itself, or the folder that was packed, unpacked without anything that leads out of it."""
    said = json.loads((stored.folder / "metadata.json").read_bytes())
    if not said["is_dir"]:
        name = str(said["name"])
        if not name or PurePosixPath(name).name != name or name == "metadata.json":
            raise KeptError(f"{name!r} is not the name of a file beside it")
        return stored.folder / name
    if not hasattr(tarfile, "data_filter"):
        raise KeptError("this Python cannot unpack safely; 3.11.4 and newer can")
    target = stored.scratch / "unpacked"
    target.mkdir()
    with tarfile.open(stored.folder / "data.tar.gz", "r:gz") as archive:
        archive.extractall(target, filter="data")
    return target


def _pydantic(stored: Stored) -> Any:
    try:
        cls: Any = stored.classes.class_for(stored.class_name)
    except UnknownClassError as err:
        name = stored.class_name.rpartition(".")[2]
        raise KeptError(
            f"its class is not registered: registry.register_class({name}, key={stored.class_name!r}) lets it be built"
        ) from err
    for file in ("data_v2.json", "data.json"):
        if (stored.folder / file).is_file():
            value = json.loads((stored.folder / file).read_bytes())
            return cls.model_validate_json(value) if isinstance(value, str) else cls.model_validate(value)
    raise KeptError("it has no data.json")


def _pickle(stored: Stored) -> Any:
    return _unpickled(stored, "artifact.pkl")


def _unpickled(stored: Stored, name: str) -> Any:
    if not stored.allow_pickle:
        raise KeptError(
            f"{name} is a pickle, and loading one runs code that it chose; allow_pickle=True does that"
        )
    with (stored.folder / name).open("rb") as source:
        return pickle.load(source)  # noqa: S301 - the caller allowed it


def _torch(stored: Stored) -> Any:
    if not stored.allow_pickle:
        raise KeptError(
            "files of torch hold pickles, and loading one runs code that it chose; allow_pickle=True does that"
        )
    import torch

    for name in ("model.pt", "entire_model.pt", "dataloader.pt", "entire_dataloader.pt", "obj.pt"):
        if (stored.folder / name).is_file():
            return torch.load(stored.folder / name, map_location="cpu", weights_only=False)
    raise KeptError("it has no file of torch")


_READERS: Final[Mapping[str, Callable[[Stored], Any]]] = {
    "BuiltInMaterializer": _scalar,
    "BuiltInContainerMaterializer": _container,
    "BytesMaterializer": _bytes,
    "NumpyMaterializer": _array,
    "PillowImageMaterializer": _image,
    "PathArchiver": _path,
    "PydanticMaterializer": _pydantic,
    "CloudpickleMaterializer": _pickle,
    "PyTorchModuleMaterializer": _torch,
    "PyTorchDataLoaderMaterializer": _torch,
}
"""By the last part of the materializer's dotted name, which both releases share."""
