"""What docs/migrating-from-mindtrace.md says of casreg: one test for each group of rows of its tables."""

from __future__ import annotations

import json
import logging
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import BaseModel

import casreg
from casreg import (
    CasregError,
    InvalidArgumentError,
    InvalidNameError,
    InvalidVersionError,
    LocalRegistryBackend,
    Mount,
    ObjectNotFoundError,
    ReadOnlyError,
    Registry,
    Store,
    StoreAmbiguousObjectError,
    StoreKeyFormatError,
    StoreLocationNotFound,
    UntrustedError,
    VersionConflictError,
    VersionProtectedError,
)
from casreg.backends.base import Backend

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.materializers.base import InFolder, OutFolder
    from conftest import FreshPython

PAGE = (Path(__file__).parents[1] / "docs" / "migrating-from-mindtrace.md").read_text("utf-8")


class Settings(BaseModel):
    rate: float = 0.1


@dataclass
class Run:
    name: str


class Signal:
    def __init__(self, samples: bytes) -> None:
        self.samples = samples


class SignalMaterializer:
    id = "tests.signal/1"
    types = (Signal,)

    def save(self, obj: Signal, folder: OutFolder) -> None:
        folder.add("samples.bin", obj.samples)

    def load(self, folder: InFolder, cls: type | None) -> Signal:
        return Signal(bytes(folder.read("samples.bin")))


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """An empty one, as it is opened by default."""
    return Registry(tmp_path / "registry")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two empty mounts."""
    return Store(mounts={"a": tmp_path / "a", "b": tmp_path / "b"}, default_location="a")


# ------------------------------------------------------------------------------------------------ what differs at once


def test_every_save_is_a_version_unless_one_says_otherwise(registry: Registry, tmp_path: Path) -> None:
    """The default keeps all versions, and `version_objects=False` keeps one."""
    assert [registry.save("m", 1), registry.save("m", 2)] == ["1.0.0", "1.0.1"]
    single = Registry(tmp_path / "single", version_objects=False)
    single.save("m", 1)
    single.save("m", 2)
    assert len(single.list_versions("m")) == 1
    assert single.load("m") == 2


def test_settings_belong_to_the_handle(tmp_path: Path) -> None:
    """What the first handle said binds no second one, in neither direction."""
    Registry(tmp_path, version_objects=False, mutable=True).save("m", 1)
    second = Registry(tmp_path)
    second.save("m", 2)
    assert len(second.list_versions("m")) == 2
    with pytest.raises(VersionConflictError):
        second.save("m", 3, version="1.0.0")
    assert Registry(tmp_path, mutable=True).save("m", 3, version="1.0.0") == "1.0.0"


@pytest.mark.parametrize("setting", ["version_objects", "mutable"])
def test_none_is_no_setting(tmp_path: Path, setting: str) -> None:
    """`None`, which meant "as it is stored", is refused and not taken for False."""
    with pytest.raises(InvalidArgumentError, match=f"{setting}.*None"):
        Registry(tmp_path, **{setting: None})  # type: ignore[arg-type]


def test_version_numbers(registry: Registry) -> None:
    """SemVer, of which `1` is short for `1.0.0`; a deleted number gets no other content."""
    assert registry.save("m", 1, version="1") == "1.0.0"
    assert registry.load("m", "v1") == 1
    assert registry.save("m", 2, version="2.0.0-rc.1") == "2.0.0-rc.1"
    registry.delete("m", "1.0.0")
    with pytest.raises(VersionConflictError):
        registry.save("m", 3, version="1.0.0")
    with pytest.raises(InvalidVersionError):
        registry.save("m", 3, version="1.0.0.0")


def test_concurrent_saves_each_get_a_number(registry: Registry) -> None:
    """No save is lost, and no number is given twice."""
    versions: list[str] = []
    threads = [
        threading.Thread(target=lambda value=value: versions.append(registry.save("m", value)))
        for value in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == registry.list_versions("m")
    assert sorted(registry.load("m", version) for version in versions) == list(range(8))


def test_names(registry: Registry, tmp_path: Path) -> None:
    """Letters, digits, `.` and `-`, joined by `:`; `_` where the handle allows it."""
    registry.save("my:Model-1.b", 1)
    for name in ["my_model", "a/b", "../a", "a b"]:
        with pytest.raises(InvalidNameError):
            registry.save(name, 1)
    assert Registry(tmp_path / "registry", allow_underscore=True).save("my_model", 1) == "1.0.0"


def test_what_is_missing_is_one_error(registry: Registry) -> None:
    """`ObjectNotFoundError` from every call that needs the object, which is a `KeyError` and a `ValueError`."""
    calls: list[Callable[[str], object]] = [registry.load, registry.info, registry.delete, registry.pop]
    for call in [*calls, registry.files, registry.open, registry.__getitem__, registry.__delitem__]:
        with pytest.raises(ObjectNotFoundError):
            call("nothing")
    assert issubclass(ObjectNotFoundError, KeyError)
    assert issubclass(ObjectNotFoundError, ValueError)


def test_what_is_stored(registry: Registry, tmp_path: Path) -> None:
    """Each chunk once, also for another name, and compressed."""
    registry.save("one", b"casreg " * 100_000)
    registry.save("two", b"casreg " * 100_000)
    assert registry.info("one")["stored"] < 70_000
    assert registry.info("two")["stored"] < 2_000
    assert sum(path.stat().st_size for path in (tmp_path / "registry").rglob("*")) < 200_000


def test_loading_imports_nothing_that_the_data_choose(registry: Registry, fresh_python: FreshPython) -> None:
    """A stored class is not imported, and a pickle is loaded only if the caller allows it."""
    registry.register_class(Run, key="tests.Run")
    registry.save("run", Run("first"))
    registry.save("pickle", os.getpid, allow_pickle=True)
    with pytest.raises(UntrustedError):
        registry.load("pickle")
    assert registry.load("pickle", allow_pickle=True) is os.getpid
    printed = fresh_python(
        "import sys\nfrom casreg import Registry, UnknownClassError\n"
        "try:\n    Registry(sys.argv[1]).load('run')\nexcept UnknownClassError:\n    print('refused')",
        registry.backend.location,
    )
    assert printed == "refused\n"


def test_types_are_kept(registry: Registry) -> None:
    """Keys that are numbers, and tuples and sets inside lists, come back as what they were."""
    value = {1: 2, None: [(1, 2), {3}, frozenset()], "b": b"x"}
    registry.save("m", value)
    loaded = registry.load("m")
    assert loaded == value
    assert [type(one) for one in loaded[None]] == [tuple, set, frozenset]


def test_a_store_without_arguments_lasts(fresh_python: FreshPython) -> None:
    """The mount `default` is there again in another process."""
    Store().save("default/m", {"ok": True})
    assert fresh_python("from casreg import Store\nprint(Store().load('m'))") == "{'ok': True}\n"


def test_logs_are_the_program_s_matter(registry: Registry, caplog: pytest.LogCaptureFixture) -> None:
    """One logger, `casreg`, without a handler of its own."""
    with caplog.at_level(logging.DEBUG, logger="casreg"):
        registry.save("m", 1)
    assert any(record.name.startswith("casreg") for record in caplog.records)
    assert not [
        one for one in logging.getLogger("casreg").handlers if not isinstance(one, logging.NullHandler)
    ]


# ------------------------------------------------------------------------------------------------ calls of Registry


def test_opening(tmp_path: Path) -> None:
    """A path, a URI or a backend, also as `backend=`; and what became of the other arguments."""
    places: list[Any] = [str(tmp_path), tmp_path, tmp_path.as_uri(), LocalRegistryBackend(uri=str(tmp_path))]
    for place in places:
        assert Registry(backend=place).list_objects() == []
    assert Registry(tmp_path, cache=False).cache is None
    for dropped in ["version_digits", "use_cache", "cache_max_entries", "versions_cache_ttl"]:
        with pytest.raises(TypeError, match=dropped):
            Registry(tmp_path, **{dropped: 1})  # type: ignore[arg-type]


def test_settings_of_a_handle_are_shown(tmp_path: Path) -> None:
    """`repr` says what the handle does; `backend` is there, and is not assigned."""
    registry = Registry(tmp_path, mutable=True, version_objects=False)
    assert "version_objects=False, mutable=True" in repr(registry)
    assert registry.backend.location == tmp_path.as_uri()
    with pytest.raises(AttributeError):
        registry.backend = LocalRegistryBackend(tmp_path)  # type: ignore[misc]


def test_save(registry: Registry) -> None:
    """It returns the version, and takes what is new here: tags, notes, a bump, and `if_changed`."""
    version = registry.save("m", [1], version="1.0.0", metadata={"a": 1}, tags=["prod"], notes={"by": "Ada"})
    assert version == "1.0.0"
    info = registry.info("m@prod")
    assert (info["metadata"], info["notes"], info["tags"]) == ({"a": 1}, {"by": "Ada"}, ["prod"])
    assert registry.save("m", [2], bump="minor") == "1.1.0"
    assert registry.save("m", [2], if_changed=True) == "1.1.0"
    assert registry.save("s", Signal(b"x"), materializer=SignalMaterializer) == "1.0.0"
    with pytest.raises(TypeError, match="init_params"):
        registry.save("m", 1, init_params={})  # type: ignore[call-overload]


def test_on_conflict(registry: Registry, tmp_path: Path) -> None:
    """An error unless one says otherwise; `"skip"` gives what is there, `"overwrite"` wants a mutable handle."""
    registry.save("m", 1, version="1.0.0")
    with pytest.raises(VersionConflictError):
        registry.save("m", 2, version="1.0.0")
    assert registry.save("m", 2, version="1.0.0", on_conflict="skip") == "1.0.0"
    assert registry.load("m") == 1
    Registry(tmp_path / "registry", mutable=True).save("m", 2, version="1.0.0", on_conflict="overwrite")
    assert registry.load("m") == 2


def test_lists(registry: Registry) -> None:
    """Results in the order of the names, and the exceptions themselves."""
    assert list(registry.save(["b", "a"], [1, 2])) == ["1.0.0", "1.0.0"]
    loaded = registry.load(["b", "nothing", "a"])
    assert list(loaded) == [1, None, 2]
    assert [type(error) for error in loaded.errors] == [ObjectNotFoundError]
    assert registry.delete(["a", "b"]).success_count == 2


def test_load(registry: Registry, tmp_path: Path) -> None:
    """By version, `"latest"`, tag, range, `name@version`; a folder `into=` one, whole or not at all."""
    registry.save("m", 1, tags=["prod"])
    registry.save("m", 2)
    assert [registry.load("m", "latest"), registry.load("m", "prod"), registry.load("m@1.0.0")] == [2, 1, 1]
    assert registry.load("m", ">=1,<1.0.1") == 1
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("text")
    registry.save("folder", tmp_path / "folder")
    assert (registry.load("folder", into=tmp_path / "out") / "file").read_text() == "text"
    for dropped in ["output_dir", "verify", "encoding"]:
        with pytest.raises(TypeError, match=dropped):
            registry.load("m", **{dropped: None})  # type: ignore[call-overload]


def test_delete(registry: Registry) -> None:
    """What is missing is an error, a version too; `undelete` brings back."""
    registry.save("m", 1)
    with pytest.raises(ObjectNotFoundError):
        registry.delete("m", "7.0.0")
    with pytest.raises(ValueError, match="latest"):
        registry.delete("m", "latest")
    registry.delete("m")
    assert registry.undelete("m", "1.0.0") == "1.0.0"
    assert registry.load("m") == 1


def test_info_and_has_object(registry: Registry) -> None:
    """Flat dicts; a malformed version is an error."""
    registry.save("m", [1])
    registry.save("m", [2], metadata={"a": 1})
    info = registry.info("m")
    assert info["version"] == "1.0.1"
    assert {"class", "materializer", "path", "size", "metadata"} <= info.keys()
    assert registry.info("m", "1.0.0")["version"] == "1.0.0"
    assert registry.info() == {"m": info}
    assert registry.has_object("m", "1.0.0")
    assert not registry.has_object("m", "3.0.0")
    with pytest.raises(InvalidVersionError):
        registry.has_object("m", "1.0.0.0")


def test_listings(registry: Registry) -> None:
    """Names and versions, sorted; nothing of what is not there; and a table for people."""
    registry.save("b", 1)
    registry.save("a", 1)
    registry.save("a", 2)
    assert registry.list_objects() == ["a", "b"]
    assert registry.list_versions("a") == ["1.0.0", "1.0.1"]
    assert registry.list_versions("nothing") == []
    assert registry.list_objects_and_versions() == {"a": ["1.0.0", "1.0.1"], "b": ["1.0.0"]}
    assert "1.0.1" in str(registry)


def test_download_and_update_keep_what_a_version_is(registry: Registry, tmp_path: Path) -> None:
    """Number, metadata, class and digest; classes need not be known."""
    registry.register_class(Run, key="tests.Run")
    registry.save("run", Run("first"), version="3.1.0", metadata={"a": 1})
    one, all_of_it = Registry(tmp_path / "one"), Registry(tmp_path / "all")
    assert one.download(registry, "run") == "3.1.0"
    assert one.download(registry, "run", "latest", "other", "4") == "4.0.0"
    registry.save("run", 5)
    all_of_it.update(registry)
    assert all_of_it.list_versions("run") == ["3.1.0", "3.1.1"]
    for copied in [one, all_of_it]:
        for key in ["digest", "metadata", "class"]:
            assert copied.info("run", "3.1.0")[key] == registry.info("run", "3.1.0")[key]
    latest = Registry(tmp_path / "latest")
    latest.update(registry, sync_all_versions=False)
    latest.update({"more": 1})
    assert latest.list_objects_and_versions() == {"more": ["1.0.0"], "run": ["3.1.1"]}


def test_clear(registry: Registry) -> None:
    """Everything, or nothing if something is protected."""
    registry.save("a", 1)
    registry.save("b", 1)
    registry.protect("b")
    with pytest.raises(VersionProtectedError):
        registry.clear()
    assert len(registry) == 2
    registry.unprotect("b")
    registry.clear()
    assert len(registry) == 0
    registry.clear_cache()


def test_registered_materializers(registry: Registry, tmp_path: Path) -> None:
    """By class or dotted name, for this handle's process: the stored registry does not know it."""
    registry.register_materializer(f"{__name__}.Signal", SignalMaterializer)
    assert registry.registered_materializer(Signal) == "tests.signal/1"
    assert "numpy.ndarray" in registry.registered_materializers()
    registry.save("s", Signal(b"x"))
    assert registry.load("s").samples == b"x"
    assert Registry(tmp_path / "registry").registered_materializer(Signal) is None


def test_as_a_mapping(registry: Registry) -> None:
    """A whole `MutableMapping`, whose `pop` takes all versions, and gives any default."""
    registry["a"] = 1
    registry["a"] = 2
    assert registry["a@1.0.0"] == 1
    assert "a" in registry
    assert "a@7" not in registry
    assert [list(registry), len(registry), registry.get("b", 7), dict(registry.items())] == [
        ["a"],
        1,
        7,
        {"a": 2},
    ]
    assert registry.setdefault("b", 3) == 3
    assert registry.pop("a") == 2
    assert registry.list_versions("a") == []
    assert registry.pop("a", None) is None
    del registry["b"]
    assert not registry
    with registry as same:
        assert same is registry


def test_what_is_dropped_is_not_there() -> None:
    """No attribute that only looks as if it did something."""
    registries = (
        "from_mount mount register_default_materializer get_default_materializers serialization_hints_for_object "
        "materialize_from_bytes create_direct_upload_target inspect_direct_upload_target commit_direct_upload "
        "cleanup_direct_upload_target create_direct_download_url create_direct_download_urls version_digits"
    )
    assert not [one for one in registries.split() if hasattr(Registry, one)]
    stores = "from_mounts set_default_mount list_mount_info resolve_registry cache_lookup_locations clear_location_cache"
    assert not [one for one in stores.split() if hasattr(Store, one)]


# ------------------------------------------------------------------------------------------------ calls of Store


def test_mounts(tmp_path: Path) -> None:
    """Made from a dict or from `Mount` values, added by location, removed, and asked for."""
    registry = Registry(tmp_path / "a")
    store = Store(mounts=[Mount("a", registry), Mount("b", Registry(tmp_path / "b"), read_only=True)])
    store.add_mount("c", tmp_path / "c")
    assert store.list_mounts() == ["a", "b", "c"]
    assert store.get_registry("a") is registry
    assert store.get_mount("b").read_only
    store.set_default_location("a")
    default = store.default_location
    assert default == "a"
    store.remove_mount("a")
    assert not store.has_mount("a")
    assert store.default_location is None
    with pytest.raises(StoreLocationNotFound):
        store.get_mount("a")
    with pytest.raises(PermissionError):
        store.save("b/x", 1)


def test_keys_of_a_store(store: Store) -> None:
    """Writing names its location; reading asks all mounts, and never guesses."""
    with pytest.raises(StoreKeyFormatError):
        store.save("m", 1)
    with pytest.raises(StoreKeyFormatError):
        store.delete("m")
    store.save("b/m", 1)
    assert store.load("m") == 1
    store.save("a/m", 2)
    with pytest.raises(StoreAmbiguousObjectError):
        store.load("m")
    assert store.has_object("m")
    key = Store.parse_key("a/m@1.0.0")
    assert (key.location, key.name, key.version) == ("a", "m", "1.0.0")
    assert Store.build_key("a", "m", "1.0.0") == "a/m@1.0.0"


def test_copy_and_move(store: Store) -> None:
    """Identity is kept, and what is moved onto itself is still there."""
    store.save("a/m", [1], metadata={"a": 1})
    digest = store.info("a/m")["digest"]
    assert store.copy("a/m", target="b/copy", source_version="1.0.0", target_version="2") == "2.0.0"
    assert (store.info("b/copy")["digest"], store.info("b/copy")["metadata"]) == (digest, {"a": 1})
    assert store.move("a/m", target="a/m") == "1.0.0"
    assert store.load("a/m") == [1]
    store.move("a/m", target="b/moved")
    assert store.info("b/moved")["digest"] == digest
    assert not store.has_object("a/m")


def test_a_store_as_a_mapping(store: Store) -> None:
    """What is missing is a `KeyError`; listings, keys and `info()` have the location."""
    for key in ["nothing", "a/nothing", "nowhere/m"]:
        with pytest.raises(KeyError):
            store[key]
    store["a/m"] = 1
    assert store["m"] == 1
    assert [list(store), store.list_objects("b"), store.list_versions("m")] == [["a/m"], [], ["1.0.0"]]
    assert store.info()["a/m"]["location"] == "a"


# ------------------------------------------------------------------------------------------------ errors, backends


def test_errors() -> None:
    """The names of the table exist, and each is one of casreg's."""
    table = PAGE.partition("## Errors")[2].partition("## Backends")[0]
    ours = ["ObjectNotFoundError", "VersionConflictError", "LockTimeoutError", "StoreLocationNotFound"]
    for name in [*ours, "StoreKeyFormatError", "StoreAmbiguousObjectError"]:
        assert name in table
        assert issubclass(getattr(casreg, name), CasregError)
    assert issubclass(casreg.LockTimeoutError, TimeoutError)
    assert issubclass(ReadOnlyError, PermissionError)


def test_a_backend_is_five_methods() -> None:
    """As the page says of the interface."""
    public = {name for name in vars(Backend) if not name.startswith("_")}
    assert public - {"location"} == {"get", "create", "swap", "list", "delete"}


# ------------------------------------------------------------------------------------------------ materializers


def test_files_of_plain_objects(registry: Registry, tmp_path: Path) -> None:
    """Which file each row of the table says."""
    (tmp_path / "some.txt").write_text("x")
    rows: list[tuple[object, set[str]]] = [
        ("text", {"data.txt"}),
        (1, {"data.json"}),
        (True, {"data.json"}),
        (1.5, {"data.json"}),
        ([1, (2,)], {"data.json"}),
        ({"w": np.zeros(3)}, {"data.json", "parts/0.npy"}),
        (b"x", {"data.bin"}),
        (np.zeros(3), {"data.npy"}),
        (tmp_path / "some.txt", {"some.txt"}),
    ]
    for number, (value, files) in enumerate(rows):
        registry.save(f"row:{number}", value)
        assert {one["path"] for one in registry.files(f"row:{number}")} == files


def test_pydantic_models_are_their_fields(registry: Registry) -> None:
    """Registered once; JSON, and not JSON inside JSON."""
    registry.register_class(Settings, key="tests.Settings")
    registry.save("settings", Settings(rate=0.5))
    assert registry.load("settings") == Settings(rate=0.5)
    stored = json.loads(registry.open("settings").read())
    assert stored["$pydantic"][1]["rate"] == 0.5


def test_images_of_all_modes(registry: Registry) -> None:
    """Also of those that PNG has not."""
    for mode in ["1", "L", "P", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16"]:
        registry.save("image", Image.new(mode, (3, 2)))
        assert registry.load("image").mode == mode


def test_torch_models_are_their_state(registry: Registry) -> None:
    """Loaded `into=` a module of the caller's, with no pickle."""
    net, again = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    registry.save("net", net)
    assert [one["path"] for one in registry.files("net")] == ["data.safetensors"]
    assert registry.load("net", into=again) is again
    assert torch.equal(net.weight, again.weight)


@pytest.mark.parametrize(
    "given", [SignalMaterializer, SignalMaterializer(), f"{__name__}.SignalMaterializer"], ids=type
)
def test_forms_of_a_materializer(registry: Registry, given: object) -> None:
    """A class, an instance, or a dotted name; nothing is inherited."""
    registry.save("signal", Signal(b"x"), materializer=given)  # type: ignore[call-overload]
    assert registry.load("signal", materializer=given).samples == b"x"  # type: ignore[call-overload]


# ------------------------------------------------------------------------------------------------ dropped on purpose


def test_handing_a_version_over(registry: Registry, tmp_path: Path) -> None:
    """By a bundle in place of a signed URL; within a service by a stream."""
    registry.save("m", b"bytes")
    registry.export(tmp_path / "m.casreg", ["m"])
    other = Registry(tmp_path / "other")
    assert other.import_(tmp_path / "m.casreg") == ["m@1.0.0"]
    with other.open("m") as stream:
        assert stream.read() == b"bytes"


@pytest.mark.parametrize(
    "call",
    [
        *[
            "save",
            "load",
            "delete",
            "info",
            "has_object",
            "list_objects",
            "list_versions",
            "list_objects_and_versions",
            "register_materializer",
            "registered_materializer",
            "registered_materializers",
            "register_default_materializer",
            "get_default_materializers",
            "download",
            "update",
            "clear",
            "clear_cache",
            "get",
            "keys",
            "values",
            "items",
            "pop",
            "setdefault",
            "from_mount",
            "serialization_hints_for_object",
            "materialize_from_bytes",
            "create_direct_upload_target",
            "inspect_direct_upload_target",
            "cleanup_direct_upload_target",
            "commit_direct_upload",
            "create_direct_download_url",
            "create_direct_download_urls",
            "version_objects",
            "mutable",
            "version_digits",
            "versions_cache_ttl",
            "use_cache",
            "cache_max_entries",
            "cache_prune_buffer",
            "latest_only",
            "from_mounts",
            "add_mount",
            "remove_mount",
            "set_default_mount",
            "get_mount",
            "has_mount",
            "list_mounts",
            "list_mount_info",
            "parse_key",
            "build_key",
            "resolve_registry",
            "get_registry",
            "copy",
            "move",
            "cache_lookup_locations",
            "cache_update_location",
            "cache_evict_name",
            "clear_location_cache",
            "enable_location_cache",
            "default_mount",
            "sync_all_versions",
            "source_version",
            "target_version",
        ]
    ],
)
def test_every_call_has_an_answer(call: str) -> None:
    """Whoever looks for a call of mindtrace-registry finds it in the page."""
    first_cells = " ".join(line.split("|")[1] for line in PAGE.splitlines() if line.startswith("| "))
    assert re.search(rf"\b{call}\b", first_cells)
