"""A verification beside writers and collectors, and with storages that fail: what is called damage is damage."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.canonical import seal
from casreg.exceptions import InvalidArgumentError, ObjectNotFoundError, StorageUnavailableError
from casreg.head import bad_keys, condemn, dump_head, encode_names, parse_head
from casreg.keys import HEAD
from casreg.packs import key_of
from casreg.repository import Repository
from casreg.testing import Fault, FaultBackend, FaultKind
from casreg.verify import survey, verify
from casreg.verify.survey import sample_of
from verify.lab import Between, array, backup, contents, harm, harm_key, little, original, overwrite, place_of

if TYPE_CHECKING:
    from casreg.backends.base import Object


def replace_everything(place: MemoryBackend) -> None:
    """Overwrite, delete, save, move to other files, and collect at once what nobody needs any more."""
    registry = Registry(place, mutable=True)
    registry.save("big:array", array(11), version="1.0.0", on_conflict="overwrite")
    registry.delete("big:array", "1.0.1")
    registry.save("small:value", {"x": 2}, version="1.0.0")
    registry.delete("long:value", "1.0.2")
    registry.delete("apart:array")
    registry.save("new:array", array(12))
    registry.gc(min_age=0, undelete_window=0)


def test_what_moves_on_meanwhile_is_no_damage() -> None:
    """Whenever everything is replaced and collected in the middle, nothing is reported, and what is there then was read."""
    for at in count(1):
        place = place_of(little()[0])
        beside = Between(place, at, partial(replace_everything, place))
        report = verify(Repository(beside), data=True)
        assert report.damages == ()
        assert 9 <= report.versions <= 12
        if not beside.done:
            break
    assert at > 40


def test_what_moved_on_is_looked_at_where_it_is_now() -> None:
    """A version whose files have gone is dropped, and its name is looked at again: what is damaged there is found."""
    place = place_of(little()[0])
    seen = survey(Repository(place))
    before = list(seen.needed)
    Registry(place, mutable=True).save("big:array", array(21), version="1.0.0", on_conflict="overwrite")
    Registry(place).delete("big:array", "1.0.1")
    Registry(place).gc(min_age=0, undelete_window=0)
    (new,) = {key_of(pack) for pack in survey(Repository(place)).needed} - {key_of(pack) for pack in before}
    harm_key(place, new)
    seen.check(before)
    assert seen.settle() == ["big:array"]
    assert not seen.damage
    seen.look(["big:array"])
    seen.check(seen.unchecked)
    assert seen.settle() == []
    assert [one.key for one in seen.damage] == [new]


def test_a_damaged_pack_counts_for_what_was_given_to_it_meanwhile() -> None:
    """A version that was saved beside the verification, and shares a pack that was read before, is damaged like the others."""
    place = MemoryBackend()
    Registry(place).save("thing", array(1))
    seen = survey(Repository(place))
    (pack,) = seen.needed
    harm_key(place, key_of(pack))
    seen.check([pack])
    Registry(place).save("thing", array(1), version="2.0.0")
    Registry(place).delete("thing", "1.0.0")
    assert seen.settle() == ["thing"]
    seen.look(["thing"])
    (damage,) = seen.damage
    assert damage.versions == ("thing@1.0.0 (deleted)", "thing@2.0.0")


def test_what_is_saved_meanwhile_is_not_taken_for_left_over() -> None:
    """Manifests are listed before refs are read, so that whatever was listed has its ref by then."""
    for at in count(1):
        place = place_of(little()[0])
        beside = Between(place, at, partial(Registry(place).save, "new:value", 1))
        assert verify(Repository(beside)).unreached == 0
        if not beside.done:
            break
    assert at > 30


def test_a_list_that_the_head_names_no_more_is_no_damage() -> None:
    """The head moved on, and what it named before was collected."""
    place = place_of(little()[0])
    found = place.get(HEAD)
    head = parse_head(found.data)
    (listed,) = bad_keys(head)
    assert found.token is not None
    token = found.token

    def move_on() -> None:
        place.swap(HEAD, dump_head(replace(head, kept=(), write="4" * 32)), token)
        place.delete([listed])

    class Moving(FaultBackend):
        def get(self, key: str, *args: Any, **options: Any) -> Object:
            if key == listed and not self.moved:
                self.moved = True
                move_on()
            return super().get(key, *args, **options)

        moved = False

    moving = Moving(place)
    assert verify(Repository(moving)).damages == ()
    assert moving.moved


def test_damage_is_seen_also_where_others_replace_the_rest() -> None:
    """What is replaced is dropped from the report, and what is damaged is not."""
    for at in range(1, 60, 7):
        place = place_of(little()[0])
        harm_key(place, "refs/gone_value")
        beside = Between(place, at, partial(Registry(place).save, "big:array", array(13)))
        (damage,) = verify(Repository(beside), data=True).damages
        assert damage.key == "refs/gone_value"


class Once(MemoryBackend):
    """One answer about each key is wrong, the first or a later one; the key is right."""

    lies = 0

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """A flipped byte, once."""
        found = super().get(key, start, stop, held=held)
        if not self.lies or not found.data:
            return found
        self.seen[key] += 1
        if self.seen[key] != self.lies:
            return found
        data = bytearray(found.data)
        data[len(data) // 2] ^= 1
        return type(found)(bytes(data), found.token)

    def lie(self, time: int) -> None:
        """The so-manieth time that a key is read from now on."""
        self.lies = time
        self.seen: Counter[str] = Counter()


@pytest.mark.parametrize("time", [1, 2, 3, 4])
def test_what_is_wrong_once_is_no_damage(time: int) -> None:
    """A wrong answer on the way is not a wrong file."""
    place = Once()
    for key, data in little()[0].items():
        place.create(key, data)
    place.lie(time)
    report = verify(Repository(place), data=True)
    assert report.damages == ()
    assert {key.partition("/")[0] for key in place.seen} >= {
        "refs",
        "manifests",
        "packs",
        "segments",
        "gc",
        "index",
    }


@pytest.mark.parametrize(
    "prefix", ["refs/small", "manifests/", "packs/", "segments/", "gc/head", "casreg.json", "index/"]
)
def test_what_cannot_be_read_is_no_damage(prefix: str) -> None:
    """A storage that fails says nothing about a file: it is reported as such, and a healing leaves it alone."""
    place = place_of(little()[0])
    before = {info.key: place.get(info.key).data for info in place.list("")}
    failing = FaultBackend(place, [Fault(1, FaultKind.BEFORE, frozenset({"get"}), prefix, times=10**9)])
    report = verify(Repository(failing), data=True)
    assert report.damages
    assert {one.severity for one in report.damages} == {"hint" if prefix == "index/" else "unreadable"}
    assert all(one.key.startswith(prefix) for one in report.damages)
    assert report.clean == (prefix == "index/")
    assert all("on purpose" in one.problem for one in report.damages)
    healing = Registry(place).heal(Registry(place_of(little()[0])), dry_run=True)
    assert healing.clean
    if prefix in ("manifests/", "packs/", "refs/small", "index/"):
        healing = Registry(failing).heal(Registry(place_of(little()[0])))
        assert {one.damage.key for one in healing.left} == {one.key for one in report.damages}
        assert all("does not show that it is damaged" in one.reason for one in healing.left)
        assert {key: place.get(key).data for key in before} == before


def test_a_place_that_cannot_be_listed_is_an_error() -> None:
    """Then nothing at all can be said."""
    failing = FaultBackend(
        place_of(little()[0]), [Fault(1, FaultKind.BEFORE, frozenset({"list"}), times=10**9)]
    )
    with pytest.raises(StorageUnavailableError):
        verify(Repository(failing))


def test_what_a_newer_casreg_wrote_is_no_damage() -> None:
    """It is not understood here, and so it is left alone."""
    place = place_of(little()[0])
    overwrite(place, "refs/small_value", seal({"format": 2, "name": "small:value"}, "a ref"))
    report = Registry(place).verify(data=True)
    (damage,) = report.damages
    assert damage.severity == "unreadable"
    assert "upgrade" in damage.problem
    (left,) = Registry(place).heal(Registry(place_of(little()[0]))).left
    assert left.damage.key == "refs/small_value"


def test_what_was_collected_of_deleted_versions_is_no_damage() -> None:
    """Their data goes when its time is over; the tombstones stay."""
    place = place_of(little()[0])
    registry = Registry(place)
    registry.delete("big:array")
    assert registry.verify(data=True).packs == 3
    registry.gc(min_age=0, undelete_window=0)
    report = registry.verify(data=True)
    assert report.clean
    assert report.damages == ()
    assert report.packs == 1


def test_a_sample_says_what_it_read() -> None:
    """Some packs are read, as many as give the share; drawn anew each time, so that in the end all of them are."""
    place = backup()
    packs = survey(Repository(place)).needed
    total = sum(pack.size for pack in packs)
    drawn: set[str] = set()
    for _ in range(60):
        report = Registry(place).verify(sample=0.2)
        assert report.clean
        assert report.bytes == total
        assert 1 <= report.packs_read < len(packs)
        assert report.bytes_read >= 0.2 * total
        spot = harm(place_of(original()[0]), "frame", "flipped")
        drawn.add(spot.key)
    found = set()
    for seed in range(60):
        place = backup()
        key = harm(place, "frame", "flipped").key
        found.add(
            tuple(one.key for one in verify(Repository(place), sample=0.2, draw=random.Random(seed)).damages)
            == (key,)
        )
    assert found == {True, False}


def test_a_sample_of_everything_is_everything() -> None:
    """And of nothing is nothing; and one pack is the least."""
    packs = list(survey(Repository(backup())).needed)
    draw = random.Random(1)
    assert sorted(sample_of(packs, 1.0, draw)) == sorted(packs)
    assert len(sample_of(packs, 1e-9, draw)) == 1
    assert sample_of([], 0.5, draw) == []


@pytest.mark.parametrize("sample", [0, -0.1, 1.1, 5, True, "5%", float("nan")])
def test_a_sample_is_a_share(sample: Any) -> None:
    """Anything else is refused, as is a sample of everything."""
    with pytest.raises(InvalidArgumentError, match="share"):
        Registry(MemoryBackend()).verify(sample=sample)
    with pytest.raises(InvalidArgumentError, match="one of them"):
        Registry(MemoryBackend()).verify(sample=0.5, data=True)


def test_some_names_only() -> None:
    """Other names are not looked at, nor is what belongs to none; a name that is not there is an error."""
    place = backup()
    harm(place, "manifest", "flipped")
    registry = Registry(place)
    assert registry.verify(names=["small:value", "big:array"], data=True).damages == ()
    report = registry.verify(names="other:array")
    assert [one.versions for one in report.damages] == [("other:array@1.0.0",)]
    assert (report.names, report.unreached) == (1, None)
    with pytest.raises(ObjectNotFoundError, match="never"):
        registry.verify(names=["never:was"])


def test_an_empty_place_is_clean() -> None:
    """There is nothing to be wrong."""
    report = Registry(MemoryBackend()).verify(data=True)
    assert (report.clean, report.names, report.bytes, report.unreached) == (True, 0, 0, 0)


def test_progress_of_a_verification() -> None:
    """First names, then bytes, to the last one."""
    told: list[tuple[str, int, int]] = []
    Registry(backup()).verify(data=True, progress=lambda it: told.append((it.phase, it.done, it.total)))
    assert [phase for phase, _, _ in told] == sorted(phase for phase, _, _ in told)
    for phase in ("survey", "verify"):
        mine = [(done, total) for one, done, total in told if one == phase]
        assert mine == sorted(mine)
        assert mine[-1][0] == mine[-1][1] > 0


def test_a_collection_that_waits_for_what_is_healed() -> None:
    """A run that damage has stopped in the middle is taken to its end by the healing, and then the damage is marked."""
    place = backup()
    spot = harm(place, "frame", "flipped")
    harm(place, "manifest with its bytes", "flipped")
    head = place.get(HEAD)
    garbage = next(info.key for info in place.list("segments/"))
    key, data = encode_names([garbage], "1" * 32)
    place.create(key, data)
    assert head.token is not None
    place.swap(HEAD, dump_head(condemn(parse_head(head.data), key, "2" * 32, "3" * 32)), head.token)
    healing = Registry(place).heal(Registry(backup()))
    assert healing.clean
    assert spot.key in healing.marked
    assert parse_head(place.get(HEAD).data).state == "idle"
    assert Registry(place).verify(data=True).damages == ()
    assert contents(place) == original()[1]


def test_a_version_that_is_committed_during_a_healing_is_healed_too() -> None:
    """Somebody builds on the damaged pack just before the mark: that version gets whole files as well."""
    for at in range(40, 400, 20):
        place = place_of(little()[0])
        pack = next(one for one, users in survey(Repository(place)).needed.items() if len(users) == 2)
        harm_key(place, key_of(pack))

        def late(place: MemoryBackend = place) -> None:
            Registry(place).save("late:array", np.concatenate([array(1, 300_000), array(2, 20_000)]))

        beside = Between(place, at, late)
        assert Registry(beside).heal(Registry(place_of(little()[0]))).clean
        assert Registry(place).verify(data=True).damages == ()
        if not beside.done:
            break
        assert len(Registry(place).load("late:array")) == 320_000
    assert at > 100
