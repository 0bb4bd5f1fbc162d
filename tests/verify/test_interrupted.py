"""A healing that is killed, or meets a bad network, leaves every version as it was or healed; the next one does the rest."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.exceptions import CasregError
from casreg.testing import Fault, FaultBackend, FaultKind
from verify.lab import Between, contents, harm_key, little, little_synced, place_of

if TYPE_CHECKING:
    from casreg.backends.memory import MemoryBackend

WRITES = frozenset({"create", "swap", "delete"})

RUINS = {
    "marker and head": ("casreg.json", "gc/head"),
    "refs": ("refs/long_value", "refs/small_value"),
    "segments": ("segments/",),
    "manifests": ("manifests/",),
    "packs and index": ("packs/", "index/"),
}
"""What is damaged: files with these keys, or all below these folders."""


class Killed(Exception):  # noqa: N818 - what happens, not an error
    """The process is no more."""


def ruined(what: str) -> MemoryBackend:
    """A place in which these are damaged."""
    place = place_of(little()[0])
    for prefix in RUINS[what]:
        for info in list(place.list(prefix)):
            harm_key(place, info.key)
    return place


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER])
@pytest.mark.parametrize("what", RUINS)
def test_killed_at_every_write(what: str, kind: FaultKind) -> None:
    """Whichever write is the last one, done or not: what loaded still loads, and healing again ends right."""
    source = place_of(little_synced())
    for at in count(1):
        place = ruined(what)
        whole = {label for label in little()[1] if label in _loadable(place)}
        dying = FaultBackend(place, [Fault(at, kind, WRITES, times=10**9, error=Killed)])
        try:
            Registry(dying).heal(Registry(source))
        except Killed:
            assert whole <= _loadable(place)
            assert Registry(place).heal(Registry(source)).clean
        else:
            assert at > 1
            break
        assert Registry(place).verify(data=True).damages == ()
        assert contents(place) == little()[1]


def _loadable(place: MemoryBackend) -> set[str]:
    """The versions whose every byte can be read."""
    registry = Registry(place)
    found = set()
    for label in little()[1]:
        name, _, version = label.partition("@")
        try:
            for file in registry.files(name, version):
                with registry.open(name, file["path"], version) as stream:
                    stream.read()
        except CasregError:
            continue
        found.add(label)
    return found


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER, FaultKind.DOUBLED])
@pytest.mark.parametrize("what", RUINS)
def test_one_answer_is_lost(what: str, kind: FaultKind) -> None:
    """Whichever write fails, or is done twice: it is healed, or says what failed, and healing again ends right."""
    source = place_of(little()[0])
    for at in count(1):
        place = ruined(what)
        weak = FaultBackend(place, [Fault(at, kind, WRITES)])
        try:
            clean = Registry(weak).heal(Registry(source)).clean
        except CasregError:
            clean = False
        if not weak.fired:
            break
        if not clean:
            assert Registry(place).heal(Registry(source)).clean
        assert Registry(place).verify(data=True).damages == ()
        assert contents(place) == little()[1]
    assert at > 1


def test_two_at_once() -> None:
    """Two healings of one place, write by write between each other, end right."""
    for at in count(1):
        place = ruined("packs and index")
        source = place_of(little()[0])

        meanwhile = Between(place, at, partial(Registry(place).heal, Registry(source)), WRITES)
        assert Registry(meanwhile).heal(Registry(source)).clean
        assert Registry(place).verify(data=True).damages == ()
        assert contents(place) == little()[1]
        if not meanwhile.done:
            break
    assert at > 5


@pytest.mark.parametrize("what", RUINS)
def test_a_collection_in_the_middle(what: str) -> None:
    """Whenever garbage is collected, of any age: what the healing has written and not named yet is stored again."""
    for at in count(1):
        place = ruined(what)
        source = place_of(little()[0])

        def collect(place: MemoryBackend = place) -> None:
            with suppress(CasregError):  # damage stops it
                Registry(place).gc(min_age=0, undelete_window=0)

        meanwhile = Between(place, at, collect, WRITES)
        assert Registry(meanwhile).heal(Registry(source)).clean
        assert Registry(place).verify(data=True).damages == ()
        assert contents(place) == little()[1]
        if not meanwhile.done:
            break
    assert at > 5
