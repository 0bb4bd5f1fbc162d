"""How many requests a sync makes at each side. On a bucket a request is 10 to 100 ms, and some are paid for."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest

from casreg import Registry
from casreg.testing.recording import RecordingBackend
from sync.lab import Far, noise, seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from casreg.testing.recording import Call

SMALL = b"small"
LARGE = 200_000


class Counted(NamedTuple):
    """The requests at each side, by method and kind of key."""

    source: dict[str, int]
    target: dict[str, int]


def counted(calls: Sequence[Call]) -> dict[str, int]:
    """How often each method was called on keys of each kind."""
    return dict(sorted(Counter(f"{call.method} {call.key.partition('/')[0]}" for call in calls).items()))


@pytest.fixture
def places() -> tuple[Registry, Registry]:
    """Two places behind a network that are in use, and equal."""
    source, target = (Registry(RecordingBackend(Far()), cache=False) for _ in range(2))
    source.save("old", SMALL, tags=["prod"])
    target.sync(source)
    return source, target


def calls_of(places: tuple[Registry, Registry], *, delete: bool = False) -> Counted:
    """The requests of a sync in a new process, after which both sides are equal."""
    for place in places:
        place.backend.log.clear()  # type: ignore[attr-defined]  # it is a RecordingBackend
    source, target = (Registry(place.backend, cache=False) for place in places)
    assert target.sync(source, delete=delete).clean
    made = Counted(*(counted(place.backend.calls) for place in places))  # type: ignore[attr-defined]
    assert seen(source) == seen(target)
    return made


BEGIN = {"list refs": 1, "get casreg.json": 1}
"""Of a sync that finds something changed: which names there are, and whether it is the same repository still."""

AT_TARGET = {**BEGIN, "get gc": 1}
"""Of a sync that writes: one reading of the head, too, for names that are brought together."""


def test_a_new_name_with_a_small_version(places: tuple[Registry, Registry]) -> None:
    """Its ref and its manifest are read; its ref is created, then its manifest, and it is swapped once."""
    places[0].save("new", SMALL, tags=["prod"], notes={"n": 1})

    assert calls_of(places) == (
        {**BEGIN, "get refs": 1, "get manifests": 1},
        {**AT_TARGET, "create refs": 1, "create manifests": 1, "swap refs": 1},
    )


def test_many_versions_of_a_name_are_one_commit(places: tuple[Registry, Registry]) -> None:
    """With their tags and notes, which would be another one."""
    for number in range(5):
        places[0].save("new", number, tags=["prod", f"t{number}"], notes={"n": number})

    assert calls_of(places) == (
        {**BEGIN, "get refs": 1, "get manifests": 5},
        {**AT_TARGET, "create refs": 1, "create manifests": 5, "swap refs": 1},
    )


def test_a_new_version_of_a_name_that_is_there(places: tuple[Registry, Registry]) -> None:
    """The ref that was compared is the one that is swapped; a tag that moves goes along."""
    places[0].save("old", b"new", tags=["prod"])

    assert calls_of(places) == (
        {**BEGIN, "get refs": 1, "get manifests": 1},
        {**AT_TARGET, "get refs": 1, "create manifests": 1, "swap refs": 1},
    )


def test_labels_alone(places: tuple[Registry, Registry]) -> None:
    """One read of the ref at each side, and one commit."""
    places[0].tag("old", "best")
    places[0].annotate("old", n=1)

    assert calls_of(places) == ({**BEGIN, "get refs": 1}, {**AT_TARGET, "get refs": 1, "swap refs": 1})


def test_versions_with_packs(places: tuple[Registry, Registry]) -> None:
    """A pack of each is read and written; the index is listed before and after, and written once for all of them."""
    for number in range(3):
        places[0].save("new", noise(number, LARGE))

    source, target = calls_of(places)

    assert source == {**BEGIN, "get refs": 1, "get manifests": 3, "get packs": 3}
    assert target == {
        **AT_TARGET,
        "create refs": 1,
        "list index": 2,
        "create packs": 3,
        "create manifests": 3,
        "swap refs": 1,
        "create index": 1,
    }


def test_what_versions_of_one_commit_share_is_stored_once(places: tuple[Registry, Registry]) -> None:
    """Although nothing names the packs of the first when the second is brought."""
    body = noise(1, 3_000_000)
    for number in range(4):
        places[0].save("new", body + noise(10 + number, 1000))

    calls_of(places)

    stored = sum(info.size for info in places[1].backend.list("packs/"))
    assert stored < 3_600_000
    assert places[1].verify(data=True).clean


def test_many_names(places: tuple[Registry, Registry]) -> None:
    """300 names: five requests each and no more; the head is read for several at a time."""
    for number in range(300):
        places[0].save(f"name:{number}", number, tags=["prod"])

    source, target = calls_of(places)

    assert source == {**BEGIN, "get refs": 300, "get manifests": 300}
    heads = target.pop("get gc")
    assert target == {
        **BEGIN,
        "create refs": 300,
        "create manifests": 300,
        "swap refs": 300,
    }
    assert heads == 19  # for 16 names each
    assert calls_of(places) == ({"list refs": 1}, {"list refs": 1})


def test_a_long_history_is_brought_in_steps(places: tuple[Registry, Registry]) -> None:
    """Who is stopped does not begin anew: 150 versions are three commits, each with the head read anew."""
    for number in range(150):
        places[0].save("new", number)

    source, target = calls_of(places)

    assert source["get manifests"] == 150
    assert (target["swap refs"], target["get gc"]) == (3, 3)


def test_a_deletion_is_a_commit_of_its_own(places: tuple[Registry, Registry]) -> None:
    """The source is asked once more before anything goes."""
    places[0].save("old", b"new")
    calls_of(places)
    places[0].delete("old", "1.0.0")

    assert calls_of(places, delete=True) == (
        {**BEGIN, "get refs": 2},
        {**AT_TARGET, "get refs": 2, "swap refs": 1},
    )
