"""The index: it finds what was added, stays small, and never harms whoever believes it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings, strategies as st

from casreg.backends.memory import MemoryBackend
from casreg.digest import Digest, digest_of
from casreg.exceptions import StorageFullError, StoragePermissionError
from casreg.index import ENTRY, Index, encode
from casreg.keys import INDEX
from casreg.model import PackRef
from casreg.packs import RECORD
from casreg.testing.faults import Fault, FaultBackend, FaultKind
from casreg.testing.recording import RecordingBackend

if TYPE_CHECKING:
    from collections.abc import Iterable

    from casreg.backends.base import Backend


def pack(number: int) -> PackRef:
    """A pack that need not exist."""
    name = f"{digest_of(b'hook %d' % number).hex()[:16]}-{digest_of(b'pack %d' % number).hex()}"
    return PackRef(name, 100_000 + number, RECORD.size * 10, digest_of(b"table %d" % number))


def chunks(number: int, count: int) -> list[Digest]:
    """Digests of the chunks of a pack."""
    return [digest_of(b"%d %d" % (number, at)) for at in range(count)]


def found(index: Index, digests: Iterable[Digest]) -> dict[Digest, set[PackRef]]:
    """What the index says."""
    answers: dict[Digest, set[PackRef]] = {}
    for digest, where in index.find(digests):
        answers.setdefault(digest, set()).add(where)
    return answers


def files(place: Backend) -> int:
    """How many files the index has."""
    return len(list(place.list(INDEX)))


def test_an_empty_index() -> None:
    """Where nothing was added nothing is found, and asking for nothing asks nobody."""
    place = RecordingBackend(MemoryBackend())
    index = Index(place)
    assert found(index, []) == {}
    assert not place.calls
    assert found(index, chunks(1, 5)) == {}


@settings(max_examples=60)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12), fresh=st.booleans())
def test_what_was_added_is_found(sizes: list[int], fresh: bool) -> None:
    """Each chunk of each pack is found, whatever was merged meanwhile, by who added it and by another."""
    place = MemoryBackend()
    index = Index(place)
    for number, size in enumerate(sizes):
        index.add([(pack(number), chunks(number, size))])
    asked = Index(place) if fresh else index
    wanted = {digest: {pack(number)} for number, size in enumerate(sizes) for digest in chunks(number, size)}
    assert found(asked, wanted) == wanted
    assert found(asked, chunks(99, 20)) == {}
    one = next(iter(wanted))
    assert found(asked, [one]) == {one: wanted[one]}


def test_one_chunk_in_many_packs() -> None:
    """A chunk that several packs have is found in each."""
    place = MemoryBackend()
    same = chunks(0, 3)
    for number in range(4):
        Index(place).add([(pack(number), same)])
    assert found(Index(place), same[:1]) == {same[0]: {pack(number) for number in range(4)}}


def test_prefixes_that_are_equal() -> None:
    """Digests that begin alike are proposed alike: the table of the pack tells them apart."""
    place = MemoryBackend()
    first, second = Digest(b"same8byt" + b"1" * 24), Digest(b"same8byt" + b"2" * 24)
    Index(place).add([(pack(1), [first])])
    assert found(Index(place), [second]) == {second: {pack(1)}}


def test_matches_between_entries_do_not_count() -> None:
    """Bytes that look like a digest but lie across two entries are not taken for one."""
    place = MemoryBackend()
    # The second half of the one entry and the beginning of the next spell the digest that is sought.
    Index(place).add(
        [(pack(1), [Digest(b"\0\0\0\0\0\0\0\1" + bytes(24)), Digest(b"\0\0\0\0\0\0\0\2" + bytes(24))])]
    )
    sought = Digest(b"\0\0\0\1\0\0\0\0" + bytes(24))
    assert found(Index(place), [sought]) == {}


def test_files_grow_with_the_logarithm() -> None:
    """A thousand saves leave a handful of files, and each entry is written about a dozen times, not a thousand."""
    place = RecordingBackend(MemoryBackend())
    index = Index(place)
    for number in range(1_000):
        index.add([(pack(number), chunks(number, 20))])
        assert files(place.inner) <= 14
    written = sum(call.bytes_in for call in place.log.calls("create"))
    kept = sum(info.size for info in place.inner.list(INDEX))
    assert written < 20 * kept
    wanted = {digest: {pack(number)} for number in range(0, 1_000, 97) for digest in chunks(number, 20)}
    assert found(Index(place.inner), wanted) == wanted


def test_a_few_chunks_read_little_of_a_big_file() -> None:
    """Looking for a few chunks among a hundred thousand reads some kilobytes."""
    inner = MemoryBackend()
    Index(inner).add([(pack(number), chunks(number, 1_000)) for number in range(100)])
    place = RecordingBackend(inner)
    index = Index(place)
    assert len(found(index, chunks(50, 3))) == 3
    assert sum(call.bytes_out for call in place.calls) < 60_000
    place.log.clear()
    assert len(found(index, chunks(50, 3))) == 3
    assert sum(call.bytes_out for call in place.calls) < 30_000


def test_many_chunks_read_a_big_file_about_once() -> None:
    """Looking for very many chunks reads the file about once, in large steps."""
    inner = MemoryBackend()
    Index(inner).add([(pack(number), chunks(number, 1_000)) for number in range(100)])
    place = RecordingBackend(inner)
    wanted = [digest for number in range(0, 100, 2) for digest in chunks(number, 1_000)]
    assert len(found(Index(place), wanted)) == len(wanted)
    assert sum(call.bytes_out for call in place.calls) < 2 * 100_000 * ENTRY
    assert len(place.calls) < 200


def test_a_file_that_was_merged_while_it_was_searched() -> None:
    """If another writer merges files between the listing and the reading, what they held is still found."""
    inner = MemoryBackend()
    Index(inner).add([(pack(1), chunks(1, 50))])

    class Merging(RecordingBackend):
        def list(self, prefix: str, after: str = ""):  # type: ignore[no-untyped-def]
            rows = list(super().list(prefix, after))
            if not self.log.calls("get"):
                Index(inner).add([(pack(2), chunks(2, 60))])
            return iter(rows)

    wanted = chunks(1, 50)
    assert set(found(Index(Merging(inner)), wanted)) == set(wanted)


def test_a_file_that_is_always_gone() -> None:
    """A file that is listed and never there ends the search, without an error."""
    inner = MemoryBackend()
    Index(inner).add([(pack(1), chunks(1, 50))])
    place = FaultBackend(inner, [])

    class Gone(RecordingBackend):
        def list(self, prefix: str, after: str = ""):  # type: ignore[no-untyped-def]
            rows = list(super().list(prefix, after))
            inner.delete([row.key for row in rows])
            return iter(rows)

    assert found(Index(Gone(place)), chunks(1, 50)) == {}


@pytest.mark.parametrize("error", [StorageFullError, StoragePermissionError])
@pytest.mark.parametrize("method", ["create", "delete", "list", "get"])
def test_trouble_is_logged_and_not_raised(
    method: str, error: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the storage refuses while the index is brought up to date, the caller goes on."""
    inner = MemoryBackend()
    Index(inner).add([(pack(1), chunks(1, 50))])
    place = FaultBackend(inner, [Fault(1, FaultKind.BEFORE, frozenset({method}), times=100, error=error)])
    caplog.set_level("DEBUG", "casreg.index")
    Index(place).add([(pack(2), chunks(2, 50))])
    assert place.fired
    if method != "create":
        assert set(found(Index(inner), chunks(2, 50))) == set(chunks(2, 50))
    assert set(found(Index(inner), chunks(1, 50))) == set(chunks(1, 50))
    if method in {"list", "get"}:
        assert found(Index(place), chunks(1, 50)) == {}


def test_who_may_not_delete_does_not_merge() -> None:
    """A writer without the right to delete adds files and merges none: merging would only make the index larger."""

    class NoDelete(MemoryBackend):
        def delete(self, keys: Iterable[str]) -> None:
            raise StoragePermissionError("you may not")

    place = NoDelete()
    index = Index(place)
    for number in range(10):
        index.add([(pack(number), chunks(number, 20))])
    assert files(place) == 10
    wanted = {digest: {pack(number)} for number in range(10) for digest in chunks(number, 20)}
    assert found(Index(place), wanted) == wanted


def test_files_of_others_are_left_alone() -> None:
    """A file that is no index is not used, not merged and not removed."""
    place = MemoryBackend()
    place.create(f"{INDEX}{'f' * 64}", b"something else")
    place.create(f"{INDEX}readme", b"")
    index = Index(place)
    for number in range(5):
        index.add([(pack(number), chunks(number, 20))])
    assert place.get(f"{INDEX}{'f' * 64}").data == b"something else"
    assert place.get(f"{INDEX}readme").data == b""
    assert set(found(Index(place), chunks(3, 20))) == set(chunks(3, 20))


def test_two_files_with_the_same_entries_have_two_names() -> None:
    """Each file has a nonce, so that its name is used once."""
    rows = [digest[:8] + bytes(4) for digest in chunks(1, 5)]
    assert encode([pack(1)], rows) != encode([pack(1)], rows)
