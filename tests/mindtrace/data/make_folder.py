"""Makes a sample folder with the mindtrace-registry of the environment that runs this. See README.md."""

from __future__ import annotations

import datetime as dt
import io
import sys
import tarfile
from importlib.metadata import version
from pathlib import Path

import mindtrace.registry as peer  # type: ignore[import-not-found]  # only in environments of its own
import numpy as np
from PIL import Image
from pydantic import BaseModel

VERSION = version("mindtrace-registry")
OLD = VERSION.startswith("0.7")


class Settings(BaseModel):
    rate: float
    layers: list[int]


def sources(folder: Path) -> Path:
    """A file and a folder to save."""
    (folder / "tree/sub").mkdir(parents=True)
    (folder / "tree/empty").mkdir()
    (folder / "notes.txt").write_text("a file\n")
    (folder / "tree/a.txt").write_text("a\n")
    (folder / "tree/sub/b.bin").write_bytes(bytes(range(50)))
    return folder


def fill(registry: peer.Registry, folder: Path) -> None:
    """Save what there are materializers for."""
    many = {
        "values:str": "héllo\n",
        "values:int": 10**30,
        "values:bool": True,
        "values:list": [1, 2.5, "x", None, True],
        "values:tuple": (1, 2),
        "values:set": {1, 2},
        "values:bytes": b"\x00\xff\n",
        "values:emptylist": [],
        "values:mixed": [1j, "text", {"k": b"v"}],
        "values:mixeddict": {"a": 1j, "b": [2]},
        "array:plain": np.arange(6, dtype=np.float32).reshape(2, 3),
        "array:struct": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "array:fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "array:zero": np.array(5),
        "image:rgb": Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)),
        "image:grey": Image.fromarray(np.arange(16, dtype=np.uint8).reshape(4, 4)),
        "path:file": folder / "notes.txt",
        "path:folder": folder / "tree",
    }
    for name, value in many.items():
        registry.save(name, value)
    for number in (0.5, float("inf"), -1e300):
        registry.save("values:float", number)
    day = dt.date(2026, 1, 2)
    registry.save("values:dict", {"a": [1, {"b": None}]}, metadata={"by": "me", "n": 3, "day": day})
    registry.save("values:dict", {"a": 2}, version="2.1.0")
    if OLD:
        pickles = "zenml.materializers.cloudpickle_materializer.CloudpickleMaterializer"
    else:
        pickles = "mindtrace.registry.archivers.builtin_materializers.CloudpickleMaterializer"
        registry.save("with_underscore", 1)
        registry.save("a space", 1)
        registry.save("pydantic:settings", Settings(rate=0.5, layers=[1, 2]))
    registry.save("values:complex", 1j, materializer=pickles)


def main(base: Path, target: Path) -> None:
    """Make the folder at `base`, and the archive `target` of it, without times and owners."""
    backend = peer.LocalRegistryBackend(uri=str(base / "registry"))
    fill(peer.Registry(backend=backend, version_objects=True), sources(base / "sources"))
    with tarfile.open(target, "w:xz") as archive:
        for path in sorted((base / "registry").rglob("*")):
            member = tarfile.TarInfo(path.relative_to(base / "registry").as_posix())
            member.mode = 0o755 if path.is_dir() else 0o644
            member.type = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE
            data = b"" if path.is_dir() else path.read_bytes()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
