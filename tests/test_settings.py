from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
import pytest

from casreg import InvalidArgumentError, settings

if TYPE_CHECKING:
    from collections.abc import Callable

PLACES = {
    "CASREG_REGISTRY_DIR": settings.registry_dir,
    "CASREG_STORE_DIR": settings.store_dir,
    "CASREG_CACHE_DIR": settings.cache_dir,
    "CASREG_CONFIG": settings.config_path,
}
each_place = pytest.mark.parametrize(("variable", "place"), PLACES.items())


@pytest.fixture
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in which no variable names a place."""
    for variable in PLACES:
        monkeypatch.delenv(variable)


@each_place
def test_a_variable_names_its_place(
    variable: str, place: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The environment wins over the platform's default."""
    monkeypatch.setenv(variable, str(tmp_path / "here"))
    assert place() == tmp_path / "here"


@each_place
def test_an_empty_variable_is_not_set(
    variable: str, place: Callable[[], Path], nothing_set: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`VARIABLE=` in a shell means the default place, not the working directory."""
    default = place()
    monkeypatch.setenv(variable, "")
    assert place() == default


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """`~/x` works where no shell expands it: in service files and containers."""
    monkeypatch.setenv("CASREG_REGISTRY_DIR", os.path.join("~", "objects"))
    assert settings.registry_dir() == Path.home() / "objects"


def test_a_tilde_of_nobody_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder that cannot be found is an error of ours that names the variable."""
    monkeypatch.setenv("CASREG_STORE_DIR", "~no-such-user-here/x")
    with pytest.raises(InvalidArgumentError, match="CASREG_STORE_DIR"):
        settings.store_dir()


def test_a_relative_variable_is_taken_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The path is absolute, so that a later change of directory moves nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CASREG_REGISTRY_DIR", "objects")
    assert settings.registry_dir() == tmp_path / "objects"


def test_data_is_not_kept_in_a_cache(nothing_set: None) -> None:
    """Registry and Store are under the user's data folder and outside the cache folder."""
    data = platformdirs.user_data_path("casreg", appauthor=False)
    for folder in (settings.registry_dir(), settings.store_dir()):
        assert folder.is_relative_to(data)
        assert not folder.is_relative_to(settings.cache_dir())


def test_registry_and_store_do_not_share_a_folder(nothing_set: None) -> None:
    """Neither of the two lies inside the other."""
    registry, store = settings.registry_dir(), settings.store_dir()
    assert not registry.is_relative_to(store)
    assert not store.is_relative_to(registry)


def test_asking_creates_nothing(nothing_set: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To ask where things would be kept makes no folder."""
    for variable in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    for place in PLACES.values():
        place()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0),
        ("123456", 123456),
        ("7B", 7),
        ("500MB", 500_000_000),
        ("20GiB", 20 * 1024**3),
        (" 20 gib ", 20 * 1024**3),
        ("3kB", 3000),
        ("2TiB", 2 * 1024**4),
    ],
)
def test_a_number_of_bytes_may_have_a_unit(text: str, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment as in an argument."""
    monkeypatch.setenv("CASREG_CACHE_LIMIT", text)
    assert settings.cache_limit() == settings.byte_count(text, "it") == count


def test_the_limit_of_the_cache_has_a_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 GiB where nobody says; an empty variable says nothing."""
    monkeypatch.delenv("CASREG_CACHE_LIMIT", raising=False)
    assert settings.cache_limit() == 10 * 1024**3
    monkeypatch.setenv("CASREG_CACHE_LIMIT", "")
    assert settings.cache_limit() == 10 * 1024**3


@pytest.mark.parametrize("value", ["", "much", "-1", "1.5GB", "20G", "20 GiBs", "٣", -1, 2.5, True, None])
def test_what_is_no_number_of_bytes_is_refused(value: object) -> None:
    """The message names what it was for and shows how it is written."""
    with pytest.raises(InvalidArgumentError, match=r"the limit .*20GiB"):
        settings.byte_count(value, "the limit")  # type: ignore[arg-type]


def test_a_wrong_limit_in_the_environment_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever set it has to find it."""
    monkeypatch.setenv("CASREG_CACHE_LIMIT", "plenty")
    with pytest.raises(InvalidArgumentError, match="CASREG_CACHE_LIMIT"):
        settings.cache_limit()


@each_place
def test_a_uri_is_no_folder(
    variable: str, place: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused, and not taken for a folder called `s3:` in the working directory."""
    monkeypatch.setenv(variable, "s3://bucket/prefix")
    with pytest.raises(InvalidArgumentError, match=f"{variable} holds a URI"):
        place()
