"""Every example of docs/materializers.md is true."""

from __future__ import annotations

import enum
import inspect
import re
from array import array
from collections import Counter, OrderedDict, defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import pandas as pd
import pytest

from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.tree.kinds import decoder_for
from casreg.registry import Registry
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import stored

TEXT = (Path(__file__).parents[2] / "docs/materializers.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(.+?)`(?: \(registered as `\w+`\))? \| `([\[{].*)` \|$", TEXT, re.MULTILINE)
CODE = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


class Color(enum.Enum):
    RED = 1


class Point(NamedTuple):
    x: int
    y: int


@dataclass
class Run:
    name: str


NAMES: dict[str, Any] = {
    one.__name__: one
    for one in (
        Counter,
        Decimal,
        Fraction,
        OrderedDict,
        UUID,
        array,
        date,
        datetime,
        defaultdict,
        deque,
        time,
        timedelta,
    )
}
NAMES |= {"timezone": timezone, "UTC": UTC, "np": np, "pd": pd, "Color": Color, "Point": Point, "Run": Run}


def classes() -> ClassTable:
    """The classes of the table's last rows."""
    table = ClassTable()
    for cls in (Color, Point, Run):
        table.register(cls, cls.__name__)
    return table


def test_the_table_of_values_is_found() -> None:
    """The pattern that reads the page still fits it."""
    assert len(ROWS) == 38


@pytest.mark.parametrize(("value", "text"), ROWS)
def test_values_are_stored_as_the_page_says(value: str, text: str) -> None:
    """Byte for byte: the form of format 1 is frozen here."""
    made = eval(value, dict(NAMES))
    with materialize(made, MaterializerTable(BUILTIN), classes()) as done:
        folder = stored(done.folder)
    assert folder.files["data.json"].decode() == text
    loaded = load_object(done.materializer, folder)
    assert type(loaded) is type(made)


def test_every_tag_is_on_the_page() -> None:
    """Those that exist, and no others."""
    tags = set(re.findall(r"\$[A-Za-z]+", TEXT)) - {"$a"}
    for tag in tags:
        decoder_for(tag)
    from casreg.materializers.tree import kinds

    assert set(kinds._DECODERS) == tags


def test_every_id_is_on_the_page() -> None:
    """The table of materializers is complete."""
    table = MaterializerTable(BUILTIN)
    ids = {name for name in BUILTIN if "/" in name}
    assert ids == set(re.findall(r"`([a-z]+\.[a-z_]+/1)`", TEXT))
    for one in ids:
        assert table.for_id(one).id == one


def test_the_code_of_the_page_runs(tmp_path: Path) -> None:
    """In the order of the page, against a real registry."""
    space: dict[str, Any] = {"registry": Registry(tmp_path / "r"), "__name__": "page"}
    for code in CODE:
        exec(compile(code, "docs/materializers.md", "exec", dont_inherit=True), space)
    contract = space["TestSignal"]()
    assert isinstance(contract, MaterializerContract)
    for name in ("test_what_is_saved_is_loaded", "test_damaged_files_give_errors_of_casreg"):
        method = getattr(contract, name)
        assert "tmp_path" in inspect.signature(method).parameters
        method(tmp_path=tmp_path)
