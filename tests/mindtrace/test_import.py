"""Folders of mindtrace-registry 0.7 and 0.16, as their own package wrote them, in a casreg registry."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import shutil
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from pydantic import BaseModel

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    CorruptError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidVersionError,
    ObjectNotFoundError,
    SourceError,
    SourceNotFoundError,
    StorageError,
    UnsupportedSourceError,
    VersionConflictError,
)
from casreg.materializers.classes import ClassTable
from casreg.mindtrace import ImportedItem, import_mindtrace
from casreg.mindtrace.folders import check_hash
from casreg.mindtrace.objects import KeptError, Stored, build
from casreg.registry import Registry
from casreg.testing import Fault, FaultBackend, FaultKind, RecordingBackend
from registry.lab import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from conftest import FreshPython

DATA = Path(__file__).parent / "data"
RELEASES = ("0.7", "0.16")


class Settings(BaseModel):
    rate: float
    layers: list[int]


@pytest.fixture(params=RELEASES)
def release(request: pytest.FixtureRequest) -> str:
    """Which release wrote the folder."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
def folder(release: str, tmp_path: Path) -> Path:
    """A folder as that release wrote it."""
    return unpacked(release, tmp_path)


def unpacked(release: str, tmp_path: Path) -> Path:
    """The sample folder of a release."""
    with tarfile.open(DATA / f"{release}.tar.xz") as archive:
        archive.extractall(tmp_path / "peer", filter="data")
    return tmp_path / "peer"


@pytest.fixture
def registry() -> Registry:
    """A new place."""
    return Registry(MemoryBackend())


def one(results: Iterable[ImportedItem], source: str) -> ImportedItem:
    """What became of the first version of one name."""
    return next(item for item in results if item.source.rpartition("@")[0] == source)


def item(folder: Path, name: str) -> tuple[Path, Path]:
    """The description and the files of the first version of a name."""
    version = next(path for path in sorted((folder / name).iterdir()))
    for encoded in (name.replace(":", "%3A"), name.replace(":", "_")):
        described = folder / f"_meta_{encoded}@{version.name}.yaml"
        if described.is_file():
            return described, version
    raise AssertionError(name)


def made(folder: Path, name: str, files: dict[str, bytes], version: str = "1.0.0", **fields: Any) -> None:
    """Write an item of one's own, as 0.16 lays them out."""
    place = folder / name / version
    place.mkdir(parents=True)
    for path, data in files.items():
        (place / path).parent.mkdir(parents=True, exist_ok=True)
        (place / path).write_bytes(data)
    described = folder / f"_meta_{name.replace(':', '%3A')}@{version}.yaml"
    described.parent.mkdir(parents=True, exist_ok=True)
    described.write_text(yaml.safe_dump({"class": "builtins.dict", "materializer": "x.Y", **fields}))


CONTAINER = "mindtrace.registry.archivers.builtin_materializers.BuiltInContainerMaterializer"
PATHS = "mindtrace.registry.archivers.path_archiver.PathArchiver"


# ------------------------------------------------------------------------------------------------ objects


def test_values_come_as_what_they_were(folder: Path, registry: Registry) -> None:
    """Everything that needs no pickle, of the same type, under the same name, the first version as 1.0.0."""
    import_mindtrace(folder, registry)
    for name, value in {
        "values:str": "héllo\n",
        "values:int": 10**30,
        "values:bool": True,
        "values:list": [1, 2.5, "x", None, True],
        "values:tuple": (1, 2),
        "values:set": {1, 2},
        "values:bytes": b"\x00\xff\n",
        "values:emptylist": [],
    }.items():
        loaded = registry.load(name, "1.0.0")
        assert loaded == value
        assert type(loaded) is type(value)


def test_arrays_come_as_what_they_were(folder: Path, registry: Registry) -> None:
    """With dtype, shape and order."""
    import_mindtrace(folder, registry)
    for name, array in {
        "array:plain": np.arange(6, dtype=np.float32).reshape(2, 3),
        "array:struct": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "array:fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
        "array:zero": np.array(5),
    }.items():
        loaded = registry.load(name)
        assert (loaded == array).all()
        assert (loaded.dtype, loaded.shape) == (array.dtype, array.shape)
        assert loaded.flags.f_contiguous == array.flags.f_contiguous


def test_files_and_folders_come_as_paths(folder: Path, registry: Registry, tmp_path: Path) -> None:
    """A file under its name; a folder with all that was packed, empty folders included."""
    import_mindtrace(folder, registry)
    assert registry.load("path:file", into=tmp_path / "file") == tmp_path / "file" / "notes.txt"
    assert (tmp_path / "file" / "notes.txt").read_text() == "a file\n"
    tree = registry.load("path:folder", into=tmp_path / "tree")
    assert sorted(path.relative_to(tree).as_posix() for path in tree.rglob("*")) == [
        "a.txt",
        "empty",
        "sub",
        "sub/b.bin",
    ]
    assert (tree / "sub/b.bin").read_bytes() == bytes(range(50))


def test_images_are_built(folder: Path, tmp_path: Path) -> None:
    """With mode and pixels; not bound to the file they came from."""
    for name, mode, shape in (("image:rgb", "RGB", (4, 4, 3)), ("image:grey", "L", (4, 4))):
        described, files = item(folder, name)
        said = yaml.safe_load(described.read_text())
        image = build(Stored(files, said["class"], said["materializer"], tmp_path, ClassTable(), False))
        assert type(image) is Image.Image
        assert image.mode == mode
        assert (np.asarray(image) == np.arange(math.prod(shape), dtype=np.uint8).reshape(shape)).all()


def test_every_item_of_the_sample_is_here(folder: Path, registry: Registry) -> None:
    """Nothing fails, and each version loads, as an object or as the folder of its files."""
    results = import_mindtrace(folder, registry)
    assert len(results) == len(list(folder.glob("_meta_*.yaml"))) > 20
    assert {result.outcome for result in results} <= {"imported", "files"}
    for result in results:
        assert result.key is not None
        assert (registry.load(result.key) is not None) == (result.source.partition("@")[0] != "nothing")
        if result.outcome == "files":
            assert isinstance(registry.load(result.key), Path)
            assert result.reason


# ------------------------------------------------------------------------------------------------ versions, metadata


def test_versions_keep_their_numbers(folder: Path, release: str, registry: Registry) -> None:
    """`1`, `2`, `3` of 0.7 are 1.0.0, 2.0.0, 3.0.0; those of 0.16 are what they were."""
    results = import_mindtrace(folder, registry)
    numbers = ["1.0.0", "2.0.0", "3.0.0"] if release == "0.7" else ["1.0.0", "1.0.1", "1.0.2"]
    assert registry.list_versions("values:float") == numbers
    assert [registry.load("values:float", number) for number in numbers] == [0.5, math.inf, -1e300]
    assert registry.list_versions("values:dict") == ["1.0.0", "2.1.0"]
    assert [result.source for result in results] == sorted(result.source for result in results)


def test_versions_sort_as_numbers(tmp_path: Path, registry: Registry) -> None:
    """1.0.10 comes after 1.0.9, so that what is told while it runs is in order."""
    for version in ("1.0.10", "1.0.9", "1.0.2"):
        made(tmp_path, "many", {"data.json": b"{}"}, version, materializer=CONTAINER)
    assert [result.source for result in import_mindtrace(tmp_path, registry)] == [
        "many@1.0.2",
        "many@1.0.9",
        "many@1.0.10",
    ]


def test_metadata_is_kept(folder: Path, registry: Registry) -> None:
    """What the user said is the version's metadata; what it was is a note. A date becomes text, and the result says so."""
    results = import_mindtrace(folder, registry)
    info = registry.info("values:dict", "1.0.0")
    assert info["metadata"] == {"by": "me", "n": 3, "day": "2026-01-02"}
    assert "became text" in one(results, "values:dict").reason
    note = info["notes"]["mindtrace"]
    assert (note["name"], note["class"]) == ("values:dict", "builtins.dict")
    assert note["materializer"].endswith("BuiltInContainerMaterializer")
    assert len(note["hash"]) == 64


def test_metadata_that_is_no_json(tmp_path: Path, registry: Registry) -> None:
    """Keys become text, sets and tuples lists, huge and infinite numbers text; the rest stays what it was."""
    metadata = {1: {"b", "a"}, "big": 2**60, "inf": math.inf, "fine": [1.5, None, True, {"x": "y"}]}
    made(tmp_path, "odd", {"data.json": b"{}"}, materializer=CONTAINER, metadata=metadata)
    (result,) = import_mindtrace(tmp_path, registry)
    assert registry.info("odd")["metadata"] == {
        "1": ["a", "b"],
        "big": str(2**60),
        "inf": "inf",
        "fine": [1.5, None, True, {"x": "y"}],
    }
    assert result.reason


# ------------------------------------------------------------------------------------------------ again


def test_importing_again_adds_nothing(folder: Path, registry: Registry) -> None:
    """Not a byte: each item is found to be here."""
    first = import_mindtrace(folder, registry)
    before = snapshot(registry.backend)
    again = import_mindtrace(folder, registry)
    assert {result.outcome for result in again} == {"unchanged"}
    assert [result.key for result in again] == [result.key for result in first]
    assert snapshot(registry.backend) == before


def test_importing_again_without_hashes_adds_nothing(tmp_path: Path, registry: Registry) -> None:
    """Then the content itself tells."""
    made(tmp_path, "plain", {"data.json": b'{"a":1}'}, materializer=CONTAINER)
    import_mindtrace(tmp_path, registry)
    before = snapshot(registry.backend)
    (again,) = import_mindtrace(tmp_path, registry)
    assert again.key == "plain@1.0.0"
    assert snapshot(registry.backend) == before


def test_a_number_that_is_taken_is_not_overwritten(folder: Path, registry: Registry) -> None:
    """Other content under the same name and number fails, and stays; the rest comes."""
    registry.save("values:str", "mine", version="1.0.0")
    results = import_mindtrace(folder, registry)
    assert isinstance(one(results, "values:str").error, VersionConflictError)
    assert registry.load("values:str") == "mine"
    assert one(results, "values:int").outcome == "imported"


# ------------------------------------------------------------------------------------------------ names


def test_names_are_spelt_by_the_rule(tmp_path: Path, registry: Registry) -> None:
    """`/` becomes `:`, other characters `-`, ends are cut; the result says so."""
    for name in ("a_b", "c d", "e/f", "_g.", "plain:name"):
        made(tmp_path, name, {"data.json": b"{}"}, materializer=CONTAINER)
    results = import_mindtrace(tmp_path, registry)
    assert {result.source: result.key for result in results} == {
        "a_b@1.0.0": "a-b@1.0.0",
        "c d@1.0.0": "c-d@1.0.0",
        "e/f@1.0.0": "e:f@1.0.0",
        "_g.@1.0.0": "g@1.0.0",
        "plain:name@1.0.0": "plain:name@1.0.0",
    }
    assert one(results, "a_b").reason == "its name 'a_b' became 'a-b'"
    assert not one(results, "plain:name").reason


def test_underscores_stay_where_they_may(tmp_path: Path) -> None:
    """In a registry that allows them."""
    made(tmp_path, "a_b", {"data.json": b"{}"}, materializer=CONTAINER)
    registry = Registry(MemoryBackend(), allow_underscore=True)
    assert import_mindtrace(tmp_path, registry)[0].key == "a_b@1.0.0"


def test_two_names_that_become_one_are_not_mixed(tmp_path: Path, registry: Registry) -> None:
    """Both fail with the line to write; with it, both come."""
    made(tmp_path, "a_b", {"data.json": b'{"a":1}'}, materializer=CONTAINER)
    made(tmp_path, "a b", {"data.json": b'{"a":2}'}, materializer=CONTAINER)
    results = import_mindtrace(tmp_path, registry)
    assert [type(result.error) for result in results] == [InvalidArgumentError] * 2
    assert "names={'a b': 'another:name'}" in results[0].reason
    assert registry.list_objects() == []
    import_mindtrace(tmp_path, registry, names={"a b": "a:space", "a_b": "a:line"})
    assert (registry.load("a:space"), registry.load("a:line")) == ({"a": 2}, {"a": 1})


def test_some_names_only(folder: Path, registry: Registry) -> None:
    """Those, and an error for one that is not there."""
    results = import_mindtrace(folder, registry, names=["values:float", "path:file"])
    assert len(results) == 4
    assert registry.list_objects() == ["path:file", "values:float"]
    with pytest.raises(InvalidArgumentError, match="no 'nothing'; it has"):
        import_mindtrace(folder, registry, names=["nothing"])
    with pytest.raises(InvalidArgumentError, match="is a list"):
        import_mindtrace(folder, registry, names="path:file")


# ------------------------------------------------------------------------------------------------ what could run code


class Bomb:
    """Runs code when it is loaded."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("the data was run",))


def test_pickles_are_kept_as_files(folder: Path, registry: Registry) -> None:
    """Without leave nothing is unpickled; the files are all there, and the metadata says what they were."""
    results = import_mindtrace(folder, registry)
    for name in ("values:complex", "values:mixed", "values:mixeddict"):
        result = one(results, name)
        assert result.outcome == "files"
        assert "allow_pickle=True" in result.reason
        assert result.key is not None
        loaded = registry.load(result.key)
        files = item(folder, name)[1]
        assert {path.relative_to(loaded) for path in loaded.rglob("*")} == {
            path.relative_to(files) for path in files.rglob("*")
        }
        said = registry.info(name)["metadata"]["mindtrace"]
        assert said["class"] == yaml.safe_load(item(folder, name)[0].read_text())["class"]


def test_pickles_are_loaded_with_leave(folder: Path, registry: Registry) -> None:
    """Also within the containers of 0.7, whose elements have folders of their own."""
    import_mindtrace(folder, registry, allow_pickle=True)
    assert registry.load("values:mixed", allow_pickle=True) == [1j, "text", {"k": b"v"}]
    assert registry.load("values:mixeddict", allow_pickle=True) == {"a": 1j, "b": [2]}
    assert registry.load("values:complex", allow_pickle=True) == 1j


@pytest.mark.parametrize(
    ("file", "materializer"),
    [
        ("data.pkl", CONTAINER),
        ("artifact.pkl", "a.CloudpickleMaterializer"),
        ("model.pt", "a.PyTorchModuleMaterializer"),
        ("dataloader.pt", "a.PyTorchDataLoaderMaterializer"),
        ("data.npy", "a.NumpyMaterializer"),
    ],
)
def test_nothing_that_the_data_chose_is_run(
    file: str, materializer: str, tmp_path: Path, registry: Registry
) -> None:
    """A pickle in any of the places where the peer keeps them does not go off."""
    data = pickle.dumps(Bomb())
    if file == "data.npy":
        held = io.BytesIO()
        np.save(held, np.array([None], dtype=object), allow_pickle=True)
        data = held.getvalue()[: -len(pickle.dumps(np.array([None], dtype=object)))] + data
    made(tmp_path, "bomb", {file: data}, materializer=materializer)
    (result,) = import_mindtrace(tmp_path, registry)
    assert result.outcome == "files"
    assert registry.files("bomb")[0]["path"] == file


def test_stored_names_are_never_imported(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Materializer and class are text: a module that they name is not loaded, wherever it is."""
    made(tmp_path, "a", {"data.json": b"{}"}, materializer="antigravity.Thing", **{"class": "this.That"})
    code = (
        "import sys; from casreg import Registry, MemoryBackend; from casreg.mindtrace import import_mindtrace\n"
        "print(import_mindtrace(sys.argv[1], Registry(MemoryBackend()))[0].outcome)\n"
        "assert not {'antigravity', 'this', 'torch', 'numpy', 'PIL'} & {*sys.modules}"
    )
    assert fresh_python(code, str(tmp_path)) == "files\n"


def test_models_of_torch_with_leave(tmp_path: Path) -> None:
    """Loaded by torch onto the CPU, and saved as whatever casreg does with modules."""
    model = torch.nn.Linear(2, 1)
    held = io.BytesIO()
    torch.save(model, held)
    made(
        tmp_path,
        "net",
        {"model.pt": held.getvalue()},
        materializer="mindtrace.registry.archivers.integration_materializers.PyTorchModuleMaterializer",
        **{"class": "torch.nn.modules.linear.Linear"},
    )
    registry = Registry(MemoryBackend(), allow_pickle=True)
    (result,) = import_mindtrace(tmp_path, registry, allow_pickle=True)
    assert result.outcome == "imported"
    assert torch.equal(registry.load("net", into=torch.nn.Linear(2, 1)).weight, model.weight)


def test_yaml_with_tags_is_refused(tmp_path: Path, registry: Registry) -> None:
    """Whoever writes `!!python/object/apply` gets an error of that item."""
    made(tmp_path, "a", {"data.json": b"{}"})
    (tmp_path / "_meta_a@1.0.0.yaml").write_text("!!python/object/apply:os.system ['false']")
    (result,) = import_mindtrace(tmp_path, registry)
    assert isinstance(result.error, CorruptError)
    assert "_meta_a@1.0.0.yaml" in result.reason


# ------------------------------------------------------------------------------------------------ pydantic


def test_pydantic_models_need_their_class(tmp_path: Path, registry: Registry) -> None:
    """Without it: files, and the line to write. With it: the model."""
    folder = unpacked("0.16", tmp_path)
    result = one(import_mindtrace(folder, registry), "pydantic:settings")
    assert result.outcome == "files"
    assert "registry.register_class(Settings, key='__main__.Settings')" in result.reason
    other = Registry(MemoryBackend())
    other.register_class(Settings, key="__main__.Settings")
    assert one(import_mindtrace(folder, other), "pydantic:settings").outcome == "imported"
    assert other.load("pydantic:settings") == Settings(rate=0.5, layers=[1, 2])


# ------------------------------------------------------------------------------------------------ damage


def test_files_that_changed_are_an_error_of_their_item(folder: Path, registry: Registry) -> None:
    """By the hash that mindtrace wrote; the others come."""
    path = next(item(folder, "values:str")[1].iterdir())
    path.write_bytes(path.read_bytes() + b" ")
    results = import_mindtrace(folder, registry)
    broken = one(results, "values:str")
    assert (broken.outcome, broken.key) == ("failed", None)
    assert isinstance(broken.error, CorruptError)
    assert "values:str@1" in broken.reason
    assert {result.outcome for result in results if result is not broken} == {"imported", "files"}
    assert not registry.has_object("values:str")


def test_a_file_that_was_renamed_is_noticed(folder: Path, registry: Registry) -> None:
    """The hash is over the paths too."""
    files = item(folder, "path:file")[1]
    (files / "notes.txt").rename(files / "other.txt")
    assert isinstance(one(import_mindtrace(folder, registry), "path:file").error, CorruptError)


def test_descriptions_that_are_damaged(folder: Path, registry: Registry) -> None:
    """No YAML, no fields, nothing: each an error of its item that names the file."""
    for name, text in {
        "values:str": "{",
        "values:int": "a: 1",
        "values:bool": "",
        "values:set": "- x",
    }.items():
        item(folder, name)[0].write_text(text)
    results = import_mindtrace(folder, registry)
    for name in ("values:str", "values:int", "values:bool", "values:set"):
        assert isinstance(one(results, name).error, CorruptError)
        assert "_meta_values" in one(results, name).reason
    assert one(results, "values:list").outcome == "imported"


def test_files_that_are_missing(folder: Path, registry: Registry) -> None:
    """As an interrupted delete leaves it."""
    shutil.rmtree(item(folder, "values:str")[1])
    assert isinstance(one(import_mindtrace(folder, registry), "values:str").error, CorruptError)


def test_files_that_cannot_be_read_as_what_they_were(tmp_path: Path, registry: Registry) -> None:
    """They are what was saved (the hash says so, or there is none), and so are kept."""
    deep = b"[" * 100_000
    for name, data in {"nojson": b"{", "deep": deep, "other": b"[1]"}.items():
        made(tmp_path, name, {"data.json": data}, materializer=CONTAINER)
    made(tmp_path, "image", {"image.png": b"no png"}, materializer="a.PillowImageMaterializer")
    made(
        tmp_path,
        "scalar",
        {"data.json": b'"5"'},
        materializer="a.BuiltInMaterializer",
        **{"class": "builtins.int"},
    )
    results = import_mindtrace(tmp_path, registry)
    assert [result.outcome for result in results] == ["files"] * 5
    assert registry.open("deep").read() == deep
    assert "str and not builtins.int" in one(results, "scalar").reason


def test_links_are_not_followed(tmp_path: Path, registry: Registry) -> None:
    """Neither out of an item, nor in place of its folder, its name's folder or its description."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "data.json").write_text('{"secret":1}')
    peer = tmp_path / "peer"
    for name in ("a", "b", "c", "d", "e"):
        made(peer, name, {"data.json": b"{}"}, materializer=CONTAINER)
    (peer / "a/1.0.0/data.json").unlink()
    (peer / "a/1.0.0/data.json").symlink_to(secret / "data.json")
    shutil.rmtree(peer / "b/1.0.0")
    (peer / "b/1.0.0").symlink_to(secret)
    shutil.rmtree(peer / "c")
    (secret / "1.0.0").mkdir()
    (secret / "1.0.0" / "data.json").write_text("{}")
    (peer / "c").symlink_to(secret)
    (peer / "d/1.0.0/more").symlink_to(secret)
    (peer / "_meta_e@1.0.0.yaml").rename(secret / "e.yaml")
    (peer / "_meta_e@1.0.0.yaml").symlink_to(secret / "e.yaml")
    results = import_mindtrace(peer, registry)
    assert [type(result.error) for result in results] == [UnsupportedSourceError] * 5
    assert registry.list_objects() == []


@pytest.mark.parametrize("absolute", [False, True])
def test_names_that_lead_out_are_refused(absolute: bool, tmp_path: Path, registry: Registry) -> None:
    """`..`, and one that is absolute since its description stands below `_meta_/`; also under a name of one's own."""
    peer, out = tmp_path / "peer", tmp_path / "out"
    name = out.as_posix() if absolute else ".."
    described = Path(f"{peer}/_meta_{name}@1.0.0.yaml")
    described.parent.mkdir(parents=True)
    described.write_text(yaml.safe_dump({"class": "builtins.dict", "materializer": CONTAINER}))
    for place in (out, tmp_path):
        (place / "1.0.0").mkdir(parents=True)
        (place / "1.0.0" / "data.json").write_text('{"secret":1}')
    for results in (import_mindtrace(peer, registry), import_mindtrace(peer, registry, names={name: "x"})):
        assert [result.source for result in results] == [f"{name}@1.0.0"]
        assert isinstance(results[0].error, InvalidNameError | UnsupportedSourceError)
    assert isinstance(results[0].error, UnsupportedSourceError)
    assert registry.list_objects() == []


@pytest.mark.parametrize("path", ["../../escaped", "link/escaped"])
def test_archives_that_lead_out_are_not_unpacked(path: str, tmp_path: Path, registry: Registry) -> None:
    """They are kept packed, and nothing is written elsewhere."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        if path.startswith("link"):
            link = tarfile.TarInfo("link")
            link.type, link.linkname = tarfile.SYMTYPE, str(tmp_path)
            archive.addfile(link)
        member = tarfile.TarInfo(path)
        member.size = 4
        archive.addfile(member, io.BytesIO(b"evil"))
    said = json.dumps({"name": "x", "is_dir": True}).encode()
    made(
        tmp_path / "peer", "tree", {"data.tar.gz": held.getvalue(), "metadata.json": said}, materializer=PATHS
    )
    (result,) = import_mindtrace(tmp_path / "peer", registry)
    assert result.outcome == "files"
    assert [file["path"] for file in registry.files("tree")] == ["data.tar.gz", "metadata.json"]
    assert not (tmp_path / "escaped").exists()


def test_absolute_paths_in_archives_are_unpacked_below(tmp_path: Path, registry: Registry) -> None:
    """Without their `/`: nothing is written where they point."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w:gz") as archive:
        member = tarfile.TarInfo((tmp_path / "escaped").as_posix())
        archive.addfile(member)
    said = json.dumps({"name": "x", "is_dir": True}).encode()
    made(
        tmp_path / "peer", "tree", {"data.tar.gz": held.getvalue(), "metadata.json": said}, materializer=PATHS
    )
    import_mindtrace(tmp_path / "peer", registry)
    assert [file["path"] for file in registry.files("tree")] == [member.name.lstrip("/")]
    assert not (tmp_path / "escaped").exists()


def test_a_file_is_not_taken_from_elsewhere(tmp_path: Path, registry: Registry) -> None:
    """The name in `metadata.json` is that of a file beside it, or the item stays files."""
    (tmp_path / "secret").write_text("secret")
    for number, name in enumerate(("../../../secret", str(tmp_path / "secret"), "", "metadata.json", "gone")):
        said = json.dumps({"name": name, "is_dir": False}).encode()
        made(tmp_path / "peer", f"f{number}", {"metadata.json": said}, materializer=PATHS)
    results = import_mindtrace(tmp_path / "peer", registry)
    assert [result.outcome for result in results] == ["files"] * 5


# ------------------------------------------------------------------------------------------------ the folder, the rest


def test_what_is_no_folder_of_theirs(tmp_path: Path, registry: Registry) -> None:
    """Missing, or something else; an empty one of theirs is fine."""
    with pytest.raises(SourceNotFoundError):
        import_mindtrace(tmp_path / "nothing", registry)
    with pytest.raises(InvalidArgumentError, match="no folder of mindtrace-registry"):
        import_mindtrace(tmp_path, registry)
    (tmp_path / "registry_metadata.json").write_text("{}")
    assert import_mindtrace(tmp_path, registry) == []


def test_without_pyyaml_nothing_is_begun(
    folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error says what to install."""
    from casreg.mindtrace import folders

    monkeypatch.setattr(folders, "find_spec", lambda _: None)
    with pytest.raises(UnsupportedSourceError, match=r"pip install 'casreg\[mindtrace\]'"):
        import_mindtrace(folder, registry)
    assert not snapshot(registry.backend)


def test_versions_and_names_that_cannot_be(tmp_path: Path, registry: Registry) -> None:
    """Each is an error of its item."""
    made(tmp_path, "a", {"data.json": b"{}"}, "1.0.0.0", materializer=CONTAINER)
    made(tmp_path, "___", {"data.json": b"{}"}, materializer=CONTAINER)
    results = import_mindtrace(tmp_path, registry)
    assert isinstance(one(results, "a").error, InvalidVersionError)
    assert isinstance(one(results, "___").error, InvalidNameError)


def test_the_two_spellings_of_one_version(tmp_path: Path, registry: Registry) -> None:
    """`1` and `1.0.0` are two versions in 0.7 and one here: the second fails."""
    made(tmp_path, "a", {"data.json": b'{"a":1}'}, "1", materializer=CONTAINER)
    made(tmp_path, "a", {"data.json": b'{"a":2}'}, "1.0.0", materializer=CONTAINER)
    results = import_mindtrace(tmp_path, registry)
    assert [result.outcome for result in results] == ["imported", "failed"]
    assert isinstance(results[1].error, VersionConflictError)


def test_progress_is_told(folder: Path, registry: Registry) -> None:
    """After each item, with how many there are."""
    told: list[tuple[ImportedItem, int, int]] = []
    results = import_mindtrace(folder, registry, progress=lambda *report: told.append(report))
    assert told == [(result, number, len(results)) for number, result in enumerate(results, 1)]


@pytest.mark.usefixtures("no_waits")
def test_a_storage_that_fails_ends_it(folder: Path) -> None:
    """All that follow would fail as well; what came before is here, and the next run goes on."""
    inner = MemoryBackend()
    faults = [Fault(120, FaultKind.BEFORE, times=10**6)]
    with pytest.raises(StorageError):
        import_mindtrace(folder, Registry(FaultBackend(inner, faults)))
    results = import_mindtrace(folder, Registry(inner))
    assert {result.outcome for result in results} == {"unchanged", "imported", "files"}


def test_the_source_is_only_read(folder: Path, registry: Registry) -> None:
    """Not a byte of it changes."""

    def state() -> dict[str, str]:
        return {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*")
            if path.is_file()
        }

    before = state()
    import_mindtrace(folder, registry)
    assert state() == before


def test_an_item_known_already_is_not_read(folder: Path) -> None:
    """A second run asks for refs and manifests, and writes nothing."""
    place = RecordingBackend(MemoryBackend())
    import_mindtrace(folder, Registry(place))
    place.log.clear()
    import_mindtrace(folder, Registry(place))
    assert {call.method for call in place.calls} == {"get"}


def test_values_that_no_reader_knows(tmp_path: Path) -> None:
    """`KeptError` says what is missing."""
    (tmp_path / "x").mkdir()
    for materializer, match in {
        "a.b.HFDatasetMaterializer": "not known here",
        "a.BuiltInContainerMaterializer": "no container",
        "a.PillowImageMaterializer": r"no image\.png",
    }.items():
        stored = Stored(tmp_path / "x", "datasets.Dataset", materializer, tmp_path, ClassTable(), False)
        with pytest.raises(KeptError, match=match):
            build(stored)


def test_unreadable_files_are_an_error_of_their_item(
    folder: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An `OSError` of one item does not stop the others."""
    from casreg.mindtrace import importing

    def failing(item: Any, expected: str) -> None:
        if item.name == "values:str":
            raise PermissionError(13, "Permission denied", "data.json")
        check_hash(item, expected)

    monkeypatch.setattr(importing, "check_hash", failing)
    results = import_mindtrace(folder, registry)
    broken = one(results, "values:str")
    assert isinstance(broken.error, SourceError)
    assert isinstance(broken.error.__cause__, PermissionError)
    with pytest.raises(ObjectNotFoundError):
        registry.load("values:str")
    assert one(results, "values:tuple").outcome == "imported"
