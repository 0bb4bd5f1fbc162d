"""What docs/concurrency.md says of rules, mutants, scenarios and tests is so, and nothing is left out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collector import mutants, scenarios
from protocol.rules import Rule
from protocol.scenarios import SCENARIOS, WITHOUT, explore

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "concurrency.md").read_text("utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    table = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[2:]]


RULES = rows("Each rule, and what is lost without it")


def test_every_rule_has_its_row() -> None:
    """In the order of the model, with what it says."""
    assert [(name.strip("`"), says) for name, says, _ in RULES] == [(rule.name, rule.value) for rule in Rule]


def test_every_rule_is_taken_from_the_model() -> None:
    """Each has a scenario in which that shows."""
    assert WITHOUT.keys() == set(Rule)


def test_every_rule_is_taken_from_the_code() -> None:
    """Each has a mutant of the code, and each mutant is one of a rule."""
    named = [re.findall(r"`(\w+)`", cell) for _, _, cell in RULES]
    assert all(named)
    assert sorted(name for names in named for name in names) == sorted(mutants.MUTANTS)


def named(kind: str) -> list[str]:
    """What stands in backticks behind `kind`."""
    return [re.sub(r"\s+", " ", text) for text in re.findall(rf"`{kind}([^`]*)`", PAGE)]


def test_scenarios_are_there() -> None:
    """Those of the code and those of the model that the page names."""
    code = {name for names in named("collector: ") for name in names.split(", ")}
    model = set(named("model: "))
    assert len(code) > 30
    assert len(model) > 12
    assert code <= scenarios.SCENARIOS.keys()
    assert model <= SCENARIOS.keys()


@pytest.mark.parametrize("path", sorted(set(named("tests/"))))
def test_tests_are_there(path: str) -> None:
    """Every test that the page names."""
    file, _, name = path.partition("::")
    text = (ROOT / "tests" / file).read_text("utf-8")
    assert not name or f"def {name}(" in text


def test_the_run_that_is_told_is_the_one_that_is_found() -> None:
    """The one that a writer breaks which reads the head first."""
    found = explore(WITHOUT[Rule.REF_BEFORE_HEAD], Rule.REF_BEFORE_HEAD)
    told = PAGE.split("```text\n")[1].split("```")[0]
    assert [re.sub(r"^ *\d+ ", "", line) for line in told.splitlines()] == list(found.trace)


def test_all_pairs_have_a_row() -> None:
    """Whoever changes a place has a row beside a collector."""
    pairs = [row[0] for row in rows("Who beside whom")]
    for who in ("save", "delete", "compact", "sync", "heal", "gc", "load", "rename"):
        assert any(who in pair and "gc" in pair for pair in pairs), who
