"""References to nested objects that nobody wrote: a stored tree chooses no code and no byte that is not its own."""

from __future__ import annotations

from typing import Any

import pytest

from casreg.exceptions import CasregError, MaterializationError
from casreg.materializers import BUILTIN, MaterializerTable, load_object
from casreg.materializers.python_json import PythonJson
from casreg.testing.materializer_folders import MemoryInFolder
from materializers.thing import Thing, ThingMaterializer


def table() -> MaterializerTable:
    """With one materializer of somebody's."""
    found = MaterializerTable(BUILTIN)
    found.register(Thing, ThingMaterializer)
    return found


def load(folder: MemoryInFolder) -> Any:
    """The value in these files."""
    return load_object(PythonJson(), folder)


GOOD = {"data.json": b"", "parts/0/number.txt": b"1"}


@pytest.mark.parametrize(
    "tree",
    [
        '[{"$part":["test.thing/1","parts/0",{"x":1}]}]',
        '[{"$part":["os.system","parts/0",{}]}]',
        '[{"$part":[["test.thing/1"],"parts/0",{}]}]',
        '[{"$part":["test.thing/1","parts/0",[]]}]',
        '[{"$part":["test.thing/1","parts/0"]}]',
        '[{"$part":["test.thing/1","parts",{}]}]',
        '[{"$part":["test.thing/1","../parts/0",{}]}]',
        '[{"$part":["test.thing/1","parts/00",{}]}]',
        '[{"$part":["test.thing/1","parts/1",{}]}]',
        '[{"$part":["test.thing/1","parts/0",{}]},{"$part":["test.thing/1","parts/0",{}]}]',
        '[{"$part":["test.thing/1","parts/0",{}]},{"$array":"parts/0/number.txt"}]',
        '[{"$part":["path.file/1","parts/0",{}]}]',
        '[{"$part":["path.folder/1","parts/0",{}]}]',
        "[]",
    ],
)
def test_hostile_references_are_refused(tree: str) -> None:
    """A reference names an id of the local table, one folder that nothing else names, declared parameters."""
    files = {**GOOD, "data.json": b'[{"$part":["test.thing/1","parts/0",{}]}]'}
    assert load(MemoryInFolder(files, table=table())) == [Thing(1)]
    with pytest.raises(CasregError):
        load(MemoryInFolder({**files, "data.json": tree.encode()}, table=table()))


@pytest.mark.parametrize("folder", ["other", "parts/0/parts/1", "parts/00", "parts/0x"])
def test_a_part_stands_only_where_parts_are_put(folder: str) -> None:
    """Folders of one form are never inside each other, so that no byte belongs to two objects."""
    tree = f'[{{"$part":["test.thing/1","{folder}",{{}}]}}]'
    with pytest.raises(MaterializationError, match="a folder of its own"):
        load(MemoryInFolder({"data.json": tree.encode(), f"{folder}/number.txt": b"1"}, table=table()))
