"""Damage to what holds unfinished uploads: it stops collections, as any, and healing takes it away without any copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import CorruptError, Registry
from casreg.backends.memory import MemoryBackend
from engine.test_stale import check
from registry.lab import noise
from uploads.lab import Slow, gc, packs_at, pinned, slow_registry, stopped_save, upload_refs

if TYPE_CHECKING:
    from collections.abc import Callable

DATA = noise(1_800_000, 1)


def _spoil(place: MemoryBackend, key: str) -> None:
    held = place.get(key)
    data = bytearray(held.data)
    data[len(data) // 2] ^= 1
    assert held.token is not None
    place.swap(key, bytes(data), held.token)


def _manifest(place: MemoryBackend) -> str:
    (ref,) = upload_refs(place).values()
    (entry,) = ref["versions"].values()
    return f"manifests/{entry['manifest'][:2]}/{entry['manifest']}"


DAMAGE: dict[str, Callable[[MemoryBackend], object]] = {
    "ref": lambda place: _spoil(place, "refs/~upload-0"),
    "manifest": lambda place: _spoil(place, _manifest(place)),
    "no manifest": lambda place: place.delete([_manifest(place)]),
    "pack": lambda place: _spoil(place, min(pinned(place))),
    "no pack": lambda place: place.delete([min(pinned(place))]),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_found_and_taken_away(damage: str) -> None:
    """What was saved is not touched; what was being uploaded is sent again, as far as it is gone."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("small", {"a": 1})
    stopped_save(place, DATA, packs=14)
    DAMAGE[damage](place)
    if "pack" not in damage:
        with pytest.raises(CorruptError):
            gc(place)
    else:
        gc(place)
    assert not registry.verify(data=True).clean
    nothing = Registry(MemoryBackend())
    seen = registry.heal(nothing, dry_run=True)
    assert (len(seen.healed), seen.left) == (1, ())
    done = registry.heal(nothing)
    assert (len(done.healed), done.left, done.brought_back) == (1, (), ())
    assert registry.verify(data=True).clean
    gc(place)
    assert packs_at(place) == pinned(place)
    assert Registry(place).save("large", DATA) == "1.0.0"
    assert Registry(place).load("large") == DATA
    assert Registry(place).load("small") == {"a": 1}
    check(place)


def test_pins_of_others_stay() -> None:
    """Of several in one ref only the one goes whose manifest is lost."""
    place = MemoryBackend()
    stopped_save(place, DATA, packs=14)
    lost, held = _manifest(place), pinned(place)
    stopped_save(place, noise(1_800_000, 2), packs=14)
    sound = pinned(place) - held
    place.delete([lost])
    assert not Registry(place).heal(Registry(MemoryBackend())).left
    assert pinned(place) == sound
    assert len(sound) == 14


@pytest.mark.parametrize("damage", ["ref", "manifest", "no manifest"])
def test_under_a_save_that_is_at_work(damage: str) -> None:
    """It is not disturbed by the damage, nor by the healing, nor by a collection of all that was not held then."""
    place = MemoryBackend()
    slow = Slow(place)
    registry = slow_registry(slow)

    def run(number: int) -> None:
        if number == 13:
            DAMAGE[damage](place)
        elif number == 15:
            assert not Registry(place).heal(Registry(MemoryBackend())).left
            gc(place)

    slow.before = run
    registry.save("large", DATA)
    assert registry.load("large") == DATA
    assert registry.verify(data=True).clean
    check(place)
    assert not pinned(place)
