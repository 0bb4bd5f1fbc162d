"""Listings are in the order of their bytes, whichever of two orders the server has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given, strategies as st

from casreg.backends.base import ObjectInfo
from casreg.backends.s3.listing import in_order, start_after
from casreg.backends.s3.messages import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

segments = st.text(alphabet="!-.0ab", min_size=1, max_size=3)
keys = st.lists(segments, min_size=1, max_size=3).map("/".join)


def of_bytes(key: str) -> object:
    """As S3 lists."""
    return key


def of_folders(key: str) -> object:
    """As servers list that keep objects in folders."""
    return key.split("/")


orders = st.sampled_from([of_bytes, of_folders])


def pages(found: list[str], size: int) -> Iterator[Page]:
    """As a server gives them out."""
    for at in range(0, max(len(found), 1), size):
        rows = [ObjectInfo(key, 0, None, 0.0) for key in found[at : at + size]]
        yield Page(rows, "more" if at + size < len(found) else "")


@given(st.sets(keys, max_size=40), st.text(alphabet="a/-", max_size=3), st.integers(1, 5), orders)
def test_rows_come_in_the_order_of_their_bytes(
    there: set[str], prefix: str, size: int, order: Callable[[str], object]
) -> None:
    """All of them, once, however they are cut into pages."""
    found = sorted((key for key in there if key.startswith(prefix)), key=order)  # type: ignore[arg-type]
    assert [row.key for row in in_order(pages(found, size), prefix)] == sorted(found)


@given(st.sets(keys, max_size=40), st.text(alphabet="a/-", max_size=3), keys, orders)
def test_nothing_is_left_out_behind_a_key(
    there: set[str], prefix: str, after: str, order: Callable[[str], object]
) -> None:
    """Whatever sorts after `after` is still to come for a server that begins where it is told, in its own order."""
    begin = start_after(after, prefix)
    given_out = {
        key
        for key in there
        if not begin
        or (order(key) > order(begin) and not (order is of_folders and key.startswith(f"{begin}/")))  # type: ignore[operator]
    }
    assert {key for key in there if key.startswith(prefix) and key > after} <= given_out


def test_a_folder_without_folders_is_not_held_back() -> None:
    """Its first page is handed on before the second is asked for."""
    asked: list[int] = []

    def answers() -> Iterator[Page]:
        for number in range(3):
            asked.append(number)
            yield Page([ObjectInfo(f"refs/{number}", 0, None, 0.0)], "more" if number < 2 else "")

    rows = in_order(answers(), "refs/")
    assert next(rows).key == "refs/0"
    assert asked == [0]
