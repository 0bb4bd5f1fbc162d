"""Nobody builds on what is known to be damaged: neither later saves, nor those that were under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, ObjectNotFoundError
from casreg.gc import mark_bad
from casreg.head import decode_names, parse_head
from casreg.keys import HEAD
from casreg.packs import key_of
from casreg.repository import Repository
from casreg.repository.finding import manifest_of
from casreg.versions import Latest
from verify.lab import array, backup, contents, files_of, harm, original

if TYPE_CHECKING:
    from casreg.backends.base import Token


def packs_of(place: MemoryBackend, name: str) -> set[str]:
    """The packs that the latest version of a name needs."""
    return {key_of(pack) for pack in manifest_of(Repository(place), name, Latest())[2].placement.packs}


def bad_in(place: MemoryBackend) -> set[str]:
    """What the head lists as damaged."""
    head = parse_head(place.get(HEAD).data)
    return set() if head.bad is None else set(decode_names(place.get(head.bad).data, head.bad))


def test_later_saves_store_it_again() -> None:
    """A pack with one flipped byte has a whole table. Once it is marked, its chunks are stored again by whoever saves them.

    Without a copy, too: nothing can be healed, but what is saved from now on is whole.
    """
    place = backup()
    spot = harm(place, "frame", "flipped")
    before = Registry(place)  # knows the table of the pack
    before.save("warm:array", array(3))
    assert packs_of(place, "warm:array") == {spot.key}
    healing = Registry(place).heal(Registry(MemoryBackend()))
    assert healing.marked == (spot.key,)
    assert bad_in(place) == {spot.key}
    for registry in (before, Registry(place)):
        registry.save("new:array", array(3), bump="minor")
        assert spot.key not in packs_of(place, "new:array")
        assert np.array_equal(registry.load("new:array"), array(3))


def test_saving_the_same_again_heals_it() -> None:
    """Who still has the object needs no copy of the registry: its version gets the files that were stored now."""
    place = backup()
    harm(place, "frame", "flipped")
    Registry(place).heal(Registry(MemoryBackend()))
    with pytest.raises(CorruptError):
        Registry(place).load("other:array")
    assert Registry(place).save("other:array", array(3), version="1.0.0") == "1.0.0"
    assert np.array_equal(Registry(place).load("other:array"), array(3))
    report = Registry(place).verify(data=True)
    assert all(one.versions == ("other:array@1.0.0 (deleted)",) for one in report.damages)
    Registry(place).gc(min_age=0, undelete_window=0)
    assert Registry(place).verify(data=True).clean


def test_a_copy_within_the_registry_and_an_undelete_do_not_build_on_it() -> None:
    """They add names of files to a ref, as a save does."""
    place = backup()
    harm(place, "frame", "flipped")
    Registry(place).delete("other:array")
    Registry(place).heal(Registry(MemoryBackend()))
    with pytest.raises(ObjectNotFoundError, match="cannot be undeleted"):
        Registry(place).undelete("other:array", "1.0.0")


def test_marks_add_up() -> None:
    """What was marked before stays marked; what is marked is not marked again."""
    place = backup()
    keys = sorted(key for key in files_of(place) if key.startswith("packs/"))
    repository = Repository(place)
    mark_bad(repository, keys[:1])
    mark_bad(repository, keys[1:2])
    assert bad_in(place) == set(keys[:2])
    number = parse_head(place.get(HEAD).data).id[1]
    mark_bad(repository, keys[:2])
    assert parse_head(place.get(HEAD).data).id[1] == number


def test_marking_stamps_every_ref_and_deletes_nothing() -> None:
    """A run of its own: with a fence, and a verdict of nothing."""
    place = backup()
    before = files_of(place)
    mark_bad(Repository(place), [next(key for key in before if key.startswith("packs/"))])
    head = parse_head(place.get(HEAD).data)
    assert head.state == "idle"
    assert head.kept[-1].names is None
    refs = Repository(place).refs
    assert {refs.read(name).history.ref.stamp for name in ("small:value", "long:value")} == {head.id}  # type: ignore[union-attr]
    assert set(before) <= set(files_of(place))
    assert contents(place) == original()[1]


def test_who_read_the_head_before_is_kept_from_committing() -> None:
    """A save that looked for chunks before the pack was marked begins anew, and stores them."""
    spot = harm(backup(), "frame", "flipped")

    class Meanwhile(MemoryBackend):
        armed = False

        def create(self, key: str, *args: Any, **options: Any) -> Token:
            if self.armed and key.startswith("manifests/"):
                self.armed = False
                mark_bad(Repository(self), [spot.key])
            return super().create(key, *args, **options)

    place = Meanwhile()
    for key, data in files_of(backup()).items():
        place.create(key, data)
    harm(place, "frame", "flipped")
    place.armed = True
    Registry(place).save("late:array", array(3))
    assert not place.armed
    assert spot.key not in packs_of(place, "late:array")
    assert np.array_equal(Registry(place).load("late:array"), array(3))
