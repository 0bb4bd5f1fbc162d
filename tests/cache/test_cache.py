"""`Cache`: a folder and a limit, as a value."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest

from casreg import Cache, InvalidArgumentError


def test_the_default_is_in_the_users_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked for when it is used: a value that was made elsewhere takes the place of the machine it is on."""
    cache = pickle.loads(pickle.dumps(Cache()))
    for folder in ("one", "two"):
        monkeypatch.setenv("CASREG_CACHE_DIR", str(tmp_path / folder))
        assert cache.path == tmp_path / folder / "objects"


def test_a_folder_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path counts from where the program was; `~` is the home folder."""
    monkeypatch.chdir(tmp_path)
    cache = Cache("mine")
    monkeypatch.chdir("/")
    assert cache.path == tmp_path / "mine"
    assert Cache(os.path.join("~", "copies")).path == Path.home() / "copies"
    assert Cache(Path("~/copies")) == Cache("~/copies")


def test_a_limit_may_have_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument wins over the environment."""
    monkeypatch.setenv("CASREG_CACHE_LIMIT", "1GB")
    assert Cache().capacity == 10**9
    assert Cache(limit="2GiB").capacity == 2 << 30
    assert Cache(limit=12345).capacity == 12345
    assert Cache(limit="2GiB") == Cache(limit=2 << 30)


@pytest.mark.parametrize("limit", [-1, "much", 1.5, True])
def test_a_wrong_limit_is_refused(limit: object) -> None:
    """When the cache is made, not when it is used."""
    with pytest.raises(InvalidArgumentError, match="limit"):
        Cache(limit=limit)  # type: ignore[arg-type]


@pytest.mark.parametrize("folder", ["", 7, b"bytes", "~no-such-user-here/x"])
def test_a_wrong_folder_is_refused(folder: object) -> None:
    """As the limit."""
    with pytest.raises(InvalidArgumentError):
        Cache(folder)  # type: ignore[arg-type]
