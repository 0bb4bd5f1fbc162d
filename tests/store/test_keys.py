from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from casreg import InvalidArgumentError, InvalidNameError, Store, StoreKeyFormatError
from casreg.store.keys import StoreKey, build_key, check_location, parse_key

SEGMENT = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,8}[A-Za-z0-9])?", fullmatch=True)
NAMES = st.lists(SEGMENT, min_size=1, max_size=3).map(":".join)
LOCATIONS = st.from_regex(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,8}[A-Za-z0-9])?", fullmatch=True)
VERSIONS = st.sampled_from(["1.0.0", "latest", "prod", ">=1.2,<2", "^1.2", "2.0.0-rc.1"])

NO_KEYS = [
    "",
    "a/",
    "/x",
    "a/b/x",
    "../esc",
    "/abs/x",
    "a//x",
    "a/@1.0.0",
    "@1",
    "a/x@",
    "a/x@1@2",
    "x@1/2",
    " a/x",
]


@given(LOCATIONS, NAMES, st.none() | VERSIONS)
def test_what_is_built_is_parsed(location: str, name: str, version: str | None) -> None:
    """`parse_key` gives back the parts that `build_key` put together."""
    assert parse_key(build_key(location, name, version)) == (location, name, version)


@given(st.text(max_size=30) | st.text("ab/@:. _-", max_size=12))
def test_any_text_is_a_key_or_an_error_of_ours(text: str) -> None:
    """Nothing else escapes, and a key put together again is the same text."""
    try:
        key = parse_key(text)
    except (StoreKeyFormatError, InvalidNameError):
        return
    assert str(key) == text
    assert "/" not in key.name


@pytest.mark.parametrize("text", NO_KEYS)
def test_what_is_no_key(text: str) -> None:
    """Is refused with the form of one; in particular no `/` ever gets into a name."""
    with pytest.raises((StoreKeyFormatError, InvalidNameError), match=r"a key is|a location is|a name"):
        parse_key(text)


@pytest.mark.parametrize("name", ["-x", "x:", "x y", "ä", ":", "x\n"])
def test_a_name_that_no_registry_takes(name: str) -> None:
    """Is refused as a registry refuses it, whatever registry there is; `_` is for the registry to say."""
    with pytest.raises(InvalidNameError):
        parse_key(f"a/{name}")
    with pytest.raises(InvalidNameError):
        parse_key(f"{name}@1.0.0")
    assert parse_key("a/my_name").name == "my_name"


def test_a_key_without_a_location() -> None:
    """Is a key, of which a store says what it may be used for."""
    assert parse_key("my:model@prod") == StoreKey(None, "my:model", "prod")


@pytest.mark.parametrize("key", [None, 3, b"a/x", ("a", "x")])
def test_a_key_is_a_text(key: object) -> None:
    """Anything else is refused with its type."""
    with pytest.raises(StoreKeyFormatError, match=f"a key is a text, not a {type(key).__name__}"):
        parse_key(key)  # type: ignore[arg-type]


@pytest.mark.parametrize("location", ["", "-a", "a.", "a/b", "a@b", "a:b", "ä", "a b", "..", "a\n", None, 1])
def test_what_is_no_location(location: object) -> None:
    """Is refused with the rule."""
    with pytest.raises(InvalidArgumentError, match="cannot be the location of a mount: a location is ASCII"):
        check_location(location)


def test_parts_that_make_no_key() -> None:
    """`build_key` refuses what `parse_key` would read otherwise."""
    for parts in (("a", "x", ""), ("a", "x", "1@2"), ("a", "x", "1/2")):
        with pytest.raises(StoreKeyFormatError):
            build_key(*parts)
    with pytest.raises(InvalidNameError):
        build_key("a", "b/x")
    with pytest.raises(InvalidArgumentError, match=re.escape("'a/b' cannot be the location")):
        build_key("a/b", "x")


def test_the_store_takes_keys_apart_for_others() -> None:
    """`location, name, version = store.parse_key(key)`, and back."""
    store = Store(mounts={})
    location, name, version = store.parse_key("team/my:model@1.0.0")
    assert (location, name, version) == ("team", "my:model", "1.0.0")
    assert location is not None
    assert store.build_key(location, name, version) == "team/my:model@1.0.0"


def test_a_uri_in_place_of_a_key_or_location_is_not_repeated() -> None:
    """It may hold a password."""
    store = Store(mounts={})
    for call in (store.load, lambda uri: store.add_mount(uri, "memory://x")):
        with pytest.raises((StoreKeyFormatError, InvalidArgumentError)) as caught:
            call("s3://user:c4n4ry@host/x")
        assert "c4n4ry" not in str(caught.value)
