"""What every backend promises, as tests: one promise each.

    class TestMyBackend(BackendContract):
        def make_backend(self, folder):
            return MyBackend(folder)

Run it with pytest.  The suite asks for nothing but the interface; a backend that can be opened a second time says
how in `reopen`, and one that other processes can reach sets `shared_by_processes`.
"""

from __future__ import annotations

import pickle
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar, Final

import pytest

from casreg.backends.base import Token
from casreg.exceptions import AlreadyExists, Conflict, InvalidArgumentError, NotFound
from casreg.testing.counter_race import race_processes, race_threads

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from casreg.backends.base import Backend

MIB = 1 << 20

NOT_KEYS = (
    "",
    "/",
    "/etc/passwd",
    "a/",
    "a//b",
    "..",
    "../a",
    "a/../b",
    ".",
    "./a",
    "a/.",
    "a\\b",
    "C:/a",
    "a:b",
    "a b",
    "a\0b",
    "a\nb",
    "ä",
    "tmp",
    "tmp/a",
    "locks/00",
    "x" * 256,
    "x/" * 500 + "x",
)
"""What no backend takes for a key."""


class BackendContract:
    """The suite. Subclass it as `Test…` and say in `make_backend` how to make a backend on an empty place."""

    shared_by_processes: ClassVar[bool] = True
    """Whether a pickled handle reaches the same place from another process."""

    pickles: ClassVar[bool] = True
    """Whether handles can be pickled at all."""

    many: ClassVar[int] = 2500
    """How many keys the listing of many keys has: more than any storage lists in one answer."""

    large: ClassVar[int] = 40 * MIB
    """Bytes of the large object: more than any storage takes in one part."""

    def make_backend(self, folder: Path) -> Backend:
        """A backend on an empty place of its own. `folder` exists, is empty, and need not be used."""
        raise NotImplementedError

    def reopen(self, backend: Backend) -> Backend:
        """Another handle on the same place, as another part of the program would make it; by default a copy."""
        return pickle.loads(pickle.dumps(backend)) if self.pickles else backend  # noqa: S301 - our own bytes

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        """What the tests work on."""
        folder = tmp_path / "place"
        folder.mkdir()
        return self.make_backend(folder)

    # reading

    def test_get_returns_what_create_wrote(self, backend: Backend) -> None:
        """What was written is read, byte for byte."""
        backend.create("a/b", b"hello")
        assert backend.get("a/b").data == b"hello"

    def test_another_handle_reads_what_was_written(self, backend: Backend) -> None:
        """A write is seen by other handles as soon as it returns."""
        backend.create("a/b", b"hello")
        assert self.reopen(backend).get("a/b").data == b"hello"

    def test_get_of_a_missing_key_is_not_found(self, backend: Backend) -> None:
        """`NotFound` for a key, on a place that was never written and on one that was."""
        with pytest.raises(NotFound):
            backend.get("a/missing")
        backend.create("a/b", b"hello")
        with pytest.raises(NotFound):
            backend.get("a/missing")
        with pytest.raises(NotFound):
            backend.get("a/b/c")
        with pytest.raises(NotFound):
            backend.get("a")

    def test_get_gives_the_token_of_the_write(self, backend: Backend) -> None:
        """A whole read has the token that the write returned."""
        token = backend.create("a", b"hello")
        assert backend.get("a").token == token
        token = backend.swap("a", b"bye", token)
        assert backend.get("a").token == token

    def test_a_range_is_read_exactly(self, backend: Backend) -> None:
        """`start` is inclusive, `stop` exclusive, and None the end."""
        backend.create("a", b"0123456789")
        for start, stop in ((0, 1), (0, 10), (3, 7), (9, 10), (5, None), (0, 4)):
            assert backend.get("a", start, stop).data == b"0123456789"[start:stop], (start, stop)

    def test_a_range_past_the_end_gives_what_is_there(self, backend: Backend) -> None:
        """A range that goes past the end is cut, one that begins there is empty."""
        backend.create("a", b"0123456789")
        assert backend.get("a", 8, 100).data == b"89"
        assert backend.get("a", 10, 20).data == b""
        assert backend.get("a", 50, 60).data == b""
        assert backend.get("a", 50).data == b""
        assert backend.get("a", 4, 4).data == b""

    def test_a_ranged_read_has_no_token(self, backend: Backend) -> None:
        """A token names all of the bytes, so only a whole read has one."""
        backend.create("a", b"0123456789")
        assert backend.get("a", 1).token is None
        assert backend.get("a", 0, 5).token is None

    def test_a_range_of_a_missing_key_is_not_found(self, backend: Backend) -> None:
        """An empty range is no excuse."""
        with pytest.raises(NotFound):
            backend.get("a", 0, 0)

    def test_wrong_ranges_are_refused(self, backend: Backend) -> None:
        """Negative numbers, and a stop before the start."""
        backend.create("a", b"0123456789")
        for start, stop in ((-1, None), (0, -1), (5, 4)):
            with pytest.raises(InvalidArgumentError):
                backend.get("a", start, stop)

    # reading again, with what was read before

    def test_a_reader_that_holds_the_present_state_gets_it(self, backend: Backend) -> None:
        """Bytes and token are those of a reading without `held`, however the storage came to know them."""
        backend.create("a", b"first")
        found = backend.get("a")
        assert backend.get("a", held=found) == found
        assert self.reopen(backend).get("a", held=found) == found

    def test_a_reader_that_holds_an_older_state_gets_the_present_one(self, backend: Backend) -> None:
        """Bytes and token are new as soon as a swap returned, by whatever handle."""
        token = backend.create("a", b"first")
        found = backend.get("a")
        token = self.reopen(backend).swap("a", b"other", token)
        again = backend.get("a", held=found)
        assert (again.data, again.token) == (b"other", token)
        last = backend.swap("a", b"third", token)
        for held in (found, again):
            present = backend.get("a", held=held)
            assert (present.data, present.token) == (b"third", last)

    def test_a_reader_that_holds_what_is_gone_is_told(self, backend: Backend) -> None:
        """`NotFound` once the key was deleted; what is created there afterwards is what is read."""
        backend.create("a", b"first")
        found = backend.get("a")
        backend.delete(["a"])
        with pytest.raises(NotFound):
            backend.get("a", held=found)
        token = backend.create("a", b"other")
        again = backend.get("a", held=found)
        assert (again.data, again.token) == (b"other", token)

    def test_a_range_is_read_whatever_the_reader_holds(self, backend: Backend) -> None:
        """`held` is for whole reads: a range gives its bytes, and no token."""
        backend.create("a", b"0123456789")
        found = backend.get("a")
        for start, stop in ((0, 10), (3, 7), (5, None)):
            part = backend.get("a", start, stop, held=found)
            assert (part.data, part.token) == (b"0123456789"[start:stop], None)

    def test_what_a_reader_holds_is_good_for_a_swap(self, backend: Backend) -> None:
        """The token of a reading with `held` names the present state, as that of any reading does."""
        backend.create("a", b"first")
        again = backend.get("a", held=backend.get("a"))
        assert again.token is not None
        backend.swap("a", b"second", again.token)
        assert backend.get("a").data == b"second"

    # writing

    def test_create_refuses_an_existing_key(self, backend: Backend) -> None:
        """`AlreadyExists`, with the same bytes or others, and nothing changes."""
        token = backend.create("a", b"first")
        for data in (b"second", b"first", b""):
            with pytest.raises(AlreadyExists):
                backend.create("a", data)
        found = backend.get("a")
        assert (found.data, found.token) == (b"first", token)

    def test_create_works_without_durability(self, backend: Backend) -> None:
        """`durable=False` changes nothing that anybody can see while the power is on."""
        token = backend.create("a", b"first", durable=False)
        assert backend.get("a").data == b"first"
        with pytest.raises(AlreadyExists):
            backend.create("a", b"second", durable=False)
        backend.swap("a", b"second", token)
        assert backend.get("a").data == b"second"

    def test_swap_with_the_current_token_replaces(self, backend: Backend) -> None:
        """The bytes are the new ones, and the token is a new one."""
        old = backend.create("a", b"first")
        new = backend.swap("a", b"second", old)
        assert new != old
        assert backend.get("a").data == b"second"

    def test_swap_takes_the_token_of_a_read(self, backend: Backend) -> None:
        """Whoever has read it may replace it, from any handle."""
        backend.create("a", b"first")
        other = self.reopen(backend)
        other.swap("a", b"second", token_of(other, "a"))
        assert backend.get("a").data == b"second"

    def test_swap_with_an_old_token_conflicts(self, backend: Backend) -> None:
        """Who has read an older state does not overwrite a newer one."""
        old = backend.create("a", b"first")
        current = backend.swap("a", b"second", old)
        with pytest.raises(Conflict):
            backend.swap("a", b"third", old)
        found = backend.get("a")
        assert (found.data, found.token) == (b"second", current)

    def test_swap_with_the_token_of_another_key_conflicts(self, backend: Backend) -> None:
        """A token is good for the state that it names, and for no other."""
        backend.create("a", b"first")
        other = backend.create("b", b"other")
        with pytest.raises(Conflict):
            backend.swap("a", b"second", other)
        assert backend.get("a").data == b"first"

    def test_swap_of_a_missing_key_conflicts(self, backend: Backend) -> None:
        """`swap` never makes a key, not even one that was there."""
        token = backend.create("a", b"first")
        with pytest.raises(Conflict):
            backend.swap("b", b"second", token)
        backend.delete(["a"])
        with pytest.raises(Conflict):
            backend.swap("a", b"second", token)
        assert [row.key for row in backend.list("")] == []

    def test_swap_on_a_place_never_written_conflicts(self, backend: Backend) -> None:
        """And makes nothing there."""
        with pytest.raises(Conflict):
            backend.swap("a/b", b"second", FOREIGN_TOKEN)
        assert [row.key for row in backend.list("")] == []

    def test_the_lost_race_is_seen_after_the_state_came_back(self, backend: Backend) -> None:
        """A, B, A with bodies that are unique, as all that is swapped has: the first A's token is not the last's."""
        first = backend.create("a", b"A write 1")
        second = backend.swap("a", b"B write 2", first)
        third = backend.swap("a", b"A write 3", second)
        assert len({first, second, third}) == 3
        for stale in (first, second):
            with pytest.raises(Conflict):
                backend.swap("a", b"C", stale)

    def test_a_key_made_anew_has_another_token(self, backend: Backend) -> None:
        """Deleted and created with other bytes: the old token is worth nothing."""
        old = backend.create("a", b"first")
        backend.delete(["a"])
        backend.create("a", b"second")
        with pytest.raises(Conflict):
            backend.swap("a", b"third", old)

    def test_equal_tokens_mean_equal_bytes(self, backend: Backend) -> None:
        """Many states of one key, close in time and of one length: whoever has equal tokens has equal bytes."""
        states: dict[Token, bytes] = {}
        token = backend.create("a", b"state 000")
        states[token] = b"state 000"
        for number in range(1, 50):
            data = b"state %03d" % number
            token = backend.swap("a", data, token)
            assert states.setdefault(token, data) == data

    def test_any_bytes_are_kept(self, backend: Backend) -> None:
        """All values, line ends of every kind, nothing at all."""
        for number, data in enumerate(
            (b"", b"\0", bytes(range(256)), b"a\r\nb\nc\r\x1a", b"\xff\xfe" * 1000)
        ):
            backend.create(f"binary/{number}", data)
            assert backend.get(f"binary/{number}").data == data

    def test_any_buffer_can_be_written(self, backend: Backend) -> None:
        """`bytes`, `bytearray`, a `memoryview`, a part of one, and one of numbers."""
        backend.create("a", bytearray(b"bytearray"))
        assert backend.get("a").data == b"bytearray"
        backend.create("b", memoryview(b"--memoryview--")[2:-2])
        assert backend.get("b").data == b"memoryview"
        numbers = memoryview(b"\1\0\0\0\2\0\0\0").cast("I")
        token = backend.create("c", numbers)
        assert backend.get("c").data == numbers.tobytes()
        token = backend.swap("c", bytearray(b"swapped"), token)
        backend.swap("c", memoryview(b"again"), token)
        assert backend.get("c").data == b"again"

    def test_the_buffer_belongs_to_the_caller_again(self, backend: Backend) -> None:
        """What the caller does with its buffer after the call changes nothing that was written."""
        buffer = bytearray(b"before")
        backend.create("a", buffer)
        buffer[:] = b"after!"
        assert backend.get("a").data == b"before"

    def test_a_large_object_is_kept(self, backend: Backend) -> None:
        """More than any storage takes in one piece, whole and in ranges."""
        data = bytes(range(251)) * (self.large // 251 + 1)
        token = backend.create("large", memoryview(data))
        found = backend.get("large")
        assert found.data == data
        assert found.token == token
        middle = len(data) // 2
        assert backend.get("large", middle, middle + 1000).data == data[middle : middle + 1000]
        assert backend.get("large", len(data) - 10).data == data[-10:]

    def test_what_is_not_a_key_is_refused(self, backend: Backend) -> None:
        """By every method, before anything happens."""
        for key in NOT_KEYS:
            for act in uses_of(backend, key):
                with pytest.raises(InvalidArgumentError):
                    act()
        assert [row.key for row in backend.list("")] == []

    # listing

    def test_a_place_never_written_lists_as_empty(self, backend: Backend) -> None:
        """And so does a prefix that has no keys."""
        assert list(backend.list("")) == []
        backend.create("a/b", b"")
        assert list(backend.list("c")) == []
        assert list(backend.list("a/b/")) == []

    def test_a_listing_is_in_the_order_of_the_bytes(self, backend: Backend) -> None:
        """Of whole keys: `/` counts as the character that it is, between `.` and `0`."""
        keys = [
            "a!b",
            "a-b",
            "a.b",
            "a/b",
            "a/b-c",
            "a/b.c/d",
            "a/b0",
            "a0",
            "a1/b",
            "Q/z",
            "a~",
            "aa/b",
            "b",
            "Z",
        ]
        fill(backend, keys)
        assert [row.key for row in backend.list("")] == sorted(keys)

    def test_a_prefix_may_end_anywhere(self, backend: Backend) -> None:
        """It is the beginning of a text, not a folder."""
        keys = [
            "refs/a",
            "refs/ab",
            "refs/abc/d",
            "refs/b",
            "refsx",
            "ref",
            "packs/00/a",
            "packs/01/a",
            "packs/0b",
        ]
        fill(backend, keys)
        for prefix in (
            "r",
            "ref",
            "refs",
            "refs/",
            "refs/a",
            "refs/ab",
            "refs/abc",
            "refs/abc/",
            "packs/0",
            "x",
            "/",
        ):
            expected = sorted(key for key in keys if key.startswith(prefix))
            assert [row.key for row in backend.list(prefix)] == expected, prefix

    def test_a_listing_goes_on_after_any_key(self, backend: Backend) -> None:
        """`after` need not exist, and is itself left out."""
        keys = sorted(["a-b", "a/b", "a/c/d", "a/c/e", "a/d", "a0", "b/a", "b/b", "c"])
        fill(backend, keys)
        for after in (*keys, "", "a", "a/", "a/c", "a/c/", "a/c/dd", "a/z", "a.", "b", "b/", "b/aa", "z"):
            for prefix in ("", "a", "a/", "a/c/", "b/"):
                expected = [key for key in keys if key.startswith(prefix) and key > after]
                assert [row.key for row in backend.list(prefix, after)] == expected, (prefix, after)

    def test_rows_tell_size_and_time(self, backend: Backend) -> None:
        """Bytes, and seconds since the epoch by a clock that is at most an hour away from ours."""
        backend.create("a", b"12345")
        backend.create("b", b"")
        rows = list(backend.list(""))
        assert [row.size for row in rows] == [5, 0]
        assert all(abs(row.modified - time.time()) < 3600 for row in rows)

    def test_a_token_in_a_row_is_that_of_the_state(self, backend: Backend) -> None:
        """Where a listing tells a token at all, it is the one that a read gives."""
        backend.swap("a", b"2", backend.create("a", b"1"))
        for row in backend.list(""):
            assert row.token in (None, backend.get(row.key).token)

    def test_many_keys_are_listed(self, backend: Backend) -> None:
        """All of them, once, in order, and so when somebody writes and deletes meanwhile."""
        keys = [f"many/{number:06d}" for number in range(self.many)]
        fill(backend, random.Random(1).sample(keys, len(keys)))
        seen: list[str] = []
        for row in backend.list("many/"):
            if len(seen) == self.many // 2:
                backend.create("many/zzz", b"")
                backend.delete(["many/000000"])
            seen.append(row.key)
        assert [key for key in seen if key != "many/zzz"] == keys
        assert [row.key for row in backend.list("many/", keys[-2])] == [keys[-1], "many/zzz"]

    def test_a_listing_may_be_left(self, backend: Backend) -> None:
        """Whoever has seen enough stops, and everything works on."""
        fill(backend, [f"a/{number}" for number in range(10)])
        rows = backend.list("a/")
        assert next(rows).key == "a/0"
        del rows
        backend.create("a/x", b"")
        assert next(backend.list("a/", "a/9")).key == "a/x"

    # deleting

    def test_delete_removes(self, backend: Backend) -> None:
        """When it returns, none of the keys is there, for any handle; all others are."""
        fill(backend, ["a/1", "a/2", "b/1"])
        backend.delete(["a/1", "b/1"])
        other = self.reopen(backend)
        assert [row.key for row in other.list("")] == ["a/2"]
        with pytest.raises(NotFound):
            other.get("a/1")

    def test_delete_of_a_missing_key_is_fine(self, backend: Backend) -> None:
        """Once, twice, among others, on a place never written, and none at all."""
        backend.delete(["a/missing"])
        fill(backend, ["a/1", "a/2"])
        backend.delete(["a/missing", "a/1", "a/1/2", "missing", "a"])
        backend.delete(["a/1"])
        backend.delete([])
        assert [row.key for row in backend.list("")] == ["a/2"]

    def test_delete_takes_any_iterable(self, backend: Backend) -> None:
        """Also one that can be read only once."""
        fill(backend, [f"a/{number}" for number in range(5)])
        backend.delete(f"a/{number}" for number in range(5))
        assert list(backend.list("")) == []

    def test_a_deleted_key_can_be_created(self, backend: Backend) -> None:
        """With any bytes."""
        backend.create("a", b"first")
        backend.delete(["a"])
        backend.create("a", b"first")
        assert backend.get("a").data == b"first"

    # many at once

    def test_racing_creates_have_one_winner(self, backend: Backend) -> None:
        """Of many threads that create one key at once, one succeeds, and its bytes are what is there."""
        for round_ in range(10):
            key = f"race/{round_}"

            def create(number: int, key: str = key) -> int | None:
                try:
                    backend.create(key, b"%d" % number)
                except AlreadyExists:
                    return None
                return number

            with ThreadPoolExecutor(8) as pool:
                winners = [number for number in pool.map(create, range(8)) if number is not None]
            assert len(winners) == 1
            assert backend.get(key).data == b"%d" % winners[0]

    def test_racing_swaps_have_one_winner(self, backend: Backend) -> None:
        """Of many threads that hold the current token, one succeeds."""
        token = backend.create("race", b"start")
        for round_ in range(10):

            def swap(number: int, round_: int = round_, expected: Token = token) -> Token | None:
                try:
                    return backend.swap("race", b"%d by %d" % (round_, number), expected)
                except Conflict:
                    return None

            with ThreadPoolExecutor(8) as pool:
                winners = [won for won in pool.map(swap, range(8)) if won is not None]
            assert len(winners) == 1
            token = winners[0]
            assert backend.get("race").token == token

    def test_readers_never_see_a_mixture(self, backend: Backend) -> None:
        """While somebody swaps, everybody else reads one written state or another, whole."""
        states = [bytes([number]) * (1000 + 5000 * (number % 7)) for number in range(30)]
        token = backend.create("a", states[0])

        def read() -> set[bytes]:
            return {backend.get("a").data for _ in range(60)}

        with ThreadPoolExecutor(3) as pool:
            readers = [pool.submit(read) for _ in range(3)]
            for state in states[1:]:
                token = backend.swap("a", state, token)
            seen = set().union(*(reader.result() for reader in readers))
        assert seen <= set(states)

    def test_threads_do_not_disturb_each_other(self, backend: Backend) -> None:
        """Threads that each write, read, list and delete below a prefix of their own find what they left."""

        def work(number: int) -> None:
            prefix = f"thread/{number}/"
            for step in range(10):
                backend.create(f"{prefix}{step}", b"%d %d" % (number, step))
                assert backend.get(f"{prefix}{step}").data == b"%d %d" % (number, step)
            assert len(list(backend.list(prefix))) == 10
            backend.delete([f"{prefix}{step}" for step in range(0, 10, 2)])
            assert [row.key for row in backend.list(prefix)] == [
                f"{prefix}{step}" for step in range(1, 10, 2)
            ]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))

    def test_a_pickled_handle_is_another_handle(self, backend: Backend) -> None:
        """It reaches the same place, and names it the same."""
        if not self.pickles:
            pytest.skip("these handles do not pickle")
        backend.create("a", b"hello")
        copy = pickle.loads(pickle.dumps(backend))  # noqa: S301 - our own bytes
        assert copy.location == backend.location
        assert copy.get("a").data == b"hello"

    def test_the_location_is_a_uri(self, backend: Backend) -> None:
        """It has a scheme, and asking for it makes nothing."""
        assert "://" in backend.location
        assert list(backend.list("")) == []

    def test_threads_count_together(self, backend: Backend) -> None:
        """8 threads add 25 each, by compare-and-swap: 200."""
        assert race_threads(backend) == 200

    def test_processes_count_together(self, backend: Backend) -> None:
        """8 processes add 25 each, by compare-and-swap: 200."""
        if not self.shared_by_processes:
            pytest.skip("no other process reaches this place")
        assert race_processes(backend) == 200


FOREIGN_TOKEN: Final = Token("no-storage-has-ever-given-this-token")


def fill(backend: Backend, keys: list[str]) -> None:
    """Make all the keys, empty, several at once."""
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(backend.create, key, b"", durable=False) for key in keys]:
            done.result()


def token_of(backend: Backend, key: str) -> Token:
    """The token of what is there now."""
    token = backend.get(key).token
    assert token is not None, "a whole read has a token"
    return token


def uses_of(backend: Backend, key: str) -> list[Callable[[], object]]:
    """Every method that takes a key, on this one."""
    return [
        lambda: backend.get(key),
        lambda: backend.create(key, b""),
        lambda: backend.swap(key, b"", FOREIGN_TOKEN),
        lambda: backend.delete([key]),
    ]
