"""Tables of packs: proved before they are believed, kept within bounds, and asked for once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from casreg import codec, tables
from casreg.backends.memory import MemoryBackend
from casreg.digest import Digest, digest_of
from casreg.exceptions import StorageUnavailableError
from casreg.head import INITIAL
from casreg.index import Index
from casreg.packs import TRAILER, PackBuilder, SealedPack, key_of
from casreg.tables import Duplicates, Table, Tables
from casreg.testing.faults import Fault, FaultBackend, FaultKind
from casreg.testing.recording import RecordingBackend
from registry.lab import noise

if TYPE_CHECKING:
    import pytest

HEAD = INITIAL.id


def put(place: MemoryBackend, seed: int, count: int = 3) -> SealedPack:
    """A pack of some chunks at a place."""
    builder = PackBuilder(bytearray())
    for number in range(count):
        data = noise(100, 100 * seed + number)
        builder.append(digest_of(data), codec.RAW, data, len(data))
    sealed = builder.seal()
    place.create(sealed.key, sealed.data)
    return sealed


def digests(seed: int, count: int = 3) -> list[Digest]:
    """The digests of the chunks in such a pack."""
    return [digest_of(noise(100, 100 * seed + number)) for number in range(count)]


def test_a_table_is_read_once() -> None:
    """A table is fetched by one read of exactly its bytes, and then kept."""
    inner = MemoryBackend()
    sealed = put(inner, 1)
    place = RecordingBackend(inner)
    kept = Tables(place)
    for _ in range(3):
        table = kept.get(sealed.ref, HEAD)
        assert table is not None
        assert table.records == sealed.table
    assert [(call.key, call.bytes_out) for call in place.calls] == [(sealed.key, sealed.ref.table_size)]


def test_what_is_gone_or_damaged_is_no_table(caplog: pytest.LogCaptureFixture) -> None:
    """A pack that is gone has no table; one whose table is damaged neither, and that is logged."""
    place = MemoryBackend()
    sealed = put(place, 1)
    data = bytearray(place.get(sealed.key).data)
    data[-TRAILER.size - 5] ^= 1
    place.delete([sealed.key])
    assert Tables(place).get(sealed.ref, HEAD) is None
    place.create(sealed.key, data)
    with caplog.at_level(logging.WARNING, "casreg.tables"):
        assert Tables(place).get(sealed.ref, HEAD) is None
    assert sealed.key in caplog.text


def test_another_reference_is_another_question() -> None:
    """A reference with the same name and other sizes is not answered from memory."""
    place = MemoryBackend()
    sealed = put(place, 1)
    kept = Tables(place)
    assert kept.get(sealed.ref, HEAD)
    assert kept.get(sealed.ref._replace(size=sealed.ref.size - 48), HEAD) is None


def test_the_oldest_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many records are kept; what was used last stays."""
    monkeypatch.setattr(tables, "MAX_RECORDS", 7)
    inner = MemoryBackend()
    packs = [put(inner, seed) for seed in range(3)]
    place = RecordingBackend(inner)
    kept = Tables(place)
    kept.get(packs[0].ref, HEAD)
    kept.get(packs[1].ref, HEAD)
    kept.get(packs[0].ref, HEAD)
    kept.get(packs[2].ref, HEAD)  # the second is given up
    place.log.clear()
    kept.get(packs[0].ref, HEAD)
    kept.get(packs[2].ref, HEAD)
    assert not place.calls
    kept.get(packs[1].ref, HEAD)
    assert len(place.calls) == 1


def test_one_that_is_too_large_is_kept_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A table with more records than the bound is still answered, and forgotten is forgotten."""
    monkeypatch.setattr(tables, "MAX_RECORDS", 2)
    place = MemoryBackend()
    sealed = put(place, 1)
    kept = Tables(place)
    kept.put(Table(sealed.ref, sealed.table, HEAD))
    place.delete([sealed.key])
    assert kept.get(sealed.ref, HEAD)
    kept.forget(sealed.ref.name)
    assert kept.get(sealed.ref, HEAD) is None
    kept.forget("never seen")


def test_near_packs_are_searched_before_the_index() -> None:
    """Chunks of near packs are found without the index; the rest through it; what is to be avoided never."""
    inner = MemoryBackend()
    near, far, bad = put(inner, 1), put(inner, 2), put(inner, 3)
    Index(inner).add([(pack.ref, pack.table) for pack in (near, far, bad)])
    place = RecordingBackend(inner)
    search = Duplicates(Tables(place), Index(place), [near.ref], HEAD, {key_of(bad.ref)})
    assert set(search.find(digests(1))) == set(digests(1))
    assert not place.log.calls(prefix="index/")
    found = search.find([*digests(1), *digests(2), *digests(3), *digests(4)])
    assert set(found) == {*digests(1), *digests(2)}
    assert found[digests(2)[0]].pack == far.ref
    assert search.seen(far.ref.name) == HEAD
    assert search.seen(bad.ref.name) is None


def test_an_index_that_lies_costs_a_read() -> None:
    """A chunk that the index says a pack has, and the pack's table does not, is not found."""
    place = MemoryBackend()
    sealed = put(place, 1)
    Index(place).add([(sealed.ref, digests(7))])
    assert Duplicates(Tables(place), Index(place), [], HEAD, ()).find(digests(7)) == {}


def test_a_storage_that_fails_ends_the_search_soon() -> None:
    """Tables that cannot be read are not built on, and after a few of them nobody asks any more."""
    inner = MemoryBackend()
    packs = [put(inner, seed) for seed in range(20)]
    broken = FaultBackend(
        inner,
        [Fault(1, FaultKind.BEFORE, frozenset({"get"}), "packs/", times=100, error=StorageUnavailableError)],
    )
    search = Duplicates(Tables(broken), Index(broken), [pack.ref for pack in packs], HEAD, ())
    assert search.find(digests(1)) == {}
    assert search.find([*digests(2), *digests(3)]) == {}
    assert broken.fired <= 5


def test_one_unreadable_pack_hinders_no_other() -> None:
    """A pack that cannot be read is passed over, and the others are found."""
    inner = MemoryBackend()
    packs = [put(inner, seed) for seed in range(3)]
    broken = FaultBackend(inner, [Fault(1, FaultKind.BEFORE, frozenset({"get"}), packs[1].key, times=100)])
    search = Duplicates(Tables(broken), Index(broken), [pack.ref for pack in packs], HEAD, ())
    wanted = [digest for seed in range(3) for digest in digests(seed)]
    assert set(search.find(wanted)) == {*digests(0), *digests(2)}
