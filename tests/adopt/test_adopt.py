"""A copy that other tools made becomes a repository of its own: at every kind of place, from every state of the head."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from adopt.lab import collected_until, copied, document, garbage, head, marker, refs
from casreg import Registry
from casreg.backends.local import LocalBackend
from casreg.backends.memory import MemoryBackend
from casreg.canonical import seal
from casreg.exceptions import (
    ObjectNotFoundError,
    ReadOnlyError,
    StoragePermissionError,
    UnsafeStorageError,
    UnsupportedFormatError,
)
from casreg.keys import HEAD, MARKER, is_data_key
from casreg.marker import PROBE_OK, Probe, dump_marker, new_marker
from collector.lab import check, needed, stored
from verify.lab import contents, files_of, harm_key, little, noise, overwrite, place_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from typing_extensions import Buffer

    from casreg.backends.base import Backend, Token
    from casreg.progress import Progress
    from places import Places


def a_copy(place: Backend | None = None) -> Backend:
    """A copy of a small repository with every kind of file."""
    return copied(little()[0], place or MemoryBackend())


def test_it_is_a_repository_of_its_own(places: Places) -> None:
    """It has another id, a head that nobody has seen, and every ref in a new state; and all that it had."""
    place = a_copy(places.new())
    before, old_head, old_refs = marker(place), head(place), refs(place)

    done = Registry(place, cache=False).adopt(data=True)

    now = marker(place)
    assert (done.clean, done.before, done.id) == (True, before["id"], now["id"])
    assert now["id"] != before["id"]
    assert now["probe"] == {"place": place.location, "result": "ok"}
    nonce, number = head(place)["id"]
    assert head(place)["state"] == "idle"
    assert nonce not in str(old_head)
    assert number == done.run > old_head["id"][1]
    assert done.head == "idle"
    new_refs = refs(place)
    assert done.refs == len(new_refs) == len(old_refs)
    assert done.left == ()
    for key, ref in new_refs.items():
        assert ref["write"] not in old_refs[key]["recent"]
        assert ref["recent"][:-1] == old_refs[key]["recent"][-63:]
        assert ref["rev"] == old_refs[key]["rev"] + 1
        assert ref["stamp"] == [nonce, number]
        same = ("versions", "deleted", "retired", "partial", "tags", "older", "name")
        assert {one: ref[one] for one in same} == {one: old_refs[key][one] for one in same}
    assert contents(place) == little()[1]
    assert done.report.packs_read == done.report.packs > 0
    assert not [info.key for info in place.list("probe/")]


def test_a_second_time_changes_nothing_but_ids(places: Places) -> None:
    """It may be done as often as one likes; the index is right after the first time."""
    registry = Registry(a_copy(places.new()), cache=False)
    first = registry.adopt()
    second = registry.adopt()
    assert second.clean
    assert second.before == first.id != second.id
    assert second.run > first.run
    assert second.indexed == 0
    assert contents(registry.backend) == little()[1]


def test_who_adopts_knows_the_new_repository() -> None:
    """What the very object knew of the place is forgotten with the old id."""
    registry = Registry(a_copy())
    before = registry.init()
    done = registry.adopt()
    assert registry.init() == done.id != before == done.before


def test_it_lives_on(places: Places) -> None:
    """It is saved to, deleted from, collected, verified and adopted again, as any registry."""
    registry = Registry(a_copy(places.new()), cache=False)
    registry.adopt()
    assert registry.save("small:value", {"x": 2}) == "1.0.1"
    registry.save("new:array", noise(200_000, 77), tags=["best"])
    registry.delete("big:array@1.0.0")
    registry.gc(min_age=0, undelete_window=0)
    check(registry.backend)
    assert registry.verify(data=True).damages == ()
    assert registry.load("new:array@best") == noise(200_000, 77)
    assert {info.key for info in registry.backend.list("packs/")} <= needed(registry.backend)


@pytest.mark.parametrize("state", ["idle", "condemned", "verdict", "damaged", "lost", "list lost", "never"])
def test_a_head_in_any_state(state: str) -> None:
    """Whatever a collector was doing where it was copied: nothing of that is done here, and the next one does its own."""
    origin = place_of(little()[0]) if state != "never" else MemoryBackend()
    if state == "never":
        Registry(origin).save("small:value", 1)
    garbage(origin)
    if state in ("condemned", "verdict"):
        collected_until(origin, state)
    files, said = files_of(origin), contents(origin)
    place = copied(files, MemoryBackend())
    match state:
        case "damaged":
            harm_key(place, HEAD)
        case "lost":
            place.delete([HEAD])
        case "list lost":
            place.delete([head(place)["kept"][0]["names"]])
    data = {key for key in files_of(place) if is_data_key(key)}

    done = Registry(place).adopt(data=True)

    assert done.clean
    said_of = {"damaged": None, "lost": None, "never": None, "list lost": "idle"}
    assert done.head == said_of.get(state, state)
    assert head(place)["state"] == "idle"
    assert data <= {key for key in files_of(place) if is_data_key(key)}
    assert contents(place) == said
    numbers = [ref["stamp"][1] for ref in refs(copied(files, MemoryBackend())).values() if ref["stamp"]]
    assert head(place)["id"][1] > max(numbers, default=0)
    collected = Registry(place).gc(min_age=0, undelete_window=0)
    assert "waste:array@1.0.0" in collected.versions
    assert not collected.unfinished
    assert contents(place) == said
    assert Registry(place).verify(data=True).damages == ()


def test_what_is_condemned_may_be_built_on_and_what_has_a_verdict_may_not() -> None:
    """Nobody can come to a verdict of a run that the head does not know; but one that was given may be carried out late."""
    origin = place_of(little()[0])
    garbage(origin)
    for state in ("condemned", "verdict"):
        place = copied(files_of(origin), MemoryBackend())
        collected_until(place, state)
        named = place.get(head(place)["names"]).data.decode().splitlines()[1:]
        assert any(key.startswith("packs/") for key in named)
        Registry(place).adopt()
        bad = head(place)["bad"]
        assert (bad is None) == (state == "condemned")
        if bad is not None:
            assert place.get(bad).data.decode().splitlines()[1:] == named
        Registry(place).save("waste:again", b"waste" * 20_000)
        place.delete(named if state == "verdict" else [])  # by the collector, which had it in hand
        assert Registry(place).load("waste:again") == b"waste" * 20_000
        check(place)


def test_a_list_of_what_is_gone_does_not_grow() -> None:
    """However often it is adopted, what the head names as bad is there; and what is damaged stays bad."""
    place = a_copy()
    spot = next(info.key for info in place.list("packs/"))
    harm_key(place, spot)
    Registry(place).heal(Registry(place_of(little()[0])))
    for _ in range(3):
        Registry(place).adopt()
        assert place.get(head(place)["bad"]).data.decode().splitlines()[1:] == [spot]
    Registry(place).gc(min_age=0, undelete_window=0)
    assert spot not in stored(place)
    Registry(place).adopt()
    assert head(place)["bad"] is None


# ------------------------------------------------------------------------------------------- what did not come along


def test_a_live_copy_with_refs_first_is_whole() -> None:
    """Refs first, data after, no collection: what was saved in between is there and unknown, all else is whole."""
    origin = place_of(little()[0])
    files = files_of(origin)
    Registry(origin).save("late:array", noise(100_000, 5))
    later = {key: data for key, data in files_of(origin).items() if is_data_key(key)}
    place = copied(later | files, MemoryBackend())
    done = Registry(place).adopt(data=True)
    assert done.clean
    assert done.report.unreached == 1
    assert contents(place) == little()[1]


@pytest.mark.parametrize("adopted", [True, False])
def test_a_collection_ran_while_it_was_copied(adopted: bool) -> None:
    """A copy of refs from before a deletion, of a head with a verdict, and of data that was not deleted yet.

    What the verdict names is needed here: an adoption drops it. Without one, the next collection here carries it out.
    """
    origin = place_of(little()[0])
    registry = Registry(origin)
    registry.save("dear:array", noise(100_000, 5))
    early = {key: data for key, data in files_of(origin).items() if key.startswith("refs/")}
    registry.delete("dear:array")
    collected_until(origin, "verdict")
    place = copied({**files_of(origin), **early}, MemoryBackend())
    if adopted:
        done = Registry(place).adopt(data=True)
        assert done.clean
        assert done.head == "verdict"
    Registry(place).gc(min_age=0, undelete_window=0)
    assert Registry(place).verify().clean == adopted
    if adopted:
        assert Registry(place).load("dear:array") == noise(100_000, 5)
        Registry(place).save("same:bytes", noise(100_000, 5))
        assert Registry(place).load("same:bytes") == noise(100_000, 5)


def test_a_live_copy_in_the_wrong_order_is_named_and_healed(places: Places) -> None:
    """Data first and refs after: what is missing is said, with the versions; and the original heals it."""
    origin = place_of(little()[0])
    early = {key: data for key, data in files_of(origin).items() if is_data_key(key)}
    Registry(origin).save("late:array", noise(100_000, 5))
    rest = {key: data for key, data in files_of(origin).items() if not is_data_key(key)}
    place = copied(early | rest, places.new())
    registry = Registry(place, cache=False)
    done = registry.adopt()
    assert not done.clean
    (damage,) = done.report.damages
    assert damage.versions == ("late:array@1.0.0",)
    assert done.left == ()
    assert registry.heal(Registry(origin)).clean
    assert registry.load("late:array") == noise(100_000, 5)
    assert registry.verify(data=True).clean


def test_a_ref_that_is_damaged_is_left_and_named() -> None:
    """All others are adopted; it is healed from the original, and then it is as all others are."""
    place = a_copy()
    harm_key(place, "refs/small_value")
    done = Registry(place).adopt()
    assert done.left == ("small:value",)
    assert [one.key for one in done.report.damages] == ["refs/small_value"]
    assert head(place)["state"] == "idle"
    assert done.refs == len(refs(place_of(little()[0]))) - 1
    assert Registry(place).heal(Registry(place_of(little()[0]))).clean
    assert contents(place) == little()[1]
    Registry(place).gc(min_age=0, undelete_window=0)
    assert Registry(place).verify(data=True).damages == ()


def test_a_ref_that_needs_a_newer_casreg_is_left(places: Places) -> None:
    """It stays byte for byte what it is."""
    place = a_copy(places.new())
    ref = refs(place)["refs/small_value"]
    newer = seal(
        {**{key: value for key, value in ref.items() if key != "sum"}, "requires": ["to fly"]}, "ref"
    )
    overwrite(place, "refs/small_value", newer)
    done = Registry(place, cache=False).adopt()
    assert done.left == ("small:value",)
    assert place.get("refs/small_value").data == newer


@pytest.mark.parametrize("how", ["lost", "damaged"])
def test_a_marker_that_is_no_use(how: str) -> None:
    """The refs show that there is a registry: it gets a marker, as it would have anyway."""
    place = a_copy()
    if how == "lost":
        place.delete([MARKER])
    else:
        harm_key(place, MARKER)
    done = Registry(place).adopt()
    assert done.clean
    assert done.before is None
    assert marker(place)["id"] == done.id


@pytest.mark.parametrize("lost", ["head", "list"])
def test_a_verdict_is_not_forgotten_with_the_head(lost: str) -> None:
    """Of a head that is damaged, or names a list that is gone, every list that there is counts, as when it is healed."""
    place = a_copy()
    garbage(place)
    collected_until(place, "verdict")
    named = place.get(head(place)["names"]).data.decode().splitlines()[1:]
    if lost == "head":
        harm_key(place, HEAD)
    else:  # of a run before, which the head keeps; and its verdict is one that it has lost
        other = {**head(place), "names": head(place)["kept"][-1]["names"]}
        place.delete([other["names"]])
        overwrite(place, HEAD, seal({key: value for key, value in other.items() if key != "sum"}, HEAD))
    Registry(place).adopt()
    assert set(named) <= set(place.get(head(place)["bad"]).data.decode().splitlines()[1:])


def test_what_a_later_casreg_added_stays(places: Places) -> None:
    """Fields of marker, head and refs that are not known are written back."""
    place = a_copy(places.new())
    for key in (MARKER, HEAD, "refs/small_value"):
        body = {**document(place, key), "later": [1, "x"]}
        overwrite(place, key, seal({name: value for name, value in body.items() if name != "sum"}, key))
    assert Registry(place, cache=False).adopt().clean
    for key in (MARKER, HEAD, "refs/small_value"):
        assert document(place, key)["later"] == [1, "x"]


def test_a_storage_that_ignores_conditions_is_refused() -> None:
    """Before anything but the probe is written, also where the marker says that it is fit: that was said elsewhere."""

    class Careless(MemoryBackend):
        def swap(self, key: str, data: Buffer, expected: Token) -> Token:
            found = self.get(key)
            assert found.token is not None
            return super().swap(key, data, found.token)

    place = Careless()
    copied(little()[0], place)
    place.delete([MARKER])
    place.create(MARKER, dump_marker(new_marker(Probe(place.location, PROBE_OK))))
    before = files_of(place)
    with pytest.raises(UnsafeStorageError, match="does not honour conditional writes"):
        Registry(place).adopt()
    assert {key: data for key, data in files_of(place).items() if not key.startswith("probe/")} == before


def test_who_may_not_delete_adopts_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    """Only the index goes on naming what is gone, which is said; what it lacks is noted."""

    class Guarded(MemoryBackend):
        def delete(self, keys: Iterable[str]) -> None:
            if list(keys):
                raise StoragePermissionError("on purpose: nothing may be deleted")

    files = dict(little()[0])
    gone = next(key for key in files if key.startswith("packs/"))
    del files[gone]
    place = Guarded()
    for key, data in files.items():
        place.create(key, data)
    before = {info.key for info in place.list("index/")}
    done = Registry(place).adopt()
    assert [one.key for one in done.report.damages] == [gone]
    assert before <= {info.key for info in place.list("index/")}
    assert any("cannot be deleted" in message for message in caplog.messages)
    assert head(place)["state"] == "idle"


def test_a_damaged_index_is_none() -> None:
    """It is made anew, and the report does not name what is gone by then."""
    place = a_copy()
    harm_key(place, next(info.key for info in place.list("index/")))
    done = Registry(place).adopt()
    assert done.report.damages == ()
    assert 0 < done.indexed <= done.report.packs
    assert Registry(place).adopt().indexed == 0


def test_a_damaged_pack_is_not_named_by_the_index() -> None:
    """Where every byte was read, saves are not sent to look for chunks in what is damaged."""
    place = a_copy()
    place.delete([info.key for info in place.list("index/")])
    spot = next(info.key for info in place.list("packs/"))
    harm_key(place, spot)
    assert not Registry(place).adopt(data=True).clean
    named = b"".join(place.get(info.key).data for info in place.list("index/"))
    assert bytes.fromhex(spot.partition("-")[2]) not in named


def test_the_index_names_what_is_there() -> None:
    """Packs that did not come along are forgotten, those that are not named are noted, and what is right stays."""
    place = a_copy()
    assert Registry(place).adopt().indexed == 0
    untouched = {info.key for info in place.list("index/")}
    place.delete(untouched)
    done = Registry(place).adopt()
    assert done.indexed == done.report.packs
    before = len(stored(place))
    Registry(place).save("again:array", Registry(place).load("big:array@1.0.0"))
    assert len(stored(place)) == before + 1  # a manifest: its chunks were found
    gone = next(info.key for info in place.list("packs/"))
    place.delete([gone])
    done = Registry(place).adopt()
    assert gone in {one.key for one in done.report.damages}
    named = b"".join(place.get(info.key).data for info in place.list("index/"))
    assert bytes.fromhex(gone.partition("-")[2]) not in named


# ------------------------------------------------------------------------------------------- what is refused


def test_a_dry_run_writes_nothing(places: Places) -> None:
    """It says what would be done, and what is damaged."""
    place = a_copy(places.new())
    harm_key(place, "refs/small_value")
    before = files_of(place)
    done = Registry(place, cache=False).adopt(dry_run=True)
    assert files_of(place) == before
    assert done.dry_run
    assert (done.id, done.run, done.indexed) == (None, 0, 0)
    assert done.left == ("small:value",)
    assert done.refs == len(refs_readable(place))
    assert [one.key for one in done.report.damages] == ["refs/small_value"]


def refs_readable(place: Backend) -> list[str]:
    """The keys of all refs but the one that is damaged."""
    return [info.key for info in place.list("refs/") if info.key != "refs/small_value"]


def test_a_place_without_a_registry_is_refused(places: Places) -> None:
    """Nothing is made where nothing was: a wrong path is an error."""
    place = places.new()
    with pytest.raises(ObjectNotFoundError, match="there is no registry at"):
        Registry(place, cache=False).adopt()
    assert files_of(place) == {}


def test_other_peoples_files_are_left_alone(tmp_path: Path) -> None:
    """A clone of git has a folder of refs too, some with names like ours."""
    (tmp_path / "refs" / "heads").mkdir(parents=True)
    (tmp_path / "refs" / "heads" / "main").write_text("b0f460b6851194189e7504e6fa22ca80f948ee98\n")
    (tmp_path / "refs" / "stash").write_text("b0f460b6851194189e7504e6fa22ca80f948ee98\n")
    with pytest.raises(ObjectNotFoundError, match="nor any ref that can be read"):
        Registry(tmp_path).adopt()
    assert (tmp_path / "refs" / "stash").read_text() == "b0f460b6851194189e7504e6fa22ca80f948ee98\n"


@pytest.mark.parametrize("key", [MARKER, HEAD])
def test_a_newer_format_is_refused(key: str) -> None:
    """Before anything is written."""
    place = a_copy()
    newer = {**files_of(place), key: seal({"format": 1, "requires": ["to fly"]}, key)}
    copied(newer, place)
    with pytest.raises(UnsupportedFormatError):
        Registry(place).adopt()
    assert files_of(place) == newer


def test_a_bundle_is_refused(tmp_path: Path) -> None:
    """Nothing is written into one; unpacked, it is adopted."""
    Registry(a_copy()).export(tmp_path / "all.casreg")
    with pytest.raises(ReadOnlyError):
        Registry(tmp_path / "all.casreg").adopt()
    assert Registry(tmp_path / "all.casreg").adopt(dry_run=True).clean


def test_network_file_systems(tmp_path: Path) -> None:
    """What other machines do there may not be seen: it takes a word of whoever knows better. Looking is free."""

    class Shared(LocalBackend):
        network = "nfs4"

    a_copy(LocalBackend(tmp_path))
    registry = Registry(Shared(tmp_path))
    before = files_of(registry.backend)
    with pytest.raises(UnsafeStorageError, match=r"network file system \(nfs4\)"):
        registry.adopt()
    assert registry.adopt(dry_run=True).clean
    assert files_of(registry.backend) == before
    with pytest.warns(UserWarning, match="network file system"):
        assert registry.adopt(shared_fs=True).clean


def test_how_far_it_is_is_told() -> None:
    """Each name when it is looked at, written and verified; and then the bytes."""
    told: list[Progress] = []
    done = Registry(a_copy()).adopt(data=True, progress=told.append)
    names = len(refs(place_of(little()[0])))
    for phase in ("look", "adopt", "survey"):
        assert [one.done for one in told if one.phase == phase] == list(range(1, names + 1))
    assert told[-1].done == told[-1].total == done.report.bytes
    assert list(dict.fromkeys(one.phase for one in told)) == ["look", "adopt", "survey", "verify"]
