"""Every error: its place in the tree, its message, its way across processes, and its line in docs/errors.md."""

from __future__ import annotations

import copy
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from casreg import exceptions
from casreg.exceptions import CasregError
from casreg.registry import Registry

PAGE = (Path(__file__).parents[1] / "docs" / "errors.md").read_text(encoding="utf-8")
ERRORS: dict[str, type[CasregError]] = {
    name: value
    for name, value in vars(exceptions).items()
    if isinstance(value, type) and issubclass(value, CasregError)
}
ATTRIBUTES: dict[str, dict[str, Any]] = {
    "CommitUnknownError": {"write": "0123456789abcdef0123456789abcdef"},
    "StoreAmbiguousObjectError": {"locations": ("a", "b")},
    "StoreMountError": {"locations": ("dead",), "found": ("a/my:model",)},
}


def tree_in(text: str) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Each name in a drawn tree, with what it stands below and what stands in its parentheses."""
    found: dict[str, tuple[str | None, tuple[str, ...]]] = {}
    path: list[str] = []
    for line in text.splitlines():
        match = re.match(r"((?:[│ ]   )*)([├└]── )?(\w+)(?: \(([\w, ]+)\))?", line)
        assert match, line
        depth = len(match[1]) // 4 + bool(match[2])
        also = tuple(match[4].split(", ")) if match[4] else ()
        path[depth:] = [match[3]]
        found[match[3]] = (path[depth - 1] if depth else None, also)
    return found


def real_tree() -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """The same of the classes."""
    tree: dict[str, tuple[str | None, tuple[str, ...]]] = {}
    for name, cls in ERRORS.items():
        bases = [base.__name__ for base in cls.__bases__]
        ours = [base for base in bases if base in ERRORS]
        tree[name] = (ours[0] if ours else None, tuple(base for base in bases if base not in ERRORS))
    tree["CasregError"] = (None, ())
    return tree


@pytest.mark.parametrize("name", ERRORS)
def test_errors_pickle_with_all_they_carry(name: str) -> None:
    """By every protocol, and when they are copied."""
    extra = ATTRIBUTES.get(name, {})
    error = ERRORS[name]("the message", *extra.values())
    error.add_note("a note")
    copies = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for again in (*copies, copy.copy(error), copy.deepcopy(error)):
        assert type(again) is type(error)
        assert str(again) == "the message"
        assert again.args == error.args
        assert vars(again) == vars(error) == {**extra, "__notes__": ["a note"]}


@pytest.mark.parametrize("name", ERRORS)
def test_the_text_is_the_message(name: str) -> None:
    """Also where a `KeyError`, which shows its `repr`, or an `OSError`, which counts its arguments, is a parent."""
    assert str(ERRORS[name]("it's 'here'")) == "it's 'here'"
    assert str(ERRORS[name]()) == ""


def test_attributes_are_known() -> None:
    """The table above has all errors that carry more than their message."""
    carrying = {name for name, cls in ERRORS.items() if vars(cls()) and name not in ATTRIBUTES}
    assert not carrying
    for name, extra in ATTRIBUTES.items():
        assert vars(ERRORS[name]()).keys() == extra.keys()


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_says_when_it_comes(name: str) -> None:
    """In its own docstring, with each attribute that it has."""
    text = ERRORS[name].__doc__
    assert text
    assert text.rstrip().endswith(".")
    for attribute in ATTRIBUTES.get(name, {}):
        assert f"{attribute}: " in text


def test_the_tree_in_the_module_is_that_of_the_classes() -> None:
    """Names, parents, and which errors of Python they are too."""
    assert exceptions.__doc__
    drawn = exceptions.__doc__.split("\n\n")[1]
    assert tree_in("\n".join(line.removeprefix("    ") for line in drawn.splitlines())) == real_tree()


def test_the_tree_on_the_page_is_that_of_the_classes() -> None:
    """As above."""
    (drawn,) = re.findall(r"```text\n(.*?)\n```", PAGE, re.DOTALL)
    assert tree_in(drawn) == real_tree()


def test_the_page_says_when_and_what_to_do() -> None:
    """One row for each error, once, and both columns are filled but for roots that are never raised."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| ?(.*?) ?\|$", PAGE, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == sorted(ERRORS)
    for name, when, way_out in rows:
        assert when
        assert way_out or when.startswith("never itself"), name
        for attribute in ATTRIBUTES.get(name, {}):
            assert f"`{attribute}`" in when


def test_the_example_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """As printed, in the default folder."""
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        exec(compile(code, "docs/errors.md", "exec", dont_inherit=True), {})
    assert capsys.readouterr().out.startswith("not there: there is no object 'my:model' in file://")


def test_a_missing_thing_is_caught_as_users_know_it() -> None:
    """`KeyError` by those who think of a dict, `ValueError` by those who come from mindtrace, and both as ours."""
    for kind in (KeyError, ValueError, CasregError):
        with pytest.raises(kind, match="'no:thing'"):
            Registry().load("no:thing")
    for wrong in (ValueError, CasregError):
        with pytest.raises(wrong, match="'invalid_name'"):
            Registry().save("invalid_name", 1)
