"""Single values of pandas, alone and inside containers."""

from __future__ import annotations

import datetime as dt
import json
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, strategies as st

from casreg import Registry
from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.python_json import PythonJson
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython

BERLIN = ZoneInfo("Europe/Berlin")
UNITS = ("s", "ms", "us", "ns")
ZONES = (
    None,
    dt.UTC,
    BERLIN,
    ZoneInfo("UTC"),
    dt.timezone(dt.timedelta(hours=-3)),
    dt.timezone(dt.timedelta(hours=1), "X"),
)
COUNTS = st.integers(-(2**63) + 1, 2**63 - 1)


def save(value: object) -> MemoryInFolder:
    """The stored files."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        return stored(done.folder)


def load(node: object) -> object:
    """The value of some JSON."""
    folder = MemoryInFolder({"data.json": json.dumps(node, ensure_ascii=True).encode()})
    return PythonJson().load(folder, None)


def state(value: Any) -> object:
    """All that a value is."""
    if isinstance(value, list | tuple):
        return [state(one) for one in value]
    if isinstance(value, pd.Interval):
        return ["Interval", state(value.left), state(value.right), value.closed]
    if isinstance(value, pd.Period):
        return ["Period", value.ordinal, value.freq]
    if value is pd.NaT or value is pd.NA:
        return id(value)
    if isinstance(value, pd.Timestamp | pd.Timedelta):
        rest = (repr(value.tzinfo), type(value.tzinfo), value.fold) if isinstance(value, pd.Timestamp) else ()
        return [type(value), value.unit, int(value.asm8.view(np.int64)), *rest]
    return [type(value), value]


class TestValues(MaterializerContract):
    materializer = PythonJson
    own_errors = True
    damages = 40

    def examples(self) -> list[object]:
        moment = pd.Timestamp("2026-10-25 04:30:00.123456789", tz=BERLIN)
        values = [
            pd.Timestamp(0),
            moment,
            *(moment.as_unit(unit) for unit in UNITS),
            *(moment.tz_convert(zone) for zone in ZONES),
            *(pd.Timestamp(2026, 10, 25, 2, 30, fold=fold, tz=BERLIN) for fold in (0, 1)),
            pd.Timestamp(2026, 1, 25, 2, 30, fold=1),
            pd.Timestamp(2026, 1, 25, 2, 30, fold=1, tz=BERLIN),
            pd.Timestamp.max,
            pd.Timestamp.min,
            *(pd.Timedelta(90, "s").as_unit(unit) for unit in UNITS),
            pd.Timedelta.max,
            pd.Timedelta(-1, "ns"),
            pd.NaT,
            pd.NA,
            *(pd.Period("2026-03-04 05:06", freq) for freq in ("M", "Q-MAR", "W-WED", "2D", "15min", "ns")),
            pd.Period("1850", "Y"),
            pd.Interval(1, 2.5, "both"),
            pd.Interval(2**70, 2**71),
            pd.Interval(np.float32(1), np.float32("inf"), "neither"),
            pd.Interval(moment, moment + pd.Timedelta(1, "h"), "left"),
            pd.Interval(pd.Timedelta(1), pd.Timedelta(2)),
        ]
        return [*values, values, tuple(values)]

    def equal(self, saved: object, loaded: object) -> bool:
        return type(saved) is type(loaded) and state(saved) == state(loaded)


@given(COUNTS, st.sampled_from(UNITS), st.sampled_from(ZONES), st.booleans())
@example(-(2**63) + 1, "s", None, False)
@example(2**63 - 1, "s", None, True)
@example(2**63 - 1, "ns", dt.UTC, False)
def test_any_timestamp_comes_back_or_is_refused(
    count: int, unit: Any, zone: dt.tzinfo | None, folded: bool
) -> None:
    """Of every unit and zone; only what pandas itself cannot make in its zone, or with a fold, is left out."""
    value = pd.Timestamp(np.datetime64(count, unit))
    try:
        if zone is not None:
            value = value.tz_localize("UTC").tz_convert(zone)
        if folded:
            value = value.replace(fold=1)
    except (ValueError, OverflowError, NotImplementedError):
        return
    folder = save([value])
    loaded = load_object(PythonJson(), folder)
    assert state(loaded) == state([value])
    assert save(loaded).files == folder.files


@given(COUNTS, st.sampled_from(UNITS))
def test_any_timedelta_comes_back(count: int, unit: Any) -> None:
    """To its last unit."""
    value = pd.Timedelta(np.timedelta64(count, unit))
    assert state(load_object(PythonJson(), save(value))) == state(value)


@given(st.datetimes(), st.sampled_from(UNITS), st.sampled_from(ZONES))
def test_times_of_people_come_back(moment: dt.datetime, unit: str, zone: dt.tzinfo | None) -> None:
    """Whatever datetime they were made of."""
    try:
        value = pd.Timestamp(moment.replace(tzinfo=zone)).as_unit(unit)
    except (ValueError, OverflowError):  # beyond the bounds of the unit
        return
    assert state(load_object(PythonJson(), save({"at": value}))["at"]) == state(value)  # type: ignore[index]


def test_they_are_keys_and_parts_of_sets() -> None:
    """Wherever a plain value may stand."""
    value = {
        pd.Timestamp(0): {pd.Interval(0, 1), pd.NaT, pd.Period("2026", "Y")},
        pd.NA: [pd.Timedelta(1)],
    }
    assert load_object(PythonJson(), save(value)) == value


def test_tables_hold_them_beside_their_values(tmp_path: Path) -> None:
    """As a name, among attributes, and among labels of several types."""
    moment = pd.Timestamp("2026", tz=BERLIN).as_unit("ms")
    labels = pd.Index([1, moment, pd.NaT, pd.Interval(0, 1)], dtype=object)
    series = pd.Series([1, 2, 3, 4], index=labels, name=moment)
    series.attrs = {"made": moment}
    registry = Registry(tmp_path)
    registry.save("x", series)
    loaded = registry.load("x")
    assert state([loaded.name, loaded.attrs["made"], *loaded.index]) == state([moment, moment, *labels])


def test_pandas_is_imported_only_for_them(tmp_path: Path, fresh_python: FreshPython) -> None:
    """Other values load without it, and these bring it, in a process that has not imported it."""
    registry = Registry(tmp_path)
    registry.save("plain", [1, dt.timedelta(1), "x"])
    registry.save("at", [pd.Timestamp(0), pd.NA])
    code = """
import sys
from casreg import Registry
registry = Registry(sys.argv[1])
registry.save("again", registry.load("plain"))
assert "pandas" not in sys.modules
print(registry.load("at"))
"""
    assert fresh_python(code, str(tmp_path)).strip() == "[Timestamp('1970-01-01 00:00:00'), <NA>]"


def test_zones_of_pytz_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names become such zones in pandas 2. pytz need not be installed elsewhere, so that a module stands in for it."""

    class Zone(dt.tzinfo):
        zone = "Some/Where"

        def utcoffset(self, _: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(hours=1)

        def dst(self, _: dt.datetime | None) -> dt.timedelta:
            return dt.timedelta(0)

        def tzname(self, _: dt.datetime | None) -> str:
            return "W"

    monkeypatch.setattr(Zone, "__module__", "pytz.tzfile")
    zones = {"Some/Where": Zone()}
    monkeypatch.setitem(sys.modules, "pytz", SimpleNamespace(timezone=zones.__getitem__))
    value = pd.Timestamp("2026", tz=zones["Some/Where"])
    loaded = load_object(PythonJson(), save(value))
    assert isinstance(loaded, pd.Timestamp)
    assert loaded == value
    assert loaded.tzinfo is zones["Some/Where"]
    with pytest.raises(MaterializationError, match="Else/Where"):
        load({"$pandas": ["Timestamp", "2026-01-01T00:00:00", "s", {"pytz": "Else/Where"}, 0]})


def test_what_would_not_come_back_is_refused() -> None:
    """Zones that are code, attributes of somebody's, classes of somebody's; each with the place."""
    marked = pd.Timestamp(0)
    marked.note = "x"

    class Mine(pd.Interval):  # type: ignore[misc] # pandas is not typed here
        pass

    for value, said in (
        (pd.Timestamp("2026", tz="dateutil/Europe/Berlin"), "ZoneInfo"),
        (marked, "note"),
        (Mine(1, 2), "Mine"),
    ):
        with pytest.raises(NoMaterializerError, match=rf"value\[1\].*{said}"):
            save([0, value])


@pytest.mark.parametrize(
    "node",
    [
        [],
        None,
        "NaT",
        ["nothing"],
        [["NaT"]],
        ["NaT", 1],
        ["NA", None],
        ["Timestamp"],
        ["Timestamp", "now", "s", None, 0],
        ["Timestamp", "NaT", "s", None, 0],
        ["Timestamp", 0, "s", None, 0],
        ["Timestamp", "2026-01-01T00:00:00Z", "s", None, 0],
        ["Timestamp", "2026-01-01", "s", None, 0],
        ["Timestamp", "2026-13-01T00:00:00", "s", None, 0],
        ["Timestamp", "2026-01-01T00:00:00", "ns", None, 0],
        ["Timestamp", "2026-01-01T00:00:00.000", "s", None, 0],
        ["Timestamp", "9999-01-01T00:00:00.000000000", "ns", None, 0],
        ["Timestamp", "999999999999-01-01T00:00:00", "s", None, 0],
        ["Timestamp", "2026-01-01T00:00:00", "D", None, 0],
        ["Timestamp", "2026-01-01T00:00:00", ["s"], None, 0],
        ["Timestamp", "2026-01-01T00:00:00", "s", "Europe/Berlin", 0],
        ["Timestamp", "2026-01-01T00:00:00", "s", {"zone": "No/Where"}, 0],
        ["Timestamp", "2026-01-01T00:00:00", "s", None, 2],
        ["Timestamp", "2026-01-01T00:00:00", "s", None, True],
        ["Timestamp", "2026-10-25T00:30:00", "s", {"zone": "Europe/Berlin"}, 1],
        ["Timedelta", 1],
        ["Timedelta", 1, "D"],
        ["Timedelta", 1.0, "s"],
        ["Timedelta", True, "s"],
        ["Timedelta", {"$int": str(2**63)}, "s"],
        ["Timedelta", {"$int": str(-(2**63))}, "s"],
        ["Period", 1],
        ["Period", 1, "no"],
        ["Period", 1, 1],
        ["Period", "1", "M"],
        ["Period", 1, "1M"],
        ["Period", 1, "1D2h"],
        ["Period", 1, "99999999999999999999D"],
        ["Period", {"$int": str(-(2**63))}, "M"],
        ["Interval", 1, 2],
        ["Interval", 2, 1, "left"],
        ["Interval", 1, 2, "middle"],
        ["Interval", 1, 2, ["left"]],
        ["Interval", "a", "b", "left"],
        ["Interval", [1], [2], "left"],
        ["Interval", None, None, "left"],
        ["Interval", 1, {"$pandas": ["Timedelta", 1, "s"]}, "left"],
        ["Interval", {"$pandas": ["NaT"]}, {"$pandas": ["NaT"]}, "left"],
        ["Interval", 1, {"$no": 2}, "left"],
    ],
    ids=str,
)
def test_damaged_tags_are_errors(node: object) -> None:
    """Each by `load` itself, and none is read as another value."""
    with pytest.raises(MaterializationError):
        load({"$pandas": node})
