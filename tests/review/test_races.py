"""Whoever deletes has seen what they delete: nothing is lost between the look and the deletion, in any order of requests."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from casreg import Mount, Registry, Store
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import (
    CasregError,
    InvalidArgumentError,
    ObjectChangedError,
    ObjectNotFoundError,
    ReadOnlyError,
    VersionProtectedError,
)
from casreg.testing.scheduler import Scheduler, SchedulerBackend, explore
from casreg.transfer import renaming

if TYPE_CHECKING:
    from collections.abc import Callable

    from casreg.testing.scheduler import Exploration


class World:
    """Two places, and for each of two actors a handle on both."""

    def __init__(self, scheduler: Scheduler, options: dict[str, Any], objects: dict[str, Any]) -> None:
        self.places = [MemoryBackend(), MemoryBackend()]
        for place in self.places:
            Registry(place)._repository.marker()
        for name, value in objects.items():
            Registry(self.places[0]).save(name, value)
        slow = [SchedulerBackend(place, scheduler) for place in self.places]
        self.handles = [[Registry(place, **options) for place in slow] for _ in range(2)]
        for handles in self.handles:
            for handle in handles:
                handle._repository.marker()
        self.got: list[Any] = [None, None]

    def found(self, name: str) -> list[Any]:
        """What each place has under a name."""
        return [Registry(place).get(name) for place in self.places]

    def move(self, actor: int, source: str, target: str) -> None:
        """Move between the places `m` and `n`, or be told why not."""
        store = Store(mounts=dict(zip("mn", self.handles[actor], strict=True)))
        with suppress(CasregError):
            store.move(source, target)


def every_order(
    first: Callable[[World], None],
    second: Callable[[World], None],
    check: Callable[[World], None],
    objects: dict[str, Any] | None = None,
    **options: Any,
) -> Exploration:
    """Run both in each order of their requests."""
    before = {"x": "old"} if objects is None else objects
    return explore(lambda scheduler: World(scheduler, options, before), [first, second], check, limit=3000)


@pytest.mark.parametrize("key", ["x", "x@1.0.0"])
def test_pop_beside_a_save(key: str) -> None:
    """What is saved while an object is popped is returned, or stays."""
    outcomes = set()

    def pop(world: World) -> None:
        world.got[0] = world.handles[0][0].pop(key)

    def save(world: World) -> None:
        world.handles[1][0].save("x", "new", version=None if key == "x" else "1.0.0")

    def check(world: World) -> None:
        there = world.found("x")[0]
        assert "new" in (world.got[0], there)
        outcomes.add((world.got[0], there))

    done = every_order(pop, save, check, mutable=True)
    assert done.complete
    assert outcomes == {("old", "new"), ("new", None)}


def test_pop_of_what_keeps_changing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error in the end, and nothing is deleted."""
    registry = Registry(MemoryBackend())
    registry["x"] = 0
    real = Registry.load

    def meanwhile(self: Registry, *arguments: Any, **options: Any) -> Any:
        value = real(self, *arguments, **options)
        registry["x"] = value + 1
        return value

    monkeypatch.setattr(Registry, "load", meanwhile)
    with pytest.raises(ObjectChangedError, match="nothing was deleted"):
        registry.pop("x")
    monkeypatch.undo()
    assert registry["x"] == len(registry.list_versions("x")) - 1


def test_a_move_beside_an_overwrite() -> None:
    """What is put under the number while it is moved is at one of the places."""
    outcomes = set()

    def overwrite(world: World) -> None:
        world.handles[1][0].save("x", "new", version="1.0.0")

    def check(world: World) -> None:
        outcomes.add(tuple(world.found("x")))
        assert "new" in world.found("x")

    done = every_order(lambda world: world.move(0, "m/x", "n/x"), overwrite, check, mutable=True)
    assert done.complete
    assert outcomes >= {("new", "old"), (None, "new")}


@pytest.mark.parametrize("what", ["note", "tag"])
def test_a_move_beside_what_is_said(what: str) -> None:
    """A note or a tag that somebody was told is set is with the version, wherever that is."""

    def say(world: World) -> None:
        registry = world.handles[1][0]
        with suppress(ObjectNotFoundError):
            registry.annotate("x", said=True) if what == "note" else registry.tag("x", "said")
            world.got[1] = True

    def check(world: World) -> None:
        infos = [Registry(place).info("x") for place in world.places if "x" in Registry(place)]
        assert infos
        said = any(info["notes"] or info["tags"] for info in infos)
        assert said == bool(world.got[1])

    assert every_order(lambda world: world.move(0, "m/x", "n/x"), say, check).complete


def test_moves_in_opposite_directions() -> None:
    """Two that move one version there and back at once: it stays at one place at least."""

    def check(world: World) -> None:
        assert "old" in world.found("x")

    there, back = (lambda world: world.move(0, "m/x", "n/x")), (lambda world: world.move(1, "n/x", "m/x"))
    assert every_order(there, back, check).runs > 100


def test_renames_in_opposite_directions() -> None:
    """Two that rename one object there and back at once: it stays under one name at least."""

    def rename(actor: int, old: str, new: str) -> Callable[[World], None]:
        def act(world: World) -> None:
            with suppress(CasregError):
                world.handles[actor][0].rename(old, new)

        return act

    def check(world: World) -> None:
        assert "old" in (world.found("x")[0], world.found("y")[0])

    assert every_order(rename(0, "x", "y"), rename(1, "y", "x"), check).complete


@pytest.mark.parametrize("options", [{"version_objects": False}, {"mutable": True}], ids=str)
def test_two_defaults(options: dict[str, Any]) -> None:
    """Of two that set a default at once both get the same one, and it stays."""
    key = "y@1.0.0" if "mutable" in options else "y"

    def default(actor: int) -> Callable[[World], None]:
        def act(world: World) -> None:
            world.got[actor] = world.handles[actor][0].setdefault(key, f"of {actor}")

        return act

    def check(world: World) -> None:
        assert world.got[0] == world.got[1] == world.found("y")[0]

    assert every_order(default(0), default(1), check, **options).runs > 20


def test_a_deletion_of_what_was_seen() -> None:
    """With the revision that `info` told, only that state is deleted."""
    registry = Registry(MemoryBackend(), mutable=True)
    registry["x"] = 1
    seen = registry.info("x")["revision"]
    assert registry.info("x")["revision"] == seen
    for change in (
        lambda: registry.save("x", 2, version="1.0.0"),
        lambda: registry.annotate("x", late=True),
        lambda: registry.annotate("x"),
        lambda: registry.tag("x", "late"),
        lambda: registry.protect("x"),
        lambda: registry.unprotect("x"),
    ):
        change()
        with pytest.raises(ObjectChangedError, match="nothing was deleted"):
            registry.delete("x", "1.0.0", revision=seen)
        assert registry.info("x")["revision"] != seen
        seen = registry.info("x")["revision"]
    assert registry["x"] == 2
    with pytest.raises(InvalidArgumentError, match="revision"):
        registry.delete(["x"], revision=seen)  # type: ignore[call-overload]  # that is refused
    assert registry.delete("x", revision=seen) == ["1.0.0"]


def test_popitem_of_a_store_beside_a_save() -> None:
    """As `pop`: what is saved meanwhile is returned, or stays."""

    def pop(world: World) -> None:
        world.got[0] = Store(mounts={"m": world.handles[0][0]}).popitem()[1]

    def save(world: World) -> None:
        world.handles[1][0].save("x", "new")

    def check(world: World) -> None:
        assert "new" in (world.got[0], world.found("x")[0])

    assert every_order(pop, save, check).complete


def test_defaults_of_a_store() -> None:
    """What is there is loaded, from a read-only mount too; what is missing is saved where the key says."""
    store = Store(mounts=[Mount("m", Registry(MemoryBackend())), Mount("r", Registry(MemoryBackend()))])
    store.save("r/x", 1)
    locked = Store(mounts=[store.get_mount("m"), Mount("r", store.get_registry("r"), read_only=True)])
    assert [locked.setdefault("r/x", 2), locked.setdefault("x", 2), locked.setdefault("m/y", 3)] == [1, 1, 3]
    assert locked.load("m/y") == 3
    with pytest.raises(ReadOnlyError):
        locked.setdefault("r/y", 4)


def test_a_protection_set_by_others_during_a_rename(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody protects under the new name is not replaced by a later round."""
    registry = Registry(MemoryBackend(), mutable=True)
    registry.save("old", 1, version="1.0.0")
    real, rounds = renaming._delete, iter([True])

    def meanwhile(*arguments: Any) -> None:
        if next(rounds, False):
            registry.protect("new", "1.0.0")
            registry.save("old", 2, version="1.0.0")
        real(*arguments)

    monkeypatch.setattr(renaming, "_delete", meanwhile)
    with pytest.raises(VersionProtectedError, match=r"new@1\.0\.0"):
        registry.rename("old", "new")
    assert [registry["old"], registry["new"]] == [2, 1]


def test_a_default_beside_the_only_version() -> None:
    """Where one version is kept, a default under another number takes its place, as `save` does."""
    registry = Registry(MemoryBackend(), version_objects=False)
    registry["x"] = 1
    assert registry.setdefault("x", 2) == 1
    assert registry.setdefault("x@2.0.0", 2) == 2
    assert registry.list_versions("x") == ["2.0.0"]
