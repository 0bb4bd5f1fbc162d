"""How sizes, stored text and long lists are shown."""

from __future__ import annotations

import pytest

from casreg.display import first_of


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, ""), (1, "0"), (3, "0, 1, 2"), (4, "0, 1, 2 and 1 more"), (9, "0, 1, 2 and 6 more")],
)
def test_a_long_list_is_cut_and_says_so(count: int, text: str) -> None:
    """As many as asked for are named, and whoever is left out is counted."""
    assert first_of([str(number) for number in range(count)], 3) == text
