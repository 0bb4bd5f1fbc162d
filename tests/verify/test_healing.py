"""Given a good copy, everything that is damaged is healed, and nothing else is changed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CommitConflictError, CorruptError, InvalidArgumentError, ReadOnlyError
from casreg.gc import mark_bad
from casreg.head import decode_names, parse_head
from casreg.keys import HEAD
from casreg.names import decode_name
from casreg.refs.document import Ref
from casreg.repository import Repository
from casreg.verify import heal
from verify.lab import (
    ALL,
    COPIES,
    array,
    backup,
    cases,
    contents,
    files_of,
    harm,
    original,
    overwrite,
    place_of,
)

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

SOME = ("missing", "flipped")
CASES = [
    ("backup", what, how) for what, how in [*cases(), ("pack of two", "missing"), ("pack of two", "garbage")]
] + [("synced", what, how) for what, how in cases() if how in SOME or what in ("frame", "ref", "history")]


@pytest.mark.parametrize(("copy", "what", "how"), CASES)
def test_damage_is_healed(copy: str, what: str, how: str) -> None:
    """Afterwards all is clean, every version is what it was with all that is said of it, and garbage can be collected."""
    place = backup()
    spot = harm(place, what, how)
    unseen = how == "missing" and spot.kind in ("ref", "index")
    source = COPIES[copy]()
    before = files_of(source)
    registry = Registry(place)

    healing = registry.heal(Registry(source))

    assert healing.clean
    assert healing.left == ()
    assert [one.key for one in healing.healed] == ([] if unseen else [spot.key])
    assert healing.brought_back == (spot.versions if unseen else ())
    data = spot.kind in ("manifest", "placement", "pack", "history")
    assert healing.marked == ((spot.key,) if data and how != "missing" else ())
    assert registry.verify(data=True).damages == ()
    assert contents(place) == original()[1]
    assert files_of(source) == before
    registry.gc(min_age=0, undelete_window=0)
    assert registry.verify(data=True).damages == ()
    assert contents(place) == original()[1]
    assert not data or spot.key not in files_of(place)


def ruined() -> MemoryBackend:
    """A place in which something of every kind is damaged."""
    place = backup()
    for what in ALL:
        harm(place, what, "flipped")
    return place


@pytest.mark.parametrize("copy", COPIES)
def test_much_at_once(copy: str) -> None:
    """One of every kind."""
    place = ruined()
    healing = Registry(place).heal(Registry(COPIES[copy]()))
    assert healing.clean
    assert len(healing.healed) == len(ALL)
    assert Registry(place).verify(data=True).damages == ()
    assert contents(place) == original()[1]


def test_a_dry_run_says_what_a_healing_does() -> None:
    """And writes nothing."""
    place = ruined()
    before = files_of(place)
    foreseen = Registry(place).heal(Registry(backup()), dry_run=True)
    assert files_of(place) == before
    done = Registry(place).heal(Registry(backup()))
    assert foreseen.dry_run
    assert foreseen.healed == done.healed
    assert foreseen.left == done.left == ()
    assert foreseen.stored > 0


def test_a_bundle_heals(tmp_path: Path) -> None:
    """A bundle is a copy like any other; and nothing is written into one."""
    Registry(backup()).export(tmp_path / "all.casreg")
    place = ruined()
    assert Registry(place).heal(tmp_path / "all.casreg").clean
    assert contents(place) == original()[1]
    data = bytearray((tmp_path / "all.casreg").read_bytes())
    data[data.index(b"casreg-manifest 1 ") + 60] ^= 1
    (tmp_path / "bad.casreg").write_bytes(data)
    bad = Registry(tmp_path / "bad.casreg")
    assert not bad.verify().clean
    with pytest.raises(ReadOnlyError):
        bad.heal(Registry(place))


def test_chunks_come_from_other_versions() -> None:
    """The copy need not have the version: what counts is that it has the chunks."""
    place = backup()
    spot = harm(place, "pack of two", "missing")
    source = Registry(MemoryBackend())
    source.save("anything", array(1, 500_000))
    source.save("else", np.concatenate([array(1, 500_000), array(2, 50_000)]))
    healing = Registry(place).heal(source)
    assert [one.key for one in healing.healed] == [spot.key]
    assert contents(place) == original()[1]


@pytest.mark.parametrize("what", ["header of a pack", "table of a pack", "trailer of a pack"])
def test_what_is_whole_in_a_damaged_pack_is_taken_from_it(what: str) -> None:
    """A copy that has nothing heals a pack of which only header, table or trailer is damaged."""
    place = backup()
    harm(place, what, "garbage")
    assert Registry(place).heal(Registry(MemoryBackend())).clean
    assert contents(place) == original()[1]


def test_half_here_and_half_there() -> None:
    """Chunks that are lost here come from the copy, those that are lost there from here."""
    place, source = backup(), backup()
    pack = harm(place, "chunk that one of two has", "garbage").key
    whole = source.get(pack).data
    overwrite(source, pack, whole[: len(whole) // 3] + bytes(64_000) + whole[len(whole) // 3 + 64_000 :])
    assert not Registry(source).verify(data=True).clean
    assert Registry(place).heal(Registry(source)).clean
    assert contents(place) == original()[1]


def test_chunks_that_are_whole_are_not_stored_again() -> None:
    """Of a pack of many chunks the damaged one is brought, with those that have to move; sound packs stay."""
    place = backup()
    packs = {key for key in files_of(place) if key.startswith("packs/")}
    harm(place, "manifest", "missing")
    healing = Registry(place).heal(Registry(backup()))
    assert healing.stored == 0
    assert {key for key in files_of(place) if key.startswith("packs/")} == packs


def test_what_two_versions_lack_is_brought_once() -> None:
    """The second one is built on what was written for the first."""
    place = backup()
    size = len(original()[0][harm(place, "pack of two", "missing").key])
    healing = Registry(place).heal(Registry(backup()))
    assert healing.clean
    assert size * 0.9 < healing.stored < size * 1.1


@pytest.mark.parametrize("what", ["ref", "history", "manifest", "placement", "frame", "tree"])
def test_what_cannot_be_healed_stays(what: str) -> None:
    """With a copy that lacks it, everything stays as it is; the reason is told, also by a dry run."""
    place = backup()
    spot = harm(place, what, "garbage")
    if what == "placement":  # its chunks can be found here without it
        for pack in [key for key in files_of(place) if key.startswith("packs/")]:
            overwrite(place, pack, None)
    empty = Registry(MemoryBackend())
    before = {key: data for key, data in files_of(place).items() if key.startswith("refs/")}
    found = {one.key: one.versions for one in Registry(place).verify(data=True).damages}
    foreseen = Registry(place).heal(empty, dry_run=True)
    healing = Registry(place).heal(empty)
    assert not healing.clean
    assert not foreseen.clean
    assert spot.key in {one.damage.key for one in healing.left}
    assert {one.damage.key: one.damage.versions for one in healing.left} == found
    assert {one.damage.key for one in foreseen.left} == set(found)
    assert all(one.reason for one in healing.left)
    after = {key: data for key, data in files_of(place).items() if key.startswith("refs/")}
    assert strip(after) == strip(before)


def strip(refs: dict[str, bytes]) -> dict[str, object]:
    """What refs say of versions, whatever stamps they have."""
    said: dict[str, object] = {}
    for key, data in refs.items():
        name = decode_name(key.removeprefix("refs/"))
        assert name is not None
        try:
            ref = Ref.from_bytes(data, name)
        except CorruptError:
            said[key] = data
        else:
            said[key] = (ref.records, ref.tags, ref.older)
    return said


def test_the_rest_is_healed() -> None:
    """What cannot be healed keeps back nothing else."""
    place = backup()
    lost = harm(place, "frame", "garbage")
    harm(place, "manifest with its bytes", "garbage")
    source = Registry(MemoryBackend())
    source.save("small:value", {"x": 1}, metadata={"why": "first"})
    healing = Registry(place).heal(source)
    assert [one.damage.key for one in healing.left] == [lost.key]
    assert Registry(place).load("small:value") == {"x": 1}


def test_a_history_that_the_copy_knows_in_part_is_not_put_in_its_place() -> None:
    """A version that nobody lists would be collected: so a segment stays lost until a copy knows all that it had."""
    place = backup()
    harm(place, "history", "missing")
    source = Registry(MemoryBackend())
    for number in range(19):
        source.save("long:value", number)
    (left,) = Registry(place).heal(source).left
    assert "knows 19 of the 20 versions" in left.reason
    assert Registry(place).heal(Registry(backup())).clean


def test_a_ref_that_can_be_read_is_never_replaced() -> None:
    """The copy knows of other versions, tags and notes: nothing of that is taken."""
    place, source = backup(), backup()
    theirs = Registry(source)
    theirs.save("small:value", {"x": 2}, tags=["prod"])
    theirs.delete("other:array")
    theirs.save("new:value", 1)
    harm(place, "manifest with its bytes", "missing")
    assert Registry(place).heal(theirs).clean
    assert contents(place) == original()[1]


def test_a_ref_comes_back_as_the_copy_has_it() -> None:
    """With all that it says: numbers that were used, tags, notes; the data that is here is used as it is."""
    place, source = backup(), backup()
    Registry(source).delete("long:value", "1.0.3")
    overwrite(place, "refs/long_value", b"{}")
    files = set(files_of(place))
    assert Registry(place).heal(Registry(source)).clean
    assert contents(place) == {
        label: said for label, said in original()[1].items() if label != "long:value@1.0.3"
    }
    assert Registry(place).save("long:value", "next") == "1.0.24"
    Registry(place).undelete("long:value", "1.0.3")
    assert not [key for key in set(files_of(place)) - files if key.startswith(("packs/", "manifests/"))][
        2:
    ], "only what was saved since is new"


@pytest.mark.parametrize("copy", COPIES)
def test_what_a_ref_leads_to_is_looked_at_when_it_is_back(copy: str) -> None:
    """Nobody could see that its data is damaged, too, as long as nobody could read the ref."""
    place = backup()
    spot = harm(place, "frame", "flipped")
    overwrite(place, "refs/other_array", b"garbage")
    healing = Registry(place).heal(Registry(COPIES[copy]()))
    assert healing.clean
    assert healing.marked == (spot.key,)
    assert Registry(place).verify(data=True).damages == ()
    assert contents(place) == original()[1]


def test_versions_whose_files_are_nowhere_come_back_as_lost() -> None:
    """So their numbers stay theirs, and another copy can still heal them."""
    place, source = backup(), backup()
    for broken in (place, source):
        overwrite(broken, harm(broken, "manifest", "missing").key, None)
    overwrite(place, "refs/other_array", b"garbage")
    healing = Registry(place).heal(Registry(source))
    assert [one.damage.versions for one in healing.left] == [("other:array@1.0.0",)]
    assert Registry(place).save("other:array", array(9)) == "1.0.1"
    assert Registry(place).heal(Registry(COPIES["synced"]())).clean
    assert np.array_equal(Registry(place).load("other:array@1.0.0"), array(3))


def test_deleted_versions_are_healed_too() -> None:
    """What `undelete` could bring back is verified and healed; what was collected of them is no damage."""
    files, source = original()[0], backup()
    place = place_of(files)
    for one in (place, source):
        Registry(one).delete("other:array")
    spot = harm_deleted(place)
    (damage,) = Registry(place).verify(data=True).damages
    assert damage.key == spot
    assert damage.versions == ("other:array@1.0.0 (deleted)",)
    assert Registry(place).heal(Registry(source)).clean
    assert Registry(place).verify(data=True).damages == ()
    Registry(place).undelete("other:array", "1.0.0")
    assert np.array_equal(Registry(place).load("other:array"), array(3))


def harm_deleted(place: MemoryBackend) -> str:
    """Flip a byte of a chunk of `other:array`, which is deleted."""
    spot = harm(backup(), "frame", "flipped")
    data = bytearray(place.get(spot.key).data)
    data[(spot.begin + spot.stop) // 2] ^= 1
    overwrite(place, spot.key, bytes(data))
    return spot.key


def test_a_new_marker_has_a_new_id() -> None:
    """Nobody knows the old one; and what processes remember goes by the id."""
    place = backup()
    before = Registry(place).init()
    harm(place, "marker", "garbage")
    assert Registry(place).heal(Registry(backup())).clean
    assert Registry(place).init() != before


def test_a_new_head_is_above_the_old_one_and_lets_nobody_build_on_what_was_listed() -> None:
    """Its number does not fall, its nonce is new, and what any list names is bad."""
    place = backup()
    before = parse_head(place.get(HEAD).data)
    listed = {
        name
        for kept in before.kept
        if kept.names
        for name in decode_names(place.get(kept.names).data, kept.names)
    }
    harm(place, "head", "garbage")
    assert Registry(place).heal(Registry(MemoryBackend())).clean
    after = parse_head(place.get(HEAD).data)
    assert after.state == "idle"
    assert after.id[1] > before.id[1]
    assert after.id[0] not in {before.id[0], *(kept.id[0] for kept in before.kept)}
    assert after.bad is not None
    assert listed
    assert listed <= set(decode_names(place.get(after.bad).data, after.bad))


def test_a_list_that_is_lost_is_looked_up_in_the_copy() -> None:
    """A collector may be deleting by it: nobody may build on what it names."""
    place = backup()
    spot = harm(place, "list of the head", "missing")
    listed = decode_names(original()[0][spot.key], spot.key)
    assert Registry(place).heal(Registry(backup())).clean
    bad = parse_head(place.get(HEAD).data).bad
    assert bad is not None
    assert set(listed) <= set(decode_names(place.get(bad).data, bad))


def test_a_mark_that_fails_is_tried_again() -> None:
    """Versions are healed all the same, and in the end everything is marked."""
    place = backup()
    spot = harm(place, "frame", "flipped")
    calls: list[int] = []

    def flaky(repository: Repository, keys: Collection[str]) -> None:
        calls.append(len(keys))
        if len(calls) == 1:
            raise CommitConflictError("on purpose: others kept winning")
        mark_bad(repository, keys)

    healing = heal(Repository(place), Repository(backup()), flaky)
    assert healing.clean
    assert healing.marked == (spot.key,)
    assert calls == [1, 1]


def test_a_mark_that_always_fails_keeps_back_nothing_else() -> None:
    """What could be healed is; what is not marked is not said to be."""
    place = backup()
    harm(place, "frame", "flipped")

    def refused(_repository: Repository, _keys: Collection[str]) -> None:
        raise CommitConflictError("on purpose: others kept winning")

    healing = heal(Repository(place), Repository(backup()), refused)
    assert healing.clean
    assert healing.marked == ()
    assert contents(place) == original()[1]


def test_a_registry_does_not_heal_itself() -> None:
    """What is damaged here is damaged there."""
    place = backup()
    with pytest.raises(InvalidArgumentError, match="cannot heal itself"):
        Registry(place).heal(Registry(place))


def test_what_is_whole_is_left_alone() -> None:
    """Without damage nothing is written."""
    place = backup()
    before = files_of(place)
    healing = Registry(place).heal(Registry(COPIES["synced"]()))
    assert (healing.healed, healing.left, healing.stored, healing.clean) == ((), (), 0, True)
    assert files_of(place) == before


def test_healing_is_plain() -> None:
    """As JSON wants it."""
    said = Registry(ruined()).heal(Registry(backup())).as_dict()
    assert said["clean"] is True
    assert len(said["healed"]) == len(ALL)


def test_progress_is_told() -> None:
    """Of names, then of bytes that are read, then of versions that are healed; no number falls."""
    reports: dict[str, list[tuple[int, int]]] = {}

    def tell(report: object) -> None:
        reports.setdefault(report.phase, []).append((report.done, report.total))  # type: ignore[attr-defined]

    Registry(ruined()).heal(Registry(backup()), progress=tell)
    assert {"survey", "verify", "heal"} <= set(reports)
    for told in reports["verify"], reports["heal"]:
        assert all(done <= total for done, total in told)
    assert reports["heal"] == sorted(reports["heal"])


def test_random_damage_is_healed() -> None:
    """Several files at once, drawn at random, each damaged in some way."""
    draw = random.Random(5)
    for _ in range(10):
        place = backup()
        keys = sorted(files_of(place))
        for key in draw.sample(keys, 6):
            data = place.get(key).data
            at = draw.randrange(len(data))
            overwrite(place, key, draw.choice([None, b"", data[:at], data[:at] + b"?" + data[at + 1 :]]))
        assert Registry(place).heal(Registry(backup())).clean
        assert Registry(place).verify(data=True).damages == ()
        assert contents(place) == original()[1]
