"""How often a fence is read again while the lists that its head names go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from casreg.backends.memory import MemoryBackend
from casreg.exceptions import CorruptError, NotFound
from casreg.head import INITIAL, condemn, dump_head, encode_names
from casreg.keys import HEAD
from casreg.refs.fencing import FenceReader

if TYPE_CHECKING:
    from casreg.backends.base import Object

CONDEMNED = "packs/aa/" + "b" * 16 + "-" + "a" * 64


class Going(MemoryBackend):
    """A place whose list is gone the first times that it is read: its run has ended, another has begun."""

    gone = 0
    heads = 0

    def get(self, key: str, start: int = 0, stop: int | None = None, *, held: Object | None = None) -> Object:
        """As the parent's, but for the list."""
        if key == HEAD:
            self.heads += 1
        elif self.gone:
            self.gone -= 1
            raise NotFound(key)
        return super().get(key, start, stop, held=held)


@pytest.fixture
def backend() -> Going:
    """With a head that condemns one file."""
    going = Going()
    key, data = encode_names([CONDEMNED], "0" * 32)
    going.create(key, data)
    going.create(HEAD, dump_head(condemn(INITIAL, key, "1" * 32, "2" * 32)))
    return going


@pytest.mark.parametrize("gone", [0, 1, 4])
def test_a_list_that_goes_means_that_the_head_moved_on(backend: Going, gone: int) -> None:
    """The head is read again, up to five times in all."""
    backend.gone = gone
    assert FenceReader(backend).read().bad == {CONDEMNED}
    assert backend.heads == gone + 1


def test_a_list_that_stays_away_is_damage(backend: Going) -> None:
    """After five heads that name it, nothing may be written."""
    backend.gone = 100
    with pytest.raises(
        CorruptError, match=r"gc/head in .* names a list that is missing .*: nothing can be written"
    ):
        FenceReader(backend).read()
    assert backend.heads == 5
