"""The memory backend beyond the contract: who shares a place, and for how long."""

from __future__ import annotations

import gc
import os
import pickle

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import Conflict, InvalidArgumentError


def test_handles_of_one_name_share_a_place() -> None:
    """Also one that is made when all others are gone."""
    MemoryBackend("shared-place").create("a", b"hello")
    gc.collect()
    assert MemoryBackend("shared-place").get("a").data == b"hello"
    assert MemoryBackend("shared-place").location == "memory://shared-place"


def test_handles_without_a_name_share_nothing() -> None:
    """Each has a place of its own, with a location of its own."""
    first, second = MemoryBackend(), MemoryBackend()
    first.create("a", b"hello")
    assert list(second.list("")) == []
    assert first.location != second.location


def test_a_place_without_a_name_ends_with_its_handles() -> None:
    """Nobody could reach it, so it keeps no memory."""
    backend = MemoryBackend()
    pickled = pickle.dumps(backend)
    backend.create("a", b"hello")
    assert pickle.loads(pickled).get("a").data == b"hello"
    del backend
    gc.collect()
    assert list(pickle.loads(pickled).list("")) == []


def test_an_empty_name_is_refused() -> None:
    """It would be one place for all who forgot theirs."""
    with pytest.raises(InvalidArgumentError):
        MemoryBackend("")


def test_the_same_bytes_written_again_are_another_state() -> None:
    """A token names a write: A, B, A is seen even if the bytes are the same."""
    backend = MemoryBackend()
    first = backend.create("a", b"A")
    second = backend.swap("a", b"B", first)
    backend.swap("a", b"A", second)
    with pytest.raises(Conflict):
        backend.swap("a", b"C", first)


def test_rows_have_tokens() -> None:
    """A listing tells them here, as buckets do."""
    backend = MemoryBackend()
    token = backend.create("a", b"A")
    assert [row.token for row in backend.list("")] == [token]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_can_use_a_place_that_was_locked() -> None:
    """The thread that held the lock is not there to give it back."""
    backend = MemoryBackend()
    backend.create("a", b"A")
    with backend._place.lock:
        pid = os.fork()
        if not pid:
            try:
                backend.create("b", b"B")
                MemoryBackend("new-in-the-child").create("a", b"")
            except BaseException:  # noqa: BLE001 - pytest must not go on in the child
                os._exit(1)
            os._exit(0)
    assert os.waitpid(pid, 0)[1] == 0
    assert [row.key for row in backend.list("")] == ["a"]


def test_who_holds_the_present_state_gets_it_back_itself() -> None:
    """So a caller sees with `is` that nothing changed; a write of the same bytes is a change all the same."""
    backend = MemoryBackend()
    token = backend.create("a", b"hello")
    held = backend.get("a")
    assert backend.get("a", held=held) is held
    backend.swap("a", b"hello", token)
    assert backend.get("a", held=held) is not held
