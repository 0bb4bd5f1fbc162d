from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import FreshPython

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")


def examples() -> list[str]:
    """The Python blocks of the README."""
    text = (ROOT / "README.md").read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def first_example() -> str:
    """The one on the first screen."""
    return examples()[0]


def test_the_first_example_works_twice(fresh_python: FreshPython) -> None:
    """The code on the first screen runs as printed, in a new process, and again where it has run before."""
    objects, first, stored = "['my:settings', 'my:table']", "['1.0.0', '1.0.1']", r"\d+"
    assert re.fullmatch(f"{re.escape(objects)} {re.escape(first)} {stored}\n", fresh_python(first_example()))
    second = "['1.0.0', '1.0.1', '1.0.2', '1.0.3']"
    assert re.fullmatch(f"{re.escape(objects)} {re.escape(second)} {stored}\n", fresh_python(first_example()))


def test_the_first_example_stores_what_is_the_same_once(fresh_python: FreshPython) -> None:
    """The second version of the 8 MB table costs less than 400 kB, as the comment beside it says."""
    assert int(fresh_python(first_example()).split()[-1]) < 400_000


def test_all_examples_work_together(
    fresh_python: FreshPython, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those behind the first go on from it; what they write stands in the working directory."""
    monkeypatch.chdir(tmp_path)
    assert len(examples()) == 2
    printed = fresh_python("\n".join(examples()))
    assert "chunks" in printed
    assert (tmp_path / "tables.casreg").stat().st_size > 1_000_000


def test_the_first_example_is_short() -> None:
    """A dozen lines of code at most: a reader's patience."""
    assert len([line for line in first_example().splitlines() if line.strip()]) <= 12


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """Every relative link of a page at the top is a file or folder of the checkout."""
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", (ROOT / page).read_text("utf-8"))
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing


def test_every_module_has_its_line_in_the_guide() -> None:
    """CONTRIBUTING.md tells the one job of each module of the package."""
    table = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    modules = {
        path.stem
        for path in (ROOT / "casreg").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    missing = {
        module
        for module in modules - {"__init__"}
        if not re.search(rf"^\|.*`{module}/?`.*\|", table, re.MULTILINE)
    }
    assert not missing
