"""A link that takes a file's place while its folder is saved leads nowhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from casreg import Registry
from casreg.exceptions import SourceError
from casreg.materializers import folders

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def exchange(tree: Path, secret: Path) -> None:
    """Put a link where the file was."""
    (tree / "file").unlink()
    (tree / "file").symlink_to(secret)


def before(do: Callable[[], None], call: Callable[..., object]) -> Callable[..., object]:
    """`call`, but the first time something is done before it."""
    pending = [do]

    def both(*args: object, **kwargs: object) -> object:
        while pending:
            pending.pop()()
        return call(*args, **kwargs)

    return both


def test_a_link_between_listing_and_looking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the folder becomes a link to a file outside just before its state is asked for."""
    secret, tree = tmp_path / "secret", tmp_path / "tree"
    secret.write_text("secret")
    tree.mkdir()
    (tree / "file").write_text("plain")
    real = folders._stat

    def stat(source: str, **options: bool) -> os.stat_result:
        if source == str(tree / "file"):
            exchange(tree, secret)
        return real(source, **options)

    monkeypatch.setattr(folders, "_stat", stat)
    registry = Registry("memory://")
    with pytest.raises(SourceError, match="symbolic link"):
        registry.save("thing", tree)
    assert registry.list_objects() == []


def test_a_link_between_looking_and_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It becomes one just before it is opened."""
    secret, tree = tmp_path / "secret", tmp_path / "tree"
    secret.write_text("other")
    tree.mkdir()
    (tree / "file").write_text("plain")
    monkeypatch.setattr(os, "open", before(lambda: exchange(tree, secret), os.open))
    registry = Registry("memory://")
    with pytest.raises(SourceError, match="changed"):
        registry.save("thing", tree)
