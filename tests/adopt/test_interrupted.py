"""An adoption that is killed, or meets a bad network, leaves everything as whole as it was; the next one does all of it."""

from __future__ import annotations

from functools import cache, partial
from itertools import count
from typing import TYPE_CHECKING

import pytest

from adopt.lab import Killed, collected_until, copied, garbage, head, marker, refs
from casreg import Registry
from casreg.adopt import adoption
from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CasregError, CorruptError
from casreg.keys import is_data_key
from casreg.testing import Fault, FaultBackend, FaultKind
from casreg.testing.faults import METHODS, until_clean
from collector.lab import check, loads
from verify.lab import Between, files_of, harm_key, overwrite

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from casreg.progress import Progress

WRITES = frozenset({"create", "swap", "delete"})
FOR_EVER = 10**9


@cache
def files() -> Mapping[str, bytes]:
    """Of a place where a collector died with a verdict, whose index names a pack that is gone."""
    place = MemoryBackend()
    registry = Registry(place, cache=False)
    registry.save("one", b"one" * 20_000, tags=["prod"])
    registry.save("two", {"n": 2})
    garbage(place)
    registry.gc(min_age=0, undelete_window=0)
    registry.save("other:waste", b"other" * 20_000)
    registry.delete("other:waste")
    collected_until(place, "verdict")
    return files_of(place)


SAID = {"one@1.0.0": b"one" * 20_000, "two@1.0.0": {"n": 2}}


def a_copy() -> MemoryBackend:
    """A copy of it."""
    place = MemoryBackend()
    copied(files(), place)
    return place


def is_right(place: MemoryBackend) -> None:
    """It was adopted, and is as any other registry."""
    before = marker(copied(files(), MemoryBackend()))
    said = marker(place)
    assert said["id"] != before["id"]
    assert said["probe"]["place"] == place.location
    assert head(place)["state"] == "idle"
    old = refs(copied(files(), MemoryBackend()))
    for key, ref in refs(place).items():
        assert key not in old or ref["write"] not in old[key]["recent"]
    assert loads(place) == SAID
    check(place)
    Registry(place).gc(min_age=0, undelete_window=0)
    assert loads(place) == SAID
    assert Registry(place).verify(data=True).damages == ()


@pytest.mark.parametrize("kind", [FaultKind.BEFORE, FaultKind.AFTER, FaultKind.LATE])
def test_killed_at_any_write(kind: FaultKind) -> None:
    """Nothing is lost, nobody has to wait for it, and an adoption after that ends right, also if what was sent lands then."""
    for at in count(1):
        place = a_copy()
        dying = FaultBackend(place, [Fault(at, kind, WRITES, times=FOR_EVER, error=Killed)])
        try:
            Registry(dying, cache=False).adopt()
        except Killed:
            assert {key for key in files() if is_data_key(key)} <= files_of(place).keys()
            assert loads(place) == SAID
            Registry(place).save("two", {"n": 3})
            assert Registry(place).load("two") == {"n": 3}
            assert Registry(place).delete("two@1.0.1")
            assert Registry(place).adopt().clean
            dying.deliver()
            is_right(place)
        else:
            assert at > 15
            return


@pytest.mark.parametrize("kind", FaultKind)
def test_one_answer_is_lost(kind: FaultKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever request fails, is done all the same, twice or late: it is adopted, or says what failed; again ends right."""
    monkeypatch.setattr("time.sleep", lambda _: None)

    def scenario(backend: FaultBackend) -> None:
        try:
            done = Registry(backend, cache=False).adopt()
        except CasregError as err:
            assert "on purpose" in f"{err}{err.__cause__}"  # noqa: PT017 - it may or may not raise
            assert loads(backend.inner) == SAID
            backend.deliver()
            assert Registry(backend.inner).adopt().clean
        else:
            # A file that could not be read for a moment is not called damaged.
            assert all(one.severity != "damage" for one in done.report.damages)
            backend.deliver()
        place = backend.inner
        assert isinstance(place, MemoryBackend)
        is_right(place)

    methods = METHODS if kind is FaultKind.BEFORE else WRITES
    assert until_clean(a_copy, scenario, kind, methods=methods) > (80 if methods is METHODS else 20)


@pytest.mark.parametrize("kind", [FaultKind.AFTER, FaultKind.LATE, FaultKind.DOUBLED])
def test_a_lost_answer_to_a_commit_is_found_out(kind: FaultKind, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ref, or the head, that was written is recognised as its own: nothing is said to have failed."""
    monkeypatch.setattr("time.sleep", lambda _: None)
    for prefix in ("refs/", "gc/head"):

        def scenario(backend: FaultBackend) -> None:
            assert Registry(backend, cache=False).adopt().clean
            place = backend.inner
            assert isinstance(place, MemoryBackend)
            is_right(place)

        ran = until_clean(a_copy, scenario, kind, methods=frozenset({"create", "swap"}), prefix=prefix)
        assert ran == {"refs/": 4, "gc/head": 3}[prefix]


@pytest.mark.parametrize("other", ["adopt", "gc", "save"])
def test_somebody_else_in_the_middle(other: str) -> None:
    """Another adoption, a collection or a save before any write: it ends right, and nothing is lost."""
    for at in count(1):
        place = a_copy()
        somebody = Registry(place)
        works: dict[str, Callable[[], object]] = {
            "adopt": somebody.adopt,
            "gc": partial(somebody.gc, min_age=0, undelete_window=0),
            "save": partial(somebody.save, "two", b"other" * 20_000),
        }
        meanwhile = Between(place, at, works[other], WRITES)
        assert Registry(meanwhile, cache=False).adopt().clean
        if other == "save" and meanwhile.done:
            assert Registry(place).load("two@1.0.1") == b"other" * 20_000
            Registry(place).delete("two@1.0.1")
        is_right(place)
        if not meanwhile.done:
            assert at > 15
            return


def test_what_an_adoption_leaves_that_dies_in_its_run() -> None:
    """A run that condemns nothing: whoever collects next takes it to its end, and nobody has to avoid anything."""
    place = a_copy()
    dying = FaultBackend(place, [Fault(1, FaultKind.AFTER, WRITES, "gc/head", times=FOR_EVER, error=Killed)])
    with pytest.raises(Killed):
        Registry(dying, cache=False).adopt()
    assert (head(place)["state"], head(place)["names"], head(place)["kept"]) == ("condemned", None, [])
    done = Registry(place).gc(min_age=0, undelete_window=0)
    assert done.runs[0] == head(place)["kept"][0]["id"][1]
    stamps = {tuple(ref["stamp"]) for ref in refs(place).values()}
    assert stamps == {tuple(head(place)["kept"][-1]["id"])}
    assert loads(place) == SAID


def test_a_name_that_comes_meanwhile_is_adopted_too() -> None:
    """Saved before any write by somebody who knew the old head: its ref is marked like all others."""
    for at in count(1):
        place = a_copy()
        meanwhile = Between(place, at, partial(Registry(place).save, "new", 3), WRITES)
        assert Registry(meanwhile, cache=False).adopt().clean
        assert {tuple(ref["stamp"]) for ref in refs(place).values()} == {tuple(head(place)["id"])}
        if not meanwhile.done:
            assert at > 15
            return


def test_a_head_that_is_damaged_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, and not taken for damage of the refs; also if it is mended before the end."""
    monkeypatch.setattr(adoption, "_LOCAL_THREADS", 1)
    place = a_copy()
    whole: list[bytes] = []

    def between(told: Progress) -> None:
        if told.phase == "adopt" and told.done == 1:
            whole.append(place.get("gc/head").data)
            harm_key(place, "gc/head")
        elif told.phase == "adopt" and told.done == told.total:
            overwrite(place, "gc/head", whole[0])

    with pytest.raises(CorruptError, match="gc/head"):
        Registry(place).adopt(progress=between)
    overwrite(place, "gc/head", whole[0])
    assert Registry(place).adopt().clean
    is_right(place)
