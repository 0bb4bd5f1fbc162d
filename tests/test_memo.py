from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from casreg import memo

if TYPE_CHECKING:
    from pathlib import Path

VALUE = {"names": [["a", 1, None, True]], "text": "ä\n"}


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """Also in folders that are not there yet, and again over what was there; nothing else is left behind."""
    file = tmp_path / "a" / "b" / "memo"
    assert memo.read(file) is None
    memo.write(file, [1])
    memo.write(file, VALUE)
    assert memo.read(file) == VALUE
    assert os.listdir(file.parent) == ["memo"]


def test_every_damage_is_as_good_as_nothing(tmp_path: Path) -> None:
    """Any byte changed, and any end cut off."""
    file = tmp_path / "memo"
    memo.write(file, VALUE)
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at])
        assert memo.read(file) is None
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert memo.read(file) is None
    file.write_bytes(whole)
    assert memo.read(file) == VALUE


def test_what_cannot_be_read_is_nothing(tmp_path: Path) -> None:
    """A folder in its place."""
    (tmp_path / "memo").mkdir()
    assert memo.read(tmp_path / "memo") is None


def test_what_cannot_be_written_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value that is no JSON, a folder that cannot be made, a disk that refuses: nobody's work fails for it."""
    file = tmp_path / "memo"
    memo.write(file, VALUE)
    memo.write(file, {"inode": 2**64})
    memo.write(file, object())
    memo.write(file / "below" / "it", VALUE)

    def refused(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "replace", refused)
    memo.write(file, [2])
    assert memo.read(file) == VALUE
    assert os.listdir(tmp_path) == ["memo"]


def test_who_is_interrupted_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interruption goes on to whoever asked for it, and what was half written goes."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        memo.write(tmp_path / "memo", VALUE)
    assert os.listdir(tmp_path) == []
