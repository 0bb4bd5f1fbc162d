"""What a refusal proposes is what works: nothing is proposed that the next refusal takes back."""

from __future__ import annotations

import collections
import io
import os
import re
import types
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from casreg import NoMaterializerError, Registry

if TYPE_CHECKING:
    from collections.abc import Callable

    Wrap = Callable[[Any], Any]


class Own:
    def __init__(self) -> None:
        self.number = 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own) and vars(self) == vars(other)

    __hash__ = None  # type: ignore[assignment]


COMPILED: list[Any] = [
    os,
    types.SimpleNamespace(a=1),
    ValueError("x"),
    re.compile("x"),
    pd.offsets.Hour(2),
    slice(1),
]


def refusal(registry: Registry, value: object) -> str:
    """What is said when `value` is saved."""
    with pytest.raises(NoMaterializerError) as caught:
        registry.save("x", value)
    return str(caught.value)


@pytest.fixture
def registry(tmp_path: os.PathLike[str]) -> Registry:
    """An empty one."""
    return Registry(tmp_path)


@pytest.fixture(params=[lambda it: it, lambda it: [it]], ids=["alone", "inside"])
def wrap(request: pytest.FixtureRequest) -> Wrap:
    """A value alone, and in a list."""
    wrapped: Wrap = request.param
    return wrapped


@pytest.mark.parametrize("value", [Own(), collections.ChainMap({"a": 1})], ids=["own", "ChainMap"])
def test_trust_is_proposed_where_attributes_are_all(registry: Registry, wrap: Wrap, value: Any) -> None:
    """The list in the message, given to `save` and `load`, brings the object back."""
    found = re.search(r"trusted=\['([^']+)'\]", refusal(registry, wrap(value)))
    assert found
    registry.save("x", wrap(value), trusted=[found[1]])
    assert registry.load("x", trusted=[found[1]]) == wrap(value)


@pytest.mark.parametrize("value", COMPILED, ids=lambda value: type(value).__name__)
def test_trust_is_not_proposed_for_compiled_state(registry: Registry, wrap: Wrap, value: Any) -> None:
    """It would be refused: attributes do not hold what compiled code keeps."""
    said = refusal(registry, wrap(value))
    assert "register_materializer" in said
    assert "trusted" not in said


def test_an_open_file_is_not_a_list(registry: Registry, wrap: Wrap) -> None:
    """Its lines are hardly what is meant."""
    said = refusal(registry, wrap(io.BytesIO(b"x")))
    assert "Path" in said
    assert "read()" in said


@pytest.mark.parametrize("view", [{"a": 1}.keys(), {"a": 1}.values(), {"a": 1}.items()])
def test_a_view_of_a_dict_is_a_list(registry: Registry, wrap: Wrap, view: Any) -> None:
    """Pickle has no way for it either, so none is proposed."""
    said = refusal(registry, wrap(view))
    assert "`list(…)`" in said
    assert "pickle" not in said
    registry.save("x", wrap(list(view)))


@pytest.mark.parametrize("values", [pd.Categorical(["a", "b"]), pd.array([1, None]), pd.array(["a"])])
def test_an_array_of_pandas_is_a_series(registry: Registry, wrap: Wrap, values: Any) -> None:
    """A column by itself: as a Series it comes back, and is what `.array` gives."""
    assert "`pandas.Series(it)`" in refusal(registry, wrap(values))
    registry.save("x", pd.Series(values))
    found = registry.load("x").array
    assert type(found) is type(values)
    assert found.equals(values)


def test_what_pickle_keeps_of_a_function_is_said(registry: Registry) -> None:
    """A lambda has no name by which it could be found."""
    assert "lambda" in refusal(registry, lambda: 1)
