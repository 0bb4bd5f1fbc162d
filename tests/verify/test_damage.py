"""Every kind of damage of every kind of file is found, and named with what it touches; nothing else is."""

from __future__ import annotations

import pytest

from casreg import Registry
from casreg.repository import Repository
from casreg.verify import verify
from verify.lab import PARTS, backup, cases, check_found, harm, original

UNSEEN = {"header of a pack", "header of a frame", "frame"}
"""Parts of packs that only a look at every byte sees, where nothing but bytes in the middle changed."""


def test_a_whole_repository_is_clean() -> None:
    """Nothing is reported where nothing is wrong, and everything is counted."""
    report = Registry(backup()).verify(data=True)
    assert report.clean
    assert report.damages == ()
    held = original()[1]
    assert report.versions == len(held)
    assert report.names == len({label.partition("@")[0] for label in held}) + 2  # of two names, nothing lives
    assert report.packs == report.packs_read > 5
    assert report.bytes == report.bytes_read > 1_000_000
    assert report.unreached == 0


@pytest.mark.parametrize(("what", "how"), cases())
def test_damage_is_found(what: str, how: str) -> None:
    """The file is named, with what it is, what is wrong, and the versions that it touches; and no other file is."""
    place = backup()
    spot = harm(place, what, how)
    check_found(verify(Repository(place), data=True), spot, what, how)


@pytest.mark.parametrize(("what", "how"), [case for case in cases() if case[0] in PARTS | {"pack"}])
def test_what_structure_alone_shows(what: str, how: str) -> None:
    """Without a look at the data, all but bytes that changed in the middle of data is found."""
    place = backup()
    spot = harm(place, what, how)
    report = Registry(place).verify()
    unseen = how in ("flipped", "garbage", "zeros") and (
        what in UNSEEN or (what == "pack" and how == "flipped")
    )
    assert [one.key for one in report.damages] == ([] if unseen else [spot.key])


def test_a_history_that_is_lost_is_named_by_its_range() -> None:
    """Which versions a lost segment had is not known; which numbers they had is, and which tags."""
    place = backup()
    harm(place, "history", "missing")
    (damage,) = Registry(place).verify().damages
    assert damage.versions == ("long:value@>=1.0.0,<=1.0.19",)
    assert damage.tags == tuple(sorted(f"long:value@t{number}" for number in range(20)))
    assert "20 versions of long:value" in damage.problem


def test_what_else_is_said_of_a_version_of_a_lost_history() -> None:
    """A version that stands in the ref, too, lives, whatever is lost: its tag is not touched."""
    place = backup()
    Registry(place).annotate("long:value", "1.0.3", seen=True)
    harm(place, "history", "missing")
    (damage,) = Registry(place).verify().damages
    assert "long:value@t2" in damage.tags
    assert "long:value@t3" not in damage.tags


def test_all_names_of_one_pack_are_touched() -> None:
    """A pack that two versions need touches both, with the tags on them; a chunk of it those that have the chunk."""
    place = backup()
    repository = Repository(place)
    harm(place, "pack of two", "missing")
    (damage,) = verify(repository).damages
    assert damage.versions == ("big:array@1.0.0", "big:array@1.0.1")
    assert damage.tags == ("big:array@best",)
    place = backup()
    harm(place, "chunk that one of two has", "flipped")
    (damage,) = verify(Repository(place), data=True).damages
    assert damage.versions == ("big:array@1.0.0",)
    assert "1 of its " in damage.problem


@pytest.mark.parametrize(
    ("what", "how", "said"),
    [
        ("header of a pack", "garbage", "it does not begin as a pack does"),
        ("frame", "garbage", "1 of its 3 chunks are damaged: "),
        ("header of a frame", "garbage", "1 of its 3 chunks are damaged: "),
        ("table of a pack", "garbage", "its table is damaged"),
        ("trailer of a pack", "garbage", "it does not end as a pack does"),
        ("pack", "truncated", "it is cut off before its "),
        ("pack", "longer", "it is longer than its "),
        ("pack", "missing", " is missing"),
    ],
)
def test_what_is_wrong_with_a_pack_is_said(what: str, how: str, said: str) -> None:
    """Which part it is, of how many, and by what it is known."""
    place = backup()
    harm(place, what, how)
    (damage,) = Registry(place).verify(data=True).damages
    assert said in damage.problem


def test_a_report_is_plain() -> None:
    """As JSON wants it."""
    place = backup()
    harm(place, "manifest", "flipped")
    said = Registry(place).verify().as_dict()
    assert said["clean"] is False
    assert said["location"] == place.location
    assert said["damages"][0]["versions"] == ("other:array@1.0.0",)
    assert said["damages"][0]["kind"] == "manifest"
