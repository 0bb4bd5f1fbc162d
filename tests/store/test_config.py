from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from casreg import (
    ConfigError,
    ReadOnlyError,
    Registry,
    Store,
    StoreLocationNotFound,
    VersionConflictError,
    settings,
)

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import FreshPython


def write(text: str) -> Path:
    """The configuration file of this test."""
    path = settings.config_path()
    path.write_text(text, encoding="utf-8")
    return path


def places(store: Store) -> dict[str, str]:
    """Where the mounts are."""
    return {location: store.get_registry(location).backend.location for location in store.list_mounts()}


def test_without_configuration_there_is_the_lasting_default() -> None:
    """One local mount `default` in the folder of stores, asked first."""
    store = Store()
    assert places(store) == {"default": Registry(settings.store_dir()).backend.location}
    assert store.default_location == "default"


def test_the_file_names_mounts_and_the_default_location(tmp_path: Path) -> None:
    """They stand beside `default`, with their options."""
    write(f"""
        default_location = "team"

        [mounts.team]
        backend = "{(tmp_path / "team").as_posix()}"
        mutable = true

        [mounts.archive]
        backend = "{(tmp_path / "archive").as_uri()}"
        read_only = true

        [mounts.single]
        backend = "memory://single-of-the-file"
        version_objects = false
        allow_underscore = true
    """)
    store = Store()
    assert store.list_mounts() == ["archive", "default", "single", "team"]
    assert store.default_location == "team"
    store.save("team/x", 1, version="1.0.0")
    assert store.save("team/x", 2, version="1.0.0") == "1.0.0"
    store.save("default/x", 1, version="1.0.0")
    with pytest.raises(VersionConflictError):
        store.save("default/x", 2, version="1.0.0")
    with pytest.raises(ReadOnlyError):
        store.save("archive/x", 1)
    for value in (1, 2):
        store.save("single/under_score", value)
    assert store.list_versions("single/under_score") == ["1.0.0"]
    assert store.load("under_score") == 2


def test_a_relative_place_begins_at_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And not at whatever folder the process works in; `~` is the home folder."""
    path = write('[mounts.near]\nbackend = "objects"\n[mounts.home]\nbackend = "~/objects"\n')
    monkeypatch.chdir("/")
    assert places(Store())["near"] == Registry(path.parent / "objects").backend.location
    assert places(Store())["home"] == Registry(os.path.join("~", "objects")).backend.location


def test_the_environment_adds_mounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Entries are separated by `;`; spaces and a `;` at the end do no harm."""
    monkeypatch.setenv("CASREG_MOUNTS", f" scratch = {tmp_path / 'a=b'} ;m=memory://of-the-environment;")
    assert places(Store()) == {
        "default": Registry(settings.store_dir()).backend.location,
        "scratch": Registry(tmp_path / "a=b").backend.location,
        "m": "memory://of-the-environment",
    }


def test_the_environment_comes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says another place for a mount of the file, whose options stay: read-only does not get lost by it."""
    write('[mounts.team]\nbackend = "memory://of-the-file"\nread_only = true\n')
    monkeypatch.setenv("CASREG_MOUNTS", "team=memory://of-the-environment")
    store = Store()
    assert places(store)["team"] == "memory://of-the-environment"
    assert store.get_mount("team").read_only


def test_default_may_be_another_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file or the environment may say where the location `default` is."""
    monkeypatch.setenv("CASREG_MOUNTS", "default=memory://my-default")
    assert places(Store()) == {"default": "memory://my-default"}


def test_an_argument_comes_before_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """`mounts=` is all there is then, and neither file nor environment is read; a default location wins over the file's."""
    write("this is no TOML")
    monkeypatch.setenv("CASREG_MOUNTS", "nothing of use")
    assert Store(mounts={}).list_mounts() == []
    monkeypatch.delenv("CASREG_MOUNTS")
    write('default_location = "a"\n[mounts.a]\nbackend = "memory://a-of-arguments"\n')
    assert Store(default_location="default").default_location == "default"
    with pytest.raises(StoreLocationNotFound):
        Store(default_location="nowhere")


MISTAKES = {
    "this is no TOML": "is no TOML",
    '[mounts.team]\nbackend = "a"\n[mounts.team]\nbackend = "b"\n': "is no TOML",
    'defaultlocation = "a"\n': r"'defaultlocation' is not known; known are default_location, mounts. Did you mean 'default_location'",
    'mounts = "a"\n': r"'mounts' is no table; write \[mounts.team\]",
    '[mounts]\nteam = "s3://bucket/x"\n': r"\[mounts.team\]: is no table; write \[mounts.team\]",
    "[mounts.team]\nread_only = true\n": r"\[mounts.team\]: has no backend; write backend = ",
    '[mounts.team]\nbackend = ""\n': r"\[mounts.team\]: has a backend that is no text, or an empty one",
    "[mounts.team]\nbackend = 5\n": r"\[mounts.team\]: has a backend that is no text",
    '[mounts.team]\nbackend = "a"\nread_only = "yes"\n': r"\[mounts.team\]: read_only is 'yes'; write read_only = true",
    '[mounts.team]\nbackend = "a"\nreadonly = true\n': r"'readonly' is not known; known are backend, .*Did you mean 'read_only'",
    '[mounts."a/b"]\nbackend = "a"\n': r"\[mounts.a/b\]: 'a/b' cannot be the location of a mount",
    '[mounts.team]\nbackend = "ftp://x"\n': r"\[mounts.team\]: no storage is known for 'ftp://x'",
    'default_location = "a"\n': r"default_location is 'a', and there is no such mount; there are 'default'",
    "default_location = 5\n": "default_location is 5, and there is no such mount",
    "default_location = []\n": r"default_location is \[\], and there is no such mount",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_in_the_file_names_file_and_entry(text: str) -> None:
    """And says what to write; `ConfigError` is a `ValueError`."""
    path = write(text)
    with pytest.raises(ConfigError, match=MISTAKES[text]) as caught:
        Store()
    assert f"the configuration file {path}" in str(caught.value)
    assert isinstance(caught.value, ValueError)


def test_a_file_that_cannot_be_read() -> None:
    """Is an error that names it and the variable, not a Store without its mounts."""
    settings.config_path().mkdir()
    with pytest.raises(ConfigError, match=r"default-config\.toml cannot be read \(.*CASREG_CONFIG"):
        Store()
    settings.config_path().rmdir()
    settings.config_path().write_bytes(b'default_location = "\xff"')
    with pytest.raises(ConfigError, match="is no TOML"):
        Store()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("team", "entry 1: no location=place; write CASREG_MOUNTS="),
        ("a=memory://x;team=", "entry 2: no location=place"),
        ("=/a/folder", "entry 1: '' cannot be the location"),
        ("a/b=/folder", "entry 1: 'a/b' cannot be the location"),
        ("a=memory://x;a=memory://y", "entry 2: 'a' is there twice"),
        ("a=ftp://x", r"entry 1 \(a\): no storage is known for 'ftp://x'"),
    ],
)
def test_a_mistake_in_the_environment_names_the_entry(
    text: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable, the number of the entry, and what to write."""
    monkeypatch.setenv("CASREG_MOUNTS", text)
    with pytest.raises(ConfigError, match=f"the environment variable CASREG_MOUNTS, {says}"):
        Store()


def test_secrets_have_no_place_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password in a URI, or an option for one, is refused, and the message does not repeat it."""
    canary = "c4n4ry"
    write(f'[mounts.team]\nbackend = "s3://user:{canary}@bucket/x"\n')
    with pytest.raises(ConfigError, match="a user or a password") as caught:
        Store()
    assert canary not in str(caught.value)
    write(f'[mounts.team]\nbackend = "memory://x"\nsecret_key = "{canary}"\n')
    with pytest.raises(ConfigError, match="'secret_key' is not known") as caught:
        Store()
    assert canary not in str(caught.value)
    settings.config_path().unlink()
    monkeypatch.setenv("CASREG_MOUNTS", f"team=s3://user:{canary}@bucket/x")
    with pytest.raises(ConfigError, match="a user or a password") as caught:
        Store()
    assert canary not in str(caught.value)


def test_another_process_has_the_same_mounts(tmp_path: Path, fresh_python: FreshPython) -> None:
    """What is saved at a configured mount is there for whoever reads the same file."""
    write(f'[mounts.team]\nbackend = "{(tmp_path / "team").as_posix()}"\n')
    fresh_python("from casreg import Store; Store().save('team/x', [1, 2])")
    assert fresh_python("from casreg import Store; print(Store().load('x'))") == "[1, 2]\n"
