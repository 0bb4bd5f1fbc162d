"""When a long save pins what it has written, and what that costs."""

from __future__ import annotations

import pytest

from casreg import Registry
from casreg.backends.memory import MemoryBackend
from casreg.digest import digest_of
from casreg.packs import PackBuilder
from casreg.repository import Repository
from casreg.repository.searching import Search
from casreg.repository.uploads import PINNING, Pinning, Upload
from registry.lab import noise
from uploads.lab import MINUTE, Clock, Slow, gc, pinned, registry_at, slow_registry, upload_refs

DATA = noise(2_500_000, 1)


def test_a_save_is_long_after_ten_minutes() -> None:
    """Not before: the first request for its pin comes with the first pack that is told of then."""
    place = MemoryBackend()
    slow = Slow(place)
    held: dict[int, int] = {}
    slow.before = lambda number: held.update({number: len(pinned(place))})
    slow_registry(slow).save("large", DATA)
    assert [number for number, many in held.items() if not many] == list(range(10))
    assert held[10] == 10


@pytest.mark.parametrize("seconds", [10.0, 1.0])
def test_fast_packs_are_pinned_together(seconds: float) -> None:
    """Once a minute, however many there are, each time with five requests and a merge of index files."""
    place = MemoryBackend()
    slow = Slow(place)
    slow.seconds = seconds
    registry = registry_at(slow, Pinning(after=0, monotonic=slow.clock))
    registry.save("large", DATA)
    pins = 1 + slow.clock.now // MINUTE
    assert len(slow.log.calls("swap", "refs/~")) <= pins + 1  # and to take it away
    assert len(slow.log.calls("create", "manifests/")) <= pins + 1
    assert len(slow.log.calls(prefix="refs/~")) <= 2 * pins + 3


def test_a_long_save_pins_less_and_less_often() -> None:
    """Each pin names all packs, so that their sizes would sum up to a square. So far they are 40 times the last one."""
    ends, taken = 30 * 86_400.0, PINNING.after
    named = 0.0
    while taken < ends:
        named += taken
        taken += PINNING.wait(taken, hurried=False)
    assert named < 40 * ends
    assert PINNING.wait(ends, hurried=False) < ends / 30


def test_beside_collectors_it_pins_more_often() -> None:
    """Collections come more often than pins: from the first loss on, little is lost."""
    place = MemoryBackend()
    slow = Slow(place)
    slow.before = lambda number: gc(place) if number > 11 else None
    registry = registry_at(slow, Pinning(every=10 * MINUTE, monotonic=slow.clock))
    registry.save("large", DATA)
    assert registry.load("large") == DATA
    assert slow.sent < len(DATA) * 1.5


def test_a_pin_is_refreshed() -> None:
    """Once a day, also by a save that finds everything there and writes nothing: or it would be given up."""
    place, clock = MemoryBackend(), Clock()
    repository = Repository(place, pinning=Pinning(monotonic=clock))
    search, upload = Search(repository, "large", ()), Upload(repository, "large")
    search.find([])
    builder = PackBuilder(bytearray())
    chunk = noise(20_000)
    builder.append(digest_of(chunk), 0, chunk, len(chunk))
    sealed = builder.seal()
    place.create(sealed.key, sealed.data)
    keep = upload.keeper(search)
    said: list[str] = []
    for clock.now in (599.0, 601.0, 700.0, 80_000.0, 90_000.0, 100_000.0, 180_000.0):
        keep([sealed])
        said += [
            entry["created"] for ref in upload_refs(place).values() for entry in ref["versions"].values()
        ]
    assert [said.index(one) for one in said] == [0, 0, 0, 3, 3, 5]
    assert pinned(place) == {sealed.key}
    upload.end()
    assert not pinned(place)


def test_others_save_meanwhile() -> None:
    """What is there already is not pinned; and who saves other names beside a long save is not in its way."""
    place = MemoryBackend()
    slow = Slow(place)
    registry = slow_registry(slow)
    Registry(place).save("large", DATA)
    slow.before = lambda number: Registry(place).save("beside", number)
    assert registry.save("large", DATA, if_changed=True) == "1.0.0"
    assert slow.sent == 0
    registry.save("large", noise(2_000_000, 2))
    assert len(registry.list_versions("beside")) == slow.landed


def test_the_commit_looks_at_no_pinned_pack_again() -> None:
    """However many runs of collectors there were since: each pack is looked at once, when it is pinned."""
    place = MemoryBackend()
    slow = Slow(place)
    slow.before = lambda number: gc(place) if number > 11 else None
    slow_registry(slow).save("large", DATA)
    assert slow.landed > 20
    assert len(slow.log.calls("get", "packs/")) <= slow.landed
