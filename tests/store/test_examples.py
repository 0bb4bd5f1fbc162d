"""The lines printed where the Store was proposed, as printed but for imports and folders, twice in new processes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython

TWO_REGISTRIES = """
from pathlib import Path
from casreg import Registry, Store

r1 = Registry(backend=Path("/tmp/store_a"), version_objects=True, mutable=True)
r2 = Registry(backend=Path("/tmp/store_b"), version_objects=True, mutable=True)

store = Store(mounts={"a": r1, "b": r2}, default_location="a")

store.save("a/model:resnet", {"acc": 0.92})
store.save("b/model:vit", {"acc": 0.95})

print(store.load("a/model:resnet"))
print(store.load("b/model:vit"))
"""

DISCOVERY = """
from pathlib import Path
from casreg import Registry, Store

r1 = Registry(backend=Path("/tmp/store_a"), version_objects=True, mutable=True)
r2 = Registry(backend=Path("/tmp/store_b"), version_objects=True, mutable=True)

store = Store(mounts={"a": r1, "b": r2})
store.save("b/data:item1", "hello")

# No location specified -> Store checks mounts and finds b/data:item1
print(store.load("data:item1"))
"""

AMBIGUITY = """
from pathlib import Path
from casreg import Registry, Store
from casreg.exceptions import StoreAmbiguousObjectError

r1 = Registry(backend=Path("/tmp/store_a"), version_objects=True, mutable=True)
r2 = Registry(backend=Path("/tmp/store_b"), version_objects=True, mutable=True)

store = Store(mounts={"a": r1, "b": r2})
store.save("a/shared:item", 1)
store.save("b/shared:item", 2)

try:
    store.load("shared:item")
except StoreAmbiguousObjectError as e:
    print("Ambiguous as expected:", e)

# explicit location works
print(store.load("a/shared:item"))
"""

DEFAULT = """
from casreg import Store

store = Store()  # creates location="default" at MINDTRACE_DIR_PATHS.STORE_DIR
store.save("default/demo:item", {"ok": True})
print(store.load("default/demo:item"))
"""

PRINTED = {
    TWO_REGISTRIES: ["{'acc': 0.92}", "{'acc': 0.95}"],
    DISCOVERY: ["hello"],
    AMBIGUITY: [
        "Ambiguous as expected: 'shared:item' is in several mounts: write 'a/shared:item' or 'b/shared:item'",
        "1",
    ],
    DEFAULT: ["{'ok': True}"],
}


def here(code: str, folder: Path) -> str:
    """The code, with folders of this test."""
    return code.replace('"/tmp/store_', f'"{folder.as_posix()}/store_')


@pytest.mark.parametrize("code", PRINTED, ids=["two registries", "discovery", "ambiguity", "default"])
def test_the_examples_twice(code: str, tmp_path: Path, fresh_python: FreshPython) -> None:
    """Each prints what its comments say, in a new process, and again where it has run before."""
    for _ in range(2):
        assert fresh_python(here(code, tmp_path)).splitlines() == PRINTED[code]


def test_the_examples_in_one_row(tmp_path: Path, fresh_python: FreshPython) -> None:
    """They share their folders, as printed, and do not disturb each other; nor does a second round."""
    said = [line for lines in PRINTED.values() for line in lines]
    assert fresh_python(here("\n".join([*PRINTED] * 2), tmp_path)).splitlines() == said * 2


def test_a_new_process_sees_what_the_default_store_saved(fresh_python: FreshPython) -> None:
    """`Store()` is lasting: the object is listed, found without a location, and loaded by another process."""
    fresh_python(DEFAULT)
    said = fresh_python(
        "from casreg import Store\n"
        "store = Store()\n"
        "print([store.list_objects(), store.load('demo:item'), store.list_versions('default/demo:item')])"
    )
    assert ast.literal_eval(said) == [["default/demo:item"], {"ok": True}, ["1.0.0"]]


def test_changes_need_a_location(tmp_path: Path, fresh_python: FreshPython) -> None:
    """As the proposal says: `save` and `delete` without a location are refused, and nothing is written or deleted."""
    said = fresh_python(
        here(DISCOVERY, tmp_path)
        + "from casreg import StoreKeyFormatError\n"
        + "for change in (lambda: store.save('data:item2', 1), lambda: store.delete('data:item1')):\n"
        + "    try: change()\n"
        + "    except StoreKeyFormatError as e: print('refused:', e)\n"
        + "print(store.list_objects())\n"
    ).splitlines()
    assert said[1].startswith(
        "refused: save needs a location, and 'data:item2' has none: write 'a/data:item2'"
    )
    assert said[2].startswith(
        "refused: delete needs a location, and 'data:item1' has none: write 'a/data:item1'"
    )
    assert said[3] == "['b/data:item1']"
