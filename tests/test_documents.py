"""What the pages say is so: their code runs, their links lead somewhere, and the reference is of this very code."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from conftest import FreshPython

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def code_of(page: str) -> str:
    """The Python blocks of a page, one after the other; those marked `no-run` are left out."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    return "\n".join(re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))


def anchors(page: Path) -> set[str]:
    """What `#…` may name in a page: its headings, spelt as Markdown renderers do, and places with a name of their own."""
    text = page.read_text("utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    spelt = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return {*spelt, *re.findall(r'<a id="([^"]+)">', text)}


@pytest.mark.parametrize("page", ["tutorial.md", "migrating-from-mindtrace.md"])
def test_the_code_of_a_page_runs(page: str, fresh_python: FreshPython) -> None:
    """In the order of the page, in a new process and a default folder that is empty."""
    code = code_of(page)
    assert code
    fresh_python(code)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """Every relative link is a file or folder of the checkout, and what follows `#` is a heading of it."""
    broken = []
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", page.read_text("utf-8")):
        name, _, anchor = target.partition("#")
        place = (page.parent / name) if name else page
        if not place.exists() or (anchor and anchor not in anchors(place)):
            broken.append(target)
    assert not broken


def test_the_reference_is_up_to_date() -> None:
    """docs/reference.md is what scripts/reference makes of the docstrings."""
    program = [sys.executable, str(ROOT / "scripts" / "reference.py"), "--check"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
