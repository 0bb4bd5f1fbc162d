"""numpy's scalars in metadata."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from casreg.canonical import dump
from casreg.exceptions import InvalidMetadataError
from casreg.materializers.plain import plain_scalars


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        (np.float64(0.1), 0.1),
        (np.int64(-3), -3),
        (np.uint8(3), 3),
        (np.longlong(3), 3),
        (np.bool_(True), True),
        (np.str_("é"), "é"),
    ],
    ids=repr,
)
def test_what_json_holds_becomes_that(given: Any, plain: object) -> None:
    """Anywhere in the metadata, as a value of Python's own exact type."""
    for wrap in (lambda x: x, lambda x: {"a": [x, {"b": x}]}, lambda x: {"s": "t", "l": [[x]]}):
        assert dump(plain_scalars(wrap(given))) == dump(wrap(plain))
    assert type(plain_scalars(given)) is type(plain)
    assert plain_scalars({np.str_("k"): 1}) == {"k": 1}
    assert type(next(iter(plain_scalars({np.str_("k"): 1})))) is str


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.1),
        np.float64("nan"),
        np.int64(2**60),
        np.datetime64("2026-01-01"),
        np.complex128(1),
        np.longdouble(1),
        np.zeros(2),
        (1,),
    ],
    ids=repr,
)
def test_what_json_does_not_hold_is_still_refused(value: object) -> None:
    """With the place and the hint, as before."""
    with pytest.raises(InvalidMetadataError, match=r"metadata\.a\[0\] "):
        dump(plain_scalars({"a": [value]}), "metadata")


def test_metadata_that_holds_itself_comes_to_the_one_who_refuses_it() -> None:
    """The copy has the same form, also where that has no end."""
    value: dict[str, Any] = {"x": np.int64(1)}
    value["again"] = [value, value]
    copy = plain_scalars(value)
    assert copy["x"] == 1
    assert copy["again"][0] is copy["again"][1] is copy
    with pytest.raises(InvalidMetadataError):
        dump(copy)


def test_the_callers_containers_stay_as_they_are() -> None:
    """Only the copy is changed."""
    value = {"a": [np.int64(1)]}
    plain_scalars(value)
    assert type(value["a"][0]) is np.int64
