"""What a collection takes and what it leaves, one rule at a time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.cache import Cache
from casreg.canonical import seal, unseal
from casreg.exceptions import (
    CorruptError,
    NotFound,
    ObjectNotFoundError,
    UnsafeStorageError,
    UnsupportedFormatError,
)
from casreg.gc import Terms, execute, mark_bad, plan as plan_of
from casreg.gc.run import Runs
from casreg.head import decode_names
from casreg.keys import HEAD, MARKER, ref_key
from casreg.refs import spill
from casreg.registry import Registry
from casreg.repository import Repository
from casreg.testing.recording import RecordingBackend
from collector.lab import NOW, age, check, copy_of, gc, head_of, lists, loads, needed, plan, stored, stray
from registry.lab import noise, snapshot

if TYPE_CHECKING:
    from pathlib import Path

    from casreg.progress import Progress

DATA = noise(300_000, 1)
DAY = 86_400.0


@pytest.fixture
def place() -> MemoryBackend:
    """`thing` lives, and `gone` was deleted a moment ago; each has a pack and a manifest of its own."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", DATA)
    registry.save("gone", noise(300_000, 2))
    registry.delete("gone")
    return place


def test_what_nobody_needs_goes(place: MemoryBackend) -> None:
    """The data of deleted versions is deleted, and what lives loads; the figures are those of the files."""
    before = stored(place)
    sizes = {info.key: info.size for info in place.list("")}
    done = gc(place)
    gone = before - stored(place)
    assert before - gone == needed(place) - lists(place)
    assert (done.freed, done.dry_run, done.unfinished) == (sum(sizes[key] for key in gone), False, False)
    assert (done.files, done.versions) == ({"manifests": 1, "packs": 1, "segments": 0}, ("gone@1.0.0",))
    assert done.runs == (1,)
    assert loads(place) == {"thing@1.0.0": DATA}


def test_a_dry_run_writes_nothing(place: MemoryBackend) -> None:
    """It says what a collection would do, to the byte, and not a file changes."""
    before = snapshot(place)
    foreseen = plan(place)
    assert snapshot(place) == before
    assert replace(gc(place), dry_run=True, runs=()) == foreseen


def test_a_second_collection_does_nothing(place: MemoryBackend) -> None:
    """The lists that a run leaves are no reason for another run: not a file changes."""
    gc(place)
    before = snapshot(place)
    done = gc(place)
    assert (done.freed, done.runs) == (0, ())
    assert snapshot(place) == before


def test_lists_of_earlier_runs_go_with_the_next(place: MemoryBackend) -> None:
    """However many runs there were, only the lists that the head names are left."""
    registry = Registry(place)
    for number in range(12):
        registry.save("more", noise(100, number))
        registry.delete("more")
        gc(place)
    assert head_of(place)["id"][1] == 12
    assert len(stored(place) - needed(place)) <= 1
    check(place)


def test_nothing_is_made_where_nothing_is() -> None:
    """A place without a repository stays without."""
    place = MemoryBackend()
    assert gc(place).freed == 0
    assert not list(place.list(""))


def test_what_is_young_stays(place: MemoryBackend) -> None:
    """Files younger than the minimum age are left alone, by the time that the storage gives them; older ones go."""
    terms = replace(NOW, min_age=DAY)
    assert (plan(place, terms).versions, gc(place, terms).freed) == ((), 0)
    for key in stored(place):
        age(place, key, DAY - 60)
    assert gc(place, terms).freed == 0
    for key in stored(place):
        age(place, key, 120)
    assert gc(place, terms).freed > 300_000
    assert loads(place) == {"thing@1.0.0": DATA}


def test_a_version_ends_with_the_first_of_its_files(place: MemoryBackend) -> None:
    """Its pack may be old enough to go although its manifest is not: it is named, since it cannot be undeleted then."""
    for key in stored(place):
        if key.startswith("packs/"):
            age(place, key, 2 * DAY)
    done = gc(place, replace(NOW, min_age=DAY))
    assert (done.versions, done.files["packs"], done.files["manifests"]) == (("gone@1.0.0",), 1, 0)


def test_what_is_not_exactly_a_key_is_never_touched(place: MemoryBackend) -> None:
    """Files that somebody put beside casreg's, with names that are nearly keys, stay."""
    strangers = [
        "packs/readme.txt",
        "packs/ab/cd",
        "manifests/00/" + "A" * 64,
        "manifests/01/00" + "a" * 62,
        "segments/" + "0" * 64,
        "packs/00/" + "0" * 64,
        "packs/ff/0123456789abcdef-" + "0" * 64,
        "probe/left",
        "notes",
        "tmp.txt",
    ]
    for key in strangers:
        place.create(key, b"")
    gc(place)
    assert set(strangers) <= {info.key for info in place.list("")}


def test_a_deleted_version_keeps_its_data_for_the_window(place: MemoryBackend) -> None:
    """Inside its window nothing of a deleted version goes, and `undelete` brings it back; outside it goes."""
    tombstone = datetime.fromisoformat(Registry(place).history("gone")[0]["deleted"]).timestamp()
    terms = Terms(min_age=0, undelete_window=DAY, threads=1)
    inside = gc(place, replace(terms, clock=lambda: tombstone + DAY - 1))
    assert (inside.freed, inside.versions) == (0, ())
    Registry(place).undelete("gone", "1.0.0")
    Registry(place).delete("gone")
    later = datetime.now(UTC) + timedelta(days=1, seconds=1)
    assert gc(place, replace(terms, clock=later.timestamp)).versions == ("gone@1.0.0",)
    assert stored(place) == needed(place)


def test_who_grants_more_time_spares_what_others_condemned(place: MemoryBackend) -> None:
    """A run that was begun without a window, and is ended by a collector with one, leaves deleted versions their data."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runs, "finish", lambda self, held: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gc(place)
    assert head_of(place)["state"] == "condemned"
    assert plan(place, replace(NOW, min_age=DAY)).freed > 300_000  # however young: it is condemned
    done = gc(place, replace(NOW, undelete_window=DAY))
    assert (done.freed, done.runs, done.unfinished) == (0, (1,), True)
    Registry(place).undelete("gone", "1.0.0")
    check(place)


def test_a_version_deleted_in_the_future_keeps_its_data(place: MemoryBackend) -> None:
    """A clock that goes wrong does not cost anybody their window."""
    terms = Terms(min_age=0, undelete_window=1, threads=1, clock=lambda: 0.0)
    assert gc(place, terms).freed == 0
    assert gc(place, replace(terms, undelete_window=0)).freed > 300_000  # which takes whatever is deleted


@pytest.mark.parametrize(
    ("deleted", "freed"), [("2026-02-30T00:00:00Z", False), ("1999-12-31T23:59:60Z", True)]
)
def test_a_time_that_no_clock_shows(place: MemoryBackend, deleted: str, freed: bool) -> None:
    """A leap second is one; a day that never was protects the data, unless nothing is protected."""
    found = place.get("refs/gone")
    body = unseal(found.data, "it")
    body["deleted"]["1.0.0"][0]["deleted"] = deleted
    assert found.token is not None
    place.swap("refs/gone", seal(body), found.token)
    assert bool(gc(place, replace(NOW, undelete_window=DAY)).freed) is freed
    assert bool(gc(place).freed) is not freed


def test_every_tombstone_inside_the_window_keeps_its_data() -> None:
    """Of a version that was replaced again and again all contents stay, for there may be a way back one day."""
    place = MemoryBackend()
    registry = Registry(place, mutable=True)
    for number in range(4):
        registry.save("thing", number, version="1.0.0")
    assert gc(place, replace(NOW, undelete_window=DAY)).freed == 0
    assert gc(place).files["manifests"] == 3


def test_undelete_of_what_was_collected_says_so(place: MemoryBackend) -> None:
    """After the collection the error says that the data has gone, and nothing is brought back."""
    gc(place)
    with pytest.raises(ObjectNotFoundError, match="has been collected"):
        Registry(place).undelete("gone", "1.0.0")
    assert Registry(place).list_objects() == ["thing"]


def test_the_number_of_what_was_collected_stays_used(place: MemoryBackend) -> None:
    """A collection ends the data, and not the number: nobody gets other content under it."""
    gc(place)
    assert Registry(place).save("gone", 1) == "1.0.1"


def test_replaced_content_is_a_deleted_version_too() -> None:
    """What was overwritten keeps its data for the window, and goes after it."""
    place = MemoryBackend()
    registry = Registry(place, mutable=True)
    registry.save("thing", DATA, version="1.0.0")
    registry.save("thing", "new", version="1.0.0")
    assert gc(place, replace(NOW, undelete_window=DAY)).freed == 0
    done = gc(place)
    assert done.freed > 300_000
    assert done.versions == ()  # it lives, and is what it is
    assert loads(place) == {"thing@1.0.0": "new"}


def test_what_another_version_shares_stays() -> None:
    """Chunks of a deleted version that others need stay; it cannot be undeleted all the same."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", DATA)
    registry.save("copy", DATA + b"more")
    registry.delete("thing")
    done = gc(place)
    assert (done.files["packs"], done.files["manifests"], done.versions) == (0, 1, ("thing@1.0.0",))
    assert loads(place) == {"copy@1.0.0": DATA + b"more"}


def test_a_renamed_version_is_nowhere_deleted() -> None:
    """The old name's tombstones say nothing about data that the new name needs."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("old", DATA)
    registry.rename("old", "new")
    done = gc(place)
    assert (done.freed, done.versions) == (0, ())
    assert loads(place) == {"new@1.0.0": DATA}


def test_hidden_names_count() -> None:
    """What a hidden ref reaches lives: a save that runs for long keeps its packs by one."""
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", DATA)
    repository = registry._repository
    held = repository.refs.read("thing")
    assert held is not None
    hidden = replace(held.history.ref, name="~upload-0af3")
    place.create(ref_key("~upload-0af3"), hidden.to_bytes())
    registry.delete("thing")
    assert gc(place).freed == 0
    held = repository.refs.read("~upload-0af3")
    assert held is not None
    place.swap(ref_key("~upload-0af3"), replace(hidden, records={}).to_bytes(), held.token)
    assert gc(place).freed > 300_000


def test_long_histories_and_placements(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments of history and of placements live as what they belong to does; merged ones go."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 1_500)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 700)
    monkeypatch.setattr("casreg.repository.proving.PLACEMENT_LIMIT", 50)
    place = MemoryBackend()
    registry = Registry(place)
    for number in range(12):
        registry.save("thing", noise(20_000, number))
        if number % 3 == 0:
            registry.delete("thing", f"1.0.{number}")
    assert any(info.key for info in place.list("segments/"))
    before = loads(place)
    assert len(before) == 8
    assert stored(place) > needed(place)
    done = gc(place)
    assert done.files["packs"] == 4
    assert done.files["segments"] >= 4
    assert done.versions == tuple(sorted(f"thing@1.0.{number}" for number in (0, 3, 6, 9)))
    assert stored(place) == needed(place)
    assert loads(place) == before
    check(place)


def test_all_tombstones_of_a_spilled_history_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the window nothing goes that some tombstone names, wherever that stands."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 1_500)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 700)
    place = MemoryBackend()
    registry = Registry(place)
    for number in range(12):
        registry.save("thing", noise(200, number))
        registry.delete("thing", f"1.0.{number}")
    gc(place, replace(NOW, undelete_window=DAY))
    assert stored(place) == needed(place, tombstones=True)
    registry.undelete("thing", "1.0.0")
    assert registry.load("thing") == noise(200, 0)


def test_a_run_takes_no_more_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is more, several runs take it, and it is one collection."""
    monkeypatch.setattr("casreg.gc.collecting._ROUNDS", 5)
    place = MemoryBackend()
    registry = Registry(place)
    for number in range(10):
        registry.save(f"thing{number}", number)
        if number:
            registry.delete(f"thing{number}")
    done = gc(place, replace(NOW, most=4))
    assert done.runs == (1, 2, 3)
    assert done.files["manifests"] == 9
    assert loads(place) == {"thing0@1.0.0": 0}
    assert stored(place) == needed(place)


def test_a_plan_that_is_old_harms_nobody(place: MemoryBackend) -> None:
    """What came to be needed after the plan was made is spared, and so is what other collections made of the head."""
    repository = Repository(place)
    made = plan_of(repository, NOW)
    Registry(place).undelete("gone", "1.0.0")
    key = stray(place)
    gc(place)
    done = execute(repository, made, NOW)
    assert (done.freed, done.versions) == (0, ())
    assert key not in stored(place)
    assert set(loads(place)) == {"thing@1.0.0", "gone@1.0.0"}
    check(place)
    assert stored(place) > needed(place)  # a list that nobody needs any more
    assert gc(place).runs == ()  # is no reason for a run


def test_the_fence_changes_nothing_but_the_stamp(place: MemoryBackend) -> None:
    """Of a ref only the stamp, and what every write changes, is another afterwards."""
    before = unseal(place.get("refs/thing").data, "it")
    gc(place)
    after = unseal(place.get("refs/thing").data, "it")
    head = head_of(place)
    assert after["stamp"] == head["id"]
    changed = {"stamp", "write", "recent", "rev"}
    assert {key: after[key] for key in after.keys() - changed} == {
        key: before[key] for key in before.keys() - changed
    }


def test_unknown_fields_stay(place: MemoryBackend) -> None:
    """What a later casreg adds to refs and the head is kept by a collection."""
    gc(place)
    for key in ("refs/thing", HEAD):
        found = place.get(key)
        body = unseal(found.data, key)
        assert found.token is not None
        place.swap(key, seal({**body, "later": {"a": 1}}), found.token)
    Registry(place).save("gone", 1)
    Registry(place).delete("gone")
    gc(place)
    assert unseal(place.get("refs/thing").data, "it")["later"] == {"a": 1}
    assert head_of(place)["later"] == {"a": 1}


# What cannot be read, verified or understood stops the run before the verdict.


def damage(place: MemoryBackend, key: str, data: bytes | None) -> None:
    """Another file, or none, under the key."""
    place.delete([key])
    if data is not None:
        place.create(key, data)


@pytest.mark.parametrize("prefix", ["refs/", "manifests/", "segments/"])
@pytest.mark.parametrize("how", ["flipped", "cut", "lost"])
def test_damage_stops_the_run(prefix: str, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is deleted: whether the plan meets it, or only the fence."""
    monkeypatch.setattr("casreg.repository.proving.PLACEMENT_LIMIT", 50)
    place = MemoryBackend()
    registry = Registry(place)
    registry.save("thing", DATA)
    key = next(info.key for info in place.list(prefix))
    data = place.get(key).data
    bad = {"flipped": data[:40] + bytes([data[40] ^ 1]) + data[41:], "cut": data[:-1], "lost": None}[how]
    registry.save("gone", 1)
    registry.delete("gone")
    made = plan_of(Repository(place), NOW)
    damage(place, key, bad)
    before = stored(place)
    if how == "lost" and prefix == "refs/":
        registry = Registry(place)  # what nothing tells of cannot be missed; but the plan has seen it
    else:
        with pytest.raises(CorruptError, match=prefix):
            gc(place)
        assert stored(place) == before
    with pytest.raises(CorruptError, match=prefix):
        execute(Repository(place), made, NOW)
    assert head_of(place)["state"] == "condemned"
    assert before <= stored(place)
    damage(place, key, data)
    assert gc(place).unfinished
    assert loads(place) == {"thing@1.0.0": DATA}


@pytest.mark.parametrize("key", [MARKER, HEAD, "refs/thing"])
def test_what_a_later_casreg_requires_stops_the_run(place: MemoryBackend, key: str) -> None:
    """Who does not know what the marker, the head or a ref requires does not collect."""
    Registry(place).save("more", 1)
    Registry(place).delete("more")
    gc(place, replace(NOW, most=1))
    Registry(place).save("more", 2)
    Registry(place).delete("more")
    before = stored(place)
    body = unseal(place.get(key).data, key)
    damage(place, key, seal({**body, "requires": ["time-travel"]}))
    with pytest.raises(UnsupportedFormatError, match="time-travel"):
        gc(place)
    assert stored(place) == before


def test_a_damaged_list_stops_the_run(place: MemoryBackend) -> None:
    """A run whose list is lost is not guessed: the error names the list."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runs, "finish", lambda self, held: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            gc(place)
    (key,) = lists(place)
    damage(place, key, None)
    before = stored(place)
    with pytest.raises(CorruptError, match=key):
        gc(place)
    assert stored(place) == before


@pytest.mark.parametrize("prefix", ["manifests/", "segments/"])
def test_a_local_copy_hides_no_damage(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the place has lost stops the run, whatever this machine's cache still has, in plan and fence."""
    monkeypatch.setattr(spill, "INLINE_LIMIT", 1_500)
    monkeypatch.setattr(spill, "_LEAST_ROOM", 700)
    place = MemoryBackend()
    registry = Registry(place, cache=Cache(tmp_path / "cache"))
    for number in range(6):
        registry.save("thing", number)
    registry.save("gone", 1)
    registry.delete("gone")
    assert len(registry.list_versions("thing")) == 6
    made = plan_of(registry._repository, NOW)
    key = next(key for key in needed(place) if key.startswith(prefix))
    damage(place, key, None)
    with pytest.raises(CorruptError, match=prefix):
        registry.gc(dry_run=True)
    with pytest.raises(CorruptError, match=prefix):
        execute(registry._repository, made, NOW)


def test_a_half_collected_version_is_no_damage(place: MemoryBackend) -> None:
    """What is left of a deleted version inside the window of this collector, after one that granted none, is garbage."""
    gone = stored(place) - needed(place)
    for key in gone:
        other = copy_of(snapshot(place))
        damage(other, key, None)
        gc(other, replace(NOW, undelete_window=DAY))
        assert loads(other) == {"thing@1.0.0": DATA}


def test_a_damaged_manifest_that_nobody_needs_goes(place: MemoryBackend) -> None:
    """Garbage need not be understood."""
    (key,) = {key for key in stored(place) - needed(place) if key.startswith("manifests/")}
    damage(place, key, b"damaged")
    assert gc(place).versions == ("gone@1.0.0",)
    assert stored(place) == needed(place)


def test_a_network_file_system_is_refused(place: MemoryBackend) -> None:
    """Unless the caller, or who opened the place, vouches for it."""

    class Remote(RecordingBackend):
        network = "nfs4"
        shared_fs = False

    remote = Remote(place)
    with pytest.raises(UnsafeStorageError, match="nfs4"):
        gc(remote)
    assert not remote.calls
    assert gc(remote, replace(NOW, shared_fs=True)).freed
    Registry(place).save("gone", DATA[1:])
    Registry(place).delete("gone")
    remote.shared_fs = True
    assert gc(remote).freed


def test_lists_and_trees_are_not_read() -> None:
    """Of a version with a long list of chunks only the manifest is read: no byte of a pack."""
    place = MemoryBackend()
    Registry(place).save("thing", noise(3_000_000, 4))
    recording = RecordingBackend(place)
    plan_of(Repository(recording), NOW)
    assert not recording.log.calls(prefix="packs/") or all(
        call.method == "list" for call in recording.log.calls(prefix="packs/")
    )


def test_progress_is_told(place: MemoryBackend) -> None:
    """Each phase is told of to its end, and numbers do not fall within one."""
    told: list[Progress] = []
    gc(place, progress=told.append)
    phases = list(dict.fromkeys(one.phase for one in told))
    assert phases == ["list", "mark", "fence", "delete"]
    for phase in phases:
        of_phase = [one for one in told if one.phase == phase]
        assert of_phase[-1].done == of_phase[-1].total
        assert [one.done for one in of_phase] == sorted(one.done for one in of_phase)


def test_many_at_once_do_the_same(place: MemoryBackend) -> None:
    """With threads the result is that of one."""
    registry = Registry(place)
    for number in range(100):
        registry.save(f"thing{number}", number)
        if number % 2:
            registry.delete(f"thing{number}")
    other = copy_of(snapshot(place))
    one, many = gc(place), gc(other, replace(NOW, threads=7))
    assert replace(one, location="") == replace(many, location="")
    assert stored(place) - lists(place) == stored(other) - lists(other)


def test_an_error_in_a_thread_ends_the_collection(place: MemoryBackend) -> None:
    """And reaches the caller, however many refs are still to be read."""
    registry = Registry(place)
    for number in range(600):
        registry.save(f"thing{number}", number)
    damage(place, "refs/gone", b"{}")  # the first
    recording = RecordingBackend(place)
    with pytest.raises(CorruptError, match="refs/gone"):
        plan_of(Repository(recording), replace(NOW, threads=4))
    assert len(recording.log.calls("get", "refs/")) < 300


def test_stale_hints_do_no_harm(place: MemoryBackend) -> None:
    """The index still names packs that were collected: a save of the same content stores it anew, and loads."""
    gone = noise(300_000, 2)
    gc(place)
    registry = Registry(place)
    registry.save("again", gone)
    assert registry.load("again") == gone
    check(place)
    with pytest.raises(NotFound):
        place.get("packs/none")


def test_what_others_collected_is_not_condemned_again(place: MemoryBackend) -> None:
    """A plan that another collector has carried out meanwhile makes no run."""
    repository = Repository(place)
    made = plan_of(repository, NOW)
    gc(place)
    before = snapshot(place)
    done = execute(repository, made, NOW)
    assert (done.freed, done.runs) == (0, ())
    assert snapshot(place) == before


def test_a_run_that_met_damage_does_not_stand_in_the_way_of_healing(place: MemoryBackend) -> None:
    """What is damaged can be marked although a run was condemned and stopped by it; nothing is deleted by that."""
    made = plan_of(Repository(place), NOW)
    (key,) = {key for key in needed(place) if key.startswith("manifests/")}
    data = place.get(key).data
    damage(place, key, b"damaged")
    with pytest.raises(CorruptError, match=key):
        execute(Repository(place), made, NOW)
    before = stored(place)
    mark_bad(Repository(place), [key])
    head = head_of(place)
    assert (head["state"], head["id"][1]) == ("idle", 2)
    assert decode_names(place.get(head["bad"]).data, head["bad"]) == (key,)
    assert before <= stored(place)
    damage(place, key, data)
    assert gc(place).freed
