"""Damage in buckets, done behind casreg's back, is found and healed: from a folder, from a bundle, from another cloud."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.repository import Repository
from casreg.verify import verify
from verify import raw
from verify.lab import ALL, SHARED, SPOTS, cases, check_found, contents, files_of, harm, original, place_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend
    from places import Places
    from verify.lab import Spot

pytestmark = pytest.mark.clouds

CLOUDS = ("s3", "gcs")

SOME = [
    ("marker", "flipped"),
    ("head", "truncated"),
    ("list of the head", "missing"),
    ("ref", "garbage"),
    ("ref with a history", "missing"),
    ("history", "swapped"),
    ("manifest", "zeros"),
    ("placement", "missing"),
    ("pack", "emptied"),
    ("frame", "flipped"),
    ("tree", "flipped"),
    ("index", "longer"),
]
"""Each kind of file, and each kind of damage."""


def healed(place: Backend, source: Registry, spot: Spot, how: str) -> None:
    """Heal a damage, and see that all is as it was."""
    unseen = how == "missing" and spot.kind in ("ref", "index")
    registry = Registry(place, cache=False)
    healing = registry.heal(source)
    assert healing.clean
    assert healing.left == ()
    assert [one.key for one in healing.healed] == ([] if unseen else [spot.key])
    assert healing.brought_back == (spot.versions if unseen else ())
    assert registry.verify(data=True).damages == ()
    assert contents(place) == original()[1]


@pytest.mark.parametrize("kind", CLOUDS)
def test_damage_is_found(kind: str, places_of: Callable[[str], Places]) -> None:
    """Something of each kind of file and of damage, named with what it touches; and nothing where nothing is wrong."""
    files = original()[0]
    place = raw.copied(files, places_of(kind).new())
    assert Registry(place, cache=False).verify(data=True).damages == ()
    for what, how in SOME:
        spot = harm(place, what, how, raw.put)
        check_found(verify(Repository(place), data=True), spot, what, how)
        raw.put(place, spot.key, files[spot.key])


@pytest.mark.parametrize(
    ("kind", "source"),
    [
        ("s3", "local"),
        ("gcs", "bundle"),
        ("gcs", "cloud"),
        pytest.param("s3", "cloud", marks=pytest.mark.soak),
        pytest.param("s3", "bundle", marks=pytest.mark.soak),
        pytest.param("gcs", "local", marks=pytest.mark.soak),
    ],
)
def test_much_is_healed(kind: str, source: str, places_of: Callable[[str], Places], tmp_path: Path) -> None:
    """One of every kind is damaged; what replaces it comes from a folder, a bundle or the other cloud."""
    place = raw.copied(original()[0], places_of(kind).new())
    match source:
        case "bundle":
            Registry(place_of(original()[0])).export(tmp_path / "all.casreg")
            copy = Registry(tmp_path / "all.casreg")
        case "local":
            copy = Registry(tmp_path / "copy")
            for key, data in original()[0].items():
                copy.backend.create(key, data, durable=False)
        case _:
            other = CLOUDS[1 - CLOUDS.index(kind)]
            copy = Registry(raw.copied(original()[0], places_of(other).new()), cache=False)
    for what in ALL:
        harm(place, what, "flipped", raw.put)
    registry = Registry(place, cache=False)
    assert len(registry.verify(data=True).damages) == len(ALL)

    healing = registry.heal(copy)

    assert healing.clean
    assert len(healing.healed) == len(ALL)
    assert registry.verify(data=True).damages == ()
    assert contents(place) == original()[1]
    registry.gc(min_age=0, undelete_window=0)
    assert registry.verify(data=True).damages == ()


@pytest.mark.soak
@pytest.mark.parametrize("what", [what for what in SPOTS if what not in SHARED])
@pytest.mark.parametrize("kind", CLOUDS)
def test_everything_that_can_happen_to_a_file(
    kind: str, what: str, places_of: Callable[[str], Places], tmp_path: Path
) -> None:
    """Found, and healed from each kind of copy in turn: as it was made by other tools, and as casreg made it."""
    files = original()[0]
    place = raw.copied(files, places_of(kind).new())
    other = CLOUDS[1 - CLOUDS.index(kind)]
    synced = Registry(places_of(other).new(), cache=False)
    synced.update(Registry(place_of(files)))
    folder = Registry(tmp_path / "copy")
    for key, data in files.items():
        folder.backend.create(key, data, durable=False)
    copies = [folder, synced]
    for number, (_, how) in enumerate(case for case in cases() if case[0] == what):
        spot = harm(place, what, how, raw.put)
        check_found(verify(Repository(place), data=True), spot, what, how)
        healed(place, copies[number % 2], spot, how)
        raw.restored(files, place)
        assert files_of(place) == files
