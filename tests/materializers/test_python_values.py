"""bytes, text, and values of Python in JSON."""

from __future__ import annotations

import array
import collections
import json
import math
import subprocess
import sys
import uuid
import warnings
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, strategies as st

from casreg.exceptions import MaterializationError, NoMaterializerError
from casreg.materializers import BUILTIN, ClassTable, MaterializerTable, load_object, materialize
from casreg.materializers.python_bytes import PythonBytearray, PythonBytes
from casreg.materializers.python_json import PythonJson
from casreg.materializers.python_str import PythonStr
from casreg.testing.materializer_contract import MaterializerContract
from casreg.testing.materializer_folders import MemoryInFolder, stored


class TestBytes(MaterializerContract):
    materializer = PythonBytes
    own_errors = True

    def examples(self) -> list[object]:
        return [b"", b"\0\xff" * 3, bytes(100_000)]


class TestBytearray(MaterializerContract):
    materializer = PythonBytearray
    own_errors = True

    def examples(self) -> list[object]:
        return [bytearray(), bytearray(b"abc")]


class TestStr(MaterializerContract):
    materializer = PythonStr
    own_errors = True

    def examples(self) -> list[object]:
        return ["", "a\r\nb\n", "Ünïcode ✓ 𝄞", "lone \ud800 surrogate", "\0"]


def alike(a: Any, b: Any) -> bool:
    """Equal in value, type and order, all the way down; NaN equals NaN, and zero has its sign."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        layout = a.dtype == b.dtype and a.shape == b.shape and b.flags.writeable
        return bool(layout and a.flags.f_contiguous == b.flags.f_contiguous and a.tobytes() == b.tobytes())
    if isinstance(a, array.array):
        return bool(a.typecode == b.typecode and a.tobytes() == b.tobytes())
    if isinstance(a, collections.defaultdict) and a.default_factory is not b.default_factory:
        return False
    if isinstance(a, collections.deque) and a.maxlen != b.maxlen:
        return False
    if isinstance(a, dict):
        return len(a) == len(b) and all(alike(x, y) for x, y in zip(a.items(), b.items(), strict=True))
    if isinstance(a, list | tuple | collections.deque):
        return len(a) == len(b) and all(map(alike, a, b))
    if isinstance(a, datetime | time):
        return a == b and a.fold == b.fold and str(a.tzinfo) == str(b.tzinfo)
    if isinstance(a, float | complex | np.generic):
        return bool(a == b or a != a) and repr(a) == repr(b)  # noqa: PLR0124 - NaN
    if isinstance(a, Decimal):
        return bool(a.as_tuple() == b.as_tuple())
    return bool(a == b)


SCALARS: list[object] = [
    None,
    True,
    0,
    -(1 << 53),
    (1 << 53) + 1,
    -(1 << 64),
    1 << 20_000,
    0.1,
    -0.0,
    5e-324,
    math.nan,
    math.inf,
    -math.inf,
    1j,
    complex(math.nan, -0.0),
    Decimal("1.10"),
    Decimal("-0"),
    Decimal("sNaN"),
    Fraction(-1, 3),
    uuid.UUID(int=7),
    range(1, 10, 3),
    datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - without a zone is the example
    datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=1),
    datetime(2026, 1, 2, tzinfo=UTC),
    datetime(2026, 1, 2, tzinfo=timezone(timedelta(hours=-3, seconds=7), "odd")),
    time(1, 2, 3, 4, tzinfo=timezone(timedelta(minutes=5))),
    date(1, 1, 1),
    timedelta(-3, 4, 5),
    timezone(timedelta(hours=2)),
]

CONTAINERS: list[object] = [
    [],
    {},
    (),
    set(),
    [1, 2.0, "x", None, True, [3]],
    {"z": 1, "a": {"b": [1, (2,)]}},
    {1: 2, None: 3, (1, "x"): 4, 1.5: 5, False: 6, "1": 7},
    {"$tuple": [1], "$": 2},
    {"\ud800": "\udfff"},
    {1, 2, (3, 4), "x", frozenset("abc")},
    frozenset({"b", "a"}),
    collections.OrderedDict(b=1, a=2),
    collections.Counter("aab"),
    collections.defaultdict(list, {1: [2]}),
    collections.defaultdict(None, {"a": 1}),
    collections.deque([1, (2,)], 5),
    [b"short", bytes(5000), bytearray(b"x"), bytearray(5000)],
    [1 << 60, 1.5, math.nan],
    array.array("d", [1.5, -0.0]),
    {"a": array.array("q", range(1000)), "b": [array.array("B"), array.array("f", [0.5])]},
]

NUMPY: list[object] = [
    np.float64(0.1),
    np.float32(0.1),
    np.float16(math.inf),
    np.longdouble(1) / 3,
    np.uint64(1 << 63),
    np.int8(-3),
    np.True_,
    np.complex64(1 - 2j),
    np.datetime64("2026-01-02T03:04"),
    np.datetime64("NaT"),
    np.timedelta64(3, "ms"),
    np.str_("é"),
    np.bytes_(b"x\0y"),
    np.bytes_(b"x\0"),
    np.bytes_(b""),
    {"weights": np.arange(6.0).reshape(2, 3), "bias": np.float32(1), "layers": [np.eye(2, dtype=">f4")]},
    {"a": np.dtype("<f4"), "b": np.asfortranarray(np.ones((2, 3)))},
    np.random.RandomState(3),
]


class TestScalars(MaterializerContract):
    materializer = PythonJson
    own_errors = True
    damages = 30

    def examples(self) -> list[object]:
        return SCALARS

    def equal(self, saved: object, loaded: object) -> bool:
        return alike(saved, loaded)


class TestContainers(MaterializerContract):
    materializer = PythonJson
    own_errors = True

    def examples(self) -> list[object]:
        return CONTAINERS

    def equal(self, saved: object, loaded: object) -> bool:
        return alike(saved, loaded)


class TestNumpyInside(MaterializerContract):
    materializer = PythonJson
    own_errors = True

    def examples(self) -> list[object]:
        return NUMPY

    def equal(self, saved: object, loaded: object) -> bool:
        if isinstance(saved, np.random.RandomState):
            assert isinstance(loaded, np.random.RandomState)
            return str(saved.get_state(legacy=False)) == str(loaded.get_state(legacy=False))
        return alike(saved, loaded)


def round_trip(value: object) -> tuple[object, MemoryInFolder]:
    """The value as it comes back, and the files between."""
    with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
        folder = stored(done.folder)
        return load_object(done.materializer, folder), folder


hashable = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.dates()
    | st.decimals(allow_nan=False),
    lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=4),
    max_leaves=6,
)
anything = st.recursive(
    hashable | st.complex_numbers() | st.text(st.characters(categories=["Cs", "Lu"])) | st.timedeltas(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3) | hashable, inner, max_size=4)
        | st.dictionaries(st.sampled_from(["$", "$tuple", "a", "\ud800"]), inner)
        | st.tuples(inner, inner)
        | st.sets(hashable, max_size=4)
    ),
    max_leaves=15,
)


@given(anything)
def test_whatever_is_accepted_comes_back(value: object) -> None:
    """No value that is saved comes back as another one, or not at all."""
    try:
        with materialize(value, MaterializerTable(BUILTIN), ClassTable()) as done:
            folder = stored(done.folder)
    except NoMaterializerError:
        return
    loaded = load_object(done.materializer, folder)
    with materialize(loaded, MaterializerTable(BUILTIN), ClassTable()) as again:
        assert stored(again.folder).files == folder.files
    assert repr_of_sorted(value) == repr_of_sorted(loaded)


def repr_of_sorted(value: object) -> str:
    """A text that is the same for equal values of equal types, whatever the order of their sets."""
    if isinstance(value, set | frozenset):
        return f"{type(value).__name__}{sorted(map(repr_of_sorted, value))}"
    if isinstance(value, dict):
        return f"{[(repr_of_sorted(key), repr_of_sorted(item)) for key, item in value.items()]}"
    if isinstance(value, list | tuple):
        return f"{type(value).__name__}{[repr_of_sorted(item) for item in value]}"
    return repr(value)


def test_plain_json_stays_plain() -> None:
    """What JSON holds without loss, any reader of JSON sees as it is."""
    value = {"name": "modèle", "layers": [1, 2.5, None, True], "nested": {"a": []}}
    _, folder = round_trip(value)
    assert json.loads(folder.files["data.json"]) == value


def test_arrays_in_a_dict_are_npy_files() -> None:
    """Each array of a dict is a file that numpy opens by itself."""
    import io

    _, folder = round_trip({"w": np.arange(3.0)})
    assert np.array_equal(np.load(io.BytesIO(folder.files["parts/0.npy"])), np.arange(3.0))


def test_one_array_twice_is_stored_once_and_is_one_again() -> None:
    """What is shared in memory is shared when it comes back."""
    array = np.arange(5)
    loaded, folder = round_trip({"a": array, "b": [array]})
    assert len(folder.paths) == 2
    assert isinstance(loaded, dict)
    assert loaded["a"] is loaded["b"][0]


class Text(str):
    __slots__ = ()


class Mapping(dict):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    "value",
    [Text("x"), Mapping(a=1), [Text("x")], {"a": Mapping()}, {Text("k"): 1}],
    ids=repr,
)
def test_subclasses_are_refused_and_not_flattened(value: object) -> None:
    """A subclass of a builtin would come back as the builtin: that is refused, with the way out."""
    with pytest.raises(NoMaterializerError, match=r"`(str|dict)\(|register_materializer"):
        round_trip(value)


def test_an_array_of_characters_is_refused() -> None:
    """What its items are differs between systems."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of newer Pythons: it is on its way out
        text = array.array("u", "x")
    with pytest.raises(NoMaterializerError, match="tounicode"):
        round_trip([text])


@pytest.mark.parametrize(
    "value",
    [lambda: 0, len, int, [lambda: 0], {"f": print}],
    ids=["lambda", "builtin", "class", "in a list", "in a dict"],
)
def test_code_is_refused(value: object) -> None:
    """Functions and classes are no data."""
    with pytest.raises(NoMaterializerError, match="allow_pickle"):
        round_trip(value)


def test_the_place_of_what_cannot_be_saved_is_named() -> None:
    """The error says where in the value the trouble is."""
    with pytest.raises(NoMaterializerError, match=r"value\['a'\]\[1\]\['b'\]: "):
        round_trip({"a": [0, {"b": object()}]})


def test_a_cycle_is_refused() -> None:
    """A value that contains itself has no tree."""
    value: list[object] = []
    value.append({"again": value})
    with pytest.raises(NoMaterializerError, match="contains itself"):
        round_trip(value)


def test_what_is_too_deep_is_refused_and_what_is_not_loads() -> None:
    """The bound of depth is at saving, where something can still be done, and not at loading."""
    value: object = 1
    for _ in range(65):
        value = (value,)
    assert round_trip(value)[0] == value
    with pytest.raises(NoMaterializerError, match="deeper than 64"):
        round_trip([[value]])


@pytest.mark.parametrize(
    "text",
    [
        '{"$unknown": 1}',
        '{"$tuple": 1}',
        '{"$tuple": [1], "b": 2}',
        '{"$set": [[1]]}',
        '{"$set": [1, 1]}',
        '{"$dict": [[1, 2], [1, 3]]}',
        '{"$dict": [[1, 2, 3]]}',
        '{"$int": "١"}',
        '{"$int": "0xzz"}',
        '{"$float": "1e999"}',
        '{"$array": "../secret.npy"}',
        '{"$array": "data.json"}',
        '{"$same": 0}',
        '{"$type": "os.system"}',
        '{"$callable": "os.system"}',
        '{"$object": ["os.system", {}, {}]}',
        '{"$sklearn": ["os", {}]}',
        '{"$enum": ["os.X", "A"]}',
        '{"$deque": [-1, []]}',
        '{"$numbers": ["h", 4, "AQAB"]}',
        '{"$numbers": ["h", 2, "AQAB"]}',
        '{"$numbers": ["u", 4, ""]}',
        '{"$numbers": ["hh", 2, ""]}',
        '{"$zone": {"zone": "../../etc/passwd"}}',
        '{"$timedelta": [1e400, 0, 0]}',
        "NaN",
        "[1,]",
        "[" * 100_000,
        "",
    ],
)
def test_hostile_trees_are_refused(text: str) -> None:
    """A stored tree names no code, no other file, and nothing that the encoder would not have written."""
    from casreg.exceptions import MaterializerError

    with pytest.raises(MaterializerError):
        PythonJson().load(MemoryInFolder({"data.json": text.encode()}), None)


@pytest.mark.parametrize(
    ("words", "position"), [([0] * 624, 625), ([0] * 624, -1), ([1 << 32, *[0] * 623], 0), ([0] * 623, 0)]
)
def test_a_random_state_out_of_bounds_is_refused(words: list[int], position: int) -> None:
    """Compiled code reads the word at the position, wherever that is."""
    text = json.dumps({"$RandomState": [["MT19937", words, position], [0, 0.0]]})
    with pytest.raises(MaterializationError):
        PythonJson().load(MemoryInFolder({"data.json": text.encode()}), None)


def test_files_that_nothing_refers_to_are_refused() -> None:
    """A version holds nothing that the value does not use."""
    with pytest.raises(MaterializationError, match="does not refer to"):
        PythonJson().load(MemoryInFolder({"data.json": b"1", "parts/0.npy": b""}), None)


def test_a_file_is_referred_to_once() -> None:
    """No stored text makes more of the data than there is: a thousand references would be a thousand arrays."""
    _, folder = round_trip({"a": np.zeros(3)})
    folder.files["data.json"] = b'[{"$array":"parts/0.npy"},{"$array":"parts/0.npy"}]'
    with pytest.raises(MaterializationError, match="referred to once"):
        PythonJson().load(folder, None)


def test_saving_plain_values_loads_no_numpy() -> None:
    """A dict of plain values is saved and loaded without importing what it does not need."""
    code = (
        "import sys\n"
        "from casreg.materializers import *\n"
        "from casreg.testing.materializer_folders import stored\n"
        "with materialize({'a': [1, (2,), {3}]}, MaterializerTable(BUILTIN), ClassTable()) as done:\n"
        "    assert load_object(done.materializer, stored(done.folder)) == {'a': [1, (2,), {3}]}\n"
        "print([name for name in ('numpy', 'sklearn', 'pydantic', 'scipy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
