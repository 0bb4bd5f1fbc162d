"""Finding versions by name and metadata, and listing everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from casreg import CorruptError, InvalidArgumentError, InvalidVersionError
from casreg.backends.memory import MemoryBackend
from casreg.registry import Registry
from casreg.testing.recording import RecordingBackend

if TYPE_CHECKING:
    from casreg.backends.base import Backend, Object


@pytest.fixture
def models(registry: Registry) -> Registry:
    """Two models with versions of known accuracy, and something else."""
    for name, accuracy in (("model:a", 0.7), ("model:a", 0.95), ("model:b", 0.9), ("model:a", 0.8)):
        registry.save(name, accuracy, metadata={"acc": accuracy, "data": {"split": "test", "n": {"x": 1}}})
    registry.save("data:x", 1, notes={"acc": 0.99, "by": "me"})
    registry.save("Model:c", 1)
    return registry


def keys(rows: list[dict[str, Any]]) -> list[str]:
    """As `name@version`."""
    return [f"{row['name']}@{row['version']}" for row in rows]


def test_the_latest_of_each_name(models: Registry) -> None:
    """By default the latest version of each name that fits, sorted by name, as `info` describes it."""
    found = models.find()
    assert keys(found) == ["Model:c@1.0.0", "data:x@1.0.0", "model:a@1.0.2", "model:b@1.0.0"]
    assert found == [models.info(row["name"]) for row in found]


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("model:*", ["model:a", "model:b"]),
        ("*", ["Model:c", "data:x", "model:a", "model:b"]),
        ("?odel:[ac]", ["Model:c", "model:a"]),
        ("[!m]*", ["Model:c", "data:x"]),
        ("model:a", ["model:a"]),
        ("model", []),
        ("MODEL:*", []),
    ],
)
def test_patterns(models: Registry, pattern: str, names: list[str]) -> None:
    """Globs over whole names, in which case matters."""
    assert [row["name"] for row in models.find(pattern)] == names


def test_equal_values(models: Registry) -> None:
    """A condition that is a value has to be equal; all conditions have to hold."""
    assert keys(models.find(where={"acc": 0.9})) == ["model:b@1.0.0"]
    assert keys(models.find(where={"acc": 0.9, "data": {"split": "test", "n": {"x": 1}}})) == [
        "model:b@1.0.0"
    ]
    assert models.find(where={"acc": 0.9, "by": "me"}) == []
    assert models.find(where={"acc": None}) == []
    assert len(models.find(where={})) == 4


def test_predicates(models: Registry) -> None:
    """A callable is given the value and says; it is not asked about what lacks the key."""
    asked: list[float] = []

    def good(value: float) -> bool:
        asked.append(value)
        return value > 0.85

    assert keys(models.find("*", where={"acc": good})) == ["data:x@1.0.0", "model:b@1.0.0"]
    assert sorted(asked) == [0.8, 0.9, 0.99]


def test_nested_keys(models: Registry) -> None:
    """Points reach into objects, and only into objects; a key that has a point itself comes first."""
    assert keys(models.find("model:b", where={"data.split": "test", "data.n.x": 1})) == ["model:b@1.0.0"]
    assert models.find(where={"data.split.x": 1}) == []
    assert models.find(where={"data.": "test"}) == []
    models.save("odd", 1, metadata={"data.split": "odd", "data": {"split": "even"}})
    assert keys(models.find(where={"data.split": "odd"})) == ["odd@1.0.0"]
    models.save("odd2", 1, metadata={"a": {"b.c": 2}})
    assert keys(models.find(where={"a.b.c": 2})) == ["odd2@1.0.0"]


def test_notes_come_after_metadata(models: Registry) -> None:
    """What metadata lacks is looked up in the notes, and what it has is not."""
    assert keys(models.find(where={"by": "me"})) == ["data:x@1.0.0"]
    models.annotate("model:b", acc=0.1, stage="live")
    assert keys(models.find(where={"stage": "live"})) == ["model:b@1.0.0"]
    assert models.find("model:b", where={"acc": 0.1}) == []


def test_versions(models: Registry) -> None:
    """A range searches every version in it, ascending; a number or a tag that one, of the names that have it."""
    models.tag("model:a", "prod", "1.0.1")
    assert keys(models.find("model:a", version="*")) == ["model:a@1.0.0", "model:a@1.0.1", "model:a@1.0.2"]
    assert keys(models.find("model:*", version=">1.0.0")) == ["model:a@1.0.1", "model:a@1.0.2"]
    assert keys(models.find("*", version="1.0.0", where={"acc": 0.7})) == ["model:a@1.0.0"]
    assert keys(models.find(version="prod")) == keys(models.find("*@prod")) == ["model:a@1.0.1"]
    assert keys(models.find("*@*", where={"acc": 0.95})) == ["model:a@1.0.1"]
    assert keys(models.find("model:a@latest")) == ["model:a@1.0.2"]


def test_pre_releases_are_asked_for(registry: Registry) -> None:
    """As in every range a pre-release is only in one that names one of its number; the latest may be one."""
    registry.save("a@1.0.0", 1)
    registry.save("a@2.0.0-rc.1", 2)
    assert keys(registry.find(version="*")) == ["a@1.0.0"]
    assert keys(registry.find(version=">=2.0.0-rc.0")) == ["a@2.0.0-rc.1"]
    assert keys(registry.find()) == ["a@2.0.0-rc.1"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"where": ["acc"]}, InvalidArgumentError),
        ({"where": {1: 2}}, InvalidArgumentError),
        ({"pattern": 5}, InvalidArgumentError),
        ({"pattern": "a@1", "version": "2"}, InvalidArgumentError),
        ({"pattern": "a@"}, InvalidVersionError),
        ({"version": "1.x"}, InvalidVersionError),
    ],
)
def test_wrong_arguments(registry: Registry, arguments: dict[str, Any], error: type[Exception]) -> None:
    """They are refused, also where nothing was saved."""
    with pytest.raises(error):
        registry.find(**arguments)


def test_what_a_condition_raises(models: Registry) -> None:
    """It reaches the caller as it is."""
    with pytest.raises(ZeroDivisionError):
        models.find(where={"acc": lambda value: 1 / 0})


def test_deleted_things_are_not_found(models: Registry) -> None:
    """Neither names without a version nor deleted versions."""
    models.delete("model:b")
    models.delete("model:a@1.0.2")
    assert keys(models.find("model:*", version="*")) == ["model:a@1.0.0", "model:a@1.0.1"]
    assert keys(models.find("model:*")) == ["model:a@1.0.1"]


def test_what_is_read() -> None:
    """One listing, one read for each name that fits and one for each version: no other name is touched."""
    place = MemoryBackend()
    for number in range(6):
        Registry(place).save(f"{'ab'[number % 2]}:{number}", number)
    backend = RecordingBackend(place)
    Registry(backend).find("a:*", version="*")
    read = sorted(call.key.partition("/")[0] for call in backend.calls if call.method == "get")
    assert read == ["manifests"] * 3 + ["refs"] * 3
    assert {call.key for call in backend.calls if call.key.startswith("refs/b")} == set()


class Emptying(RecordingBackend):
    """A place where a name is overwritten and its old data collected, after its ref was read."""

    collected = False

    def get(self, key: str, *args: Any, **kwargs: Any) -> Object:
        """As the inner backend's."""
        if key.startswith("manifests/") and not self.collected:
            self.collected = True
            old = [info.key for info in self.inner.list("manifests/")]
            Registry(self.inner, mutable=True).save("a@1.0.0", "new", metadata={"is": "new"})
            self.inner.delete(old)
        return super().get(key, *args, **kwargs)


def test_what_moves_on_meanwhile() -> None:
    """A version whose manifest was collected since its ref was read is described as it is now."""
    place = MemoryBackend()
    Registry(place).save("a", "old", metadata={"is": "old"})
    assert [row["metadata"] for row in Registry(Emptying(place)).find()] == [{"is": "new"}]
    assert Registry(place).info("a")["metadata"] == {"is": "new"}


def test_lost_data_is_not_skipped(models: Registry, backend: Backend) -> None:
    """A version whose manifest is missing is an error that names it, and not just absent."""
    before = {info.key for info in backend.list("manifests/")}
    models.save("lost", "data")
    backend.delete({info.key for info in backend.list("manifests/")} - before)
    with pytest.raises(CorruptError, match=r"lost@1\.0\.0"):
        Registry(backend, cache=False).find()  # copies in a cache would do instead


def test_list_objects_and_versions(models: Registry) -> None:
    """Every name that has a version, sorted, with its versions, ascending."""
    models.save("model:a@0.5.0", 1)
    models.delete("data:x")
    assert models.list_objects_and_versions() == {
        "Model:c": ["1.0.0"],
        "model:a": ["0.5.0", "1.0.0", "1.0.1", "1.0.2"],
        "model:b": ["1.0.0"],
    }
    assert list(models.list_objects_and_versions()) == models.list_objects()


def test_many_names(registry: Registry) -> None:
    """With many names, which several threads ask, nothing is lost and the order stays."""
    names = [f"n:{number:03}" for number in range(150)]
    registry.save(names, list(range(150))).raise_errors()
    assert registry.list_objects() == names
    assert list(registry.list_objects_and_versions()) == names
    assert [row["name"] for row in registry.find("n:*")] == names
    assert list(registry.info()) == names
